package auditlog

import (
	"bytes"
	"cmp"
	"slices"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
	"sluice/ledger"
)

// entryList reads one list of entries.
type entryList struct {
	*Reader
	ledger  int64
	span    sqldb.Interval // of seqs
	up      bool           // oldest first
	limit   int
	want    []wanted // all of these
	ids     []string // one of these, if any
	terms   []term   // all of these, those that select fewer entries last; with ids, any of these
	needle  []byte   // occurs in the leaf of every entry of the list
	nothing bool     // no entry can pass the filter

	personal bool // the filter is by a personal term

	distrusted bool           // the index is, and the times of batches: see DistrustIndex
	within     sqldb.Interval // of the times of entries, where it is
}

// wanted is a value of a field that the entries of a list have.
type wanted struct {
	field
	value string
}

// term is a value of a field, as the index has it.
type term struct{ field, value string }

// Entries implements service.Reader. Entries are listed in the order of the log. Where a clock went back, an entry
// counts as created no earlier than the one before it.
func (r *Reader) Entries(l sluice.LedgerID, f service.EntryFilter, p sluice.Page) (sluice.List[sluice.Entry], error) {
	none := sluice.List[sluice.Entry]{}
	page, err := r.page(l, f, p)
	if err != nil {
		return none, err
	}
	entries := make([]sluice.Entry, len(page.Data))
	for i, s := range page.Data {
		if entries[i], err = s.Open(s.seq); err != nil {
			return none, err
		}
	}
	if err := r.joinDeliveries(l, entries); err != nil {
		return none, err
	}
	return sluice.List[sluice.Entry]{Data: entries, More: page.More}, nil
}

// page returns a page of the entries that a filter selects.
func (r *Reader) page(l sluice.LedgerID, f service.EntryFilter, p sluice.Page) (sluice.List[stored], error) {
	if err := sqldb.CheckPage(p); err != nil {
		return sluice.List[stored]{}, err
	}
	q, err := r.entryList(l, f, p)
	if err != nil {
		return sluice.List[stored]{}, err
	}
	rows, err := q.read()
	if err != nil {
		return sluice.List[stored]{}, err
	}
	return sqldb.PageOf(rows, p), nil
}

// SealedEntries implements service.Reader.
func (r *Reader) SealedEntries(
	l sluice.LedgerID, f service.EntryFilter, p sluice.Page,
) (sluice.List[service.ErasableEntry], error) {
	page, err := r.page(l, f, p)
	list := sluice.List[service.ErasableEntry]{More: page.More}
	for _, s := range page.Data {
		list.Data = append(list.Data, service.ErasableEntry{Seq: s.seq, Sealed: s.SealedEntry})
	}
	return list, err
}

// Entry implements service.Reader.
func (r *Reader) Entry(l sluice.LedgerID, id string) (sluice.Entry, error) {
	s, err := r.find(l, id)
	if err != nil {
		return sluice.Entry{}, err
	}
	entries := make([]sluice.Entry, 1)
	if entries[0], err = s.Open(s.seq); err == nil {
		err = r.joinDeliveries(l, entries)
	}
	return entries[0], err
}

// Sealed implements service.Reader.
func (r *Reader) Sealed(l sluice.LedgerID, id string) (int64, audit.SealedEntry, error) {
	s, err := r.find(l, id)
	return s.seq, s.SealedEntry, err
}

// find gives an entry by its id.
func (r *Reader) find(l sluice.LedgerID, id string) (stored, error) {
	number, err := r.LedgerNumber(l)
	if err != nil {
		return stored{}, err
	}
	q := &entryList{Reader: r, ledger: number, span: sqldb.Interval{From: 0, To: sqldb.Everything.To}, limit: 1}
	if err := q.filter(service.EntryFilter{IDs: []string{id}}); err != nil {
		return stored{}, err
	}
	rows, err := q.read()
	// What the index gives is compared with the entry, so a hit is right whatever the index says.
	if _, distrusted := r.ledgers.distrusted.Load(l); distrusted && (err != nil || len(rows) == 0) {
		q.distrusted = true
		rows, err = q.read()
	}
	if err != nil {
		return stored{}, err
	}
	if len(rows) == 0 {
		return stored{}, sqldb.ErrNotFound
	}
	return rows[0], nil
}

