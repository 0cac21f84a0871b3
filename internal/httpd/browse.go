package httpd

import (
	"net/http"
	"strings"

	"sluice"
)

// What a browser asks for by itself, and where a person gets to who shortens an
// address. None of it is part of the API.

// browse mounts these paths. They are counted as unrouted ones are.
func (s *Server) browse() {
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /{$}":             s.showHome,
		"GET /docs/{$}":        s.leadTo("/docs"),
		"GET /docs/errors":     s.leadTo("/docs#problems"),
		"GET /docs/errors/{$}": s.leadTo("/docs#problems"),
		"GET /favicon.ico":     s.showNoIcon,
		"GET /robots.txt":      s.showRobots,
	} {
		s.mux.HandleFunc(pattern, h)
		s.public[pattern] = true
	}
}

// isBrowser reports whether a request is one of a browser for a page.
func isBrowser(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// showHome says to a person what this address is; for a program there is nothing.
func (s *Server) showHome(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	if !isBrowser(r) {
		c.guard(c.header)
		c.fail(c.record(w), r, sluice.Errorf(sluice.CodeNotFound, "there is nothing at this path; see /docs"))
		return
	}
	c.header.Add("Vary", "Accept")
	c.page(w, http.StatusOK, rendered("home.html", nil))
}

// leadTo redirects to another path of the public URL.
func (s *Server) leadTo(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		c.guard(c.header)
		c.header.Set("Location", s.svc.PublicURL()+path)
		c.record(w).WriteHeader(http.StatusMovedPermanently)
	}
}

func (s *Server) showNoIcon(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	c.guard(c.header)
	c.header.Set("Cache-Control", "public, max-age=86400")
	c.record(w).WriteHeader(http.StatusNoContent)
}

// showRobots keeps search engines out (RFC 9309): links are secrets.
func (s *Server) showRobots(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	c.guard(c.header)
	c.header.Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = c.record(w).Write([]byte("User-agent: *\nDisallow: /\n"))
}

// miss answers a request that nothing is there for: a browser with a page, every
// other client with a problem.
func (c *call) miss(w http.ResponseWriter, r *http.Request, err *sluice.Error) {
	if c.door != nil || !isBrowser(r) {
		c.fail(w, r, err)
		return
	}
	p := c.problem(r.Context(), err)
	c.header.Add("Vary", "Accept")
	c.page(w, p.Status, rendered("miss.html", p))
}
