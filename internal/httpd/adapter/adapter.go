// Package adapter serves the APIs of vendors. It finds the adapter of a vendor that a request is for, and does for it
// what package httpd does for the native API: keys, rates, idempotency keys, uploads and downloads.
package adapter

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/httpd"
	"sluice/internal/httpd/compat"
	"sluice/internal/httpd/download"
	"sluice/internal/httpd/native"
	"sluice/internal/service"
)

// Mount registers the APIs of vendors with a server.
func Mount(s *httpd.Server, links *gate.Gate, served []compat.Adapter) {
	var all []*adapter
	for _, d := range served {
		all = append(all, newAdapter(s, links, d))
	}
	s.UseAdapters(func(r *http.Request) (*httpd.Adapter, *http.Request) { return choose(s, all, r) })
}

// adapter serves the API of one vendor.
type adapter struct {
	compat.Adapter
	gate   *gate.Gate
	mux    *http.ServeMux
	served httpd.Adapter
}

func newAdapter(s *httpd.Server, links *gate.Gate, served compat.Adapter) *adapter {
	served.Version = http.CanonicalHeaderKey(served.Version)
	a := &adapter{Adapter: served, gate: links, mux: http.NewServeMux()}
	a.served = httpd.Adapter{Prefix: "/compat/" + served.Vendor, Basic: served.Basic, Serve: a.enter, Fail: a.fail}
	for _, rt := range a.Routes {
		matched := s.Observe(rt.Method, a.served.Prefix+rt.Path)
		a.mux.HandleFunc(rt.Method+" "+rt.Path, func(w http.ResponseWriter, r *http.Request) {
			c := httpd.CallOf(r.Context())
			matched(c)
			a.serve(c, w, r, rt.Serve)
		})
	}
	a.mux.HandleFunc("/", a.unrouted)
	return a
}

// choose finds the adapter that a request is for, if any, and the request with its path as that adapter reads it. It
// looks at the prefix of the path first, then for a version header, on any path that the native API does not serve
// without a key.
func choose(s *httpd.Server, all []*adapter, r *http.Request) (*httpd.Adapter, *http.Request) {
	for _, a := range all {
		if rest, ok := strings.CutPrefix(r.URL.Path, a.served.Prefix); ok && (rest == "" || rest[0] == '/') {
			return &a.served, stripped(r, a.served.Prefix, rest)
		}
	}
	for _, a := range all {
		if len(r.Header[a.Version]) > 0 && !s.IsPublic(r) {
			return &a.served, r
		}
	}
	return nil, r
}

// stripped is r without the prefix of its path. The prefix has only letters and slashes, which need no escape.
func stripped(r *http.Request, prefix, rest string) *http.Request {
	out := new(http.Request)
	*out = *r
	out.URL = new(url.URL)
	*out.URL = *r.URL
	out.URL.Path = rest
	out.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, prefix)
	if rest == "" {
		out.URL.Path, out.URL.RawPath = "/", ""
	}
	return out
}

func (a *adapter) enter(c *httpd.Call, w http.ResponseWriter, r *http.Request) {
	if a.Head != nil {
		a.Head(c.Header, r, c.ID)
	}
	httpd.Dispatch(a.mux, w, r, a.unrouted)
}

// serve answers a request with a valid key that is within its rate.
func (a *adapter) serve(c *httpd.Call, w http.ResponseWriter, r *http.Request, answer func(compat.Call) error) {
	x := &exchange{adapter: a, call: c, raw: w, w: c.Record(w), r: r}
	err := c.Admit(r)
	if err == nil {
		err = answer(x)
	}
	if err != nil {
		c.Fail(x.w, r, err)
	}
}

// unrouted refuses a request that no route matches.
func (a *adapter) unrouted(w http.ResponseWriter, r *http.Request) {
	c := httpd.CallOf(r.Context())
	a.serve(c, w, r, func(compat.Call) error { return c.Unmatched(a.mux, r) })
}

// fail answers with an error in the form of the vendor.
func (a *adapter) fail(c *httpd.Call, w http.ResponseWriter, r *http.Request, e *sluice.Error) {
	if stored := c.Replayed(); stored != nil && stored.Err == e {
		a.markReplayed(c)
	}
	a.Fail(w, r, compat.Failure{
		Err: e, Routed: c.Route() != "", ID: c.ID,
		DocURL: c.Service().PublicURL() + "/docs/errors/" + string(e.Code),
	})
}

// markReplayed marks the answer as a stored response, if it is one.
func (a *adapter) markReplayed(c *httpd.Call) {
	if stored := c.Replayed(); stored != nil && a.Replayed != nil {
		a.Replayed(c.Header, stored.RequestID)
	}
}

// exchange is a request as an adapter sees it.
type exchange struct {
	adapter *adapter
	call    *httpd.Call
	raw     http.ResponseWriter // files leave through it by sendfile
	w       http.ResponseWriter
	r       *http.Request
}

func (x *exchange) Service() *service.Service { return x.call.Service() }
func (x *exchange) Caller() service.Caller    { return x.call.Caller }
func (x *exchange) Request() *http.Request    { return x.r }
func (x *exchange) Header() http.Header       { return x.call.Header }

func (x *exchange) Body(limit int64) ([]byte, error) {
	if err := httpd.CheckEncoding(x.r); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(x.r.Body, limit+1))
	if err != nil {
		return nil, sluice.Wrap(sluice.CodeValidation, "the body ended early", err)
	}
	x.call.CompleteFingerprint(x.call.URL.RawQuery, string(data))
	if int64(len(data)) > limit {
		return nil, sluice.Errorf(sluice.CodeTooLarge, "the body is larger than %d bytes", limit)
	}
	return data, nil
}

func (x *exchange) Upload(to compat.Upload) (service.CreatedFile, error) {
	return native.StoreForm(x.call, x.w, x.r, to)
}

func (x *exchange) Answer(status int, v any) error {
	var body []byte
	if v != nil {
		data, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("an answer of %s: %w", x.call.Route(), err)
		}
		body = append(data, '\n')
		x.call.Header.Set("Content-Type", "application/json")
	}
	x.adapter.markReplayed(x.call)
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body)
	return nil
}

func (x *exchange) Deliver(fileID string) error {
	return download.SendFile(x.call, x.adapter.gate, x.raw, x.r, fileID)
}
