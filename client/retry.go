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

// retry runs attempt until it succeeds, fails permanently, or no retries are left. An attempt that reports progress
// restores all retries.
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

// pause waits before the next attempt. If the wait would be too long, it returns failed.
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
		return fmt.Errorf("%w while waiting to retry after: %w", ctx.Err(), failed)
	}
}

// backoff doubles the pause after each retry. Half of it is random, so that clients spread out.
func (c *Client) backoff(retried int) time.Duration {
	d := c.times.firstPause
	for range retried {
		d = min(2*d, c.times.maxPause)
	}
	return d/2 + rand.N(d/2+1)
}

// errStalled is the cause with which a watchdog cancels an attempt.
var errStalled error = timeout{}

// timeout implements the Timeout method of net.Error.
type timeout struct{}

func (timeout) Error() string   { return "timed out waiting for data" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// watchdog cancels an attempt that makes no progress for too long.
type watchdog struct {
	ctx    context.Context // context of the attempt
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func watch(ctx context.Context, d time.Duration) *watchdog {
	w := &watchdog{}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(d, func() { w.cancel(errStalled) })
	return w
}

// await cancels the attempt after d unless it is called again.
func (w *watchdog) await(d time.Duration) { w.timer.Reset(d) }

// pause stops the clock until await is called.
func (w *watchdog) pause() { w.timer.Stop() }

// end releases the watchdog.
func (w *watchdog) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// watchedBody is a response body whose reads are limited in time. The time between reads is not limited.
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
