package service

import "time"

// Speed is how many bytes a second a pass reads at a moment.
func (p ScrubProgress) Speed(now time.Time, interval time.Duration) int64 {
	return p.speed(now, interval)
}

// LimitReports changes how many entries and bytes a report may have, until restore is called.
func LimitReports(entries, bytes int) (restore func()) {
	was := reportLimits
	reportLimits.entries, reportLimits.bytes = entries, bytes
	return func() { reportLimits = was }
}
