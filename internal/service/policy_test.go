package service_test

import (
	"sluice/internal/service"
	"strings"
	"testing"
	"time"

	"sluice"
)

// A link is good only while the key that minted it could still mint it, and is
// good again when the key is.
func TestLinkFollowsItsKey(t *testing.T) {
	for _, c := range []struct {
		name   string
		narrow service.KeyChange
		widen  service.KeyChange
		want   sluice.Refusal
	}{
		{"scope lost", service.KeyChange{Scopes: &[]sluice.Scope{sluice.FilesRead}},
			service.KeyChange{Scopes: &[]sluice.Scope{sluice.LinksWrite}}, sluice.KeyRestricted},
		{"lifetime narrowed", service.KeyChange{MaxLinkLifetime: ptrTo(time.Second)},
			service.KeyChange{MaxLinkLifetime: ptrTo(time.Hour)}, sluice.KeyRestricted},
		{"expired", service.KeyChange{Expires: ptrTo(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))},
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
				if _, err := f.UpdateKey(ctx, service.Operator(f.ledger), id, nil, ch); err != nil {
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
				t.Errorf("a link of the operator: %v", err)
			}
			change(c.widen)
			if _, err := f.redeem(token); err != nil {
				t.Errorf("the key is good again, the link: %v", err)
			}
		})
	}
}

// A link without end ends with what its key may mint now.
func TestEndlessLinkOfNarrowedKey(t *testing.T) {
	f := newFixture(t)
	forever := sluice.Forever
	admin := service.Operator(f.ledger)
	setLifetime := func(d time.Duration) {
		t.Helper()
		if _, err := f.UpdateKey(ctx, admin, f.caller.Key.ID, nil, service.KeyChange{MaxLinkLifetime: &d}); err != nil {
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

// No key gives a link a longer life than the key that minted it may.
func TestExtensionIsHeldToTheMintingKey(t *testing.T) {
	f := newFixture(t)
	hour, day, minute := time.Hour, 23*time.Hour, time.Minute
	l, _ := f.mint(f.upload("0123456789"))
	if _, err := f.UpdateKey(ctx, service.Operator(f.ledger), f.caller.Key.ID, nil, service.KeyChange{MaxLinkLifetime: &hour}); err != nil {
		t.Fatal(err)
	}
	another := f.newCaller(f.ledger)
	if _, err := f.UpdateLink(ctx, another, "", l.ID, nil, service.LinkChange{Lifetime: &day}); sluice.CodeOf(err) != sluice.CodeValidation {
		t.Errorf("longer than the minting key may: %v", err)
	}
	if _, err := f.UpdateLink(ctx, another, "", l.ID, nil, service.LinkChange{Lifetime: &minute}); err != nil {
		t.Error(err)
	}
}

// A purpose that is not configured any more allows nothing new; what was
// minted stays good until its end. One that forbids links ends them.
func TestPurposeThatIsGone(t *testing.T) {
	f := newFixture(t)
	file := f.upload("0123456789")
	l, token := f.mint(file)
	later, sooner := 20*time.Hour, time.Minute
	for _, c := range []struct {
		name     string
		purposes []sluice.Purpose
		detail   string
		redeem   sluice.Refusal
	}{
		{"gone", []sluice.Purpose{{Name: "other", MaxSize: 1, Linkable: true}}, "not configured", ""},
		{"not linkable", []sluice.Purpose{{Name: "generic", MaxSize: 1}}, "may not be linked", sluice.PurposeRestricted},
		{"outlived", []sluice.Purpose{{Name: "generic", MaxSize: 1, Linkable: true, MaxLinkLifetime: time.Second}}, "", sluice.PurposeRestricted},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := sluice.NewPurposes(c.purposes)
			if err != nil {
				t.Fatal(err)
			}
			f.Service = f.withPurposes(set)
			f.base.Clock.Advance(time.Second)
			_, err = f.redeem(token)
			wantReason(t, err, c.redeem)
			if c.detail == "" {
				return
			}
			forbidden := func(what string, err error) {
				t.Helper()
				if sluice.CodeOf(err) != sluice.CodeForbidden || !strings.Contains(err.Error(), c.detail) {
					t.Errorf("%s: %v", what, err)
				}
			}
			_, err = f.MintLink(ctx, f.caller, service.NewLink{FileID: file.ID})
			forbidden("mint", err)
			_, err = f.MintLinks(ctx, f.caller, []string{file.ID}, service.NewLink{})
			forbidden("batch", err)
			_, err = f.UpdateLink(ctx, f.caller, "", l.ID, nil, service.LinkChange{Lifetime: &later})
			forbidden("extension", err)
			if _, err := f.UpdateLink(ctx, f.caller, "", l.ID, nil, service.LinkChange{Lifetime: &sooner}); err != nil {
				t.Errorf("an earlier end: %v", err)
			}
			sooner /= 2
		})
	}
}

func ptrTo[T any](v T) *T { return &v }
