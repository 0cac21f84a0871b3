package httpd_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/api"
	"sluice/internal/audit"
)

// A sentence is a sentence of one of the pages that the native API grew from, and a test that it holds here. The test
// uses our names for what a page names in its own words: the four pages come from three vendors, and differ in their
// paths and their form of times.
type sentence struct {
	text  string
	holds func(t *testing.T, c client, f api.File)
}

// hold tests every sentence with a server of its own and a file.
func hold(t *testing.T, sentences []sentence) {
	for _, s := range sentences {
		t.Run(s.text, func(t *testing.T) {
			c := newClient(t)
			s.holds(t, c, c.upload(t, "a.txt", "text/plain", "hello"))
		})
	}
}

// refusal sends a request that must be refused because of param.
func (c client) refusal(t testing.TB, method, path, body, param, code string) {
	t.Helper()
	p := c.problem(t, c.ask(t, method, path, body).want(t, 400), sluice.CodeValidation)
	if len(p.Errors) != 1 || p.Errors[0].Param != param || p.Errors[0].Code != code {
		t.Errorf("%s %s: errors %+v, want %s %s", method, path, p.Errors, param, code)
	}
}

// links returns the ids in a list of links, and its page.
func (c client) links(t testing.TB, query string) (ids []string, page api.List[api.Link]) {
	t.Helper()
	page = read[api.List[api.Link]](t, c.ask(t, "GET", "/v1/file_links?"+query, "").want(t, 200))
	for _, l := range page.Data {
		ids = append(ids, l.ID)
	}
	return ids, page
}

// batch mints n links to a file and returns their ids, newest first.
func (c client) batch(t testing.TB, file string, n int) (ids []string) {
	t.Helper()
	for n > 0 {
		m := min(n, 100)
		body, err := json.Marshal(map[string]any{"file_ids": slices.Repeat([]string{file}, m)})
		if err != nil {
			t.Fatal(err)
		}
		made := read[api.LinkBatch](t, c.ask(t, "POST", "/v1/file_links/batch", string(body)).want(t, 200))
		for _, l := range made.Data {
			ids = append(ids, l.ID)
		}
		c.Clock.Advance(time.Second)
		n -= m
	}
	slices.Reverse(ids)
	return ids
}

// audit returns the entries of a link, newest first, without those of deliveries, which come in their own time.
func (c client) audit(t testing.TB, link string) []api.AuditEntry {
	t.Helper()
	list := read[api.List[api.AuditEntry]](t, c.ask(t, "GET", "/v1/audit_entries?link_id="+link, "").want(t, 200))
	return slices.DeleteFunc(list.Data, func(e api.AuditEntry) bool { return e.Action == "link.delivered" })
}

// wholeSecond sets the clock to the next second, and returns it.
func (c client) wholeSecond() int64 {
	now := c.Clock.Now()
	c.Clock.Advance(now.Truncate(time.Second).Add(time.Second).Sub(now))
	return c.Clock.Now().Unix()
}

func (c client) link(t testing.TB, id string) api.Link {
	t.Helper()
	return read[api.Link](t, c.ask(t, "GET", "/v1/file_links/"+id, "").want(t, 200))
}

func linksPath(f api.File) string { return "/v1/files/" + f.ID + "/links" }

// members returns the types of the members of a JSON object.
func members(t testing.TB, object []byte) map[string]string {
	t.Helper()
	var values map[string]any
	if err := json.Unmarshal(object, &values); err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for name, v := range values {
		types[name] = fmt.Sprintf("%T", v)
	}
	return types
}

// holdsMembers checks that an answer has every member of an example, with the same type.
func holdsMembers(t testing.TB, example string, a answer) {
	t.Helper()
	got := members(t, a.body)
	for name, want := range members(t, []byte(example)) {
		if got[name] != want {
			t.Errorf("%s is %q, want %q, in %s", name, got[name], want, a.body)
		}
	}
}

