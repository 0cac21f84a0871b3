package store

import (
	"sluice"
)

const entryColumns = "seq, time, leaf, disclosures"

// sealed is an entry as it is read.
type sealed struct {
	seq, time int64
	sluice.SealedEntry
}

func (s *sealed) fields() []any {
	return []any{(*integer)(&s.seq), (*integer)(&s.time), &s.Leaf, &s.Disclosures}
}

func (r *reader) Entry(l sluice.LedgerID, id string) (sluice.Entry, error) {
	var s sealed
	ledger, err := r.ledgerID(l)
	if err == nil {
		err = r.one(s.fields(), "SELECT "+entryColumns+" FROM entry WHERE id = $1 AND ledger = $2", id, ledger)
	}
	if err != nil {
		return sluice.Entry{}, err
	}
	return s.Open(s.seq)
}

func (r *reader) Entries(l sluice.LedgerID, f sluice.EntryFilter, p sluice.Page) (sluice.List[sluice.Entry], error) {
	page, err := list(r, l, entryListing(f), moments(f.Created), p, (*sealed).fields)
	if err != nil {
		return sluice.List[sluice.Entry]{}, err
	}
	entries := make([]sluice.Entry, len(page.Data))
	for i, s := range page.Data {
		if entries[i], err = s.Open(s.seq); err != nil {
			return sluice.List[sluice.Entry]{}, err
		}
	}
	return sluice.List[sluice.Entry]{Data: entries, More: page.More}, nil
}

// The states of entries.
const (
	allowedEntry = 0
	refusedEntry = 1
)

var entryRoute = route{table: "entry", ledger: "ledger", state: "state", at: "time", tie: "seq"}

func entryListing(f sluice.EntryFilter) listing {
	q := listing{columns: entryColumns, route: &entryRoute, least: int64(-1), states: []int{allowedEntry, refusedEntry}}
	switch f.Outcome {
	case "":
	case sluice.Refused:
		q.states = []int{refusedEntry}
	default:
		q.states = []int{allowedEntry}
		q.where("outcome = ?", string(f.Outcome))
	}
	q.in(f.IDs)
	q.equal("request_id", f.RequestID)
	q.equal("link_id", f.LinkID)
	q.equal("file_id", f.FileID)
	q.equal("key_id", f.KeyID)
	q.equal("action", string(f.Action))
	q.along("id <> ''", nil)
	return q
}

// Record seals an entry and puts it at the head of the ledger.
func (t *tx) Record(e sluice.Entry) error {
	ledger, err := t.own(e.Ledger)
	if err != nil {
		return err
	}
	s, err := e.Seal(t.store.random)
	if err != nil {
		return t.fail(err)
	}
	var file, link, request string
	if e.File != nil {
		file = e.File.ID
	}
	if e.Link != nil {
		link = e.Link.ID
	}
	if e.Request != nil {
		request = e.Request.ID
	}
	_, err = t.exec("INSERT INTO entry (ledger, seq, id, time, action, outcome, file_id, link_id, key_id, request_id, leaf, disclosures)"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
		ledger, t.head.next, e.ID, micros(e.Time), string(e.Action), string(e.Outcome),
		optional(file), optional(link), optional(e.KeyID()), optional(request), s.Leaf, s.Disclosures)
	if err == nil {
		t.head.next++
		t.head.changed = true
	}
	return err
}
