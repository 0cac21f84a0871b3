package jobs

import (
	"context"
	"time"

	"sluice/internal/gate"
	"sluice/internal/maintain/fsck"
	"sluice/internal/service"
)

// Shared returns the jobs that one server runs for all servers. The scrub reads all
// stored bytes once per scrubInterval; 0 disables it.
func Shared(svc *service.Service, scrubInterval time.Duration) []Job {
	list := []Job{
		{Name: "checkpoints", Every: 250 * time.Millisecond, Run: func(ctx context.Context) (int, error) {
			_, err := svc.Ledgers.Checkpoint(ctx) // not logged: checkpoints are too frequent
			return 0, err
		}},
		{Name: "endings", Every: time.Second, Run: svc.Housekeeping.MarkEndedLinks},
		{Name: "erasures", Every: time.Second, Run: svc.Erasures.Run},
		{Name: "retention", Every: time.Minute, Run: svc.Retention.Run},
		// The delay gives an operator who started on the wrong database an hour to notice.
		{Name: "sweep", Every: 10 * time.Minute, After: time.Hour, Run: func(ctx context.Context) (int, error) {
			swept, err := svc.Sweep.Run(ctx, svc.Now().Add(-service.SweepAge))
			return swept.Total(), err
		}},
		{Name: "forgetting", Every: 10 * time.Minute, Run: svc.Housekeeping.RemoveExpired},
	}
	if scrubInterval != 0 {
		list = append(list, Job{Name: "scrub", Every: time.Minute, Run: func(ctx context.Context) (int, error) {
			return svc.Scrub.Run(ctx, scrubInterval)
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

// Own returns the jobs that every server runs on state of its own process: the use
// of keys and sessions, and counted refusals.
func Own(svc *service.Service, links *gate.Gate) []Job {
	return []Job{
		{Name: "key usage", Every: time.Minute, AtStop: true, Run: func(ctx context.Context) (int, error) {
			return 0, svc.Keys.WriteUsage(ctx)
		}},
		{Name: "session usage", Every: time.Minute, AtStop: true, Run: func(ctx context.Context) (int, error) {
			return 0, svc.Sessions.WriteUsage(ctx)
		}},
		// The metrics of every server show the progress of the scrub.
		{Name: "scrub state", Every: time.Minute, Run: func(ctx context.Context) (int, error) {
			return 0, svc.Scrub.Watch(ctx)
		}},
		{Name: "refusals", Every: 10 * time.Second, Run: func(context.Context) (int, error) {
			links.WriteRefusals()
			return 0, nil
		}},
	}
}
