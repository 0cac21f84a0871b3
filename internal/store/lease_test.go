package store

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/store/storetest"
)

// TestPassOn wants another process to get a lease that its holder cannot renew, on every database.
func TestPassOn(t *testing.T) {
	three := func(t *testing.T, open func() (*Store, error)) (stores [3]*Store) {
		for i := range stores {
			var err error
			if stores[i], err = open(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { stores[i].Close() })
		}
		return stores
	}
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sluice.db")
		s := three(t, func() (*Store, error) { return OpenSQLite(path, Options{}) })
		testPassOn(t, s[0], s[1], s[2])
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := NewPostgres(t)
		s := three(t, func() (*Store, error) { return openPostgresURL(url) })
		testPassOn(t, s[0], s[1], s[2])
	})
}

// testPassOn tests a holder that cannot renew its lease, because it is dead or frozen, and one that can, for longer
// than a lease lasts.
func testPassOn(t *testing.T, frozen, next, healthy *Store) {
	for _, s := range []*Store{frozen, next, healthy} {
		s.lease = 600 * time.Millisecond
	}
	var wg sync.WaitGroup
	release := make(chan func())
	var lost atomic.Bool
	wg.Go(func() {
		_, err := frozen.Exclusive(storetest.Background, "work", func(work context.Context) error {
			release <- storetest.Busy(t, frozen) // its writer is blocked
			<-work.Done()
			lost.Store(true)
			return context.Cause(work)
		})
		if err != errLeaseLost {
			t.Errorf("got %v, want %v", err, errLeaseLost)
		}
	})
	thaw := <-release
	// On SQLite a frozen writer would keep out all others.
	if frozen.db.RowLock == "" {
		wg.Go(func() {
			for !lost.Load() {
				time.Sleep(time.Millisecond)
			}
			thaw()
		})
	}
	start := time.Now()
	for ran := false; !ran; time.Sleep(5 * time.Millisecond) {
		var err error
		ran, err = next.Exclusive(storetest.Background, "work", func(context.Context) error {
			if !lost.Load() {
				t.Error("another process got the lease before it was lost")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Fatal("no other process got the lease")
		}
	}
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("another process got the lease after %v", took)
	}
	if frozen.db.RowLock != "" {
		thaw()
	}
	wg.Wait()
	_, err := healthy.Exclusive(storetest.Background, "work", func(work context.Context) error {
		for range 12 {
			time.Sleep(150 * time.Millisecond)
			if ran, err := next.Exclusive(storetest.Background, "work",
				func(context.Context) error { return nil }); ran || err != nil {
				t.Errorf("a lease that is renewed: ran %v, %v", ran, err)
			}
		}
		return context.Cause(work)
	})
	if err != nil {
		t.Error(err)
	}
}
