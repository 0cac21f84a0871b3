package service

import "time"

// BoundDeliveries sets how many delivery entries of one ledger, and of all, may wait.
func (s *Service) BoundDeliveries(most, total int) {
	s.delivered.most, s.delivered.total = most, total
}

// Speed is how many bytes a second a pass reads at a moment.
func (p ScrubProgress) Speed(now time.Time, interval time.Duration) int64 {
	return p.speed(now, interval)
}
