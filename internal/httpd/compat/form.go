package compat

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice"
)

// Limits of a form with brackets.
const (
	maxFields = 500
	maxDepth  = 4        // a[b][c][d]
	maxName   = 1 << 10  // bytes
	maxValue  = 16 << 10 // bytes
)

// Form holds form fields whose names may have brackets:
//
//	a=1             text
//	a=1&a=2         text given twice
//	a[]=1&a[]=2     list, also written a[0]=1&a[1]=2
//	a[b]=1&a[c]=2   members
//
// A handler reads the members that it knows; Unknown then returns the others.
// Failures are added to a sluice.Invalid that a form shares with its nested forms,
// under the name in the request. The same fields always give the failures in the
// same order, because a repeated request is recognized by them.
type Form struct {
	name    string // of the field that has these members; "" at the top
	texts   map[string][]string
	members map[string]*Form
	asked   map[string]bool
	count   *int
	invalid *sluice.Invalid
}

// NewForm returns an empty form that adds failures to v.
func NewForm(v *sluice.Invalid) *Form { return &Form{count: new(int), invalid: v} }

// ParseForm parses a query or a body of application/x-www-form-urlencoded.
func ParseForm(text string, v *sluice.Invalid) *Form {
	f := NewForm(v)
	for text != "" {
		var field string
		field, text, _ = strings.Cut(text, "&")
		if field == "" {
			continue
		}
		name, value, _ := strings.Cut(field, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			v.Add("", "invalid", "the name of a field has an invalid percent-encoding")
			continue
		}
		if value, err = url.QueryUnescape(value); err != nil {
			v.Add(clip(name), "invalid", "the value of %s has an invalid percent-encoding", clip(name))
			continue
		}
		if !f.Add(name, value) {
			break
		}
	}
	return f
}

// Add adds a field. It returns false if the form has too many.
func (f *Form) Add(name, value string) bool {
	if *f.count++; *f.count > maxFields {
		f.invalid.Add("", "too_many", "there are more than %d fields", maxFields)
		return false
	}
	path, ok := splitName(name)
	switch {
	case !ok:
		f.invalid.Add(clip(name), "invalid", "%q is not a valid field name", clip(name))
	case len(path) > maxDepth:
		f.invalid.Add(clip(name), "invalid", "%s is nested more than %d levels deep", clip(name), maxDepth)
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		f.invalid.Add(clip(name), "invalid", "the name of a field is not valid UTF-8 or contains a NUL")
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		f.invalid.Add(clip(name), "invalid", "%s is not valid UTF-8 or contains a NUL", clip(name))
	case len(value) > maxValue:
		f.invalid.Add(clip(name), "too_long", "%s is longer than %d bytes", clip(name), maxValue)
	default:
		f.set(path, value)
	}
	return true
}

func (f *Form) set(path []string, value string) {
	for ; len(path) > 1; path = path[1:] {
		inner := f.members[path[0]]
		if inner == nil {
			inner = &Form{name: f.full(path[0]), count: f.count, invalid: f.invalid}
			if f.members == nil {
				f.members = map[string]*Form{}
			}
			f.members[path[0]] = inner
		}
		f = inner
	}
	if f.texts == nil {
		f.texts = map[string][]string{}
	}
	f.texts[path[0]] = append(f.texts[path[0]], value)
}

// splitName splits a[b][c] into its names. The brackets must be balanced, with
// nothing between or after them.
func splitName(name string) (path []string, ok bool) {
	first, rest, nested := strings.Cut(name, "[")
	if first == "" || len(name) > maxName || strings.Contains(first, "]") {
		return nil, false
	}
	path = []string{first}
	for nested {
		var inner string
		if inner, rest, ok = strings.Cut(rest, "]"); !ok || strings.Contains(inner, "[") {
			return nil, false
		}
		path = append(path, inner)
		if rest == "" {
			break
		}
		if rest[0] != '[' {
			return nil, false
		}
		rest = rest[1:]
	}
	return path, true
}

// full returns the name of a member as in the request.
func (f *Form) full(name string) string {
	if f.name == "" {
		return clip(name)
	}
	return f.name + "[" + clip(name) + "]"
}

