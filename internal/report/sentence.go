package report

import (
	"strings"

	"sluice"
)

// word says in a sentence what an entry records.
func word(e sluice.Entry) string {
	s := string(e.Action)
	if e.File != nil {
		s += " " + e.File.Filename
	}
	return strings.TrimSpace(s)
}