func (r *Reader) entryList(l sluice.LedgerID, f service.EntryFilter, p sluice.Page) (q *entryList, err error) {
	q = &entryList{Reader: r, up: p.Up(), limit: p.Limit + 1}
	if err := q.filter(f); err != nil {
		return nil, err
	}
	_, q.distrusted = r.ledgers.distrusted.Load(l)
	if q.ledger, err = r.LedgerNumber(l); err != nil {
		return nil, err
	}
	if q.distrusted {
		q.span = sqldb.Interval{From: 0, To: sqldb.Everything.To}
		q.within = sqldb.Times(f.Created)
	} else if q.span, err = q.created(f.Created); err != nil {
		return nil, err
	}
	return q, q.cursor(l, p)
}

func (q *entryList) filter(f service.EntryFilter) error {
	want := audit.IndexTerms{
		Action: f.Action, Outcome: f.Outcome, KeyID: f.KeyID, PersonID: f.PersonID, FileID: f.FileID, LinkID: f.LinkID,
		RequestID: f.RequestID, PersonalTerms: audit.PersonalTerms{Recipient: f.Recipient, ClientIP: f.ClientIP},
	}
	for _, field := range fields {
		switch value := field.of(&want); {
		case value == "":
		case !sqldb.IsText(value):
			q.nothing = true
		case field.keyed:
			key, err := q.indexKey()
			if err != nil {
				return err
			}
			q.personal = true
			q.want = append(q.want, wanted{field, value})
			q.terms = append(q.terms, term{field.name, key.term(field.name, value)})
		default:
			q.want = append(q.want, wanted{field, value})
			q.terms = append(q.terms, term{field.name, indexedValue(field.name, value)})
			q.needle = ledger.AppendString(nil, value)
		}
	}
	if len(f.IDs) == 0 {
		return nil
	}
	q.ids = sqldb.Texts(f.IDs)
	q.nothing = q.nothing || len(q.ids) == 0
	q.terms, q.needle = nil, nil
	for _, id := range q.ids {
		if t := (term{"id", indexedValue("id", id)}); !slices.Contains(q.terms, t) {
			q.terms = append(q.terms, t)
		}
	}
	if len(q.ids) == 1 {
		q.needle = ledger.AppendString(nil, q.ids[0])
	}
	return nil
}

// matches reports whether an entry passes the filter.
func (q *entryList) matches(s stored) bool {
	if !bytes.Contains(s.Leaf, q.needle) {
		return false
	}
	var has *audit.IndexTerms
	for _, w := range q.want {
		if w.delivers != nil && w.delivers(s.SealedEntry, w.value) { // quicker than to read all terms
			continue
		}
		if has == nil {
			t, _ := s.IndexTerms()
			if has = &t; q.personal {
				t.PersonalTerms = s.PersonalTerms()
			}
		}
		if w.of(has) != w.value {
			return false
		}
	}
	if q.ids == nil {
		return true
	}
	t, _ := s.IndexTerms()
	return slices.Contains(q.ids, t.ID)
}

// created gives the seqs of the entries that were created in a range of times.
func (q *entryList) created(t sluice.TimeRange) (seqs sqldb.Interval, err error) {
	times := sqldb.Times(t)
	seqs = sqldb.Interval{From: 0, To: sqldb.Everything.To}
	if times == sqldb.Everything {
		return seqs, nil
	}
	if seqs.From, err = q.firstAt(times.From); err == nil {
		seqs.To, err = q.firstAt(times.To)
	}
	return seqs, err
}

