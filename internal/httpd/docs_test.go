package httpd_test

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/server"
)

// maxPage limits the size of a page of the documentation, so that it loads at once and can be read to its end.
const maxPage = 96 << 10

// page is a page of the documentation. It loads its style sheet and one module from this server, and nothing else.
func (c client) page(t *testing.T, url string) string {
	t.Helper()
	a := c.get(t, url).want(t, 200)
	body := string(a.body)
	const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; " +
		"form-action 'none'; frame-ancestors 'none'"
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", url, name, got, want)
		}
	}
	if len(body) > maxPage {
		t.Errorf("%s has %d bytes", url, len(body))
	}
	head, rest, _ := strings.Cut(body, "</head>")
	loaded := regexp.MustCompile(`(?:<link rel="stylesheet" href|<script type="module" src)="((?:docs/|\.\./)?static/`+
		`[0-9a-f]{16}/docs\.(?:css|mjs))"`).FindAllStringSubmatch(head, -1)
	if len(loaded) != 2 || strings.Count(head, "<link")+strings.Count(head, "<script") != 2 {
		t.Fatalf("%s loads %q of %s", url, loaded, head)
	}
	for _, foreign := range regexp.MustCompile(`<(?:script|link|img|iframe|style)|<[^>]* (?:style|on[a-z]+)=|@import|`+
		`ZgotmplZ|<no value>|static/0/`).FindAllString(rest, -1) {
		t.Errorf("%s holds %q", url, foreign)
	}
	return body
}

// docsPages are the addresses of all pages of the documentation below a server, by their names: those in the navigation,
// and the errors.
func (c client) docsPages(t *testing.T) map[string]string {
	t.Helper()
	overview := c.URL + "/docs"
	pages := map[string]string{"": overview}
	_, nav, _ := strings.Cut(c.page(t, overview), "<nav")
	nav, _, _ = strings.Cut(nav, "</nav>")
	for _, link := range hrefs(nav) {
		if name, ok := strings.CutPrefix(link, "docs/"); ok {
			pages[name] = overview + "/" + name
		}
	}
	for _, code := range httpd.Codes() {
		pages["errors/"+code] = overview + "/errors/" + code
	}
	if len(pages) < 40 {
		t.Fatalf("the documentation has the pages %v", pages)
	}
	return pages
}

// hrefs are the addresses of the links on a page.
func hrefs(page string) (all []string) {
	for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		all = append(all, html.UnescapeString(m[1]))
	}
	return all
}

