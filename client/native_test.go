package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/client"
	"sluice/sluicetest"
)

func TestFiles(t *testing.T) {
	ctx := context.Background()
	s := sluicetest.NewServer(t)
	c := newClient(t, s.URL, s.Secret)
	created, err := c.Upload(ctx, strings.NewReader("content"), client.NewFile{Purpose: "report", Title: "Old"})
	if err != nil {
		t.Fatal(err)
	}
	id := created.ID
	old := "v"
	change := api.FileChange{Title: api.Null[string](), Metadata: map[string]*string{"k": &old}}
	if f, err := c.UpdateFile(ctx, id, change); err != nil || f.Title != nil || f.Metadata["k"] != "v" {
		t.Errorf("update: %+v, %v", f, err)
	}
	if f, err := c.HoldFile(ctx, id); err != nil || !f.Held {
		t.Errorf("hold: %+v, %v", f, err)
	}
	if err := c.DeleteFile(ctx, id); sluice.CodeOf(err) != sluice.CodeFileHeld {
		t.Errorf("delete under hold: %v", err)
	}
	if f, err := c.ReleaseFile(ctx, id); err != nil || f.Held {
		t.Errorf("release: %+v, %v", f, err)
	}
	if err := c.DeleteFile(ctx, id); err != nil {
		t.Errorf("delete: %v", err)
	}
	if f, err := c.File(ctx, id); err != nil || f.Status != api.StatusDeleted {
		t.Errorf("get: %+v, %v", f, err)
	}
	purposes, err := c.Purposes(ctx)
	if err != nil || !slices.ContainsFunc(purposes, func(p api.Purpose) bool { return p.Name == "report" && p.Linkable }) {
		t.Errorf("purposes: %+v, %v", purposes, err)
	}
}

func TestLinks(t *testing.T) {
	ctx := context.Background()
	s := sluicetest.NewServer(t)
	c := newClient(t, s.URL, s.Secret)
	f := linked(t, s, []byte("content"), api.NewLink{})
	const none = "file_01jd3x2m0000000000000000aa"
	batch, err := c.MintLinks(ctx, []string{f.ID, none}, api.NewLink{Reason: "both"})
	one := err == nil && len(batch.Data) == 1 && *batch.Data[0].Reason == "both"
	if !one || !slices.Equal(batch.Absent, []string{none}) {
		t.Fatalf("mint many: %+v, %v", batch, err)
	}
	_, err = c.MintLinks(ctx, make([]string, sluice.MaxBatch+1), api.NewLink{})
	if sluice.CodeOf(err) != sluice.CodeValidation {
		t.Errorf("mint too many: %v", err)
	}
	l, err := c.MintLink(ctx, f.ID, api.NewLink{Filename: "x"})
	if err != nil || l.FileID != f.ID || *l.Filename != "x" {
		t.Fatalf("mint: %+v, %v", l, err)
	}
	change := api.LinkChange{MaxDownloads: api.Some(int64(2)), AllowedIPs: &[]string{"127.0.0.0/8"}}
	if got, err := c.UpdateLink(ctx, l.ID, change); err != nil || *got.MaxDownloads != 2 || got.URL != l.URL {
		t.Errorf("update: %+v, %v", got, err)
	}
	if got, err := c.Link(ctx, l.ID); err != nil || *got.MaxDownloads != 2 || len(got.AllowedIPs) != 1 {
		t.Errorf("get: %+v, %v", got, err)
	}
	if err := c.RevokeLink(ctx, l.ID); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if _, err := c.Link(ctx, l.ID); sluice.CodeOf(err) != sluice.CodeNotFound {
		t.Errorf("get after revoking: %v", err)
	}
}

func TestKeys(t *testing.T) {
	ctx := context.Background()
	s := sluicetest.NewServer(t)
	c := newClient(t, s.URL, s.Secret)
	k, err := c.CreateKey(ctx, api.NewKey{Name: "billing", Scopes: []string{"files:read"}})
	if err != nil || k.Secret == nil {
		t.Fatalf("create: %+v, %v", k, err)
	}
	its := newClient(t, s.URL, *k.Secret)
	if a, err := its.Account(ctx); err != nil || a.Key.ID != k.ID || a.ID != s.Account.ID {
		t.Errorf("account: %+v, %v", a, err)
	}
	name := "invoices"
	if got, err := c.UpdateKey(ctx, k.ID, api.KeyChange{Name: &name}); err != nil || got.Name != name {
		t.Errorf("update: %+v, %v", got, err)
	}
	if got, err := c.Key(ctx, k.ID); err != nil || got.Name != name || !slices.Equal(got.Scopes, []string{"files:read"}) {
		t.Errorf("get: %+v, %v", got, err)
	}
	for _, overlap := range []time.Duration{0, time.Hour} {
		rotated, err := c.RotateKey(ctx, k.ID, overlap)
		if err != nil || rotated.Secret == nil {
			t.Fatalf("rotate: %+v, %v", rotated, err)
		}
		if _, err := its.Account(ctx); (err == nil) != (overlap > 0) {
			t.Errorf("the old secret after a rotation with %v: %v", overlap, err)
		}
		its = newClient(t, s.URL, *rotated.Secret)
	}
	if _, err := c.RotateKey(ctx, k.ID, 1500*time.Millisecond); err == nil {
		t.Error("a part of a second is taken")
	}
	if _, err := c.RotateKey(ctx, k.ID, 8*24*time.Hour); sluice.CodeOf(err) != sluice.CodeValidation {
		t.Errorf("an overlap of 8 days: %v", err)
	}
	if err := c.RevokeKey(ctx, k.ID); err != nil {
		t.Errorf("revoke: %v", err)
	}
	var e *client.Error
	if _, err := its.Account(ctx); !errors.As(err, &e) || e.Code != sluice.CodeUnauthenticated || e.Status != 401 {
		t.Errorf("account after revoking: %v", err)
	}
}
