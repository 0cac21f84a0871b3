package stripe

import (
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/httpd/compat"
)

// Codes of failures in addition to those of sluice.FieldError, for which Stripe has
// codes.
const (
	notInteger = "integer"
	isEmpty    = "empty"
	exclusive  = "exclusive"
	missing    = "missing" // no such object
)

// maxUnix is the last second of the year 9999.
const maxUnix = 253402300799

// text reads a parameter that must not be empty.
func (p params) text(name string) string {
	text, given := p.Text(name)
	if given && text == "" {
		p.invalid.Add(name, isEmpty, "%s must not be empty; omit it instead", name)
	}
	return text
}

// required reads a required parameter.
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
		p.invalid.Add(full, "invalid", "%s must be true or false", full)
	}
	return &b
}

// moment parses a Unix time in seconds.
func (p params) moment(full, text string) time.Time {
	first, _, ok := second(text)
	if !ok {
		p.invalid.Add(full, notInteger, "%s is not a Unix time in seconds", full)
	}
	return first
}

// second returns the first and last time within the second of a Unix time.
func second(text string) (first, last time.Time, ok bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > maxUnix {
		return first, last, false
	}
	first = time.Unix(n, 0).UTC()
	return first, first.Add(time.Second - time.Microsecond), true
}

// created reads the filter by creation time.
func (p params) created() sluice.TimeRange {
	return compat.Range(p.Form, "created", "a Unix time in seconds", second)
}

// metadata reads the pairs to set. Pairs with an empty value are ignored.
func (p params) metadata() sluice.Metadata {
	pairs, _ := p.Map("metadata")
	for key, value := range pairs {
		if value == "" {
			delete(pairs, key)
		}
	}
	return pairs
}

// span reads limit and cursors.
func (p params) span() compat.Span {
	s := compat.Span{Limit: sluice.DefaultPageSize, After: p.text("starting_after"), Before: p.text("ending_before")}
	if s.After != "" && s.Before != "" {
		p.invalid.Add("starting_after", exclusive, "starting_after and ending_before exclude each other")
	}
	if text, given := p.Text("limit"); given {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > sluice.MaxPageSize {
			p.invalid.Add("limit", notInteger, "limit must be an integer from 1 to %d", sluice.MaxPageSize)
		}
		s.Limit = n
	}
	return s
}

// expansion is a tree of the members to expand, by name.
type expansion map[string]expansion

// kind describes the expandable members of a kind of object.
type kind struct {
	next map[string]string // kind of the object in a member
	id   map[string]bool   // members that contain an id unless expanded
}

var kinds = map[string]kind{
	"file":      {next: map[string]string{"links": "links"}},
	"links":     {next: map[string]string{"data": "file_link"}},
	"file_link": {next: map[string]string{"file": "file"}, id: map[string]bool{"file": true}},
	"files":     {next: map[string]string{"data": "file"}},
}

// maxExpansion is the maximum depth of an expansion.
const maxExpansion = 4

// expand reads the paths to expand in an object of a kind.
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

// maxObjects is the maximum number of objects in a list, including nested objects.
const maxObjects = 2_000

// bound adds a failure if a list could contain more than maxObjects objects.
func (p params) bound(s compat.Span, of string, ex expansion) {
	each := objects(of, ex)
	if most := maxObjects / each; s.Limit > most {
		p.invalid.Add("limit", "invalid", "with this expand, limit is at most %d", most)
	}
}

// objects returns the maximum number of objects in an object of a kind, including
// itself.
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
