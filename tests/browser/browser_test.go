package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// chromium is a headless browser with one tab.
type chromium struct {
	context.Context
	downloads string // folder of the downloads, which are named by their GUIDs

	mu    sync.Mutex
	began []*browser.EventDownloadWillBegin
	done  map[string]bool
}

// newChromium starts a browser, which is stopped at the end of the test.
func newChromium(t *testing.T) *chromium {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no chromium: install it (Debian: apt-get install chromium)")
		}
		t.Skip("no chromium: install it (Debian: apt-get install chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(stop)
	ctx, stopAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stopAllocator)
	c := &chromium{downloads: t.TempDir(), done: map[string]bool{}}
	var stopBrowser context.CancelFunc
	c.Context, stopBrowser = chromedp.NewContext(ctx)
	t.Cleanup(stopBrowser)
	if err := chromedp.Do(c.Context); err != nil { // starts it
		t.Fatal(err)
	}
	if err := chromedp.ListenBrowser(c.Context, c.hear); err != nil {
		t.Fatal(err)
	}
	events := true
	if _, err := chromedp.CallBrowser(c.Context, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, DownloadPath: c.downloads, EventsEnabled: &events,
	}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *chromium) hear(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := event.(type) {
	case *browser.EventDownloadWillBegin:
		c.began = append(c.began, e)
	case *browser.EventDownloadProgress:
		if e.State == browser.DownloadProgressStateCompleted {
			c.done[e.GUID] = true
		}
	}
}

// in runs actions in the tab.
func in[T any](t *testing.T, c *chromium, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(c.Context, time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// open navigates to a URL, and reports whether the tab displays it. Otherwise the
// browser saves or blocks it.
func (c *chromium) open(t *testing.T, url string) (shown bool) {
	t.Helper()
	if err := chromedp.Do(c.Context, chromedp.Navigate(url)); err != nil {
		if !strings.Contains(err.Error(), "net::ERR_") {
			t.Fatal(err)
		}
		return false
	}
	return true
}

// ask evaluates an expression in the tab.
func ask[T any](t *testing.T, c *chromium, expression string) T {
	t.Helper()
	return in(t, c, chromedp.Evaluate[T](expression))
}

// until waits until an expression is true in the tab. Errors before the next page is
// loaded are ignored.
func (c *chromium) until(t *testing.T, expression string) {
	t.Helper()
	var is bool
	var err error
	for deadline := time.Now().Add(time.Minute); !is && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		is, err = chromedp.Run(c.Context, chromedp.Evaluate[bool](expression))
	}
	if !is {
		t.Fatalf("timed out waiting for %s (%v)", expression, err)
	}
}

// saved waits for the download of a URL and returns its name and bytes.
func (c *chromium) saved(t *testing.T, url string) (name, content string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		c.mu.Lock()
		i := slices.IndexFunc(
			c.began,
			func(e *browser.EventDownloadWillBegin) bool { return e.URL == url && c.done[e.GUID] },
		)
		var e *browser.EventDownloadWillBegin
		if i >= 0 {
			e = c.began[i]
			c.began = slices.Delete(c.began, i, i+1)
		}
		c.mu.Unlock()
		if e != nil {
			b, err := os.ReadFile(filepath.Join(c.downloads, e.GUID))
			if err != nil {
				t.Fatal(err)
			}
			return e.SuggestedFilename, string(b)
		}
	}
	t.Fatalf("%s was not saved", url)
	return "", ""
}

// beacon is a server of another site. It receives a request from every script that
// runs.
type beacon struct {
	*httptest.Server
	mu    sync.Mutex
	heard []string
	pages map[string]string
}

func newBeacon(t *testing.T) *beacon {
	b := &beacon{pages: map[string]string{}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if name, ok := strings.CutPrefix(r.URL.Path, "/ran/"); ok {
			b.heard = append(b.heard, name)
			return
		}
		kind, body, ok := strings.Cut(b.pages[r.URL.Path], "\n")
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *beacon) page(path, kind, body string) (url string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages[path] = kind + "\n" + body
	return b.URL + path
}

// all returns the distinct requests since the last call.
func (b *beacon) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	heard := b.heard
	b.heard = nil
	return distinct(heard)
}

