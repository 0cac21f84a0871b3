package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"sluice"
)

// Entries are found by what they are about in the table entry_index. A row of
// it holds, for one value of one field, the places of a whole stretch of the
// log, so that a group of entries that have much in common costs few rows. It is
// written when a stretch is long enough; lists look through what lies beyond.

// indexStep is how many entries lie beyond the index at most, before those of
// one more group.
const indexStep = 256

// about is what an entry is found by; "" where it does not say.
type about struct {
	action                   sluice.Action
	outcome                  sluice.Outcome
	key, file, link, request string
}

// terms are the fields that an entry is found by, the one that leaves the
// fewest last, with the column of each.
var terms = []struct {
	field, column string
	of            func(about) string
}{
	{"outcome", "outcome", func(a about) string { return string(a.outcome) }},
	{"action", "action", func(a about) string { return string(a.action) }},
	{"key", "key_id", func(a about) string { return a.key }},
	{"file", "file_id", func(a about) string { return a.file }},
	{"link", "link_id", func(a about) string { return a.link }},
	{"request", "request_id", func(a about) string { return a.request }},
}

// maybe reads a text that may be missing, as "".
type maybe string

func (m *maybe) Scan(v any) error {
	*m = ""
	if v == nil {
		return nil
	}
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("want text, have %T", v)
	}
	*m = maybe(s)
	return nil
}

func aboutFields(a *about) []any {
	return []any{
		(*string)(&a.action), (*string)(&a.outcome), (*maybe)(&a.key), (*maybe)(&a.file), (*maybe)(&a.link), (*maybe)(&a.request),
	}
}

// unindexed is what the entries of a ledger from a place on are about.
type unindexed struct {
	from int64
	list []about
}

// posting is one row of the index.
type posting struct {
	ledger       int64
	field, value string
	first        int64
	seqs         []byte // see packSeqs
}

var postingInsert = insertion{"entry_index", []string{"ledger", "field", "value", "first", "seqs"}}

// index brings the index of a ledger up to date when enough entries lie beyond
// it. It gives those that still do.
func (r *reader) index(h *head, known unindexed) (unindexed, error) {
	w := unindexed{h.indexed, append(known.list, h.fresh...)}
	if known.from != h.indexed || h.indexed+int64(len(w.list)) != h.next {
		w.list = nil // another process has been here
	}
	if h.next-h.indexed < indexStep {
		return w, nil
	}
	if w.list == nil {
		var err error
		w.list, err = many(r, aboutFields, "SELECT action, outcome, key_id, file_id, link_id, request_id FROM entry WHERE ledger = $1 AND seq >= $2 AND seq < $3 ORDER BY seq",
			h.id, h.indexed, h.next)
		if err != nil {
			return unindexed{}, err
		}
	}
	if err := insert(r, postingInsert, postings(h.id, w), func(args []any, p posting) []any {
		return append(args, p.ledger, p.field, p.value, p.first, p.seqs)
	}); err != nil {
		return unindexed{}, err
	}
	h.indexed = h.next
	return unindexed{from: h.next}, nil
}

// postings are the rows of a stretch, in the order of the table's key.
func postings(ledger int64, w unindexed) (rows []posting) {
	for _, term := range terms {
		seqs := map[string][]int64{}
		for i, a := range w.list {
			if value := term.of(a); value != "" {
				seqs[value] = append(seqs[value], w.from+int64(i))
			}
		}
		for _, value := range slices.Sorted(maps.Keys(seqs)) {
			rows = append(rows, posting{ledger, term.field, value, seqs[value][0], packSeqs(seqs[value])})
		}
	}
	slices.SortStableFunc(rows, func(a, b posting) int { return cmp.Compare(a.field, b.field) })
	return rows
}

// packSeqs writes places in ascending order, each as its distance from the one
// before (from the first, 0), as unsigned varints.
func packSeqs(seqs []int64) (packed []byte) {
	before := seqs[0]
	for _, seq := range seqs {
		packed = binary.AppendUvarint(packed, uint64(seq-before))
		before = seq
	}
	return packed
}

func (p *posting) unpack() (seqs []int64, err error) {
	seq := p.first
	for rest := p.seqs; len(rest) > 0; {
		distance, n := binary.Uvarint(rest)
		if n <= 0 {
			return nil, errors.New("entry_index: a row is damaged")
		}
		seq += int64(distance)
		seqs, rest = append(seqs, seq), rest[n:]
	}
	return seqs, nil
}

