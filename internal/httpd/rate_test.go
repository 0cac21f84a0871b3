package httpd_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/server"
	"sluice/sluicetest"
)

var rateHeaders = []string{"RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining",
	"X-RateLimit-Reset"}

func (a answer) rates() (all []string) {
	for _, name := range rateHeaders {
		all = append(all, a.header.Get(name))
	}
	return all
}

// TestRateLimit uses a key with limits of 3 requests a second and 5 a minute.
func TestRateLimit(t *testing.T) {
	c := newLimited(t, 3, 5)
	now := c.Clock.Now().Unix()
	const policy = `"second";q=3;w=1, "minute";q=5;w=60`
	for _, test := range []struct {
		name             string
		wait             time.Duration
		status           int
		left             string // RateLimit
		limit, remaining int
		reset            int64 // from now
		retry            int
	}{
		{"the first", 0, 200, `"second";r=2;t=1, "minute";r=4;t=12`, 3, 2, 2, 0},
		{"the second", 0, 200, `"second";r=1;t=1, "minute";r=3;t=24`, 3, 1, 2, 0},
		{"the third", 0, 200, `"second";r=0;t=1, "minute";r=2;t=36`, 3, 0, 2, 0},
		{"one too many in a second", 0, 429, `"second";r=0;t=1, "minute";r=2;t=36`, 3, 0, 2, 1},
		{"and still", 0, 429, `"second";r=0;t=1, "minute";r=2;t=36`, 3, 0, 2, 1},
		{"a second later", time.Second, 200, `"second";r=2;t=1, "minute";r=1;t=47`, 5, 1, 49, 0},
		{"the fifth", 0, 200, `"second";r=1;t=1, "minute";r=0;t=59`, 5, 0, 61, 0},
		{"one too many in a minute", 0, 429, `"second";r=1;t=1, "minute";r=0;t=59`, 5, 0, 61, 11},
		{"when a minute's fifth has passed", 11 * time.Second, 200, `"second";r=2;t=1, "minute";r=0;t=60`, 5, 0, 73, 0},
		{"when a minute has passed", time.Minute, 200, `"second";r=2;t=1, "minute";r=4;t=12`, 3, 2, 74, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.Clock.Advance(test.wait)
			a := c.ask(t, "GET", "/v1/files", "").want(t, test.status)
			want := []string{policy, test.left, strconv.Itoa(test.limit), strconv.Itoa(test.remaining),
				strconv.FormatInt(now+test.reset, 10)}
			if got := a.rates(); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%q, want %q", got, want)
			}
			if test.retry == 0 {
				return
			}
			p := c.problem(t, a, sluice.CodeRateLimited)
			if a.header.Get("Retry-After") != strconv.Itoa(test.retry) || p.RetryAfter != int64(test.retry) {
				t.Errorf("Retry-After %q, retry_after %d, want %d", a.header.Get("Retry-After"), p.RetryAfter, test.retry)
			}
		})
	}
}

func TestRateLimitIsPerKey(t *testing.T) {
	c := newLimited(t, 1, 0)
	_, another := c.NewKey(t, c.Ledger(sluice.Test))
	_, live := c.NewKey(t, c.Ledger(sluice.Live))
	c.ask(t, "GET", "/v1/files", "").want(t, 200)
	c.ask(t, "GET", "/v1/files", "").want(t, 429)
	c.as(another).ask(t, "GET", "/v1/files", "").want(t, 200)
	t.Run("a mode without a rate has no limit", func(t *testing.T) {
		for range 3 {
			if got := c.as(live).ask(t, "GET", "/v1/files", "").want(t, 200).rates(); strings.Join(got, "") != "" {
				t.Errorf("%q", got)
			}
		}
	})
	t.Run("without a key there is no limit, and no word of one", func(t *testing.T) {
		for range 3 {
			if got := c.as("sk_test_x").ask(t, "GET", "/v1/files", "").want(t, 401).rates(); strings.Join(got, "") != "" {
				t.Errorf("%q", got)
			}
		}
	})
	t.Run("downloads have none", func(t *testing.T) {
		f := c.as(live).upload(t, "a.txt", "text/plain", "hello")
		l := c.as(live).mint(t, f.ID, "")
		for range 3 {
			c.get(t, l.URL).want(t, 200)
		}
	})
}

