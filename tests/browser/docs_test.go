package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sluice"
)

// tallest limits the height of a page of the documentation on a screen of 1280 by 900 pixels.
const tallest = 10 * 900

// docsPages returns the addresses of the pages of the documentation.
func (c client) docsPages(t *testing.T) []string {
	t.Helper()
	pages := []string{"/docs", "/docs/errors/gone"}
	nav, _, _ := strings.Cut(string(c.get(t, "/docs").body), "</nav>")
	for _, m := range regexp.MustCompile(`href="(docs/[a-z-]+)"`).FindAllStringSubmatch(nav, -1) {
		pages = append(pages, "/"+m[1])
	}
	return pages
}

// examined are pages with something of every kind, and how axe-core looks at them. All others are made from the same
// templates.
var examined = []struct {
	page   string
	width  int64
	scheme string
}{
	{"/docs", 1280, "light"}, {"/docs/errors", 320, "dark"}, {"/docs/link-batches", 1280, "dark"},
	{"/docs/link-batches", 320, "light"}, {"/docs/uploads", 320, "dark"}, {"/docs/downloads", 1280, "light"},
}

// TestDocsFit opens every page of the documentation: none is wider than the screen, also with everything open that can
// be opened, and none is longer than ten screens.
func TestDocsFit(t *testing.T) {
	tab, c := newChromium(t), newClient(t)
	for _, page := range c.docsPages(t) {
		if !tab.open(t, c.URL+page) {
			t.Fatalf("%s is not displayed", page)
		}
		tab.look(t, 1280, "light")
		if high := ask[int64](t, tab, "document.documentElement.scrollHeight"); high > tallest {
			t.Errorf("%s is %d pixels high", page, high)
		}
		tab.openAll(t)
		for _, width := range []int64{1280, 320} {
			tab.look(t, width, "light")
			if wide := ask[int64](t, tab, "document.documentElement.scrollWidth"); wide > width {
				t.Errorf("%s is %d pixels wide on a screen of %d", page, wide, width)
			}
		}
	}
}

