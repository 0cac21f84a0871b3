package gate_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/service"
	"sluice/internal/token"
)

// Every rule of redemption refuses and leaves its entry.
func TestRedemption(t *testing.T) {
	for _, c := range []struct {
		name   string
		end    func(*fixture, sluice.File, sluice.Link) error
		reason sluice.Refusal
	}{
		{"valid", nil, ""},
		{"a moment before it expires", func(f *fixture, _ sluice.File, l sluice.Link) error {
			f.base.Clock.Advance(time.Hour - time.Microsecond)
			return nil
		}, ""},
		{"expired", func(f *fixture, _ sluice.File, l sluice.Link) error {
			f.base.Clock.Advance(time.Hour)
			return nil
		}, sluice.Expired},
		{"revoked", func(f *fixture, _ sluice.File, l sluice.Link) error {
			_, err := f.Links.Revoke(ctx, f.caller, "", l.ID, nil)
			return err
		}, sluice.Revoked},
		{"file deleted", func(f *fixture, file sluice.File, _ sluice.Link) error {
			_, err := f.Files.Delete(ctx, f.caller, file.ID, nil)
			return err
		}, sluice.FileDeleted},
		{"key revoked", func(f *fixture, _ sluice.File, l sluice.Link) error {
			_, err := f.Keys.Revoke(ctx, f.caller, f.caller.Key.ID, nil)
			return err
		}, sluice.KeyRevoked},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			file := f.upload("content")
			l, token := f.mint(file)
			if c.end != nil {
				if err := c.end(f, file, l); err != nil {
					t.Fatal(err)
				}
			}
			before := f.logged()
			content, err := f.redeem(token)
			if c.reason == "" {
				if err != nil || content != "content" {
					t.Errorf("content is %q, %v", content, err)
				}
				if diff := cmp.Diff([]string{"link.redeemed allowed", "link.delivered allowed"}, f.log(before)); diff != "" {
					t.Error(diff)
				}
				return
			}
			wantCode(t, err, sluice.CodeGone)
			var e *sluice.Error
			if !errors.As(err, &e) || e.Reason != c.reason {
				t.Errorf("got %v, want reason %s", err, c.reason)
			}
			if diff := cmp.Diff([]string{"link.refused refused " + string(c.reason)}, f.log(before)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The entry of a redemption records the file, the link, its reason and the client.
func TestRedemptionEntry(t *testing.T) {
	f := newFixture(t)
	file := f.upload("content")
	l, token := f.mint(file)
	before := f.logged()
	if _, err := f.redeem(token); err != nil {
		t.Fatal(err)
	}
	e := f.base.Entries(t, f.ledger)[before]
	got := []string{
		e.File.ID, e.File.SHA256, e.Link.ID, e.Link.Reason, e.Key.ID, string(e.Actor.Type), e.Actor.ID,
		e.Request.Route, e.Request.IP,
	}
	want := []string{
		file.ID, file.SHA256.String(), l.ID, "a test", f.caller.Key.ID, "bearer", l.ID, "/l/{token}", "198.51.100.4",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
	if l, err := f.Links.Get(ctx, f.caller, "", l.ID); err != nil || l.Downloads != 1 || !l.Redeemed.Equal(e.Time) {
		t.Errorf("the link counts %d downloads, the last at %v (%v)", l.Downloads, l.Redeemed, err)
	}
}

// No byte is sent unless the decision is durable.
func TestRedemptionFailsClosed(t *testing.T) {
	for _, fail := range []string{"before", "after"} {
		t.Run(fail, func(t *testing.T) {
			f := newFixture(t)
			_, token := f.mint(f.upload("content"))
			f.store.fail = fail
			content, err := f.redeem(token)
			wantCode(t, err, sluice.CodeUnavailable)
			if content != "" {
				t.Errorf("%q was sent", content)
			}
		})
	}
}

func TestForgedTokensLeaveNoTrace(t *testing.T) {
	f := newFixture(t)
	_, good := f.mint(f.upload("content"))
	before := f.logged()
	f.store.fail = "before" // any I/O would show
	for _, forged := range []string{
		"", "x", good[1:], good + "A", strings.ToUpper(good), strings.Repeat("A", token.Len), otherKind(t, f, good),
	} {
		_, err := f.redeem(forged)
		wantCode(t, err, sluice.CodeNotFound)
	}
	f.store.fail = ""
	if after := f.logged(); after != before {
		t.Errorf("forged tokens left %d entries", after-before)
	}
}

// otherKind is the token that the fixture's signing key makes of everything in another one but its kind.
func otherKind(t *testing.T, f *fixture, text string) string {
	t.Helper()
	made, ok := token.Keyring(f.config.SigningKeys).Open(text, token.Read)
	if !ok {
		t.Fatalf("%s is no token of a link", text)
	}
	made.Kind++
	return f.config.SigningKeys[0].Make(made)
}

func TestPassword(t *testing.T) {
	f := newFixture(t)
	_, token := f.mintAs(service.NewLink{FileID: f.upload("content").ID, Password: "correct horse"})
	before := f.logged()
	for _, wrong := range []string{"", "wrong horse", "correct hors", "correct horse ", strings.Repeat("x", 5000)} {
		_, err := f.redeemAs(token, gate.Bearer{Password: wrong})
		wantCode(t, err, sluice.CodeForbidden)
	}
	for range 20 { // right passwords are not limited
		if content, err := f.redeemAs(token, gate.Bearer{Password: "correct horse"}); content != "content" {
			t.Fatalf("the right password: %q, %v", content, err)
		}
	}
	log := f.log(before)
	if log[0] != "link.refused refused wrong_password" || log[1] != "link.redeemed allowed" {
		t.Errorf("the log says %q", log)
	}
}

func TestPasswordGuessesAreLimited(t *testing.T) {
	f := newFixture(t)
	file := f.upload("content")
	_, token := f.mintAs(service.NewLink{FileID: file.ID, Password: "correct horse"})
	_, other := f.mintAs(service.NewLink{FileID: file.ID, Password: "another horse"})
	guess := func() sluice.Code {
		_, err := f.redeemAs(token, gate.Bearer{Password: "guess"})
		return sluice.CodeOf(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	codes := map[sluice.Code]int{}
	for range 40 { // concurrently, to try to evade the count
		all.Go(func() {
			code := guess()
			mu.Lock()
			codes[code]++
			mu.Unlock()
		})
	}
	all.Wait()
	if diff := cmp.Diff(map[sluice.Code]int{sluice.CodeForbidden: 10, sluice.CodeRateLimited: 30}, codes); diff != "" {
		t.Errorf("40 guesses at once (-want +got):\n%s", diff)
	}
	_, err := f.redeemAs(token, gate.Bearer{Password: "correct horse"})
	wantCode(t, err, sluice.CodeRateLimited)
	if content, err := f.redeemAs(token, gate.Bearer{Address: there, Password: "correct horse"}); content != "content" {
		t.Errorf("guesses from one address block another address: %v", err)
	}
	if content, err := f.redeemAs(other, gate.Bearer{Password: "another horse"}); content != "content" {
		t.Errorf("guesses at one link block another link: %v", err)
	}
	f.base.Clock.Advance(10 * time.Minute)
	if code := guess(); code != sluice.CodeForbidden {
		t.Errorf("a guess after ten minutes: %s", code)
	}
	if code := guess(); code != sluice.CodeRateLimited {
		t.Errorf("a second guess after ten minutes: %s", code)
	}
}

func TestMaxDownloads(t *testing.T) {
	f := newFixture(t)
	l, token := f.mintAs(service.NewLink{FileID: f.upload("content").ID, MaxDownloads: 3})
	for range 5 { // requests without content are not counted
		if _, err := f.redeemAs(token, gate.Bearer{Want: nothing}); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	codes := map[sluice.Code]int{}
	for i := range 50 {
		all.Go(func() {
			_, err := f.redeemAs(token, gate.Bearer{Request: sluice.Request{UserAgent: fmt.Sprint("client ", i)}})
			mu.Lock()
			codes[sluice.CodeOf(err)]++
			mu.Unlock()
		})
	}
	all.Wait()
	if diff := cmp.Diff(map[sluice.Code]int{"": 3, sluice.CodeGone: 47}, codes); diff != "" {
		t.Errorf("50 concurrent downloads of a link for 3 (-want +got):\n%s", diff)
	}
	if l, err := f.Links.Get(ctx, f.caller, "", l.ID); err != nil || l.Downloads != 3 {
		t.Errorf("the link counts %d, %v", l.Downloads, err)
	}
}

func TestAllowedIPs(t *testing.T) {
	f := newFixture(t)
	_, token := f.mintAs(service.NewLink{FileID: f.upload("content").ID, AllowedIPs: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"),
	}})
	for address, want := range map[string]sluice.Code{
		"192.0.2.255": "", "::ffff:192.0.2.1": "", "2001:db8::1": "", "2001:db8::1%eth0": "",
		"192.0.3.0": sluice.CodeForbidden, "2001:db9::": sluice.CodeForbidden, "::ffff:192.0.3.1": sluice.CodeForbidden,
	} {
		_, err := f.redeemAs(token, gate.Bearer{Address: netip.MustParseAddr(address)})
		if got := sluice.CodeOf(err); got != want {
			t.Errorf("from %s: code %q, want %q", address, got, want)
		}
	}
	_, err := f.redeemAs(token, gate.Bearer{})
	wantCode(t, err, sluice.CodeForbidden)
}

// A link works only while its key could still mint it, and works again once the
// key can.
func TestLinkFollowsItsKey(t *testing.T) {
	for _, c := range []struct {
		name   string
		narrow service.KeyChange
		widen  service.KeyChange
		want   sluice.Refusal
	}{
		{"scope lost", service.KeyChange{Scopes: &[]sluice.Scope{sluice.FilesRead}},
			service.KeyChange{Scopes: &[]sluice.Scope{sluice.LinksWrite}}, sluice.KeyRestricted},
		{"lifetime narrowed", service.KeyChange{MaxLinkLifetime: ptr(time.Second)},
			service.KeyChange{MaxLinkLifetime: ptr(time.Hour)}, sluice.KeyRestricted},
		{"expired", service.KeyChange{Expires: ptr(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))},
			service.KeyChange{Expires: &time.Time{}}, sluice.KeyExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.caller = f.newCaller(f.ledger)
			forever := sluice.Forever
			id := f.caller.Key.ID
			change := func(ch service.KeyChange) {
				t.Helper()
				if ch.Expires != nil && !ch.Expires.IsZero() {
					soon := f.base.Clock.Now().Add(time.Second)
					ch.Expires = &soon
				}
				if _, err := f.Keys.Update(ctx, service.Operator(f.ledger), id, nil, ch); err != nil {
					t.Fatal(err)
				}
			}
			file := f.upload("0123456789")
			_, token := f.mint(file)
			_, counted := f.mintAs(service.NewLink{FileID: file.ID, MaxDownloads: 1})
			change(service.KeyChange{MaxLinkLifetime: &forever})
			f.caller = service.Operator(f.ledger)
			_, operators := f.mint(file)
			change(c.narrow)
			f.base.Clock.Advance(time.Minute)
			before := f.logged()
			_, err := f.redeem(token)
			wantReason(t, err, c.want)
			if sluice.CodeOf(err) != sluice.CodeGone || !strings.Contains(err.Error(), "key") {
				t.Errorf("%v", err)
			}
			if got := strings.Join(f.log(before), ", "); got != "link.refused refused "+string(c.want) {
				t.Errorf("the log says %s", got)
			}
			_, err = f.redeem(counted)
			wantReason(t, err, c.want)
			if _, err := f.redeem(operators); err != nil {
				t.Errorf("link minted by the operator: %v", err)
			}
			change(c.widen)
			if _, err := f.redeem(token); err != nil {
				t.Errorf("link after its key was restored: %v", err)
			}
		})
	}
}

// A link without expiry ends at the longest lifetime that its key allows now.
func TestEndlessLinkOfNarrowedKey(t *testing.T) {
	f := newFixture(t)
	forever := sluice.Forever
	admin := service.Operator(f.ledger)
	setLifetime := func(d time.Duration) {
		t.Helper()
		if _, err := f.Keys.Update(ctx, admin, f.caller.Key.ID, nil, service.KeyChange{MaxLinkLifetime: &d}); err != nil {
			t.Fatal(err)
		}
	}
	setLifetime(forever)
	f.caller.Key.MaxLinkLifetime = forever
	_, token := f.mintAs(service.NewLink{FileID: f.upload("0123456789").ID, Lifetime: &forever})
	f.base.Clock.Advance(48 * time.Hour)
	if _, err := f.redeem(token); err != nil {
		t.Fatal(err)
	}
	setLifetime(72 * time.Hour)
	if _, err := f.redeem(token); err != nil {
		t.Fatal(err)
	}
	f.base.Clock.Advance(24 * time.Hour)
	_, err := f.redeem(token)
	wantReason(t, err, sluice.KeyRestricted)
}

func ptr[T any](v T) *T { return &v }
