package service

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"slices"
	"time"

	"sluice"
	"sluice/internal/token"
)

// Idempotency makes a request that is sent several times take effect once.
type Idempotency struct {
	*core
	keys token.Keyring
}

// IdempotencyKey identifies a request that a client may send several times, and that takes effect once, as the
// Idempotency-Key header asks for. Its scope is the API key or, in the console, the session.
type IdempotencyKey struct {
	Value       string      // 1 to MaxIdempotencyKeyLen printable ASCII characters
	Fingerprint Fingerprint // of the request

	// Replayed is set by the service if it returned a stored response.
	Replayed *StoredResponse
}

// Fingerprint has a keyed digest of a request for each signing key, see Idempotency.Fingerprint. The first digest is
// stored with the response. A request repeats an earlier one if any of its digests is the stored one, so a response is
// found as long as its signing key is configured, even if another key signs now. An empty Fingerprint is the same as a
// single zero digest.
type Fingerprint []sluice.Digest

func (f Fingerprint) digests() []sluice.Digest {
	if len(f) == 0 {
		return []sluice.Digest{{}}
	}
	return f
}

// MaxIdempotencyKeyLen is the length of the longest idempotency key, in characters.
const MaxIdempotencyKeyLen = 255

// StoredResponseTTL is how long a response is stored.
const StoredResponseTTL = 24 * time.Hour

// StoredResponse is the response to a request with an idempotency key: the result as JSON, or the error. It has no
// secret. The URL of a link is derived again; the secret of a key is not repeated.
type StoredResponse struct {
	KeyID          string // of the API key, or of the session
	IdempotencyKey string
	Fingerprint    sluice.Digest
	RequestID      string
	Created        time.Time
	Result         json.RawMessage // null if Err is set
	Err            *sluice.Error
}

// replay decodes the stored response to a request into result. It reports whether there is one.
func (k *IdempotencyKey) replay(r Reader, c Caller, now time.Time, result any) (replayed bool, err error) {
	if k == nil {
		return false, nil
	}
	k.Replayed = nil
	stored, err := r.StoredResponse(c.repeater(), k.Value)
	switch {
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		return false, nil
	case err != nil:
		return false, err
	case !now.Before(stored.Created.Add(StoredResponseTTL)):
		return false, nil
	case !slices.Contains(k.Fingerprint.digests(), stored.Fingerprint):
		return false, sluice.Errorf(sluice.CodeIdempotencyReused,
			"this Idempotency-Key was used with a different request")
	}
	k.Replayed = &stored
	if stored.Err != nil {
		return true, stored.Err
	}
	return true, json.Unmarshal(stored.Result, result)
}

// repeater is the id of who may repeat a request: of the session or, outside of the console, of the API key. A person
// has no key.
func (c Caller) repeater() string { return cmp.Or(c.Session.ID, c.Key.ID) }

// store stores the response to a request, inside the Update of its change.
func (k *IdempotencyKey) store(tx Tx, c Caller, now time.Time, result any) error {
	if k == nil {
		return nil
	}
	data, err := json.Marshal(result)
	if err != nil {
		return err
	}
	return tx.StoreResponse(k.response(c, now, data, nil))
}

func (k *IdempotencyKey) response(
	c Caller, now time.Time, result json.RawMessage, failure *sluice.Error,
) StoredResponse {
	return StoredResponse{
		KeyID: c.repeater(), IdempotencyKey: k.Value, Fingerprint: k.Fingerprint.digests()[0],
		RequestID: c.Request.ID, Created: now, Result: result, Err: failure,
	}
}

// Fingerprint returns the fingerprint of a request that consists of parts. The digests are keyed, so that a stored one
// does not reveal a short password in a part.
func (s *Idempotency) Fingerprint(parts ...string) Fingerprint {
	f := make(Fingerprint, len(s.keys))
	for i, key := range s.keys {
		f[i] = sluice.Digest(macOf(key, append([]string{"sluice request fingerprint"}, parts...)...))
	}
	return f
}

// macOf returns HMAC-SHA-256 under a signing key over texts, each behind its length in 8 bytes. The first text is the
// domain: see token.Key.NewMAC.
func macOf(key token.Key, texts ...string) []byte {
	mac := key.NewMAC()
	for _, text := range texts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		io.WriteString(mac, text)
	}
	return mac.Sum(nil)
}

// StoreError stores the error of a request that cannot succeed, as its response. If there is a stored response to the
// same request already, that response stands, and c.IdempotencyKey.Replayed is set. If the stored response is to
// another request, the error is CodeIdempotencyReused.
func (s *Idempotency) StoreError(ctx context.Context, c Caller, failure *sluice.Error) error {
	return s.storeError(ctx, c, failure)
}