// entryList is a list of entries being read.
type entryList struct {
	*reader
	ledger  int64
	span    interval // of places
	up      bool     // oldest first
	limit   int
	where   string // conditions on the columns of entry
	filters []any
	field   string // looked up in the index, "" for none
	value   string
	nothing bool // a filter lets nothing through
}

// Entries are listed in the order of the log. Where a clock went back, an entry
// counts as created no earlier than the one before it.
func (r *reader) Entries(l sluice.LedgerID, f sluice.EntryFilter, p sluice.Page) (sluice.List[sluice.Entry], error) {
	none := sluice.List[sluice.Entry]{}
	if err := pageable(p); err != nil {
		return none, err
	}
	q, err := r.entryList(l, f, p)
	if err != nil {
		return none, err
	}
	rows, err := q.read()
	if err != nil {
		return none, err
	}
	page := pageFrom(rows, p)
	entries := make([]sluice.Entry, len(page.Data))
	for i, s := range page.Data {
		if entries[i], err = s.Open(s.seq); err != nil {
			return none, err
		}
	}
	return sluice.List[sluice.Entry]{Data: entries, More: page.More}, nil
}

func (r *reader) entryList(l sluice.LedgerID, f sluice.EntryFilter, p sluice.Page) (q *entryList, err error) {
	q = &entryList{reader: r, up: p.Up(), limit: p.Limit + 1}
	q.filter(f)
	if q.ledger, err = r.ledgerID(l); err != nil {
		return nil, err
	}
	if q.span, err = q.created(f.Created); err != nil {
		return nil, err
	}
	return q, q.cursor(p)
}

func (q *entryList) filter(f sluice.EntryFilter) {
	what := about{action: f.Action, outcome: f.Outcome, key: f.KeyID, file: f.FileID, link: f.LinkID, request: f.RequestID}
	for _, term := range terms {
		switch value := term.of(what); {
		case value == "":
		case !isText(value):
			q.nothing = true
		default:
			q.field, q.value = term.field, value
			q.where += " AND " + term.column + " = " + q.placeholder(value)
		}
	}
	if len(f.IDs) == 0 {
		return
	}
	q.field = ""
	if ids := texts(f.IDs); len(ids) > 0 {
		q.where += " AND id IN (" + listOf(q, ids) + ")"
	} else {
		q.nothing = true
	}
}

// firstFilter is how many placeholders stand before those of the filters.
const firstFilter = 4

func (q *entryList) placeholder(value any) string {
	q.filters = append(q.filters, value)
	return "$" + strconv.Itoa(firstFilter+len(q.filters))
}

// listOf gives placeholders for values. The last is repeated up to a power of
// two, so that few texts are prepared.
func listOf[T any](q *entryList, values []T) string {
	marks := make([]string, 1<<bits.Len(uint(len(values)-1)))
	for i := range marks {
		marks[i] = q.placeholder(values[min(i, len(values)-1)])
	}
	return strings.Join(marks, ", ")
}

// created gives the places of the entries of a time.
func (q *entryList) created(t sluice.TimeRange) (places interval, err error) {
	times := moments(t)
	places = interval{0, everything.to}
	if times == everything {
		return places, nil
	}
	if places.from, err = q.firstAt(times.from); err == nil {
		places.to, err = q.firstAt(times.to)
	}
	return places, err
}

// firstAt gives the place of the first entry that is not before a moment. The
// times of a ledger's entries never go down.
func (q *entryList) firstAt(moment int64) (int64, error) {
	var from, to int64 // the place lies between
	err := q.one([]any{&to}, "SELECT next FROM ledger WHERE id = $1", q.ledger)
	if err == errNotFound {
		return 0, nil
	}
	for from < to && err == nil {
		middle := from + (to-from)/2
		var at int64
		err = q.one([]any{&at}, "SELECT time FROM entry WHERE ledger = $1 AND seq = $2", q.ledger, middle)
		if at < moment {
			from = middle + 1
		} else {
			to = middle
		}
	}
	return from, err
}

func (q *entryList) cursor(p sluice.Page) error {
	param, id := "starting_after", p.After
	if p.Before != "" {
		param, id = "ending_before", p.Before
	}
	if id == "" {
		return nil
	}
	var at int64
	err := q.one([]any{&at}, "SELECT seq FROM entry WHERE id = $1 AND ledger = $2", id, q.ledger)
	switch {
	case err == errNotFound:
		return noCursor(param)
	case q.up:
		q.span.from = max(q.span.from, at+1)
	default:
		q.span.to = min(q.span.to, at)
	}
	return err
}

