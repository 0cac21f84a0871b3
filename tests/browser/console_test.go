package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"sluice"
	"sluice/internal/brand"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// console is a tab in which someone uses the console of a server.
type console struct {
	*chromium
	*sluicetest.Server
	t *testing.T
}

// newConsole starts a server and a browser. Links to files of the purpose report need a reason.
func newConsole(t *testing.T) console {
	t.Helper()
	s := sluicetest.NewServer(t, func(o *server.Options) { o.Brand = brand.Brand{Name: "Northwind Bank"} })
	purposes := sluice.DefaultPurposes()
	report := purposes["report"]
	report.Require = []sluice.Requirement{sluice.RequireReason}
	purposes["report"] = report
	s.SetPurposes(purposes.List()...)
	s.Restart(t)
	return console{newChromium(t), s, t}
}

// visit opens a page of the test mode.
func (c console) visit(path string) {
	c.t.Helper()
	if !c.open(c.t, c.URL+"/console/test"+path) {
		c.t.Fatalf("%s is not displayed", path)
	}
}

// says waits until the page contains texts.
func (c console) says(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		c.until(c.t, fmt.Sprintf("document.body.innerText.includes(%q)", text))
	}
}

// fill types into a field.
func (c console) fill(selector, text string) {
	c.t.Helper()
	in(c.t, c.chromium, chromedp.SendKeys(chromedp.CSS(selector), text))
}

func (c console) click(selector string) {
	c.t.Helper()
	in(c.t, c.chromium, chromedp.Click(chromedp.CSS(selector)))
}

// key presses a key, such as "\t".
func (c console) key(key string) {
	c.t.Helper()
	in(c.t, c.chromium, chromedp.KeyEvent(key))
}

// signIn signs in with the key of the server.
func (c console) signIn() {
	c.t.Helper()
	c.open(c.t, c.URL+"/console")
	c.fill("#key", c.Secret+"\r")
	c.until(c.t, `location.pathname == "/console/test/"`)
}

// picture saves a screenshot of the whole page, if BROWSER_SHOTS names a folder; screen saves one of what a person sees
// at once. Those of docs/console.md are from TestConsoleWalk.
func (c console) picture(name string) { c.save(name, chromedp.FullScreenshot(100)) }
func (c console) screen(name string)  { c.save(name, chromedp.CaptureScreenshot()) }

