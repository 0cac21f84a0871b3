package compat

import (
	"slices"

	"sluice"
)

// Span is the part of a list that a vendor's cursors ask for, in the vendor's
// order. At most one of After and Before is set.
type Span struct {
	Limit         int
	After, Before string // ids of objects: what follows one, what precedes it
	OldestFirst   bool
}

// Page is the page of the Service's list that holds the span.
func (s Span) Page() sluice.Page {
	if !s.OldestFirst {
		return sluice.Page{Limit: s.Limit, After: s.After, Before: s.Before}
	}
	return sluice.Page{Limit: s.Limit, After: s.Before, Before: s.After, Last: s.After == "" && s.Before == ""}
}

// Listed is a span of a list in the vendor's order.
type Listed[T any] struct {
	Data []T
	// HasBefore and HasAfter say that there is more on either side. Whoever
	// came from one side may go back there.
	HasBefore, HasAfter bool
}

// Of puts a page of the Service into the order of the span that asked for it.
func Of[T any](s Span, l sluice.List[T]) Listed[T] {
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

// Range reads the bounds of a range: name for one value, or name[gt], name[gte],
// name[lt] and name[lte]. A text may stand for a span of values, such as all
// moments of a second: parse gives its ends, and the range holds the whole of
// it or nothing. want says in a failure what a value is.
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