// firstAt gives the seq of the first entry that is not before a time, by a binary search. The times of a ledger's
// batches never decrease, nor do those within a batch, where an entry counts as no earlier than the one before it.
func (q *entryList) firstAt(micros int64) (int64, error) {
	var to int64 // the batches that begin at or after it are not before the time
	err := q.One([]any{&to}, "SELECT next FROM ledger WHERE id = $1", q.ledger)
	if err == sqldb.ErrNotFound {
		return 0, nil
	}
	earlier := int64(-1) // the first seq of the last batch before the time, among those that begin at or before from
	for from := int64(-1); err == nil && from+1 < to; {
		middle := from + (to-from)/2
		var first, at int64
		switch err = q.One([]any{&first, &at}, lastBatchQuery("first, time"), q.ledger, middle); {
		case err != nil:
		case at < micros:
			from, earlier = middle, first
		default:
			to = first
		}
	}
	if err != nil || earlier < 0 {
		return to, err
	}
	args := []any{q.ledger, earlier}
	err = q.eachBatch(lastBatchQuery(batchColumns), args, func(b *unpackedBatch, entries []stored) bool {
		latest := b.time
		for _, s := range entries {
			_, at := s.IndexTerms()
			if latest = max(latest, at.UnixMicro()); latest >= micros {
				to = min(to, s.seq)
			}
		}
		return false
	})
	return to, err
}

// cursor narrows the list to what lies beyond the cursor of a page.
func (q *entryList) cursor(l sluice.LedgerID, p sluice.Page) error {
	param, id := sqldb.Cursor(p)
	if id == "" {
		return nil
	}
	s, err := q.find(l, id)
	switch {
	case err == sqldb.ErrNotFound:
		return sqldb.NoCursor(param)
	case q.up:
		q.span.From = max(q.span.From, s.seq+1)
	default:
		q.span.To = min(q.span.To, s.seq)
	}
	return err
}

// read gives the first rows of the list. The newest entries are those after the index.
func (q *entryList) read() (rows []stored, err error) {
	if q.nothing {
		return nil, nil
	}
	keep := func(s stored) bool {
		rows = append(rows, s)
		return len(rows) < q.limit
	}
	add := func(s stored) bool { return keep(s.clone()) }
	if q.distrusted && (len(q.terms) > 0 || q.within != sqldb.Everything) {
		return rows, q.readLog(add)
	}
	if len(q.terms) == 0 {
		return rows, q.scan(q.ledger, q.span, q.up, add)
	}
	var indexed int64
	err = q.One([]any{&indexed}, "SELECT indexed FROM ledger WHERE id = $1", q.ledger)
	if err == sqldb.ErrNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	unindexed := func() error {
		span := sqldb.Interval{From: max(q.span.From, indexed), To: q.span.To}
		return q.scan(q.ledger, span, q.up, func(s stored) bool { return !q.matches(s) || add(s) })
	}
	fromIndex := func() error {
		if q.ids != nil {
			return q.lookUpIDs(keep)
		}
		last := len(q.terms) - 1
		return q.lookUp(q.terms[last], q.terms[:last], keep)
	}
	order := []func() error{unindexed, fromIndex}
	if q.personal && q.ids == nil {
		from, err := q.personalFrom(q.ledger)
		if err != nil {
			return nil, err
		}
		if all := q.span; from > all.From {
			byIndex := fromIndex
			fromIndex = func() error {
				q.span.From = from
				defer func() { q.span = all }()
				return byIndex()
			}
			before := func() error {
				q.span.To = min(all.To, from)
				defer func() { q.span = all }()
				return q.readLog(add)
			}
			order = []func() error{unindexed, fromIndex, before}
		}
	}
	if q.up {
		slices.Reverse(order)
	}
	for _, read := range order {
		if err := read(); err != nil || len(rows) >= q.limit {
			return rows, err
		}
	}
	return rows, nil
}

// lookUp calls add with the entries that the index has under a term and under all others, until add returns false. The
// entries stay valid.
func (q *entryList) lookUp(t term, others []term, add func(stored) bool) error {
	span, err := q.widened(t, q.span)
	for n := int64(4); err == nil && span.From < span.To; n = min(2*n, sluice.MaxPageSize) {
		rows, err := q.postings(t, span, q.up, n)
		if err != nil || len(rows) == 0 {
			return err
		}
		seqs, err := q.seqs(rows)
		if err != nil {
			return err
		}
		for _, other := range others {
			if seqs, err = q.intersect(seqs, other); err != nil {
				return err
			}
		}
		if !q.up {
			slices.Reverse(seqs)
		}
		if more, err := q.addMatching(seqs, add); err != nil || !more {
			return err
		}
		if last := rows[len(rows)-1]; q.up {
			span.From = last.first + 1
		} else {
			span.To = last.first
		}
	}
	return err
}

