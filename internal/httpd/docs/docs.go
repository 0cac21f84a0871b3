// Package docs serves the documentation of the API, the pages that a browser asks for by itself, and the page that
// shows that nothing was found. Every page can be read without a script, and none needs anything from another host.
// Package apidoc generates the documentation; this package serves it as it is, with the address of what it loads.
package docs

import (
	"bytes"
	"embed"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"sluice"
	"sluice/api"
	"sluice/internal/brand"
	"sluice/internal/httpd"
	"sluice/internal/httpd/look"
	"sluice/internal/httpd/pages"
)

//go:embed static generated
var files embed.FS

// policy allows a page the style sheet and the scripts of this server, and requests to it, which the forms send that
// try operations out (Content Security Policy Level 3).
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'"

// staticPath is the folder of what pages load. In the generated pages, anyDigest stands for its digest.
const (
	staticPath = "/docs/static/"
	anyDigest  = "static/0/"
)

// anyServer is the address of the API in api/openapi.json.
const anyServer = `"url": "/"`

// face serves the pages.
type face struct {
	publicURL string
	site      *pages.Site
	static    *look.Folder
}

// Mount registers the pages with a server. site makes those that are no documentation.
func Mount(s *httpd.Server, site *pages.Site) {
	f := &face{s.Service().PublicURL(), site, staticFiles(site.Brand().Accent)}
	f.static.Mount(s)
	for _, rt := range f.routes() {
		s.Handle(rt)
	}
	for pattern, h := range f.pages() {
		s.HandlePage(pattern, h)
	}
	s.ShowNotFound(site.Miss)
}

// staticFiles returns the style sheet in the colours of a brand, the scripts and the index of the search.
func staticFiles(accent brand.Accent) *look.Folder {
	all := map[string][]byte{}
	for _, name := range []string{"docs.mjs", "search.mjs", "try.mjs"} {
		all[name] = embedded("static/" + name)
	}
	all["search.json"] = embedded("generated/search.json")
	all["docs.css"] = append([]byte(look.Sheet(accent)), embedded("static/docs.css")...)
	return look.NewFolder(staticPath, all)
}

func embedded(name string) []byte {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return data
}

// Routes is the table of routes of the documentation.
func Routes() []httpd.Route { return (&face{}).routes() }

func (f *face) routes() (list []httpd.Route) {
	for _, rt := range []struct {
		path, operation string
		serve           http.HandlerFunc
	}{
		{"/openapi.json", "getDocument", f.showDocument},
		{"/docs", "showReference", f.showOverview},
		{"/docs/{page}", "showPage", f.showPage},
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

// showOverview serves the first page of the documentation.
func (f *face) showOverview(w http.ResponseWriter, r *http.Request) {
	f.page(w, r, embedded("generated/index.html"))
}

// showPage serves a page of the documentation.
func (f *face) showPage(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("page")
	html, err := files.ReadFile("generated/" + name + ".html")
	if err != nil || name == "index" || strings.Contains(name, "/") {
		f.miss(w, r, "there is no page %q", name)
		return
	}
	f.page(w, r, html)
}

// explainError serves the page of an error code. Its address is the type of a problem.
func (f *face) explainError(w http.ResponseWriter, r *http.Request) {
	code := r.PathValue("code")
	html, err := files.ReadFile("generated/errors/" + code + ".html")
	if err != nil {
		f.miss(w, r, "there is no error code %q", code)
		return
	}
	f.page(w, r, html)
}

func (f *face) miss(w http.ResponseWriter, r *http.Request, format, name string) {
	c := httpd.CallOf(r.Context())
	c.Guard()
	c.Miss(c.Record(w), r, sluice.Errorf(sluice.CodeNotFound, format, httpd.Clean(name)))
}

func (f *face) page(w http.ResponseWriter, r *http.Request, html []byte) {
	c := httpd.CallOf(r.Context())
	c.Guard()
	c.Header.Set("Content-Security-Policy", policy)
	c.Header.Set("Referrer-Policy", "no-referrer")
	digest := strings.TrimPrefix(strings.TrimSuffix(f.static.Path("docs.css"), "docs.css"), "/docs/")
	html = bytes.ReplaceAll(html, []byte(anyDigest), []byte(digest))
	httpd.Send(c.Record(w), http.StatusOK, "text/html; charset=utf-8", html)
}
