package gate

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
	"unicode/utf8"

	"sluice"
	"sluice/internal/password"
	"sluice/internal/service"
)

// wrongPassword stands for a wrong password. It is not a hash.
const wrongPassword sluice.PasswordHash = "wrong"

// provePassword returns the link's hash if the password is right, and otherwise
// wrongPassword, after counting the guess. Too many guesses are CodeRateLimited;
// those are neither checked nor recorded.
func (gate *Gate) provePassword(ctx context.Context, l sluice.Link, b Bearer) (sluice.PasswordHash, error) {
	if b.Password == "" {
		return wrongPassword, nil
	}
	from := guesser(l.ID, b.Address)
	release, err := gate.guessing.acquire(ctx, from)
	if err != nil {
		return "", err
	}
	defer release()
	var before time.Duration
	err = gate.store.View(ctx, func(r service.Reader) error {
		now := gate.service.Now()
		address, all, err := guesses(r, l, from, now)
		before = wait(address, all, now)
		return err
	})
	if err != nil {
		return "", err
	}
	if before > 0 {
		return "", &sluice.Error{Code: sluice.CodeRateLimited, Detail: "too many wrong passwords", RetryAfter: before}
	}
	right := false
	if len(b.Password) <= service.MaxPasswordLen*utf8.UTFMax {
		if right, err = password.Matches(ctx, l.Password, b.Password); err != nil {
			return "", err
		}
	}
	if right {
		return l.Password, nil
	}
	return wrongPassword, gate.countGuess(ctx, l, from)
}

// Limits of wrong passwords for one link and UTC day. The counts are in the
// database, so they survive restarts and hold for all servers.
const (
	// An address has guessBurst guesses at once, then one every guessEvery, up to
	// guessesOfAddress a day.
	guessBurst       = 10
	guessEvery       = 10 * time.Minute
	guessesOfAddress = 30
	// All addresses together have guessesOfLink guesses a day. Beyond that, an
	// address without a wrong guess on that day has one guess.
	guessesOfLink = 3000
)

// guesser returns a hash that identifies the source of a guess: an IPv4 address,
// or the /64 network of an IPv6 address.
func guesser(link string, from netip.Addr) sluice.Digest {
	return sha256.Sum256([]byte("guess\x00" + link + "\x00" + service.NetworkOf(from).String()))
}

// wait returns how long the next guess has to wait, or 0.
func wait(address, all service.Guesses, now time.Time) time.Duration {
	rest := address.Day.Add(24 * time.Hour).Sub(now)
	switch {
	case address.N >= guessesOfAddress, all.N >= guessesOfLink && address.N > 0:
		return max(rest, time.Second)
	case address.N >= guessBurst:
		return min(max(0, guessEvery-now.Sub(address.Last)), max(rest, time.Second))
	}
	return 0
}

// guesses returns the wrong guesses for a link on the day of now, from one address
// and from all.
func guesses(
	r service.Reader, l sluice.Link, from sluice.Digest, now time.Time,
) (address, all service.Guesses, err error) {
	day := service.GuessDay(now)
	if address, err = r.Guesses(l.Ledger, l.ID, from, day); err == nil {
		all, err = r.Guesses(l.Ledger, l.ID, sluice.Digest{}, day)
	}
	return address, all, err
}

// countGuess counts a wrong guess, before the client learns that it was wrong.
func (gate *Gate) countGuess(ctx context.Context, l sluice.Link, from sluice.Digest) error {
	return gate.update(ctx, l.Ledger, func(tx service.Tx) error {
		now := gate.service.Now()
		address, all, err := guesses(tx, l, from, now)
		if err != nil {
			return err
		}
		for _, g := range []service.Guesses{address, all} {
			g.N, g.Last = g.N+1, now
			if err := tx.SetGuesses(g); err != nil {
				return err
			}
		}
		return nil
	})
}

// guessing serialises the guesses of each source at each link, so that every
// guess takes the earlier ones into account. The zero value is ready to use.
type guessing struct {
	mu    sync.Mutex
	locks map[sluice.Digest]*guessLock
}

type guessLock struct {
	free  chan struct{} // contains a value while the lock is free
	users int           // goroutines that hold the lock or wait for it
}

// acquire waits for the lock of a source and returns the function that releases it.
func (g *guessing) acquire(ctx context.Context, from sluice.Digest) (release func(), err error) {
	g.mu.Lock()
	lock := g.locks[from]
	if lock == nil {
		if g.locks == nil {
			g.locks = map[sluice.Digest]*guessLock{}
		}
		lock = &guessLock{free: make(chan struct{}, 1)}
		lock.free <- struct{}{}
		g.locks[from] = lock
	}
	lock.users++
	g.mu.Unlock()
	leave := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if lock.users--; lock.users == 0 {
			delete(g.locks, from)
		}
	}
	select {
	case <-lock.free:
		return func() { lock.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
