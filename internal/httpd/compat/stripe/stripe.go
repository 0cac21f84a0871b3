// Package stripe serves the Files and File Links of Stripe's API, as documented at
// https://docs.stripe.com/api/files and https://docs.stripe.com/api/file_links.
// Stripe's client libraries need only another base URL.
package stripe

import (
	"net/http"
	"strings"

	"sluice"
	"sluice/internal/httpd/compat"
	"sluice/internal/service"
)

const prefix = "/compat/stripe"

// Adapter returns the adapter. Its paths are below /compat/stripe. The header
// Stripe-Version selects it on any path; the value is ignored, because files and file
// links are the same in all versions.
func Adapter() compat.Adapter {
	return compat.Adapter{
		Vendor: "stripe", Version: "Stripe-Version", Basic: true,
		Head: head, Fail: fail, Replayed: replayed,
		Routes: []compat.Route{
			{Method: "POST", Path: "/v1/files", Serve: createFile},
			{Method: "GET", Path: "/v1/files", Serve: listFiles},
			{Method: "GET", Path: "/v1/files/{id}", Serve: getFile},
			{Method: "GET", Path: "/v1/files/{id}/contents", Serve: getContents},

			{Method: "POST", Path: "/v1/file_links", Serve: createLink},
			{Method: "GET", Path: "/v1/file_links", Serve: listLinks},
			{Method: "GET", Path: "/v1/file_links/{id}", Serve: getLink},
			{Method: "POST", Path: "/v1/file_links/{id}", Serve: updateLink},
		},
	}
}

func head(h http.Header, r *http.Request, id string) {
	h.Set("Request-Id", id)
	for _, name := range []string{"Stripe-Version", "Idempotency-Key"} {
		if value := r.Header.Get(name); value != "" && len(value) <= service.MaxIdempotencyKeyLen {
			h.Set(name, value)
		}
	}
}

func replayed(h http.Header, first string) {
	h.Set("Idempotent-Replayed", "true")
	h.Set("Original-Request", first)
}

// list is one page.
type list struct {
	Object  string `json:"object"`
	Data    []any  `json:"data"`
	HasMore bool   `json:"has_more"`
	URL     string `json:"url"`
}

// params are the parameters of a request, and their failures.
type params struct {
	*compat.Form
	invalid *sluice.Invalid
}

// query reads the parameters of a GET.
func query(c compat.Call) params {
	v := &sluice.Invalid{}
	return params{compat.ParseForm(c.Request().URL.RawQuery, v), v}
}

// body reads the parameters of a POST, in its body and its query.
func body(c compat.Call) (params, error) {
	r := c.Request()
	data, err := c.Body(compat.MaxBody)
	if err != nil {
		return params{}, err
	}
	t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if len(data) > 0 && !strings.EqualFold(strings.TrimSpace(t), "application/x-www-form-urlencoded") {
		return params{}, sluice.Errorf(sluice.CodeUnsupportedType,
			"the parameters must be application/x-www-form-urlencoded")
	}
	v := &sluice.Invalid{}
	return params{compat.ParseForm(r.URL.RawQuery+"&"+string(data), v), v}, nil
}

// done returns the failures of the parameters. Call it after the known ones were read.
func (p params) done() error {
	for _, name := range p.Unknown() {
		p.invalid.Add(name, "unknown", "unknown parameter %s", name)
	}
	return p.invalid.Err()
}
