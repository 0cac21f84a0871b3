// Package metorial serves the Files and File Links of Metorial's API, as documented at
// https://metorial.com/api. Metorial's client library needs only another base URL.
package metorial

import (
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/httpd/compat"
)

// Adapter returns the adapter. Its paths are below /compat/metorial. The header
// Metorial-Version selects it on any path; the value is ignored, because the paths of
// both versions, 2025-01-01-pulsar and 2026-01-01-magnetar, do not conflict. Like
// Metorial, it ignores unknown parameters.
func Adapter() compat.Adapter {
	d := compat.Adapter{Vendor: "metorial", Version: "Metorial-Version", Fail: fail}
	// The instance in a path is ignored: the key determines the account.
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

// timeForm is the layout of times, that of JavaScript's Date.
const timeForm = "2006-01-02T15:04:05.000Z"

const wantMoment = "an ISO 8601 time, such as 2026-01-31T12:00:00.000Z"

func moment(t time.Time) string { return t.UTC().Format(timeForm) }

// millisecond returns the first and last time within a millisecond. Clients see only
// milliseconds.
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
	page := compat.InOrder(s, l)
	out := list{Typename: "list", Items: []any{}, Pagination: pagination{page.HasAfter, page.HasBefore}}
	for _, one := range page.Data {
		shown, err := show(one)
		if err != nil {
			return list{}, err
		}
		out.Items = append(out.Items, shown)
	}
	return out, nil
}

// params are the parameters of a request, and their failures.
type params struct {
	*compat.Form
	invalid *sluice.Invalid
}

func query(c compat.Call) params {
	v := &sluice.Invalid{}
	return params{compat.ParseForm(c.Request().URL.RawQuery, v), v}
}

// defaultLimit is the default length of a page.
const defaultLimit = 20

// span reads limit, order and cursors. If clamped, a limit out of range is replaced by
// the nearest one in range.
func (p params) span(clamped bool) compat.Span {
	s := compat.Span{Limit: defaultLimit, OldestFirst: true}
	s.After, _ = p.Text("after")
	s.Before, _ = p.Text("before")
	if s.After != "" && s.Before != "" {
		p.invalid.Add("before", "invalid", "after and before exclude each other")
	}
	if p.Has("cursor") {
		p.invalid.Add("cursor", "invalid", "cursor is not supported: use an id as after or before")
	}
	switch order, given := p.Text("order"); {
	case order == "desc":
		s.OldestFirst = false
	case given && order != "asc":
		p.invalid.Add("order", "invalid", "order must be asc or desc")
	}
	text, given := p.Text("limit")
	if !given {
		return s
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		p.invalid.Add(
			"limit",
			compat.Mistyped("number", "string"),
			"limit must be a number from 1 to %d", sluice.MaxPageSize,
		)
	case clamped:
		n = min(max(n, 1), sluice.MaxPageSize)
	case n < 1 || n > sluice.MaxPageSize:
		p.invalid.Add("limit", "out_of_range", "limit must be a number from 1 to %d", sluice.MaxPageSize)
	}
	s.Limit = n
	return s
}

// several reads a member with one or more texts, which may be separated by commas.
func (p params) several(name string) (list []string) {
	for _, text := range p.Texts(name) {
		for one := range strings.SplitSeq(text, ",") {
			if one == "" {
				p.invalid.Add(name, "invalid", "%s contains an empty text", name)
			}
			list = append(list, one)
		}
	}
	if len(list) > sluice.MaxPageSize {
		p.invalid.Add(name, "too_many", "%s has more than %d texts", name, sluice.MaxPageSize)
	}
	return list
}

// purposeOf returns a purpose, and whether it is configured.
func purposeOf(c compat.Call, name string) (p purpose, known bool) {
	for _, one := range c.Service().Purposes() {
		if one.Name == name {
			return purpose{Name: one.Title, Identifier: name}, true
		}
	}
	return purpose{Name: name, Identifier: name}, false
}
