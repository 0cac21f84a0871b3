package browser

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"sluice"
	"sluice/api"
	"sluice/internal/brand"
	"sluice/internal/httpd"
	"sluice/internal/httpd/pages"
	"sluice/sluicetest"
)

// northwind is a brand with every member, whose logo is an SVG with a script.
func northwind(t *testing.T, beacon string) brand.Brand {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"logo.svg": `<svg xmlns="http://www.w3.org/2000/svg" width="180" height="40" viewBox="0 0 180 40">
<script>fetch("` + beacon + `",{mode:"no-cors"})</script><image href="` + beacon + `" width="9" height="9"/>
<circle cx="20" cy="20" r="18" fill="#0b5c4a"/><path d="M12 28V12l16 16V12" fill="none" stroke="#fff" stroke-width="4"/>
<text x="48" y="27" font-family="sans-serif" font-size="20" font-weight="700" fill="#0b8067">Northwind</text></svg>`,
		"brand.yaml": `name: Northwind Bank
logo: logo.svg
accent: "#0b5c4a"
contact: files@northwind.example
imprint: https://northwind.example/imprint
privacy: https://northwind.example/privacy
footer: |
  Northwind Bank AG, Bahnhofstraße 1, 8001 Zürich
  Registered in the Canton of Zürich
`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := brand.Load(filepath.Join(folder, "brand.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// linkPages are pages of links in every state, by name.
func linkPages() map[string]pages.Link {
	now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	l := pages.Link{
		Name: "Quartalsbericht_Vermögensverwaltung_2026-Q3_endgültig.pdf", Size: 1_638_400, Until: now.Add(75 * time.Hour),
		Now: now, Left: 3, From: "Northwind Bank & Söhne", Downloaded: now.Add(-time.Hour),
	}
	all := map[string]pages.Link{}
	add := func(name string, step pages.Step, change func(*pages.Link)) {
		one := l
		one.Step = step
		if change != nil {
			change(&one)
		}
		all[name] = one
	}
	full := func(l *pages.Link) {
		l.Message = "Dear Ann,\n\nhere is the report. Call me if anything is unclear.\n\nBob"
		l.Terms = strings.Repeat("The file is confidential and for the recipient only.\n", 20)
		l.Password = true
	}
	add("address", pages.StepAddress, nil)
	add("address-wrong", pages.StepAddress, func(l *pages.Link) { l.Problem = pages.WrongAddress })
	add("recipient", pages.StepAddress, func(l *pages.Link) { l.Recipient, l.Message = "a••@bank.example", "For you." })
	add("code", pages.StepCode, func(l *pages.Link) { l.Recipient = "a••@bank.example" })
	add("code-wrong", pages.StepCode, func(l *pages.Link) { l.Problem = pages.WrongCode })
	add("download", pages.StepDownload, func(l *pages.Link) { l.Left, l.Until, l.From = -1, time.Time{}, "" })
	add("full", pages.StepDownload, full)
	add("password-wrong", pages.StepDownload, func(l *pages.Link) { full(l); l.Problem = pages.WrongPassword })
	add("terms-wrong", pages.StepDownload, func(l *pages.Link) { full(l); l.Password, l.Problem = false, pages.TermsNotAccepted })
	add("downloaded", pages.StepDownloaded, func(l *pages.Link) { l.Left = 1 })
	add("downloaded-last", pages.StepDownloaded, func(l *pages.Link) { l.Left = 0 })
	return all
}

// refusalPages are refusals of every kind, by name.
func refusalPages() map[string]pages.Refusal {
	all := map[string]pages.Refusal{}
	for name, p := range map[string]pages.Refusal{
		"404": {Status: 404}, "410": {Status: 410}, "403": {Status: 403}, "429": {Status: 429}, "503": {Status: 503},
		"416": {Status: 416}, "expired": {Status: 410, Reason: sluice.Expired},
		"exhausted": {Status: 410, Reason: sluice.Exhausted}, "key": {Status: 410, Reason: sluice.KeyRevoked},
		"altered": {Status: 410, Reason: sluice.Altered},
		"network": {Status: 403, Reason: sluice.AddressNotAllowed},
		"401":     {Status: 401, Reason: "verification_required"},
		"codes":   {Status: 429, Reason: "too_many_codes"},
		"other":   {Status: 403, Reason: "recipient_not_allowed"},
	} {
		p.RequestID = "req_01kjvm924je4917fc8c88949ra"
		all[name] = p
	}
	return all
}

// gallery serves every page at /{language}/{name}, and returns its address and the names.
func gallery(t *testing.T, b brand.Brand) (address string, names []string) {
	t.Helper()
	site := pages.New(b, false)
	srv := httpd.New(sluicetest.NewService(t).Service, httpd.Options{Log: slog.New(slog.DiscardHandler)})
	show := map[string]http.HandlerFunc{
		"home": func(w http.ResponseWriter, r *http.Request) { site.Home(w, r, "docs") },
		"miss": func(w http.ResponseWriter, r *http.Request) {
			site.Miss(w, r, &api.Problem{Status: 404, Code: "not_found", DocURL: "/docs/errors/not_found",
				Detail: "there is nothing at this path", RequestID: "req_01kjvm924je4917fc8c88949ra"})
		},
	}
	for name, l := range linkPages() {
		show[name] = func(w http.ResponseWriter, r *http.Request) { site.Link(w, r, 200, "", l) }
	}
	for name, p := range refusalPages() {
		show[name] = func(w http.ResponseWriter, r *http.Request) { site.Refusal(w, r, p.Status, "", p) }
	}
	for name, h := range show {
		names = append(names, name)
		srv.HandlePage("/{language}/"+name, func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Accept-Language", r.PathValue("language"))
			h(w, r)
		})
	}
	slices.Sort(names)
	front := httptest.NewServer(srv)
	t.Cleanup(front.Close)
	return front.URL, names
}

// axe returns the program of axe-core.
func axe(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../axe/node_modules/axe-core/axe.min.js")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no axe-core: run npm ci in tests/axe")
		}
		t.Skip("no axe-core: run npm ci in tests/axe")
	}
	return string(b)
}