func (c console) save(name string, take chromedp.Action[[]byte]) {
	c.t.Helper()
	if folder := os.Getenv("BROWSER_SHOTS"); folder != "" {
		shot := in(c.t, c.chromium, take)
		if err := os.WriteFile(filepath.Join(folder, "console-"+name+".png"), shot, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

// stranger is a tab of another person, who shares no cookies with the first, in the same browser.
func (c *chromium) stranger(t *testing.T) *chromium {
	t.Helper()
	ctx, stop := chromedp.NewContext(c.Context, chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	other := &chromium{Context: ctx, downloads: c.downloads, done: map[string]bool{}}
	if err := chromedp.ListenBrowser(ctx, other.hear); err != nil {
		t.Fatal(err)
	}
	events := true
	if _, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, DownloadPath: c.downloads, EventsEnabled: &events,
		BrowserContextID: chromedp.FromContext(ctx).BrowserContextID,
	}); err != nil {
		t.Fatal(err)
	}
	return other
}

// TestConsoleWalk is what a person does who has never seen the API: signs in with a key, uploads a file, shares it with
// a reason, sees it opened, ends the link, and hands an auditor a report.
func TestConsoleWalk(t *testing.T) {
	c := newConsole(t)
	c.look(t, 1280, "light")
	c.signIn()

	// Upload. The purpose demands a reason of links.
	c.visit("/files")
	c.says("No files yet", "curl "+c.URL+"/v1/files")
	c.screen("empty")
	report := filepath.Join(t.TempDir(), "Quarterly report.pdf")
	if err := os.WriteFile(report, []byte("%PDF-1.7 the third quarter"), 0o600); err != nil {
		t.Fatal(err)
	}
	ask[string](t, c.chromium, `document.querySelector("#purpose").value = "report"`)
	in(t, c.chromium, chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{report}))
	c.says("The file was uploaded.", "Nobody has a link to this file.", "uploaded this file")

	// Share. Without the reason no link is made; a dialog is sent like the page.
	c.click(`.head a[href$="/share"]`)
	c.until(t, `document.querySelector("dialog[open] form") != null`)
	ask[bool](t, c.chromium, `document.querySelector("dialog form").noValidate = true`)
	c.fill("dialog #recipient-email", "ada@bank.example")
	c.click("dialog #verification")
	c.click("dialog #send")
	c.screen("share")
	c.click("dialog button.primary")
	c.says("No link was made", "Links to files of purpose report need a reason.")
	c.until(t, `document.activeElement.id == "reason" && document.querySelector("#recipient-email").value == "ada@bank.example"`)
	c.fill("#reason", "Audit of the third quarter")
	c.fill("#max_downloads", "3")
	c.click("button.primary")
	c.says("The link is ready.", "Give this to ada@bank.example", "Audit of the third quarter", "not yet, 3 allowed")
	c.until(t, `document.querySelector("img.code").naturalWidth > 100`)
	c.screen("link")
	address := ask[string](t, c.chromium, `document.querySelector("#url").value`)
	link := ask[string](t, c.chromium, "location.pathname")

	// Someone else opens it.
	other := c.stranger(t)
	if other.open(t, address) {
		other.press(t)
	}
	if name, got := other.saved(t, address); name != "Quarterly report.pdf" || got != "%PDF-1.7 the third quarter" {
		t.Errorf("saved %q: %q", name, got)
	}
	c.open(t, c.URL+link)
	c.says("1 of 3", "Someone with the link downloaded this file", "From: 127.0.0.1")
	c.screen("opened")

	// End it, with a reason.
	c.click(".head a.danger")
	c.until(t, `document.querySelector("dialog[open] form") != null`)
	c.fill("dialog #reason", "The audit is over")
	c.click("dialog button.danger")
	c.says("The link was ended. It opens no more.", "ended the link …", "Ended because: The audit is over")
	c.screen("ended")
	other.open(t, address)
	other.until(t, `document.body.innerText.includes("revoked")`)

	var actions []string
	for _, e := range c.Entries(t, c.Ledger(sluice.Test)) {
		if e.Link != nil && e.Link.Reason != "Audit of the third quarter" {
			t.Errorf("entry %d of the link has the reason %q", e.Seq, e.Link.Reason)
		}
		if e.Link != nil {
			actions = append(actions, string(e.Action))
		}
	}
	if got, want := strings.Join(actions, " "),
		"link.created link.redeemed link.updated link.revoked link.refused"; got != want {
		t.Errorf("the log tells %s, want %s", got, want)
	}

	// Hand an auditor a report, who opens it from a disk.
	c.Checkpoint(t)
	c.open(t, c.URL+ask[string](t, c.chromium, "location.pathname"))
	c.click(`a[href*="/log?file_id="]`)
	c.says("Take it with you")
	c.screen("log")
	c.click(`form[action*="/log/report"] button`)
	name, content := c.saved(t, ask[string](t, c.chromium, `document.querySelector("form[action*='/log/report']").action`))
	if !strings.HasSuffix(name, ".html") {
		t.Errorf("the report is saved as %q", name)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c.open(t, "file://"+file)
	c.until(t, `document.querySelector("#verdict")?.textContent.startsWith("Checked in this browser")`)
	c.says("Audit of the third quarter", "The audit is over")
	c.screen("report")
}

// consoleFiles are files with names of every kind, and links in every state.
func consoleFiles(t *testing.T, s *sluicetest.Server) (f sluice.File, l sluice.Link) {
	t.Helper()
	ctx, c := context.Background(), service.Operator(s.Ledger(sluice.Test))
	for _, name := range []string{
		"rechnung\u202efdp.exe", `<img src=x onerror=alert(1)>.pdf`, strings.Repeat("ÜberlangerName", 17) + ".pdf",
		"عقد الإيجار.pdf", "Quarterly report.pdf",
	} {
		created, err := s.Files.Create(ctx, c, "report", strings.NewReader("the content"),
			func() (service.NewFile, error) {
				return service.NewFile{
					Purpose: "report", Filename: name, Title: "Third quarter", Metadata: sluice.Metadata{"case": "2026-17"},
					Linked: []sluice.Resource{{Type: "invoice", ID: "4711"}},
				}, nil
			})
		if err != nil {
			t.Fatal(err)
		}
		f = created.File
	}
	hour, day := time.Hour, 24*time.Hour
	for _, n := range []service.NewLink{
		{Lifetime: &hour, MaxDownloads: 3, Password: "long enough", Access: sluice.Access{Terms: "Keep it."}},
		{Lifetime: &day, Metadata: sluice.Metadata{"ticket": "17"}, Access: sluice.Access{
			Recipient: sluice.Recipient{Email: "ada@bank.example", Name: "Ada Lovelace"}, Message: "Dear Ada,\nplease see.",
			Allowed: []string{"*@bank.example"}, Language: "de",
		}},
	} {
		n.FileID, n.Reason = f.ID, "Audit of the third quarter, as agreed by telephone"
		var err error
		if l, err = s.Links.Mint(ctx, c, n); err != nil {
			t.Fatal(err)
		}
	}
	return f, l
}

// maxPage is the largest size of a page of the console, in bytes.
const maxPage = 50 << 10

// TestConsoleIsAccessible has axe-core check the pages of files and links, narrow and wide, light and dark: neither
// what fails a rule nor what axe is unsure about may be there. No page is wider than the screen, or larger than 50 KB.
func TestConsoleIsAccessible(t *testing.T) {
	program := axe(t)
	c := newConsole(t)
	f, l := consoleFiles(t, c.Server)
	c.open(t, c.URL+"/console")
	c.check(program, "signin")
	c.signIn()
	for name, path := range map[string]string{
		"files": "/files", "filters": "/files?from=x&linked_resource=y", "file": "/files/" + f.ID,
		"share": "/files/" + f.ID + "/share", "delete": "/files/" + f.ID + "/delete",
		"links": "/links", "link": "/links/" + l.ID + "?did=link-made", "end": "/links/" + l.ID + "/end",
		"error": "/files/file_0",
	} {
		c.visit(path)
		ask[bool](t, c.chromium, `for (const d of document.querySelectorAll("details")) d.open = true; true`)
		c.check(program, name)
	}
	c.visit("/files/" + f.ID)
	c.click(`.head a[href$="/share"]`)
	c.until(t, `document.querySelector("dialog[open] form") != null`)
	c.check(program, "dialog")
	if n := ask[int](t, c.chromium, `document.querySelectorAll("script:not([src]), style, [style], [onerror]").length`); n > 0 {
		t.Errorf("a page has %d scripts or styles of its own", n)
	}
}

// check has axe-core check a page as it is.
func (c console) check(program, name string) {
	c.t.Helper()
	if n := ask[int](c.t, c.chromium, `new TextEncoder().encode(document.documentElement.outerHTML).length`); n > maxPage {
		c.t.Errorf("%s has %d bytes", name, n)
	}
	ask[bool](c.t, c.chromium, program+";true")
	for _, width := range []int64{320, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			c.look(c.t, width, scheme)
			at := fmt.Sprintf("%s-%d-%s", name, width, scheme)
			only := "" // the rules apart from contrast do not depend on the colours
			if scheme == "dark" {
				only = `, runOnly: ["color-contrast"]`
			}
			for _, found := range in(c.t, c.chromium, chromedp.Evaluate[[]string](
				`axe.run({resultTypes: ["violations", "incomplete"]`+only+`}).then(r => [...r.violations, ...r.incomplete].map(
				v => v.id + ": " + v.nodes.map(n => n.html + " (" + (n.any[0]?.message ?? "") + ")").join(" ")))`, chromedp.EvalAwaitPromise)) {
				c.t.Errorf("%s: %s", at, found)
			}
			if wide := ask[int64](c.t, c.chromium, "document.documentElement.scrollWidth"); wide > width {
				c.t.Errorf("%s is %d pixels wide", at, wide)
			}
			c.picture(at)
		}
	}
}

// TestConsoleByKeyboard shares and ends a link with the keyboard alone, and then without a script.
func TestConsoleByKeyboard(t *testing.T) {
	c := newConsole(t)
	f, _ := consoleFiles(t, c.Server)
	c.look(t, 1280, "light")
	c.signIn()
	c.visit("/files/" + f.ID)
	c.key("\t")
	c.until(t, `document.activeElement.className == "skip"`)
	c.key("\r")
	c.until(t, `document.activeElement.id == "main"`)
	c.tabTo(`e => e.textContent == "Share"`)
	c.key("\r")
	c.until(t, `document.querySelector("dialog[open] form")?.contains(document.activeElement)`)
	c.key("\x1b")
	c.until(t, `!document.querySelector("dialog") && document.activeElement.textContent == "Share"`)
	c.key("\r")
	c.until(t, `document.querySelector("dialog[open] form")?.contains(document.activeElement)`)
	c.tabTo(`e => e.id == "reason"`)
	c.key("By keyboard")
	c.tabTo(`e => e.textContent == "Create link"`)
	c.key("\r")
	c.says("The link is ready.", "By keyboard")
	c.tabTo(`e => e.textContent == "Copy"`)
	c.key("\r")
	c.says("Copied")

	// The menu of a narrow screen opens without a script, and so does everything else.
	c.scripted(t, false)
	c.look(t, 320, "light")
	c.visit("/files")
	c.click("button.menu")
	c.click(`#menu a[href$="/links"]`)
	c.says("anyone with the link", "Ada Lovelace")
	note := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(note, []byte("without a script"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.visit("/files/upload")
	c.click("button.primary")
	c.says("The file was not uploaded", "Choose a file.")
	in(t, c.chromium, chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{note}))
	c.click("button.primary")
	c.says("The file was uploaded.", "note.txt")
	c.click(`.head a[href$="/share"]`)
	c.says("Share note.txt")
	c.click("button.primary")
	c.says("The link is ready.")
	c.click(".head a.danger")
	c.says("End the link for anyone with the link?")
	c.click("button.danger")
	c.says("The link was ended.")
	c.click(`.head a.danger`)
	c.says("Delete note.txt?")
	c.click("button.danger")
	c.says("The file was deleted")
}

// throttle limits how fast the tab sends, in bytes a second; -1 for no limit.
func (c console) throttle(upload float64) {
	c.t.Helper()
	if _, err := chromedp.Call(c.Context, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{DownloadThroughput: -1, UploadThroughput: upload}},
	}); err != nil {
		c.t.Fatal(err)
	}
}

