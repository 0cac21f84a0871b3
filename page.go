package sluice

import "time"

// Limits of a page.
const (
	DefaultPageSize = 10
	MaxPageSize     = 100
)

// Page selects part of a list. Lists are ordered newest first. At most one of
// After and Before is set.
type Page struct {
	Limit  int    // 1 to MaxPageSize
	After  string // id of an object; the page begins with the next older one
	Before string // id of an object; the page ends with the next newer one
	Last   bool   // the page holds the oldest objects; without After and Before
}

// Up reports whether the page is read from its oldest object towards newer ones.
func (p Page) Up() bool { return p.Before != "" || p.Last && p.After == "" }

// List is one page, newest first. More reports whether the list continues beyond
// the page in its direction: towards newer objects with Page.Before or
// Page.Last, otherwise towards older ones.
//
// A deleted object still serves as a cursor. An id that never named an object
// of the caller is CodeValidation.
type List[T any] struct {
	Data []T
	More bool
}

// Range bounds a value from below and above. A nil bound is no bound.
type Range[T any] struct {
	GT, GTE, LT, LTE *T
}

// TimeRange is a range of times.
type TimeRange = Range[time.Time]
