package service

import (
	"context"
	"time"

	"sluice"
	"sluice/internal/refusals"
)

// WriteRefusals writes to the log what was refused since the entries before,
// where a minute has passed since. Those entries are committed soon, like those
// of Delivered.
func (s *Service) WriteRefusals() { s.writeRefusals(false) }

func (s *Service) writeRefusals(all bool) {
	room := func(l sluice.LedgerID) bool { return s.delivered.full(l) == nil }
	for _, t := range s.refusals.Take(s.Now(), all, room) {
		s.recordLate(t.Object.Ledger, lateEntry{id: s.ids.New(sluice.PrefixEntry, s.Now()), record: func(tx Tx, id string, now time.Time) error {
			return s.recordTally(tx, id, t, now)
		}}, all)
	}
}

// recordTally records refusals that have no entry yet: the newest of them, and
// how many there were besides.
func (s *Service) recordTally(tx Tx, id string, t refusals.Tally, now time.Time) error {
	c := Caller{Ledger: t.Object.Ledger, Actor: t.Caller.Actor, Request: t.Caller.Request}
	e := s.entry(c, sluice.AccessDenied, now)
	if c.Actor.Type == sluice.ActorBearer {
		g := Grant{bearer: c}
		if _, err := g.load(tx, t.Object.Ledger, t.Object.ID); err != nil {
			return err
		}
		e = s.linkEntry(c, sluice.LinkRefused, now, g.File, g.Link)
		e.Key = g.key
	}
	e.ID, e.Outcome, e.Refusal, e.Repeats = id, sluice.Refused, t.Reason, t.Refused-1
	return tx.Record(e)
}

// deny refuses a caller who lacks a scope, and records it.
func (s *Service) deny(ctx context.Context, c Caller, scope sluice.Scope) error {
	if s.refusals.Repeated(keyOf(c), lacks(scope), askedBy(c), s.Now()) {
		return nil
	}
	f := s.refusals.Attempt()
	err := s.store.Update(ctx, c.Ledger, func(tx Tx) error {
		f.Again()
		return s.recordDenial(tx, f, c, scope, s.Now())
	})
	f.End(askedBy(c), s.Now(), err)
	return err
}

// recordDenial records that a caller lacks a scope, unless it is only counted.
func (s *Service) recordDenial(tx Tx, f *refusals.Attempt, c Caller, scope sluice.Scope, now time.Time) error {
	repeats, write := f.Begin(keyOf(c), lacks(scope), now)
	if !write {
		return nil
	}
	e := s.denial(c, scope, now)
	e.Repeats = repeats
	return tx.Record(e)
}

func lacks(scope sluice.Scope) sluice.Refusal {
	return sluice.Refusal("missing_scope:" + string(scope))
}

// keyOf is what the refusals of a caller are counted for.
func keyOf(c Caller) refusals.Object { return refusals.Object{Ledger: c.Ledger, ID: c.Key.ID} }

func askedBy(c Caller) refusals.Caller { return refusals.Caller{Actor: c.Actor, Request: c.Request} }
