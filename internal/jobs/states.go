package jobs

import (
	"slices"
	"sync"
	"time"
)

// States remembers which jobs of this process failed when they ran last. Its zero value is usable, by many goroutines
// at once.
type States struct {
	Next Observer // is notified too; may be nil

	mu     sync.Mutex
	failed map[string]bool
}

// JobEnded implements Observer.
func (s *States) JobEnded(job string, took time.Duration, err error) {
	s.mu.Lock()
	if s.failed == nil {
		s.failed = map[string]bool{}
	}
	if err != nil {
		s.failed[job] = true
	} else {
		delete(s.failed, job)
	}
	s.mu.Unlock()
	if s.Next != nil {
		s.Next.JobEnded(job, took, err)
	}
}

// Failing names the jobs that failed when they ran last, sorted.
func (s *States) Failing() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.failed {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
