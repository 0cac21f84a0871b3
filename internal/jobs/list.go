package jobs

import (
	"context"
	"time"

	"sluice/internal/gate"
	"sluice/internal/maintain/fsck"
	"sluice/internal/service"
)

// Shared gives the jobs that one server does for all of them. The stored bytes are
// read once in a scrub interval; of 0, never.
func Shared(svc *service.Service, scrubInterval time.Duration) []Job {
	list := []Job{
		{Name: "checkpoints", Every: 250 * time.Millisecond, Run: func(ctx context.Context) (int, error) {
			_, err := svc.Checkpoint(ctx) // signed too often to log each
			return 0, err
		}},
		{Name: "endings", Every: time.Second, Run: svc.EndLinks},
		{Name: "retention", Every: time.Minute, Run: svc.Retain},
		// An operator who started on the wrong database has an hour to notice before anything moves.
		{Name: "sweep", Every: 10 * time.Minute, After: time.Hour, Run: func(ctx context.Context) (int, error) {
			swept, err := svc.Sweep(ctx, svc.Now().Add(-service.SweepAge))
			return swept.Total(), err
		}},
		{Name: "forgetting", Every: 10 * time.Minute, Run: svc.Forget},
	}
	if scrubInterval != 0 {
		list = append(list, Job{Name: "scrub", Every: time.Minute, Run: func(ctx context.Context) (int, error) {
			return svc.Scrub(ctx, scrubInterval)
		}})
	}
	return list
}

// Checks gives the jobs by which every server notices that its database is damaged. A server that has just started has
// other work, so they wait a while. Each run asks what is due.
func Checks(w *fsck.Watch, after time.Duration) []Job {
	return []Job{
		{Name: "page check", Every: time.Minute, After: after, Run: func(ctx context.Context) (int, error) {
			return 0, w.CheckPages(ctx)
		}},
		{Name: "index check", Every: time.Minute, After: after, Run: func(ctx context.Context) (int, error) {
			return 0, w.CheckIndexes(ctx)
		}},
	}
}

// Own gives the jobs that every server does: each knows which keys it was asked
// with, and what it refused.
func Own(svc *service.Service, links *gate.Gate) []Job {
	return []Job{
		{Name: "key usage", Every: time.Minute, AtStop: true, Run: func(ctx context.Context) (int, error) { return 0, svc.WriteUsage(ctx) }},
		// Each server shows in its metrics how far the scrub has come.
		{Name: "scrub state", Every: time.Minute, Run: func(ctx context.Context) (int, error) { return 0, svc.WatchScrub(ctx) }},
		{Name: "refusals", Every: 10 * time.Second, Run: func(context.Context) (int, error) {
			links.WriteRefusals()
			return 0, nil
		}},
	}
}
