package browser

import (
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"sluice/api"
	"sluice/internal/report"
)

// bewitched is a name that would run, hide or turn around what follows it, if a page let it.
const bewitched = "</script><script>document.body.dataset.ran=1</script><img src=x onerror=document.body.dataset.ran=1>" +
	"=cmd|'/C calc'!A0 שלום \u202efdp.exe"

// newReport makes a report of a log with what a report should tell, and returns it.
func newReport(t *testing.T) []byte {
	t.Helper()
	c := newClient(t)
	f := c.upload(t, "Überblick & <Q3>.pdf", "application/pdf", "%PDF-1.7 content")
	l := c.mint(t, f.ID, `{"max_downloads":2,"reason":"case \"12/7\" \u003c/script\u003e"}`)
	c.get(t, l.URL, "User-Agent", bewitched).want(t, 200)
	c.get(t, l.URL).want(t, 200)
	odd := c.mint(t, f.ID, `{"metadata":{"name":`+quoted(bewitched)+`},"reason":`+quoted(bewitched)+`}`)
	c.ask(t, "DELETE", "/v1/file_links/"+odd.ID, "").want(t, 200)
	c.get(t, odd.URL).want(t, 410)
	redeemed := read[api.List[api.AuditEntry]](t, c.ask(t, "GET", "/v1/audit_entries?action=link.redeemed", "").want(t, 200))
	c.ask(t, "POST", "/v1/audit_entries/"+redeemed.Data[0].ID+"/redact", "").want(t, 200)
	for _, e := range redeemed.Data {
		for e.Delivery.Complete == nil { // within a tenth of a second
			e = read[api.AuditEntry](t, c.ask(t, "GET", "/v1/audit_entries/"+e.ID, "").want(t, 200))
		}
	}
	a := c.ask(t, "GET", "/v1/audit_report?file_id="+f.ID, "").want(t, 200)
	if got := a.header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment;") {
		t.Errorf("Content-Disposition: %q", got)
	}
	checked, err := report.Check(a.body, "")
	if err != nil {
		t.Fatal(err)
	}
	if checked.Entries < 6 || !checked.Worded {
		t.Errorf("%d entries", checked.Entries)
	}
	return a.body
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`"`, `\"`, "<", `\u003c`).Replace(s) + `"`
}

