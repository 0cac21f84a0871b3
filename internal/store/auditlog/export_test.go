package auditlog

// Planned is a query whose plan a test looks at.
type Planned struct {
	Kind  string // what it reads: "batch", "firsts" of batches, "entry_index", or "values" of it
	Query string
	Args  []any
}

// PlannedQueries gives the queries that read the log.
func PlannedQueries() []Planned {
	firsts, firstsArgs := firstsQuery(1, []int64{1, 2, 3})
	batchesAt, batchesAtArgs := batchesAtQuery(1, []int64{1, 2, 3})
	values, valuesArgs := valuesQuery(1, redemption, []string{"1", "2", "3"})
	span, postings := []any{1, 0, 1000, 10}, []any{1, "action", "a", 0, 1000, 10}
	return []Planned{
		{"batch", batchesQuery(batchColumns, true), span}, {"batch", batchesQuery(batchColumns, false), span},
		{"batch", lastBatchQuery("first, time"), []any{1, 2}}, {"batch", batchesAt, batchesAtArgs},
		{"firsts", firsts, firstsArgs},
		{"entry_index", postingsQuery(true), postings}, {"entry_index", postingsQuery(false), postings},
		{"values", values, valuesArgs},
	}
}