// look sets the width of the tab and the colours that the person prefers.
func (c *chromium) look(t *testing.T, width int64, scheme string) {
	t.Helper()
	if _, err := chromedp.Call(c.Context, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: 900, DeviceScaleFactor: 1,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(c.Context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		t.Fatal(err)
	}
}

// TestPagesAreAccessible has axe-core check every page in two languages, narrow and wide, light and dark. Scripts of
// the page itself are off. Neither what fails a rule nor what axe is unsure about may be there, and nothing is wider
// than the screen.
func TestPagesAreAccessible(t *testing.T) {
	program, b := axe(t), newBeacon(t)
	tab := newChromium(t)
	address, names := gallery(t, northwind(t, b.URL+"/ran/logo"))
	folder := os.Getenv("BROWSER_SHOTS")
	for _, language := range []string{"en", "de"} {
		for _, name := range names {
			tab.scripted(t, false)
			if !tab.open(t, address+"/"+language+"/"+name) {
				t.Fatalf("%s is not displayed", name)
			}
			tab.scripted(t, true) // for axe
			ask[bool](t, tab, program+";true")
			for _, width := range []int64{320, 1280} {
				for _, scheme := range []string{"light", "dark"} {
					tab.look(t, width, scheme)
					at := fmt.Sprintf("%s-%s-%d-%s", name, language, width, scheme)
					for _, found := range in(t, tab, chromedp.Evaluate[[]string](`axe.run({resultTypes: ["violations", "incomplete"]}).then(r =>
						[...r.violations, ...r.incomplete].map(v => v.id + ": " + v.nodes.map(n => n.html).join(" ")))`, chromedp.EvalAwaitPromise)) {
						t.Errorf("%s: %s", at, found)
					}
					if wide := ask[int64](t, tab, "document.documentElement.scrollWidth"); wide > width {
						t.Errorf("%s is %d pixels wide", at, wide)
					}
					if folder != "" {
						if err := os.WriteFile(filepath.Join(folder, at+".png"), in(t, tab, chromedp.CaptureScreenshot()), 0o600); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			if got := ask[string](t, tab, "document.documentElement.lang+document.documentElement.dir"); got != language+"ltr" {
				t.Errorf("%s: the language and direction are %q", name, got)
			}
			if title := ask[string](t, tab, "document.title"); !strings.Contains(title, "Northwind Bank") {
				t.Errorf("%s: the title is %q", name, title)
			}
			if n := ask[int](t, tab, `document.querySelectorAll('[href="mailto:files@northwind.example"]').length`); n != 1 {
				t.Errorf("%s: the contact is there %d times", name, n)
			}
			if n := ask[int](t, tab, `document.images[0].naturalWidth`); n != 180 {
				t.Errorf("%s: the logo is %d pixels wide", name, n)
			}
		}
	}
	if heard := b.all(); len(heard) > 0 {
		t.Errorf("the logo requested something: %q", heard)
	}
}

// TestPagesAllowRedirects sends the form of a page that is answered with a redirect to another server, as with
// --delivery redirect. A browser follows it only if the page says that forms may be sent there.
func TestPagesAllowRedirects(t *testing.T) {
	tab := newChromium(t)
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("the file"))
	}))
	defer bucket.Close()
	for _, redirects := range []bool{false, true} {
		site := pages.New(brand.Brand{}, redirects)
		srv := httpd.New(sluicetest.NewService(t).Service, httpd.Options{Log: slog.New(slog.DiscardHandler)})
		answered := make(chan bool, 1)
		srv.HandlePage("/page", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				http.Redirect(w, r, bucket.URL, http.StatusSeeOther)
				answered <- true
				return
			}
			site.Link(w, r, 200, "", linkPages()["download"])
		})
		front := httptest.NewServer(srv)
		tab.open(t, front.URL+"/page")
		tab.press(t)
		<-answered
		if redirects {
			tab.until(t, `document.body.innerText == "the file"`)
		} else if got := ask[string](t, tab, "location.pathname"); got != "/page" {
			t.Errorf("without redirects the browser followed one to %s", got)
		}
		front.Close()
	}
}

