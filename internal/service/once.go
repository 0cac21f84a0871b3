package service

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"sluice"
)

// Once identifies a request that a client may send more than once, and that
// takes effect once: what the Idempotency-Key header asks for. Its scope is
// the key that asks.
type Once struct {
	Key         string      // 1 to MaxOnceKeyLen printable ASCII characters
	Fingerprint Fingerprint // of everything that makes it this request and no other

	// Replayed is the earlier answer when there was one: what the service
	// returned is that answer, as of Replayed.Created.
	Replayed *Answer
}

// Fingerprint is a keyed digest of a request under each signing key, see
// Service.Fingerprint. The first is stored with the answer, and a request is
// the same as an earlier one when any of its digests is the stored one: the
// answer is found while the key that it was stored under is still listed,
// whichever key signs by then. One without digests stands for a single zero
// digest.
type Fingerprint []sluice.Digest

func (f Fingerprint) digests() []sluice.Digest {
	if len(f) == 0 {
		return []sluice.Digest{{}}
	}
	return f
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
	Fingerprint sluice.Digest
	RequestID   string
	Created     time.Time
	Result      json.RawMessage // null when Err is set
	Err         *sluice.Error
}

// recall gives the remembered answer of a request, if there is one.
func (o *Once) recall(r Reader, c Caller, now time.Time, result any) (answered bool, err error) {
	if o == nil {
		return false, nil
	}
	o.Replayed = nil
	a, err := r.Answer(c.Key.ID, o.Key)
	switch {
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		return false, nil
	case err != nil:
		return false, err
	case !now.Before(a.Created.Add(OnceTTL)):
		return false, nil
	case !slices.Contains(o.Fingerprint.digests(), a.Fingerprint):
		return false, sluice.Errorf(sluice.CodeIdempotencyReused, "this Idempotency-Key was used with a different request")
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

func (o *Once) answer(c Caller, now time.Time, result json.RawMessage, failure *sluice.Error) Answer {
	return Answer{
		KeyID: c.Key.ID, OnceKey: o.Key, Fingerprint: o.Fingerprint.digests()[0], RequestID: c.Request.ID,
		Created: now, Result: result, Err: failure,
	}
}

// Fingerprint is that of a request made of parts. It is keyed, so that one
// that is stored tells nothing of a short password among the parts.
func (s *Service) Fingerprint(parts ...string) Fingerprint {
	f := make(Fingerprint, len(s.keys))
	for i, key := range s.keys {
		mac := key.NewMAC()
		for _, part := range append([]string{"sluice request fingerprint"}, parts...) {
			mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			io.WriteString(mac, part)
		}
		f[i] = sluice.Digest(mac.Sum(nil))
	}
	return f
}

// RememberError remembers that the caller's request failed for a reason that
// lies in the request. If another copy of it was answered before, that answer
// stands and is noted in c.Once; if a different request was, the failure is
// CodeIdempotencyReused.
func (s *Service) RememberError(ctx context.Context, c Caller, failure *sluice.Error) error {
	return s.store.Update(ctx, c.Ledger, func(tx Tx) error {
		now := s.Now()
		var ignored json.RawMessage
		answered, err := c.Once.recall(tx, c, now, &ignored)
		if answered {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.Remember(c.Once.answer(c, now, nil, failure))
	})
}

// Forget removes answers, open grants and guesses whose time has passed, and says how many.
func (s *Service) Forget(ctx context.Context) (int, error) {
	answers, err := s.store.ForgetAnswers(ctx, s.Now().Add(-OnceTTL))
	grants, err2 := s.store.ForgetGrants(ctx, s.Now())
	guesses, err3 := s.store.ForgetGuesses(ctx, GuessDay(s.Now()))
	return answers + grants + guesses, errors.Join(err, err2, err3)
}
