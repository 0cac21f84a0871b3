package service_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"sluice"
	"sluice/internal/service"
)

// late is a Store whose connection breaks in the middle of a commit. The caller gets an error, and the commit happens
// later, in release.
type late struct {
	service.Store
	mu    sync.Mutex
	armed bool
	held  []func() error
}

func (s *late) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.armed {
		return s.Store.Update(ctx, l, fn)
	}
	s.armed = false
	s.held = append(s.held, func() error { return s.Store.Update(context.WithoutCancel(ctx), l, fn) })
	return sluice.Wrap(sluice.CodeUnavailable, "the connection broke", nil)
}

func (s *late) release(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, commit := range s.held {
		if err := commit(); err != nil {
			t.Fatal(err)
		}
	}
	s.held = nil
}

// TestLateCommit uploads a file whose record is committed after the upload was answered with an error. The client
// tries again with the same idempotency key and is told of the first file, which must have its bytes.
func TestLateCommit(t *testing.T) {
	f := newFixture(t)
	store := &late{Store: f.base.Store}
	f.config.Store = store
	f.use(nil)
	upload := func() (service.CreatedFile, error) {
		c := f.caller
		c.IdempotencyKey = &service.IdempotencyKey{Value: "upload 1", Fingerprint: service.Fingerprint{{1}}}
		return f.Files.Create(ctx, c, "generic", strings.NewReader("0123456789"), func() (service.NewFile, error) {
			return service.NewFile{Purpose: "generic", Filename: "a.txt"}, nil
		})
	}
	store.armed = true
	if _, err := upload(); sluice.CodeOf(err) != sluice.CodeUnavailable {
		t.Fatalf("got %v, want %s", err, sluice.CodeUnavailable)
	}
	store.release(t)
	created, err := upload()
	if err != nil {
		t.Fatal(err)
	}
	content, err := f.base.Blobs.Open(ctx, created.File.ID)
	if err != nil {
		t.Fatalf("an acknowledged file has no bytes: %v", err)
	}
	_ = content.Close()
	if keys := f.base.BlobKeys(t); len(keys) != 1 {
		t.Errorf("stored: %q, want the one file", keys)
	}
}
