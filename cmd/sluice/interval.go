package main

import (
	"fmt"
	"strings"
	"time"
)

// minInterval prevents a mistyped flag from reading all files, or the database, continuously.
const minInterval = time.Hour

// parseInterval parses a flag such as --scrub-interval.
func parseInterval(flag, text string) (time.Duration, error) {
	interval, err := parseDuration(strings.TrimSpace(text))
	if err == nil && interval != 0 && interval < minInterval {
		err = fmt.Errorf("%s is less than an hour; write 0 for never", text)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", flag, err)
	}
	return interval, nil
}
