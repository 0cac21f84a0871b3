package service

import (
	"slices"
	"time"

	"sluice"
)

// Precondition lists versions of an object, and holds if the object has one of them. "*" stands for any version. A nil
// Precondition always holds.
type Precondition []string

func (want Precondition) check(version string) error {
	if want == nil || slices.Contains(want, version) || slices.Contains(want, "*") {
		return nil
	}
	return sluice.Errorf(sluice.CodePreconditionFailed,
		"the object was changed meanwhile; get it again and decide anew")
}

// next is the time of a change: now, or a microsecond after the previous change if that is later, so that every version
// has a time of its own.
func next(now, updated time.Time) time.Time {
	if now.After(updated) {
		return now
	}
	return updated.Add(time.Microsecond)
}
