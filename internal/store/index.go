package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"

	"sluice/internal/audit"
)

// Entries are found by their terms in the table entry_index. A row of
// it holds, for one value of one field, the places of a whole stretch of the
// log, so that a group of entries that have much in common costs few rows. It is
// written when a stretch is long enough; lists look through what lies beyond.

// indexStep is how many entries lie beyond the index at most, before those of
// one more group.
const indexStep = 256

// terms are what entries are found by, the one that leaves the fewest last.
var terms = []struct {
	field string
	of    func(audit.IndexTerms) string
}{
	{"outcome", func(t audit.IndexTerms) string { return string(t.Outcome) }},
	{"action", func(t audit.IndexTerms) string { return string(t.Action) }},
	{"key", func(t audit.IndexTerms) string { return t.KeyID }},
	{"file", func(t audit.IndexTerms) string { return t.FileID }},
	{"link", func(t audit.IndexTerms) string { return t.LinkID }},
	{"request", func(t audit.IndexTerms) string { return t.RequestID }},
	{"id", func(t audit.IndexTerms) string { return t.ID }},
}

// indexed gives the text under which a value stands in the index. Hardly two
// entries share an id or a request, so that a row for each would cost more than
// all else; but these begin with their time (a ULID, behind a prefix of four
// characters), and so stand there by the 32 milliseconds they were made in.
func indexed(field, value string) string {
	const made = 4 + 9
	if (field == "id" || field == "request") && len(value) > made {
		return strings.ToValidUTF8(value[:made], "")
	}
	return value
}

// unindexed is what the entries of a ledger from a place on are found by.
type unindexed struct {
	from int64
	list []audit.IndexTerms
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
		if w.list, err = r.termsOf(h.id, interval{h.indexed, h.next}); err != nil {
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

// termsOf reads what the entries of a span are found by: by nothing, where one
// is missing or damaged, which is for a verifier to say.
func (r *reader) termsOf(ledger int64, span interval) ([]audit.IndexTerms, error) {
	list := make([]audit.IndexTerms, span.to-span.from)
	err := r.scan(ledger, span, true, func(s sealed) bool {
		list[s.seq-span.from], _ = s.IndexTerms()
		return true
	})
	return list, err
}

// postings are the rows of a stretch, in the order of the table's key.
func postings(ledger int64, w unindexed) (rows []posting) {
	for _, term := range terms {
		seqs := map[string][]int64{}
		for i, t := range w.list {
			if value := term.of(t); value != "" {
				value = indexed(term.field, value)
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
