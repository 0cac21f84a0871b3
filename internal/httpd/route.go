package httpd

import (
	"net/http"
	"path"
	"reflect"
	"strings"

	"sluice"
	"sluice/api"
)

// Route is one row of a face's table of routes. A GET answers HEAD too.
type Route struct {
	Method, Path string
	Scope        sluice.Scope // the scope that the key must have; or Public, or AnyKey
	Operation    string       // its name in the documentation
	Endpoint
}

// Scopes of routes that need none.
const (
	Public sluice.Scope = "public" // no key
	AnyKey sluice.Scope = "any"    // any valid key
)

// Endpoint answers the requests of a route.
type Endpoint struct {
	Serve  http.HandlerFunc
	JSON   bool         // whether the body of a request is a JSON document, which is read before Serve
	Input  reflect.Type // the struct that a request is decoded into; nil where Serve reads the request itself
	Output reflect.Type // what Serve answers with; nil where it writes the answer itself
}

// Handle registers a route. Where it needs a key, only callers who have the route's scope reach its endpoint.
func (s *Server) Handle(rt Route) {
	s.public[rt.Method+" "+rt.Path] = rt.Scope == Public
	matched := s.Observe(rt.Method, rt.Path)
	s.mux.HandleFunc(rt.Method+" "+rt.Path, func(w http.ResponseWriter, r *http.Request) {
		c := CallOf(r.Context())
		matched(c)
		c.operation = rt.Operation
		if rt.Scope == Public {
			rt.Serve(w, r)
			return
		}
		c.URL = r.URL
		w = c.Record(w)
		c.Guard()
		if err := c.admitTo(r, rt.Scope, rt.JSON); err != nil {
			c.Fail(w, r, err)
			return
		}
		rt.Serve(w, r)
	})
}

// HandlePage registers a page that is no part of the API. It needs no key, and its requests are counted as unrouted.
func (s *Server) HandlePage(pattern string, h http.HandlerFunc) {
	s.mux.HandleFunc(pattern, h)
	s.public[pattern] = true
}

// Observe makes a function that notes that a call has matched a route, for the log and the metrics.
func (s *Server) Observe(method, path string) (matched func(*Call)) {
	series := s.metrics.series(path, method)
	return func(c *Call) { c.route, c.series = path, series }
}

// IsPublic reports whether a registered route or page answers r without a key.
func (s *Server) IsPublic(r *http.Request) bool {
	_, pattern := s.mux.Handler(r)
	return s.public[pattern]
}

// unrouted answers a request that no route matches.
func (s *Server) unrouted(w http.ResponseWriter, r *http.Request) {
	c := CallOf(r.Context())
	w = c.Record(w)
	c.Guard()
	c.Miss(w, r, c.Unmatched(s.mux, r))
}

// ShowNotFound sets the page that a browser gets where nothing is found. Without one, browsers get the problem that
// every other client gets.
func (s *Server) ShowNotFound(page func(http.ResponseWriter, *http.Request, *api.Problem)) {
	s.notFound = page
}

// IsBrowser reports whether a request is a browser's for a page.
func IsBrowser(r *http.Request) bool {
	h := Head{Accept: r.Header.Get("Accept")}
	return h.IsBrowser()
}

// Miss answers a request for something that does not exist: a browser with a page, every other client with a problem.
func (c *Call) Miss(w http.ResponseWriter, r *http.Request, err error) {
	if c.server.notFound == nil || !IsBrowser(r) {
		c.Fail(w, r, err)
		return
	}
	p := c.Problem(r.Context(), err)
	c.Header.Add("Vary", "Accept")
	c.server.notFound(w, r, p)
}

// Dispatch has mux answer a request, or unrouted when the path is one that mux would answer with a redirect.
func Dispatch(mux *http.ServeMux, w http.ResponseWriter, r *http.Request, unrouted http.HandlerFunc) {
	if isClean(r) {
		mux.ServeHTTP(w, r)
	} else {
		unrouted(w, r)
	}
}

// Unmatched is the error for a request that no route of mux matches: method_not_allowed when its path has other
// methods, which Allow then lists, otherwise not_found.
func (c *Call) Unmatched(mux *http.ServeMux, r *http.Request) error {
	if allowed := methodsOf(mux, r); len(allowed) > 0 {
		c.Header.Set("Allow", strings.Join(allowed, ", "))
		return sluice.Errorf(sluice.CodeMethodNotAllowed, "this path does not allow %s", Clean(r.Method))
	}
	return sluice.Errorf(sluice.CodeNotFound, "there is nothing at this path")
}

// methodsOf lists the methods that mux has for the path of r.
func methodsOf(mux *http.ServeMux, r *http.Request) (allowed []string) {
	if !isClean(r) {
		return nil
	}
	for _, method := range []string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := mux.Handler(probe); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	return allowed
}

// isClean reports whether the mux matches the path of r as it is, without a redirect of its own.
func isClean(r *http.Request) bool {
	p := r.URL.Path
	if r.URL.RawPath != "" { // only an escape of a dot or a slash sets it
		p = r.URL.EscapedPath()
	}
	cleaned := path.Clean(p)
	return strings.HasPrefix(p, "/") && (cleaned == p || cleaned != "/" && cleaned+"/" == p)
}