// TestReportChecksItself opens a report from a file, without a connection, and versions of it in which one thing was
// changed. The page names the check that fails.
func TestReportChecksItself(t *testing.T) {
	tab, good := newChromium(t), string(newReport(t))
	folder := t.TempDir()
	data, err := os.ReadFile("../../internal/report/testdata/wording-1.html")
	if err != nil {
		t.Fatal(err)
	}
	kept := string(data)
	mainTag := `<main class="report" id="report-1-1">`
	row := func(n int) string { // a row of the report
		_, rest, _ := strings.Cut(good, "<tbody>")
		return strings.SplitAfter(rest, "</tr>")[n]
	}
	after := func(mark, old, with string) string { // with the first old after mark replaced
		at := strings.Index(good, mark)
		i := strings.Index(good[at:], old)
		if at < 0 || i < 0 {
			t.Fatalf("no %q after %q", old, mark)
		}
		return good[:at+i] + with + good[at+i+len(old):]
	}
	for _, test := range []struct {
		name, page, failed string
		refuses            string // the first check that the command fails
	}{
		{"nothing", good, "", ""},
		{"nothing, by a person, of a person, after a change of the key", kept, "", ""},
		{"a letter in a row", after(row(1), `<div class="ids">`, `.<div class="ids">`), "report text", "text"},
		{"a letter of the summary", after("Summary", "<li>This", "<li>That"), "report", "text"},
		{"a letter of the explanation", after("does not</h2>", "<li>Each", "<li>Etch"), "report", "text"},
		{"an attribute that hides a row", strings.Replace(good, row(1), strings.Replace(row(1), "<tr>", `<tr hidden="">`, 1), 1),
			"report text", "list"},
		{"a letter of a leaf", after("<tbody>", `\"outcome\":\"allowed`, `\"outcome\":\"a11owed`), "inclusion", "inclusion"},
		{"a letter of a value", after("<tbody>", `"value":"127`, `"value":"128`), "commitment data", "commitment"},
		{"a proof", after("<tbody>", `"proof":["`, `"proof":["A`), "proof", "proof"},
		{"the size of the log", after("checkpoint\":", `\n`, `\n1`), "signature inclusion cover", "signature"},
		{"the key", after(`"vkey":"`, "+", "+0"), "key signature checkpoint report cover", "key"},
		{"the cover", after(`id="cover"`, "file file_", "file fi1e_"), "cover", "cover"},
		{"a row left out", strings.Replace(good, row(1), "", 1), "list report", "list"},
		{"two rows swapped", strings.Replace(good, row(1)+row(2), row(2)+row(1), 1), "report list", "list"},
		{"a space in the data", after("<tbody>", `{"seq"`, `{ "seq"`), "data", "data"},
		{"a paragraph beside the report", strings.Replace(good, "</main>", "</main><p>It is void.</p>", 1), "page", "page"},
		{"a text beside the report", strings.Replace(good, "</main>", "</main>It is void.", 1), "page", "page"},
		{"the title", strings.Replace(good, "<title>Audit", "<title>Edit", 1), "page", "page"},
		{"a tree that hides the report", into(kept, mainTag, shadow), "", "text"},
		{"a tree that hides the page", into(kept, "<body>", shadow), "", "page"},
		{"a tree in the place of a heading", into(kept, "<h2>", shadow), "", "text"},
		{"a tree in the place of the verdict", into(kept, `id="verdict">`, shadow), "", "text"},
		{"a tree in a row", into(kept, `<div class="more">`, shadow), "", "text"},
		{"a tree in the cover", into(kept, `id="cover"><div>`, shadow), "", "cover"},
		{"another style in the head", unguarded(kept, `<link rel="stylesheet" href="data:text/css,`+
			`%23verdict,tr:nth-child(2){display:none}">`), "page", "page"},
		{"attributes of the body", strings.Replace(kept, "<body>", `<body style="color:red" hidden="">`, 1), "page", "page"},
		{"attributes of the document", strings.Replace(kept, `lang="en"`, `lang="en" dir="rtl"`, 1), "page", "page"},
		{"no document type", strings.TrimPrefix(kept, "<!DOCTYPE html>"), "page", "page"},
		{"names that the check asks for", strings.Replace(kept, "</main>", "</main><img name=body><img name=querySelector>"+
			"<img name=head><img name=createElement>", 1), "page", "page"},
		{"such names, a verdict and a cover of it in the report", unguarded(strings.Replace(kept, "<h2>",
			`<img name="querySelector"><img name="body"><p id="verdict" style="position:fixed;inset:0">Checked</p><h2>`, 1), ""),
			"page report", "page"},
		{"the style", restyled(good, "tr:nth-child(2){display:none}", ""), "report", "style"},
		{"the script", restyled(good, "", "// harmless\n"), "report", "script"},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := filepath.Join(folder, "report.html")
			if err := os.WriteFile(name, []byte(test.page), 0o600); err != nil {
				t.Fatal(err)
			}
			tab.open(t, "file://"+name)
			tab.until(t, "document.body.dataset.failed !== undefined")
			if failed := ask[string](t, tab, "document.body.dataset.failed"); failed != test.failed {
				t.Errorf("the page fails %q, want %q", failed, test.failed)
			}
			if ask[bool](t, tab, "document.body.dataset.ran !== undefined") {
				t.Error("a name ran as a script")
			}
			if text := ask[string](t, tab, bodyText); strings.Contains(text, "FORGED") {
				t.Errorf("the page shows what it did not check:\n%s", text)
			}
			if test.failed != "" && ask[bool](t, tab, "document.elementFromPoint(20, 20)?.closest('#verdict') === null") {
				t.Error("something is before the verdict")
			}
			verdict := ask[string](t, tab, "document.querySelector('#verdict').textContent")
			if good := test.failed == ""; good != strings.HasPrefix(verdict, "Checked in this browser") {
				t.Error(verdict)
			}
			if n := ask[int64](t, tab, shadows); n > 0 { // this is the last look: it makes trees itself
				t.Errorf("%d elements have trees that nothing has checked", n)
			}
			_, err := report.Check([]byte(test.page), "")
			if f := report.AsFault(err); (f == nil) != (test.refuses == "") || f != nil && f.Check != test.refuses {
				t.Errorf("the command says %v, want %q", err, test.refuses)
			}
		})
	}
	t.Run("readable", func(t *testing.T) { tab.isReadable(t, good) })
}

