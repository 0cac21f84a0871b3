package httpd

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"sluice"
	"sluice/internal/httpd/compat"
	"sluice/internal/service"
)

// door is a vendor's wire contract that is served.
type door struct {
	compat.Adapter
	prefix string // of the paths that lead to it
	mux    *http.ServeMux
}

func newDoor(s *Server, served compat.Adapter) *door {
	served.Version = http.CanonicalHeaderKey(served.Version)
	d := &door{served, "/compat/" + served.Vendor, http.NewServeMux()}
	for _, rt := range d.Routes {
		path := d.prefix + rt.Path
		series := s.metrics.series(path, rt.Method)
		d.mux.HandleFunc(rt.Method+" "+rt.Path, func(w http.ResponseWriter, r *http.Request) {
			c := callOf(r.Context())
			c.route, c.series = path, series
			d.serve(c, w, r, rt.Serve)
		})
	}
	d.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		d.serve(callOf(r.Context()), w, r, d.unrouted)
	})
	return d
}

// prefix tells the paths of the doors from each other and from the native API's.
func (c *call) prefix() string {
	if c.door == nil {
		return ""
	}
	return c.door.prefix
}

// chooseDoor finds the door that a request is for, if any, and the request
// with its path as that door has it: by its prefix, else by a version header
// on any path that the native API does not serve to everybody.
func (s *Server) chooseDoor(r *http.Request) (*door, *http.Request) {
	for _, d := range s.doors {
		if rest, ok := strings.CutPrefix(r.URL.Path, d.prefix); ok && (rest == "" || rest[0] == '/') {
			return d, stripped(r, d.prefix, rest)
		}
	}
	for _, d := range s.doors {
		if len(r.Header[d.Version]) > 0 && !s.isPublic(r) {
			return d, r
		}
	}
	return nil, r
}

// stripped is r without the prefix of its path, which is of letters that need
// no escape.
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

func (s *Server) isPublic(r *http.Request) bool {
	_, pattern := s.mux.Handler(r)
	return s.public[pattern]
}

func (d *door) enter(c *call, w http.ResponseWriter, r *http.Request) {
	c.url = r.URL
	c.guard(c.header)
	if d.Head != nil {
		d.Head(c.header, r, c.id)
	}
	if isClean(r) {
		d.mux.ServeHTTP(w, r)
	} else {
		d.serve(c, w, r, d.unrouted)
	}
}

// serve answers a request of a good key that has requests left.
func (d *door) serve(c *call, w http.ResponseWriter, r *http.Request, answer func(compat.Call) error) {
	x := &exchange{call: c, raw: w, w: c.record(w), r: r}
	err := c.authenticate(r)
	if err == nil {
		err = c.limit()
	}
	if err == nil {
		err = c.identify(r)
	}
	if err == nil {
		err = answer(x)
	}
	if err != nil {
		c.fail(x.w, r, err)
	}
}

// unrouted refuses what no route of the door matches.
func (d *door) unrouted(x compat.Call) error {
	r := x.Request()
	if allowed := methodsOf(d.mux, r); len(allowed) > 0 {
		x.Header().Set("Allow", strings.Join(allowed, ", "))
		return sluice.Errorf(sluice.CodeMethodNotAllowed, "%s is not for this path", clean(r.Method))
	}
	return sluice.Errorf(sluice.CodeNotFound, "there is nothing at this path")
}

// failAtDoor answers with err in the vendor's shape.
func (c *call) failAtDoor(w http.ResponseWriter, r *http.Request, err error) {
	e := c.failure(r.Context(), err)
	if a := c.replayed(); a != nil && a.Err == e {
		c.markAtDoor()
	}
	c.door.Fail(w, r, compat.Failure{
		Err: e, Routed: c.route != "", ID: c.id,
		DocURL: c.server.svc.PublicURL() + "/docs/errors/" + string(e.Code),
	})
}

// markAtDoor tells of an answer that it was given before.
func (c *call) markAtDoor() {
	if a := c.replayed(); a != nil && c.door.Replayed != nil {
		c.door.Replayed(c.header, a.RequestID)
	}
}

// exchange is a request in the hands of a door.
type exchange struct {
	call *call
	raw  http.ResponseWriter // which files leave through by sendfile
	w    http.ResponseWriter
	r    *http.Request
}

func (x *exchange) Service() *service.Service { return x.call.server.svc }
func (x *exchange) Caller() service.Caller    { return x.call.caller }
func (x *exchange) Request() *http.Request    { return x.r }
func (x *exchange) Header() http.Header       { return x.call.header }

func (x *exchange) Body(limit int64) ([]byte, error) {
	c := x.call
	if err := checkEncoding(x.r); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(x.r.Body, limit+1))
	if err != nil {
		return nil, sluice.Wrap(sluice.CodeValidation, "the body broke off", err)
	}
	c.whole = true
	if once := c.caller.Once; once != nil {
		once.Fingerprint = c.fingerprint(c.url.RawQuery, string(data))
	}
	if int64(len(data)) > limit {
		return nil, sluice.Errorf(sluice.CodeTooLarge, "the body is larger than %d bytes", limit)
	}
	return data, nil
}

func (x *exchange) Upload(to compat.Upload) (service.CreatedFile, error) {
	return x.call.store(x.w, x.r, func(in *flow) (upload, error) {
		if err := checkEncoding(x.r); err != nil {
			return nil, err
		}
		p, err := openParts(in, x.r.Header.Get("Content-Type"), to.Set, to.Limit)
		return &doorForm{p, to}, err
	})
}

// doorForm is an upload whose form a door understands.
type doorForm struct {
	parts parts
	to    compat.Upload
}

func (u *doorForm) open() (purpose string, content io.Reader, err error) {
	if err := u.parts.read(); err != nil {
		return "", nil, err
	}
	if u.parts.found == nil {
		return u.to.Open(nil)
	}
	return u.to.Open(&compat.Part{
		Filename: u.parts.name, Named: u.parts.named, Type: u.parts.found.Header.Get("Content-Type"), Content: u.parts.content(),
	})
}

func (u *doorForm) describe() (service.NewFile, error) {
	if err := u.parts.read(); err != nil {
		return service.NewFile{}, err
	}
	return u.to.Describe()
}

func (u *doorForm) said() string { return u.to.Said() }

func (x *exchange) Answer(status int, v any) error {
	var body []byte
	if v != nil {
		data, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("an answer of %s: %w", x.call.route, err)
		}
		body = append(data, '\n')
		x.call.header.Set("Content-Type", "application/json")
	}
	x.call.markAtDoor()
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body)
	return nil
}

func (x *exchange) Deliver(fileID string) error {
	g, err := x.call.server.gate.ReadFile(x.r.Context(), x.call.caller, fileID, wantOf(x.r))
	if err != nil {
		return err
	}
	defer g.Content.Close()
	protect(x.call.header)
	r := x.r.Clone(x.r.Context())
	r.Header.Del("Accept") // a refusal is the door's, and never a page
	x.call.deliver(x.raw, r, g)
	return nil
}
