package main

import (
	"fmt"
	"strings"
	"time"
)

// minScrubInterval keeps a typing error from reading all files without end.
const minScrubInterval = time.Hour

// parseScrubInterval reads --scrub-interval.
func parseScrubInterval(text string) (time.Duration, error) {
	interval, err := parseDuration(strings.TrimSpace(text))
	if err == nil && interval != 0 && interval < minScrubInterval {
		err = fmt.Errorf("%s is less than an hour; write 0 to switch the scrub off", text)
	}
	if err != nil {
		return 0, fmt.Errorf("--scrub-interval: %w", err)
	}
	return interval, nil
}
