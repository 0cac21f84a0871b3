// Package jobs runs what a server does by itself, again and again: signing the
// logs, retention, sweeping, forgetting.
package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"sluice/internal/leader"
	"sluice/internal/service"
)

// Job is work that is repeated.
type Job struct {
	Name  string
	Every time.Duration
	After time.Duration // how long after the start it runs first
	// Run does the work once and says how many items it changed; 0 is not
	// logged. A run that fails is repeated when its time comes.
	Run func(context.Context) (items int, err error)
	// AtStop has it run once more when the server stops.
	AtStop bool
}

// Observer is told of each run that ended.
type Observer interface {
	JobEnded(job string, took time.Duration, err error)
}

// Scheduler runs jobs until its context ends.
type Scheduler struct {
	Store    service.Store
	Log      *slog.Logger
	Observer Observer // nil: nobody is told
}

// leaseName names the lease of the server that runs the shared jobs.
const leaseName = "jobs"

// Run runs jobs until ctx ends, each in a goroutine of its own. Of the servers
// on one database, one runs the shared jobs; every server runs its own.
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

// runner runs one job, one run after the other.
type runner struct {
	Job
	*Scheduler
	failure string // what the last run failed with, "" when it did not
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

// once runs the job once. A failure is logged when it begins and when what it
// says changes, so that a job of every second does not fill the log.
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
