package sqldb

// MaxPageProblems is how many problems a PageReport has at most.
const MaxPageProblems = 100

// PageReport is what a check of a database's pages has found.
type PageReport struct {
	Pages    int64    // that were looked at; 0 where the database does not say
	Problems []string // at most 100
	Notes    []string // what was not looked at, and why
}

// Add adds a problem, unless there are enough.
func (r *PageReport) Add(problem string) {
	if len(r.Problems) < MaxPageProblems {
		r.Problems = append(r.Problems, problem)
	}
}