// shadow is a tree that browsers show in the place of what its parent has, and leave out of the text of the page.
const shadow = `<template shadowrootmode="closed">FORGED</template>`

// shadows counts the elements that can have no tree, because they have one.
const shadows = `[...document.querySelectorAll("main, body, h2, p, div")].filter(e => {
	try { e.attachShadow({mode: "open"}); return false } catch { return true }
}).length`

// into puts something behind the first place that has a mark.
func into(page, mark, more string) string { return strings.Replace(page, mark, mark+more, 1) }

// unguarded returns a report without its policy, with something more in its head.
func unguarded(page, more string) string {
	before, rest, _ := strings.Cut(page, `<meta http-equiv="Content-Security-Policy"`)
	_, after, _ := strings.Cut(rest, ">")
	return before + strings.Replace(after, "<title>", more+"<title>", 1)
}

// isReadable opens a report without a script, and has axe-core check it after it has checked itself: narrow and wide,
// light and dark.
func (tab *chromium) isReadable(t *testing.T, page string) {
	name := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(name, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	tab.scripted(t, false)
	tab.open(t, "file://"+name)
	text := ask[string](t, tab, bodyText)
	for _, want := range []string{
		"Not checked yet", "Files were opened 2 times through links", "downloaded", "all bytes were sent",
		"What was refused", "Key of the log", "sluice audit verify report.html",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q:\n%s", want, text)
		}
	}
	tab.scripted(t, true)
	tab.open(t, "file://"+name)
	tab.until(t, "document.body.dataset.failed !== undefined")
	if failed := ask[string](t, tab, "document.body.dataset.failed"); failed != "" {
		t.Error(failed)
	}
	ask[bool](t, tab, axe(t)+";true")
	for _, width := range []int64{320, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			tab.look(t, width, scheme)
			for _, found := range in(t, tab, chromedp.Evaluate[[]string](
				`axe.run({resultTypes: ["violations", "incomplete"]}).then(r => [...r.violations, ...r.incomplete].map(
				v => v.id + ": " + v.nodes.map(n => n.html + " (" + (n.any[0]?.message ?? "") + ")").join(" ")))`,
				chromedp.EvalAwaitPromise)) {
				t.Errorf("%d %s: %s", width, scheme, found)
			}
			if wide := ask[int64](t, tab, "document.documentElement.scrollWidth"); wide > width {
				t.Errorf("%d pixels wide on %d", wide, width)
			}
		}
	}
}

// restyled returns a report with additions to its style and its script, which the policy of the page allows.
func restyled(page, style, script string) string {
	for _, part := range []struct{ start, end, more string }{
		{"<style>", "</style>", style}, {`<script type="module">`, "</script></body>", script},
	} {
		_, rest, _ := strings.Cut(page, part.start)
		content, _, _ := strings.Cut(rest, part.end)
		page = strings.Replace(page, source(content), source(content+part.more), 1)
		page = strings.Replace(page, content+part.end, content+part.more+part.end, 1)
	}
	return page
}

func source(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