// ask marks a member as known.
func (f *Form) ask(name string) {
	if f.asked == nil {
		f.asked = map[string]bool{}
	}
	f.asked[name] = true
}

// Has reports whether the form has a member.
func (f *Form) Has(name string) bool {
	return f.texts[name] != nil || f.members[name] != nil
}

// Text returns a member that is a single text, and whether it was given.
func (f *Form) Text(name string) (text string, given bool) {
	f.ask(name)
	if f.members[name] != nil {
		f.invalid.Add(f.full(name), "invalid", "%s must be a text without members", f.full(name))
		return "", false
	}
	list := f.texts[name]
	if len(list) > 1 {
		f.invalid.Add(f.full(name), "invalid", "%s is given more than once", f.full(name))
	}
	if len(list) == 0 {
		return "", false
	}
	return list[0], true
}

// Texts returns a member that is a list: name[]=a, name[0]=a, or a repeated name=a.
func (f *Form) Texts(name string) (list []string) {
	f.ask(name)
	list = slices.Clone(f.texts[name])
	m := f.members[name]
	if m == nil {
		return list
	}
	list = append(list, m.texts[""]...)
	numbered := map[int]string{}
	for _, key := range slices.Sorted(maps.Keys(m.texts)) {
		if key == "" {
			continue
		}
		texts := m.texts[key]
		i, err := strconv.Atoi(key)
		if _, taken := numbered[i]; err != nil || i < 0 || i >= maxFields || len(texts) > 1 || taken {
			f.invalid.Add(m.full(key), "invalid", "%s is not a valid index of a list", m.full(key))
			continue
		}
		numbered[i] = texts[0]
	}
	for _, i := range slices.Sorted(maps.Keys(numbered)) {
		list = append(list, numbered[i])
	}
	for _, key := range slices.Sorted(maps.Keys(m.members)) {
		f.invalid.Add(m.full(key), "invalid", "%s has members, but the elements of the list must be texts", m.full(key))
	}
	return list
}

// Map returns a member that is a flat map of texts, name[key]=a, and whether it was
// given. name= gives an empty map, which is nil.
func (f *Form) Map(name string) (pairs map[string]string, given bool) {
	f.ask(name)
	for _, text := range f.texts[name] {
		if text != "" {
			f.invalid.Add(f.full(name), "invalid", "%s must have members: %s[key]=value", f.full(name), f.full(name))
		}
	}
	m := f.members[name]
	if m == nil {
		return nil, f.texts[name] != nil
	}
	pairs = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(m.texts)) {
		texts := m.texts[key]
		if len(texts) > 1 {
			f.invalid.Add(m.full(key), "invalid", "%s is given more than once", m.full(key))
		}
		pairs[key] = texts[0]
	}
	for _, key := range slices.Sorted(maps.Keys(m.members)) {
		f.invalid.Add(
			m.full(key), "invalid", "%s has members, but the values of %s must be texts", m.full(key), f.full(name),
		)
	}
	return pairs, true
}

// Members returns a member that has members itself. If it was not given, the form
// is empty.
func (f *Form) Members(name string) *Form {
	f.ask(name)
	if f.texts[name] != nil {
		f.invalid.Add(f.full(name), "invalid", "%s must have members: %s[…]", f.full(name), f.full(name))
	}
	if m := f.members[name]; m != nil {
		return m
	}
	return &Form{name: f.full(name), count: f.count, invalid: f.invalid}
}

// Unknown returns the sorted names of the members that were not read.
func (f *Form) Unknown() (names []string) {
	for name := range f.texts {
		if !f.asked[name] {
			names = append(names, f.full(name))
		}
	}
	for name, m := range f.members {
		if !f.asked[name] && f.texts[name] == nil {
			names = append(names, f.full(name))
		} else if f.asked[name] && m.asked != nil {
			names = append(names, m.Unknown()...)
		}
	}
	slices.Sort(names)
	return names
}

// clip shortens a text of the client for an error message.
func clip(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "")
	}
	return s
}
