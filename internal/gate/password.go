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

// wrongPassword is no hash of anything.
const wrongPassword sluice.PasswordHash = "wrong"

// provePassword gives the link's own hash for the right password, and
// wrongPassword for any other, which is counted then. Guessing too often is
// CodeRateLimited, and is neither checked nor recorded.
func (gate *Gate) provePassword(ctx context.Context, l sluice.Link, b Bearer) (sluice.PasswordHash, error) {
	if b.Password == "" {
		return wrongPassword, nil
	}
	from := guesser(l.ID, b.Address)
	end, err := gate.guessing.take(ctx, from)
	if err != nil {
		return "", err
	}
	defer end()
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

// Wrong guesses at one link's password are counted for a day of UTC, in the
// database: a restart or another server forgets none.
const (
	// guessBurst are at once from one address, guessEvery is between those that
	// follow, and guessesOfAddress are all of a day.
	guessBurst       = 10
	guessEvery       = 10 * time.Minute
	guessesOfAddress = 30
	// guessesOfLink are those of a day from all addresses together. Beyond it an
	// address that has not guessed wrongly on that day has one guess.
	guessesOfLink = 3000
)

// guesser names where a guess comes from without keeping it: an IPv4 address,
// or the /64 of an IPv6 address.
func guesser(link string, from netip.Addr) sluice.Digest {
	from = from.Unmap().WithZone("")
	bits := 64
	if from.Is4() {
		bits = 32
	}
	network, _ := from.Prefix(bits)
	return sha256.Sum256([]byte("guess\x00" + link + "\x00" + network.String()))
}

// wait is how long a guess has to wait now; 0 when it may be made.
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

// guesses reads what was guessed wrongly at a link on the day of now.
func guesses(
	r service.Reader, l sluice.Link, from sluice.Digest, now time.Time,
) (address, all service.Guesses, err error) {
	day := service.GuessDay(now)
	if address, err = r.Guesses(l.Ledger, l.ID, from, day); err == nil {
		all, err = r.Guesses(l.Ledger, l.ID, sluice.Digest{}, day)
	}
	return address, all, err
}

// countGuess counts a wrong guess, before its guesser learns that it was wrong.
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

// guessing lets the guesses of one address at one link be checked one after the
// other, so that each knows of those before, and right ones cost nothing. The
// zero value is ready.
type guessing struct {
	mu    sync.Mutex
	turns map[sluice.Digest]*guessTurn
}

type guessTurn struct {
	free chan struct{} // holds one while nobody has the turn
	want int           // who have it or wait for it
}

// take waits for the turn of a guesser, and gives what ends it.
func (g *guessing) take(ctx context.Context, from sluice.Digest) (end func(), err error) {
	g.mu.Lock()
	turn := g.turns[from]
	if turn == nil {
		if g.turns == nil {
			g.turns = map[sluice.Digest]*guessTurn{}
		}
		turn = &guessTurn{free: make(chan struct{}, 1)}
		turn.free <- struct{}{}
		g.turns[from] = turn
	}
	turn.want++
	g.mu.Unlock()
	leave := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if turn.want--; turn.want == 0 {
			delete(g.turns, from)
		}
	}
	select {
	case <-turn.free:
		return func() { turn.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
