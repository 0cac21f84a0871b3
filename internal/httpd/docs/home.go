package docs

import (
	"fmt"
	"net/http"
	"time"

	"sluice"
	"sluice/internal/httpd"
)

// pages are the addresses that a browser or a scanner asks for by itself, or that a person reaches by shortening
// another one. They are no part of the API, and are counted as unrouted requests.
func (f *face) pages() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /{$}":                      f.showHome,
		"GET /docs/{$}":                 f.redirect("/docs"),
		"GET /docs/errors/{$}":          f.redirect("/docs/errors"),
		"GET /favicon.ico":              f.showIcon,
		"GET /robots.txt":               f.showRobots,
		"GET /.well-known/security.txt": f.showSecurity,
	}
}

// showHome tells a person what this address is. A program gets not_found.
func (f *face) showHome(w http.ResponseWriter, r *http.Request) {
	c := httpd.CallOf(r.Context())
	c.Guard()
	if !httpd.IsBrowser(r) {
		c.Fail(c.Record(w), r, sluice.Errorf(sluice.CodeNotFound, "there is nothing at this path; see /docs"))
		return
	}
	c.Header.Add("Vary", "Accept")
	f.site.Home(w, r, "docs")
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

// showIcon serves the logo of the brand, or nothing. A browser that opens it runs no script in it.
func (f *face) showIcon(w http.ResponseWriter, r *http.Request) {
	c := httpd.CallOf(r.Context())
	c.Guard()
	c.Header.Set("Cache-Control", "public, max-age=86400")
	logo := f.site.Brand().Logo
	if logo == nil {
		c.Record(w).WriteHeader(http.StatusNoContent)
		return
	}
	c.Header.Set("Content-Security-Policy",
		"sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	httpd.Send(c.Record(w), http.StatusOK, logo.Type, logo.Data)
}

// showRobots keeps search engines out (RFC 9309), since links are secrets.
func (f *face) showRobots(w http.ResponseWriter, r *http.Request) {
	c := httpd.CallOf(r.Context())
	c.Guard()
	httpd.Send(c.Record(w), http.StatusOK, "text/plain; charset=utf-8", []byte("User-agent: *\nDisallow: /\n"))
}

// securityLasts is how long a reader may rely on security.txt. RFC 9116 recommends less than a year.
const securityLasts = 90 * 24 * time.Hour

// showSecurity says where to report a vulnerability (RFC 9116): to the contact of the brand. Without one there is
// nothing at this address.
func (f *face) showSecurity(w http.ResponseWriter, r *http.Request) {
	c := httpd.CallOf(r.Context())
	c.Guard()
	contact := f.site.Brand().Contact
	if contact == "" {
		c.Miss(c.Record(w), r, sluice.Errorf(sluice.CodeNotFound, "there is nothing at this path"))
		return
	}
	expires := time.Now().Add(securityLasts).UTC().Truncate(24 * time.Hour)
	httpd.Send(c.Record(w), http.StatusOK, "text/plain; charset=utf-8", fmt.Appendf(nil,
		"Contact: %s\nExpires: %s\nCanonical: %s/.well-known/security.txt\n",
		contact, expires.Format(time.RFC3339), f.publicURL))
}
