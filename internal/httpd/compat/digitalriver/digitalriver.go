// Package digitalriver serves the Files and File Links of Digital River's API,
// version 2021-12-13.
package digitalriver

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/httpd/compat"
)

const prefix = "/compat/digitalriver"

// Adapter returns the adapter. Its paths are below /compat/digitalriver. The header
// DigitalRiver-Version selects it on any path; the value is ignored.
//
// Files with other purposes than Digital River's are not visible, because its clients
// fail on unknown purposes. Links to such files are visible.
func Adapter() compat.Adapter {
	return compat.Adapter{
		Vendor: "digitalriver", Version: "DigitalRiver-Version", Basic: true,
		Head: head, Fail: fail,
		Routes: []compat.Route{
			{Method: "GET", Path: "/files", Serve: listFiles},
			{Method: "POST", Path: "/files", Serve: createFile},
			{Method: "GET", Path: "/files/{id}", Serve: getFile},
			{Method: "DELETE", Path: "/files/{id}", Serve: deleteFile},
			{Method: "GET", Path: "/files/{id}/content", Serve: getContent},

			{Method: "GET", Path: "/file-links", Serve: listLinks},
			{Method: "POST", Path: "/file-links", Serve: createLink},
			{Method: "GET", Path: "/file-links/{id}", Serve: getLink},
			{Method: "POST", Path: "/file-links/{id}", Serve: updateLink},
			{Method: "DELETE", Path: "/file-links/{id}", Serve: deleteLink},
		},
	}
}

func head(h http.Header, _ *http.Request, id string) { h.Set("x-dr-requestid", id) }

// purposes are the purposes that Digital River's clients know.
var purposes = []string{"tax_document_customer_upload", "customer_invoice", "customer_credit_memo"}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

const wantMoment = "an ISO 8601 time, such as 2026-01-31T12:00:00Z"

// second returns the first and last time within a second. Clients see only seconds.
func second(text string) (first, last time.Time, ok bool) {
	t, err := time.Parse(time.RFC3339, text)
	first = t.UTC().Truncate(time.Second)
	return first, first.Add(time.Second - time.Microsecond), err == nil
}

// expiry parses the expiry of a link.
func expiry(v *sluice.Invalid, name, text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		v.Add(name, badFormat, "%s is not %s", name, wantMoment)
	}
	return t.UTC().Truncate(time.Microsecond)
}

// list is one page.
type list[T any] struct {
	HasMore bool `json:"hasMore"`
	Data    []T  `json:"data"`
}

func pageOf[T, Shown any](l sluice.List[T], show func(T) (Shown, error)) (list[Shown], error) {
	out := list[Shown]{HasMore: l.More, Data: []Shown{}}
	for _, one := range l.Data {
		shown, err := show(one)
		if err != nil {
			return list[Shown]{}, err
		}
		out.Data = append(out.Data, shown)
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
	return params{compat.ParseForm(tidy(c.Request().URL.RawQuery), v), v}
}

// tidy corrects the parameter names that Digital River's client library writes
// wrongly: a list of ids without its name, as 0=a&1=b, and a time as a list with one
// element, as createdTime[0]=….
func tidy(query string) string {
	var out []string
	for field := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(field, "=")
		switch plain, err := url.QueryUnescape(name); {
		case err != nil:
		case plain != "" && strings.Trim(plain, "0123456789") == "":
			field = "ids[" + plain + "]=" + value
		case plain == "createdTime[0]":
			field = "createdTime=" + value
		}
		out = append(out, field)
	}
	return strings.Join(out, "&")
}

// text reads a parameter that must not be empty.
func (p params) text(name string) string {
	text, given := p.Text(name)
	if given && text == "" {
		p.invalid.Add(name, "invalid", "%s must not be empty; omit it instead", name)
	}
	return text
}

// span reads limit and cursors. endingBefore takes precedence over startingAfter.
func (p params) span() compat.Span {
	s := compat.Span{Limit: sluice.DefaultPageSize, After: p.text("startingAfter"), Before: p.text("endingBefore")}
	if s.Before != "" {
		s.After = ""
	}
	if text, given := p.Text("limit"); given {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > sluice.MaxPageSize {
			p.invalid.Add("limit", "invalid", "limit must be a number from 1 to %d", sluice.MaxPageSize)
		}
		s.Limit = n
	}
	return s
}

func (p params) created() sluice.TimeRange {
	return compat.Range(p.Form, "createdTime", wantMoment, second)
}

// maxIDs is the maximum number of ids in a filter.
const maxIDs = 100

func (p params) ids() (ids []string) {
	for _, text := range p.Texts("ids") {
		ids = append(ids, strings.Split(text, ",")...)
	}
	if slices.Contains(ids, "") {
		p.invalid.Add("ids", "invalid", "ids contains an empty id")
	}
	if len(ids) > maxIDs {
		p.invalid.Add("ids", "invalid", "ids has more than %d ids", maxIDs)
	}
	return ids
}

// flag reads a boolean. Digital River's client library writes 1 and 0.
func (p params) flag(name string) *bool {
	text, given := p.Text(name)
	if !given {
		return nil
	}
	b := text == "true" || text == "1"
	if !b && text != "false" && text != "0" {
		p.invalid.Add(name, "invalid", "%s must be true or false", name)
	}
	return &b
}

// done returns the failures of the parameters. Call it after the known ones were read.
func (p params) done() error {
	for _, name := range p.Unknown() {
		p.invalid.Add(name, "unknown", "unknown parameter %s", name)
	}
	return p.invalid.Err()
}

// body reads a JSON object of at most limit bytes.
func body(c compat.Call, limit int64) (params, *compat.Object, error) {
	p := params{invalid: &sluice.Invalid{}}
	o, err := compat.ReadObject(c, limit, p.invalid)
	return p, o, err
}

// required reads a required member.
func (p params) required(o *compat.Object, name string) string {
	text, given := o.Text(name, "string")
	if !given && !o.Has(name) || given && text == "" {
		p.invalid.Add(name, "required", "%s is required", name)
	}
	return text
}

// finished returns the failures of a body. Call it after the known members were read.
func (p params) finished(o *compat.Object) error {
	for _, name := range o.Unknown() {
		p.invalid.Add(name, "unknown", "unknown parameter %s", name)
	}
	return p.invalid.Err()
}
