package httpd_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/api"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/ledger"
)

// leaves lists the entries that a successful call of each operation adds to the log. Every operation that may change
// something must be in it, and so must a redemption. A GET that is not in it adds none.
var leaves = map[string][]sluice.Action{
	"createFile":         {sluice.FileCreated},
	"putFile":            {sluice.FileCreated},
	"updateFile":         {sluice.FileUpdated},
	"deleteFile":         {sluice.FileEnded},
	"createLinkOfFile":   {sluice.LinkCreated},
	"updateLinkOfFile":   {sluice.LinkUpdated},
	"deleteLinkOfFile":   {sluice.LinkEnded},
	"createLink":         {sluice.LinkCreated},
	"createLinks":        {sluice.LinkCreated},
	"updateLink":         {sluice.LinkUpdated},
	"deleteLink":         {sluice.LinkEnded},
	"redactAuditEntry":   {sluice.AuditRedacted},
	"createErasure":      {sluice.AuditErasureBegun},
	"exportAuditEntries": {sluice.AuditExported},
	"exportDisclosures":  {sluice.AuditExported},
	"reportAuditEntries": {sluice.AuditReported},
	"createKey":          {sluice.KeyCreated},
	"updateKey":          {sluice.KeyUpdated},
	"rotateKey":          {sluice.KeyRotated},
	"deleteKey":          {sluice.KeyEnded},
	"redeem":             {sluice.LinkRedeemed, sluice.LinkDelivered},
	"redeemNamed":        {sluice.LinkRedeemed, sluice.LinkDelivered},
	"answerLink":         {sluice.LinkRedeemed, sluice.LinkDelivered},
	"answerLinkNamed":    {sluice.LinkRedeemed, sluice.LinkDelivered},
}

