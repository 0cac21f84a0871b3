package httpd

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/dunglas/httpsfv"

	"sluice"
	"sluice/internal/service"
)

// readIdempotencyKey reads the Idempotency-Key of a request that changes something. Until more of the request is
// known, its fingerprint covers the method and the path.
func (c *Call) readIdempotencyKey(r *http.Request) error {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	key, ok := idempotencyKey(values[0])
	if !ok || len(values) > 1 {
		var v sluice.Invalid
		v.Add("Idempotency-Key", "invalid",
			"Idempotency-Key must be a single value of 1 to %d printable ASCII characters", service.MaxIdempotencyKeyLen)
		return v.Err()
	}
	c.Caller.IdempotencyKey = &service.IdempotencyKey{Value: key, Fingerprint: c.Fingerprint()}
	return nil
}

// Fingerprint tells a request from others with the same idempotency key: by its method, its path and more.
func (c *Call) Fingerprint(more ...string) service.Fingerprint {
	prefix := ""
	if c.adapter != nil {
		prefix = c.adapter.Prefix
	}
	return c.server.svc.Idempotency.Fingerprint(append([]string{c.method, prefix + c.URL.EscapedPath()}, more...)...)
}

// CompleteFingerprint notes that the whole request arrived, and adds its query and its body to its fingerprint.
func (c *Call) CompleteFingerprint(query, body string) {
	c.Whole = true
	if key := c.Caller.IdempotencyKey; key != nil {
		key.Fingerprint = c.Fingerprint(query, body)
	}
}

// idempotencyKey reads the value of an Idempotency-Key. It is the key itself or, as in
// draft-ietf-httpapi-idempotency-key-header, a String of Structured Fields (RFC 9651) that holds the key. Both forms of
// a text are the same key.
func idempotencyKey(value string) (key string, ok bool) {
	key = value
	if strings.HasPrefix(value, `"`) {
		item, err := httpsfv.UnmarshalItem([]string{value})
		if err != nil || len(item.Params.Names()) > 0 {
			return "", false
		}
		key, _ = item.Value.(string)
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return "", false
		}
	}
	return key, key != "" && len(key) <= service.MaxIdempotencyKeyLen
}

// storeFailure stores a failure as the response to a request with an idempotency key, and returns it. When a response
// is stored already, it returns the failure in that one. Nothing is stored for a request that arrived in part, since a
// repeat cannot be recognised.
func (c *Call) storeFailure(ctx context.Context, e *sluice.Error) *sluice.Error {
	key := c.Caller.IdempotencyKey
	if key == nil || !c.Whole || !isFinal(e) {
		return e
	}
	if key.Replayed == nil {
		if err := c.server.svc.Idempotency.StoreError(ctx, c.Caller, e); err != nil {
			return asError(ctx, err)
		}
	}
	if stored := key.Replayed; stored != nil && stored.Err != nil {
		return stored.Err
	}
	return e
}

// isFinal reports whether a failure also answers a repeat of its request: its cause is the request itself, and not
// the moment, the caller or the network.
func isFinal(e *sluice.Error) bool {
	switch e.Code {
	case sluice.CodeUnauthenticated, sluice.CodeRateLimited, sluice.CodeDigestMismatch, sluice.CodeIdempotencyReused:
		return false
	}
	status := problems[e.Code].status
	return status >= 400 && status < 500
}

// Replayed is the stored response that answers a repeated request, or nil when the request is new.
func (c *Call) Replayed() *service.StoredResponse {
	if c.Caller.IdempotencyKey == nil {
		return nil
	}
	return c.Caller.IdempotencyKey.Replayed
}

// MarkReplayed marks the answer as a stored response, if it is one.
func (c *Call) MarkReplayed() {
	if c.Replayed() != nil {
		c.Header.Set("Idempotency-Replayed", "true")
	}
}

// asError returns the *sluice.Error in err, or CodeInternal for any other error.
func asError(ctx context.Context, err error) *sluice.Error {
	var e *sluice.Error
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return sluice.Errorf(sluice.CodeUnavailable, "the request was cancelled")
	case !errors.As(err, &e):
		return sluice.Wrap(sluice.CodeInternal, "", err)
	}
	return e
}