// widened extends an interval to the beginning of the posting that overlaps its start. The postings of a term do not
// overlap each other, so at most one begins before the interval.
func (q *entryList) widened(t term, span sqldb.Interval) (sqldb.Interval, error) {
	var first *int64
	err := q.One([]any{&first}, "SELECT MAX(first) FROM entry_index WHERE ledger = $1 AND field = $2 AND value = $3"+
		" AND first <= $4", q.ledger, t.field, t.value, span.From)
	if err == nil && first != nil {
		span.From = *first
	}
	return span, err
}

func (q *entryList) postings(t term, span sqldb.Interval, up bool, limit int64) ([]posting, error) {
	return sqldb.Many(q.Session, (*posting).fields, postingsQuery(up),
		q.ledger, t.field, t.value, span.From, span.To, limit)
}

// seqs gives the seqs of postings that lie in the list, in order.
func (q *entryList) seqs(rows []posting) (seqs []int64, err error) {
	for _, p := range rows {
		some, err := p.unpack()
		if err != nil {
			return nil, q.Fail(err)
		}
		seqs = append(seqs, some...)
	}
	seqs = slices.DeleteFunc(seqs, func(seq int64) bool { return seq < q.span.From || seq >= q.span.To })
	slices.Sort(seqs)
	return seqs, nil
}

const (
	// stretchesPerBatch is how many stretches of the index take about as long to read as the batch of one entry.
	stretchesPerBatch = 8
	// maxIntersected bounds the part of the log whose postings are held in memory.
	maxIntersected = 1 << 20
)

// intersect gives the seqs that the index also has under another term. It gives all of them where reading the
// entries is cheaper.
func (q *entryList) intersect(seqs []int64, t term) ([]int64, error) {
	if len(seqs) == 0 {
		return seqs, nil
	}
	wide := seqs[len(seqs)-1] - seqs[0]
	if wide > maxIntersected || wide/indexStep > stretchesPerBatch*int64(len(seqs)) {
		return seqs, nil
	}
	span, err := q.widened(t, sqldb.Interval{From: seqs[0], To: seqs[len(seqs)-1] + 1})
	if err != nil {
		return nil, err
	}
	rows, err := q.postings(t, span, true, span.To-span.From)
	if err != nil {
		return nil, err
	}
	others, err := q.seqs(rows)
	return slices.DeleteFunc(seqs, func(seq int64) bool {
		_, found := slices.BinarySearch(others, seq)
		return !found
	}), err
}

// lookUpIDs does what lookUp does for ids, each of which has a term of its own.
func (q *entryList) lookUpIDs(add func(stored) bool) error {
	var found []stored
	for _, t := range q.terms {
		err := q.lookUp(t, nil, func(s stored) bool {
			found = append(found, s)
			return len(found) < len(q.ids)
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(found, func(a, b stored) int {
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

// addMatching calls add with copies of the entries at some seqs that pass the filter. The seqs are in the order of the
// list.
func (q *entryList) addMatching(seqs []int64, add func(stored) bool) (more bool, err error) {
	for chunk := range slices.Chunk(seqs, batchesAtOnce) {
		chunk = slices.Sorted(slices.Values(chunk))
		var found []stored
		err := q.batchesWith(q.ledger, chunk, func(_ *unpackedBatch, entries []stored) bool {
			for _, s := range entries {
				if _, wanted := slices.BinarySearch(chunk, s.seq); wanted && q.matches(s) {
					found = append(found, s.clone())
				}
			}
			return true
		})
		if err != nil {
			return false, err
		}
		if !q.up {
			slices.Reverse(found)
		}
		for _, s := range found {
			if !add(s) {
				return false, nil
			}
		}
	}
	return true, nil
}
