// Package jobs runs the periodic jobs of a server, such as checkpoints, retention
// and sweeps.
package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"sluice/internal/leader"
	"sluice/internal/service"
)

// Job is a periodic job.
type Job struct {
	Name  string
	Every time.Duration
	After time.Duration // delay of the first run after the start
	// Run runs the job once and returns the number of items that it changed. The
	// number is logged unless it is 0. A failed run is not repeated before its
	// time.
	Run func(context.Context) (items int, err error)
	// AtStop says that the job runs once more when the server stops.
	AtStop bool
}

// Observer is notified of the end of each run.
type Observer interface {
	JobEnded(job string, took time.Duration, err error)
}

// Scheduler runs jobs.
type Scheduler struct {
	Store    service.Store
	Log      *slog.Logger
	Observer Observer // may be nil
}

// leaseName is the name of the lease for running the shared jobs.
const leaseName = "jobs"

// Run runs jobs until ctx ends, each in its own goroutine. Of the servers that share
// a database, one runs the shared jobs. Every server runs its own jobs.
func (s *Scheduler) Run(ctx context.Context, shared, own []Job) {
	var all sync.WaitGroup
	all.Go(func() {
		leader.Run(ctx, s.Store, leaseName, s.Log, func(ctx context.Context) { s.repeatAll(ctx, shared) })
	})
	s.repeatAll(ctx, own)
	all.Wait()
	for _, j := range own {
		if j.AtStop {
			new(runner{Job: j, Scheduler: s}).once(context.WithoutCancel(ctx))
		}
	}
}

func (s *Scheduler) repeatAll(ctx context.Context, list []Job) {
	var all sync.WaitGroup
	for _, j := range list {
		all.Go(func() { new(runner{Job: j, Scheduler: s}).repeat(ctx) })
	}
	all.Wait()
}

// runner runs one job.
type runner struct {
	Job
	*Scheduler
	failure string // error of the last run, or ""
}

func (r *runner) repeat(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(r.After):
	}
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	for {
		r.once(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// once runs the job once. It logs a failure only if the previous run did not fail
// with the same error, so that a frequent job does not fill the log.
func (r *runner) once(ctx context.Context) {
	began := time.Now()
	items, err := r.Job.Run(ctx)
	if ctx.Err() != nil {
		return
	}
	if r.Observer != nil {
		r.Observer.JobEnded(r.Name, time.Since(began), err)
	}
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	switch {
	case err != nil && failure != r.failure:
		r.Log.Error("job failed", "job", r.Name, "error", err)
	case err == nil && r.failure != "":
		r.Log.Info("job recovered", "job", r.Name)
	}
	if items > 0 {
		r.Log.Info("job finished", "job", r.Name, "items", items)
	}
	r.failure = failure
}
