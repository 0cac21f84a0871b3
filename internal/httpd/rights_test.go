package httpd_test

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
)

// newest returns a part of the newest entry as the API shows it, without the members that every test would repeat.
func (c *client) newest(t *testing.T, part string) map[string]any {
	t.Helper()
	list := object(t, c.ask(t, "GET", "/v1/audit_entries?limit=1", "").want(t, 200))
	entry := list["data"].([]any)[0].(map[string]any)
	m, _ := entry[part].(map[string]any)
	for _, name := range []string{"id", "sha256", "size", "type", "purpose"} {
		delete(m, name)
	}
	if m != nil {
		m["action"] = entry["action"]
	}
	return m
}

func wantPart(t *testing.T, got map[string]any, want string) {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(want), &m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
}

// TestEntriesTellLimits checks that the log has the limits of a link, and the limits before a change.
func TestEntriesTellLimits(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "", "hello")
	first, then := c.Clock.Now().Unix()+60, c.Clock.Now().Unix()+120
	with := func(text string, at ...any) string { return fmt.Sprintf(text, at...) }
	l := c.mint(t, f.ID, with(`{"max_downloads":1,"password":"secret horse","allowed_ips":["192.0.2.0/24"],"reason":"audit","expires_at":%d}`, first))
	wantPart(t, c.newest(t, "link"), with(`{"action":"link.created","max_downloads":1,"has_password":true,"allowed_ips":["192.0.2.0/24"],
		"disposition":"attachment","reason":"audit","expires_at":%d}`, first))

	c.ask(t, "PATCH", "/v1/file_links/"+l.ID,
		with(`{"max_downloads":null,"allowed_ips":[],"reason":"audit","metadata":{"case":"7"},"expires_at":%d}`,
			then)).want(t, 200)
	wantPart(t, c.newest(t, "link"), with(`{"action":"link.updated","has_password":true,"disposition":"attachment","reason":"audit",
		"metadata":{"case":"7"},"expires_at":%d,
		"before":{"max_downloads":1,"allowed_ips":["192.0.2.0/24"],"metadata":null,"expires_at":%d}}`, then, first))

	c.ask(t, "DELETE", "/v1/file_links/"+l.ID, "").want(t, 200)
	wantPart(t, c.newest(t, "link"), with(`{"action":"link.revoked","has_password":true,"disposition":"attachment","reason":"audit",
		"metadata":{"case":"7"},"expires_at":%d}`, then))

	report := c.ask(t, "GET", "/v1/audit_entries/export?format=csv&action=link.updated", "").want(t, 200)
	row := firstRow(t, report.body)
	if row["link_before"] != with(`{"allowed_ips":["192.0.2.0/24"],"expires_at":%q,"max_downloads":1,"metadata":null}`,
		time.Unix(first, 0).UTC().Format(audit.EntryTime)) ||
		row["link_max_downloads"] != "" || row["link_has_password"] != "true" {
		t.Errorf("the CSV says %q", row)
	}
}

