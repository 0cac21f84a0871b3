package native

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sluice"
)

// A report waits for a place for some seconds. Readers who take their reports slowly hold the places for longer.
func TestReportsAreMadeByTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &face{reports: make(chan struct{}, reportsAtOnce)}
		for range reportsAtOnce {
			if err := s.takeTurn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		var err *sluice.Error
		if !errors.As(s.takeTurn(t.Context()), &err) || err.Code != sluice.CodeUnavailable || err.RetryAfter <= 0 || time.Since(began) != turnWait {
			t.Errorf("after %v: %+v", time.Since(began), err)
		}
		go func() {
			time.Sleep(turnWait / 2)
			<-s.reports
		}()
		if err := s.takeTurn(t.Context()); err != nil {
			t.Errorf("with a place that becomes free: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.takeTurn(ctx); err != context.Canceled {
			t.Error(err)
		}
	})
}
