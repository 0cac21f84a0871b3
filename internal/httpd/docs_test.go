package httpd_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/server"
)

// page is a page of the documentation. It must load nothing.
func (c client) page(t *testing.T, url string) string {
	t.Helper()
	a := c.get(t, url).want(t, 200)
	body := string(a.body)
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(body)
	if style == nil {
		t.Fatalf("%s has no style", url)
	}
	sum := sha256.Sum256([]byte(style[1]))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", url, name, got, want)
		}
	}
	for _, foreign := range []string{"<script", "<link", "<img", "<iframe", "style=", "url(", "@import", "ZgotmplZ",
		"<no value>"} {
		if strings.Contains(body, foreign) {
			t.Errorf("%s holds %q", url, foreign)
		}
	}
	return body
}

// hrefs are the addresses of the links on a page.
func hrefs(page string) (all []string) {
	for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		all = append(all, html.UnescapeString(m[1]))
	}
	return all
}

// TestReference compares the page with the tables of routes: each route is in the index and in the text, with
// everything that the document says about it.
func TestReference(t *testing.T) {
	c := newClient(t)
	page := c.page(t, c.URL+"/docs")
	if strings.Index(page, "<h1>") > strings.Index(page, "<nav") {
		t.Error("a narrow screen shows the contents before the page says what it is of")
	}
	d := readDocument(t)
	for _, rt := range server.Routes() {
		op := d.Paths[strings.ReplaceAll(rt.Path, "...}", "}")][strings.ToLower(rt.Method)]
		_, article, found := strings.Cut(page, fmt.Sprintf(`<h3 id="%s">`, op.ID))
		article, _, _ = strings.Cut(article, "</article>")
		if !found || !strings.Contains(page, fmt.Sprintf(`<a href="#%s">`, op.ID)) {
			t.Errorf("%s has no place or is not in the index", op.ID)
			continue
		}
		want := []string{op.Summary, fmt.Sprintf(`<span class="method %s">%s</span> %s<`, op.method, op.method, op.path),
			"curl -sS", "$SLUICE_URL"}
		switch rt.Scope {
		case httpd.Public:
			want = append(want, "Needs no key.")
		case httpd.AnyKey:
			want = append(want, "Needs a key with any scope.", "$SLUICE_KEY")
		default:
			want = append(want, "<code>"+string(rt.Scope)+"</code>", "$SLUICE_KEY")
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
				want = append(want, fmt.Sprintf(`%s <a href="docs/errors/%s">%s</a>`, status, code, code))
			}
		}
		for _, text := range want {
			if !strings.Contains(html.UnescapeString(article), text) {
				t.Errorf("%s does not say %q", op.ID, text)
			}
		}
	}
	for name, s := range d.Components.Schemas {
		_, section, _ := strings.Cut(page, fmt.Sprintf(`<h3 id="%s">`, name))
		section, _, _ = strings.Cut(section, "<h3")
		for member := range s.Properties {
			if !strings.Contains(section, "<code>"+member+"</code>") {
				t.Errorf("%s does not have %s", name, member)
			}
		}
	}
}

// TestReferenceLeadsSomewhere follows every link of the pages.
func TestReferenceLeadsSomewhere(t *testing.T) {
	c := newClient(t)
	reference := c.page(t, c.URL+"/docs")
	seen := map[string]bool{}
	for _, at := range []string{c.URL + "/docs", c.URL + "/docs/errors/gone"} {
		base, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range hrefs(c.page(t, at)) {
			target, err := base.Parse(link)
			if err != nil || strings.HasPrefix(link, "/") || !strings.HasPrefix(target.String(), c.URL+"/") {
				t.Errorf("%s leads elsewhere, or leaves the path of the public URL (%v)", link, err)
				continue
			}
			if target.Path == "/docs" && target.Fragment != "" && !strings.Contains(reference, `id="`+target.Fragment+`"`) {
				t.Errorf("nothing on /docs is called %q", target.Fragment)
			}
			if !seen[target.Path] {
				seen[target.Path] = true
				c.get(t, c.URL+target.Path).want(t, 200)
			}
		}
	}
}

// TestErrorPages opens the page of every code.
func TestErrorPages(t *testing.T) {
	c := newClient(t)
	for _, code := range httpd.Codes() {
		page := c.page(t, c.PublicURL()+"/docs/errors/"+code)
		_, rest, _ := strings.Cut(page, `<pre tabindex="0">`)
		example, _, _ := strings.Cut(rest, "</pre>")
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
