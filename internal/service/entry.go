package service

import (
	"context"
	"slices"

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
	filter, any := filter.withoutOutcome()
	err = s.read(ctx, c, sluice.AuditRead, func(r Reader) error {
		if any {
			list, err = r.Entries(c.Ledger, filter, page)
		}
		return err
	})
	s.logDamage(c.Ledger, list.Data...)
	return list, err
}

// withoutOutcome removes an outcome that the action of a filter always has. any is false if it never has it. The index
// of a log cannot tell that two frequent terms never occur together: it would read all entries that have either.
func (f EntryFilter) withoutOutcome() (_ EntryFilter, any bool) {
	if f.Outcome == "" || !slices.Contains(sluice.AllActions(), f.Action) {
		return f, true
	}
	has := sluice.Allowed
	if f.Action == sluice.LinkRefused || f.Action == sluice.AccessDenied {
		has = sluice.Refused
	}
	asked := f.Outcome
	f.Outcome = ""
	return f, asked == has
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
