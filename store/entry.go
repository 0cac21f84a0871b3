package store

import (
	"sluice"
)

const entryColumns = "seq, leaf, disclosures"

// sealed is an entry as it is read.
type sealed struct {
	seq int64
	sluice.SealedEntry
}

func (s *sealed) fields() []any {
	return []any{(*integer)(&s.seq), &s.Leaf, &s.Disclosures}
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

// recorded is an entry that the database does not have yet.
type recorded struct {
	ledger, seq, time int64
	id                string
	about             about
	sealed            sluice.SealedEntry
}

// Record seals an entry and puts it at the head of the ledger. It is written
// with others of its group: an id that is taken fails the Update, not Record.
func (t *tx) Record(e sluice.Entry) error {
	ledger, err := t.own(e.Ledger)
	if err != nil {
		return err
	}
	s, err := e.Seal(t.store.random)
	if err != nil {
		return t.fail(err)
	}
	what := about{action: e.Action, outcome: e.Outcome, key: e.KeyID()}
	if e.File != nil {
		what.file = e.File.ID
	}
	if e.Link != nil {
		what.link = e.Link.ID
	}
	if e.Request != nil {
		what.request = e.Request.ID
	}
	h := t.head
	h.latest = max(h.latest, e.Time.UnixMicro())
	t.group.entries = append(t.group.entries, recorded{ledger, h.next, h.latest, e.ID, what, s})
	h.fresh = append(h.fresh, what)
	h.next++
	h.changed = true
	return nil
}

// flush writes what the group has gathered.
func (r *reader) flush() error {
	if r.err != nil || r.group == nil || len(r.group.entries) == 0 && len(r.group.redeemed) == 0 {
		return r.err
	}
	g := r.group
	entries, redeemed := g.entries, g.redeemed
	g.entries, g.redeemed, g.mark, g.flushed = entries[:0], redeemed[:0], mark{}, true
	err := insert(r, entryInsert, entries, func(args []any, e recorded) []any {
		return append(args, e.ledger, e.seq, e.id, e.time, string(e.about.action), string(e.about.outcome), optional(e.about.file),
			optional(e.about.link), optional(e.about.key), optional(e.about.request), e.sealed.Leaf, e.sealed.Disclosures)
	})
	if err != nil {
		return err
	}
	return r.count(redeemed)
}

var entryInsert = insertion{"entry", []string{
	"ledger", "seq", "id", "time", "action", "outcome", "file_id", "link_id", "key_id", "request_id", "leaf", "disclosures",
}}