// TestEveryChangeIsRecorded calls every route with success and counts the new entries.
func TestEveryChangeIsRecorded(t *testing.T) {
	c := newClient(t)
	seen := map[string]bool{}
	for _, rt := range server.Routes() {
		want, known := leaves[rt.Operation]
		if rt.Method != http.MethodGet && !known {
			t.Errorf("%s %s may change something, and this test does not know what it records", rt.Method, rt.Path)
			continue
		}
		seen[rt.Operation] = true
		t.Run(rt.Operation, func(t *testing.T) {
			o := c.objects(t)
			token := strings.TrimPrefix(c.mint(t, o.file, "").URL, c.URL+"/l/")
			rt.Path = strings.NewReplacer("{token}", token, "{tail...}", "a.txt", "{code}", "gone", "{page}",
				"files").Replace(rt.Path)
			before := len(c.Entries(t, c.Ledger(sluice.Test)))
			caller := c
			if rt.Operation == "getMetrics" { // it needs a live key
				_, live := c.NewKey(t, c.Ledger(sluice.Live))
				caller = c.as(live)
			}
			if a := caller.call(t, rt, o); a.status != 200 && a.status != 201 {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			var got []sluice.Action
			for _, e := range c.Entries(t, c.Ledger(sluice.Test))[before:] {
				got = append(got, e.Action)
				if e.Outcome != sluice.Allowed || e.Action != sluice.LinkDelivered && (e.Request == nil || e.Request.Route == "") {
					t.Errorf("%+v of %+v", e, e.Request)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("it records %v, want %v", got, want)
			}
		})
	}
	for operation := range leaves {
		if !seen[operation] {
			t.Errorf("%s is no route any more", operation)
		}
	}
}

// TestLedgerRoutes reads a log as an auditor does, and verifies it.
func TestLedgerRoutes(t *testing.T) {
	c := newClient(t)
	get := func(path string) answer { t.Helper(); return c.ask(t, "GET", "/v1/ledger/"+path, "").want(t, 200) }
	verifier, err := ledger.NewVerifier(strings.TrimSpace(string(get("key").body)))
	if err != nil {
		t.Fatal(err)
	}
	empty, err := verifier.Open(get("checkpoint").body)
	if err != nil || empty.Size != 0 {
		t.Fatalf("before the first checkpoint: %+v, %v", empty, err)
	}
	if verifier.Origin() != "sluice.test/"+c.Ledger(sluice.Test).String() {
		t.Errorf("origin %s", verifier.Origin())
	}
	f := c.upload(t, "a.txt", "text/plain", "hello")
	for range 30 {
		ids := `"` + strings.Repeat(f.ID+`","`, 9) + f.ID + `"`
		c.ask(t, "POST", "/v1/file_links/batch", `{"file_ids":[`+ids+`]}`).want(t, 200)
	}
	c.Checkpoint(t)
	older, err := verifier.Open(get("checkpoint").body)
	if err != nil || older.Size < ledger.TileWidth {
		t.Fatalf("%+v, %v", older, err)
	}
	entries := c.Entries(t, c.Ledger(sluice.Test))

	t.Run("tiles", func(t *testing.T) {
		rest := strconv.FormatInt(older.Size-ledger.TileWidth, 10)
		for path, immutable := range map[string]bool{
			"tile/0/000": true, "tile/entries/000": true, "tile/entries/000.p/255": false, "tile/0/001.p/" + rest: false,
			"tile/1/000.p/1": false,
		} {
			a := get(path)
			tile, err := ledger.ParseTilePath(path)
			if err != nil {
				t.Fatal(err)
			}
			if tile.Level == ledger.EntriesLevel {
				if _, err := ledger.ParseBundle(a.body, tile.Width); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			} else if len(a.body) != tile.Width*ledger.HashSize {
				t.Errorf("%s has %d bytes", path, len(a.body))
			}
			want := "no-store"
			if immutable {
				want = "private, max-age=31536000, immutable"
			}
			if got := a.header.Get("Cache-Control"); got != want || a.header.Get("Content-Type") != "application/octet-stream" {
				t.Errorf("%s: Cache-Control %q, Content-Type %q", path, got, a.header.Get("Content-Type"))
			}
		}
		beyond := strconv.FormatInt(older.Size-ledger.TileWidth+1, 10)
		for _, path := range []string{"0/001.p/" + beyond, "0/001", "0/000.p/256", "0/000.p/0", "0/0", "entries/002",
			"9/000", "-1/000", "entries", "", "0/000.p/1/", "%2e%2e/key"} {
			c.problem(t, c.ask(t, "GET", "/v1/ledger/tile/"+path, "").want(t, 404), sluice.CodeNotFound)
		}
		c.problem(t, c.ask(t, "GET", "/v1/ledger/tile/0/000?x=1", "").want(t, 400), sluice.CodeValidation)
	})

	t.Run("inclusion", func(t *testing.T) {
		for _, e := range []sluice.Entry{entries[0], entries[100], entries[older.Size-1]} {
			bundle := ledger.Tile{Level: ledger.EntriesLevel, Index: e.Seq / ledger.TileWidth,
				Width: int(e.Seq%ledger.TileWidth) + 1}
			leaves, err := ledger.ParseBundle(get(bundle.Path()).body, bundle.Width)
			if err != nil {
				t.Fatal(err)
			}
			leaf := leaves[bundle.Width-1]
			seq, _, err := verifier.Inclusion(get("proof/inclusion?entry="+e.ID).body, leaf)
			if seq != e.Seq || err != nil || !strings.Contains(string(leaf), e.ID) {
				t.Errorf("entry %d is proved to be at %d, %v", e.Seq, seq, err)
			}
		}
		c.problem(t, c.ask(t, "GET", "/v1/ledger/proof/inclusion", "").want(t, 400), sluice.CodeValidation)
		c.problem(t, c.ask(t, "GET", "/v1/ledger/proof/inclusion?entry=aud_none", "").want(t, 404), sluice.CodeNotFound)
		live := c.Entries(t, c.Ledger(sluice.Live))[0]
		c.problem(t, c.ask(t, "GET", "/v1/ledger/proof/inclusion?entry="+live.ID, "").want(t, 404), sluice.CodeNotFound)
	})

	t.Run("consistency", func(t *testing.T) {
		c.mint(t, f.ID, "")
		unsigned := c.Entries(t, c.Ledger(sluice.Test))
		c.problem(t, c.ask(t, "GET", "/v1/ledger/proof/inclusion?entry="+unsigned[len(unsigned)-1].ID, "").want(t, 404),
			sluice.CodeNotFound)
		c.Checkpoint(t)
		from := strconv.FormatInt(older.Size, 10)
		newer, err := verifier.Consistency(get("proof/consistency?from="+from).body, older)
		if err != nil || newer.Size <= older.Size {
			t.Fatalf("%+v, %v", newer, err)
		}
		same, err := verifier.Consistency(get("proof/consistency?from="+from+"&to="+from).body, older)
		if err != nil || same != older {
			t.Errorf("%+v, %v", same, err)
		}
		for query, code := range map[string]sluice.Code{
			"": sluice.CodeValidation, "?from=-1": sluice.CodeValidation, "?from=99999": sluice.CodeValidation,
			"?from=x":      sluice.CodeValidation,
			"?from=1&to=0": sluice.CodeValidation, "?from=1&to=2": sluice.CodeNotFound, "?from=1&to=99999": sluice.CodeNotFound,
		} {
			a := c.ask(t, "GET", "/v1/ledger/proof/consistency"+query, "")
			c.problem(t, a, code)
		}
	})

	t.Run("disclosures", func(t *testing.T) {
		a := get("disclosures?size=" + strconv.FormatInt(older.Size, 10))
		if got := a.header.Get("Content-Type"); got != "application/x-ndjson" {
			t.Errorf("Content-Type %q", got)
		}
		addresses := 0
		for line := range strings.Lines(string(a.body)) {
			d, err := ledger.ParseDisclosure([]byte(strings.TrimSuffix(line, "\n")))
			if err != nil || d.Seq >= older.Size {
				t.Fatalf("%s: %v", line, err)
			}
			if e := entries[d.Seq]; d.Field == "/request/ip" && d.Value == e.Request.IP {
				addresses++
			}
		}
		if want := int(older.Size) - 1; addresses != want { // the operator made the key, without an address
			t.Errorf("%d addresses, want %d", addresses, want)
		}
		c.problem(t, c.ask(t, "GET", "/v1/ledger/disclosures?size=99999", "").want(t, 400), sluice.CodeValidation)
		before := len(c.Entries(t, c.Ledger(sluice.Test)))
		c.ask(t, "HEAD", "/v1/ledger/disclosures", "").want(t, 200)
		if after := c.Entries(t, c.Ledger(sluice.Test)); len(after) != before+1 ||
			after[before].Export != service.ExportDisclosures {
			t.Errorf("%d entries after %d", len(after), before)
		}
	})

	t.Run("other side", func(t *testing.T) {
		_, live := c.NewKey(t, c.Ledger(sluice.Live))
		other := c.as(live)
		theirs := other.ask(t, "GET", "/v1/ledger/checkpoint", "").want(t, 200).body
		if _, err := verifier.Open(theirs); err == nil {
			t.Errorf("the live log has the test log's checkpoint: %s", theirs)
		}
		c.problem(t, other.ask(t, "GET", "/v1/ledger/tile/entries/000", "").want(t, 404), sluice.CodeNotFound)
	})
}

func TestRedactEntry(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	entries := c.Entries(t, c.Ledger(sluice.Test))
	e := entries[len(entries)-1]
	c.Checkpoint(t)
	get := func(id string) api.AuditEntry {
		t.Helper()
		return read[api.AuditEntry](t, c.ask(t, "GET", "/v1/audit_entries/"+id, "").want(t, 200))
	}
	bundle := func() []byte { return c.ask(t, "GET", "/v1/ledger/tile/entries/000.p/2", "").want(t, 200).body }
	before, signed := get(e.ID), bundle()
	if before.Request.IP != "127.0.0.1" || before.Request.UserAgent == "" {
		t.Fatalf("%+v", before.Request)
	}
	for _, body := range []string{`{"fields":[]}`, `{"fields":["iq"]}`, `{"field":["ip"]}`, `{"fields":"ip"}`} {
		c.problem(t, c.ask(t, "POST", "/v1/audit_entries/"+e.ID+"/redact", body).want(t, 400), sluice.CodeValidation)
	}
	other := read[api.Redaction](t, c.ask(t, "POST", "/v1/audit_entries/"+e.ID+"/redact",
		`{"fields":["forwarded_for","user_agent"]}`).want(t, 200))
	if !slices.Equal(other.Fields, []string{"/request/user_agent"}) {
		t.Errorf("%+v", other)
	}
	redaction := read[api.Redaction](t, c.ask(t, "POST", "/v1/audit_entries/"+e.ID+"/redact", "").want(t, 200))
	want := api.Redaction{Object: "audit_redaction", EntryID: e.ID, Seq: e.Seq,
		Fields: []string{"/request/client_ip", "/request/ip"}, ID: redaction.ID}
	if diff := cmp.Diff(want, redaction); diff != "" {
		t.Error(diff)
	}
	after := get(e.ID)
	if after.Request.IP != "" || after.Request.UserAgent != "" || after.File.ID != f.ID ||
		!slices.Equal(after.Redacted, []string{"/request/client_ip", "/request/ip", "/request/user_agent"}) {
		t.Errorf("%+v of %+v", after, after.Request)
	}
	told := get(redaction.ID)
	if diff := cmp.Diff(&api.EntryRef{ID: e.ID, Seq: e.Seq, Fields: want.Fields}, told.Entry); diff != "" ||
		told.Action != "audit.redacted" {
		t.Errorf("%s %s", told.Action, diff)
	}
	if diff := cmp.Diff(signed, bundle()); diff != "" {
		t.Error(diff)
	}
	disclosed := c.ask(t, "GET", "/v1/ledger/disclosures", "").want(t, 200).body
	if strings.Contains(string(disclosed), `"seq":`+strconv.FormatInt(e.Seq, 10)+",") {
		t.Errorf("it is disclosed still: %s", disclosed)
	}
	c.problem(t, c.ask(t, "POST", "/v1/audit_entries/"+e.ID+"/redact", "").want(t, 404), sluice.CodeNotFound)
	c.problem(t, c.ask(t, "POST", "/v1/audit_entries/aud_none/redact", "").want(t, 404), sluice.CodeNotFound)
}

// TestErasureOfPerson erases a person by the API: the contract of POST /v1/audit_redactions in console.md.
func TestErasureOfPerson(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mint(t, f.ID, `{"recipient":{"email":"Ann@bank.example","name":"Ann"},"message":"Dear Ann"}`)
	for body, param := range map[string]string{
		`{}`: "recipient", `{"recipient":"ann@bank.example","file_id":"` + f.ID + `"}`: "file_id",
		`{"recipient":"nobody"}`: "recipient", `{"client_ip":"999"}`: "client_ip", `{"ip":"192.0.2.1"}`: "ip",
		`{"recipient":"ann@bank.example","fields":[]}`:       "fields",
		`{"recipient":"ann@bank.example","fields":["iq"]}`:   "fields",
		`{"recipient":"ann@bank.example","fields":"ip"}`:     "fields",
		`{"recipient":"ann@bank.example","fields":[[]]}`:     "fields[0]",
		`{"recipient":"` + strings.Repeat("a", 300) + `@b"}`: "recipient",
	} {
		p := c.problem(t, c.ask(t, "POST", "/v1/audit_redactions", body).want(t, 400), sluice.CodeValidation)
		if p.Param != param {
			t.Errorf("%s: %+v", body, p)
		}
	}
	ask := func() api.Erasure {
		return read[api.Erasure](t, c.ask(t, "POST", "/v1/audit_redactions", `{"recipient":"ANN@bank.example"}`,
			"Idempotency-Key", "erase Ann").want(t, 200))
	}
	begun := ask()
	if again := ask(); again.ID != begun.ID {
		t.Errorf("a repeated request began %s beside %s", again.ID, begun.ID)
	}
	if begun.State != api.ErasureRunning || begun.By != "recipient" || begun.EndedAt != nil || begun.EntryID != "" {
		t.Errorf("%+v", begun)
	}
	if n, err := c.Erasures.Run(t.Context()); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	ended := read[api.Erasure](t, c.ask(t, "GET", "/v1/audit_redactions/"+begun.ID, "").want(t, 200))
	want := begun
	want.State, want.Entries, want.Links, want.EntryID = api.ErasureEnded, 1, 1, ended.EntryID
	want.EndedAt, want.Updated = ended.EndedAt, ended.Updated
	if diff := cmp.Diff(want, ended); diff != "" || ended.EndedAt == nil {
		t.Error(diff)
	}
	if got := read[api.Link](t, c.ask(t, "GET", "/v1/file_links/"+l.ID, "").want(t, 200)); got.Recipient != nil {
		t.Errorf("%+v", got)
	}
	told := read[api.AuditEntry](t, c.ask(t, "GET", "/v1/audit_entries/"+ended.EntryID, "").want(t, 200))
	if diff := cmp.Diff(&api.ErasureRef{ID: begun.ID, By: "recipient", Fields: begun.Fields, Entries: ptr(int64(1)),
		Links: ptr(int64(1)), Files: ptr(int64(0))}, told.Erasure); diff != "" || told.Action != "audit.erased" ||
		told.Entry.ID != begun.BegunEntryID {
		t.Errorf("%+v: %s", told, diff)
	}
	row := firstRow(t, c.ask(t, "GET", "/v1/audit_entries/export?format=csv&action=audit.erased", "").want(t, 200).body)
	if !strings.HasPrefix(row["erasure"], `{"id":"`+begun.ID) {
		t.Errorf("the CSV says %q", row["erasure"])
	}
	disclosed := c.ask(t, "GET", "/v1/ledger/disclosures", "").want(t, 200).body
	if strings.Contains(strings.ToLower(string(disclosed)), "ann") {
		t.Errorf("Ann is disclosed still: %s", disclosed)
	}
}

func TestExportEntries(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	hostile := []string{`=HYPERLINK("http://x","y")`, "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1",
		"quote \" comma , line\nbreak", "harmless"}
	for _, reason := range hostile {
		body, err := json.Marshal(map[string]string{"reason": reason})
		if err != nil {
			t.Fatal(err)
		}
		c.mint(t, f.ID, string(body))
	}
	for range 12 { // more than a page of the store
		ids := `"` + strings.Repeat(f.ID+`","`, 9) + f.ID + `"`
		c.ask(t, "POST", "/v1/file_links/batch", `{"file_ids":[`+ids+`]}`).want(t, 200)
	}

	a := c.ask(t, "GET", "/v1/audit_entries/export?action=link.created", "").want(t, 200)
	if got := a.header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("Content-Type %q", got)
	}
	var exported []api.AuditEntry
	for line := range strings.Lines(string(a.body)) {
		exported = append(exported, read[api.AuditEntry](t, answer{body: []byte(line)}))
	}
	entries := c.Entries(t, c.Ledger(sluice.Test))
	if last := entries[len(entries)-1]; last.Action != sluice.AuditExported || last.Export != service.ExportEntries {
		t.Errorf("the last entry is %+v", last)
	}
	if want := len(hostile) + 120; len(exported) != want {
		t.Fatalf("%d entries, want %d", len(exported), want)
	}
	for i, e := range exported {
		if e.Action != "link.created" || i > 0 && e.Seq >= exported[i-1].Seq {
			t.Fatalf("entry %d is %+v", i, e)
		}
	}

	a = c.ask(t, "GET", "/v1/audit_entries/export?format=csv&action=link.created", "").want(t, 200)
	if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "text/csv") {
		t.Errorf("Content-Type %q", got)
	}
	rows, err := csv.NewReader(strings.NewReader(string(a.body))).ReadAll()
	if err != nil || len(rows) != 1+len(exported) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	column := slices.Index(rows[0], "reason")
	for i, reason := range hostile {
		got := rows[len(rows)-1-i][column]
		want := reason
		if !strings.HasPrefix(reason, "quote") && reason != "harmless" {
			want = "'" + reason
		}
		if got != want {
			t.Errorf("reason %q is the cell %q", reason, got)
		}
	}
	for i, row := range rows[1:] {
		if row[0] != strconv.FormatInt(exported[i].Seq, 10) || row[1] != exported[i].ID {
			t.Fatalf("row %d is %v", i, row)
		}
	}

	one := c.ask(t, "GET", "/v1/audit_entries/export?ids="+url.QueryEscape(exported[3].ID), "").want(t, 200)
	if strings.Count(string(one.body), "\n") != 1 {
		t.Errorf("%s", one.body)
	}
	before := len(c.Entries(t, c.Ledger(sluice.Test)))
	for _, query := range []string{"?format=xml", "?limit=1", "?created=never", "?starting_after=x"} {
		c.problem(t, c.ask(t, "GET", "/v1/audit_entries/export"+query, "").want(t, 400), sluice.CodeValidation)
	}
	if after := len(c.Entries(t, c.Ledger(sluice.Test))); after != before {
		t.Errorf("%d entries tell of exports that were refused", after-before)
	}
}