// TestEntriesTellAccess checks that the log has what a link asks of people, and what it asked before a change.
func TestEntriesTellAccess(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "", "hello")
	newest := func() map[string]any {
		m := c.newest(t, "link")
		delete(m, "expires_at")
		return m
	}
	l := c.mint(t, f.ID, `{"recipient":{"email":"ann@bank.example","name":"Ann"},
		"allowed_recipients":["bob@bank.example","*@audit.example"],"message":"Dear Ann","terms":"1.","page":"always",
		"language":"de","notify":{"email":"carl@northwind.example","on":["refused"]}}`)
	terms := func(text string) string { sum := sha256.Sum256([]byte(text)); return hex.EncodeToString(sum[:]) }
	wantPart(t, newest(), fmt.Sprintf(`{"action":"link.created","has_password":false,"disposition":"attachment",
		"recipient":{"email":"ann@bank.example","name":"Ann"},
		"allowed_recipients":["bob@bank.example","*@audit.example"],"verification":"email","message":"Dear Ann",
		"terms_sha256":%q,"page":"always","language":"de",
		"notify":{"email":"carl@northwind.example","on":["refused"]}}`, terms("1.")))
	row := firstRow(t, c.ask(t, "GET", "/v1/audit_entries/export?format=csv&action=link.created", "").want(t, 200).body)
	for name, want := range map[string]string{
		"link_recipient_email": "ann@bank.example", "link_recipient_name": "Ann", "link_verification": "email",
		"link_allowed_recipients": `["bob@bank.example","*@audit.example"]`, "link_message": "Dear Ann",
		"link_terms_sha256": terms("1."), "link_page": "always", "link_language": "de",
		"link_notify": `{"email":"carl@northwind.example","on":["refused"]}`,
	} {
		if row[name] != want {
			t.Errorf("the CSV has %s %q, want %q", name, row[name], want)
		}
	}

	c.ask(t, "PATCH", "/v1/file_links/"+l.ID, `{"allowed_recipients":["eve@bank.example"],"message":null,"terms":"2.",
		"notify":{"email":"dora@northwind.example","on":["refused"]},"page":"auto","language":null}`).want(t, 200)
	wantPart(t, newest(), fmt.Sprintf(`{"action":"link.updated","has_password":false,"disposition":"attachment",
		"recipient":{"email":"ann@bank.example","name":"Ann"},"allowed_recipients":["eve@bank.example"],
		"verification":"email","terms_sha256":%q,"notify":{"email":"dora@northwind.example","on":["refused"]},
		"before":{"allowed_recipients":["bob@bank.example","*@audit.example"],"message":"Dear Ann","terms_sha256":%q,
			"notify":{"email":"carl@northwind.example","on":["refused"]},"page":"always","language":"de"}}`,
		terms("2."), terms("1.")))
	c.ask(t, "DELETE", "/v1/file_links/"+l.ID, "").want(t, 200)
	wantPart(t, newest(), fmt.Sprintf(`{"action":"link.revoked","has_password":false,"disposition":"attachment",
		"recipient":{"email":"ann@bank.example","name":"Ann"},"allowed_recipients":["eve@bank.example"],
		"verification":"email","terms_sha256":%q,"notify":{"email":"dora@northwind.example","on":["refused"]}}`, terms("2.")))
}

// TestEntriesTellRights checks that the log has the rights of a key, and the rights before a change.
func TestEntriesTellRights(t *testing.T) {
	c := newClient(t)
	k := c.makeKey(t, `{"name":"robot","scopes":["files:read"],"max_link_lifetime":600}`)
	wantPart(t, c.newest(t, "key"),
		`{"action":"key.created","name":"robot","scopes":["files:read"],"max_link_lifetime":600}`)

	c.ask(t, "PATCH", "/v1/keys/"+k.ID,
		`{"name":"robot","scopes":["keys:admin","files:read"],"max_link_lifetime":null}`).want(t, 200)
	wantPart(t, c.newest(t, "key"), `{"action":"key.updated","name":"robot","scopes":["files:read","keys:admin"],
		"before":{"scopes":["files:read"],"max_link_lifetime":600}}`)
	row := firstRow(t, c.ask(t, "GET", "/v1/audit_entries/export?format=csv&action=key.updated", "").want(t, 200).body)
	if row["key_scopes"] != `["files:read","keys:admin"]` ||
		row["key_before"] != `{"max_link_lifetime":600,"scopes":["files:read"]}` {
		t.Errorf("the CSV says %q", row)
	}

	c.ask(t, "POST", "/v1/keys/"+k.ID+"/rotate", `{"overlap_seconds":60}`).want(t, 200)
	got := c.newest(t, "key")
	if want := float64(c.Clock.Now().Add(time.Minute).Unix()); got["old_secret_expires_at"] != want ||
		got["action"] != "key.rotated" {
		t.Errorf("the rotation says %v, want an end of %v", got, want)
	}

	c.ask(t, "DELETE", "/v1/keys/"+k.ID, "").want(t, 200)
	wantPart(t, c.newest(t, "key"), `{"action":"key.revoked","name":"robot","scopes":["files:read","keys:admin"]}`)
}

