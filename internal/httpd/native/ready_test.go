package native

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Any number of requests cause one readiness check a second, and a result older than a second is not used.
func TestReadinessIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r readiness
		asked := 0
		free := make(chan struct{})
		failure := errors.New("not ready")
		probe := func(context.Context) error {
			asked++
			<-free
			return failure
		}
		var all sync.WaitGroup
		for range 400 {
			all.Go(func() {
				if err := r.ask(t.Context(), probe); err != failure {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // all of them wait for the check
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.ask(gone, probe); err != context.Canceled {
			t.Errorf("a request that is gone: %v", err)
		}
		close(free)
		all.Wait()
		time.Sleep(readyFor - time.Nanosecond)
		if err := r.ask(t.Context(), probe); err != failure || asked != 1 {
			t.Errorf("within a second of the answer it was looked %d times, and the last answer is %v", asked, err)
		}
		time.Sleep(time.Nanosecond)
		if err := r.ask(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Errorf("after a second: %v", err)
		}
	})
}

// A check without a result is given up after ten seconds.
func TestReadinessWaitsTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r readiness
		began := time.Now()
		err := r.ask(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if took := time.Since(began); err != context.DeadlineExceeded || took != readyWait {
			t.Errorf("the answer is %v after %s, want a deadline after %s", err, took, readyWait)
		}
	})
}