// TestDocsAreAccessible has axe-core check pages of the documentation with everything open. With BROWSER_SHOTS it checks
// all of them, narrow and wide, light and dark, and saves what they look like.
func TestDocsAreAccessible(t *testing.T) {
	program := axe(t)
	tab, c := newChromium(t), newClient(t)
	all, folder := examined, os.Getenv("BROWSER_SHOTS")
	if folder != "" {
		all = nil
		for _, page := range c.docsPages(t) {
			for _, width := range []int64{1280, 320} {
				for _, scheme := range []string{"light", "dark"} {
					all = append(all, struct {
						page   string
						width  int64
						scheme string
					}{page, width, scheme})
				}
			}
		}
	}
	for _, one := range all {
		tab.look(t, one.width, one.scheme)
		if !tab.open(t, c.URL+one.page) {
			t.Fatalf("%s is not displayed", one.page)
		}
		at := fmt.Sprintf("%s-%d-%s", strings.ReplaceAll(one.page[1:], "/", "-"), one.width, one.scheme)
		if folder != "" {
			image := in(t, tab, chromedp.FullScreenshot(100))
			if err := os.WriteFile(filepath.Join(folder, at+".png"), image, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		tab.openAll(t)
		tab.tall(t, one.width) // axe cannot tell the contrast of what is scrolled out of the navigation
		ask[bool](t, tab, program+";true")
		for _, found := range in(t, tab, chromedp.Evaluate[[]string](`axe.run({resultTypes: ["violations", "incomplete"]}).then(r =>
			[...r.violations, ...r.incomplete].map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.html).join(" ")))`,
			chromedp.EvalAwaitPromise)) {
			t.Errorf("%s: %s", at, found)
		}
	}
}

// openAll opens everything on a page that can be opened.
func (c *chromium) openAll(t *testing.T) {
	t.Helper()
	ask[bool](t, c, `document.querySelectorAll("main details").forEach(d => d.open = true);true`)
}

// tall makes the screen so high that the navigation does not scroll.
func (c *chromium) tall(t *testing.T, width int64) {
	t.Helper()
	if _, err := chromedp.Call(c.Context, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: 2000, DeviceScaleFactor: 1,
	}); err != nil {
		t.Fatal(err)
	}
}

// TestDocsInBrowser uses what the pages of the documentation do beyond being read.
func TestDocsInBrowser(t *testing.T) {
	tab, c := newChromium(t), newClient(t)
	tab.look(t, 1280, "light")
	shown := func(t *testing.T) string {
		t.Helper()
		return ask[string](t, tab, `[...document.querySelectorAll("[data-sample=getFile]")].filter(e => e.offsetParent)
			.map(e => e.dataset.language).join()`)
	}
	typed := func(t *testing.T, keys string) {
		t.Helper()
		if err := chromedp.Do(tab.Context, chromedp.KeyEvent(keys)); err != nil {
			t.Fatal(err)
		}
	}

	slash := func(t *testing.T) { // as a keyboard does; KeyEvent sends the character besides
		t.Helper()
		for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
			if _, err := chromedp.Call(tab.Context, input.DispatchKeyEvent, input.DispatchKeyEventParams{
				Type: kind, Key: "/", Code: "Slash", Text: map[bool]string{true: "/"}[kind == input.DispatchKeyEventTypeKeyDown],
			}); err != nil {
				t.Fatal(err)
			}
		}
	}

	t.Run("without script", func(t *testing.T) {
		tab.scripted(t, false)
		defer tab.scripted(t, true)
		tab.open(t, c.URL+"/docs/files")
		if got := shown(t); got != "curl" {
			t.Errorf("the samples in %q are shown", got)
		}
		ask[bool](t, tab, `document.querySelector("label[for=getFile-go]").click();true`)
		if got := shown(t); got != "go" {
			t.Errorf("after a click, the samples in %q are shown", got)
		}
		if n := ask[int](t, tab, `[...document.querySelectorAll(".search, .try")].filter(e => e.offsetParent).length`); n > 0 {
			t.Errorf("%d things are shown that need a script", n)
		}
	})
	t.Run("language is remembered", func(t *testing.T) {
		tab.open(t, c.URL+"/docs/files")
		ask[bool](t, tab, `document.querySelector("label[for=listFiles-python]").click();true`)
		if got := shown(t); got != "python" {
			t.Errorf("the other samples are in %q", got)
		}
		tab.open(t, c.URL+"/docs/links")
		tab.open(t, c.URL+"/docs/files")
		tab.until(t, `document.querySelector("#getFile-python").checked`)
	})
	t.Run("search", func(t *testing.T) {
		tab.open(t, c.URL+"/docs")
		tab.until(t, `!document.querySelector("#search").hidden`)
		slash(t)
		typed(t, "revoke key")
		tab.until(t, `document.querySelectorAll("#found [role=option]").length > 0`)
		tab.shot(t, "docs-search")
		first := ask[string](t, tab, `document.querySelector("#found [aria-selected=true]").dataset.href`)
		if first != c.URL+"/docs/keys#deleteKey" {
			t.Errorf("the first result is %s", first)
		}
		for query, want := range map[string]string{
			"createlinkoffile": "links-of-a-file#createLinkOfFile", "gone": "errors/gone", "idempotency-key": "idempotency#key",
			"max_downloads": "", "POST /v1/keys": "keys#createKey", "CREATED[GTE]": "",
		} {
			found := in(t, tab, chromedp.Evaluate[[]string](fmt.Sprintf(`(async () => {
				const {find} = await import(document.querySelector("script").src.replace("docs.mjs", "search.mjs"));
				const index = await (await fetch(document.querySelector("script").src.replace("docs.mjs", "search.json"))).json();
				return find(index, %q).map(e => e.h);
			})()`, query), chromedp.EvalAwaitPromise))
			if len(found) == 0 || want != "" && found[0] != want {
				t.Errorf("%q finds %q", query, found)
			}
		}
		typed(t, kb.ArrowDown)
		second := ask[string](t, tab, `document.querySelector("#found [aria-selected=true]").dataset.href`)
		if second == first {
			t.Error("the arrow does not move")
		}
		typed(t, kb.ArrowUp+kb.Enter)
		tab.until(t, fmt.Sprintf("location.href === %q", first))
	})
	t.Run("nothing is found", func(t *testing.T) {
		tab.open(t, c.URL+"/docs/keys")
		tab.until(t, `!document.querySelector("#search").hidden`)
		slash(t)
		typed(t, `<img src=x onerror=document.title="ran">`)
		tab.until(t, `document.querySelector("#found").innerText.includes("Nothing found for “<img src=x")`)
		typed(t, kb.Escape)
		if ask[bool](t, tab, `!document.querySelector("#found").hidden || document.title === "ran"`) {
			t.Error("the list is open, or a query became HTML")
		}
	})
	t.Run("objects open", func(t *testing.T) {
		tab.open(t, c.URL+"/docs/files#Resource")
		tab.until(t, `document.querySelector("#Resource").closest("details").open`)
		if ask[bool](t, tab, `document.querySelector("#File").closest("details").open`) {
			t.Error("another object is open")
		}
		ask[bool](t, tab, `document.querySelector("a[href='files#File']").click();true`)
		tab.until(t, `document.querySelector("#File").closest("details").open`)
	})
	t.Run("old addresses", func(t *testing.T) {
		for old, now := range map[string]string{
			"createFile": "/docs/uploads#createFile", "Link": "/docs/links#Link", "problems": "/docs/errors", "Keys": "/docs/keys",
		} {
			tab.open(t, c.URL+"/docs/purposes")
			tab.open(t, c.URL+"/docs#"+old)
			tab.until(t, fmt.Sprintf("location.href === %q", c.URL+now))
		}
	})
	t.Run("try it", func(t *testing.T) { tryOut(t, tab, c) })
}