// TestCreateFileLinkPage tests the page "Create a file link" of Matter.
func TestCreateFileLinkPage(t *testing.T) {
	hold(t, []sentence{
		{"Mint a short-lived signed URL that streams the bytes of a File.", func(t *testing.T, c client, f api.File) {
			if got := c.get(t, c.mint(t, f.ID, "").URL).want(t, 200); string(got.body) != "hello" ||
				got.header.Get("Content-Type") != "text/plain" {
				t.Errorf("%q, %v", got.body, got.header)
			}
		}},
		{"file metadata (size, type, linked resources) is freely retrievable", func(t *testing.T, c client, _ api.File) {
			form := newForm(part{"purpose", "invoice"}, part{"linked_resources", `[{"type":"order","id":"6735"}]`},
				part{"file", "hello"})
			made := read[api.File](t, c.post(t, form).want(t, 201))
			_, secret := c.NewKey(t, c.Ledger(sluice.Test), sluice.FilesRead)
			before := c.state(t)
			got := read[api.File](t, c.as(secret).ask(t, "GET", "/v1/files/"+made.ID, "").want(t, 200))
			if got.Size != 5 || got.Type != "text/plain" ||
				!slices.Equal(got.LinkedResources, []api.Resource{{Type: "order", ID: "6735"}}) {
				t.Errorf("%+v", got)
			}
			c.unchanged(t, before, 0)
		}},
		{"the bytes themselves sit behind a signed-URL gate", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, "")
			for _, path := range []string{"", "/content", "/download", "/contents"} {
				if a := c.ask(t, "GET", "/v1/files/"+f.ID+path, ""); strings.Contains(string(a.body), "hello") {
					t.Errorf("%s gives the bytes to a key", path)
				}
			}
			forged := []byte(l.URL)
			for _, i := range []int{len(c.URL + "/l/"), len(forged) - 10} {
				was := forged[i]
				if forged[i] = 'A'; was == 'A' {
					forged[i] = 'B'
				}
				c.problem(t, c.get(t, string(forged)).want(t, 404), sluice.CodeNotFound)
				forged[i] = was
			}
		}},
		{"so the audit log can record exactly when and why they were accessed", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, `{"reason":"409A report for the board"}`)
			c.Clock.Advance(17 * time.Minute)
			c.get(t, l.URL).want(t, 200)
			e := c.audit(t, l.ID)[0]
			if e.Action != "link.redeemed" || e.Time != c.Clock.Now().Format(audit.EntryTime) ||
				e.Link.Reason != "409A report for the board" {
				t.Errorf("%+v", e)
			}
		}},
		{"The link's metadata is captured on the audit entry", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, `{"metadata":{"case":"4711"}}`)
			c.get(t, l.URL).want(t, 200)
			c.ask(t, "PATCH", "/v1/file_links/"+l.ID, `{"metadata":{"case":"4712"}}`).want(t, 200)
			c.ask(t, "DELETE", "/v1/file_links/"+l.ID, "").want(t, 200)
			entries := c.audit(t, l.ID)
			var got []string
			for _, e := range entries {
				got = append(got, e.Action+" "+e.Link.Metadata["case"])
			}
			want := []string{"link.revoked 4712", "link.updated 4712", "link.redeemed 4711", "link.created 4711"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}},
		{`a reviewer can answer "why did this file leave the system" three years later`,
			func(t *testing.T, c client, f api.File) {
				l := c.mint(t, f.ID, `{"reason":"annual accounts","metadata":{"accountant":"external"}}`)
				c.get(t, l.URL).want(t, 200)
				c.ask(t, "DELETE", "/v1/files/"+f.ID, "").want(t, 200)
				c.Clock.Advance(3 * 365 * 24 * time.Hour)
				list := read[api.List[api.AuditEntry]](t,
					c.ask(t, "GET", "/v1/audit_entries?action=link.redeemed&file_id="+f.ID, "").want(t, 200))
				if len(list.Data) != 1 {
					t.Fatalf("%+v", list)
				}
				e := list.Data[0]
				if e.File.Filename != "a.txt" || e.File.SHA256 != hello || e.Link.Reason != "annual accounts" ||
					e.Link.Metadata["accountant"] != "external" || e.Key.ID != c.Key.ID {
					t.Errorf("%+v", e)
				}
			}},
		{"Default expiry - expires_in_seconds defaults to 3600 (1 hour).", func(t *testing.T, c client, f api.File) {
			now := c.Clock.Now().Unix()
			for _, body := range []string{"", "{}", `{"metadata":{}}`} {
				if l := c.mint(t, f.ID, body); *l.ExpiresAt != now+3600 {
					t.Errorf("%s: expires at %d, want %d", body, *l.ExpiresAt, now+3600)
				}
			}
		}},
		{"Maximum is 86400 (24 hours).", func(t *testing.T, c client, f api.File) {
			if l := c.mint(t, f.ID, `{"expires_in_seconds":86400}`); *l.ExpiresAt != c.Clock.Now().Unix()+86400 {
				t.Errorf("%+v", l)
			}
			c.refusal(t, "POST", linksPath(f), `{"expires_in_seconds":86401}`, "expires_in_seconds", "out_of_range")
		}},
		{"Past the expiry, the URL returns 410 Gone.", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, `{"expires_in_seconds":60}`)
			c.Clock.Advance(time.Minute - time.Microsecond)
			c.get(t, l.URL).want(t, 200)
			c.Clock.Advance(time.Microsecond)
			if p := c.problem(t, c.get(t, l.URL).want(t, 410), sluice.CodeGone); p.Reason != "expired" {
				t.Errorf("%+v", p)
			}
		}},
		{"For bytes that need indefinite hosting (a public-facing PDF, a reference document on a customer site), re-issue links", func(t *testing.T, c client, f api.File) {
			old := c.mint(t, f.ID, `{"expires_in_seconds":86400}`)
			c.Clock.Advance(24 * time.Hour)
			c.get(t, old.URL).want(t, 410)
			c.get(t, c.mint(t, f.ID, `{"expires_in_seconds":86400}`).URL).want(t, 200)
			c.get(t, old.URL).want(t, 410)
		}},
		{"Matter intentionally rejects long-lived URLs.", func(t *testing.T, c client, f api.File) {
			c.refusal(t, "POST", linksPath(f), `{"expires_in_seconds":"none"}`, "expires_at", "out_of_range")
			now := c.Clock.Now().Unix()
			c.refusal(t, "POST", linksPath(f), fmt.Sprintf(`{"expires_at":%d}`, now+86402), "expires_at", "out_of_range")
			l := c.mint(t, f.ID, "")
			c.Clock.Advance(30 * time.Minute)
			path := "/v1/file_links/" + l.ID
			c.refusal(t, "PATCH", path, `{"expires_in_seconds":86400}`, "expires_in_seconds", "out_of_range")
			c.refusal(t, "PATCH", path, `{"expires_at":null}`, "expires_at", "out_of_range")
		}},
		{"Returns 200 OK with the signed url in the response body.", func(t *testing.T, c client, f api.File) {
			a := c.ask(t, "POST", linksPath(f), `{"expires_in_seconds":3600,"metadata":{}}`).want(t, 200)
			c.get(t, read[api.Link](t, a).URL).want(t, 200)
		}},
		{"The link is single-purpose; mint a fresh one for each new audience or use case so the audit log accurately attributes access.", func(t *testing.T, c client, f api.File) {
			auditor, counsel := c.mint(t, f.ID, `{"reason":"auditor"}`), c.mint(t, f.ID, `{"reason":"counsel"}`)
			if auditor.URL == counsel.URL || auditor.ID == counsel.ID {
				t.Fatal("two links are one")
			}
			c.get(t, counsel.URL).want(t, 200)
			for l, want := range map[string]int{auditor.ID: 1, counsel.ID: 2} {
				if got := c.audit(t, l); len(got) != want || want == 2 &&
					(got[0].Actor != api.Actor{Type: "bearer", ID: l} || got[0].Link.Reason != "counsel") {
					t.Errorf("%+v", got)
				}
			}
		}},
		{"expires_in_seconds integer Optional", func(t *testing.T, c client, f api.File) {
			c.mint(t, f.ID, `{"metadata":{}}`)
			for _, value := range []string{`"3600"`, "1.5", "true", "[60]"} {
				c.refusal(t, "POST", linksPath(f), `{"expires_in_seconds":`+value+`}`, "expires_in_seconds", "invalid")
			}
			for _, value := range []string{"0", "-1"} {
				c.refusal(t, "POST", linksPath(f), `{"expires_in_seconds":`+value+`}`, "expires_in_seconds", "out_of_range")
			}
		}},
		{"metadata object Optional", func(t *testing.T, c client, f api.File) {
			if a := c.ask(t, "POST", linksPath(f), `{"expires_in_seconds":60}`).want(t, 200); !strings.Contains(string(a.body),
				`"metadata":{}`) {
				t.Errorf("%s", a.body)
			}
			c.refusal(t, "POST", linksPath(f), `{"metadata":"a=b"}`, "metadata", "invalid")
		}},
		{"Flat string-to-string map.", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, `{"metadata":{"a":"1","b":"<ü \u0022>"}}`)
			if diff := cmp.Diff(map[string]string{"a": "1", "b": `<ü ">`}, c.link(t, l.ID).Metadata); diff != "" {
				t.Error(diff)
			}
			for _, value := range []string{"1", "true", `{"b":"c"}`, `["b"]`} {
				c.refusal(t, "POST", linksPath(f), `{"metadata":{"a":`+value+`}}`, "metadata.a", "invalid")
			}
		}},
		{"Up to 50 keys.", func(t *testing.T, c client, f api.File) {
			if l := c.mint(t, f.ID, `{"metadata":`+manyKeys(50)+`}`); len(l.Metadata) != 50 {
				t.Errorf("%d keys", len(l.Metadata))
			}
			c.refusal(t, "POST", linksPath(f), `{"metadata":`+manyKeys(51)+`}`, "metadata", "too_many")
		}},
		{"Keys: max 40 chars", func(t *testing.T, c client, f api.File) {
			k := strings.Repeat("k", 40)
			c.mint(t, f.ID, `{"metadata":{"`+k+`":"v"}}`)
			c.refusal(t, "POST", linksPath(f), `{"metadata":{"`+k+`k":"v"}}`, "metadata."+k, "invalid")
		}},
		{`charset [A-Za-z0-9_\-.]`, func(t *testing.T, c client, f api.File) {
			for r := ' '; r < 0x180; r++ {
				k := string(r)
				body, err := json.Marshal(map[string]any{"metadata": map[string]string{k: "v"}})
				if err != nil {
					t.Fatal(err)
				}
				want := 400
				if strings.Contains("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.", k) {
					want = 200
				}
				if got := c.ask(t, "POST", linksPath(f), string(body)); got.status != want {
					t.Errorf("key %q: %d, want %d: %s", k, got.status, want, got.body)
				}
			}
		}},
		{"Values: max 500 chars.", func(t *testing.T, c client, f api.File) {
			for _, char := range []string{"x", "ü", "\U0001F4C4"} {
				v := strings.Repeat(char, 500)
				if l := c.mint(t, f.ID, `{"metadata":{"a":"`+v+`"}}`); l.Metadata["a"] != v {
					t.Errorf("500 of %q did not come back", char)
				}
				c.refusal(t, "POST", linksPath(f), `{"metadata":{"a":"`+v+char+`"}}`, "metadata.a", "too_long")
			}
		}},
		{"Keys prefixed matter_ are reserved for platform use.", func(t *testing.T, c client, f api.File) { // ours is sluice_
			for _, k := range []string{"sluice_", "sluice_id"} {
				c.refusal(t, "POST", linksPath(f), `{"metadata":{"`+k+`":"v"}}`, "metadata."+k, "reserved")
			}
			c.mint(t, f.ID, `{"metadata":{"matter_id":"v","sluice":"v","my_sluice_id":"v"}}`)
		}},
		{"Metadata is retrievable but not filterable via query params.", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, `{"metadata":{"a":"1"}}`)
			if got := c.link(t, l.ID); got.Metadata["a"] != "1" {
				t.Errorf("%+v", got)
			}
			for param, query := range map[string]string{"metadata[a]": "metadata%5Ba%5D=1", "metadata": "metadata=a",
				"a": "a=1"} {
				c.refusal(t, "GET", "/v1/file_links?"+query, "", param, "unknown")
			}
		}},
		{"Response Body application/json", func(t *testing.T, c client, f api.File) {
			a := c.ask(t, "POST", linksPath(f), "").want(t, 200)
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type %q", got)
			}
			holdsMembers(t, `{"id": "string", "object": "file_link", "file_id": "string", "url": "https://your.app/webhooks/matter",
				"expires_at": 1745539200, "metadata": {}, "created": 1745539200, "livemode": false}`, a)
			if l := read[api.Link](t, a); l.Object != "file_link" || l.FileID != f.ID || l.Livemode ||
				l.Created != c.Clock.Now().Unix() {
				t.Errorf("%+v", l)
			}
		}},
		{"livemode", func(t *testing.T, c client, _ api.File) {
			_, secret := c.NewKey(t, c.Ledger(sluice.Live))
			c = c.as(secret)
			if l := c.mint(t, c.upload(t, "a.txt", "text/plain", "hello").ID, ""); !l.Livemode {
				t.Errorf("%+v", l)
			}
		}},
		{"No entity with id `ent_Nq3KcAbc` is visible to this token.", func(t *testing.T, c client, _ api.File) {
			const none = "file_01kjvktdcjb8swve6173hgcvk1"
			a := c.ask(t, "POST", "/v1/files/"+none+"/links", `{}`).want(t, 404)
			holdsMembers(t, `{"type": "https://mattermode.com/docs/errors/not_found", "title": "Not found", "status": 404, "code": "not_found",
				"detail": "", "doc_url": "https://mattermode.com/docs/guides/errors#not_found", "request_id": "req_Qw9xYz8A"}`, a)
			p := c.problem(t, a, sluice.CodeNotFound)
			if !strings.Contains(p.Detail, none) || p.Type != c.URL+"/docs/errors/not_found" ||
				!strings.HasPrefix(p.RequestID, "req_") {
				t.Errorf("%+v", p)
			}
			// A file of the other mode is as invisible as one that never existed.
			_, secret := c.NewKey(t, c.Ledger(sluice.Live))
			other := c.as(secret).upload(t, "a.txt", "text/plain", "hello")
			c.problem(t, c.ask(t, "POST", linksPath(other), `{}`).want(t, 404), sluice.CodeNotFound)
		}},
		{"Idempotency-Key", func(t *testing.T, c client, f api.File) {
			const key = "ee7c3a9b-3f1a-4d8e-9b2a-7c5e1f0a2d4b"
			ask := func(body string) answer { return c.ask(t, "POST", linksPath(f), body, "Idempotency-Key", key) }
			first, second := ask(`{"metadata":{}}`).want(t, 200), ask(`{"metadata":{}}`).want(t, 200)
			if string(first.body) != string(second.body) || second.header.Get("Idempotency-Replayed") != "true" ||
				len(c.linksOf(t, f.ID)) != 1 {
				t.Errorf("%s\n%s", first.body, second.body)
			}
			c.problem(t, ask(`{"expires_in_seconds":60}`).want(t, 409), sluice.CodeIdempotencyReused)
		}},
		{"Matter-Version", func(t *testing.T, c client, f api.File) {
			c.ask(t, "POST", linksPath(f), "", "Matter-Version", "2026-06-10").want(t, 200) // not ours, so nothing to us
			if a := c.ask(t, "POST", linksPath(f), "", "Sluice-Version", sluice.APIVersion).want(t,
				200); a.header.Get("Sluice-Version") != sluice.APIVersion {
				t.Errorf("%v", a.header)
			}
			c.problem(t, c.ask(t, "POST", linksPath(f), "", "Sluice-Version", "1999-01-01").want(t, 400), sluice.CodeValidation)
		}},
	})
}

