package service_test

import (
	"path"
	"testing"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/token"
	"sluice/sluicetest"
)

// TestLinkURLsThatLive derives URLs that were given out before tokens had kinds, and opens them. More of them are in
// the tests of package token.
func TestLinkURLsThatLive(t *testing.T) {
	for _, c := range []struct {
		key, signing, account, link string
		mode                        sluice.Mode
		token                       string
	}{
		{
			key: "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", signing: "b93f4d93",
			account: "acct_01081g81860w40j2gb1g6gw3rg", link: "link_0g1w70t30b184gg1r60m2060g1", mode: sluice.Test,
			token: "AQC5P02TAQIDBAUGBwgJCgsMDQ4PEBAPDg0MCwoJCAcGBQQDAgHOY4H2nbDBXmrkGclYYQBS",
		},
		{
			key: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", signing: "01e31060",
			account: "acct_014s5q15dtvw22jkkkk2yy41sc", link: "link_05c2xhcwec4y1dte4kxs4t9ztt", mode: sluice.Live,
			token: "AQEB4xBgASZLcJW63wQpTnOYveIHLAVguxZxzCeC3TiT7kmk_1pXElUVtbFMDcX20kr22ZCr",
		},
	} {
		key, err := token.ParseKey(c.key)
		if err != nil {
			t.Fatal(err)
		}
		base := sluicetest.NewService(t)
		s, err := service.New(service.Config{
			Store: base.Store, Blobs: base.Blobs, SigningKeys: []token.Key{key}, PublicURL: "https://files.example.com",
		})
		if err != nil {
			t.Fatal(err)
		}
		l := sluice.Link{ID: c.link, Ledger: sluice.LedgerID{Account: c.account, Mode: c.mode}, SigningKey: c.signing}
		if u, err := s.Links.URL(l); err != nil || u != "https://files.example.com/l/"+c.token {
			t.Errorf("the URL of %s is %s, %v, want the token %s", c.link, u, err, c.token)
		}
		for range 2 { // the second time it is known
			if ledger, id, ok := s.Links.OpenToken(c.token); !ok || ledger != l.Ledger || id != l.ID {
				t.Errorf("%s opens %v %s %v, want %v %s", c.token, ledger, id, ok, l.Ledger, l.ID)
			}
		}
		for i := range len(c.token) { // a known token opens nothing for one that is almost the same
			other := []byte(c.token)
			other[i] ^= 1
			if ledger, id, ok := s.Links.OpenToken(string(other)); ok {
				t.Errorf("%s opens %v %s", other, ledger, id)
			}
		}
	}
}

// TestLinkURLWithoutID refuses ids that no token can name.
func TestLinkURLWithoutID(t *testing.T) {
	s := sluicetest.NewService(t)
	account := s.Ledger(sluice.Live).Account
	for _, l := range []sluice.Link{
		{ID: "link_1", Ledger: sluice.LedgerID{Account: account, Mode: sluice.Live}},
		{ID: "link_01arz3ndektsv4rrffq69g5fav", Ledger: sluice.LedgerID{Account: "acct_1", Mode: sluice.Live}},
	} {
		if u, err := s.Links.URL(l); err == nil || u != "" {
			t.Errorf("link %q of account %q has the URL %q", l.ID, l.Ledger.Account, u)
		}
	}
}

// BenchmarkOpenToken opens a token that was opened before, and others in turn.
func BenchmarkOpenToken(b *testing.B) {
	s := sluicetest.NewService(b)
	tokens := make([]string, 1<<14)
	for i := range tokens {
		account, link := s.Ledger(sluice.Live).Account, s.NewRequestID()
		u, err := s.Links.URL(sluice.Link{
			ID: sluice.PrefixLink + link[len(link)-26:], Ledger: sluice.LedgerID{Account: account, Mode: sluice.Live},
		})
		if err != nil {
			b.Fatal(err)
		}
		tokens[i] = path.Base(u)
	}
	for name, n := range map[string]int{"known": 1, "new": len(tokens)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if _, _, ok := s.Links.OpenToken(tokens[i%n]); !ok {
					b.Fatal("an authentic token opens nothing")
				}
			}
		})
	}
}
