package store

import (
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice"
)

// listing is the query of one list. Its rows are read along an index that
// holds them in the order of the list, so that a page costs what it holds and
// not what the table does: the index that one of the filters leads to, or that
// of the whole list. The other filters are looked at row by row.
//
// Every index of a list begins with the ledger and the state of its objects. A
// list of several states, such as links that were revoked and links that were
// not, is read along several pieces of an index, whose rows are merged.
type listing struct {
	columns string // with those of the order
	route   *route
	least   any // what is below every tie
	states  []int
	filters []condition
	leaders []leader
}

// condition is a piece of SQL with a ? for each value.
type condition struct {
	text   string
	values []any
}

// route is a way through a table: along an index of the ledger, the state, what
// a leader asks for, at and tie.
type route struct {
	table, join            string
	ledger, state, at, tie string
	sorts                  bool // the index is not in the order of the list: for few rows only
	global                 bool // nor does it begin with the ledger
}

// leader is what a list may be read along: an index that a condition opens. Of
// a list's leaders the first that does not sort is the one to take when none
// leads to few rows. One that sorts stands after another of the same filter.
type leader struct {
	*route
	condition
	filter int                           // the filter that the condition is, or -1
	bands  func(*reader) ([]band, error) // the pieces to read each state in, when not nil
}

// band is a piece of an index, and the interval of moments that its rows lie in.
type band struct {
	condition
	within interval
}

// where asks for a condition.
func (q *listing) where(text string, values ...any) {
	q.filters = append(q.filters, condition{text, values})
}

// lead asks for a condition, and has it lead: along a route, when few rows meet
// it along another. On a route through another table it may read differently.
func (q *listing) lead(c condition, leaders ...leader) {
	for _, l := range leaders {
		if l.text == "" {
			l.condition = c
		}
		l.filter = len(q.filters)
		q.leaders = append(q.leaders, l)
	}
	q.filters = append(q.filters, c)
}

// equal asks that a column that has an index has a value, unless that is "".
func (q *listing) equal(column, value string) {
	if value != "" {
		q.lead(condition{column + " = ?", []any{value}}, leader{route: q.route})
	}
}

// in asks that the id is one of some, if there are any. The last is repeated
// up to a power of two, so that few texts are prepared.
func (q *listing) in(ids []string) {
	if len(ids) == 0 {
		return
	}
	values := make([]any, 1<<bits.Len(uint(len(ids)-1)))
	for i := range values {
		values[i] = ids[min(i, len(ids)-1)]
	}
	byID := *q.route
	byID.sorts, byID.global = true, true
	q.lead(condition{"id IN (?" + strings.Repeat(", ?", len(values)-1) + ")", values}, leader{route: &byID})
}

// along gives the list an index to be read along where no filter leads, opened
// by a condition that every row meets.
func (q *listing) along(opens string, bands func(*reader) ([]band, error)) {
	q.leaders = append(q.leaders, leader{q.route, condition{text: opens}, -1, bands})
}

// position is a place in the order of a list.
type position struct {
	at  int64
	tie any
}

// span is the part of a list between two positions, without them.
type span struct{ older, newer position }

