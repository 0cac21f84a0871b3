package httpd_test

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/server"
	"sluice/sluicetest"
)

// TestBrowse opens what a person reaches by shortening the address of a link, and what a browser requests by itself.
func TestBrowse(t *testing.T) {
	c := newClient(t)
	const page = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for path, test := range map[string]struct {
		accept string
		status int
		kind   string
		want   string
	}{
		"/":                         {page, 200, "text/html; charset=utf-8", `<a href="docs">`},
		"/?":                        {"*/*", 404, "application/problem+json", `"code":"not_found"`},
		"/docs/":                    {page, 301, "", c.PublicURL() + "/docs"},
		"/docs/errors/":             {page, 301, "", c.PublicURL() + "/docs/errors"},
		"/favicon.ico":              {"image/*", 204, "", ""},
		"/robots.txt":               {"*/*", 200, "text/plain; charset=utf-8", "User-agent: *\nDisallow: /\n"},
		"/.well-known/security.txt": {page, 404, "text/html; charset=utf-8", "there is nothing at this path"},
		"/nothing":                  {"application/json", 404, "application/problem+json", `"code":"not_found"`},
		"/docs/errors/nonsense":     {page, 404, "text/html; charset=utf-8", "there is no error code &#34;nonsense&#34;"},
		"/docs/errors/%3Cscript%3E": {page, 404, "text/html; charset=utf-8", "&lt;script&gt;"},
	} {
		t.Run(path, func(t *testing.T) {
			r, err := http.NewRequest("GET", c.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", test.accept)
			res, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			body := bodyOf(t, res)
			if res.StatusCode != test.status || res.Header.Get("Content-Type") != test.kind ||
				res.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%d %v", res.StatusCode, res.Header)
			}
			if test.status == 301 {
				body = res.Header.Get("Location")
			}
			if !strings.Contains(body, test.want) || strings.Contains(body, "<script") {
				t.Errorf("%q, want %q", body, test.want)
			}
			for _, link := range hrefs(body) {
				to, err := r.URL.Parse(link)
				if err != nil {
					t.Fatal(err)
				}
				c.get(t, to.String()).want(t, 200)
			}
		})
	}
}

// TestDocumentationBelowPath serves the API below a path, like a proxy that removes the path: every link of the
// documentation stays below it.
func TestDocumentationBelowPath(t *testing.T) {
	front := httptest.NewUnstartedServer(nil)
	base := "http://" + front.Listener.Addr().String() + "/sub/path"
	svc := sluicetest.NewServiceAt(t, base)
	srv := server.New(svc.Service, svc.Gate, server.Options{})
	front.Config.Handler = http.StripPrefix("/sub/path", srv)
	front.Start()
	defer front.Close()
	get := func(address string) string {
		t.Helper()
		res, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		body := bodyOf(t, res)
		if res.StatusCode != 200 {
			t.Errorf("%s: %s", address, res.Status)
		}
		return body
	}
	seen := map[string]bool{}
	for _, at := range []string{base + "/docs", base + "/docs/files", base + "/docs/errors/gone"} {
		from, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range hrefs(get(at)) {
			to, err := from.Parse(html.UnescapeString(link))
			if err != nil {
				t.Fatal(err)
			}
			if to.Scheme == "https" { // the web
				continue
			}
			if !strings.HasPrefix(to.String(), base+"/") {
				t.Errorf("%s leads to %s", at, to)
				continue
			}
			to.Fragment = ""
			if address := to.String(); !seen[address] {
				seen[address] = true
				get(address)
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d links were followed", len(seen))
	}
	if document := get(base + "/openapi.json"); !strings.Contains(document, `"url": "`+base+`"`) {
		t.Errorf("the document does not name %s as the server", base)
	}
}

func bodyOf(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestPlusInTime sends a plus sign without an escape, which means a space in a query. The failure says how to write
// it.
func TestPlusInTime(t *testing.T) {
	c := newClient(t)
	a := c.ask(t, "GET", "/v1/files?created[gte]=2026-01-01T00:00:00+02:00", "").want(t, 400)
	if p := c.problem(t, a, sluice.CodeValidation); p.Param != "created[gte]" || !strings.Contains(p.Detail, "+ as %2B") {
		t.Errorf("%+v", p)
	}
}
