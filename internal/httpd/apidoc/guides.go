package apidoc

import (
	"html"
	"html/template"
	"regexp"
	"strings"

	"sluice"
)

// guide is a page that explains a part of the API. Its text is templates/guides/SLUG.html.
type guide struct{ Slug, Title, Lead string }

// guides are the guides, in their order. The guide start is a part of the overview.
var guides = []guide{
	{"authentication", "Authentication", "Each request names a key. The key determines the account, the mode, and what " +
		"the request may do."},
	{"requests", "Requests", "What requests and responses have in common: bodies, times, digests, conditions and limits."},
	{"errors", "Errors", "What a refused request returns, and the page of each error code."},
	{"idempotency", "Idempotency", "How to send a request again without repeating its effect."},
	{"lists", "Lists", "How lists are ordered, divided into pages, and filtered."},
	{"rate-limits", "Rate limits", "How many requests a key may make, and how to stay within that."},
	{"versions", "Versions", "How the API changes without breaking your program."},
}

// guide returns the text of a guide.
func (s *site) guide(slug string) template.HTML {
	problem := describedSchema(s.ref, "Problem")
	field := describedSchema(s.ref, "FieldError")
	return template.HTML(rendered("guide-"+slug+".html", map[string]any{
		"Root": "", "Objects": []docSchema{problem, field}, "Version": s.ref.Info.Version,
		"Bearer": s.ref.Components.SecuritySchemes[bearerScheme],
	}))
}

func describedSchema(ref *document, name string) docSchema {
	for _, s := range docSchemas(ref, map[string]string{"FieldError": "errors"}) {
		if s.Name == name {
			s.Open = true
			return s
		}
	}
	panic("there is no schema " + name)
}

func (s *site) addGuide(g guide) {
	text := s.guide(g.Slug)
	sections := sectionsOf(text)
	s.entries = append(s.entries, searchEntry{Title: g.Title, Href: g.Slug, Kind: "Guide", Text: g.Lead})
	parts := strings.Split(string(text), "<h2 ")[1:]
	for i, section := range sections {
		s.entries = append(s.entries, searchEntry{
			Title: section.Title, Href: g.Slug + "#" + section.ID, Kind: g.Title, Text: plainText(parts[i]),
		})
	}
	s.files[g.Slug+".html"] = s.rendered("guide.html", view{
		Slug: g.Slug, Title: g.Title, Lead: g.Lead, Crumb: "Guides", Home: "../docs", Sections: sections, Content: text,
	})
}

var headingInHTML = regexp.MustCompile(`<h2 id="([^"]+)"><a [^>]*>([^<]+)`)

// sectionsOf returns the sections of a text.
func sectionsOf(text template.HTML) (list []section) {
	for _, m := range headingInHTML.FindAllStringSubmatch(string(text), -1) {
		list = append(list, section{m[1], strings.TrimSpace(html.UnescapeString(m[2]))})
	}
	return list
}

var (
	samplesInHTML = regexp.MustCompile(`(?s)<pre.*?</pre>`)
	tagInHTML     = regexp.MustCompile(`<[^>]*>`)
)

// plainText returns the words of HTML, without its samples.
func plainText(text string) string {
	return html.UnescapeString(tagInHTML.ReplaceAllString(samplesInHTML.ReplaceAllString("<h2 "+text, " "), " "))
}

// samplesIn returns the samples of a guide.
func samplesIn(name string) sampleSet {
	set := sampleSet{Name: name}
	for _, language := range []struct{ language, name, file string }{
		{"curl", "curl", "sh"}, {"javascript", "JavaScript", "mjs"}, {"python", "Python", "py"}, {"go", "Go", "go.txt"},
	} {
		code, err := templateFiles.ReadFile("samples/" + name + "." + language.file)
		if err != nil {
			panic(err) // it is embedded
		}
		set.Samples = append(set.Samples, docSample{language.language, language.name, string(code)})
	}
	return set
}

// sampleSet is the same sample in several languages.
type sampleSet struct {
	Name    string
	Samples []docSample
}

// scopeMeanings says what the scopes allow.
var scopeMeanings = map[sluice.Scope]string{
	sluice.FilesRead:    "List and get files: their details, not their bytes.",
	sluice.FilesContent: "Read the bytes of files without a link, through the APIs of vendors and in the console.",
	sluice.FilesWrite:   "Upload, update, hold and delete files.",
	sluice.LinksRead:    "List and get links, with their URLs.",
	sluice.LinksWrite:   "Create, update and revoke links.",
	sluice.AuditRead:    "Read and export the audit log, its ledger and its proofs.",
	sluice.KeysAdmin:    "Create, rotate and revoke keys, and erase personal fields of the log.",
}

type docScope struct {
	Name   sluice.Scope
	Allows string
}

// docScopes returns all scopes, in the order of the documentation.
func docScopes() (list []docScope) {
	for _, scope := range sluice.AllScopes() {
		if scopeMeanings[scope] == "" {
			panic("the scope " + string(scope) + " has no meaning in the documentation")
		}
		list = append(list, docScope{scope, scopeMeanings[scope]})
	}
	return list
}
