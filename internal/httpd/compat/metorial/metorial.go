// Package metorial is the door for clients of Metorial's Files and File Links:
// the wire contract of https://metorial.com/api, for which Metorial's own
// library needs another address and nothing else.
package metorial

import (
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/httpd/compat"
)

// Door is served at /compat/metorial and chosen on any path by
// Metorial-Version, whose value changes nothing: the paths of both generations,
// 2025-01-01-pulsar and 2026-01-01-magnetar, are served to both, and what these
// have in common is the same. Parameters that it does not know are ignored, as
// Metorial does.
func Door() compat.Door {
	d := compat.Door{Vendor: "metorial", Version: "Metorial-Version", Fail: fail}
	// A key belongs to one account, so the instance in a path says nothing more.
	for _, within := range []string{"", "/instances/{instance}", "/dashboard/instances/{instance}"} {
		d.Routes = append(d.Routes, []compat.Route{
			{Method: "GET", Path: within + "/files", Serve: listFiles},
			{Method: "POST", Path: within + "/files", Serve: createFile},
			{Method: "GET", Path: within + "/files/{file}", Serve: getFile},
			{Method: "PATCH", Path: within + "/files/{file}", Serve: updateFile},
			{Method: "DELETE", Path: within + "/files/{file}", Serve: deleteFile},

			{Method: "GET", Path: within + "/files/{file}/links", Serve: listLinks},
			{Method: "POST", Path: within + "/files/{file}/links", Serve: createLink},
			{Method: "GET", Path: within + "/files/{file}/links/{link}", Serve: getLink},
			{Method: "PATCH", Path: within + "/files/{file}/links/{link}", Serve: updateLink},
			{Method: "DELETE", Path: within + "/files/{file}/links/{link}", Serve: deleteLink},

			{Method: "GET", Path: within + "/file-links", Serve: listLinks},
			{Method: "POST", Path: within + "/file-links", Serve: createLink},
			{Method: "GET", Path: within + "/file-links/{link}", Serve: getLink},
			{Method: "DELETE", Path: within + "/file-links/{link}", Serve: deleteLink},
		}...)
	}
	return d
}

// timeForm is how moments are written: as JavaScript's Date does.
const timeForm = "2006-01-02T15:04:05.000Z"

func moment(t time.Time) string { return t.UTC().Format(timeForm) }

// millisecond gives the ends of the millisecond that a moment stands for, which
// is all of a moment that a client sees.
func millisecond(text string) (first, last time.Time, ok bool) {
	t, err := time.Parse(time.RFC3339, text)
	first = t.UTC().Truncate(time.Millisecond)
	return first, first.Add(time.Millisecond - time.Microsecond), err == nil
}

// list is one page.
type list struct {
	Typename   string     `json:"__typename"`
	Items      []any      `json:"items"`
	Pagination pagination `json:"pagination"`
}

type pagination struct {
	HasMoreAfter  bool `json:"has_more_after"`
	HasMoreBefore bool `json:"has_more_before"`
}

func pageOf[T any](s compat.Span, l sluice.List[T], show func(T) (any, error)) (list, error) {
	of := compat.Of(s, l)
	out := list{Typename: "list", Items: []any{}, Pagination: pagination{of.HasAfter, of.HasBefore}}
	for _, one := range of.Data {
		shown, err := show(one)
		if err != nil {
			return list{}, err
		}
		out.Items = append(out.Items, shown)
	}
	return out, nil
}

// params are the parameters of a GET, and what is wrong with them.
type params struct {
	*compat.Form
	invalid *sluice.Invalid
}

func query(c compat.Call) params {
	v := &sluice.Invalid{}
	return params{compat.ParseForm(c.Request().URL.RawQuery, v), v}
}

// defaultLimit is how long a page is when nobody says.
const defaultLimit = 20

// span reads the part of a list that is asked for. With clamped, a limit that
// is out of range is taken for the nearest one that is not.
func (p params) span(clamped bool) compat.Span {
	s := compat.Span{Limit: defaultLimit, OldestFirst: true}
	s.After, _ = p.Text("after")
	s.Before, _ = p.Text("before")
	if s.After != "" && s.Before != "" {
		p.invalid.Add("before", "invalid", "give after or before, not both")
	}
	if p.Has("cursor") {
		p.invalid.Add("cursor", "invalid", "there are no cursors but ids: give one as after or before")
	}
	switch order, given := p.Text("order"); {
	case order == "desc":
		s.OldestFirst = false
	case given && order != "asc":
		p.invalid.Add("order", "invalid", "order is asc or desc")
	}
	text, given := p.Text("limit")
	if !given {
		return s
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		p.invalid.Add("limit", compat.Mistyped("number", "string"), "limit is a number from 1 to %d", sluice.MaxPageSize)
	case clamped:
		n = min(max(n, 1), sluice.MaxPageSize)
	case n < 1 || n > sluice.MaxPageSize:
		p.invalid.Add("limit", "out_of_range", "limit is a number from 1 to %d", sluice.MaxPageSize)
	}
	s.Limit = n
	return s
}

// several reads a member that is one text or several, also separated by commas.
func (p params) several(name string) (list []string) {
	for _, text := range p.Texts(name) {
		for one := range strings.SplitSeq(text, ",") {
			if one == "" {
				p.invalid.Add(name, "invalid", "%s holds an empty text", name)
			}
			list = append(list, one)
		}
	}
	if len(list) > sluice.MaxPageSize {
		p.invalid.Add(name, "too_many", "%s holds more than %d texts", name, sluice.MaxPageSize)
	}
	return list
}

// purposeOf gives a purpose, and whether the server still knows it.
func purposeOf(c compat.Call, name string) (p purpose, known bool) {
	for _, one := range c.Service().Purposes() {
		if one.Name == name {
			return purpose{Name: one.Title, Identifier: name}, true
		}
	}
	return purpose{Name: name, Identifier: name}, false
}
