package service_test

import (
	"context"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// fullStore is a Store whose disk is full. It allows only Updates marked by Ending.
type fullStore struct{ service.Store }

func (s fullStore) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	if !service.IsEnding(ctx) {
		return sluice.Errorf(sluice.CodeStorageFull, "the disk is full")
	}
	return s.Store.Update(ctx, l, fn)
}

// TestEndingOnAFullDisk ends links, keys and files on a full disk.
func TestEndingOnAFullDisk(t *testing.T) {
	f := newFixture(t)
	generic := sluice.Purpose{Name: "generic", MaxSize: 100, Linkable: true, Retention: time.Hour}
	purposes, err := sluice.NewPurposes([]sluice.Purpose{generic})
	if err != nil {
		t.Fatal(err)
	}
	f.Service = f.withPurposes(purposes)
	file, key := f.upload("content"), f.newCaller(f.ledger).Key
	link := func() string {
		l, err := f.Links.Mint(ctx, f.caller, service.NewLink{FileID: file.ID})
		if err != nil {
			t.Fatal(err)
		}
		return l.ID
	}
	revoked, ended, expired := link(), link(), link()

	c := f.config
	c.Store, c.Purposes = fullStore{f.base.Store}, purposes
	full, err := service.New(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = full.Links.Mint(ctx, f.caller, service.NewLink{FileID: file.ID})
	if sluice.CodeOf(err) != sluice.CodeStorageFull {
		t.Errorf("minting a link on a full disk: %v", err)
	}
	for name, end := range map[string]func() error{
		"Links.Revoke": func() error { _, err := full.Links.Revoke(ctx, f.caller, file.ID, revoked, nil); return err },
		"Links.End":    func() error { _, err := full.Links.End(ctx, f.caller, file.ID, ended); return err },
		"ExpireNow": func() error {
			_, err := full.Links.Update(ctx, f.caller, file.ID, expired, nil, service.LinkChange{ExpireNow: true})
			return err
		},
		"Keys.Revoke": func() error { _, err := full.Keys.Revoke(ctx, f.caller, key.ID, nil); return err },
	} {
		if err := end(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.base.Clock.Advance(2 * time.Hour)
	if n, err := full.Retention.Run(ctx); n != 1 || err != nil {
		t.Errorf("retention deleted %d files, %v, want 1", n, err)
	}
}
