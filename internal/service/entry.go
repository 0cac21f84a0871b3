package service

import (
	"context"

	"sluice"
)

// Entries has the rules of reading the audit log: lists, exports, and the erasure of personal fields.
type Entries struct {
	*core
	watches watches
	links   *Links
}

// Get returns an entry of the audit log. It needs audit:read.
func (s *Entries) Get(ctx context.Context, c Caller, id string) (e sluice.Entry, err error) {
	err = s.read(ctx, c, sluice.AuditRead, func(r Reader) error {
		e, err = r.Entry(c.Ledger, id)
		return found(err, "audit entry", id)
	})
	s.logDamage(c.Ledger, e)
	return e, err
}

// List returns entries of the audit log, newest first. It needs audit:read.
func (s *Entries) List(
	ctx context.Context, c Caller, filter EntryFilter, page sluice.Page,
) (list sluice.List[sluice.Entry], err error) {
	err = s.read(ctx, c, sluice.AuditRead, func(r Reader) error {
		list, err = r.Entries(c.Ledger, filter, page)
		return err
	})
	s.logDamage(c.Ledger, list.Data...)
	return list, err
}

// logDamage logs personal fields that were altered in the database.
func (s *Entries) logDamage(l sluice.LedgerID, entries ...sluice.Entry) {
	for _, e := range entries {
		if len(e.Damaged) > 0 {
			s.log.Error("stored personal fields do not match the commitments of their entry",
				"ledger", l.String(), "entry", e.ID, "fields", e.Damaged)
		}
	}
}
