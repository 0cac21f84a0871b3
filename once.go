package sluice

import (
	"context"
	"encoding/json"
	"time"
)

// Once identifies a request that a client may send more than once, and that
// takes effect once: what the Idempotency-Key header asks for. Its scope is
// the key that asks.
type Once struct {
	Key         string // 1 to MaxOnceKeyLen printable ASCII characters
	Fingerprint Digest // of everything that makes it this request and no other

	// Replayed is the earlier answer when there was one: what the service
	// returned is that answer, as of Replayed.Created.
	Replayed *Answer
}

// MaxOnceKeyLen is the longest idempotency key, in characters.
const MaxOnceKeyLen = 255

// OnceTTL is how long an answer is remembered.
const OnceTTL = 24 * time.Hour

// Answer is what is remembered of a request: what the service returned, as
// JSON, or the error. No secret is in it: a link's URL is derived again, a
// key's secret is not repeated.
type Answer struct {
	KeyID       string
	OnceKey     string
	Fingerprint Digest
	RequestID   string
	Created     time.Time
	Result      json.RawMessage // null when Err is set
	Err         *Error
}

// recall gives the remembered answer of a request, if there is one.
func (o *Once) recall(r Reader, c Caller, now time.Time, result any) (answered bool, err error) {
	if o == nil {
		return false, nil
	}
	a, err := r.Answer(c.Key.ID, o.Key)
	switch {
	case CodeOf(err) == CodeNotFound:
		return false, nil
	case err != nil:
		return false, err
	case !now.Before(a.Created.Add(OnceTTL)):
		return false, nil
	case a.Fingerprint != o.Fingerprint:
		return false, Errorf(CodeIdempotencyReused, "this Idempotency-Key was used with a different request")
	}
	o.Replayed = &a
	if a.Err != nil {
		return true, a.Err
	}
	return true, json.Unmarshal(a.Result, result)
}

func (o *Once) remember(tx Tx, c Caller, now time.Time, result any) error {
	if o == nil {
		return nil
	}
	data, err := json.Marshal(result)
	if err != nil {
		return err
	}
	return tx.Remember(o.answer(c, now, data, nil))
}

func (o *Once) answer(c Caller, now time.Time, result json.RawMessage, failure *Error) Answer {
	return Answer{
		KeyID: c.Key.ID, OnceKey: o.Key, Fingerprint: o.Fingerprint, RequestID: c.Request.ID,
		Created: now, Result: result, Err: failure,
	}
}

// Recall finds an earlier answer to the caller's request before any work is
// done on it, and notes it in c.Once. An idempotency key that was used with a
// different request is CodeIdempotencyReused.
func (s *Service) Recall(ctx context.Context, c Caller) error {
	return s.store.View(ctx, func(r Reader) error {
		var ignored json.RawMessage
		answered, err := c.Once.recall(r, c, s.Now(), &ignored)
		if answered {
			return nil
		}
		return err
	})
}

// RememberError remembers that the caller's request failed for a reason that
// lies in the request. If another copy of it was answered meanwhile, that
// answer stands.
func (s *Service) RememberError(ctx context.Context, c Caller, failure *Error) error {
	return s.store.Update(ctx, c.Ledger, func(tx Tx) error {
		now := s.Now()
		a, err := tx.Answer(c.Key.ID, c.Once.Key)
		if err == nil && now.Before(a.Created.Add(OnceTTL)) {
			return nil
		}
		if err != nil && CodeOf(err) != CodeNotFound {
			return err
		}
		return tx.Remember(c.Once.answer(c, now, nil, failure))
	})
}

// ForgetAnswers removes answers whose time has passed, and says how many.
func (s *Service) ForgetAnswers(ctx context.Context) (int, error) {
	return s.store.ForgetAnswers(ctx, s.Now().Add(-OnceTTL))
}
