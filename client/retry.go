package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// retry makes attempts until one succeeds or fails for good, or the client's retries are used up. An attempt that has
// moved, such as a download that received a good part of a file, gives all retries back.
func (c *Client) retry(ctx context.Context, attempt func() (moved bool, err error)) error {
	for left := c.retries; ; left-- {
		moved, err := attempt()
		if moved {
			left = c.retries
		}
		if err == nil || left <= 0 || ctx.Err() != nil || !isTemporary(err) {
			return err
		}
		if err := c.pause(ctx, c.retries-left, err); err != nil {
			return err
		}
	}
}

// isTemporary reports whether another attempt may succeed.
func isTemporary(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		switch e.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	_, wrongCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, broken := errors.AsType[*connectionError](err)
	return broken && !wrongCertificate
}

// pause waits before the next attempt, and gives failed back when that would take too long.
func (c *Client) pause(ctx context.Context, retried int, failed error) error {
	wait := c.backoff(retried)
	if e, ok := errors.AsType[*Error](failed); ok && e.RetryAfter > 0 {
		wait = e.RetryAfter
		if wait > c.times.maxAfter {
			return failed
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w while waiting to try again after: %w", ctx.Err(), failed)
	}
}

// backoff is twice as long after each retry. Half of it is left to chance, so that clients spread out.
func (c *Client) backoff(retried int) time.Duration {
	d := c.times.firstPause
	for range retried {
		d = min(2*d, c.times.maxPause)
	}
	return d/2 + rand.N(d/2+1)
}

// errStalled is what a watchdog ends an attempt with.
var errStalled error = timeout{}

// timeout is a timeout to whoever asks a net.Error or a url.Error.
type timeout struct{}

func (timeout) Error() string   { return "timed out waiting for data" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// watchdog ends an attempt in which nothing moves for too long.
type watchdog struct {
	ctx    context.Context // of the attempt
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func watch(ctx context.Context, d time.Duration) *watchdog {
	w := &watchdog{}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(d, func() { w.cancel(errStalled) })
	return w
}

// await allows so much time from now on.
func (w *watchdog) await(d time.Duration) { w.timer.Reset(d) }

// pause allows any time, until await is called.
func (w *watchdog) pause() { w.timer.Stop() }

// end ends the attempt.
func (w *watchdog) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// watchedBody is an answer of which each read may take only so long. Its reader may take any time between reads.
type watchedBody struct {
	body  io.ReadCloser
	req   *http.Request
	dog   *watchdog
	stall time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.dog.await(b.stall)
	n, err := b.body.Read(p)
	b.dog.pause()
	if err != nil && err != io.EOF {
		err = broken(b.req, err)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	defer b.dog.end()
	return b.body.Close()
}
