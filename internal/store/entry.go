package store

import (
	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
)

// recorded is an entry that the database does not have yet.
type recorded struct {
	ledger, seq, time int64
	sealed            audit.SealedEntry
}

// Record seals an entry and puts it at the head of the ledger. It is written
// with others of its group.
func (t *tx) Record(e sluice.Entry) error {
	ledger, err := t.own(e.Ledger)
	if err != nil {
		return err
	}
	s, err := audit.Seal(e, t.store.random)
	if err != nil {
		return t.fail(err)
	}
	h := t.head
	h.latest = max(h.latest, e.Time.UnixMicro())
	t.group.entries = append(t.group.entries, recorded{ledger, h.next, h.latest, s})
	h.fresh = append(h.fresh, audit.TermsOf(e))
	h.next++
	h.changed = true
	return nil
}

func (r *reader) Entry(l sluice.LedgerID, id string) (sluice.Entry, error) {
	s, err := r.find(l, id)
	if err != nil {
		return sluice.Entry{}, err
	}
	return s.Open(s.seq)
}

func (r *reader) Sealed(l sluice.LedgerID, id string) (int64, audit.SealedEntry, error) {
	s, err := r.find(l, id)
	return s.seq, s.SealedEntry, err
}

// find gives an entry by its id.
func (r *reader) find(l sluice.LedgerID, id string) (sealed, error) {
	ledger, err := r.ledgerID(l)
	if err != nil {
		return sealed{}, err
	}
	q := &entryList{reader: r, ledger: ledger, span: interval{0, everything.to}, limit: 1}
	_, q.distrusted = r.store.distrusted.Load(l)
	q.filter(service.EntryFilter{IDs: []string{id}})
	rows, err := q.read()
	if err != nil {
		return sealed{}, err
	}
	if len(rows) == 0 {
		return sealed{}, errNotFound
	}
	return rows[0], nil
}
