package service

import "time"

// Speed is how many bytes a second a pass reads at a moment.
func (p ScrubProgress) Speed(now time.Time, interval time.Duration) int64 {
	return p.speed(now, interval)
}
