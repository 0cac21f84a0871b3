package main

import (
	"context"
	"log/slog"
	"sluice/internal/service"
	"testing"
	"testing/synctest"
	"time"
)

// A sweep is done first an hour after the start, so that a start on a wrong database moves nothing before somebody can
// see it. Every other chore is done at once.
func TestFirstChores(t *testing.T) {
	for _, c := range append([]chore{keyUsage, refusals}, chores...) {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var after time.Duration
				if c.name == "sweep" {
					after = time.Hour
				}
				begun := time.Now()
				var done []time.Duration
				ctx, cancel := context.WithCancel(t.Context())
				c.do = func(context.Context, *service.Service) (int, error) {
					if done = append(done, time.Since(begun)); len(done) == 2 {
						cancel()
					}
					return 0, nil
				}
				c.repeat(ctx, nil, slog.Default())
				if len(done) != 2 || done[0] != after || done[1] != after+c.every {
					t.Errorf("it is done after %v, want after %v and then every %v", done, after, c.every)
				}
			})
		})
	}
}
