package store

import (
	"bytes"
	"cmp"
	"slices"

	"sluice"
	"sluice/ledger"
)

// entryList is a list of entries being read.
type entryList struct {
	*reader
	ledger  int64
	span    interval // of places
	up      bool     // oldest first
	limit   int
	want    sluice.Terms // "" where anything goes
	ids     []string     // one of these, if any
	field   string       // looked up in the index, "" for none
	values  []string     // as they stand there: one, or those of ids
	needle  []byte       // that is in the leaf of every entry wanted
	nothing bool         // a filter lets nothing through
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
	return q, q.cursor(l, p)
}

func (q *entryList) filter(f sluice.EntryFilter) {
	q.want = sluice.Terms{Action: f.Action, Outcome: f.Outcome, KeyID: f.KeyID, FileID: f.FileID, LinkID: f.LinkID, RequestID: f.RequestID}
	for _, term := range terms {
		switch value := term.of(q.want); {
		case value == "":
		case !isText(value):
			q.nothing = true
		default:
			q.field, q.values, q.needle = term.field, []string{indexed(term.field, value)}, ledger.AppendString(nil, value)
		}
	}
	if len(f.IDs) == 0 {
		return
	}
	q.ids = texts(f.IDs)
	q.nothing = q.nothing || len(q.ids) == 0
	q.field, q.values, q.needle = "id", nil, nil
	for _, id := range q.ids {
		q.values = append(q.values, indexed("id", id))
	}
	if len(q.ids) == 1 {
		q.needle = ledger.AppendString(nil, q.ids[0])
	}
	slices.Sort(q.values)
	q.values = slices.Compact(q.values)
}