func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// dangerous are contents that run scripts or redirect, if the browser allows it. In
// each, BEACON stands for the URL of the beacon.
var dangerous = map[string]string{
	"html": `<!doctype html><script>window.ran=1;fetch("BEACON/html-script",{mode:"no-cors"})</script>
<img src="x:" onerror='fetch("BEACON/html-onerror",{mode:"no-cors"})'>
<link rel=stylesheet href="BEACON/html-style"><img src="BEACON/html-image">
<iframe src='javascript:fetch("BEACON/html-frame",{mode:"no-cors"})'></iframe>
<meta http-equiv=refresh content="0;url=BEACON/html-refresh">`,
	"xhtml": `<html xmlns="http://www.w3.org/1999/xhtml"><script>fetch("BEACON/xhtml",{mode:"no-cors"})</script></html>`,
	"svg": `<svg xmlns="http://www.w3.org/2000/svg" onload='fetch("BEACON/svg-onload",{mode:"no-cors"})'><script>fetch("BEACON/svg-script",{mode:"no-cors"})</script>
<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><img src="x:" onerror='fetch("BEACON/svg-foreign",{mode:"no-cors"})'/></body></foreignObject></svg>`,
	"pdf": "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(app.launchURL\\('BEACON/pdf'\\))>>>>endobj\n" +
		"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
	"gif+js":   `GIF89a=0;window.ran=1;fetch("BEACON/gif",{mode:"no-cors"})//`,
	"html+pdf": "%PDF-1.4\n<script>fetch('BEACON/html+pdf',{mode:'no-cors'})</script>\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
	"js":       `window.ran=1;fetch("BEACON/js",{mode:"no-cors"})`,
	"css":      `@import "BEACON/css"; body { color: rgb(1, 2, 3) }`,
	"xslt":     `<?xml version="1.0"?><x:script xmlns:x="http://www.w3.org/1999/xhtml">fetch("BEACON/xslt",{mode:"no-cors"})</x:script>`,
}

