package stripe

import (
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/httpd/compat"
)

// Codes of failures, beside those of sluice.FieldError, that Stripe has codes
// of its own for.
const (
	notInteger = "integer"
	isEmpty    = "empty"
	exclusive  = "exclusive"
	missing    = "missing" // names no object
)

// maxUnix is the last second of the year 9999.
const maxUnix = 253402300799

// text reads a parameter that is not empty when it is there.
func (p params) text(name string) string {
	text, given := p.Text(name)
	if given && text == "" {
		p.invalid.Add(name, isEmpty, "%s is empty; leave it out to say nothing of it", name)
	}
	return text
}

// required reads a parameter that must be there.
func (p params) required(name string) string {
	if !p.Has(name) {
		p.invalid.Add(name, "required", "the parameter %s is required", name)
	}
	return p.text(name)
}

func (p params) flag(name, full string) *bool {
	text, given := p.Text(name)
	if !given {
		return nil
	}
	b := text == "true"
	if !b && text != "false" {
		p.invalid.Add(full, "invalid", "%s is neither true nor false", full)
	}
	return &b
}

// moment reads a Unix time in seconds.
func (p params) moment(full, text string) time.Time {
	first, _, ok := second(text)
	if !ok {
		p.invalid.Add(full, notInteger, "%s is not a Unix time in seconds", full)
	}
	return first
}

// second gives the ends of the second that a Unix time stands for.
func second(text string) (first, last time.Time, ok bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > maxUnix {
		return first, last, false
	}
	first = time.Unix(n, 0).UTC()
	return first, first.Add(time.Second - time.Microsecond), true
}

// created reads the filter of lists by time.
func (p params) created() sluice.TimeRange {
	return compat.Range(p.Form, "created", "a Unix time in seconds", second)
}

// metadata reads pairs to set. An empty value sets nothing.
func (p params) metadata() sluice.Metadata {
	pairs, _ := p.Map("metadata")
	for key, value := range pairs {
		if value == "" {
			delete(pairs, key)
		}
	}
	return pairs
}

// span reads the part of a list that is asked for.
func (p params) span() compat.Span {
	s := compat.Span{Limit: sluice.DefaultPageSize, After: p.text("starting_after"), Before: p.text("ending_before")}
	if s.After != "" && s.Before != "" {
		p.invalid.Add("starting_after", exclusive, "give starting_after or ending_before, not both")
	}
	if text, given := p.Text("limit"); given {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > sluice.MaxPageSize {
			p.invalid.Add("limit", notInteger, "limit is an integer from 1 to %d", sluice.MaxPageSize)
		}
		s.Limit = n
	}
	return s
}

// expansion is what to put in place of ids: the members of an object by name,
// each with what to expand within.
type expansion map[string]expansion

// The kinds of objects, for what can be expanded in them.
type kind struct {
	next map[string]string // member to the kind of it
	id   map[string]bool   // members that are an id unless expanded
}

var kinds = map[string]kind{
	"file":      {next: map[string]string{"links": "links"}},
	"links":     {next: map[string]string{"data": "file_link"}},
	"file_link": {next: map[string]string{"file": "file"}, id: map[string]bool{"file": true}},
	"files":     {next: map[string]string{"data": "file"}},
}

// maxExpansion is how deep an expansion may go.
const maxExpansion = 4

// expand reads the paths that are to be expanded in an object of a kind.
func (p params) expand(of string) expansion {
	all := expansion{}
	for _, path := range p.Texts("expand") {
		at, in, depth, expandable := of, all, 0, false
		for name := range strings.SplitSeq(path, ".") {
			next := kinds[at].next[name]
			if depth++; next == "" || depth > maxExpansion {
				expandable = false
				break
			}
			expandable, at = kinds[at].id[name], next
			if in[name] == nil {
				in[name] = expansion{}
			}
			in = in[name]
		}
		if !expandable {
			p.invalid.Add("expand", "invalid", "%q cannot be expanded here", clip(path))
		}
	}
	return all
}

// maxObjects is how many objects a list may hold, those within others included.
const maxObjects = 2_000

// bound refuses a list of a kind that could hold too many objects.
func (p params) bound(s compat.Span, of string, ex expansion) {
	each := objects(of, ex)
	if most := maxObjects / each; s.Limit > most {
		p.invalid.Add("limit", "invalid", "with this expand, limit is at most %d", most)
	}
}

// objects is how many objects one of a kind holds at most, itself included.
func objects(of string, ex expansion) int {
	n := 1
	for member, kind := range kinds[of].next {
		inner, expanded := ex[member]
		switch {
		case of == "links":
			return shownLinks * objects(kind, inner)
		case expanded || !kinds[of].id[member]:
			n += objects(kind, inner)
		}
	}
	return n
}

func clip(s string) string {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "")
	}
	return s
}
