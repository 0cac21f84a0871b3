package docs

import (
	"net/http"

	"sluice"
	"sluice/internal/httpd"
)

// pages are the addresses that a browser asks for by itself, or that a person reaches by shortening another one. They
// are no part of the API, and are counted as unrouted requests.
func (f *face) pages() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /{$}":             f.showHome,
		"GET /docs/{$}":        f.redirect("/docs"),
		"GET /docs/errors":     f.redirect("/docs#problems"),
		"GET /docs/errors/{$}": f.redirect("/docs#problems"),
		"GET /favicon.ico":     f.showNoIcon,
		"GET /robots.txt":      f.showRobots,
	}
}

// showHome tells a person what this address is. A program gets not_found.
func (f *face) showHome(w http.ResponseWriter, r *http.Request) {
	c := httpd.CallOf(r.Context())
	if !httpd.IsBrowser(r) {
		c.Guard()
		c.Fail(c.Record(w), r, sluice.Errorf(sluice.CodeNotFound, "there is nothing at this path; see /docs"))
		return
	}
	c.Header.Add("Vary", "Accept")
	page(c, w, http.StatusOK, rendered("home.html", nil))
}

// redirect leads to another path of the public URL.
func (f *face) redirect(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := httpd.CallOf(r.Context())
		c.Guard()
		c.Header.Set("Location", f.publicURL+path)
		c.Record(w).WriteHeader(http.StatusMovedPermanently)
	}
}

func (f *face) showNoIcon(w http.ResponseWriter, r *http.Request) {
	c := httpd.CallOf(r.Context())
	c.Guard()
	c.Header.Set("Cache-Control", "public, max-age=86400")
	c.Record(w).WriteHeader(http.StatusNoContent)
}

// showRobots keeps search engines out (RFC 9309), since links are secrets.
func (f *face) showRobots(w http.ResponseWriter, r *http.Request) {
	c := httpd.CallOf(r.Context())
	c.Guard()
	c.Header.Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = c.Record(w).Write([]byte("User-agent: *\nDisallow: /\n"))
}
