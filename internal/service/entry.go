package service

import (
	"context"

	"sluice"
)

// Entry gives one line of the audit log. It needs audit:read.
func (s *Service) Entry(ctx context.Context, c Caller, id string) (e sluice.Entry, err error) {
	err = s.read(ctx, c, sluice.AuditRead, func(r Reader) error {
		e, err = r.Entry(c.Ledger, id)
		return found(err, "audit entry", id)
	})
	s.logDamage(c.Ledger, e)
	return e, err
}

// Entries lists the audit log, newest first. It needs audit:read.
func (s *Service) Entries(ctx context.Context, c Caller, filter EntryFilter, page sluice.Page) (list sluice.List[sluice.Entry], err error) {
	err = s.read(ctx, c, sluice.AuditRead, func(r Reader) error {
		list, err = r.Entries(c.Ledger, filter, page)
		return err
	})
	s.logDamage(c.Ledger, list.Data...)
	return list, err
}

// logDamage tells the operator of personal fields that were altered in the
// database.
func (s *Service) logDamage(l sluice.LedgerID, entries ...sluice.Entry) {
	for _, e := range entries {
		if len(e.Damaged) > 0 {
			s.log.Error("stored personal fields are not those the entry commits to", "ledger", l.String(), "entry", e.ID, "fields", e.Damaged)
		}
	}
}
