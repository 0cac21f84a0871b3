package auditlog

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/audit"
	"sluice/internal/store/sqldb"
)

// The table entry_index finds entries by their terms. A row holds, for one value of one field, the seqs of a whole
// stretch of the log, so that entries that have much in common need few rows. A stretch is indexed when it is long
// enough. Lists read all entries after the index.

// indexStep is the length of a stretch: at most so many entries are unindexed, besides those of one group.
const indexStep = 256

// field is what entries are found by.
type field struct {
	name string
	of   func(*audit.IndexTerms) string // the value that an entry itself has, "" for none
	// ofEach is the value that an entry has for each of its deliveries, nil for none. It is not for id and request.
	ofEach func(audit.DeliveryTerms) string
	// delivers says whether an entry has a value for one of its deliveries, nil where no list asks for it.
	delivers func(audit.SealedEntry, string) bool
	keyed    bool // the index has a hash of the value under the key of the installation: the value is personal
}

// fields are the fields that entries are found by. Those later in the list select fewer entries.
var fields = []field{
	{name: "outcome", of: func(t *audit.IndexTerms) string { return string(t.Outcome) }},
	{name: "action", of: func(t *audit.IndexTerms) string { return string(t.Action) }},
	{name: "key", of: func(t *audit.IndexTerms) string { return t.KeyID }},
	{name: "person", of: func(t *audit.IndexTerms) string { return t.PersonID }},
	{name: "client_ip", of: func(t *audit.IndexTerms) string { return t.ClientIP }, keyed: true},
	{
		name: "file", of: func(t *audit.IndexTerms) string { return t.FileID },
		ofEach: func(d audit.DeliveryTerms) string { return d.FileID }, delivers: audit.SealedEntry.DeliversFile,
	},
	{
		name: "link", of: func(t *audit.IndexTerms) string { return t.LinkID },
		ofEach: func(d audit.DeliveryTerms) string { return d.LinkID }, delivers: audit.SealedEntry.DeliversBy,
	},
	{name: "recipient", of: func(t *audit.IndexTerms) string { return t.Recipient }, keyed: true},
	{
		name: redemption, of: func(*audit.IndexTerms) string { return "" },
		ofEach: func(d audit.DeliveryTerms) string { return stretchOf(d.Seq) },
	},
	{name: request, of: func(t *audit.IndexTerms) string { return t.RequestID }},
	{name: "id", of: func(t *audit.IndexTerms) string { return t.ID }},
}

// Fields that the deliveries of downloads are found by.
const (
	redemption = "redemption" // stretchOf the seq of the redemption
	request    = "request"    // older entries have it in common with their redemption
)

// stretchOf gives the value that stands in the index for a redemption with a seq: one for as many as a stretch has.
// Downloads that began together mostly end together, so few rows tell where they ended.
func stretchOf(seq int64) string { return strconv.FormatInt(seq/indexStep, 10) }

