package console_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/ledger"
)

const (
	hostileName   = "<img src=x onerror=alert(1)>\u202egpj.exe"
	hostileReason = `"><img src=x onerror=alert(2)>` + "\x1b[2J"
)

// happen fills the log with entries of several kinds, with hostile texts, and returns a link.
func (o office) happen() sluice.Link {
	o.t.Helper()
	hour := time.Hour
	f := o.file(service.NewFile{Purpose: "attachment", Filename: hostileName, Type: "application/pdf"})
	l := o.link(service.NewLink{FileID: f.ID, Reason: strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, hostileReason), Lifetime: &hour, Access: sluice.Access{
		Recipient: sluice.Recipient{Email: "ann@bank.example"}, Verification: sluice.NoVerification,
	}})
	address, err := o.Links.URL(l)
	if err != nil {
		o.t.Fatal(err)
	}
	r, _ := http.NewRequest("GET", address, nil)
	r.Header.Set("User-Agent", "<b>curl</b>")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		o.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 {
		o.t.Fatal("download:", resp.StatusCode)
	}
	operator := service.Operator(o.Ledger(sluice.Test))
	ended := o.link(service.NewLink{FileID: f.ID, Lifetime: &hour})
	if _, err := o.Links.Revoke(context.Background(), operator, "", ended.ID, nil); err != nil {
		o.t.Fatal(err)
	}
	address, _ = o.Links.URL(ended)
	if resp, err = http.Get(address); err != nil {
		o.t.Fatal(err)
	}
	resp.Body.Close()
	o.sign()
	return l
}

// sign signs a checkpoint over the log.
func (o office) sign() {
	o.t.Helper()
	if _, err := o.Ledgers.Checkpoint(context.Background()); err != nil {
		o.t.Fatal(err)
	}
}

// entry returns the newest entry of an action.
func (o office) entry(a sluice.Action) sluice.Entry {
	o.t.Helper()
	list := o.entries(a)
	if len(list) == 0 {
		o.t.Fatalf("there is no entry of %s", a)
	}
	return slices.MaxFunc(list, func(a, b sluice.Entry) int { return int(a.Seq - b.Seq) })
}

// entries returns the entries of an action.
func (o office) entries(a sluice.Action) []sluice.Entry {
	o.t.Helper()
	all := o.Server.Entries(o.t, o.Ledger(sluice.Test))
	return slices.DeleteFunc(all, func(e sluice.Entry) bool { return e.Action != a })
}

// signing signs checkpoints until stop is called, as a server does.
func (o office) signing() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_, _ = o.Ledgers.Checkpoint(ctx) // the next one tries again
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return func() { cancel(); <-ended }
}

// TestRoles holds the console to "a person can do exactly what a key with those scopes can" and to "each page under
// 50 KB". It asks for every page with the scopes of every role: what a role may not see is not in the navigation and
// answers 403, every page is small, and no text of anybody becomes markup.
func TestRoles(t *testing.T) {
	o := newOffice(t)
	l := o.happen()
	entry := o.entry(sluice.LinkRedeemed)
	pages := []struct {
		path  string
		scope sluice.Scope
		nav   bool
	}{
		{"/", "", true}, {"/files", sluice.FilesRead, true}, {"/links", sluice.LinksRead, true},
		{"/log", sluice.AuditRead, true}, {"/log/" + entry.ID, sluice.AuditRead, false},
		{"/log/" + entry.ID + "/evidence.json", sluice.AuditRead, false},
		{"/log/" + entry.ID + "/leaf.json", sluice.AuditRead, false},
		{"/log/" + entry.ID + "/proof.txt", sluice.AuditRead, false},
		{"/log?link_id=" + l.ID, sluice.AuditRead, false}, {"/log?outcome=refused", sluice.AuditRead, false},
		{"/events?known=0", sluice.AuditRead, false},
		{"/keys", sluice.KeysAdmin, true}, {"/keys/new", sluice.KeysAdmin, false},
		{"/keys/" + o.Key.ID, sluice.KeysAdmin, false}, {"/keys/" + o.Key.ID + "/rotate", sluice.KeysAdmin, false},
		{"/keys/" + o.Key.ID + "/revoke", sluice.KeysAdmin, false}, {"/sessions", sluice.KeysAdmin, true},
		{"/purposes", "", true}, {"/brand", "", true}, {"/ledger", sluice.AuditRead, true},
	}
	for _, role := range sluice.AllRoles() {
		b := o.as(role.Scopes()...)
		granted := sluice.Key{Scopes: role.Scopes()}
		home := b.get("/console/test/")
		for _, p := range pages {
			may := p.scope == "" || granted.Grants(p.scope)
			if p.nav && strings.Contains(home.body, `<a href="/console/test`+p.path+`"`) != may {
				t.Errorf("%s: %s in the navigation: %v", role, p.path, !may)
			}
			if may && strings.HasPrefix(p.path, "/events") {
				continue // has no end
			}
			a := b.get("/console/test" + p.path)
			if want := map[bool]int{true: 200, false: 403}[may]; a.StatusCode != want {
				t.Errorf("%s: %s answers %d, want %d", role, p.path, a.StatusCode, want)
			}
			if len(a.body) > 50<<10 {
				t.Errorf("%s: %s has %d bytes", role, p.path, len(a.body))
			}
			if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
				for _, markup := range []string{"<img src=x", "<b>curl", "\u202e", "\x1b"} {
					if strings.Contains(a.body, markup) {
						t.Errorf("%s: %s has %q as it is", role, p.path, markup)
					}
				}
			}
		}
		for _, path := range []string{"/log/export", "/log/report"} {
			if a := b.post("/console/test"+path, nil); (a.StatusCode == 200) != granted.Grants(sluice.AuditRead) {
				t.Errorf("%s: %s answers %d", role, path, a.StatusCode)
			}
		}
		for _, path := range []string{"/keys", "/keys/" + o.Key.ID + "/rotate", "/sessions/sess_1/end"} {
			if a := b.post("/console/test"+path, nil); (a.StatusCode == 403) == granted.Grants(sluice.KeysAdmin) {
				t.Errorf("%s: POST %s answers %d", role, path, a.StatusCode)
			}
		}
	}
}