// TestFileLinksPage tests the page "File Links" of Metorial.
func TestFileLinksPage(t *testing.T) {
	unknownFile := func(method string) func(*testing.T, client, api.File) {
		return func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, "")
			other := c.upload(t, "b.txt", "text/plain", "other")
			path, body := "/links", ""
			if method != "GET" && method != "LIST" && method != "POST" {
				path, body = "/links/"+l.ID, "{}"
			}
			if method == "DELETE" {
				body = ""
			}
			verb := strings.Replace(method, "LIST", "GET", 1)
			if method == "GET" {
				path = "/links/" + l.ID
			}
			c.problem(t, c.ask(t, verb, "/v1/files/file_01kjvktdcjb8swve6173hgcvk1"+path, body).want(t, 404),
				sluice.CodeNotFound)
			if strings.Contains(path, l.ID) {
				c.problem(t, c.ask(t, verb, "/v1/files/"+other.ID+path, body).want(t, 404), sluice.CodeNotFound)
				c.problem(t, c.ask(t, verb, linksPath(f)+"/link_01kjvktdcjb8swve6173hgcvk1", body).want(t, 404),
					sluice.CodeNotFound)
			}
			if got := c.link(t, l.ID); !cmp.Equal(got, l) {
				t.Error(cmp.Diff(l, got))
			}
			c.ask(t, verb, "/v1/files/"+f.ID+path, body).want(t, 200)
		}
	}
	hold(t, []sentence{
		{"Files are private by default.", func(t *testing.T, c client, f api.File) {
			c.problem(t, c.get(t, c.URL+"/v1/files/"+f.ID).want(t, 401), sluice.CodeUnauthenticated)
			c.problem(t, c.get(t, c.URL+"/l/"+f.ID).want(t, 404), sluice.CodeNotFound)
			if links := c.linksOf(t, f.ID); len(links) != 0 {
				t.Errorf("%+v", links)
			}
			other := c.NewAccount(t, "other")
			_, secret := c.NewKey(t, sluice.LedgerID{Account: other.ID, Mode: sluice.Test})
			c.problem(t, c.as(secret).ask(t, "GET", "/v1/files/"+f.ID, "").want(t, 404), sluice.CodeNotFound)
		}},
		{"Links are public and do not require authentication to access, so be careful with what you share.",
			func(t *testing.T, c client, f api.File) {
				if got := c.get(t, c.mint(t, f.ID, "").URL).want(t, 200); string(got.body) != "hello" {
					t.Errorf("%q", got.body)
				}
			}},
		{`"status": "active", "file_name", "file_size", "file_type", "title", "purpose", "created_at", "updated_at"`,
			func(t *testing.T, c client, _ api.File) {
				f := newForm(part{"purpose", "logo"}, part{"title", "Sample Image"})
				f.file("sample.png", "image/png", "123456")
				got := read[api.File](t, c.post(t, f).want(t, 201))
				now := c.Clock.Now().Unix()
				if got.Status != "active" || got.Filename != "sample.png" || got.Size != 6 || got.Type != "image/png" ||
					*got.Title != "Sample Image" ||
					got.Purpose != "logo" || got.Created != now || got.Updated != now {
					t.Errorf("%+v", got)
				}
			}},
		{`"pagination": {"has_more_before": false,"has_more_after": false}`, func(t *testing.T, c client, f api.File) {
			ids := c.batch(t, f.ID, 3)
			pages := map[string]string{ // its query: has_more, and the relations of the pages beside it
				"limit=3":                          "false ",
				"limit=2":                          "true next",
				"limit=1&starting_after=" + ids[0]: "true next prev",
				"limit=1&starting_after=" + ids[1]: "false prev",
				"limit=1&ending_before=" + ids[1]:  "false next",
				"limit=1&ending_before=" + ids[2]:  "true next prev",
			}
			for query, want := range pages {
				a := c.ask(t, "GET", linksPath(f)+"?"+query, "").want(t, 200)
				var rels []string
				for rel := range beside(a) {
					rels = append(rels, rel)
				}
				slices.Sort(rels)
				if got := fmt.Sprint(read[api.List[api.Link]](t, a).HasMore, " ", strings.Join(rels, " ")); got != want {
					t.Errorf("%s: %q, want %q", query, got, want)
				}
			}
		}},
		{"Returns a list of links associated with a specific file.", func(t *testing.T, c client, f api.File) {
			other := c.upload(t, "b.txt", "text/plain", "other")
			c.mint(t, other.ID, "")
			l := c.mint(t, f.ID, "")
			if got := c.linksOf(t, f.ID); !cmp.Equal(got, []api.Link{l}) {
				t.Error(cmp.Diff(got, []api.Link{l}))
			}
		}},
		{"List file links: file_id The unique identifier for the file", unknownFile("LIST")},
		{"Retrieves the details of a specific file link by its ID.", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, `{"reason":"r","metadata":{"a":"1"},"expires_in_seconds":60}`)
			if got := read[api.Link](t, c.ask(t, "GET", linksPath(f)+"/"+l.ID, "").want(t, 200)); !cmp.Equal(got, l) {
				t.Error(cmp.Diff(got, l))
			}
		}},
		{"Get file link by ID: file_id, link_id The unique identifier for the link", unknownFile("GET")},
		{"Creates a new link for a specific file.", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, "{}")
			if got := c.linksOf(t, f.ID); len(got) != 1 || got[0].ID != l.ID || l.FileID != f.ID {
				t.Errorf("%+v", got)
			}
		}},
		{"Create file link: file_id The unique identifier for the file", unknownFile("POST")},
		{"Create file link: expires_at Date Optional", func(t *testing.T, c client, f api.File) {
			at := c.Clock.Now().Unix() + 600
			l := c.mint(t, f.ID, fmt.Sprintf(`{"expires_at":%d}`, at))
			if *l.ExpiresAt != at || *c.link(t, l.ID).ExpiresAt != at {
				t.Errorf("%+v", l)
			}
			c.mint(t, f.ID, "{}")
		}},
		{"Updates a file link's properties, such as expiration.", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, `{"reason":"r","metadata":{"a":"1","b":"2"}}`)
			c.Clock.Advance(time.Minute)
			got := read[api.Link](t, c.ask(t, "PATCH", linksPath(f)+"/"+l.ID,
				`{"expires_in_seconds":60,"metadata":{"b":null,"c":"3"},"max_downloads":2}`).want(t, 200))
			want := l
			want.Updated, want.ExpiresAt = l.Created+60, ptr(l.Created+120)
			want.Metadata, want.MaxDownloads = map[string]string{"a": "1", "c": "3"}, ptr(int64(2))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(want, c.link(t, l.ID)); diff != "" {
				t.Error(diff)
			}
			c.Clock.Advance(time.Minute)
			c.get(t, l.URL).want(t, 410)
		}},
		{"Update file link by ID: file_id, link_id The unique identifier for the link", unknownFile("PATCH")},
		{"Update file link by ID: expires_at Date Optional", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, "")
			at := *l.ExpiresAt + 60
			for _, body := range []string{fmt.Sprintf(`{"expires_at":%d}`, at), "{}"} {
				if got := read[api.Link](t, c.ask(t, "PATCH", linksPath(f)+"/"+l.ID, body).want(t, 200)); *got.ExpiresAt != at {
					t.Errorf("%+v", got)
				}
			}
		}},
		{"Deletes a specific file link by its ID.", func(t *testing.T, c client, f api.File) {
			l, kept := c.mint(t, f.ID, ""), c.mint(t, f.ID, "")
			got := read[api.Deleted](t, c.ask(t, "DELETE", linksPath(f)+"/"+l.ID, "").want(t, 200))
			if got != (api.Deleted{ID: l.ID, Object: "file_link", Deleted: true}) {
				t.Errorf("%+v", got)
			}
			c.get(t, l.URL).want(t, 410)
			c.get(t, kept.URL).want(t, 200)
			if links := c.linksOf(t, f.ID); len(links) != 1 || links[0].ID != kept.ID {
				t.Errorf("%+v", links)
			}
		}},
		{"Delete file link by ID: file_id, link_id The unique identifier for the link", unknownFile("DELETE")},
	})
}

