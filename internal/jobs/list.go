package jobs

import (
	"context"
	"time"

	"sluice/internal/service"
)

// Shared gives the jobs that one server does for all of them.
func Shared(svc *service.Service) []Job {
	return []Job{
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
}

// Own gives the jobs that every server does: each knows which keys it was asked
// with, and what it refused.
func Own(svc *service.Service) []Job {
	return []Job{
		{Name: "key usage", Every: time.Minute, AtStop: true, Run: func(ctx context.Context) (int, error) { return 0, svc.WriteUsage(ctx) }},
		{Name: "refusals", Every: 10 * time.Second, Run: func(context.Context) (int, error) {
			svc.WriteRefusals()
			return 0, nil
		}},
	}
}
