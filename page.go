package sluice

import (
	"time"
)

// Limits of a page.
const (
	DefaultPageSize = 10
	MaxPageSize     = 100
)

// Page says which part of a list is wanted. Lists run newest first. At most
// one of After and Before is set.
type Page struct {
	Limit  int    // 1 to MaxPageSize
	After  string // id of an object: what follows it, older
	Before string // id of an object: what precedes it, newer
	Last   bool   // the oldest objects; without After and Before
}

// Up says whether the page begins at its oldest object and goes on to newer
// ones.
func (p Page) Up() bool { return p.Before != "" || p.Last && p.After == "" }

// List is one page, newest first. More says that there is at least one more
// object beyond the page in the direction it was asked for: older, or with
// Page.Before or Page.Last newer.
//
// An object keeps its place for cursors when it is deleted; an id that never
// was one of the caller's is CodeValidation.
type List[T any] struct {
	Data []T
	More bool
}

// Range bounds a value from below and above. A nil bound is open.
type Range[T any] struct {
	GT, GTE, LT, LTE *T
}

// TimeRange is a range of moments.
type TimeRange = Range[time.Time]
