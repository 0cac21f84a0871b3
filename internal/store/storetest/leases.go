package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/service"
)

func testExclusive(t *testing.T, db Database) {
	first, second := openStore(t, db), openStore(t, db)
	began, free := make(chan bool), make(chan bool)
	failure := errors.New("failure")
	done := make(chan error)
	go func() {
		ran, err := first.Exclusive(Background, "work", func(context.Context) error {
			close(began)
			<-free
			return failure
		})
		if !ran {
			t.Error("the lease was free, and the function did not run")
		}
		done <- err
	}()
	<-began
	for _, s := range []service.Store{first, second} {
		ran, err := s.Exclusive(Background, "work", func(context.Context) error {
			t.Error("two functions run at once")
			return nil
		})
		if ran || err != nil {
			t.Errorf("while the lease is taken: ran %v, %v", ran, err)
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
		first.Exclusive(Background, "work", func(context.Context) error { panic("") })
	}()
	wantRun(t, second, "work")
	stopped, cancel := context.WithCancel(Background)
	first.Exclusive(stopped, "work", func(work context.Context) error {
		cancel()
		<-work.Done()
		return nil
	})
	wantRun(t, second, "work")
}

// testOneOfMany lets many ask for the lease at the same moment.
func testOneOfMany(t *testing.T, db Database) {
	stores := []service.Store{openStore(t, db), openStore(t, db)}
	var inside, ran atomic.Int64
	for range 5 {
		var wg sync.WaitGroup
		begin := make(chan bool)
		for g := range 12 {
			wg.Go(func() {
				<-begin
				_, err := stores[g%2].Exclusive(Background, "work", func(context.Context) error {
					ran.Add(1)
					if n := inside.Add(1); n != 1 {
						t.Errorf("%d functions run at once", n)
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

func wantRun(t *testing.T, s service.Store, name string) {
	t.Helper()
	if ran, err := s.Exclusive(Background, name, func(context.Context) error { return nil }); !ran || err != nil {
		t.Errorf("%s: ran %v, %v", name, ran, err)
	}
}