// TestConsoleUploads drops files on the page: they are uploaded one after the other, with progress. One that is paused
// leaves nothing behind, and starts again from its beginning. One that the purpose does not allow is not sent.
func TestConsoleUploads(t *testing.T) {
	c := newConsole(t)
	c.look(t, 1280, "light")
	c.signIn()
	c.visit("/files")
	c.throttle(100_000)
	drop := func(name string, size int) {
		t.Helper()
		ask[bool](t, c.chromium, fmt.Sprintf(`(() => {
			const files = new DataTransfer();
			files.items.add(new File([new Uint8Array(%d)], %q));
			return document.dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true}));
		})()`, size, name))
	}
	const state = `[...document.querySelectorAll(".uploads li")].map(e => e.dataset.state).join(" ")`
	blobs := len(c.BlobKeys(t))
	drop("first.bin", 1_000_000)
	drop("second\u202etxt.bin", 10)
	c.until(t, state+` == "running waiting" && /^\d+ % of 1.0 MB$/.test(document.querySelector("[data-status]").textContent)`)
	c.says("second[U+202E]txt.bin")
	c.picture("uploading")
	c.click("[data-pause]")
	c.says("Paused. It will start from the beginning.")
	c.until(t, state+` == "paused done"`)
	if n := len(c.BlobKeys(t)) - blobs; n != 1 {
		t.Errorf("one file is uploaded and one paused, and %d are stored", n)
	}
	c.throttle(-1)
	c.click("[data-pause]")
	c.says("The files were uploaded.", "first.bin", "second[U+202E]txt.bin")
	ask[string](t, c.chromium, `document.querySelector("#purpose").value = "logo"`)
	drop("large.gif", 11_000_000)
	c.says("Files of this purpose have at most 10.5 MB. This one has 11.0 MB.")
	drop("wrong.exe", 10)
	c.says("Purpose logo does not allow application/octet-stream.")
	c.picture("uploaded")
}

// tabTo presses the tab key until the focus is on an element.
func (c console) tabTo(is string) {
	c.t.Helper()
	for range 60 {
		if ask[bool](c.t, c.chromium, "("+is+")(document.activeElement)") {
			return
		}
		c.key("\t")
	}
	c.t.Fatalf("the tab key does not reach %s", is)
}
