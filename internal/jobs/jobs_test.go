package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/jobs"
	"sluice/internal/obs"
	"sluice/sluicetest"
)

// await waits until a condition holds.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute, still not: %s", what)
		}
	}
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.text.String(), text)
}

// Of two servers on one database, one runs a shared job. The other takes the job
// over when the first stops. Both run their own jobs, and those with AtStop once
// more when they stop.
func TestSharedAndOwn(t *testing.T) {
	s := sluicetest.NewService(t)
	type server struct {
		shared, own, atStop atomic.Int64
		stop                func()
	}
	start := func() *server {
		n := &server{}
		ctx, cancel := context.WithCancel(context.Background())
		count := func(to *atomic.Int64) func(context.Context) (int, error) {
			return func(context.Context) (int, error) { to.Add(1); return 0, nil }
		}
		ended := make(chan bool)
		scheduler := jobs.Scheduler{Store: s.Store, Log: slog.New(slog.DiscardHandler)}
		go func() {
			defer close(ended)
			scheduler.Run(ctx, []jobs.Job{{Name: "shared", Every: time.Millisecond, Run: count(&n.shared)}}, []jobs.Job{
				{Name: "own", Every: time.Millisecond, Run: count(&n.own)},
				{Name: "last", Every: time.Hour, After: time.Hour, AtStop: true, Run: count(&n.atStop)},
			})
		}()
		n.stop = sync.OnceFunc(func() { cancel(); <-ended })
		t.Cleanup(n.stop)
		return n
	}
	first := start()
	await(t, "the first runs the shared job", func() bool { return first.shared.Load() > 3 })
	second := start()
	await(t, "the second runs its own job", func() bool { return second.own.Load() > 3 })
	if n := second.shared.Load(); n != 0 {
		t.Errorf("the second ran the shared job %d times while the first ran it", n)
	}
	first.stop()
	if n := first.atStop.Load(); n != 1 {
		t.Errorf("the job with AtStop ran %d times, want 1", n)
	}
	await(t, "the second takes over the shared job", func() bool { return second.shared.Load() > 0 })
}

// A job that keeps failing leaves one line in the log until it recovers. The
// metrics show the failure.
func TestFailingJob(t *testing.T) {
	s := sluicetest.NewService(t)
	var log buffer
	var works atomic.Bool
	var runs atomic.Int64
	metrics := obs.New("test")
	failing := func() float64 {
		families, err := metrics.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "sluice_job_failing" {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return -1
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan bool)
	scheduler := jobs.Scheduler{Store: s.Store, Log: slog.New(slog.NewTextHandler(&log, nil)), Observer: metrics}
	go func() {
		defer close(ended)
		scheduler.Run(
			ctx, nil,
			[]jobs.Job{{Name: "flaky", Every: time.Millisecond, Run: func(context.Context) (int, error) {
				runs.Add(1)
				if !works.Load() {
					return 0, errors.New("no")
				}
				return 3, nil
			}}},
		)
	}()
	await(t, "the job fails", func() bool { return failing() == 1 && runs.Load() > 5 })
	works.Store(true)
	await(t, "the job recovers", func() bool { return failing() == 0 })
	await(t, "the recovery is logged", func() bool { return log.count(`msg="job finished" job=flaky items=3`) > 0 })
	cancel()
	<-ended
	if failed, recovered := log.count("job failed"), log.count("job recovered"); failed != 1 || recovered != 1 {
		t.Errorf(
			"%d failures and %d recoveries were logged, want one of each: %s", failed, recovered, log.text.String(),
		)
	}
}
