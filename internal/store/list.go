package store

import (
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/store/sqldb"
)

// listing is the query of one list: what it shows, its order, and its
// conditions, which are constants with a numbered placeholder at their end.
type listing struct {
	columns, table string
	ledger         string   // the column that names the ledger
	at, tie        string   // the columns that order it
	created        interval // what it holds of them
	least          any      // what is below every tie
	place          string   // gives the place of an object by its id and ledger, whatever became of it
	where          string
	filters        []any
}

// fixed is how many placeholders stand before those of the filters.
const fixed = 6

func (q *listing) placeholder(value any) string {
	q.filters = append(q.filters, value)
	return "$" + strconv.Itoa(fixed+len(q.filters))
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
func (q *listing) between(column string, i interval) {
	q.and(column+" >=", i.from)
	q.and(column+" <", i.to)
}

// in adds the condition that a column has one of some values, if there are
// any. The last is repeated up to a power of two, so that few texts are prepared.
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

// position is a place in the order of a list.
type position struct {
	at  int64
	tie any
}

// span is the part of a list between two positions, without them.
type span struct{ older, newer position }

// within gives the part of a list that lies in an interval of moments. A sqldb.Time
// with the least tie stands below all that happened in it.
func (q *listing) within(i interval) span {
	return span{position{i.from, q.least}, position{i.to, q.least}}
}

// interval is the integers from one up to another, without that.
type interval struct{ from, to int64 }

var everything = interval{math.MinInt64, math.MaxInt64}

// moments gives the microseconds of a range.
func moments(r sluice.TimeRange) interval {
	i := everything
	if r.GTE != nil {
		i.from = max(i.from, ceil(*r.GTE))
	}
	if r.GT != nil {
		i.from = max(i.from, r.GT.UnixMicro()+1)
	}
	if r.LT != nil {
		i.to = min(i.to, ceil(*r.LT))
	}
	if r.LTE != nil {
		i.to = min(i.to, r.LTE.UnixMicro()+1)
	}
	return i
}

// integers gives the integers of a range.
func integers(r sluice.Range[int64]) interval {
	i := everything
	if r.GTE != nil {
		i.from = max(i.from, *r.GTE)
	}
	if r.GT != nil {
		i.from = max(i.from, above(*r.GT))
	}
	if r.LT != nil {
		i.to = min(i.to, *r.LT)
	}
	if r.LTE != nil {
		i.to = min(i.to, above(*r.LTE))
	}
	return i
}

// above is the next integer, where there is one.
func above(n int64) int64 { return max(n, n+1) }

// ceil is the first whole microsecond that is not before t.
func ceil(t time.Time) int64 {
	return t.Add(time.Microsecond - 1).UnixMicro()
}

// query gives the SQL. It asks for the span's newest, or with up for its
// oldest first.
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

// cursor narrows s to what lies beyond the object that a page begins at.
func (q *listing) cursor(r *reader, ledger int64, p sluice.Page, s *span) error {
	param, id := "starting_after", p.After
	if p.Before != "" {
		param, id = "ending_before", p.Before
	}
	if id == "" {
		return nil
	}
	var at position
	err := r.One([]any{&at.at, &at.tie}, q.place, id, ledger)
	switch {
	case err == sqldb.ErrNotFound:
		return noCursor(param)
	case err != nil:
		return err
	case p.Before != "" && at.at >= s.older.at:
		s.older = at
	case p.Before == "" && at.at < s.newer.at:
		s.newer = at
	}
	return nil
}

// list reads one page; fields says where a row goes.
func list[T any](r *reader, l sluice.LedgerID, q listing, p sluice.Page, fields func(*T) []any) (sluice.List[T], error) {
	rows, err := rowsFrom(r, l, q, p, fields)
	if err != nil {
		return sluice.List[T]{}, err
	}
	return pageFrom(rows, p), nil
}

// merged reads one page of several lists that have nothing in common, each by
// its own index: at most that many times the rows of a page.
func merged[T any](r *reader, l sluice.LedgerID, lists []listing, p sluice.Page, fields func(*T) []any, newestFirst func(a, b T) int) (sluice.List[T], error) {
	var all []T
	for _, q := range lists {
		rows, err := rowsFrom(r, l, q, p, fields)
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
	return pageFrom(all[:min(len(all), p.Limit+1)], p), nil
}

// rowsFrom reads the rows from a page's cursor on, one more than it holds when
// there are more.
func rowsFrom[T any](r *reader, l sluice.LedgerID, q listing, p sluice.Page, fields func(*T) []any) ([]T, error) {
	if err := pageable(p); err != nil {
		return nil, err
	}
	ledger, err := r.ledgerID(l)
	if err != nil {
		return nil, err
	}
	s := q.within(q.created)
	if err := q.cursor(r, ledger, p, &s); err != nil {
		return nil, err
	}
	return sqldb.Many(r.Session, fields, q.query(p.Up()), q.args(ledger, s, p.Limit+1)...)
}

func pageable(p sluice.Page) error {
	var v sluice.Invalid
	if p.Limit < 1 || p.Limit > sluice.MaxPageSize {
		v.Add("limit", "out_of_range", "limit is 1 to %d", sluice.MaxPageSize)
	}
	if p.After != "" && p.Before != "" {
		v.Add("ending_before", "invalid", "starting_after and ending_before exclude each other")
	}
	return v.Err()
}

// pageFrom makes a page of the rows from its cursor on, one more than it holds
// when there are more.
func pageFrom[T any](rows []T, p sluice.Page) sluice.List[T] {
	more := len(rows) > p.Limit
	if more {
		rows = rows[:p.Limit]
	}
	if p.Up() {
		slices.Reverse(rows)
	}
	return sluice.List[T]{Data: rows, More: more}
}

// noCursor is the error of a page that begins at what no list has.
func noCursor(param string) error {
	var v sluice.Invalid
	v.Add(param, "invalid", "%s names no object of this list", param)
	return v.Err()
}
