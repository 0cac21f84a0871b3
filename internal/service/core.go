package service

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/objectid"
	"sluice/internal/refusals"
	"sluice/internal/seal"
)

// core is the funnel that every read and every change goes through. Files, Links, Keys and the others hold it, and add
// the rules of what they manage. Nothing else in this package calls Store.Update.
type core struct {
	store    Store
	clock    func() time.Time
	ids      *objectid.Source
	log      *slog.Logger
	refusals *refusals.Counts
	seals    *seal.Seals
}

// now is the current time by the service's clock, in UTC, truncated to microseconds.
func (s *core) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// change is the only way to change a record for a caller. In one Update it checks the scope against the key and the
// session as they are now, makes the change, and records it. fn is given the caller with that key and session. A
// missing scope is recorded too. A request that repeats an earlier one gets the stored response, and nothing changes.
func change[T any](
	ctx context.Context, s *core, c Caller, scope sluice.Scope, fn func(tx Tx, c Caller, now time.Time) (T, error),
) (T, error) {
	var result T
	var denied error
	refused := s.refusals.Attempt()
	err := s.store.Update(ctx, c.Ledger, func(tx Tx) (err error) {
		now := s.now()
		denied = nil
		refused.Again()
		if err := s.recheck(tx, &c); err != nil {
			return err
		}
		if !c.Grants(scope) {
			denied = missingScope(c, scope)
			return s.recordDenial(tx, refused, c, scopeRefusal(scope), now)
		}
		if replayed, err := c.IdempotencyKey.replay(tx, c, now, &result); replayed || err != nil {
			return err
		}
		if result, err = fn(tx, c, now); err != nil {
			return err
		}
		return c.IdempotencyKey.store(tx, c, now, result)
	})
	refused.End(refusedCaller(c), s.now(), err)
	if err == nil {
		err = denied
	}
	return result, err
}

// changeBySystem makes a change that no key asks for: the operator or the service itself does.
func (s *core) changeBySystem(ctx context.Context, c Caller, fn func(tx Tx, now time.Time) error) error {
	_, err := change(ctx, s, c, "", func(tx Tx, _ Caller, now time.Time) (struct{}, error) {
		return struct{}{}, fn(tx, now)
	})
	return err
}

