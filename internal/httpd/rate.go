package httpd

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sluice"
)

// Rate limits the requests of a key; 0 is no limit.
type Rate struct {
	PerSecond int
	PerMinute int
}

// DefaultRates are the limits when Options has none. Live keys have room for bursts; test keys have less, so that a
// program that runs away is noticed early.
func DefaultRates() map[sluice.Mode]Rate {
	return map[sluice.Mode]Rate{
		sluice.Live: {PerSecond: 100, PerMinute: 1000},
		sluice.Test: {PerSecond: 25, PerMinute: 500},
	}
}

// maxCounted limits how many keys are counted in one turn. Beyond it, the keys seen longest ago start with full
// buckets.
const maxCounted = 50_000

// countFor is the least time that a key is counted after its last request: until its buckets are full again.
const countFor = time.Minute

// limiter counts the requests of each key in token buckets, one for each window. It keeps the keys of two turns, so
// its memory is bounded. A key that it forgets has full buckets by then.
type limiter struct {
	rates  map[sluice.Mode]Rate
	policy map[sluice.Mode]string // RateLimit-Policy

	mu           sync.Mutex
	turned       time.Time
	this, before map[string][]window
}

// window is one limit of one key.
type window struct {
	name   string
	bucket *rate.Limiter
	length time.Duration
}

func newLimiter(rates map[sluice.Mode]Rate) *limiter {
	l := &limiter{rates: rates, policy: map[sluice.Mode]string{}, this: map[string][]window{}}
	for mode, r := range rates {
		var policies []string
		for _, w := range r.windows() {
			policies = append(policies, fmt.Sprintf("%q;q=%d;w=%d", w.name, w.bucket.Burst(), int(w.length.Seconds())))
		}
		l.policy[mode] = strings.Join(policies, ", ")
	}
	return l
}

func (r Rate) windows() (list []window) {
	for _, w := range []struct {
		name   string
		quota  int
		length time.Duration
	}{{"second", r.PerSecond, time.Second}, {"minute", r.PerMinute, time.Minute}} {
		if w.quota > 0 {
			bucket := rate.NewLimiter(rate.Limit(float64(w.quota)/w.length.Seconds()), w.quota)
			list = append(list, window{w.name, bucket, w.length})
		}
	}
	return list
}

// allowance is what remains of one window.
type allowance struct {
	name          string
	quota, left   int
	full, onemore time.Duration // until all requests are available again; until one is
}

// take counts one request of a key, and returns what remains of each window. When one is used up, it counts nothing
// and ok is false.
func (l *limiter) take(k sluice.Key, now time.Time) (left []allowance, ok bool) {
	if l.policy[k.Ledger.Mode] == "" {
		return nil, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	windows := l.of(k, now)
	ok = true
	for _, w := range windows {
		ok = ok && w.bucket.TokensAt(now) >= 1
	}
	for _, w := range windows {
		if ok {
			w.bucket.AllowN(now, 1)
		}
		tokens := max(0, w.bucket.TokensAt(now))
		quota := w.bucket.Burst()
		after := func(missing float64) time.Duration {
			return time.Duration(math.Ceil(max(0, missing) / float64(w.bucket.Limit()) * float64(time.Second)))
		}
		left = append(left, allowance{w.name, quota, int(tokens), after(float64(quota) - tokens), after(1 - tokens)})
	}
	return left, ok
}

// of returns the windows of a key, and keeps them for one more turn.
func (l *limiter) of(k sluice.Key, now time.Time) []window {
	if now.Sub(l.turned) >= countFor || len(l.this) >= maxCounted {
		l.before, l.this, l.turned = l.this, map[string][]window{}, now
	}
	windows, seen := l.this[k.ID]
	if !seen {
		if windows, seen = l.before[k.ID]; !seen {
			windows = l.rates[k.Ledger.Mode].windows()
		}
		l.this[k.ID] = windows
	}
	return windows
}

// Limit counts a request of the caller on a face that does not use Handle: see Options.Rates.
func (c *Call) Limit() error { return c.limit() }

// limit counts the request of the caller and reports what remains: RateLimit-Policy and RateLimit
// (draft-ietf-httpapi-ratelimit-headers-10) for every window, X-RateLimit for the window with the least left, with its
// reset in Unix seconds.
func (c *Call) limit() error {
	now := c.server.svc.Now()
	key, detail := c.Caller.Key, "this API key has made too many requests"
	if key.ID == "" { // a person is counted by the session
		key, detail = sluice.Key{ID: c.Caller.Session.ID, Ledger: c.Caller.Ledger}, "you have made too many requests"
	}
	left, ok := c.server.limiter.take(key, now)
	if len(left) == 0 {
		return nil
	}
	var parts []string
	least, wait := left[0], time.Duration(0)
	for _, a := range left {
		parts = append(parts, fmt.Sprintf("%q;r=%d;t=%d", a.name, a.left, wholeSeconds(a.full)))
		wait = max(wait, a.onemore)
		if a.left < least.left {
			least = a
		}
	}
	c.Header.Set("RateLimit-Policy", c.server.limiter.policy[c.Caller.Ledger.Mode])
	c.Header.Set("RateLimit", strings.Join(parts, ", "))
	c.Header.Set("X-RateLimit-Limit", strconv.Itoa(least.quota))
	c.Header.Set("X-RateLimit-Remaining", strconv.Itoa(least.left))
	c.Header.Set("X-RateLimit-Reset", strconv.FormatInt(now.Add(least.full+time.Second-1).Unix(), 10))
	if !ok {
		return &sluice.Error{
			Code: sluice.CodeRateLimited, Detail: detail, RetryAfter: wait,
		}
	}
	return nil
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
