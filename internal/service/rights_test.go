package service_test

import (
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// A change is held to the rights that the key has inside the transaction, and not to those that it had when the request
// was authenticated.
func TestChangeIsHeldToTheKeyAsItIs(t *testing.T) {
	f := newFixture(t)
	file := f.upload("hello")
	minute := time.Minute
	_, err := f.Keys.Update(ctx, service.Operator(f.ledger), f.caller.Key.ID, nil,
		service.KeyChange{MaxLinkLifetime: &minute})
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Hour
	_, err = f.Links.Mint(ctx, f.caller, service.NewLink{FileID: file.ID, Lifetime: &hour})
	if sluice.CodeOf(err) != sluice.CodeValidation {
		t.Errorf("a link that outlives what the key allows: %v", err)
	}
	l, err := f.Links.Mint(ctx, f.caller, service.NewLink{FileID: file.ID, Lifetime: &minute})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Links.Update(ctx, f.caller, "", l.ID, nil, service.LinkChange{Lifetime: &hour}); err == nil {
		t.Error("the link was prolonged")
	}
	_, err = f.Keys.Create(ctx, f.caller, service.NewKey{Name: "more", MaxLinkLifetime: hour})
	if sluice.CodeOf(err) != sluice.CodeForbidden {
		t.Errorf("a key that may do more than its maker: %v", err)
	}
}
