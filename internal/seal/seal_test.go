package seal_test

import (
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	"sluice"
	"sluice/internal/seal"
	"sluice/internal/token"
)

func sample(t testing.TB) (one, both *seal.Seals, k sluice.Key, l sluice.Link) {
	var keys token.Keyring
	for range 2 {
		key, err := token.NewKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	at := time.Date(2026, 11, 28, 12, 0, 0, 1000, time.UTC)
	ledger := sluice.LedgerID{Account: "acct_01m802dp1929wp4hw9pkx01jmd", Mode: sluice.Live}
	k = sluice.Key{ID: "key_01m802dp1929wp4hw9pkx01jmd", Ledger: ledger, Hash: sluice.Digest{1},
		Scopes: sluice.AllScopes(), Created: at, Version: sluice.APIVersion}
	l = sluice.Link{ID: "link_01m802dp1929wp4hw9pkx01jmd", Ledger: ledger, FileID: "file_01m802dp1929wp4hw9pkx01jmd",
		KeyID: k.ID, SigningKey: "0011aabb", Created: at, Expires: at.Add(time.Hour), MaxDownloads: 3,
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Disposition: sluice.Attachment}
	return seal.New(keys[1:], true), seal.New(keys, true), k, l
}

// A seal of any signing key fits, one of another key, of another row or of nobody does not, and a revoked row has none.
func TestSeals(t *testing.T) {
	one, both, k, l := sample(t)
	k.Seal, l.Seal = one.Key(k), one.Link(l)
	if !one.TrustsKey(k) || !both.TrustsKey(k) || !one.TrustsLink(l) || !both.TrustsLink(l) {
		t.Error("a seal does not fit")
	}
	k.Seal, l.Seal = both.Key(k), both.Link(l) // of the first of both
	if one.TrustsKey(k) || one.TrustsLink(l) {
		t.Error("the seal of another signing key fits")
	}
	if !both.TrustsLink(l) {
		t.Error("a seal does not fit")
	}
	moved := l // its seal is known to fit another row
	moved.Ledger.Mode = sluice.Test
	if both.TrustsLink(moved) {
		t.Error("the seal of another mode fits")
	}
	moved = l
	moved.Seal = sluice.Digest(k.Seal)
	if both.TrustsLink(moved) {
		t.Error("the seal of a key fits a link")
	}
	split := k
	split.Scopes = []sluice.Scope{"files:read files:content"}
	if both.Key(split) == both.Key(k) {
		t.Error("two scopes are one")
	}
	k.Seal, l.Seal = sluice.Digest{}, sluice.Digest{}
	if both.TrustsKey(k) || both.TrustsLink(l) || both.KeyFits(k) {
		t.Error("a row without a seal is trusted")
	}
	if optional := seal.New(nil, false); !optional.TrustsKey(k) || !optional.TrustsLink(l) {
		t.Error("where none is required, a row without a seal is not trusted")
	}
	k.Revoked, l.Revoked = k.Created, l.Created
	if both.Key(k) != (sluice.Digest{}) || both.Link(l) != (sluice.Digest{}) || !both.TrustsKey(k) || !both.TrustsLink(l) {
		t.Error("a revoked row has a seal")
	}
}

func BenchmarkCheck(b *testing.B) {
	_, both, k, l := sample(b)
	k.Seal, l.Seal = both.Key(k), both.Link(l)
	b.Run("key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			both.TrustsKey(k)
		}
	})
	b.Run("link", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			both.TrustsLink(l)
		}
	})
}