// values appends what the index has an entry under in a field, each value once, that of a keyed field in clear.
func (f *field) values(list []string, t *audit.IndexTerms) []string {
	if value := f.of(t); value != "" {
		list = append(list, indexedValue(f.name, value))
	}
	if f.ofEach == nil || len(t.Deliveries) == 0 {
		return list
	}
	for _, d := range t.Deliveries {
		list = append(list, f.ofEach(d))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// indexedValue gives the text that stands for a value in the index. Few entries share an id or a request, so a row
// for each value would cost more than all other rows. These values begin with their time (a ULID, after a prefix of
// four characters), so the index has them by the 32 milliseconds they were made in.
func indexedValue(field, value string) string {
	const made = 4 + 9
	if (field == "id" || field == request) && len(value) > made {
		return strings.ToValidUTF8(value[:made], "")
	}
	return value
}

// tail is the unindexed part of a ledger: the terms of its entries from a seq on.
type tail struct {
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

var postingInsert = sqldb.Insertion{
	Table: "entry_index", Columns: []string{"ledger", "field", "value", "first", "seqs"},
}

// index writes the index of a ledger's tail when it is long enough, and gives the tail that is left. known is the
// tail as of the last commit.
func (r *Reader) index(h *Head, known tail) (tail, error) {
	t := tail{h.Indexed, append(known.list, h.fresh...)}
	if h.erased || known.from != h.Indexed || h.Indexed+int64(len(t.list)) != h.Next {
		t.list = nil // another process has written to the ledger, or something was erased
	}
	short := h.Next-h.Indexed < indexStep && (!h.reindex || h.Next == h.Indexed)
	if short || h.Next-int64(len(h.fresh))-h.Indexed > MaxTail { // see RestartIndex
		return t, nil
	}
	if t.list == nil {
		var err error
		if t.list, err = r.termsOf(h.ID, sqldb.Interval{From: h.Indexed, To: h.Next}); err != nil {
			return tail{}, err
		}
	}
	if err := r.insertPostings(h.ID, t); err != nil {
		return tail{}, err
	}
	h.Indexed = h.Next
	return tail{from: h.Next}, nil
}

// insertPostings writes the index of a stretch.
func (r *Reader) insertPostings(ledger int64, t tail) error {
	key, err := r.indexKey()
	if err != nil {
		return err
	}
	return sqldb.Insert(r.Session, postingInsert, postings(ledger, t, key), postingValues)
}

func postingValues(args []any, p posting) []any {
	return append(args, p.ledger, p.field, p.value, p.first, p.seqs)
}

// termsOf reads the terms of the entries of an interval. A missing or damaged entry has none: a verifier reports it.
func (r *Reader) termsOf(ledger int64, span sqldb.Interval) ([]audit.IndexTerms, error) {
	list := make([]audit.IndexTerms, span.To-span.From)
	err := r.scan(ledger, span, true, func(s stored) bool {
		t := &list[s.seq-span.From]
		*t, _ = s.IndexTerms()
		t.Deliveries, t.PersonalTerms = s.DeliveryTerms(), s.PersonalTerms()
		return true
	})
	return list, err
}

// postings gives the rows of a stretch, in the order of the table's key. key is that of the keyed fields.
func postings(ledger int64, t tail, key IndexKey) (rows []posting) {
	var values []string
	for _, field := range fields {
		seqs := map[string][]int64{}
		for i := range t.list {
			values = field.values(values[:0], &t.list[i])
			for _, value := range values {
				seqs[value] = append(seqs[value], t.from+int64(i))
			}
		}
		for value, seqs := range seqs {
			if field.keyed {
				value = key.term(field.name, value)
			}
			rows = append(rows, posting{ledger, field.name, value, seqs[0], packSeqs(seqs)})
		}
	}
	slices.SortFunc(rows, func(a, b posting) int {
		return cmp.Or(cmp.Compare(a.field, b.field), cmp.Compare(a.value, b.value))
	})
	return rows
}

// packSeqs writes ascending seqs, each as its distance from the one before (the first as 0), as unsigned varints.
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

func (p *posting) fields() []any { return []any{(*sqldb.Integer)(&p.first), &p.seqs} }

func (p *posting) fieldsOfValue() []any { return append([]any{&p.value}, p.fields()...) }

// postingsQuery selects the postings of a term that begin in an interval of seqs, the newest or with up the oldest
// first.
func postingsQuery(up bool) string {
	order := " DESC"
	if up {
		order = ""
	}
	return "SELECT first, seqs FROM entry_index WHERE ledger = $1 AND field = $2 AND value = $3" +
		" AND first >= $4 AND first < $5 ORDER BY first" + order + " LIMIT $6"
}

// valuesQuery selects the postings of some values of a field.
func valuesQuery(ledger int64, field string, values []string) (query string, args []any) {
	args = []any{ledger, field}
	marks := make([]string, 1<<bits.Len(uint(len(values)-1))) // the last is repeated, so that few texts are prepared
	for i := range marks {
		args = append(args, values[min(i, len(values)-1)])
		marks[i] = "$" + strconv.Itoa(len(args))
	}
	return "SELECT value, first, seqs FROM entry_index WHERE ledger = $1 AND field = $2 AND value IN (" +
		strings.Join(marks, ", ") + ")", args
}