// TestEntriesTellDetails checks that a hold does not hide a new name in the same request.
func TestEntriesTellDetails(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "", "hello")
	c.ask(t, "PATCH", "/v1/files/"+f.ID,
		`{"held":true,"filename":"other.txt","title":"T","metadata":{"a":"1"},"linked_resources":[{"type":"case","id":"7"}]}`).want(t, 200)
	got := c.newest(t, "file")
	wantPart(t, got, `{"action":"file.held","filename":"other.txt","title":"T","held":true,"metadata":{"a":"1"},"linked_resources":[{"type":"case","id":"7"}],
		"before":{"filename":`+string(mustJSON(t, f.Filename))+`,"title":null,"held":false,"metadata":null,"linked_resources":null}}`)
	c.ask(t, "PATCH", "/v1/files/"+f.ID, `{"title":"","metadata":{"a":null}}`).want(t, 200)
	wantPart(t, c.newest(t, "file"), `{"action":"file.updated","filename":"other.txt","held":true,"linked_resources":[{"type":"case","id":"7"}],
		"before":{"title":"T","metadata":{"a":"1"}}}`)
	row := firstRow(t, c.ask(t, "GET", "/v1/audit_entries/export?format=csv&action=file.updated", "").want(t, 200).body)
	if row["file_before"] != `{"metadata":{"a":"1"},"title":"T"}` || row["file_held"] != "true" ||
		row["file_linked_resources"] != `[{"type":"case","id":"7"}]` {
		t.Errorf("the CSV says %q", row)
	}
}

// TestEntriesTellRetention checks that the API and the CSV have the end of a file's retention.
func TestEntriesTellRetention(t *testing.T) {
	c := newClient(t)
	c.Tampered = true // the entry is of a file that nobody uploaded
	at := c.Clock.Now().Add(time.Hour)
	e := sluice.Entry{ID: "aud_01m9sb9a0c0000000000000000", Ledger: c.Ledger(sluice.Test), Time: c.Clock.Now(),
		Action: sluice.FileCreated, Outcome: sluice.Allowed, Actor: sluice.Actor{Type: sluice.ActorCLI},
		File: audit.FileDetails(sluice.File{ID: "file_01m9sb9a0c0000000000000000", Filename: "a", Expires: at}, nil)}
	if err := c.Store.Update(t.Context(), e.Ledger, func(tx service.Tx) error { return tx.Record(e) }); err != nil {
		t.Fatal(err)
	}
	wantPart(t, c.newest(t, "file"), fmt.Sprintf(`{"action":"file.created","filename":"a","held":false,"expires_at":%d}`, at.Unix()))
	row := firstRow(t, c.ask(t, "GET", "/v1/audit_entries/export?format=csv&action=file.created", "").want(t, 200).body)
	if got, err := time.Parse(time.RFC3339, row["file_expires_at"]); err != nil || got.Unix() != at.Unix() {
		t.Errorf("the CSV says %q", row)
	}
}

// TestRedemptionsStayLean checks that the entries of redemptions leave out what the entries of changes have.
func TestRedemptionsStayLean(t *testing.T) {
	c := newClient(t)
	l := c.mint(t, c.upload(t, "a.txt", "", "hello").ID, `{"max_downloads":3}`)
	c.get(t, l.URL).want(t, 200)
	for _, e := range c.Entries(t, c.Ledger(sluice.Test)) {
		if e.Action == sluice.LinkRedeemed && (e.Link.Limits != nil || e.Key.Rights != nil || e.File.Details != nil) {
			t.Errorf("%s tells limits: %+v", e.Action, e)
		}
	}
}

func firstRow(t *testing.T, report []byte) map[string]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(string(report))).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	row := map[string]string{}
	for i, name := range rows[0] {
		row[name] = rows[1][i]
	}
	return row
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