// TestReference compares the pages with the tables of routes: each route is in the overview, under the address that it
// had when the reference was one page, and on a page of its own kind with everything that the document says about it.
func TestReference(t *testing.T) {
	c := newClient(t)
	pages := map[string]string{}
	for name, url := range c.docsPages(t) {
		pages[name] = c.page(t, url)
	}
	all := strings.Join(slices.Collect(maps.Values(pages)), "\n")
	d := readDocument(t)
	for _, rt := range server.Routes() {
		op := d.Paths[strings.ReplaceAll(rt.Path, "...}", "}")][strings.ToLower(rt.Method)]
		_, article, found := strings.Cut(all, fmt.Sprintf(`<h2 id="%s">`, op.ID))
		article, _, _ = strings.Cut(article, "</section>")
		if !found || !strings.Contains(pages[""], fmt.Sprintf(`<li id="%s"><a href="docs/`, op.ID)) {
			t.Errorf("%s has no place or is not in the overview", op.ID)
			continue
		}
		want := []string{op.Summary, fmt.Sprintf(`<span class="method %s">%s</span> <code>%s</code>`,
			strings.ToLower(op.method), op.method, op.path), "$SLUICE_URL"}
		switch rt.Scope {
		case httpd.Public:
			want = append(want, "Needs no key.")
		case httpd.AnyKey:
			want = append(want, "Needs a key with any scope.", "$SLUICE_KEY")
		default:
			want = append(want, "<code>"+string(rt.Scope)+"</code>", "$SLUICE_KEY")
		}
		for _, language := range languages {
			want = append(want, fmt.Sprintf(`data-sample="%s" data-language="%s"`, op.ID, language.name))
		}
		for _, p := range op.Parameters {
			want = append(want, "<code>"+p.Name+"</code>")
		}
		if op.RequestBody != nil && op.RequestBody.Content["application/json"].Schema != nil {
			for member := range d.bodySchema(t, op, "application/json").Properties {
				want = append(want, "<code>"+member+"</code>")
			}
		}
		for status := range op.Responses {
			r, _ := d.response(op, status)
			if status < "400" {
				want = append(want, "<strong>"+status+"</strong>")
			}
			for code := range r.Content[api.ProblemType].Examples {
				want = append(want, fmt.Sprintf(`<a href="errors/%s"><code>%s</code></a> <span class="type">%s</span>`,
					code, code, status))
			}
		}
		for _, text := range want {
			if !strings.Contains(html.UnescapeString(article), text) {
				t.Errorf("%s does not say %q", op.ID, text)
			}
		}
	}
	for name, s := range d.Components.Schemas {
		_, section, found := strings.Cut(all, fmt.Sprintf(`<h3 id="%s">`, name))
		section, _, _ = strings.Cut(section, "<h3")
		if !found || !strings.Contains(pages[""], fmt.Sprintf(`<li id="%s"><a href="docs/`, name)) {
			t.Errorf("%s has no place or is not in the overview", name)
		}
		for member := range s.Properties {
			if !strings.Contains(section, "<code>"+member+"</code>") {
				t.Errorf("%s does not have %s", name, member)
			}
		}
	}
	for _, old := range []string{"problems", "objects", "Files", "Links", "Audit", "Ledger", "Keys", "Downloads",
		"Operation", "Reference"} {
		if !strings.Contains(pages[""], ` id="`+old+`"`) {
			t.Errorf("nothing on /docs is called %q any more", old)
		}
	}
}

// TestDocsLeadSomewhere follows every link of every page, and every entry of the search.
func TestDocsLeadSomewhere(t *testing.T) {
	c := newClient(t)
	bodies := map[string]string{} // by address without fragment
	for _, at := range c.docsPages(t) {
		bodies[at] = c.page(t, at)
	}
	follow := func(base *url.URL, link string) {
		t.Helper()
		target, err := base.Parse(link)
		if err != nil || strings.HasPrefix(link, "/") || !strings.HasPrefix(target.String(), c.URL+"/") {
			t.Errorf("%s leads to %s, elsewhere or out of the path of the public URL (%v)", base, link, err)
			return
		}
		address := c.URL + target.Path
		if _, seen := bodies[address]; !seen {
			bodies[address] = string(c.get(t, address).want(t, 200).body)
		}
		if id := target.Fragment; id != "" && strings.Count(bodies[address], ` id="`+id+`"`) != 1 {
			t.Errorf("%s leads to %s, and %d parts of %s have this id", base, link,
				strings.Count(bodies[address], ` id="`+id+`"`), address)
		}
	}
	for _, at := range c.docsPages(t) {
		base, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range hrefs(bodies[at]) {
			if !strings.HasPrefix(link, "https://") { // the web
				follow(base, link)
			}
		}
		ids := map[string]bool{}
		for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(bodies[at], -1) {
			if ids[m[1]] {
				t.Errorf("%s has %q twice", at, m[1])
			}
			ids[m[1]] = true
		}
	}

	static := hrefs(bodies[c.URL+"/docs"])[0] // the style sheet
	index := c.get(t, c.URL+"/"+strings.TrimSuffix(static, "docs.css")+"search.json").want(t, 200)
	if len(index.body) > maxPage {
		t.Errorf("the index of the search has %d bytes", len(index.body))
	}
	entries := read[[]struct{ T, H, K, X string }](t, index)
	found := map[string]bool{}
	for _, e := range entries {
		found[e.H] = true
		base, _ := url.Parse(c.URL + "/docs/")
		follow(base, e.H)
	}
	for name := range c.docsPages(t) {
		if name != "" && !found[name] {
			t.Errorf("the search does not find %s", name)
		}
	}
}

