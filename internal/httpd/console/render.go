package console

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"embed"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	"sluice"
	"sluice/internal/brand"
	"sluice/internal/service"
)

//go:embed templates
var templates embed.FS

// views are the templates of the pages by name, each with the layout and the parts that several pages have. They are
// read when the first page is shown, since most commands show none.
var views = sync.OnceValue(func() map[string]*template.Template {
	names, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		panic(err) // the pattern is right
	}
	views := map[string]*template.Template{}
	for _, name := range names {
		if view := strings.TrimSuffix(path.Base(name), ".html"); !slices.Contains(shared, view) {
			views[view] = template.Must(template.New("").Funcs(functions).ParseFS(templates,
				"templates/layout.html", "templates/parts.html", "templates/words.html", name))
		}
	}
	return views
})

// shared are the templates that are no pages.
var shared = []string{"layout", "parts", "words"}

// view is the data of a template.
type view struct {
	visit *visit
	Page  any // what the page is about
}

// With is the view of a part of the page.
func (d view) With(part any) view { return view{d.visit, part} }

// The members of a visit that templates show.
func (d view) Brand() brand.Brand { return d.visit.brand }
func (d view) Mode() sluice.Mode  { return d.visit.mode }
func (d view) SignedIn() bool     { return d.visit.mode != "" && d.visit.session.ID != "" }

// Name is that of the site: the brand's, or Sluice.
func (d view) Name() string { return cmp.Or(d.visit.brand.Name, "Sluice") }

// Logo is the logo of the brand as a data URL, "" for none.
func (d view) Logo() template.URL {
	if d.visit.brand.Logo == nil {
		return ""
	}
	return template.URL(d.visit.brand.Logo.DataURL())
}

// Grants reports whether the person has a scope in the mode of the page.
func (d view) Grants(scope sluice.Scope) bool { return d.visit.caller.Grants(scope) }

// Base is the path of the console; Path is that of a page of the mode; Static is that of an embedded file.
func (d view) Base() string            { return d.visit.base }
func (d view) Path(rest string) string { return d.visit.path(rest) }
func (d view) PublicURL() string       { return d.visit.svc.PublicURL() }
func (d view) Static(name string) string {
	return strings.TrimSuffix(d.visit.base, "/console") + d.visit.static.Path(name)
}

// KeyKind begins the API keys of the mode, for samples.
func (d view) KeyKind() string { return "sk_" + string(d.visit.mode) + "_…" }

// Once is the value of the field once of a form: see visit.once.
func (d view) Once() string { return rand.Text() }

// Who is the name of the person who signed in, and their address or issuer. A session of a key has the key's.
func (d view) Who() (name string) {
	c := d.visit.caller
	if c.Actor.Type == sluice.ActorKey {
		return "API key " + cmp.Or(c.Key.Name, c.Key.ID)
	}
	p := d.visit.session.Person
	return cmp.Or(p.Name, p.Email, p.Subject)
}

// WhoMore is what else is known of the person.
func (d view) WhoMore() string {
	if p := d.visit.session.Person; p.Name != "" {
		return p.Email
	}
	return ""
}

// modeLink is a choice of the switch between the modes.
type modeLink struct {
	Name, Path string
	Current    bool
}

// Modes are the modes that the browser is signed in to. Those that it is not lead to sign-in.
func (d view) Modes() (list []modeLink) {
	for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
		name := strings.ToUpper(string(m[:1])) + string(m[1:])
		to := d.visit.base + "/" + string(m) + "/"
		if !slices.ContainsFunc(d.visit.callers, func(c service.Caller) bool { return c.Ledger.Mode == m }) {
			to = d.visit.signInPath(to)
		}
		list = append(list, modeLink{name, to, m == d.visit.mode})
	}
	return list
}

// A navigation entry is shown to people who have one of its scopes; without scopes, to all.
type navigation struct {
	Path, Name string
	scopes     []sluice.Scope
}

// sections are the entries of the navigation. The first section has no title.
var sections = []struct {
	title   string
	entries []navigation
}{
	{"", []navigation{
		{"/", "Home", nil},
		{"/files", "Files", []sluice.Scope{sluice.FilesRead}},
		{"/links", "Links", []sluice.Scope{sluice.LinksRead}},
		{"/log", "Log", []sluice.Scope{sluice.AuditRead}},
	}},
	{"Settings", []navigation{
		{"/keys", "API keys", []sluice.Scope{sluice.KeysAdmin}},
		{"/sessions", "People and sessions", []sluice.Scope{sluice.KeysAdmin}},
		{"/purposes", "Purposes", nil},
		{"/brand", "Brand", nil},
		{"/ledger", "Key of the log", []sluice.Scope{sluice.AuditRead}},
	}},
}

// navigationLink is a navigation entry on a page.
type navigationLink struct {
	Path, Name string
	Current    string // the value of aria-current: "page", "true" for a page below it, or ""
}

// navigationSection is a section of the navigation on a page.
type navigationSection struct {
	Title string
	Links []navigationLink
}

// Navigation is the navigation of the page: what the person may see.
func (d view) Navigation() (list []navigationSection) {
	here := strings.TrimPrefix(d.visit.r.URL.Path, "/console/"+string(d.visit.mode))
	for _, s := range sections {
		shown := navigationSection{Title: s.title}
		for _, e := range s.entries {
			if !d.grantsOneOf(e.scopes) {
				continue
			}
			link := navigationLink{Path: d.Path(e.Path), Name: e.Name}
			switch {
			case here == e.Path:
				link.Current = "page"
			case e.Path != "/" && strings.HasPrefix(here, e.Path+"/"):
				link.Current = "true"
			}
			shown.Links = append(shown.Links, link)
		}
		if len(shown.Links) > 0 {
			list = append(list, shown)
		}
	}
	return list
}

func (d view) grantsOneOf(scopes []sluice.Scope) bool {
	for _, s := range scopes {
		if d.Grants(s) {
			return true
		}
	}
	return len(scopes) == 0
}

// flashes are the messages that a page shows after a change, by the code in its address. The address of a page may come
// from anyone, so it holds a code, and never a text.
var flashes = map[string]string{}

// flash adds messages.
func flash(texts map[string]string) struct{} {
	maps.Copy(flashes, texts)
	return struct{}{}
}

// did is the address of a page, with the code of the message that it shows. path has no query.
func did(path, code string) string { return path + "?did=" + code }

// Flash is the message of the page, or "".
func (d view) Flash() string { return flashes[d.visit.r.URL.Query().Get("did")] }

// render answers with a page: layout.html with templates/NAME.html. The template gets a view.
func (v *visit) render(name string, data any) error { return v.show(http.StatusOK, name, data) }

// show is render with a status.
func (v *visit) show(status int, name string, data any) error {
	var page bytes.Buffer
	if err := views()[name].ExecuteTemplate(&page, "layout.html", view{v, data}); err != nil {
		return err
	}
	v.call.Header.Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(page.Bytes()) // the browser may be gone
	return nil
}
