// Package pages makes the pages that people see who open links, in their language and with the brand of the operator.
// No page needs a script or loads anything, and none shows text from a client but the name of a file.
package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"sluice/internal/brand"
	"sluice/internal/httpd"
	"sluice/internal/text"
)

//go:embed *.html style.css
var files embed.FS

// Site makes the pages of one server.
type Site struct {
	brand  brand.Brand
	logo   template.URL // a data URL, "" for none
	style  template.CSS
	policy string // the Content-Security-Policy of every page
	pages  map[string]*template.Template
}

// New makes a site with a brand. The zero Brand shows none. redirects says that the server answers forms with redirects
// to the bucket of the files: a browser then follows them only if the policy of the page allows forms to be sent there.
func New(b brand.Brand, redirects bool) *Site {
	if b.Accent == (brand.Accent{}) {
		b.Accent = brand.DefaultAccent()
	}
	s := &Site{brand: b, pages: map[string]*template.Template{}}
	style, err := files.ReadFile("style.css")
	if err != nil {
		panic(err) // it is embedded, like the templates
	}
	s.style = template.CSS(strings.NewReplacer(
		"LIGHT-BACK", b.Accent.Light.Back.String(), "LIGHT-TEXT", b.Accent.Light.Text.String(),
		"DARK-BACK", b.Accent.Dark.Back.String(), "DARK-TEXT", b.Accent.Dark.Text.String(),
	).Replace(string(style)))
	images, forms := "", "'self'"
	if redirects {
		forms += " http: https:" // the bucket may be on any host
	}
	if b.Logo != nil {
		s.logo, images = template.URL(b.Logo.DataURL()), "img-src data:; "
	}
	sum := sha256.Sum256([]byte(s.style))
	s.policy = fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; %sform-action %s; base-uri 'none'; "+
		"frame-ancestors 'none'", base64.StdEncoding.EncodeToString(sum[:]), images, forms)
	for _, name := range []string{"link", "refusal", "home", "miss"} {
		s.pages[name] = template.Must(template.ParseFS(files, "layout.html", name+".html"))
	}
	return s
}

// Brand is the brand of the pages.
func (s *Site) Brand() brand.Brand { return s.brand }

// view is the data of a page.
type view struct {
	*text.Language
	Site  *Site
	Title string
	Page  any // what the page is about: Link, refusal or miss
}

// T is a text of the catalogue.
func (v view) T(name string, arguments ...any) string { return v.Text(name, arguments...) }

// The members of the site that the layout shows.
func (v view) Brand() brand.Brand  { return v.Site.brand }
func (v view) Logo() template.URL  { return v.Site.logo }
func (v view) Style() template.CSS { return v.Site.style }

// ContactURL is the contact as the target of a link. Package brand allows no scheme that runs a script.
func (v view) ContactURL() template.URL { return template.URL(v.Site.brand.Contact) }

// language returns the language of a reader. The wanted one goes before those that the browser accepts.
func language(r *http.Request, wanted string) *text.Language {
	return text.For(wanted, strings.Join(r.Header.Values("Accept-Language"), ","))
}

// show answers with a page. The handler has set the headers that are not about the page.
func (s *Site) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	v.Site = s
	var page bytes.Buffer
	if err := s.pages[name].ExecuteTemplate(&page, "layout.html", v); err != nil {
		panic(err) // the templates work with every text; a test shows them all
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", s.policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Add("Vary", "Accept-Language")
	w = httpd.CallOf(r.Context()).Record(w)
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes())
}