// TestBrowserRunsNothing opens links to files with scripts, in a tab and from a page
// of another site, inline and as attachments.
func TestBrowserRunsNothing(t *testing.T) {
	tab, b, c := newChromium(t), newBeacon(t), newClient(t)
	content := func(name string) string {
		return strings.ReplaceAll(dangerous[name], "BEACON", b.URL+"/ran")
	}

	// On another server the scripts do run, so the beacon works.
	tab.open(t, b.page("/html", "text/html", strings.Replace(content("html"), "http-equiv", "not", 1)))
	tab.open(t, b.page("/svg", "image/svg+xml", content("svg")))
	b.page("/gif.js", "text/javascript", content("gif+js"))
	tab.open(t, b.page("/gif", "text/html", "<script src=/gif.js></script>"))
	want := []string{
		"gif", "html-frame", "html-image", "html-onerror", "html-script", "html-style", "svg-foreign", "svg-onload",
		"svg-script",
	}
	var heard []string
	for deadline := time.Now().Add(time.Minute); len(heard) < len(want) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		heard = distinct(append(heard, b.all()...))
	}
	if !slices.Equal(heard, want) {
		t.Fatalf("without protection the beacon receives %q, want %q", heard, want)
	}

	var embedded [2]strings.Builder // one per page of the other site
	for i, test := range []struct {
		content, kind string
		inline        bool // the type may be displayed inline
	}{
		{"html", "text/html", false},
		{"html", "text/plain", true},
		{"html", "text/plain; charset=utf-7", true},
		{"html", `text/plain; x=", text/html"`, true},
		{"html", `text/plain; x="\", text/html; y=\""`, true},
		{"html", "application/octet-stream", false},
		{"html", "image/png", true},
		{"html", "video/mp4", true},
		{"xhtml", "application/xhtml+xml", false},
		{"svg", "image/svg+xml", false},
		{"svg", "image/gif", true},
		{"pdf", "application/pdf", false},
		{"pdf", "text/plain", true},
		{"html+pdf", "application/pdf", false},
		{"gif+js", "image/gif", true},
		{"gif+js", "text/javascript", false},
		{"js", "text/javascript", false},
		{"js", "text/plain", true},
		{"css", "text/css", false},
		{"xslt", "text/xml", false},
		{"html", "multipart/x-mixed-replace; boundary=x", false},
		{"html", "message/rfc822", false},
	} {
		f := c.upload(t, "a.html", test.kind, content(test.content))
		for _, disposition := range []string{"inline", "attachment"} {
			if disposition == "inline" && !test.inline { // the link is refused
				continue
			}
			name := fmt.Sprintf("%s as %s, %s", test.content, test.kind, disposition)
			url := c.mint(t, f.ID, `{"disposition":"`+disposition+`"}`).URL
			tab.open(t, "about:blank")
			if !tab.open(t, url) {
				if _, got := tab.saved(t, url); got != content(test.content) {
					t.Errorf("%s: saved %q", name, got)
				}
				if disposition == "inline" && strings.HasPrefix(test.kind, "text/plain") {
					t.Errorf("%s: is not displayed", name)
				}
			} else {
				kind := ask[string](t, tab, "document.contentType")
				if essence, _, _ := strings.Cut(test.kind, ";"); !test.inline || disposition != "inline" || kind != essence {
					t.Errorf("%s: is displayed as %s", name, kind)
				}
				if text := ask[string](t, tab, "document.body.textContent"); kind == "text/plain" && text != content(test.content) {
					t.Errorf("%s: displays %q", name, text)
				}
				if ask[bool](t, tab, `"ran" in window`) {
					t.Errorf("%s: its script ran", name)
				}
			}
			if disposition == "attachment" && test.inline { // attachment affects tabs only
				continue
			}
			fmt.Fprintf(
				&embedded[i%2],
				`<iframe src="%[1]s"></iframe><object data="%[1]s"></object><embed src="%[1]s"><img src="%[1]s"><script src="%[1]s"></script><link rel=stylesheet href="%[1]s"><video src="%[1]s" preload=auto></video>`+"\n",
				url,
			)
		}
	}
	time.Sleep(200 * time.Millisecond) // leaves scripts time to run
	if heard := b.all(); len(heard) > 0 {
		t.Errorf("scripts ran in a tab: %q", heard)
	}

	good := c.mint(t, c.upload(t, "a.png", "image/png", string(picture(t))).ID, `{"disposition":"inline"}`).URL
	text := c.mint(t, c.upload(t, "a.txt", "text/plain", "hello").ID, `{"disposition":"inline"}`).URL
	for i, name := range []string{b.URL, strings.Replace(b.URL, "127.0.0.1", "localhost", 1)} { // the same site, and another
		fmt.Fprintf(&embedded[i], `<img src="%s"><iframe src="%s"></iframe>`, good, text)
		b.page("/embed", "text/html", "<!doctype html>"+embedded[i].String())
		if !tab.open(t, name+"/embed") {
			t.Fatal("the page of the other site does not open")
		}
		tab.until(t, `[...document.images].every(i => i.complete)`)
		if n := ask[int](t, tab, `[...document.images].filter(i => i.naturalWidth > 0).length + [...document.querySelectorAll("video")].filter(v => v.readyState > 0).length`); n != 0 {
			t.Errorf("on %s: %d images and videos are displayed", name, n)
		}
		if ask[bool](t, tab, `"ran" in window`) ||
			ask[string](t, tab, "getComputedStyle(document.body).color") == "rgb(1, 2, 3)" {
			t.Errorf("on %s: a script or style from a link was used", name)
		}
		// A file in a frame is sandboxed and thus has its own process. On another site, so
		// does the error page.
		targets, err := chromedp.Targets(tab.Context)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range targets {
			if i == 0 && strings.HasPrefix(target.URL, c.URL) {
				t.Errorf("on %s: a frame displays %s", name, target.URL)
			}
		}
		if heard := b.all(); len(heard) > 0 {
			t.Errorf("on %s, scripts ran: %q", name, heard)
		}
	}

	if !tab.open(t, good) || ask[int](t, tab, "document.images[0].naturalWidth") == 0 {
		t.Error("an image is not displayed")
	}
	if !tab.open(t, text) || ask[string](t, tab, "document.body.innerText") != "hello" {
		t.Error("text is not displayed")
	}
}

func picture(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("../../internal/httpd/testdata/dot.png")
	if err != nil {
		t.Fatal(err)
	}
	return b
}
