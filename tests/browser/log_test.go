package browser

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/service"
	"sluice/ledger"
)

// TestConsoleLog is "live by server-sent events" and "verify here". It watches the log grow on the home page, verifies an entry in the browser, and then the evidence of a
// server that lies. Then axe-core checks the pages of the log and of the settings.
func TestConsoleLog(t *testing.T) {
	program := axe(t)
	c := newConsole(t)
	f, l := consoleFiles(t, c.Server)
	operator := service.Operator(c.Ledger(sluice.Test))
	c.look(t, 1280, "light")
	c.signIn()
	rows := `document.querySelectorAll('[aria-labelledby="lately-title"] tbody tr').length`
	shown := ask[int](t, c.chromium, rows)

	// Home goes live: the number of new entries, and no row that jumps.
	open, err := c.Links.Mint(context.Background(), operator, service.NewLink{FileID: f.ID, Reason: "Audit"})
	if err != nil {
		t.Fatal(err)
	}
	c.until(t, `document.querySelector("[data-news]").innerText == "1 new"`)
	if n := ask[int](t, c.chromium, rows); n != shown {
		t.Errorf("there were %d rows, and now %d", shown, n)
	}
	download(t, c, open)
	c.until(t, `document.querySelector("[data-news]").innerText == "2 new"`)
	c.click("[data-news] a")
	c.until(t, `document.querySelector("[data-news]").innerText == "" && `+
		`document.querySelector(".lines tbody tr").innerText.includes("downloaded Quarterly")`+
		` || document.querySelector(".lines tbody tr").innerText.includes("downloaded “Quarterly")`)

	// Verify an entry here.
	if _, err := c.Ledgers.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	entries := c.Entries(t, c.Ledger(sluice.Test))
	at := slices.IndexFunc(entries, func(e sluice.Entry) bool { return e.Action == sluice.LinkRedeemed })
	entry := "/log/" + entries[at].ID
	c.visit(entry)
	c.verify("true")
	for _, check := range []string{"key", "signature", "checkpoint", "leaf", "inclusion", "commitment", "page"} {
		c.until(t, fmt.Sprintf(`document.querySelector('[data-check="%s"]').dataset.ok == "true"`, check))
	}
	c.says("Verified: the log has an entry with this number")
	c.picture("verified")

	// A server that lies, and a reader with another key.
	for _, lie := range []struct{ change, check string }{
		{`j.entry.leaf = j.entry.leaf.replace('"status":200', '"status":201')`, "inclusion"},
		{`j.entry.leaf = j.entry.leaf.replace('{', '{ ')`, "leaf"},
		{`j.entry.index--`, "inclusion"},
		{`j.entry.proof[0] = j.entry.proof.at(-1)`, "inclusion"},
		{`j.entry.disclosures['/request/client_ip'].value = '192.0.2.1'`, "commitment"},
		{`j.log.checkpoint = j.log.checkpoint.replace(/\n\d+\n/, '\n9999\n')`, "signature"},
		{`const leaf = document.getElementById('leaf'); leaf.textContent = leaf.textContent.replace('200', '201')`, "page"},
	} {
		c.visit(entry)
		ask[bool](t, c.chromium, `{const real = fetch; globalThis.fetch = async (...of) => {
			const j = await (await real(...of)).json(); `+lie.change+`; return new Response(JSON.stringify(j)); }; true}`)
		c.verify("false")
		failed := ask[[]string](t, c.chromium,
			`[...document.querySelectorAll('[data-check][data-ok="false"]')].map(e => e.dataset.check)`)
		if !slices.Contains(failed, lie.check) {
			t.Errorf("%s: failed are %v, want %s", lie.change, failed, lie.check)
		}
	}
	c.picture("tampered")
	_, other, err := ledger.GenerateKey(strings.NewReader(strings.Repeat("k", 100)), c.origin())
	if err != nil {
		t.Fatal(err)
	}
	c.visit(entry)
	ask[string](t, c.chromium, fmt.Sprintf("document.querySelector('#vkey').value = %q", other))
	c.verify("false")
	c.says("No key of the log signed this checkpoint")

	// Without a script there is the command.
	c.scripted(t, false)
	c.visit(entry)
	c.click("details summary")
	c.says("sluice audit verify proof.txt --vkey")
	c.scripted(t, true)

	for name, path := range map[string]string{
		"home": "/", "log": "/log", "log-filtered": "/log?client_ip=x&link_id=" + l.ID, "log-none": "/log?file_id=x",
		"entry": entry, "keys": "/keys", "newkey": "/keys/new", "key": "/keys/" + c.Key.ID,
		"rotate": "/keys/" + c.Key.ID + "/rotate", "revoke": "/keys/" + c.Key.ID + "/revoke", "sessions": "/sessions",
		"purposes": "/purposes", "brand": "/brand", "ledger": "/ledger",
	} {
		c.visit(path)
		ask[bool](t, c.chromium, `for (const d of document.querySelectorAll("details")) d.open = true; true`)
		if name == "entry" {
			c.verify("true")
		}
		c.check(program, name)
		// A card cuts what is wider than it.
		if n := ask[int](t, c.chromium, `[...document.querySelectorAll(".list")].filter(
			e => e.scrollWidth > e.parentElement.clientWidth).length`); n > 0 {
			t.Errorf("%s has %d lists that are wider than their cards", name, n)
		}
	}
}

// verify presses the button that verifies an entry, and waits for a verdict.
func (c console) verify(ok string) {
	c.t.Helper()
	c.click("[data-verify] button")
	c.until(c.t, fmt.Sprintf(`document.querySelector("[data-verdict]").dataset.ok == %q`, ok))
}

// origin is the name of the log of the test mode.
func (c console) origin() string {
	c.t.Helper()
	key, _, err := c.Ledgers.Key(context.Background(), service.Operator(c.Ledger(sluice.Test)))
	if err != nil {
		c.t.Fatal(err)
	}
	name, _, _ := strings.Cut(key, "+")
	return name
}

// download downloads the file of a link.
func download(t *testing.T, c console, l sluice.Link) {
	t.Helper()
	address, err := c.Links.URL(l)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode, err)
	}
}