// tryOut sends requests with the forms of the pages.
func tryOut(t *testing.T, tab *chromium, c client) {
	_, live := c.NewKey(t, c.Ledger(sluice.Live))
	fill := func(operation, name, value string) {
		t.Helper()
		ask[bool](t, tab, fmt.Sprintf(`(() => {
			const form = document.querySelector("[data-operation=%s] .try form");
			form.closest("details").open = true;
			(form.elements[%q] ?? form.querySelector('[data-name="' + %[2]q + '"], [data-in=' + %[2]q + ']')).value = %[3]q;
			return true;
		})()`, operation, name, value))
	}
	send := func(operation, wait string) string {
		t.Helper()
		response := fmt.Sprintf(`document.querySelector("[data-operation=%s] .response")`, operation)
		ask[bool](t, tab, fmt.Sprintf(`(() => {
			%s.replaceChildren();
			const form = document.querySelector("[data-operation=%s] .try form");
			form.closest("details").open = true;
			form.querySelector(".primary").click();
			return true;
		})()`, response, operation))
		tab.until(t, fmt.Sprintf("%s.innerText.includes(%q)", response, wait))
		return ask[string](t, tab, response+".innerText")
	}
	open := func(page string) {
		t.Helper()
		tab.open(t, c.URL+"/docs/"+page)
		tab.until(t, `!document.querySelector(".try").hidden`)
	}

	open("keys")
	before := strings.Count(c.Log.String(), "route=/v1/keys ")
	for _, key := range []string{live, "nonsense", "sk_test_ü"} {
		fill("createKey", "key", key)
		send("createKey", "test key")
	}
	if got := strings.Count(c.Log.String(), "route=/v1/keys "); got != before {
		t.Errorf("%d requests were sent with keys that are no test keys", got-before)
	}
	fill("createKey", "key", c.secret)
	fill("createKey", "json", `{"name":"from the page","scopes":["links:read"]}`)
	if got := send("createKey", "200"); !strings.Contains(got, `"name": "from the page"`) {
		t.Errorf("the page shows %q", got)
	}
	ask[bool](t, tab, `document.querySelector(".try .response").scrollIntoView({block: "end"});true`)
	tab.shot(t, "docs-try")

	open("files") // another page of this tab knows the key
	fill("getFile", "id", "file_unknown")
	if got := send("getFile", "404"); !strings.Contains(got, `"code": "not_found"`) {
		t.Errorf("the page shows %q", got)
	}
	f := c.upload(t, "a.txt", "text/plain", "hello")
	fill("listFiles", "filename", "a.txt")
	if got := send("listFiles", "200"); !strings.Contains(got, f.ID) || !strings.Contains(got, "?filename=a.txt") {
		t.Errorf("the page shows %q", got)
	}
	open("uploads")
	ask[bool](t, tab, `(() => {
		const files = new DataTransfer();
		files.items.add(new File(["from the page"], "page.txt", {type: "text/plain"}));
		for (const input of document.querySelectorAll("input[type=file]")) input.files = files.files;
		return true;
	})()`)
	fill("createFile", "title", "A title")
	if got := send("createFile", "201"); !strings.Contains(got, `"title": "A title"`) {
		t.Errorf("the page shows %q", got)
	}
	if got := send("putFile", "201"); !strings.Contains(got, `"filename": "page.txt"`) {
		t.Errorf("the page shows %q", got)
	}
	open("downloads")
	l := c.mint(t, f.ID, "")
	fill("redeem", "token", l.URL[strings.LastIndexByte(l.URL, '/')+1:])
	if got := send("redeem", "200"); !strings.Contains(got, "hello") {
		t.Errorf("the page shows %q", got)
	}

	if urls := ask[string](t, tab, `performance.getEntries().map(e => e.name).join() + location.href`); strings.Contains(urls,
		"sk_") || strings.Contains(c.Log.String(), c.secret) {
		t.Error("the key is in a URL")
	}
	if kept := ask[string](t, tab, `JSON.stringify(localStorage) + document.cookie`); strings.Contains(kept, "sk_") {
		t.Error("the key outlives the tab")
	}
	open("files")
	ask[bool](t, tab, `document.querySelector(".try .forget").click();true`)
	if left := ask[string](t, tab, `JSON.stringify(sessionStorage) +
		[...document.querySelectorAll("[name=key]")].map(e => e.value).join("")`); strings.Contains(left, "sk_") {
		t.Errorf("the forgotten key is kept: %s", left)
	}
}