// TestPagesByKeyboard moves through pages with the tab key: the order is that of the page, an error is read with its
// field, and the field of an error has the focus.
func TestPagesByKeyboard(t *testing.T) {
	tab := newChromium(t)
	address, _ := gallery(t, northwind(t, "http://127.0.0.1:1"))
	const focused = `(e => e.id || e.getAttribute("href") || e.className || e.tagName.toLowerCase())(document.activeElement)`
	for name, want := range map[string]string{
		"full":           "body password DIV terms button mailto:files@northwind.example",
		"password-wrong": "password DIV terms button mailto:files@northwind.example",
		"address-wrong":  "email button mailto:files@northwind.example https://northwind.example/imprint",
		"code":           "code button ?step=address mailto:files@northwind.example",
		"404":            "body mailto:files@northwind.example https://northwind.example/imprint https://northwind.example/privacy",
	} {
		tab.open(t, address+"/en/"+name)
		want = strings.Replace(want, "DIV", "terms lines", 1)
		got, _, _ := strings.Cut(want, " ")
		tab.until(t, focused+` == "`+got+`"`) // autofocus takes effect after the page is loaded
		for len(got) < len(want) {
			for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
				if _, err := chromedp.Call(tab.Context, input.DispatchKeyEvent, input.DispatchKeyEventParams{
					Type: kind, Key: "Tab", Code: "Tab", WindowsVirtualKeyCode: 9,
				}); err != nil {
					t.Fatal(err)
				}
			}
			got += " " + ask[string](t, tab, focused)
		}
		if got != want {
			t.Errorf("%s: the focus goes\n%s, want\n%s", name, got, want)
		}
	}
	for name, field := range map[string]string{
		"password-wrong": "password", "address-wrong": "email", "code-wrong": "code", "terms-wrong": "terms",
	} {
		tab.open(t, address+"/de/"+name)
		tab.until(t, `document.activeElement.id == "`+field+`"`)
		if got := ask[string](t, tab, `document.activeElement.id + " " + document.activeElement.getAttribute("aria-invalid") +
			" " + document.activeElement.getAttribute("aria-describedby").split(" ")[0] + " " + document.querySelector("#problem[role=alert]").id +
			" " + document.title.startsWith("Fehler: ")`); got != field+" true problem problem true" {
			t.Errorf("%s: %s", name, got)
		}
	}
}
