package follow_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"sluice"
	"sluice/internal/follow"
	"sluice/internal/obs"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// sends records the cursors of the calls of Send.
type sends struct {
	mu      sync.Mutex
	cursors []int64
}

func (s *sends) add(cursor int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursors = append(s.cursors, cursor)
}

func (s *sends) await(t *testing.T, n int) []int64 {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		cursors := append([]int64(nil), s.cursors...)
		s.mu.Unlock()
		if len(cursors) >= n {
			return cursors
		}
	}
	t.Fatalf("fewer than %d sends within a minute", n)
	return nil
}

// run runs a follower until stop is called.
func run(t *testing.T, s *sluicetest.Service, f follow.Follower, metrics *obs.Metrics) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan bool)
	r := follow.Runner{Store: s.Store, Log: slog.New(slog.DiscardHandler)}
	if metrics != nil {
		r.Observer = metrics
	}
	go func() { defer close(ended); r.Run(ctx, []follow.Follower{f}) }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}

func entries(l service.LogSize) int64 { return l.Size }

// A failed send is retried with the same cursor. The metrics show the lag until the
// follower has caught up.
func TestRetry(t *testing.T) {
	s := sluicetest.NewService(t)
	var asked sends
	metrics := obs.New("test")
	l := s.Ledger(sluice.Test)
	s.NewKey(t, l)
	run(
		t, s,
		follow.Follower{
			Name: "f",
			Head: entries,
			Send: func(_ context.Context, _ service.Store, of sluice.LedgerID, cursor int64) (int64, error) {
				if of != l {
					return 1 << 40, nil
				}
				asked.add(cursor)
				if len(asked.cursors) < 3 {
					return 0, errors.New("no")
				}
				return 1 << 40, nil
			},
		},
		metrics,
	)
	if got := asked.await(t, 3); got[0] != 0 || got[1] != 0 || got[2] != 0 {
		t.Errorf("got the cursors %v, want 0 three times", got)
	}
	behind := func() float64 {
		families, err := metrics.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "sluice_follower_behind_entries" {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return -1
	}
	for deadline := time.Now().Add(time.Minute); behind() != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute, the follower is %v entries behind", behind())
		}
	}
}

// A follower continues from its cursor and is sent what is new at an orderly stop.
// The next server begins with cursor 0.
func TestCursor(t *testing.T) {
	s := sluicetest.NewService(t)
	l := s.Ledger(sluice.Test)
	s.NewKey(t, l)
	f := func(asked *sends) follow.Follower {
		return follow.Follower{Name: "f", Pause: time.Hour, Head: entries,
			Send: func(ctx context.Context, store service.Store, of sluice.LedgerID, cursor int64) (size int64, err error) {
				if of == l {
					asked.add(cursor)
				}
				err = store.View(ctx, func(r service.Reader) error {
					size, err = r.Size(of)
					return err
				})
				return size, err
			}}
	}
	size := int64(len(s.Entries(t, l)))
	var first, second sends
	stop := run(t, s, f(&first), nil)
	first.await(t, 1)
	s.NewKey(t, l)
	stop()
	if got := first.await(t, 2); len(got) != 2 || got[0] != 0 || got[1] != size {
		t.Errorf("got the cursors %v, want 0 and, at the stop, %d", got, size)
	}
	run(t, s, f(&second), nil)
	if got := second.await(t, 1); got[0] != 0 {
		t.Errorf("got the cursors %v after a restart, want 0", got)
	}
}
