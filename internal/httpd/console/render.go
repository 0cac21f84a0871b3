package console

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"sluice"
	"sluice/internal/brand"
)

//go:embed templates
var templates embed.FS

// views are the templates of the pages by name, each with the layout.
var views = func() map[string]*template.Template {
	names, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		panic(err) // the pattern is right
	}
	views := map[string]*template.Template{}
	for _, name := range names {
		if view := strings.TrimSuffix(path.Base(name), ".html"); view != "layout" {
			views[view] = template.Must(template.ParseFS(templates, "templates/layout.html", name))
		}
	}
	return views
}()

// view is the data of a template.
type view struct {
	visit *visit
	Page  any // what the page is about
}

func (d view) Brand() brand.Brand { return d.visit.brand }
func (d view) Mode() sluice.Mode  { return d.visit.mode }
func (d view) SignedIn() bool     { return len(d.visit.callers) > 0 }

// Grants reports whether the person has a scope in the mode of the page.
func (d view) Grants(scope sluice.Scope) bool { return d.visit.caller.Grants(scope) }

// Base is the path of the console; Path is that of a page of the mode.
func (d view) Base() string            { return d.visit.base }
func (d view) Path(rest string) string { return d.visit.path(rest) }

// render answers with a page: layout.html with templates/NAME.html. The template gets a view.
func (v *visit) render(name string, data any) error { return v.show(http.StatusOK, name, data) }

// show is render with a status.
func (v *visit) show(status int, name string, data any) error {
	var page bytes.Buffer
	if err := views[name].ExecuteTemplate(&page, "layout.html", view{v, data}); err != nil {
		return err
	}
	v.call.Header.Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(page.Bytes()) // the browser may be gone
	return nil
}