// within narrows s to an interval of moments. A moment with the least tie
// stands below all that happened in it. It is false when nothing is left.
func (s span) within(i interval, least any) (span, bool) {
	if i.from > s.older.at {
		s.older = position{i.from, least}
	}
	if i.to <= s.newer.at {
		s.newer = position{i.to, least}
	}
	return s, s.older.at < s.newer.at || s.older.at == s.newer.at && s.newer.tie != least
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

// ceil is the first whole microsecond that is not before t.
func ceil(t time.Time) int64 {
	return t.Add(time.Microsecond - 1).UnixMicro()
}

// integers gives the integers of a range.
func integers(r sluice.Range[int64]) interval {
	i := everything
	if r.GTE != nil {
		i.from = max(i.from, *r.GTE)
	}
	if r.GT != nil {
		i.from = max(i.from, plus(*r.GT, 1))
	}
	if r.LT != nil {
		i.to = min(i.to, *r.LT)
	}
	if r.LTE != nil {
		i.to = min(i.to, plus(*r.LTE, 1))
	}
	return i
}

// plus adds, as far as integers go.
func plus(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}

// piece is a part of a list that is read along one piece of an index of each
// state.
type piece struct {
	condition
	span span
}

// pieces gives the pieces that may hold anything of a span.
func (q *listing) pieces(s span, bands []band) (pieces []piece) {
	for _, b := range bands {
		if s, some := s.within(b.within, q.least); some {
			pieces = append(pieces, piece{b.condition, s})
		}
	}
	return pieces
}

// unbanded is all of a state.
var unbanded = []band{{within: everything}}

// statement is SQL that is being written, and its arguments.
type statement struct {
	text strings.Builder
	args []any
}

// number gives a condition its place in the statement. It may then stand there
// more than once: SQLite takes long to bind many arguments.
func (s *statement) number(c condition) string {
	var b strings.Builder
	text := c.text
	for _, v := range c.values {
		s.args = append(s.args, v)
		before, after, _ := strings.Cut(text, "?")
		b.WriteString(before + "$" + strconv.Itoa(len(s.args)))
		text = after
	}
	b.WriteString(text)
	return b.String()
}

// besides is a condition that no index is to be chosen for. IS TRUE keeps it
// from a planner, which cannot know which of several conditions few rows meet.
func besides(condition string) string { return "(" + condition + ") IS TRUE" }

// between is the condition that a row lies in a span.
func (r *route) between(s span) condition {
	key := "(" + r.at + ", " + r.tie + ")"
	return condition{key + " > (?, ?) AND " + key + " < (?, ?)", []any{s.older.at, s.older.tie, s.newer.at, s.newer.tie}}
}

// read writes what is read of a list: the columns of the rows of all pieces, in
// every state, that meet the leader's condition, and if others is set, every
// other condition.
func (q *listing) read(s *statement, l leader, ledger int64, pieces []piece, columns string, others bool) {
	own := s.number(condition{l.ledger + " = ?", []any{ledger}})
	if l.global {
		own = besides(own)
	}
	lead := " AND " + s.number(l.condition)
	if l.text == "" {
		lead = ""
	}
	from := l.table
	if others {
		from += l.join
		for i, f := range q.filters {
			if i != l.filter {
				lead += " AND " + besides(s.number(f))
			}
		}
	}
	union := ""
	for _, p := range pieces {
		piece := lead
		switch {
		case !l.sorts:
			piece = " AND " + s.number(l.between(p.span)) + piece
		case others:
			piece += " AND " + besides(s.number(l.between(p.span)))
		}
		if p.text != "" {
			piece += " AND " + s.number(p.condition)
		}
		for _, state := range q.states {
			s.text.WriteString(union + "SELECT " + columns + " FROM " + from + " WHERE " + own)
			if l.state != "" {
				s.text.WriteString(" AND " + l.state + " = " + strconv.Itoa(state))
			}
			s.text.WriteString(piece)
			union = " UNION ALL "
		}
	}
}

// page writes the query of the longest page and one row more, the newest first,
// or with up the oldest. Its limit is a constant: SQLite plans a statement anew
// whenever a limit is bound, which takes longer than to read the page.
func (q *listing) page(l leader, ledger int64, pieces []piece, up bool) *statement {
	s := &statement{}
	q.read(s, l, ledger, pieces, q.columns, true)
	order := " DESC"
	if up {
		order = ""
	}
	s.text.WriteString(" ORDER BY " + l.at + order + ", " + l.tie + order + " LIMIT " + strconv.Itoa(sluice.MaxPageSize+1))
	return s
}

// What lists go by where they may be read in several ways; see Store.glance.
const (
	fewRows    = 200
	glanceRows = 1000
)

// count writes the query that counts what a leader leads to, up to a glance.
func (q *listing) count(l leader, ledger int64, pieces []piece, glance int) *statement {
	s := &statement{}
	s.text.WriteString("SELECT COUNT(*) FROM (")
	q.read(s, l, ledger, pieces, "1", false)
	s.text.WriteString(" LIMIT " + strconv.Itoa(glance) + ") AS glance")
	return s
}

// leader chooses what leads: what leads to the fewest rows, as far as a glance
// tells. The worst case is two filters that many rows meet and few meet both: all that
// one of them lets through is looked at.
func (q *listing) leader(r *reader, ledger int64, whole []piece) (leader, error) {
	var best leader
	var count []leader
	for i, l := range q.leaders {
		switch {
		case l.global:
			return l, nil
		case best.route == nil && !l.sorts:
			best = l
		}
		if l.filter >= 0 && (i+1 == len(q.leaders) || l.filter != q.leaders[i+1].filter) {
			count = append(count, l)
		}
	}
	if len(count) == 1 && !count[0].sorts {
		return best, nil
	}
	least := r.store.glance
	for _, l := range count {
		var n int
		query := q.count(l, ledger, whole, r.store.glance)
		if err := r.one([]any{&n}, query.text.String(), query.args...); err != nil {
			return leader{}, err
		}
		if n < least && (n < r.store.few || !l.sorts) {
			best, least = l, n
		}
	}
	return best, nil
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
	err := r.one([]any{&at.at, &at.tie}, "SELECT "+q.route.at+", "+q.route.tie+" FROM "+q.route.table+" WHERE id = $1 AND ledger = $2", id, ledger)
	switch {
	case err == errNotFound:
		var v sluice.Invalid
		v.Add(param, "invalid", "%s names no object of this list", param)
		return v.Err()
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
func list[T any](r *reader, l sluice.LedgerID, q listing, created interval, p sluice.Page, fields func(*T) []any) (sluice.List[T], error) {
	var v sluice.Invalid
	if p.Limit < 1 || p.Limit > sluice.MaxPageSize {
		v.Add("limit", "out_of_range", "limit is 1 to %d", sluice.MaxPageSize)
	}
	if p.After != "" && p.Before != "" {
		v.Add("ending_before", "invalid", "starting_after and ending_before exclude each other")
	}
	if err := v.Err(); err != nil {
		return sluice.List[T]{}, err
	}
	ledger, err := r.ledgerID(l)
	if err != nil {
		return sluice.List[T]{}, err
	}
	s := span{position{created.from, q.least}, position{created.to, q.least}}
	if err := q.cursor(r, ledger, p, &s); err != nil {
		return sluice.List[T]{}, err
	}
	pieces := q.pieces(s, unbanded)
	if len(pieces) == 0 {
		return sluice.List[T]{}, nil
	}
	lead, err := q.leader(r, ledger, pieces)
	if err == nil && lead.bands != nil {
		var bands []band
		bands, err = lead.bands(r)
		pieces = q.pieces(s, bands)
	}
	if err != nil || len(pieces) == 0 {
		return sluice.List[T]{}, err
	}
	up := p.Before != ""
	query := q.page(lead, ledger, pieces, up)
	rows, err := some(r, p.Limit+1, fields, query.text.String(), query.args...)
	if err != nil {
		return sluice.List[T]{}, err
	}
	more := len(rows) > p.Limit
	if more {
		rows = rows[:p.Limit]
	}
	if up {
		slices.Reverse(rows)
	}
	return sluice.List[T]{Data: rows, More: more}, nil
}
