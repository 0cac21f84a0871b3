package jobs

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestStates(t *testing.T) {
	var inner, s States
	s.Next = &inner
	broken := errors.New("broken")
	s.JobEnded("scrub", time.Second, broken)
	s.JobEnded("retention", time.Second, nil)
	s.JobEnded("checkpoints", time.Second, broken)
	if got := s.Failing(); !slices.Equal(got, []string{"checkpoints", "scrub"}) || len(inner.Failing()) != 2 {
		t.Errorf("failing: %v", got)
	}
	s.JobEnded("scrub", time.Second, nil)
	if got := s.Failing(); !slices.Equal(got, []string{"checkpoints"}) {
		t.Errorf("failing after a success: %v", got)
	}
}
