package auditlog

import (
	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

// erasedFields are the fields of the index that an erasure finds entries by.
var erasedFields = map[sluice.ErasedBy]string{
	sluice.ErasedByRecipient: "recipient", sluice.ErasedByClientIP: "client_ip",
	sluice.ErasedByFile: "file", sluice.ErasedByLink: "link", sluice.ErasedByKey: "key",
}

// fieldNamed returns the field of the index with a name.
func fieldNamed(name string) (f field, ok bool) {
	for _, f := range fields {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// ErasureTerm implements service.Reader.
func (r *Reader) ErasureTerm(by sluice.ErasedBy, value string) (string, error) {
	f, ok := fieldNamed(erasedFields[by])
	if !ok || value == "" || !f.keyed {
		return value, nil
	}
	key, err := r.indexKey()
	if err != nil {
		return "", err
	}
	return key.term(f.name, value), nil
}

// scannedAtOnce is how many entries FindErasable reads where there is no index.
const scannedAtOnce = 8192

// FindErasable implements service.Reader.
func (r *Reader) FindErasable(
	l sluice.LedgerID, by sluice.ErasedBy, value string, from int64, limit int,
) (found []service.ErasableEntry, next int64, more bool, err error) {
	h, err := r.Head(l)
	f, ok := fieldNamed(erasedFields[by])
	if err != nil || !ok || value == "" || h.ID == 0 {
		return nil, from, false, err
	}
	unindexed := int64(0) // entries before that one are not in the index by the field
	if f.keyed {
		key, err := r.indexKey()
		if err != nil {
			return nil, from, false, err
		}
		f.of = keyedOf(f, key)
		if unindexed, err = r.personalFrom(h.ID); err != nil {
			return nil, from, false, err
		}
	}
	if _, distrusted := r.ledgers.distrusted.Load(l); distrusted {
		unindexed = h.Next
	}
	q := &entryList{
		Reader: r, ledger: h.ID, up: true, limit: limit, span: sqldb.Interval{From: from, To: h.Next},
		personal: f.keyed, want: []wanted{{f, value}}, terms: []term{{f.name, value}},
	}
	rows := []stored{}
	if from < unindexed {
		q.span.To = min(unindexed, from+scannedAtOnce)
		err = r.scan(h.ID, q.span, true, func(s stored) bool {
			if q.matches(s) {
				rows = append(rows, s.clone())
			}
			return len(rows) < limit
		})
	} else {
		rows, err = q.read()
	}
	for _, s := range rows {
		found = append(found, service.ErasableEntry{Seq: s.seq, Sealed: s.SealedEntry})
	}
	if next = q.span.To; len(rows) == limit {
		next = rows[limit-1].seq + 1
	}
	return found, next, next < h.Next, err
}

// keyedOf returns the value of a keyed field as the index has it.
func keyedOf(f field, key IndexKey) func(*audit.IndexTerms) string {
	return func(t *audit.IndexTerms) string {
		if value := f.of(t); value != "" {
			return key.term(f.name, value)
		}
		return ""
	}
}
