package service_test

import (
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// TestExpireNow lets a link expire. It is visible as expired, and cannot be redeemed.
func TestExpireNow(t *testing.T) {
	f := newFixture(t)
	link, token := f.mintAs(service.NewLink{FileID: f.upload("hello").ID, Metadata: sluice.Metadata{"old": "v"}})
	f.base.Clock.Advance(time.Second)
	value := "v"
	got, err := f.Links.Update(ctx, f.caller, "", link.ID, nil, service.LinkChange{
		Metadata: map[string]*string{"k": &value}, ExpireNow: true, ClearMetadata: true,
	})
	if err != nil || !got.Expired(f.Now()) || got.Metadata["k"] != "v" || len(got.Metadata) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	got, err = f.Links.Get(ctx, f.caller, "", link.ID)
	if err != nil || !got.Expired(f.Now()) || !got.Revoked.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = f.redeem(token)
	wantCode(t, err, sluice.CodeGone)
	_, err = f.Links.Update(ctx, f.caller, "", link.ID, nil, service.LinkChange{ExpireNow: true})
	wantCode(t, err, sluice.CodeLinkExpired)
	reader := f.newCaller(f.ledger, sluice.LinksRead)
	_, err = f.Links.Update(ctx, reader, "", link.ID, nil, service.LinkChange{ExpireNow: true})
	wantCode(t, err, sluice.CodeForbidden)

	link, _ = f.mint(f.upload("hello"))
	if _, err := f.Links.Revoke(ctx, f.caller, "", link.ID, nil); err != nil {
		t.Fatal(err)
	}
	_, err = f.Links.Update(ctx, f.caller, "", link.ID, nil, service.LinkChange{ExpireNow: true})
	wantCode(t, err, sluice.CodeNotFound)
}
