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

// identify notes the Idempotency-Key of a request that changes something. Its
// fingerprint is that of method and path until more of it is known.
func (c *call) identify(r *http.Request) error {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	key, ok := onceKey(values[0])
	if !ok || len(values) > 1 {
		var v sluice.Invalid
		v.Add("Idempotency-Key", "invalid",
			"Idempotency-Key is one text of 1 to %d printable ASCII characters", service.MaxIdempotencyKeyLen)
		return v.Err()
	}
	c.caller.IdempotencyKey = &service.IdempotencyKey{Value: key, Fingerprint: c.begun()}
	return nil
}

// begun is the fingerprint of a request as far as its method and path go.
func (c *call) begun() service.Fingerprint {
	return c.fingerprint()
}

// fingerprint is that of method, path and more.
func (c *call) fingerprint(more ...string) service.Fingerprint {
	return c.server.svc.Idempotency.Fingerprint(append([]string{c.method, c.prefix() + c.url.EscapedPath()}, more...)...)
}

// onceKey reads the value of an Idempotency-Key: the text as it is, or a String of Structured Fields (RFC 9651), as in
// draft-ietf-httpapi-idempotency-key-header. Both forms of a text are the same key.
func onceKey(value string) (key string, ok bool) {
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

// settle turns a failure into the answer that stands for a request that may
// come again: it is remembered, or gives way to what the request was answered
// with before. A request of which not all came is none that could come again.
func (c *call) settle(ctx context.Context, e *sluice.Error) *sluice.Error {
	once := c.caller.IdempotencyKey
	if once == nil || !c.whole || !stands(e) {
		return e
	}
	if once.Replayed == nil {
		if err := c.server.svc.Idempotency.StoreError(ctx, c.caller, e); err != nil {
			return asError(ctx, err)
		}
	}
	if a := once.Replayed; a != nil && a.Err != nil {
		return a.Err
	}
	return e
}

// stands reports whether a failure is the answer to its request also when that
// comes again: it lies in the request, and not in the moment, in who asked, or
// in what the network made of it.
func stands(e *sluice.Error) bool {
	switch e.Code {
	case sluice.CodeUnauthenticated, sluice.CodeRateLimited, sluice.CodeDigestMismatch, sluice.CodeIdempotencyReused:
		return false
	}
	status := problems[e.Code].status
	return status >= 400 && status < 500
}

// replayed gives what a request was answered with before, or nil when it is
// answered for the first time.
func (c *call) replayed() *service.StoredResponse {
	if c.caller.IdempotencyKey == nil {
		return nil
	}
	return c.caller.IdempotencyKey.Replayed
}

// markReplayed tells of an answer that it was given before.
func (c *call) markReplayed() {
	if c.replayed() != nil {
		c.header.Set("Idempotency-Replayed", "true")
	}
}

// asError gives the error that err is, or internal for one that is none of ours.
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
