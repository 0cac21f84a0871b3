package service_test

import (
	"context"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// unusable is a Store that cannot store when keys were used.
type unusable struct {
	service.Store
	broken bool
}

func (u *unusable) KeysUsed(ctx context.Context, used map[string]time.Time) error {
	if u.broken {
		return sluice.Errorf(sluice.CodeUnavailable, "the store is made to fail")
	}
	return u.Store.KeysUsed(ctx, used)
}

// The time of the last use of a key survives a failure to store it.
func TestUsageSurvivesAFailedWrite(t *testing.T) {
	f := newFixture(t)
	key, secret := f.base.NewKey(t, f.ledger)
	u := &unusable{Store: f.base.Store, broken: true}
	f.config.Store = u
	s := f.withPurposes(nil)
	if _, err := s.Keys.Authenticate(ctx, secret, sluice.Request{}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.Keys.WriteUsage(ctx), sluice.CodeUnavailable)
	u.broken = false
	if err := s.Keys.WriteUsage(ctx); err != nil {
		t.Fatal(err)
	}
	got, err := f.Keys.Get(ctx, service.Operator(f.ledger), key.ID)
	if err != nil || !got.Used.Equal(f.Now()) {
		t.Errorf("the key was last used at %v, %v, want %v", got.Used, err, f.Now())
	}
}
