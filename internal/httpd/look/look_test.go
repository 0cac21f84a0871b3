package look_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/brand"
	"sluice/internal/httpd"
	"sluice/internal/httpd/look"
	"sluice/sluicetest"
)

// TestSheet checks that the sheet has the colours of a brand and asks for nothing from anywhere.
func TestSheet(t *testing.T) {
	accent, err := brand.ParseAccent("#0b5c4a")
	if err != nil {
		t.Fatal(err)
	}
	sheet := look.Sheet(accent)
	for _, want := range []string{"--act: #0b5c4a; --on: #ffffff", "--act: " + accent.Dark.Back.String()} {
		if !strings.Contains(sheet, want) {
			t.Errorf("the sheet has no %q", want)
		}
	}
	if found := regexp.MustCompile(`url\(|@import|https?:|//|(LIGHT|DARK)-`).FindString(sheet); found != "" {
		t.Errorf("the sheet contains %q", found)
	}
	if !strings.Contains(look.Sheet(brand.Accent{}), brand.DefaultAccent().Light.Back.String()) {
		t.Error("the zero Accent is not the default")
	}
	if len(sheet) > 24<<10 {
		t.Errorf("the sheet has %d bytes", len(sheet))
	}
	if _, source := look.Inline("a"); source != "'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='" {
		t.Errorf("the source of an inline sheet is %s", source)
	}
}

// TestFolder asks for files as a browser does: new, known, of another version, and none.
func TestFolder(t *testing.T) {
	folder := look.NewFolder("/static/", map[string][]byte{"a.css": []byte("a{}"), "b.mjs": []byte("export {}")})
	srv := httpd.New(sluicetest.NewService(t).Service, httpd.Options{Log: slog.New(slog.DiscardHandler)})
	folder.Mount(srv)
	front := httptest.NewServer(srv)
	defer front.Close()
	get := func(path, tag string) *http.Response {
		t.Helper()
		r, _ := http.NewRequest("GET", front.URL+path, nil)
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		resp, err := front.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}

	css := get(folder.Path("a.css"), "")
	if css.StatusCode != 200 || css.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" ||
		css.Header.Get("Content-Type") != "text/css; charset=utf-8" || css.Header.Get("ETag") == "" ||
		css.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the sheet: %d %v", css.StatusCode, css.Header)
	}
	if kind := get(folder.Path("b.mjs"), "").Header.Get("Content-Type"); kind != "text/javascript; charset=utf-8" {
		t.Errorf("the module has the type %q", kind)
	}
	if got := get(folder.Path("a.css"), css.Header.Get("ETag")); got.StatusCode != 304 {
		t.Errorf("a known sheet: %d", got.StatusCode)
	}
	if got := get("/static/older/a.css", ""); got.StatusCode != 200 || got.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("the sheet of an older page: %d %v", got.StatusCode, got.Header)
	}
	if got := get(folder.Path("a.css")+"x", ""); got.StatusCode != 404 {
		t.Errorf("no file: %d", got.StatusCode)
	}
	other := look.NewFolder("/static/", map[string][]byte{"a.css": []byte("b{}"), "b.mjs": []byte("export {}")})
	if other.Path("b.mjs") == folder.Path("b.mjs") {
		t.Error("another folder has the same address")
	}
}