// TestLog is "filters in the address bar, keyset paging".
func TestLog(t *testing.T) {
	o := newOffice(t)
	l := o.happen()
	operator := service.Operator(o.Ledger(sluice.Test))
	redeemed := o.entry(sluice.LinkRedeemed)
	rows := func(query string) int {
		t.Helper()
		a := o.get("/console/test/log?" + query)
		if a.StatusCode != 200 {
			t.Errorf("%s answers %d", query, a.StatusCode)
		}
		body, _, _ := strings.Cut(a.body, `<section class="card" aria-labelledby="take-title">`)
		return strings.Count(body, `data-label="Entry"`)
	}
	for query, want := range map[string]int{
		"action=link.created": 2, "outcome=refused": 1, "action=link.created&outcome=refused": 0,
		"action=link.refused&outcome=refused": 1, "action=link.refused&outcome=allowed": 0,
		"action=unknown&outcome=refused": 0, "link_id=" + l.ID: 3, "recipient=Ann@bank.example": 1,
		"client_ip=127.0.0.1&action=link.redeemed": 1, "request_id=" + redeemed.Request.ID: 1, "ids=" + redeemed.ID: 1,
		"file_id=file_none": 0, "from=2020-01-01&to=2020-01-02": 0, "created[lt]=1": 0, "person_id=nobody": 0,
		"created%5Bgte%5D=2020-01-01T00:00:00Z&action=link.redeemed": 1, "key_id=" + o.Key.ID + "&action=session.created": 1,
	} {
		if got := rows(query); got != want {
			t.Errorf("%s: %d rows, want %d", query, got, want)
		}
	}
	for text, want := range map[string]string{
		redeemed.ID: "/console/test/log/" + redeemed.ID, l.ID: "/console/test/log?link_id=" + l.ID,
		"ann@bank.example": "/console/test/log?recipient=ann%40bank.example", "::1": "/console/test/log?client_ip=%3A%3A1",
		o.Key.ID: "/console/test/log?key_id=" + o.Key.ID, "someone": "/console/test/log?person_id=someone",
	} {
		if a := o.get("/console/test/log?action=&q=" + url.QueryEscape(text)); a.location() != want {
			t.Errorf("searching %s leads to %q, want %q", text, a.location(), want)
		}
	}
	for query, want := range map[string]string{
		"recipient=ann": "recipient-wrong", "client_ip=1.2.3": "client_ip-wrong", "from=yesterday": "from-wrong",
		"created[gt]=soon": "from-wrong", "outcome=maybe": "problems", "ids=" + strings.Repeat("a,", 101): "problems",
		"starting_after=aud_none": "problems",
	} {
		if a := o.get("/console/test/log?" + query); !strings.Contains(a.body, `id="`+want+`"`) {
			t.Errorf("%.40s: %d, and nothing at %s", query, a.StatusCode, want)
		}
	}

	for range 30 {
		if _, err := o.Files.Update(t.Context(), operator, redeemed.File.ID, nil, service.FileChange{
			Title: new(fmt.Sprint("title ", time.Now().UnixNano()))}); err != nil {
			t.Fatal(err)
		}
	}
	page := o.get("/console/test/log?action=file.updated")
	older := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(page.body)
	if older == nil || strings.Contains(page.body, `rel="prev"`) {
		t.Fatal("the first page has no older one, or a newer one")
	}
	if got := rows(strings.ReplaceAll(strings.TrimPrefix(older[1], "?"), "&amp;", "&")); got != 5 {
		t.Errorf("the second page has %d rows", got)
	}
}

