package jobs

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/service"
)

// A sweep runs first an hour after the start, so that a start on the wrong
// database moves nothing before somebody can see it. Every other job runs at once.
func TestFirstRuns(t *testing.T) {
	var svc service.Service // no job does its work here
	list := append(Shared(&svc, 30*24*time.Hour), Own(&svc, nil)...)
	if n, none := len(list), len(Shared(&svc, 0))+len(Own(&svc, nil)); n != none+1 {
		t.Errorf("%d jobs, and %d without a scrub", n, none)
	}
	for _, j := range list {
		t.Run(j.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var after time.Duration
				if j.Name == "sweep" {
					after = time.Hour
				}
				began := time.Now()
				var runs []time.Duration
				ctx, cancel := context.WithCancel(t.Context())
				j.Run = func(context.Context) (int, error) {
					if runs = append(runs, time.Since(began)); len(runs) == 2 {
						cancel()
					}
					return 0, nil
				}
				r := runner{Job: j, Scheduler: &Scheduler{Log: slog.Default()}}
				r.repeat(ctx)
				if len(runs) != 2 || runs[0] != after || runs[1] != after+j.Every {
					t.Errorf("it runs after %v, want after %v and then every %v", runs, after, j.Every)
				}
			})
		})
	}
}
