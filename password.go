package sluice

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
)

// PasswordHash is an argon2id hash (RFC 9106) with its salt and parameters, in
// the PHC string form. It is a string that must not be shown.
type PasswordHash string

// String hides the hash from logs.
func (PasswordHash) String() string { return "(password)" }

// Parameters of argon2id: what OWASP's password storage cheat sheet names as
// its first choice, 19 MiB and two passes.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSaltLen = 16
	argonKeyLen  = 32

	// MinPasswordLen and MaxPasswordLen bound a link's password, in characters.
	MinPasswordLen = 4
	MaxPasswordLen = 200
)

func validatePassword(v *Invalid, password string) {
	if password == "" {
		return
	}
	validateText(v, "password", password, MaxPasswordLen)
	if len([]rune(password)) < MinPasswordLen {
		v.Add("password", "out_of_range", "a password has at least %d characters", MinPasswordLen)
	}
}

// argonSlots bounds how many passwords are hashed at once, and with it memory.
var argonSlots = make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))

// argon hashes a password when a slot is free, unless ctx ends first.
func argon(ctx context.Context, password string, salt []byte) ([]byte, error) {
	select {
	case argonSlots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-argonSlots }()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKeyLen), nil
}

func hashPassword(ctx context.Context, random io.Reader, password string) (PasswordHash, error) {
	salt := make([]byte, argonSaltLen)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", err
	}
	hash, err := argon(ctx, password, salt)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return PasswordHash(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, argonMemory, argonTime, argonThreads, b64(salt), b64(hash))), nil
}

// matches reports whether a password is the one that was hashed. The error is
// that of ctx, when it ended before.
func (h PasswordHash) matches(ctx context.Context, password string) (bool, error) {
	var version, memory, passes, threads int
	var rest string
	n, err := fmt.Sscanf(string(h), "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", &version, &memory, &passes, &threads, &rest)
	if err != nil || n != 5 || version != argon2.Version || memory != argonMemory || passes != argonTime || threads != argonThreads {
		return false, nil
	}
	const saltText = (argonSaltLen*8 + 5) / 6
	if len(rest) < saltText+1 {
		return false, nil
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(rest[:saltText])
	want, err2 := base64.RawStdEncoding.DecodeString(rest[saltText+1:])
	if err1 != nil || err2 != nil || len(want) != argonKeyLen {
		return false, nil
	}
	hash, err := argon(ctx, password, salt)
	return err == nil && subtle.ConstantTimeCompare(hash, want) == 1, err
}

// Guesses at one link's password: a few at once, then one in ten seconds.
const (
	guessBurst   = 10
	guessEvery   = 10 * time.Second
	guardedLinks = 10_000
)

// passwordGuard limits how often a link's password may be guessed wrongly. It
// forgets everything when it has grown too large, which a guesser pays for
// with as many links as it holds. Its zero value is ready.
type passwordGuard struct {
	mu    sync.Mutex
	links map[string]*guesses
}

// guesses is a bucket that fills by one guess every guessEvery.
type guesses struct {
	left float64
	at   time.Time
}

// take takes one guess out of a link's bucket before the guess is checked, so
// that guesses made at once are counted too; false when there is none left.
func (g *passwordGuard) take(link string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.links[link]
	if b == nil {
		if g.links == nil || len(g.links) >= guardedLinks {
			g.links = map[string]*guesses{}
		}
		b = &guesses{left: guessBurst, at: now}
		g.links[link] = b
	}
	b.left = min(guessBurst, b.left+max(0, now.Sub(b.at)).Seconds()/guessEvery.Seconds())
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// giveBack undoes a take: the guess was right.
func (g *passwordGuard) giveBack(link string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if b := g.links[link]; b != nil {
		b.left = min(guessBurst, b.left+1)
	}
}