// TestLogDocuments is "CSV, NDJSON, report": the console answers what the API answers, and it is recorded.
func TestLogDocuments(t *testing.T) {
	o := newOffice(t)
	o.happen()
	a := o.post("/console/test/log/export?action=link.redeemed&format=csv", nil)
	rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	if err != nil || len(rows) != 2 || a.Header.Get("Content-Disposition") != `attachment; filename="audit.csv"` {
		t.Errorf("CSV: %d rows, %v, %v", len(rows), err, a.Header)
	}
	a = o.post("/console/test/log/export?action=link.redeemed&format=ndjson", nil)
	var e struct{ ID, Action string }
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Action != "link.redeemed" {
		t.Errorf("NDJSON: %q, %v", a.body, err)
	}
	if n := len(o.entries(sluice.AuditExported)); n != 2 {
		t.Errorf("%d exports are recorded", n)
	}
	if a := o.get("/console/test/log/export?format=csv"); a.StatusCode == 200 {
		t.Error("a GET exports the log")
	}
	if a := o.post("/console/test/log/export?format=csv", nil, "Sec-Fetch-Site", "cross-site"); a.StatusCode != 403 {
		t.Errorf("a form of another site: %d", a.StatusCode)
	}
	for _, wrong := range []string{
		"export?format=pdf", "export?format=csv&created[gte]=xx", "export?file_id[]=x", "report?outcome=maybe",
		"report?created[gte]=xx",
	} {
		a := o.post("/console/test/log/"+wrong, nil)
		if a.StatusCode != 422 && a.StatusCode != 400 || a.Header.Get("Content-Disposition") != "" ||
			!strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || !strings.Contains(a.body, "<h1>") {
			t.Errorf("%s: %d %v", wrong, a.StatusCode, a.Header)
		}
	}

	stop := o.signing()
	defer stop()
	a = o.post("/console/test/log/report?outcome=refused", nil)
	if a.StatusCode != 200 || !strings.Contains(a.body, "<h1>Audit report</h1>") ||
		!strings.Contains(a.body, o.entry(sluice.LinkRefused).ID) ||
		strings.Contains(a.body, o.entry(sluice.LinkRedeemed).ID) {
		t.Errorf("report: %d, %d bytes", a.StatusCode, len(a.body))
	}
	if made := o.entry(sluice.AuditReported); made.Actor.ID != o.Key.ID || made.Report.Filter["outcome"] != "refused" {
		t.Errorf("recorded: %+v", made)
	}
}

// TestEntry is "an entry as a sentence and as its leaf". It reads the page of an entry and its evidence, which the Go verifier accepts.
func TestEntry(t *testing.T) {
	o := newOffice(t)
	o.happen()
	e := o.entry(sluice.LinkRedeemed)
	path := "/console/test/log/" + e.ID
	a := o.get(path)
	for _, want := range []string{
		"downloaded", "“&lt;img src=x onerror=alert(1)&gt;[U&#43;202E]gpj.exe”", "all bytes were sent",
		"/request/client_ip", "127.0.0.1", "data-verify=\"" + path + "/evidence.json\"", "HTTP status 200",
		"sluice audit verify proof.txt --vkey sluice.", "covers this entry",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	key, _, err := o.Ledgers.Key(t.Context(), service.Operator(o.Ledger(sluice.Test)))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := ledger.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	proof, leaf := o.get(path+"/proof.txt").body, o.get(path+"/leaf.json").body
	seq, _, err := verifier.Inclusion([]byte(proof), []byte(leaf))
	if err != nil || seq != e.Seq {
		t.Errorf("the proof is of entry %d: %v", seq, err)
	}
	var found struct {
		Covered bool
		Entry   struct {
			Leaf        string
			Disclosures map[string]struct{ Salt, Value string }
		}
		Log struct{ VKey string }
	}
	if err := json.Unmarshal([]byte(o.get(path+"/evidence.json").body), &found); err != nil {
		t.Fatal(err)
	}
	if !found.Covered || found.Entry.Leaf != leaf || found.Log.VKey != key ||
		found.Entry.Disclosures["/request/client_ip"].Value != "127.0.0.1" {
		t.Errorf("the evidence is %+v", found)
	}

	_, err = o.Service.Service.Entries.Redact(t.Context(), service.Operator(o.Ledger(sluice.Test)), e.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	a = o.get(path)
	if strings.Contains(a.body, "ann@bank.example") || strings.Contains(a.body, "<b>curl") ||
		!strings.Contains(a.body, `<span class="badge">erased</span>`) {
		t.Error("the page shows a field that was erased, or not that it was")
	}
	late := "/console/test/log/" + o.entry(sluice.AuditRedacted).ID
	if a := o.get(late); !strings.Contains(a.body, "No checkpoint covers this entry yet") {
		t.Error("the page of an entry that is not signed yet does not say so")
	}
	if a := o.get("/console/test/log/aud_none"); a.StatusCode != 404 {
		t.Errorf("an entry that does not exist: %d", a.StatusCode)
	}
	if a := o.get(late + "/proof.txt"); a.StatusCode != 404 {
		t.Errorf("a proof that does not exist yet: %d", a.StatusCode)
	}
}
