package console

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sluice"
	"sluice/internal/service"
)

// How often people of one network may try to sign in. A token and the secret of a key cannot be guessed; the limit
// keeps tries cheap for the server, and its log short.
const (
	triesAtOnce = 20
	triesEvery  = 3 * time.Second // after that
	// maxNetworks limits how many networks are counted in one turn, which lasts until all buckets of the turn before
	// are full again. Beyond it, the networks that were seen longest ago start again.
	maxNetworks = 10_000
	triesTurn   = triesAtOnce * triesEvery
)

// tries counts how often the networks tried to sign in, in this process. It is safe for concurrent use.
type tries struct {
	now          func() time.Time
	mu           sync.Mutex
	turned       time.Time
	this, before map[netip.Prefix]*rate.Limiter
}

// take counts one try from an address. It is CodeRateLimited if there were too many.
func (t *tries) take(from netip.Addr) error {
	network, now := service.NetworkOf(from), t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if since := now.Sub(t.turned); since < 0 || since >= triesTurn || len(t.this) >= maxNetworks {
		t.before, t.this, t.turned = t.this, map[netip.Prefix]*rate.Limiter{}, now
	}
	bucket := t.this[network]
	if bucket == nil {
		if bucket = t.before[network]; bucket == nil {
			bucket = rate.NewLimiter(rate.Every(triesEvery), triesAtOnce)
		}
		t.this[network] = bucket
	}
	if bucket.AllowN(now, 1) {
		return nil
	}
	return &sluice.Error{
		Code: sluice.CodeRateLimited, RetryAfter: triesEvery,
		Detail: "there were too many tries to sign in from this network; wait a moment",
	}
}
