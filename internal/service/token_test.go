package service

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/objectid"
)

func newTestLink(t testing.TB, ring keyring) (sluice.Link, string) {
	t.Helper()
	make := objectid.NewSource(rand.Reader).New
	now := time.Now()
	l := sluice.Link{
		ID:         make(sluice.PrefixLink, now),
		Ledger:     sluice.LedgerID{Account: make(sluice.PrefixAccount, now), Mode: sluice.Live},
		SigningKey: ring[0].ID(),
	}
	token, err := ring.token(l)
	if err != nil {
		t.Fatal(err)
	}
	return l, token
}

func newTestKey(t testing.TB) SigningKey {
	t.Helper()
	k, err := NewSigningKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTokenOpensWhatItWasMadeFor(t *testing.T) {
	ring := keyring{newTestKey(t)}
	l, token := newTestLink(t, ring)
	if len(token) != TokenLen {
		t.Errorf("token has %d characters, want %d", len(token), TokenLen)
	}
	ledger, id, ok := ring.open(token)
	if !ok || ledger != l.Ledger || id != l.ID {
		t.Errorf("open gave %v %v %v, want %v %v", ledger, id, ok, l.Ledger, l.ID)
	}
}

func TestTokenOutlivesRotation(t *testing.T) {
	old, young := newTestKey(t), newTestKey(t)
	l, token := newTestLink(t, keyring{old})
	rotated := keyring{young, old}
	if _, _, ok := rotated.open(token); !ok {
		t.Error("a token of the second signing key is refused")
	}
	if again, _ := rotated.token(l); again != token {
		t.Error("the URL of a link changed when a signing key was added")
	}
	if _, _, ok := (keyring{young}).open(token); ok {
		t.Error("a token of a retired signing key is accepted")
	}
	if again, _ := (keyring{young}).token(l); again == token || again == "" {
		t.Error("a link of a retired signing key got no token of the first one")
	}
}

// Every character of the alphabet in every place, every length, and the other
// mode: only the token itself is authentic.
func TestTokenForgeries(t *testing.T) {
	ring := keyring{newTestKey(t)}
	_, token := newTestLink(t, ring)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/.\n "
	for i := range token {
		for _, c := range []byte(alphabet) {
			forged := token[:i] + string(c) + token[i+1:]
			if _, _, ok := ring.open(forged); ok && forged != token {
				t.Fatalf("character %d changed to %q is accepted", i, c)
			}
		}
		if _, _, ok := ring.open(token[:i]); ok {
			t.Fatalf("the first %d characters are accepted", i)
		}
	}
	for _, forged := range []string{token + "A", token + "=", "A" + token, strings.ToLower(token), strings.Repeat("A", TokenLen)} {
		if _, _, ok := ring.open(forged); ok {
			t.Errorf("%q is accepted", forged)
		}
	}
}

func FuzzTokenOpen(f *testing.F) {
	key := signingKey([32]byte(bytes.Repeat([]byte{7}, 32)))
	ring := keyring{key}
	_, token := newTestLink(f, ring)
	f.Add(token)
	f.Add("")
	f.Add(strings.Repeat("_", TokenLen))
	f.Fuzz(func(t *testing.T, text string) {
		ledger, id, ok := ring.open(text)
		if !ok {
			return
		}
		again, err := ring.token(sluice.Link{ID: id, Ledger: ledger, SigningKey: key.ID()})
		if err != nil || again != text {
			t.Fatalf("%q is accepted, and is not the token of %v %s", text, ledger, id)
		}
	})
}

func BenchmarkTokenOpen(b *testing.B) {
	ring := keyring{newTestKey(b), newTestKey(b)}
	_, token := newTestLink(b, ring)
	forged := token[:TokenLen-1] + "A"
	if forged == token {
		forged = token[:TokenLen-1] + "B"
	}
	for _, c := range []struct{ name, token string }{{"authentic", token}, {"forged", forged}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ring.open(c.token)
			}
		})
	}
}

func TestKeySecret(t *testing.T) {
	for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
		secret, err := newKeySecret(rand.Reader, m)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(secret, "sk_"+string(m)+"_") {
			t.Errorf("secret of mode %s begins %q", m, secret[:8])
		}
		if _, ok := hashKeySecret(secret); !ok {
			t.Errorf("%q is refused", secret)
		}
		for i := range secret {
			mistyped := secret[:i] + "7" + secret[i+1:]
			if _, ok := hashKeySecret(mistyped); ok && mistyped != secret {
				t.Errorf("character %d mistyped is taken for a secret", i)
			}
		}
	}
}
