package httpd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/service"
)

// TestObjects checks that each object has exactly the members of its contract.
func TestObjects(t *testing.T) {
	c := newClient(t)
	form := newForm(part{"purpose", "generic"}, part{"file", "hello"}, part{"link[reason]", "x"})
	f := read[api.CreatedFile](t, c.post(t, form).want(t, 201))
	made := c.makeKey(t, `{"name":"x"}`)
	entries := c.Entries(t, c.Ledger(sluice.Test))
	const file = "id object purpose filename title size type sha256 status linked_resources metadata created updated expires_at held livemode"
	const link = "id object file_id url expires_at expired revoked_at reason metadata disposition filename max_downloads downloads last_redeemed_at has_password allowed_ips created updated livemode allowed_recipients verification message terms page language"
	const key = "id object name scopes livemode created updated expires_at last_used_at revoked_at max_link_lifetime version"
	const list = "object data has_more url next_cursor"
	for name, test := range map[string]struct {
		a       answer
		members string
	}{
		"file":     {c.ask(t, "GET", "/v1/files/"+f.ID, ""), file},
		"changed":  {c.ask(t, "PATCH", "/v1/files/"+f.ID, "{}"), file},
		"uploaded": {c.post(t, fileOf("generic", "a", "", "")), file},
		"with a link": {c.post(t, newForm(part{"purpose", "generic"}, part{"file", "hello"}, part{"link[reason]", "x"})),
			file + " link"},
		"link":    {c.ask(t, "GET", "/v1/file_links/"+f.Link.ID, ""), link},
		"minted":  {c.ask(t, "POST", "/v1/files/"+f.ID+"/links", ""), link},
		"batch":   {c.ask(t, "POST", "/v1/file_links/batch", `{"file_ids":["`+f.ID+`"]}`), "object data absent"},
		"key":     {c.ask(t, "GET", "/v1/keys/"+made.ID, ""), key},
		"made":    {c.ask(t, "POST", "/v1/keys", `{"name":"x"}`), key + " secret"},
		"rotated": {c.ask(t, "POST", "/v1/keys/"+made.ID+"/rotate", ``), key + " secret"},
		"account": {c.ask(t, "GET", "/v1/account", ""), "object id name created livemode key"},
		"purpose": {c.ask(t, "GET", "/v1/purposes", ""), list},
		"entry": {c.ask(t, "GET", "/v1/audit_entries/"+entries[len(entries)-1].ID, ""),
			"id object seq created time action outcome livemode actor key request"},
		"files":   {c.ask(t, "GET", "/v1/files", ""), list},
		"links":   {c.ask(t, "GET", "/v1/file_links", ""), list},
		"keys":    {c.ask(t, "GET", "/v1/keys", ""), list},
		"entries": {c.ask(t, "GET", "/v1/audit_entries", ""), list},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for member := range object(t, test.a) {
				got = append(got, member)
			}
			want := strings.Fields(test.members)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
	t.Run("times in unix seconds, ids with typed prefixes", func(t *testing.T) {
		for _, a := range []answer{c.ask(t, "GET", "/v1/files/"+f.ID, ""), c.ask(t, "GET", "/v1/file_links/"+f.Link.ID, ""),
			c.ask(t, "GET", "/v1/keys/"+made.ID, "")} {
			m := object(t, a)
			if m["created"] != float64(c.Clock.Now().Unix()) || m["updated"] != m["created"] {
				t.Errorf("%s", a.body)
			}
			prefix := map[string]string{"file": "file_", "file_link": "link_", "key": "key_"}[m["object"].(string)]
			if id := m["id"].(string); !strings.HasPrefix(id, prefix) || len(id) != len(prefix)+26 {
				t.Errorf("id %q", id)
			}
		}
	})
}

// TestFileChange checks each member of a change of a file.
func TestFileChange(t *testing.T) {
	c := newClient(t)
	for _, test := range []struct {
		name, body string
		check      func(f api.File) bool
	}{
		{"title", `{"title":"New"}`, func(f api.File) bool { return *f.Title == "New" }},
		{"title null removes it", `{"title":null}`, func(f api.File) bool { return f.Title == nil }},
		{"filename", `{"filename":"x/b.txt"}`,
			func(f api.File) bool { return f.Filename == "b.txt" && f.Type == "text/plain" }},
		{"metadata (merge; null or \"\" removes a key)", `{"metadata":{"a":null,"b":"","d":"4"}}`, func(f api.File) bool {
			return len(f.Metadata) == 2 && f.Metadata["c"] == "3" && f.Metadata["d"] == "4"
		}},
		{"linked_resources", `{"linked_resources":[{"type":"order","id":"2"}]}`, func(f api.File) bool {
			return slices.Equal(f.LinkedResources, []api.Resource{{Type: "order", ID: "2"}})
		}},
		{"linked_resources empty", `{"linked_resources":[]}`, func(f api.File) bool { return len(f.LinkedResources) == 0 }},
		{"held", `{"held":true}`, func(f api.File) bool { return f.Held }},
		{"nothing", `{}`, func(f api.File) bool {
			return *f.Title == "T" && len(f.Metadata) == 3 && len(f.LinkedResources) == 1 && !f.Held && f.Filename == "a.txt"
		}},
		{"null is as if left out", `{"filename":null,"metadata":null,"linked_resources":null,"held":null}`,
			func(f api.File) bool {
				return *f.Title == "T" && len(f.Metadata) == 3 && len(f.LinkedResources) == 1 && !f.Held && f.Filename == "a.txt"
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			form := newForm(part{"purpose", "generic"}, part{"title", "T"}, part{"metadata", `{"a":"1","b":"2","c":"3"}`},
				part{"linked_resources", `[{"type":"order","id":"1"}]`}, part{"file", "hello"})
			f := read[api.File](t, c.post(t, form).want(t, 201))
			got := read[api.File](t, c.ask(t, "PATCH", "/v1/files/"+f.ID, test.body).want(t, 200))
			if !test.check(got) {
				t.Errorf("%+v", got)
			}
			if again := read[api.File](t, c.ask(t, "GET", "/v1/files/"+f.ID, "")); fmt.Sprint(again.Metadata,
				again.LinkedResources, again.Held) != fmt.Sprint(got.Metadata, got.LinkedResources, got.Held) {
				t.Errorf("%+v", again)
			}
		})
	}
	f := c.upload(t, "a.txt", "text/plain", "hello")
	before := c.state(t)
	for body, param := range map[string]string{
		`{"title":1}`: "title", `{"title":"` + strings.Repeat("x", 256) + `"}`: "title", `{"purpose":"invoice"}`: "purpose",
		`{"status":"deleted"}`: "status", `{"metadata":{"k":1}}`: "metadata.k",
		`{"metadata":{"sluice_x":"1"}}`: "metadata.sluice_x", `{"linked_resources":[{"type":"order"}]}`: "id",
		`{"linked_resources":[{"type":"Order","id":"1"}]}`:       "linked_resources.0.type",
		`{"linked_resources":[{"type":"order","id":"1","x":1}]}`: "linked_resources[0].x", `{"held":"yes"}`: "held",
		`{"filename":"a\u0000"}`: "filename",
	} {
		if p := c.problem(t, c.ask(t, "PATCH", "/v1/files/"+f.ID, body).want(t, 400),
			sluice.CodeValidation); p.Param != param {
			t.Errorf("%s: param %q, want %q", body, p.Param, param)
		}
	}
	c.unchanged(t, before, 0)
	t.Run("held: DELETE is 409 file_held until it is released", func(t *testing.T) {
		path := "/v1/files/" + f.ID
		c.ask(t, "PATCH", path, `{"held":true}`).want(t, 200)
		c.problem(t, c.ask(t, "DELETE", path, "").want(t, 409), sluice.CodeFileHeld)
		c.ask(t, "PATCH", path, `{"held":false}`).want(t, 200)
		c.ask(t, "DELETE", path, "").want(t, 200)
		c.problem(t, c.ask(t, "PATCH", path, `{"held":true}`).want(t, 404), sluice.CodeNotFound)
		var actions []string
		for _, e := range c.Entries(t, c.Ledger(sluice.Test)) {
			if e.File != nil && e.File.ID == f.ID {
				actions = append(actions, string(e.Action))
			}
		}
		if got := strings.Join(actions, " "); got != "file.created file.held file.released file.deleted" {
			t.Errorf("%s", got)
		}
	})
}

// TestFileFilters lists files with every filter.
func TestFileFilters(t *testing.T) {
	c := newClient(t)
	var ids []string
	for i, f := range []struct{ purpose, name, title, kind, content, linked string }{
		{"invoice", "a.txt", "One", "text/plain", "", `[{"type":"order","id":"1"}]`},
		{"report", "b.txt", "Two", "text/csv", "hello", `[{"type":"order","id":"1:2"},{"type":"customer","id":"1"}]`},
		{"invoice", "b.txt", "One", "text/plain", "hello, world", `[]`},
	} {
		form := newForm(part{"purpose", f.purpose}, part{"title", f.title}, part{"linked_resources", f.linked})
		form.file(f.name, f.kind, f.content)
		ids = append(ids, read[api.File](t, c.post(t, form).want(t, 201)).ID)
		c.Clock.Advance(time.Duration(i+1) * time.Second)
	}
	gone := c.upload(t, "gone.txt", "text/plain", "hello")
	c.ask(t, "DELETE", "/v1/files/"+gone.ID, "").want(t, 200)
	ids = append(ids, gone.ID)
	for query, want := range map[string]string{
		"":                                    "210",
		"status=active":                       "210",
		"status=deleted":                      "3",
		"purpose=invoice":                     "20",
		"filename=b.txt":                      "21",
		"filename=B.TXT":                      "",
		"title=One":                           "20",
		"type=text/csv":                       "1",
		"type=text/plain":                     "20",
		"sha256=" + hello:                     "1",
		"sha256=" + hello + "&status=deleted": "3",
		"sha256=" + strings.ToUpper(hello):    "1",
		"size=5":                              "1",
		"size[gt]=5":                          "2",
		"size[gte]=5":                         "21",
		"size[lt]=5":                          "0",
		"size[lte]=5":                         "10",
		"size[gt]=0&size[lt]=12":              "1",
		"size=0":                              "0",
		"size%5Bgt%5D=5":                      "2",
		"linked_resource=order:1":             "0",
		"linked_resource=order:1:2":           "1",
		"linked_resource=customer:1":          "1",
		"linked_resource=order:3":             "",
		"filename=b.txt&purpose=invoice":      "2",
		"ids=" + ids[0] + "," + ids[1]:        "10",
		"ids=" + ids[0] + "&ids=" + ids[2]:    "20",
		"created[gt]=" + strconv.FormatInt(c.Clock.Now().Unix()-6, 10) + "&type=text/plain": "2",
	} {
		t.Run(query, func(t *testing.T) {
			l := read[api.List[api.File]](t, c.ask(t, "GET", "/v1/files?"+query, "").want(t, 200))
			got := ""
			for _, f := range l.Data {
				got += strconv.Itoa(slices.Index(ids, f.ID))
			}
			if got != want {
				t.Errorf("files %q, want %q", got, want)
			}
		})
	}
	for query, param := range map[string]string{
		"status=gone": "status", "sha256=x": "sha256", "sha256=" + hello[1:]: "sha256", "size=x": "size", "size=-1": "size",
		"size[gt]=1.5": "size[gt]", "size=1&size[gt]=2": "size",
		"size[ne]=1": "size[ne]", "linked_resource=order": "linked_resource", "linked_resource=:1": "linked_resource",
		"linked_resource=order:": "linked_resource", "title=": "title", "held=true": "held",
		"size=9223372036854775808": "size",
	} {
		if p := c.problem(t, c.ask(t, "GET", "/v1/files?"+query, "").want(t, 400), sluice.CodeValidation); p.Param != param {
			t.Errorf("%s: param %q, want %q", query, p.Param, param)
		}
	}
}

// TestLinkFilters lists links with every filter.
func TestLinkFilters(t *testing.T) {
	c := newClient(t)
	_, endless := c.NewKeyAs(t, c.Ledger(sluice.Test), service.NewKey{Name: "endless", MaxLinkLifetime: sluice.Forever})
	a, b := c.upload(t, "a.txt", "text/plain", "a"), c.upload(t, "b.txt", "text/plain", "b")
	var ids []string
	start := c.Clock.Now().Unix()
	for _, m := range []struct{ file, body string }{
		{a.ID, `{"expires_in_seconds":10}`}, {b.ID, `{"expires_in_seconds":100}`}, {a.ID, `{"expires_in_seconds":200}`},
		{a.ID, `{"expires_in_seconds":"none"}`},
	} {
		ids = append(ids, c.as(endless).mint(t, m.file, m.body).ID)
		c.Clock.Advance(time.Second)
	}
	ended := c.mint(t, a.ID, "")
	c.ask(t, "DELETE", "/v1/file_links/"+ended.ID, "").want(t, 200)
	c.ask(t, "DELETE", "/v1/files/"+b.ID, "").want(t, 200) // which ends the link to it
	c.Clock.Advance(10 * time.Second)
	at := func(n int64) string { return strconv.FormatInt(start+n, 10) }
	rfc := func(n int64) string { return time.Unix(start+n, 0).UTC().Format(time.RFC3339) }
	for query, want := range map[string]string{
		"":                                      "3210",
		"file_id=" + a.ID:                       "320",
		"file_id=" + b.ID:                       "1",
		"expired=true":                          "0",
		"expired=false":                         "321",
		"revoked=true":                          "1",
		"revoked=false":                         "320",
		"revoked=false&expired=false":           "32",
		"created=" + at(1):                      "1",
		"created[gt]=" + at(1):                  "32",
		"expires_at=" + at(10):                  "0",
		"expires_at=" + rfc(10):                 "0",
		"expires_at[gt]=" + at(10):              "21",
		"expires_at[gte]=" + at(10):             "210",
		"expires_at[lt]=" + at(101):             "0",
		"expires_at[lte]=" + at(101):            "10",
		"expires_at[lte]=" + rfc(101):           "10",
		"expires_at[gt]=0":                      "210", // a link without end is in no bounds
		"ids=" + ids[0] + "," + ids[3]:          "30",
		"ids=" + ended.ID:                       "",
		"expires_at[gt]=1&file_id=" + a.ID:      "20",
		"expires_at%5Bgt%5D=" + at(10):          "21",
		"created[gte]=" + rfc(2) + "&limit=100": "32",

		"expires_at[lte]=" + strings.ToLower(rfc(101)):                     "10",
		"expires_at[lte]=" + strings.Replace(rfc(101), "Z", "%2B00:00", 1): "10",
	} {
		t.Run(query, func(t *testing.T) {
			paths := []string{"/v1/file_links?" + query}
			if !strings.Contains(query, "file_id") && want != "1" && !strings.Contains(query, "revoked=true") {
				paths = append(paths, "/v1/files/"+a.ID+"/links?"+query)
			}
			for i, path := range paths {
				l := read[api.List[api.Link]](t, c.ask(t, "GET", path, "").want(t, 200))
				got := ""
				for _, link := range l.Data {
					got += strconv.Itoa(slices.Index(ids, link.ID))
				}
				if i == 1 {
					want = strings.ReplaceAll(want, "1", "") // which is to the other file
				}
				if got != want {
					t.Errorf("%s: links %q, want %q", path, got, want)
				}
			}
		})
	}
	for query, param := range map[string]string{
		"revoked=yes": "revoked", "expires_at=soon": "expires_at", "expires_at[gt]=x": "expires_at[gt]",
		"expires_at=1&expires_at[lt]=2": "expires_at", "expires_at[eq]=1": "expires_at[eq]", "purpose=x": "purpose",
	} {
		if p := c.problem(t, c.ask(t, "GET", "/v1/file_links?"+query, "").want(t, 400),
			sluice.CodeValidation); p.Param != param {
			t.Errorf("%s: param %q, want %q", query, p.Param, param)
		}
	}
}

// TestEveryProblem provokes each row of the table of problems.
func TestEveryProblem(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	held := c.upload(t, "b.txt", "text/plain", "hello")
	c.ask(t, "PATCH", "/v1/files/"+held.ID, `{"held":true}`).want(t, 200)
	old := c.mint(t, f.ID, `{"expires_in_seconds":1}`)
	c.Clock.Advance(time.Second)
	dropped := c.upload(t, "c.txt", "text/plain", "hello")
	revoked := c.mint(t, dropped.ID, "")
	c.ask(t, "DELETE", "/v1/files/"+dropped.ID, "").want(t, 200)
	_, narrow := c.NewKey(t, c.Ledger(sluice.Test), sluice.AuditRead)
	links := "/v1/files/" + f.ID + "/links"
	verifying := c.mint(t, f.ID, `{"recipient":{"email":"ann@bank.example"}}`)
	c.ask(t, "POST", links, "", "Idempotency-Key", "k").want(t, 200)
	limited := newLimited(t, 1, 0)
	limited.ask(t, "GET", "/v1/account", "").want(t, 200)
	stopped := newClient(t)
	if err := stopped.Store.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[sluice.Code]bool{}
	for _, test := range []struct {
		code   sluice.Code
		status int
		c      client
		a      answer
	}{
		{sluice.CodeValidation, 400, c, c.ask(t, "POST", links, `{"x":1}`)},
		{sluice.CodeDigestMismatch, 400, c,
			c.ask(t, "PUT", "/v1/files?purpose=generic", "x", "Content-Digest", digestOf("y"))},
		{sluice.CodeUnauthenticated, 401, c, c.as("").ask(t, "GET", "/v1/files", "")},
		{sluice.CodeUnverified, 401, c, c.get(t, verifying.URL)},
		{sluice.CodeForbidden, 403, c, c.as(narrow).ask(t, "GET", "/v1/files", "")},
		{sluice.CodeNotFound, 404, c, c.ask(t, "GET", "/v1/files/x", "")},
		{sluice.CodeMethodNotAllowed, 405, c, c.ask(t, "PUT", "/v1/account", "")},
		{sluice.CodeIdempotencyReused, 409, c, c.ask(t, "POST", links, "{}", "Idempotency-Key", "k")},
		{sluice.CodeLinkExpired, 409, c, c.ask(t, "PATCH", "/v1/file_links/"+old.ID, "{}")},
		{sluice.CodeLinkRevoked, 409, c, c.ask(t, "PATCH", "/v1/file_links/"+revoked.ID, "{}")},
		{sluice.CodeFileHeld, 409, c, c.ask(t, "DELETE", "/v1/files/"+held.ID, "")},
		{sluice.CodeGone, 410, c, c.get(t, old.URL)},
		{sluice.CodePreconditionFailed, 412, c, c.ask(t, "DELETE", "/v1/files/"+f.ID, "", "If-Match", `"x"`)},
		{sluice.CodeTooLarge, 413, c, c.ask(t, "POST", links, strings.Repeat(" ", 256<<10+1))},
		{sluice.CodeUnsupportedType, 415, c, c.ask(t, "POST", links, "{}", "Content-Type", "text/xml")},
		{sluice.CodeRateLimited, 429, limited, limited.ask(t, "GET", "/v1/account", "")},
		{sluice.CodeUnavailable, 503, stopped, stopped.ask(t, "GET", "/v1/account", "")},
	} {
		t.Run(string(test.code), func(t *testing.T) {
			p := test.c.problem(t, test.a.want(t, test.status), test.code)
			if p.Detail == "" {
				t.Errorf("no detail: %s", test.a.body)
			}
			if retry := test.a.header.Get("Retry-After"); (retry != "") != (test.status == 429 || test.status == 503) ||
				retry != "" && retry != strconv.FormatInt(p.RetryAfter, 10) {
				t.Errorf("Retry-After %q, retry_after %d", retry, p.RetryAfter)
			}
			if (p.Param != "") != (test.code == sluice.CodeValidation || test.code == sluice.CodeDigestMismatch) {
				t.Errorf("param %q", p.Param)
			}
		})
		seen[test.code] = true
	}
	// The others have tests where they can be provoked: by ranges, by a panic, by a full disk.
	for _, code := range []sluice.Code{sluice.CodeRange, sluice.CodeInternal, sluice.CodeStorageFull,
		sluice.CodeConflict} {
		seen[code] = true
	}
	for code := range httpd.Problems() {
		if !seen[code] {
			t.Errorf("%s is never met", code)
		}
	}
}

// TestBodySize checks the limit of 256 KiB for JSON bodies, whether or not they are also read for another reason.
func TestBodySize(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	path := "/v1/files/" + f.ID + "/links"
	fits := "{" + strings.Repeat(" ", 256<<10-2) + "}"
	for i, headers := range [][]string{nil, {"Idempotency-Key", "fits"}, {"Content-Digest", digestOf(fits)}} {
		c.ask(t, "POST", path, fits, headers...).want(t, 200)
		if i == 1 {
			headers = []string{"Idempotency-Key", "does not"}
		}
		c.problem(t, c.ask(t, "POST", path, fits+" ", headers...).want(t, 413), sluice.CodeTooLarge)
	}
}

// TestMetrics reads the counts of what was done, on the metrics listener and with a key.
func TestMetrics(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mint(t, f.ID, `{"max_downloads":2}`)
	c.get(t, l.URL).want(t, 200)
	c.get(t, l.URL, "Range", "bytes=0-1").want(t, 206) // of the first
	c.get(t, l.URL, "User-Agent", "another").want(t, 200)
	c.get(t, l.URL, "User-Agent", "a third").want(t, 410)
	c.get(t, c.URL+"/l/x").want(t, 404)
	c.get(t, c.URL+"/nothing").want(t, 404)
	c.get(t, c.URL+"/v1/files").want(t, 401)
	p := c.mint(t, f.ID, `{"password":"secret horse"}`)
	c.get(t, p.URL).want(t, 403)
	c.get(t, p.URL, "Accept", "text/html").want(t, 200)
	c.ask(t, "GET", "/v1/files/"+f.ID, "").want(t, 200)
	_, operator := c.NewKey(t, c.Ledger(sluice.Live), sluice.KeysAdmin)
	_, reader := c.NewKey(t, c.Ledger(sluice.Live), sluice.AuditRead)
	for _, secret := range []string{c.secret, reader} { // of the test mode, and without the scope
		c.problem(t, c.as(secret).ask(t, "GET", "/metrics", "").want(t, 403), sluice.CodeForbidden)
	}

	byKey := c.as(operator).ask(t, "GET", "/metrics", "").want(t, 200)
	own := &recorded{header: http.Header{}}
	r, err := http.NewRequest("GET", "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.HTTP.Metrics().ServeHTTP(own, r)
	for name, text := range map[string]string{"a key": string(byKey.body), "a listener of its own": own.body.String()} {
		t.Run(name, func(t *testing.T) {
			for _, line := range []string{
				`sluice_http_request_duration_seconds_count{method="POST",route="/v1/files",status="2xx"} 1`,
				`sluice_http_request_duration_seconds_count{method="POST",route="/v1/files/{id}/links",status="2xx"} 2`,
				`sluice_http_request_duration_seconds_count{method="GET",route="/v1/files/{id}",status="2xx"} 1`,
				`sluice_http_request_duration_seconds_count{method="GET",route="/v1/files",status="4xx"} 1`,
				`sluice_http_request_duration_seconds_count{method="GET",route="/l/{token}",status="2xx"} 4`,
				`sluice_http_request_duration_seconds_count{method="GET",route="/l/{token}",status="4xx"} 3`,
				`sluice_http_request_duration_seconds_count{method="any",route="unrouted",status="4xx"} 1`,
				`sluice_redemptions_total{outcome="allowed",refusal=""} 3`,
				`sluice_redemptions_total{outcome="asked",refusal=""} 1`,
				`sluice_redemptions_total{outcome="refused",refusal="exhausted"} 1`,
				`sluice_redemptions_total{outcome="refused",refusal="wrong_password"} 1`,
				`sluice_redemptions_total{outcome="unknown",refusal=""} 1`,
				`sluice_sent_bytes_total 12`,
				`go_goroutines `,
			} {
				if !strings.Contains(text, line) {
					t.Errorf("no %s", line)
				}
			}
			if !strings.Contains(text, "sluice_uploaded_bytes_total ") ||
				strings.Contains(text, "sluice_uploaded_bytes_total 0\n") {
				t.Error("no bytes of uploads")
			}
			token := strings.TrimPrefix(l.URL, c.URL+"/l/")
			if strings.Contains(text, token) || strings.Contains(text, f.ID) || strings.Contains(text, "nothing") {
				t.Error("a label holds what a stranger sent")
			}
		})
	}
	c.problem(t, c.as("").ask(t, "GET", "/metrics", "").want(t, 401), sluice.CodeUnauthenticated)
	c.problem(t, c.ask(t, "GET", "/metrics?name[]=x", "").want(t, 400), sluice.CodeValidation)
}

// recorded is an answer without a connection.
type recorded struct {
	header http.Header
	body   strings.Builder
}

func (r *recorded) Header() http.Header         { return r.header }
func (r *recorded) Write(p []byte) (int, error) { return r.body.Write(p) }
func (r *recorded) WriteHeader(int)             {}

// TestHugeHeader sends a request head that is too large.
func TestHugeHeader(t *testing.T) {
	c := newClient(t)
	sent := "GET /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + c.secret + "\r\nX: " +
		strings.Repeat("x", 80<<10) + "\r\n\r\n"
	if a := c.talk(t, sent, false); a.status != 431 {
		t.Errorf("status %d", a.status)
	}
	entries := len(c.Entries(t, c.Ledger(sluice.Test)))
	f := c.upload(t, "a.txt", "text/plain", "hello")
	long := strings.Repeat("x", 20<<10)
	c.get(t, c.mint(t, f.ID, "").URL, "User-Agent", long, "X-Forwarded-For", long, "Referer", "https://"+long, "Range", "bytes=0-"+strings.Repeat("0", 10<<10)).want(t, 206)
	all, err := c.Service.Service.Entries.List(context.Background(), service.Operator(c.Ledger(sluice.Test)), service.EntryFilter{}, sluice.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if kept, _ := json.Marshal(all.Data[0]); len(kept) > 8<<10 || len(c.Entries(t, c.Ledger(sluice.Test))) != entries+4 {
		t.Errorf("an entry keeps %d bytes", len(kept))
	}
}
