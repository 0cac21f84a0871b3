package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func testExclusive(t *testing.T, db database) {
	first, second := openStore(t, db), openStore(t, db)
	began, free := make(chan bool), make(chan bool)
	failure := errors.New("failure")
	done := make(chan error)
	go func() {
		ran, err := first.Exclusive(ctx, "work", func(context.Context) error {
			close(began)
			<-free
			return failure
		})
		if !ran {
			t.Error("nobody else does it, and it was not run")
		}
		done <- err
	}()
	<-began
	for _, s := range []*Store{first, second} {
		ran, err := s.Exclusive(ctx, "work", func(context.Context) error {
			t.Error("two do it at once")
			return nil
		})
		if ran || err != nil {
			t.Errorf("while somebody does it: ran %v, %v", ran, err)
		}
	}
	wantRun(t, second, "other work")
	close(free)
	if err := <-done; err != failure {
		t.Errorf("got %v, want the function's error", err)
	}
	wantRun(t, second, "work")
	func() {
		defer func() { recover() }()
		first.Exclusive(ctx, "work", func(context.Context) error { panic("") })
	}()
	wantRun(t, second, "work")
	stopped, cancel := context.WithCancel(ctx)
	first.Exclusive(stopped, "work", func(work context.Context) error {
		cancel()
		<-work.Done()
		return nil
	})
	wantRun(t, second, "work")
}

// testOneOfMany has many begin at the same moment.
func testOneOfMany(t *testing.T, db database) {
	stores := []*Store{openStore(t, db), openStore(t, db)}
	var inside, ran atomic.Int64
	for range 5 {
		var wg sync.WaitGroup
		begin := make(chan bool)
		for g := range 12 {
			wg.Go(func() {
				<-begin
				_, err := stores[g%2].Exclusive(ctx, "work", func(context.Context) error {
					ran.Add(1)
					if n := inside.Add(1); n != 1 {
						t.Errorf("%d at once", n)
					}
					time.Sleep(20 * time.Millisecond)
					inside.Add(-1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		close(begin)
		wg.Wait()
	}
	if ran.Load() < 5 {
		t.Errorf("%d ran, want one of each five rounds", ran.Load())
	}
}

func wantRun(t *testing.T, s *Store, name string) {
	t.Helper()
	if ran, err := s.Exclusive(ctx, name, func(context.Context) error { return nil }); !ran || err != nil {
		t.Errorf("%s: ran %v, %v", name, ran, err)
	}
}

// testPassOn has one that cannot renew its lease, as one that is dead or
// frozen, and one that can, for longer than a lease lasts.
func testPassOn(t *testing.T, db database) {
	frozen, next, healthy := openStore(t, db), openStore(t, db), openStore(t, db)
	for _, s := range []*Store{frozen, next, healthy} {
		s.lease = 600 * time.Millisecond
	}
	var wg sync.WaitGroup
	release := make(chan func())
	var lost atomic.Bool
	wg.Go(func() {
		_, err := frozen.Exclusive(ctx, "work", func(work context.Context) error {
			release <- busy(t, frozen) // its writer writes no more
			<-work.Done()
			lost.Store(true)
			return context.Cause(work)
		})
		if err != errLeaseLost {
			t.Errorf("got %v, want %v", err, errLeaseLost)
		}
	})
	thaw := <-release
	// Where one writer keeps out all others, a frozen one would.
	if frozen.rowLock == "" {
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
		ran, err = next.Exclusive(ctx, "work", func(context.Context) error {
			if !lost.Load() {
				t.Error("work was passed on while its holder held it")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Fatal("work was not passed on")
		}
	}
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("work was passed on after %v", took)
	}
	if frozen.rowLock != "" {
		thaw()
	}
	wg.Wait()
	_, err := healthy.Exclusive(ctx, "work", func(work context.Context) error {
		for range 12 {
			time.Sleep(150 * time.Millisecond)
			if ran, err := next.Exclusive(ctx, "work", func(context.Context) error { return nil }); ran || err != nil {
				t.Errorf("a lease that is renewed: ran %v, %v", ran, err)
			}
		}
		return context.Cause(work)
	})
	if err != nil {
		t.Error(err)
	}
}