// TestFilesPage tests the page "Files" of Metorial.
func TestFilesPage(t *testing.T) {
	hold(t, []sentence{
		{"Files are used to store binary data, such as documents, images, or other media.",
			func(t *testing.T, c client, _ api.File) {
				data := make([]byte, 1<<16)
				for i := range data {
					data[i] = byte(i * i >> 3)
				}
				f := c.upload(t, "a.bin", "application/octet-stream", string(data))
				if got := c.get(t, c.mint(t, f.ID, "").URL).want(t, 200); string(got.body) != string(data) {
					t.Errorf("%d bytes came back, or others", len(got.body))
				}
			}},
		{"id: A unique identifier for the file, used to reference the file across the API.",
			func(t *testing.T, c client, f api.File) {
				other := c.upload(t, "a.txt", "text/plain", "hello")
				l := c.mint(t, f.ID, "")
				if other.ID == f.ID || l.FileID != f.ID || c.audit(t, l.ID)[0].File.ID != f.ID {
					t.Errorf("%s, %s, %+v", f.ID, other.ID, l)
				}
			}},
		{"purpose: Defines the purpose of the file. This determines how and where the file will be used.",
			func(t *testing.T, c client, _ api.File) {
				f := read[api.File](t, c.post(t, fileOf("import", "a.csv", "text/csv", "a,b")).want(t, 201))
				if f.Purpose != "import" {
					t.Errorf("%+v", f)
				}
				c.problem(t, c.ask(t, "POST", linksPath(f), "").want(t, 403), sluice.CodeForbidden)
				c.problem(t, c.post(t, fileOf("logo", "a.csv", "text/csv", "a,b")).want(t, 415), sluice.CodeUnsupportedType)
				c.problem(t, c.post(t, fileOf("nonesuch", "a.csv", "text/csv", "a,b")).want(t, 400), sluice.CodeValidation)
			}},
		{"name: The human-readable name of the file, typically provided during upload.",
			func(t *testing.T, c client, _ api.File) {
				if f := c.upload(t, "Überblick 2026 (final).txt", "text/plain", "x"); f.Filename != "Überblick 2026 (final).txt" {
					t.Errorf("%+v", f)
				}
			}},
		{"size: The size of the file in bytes, representing the file's storage requirement.",
			func(t *testing.T, c client, _ api.File) {
				for _, n := range []int{0, 1, 1024, 70000} {
					if f := c.upload(t, "a.txt", "text/plain", strings.Repeat("x", n)); f.Size != int64(n) {
						t.Errorf("size %d, want %d", f.Size, n)
					}
				}
			}},
		{`mime_type: The MIME type of the file, indicating its format (e.g., "text/plain" for plain text files).`,
			func(t *testing.T, c client, f api.File) {
				if f.Type != "text/plain" {
					t.Errorf("%+v", f)
				}
				if f := c.upload(t, "a.pdf", "application/pdf", "x"); f.Type != "application/pdf" {
					t.Errorf("%+v", f)
				}
			}},
		{"created_at: The date and time when the file was created", func(t *testing.T, c client, _ api.File) {
			c.Clock.Advance(time.Hour)
			if f := c.upload(t, "a.txt", "text/plain", "x"); f.Created != c.Clock.Now().Unix() {
				t.Errorf("%+v", f)
			}
		}},
		{"Retrieve a list of all files, optionally filtered by various criteria.", func(t *testing.T, c client, f api.File) {
			c.Clock.Advance(time.Second)
			second := c.upload(t, "b.txt", "text/plain", "hello")
			c.filesAre(t, "", second.ID, f.ID)
			c.filesAre(t, "filename=b.txt", second.ID)
			c.filesAre(t, "filename=b.txt&type=text/plain&size=5&sha256="+hello, second.ID)
		}},
		{"Filter files by their unique identifiers.", func(t *testing.T, c client, f api.File) {
			c.Clock.Advance(time.Second)
			second := c.upload(t, "b.txt", "text/plain", "hello")
			c.filesAre(t, "ids="+f.ID, f.ID)
			c.filesAre(t, "ids="+f.ID+"&ids="+second.ID, second.ID, f.ID)
			c.filesAre(t, "ids=file_01kjvktdcjb8swve6173hgcvk1")
		}},
		{"Filter files based on their creation date.", func(t *testing.T, c client, f api.File) {
			c.Clock.Advance(time.Hour)
			second := c.upload(t, "b.txt", "text/plain", "hello")
			c.filesAre(t, fmt.Sprint("created=", f.Created), f.ID)
			c.filesAre(t, fmt.Sprint("created[gt]=", f.Created), second.ID)
			c.filesAre(t, fmt.Sprint("created[gte]=", f.Created), second.ID, f.ID)
			c.filesAre(t, fmt.Sprint("created[lt]=", second.Created), f.ID)
			c.filesAre(t, fmt.Sprint("created[lte]=", second.Created, "&created[gt]=", f.Created), second.ID)
		}},
		{"Filter files by their designated purpose.", func(t *testing.T, c client, f api.File) {
			logo := read[api.File](t, c.post(t, fileOf("logo", "a.png", "image/png", "x")).want(t, 201))
			c.filesAre(t, "purpose=logo", logo.ID)
			c.filesAre(t, "purpose=generic", f.ID)
			c.filesAre(t, "purpose=invoice")
		}},
		{"Retrieve details of a specific file by its unique identifier.", func(t *testing.T, c client, f api.File) {
			if got := read[api.File](t, c.ask(t, "GET", "/v1/files/"+f.ID, "").want(t, 200)); !cmp.Equal(got, f) {
				t.Error(cmp.Diff(got, f))
			}
			c.problem(t, c.ask(t, "GET", "/v1/files/file_01kjvktdcjb8swve6173hgcvk1", "").want(t, 404), sluice.CodeNotFound)
		}},
		{"Retrieve a downloadable link for a specific file by its unique identifier.",
			func(t *testing.T, c client, f api.File) {
				c.get(t, c.mint(t, f.ID, "").URL).want(t, 200)
			}},
		{"After the file is uploaded it it can be referenced by its unique identifier in other API calls.",
			func(t *testing.T, c client, f api.File) {
				c.ask(t, "PATCH", "/v1/files/"+f.ID, `{"title":"t"}`).want(t, 200)
				c.ask(t, "POST", "/v1/file_links", `{"file_id":"`+f.ID+`"}`).want(t, 200)
				c.ask(t, "DELETE", "/v1/files/"+f.ID, "").want(t, 200)
			}},
		{"you should use Multipart Form Data for the request body", func(t *testing.T, c client, _ api.File) {
			f := read[api.File](t, c.post(t, newForm(part{"purpose", "attachment"}, part{"file", "hello"})).want(t, 201))
			if f.Filename != "a.txt" || f.SHA256 != hello {
				t.Errorf("%+v", f)
			}
		}},
		{"purpose: Defines how the file will be used.", func(t *testing.T, c client, _ api.File) {
			before := c.state(t)
			p := c.problem(t, c.post(t, newForm(part{"file", "hello"})).want(t, 400), sluice.CodeValidation)
			if p.Param != "purpose" {
				t.Errorf("%+v", p)
			}
			c.unchanged(t, before, 0)
		}},
		{"file: The binary data of the file to be uploaded.", func(t *testing.T, c client, _ api.File) {
			before := c.state(t)
			p := c.problem(t, c.post(t, newForm(part{"purpose", "attachment"})).want(t, 400), sluice.CodeValidation)
			if p.Param != "file" {
				t.Errorf("%+v", p)
			}
			c.unchanged(t, before, 0)
		}},
	})
}

