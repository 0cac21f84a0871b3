package service

import (
	"context"
	"time"

	"sluice"
	"sluice/internal/refusals"
)

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