// lets reports whether the filters let an entry through.
func (q *entryList) lets(s sealed) bool {
	if q.field == "" {
		return true
	}
	if !bytes.Contains(s.Leaf, q.needle) {
		return false
	}
	has, _ := s.Terms()
	for _, term := range terms {
		if value := term.of(q.want); value != "" && value != term.of(has) {
			return false
		}
	}
	return q.ids == nil || slices.Contains(q.ids, has.ID)
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
// times of a ledger's batches never go down, nor do those within a batch, where
// an entry counts as no earlier than the one before it.
func (q *entryList) firstAt(moment int64) (int64, error) {
	var to int64 // batches from here on are not before the moment
	err := q.one([]any{&to}, "SELECT next FROM ledger WHERE id = $1", q.ledger)
	if err == errNotFound {
		return 0, nil
	}
	var earlier *batch // the last before the moment of those that begin at from or before
	for from := int64(-1); err == nil && from+1 < to; {
		middle := from + (to-from)/2
		var b batch
		switch err = q.one([]any{&b.first, &b.time}, lastBatch("first, time"), q.ledger, middle); {
		case err != nil:
		case b.time < moment:
			from, earlier = middle, &b
		default:
			to = b.first
		}
	}
	if err != nil || earlier == nil {
		return to, err
	}
	err = q.one(earlier.fields(), lastBatch(batchColumns), q.ledger, earlier.first)
	if err != nil {
		return 0, err
	}
	latest := earlier.time
	for _, s := range earlier.open() {
		_, at := s.Terms()
		if latest = max(latest, at.UnixMicro()); latest >= moment {
			return min(s.seq, to), nil
		}
	}
	return to, nil
}

// lastBatch asks for the last batch of a ledger that begins no later than at a place.
func lastBatch(columns string) string {
	return "SELECT " + columns + " FROM batch WHERE ledger = $1 AND first <= $2 ORDER BY first DESC LIMIT 1"
}

func (q *entryList) cursor(l sluice.LedgerID, p sluice.Page) error {
	param, id := "starting_after", p.After
	if p.Before != "" {
		param, id = "ending_before", p.Before
	}
	if id == "" {
		return nil
	}
	s, err := q.find(l, id)
	switch {
	case err == errNotFound:
		return noCursor(param)
	case q.up:
		q.span.from = max(q.span.from, s.seq+1)
	default:
		q.span.to = min(q.span.to, s.seq)
	}
	return err
}

// read gives the first rows of the list. Those beyond the index are the newest.
func (q *entryList) read() (rows []sealed, err error) {
	if q.nothing {
		return nil, nil
	}
	add := func(s sealed) bool {
		if q.lets(s) {
			rows = append(rows, s)
		}
		return len(rows) < q.limit
	}
	if q.field == "" {
		return rows, q.scan(q.ledger, q.span, q.up, add)
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
		func() error {
			return q.scan(q.ledger, interval{max(q.span.from, indexed), q.span.to}, q.up, add)
		},
		func() error {
			if q.ids != nil {
				return q.lookUpIDs(add)
			}
			return q.lookUp(q.values[0], add)
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

// lookUp gives to add what the index has under a value, until that has enough.
// Its rows do not overlap, so that at most one that begins before the span
// reaches into it.
func (q *entryList) lookUp(value string, add func(sealed) bool) error {
	at := q.span
	var first *int64
	err := q.one([]any{&first}, "SELECT MAX(first) FROM entry_index WHERE ledger = $1 AND field = $2 AND value = $3 AND first <= $4", q.ledger, q.field, value, at.from)
	if err != nil {
		return err
	}
	if first != nil {
		at.from = *first
	}
	for n := 4; at.from < at.to; n = min(2*n, sluice.MaxPageSize) {
		rows, err := many(q.reader, (*posting).fields, postingsQuery(q.up), q.ledger, q.field, value, at.from, at.to, n)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, p := range rows {
			if more, err := q.take(p, add); err != nil || !more {
				return err
			}
		}
		if last := rows[len(rows)-1]; q.up {
			at.from = last.first + 1
		} else {
			at.to = last.first
		}
	}
	return nil
}

// lookUpIDs does so for ids, each of which stands under a value of its own.
func (q *entryList) lookUpIDs(add func(sealed) bool) error {
	var found []sealed
	for _, value := range q.values {
		err := q.lookUp(value, func(s sealed) bool {
			if q.lets(s) {
				found = append(found, s)
			}
			return len(found) < len(q.ids)
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(found, func(a, b sealed) int {
		if q.up {
			return cmp.Compare(a.seq, b.seq)
		}
		return cmp.Compare(b.seq, a.seq)
	})
	for _, s := range found {
		if !add(s) {
			break
		}
	}
	return nil
}

// take gives to add the entries at the places of a posting.
func (q *entryList) take(p posting, add func(sealed) bool) (more bool, err error) {
	seqs, err := p.unpack()
	if err != nil {
		return false, q.fail(err)
	}
	seqs = slices.DeleteFunc(seqs, func(seq int64) bool { return seq < q.span.from || seq >= q.span.to })
	if !q.up {
		slices.Reverse(seqs)
	}
	for chunk := range slices.Chunk(seqs, batchesAtOnce) {
		held, err := q.held(chunk)
		if err != nil {
			return false, err
		}
		for _, seq := range chunk {
			if s, ok := held[seq]; ok && !add(s) {
				return false, nil
			}
		}
	}
	return true, nil
}

// held gives the entries at some places.
func (q *entryList) held(seqs []int64) (map[int64]sealed, error) {
	rows, err := q.holding(q.ledger, seqs)
	if err != nil {
		return nil, err
	}
	entries := make(map[int64]sealed, len(seqs))
	for _, b := range rows {
		for _, s := range b.open() {
			entries[s.seq] = s
		}
	}
	return entries, nil
}

func (p *posting) fields() []any { return []any{(*integer)(&p.first), &p.seqs} }

func postingsQuery(up bool) string {
	order := " DESC"
	if up {
		order = ""
	}
	return "SELECT first, seqs FROM entry_index WHERE ledger = $1 AND field = $2 AND value = $3 AND first >= $4 AND first < $5 ORDER BY first" + order + " LIMIT $6"
}