// filesAre checks that a list of files has exactly these, in this order.
func (c client) filesAre(t *testing.T, query string, want ...string) {
	t.Helper()
	var got []string
	for _, f := range read[api.List[api.File]](t, c.ask(t, "GET", "/v1/files?"+query, "").want(t, 200)).Data {
		got = append(got, f.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", query, got, want)
	}
}

// linksAre checks that a list of links has exactly these, in this order.
func (c client) linksAre(t *testing.T, query string, want ...string) {
	t.Helper()
	if got, _ := c.links(t, query); !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", query, got, want)
	}
}

// TestFileLinkResourcePage tests the page "File Links" of Digital River.
func TestFileLinkResourcePage(t *testing.T) {
	const none = "link_01kjvktdcjb8swve6173hgcvk1"
	hold(t, []sentence{
		{"share the contents of a File object with customers by generating a unique URL",
			func(t *testing.T, c client, f api.File) {
				seen := map[string]bool{}
				ids := c.batch(t, f.ID, 100)
				for _, l := range c.linksOf(t, f.ID) {
					seen[l.URL] = true
				}
				if len(ids) != 100 || len(seen) != 100 {
					t.Errorf("%d links have %d URLs", len(ids), len(seen))
				}
			}},
		{"This URL allows customers to access the file's content without requiring authentication.",
			func(t *testing.T, c client, f api.File) {
				if got := c.get(t, c.mint(t, f.ID, "").URL).want(t, 200); string(got.body) != "hello" {
					t.Errorf("%q", got.body)
				}
			}},
		{"Gets all the file links specified in the request.", func(t *testing.T, c client, f api.File) {
			ids := c.batch(t, f.ID, 3)
			_, page := c.links(t, "")
			if page.Object != "list" || page.URL != "/v1/file_links" || page.HasMore || page.NextCursor != nil {
				t.Errorf("%+v", page)
			}
			c.linksAre(t, "", ids...)
		}},
		{"createdTime: a string with an ISO-8601 UTC format datetime", func(t *testing.T, c client, f api.File) {
			first := c.mint(t, f.ID, "")
			at := c.Clock.Now().UTC().Format(time.RFC3339)
			c.Clock.Advance(time.Second)
			c.mint(t, f.ID, "")
			c.linksAre(t, "created="+at, first.ID)
			c.linksAre(t, "created=2020-09-22T12:09:44Z")
		}},
		{"or it can be a dictionary with the following options: createdTime[gt]=2020-09-22T12:09:44Z",
			func(t *testing.T, c client, f api.File) {
				var ids, at []string
				for range 3 {
					ids, at = append(ids, c.mint(t, f.ID, "").ID),
						append(at, url.QueryEscape(c.Clock.Now().UTC().Format(time.RFC3339)))
					c.Clock.Advance(time.Second)
				}
				c.linksAre(t, "created[gt]=2020-09-22T12:09:44Z", ids[2], ids[1], ids[0])
				c.linksAre(t, "created[gt]="+at[1], ids[2])
				c.linksAre(t, "created[gte]="+at[1], ids[2], ids[1])
				c.linksAre(t, "created[lt]="+at[1], ids[0])
				c.linksAre(t, "created[lte]="+at[1], ids[1], ids[0])
				c.linksAre(t, "created[gt]="+at[0]+"&created[lt]="+at[2], ids[1])
				c.refusal(t, "GET", "/v1/file_links?created[gt]=yesterday", "", "created[gt]", "invalid")
			}},
		{"your subsequent calls can include endingBefore=xyz in order to fetch the previous page of the list",
			func(t *testing.T, c client, f api.File) {
				ids := c.batch(t, f.ID, 230)
				c.linksAre(t, "limit=100&ending_before="+ids[200], ids[100:200]...)
				c.linksAre(t, "limit=100&ending_before="+ids[100], ids[:100]...)
				c.linksAre(t, "limit=100&ending_before="+ids[0])
				c.refusal(t, "GET", "/v1/file_links?ending_before="+none, "", "ending_before", "invalid")
			}},
		{"your subsequent calls can include startingAfter=xyz in order to fetch the next page of the list",
			func(t *testing.T, c client, f api.File) {
				ids := c.batch(t, f.ID, 230)
				c.linksAre(t, "limit=100", ids[:100]...)
				c.linksAre(t, "limit=100&starting_after="+ids[99], ids[100:200]...)
				c.linksAre(t, "limit=100&starting_after="+ids[199], ids[200:]...)
				c.linksAre(t, "limit=100&starting_after="+ids[229])
				c.ask(t, "DELETE", "/v1/file_links/"+ids[99], "").want(t, 200)
				c.linksAre(t, "limit=100&starting_after="+ids[99], ids[100:200]...)
				c.refusal(t, "GET", "/v1/file_links?starting_after="+none, "", "starting_after", "invalid")
			}},
		{"Limit can range between 1 and 100, and the default is 10.", func(t *testing.T, c client, f api.File) {
			ids := c.batch(t, f.ID, 101)
			c.linksAre(t, "", ids[:10]...)
			c.linksAre(t, "limit=1", ids[0])
			c.linksAre(t, "limit=100", ids[:100]...)
			for _, n := range []string{"0", "101", "-1"} {
				c.refusal(t, "GET", "/v1/file_links?limit="+n, "", "limit", "out_of_range")
			}
		}},
		{"Only return objects with these IDs.", func(t *testing.T, c client, f api.File) {
			ids := c.batch(t, f.ID, 4)
			c.linksAre(t, "ids="+ids[3]+"&ids="+ids[1], ids[1], ids[3])
			c.linksAre(t, "ids="+ids[3]+","+ids[1]+","+none, ids[1], ids[3])
			c.linksAre(t, "ids="+none)
		}},
		{"Only return links with this file identifier.", func(t *testing.T, c client, f api.File) {
			other := c.upload(t, "b.txt", "text/plain", "other")
			c.mint(t, f.ID, "")
			c.linksAre(t, "file_id="+other.ID)
			c.linksAre(t, "file_id="+other.ID, c.batch(t, other.ID, 2)...)
		}},
		{"Filter links by expired state. By default, all links are returned.", func(t *testing.T, c client, f api.File) {
			short := c.mint(t, f.ID, `{"expires_in_seconds":60}`)
			c.Clock.Advance(time.Second)
			long := c.mint(t, f.ID, `{"expires_in_seconds":600}`)
			c.linksAre(t, "expired=true")
			c.linksAre(t, "expired=false", long.ID, short.ID)
			c.Clock.Advance(time.Minute)
			c.linksAre(t, "expired=true", short.ID)
			c.linksAre(t, "expired=false", long.ID)
			c.linksAre(t, "", long.ID, short.ID)
			c.refusal(t, "GET", "/v1/file_links?expired=maybe", "", "expired", "invalid")
		}},
		{"Creates a new file link object.", func(t *testing.T, c client, f api.File) {
			l := read[api.Link](t, c.ask(t, "POST", "/v1/file_links", `{"file_id":"`+f.ID+`"}`).want(t, 200))
			if l.Object != "file_link" || l.FileID != f.ID {
				t.Errorf("%+v", l)
			}
			c.linksAre(t, "", l.ID)
		}},
		{"The identifier of the file to create a link to.", func(t *testing.T, c client, _ api.File) {
			c.refusal(t, "POST", "/v1/file_links", `{}`, "file_id", "required")
			c.problem(t, c.ask(t, "POST", "/v1/file_links", `{"file_id":"file_b9bb0bce-c20e-4519-945e-45983a1b239b"}`).want(t,
				404), sluice.CodeNotFound)
		}},
		{"Create: A future timestamp, after which the link will no longer be usable.",
			func(t *testing.T, c client, f api.File) {
				now := c.wholeSecond()
				for _, at := range []int64{now, now - 1, 0} {
					c.refusal(t, "POST", "/v1/file_links", fmt.Sprintf(`{"file_id":%q,"expires_at":%d}`, f.ID, at), "expires_at",
						"out_of_range")
				}
				l := read[api.Link](t, c.ask(t, "POST", "/v1/file_links",
					fmt.Sprintf(`{"file_id":%q,"expires_at":%d}`, f.ID, now+2)).want(t, 200))
				c.get(t, l.URL).want(t, 200)
				c.Clock.Advance(2 * time.Second)
				c.get(t, l.URL).want(t, 410)
			}},
		{"Retrieves the details of a file link. You must supply the unique identifier of the file link.",
			func(t *testing.T, c client, f api.File) {
				l := c.mint(t, f.ID, `{"reason":"r"}`)
				if got := c.link(t, l.ID); !cmp.Equal(got, l) {
					t.Error(cmp.Diff(got, l))
				}
			}},
		{"The identifier of the file link to be retrieved.", func(t *testing.T, c client, f api.File) {
			for _, id := range []string{none, f.ID, "file-links"} {
				c.problem(t, c.ask(t, "GET", "/v1/file_links/"+id, "").want(t, 404), sluice.CodeNotFound)
			}
		}},
		{"Updates an existing file link.", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, `{"reason":"before"}`)
			got := read[api.Link](t, c.ask(t, "PATCH", "/v1/file_links/"+l.ID, `{"reason":"after"}`).want(t, 200))
			if *got.Reason != "after" || got.URL != l.URL || *c.link(t, l.ID).Reason != "after" {
				t.Errorf("%+v", got)
			}
			c.get(t, l.URL).want(t, 200)
		}},
		{"Expired links can no longer be updated.", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, `{"expires_in_seconds":60}`)
			path := "/v1/file_links/" + l.ID
			c.ask(t, "PATCH", path, `{"reason":"in time"}`).want(t, 200)
			c.Clock.Advance(time.Minute)
			for _, body := range []string{`{"reason":"late"}`, `{"expires_in_seconds":60}`, "{}"} {
				c.problem(t, c.ask(t, "PATCH", path, body).want(t, 409), sluice.CodeLinkExpired)
			}
			if got := c.link(t, l.ID); *got.Reason != "in time" || !got.Expired {
				t.Errorf("%+v", got)
			}
		}},
		{"The identifier of the file link to be updated.", func(t *testing.T, c client, _ api.File) {
			c.problem(t, c.ask(t, "PATCH", "/v1/file_links/"+none, `{"reason":"r"}`).want(t, 404), sluice.CodeNotFound)
		}},
		{"Update: A future timestamp, after which the link will no longer be usable.",
			func(t *testing.T, c client, f api.File) {
				l := c.mint(t, f.ID, "")
				now := c.wholeSecond()
				c.refusal(t, "PATCH", "/v1/file_links/"+l.ID, fmt.Sprintf(`{"expires_at":%d}`, now), "expires_at", "out_of_range")
				c.ask(t, "PATCH", "/v1/file_links/"+l.ID, fmt.Sprintf(`{"expires_at":%d}`, now+2)).want(t, 200)
				c.Clock.Advance(2 * time.Second)
				c.get(t, l.URL).want(t, 410)
			}},
		{"Permanently deletes a file link.", func(t *testing.T, c client, f api.File) {
			l := c.mint(t, f.ID, "")
			path := "/v1/file_links/" + l.ID
			c.ask(t, "DELETE", path, "").want(t, 200)
			c.problem(t, c.get(t, l.URL).want(t, 410), sluice.CodeGone)
			for method, body := range map[string]string{"GET": "", "PATCH": `{"expires_in_seconds":60}`, "DELETE": ""} {
				c.problem(t, c.ask(t, method, path, body).want(t, 404), sluice.CodeNotFound)
			}
			c.linksAre(t, "")
			if e := c.audit(t, l.ID)[0]; e.Action != "link.refused" || e.Refusal != "revoked" {
				t.Errorf("%+v", e)
			}
		}},
		{"Supply the unique identifier of the file link.", func(t *testing.T, c client, _ api.File) {
			c.problem(t, c.ask(t, "DELETE", "/v1/file_links/"+none, "").want(t, 404), sluice.CodeNotFound)
		}},
	})
}