// TestRateHeadersOnEveryAnswer calls every route, also with requests that are refused.
func TestRateHeadersOnEveryAnswer(t *testing.T) {
	c := newLimited(t, 100_000, 1_000_000)
	_, none := c.NewKey(t, c.Ledger(sluice.Test), sluice.LinksRead)
	limited := func(t *testing.T, a answer) {
		t.Helper()
		for i, value := range a.rates() {
			if value == "" {
				t.Errorf("status %d without %s", a.status, rateHeaders[i])
			}
		}
		if got := a.header.Get("Sluice-Version"); got != sluice.APIVersion {
			t.Errorf("status %d, Sluice-Version %q", a.status, got)
		}
	}
	for _, rt := range server.Routes() {
		if rt.Scope == httpd.Public {
			continue
		}
		t.Run(rt.Operation, func(t *testing.T) {
			o := c.objects(t)
			limited(t, c.as(none).call(t, rt, o))
			limited(t, c.call(t, rt, o, "Sluice-Version", "1999-01-01").want(t, 400))
			limited(t, c.call(t, rt, o))
		})
	}
}

// TestDefaultRates compares the default rates with the documented ones.
func TestDefaultRates(t *testing.T) {
	c := newDefault(t)
	_, live := c.NewKey(t, c.Ledger(sluice.Live))
	for secret, want := range map[string]string{
		c.secret: `"second";q=25;w=1, "minute";q=500;w=60`,
		live:     `"second";q=100;w=1, "minute";q=1000;w=60`,
	} {
		if got := c.as(secret).ask(t, "GET", "/v1/account", "").want(t, 200).header.Get("RateLimit-Policy"); got != want {
			t.Errorf("RateLimit-Policy %q, want %q", got, want)
		}
	}
}

func newDefault(t *testing.T) client {
	t.Helper()
	s := sluicetest.NewServer(t, func(o *server.Options) { o.Rates = nil })
	return client{s, s.Secret}
}

// TestRateLimitAtOnce sends requests from many goroutines: no key gets more than its limit.
func TestRateLimitAtOnce(t *testing.T) {
	c := newLimited(t, 10, 0)
	var granted, refused atomic.Int32
	var clients sync.WaitGroup
	for range 40 {
		clients.Go(func() {
			switch a := c.ask(t, "GET", "/v1/account", ""); a.status {
			case http.StatusOK:
				granted.Add(1)
			case http.StatusTooManyRequests:
				refused.Add(1)
			default:
				t.Errorf("status %d", a.status)
			}
		})
	}
	clients.Wait()
	if granted.Load() != 10 || refused.Load() != 30 {
		t.Errorf("%d granted and %d refused", granted.Load(), refused.Load())
	}
}

// TestRateMemory counts more keys than a limiter holds. Its memory is bounded, and a key that keeps sending requests
// stays limited.
func TestRateMemory(t *testing.T) {
	l := httpd.NewLimiter(map[sluice.Mode]httpd.Rate{sluice.Test: {PerSecond: 2}})
	now := sluicetest.NewClock().Now()
	key := func(i int) sluice.Key {
		return sluice.Key{ID: fmt.Sprint("key_", i), Ledger: sluice.LedgerID{Mode: sluice.Test}}
	}
	busy := 0
	for i := range 4 * httpd.MaxCounted {
		l.Take(key(i+1), now)
		if i%(httpd.MaxCounted/4) == 0 && l.Take(key(0), now) {
			busy++
		}
		if n := l.Len(); n > 2*httpd.MaxCounted {
			t.Fatalf("%d keys are counted", n)
		}
	}
	if busy != 2 {
		t.Errorf("a busy key made %d requests, and may make 2", busy)
	}
	// Keys without requests for a while are forgotten.
	l.Take(key(1), now.Add(time.Minute))
	l.Take(key(1), now.Add(2*time.Minute))
	if n := l.Len(); n != 2 {
		t.Errorf("%d keys are counted, want one of each turn", n)
	}
}
