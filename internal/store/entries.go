package store

import (
	"bytes"
	"cmp"
	"slices"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
	"sluice/ledger"
)

// entryList is a list of entries being read.
type entryList struct {
	*reader
	ledger  int64
	span    interval // of places
	up      bool     // oldest first
	limit   int
	want    audit.Terms // "" where anything goes
	ids     []string    // one of these, if any
	terms   []term      // of the index, the one that leaves the fewest last; several of ids mean any of them
	needle  []byte      // that is in the leaf of every entry wanted
	nothing bool        // a filter lets nothing through

	distrusted bool     // the index is, and the times of batches: see DistrustIndex
	within     interval // of the times of entries, where it is
}

// term is a value of a field, as it stands in the index.
type term struct{ field, value string }

// Entries are listed in the order of the log. Where a clock went back, an entry
// counts as created no earlier than the one before it.
func (r *reader) Entries(l sluice.LedgerID, f service.EntryFilter, p sluice.Page) (sluice.List[sluice.Entry], error) {
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

func (r *reader) entryList(l sluice.LedgerID, f service.EntryFilter, p sluice.Page) (q *entryList, err error) {
	q = &entryList{reader: r, up: p.Up(), limit: p.Limit + 1}
	q.filter(f)
	_, q.distrusted = r.store.distrusted.Load(l)
	if q.ledger, err = r.ledgerID(l); err != nil {
		return nil, err
	}
	if q.distrusted {
		q.span, q.within = interval{0, everything.to}, moments(f.Created)
	} else if q.span, err = q.created(f.Created); err != nil {
		return nil, err
	}
	return q, q.cursor(l, p)
}

func (q *entryList) filter(f service.EntryFilter) {
	q.want = audit.Terms{Action: f.Action, Outcome: f.Outcome, KeyID: f.KeyID, FileID: f.FileID, LinkID: f.LinkID, RequestID: f.RequestID}
	for _, t := range terms {
		switch value := t.of(q.want); {
		case value == "":
		case !isText(value):
			q.nothing = true
		default:
			q.terms, q.needle = append(q.terms, term{t.field, indexed(t.field, value)}), ledger.AppendString(nil, value)
		}
	}
	if len(f.IDs) == 0 {
		return
	}
	q.ids = texts(f.IDs)
	q.nothing = q.nothing || len(q.ids) == 0
	q.terms, q.needle = nil, nil
	for _, id := range q.ids {
		if t := (term{"id", indexed("id", id)}); !slices.Contains(q.terms, t) {
			q.terms = append(q.terms, t)
		}
	}
	if len(q.ids) == 1 {
		q.needle = ledger.AppendString(nil, q.ids[0])
	}
}

// lets reports whether the filters let an entry through.
func (q *entryList) lets(s sealed) bool {
	if !bytes.Contains(s.Leaf, q.needle) {
		return false
	}
	has, _ := s.Terms()
	for _, t := range terms {
		if value := t.of(q.want); value != "" && value != t.of(has) {
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
	earlier := int64(-1) // where the last before the moment begins, of those that begin at from or before
	for from := int64(-1); err == nil && from+1 < to; {
		middle := from + (to-from)/2
		var first, at int64
		switch err = q.one([]any{&first, &at}, lastBatch("first, time"), q.ledger, middle); {
		case err != nil:
		case at < moment:
			from, earlier = middle, first
		default:
			to = first
		}
	}
	if err != nil || earlier < 0 {
		return to, err
	}
	err = q.eachBatch(lastBatch(batchColumns), []any{q.ledger, earlier}, func(b *opened, entries []sealed) bool {
		latest := b.time
		for _, s := range entries {
			_, at := s.Terms()
			if latest = max(latest, at.UnixMicro()); latest >= moment {
				to = min(to, s.seq)
			}
		}
		return false
	})
	return to, err
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
		rows = append(rows, s.kept())
		return len(rows) < q.limit
	}
	if q.distrusted && (len(q.terms) > 0 || q.within != everything) {
		return rows, q.readLog(add)
	}
	if len(q.terms) == 0 {
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
			return q.scan(q.ledger, interval{max(q.span.from, indexed), q.span.to}, q.up, func(s sealed) bool { return !q.lets(s) || add(s) })
		},
		func() error {
			if q.ids != nil {
				return q.lookUpIDs(add)
			}
			last := len(q.terms) - 1
			return q.lookUp(q.terms[last], q.terms[:last], add)
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

// lookUp gives to add what the index has of one term and of all others, until
// that has enough.
func (q *entryList) lookUp(t term, others []term, add func(sealed) bool) error {
	at, err := q.reached(t, q.span)
	for n := int64(4); err == nil && at.from < at.to; n = min(2*n, sluice.MaxPageSize) {
		rows, err := q.postings(t, at, q.up, n)
		if err != nil || len(rows) == 0 {
			return err
		}
		places, err := q.places(rows)
		if err != nil {
			return err
		}
		for _, other := range others {
			if places, err = q.among(other, places); err != nil {
				return err
			}
		}
		if !q.up {
			slices.Reverse(places)
		}
		if more, err := q.take(places, add); err != nil || !more {
			return err
		}
		if last := rows[len(rows)-1]; q.up {
			at.from = last.first + 1
		} else {
			at.to = last.first
		}
	}
	return err
}

// reached widens a span to the posting that reaches into it. Those of a term do
// not overlap, so that at most one does that begins before it.
func (q *entryList) reached(t term, span interval) (interval, error) {
	var first *int64
	err := q.one([]any{&first}, "SELECT MAX(first) FROM entry_index WHERE ledger = $1 AND field = $2 AND value = $3 AND first <= $4", q.ledger, t.field, t.value, span.from)
	if err == nil && first != nil {
		span.from = *first
	}
	return span, err
}

func (q *entryList) postings(t term, span interval, up bool, limit int64) ([]posting, error) {
	return many(q.reader, (*posting).fields, postingsQuery(up), q.ledger, t.field, t.value, span.from, span.to, limit)
}

// places gives those of postings that lie in the list, in order.
func (q *entryList) places(rows []posting) (seqs []int64, err error) {
	for _, p := range rows {
		some, err := p.unpack()
		if err != nil {
			return nil, q.fail(err)
		}
		seqs = append(seqs, some...)
	}
	seqs = slices.DeleteFunc(seqs, func(seq int64) bool { return seq < q.span.from || seq >= q.span.to })
	slices.Sort(seqs)
	return seqs, nil
}

const (
	// worthwhile is how many stretches of the index take as long to read as the
	// batch of one entry, roughly.
	worthwhile = 8
	// widest bounds the part of the log whose postings are held in memory.
	widest = 1 << 20
)

// among gives those of some places that stand under another term too, or all of
// them where to look at the entries is cheaper.
func (q *entryList) among(t term, seqs []int64) ([]int64, error) {
	if len(seqs) == 0 {
		return seqs, nil
	}
	wide := seqs[len(seqs)-1] - seqs[0]
	if wide > widest || wide/indexStep > worthwhile*int64(len(seqs)) {
		return seqs, nil
	}
	span, err := q.reached(t, interval{seqs[0], seqs[len(seqs)-1] + 1})
	if err != nil {
		return nil, err
	}
	rows, err := q.postings(t, span, true, span.to-span.from)
	if err != nil {
		return nil, err
	}
	others, err := q.places(rows)
	return slices.DeleteFunc(seqs, func(seq int64) bool {
		_, found := slices.BinarySearch(others, seq)
		return !found
	}), err
}

// lookUpIDs does so for ids, each of which stands under a term of its own.
func (q *entryList) lookUpIDs(add func(sealed) bool) error {
	var found []sealed
	for _, t := range q.terms {
		err := q.lookUp(t, nil, func(s sealed) bool {
			found = append(found, s.kept())
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

// take gives to add the entries at some places that the filters let through.
// The places stand in the order of the list.
func (q *entryList) take(seqs []int64, add func(sealed) bool) (more bool, err error) {
	for chunk := range slices.Chunk(seqs, batchesAtOnce) {
		chunk = slices.Sorted(slices.Values(chunk))
		var held []sealed
		err := q.holding(q.ledger, chunk, func(_ *opened, entries []sealed) bool {
			for _, s := range entries {
				if _, wanted := slices.BinarySearch(chunk, s.seq); wanted && q.lets(s) {
					held = append(held, s.kept())
				}
			}
			return true
		})
		if err != nil {
			return false, err
		}
		if !q.up {
			slices.Reverse(held)
		}
		for _, s := range held {
			if !add(s) {
				return false, nil
			}
		}
	}
	return true, nil
}

func (p *posting) fields() []any { return []any{(*integer)(&p.first), &p.seqs} }

func postingsQuery(up bool) string {
	order := " DESC"
	if up {
		order = ""
	}
	return "SELECT first, seqs FROM entry_index WHERE ledger = $1 AND field = $2 AND value = $3 AND first >= $4 AND first < $5 ORDER BY first" + order + " LIMIT $6"
}
