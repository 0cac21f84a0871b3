package httpd

import (
	"bytes"
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
)

// The pages for people need no script and nothing from another host. Those of the documentation are made by package
// apidoc, and served as they are.

//go:embed docs
var docFiles embed.FS

var docPages = template.Must(
	template.New("").Funcs(template.FuncMap{"style": PageStyle}).ParseFS(docFiles, "docs/*.html"),
)

// PageStyle is the style sheet of the pages, which each of them holds.
func PageStyle() template.CSS {
	css, err := docFiles.ReadFile("docs/style.css")
	if err != nil {
		panic(err) // it is embedded
	}
	return template.CSS(css)
}

// docPolicy lets a page of the documentation have its own style, and nothing
// else (Content Security Policy Level 3).
var docPolicy = func() string {
	sum := sha256.Sum256([]byte(PageStyle()))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// anyServer is where the document in api/openapi.json says that the API is.
const anyServer = `"url": "/"`

// showDocument serves the OpenAPI document, which names the public URL of this server.
func (s *Server) showDocument(w http.ResponseWriter, r *http.Request) {
	public, err := json.Marshal(s.svc.PublicURL())
	if err != nil {
		panic(err) // it is a text
	}
	before, after, _ := strings.Cut(api.OpenAPI(), anyServer)
	c := callOf(r.Context())
	c.guard(c.header)
	c.header.Set("Content-Type", "application/json")
	w = c.record(w)
	for _, part := range []string{before, `"url": `, string(public), after} {
		_, _ = io.WriteString(w, part)
	}
}

// showReference serves the reference as a page.
func (s *Server) showReference(w http.ResponseWriter, r *http.Request) {
	page, err := docFiles.ReadFile("docs/generated/reference.html")
	if err != nil {
		panic(err) // it is embedded
	}
	callOf(r.Context()).page(w, http.StatusOK, page)
}

// explainError serves the page of a code: the address that problems name as
// type.
func (s *Server) explainError(w http.ResponseWriter, r *http.Request) {
	c, code := callOf(r.Context()), r.PathValue("code")
	page, err := docFiles.ReadFile("docs/generated/errors/" + code + ".html")
	if err != nil {
		c.guard(c.header)
		c.miss(c.record(w), r, sluice.Errorf(sluice.CodeNotFound, "there is no code %q", clean(code)))
		return
	}
	c.page(w, http.StatusOK, page)
}

func (c *call) page(w http.ResponseWriter, status int, html []byte) {
	c.guard(c.header)
	c.header.Set("Content-Security-Policy", docPolicy)
	c.header.Set("Referrer-Policy", "no-referrer")
	c.header.Set("Content-Type", "text/html; charset=utf-8")
	w = c.record(w)
	w.WriteHeader(status)
	_, _ = w.Write(html)
}

func rendered(name string, data any) []byte {
	var b bytes.Buffer
	if err := docPages.ExecuteTemplate(&b, name, data); err != nil {
		panic(err) // it depends on no input
	}
	return b.Bytes()
}
