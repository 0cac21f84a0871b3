// Package docs serves the documentation of the API, the pages that a browser asks for by itself, and the page that
// shows that nothing was found. No page needs a script or anything from another host. Package apidoc generates the
// documentation; this package serves it as it is.
package docs

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"strings"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/httpd/pages"
)

//go:embed style.css generated
var files embed.FS

// PageStyle is the style sheet that every page includes.
func PageStyle() template.CSS {
	css, err := files.ReadFile("style.css")
	if err != nil {
		panic(err) // it is embedded
	}
	return template.CSS(css)
}

// policy allows a page its own style sheet and nothing else (Content Security Policy Level 3).
var policy = func() string {
	sum := sha256.Sum256([]byte(PageStyle()))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// anyServer is the address of the API in api/openapi.json.
const anyServer = `"url": "/"`

// face serves the pages.
type face struct {
	publicURL string
	site      *pages.Site
}

// Mount registers the pages with a server. site makes those that are no documentation.
func Mount(s *httpd.Server, site *pages.Site) {
	f := &face{s.Service().PublicURL(), site}
	for _, rt := range f.routes() {
		s.Handle(rt)
	}
	for pattern, h := range f.pages() {
		s.HandlePage(pattern, h)
	}
	s.ShowNotFound(site.Miss)
}

// Routes is the table of routes of the documentation.
func Routes() []httpd.Route { return (&face{}).routes() }

func (f *face) routes() (list []httpd.Route) {
	for _, rt := range []struct {
		path, operation string
		serve           http.HandlerFunc
	}{
		{"/openapi.json", "getDocument", f.showDocument},
		{"/docs", "showReference", f.showReference},
		{"/docs/errors/{code}", "explainError", f.explainError},
	} {
		list = append(list, httpd.Route{
			Method: "GET", Path: rt.path, Scope: httpd.Public, Operation: rt.operation,
			Endpoint: httpd.Endpoint{Serve: rt.serve},
		})
	}
	return list
}

// showDocument serves the OpenAPI document, which names the public URL of this server.
func (f *face) showDocument(w http.ResponseWriter, r *http.Request) {
	public, err := json.Marshal(f.publicURL)
	if err != nil {
		panic(err) // it is a text
	}
	before, after, _ := strings.Cut(api.OpenAPI(), anyServer)
	c := httpd.CallOf(r.Context())
	c.Guard()
	c.Header.Set("Content-Type", "application/json")
	w = c.Record(w)
	for _, part := range []string{before, `"url": `, string(public), after} {
		_, _ = io.WriteString(w, part)
	}
}

// showReference serves the reference as a page.
func (f *face) showReference(w http.ResponseWriter, r *http.Request) {
	html, err := files.ReadFile("generated/reference.html")
	if err != nil {
		panic(err) // it is embedded
	}
	page(httpd.CallOf(r.Context()), w, http.StatusOK, html)
}

// explainError serves the page of an error code. Its address is the type of a problem.
func (f *face) explainError(w http.ResponseWriter, r *http.Request) {
	c, code := httpd.CallOf(r.Context()), r.PathValue("code")
	html, err := files.ReadFile("generated/errors/" + code + ".html")
	if err != nil {
		c.Guard()
		c.Miss(c.Record(w), r, sluice.Errorf(sluice.CodeNotFound, "there is no error code %q", httpd.Clean(code)))
		return
	}
	page(c, w, http.StatusOK, html)
}

func page(c *httpd.Call, w http.ResponseWriter, status int, html []byte) {
	c.Guard()
	c.Header.Set("Content-Security-Policy", policy)
	c.Header.Set("Referrer-Policy", "no-referrer")
	c.Header.Set("Content-Type", "text/html; charset=utf-8")
	w = c.Record(w)
	w.WriteHeader(status)
	_, _ = w.Write(html)
}