// storeError stores the error of a request that failed before it reached change.
func (s *core) storeError(ctx context.Context, c Caller, failure *sluice.Error) error {
	return s.store.Update(ctx, c.Ledger, func(tx Tx) error {
		now := s.now()
		var ignored json.RawMessage
		replayed, err := c.IdempotencyKey.replay(tx, c, now, &ignored)
		if replayed {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.StoreResponse(c.IdempotencyKey.response(c, now, nil, failure))
	})
}

// system is the caller for what the service does by itself in a ledger. The name says which part of it acts.
func system(l sluice.LedgerID, name string) Caller {
	return Caller{Ledger: l, Actor: sluice.Actor{Type: sluice.ActorSystem, Name: name}}
}

// readAfterCommits reads inside an Update. The Update waits for all commits on the ledger that are under way, so fn
// sees what they have written. Nothing is changed, so a full disk does not stop it.
func (s *core) readAfterCommits(ctx context.Context, l sluice.LedgerID, fn func(Reader) error) error {
	return s.store.Update(ctx, l, func(tx Tx) error { return fn(tx) })
}

// recheck replaces the caller's key and session by those inside the transaction, and fails if one is not active.
func (s *core) recheck(r Reader, c *Caller) (err error) {
	if c.Session.ID != "" {
		c.Session, err = r.SessionByID(c.Ledger, c.Session.ID)
		if sluice.CodeOf(err) == sluice.CodeNotFound {
			return errNoSession
		}
		if err == nil {
			err = s.activeSession(c.Session)
		}
	}
	if err != nil || c.Actor.Type != sluice.ActorKey {
		return err
	}
	if c.Key, err = r.Key(c.Ledger, c.Key.ID); err != nil {
		return err
	}
	return s.activeKey(c.Session, c.Key)
}

// anyCaller is the scope of what every authenticated caller may do.
const anyCaller sluice.Scope = "any"

// Grants reports whether the caller has a scope. The operator and the service itself have every scope.
func (c Caller) Grants(scope sluice.Scope) bool {
	switch {
	case scope == anyCaller:
		return true
	case c.Actor.Type == sluice.ActorKey:
		return c.Key.Grants(scope)
	case c.Session.ID != "":
		return slices.Contains(c.Session.Scopes, scope)
	}
	return c.Actor.Type == sluice.ActorCLI || c.Actor.Type == sluice.ActorSystem || scope == ""
}

func (s *core) active(k sluice.Key) error {
	switch {
	case !s.seals.TrustsKey(k):
		return errAlteredKey
	case !k.Revoked.IsZero():
		return sluice.Errorf(sluice.CodeUnauthenticated, "this API key was revoked")
	case !k.Active(s.now()):
		return sluice.Errorf(sluice.CodeUnauthenticated, "this API key has expired")
	}
	return nil
}

// errAlteredKey is the error for a key whose row someone other than a server wrote.
var errAlteredKey = sluice.Errorf(sluice.CodeUnauthenticated,
	"the record of this API key was altered outside of Sluice; its operator has to create another one")

// errAlteredLink is the error for a change of a link whose row someone other than a server wrote: the change would give
// it a seal.
var errAlteredLink = sluice.Errorf(sluice.CodeConflict,
	"the record of this link was altered outside of Sluice; it can only be revoked")

// read runs fn on a snapshot if the caller has the scope. If not, it records the refusal. The session of a caller, and
// its key, are those of the snapshot: a page that is open for long ends with its session.
func (s *core) read(ctx context.Context, c Caller, scope sluice.Scope, fn func(Reader) error) error {
	if err := s.allow(ctx, c, scope); err != nil {
		return err
	}
	if c.Session.ID == "" {
		return s.store.View(ctx, fn)
	}
	return s.store.View(ctx, func(r Reader) error {
		if err := s.recheck(r, &c); err != nil {
			return err
		}
		if !c.Grants(scope) {
			return missingScope(c, scope)
		}
		return fn(r)
	})
}

// allow fails with CodeForbidden and records the refusal if the caller lacks a scope.
func (s *core) allow(ctx context.Context, c Caller, scope sluice.Scope) error {
	if c.Grants(scope) {
		return nil
	}
	return errors.Join(s.deny(ctx, c, scope), missingScope(c, scope))
}

// deny records that a caller lacks a scope.
func (s *core) deny(ctx context.Context, c Caller, scope sluice.Scope) error {
	return s.denyFor(ctx, c, scopeRefusal(scope))
}

// denyFor records that a caller was refused.
func (s *core) denyFor(ctx context.Context, c Caller, refusal sluice.Refusal) error {
	if s.refusals.Repeated(keyOf(c), refusal, refusedCaller(c), s.now()) {
		return nil
	}
	f := s.refusals.Attempt()
	err := s.store.Update(ctx, c.Ledger, func(tx Tx) error {
		f.Again()
		return s.recordDenial(tx, f, c, refusal, s.now())
	})
	f.End(refusedCaller(c), s.now(), err)
	return err
}

// recordDenial records that a caller was refused. A refusal that repeats a recent one is counted instead.
func (s *core) recordDenial(tx Tx, f *refusals.Attempt, c Caller, refusal sluice.Refusal, now time.Time) error {
	repeats, write := f.Begin(keyOf(c), refusal, now)
	if !write {
		return nil
	}
	e := s.denial(c, refusal, now)
	e.Repeats = repeats
	return tx.Record(e)
}

func (s *core) denial(c Caller, refusal sluice.Refusal, now time.Time) sluice.Entry {
	e := s.entry(c, sluice.AccessDenied, now)
	e.Outcome, e.Refusal = sluice.Refused, refusal
	if e.Request != nil {
		*e.Request = refusals.Kept(*e.Request)
	}
	return e
}

// entry begins the audit entry of a caller's action.
func (s *core) entry(c Caller, a sluice.Action, now time.Time) sluice.Entry {
	e := sluice.Entry{
		ID: s.ids.New(sluice.PrefixEntry, now), Ledger: c.Ledger, Time: now,
		Action: a, Outcome: sluice.Allowed, Actor: c.Actor,
	}
	if c.Request != (sluice.Request{}) {
		request := c.Request
		e.Request = &request
	}
	return e
}

func scopeRefusal(scope sluice.Scope) sluice.Refusal {
	return sluice.Refusal("missing_scope:" + string(scope))
}

func missingScope(c Caller, scope sluice.Scope) error {
	if c.Actor.Type == sluice.ActorPerson {
		return sluice.Errorf(sluice.CodeForbidden, "your role does not include the scope %s", scope)
	}
	return sluice.Errorf(sluice.CodeForbidden, "this API key lacks the scope %s", scope)
}

// keyOf is the object under which the refusals of a caller are counted: the caller's key, the session of a person, or a
// person without one.
func keyOf(c Caller) refusals.Object {
	return refusals.Object{Ledger: c.Ledger, ID: cmp.Or(c.Key.ID, c.Session.ID, c.Actor.Issuer+" "+c.Actor.ID)}
}

func refusedCaller(c Caller) refusals.Caller {
	return refusals.Caller{Actor: c.Actor, Request: c.Request}
}

// NoSuch is the error for an object that does not exist or is not visible to the caller.
func NoSuch(what, id string) error {
	return sluice.Errorf(sluice.CodeNotFound, "no %s %q is visible to this key", what, audit.Clip(id, 64))
}

// found replaces CodeNotFound of the store by an error that names the object.
func found(err error, what, id string) error {
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return NoSuch(what, id)
	}
	return err
}