// TestNoSuchPage asks for pages that are not there, and for files beside the pages.
func TestNoSuchPage(t *testing.T) {
	c := newClient(t)
	for _, path := range []string{"nothing", "index", "search.json", "Files", "files.html", "..", "errors%2Fgone", "static"} {
		if a := c.get(t, c.URL+"/docs/"+path); a.status != 404 {
			t.Errorf("/docs/%s: status %d", path, a.status)
		}
	}
}

// TestErrorPages opens the page of every code.
func TestErrorPages(t *testing.T) {
	c := newClient(t)
	for _, code := range httpd.Codes() {
		page := c.page(t, c.PublicURL()+"/docs/errors/"+code)
		_, rest, _ := strings.Cut(page, `<pre tabindex="0"><code>`)
		example, _, _ := strings.Cut(rest, "</code></pre>")
		var p api.Problem
		if err := json.Unmarshal([]byte(html.UnescapeString(example)), &p); err != nil {
			t.Errorf("%s: %v in %s", code, err, example)
		}
		if p.Code != code || p.Title == "" || p.Detail == "" || !strings.HasSuffix(p.Type, "/docs/errors/"+p.Code) ||
			!strings.Contains(page, fmt.Sprintf("%d %s. %s.", p.Status, http.StatusText(p.Status), html.EscapeString(p.Title))) {
			t.Errorf("the page of %s has the example %+v", code, p)
		}
		if strings.Count(page, "<li>") < 2 {
			t.Errorf("the page of %s says too little", code)
		}
	}
	for _, path := range []string{"nothing", "GONE", "gone%2F", "conflict%00", "%3Cscript%3E"} {
		c.problem(t, c.get(t, c.URL+"/docs/errors/"+path).want(t, 404), sluice.CodeNotFound)
	}
}

// TestProblemsNameTheirPage provokes problems and opens the page that each names.
func TestProblemsNameTheirPage(t *testing.T) {
	c := newClient(t)
	o := c.objects(t)
	_, lesser := c.NewKey(t, c.Ledger(sluice.Test), sluice.FilesRead)
	for code, a := range map[sluice.Code]answer{
		sluice.CodeValidation:         c.ask(t, "GET", "/v1/files?limit=0", ""),
		sluice.CodeUnauthenticated:    c.as("").ask(t, "GET", "/v1/files", ""),
		sluice.CodeForbidden:          c.as(lesser).ask(t, "GET", "/v1/keys", ""),
		sluice.CodeNotFound:           c.ask(t, "GET", "/v1/files/file_0", ""),
		sluice.CodeMethodNotAllowed:   c.ask(t, "PUT", "/v1/account", ""),
		sluice.CodePreconditionFailed: c.ask(t, "DELETE", "/v1/files/"+o.file, "", "If-Match", `"another"`),
		sluice.CodeTooLarge:           c.ask(t, "POST", "/v1/keys", strings.Repeat(" ", 256<<10+1)),
		sluice.CodeUnsupportedType:    c.ask(t, "POST", "/v1/keys", "{}", "Content-Type", "text/plain"),
		sluice.CodeDigestMismatch:     c.ask(t, "POST", "/v1/keys", "{}", "Content-Digest", digestOf("another")),
	} {
		p := c.problem(t, a, code)
		if page := c.page(t, p.Type); !strings.Contains(page, "<h1><code>"+p.Code+"</code></h1>") ||
			!strings.Contains(page, html.EscapeString(p.Title)) {
			t.Errorf("%s is not the page of %s", p.Type, code)
		}
	}
}