// read gives the first rows of the list. Those beyond the index are the newest.
func (q *entryList) read() (rows []sealed, err error) {
	if q.nothing {
		return nil, nil
	}
	if q.field == "" {
		return q.scan(q.span, q.limit)
	}
	var indexed int64
	err = q.one([]any{&indexed}, "SELECT indexed FROM ledger WHERE id = $1", q.ledger)
	if err == errNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	parts := []func() error{
		func() (err error) {
			beyond, err := q.scan(interval{max(q.span.from, indexed), q.span.to}, q.limit-len(rows))
			rows = append(rows, beyond...)
			return err
		},
		func() (err error) {
			rows, err = q.lookUp(rows)
			return err
		},
	}
	if q.up {
		slices.Reverse(parts)
	}
	for _, part := range parts {
		if err := part(); err != nil || len(rows) >= q.limit {
			return rows, err
		}
	}
	return rows, nil
}

func (q *entryList) order() string {
	if q.up {
		return " ORDER BY seq"
	}
	return " ORDER BY seq DESC"
}

// scan looks through the entries of a span.
func (q *entryList) scan(span interval, limit int) ([]sealed, error) {
	return many(q.reader, (*sealed).fields, q.scanQuery(), append([]any{q.ledger, span.from, span.to, limit}, q.filters...)...)
}

func (q *entryList) scanQuery() string {
	return "SELECT " + entryColumns + " FROM entry WHERE ledger = $1 AND seq >= $2 AND seq < $3" + q.where + q.order() + " LIMIT $4"
}

// lookUp adds to rows what the index has. Its rows do not overlap, so that at
// most one that begins before the span reaches into it.
func (q *entryList) lookUp(rows []sealed) ([]sealed, error) {
	at := q.span
	var first *int64
	err := q.one([]any{&first}, "SELECT MAX(first) FROM entry_index WHERE ledger = $1 AND field = $2 AND value = $3 AND first <= $4", q.ledger, q.field, q.value, at.from)
	if err != nil {
		return rows, err
	}
	if first != nil {
		at.from = *first
	}
	for n := 4; at.from < at.to; n = min(2*n, q.limit) {
		blocks, err := many(q.reader, (*posting).fields, q.blocksQuery(), q.ledger, q.field, q.value, at.from, at.to, n)
		if err != nil || len(blocks) == 0 {
			return rows, err
		}
		for _, b := range blocks {
			if rows, err = q.take(rows, b); err != nil || len(rows) >= q.limit {
				return rows, err
			}
		}
		if last := blocks[len(blocks)-1]; q.up {
			at.from = last.first + 1
		} else {
			at.to = last.first
		}
	}
	return rows, nil
}

func (p *posting) fields() []any { return []any{(*integer)(&p.first), &p.seqs} }

func (q *entryList) blocksQuery() string {
	order := " DESC"
	if q.up {
		order = ""
	}
	return "SELECT first, seqs FROM entry_index WHERE ledger = $1 AND field = $2 AND value = $3 AND first >= $4 AND first < $5 ORDER BY first" + order + " LIMIT $6"
}

// most is how many entries are fetched at once.
const most = 128

// take adds to rows the entries of a block that the list holds.
func (q *entryList) take(rows []sealed, b posting) ([]sealed, error) {
	seqs, err := b.unpack()
	if err != nil {
		return rows, q.fail(err)
	}
	seqs = slices.DeleteFunc(seqs, func(seq int64) bool { return seq < q.span.from || seq >= q.span.to })
	if !q.up {
		slices.Reverse(seqs)
	}
	for chunk := range slices.Chunk(seqs, most) {
		found, err := q.fetch(chunk, q.limit-len(rows))
		rows = append(rows, found...)
		if err != nil || len(rows) >= q.limit {
			return rows, err
		}
	}
	return rows, nil
}

// fetch gives those entries of some places that the filters let through.
func (q *entryList) fetch(seqs []int64, limit int) ([]sealed, error) {
	places := *q
	places.where += " AND seq IN (" + listOf(&places, seqs) + ")"
	first, last := slices.Min(seqs), slices.Max(seqs)
	return places.scan(interval{first, last + 1}, limit)
}
