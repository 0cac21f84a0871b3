package httpd_test

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/api"
	"sluice/internal/token"
)

func ptr[T any](v T) *T { return &v }

const hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // SHA-256 of "hello"

func TestFiles(t *testing.T) {
	c := newClient(t)
	f := newForm(part{"title", "A title"}, part{"metadata[order]", "6735"}, part{"file", "hello"},
		part{"purpose", "invoice"})
	a := c.post(t, f).want(t, 201)
	made := read[api.File](t, a)
	now := c.Clock.Now().Unix()
	want := api.File{
		ID: made.ID, Object: "file", Purpose: "invoice", Filename: "a.txt", Title: ptr("A title"), Size: 5,
		Type:   "text/plain",
		SHA256: hello, Status: "active", LinkedResources: []api.Resource{}, Metadata: map[string]string{"order": "6735"},
		Created: now, Updated: now,
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
	if !regexp.MustCompile(`^file_[0-9a-z]{26}$`).MatchString(made.ID) {
		t.Errorf("id %q", made.ID)
	}
	if got := a.header.Get("Location"); got != c.URL+"/v1/files/"+made.ID {
		t.Errorf("Location %q", got)
	}
	got := c.ask(t, "GET", "/v1/files/"+made.ID, "").want(t, 200)
	if diff := cmp.Diff(made, read[api.File](t, got)); diff != "" {
		t.Error(diff)
	}
	if got := got.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	if head := c.ask(t, "HEAD", "/v1/files/"+made.ID, "").want(t, 200); len(head.body) != 0 {
		t.Errorf("HEAD has a body: %s", head.body)
	}

	deleted := read[api.Deleted](t, c.ask(t, "DELETE", "/v1/files/"+made.ID, "").want(t, 200))
	if deleted != (api.Deleted{ID: made.ID, Object: "file", Deleted: true}) {
		t.Errorf("%+v", deleted)
	}
	want.Status = "deleted"
	if diff := cmp.Diff(want, read[api.File](t, c.ask(t, "GET", "/v1/files/"+made.ID, "").want(t, 200))); diff != "" {
		t.Error(diff)
	}
	c.problem(t, c.ask(t, "DELETE", "/v1/files/"+made.ID, "").want(t, 404), sluice.CodeNotFound)
	if keys := c.BlobKeys(t); len(keys) != 0 {
		t.Errorf("bytes of a deleted file: %v", keys)
	}
}

// TestAbsent checks that members without a value are null, and maps without elements {}.
func TestAbsent(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	file := c.ask(t, "GET", "/v1/files/"+f.ID, "")
	link := c.ask(t, "POST", "/v1/files/"+f.ID+"/links", "")
	for member, a := range map[string]answer{
		`"title":null`: file, `"metadata":{}`: file,
		`"revoked_at":null`: link, `"reason":null`: link, `"last_redeemed_at":null`: link, `"metadata":{} `: link,
	} {
		if !strings.Contains(string(a.body), strings.TrimSpace(member)) {
			t.Errorf("no %s in %s", member, a.body)
		}
	}
	if strings.Contains(string(file.body)+string(link.body), "$schema") {
		t.Error("the answer names a schema")
	}
}

func TestPurposes(t *testing.T) {
	c := newClient(t)
	list := read[api.List[api.Purpose]](t, c.ask(t, "GET", "/v1/purposes", "").want(t, 200))
	i := slices.IndexFunc(list.Data, func(p api.Purpose) bool { return p.Name == "identity_document" })
	if i < 0 || len(list.Data) != len(sluice.DefaultPurposes()) || list.HasMore || list.URL != "/v1/purposes" {
		t.Fatalf("%+v", list)
	}
	want := api.Purpose{
		Object: "purpose", Name: "identity_document", Title: "Identity document", MaxSize: 50 << 20, Linkable: true,
		Types: []string{"application/pdf", "image/jpeg", "image/png"}, MaxLinkLifetimeSeconds: ptr(int64(3600)),
		Require: []string{}, Page: "auto", Personal: []string{},
	}
	if diff := cmp.Diff(want, list.Data[i]); diff != "" {
		t.Error(diff)
	}
}

func TestAccount(t *testing.T) {
	c := newClient(t)
	got := read[api.Account](t, c.ask(t, "GET", "/v1/account", "").want(t, 200))
	want := api.Account{
		Object: "account", ID: c.Account.ID, Name: "test account", Created: c.Account.Created.Unix(),
		Key: api.Key{
			ID: c.Key.ID, Object: "key", Name: "test key", Scopes: got.Key.Scopes,
			Created: c.Key.Created.Unix(), Updated: c.Key.Updated.Unix(), Version: sluice.APIVersion,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got.Key.Scopes) != len(sluice.AllScopes()) {
		t.Error(diff, got.Key.Scopes)
	}
	_, live := c.NewKey(t, c.Ledger(sluice.Live), sluice.AuditRead)
	got = read[api.Account](t, c.as(live).ask(t, "GET", "/v1/account", "").want(t, 200))
	if !got.Livemode || !slices.Equal(got.Key.Scopes, []string{"audit:read"}) {
		t.Errorf("%+v", got)
	}
}

// TestLinks creates, changes and deletes links through both sets of routes.
func TestLinks(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	now := c.Clock.Now().Unix()
	for base, create := range map[string]string{
		"/v1/files/" + f.ID + "/links": `{"expires_in_seconds":60,"reason":"case 4711","metadata":{"a":"1","b":"2"}}`,
		"/v1/file_links": `{"file_id":"` + f.ID +
			`","expires_in_seconds":60,"reason":"case 4711","metadata":{"a":"1","b":"2"}}`,
	} {
		l := read[api.Link](t, c.ask(t, "POST", base, create).want(t, 200))
		want := api.Link{
			ID: l.ID, Object: "file_link", FileID: f.ID, URL: l.URL, ExpiresAt: ptr(now + 60), Reason: ptr("case 4711"),
			Metadata: map[string]string{"a": "1", "b": "2"}, Disposition: "attachment", AllowedIPs: []string{}, Created: now,
			Updated: now, AllowedRecipients: []string{}, Verification: "none", Page: "auto",
		}
		if diff := cmp.Diff(want, l); diff != "" {
			t.Error(diff)
		}
		if !strings.HasPrefix(l.URL, c.URL+"/l/") || len(l.URL) != len(c.URL+"/l/")+token.Len {
			t.Errorf("url %q", l.URL)
		}
		if got := read[api.Link](t, c.ask(t, "GET", base+"/"+l.ID, "").want(t, 200)); !cmp.Equal(l, got) {
			t.Error(cmp.Diff(l, got))
		}

		change := fmt.Sprintf(`{"expires_at":%d,"reason":"","metadata":{"a":null,"c":"3"}}`, now+7200)
		got := read[api.Link](t, c.ask(t, "PATCH", base+"/"+l.ID, change).want(t, 200))
		want.ExpiresAt, want.Reason, want.Metadata = ptr(now+7200), nil, map[string]string{"b": "2", "c": "3"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		c.get(t, l.URL).want(t, 200)
		want.Downloads, want.LastRedeemedAt = 1, ptr(now)
		if diff := cmp.Diff(want, read[api.Link](t, c.ask(t, "GET", base+"/"+l.ID, "").want(t, 200))); diff != "" {
			t.Error(diff)
		}

		deleted := read[api.Deleted](t, c.ask(t, "DELETE", base+"/"+l.ID, "").want(t, 200))
		if deleted != (api.Deleted{ID: l.ID, Object: "file_link", Deleted: true}) {
			t.Errorf("%+v", deleted)
		}
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			body := ""
			if method == "PATCH" {
				body = "{}"
			}
			c.problem(t, c.ask(t, method, base+"/"+l.ID, body).want(t, 404), sluice.CodeNotFound)
		}
		c.get(t, l.URL).want(t, 410)
	}
}

func TestLinkDefaultsAndEnds(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	now := c.Clock.Now().Unix()
	l := c.mint(t, f.ID, "")
	if *l.ExpiresAt != now+3600 {
		t.Errorf("expires_at %d, want an hour from %d", *l.ExpiresAt, now)
	}
	c.mint(t, f.ID, `{"expires_in_seconds":86400}`)
	c.mint(t, f.ID, `{"expires_in_seconds":1}`)
	c.mint(t, f.ID, `{"expires_in_seconds":null,"reason":null,"metadata":null}`)

	other := c.upload(t, "b.txt", "text/plain", "hello")
	c.problem(t, c.ask(t, "GET", "/v1/files/"+other.ID+"/links/"+l.ID, "").want(t, 404), sluice.CodeNotFound)

	c.Clock.Advance(time.Hour)
	path := "/v1/file_links/" + l.ID
	if got := read[api.Link](t, c.ask(t, "GET", path, "").want(t, 200)); !got.Expired {
		t.Errorf("%+v", got)
	}
	c.problem(t, c.ask(t, "PATCH", path, `{"expires_in_seconds":60}`).want(t, 409), sluice.CodeLinkExpired)

	young := c.mint(t, f.ID, "")
	c.ask(t, "DELETE", "/v1/files/"+f.ID, "").want(t, 200)
	path = "/v1/file_links/" + young.ID
	if got := read[api.Link](t, c.ask(t, "GET", path, "").want(t, 200)); got.RevokedAt == nil ||
		*got.RevokedAt != c.Clock.Now().Unix() {
		t.Errorf("%+v", got)
	}
	c.problem(t, c.ask(t, "PATCH", path, `{"expires_in_seconds":60}`).want(t, 409), sluice.CodeLinkRevoked)
}

var linkHeader = regexp.MustCompile(`<([^>]+)>; rel="(\w+)"`)

// beside returns the URLs of the pages beside one, by relation.
func beside(a answer) map[string]string {
	pages := map[string]string{}
	for _, m := range linkHeader.FindAllStringSubmatch(a.header.Get("Link"), -1) {
		pages[m[2]] = m[1]
	}
	return pages
}

// TestPaging follows a list of links to its end by next, and back by prev.
func TestPaging(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	var newestFirst []string
	for range 7 {
		newestFirst = slices.Insert(newestFirst, 0, c.mint(t, f.ID, "").ID)
		c.Clock.Advance(time.Second)
	}
	ids := func(l api.List[api.Link]) (ids []string) {
		for _, l := range l.Data {
			ids = append(ids, l.ID)
		}
		return ids
	}
	for path, listURL := range map[string]string{
		"/v1/file_links?limit=3&expired=false":                              "/v1/file_links",
		"/v1/files/" + f.ID + "/links?limit=3":                              "/v1/files/" + f.ID + "/links",
		"/v1/file_links?file_id=" + f.ID + "&limit=3":                       "/v1/file_links",
		"/v1/file_links?created%5Bgte%5D=1&limit=3":                         "/v1/file_links",
		"/v1/file_links?ids=" + strings.Join(newestFirst, ",") + "&limit=3": "/v1/file_links",
	} {
		page := c.URL + path
		var pages []answer
		for page != "" {
			a := c.ask(t, "GET", page, "").want(t, 200)
			pages = append(pages, a)
			page = beside(a)["next"]
		}
		if len(pages) != 3 {
			t.Fatalf("%s: %d pages", path, len(pages))
		}
		for i, a := range pages {
			l := read[api.List[api.Link]](t, a)
			want := newestFirst[i*3 : min(i*3+3, 7)]
			if !slices.Equal(ids(l), want) || l.HasMore != (i < 2) || l.Object != "list" || l.URL != listURL {
				t.Errorf("%s: page %d: %+v", path, i, l)
			}
			if i == 2 != (l.NextCursor == nil) || l.NextCursor != nil && *l.NextCursor != want[len(want)-1] {
				t.Errorf("%s: page %d: next_cursor %v", path, i, l.NextCursor)
			}
		}
		if prev := beside(pages[0])["prev"]; prev != "" {
			t.Errorf("%s: before the first page there is %s", path, prev)
		}
		back := c.ask(t, "GET", beside(pages[2])["prev"], "").want(t, 200)
		if l := read[api.List[api.Link]](t, back); !slices.Equal(ids(l), newestFirst[3:6]) || !l.HasMore ||
			*l.NextCursor != newestFirst[5] {
			t.Errorf("%s: back: %+v", path, l)
		}
		first := c.ask(t, "GET", beside(back)["prev"], "").want(t, 200)
		if l := read[api.List[api.Link]](t, first); !slices.Equal(ids(l), newestFirst[:3]) || l.HasMore {
			t.Errorf("%s: back to the first: %+v", path, l)
		}
		if pages := beside(first); pages["prev"] != "" || pages["next"] == "" {
			t.Errorf("%s: the first page, come to from behind, is beside %v", path, pages)
		}
	}
}

// TestFilters lists three files, each an hour younger than the one before.
func TestFilters(t *testing.T) {
	c := newClient(t)
	var files []api.File
	for i, purpose := range []string{"invoice", "report", "invoice"} {
		files = append(files, read[api.File](t,
			c.post(t, fileOf(purpose, fmt.Sprint(i), "text/plain", "hello")).want(t, 201)))
		c.Clock.Advance(time.Hour)
	}
	at := files[1].Created
	rfc := url.QueryEscape(time.Unix(at, 0).UTC().Format(time.RFC3339))
	zoned := url.QueryEscape(time.Unix(at, 0).In(time.FixedZone("", 3600)).Format(time.RFC3339))
	for query, want := range map[string]string{
		"":                 "210",
		"purpose=invoice":  "20",
		"purpose=nonesuch": "",
		"ids=" + files[0].ID + "&ids=" + files[2].ID:                 "20",
		"ids=" + files[0].ID + "," + files[2].ID + ",file_nonesuch":  "20",
		fmt.Sprintf("created=%d", at):                                "1",
		fmt.Sprintf("created=%d", at+1):                              "",
		"created=" + rfc:                                             "1",
		"created=" + zoned:                                           "1",
		fmt.Sprintf("created[gt]=%d", at):                            "2",
		fmt.Sprintf("created[gte]=%d", at):                           "21",
		fmt.Sprintf("created[lt]=%d", at):                            "0",
		fmt.Sprintf("created[lte]=%d", at):                           "10",
		fmt.Sprintf("created%%5Blte%%5D=%d", at):                     "10",
		fmt.Sprintf("created[gt]=%d&created[lt]=%d", at-1, at+1):     "1",
		fmt.Sprintf("created[gt]=%d&created[lt]=%d", at, at+1):       "",
		"created[gte]=" + rfc:                                        "21",
		"created[lte]=" + url.QueryEscape("2026-03-04T06:06:07.8Z"):  "0",
		"created[lte]=" + url.QueryEscape("2026-03-04T06:06:07.95Z"): "10",
		fmt.Sprintf("created[lte]=%d&purpose=invoice&limit=100", at): "0",
	} {
		l := read[api.List[api.File]](t, c.ask(t, "GET", "/v1/files?"+query, "").want(t, 200))
		got := ""
		for _, f := range l.Data {
			got += f.Filename
		}
		if got != want {
			t.Errorf("%s: files %q, want %q", query, got, want)
		}
	}
}

// TestAudit reads the entries of a mint, a redemption and refusals.
func TestAudit(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mint(t, f.ID, `{"reason":"case 4711","metadata":{"who":"Müller"}}`)
	c.get(t, l.URL, "User-Agent", "probe/1", "Referer", "https://mail.example/inbox?secret=1", "X-Forwarded-For",
		"203.0.113.9, 10.0.0.1", "Range", "bytes=0-1").want(t, 206)
	c.Entries(t, c.Ledger(sluice.Test)) // waits for the delivery entries
	c.Clock.Advance(time.Hour)
	refused := c.get(t, l.URL).want(t, 410)

	list := read[api.List[api.AuditEntry]](t, c.ask(t, "GET", "/v1/audit_entries?link_id="+l.ID, "").want(t, 200))
	if len(list.Data) != 4 {
		t.Fatalf("%+v", list)
	}
	delivered, redeemed := list.Data[1], list.Data[2]
	if len(delivered.Deliveries) != 1 || *redeemed.Delivery.DurationMS < 0 {
		t.Fatalf("%+v", delivered)
	}
	want := api.AuditEntry{
		ID: delivered.ID, Object: "audit_entry", Seq: redeemed.Seq + 1, Created: delivered.Created, Time: delivered.Time,
		Action: "link.delivered", Outcome: "allowed", Actor: api.Actor{Type: "system"},
		Deliveries: []api.EndedDelivery{{Bytes: 2, Complete: true, DurationMS: *redeemed.Delivery.DurationMS, File: f.ID,
			Link: l.ID, Seq: redeemed.Seq}},
	}
	if diff := cmp.Diff(want, delivered); diff != "" {
		t.Error(diff)
	}
	want = api.AuditEntry{
		ID: redeemed.ID, Object: "audit_entry", Seq: redeemed.Seq, Created: l.Created, Time: "2026-03-04T05:06:07.890123Z",
		Action: "link.redeemed", Outcome: "allowed", Actor: api.Actor{Type: "bearer", ID: l.ID},
		Key:  &api.KeyRef{ID: c.Key.ID, Name: "test key"},
		File: &api.FileRef{ID: f.ID, Filename: "a.txt", Size: 5, Type: "text/plain", SHA256: hello, Purpose: "generic"},
		Link: &api.LinkRef{ID: l.ID, ExpiresAt: l.ExpiresAt, Reason: "case 4711",
			Metadata: map[string]string{"who": "Müller"}},
		Request: &api.Request{
			ID: redeemed.Request.ID, Method: "GET", Route: "/l/{token}", Range: "bytes=0-1", IP: "127.0.0.1",
			ClientIP:     "127.0.0.1",
			ForwardedFor: "203.0.113.9, 10.0.0.1", UserAgent: "probe/1", RefererHost: "mail.example",
		},
		Delivery: &api.Delivery{Mode: "proxy", Status: 206, Bytes: new(int64(2)), Complete: new(true),
			DurationMS: redeemed.Delivery.DurationMS, Entry: delivered.ID},
	}
	if diff := cmp.Diff(want, redeemed); diff != "" {
		t.Error(diff)
	}
	if e := list.Data[0]; e.Action != "link.refused" || e.Outcome != "refused" || e.Refusal != "expired" ||
		e.Request.ID != refused.header.Get("X-Request-Id") {
		t.Errorf("%+v", e)
	}
	if e := list.Data[3]; e.Action != "link.created" ||
		e.Actor != (api.Actor{Type: "key", ID: c.Key.ID, Name: "test key"}) || e.Request.Route != "/v1/files/{id}/links" {
		t.Errorf("%+v", e)
	}
	one := read[api.AuditEntry](t, c.ask(t, "GET", "/v1/audit_entries/"+redeemed.ID, "").want(t, 200))
	if diff := cmp.Diff(redeemed, one); diff != "" {
		t.Error(diff)
	}

	for query, want := range map[string]int{
		"action=link.redeemed": 1,
		"outcome=refused":      1,
		"file_id=" + f.ID:      5,
		"key_id=" + c.Key.ID:   5, // not that of the delivery, which the redemption is read with
		"request_id=" + refused.header.Get("X-Request-Id"): 1,
		"ids=" + redeemed.ID: 1,
		fmt.Sprintf("created=%d&action=link.redeemed", l.Created): 1,
		fmt.Sprintf("created[gt]=%d", l.Created):                  1,
		"action=nonesuch":                                         0,
	} {
		l := read[api.List[api.AuditEntry]](t, c.ask(t, "GET", "/v1/audit_entries?"+query, "").want(t, 200))
		if len(l.Data) != want {
			t.Errorf("%s: %d entries, want %d", query, len(l.Data), want)
		}
	}
	export := "/v1/audit_entries/export?format=csv&link_id=" + l.ID + "&action="
	row := firstRow(t, c.ask(t, "GET", export+"link.redeemed", "").want(t, 200).body)
	if row["delivery_bytes"] != "2" || row["delivery_complete"] != "true" || row["delivery_entry_id"] != delivered.ID {
		t.Errorf("the CSV says %q", row)
	}
	row = firstRow(t, c.ask(t, "GET", export+"link.delivered", "").want(t, 200).body)
	if row["deliveries"] != fmt.Sprintf("[%d]", redeemed.Seq) || row["delivery_bytes"] != "" ||
		row["actor_type"] != "system" {
		t.Errorf("the CSV says %q", row)
	}
	token := l.URL[len(c.URL+"/l/"):]
	if log := c.Log.String(); strings.Contains(log, token) || strings.Contains(log, c.secret) ||
		!strings.Contains(log, l.ID) {
		t.Error("the log holds a token or a secret, or does not name the link")
	}
}
