package compat

import (
	"slices"

	"sluice"
)

// Span is the part of a list that a vendor's cursors select, in the vendor's order.
// At most one of After and Before is set.
type Span struct {
	Limit         int
	After, Before string // ids: the span follows or precedes that object
	OldestFirst   bool
}

// Page returns the page of the Service's list for the span.
func (s Span) Page() sluice.Page {
	if !s.OldestFirst {
		return sluice.Page{Limit: s.Limit, After: s.After, Before: s.Before}
	}
	return sluice.Page{Limit: s.Limit, After: s.Before, Before: s.After, Last: s.After == "" && s.Before == ""}
}

// Listed holds the objects of a span in the vendor's order.
type Listed[T any] struct {
	Data []T
	// HasBefore and HasAfter say whether the list continues on either side. On the
	// side of the cursor, it always does.
	HasBefore, HasAfter bool
}

// InOrder returns a page of the Service in the order of its span.
func InOrder[T any](s Span, l sluice.List[T]) Listed[T] {
	out := Listed[T]{Data: l.Data}
	if s.OldestFirst {
		out.Data = slices.Clone(l.Data)
		slices.Reverse(out.Data)
	}
	if s.Before != "" {
		out.HasBefore, out.HasAfter = l.More, true
	} else {
		out.HasBefore, out.HasAfter = s.After != "", l.More
	}
	return out
}

// Range reads the bounds of a range: name for a single value, or name[gt],
// name[gte], name[lt] and name[lte]. A text may stand for several values, such as
// all times within a second. parse returns the first and the last of them, and the
// range includes either all or none. want describes a valid value in a failure.
func Range[T any](f *Form, name, want string, parse func(string) (first, last T, ok bool)) (r sluice.Range[T]) {
	read := func(full, text string) (first, last *T) {
		from, to, ok := parse(text)
		if !ok {
			f.invalid.Add(full, "invalid", "%s is not %s", full, want)
		}
		return &from, &to
	}
	f.ask(name)
	if f.texts[name] != nil {
		if text, given := f.Text(name); given {
			r.GTE, r.LTE = read(f.full(name), text)
		}
		return r
	}
	m := f.Members(name)
	bound := func(suffix string, set func(first, last *T)) {
		if text, given := m.Text(suffix); given {
			set(read(m.full(suffix), text))
		}
	}
	bound("gt", func(_, last *T) { r.GT = last })
	bound("gte", func(first, _ *T) { r.GTE = first })
	bound("lt", func(first, _ *T) { r.LT = first })
	bound("lte", func(_, last *T) { r.LTE = last })
	return r
}
