package service_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// TestWatch waits in one process for what another commits to the log, until the key is revoked.
func TestWatch(t *testing.T) { eachDatabase(t, testWatch) }

func testWatch(t *testing.T, f *fixture) {
	other := f.second()
	file := f.upload("content")
	_, err := f.Service.Entries.Watch(ctx, f.newCaller(f.ledger, sluice.FilesRead), 0)
	if sluice.CodeOf(err) != sluice.CodeForbidden {
		t.Errorf("without audit:read: %v", err)
	}
	known := sizeOf(t, f)
	watching := f.newCaller(f.ledger, sluice.AuditRead)
	known += 1 // so is the key
	w, err := other.Entries.Watch(ctx, watching, known)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	minute, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	next := func() (service.News, error) { return w.Next(minute) }

	soon, stop := context.WithTimeout(ctx, time.Millisecond)
	if news, err := w.Next(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without news: %+v, %v", news, err)
	}
	stop()
	if _, err := f.Links.Mint(ctx, f.caller, service.NewLink{FileID: file.ID}); err != nil {
		t.Fatal(err)
	}
	if news, err := next(); err != nil || news != (service.News{Size: known + 1, New: 1}) {
		t.Errorf("news: %+v, %v; %d entries were known", news, err, known)
	}
	if _, err := f.Keys.Revoke(ctx, f.caller, watching.Key.ID, nil); err != nil {
		t.Fatal(err)
	}
	if news, err := next(); sluice.CodeOf(err) != sluice.CodeUnauthenticated {
		t.Errorf("after the end of the key: %+v, %v", news, err)
	}
}

func sizeOf(t *testing.T, f *fixture) (size int64) {
	t.Helper()
	err := f.base.Store.View(ctx, func(r service.Reader) (err error) {
		size, err = r.Size(f.ledger)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// TestWatchesAreCheap has a thousand tabs wait for news: while there is none, the database is asked once a second for
// all of them together.
func TestWatchesAreCheap(t *testing.T) {
	f := newFixture(t)
	views := &countedViews{Store: f.store}
	f.config.Store = views
	f.use(nil)
	const tabs = 1000
	var watches []*service.Watch
	for range tabs {
		w, err := f.Service.Entries.Watch(ctx, f.caller, sizeOf(t, f))
		if err != nil {
			t.Fatal(err)
		}
		watches = append(watches, w)
	}
	began, before := time.Now(), views.n.Load()
	for views.n.Load() < before+2 {
		if time.Since(began) > time.Minute {
			t.Fatal("nobody looks at the log")
		}
		time.Sleep(time.Millisecond)
	}
	asked, seconds := views.n.Load()-before, int64(time.Since(began)/time.Second)
	if asked > seconds+2 {
		t.Errorf("%d tabs ask the database %d times in %d seconds", tabs, asked, seconds)
	}

	var all sync.WaitGroup
	for _, w := range watches {
		all.Go(func() {
			defer w.Close()
			minute, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			if _, err := w.Next(minute); err != nil {
				t.Error(err)
			}
		})
	}
	f.upload("news")
	all.Wait()
	ended := views.n.Load()
	time.Sleep(2200 * time.Millisecond)
	if more := views.n.Load() - ended; more > 1 {
		t.Errorf("the database is asked %d times when nobody watches", more)
	}
}

// countedViews counts the reads of a store.
type countedViews struct {
	service.Store
	n atomic.Int64
}

func (s *countedViews) View(ctx context.Context, fn func(service.Reader) error) error {
	s.n.Add(1)
	return s.Store.View(ctx, fn)
}
