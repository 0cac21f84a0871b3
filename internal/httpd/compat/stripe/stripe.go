// Package stripe is the door for clients of Stripe's Files and File Links: the
// wire contract of https://docs.stripe.com/api/files and
// https://docs.stripe.com/api/file_links, for which Stripe's own libraries need
// another base URL and nothing else.
package stripe

import (
	"net/http"
	"strings"

	"sluice"
	"sluice/internal/httpd/compat"
	"sluice/internal/service"
)

const prefix = "/compat/stripe"

// Door is served at /compat/stripe and chosen on any path by Stripe-Version,
// whose value changes nothing: files and their links are the same in all
// versions.
func Door() compat.Door {
	return compat.Door{
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

// params are the parameters of a request, and what is wrong with them.
type params struct {
	*compat.Form
	invalid *sluice.Invalid
}

// query reads the parameters of a GET.
func query(c compat.Call) params {
	v := &sluice.Invalid{}
	return params{compat.ParseForm(c.Request().URL.RawQuery, v), v}
}

// body reads the parameters of a POST, which may stand in the query too.
func body(c compat.Call) (params, error) {
	r := c.Request()
	data, err := c.Body(compat.MaxBody)
	if err != nil {
		return params{}, err
	}
	t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if len(data) > 0 && !strings.EqualFold(strings.TrimSpace(t), "application/x-www-form-urlencoded") {
		return params{}, sluice.Errorf(sluice.CodeUnsupportedType, "parameters are sent as application/x-www-form-urlencoded")
	}
	v := &sluice.Invalid{}
	return params{compat.ParseForm(r.URL.RawQuery+"&"+string(data), v), v}, nil
}

// done is what is wrong with the parameters, once all that are known were read.
func (p params) done() error {
	for _, name := range p.Unknown() {
		p.invalid.Add(name, "unknown", "there is no parameter %s here", name)
	}
	return p.invalid.Err()
}
