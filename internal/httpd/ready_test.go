package httpd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// However many ask whether the server is ready, it looks once a second, and an
// answer that is a second old is not given.
func TestReadinessIsAskedOnce(t *testing.T) {
	var r readiness
	var asked atomic.Int64
	free := make(chan struct{})
	failure := errors.New("not ready")
	probe := func(context.Context) error {
		asked.Add(1)
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
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.ask(gone, probe); err != context.Canceled {
		t.Errorf("a request that is gone: %v", err)
	}
	close(free)
	all.Wait()
	if n := asked.Load(); n > 1 {
		if r.last.at.IsZero() || n > 60 { // a slow machine takes more than a second
			t.Errorf("it was looked %d times", n)
		}
	}
	r.last.at = time.Now().Add(-2 * readyFor)
	if err := r.ask(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("after a second: %v", err)
	}
}
