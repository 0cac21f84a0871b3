package apidoc

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"sluice"
	"sluice/internal/httpd"
)

// The pages are rendered from the document. They can be read without scripts, and need no other hosts.

//go:embed templates samples
var templateFiles embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"heading":    heading,
	"code":       code,
	"json":       func(v any) template.HTML { return code(inJSON.write(parsed(v), "")) },
	"lower":      strings.ToLower,
	"prose":      prose,
	"paragraphs": func(text string) []string { return strings.Split(text, "\n\n") },
	"samples":    samplesIn,
	"problems":   docProblems,
	"scopes":     docScopes,
}).ParseFS(templateFiles, "templates/*.html", "templates/guides/*.html"))

// view is what the templates show.
type view struct {
	Slug, Title, Lead string
	Crumb             string // what kind of page it is
	Root, Home        string // the relative addresses of /docs/ and /docs
	Version           string
	Nav               []navGroup
	Sections          []section // of this page
	Content           any
}

// navGroup is a part of the navigation.
type navGroup struct {
	Title string
	Pages []navPage
}

type navPage struct{ Slug, Title string }

// section is a part of a page that has an address.
type section struct{ ID, Title string }

// Pages returns the pages of the documentation and the index for their search, by their paths below
// internal/httpd/docs/generated.
func Pages() map[string][]byte {
	ref := newDocument()
	s := &site{ref: ref, resources: docPages(ref), files: map[string][]byte{}}
	s.nav = s.navigation()
	for _, g := range guides {
		s.addGuide(g)
	}
	for _, p := range s.resources {
		s.addResource(p)
	}
	for _, code := range httpd.Codes() {
		s.addError(sluice.Code(code))
	}
	s.files["index.html"] = s.rendered("overview.html", view{
		Slug: "overview", Title: "Sluice API", Crumb: "Overview", Root: "docs/", Home: "docs",
		Lead: strings.Split(ref.Info.Description, "\n\n")[0], Sections: sectionsOf(s.guide("start")),
		Content: map[string]any{
			"Guides": guides, "Resources": s.resources, "Problems": docProblems(), "Objects": s.objects(),
			"Start": s.guide("start"),
		},
	})
	s.files["search.json"] = s.searchIndex()
	return s.files
}

// site collects the files.
type site struct {
	ref       *document
	resources []*docPage
	nav       []navGroup
	files     map[string][]byte
	entries   []searchEntry
}

func (s *site) navigation() []navGroup {
	guide, reference := navGroup{Title: "Guides"}, navGroup{Title: "Reference"}
	for _, g := range guides {
		guide.Pages = append(guide.Pages, navPage{g.Slug, g.Title})
	}
	for _, p := range s.resources {
		reference.Pages = append(reference.Pages, navPage{p.Slug, p.Title})
	}
	return []navGroup{guide, reference}
}

// placedObject is an object and its page.
type placedObject struct{ Name, Page string }

// objects returns all objects, by name.
func (s *site) objects() (list []placedObject) {
	for _, name := range []string{"Problem", "FieldError"} {
		list = append(list, placedObject{name, "errors"})
	}
	for _, p := range s.resources {
		for _, o := range p.Objects {
			list = append(list, placedObject{o.Name, p.Slug})
		}
	}
	slices.SortFunc(list, func(a, b placedObject) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (s *site) addResource(p *docPage) {
	v := view{
		Slug: p.Slug, Title: p.Title, Lead: p.Lead, Crumb: "Reference", Home: "../docs", Content: p,
	}
	s.entries = append(s.entries, searchEntry{Title: p.Title, Href: p.Slug, Kind: "Reference", Text: p.Lead})
	for _, op := range p.Operations {
		v.Sections = append(v.Sections, section{op.OperationID, op.Summary})
		s.entries = append(s.entries, searchEntry{
			Title: op.Summary, Href: p.Slug + "#" + op.OperationID, Kind: op.Method + " " + op.Path,
			Text: op.OperationID + " " + op.Description + " " + namesOf(op.PathParams, op.Query, op.Raw, op.Headers),
		})
	}
	for _, o := range p.Objects {
		s.entries = append(s.entries, searchEntry{
			Title: o.Name, Href: p.Slug + "#" + o.Name, Kind: "Object", Text: o.Description + " " + namesOf(o.Members),
		})
	}
	if len(p.Objects) > 0 {
		v.Sections = append(v.Sections, section{"objects", "Objects"})
	}
	s.files[p.Slug+".html"] = s.rendered("resource.html", v)
}

func (s *site) addError(code sluice.Code) {
	about := explanations[code]
	s.entries = append(s.entries, searchEntry{
		Title: string(code), Href: "errors/" + string(code), Kind: fmt.Sprintf("Error %d", statusOf(code)),
		Text: titleOf(code) + " " + about.meaning + " " + strings.Join(about.when, " "),
	})
	s.files["errors/"+string(code)+".html"] = s.rendered("error.html", view{
		Slug: "errors", Title: string(code), Crumb: "Errors", Root: "../", Home: "../../docs",
		Content: map[string]any{
			"Code": code, "Title": titleOf(code), "Status": statusOf(code),
			"StatusText": http.StatusText(statusOf(code)),
			"Meaning":    about.meaning, "When": about.when, "Remedy": about.remedy, "Example": exampleProblem(code),
		},
	})
}

func (s *site) rendered(name string, v view) []byte {
	v.Nav, v.Version = s.nav, s.ref.Info.Version
	return rendered(name, v)
}

func statusOf(code sluice.Code) int {
	status, _ := httpd.ProblemOf(code)
	return status
}

func titleOf(code sluice.Code) string {
	_, title := httpd.ProblemOf(code)
	return title
}

func rendered(name string, data any) []byte {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		panic(err) // it depends on no input
	}
	return b.Bytes()
}

// heading returns the heading of a section, which links to itself.
func heading(id, title string) template.HTML {
	return template.HTML(fmt.Sprintf(`<h2 id="%s"><a href="#%[1]s">%s</a></h2>`,
		template.HTMLEscapeString(id), template.HTMLEscapeString(title)))
}

// code returns a text as HTML. It leaves quotation marks alone, which make up a tenth of samples.
func code(text string) template.HTML {
	return template.HTML(strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text))
}

// prose converts text to HTML, with text between backticks as code.
func prose(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = template.HTMLEscapeString(part)
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String())
}
