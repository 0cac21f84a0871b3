package main

import (
	"fmt"
	"strings"
	"time"
)

// minScrubInterval prevents a mistyped flag from reading all files
// continuously.
const minScrubInterval = time.Hour

// parseScrubInterval parses --scrub-interval.
func parseScrubInterval(text string) (time.Duration, error) {
	interval, err := parseDuration(strings.TrimSpace(text))
	if err == nil && interval != 0 && interval < minScrubInterval {
		err = fmt.Errorf("%s is less than an hour; write 0 to disable the scrub", text)
	}
	if err != nil {
		return 0, fmt.Errorf("--scrub-interval: %w", err)
	}
	return interval, nil
}
