package records

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"sluice"
	"sluice/internal/store/sqldb"
)

// listing is the query of one list: its columns, its order, and its conditions. A condition is a constant with a
// numbered placeholder at its end.
type listing struct {
	columns, table string
	ledger         string         // the column that names the ledger
	at, tie        string         // the columns that order it
	created        sqldb.Interval // the values of at that it holds
	least          any            // a value below every tie
	cursorQuery    string         // gives the position of an object by its id and ledger, also of one that has ended
	where          string
	filters        []any
}

// fixedArgs is how many arguments come before those of the filters.
const fixedArgs = 6

func (q *listing) placeholder(value any) string {
	q.filters = append(q.filters, value)
	return "$" + strconv.Itoa(fixedArgs+len(q.filters))
}

// and adds a condition, such as "purpose =".
func (q *listing) and(condition string, value any) {
	q.where += " AND " + condition + " " + q.placeholder(value)
}

// equal adds the condition that a column has a value, unless that is "".
func (q *listing) equal(column, value string) {
	if value != "" {
		q.and(column+" =", value)
	}
}

// between adds the condition that a column lies in an interval.
func (q *listing) between(column string, i sqldb.Interval) {
	q.and(column+" >=", i.From)
	q.and(column+" <", i.To)
}

// in adds the condition that a column has one of some values, if there are any. The last value is repeated up to a
// power of two, so that few texts are prepared.
func (q *listing) in(column string, values []string) {
	if len(values) == 0 {
		return
	}
	if values = sqldb.Texts(values); len(values) == 0 {
		q.where += " AND FALSE"
		return
	}
	marks := make([]string, 1<<bits.Len(uint(len(values)-1)))
	for i := range marks {
		marks[i] = q.placeholder(values[min(i, len(values)-1)])
	}
	q.where += " AND " + column + " IN (" + strings.Join(marks, ", ") + ")"
}

// position is a position in the order of a list.
type position struct {
	at  int64
	tie any
}

// span is the part of a list between two positions, without them.
type span struct{ older, newer position }

// within gives the part of a list that lies in an interval of moments. A sqldb.Time
// with the least tie stands below all that happened in it.
func (q *listing) within(i sqldb.Interval) span {
	return span{position{i.From, q.least}, position{i.To, q.least}}
}

// query gives the SQL that reads a span, the newest or with up the oldest first.
func (q *listing) query(up bool) string {
	order := " DESC"
	if up {
		order = ""
	}
	key := "(" + q.at + ", " + q.tie + ")"
	return "SELECT " + q.columns + " FROM " + q.table +
		" WHERE " + q.ledger + " = $1 AND " + key + " > ($2, $3) AND " + key + " < ($4, $5)" + q.where +
		" ORDER BY " + q.at + order + ", " + q.tie + order + " LIMIT $6"
}

func (q *listing) args(ledger int64, s span, limit int) []any {
	return append([]any{ledger, s.older.at, s.older.tie, s.newer.at, s.newer.tie, limit}, q.filters...)
}

// cursor narrows s to what lies beyond the cursor of a page.
func (q *listing) cursor(r *Reader, ledger int64, p sluice.Page, s *span) error {
	param, id := sqldb.Cursor(p)
	if id == "" {
		return nil
	}
	var at position
	err := r.One([]any{&at.at, &at.tie}, q.cursorQuery, id, ledger)
	switch {
	case err == sqldb.ErrNotFound:
		return sqldb.NoCursor(param)
	case err != nil:
		return err
	case p.Before != "" && at.at >= s.older.at:
		s.older = at
	case p.Before == "" && at.at < s.newer.at:
		s.newer = at
	}
	return nil
}

// list reads one page; fields gives the destinations of a row's columns.
func list[T any](
	r *Reader, l sluice.LedgerID, q listing, p sluice.Page, fields func(*T) []any,
) (sluice.List[T], error) {
	rows, err := rowsAfterCursor(r, l, q, p, fields)
	if err != nil {
		return sluice.List[T]{}, err
	}
	return sqldb.PageOf(rows, p), nil
}

// merged reads one page of several lists that have no object in common, each by its own index. It reads at most
// that many times the rows of a page.
func merged[T any](
	r *Reader, l sluice.LedgerID, lists []listing, p sluice.Page, fields func(*T) []any, newestFirst func(a, b T) int,
) (sluice.List[T], error) {
	var all []T
	for _, q := range lists {
		rows, err := rowsAfterCursor(r, l, q, p, fields)
		if err != nil {
			return sluice.List[T]{}, err
		}
		all = append(all, rows...)
	}
	slices.SortFunc(all, func(a, b T) int {
		if p.Up() {
			return newestFirst(b, a)
		}
		return newestFirst(a, b)
	})
	return sqldb.PageOf(all[:min(len(all), p.Limit+1)], p), nil
}

// rowsAfterCursor reads the rows after a page's cursor, one more than the page holds when the list goes on.
func rowsAfterCursor[T any](
	r *Reader, l sluice.LedgerID, q listing, p sluice.Page, fields func(*T) []any,
) ([]T, error) {
	if err := sqldb.CheckPage(p); err != nil {
		return nil, err
	}
	ledger, err := r.LedgerNumber(l)
	if err != nil {
		return nil, err
	}
	s := q.within(q.created)
	if err := q.cursor(r, ledger, p, &s); err != nil {
		return nil, err
	}
	return sqldb.Many(r.Session, fields, q.query(p.Up()), q.args(ledger, s, p.Limit+1)...)
}
