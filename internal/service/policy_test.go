package service_test

import (
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// TestExtensionIsHeldToTheMintingKey extends a link beyond the limit of the key that minted it, by another key.
func TestExtensionIsHeldToTheMintingKey(t *testing.T) {
	f := newFixture(t)
	hour, day, minute := time.Hour, 23*time.Hour, time.Minute
	l, _ := f.mint(f.upload("0123456789"))
	limit := service.KeyChange{MaxLinkLifetime: &hour}
	if _, err := f.Keys.Update(ctx, service.Operator(f.ledger), f.caller.Key.ID, nil, limit); err != nil {
		t.Fatal(err)
	}
	another := f.newCaller(f.ledger)
	_, err := f.Links.Update(ctx, another, "", l.ID, nil, service.LinkChange{Lifetime: &day})
	if sluice.CodeOf(err) != sluice.CodeValidation {
		t.Errorf("longer than the minting key may: %v", err)
	}
	if _, err := f.Links.Update(ctx, another, "", l.ID, nil, service.LinkChange{Lifetime: &minute}); err != nil {
		t.Error(err)
	}
}

// TestPurposeThatIsGone removes a purpose. Its files get no new links, and their links work until they expire. A
// purpose that does not allow links ends the links of its files.
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
		{
			"not linkable", []sluice.Purpose{{Name: "generic", MaxSize: 1}},
			"may not be linked", sluice.PurposeRestricted,
		},
		{
			"outlived", []sluice.Purpose{{Name: "generic", MaxSize: 1, Linkable: true, MaxLinkLifetime: time.Second}},
			"", sluice.PurposeRestricted,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := sluice.NewPurposes(c.purposes)
			if err != nil {
				t.Fatal(err)
			}
			f.use(set)
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
			_, err = f.Links.Mint(ctx, f.caller, service.NewLink{FileID: file.ID})
			forbidden("mint", err)
			_, err = f.Links.MintBatch(ctx, f.caller, []string{file.ID}, nil, service.NewLink{})
			forbidden("batch", err)
			_, err = f.Links.Update(ctx, f.caller, "", l.ID, nil, service.LinkChange{Lifetime: &later})
			forbidden("extension", err)
			_, err = f.Links.Update(ctx, f.caller, "", l.ID, nil, service.LinkChange{Lifetime: &sooner})
			if err != nil {
				t.Errorf("an earlier end: %v", err)
			}
			sooner /= 2
		})
	}
}
