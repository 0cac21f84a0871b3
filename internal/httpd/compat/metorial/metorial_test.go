package metorial_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// client sends requests like a client of Metorial.
type client struct {
	*sluicetest.Server
	url, secret string
}

func newClient(t *testing.T, adjust ...func(*server.Options)) *client {
	s := sluicetest.NewServer(t, adjust...)
	_, secret := s.NewKeyAs(
		t, s.Ledger(sluice.Test),
		service.NewKey{Name: "endless", Scopes: sluice.AllScopes(), MaxLinkLifetime: sluice.Forever},
	)
	return &client{s, s.URL + "/compat/metorial", secret}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// object is a JSON object in a response.
type object map[string]any

func (o object) text(name string) string {
	text, _ := o[name].(string)
	return text
}

func (c *client) do(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	u := c.url + path
	if strings.HasPrefix(path, "http") {
		u = path
	}
	req, err := http.NewRequest(method, u, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.secret)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Del(header[i])
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, data}
}

// ok expects status 200 with a JSON object, which Metorial's client library requires.
func (a answer) ok(t *testing.T) (o object) {
	t.Helper()
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &o); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return o
}

// items returns the ids of a list, and whether there are more before and after.
func (a answer) items(t *testing.T) (ids []string, before, after bool) {
	t.Helper()
	var l struct {
		Typename   string `json:"__typename"`
		Items      []struct{ ID string }
		Pagination struct {
			Before bool `json:"has_more_before"`
			After  bool `json:"has_more_after"`
		}
	}
	a.ok(t)
	if err := json.Unmarshal(a.body, &l); err != nil || l.Typename != "list" {
		t.Fatalf("%v in %s", err, a.body)
	}
	for _, one := range l.Items {
		ids = append(ids, one.ID)
	}
	return ids, l.Pagination.Before, l.Pagination.After
}

func (c *client) listIs(t *testing.T, path string, want ...string) {
	t.Helper()
	if got, _, _ := c.do(t, "GET", path, "").items(t); !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", path, got, want)
	}
}

// fails expects an error in Metorial's shape, complete. what is the entity of
// not_found, or "code path" of each failure of invalid_data.
func (a answer) fails(t *testing.T, status int, code string, what ...string) {
	t.Helper()
	var e struct {
		Typename            string `json:"__typename"`
		OK                  *bool
		Status              int
		Code, Message, Hint string
		Entity              string
		Errors              []struct {
			Code, Message      string
			Path               []string
			Expected, Received string
		}
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatalf("%v in %d %s", err, a.status, a.body)
	}
	var got []string
	if e.Entity != "" {
		got = append(got, e.Entity)
	}
	for _, one := range e.Errors {
		got = append(got, strings.TrimSpace(one.Code+" "+strings.Join(one.Path, ".")))
		if one.Message == "" || (one.Code == "invalid_type") != (one.Expected != "" && one.Received != "") {
			t.Errorf("incomplete: %s", a.body)
		}
	}
	if a.status != status || e.Code != code || !slices.Equal(got, what) {
		t.Errorf("%d %s\nwant %d %s %q", a.status, a.body, status, code, what)
	}
	if e.Typename != "error" || e.OK == nil || *e.OK || e.Status != status || e.Message == "" || e.Hint == "" ||
		a.header.Get("Content-Type") != "application/json" || !strings.HasPrefix(a.header.Get("X-Request-Id"), "req_") {
		t.Errorf("incomplete: %v %s", a.header, a.body)
	}
}

type field struct{ name, value string }

// form returns an upload like those of curl and FormData.
func form(content string, fields ...field) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		if f.name != "file" {
			_ = w.WriteField(f.name, f.value)
			continue
		}
		head := textproto.MIMEHeader{"Content-Type": {"application/octet-stream"}}
		head.Set("Content-Disposition", `form-data; name="file"; filename="`+f.value+`"`)
		part, _ := w.CreatePart(head)
		_, _ = io.WriteString(part, content)
	}
	w.Close()
	return b.String(), w.FormDataContentType()
}

func (c *client) upload(t *testing.T, content string, fields ...field) answer {
	t.Helper()
	body, contentType := form(content, fields...)
	return c.do(t, "POST", "/files", body, "Content-Type", contentType)
}

func (c *client) file(t *testing.T) string {
	t.Helper()
	return c.upload(t, "hello", field{"purpose", "attachment"}, field{"file", "example.txt"}).ok(t).text("id")
}

func (c *client) link(t *testing.T, file, body string) object {
	t.Helper()
	return c.do(t, "POST", "/files/"+file+"/links", body).ok(t)
}

// soon is an expiry that any key may set; the clock shows 05:06:07.89.
const soon = "2026-03-04T05:30:00.000Z"

// TestBadInput sends invalid requests.
func TestBadInput(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	link := c.link(t, file, "").text("id")
	links := "/files/" + file + "/links"
	one := links + "/" + link
	type row struct {
		method, path, body string
		status             int
		code               string
		what               []string
	}
	rows := []row{
		{"POST", links, "{", 400, "bad_request", nil},
		{"POST", links, "null", 400, "bad_request", nil},
		{"POST", links, "[]", 400, "bad_request", nil},
		{"POST", links, `{"expires_at":"` + soon + `"} {}`, 400, "bad_request", nil},
		{"POST", links, `{"expires_at":null}`, 400, "invalid_data", []string{"invalid_type expires_at"}},
		{"POST", links, `{"expires_at":1}`, 400, "invalid_data", []string{"invalid_type expires_at"}},
		{"POST", links, `{"expires_at":"tomorrow"}`, 400, "invalid_data", []string{"invalid_type expires_at"}},
		{"POST", links, `{"expires_at":"2026-03-04"}`, 400, "invalid_data", []string{"invalid_type expires_at"}},
		{"POST", links, `{"expires_at":""}`, 400, "invalid_data", []string{"invalid_type expires_at"}},
		{
			"POST", links,
			`{"expires_at":"2026-03-04T05:06:07.890Z"}`,
			400, "invalid_data",
			[]string{"out_of_range expires_at"},
		},
		{"POST", links, `{"x":"` + strings.Repeat("x", 300<<10) + `"}`, 400, "bad_request", nil},
		{"POST", "/files/file_none/links", `{}`, 404, "not_found", []string{"file"}},
		{"POST", "/files/" + link + "/links", `{}`, 404, "not_found", []string{"file"}},
		{"POST", "/file-links", `{}`, 400, "invalid_data", []string{"required file_id"}},
		{"POST", "/file-links", `{"file_id":7}`, 400, "invalid_data", []string{"invalid_type file_id"}},
		{"POST", "/file-links", `{"file_id":"file_none"}`, 404, "not_found", []string{"file"}},
		{"PATCH", one, `{"expires_at":null}`, 400, "invalid_data", []string{"invalid_type expires_at"}},
		{
			"PATCH", one,
			`{"expires_at":"2020-01-01T00:00:00Z"}`,
			400, "invalid_data",
			[]string{"out_of_range expires_at"},
		},
		{"PATCH", "/files/file_none/links/" + link, `{}`, 404, "not_found", []string{"file"}},
		{"PATCH", links + "/link_none", `{}`, 404, "not_found", []string{"fileLink"}},
		{"PATCH", "/file-links/" + link, `{}`, 404, "not_found", []string{"endpoint"}},
		{"DELETE", links + "/" + file, "", 404, "not_found", []string{"fileLink"}},
		{"PATCH", "/files/" + file, `{"title":7}`, 400, "invalid_data", []string{"invalid_type title"}},
		{"PATCH", "/files/" + file, `{"title":"\u0000"}`, 400, "invalid_data", []string{"invalid title"}},
		{"PATCH", "/files/file_none", `{}`, 404, "not_found", []string{"file"}},
		{"GET", "/files/%00", "", 404, "not_found", []string{"file"}},
		{"GET", "/files/%ff", "", 404, "not_found", []string{"file"}},
		{"GET", "/files/" + strings.Repeat("x", 300), "", 404, "not_found", []string{"file"}},
		{"GET", "/files?limit=0", "", 400, "invalid_data", []string{"out_of_range limit"}},
		{"GET", "/files?limit=ten", "", 400, "invalid_data", []string{"invalid_type limit"}},
		{"GET", links + "?limit=ten", "", 400, "invalid_data", []string{"invalid_type limit"}},
		{"GET", "/files?limit=1&limit=2", "", 400, "invalid_data", []string{"invalid limit"}},
		{"GET", "/files?order=up", "", 400, "invalid_data", []string{"invalid order"}},
		{"GET", "/files?after=" + file + "&before=" + file, "", 400, "invalid_data", []string{"invalid before"}},
		{"GET", "/files?after=" + link, "", 400, "invalid_data", []string{"invalid after"}},
		{"GET", "/files?order=desc&before=file_none", "", 400, "invalid_data", []string{"invalid before"}},
		{"GET", links + "?after=" + file, "", 400, "invalid_data", []string{"invalid after"}},
		{"GET", "/files?cursor=c", "", 400, "invalid_data", []string{"invalid cursor"}},
		{"GET", "/files?purpose=fun", "", 400, "invalid_data", []string{"invalid purpose"}},
		{"GET", "/files?purpose=", "", 400, "invalid_data", []string{"invalid purpose", "invalid purpose"}},
		{"GET", "/files?purpose[a]=generic", "", 400, "invalid_data", []string{"invalid purpose[a]"}},
		{"GET", "/files?created_at=yesterday", "", 400, "invalid_data", []string{"invalid created_at"}},
		{"GET", "/files?created_at[gt]=1", "", 400, "invalid_data", []string{"invalid created_at[gt]"}},
		{"GET", "/files?id=" + strings.Repeat("a,", 100) + "a", "", 400, "invalid_data", []string{"too_many id"}},
		{"GET", "/files?after=%00", "", 400, "invalid_data", []string{"invalid after"}},
		{"GET", "/files?after=%zz", "", 400, "invalid_data", []string{"invalid after"}},
		{"GET", "/file-links?file_id=file_none", "", 404, "not_found", []string{"file"}},
		{"GET", "/files/file_none/links", "", 404, "not_found", []string{"file"}},
		{"GET", "/nothing", "", 404, "not_found", []string{"endpoint"}},
		{"GET", "/", "", 404, "not_found", []string{"endpoint"}},
		{"GET", "//files", "", 404, "not_found", []string{"endpoint"}},
		{"PUT", "/files/" + file, "{}", 404, "not_found", []string{"endpoint"}},
	}
	for _, b := range rows {
		t.Run(fmt.Sprintf("%s %.60s %.40s", b.method, b.path, b.body), func(t *testing.T) {
			c.do(t, b.method, b.path, b.body).fails(t, b.status, b.code, b.what...)
		})
	}
	c.do(
		t, "POST", links, "expires_at=1", "Content-Type", "application/x-www-form-urlencoded",
	).fails(
		t, 400, "bad_request",
	)
	c.do(t, "POST", links, "{}", "Content-Type", "").fails(t, 400, "bad_request")
	c.do(t, "POST", links, "{}", "Content-Encoding", "gzip").fails(t, 400, "bad_request")
	if got := c.do(t, "GET", one, "").ok(t); got["expires_at"] != nil {
		t.Errorf("refused requests changed %v", got)
	}
}

// TestEndless checks that only a key that may can mint links without expiry.
func TestEndless(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	_, brief := c.NewKey(t, c.Ledger(sluice.Test))
	links := "/files/" + file + "/links"
	c.do(
		t, "POST", links, "{}", "Authorization", "Bearer "+brief,
	).fails(
		t, 400, "invalid_data", "out_of_range expires_at",
	)
	c.do(
		t, "POST", "/file-links",
		`{"file_id":"`+file+`"}`,
		"Authorization", "Bearer "+brief,
	).fails(
		t, 400, "invalid_data", "out_of_range expires_at",
	)
	far := `{"expires_at":"2036-03-04T00:00:00Z"}`
	c.do(
		t, "POST", links, far, "Authorization", "Bearer "+brief,
	).fails(
		t, 400, "invalid_data", "out_of_range expires_at",
	)
	if l := c.do(t, "POST", links, `{"expires_at":"`+soon+`"}`, "Authorization", "Bearer "+brief).ok(t); l["expires_at"] != soon {
		t.Errorf("%v", l)
	}
	if l := c.link(t, file, ""); l["expires_at"] != nil {
		t.Errorf("%v", l)
	}
	if l := c.link(t, file, far); l["expires_at"] != "2036-03-04T00:00:00.000Z" {
		t.Errorf("%v", l)
	}
}

func TestBadUploads(t *testing.T) {
	c := newClient(t)
	purpose, file := field{"purpose", "attachment"}, field{"file", "a.txt"}
	for name, b := range map[string]struct {
		fields []field
		what   []string
	}{
		"nothing":         {nil, []string{"required file", "required purpose"}},
		"no file":         {[]field{purpose}, []string{"required file"}},
		"no purpose":      {[]field{file}, []string{"required purpose"}},
		"empty purpose":   {[]field{{"purpose", ""}, file}, []string{"required purpose"}},
		"unknown purpose": {[]field{file, {"purpose", "fun"}}, []string{"invalid purpose"}},
		"two purposes":    {[]field{purpose, purpose, file}, []string{"invalid purpose"}},
		"long title":      {[]field{purpose, file, {"title", strings.Repeat("x", 256)}}, []string{"too_long title"}},
		"longer title":    {[]field{purpose, file, {"title", strings.Repeat("x", 5000)}}, []string{"too_long title"}},
		"wrong type":      {[]field{{"purpose", "user_image"}, file}, []string{"invalid file"}},
	} {
		t.Run(name, func(t *testing.T) { c.upload(t, "hello", b.fields...).fails(t, 400, "invalid_data", b.what...) })
	}
	c.upload(
		t,
		strings.Repeat("x", 11<<20),
		field{"purpose", "user_image"},
		field{"file", "a.png"},
	).fails(
		t, 400, "invalid_data", "invalid file",
	)
	c.do(t, "POST", "/files", `{"purpose":"attachment"}`).fails(t, 400, "bad_request")
	body, contentType := form("hello", purpose, file)
	c.do(t, "POST", "/files", body[:len(body)-20], "Content-Type", contentType).fails(t, 400, "bad_request")
	if keys := c.BlobKeys(t); len(keys) != 0 {
		t.Errorf("failed uploads left %q behind", keys)
	}
	f := c.upload(t, "hello", file, field{"colour", strings.Repeat("x", 5000)}, field{"title", "T"}, purpose).ok(t)
	if f["title"] != "T" || f["file_type"] != "text/plain; charset=utf-8" {
		t.Errorf("upload with an unknown field: %v", f)
	}
}

// TestWhoMay requests every route without a key, with invalid keys, with a key of
// the other mode, and with keys that lack the scope.
func TestWhoMay(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	link := c.link(t, file, "").text("id")
	_, live := c.NewKey(t, c.Ledger(sluice.Live))
	_, auditor := c.NewKey(t, c.Ledger(sluice.Test), sluice.AuditRead)
	body, contentType := form("hello", field{"purpose", "attachment"}, field{"file", "a.txt"})
	for _, r := range []struct {
		method, path, body string
		foreign            string // entity of the not_found error for a key of the other mode
	}{
		{"POST", "/files", body, ""},
		{"GET", "/files", "", ""},
		{"GET", "/files/" + file, "", "file"},
		{"PATCH", "/files/" + file, "{}", "file"},
		{"DELETE", "/files/" + file, "", "file"},
		{"GET", "/files/" + file + "/links", "", "file"},
		{"POST", "/files/" + file + "/links", `{"expires_at":"` + soon + `"}`, "file"},
		{"GET", "/files/" + file + "/links/" + link, "", "file"},
		{"PATCH", "/files/" + file + "/links/" + link, "{}", "file"},
		{"DELETE", "/files/" + file + "/links/" + link, "", "file"},
		{"GET", "/file-links", "", ""},
		{"POST", "/file-links", `{"file_id":"` + file + `","expires_at":"` + soon + `"}`, "file"},
		{"GET", "/file-links/" + link, "", "fileLink"},
		{"DELETE", "/file-links/" + link, "", "fileLink"},
	} {
		for _, within := range []string{"", "/instances/ins_1", "/dashboard/instances/ins_1"} {
			t.Run(r.method+" "+within+r.path, func(t *testing.T) {
				with := func(authorization string) answer {
					header := []string{"Authorization", authorization}
					if strings.HasPrefix(r.body, "--") {
						header = append(header, "Content-Type", contentType)
					}
					return c.do(t, r.method, within+r.path, r.body, header...)
				}
				for _, bad := range []string{"", "Bearer", "Bearer sk_test_x", "Basic " + c.secret} {
					a := with(bad)
					a.fails(t, 401, "unauthorized")
					if a.header.Get("WWW-Authenticate") == "" {
						t.Error("no WWW-Authenticate")
					}
				}
				with("Bearer "+auditor).fails(t, 403, "forbidden")
				if a := with("Bearer " + live); r.foreign != "" {
					a.fails(t, 404, "not_found", r.foreign)
				} else {
					a.ok(t)
				}
			})
		}
	}
	a := c.do(t, "GET", "/files?token="+c.secret, "", "Authorization", "")
	a.fails(t, 401, "unauthorized")
	if !strings.Contains(string(a.body), "token") {
		t.Errorf("the response does not mention token: %s", a.body)
	}
	c.do(t, "GET", "/files/"+file, "").ok(t)
}

// TestOtherFaces creates objects with each API and reads them with the others.
func TestOtherFaces(t *testing.T) {
	c := newClient(t)
	var made object
	if err := json.Unmarshal(c.do(t, "PUT", c.URL+"/v1/files?purpose=report&filename=q3.pdf&title=Third+quarter", "%PDF", "Content-Type", "").body, &made); err != nil {
		t.Fatal(err)
	}
	id := made.text("id")
	if f := c.do(t, "GET", "/files/"+id, "").ok(t); f["title"] != "Third quarter" ||
		f["file_type"] != "application/pdf" ||
		f["purpose"].(map[string]any)["identifier"] != "report" {
		t.Errorf("%v", f)
	}
	version := []string{"Metorial-Version", "some-day"}
	if l := c.do(t, "POST", c.URL+"/files/"+id+"/links", "{}", version...).ok(t); l["object"] != "file.file_link" {
		t.Errorf("the header does not select the adapter: %v", l)
	}
	l := c.link(t, id, "")
	if native := c.do(t, "GET", c.URL+"/v1/file_links/"+l.text("id"), "").ok(t); native["url"] != l["url"] ||
		native["file_id"] != id {
		t.Errorf("%v", native)
	}
	if s := c.do(t, "GET", c.URL+"/compat/stripe/v1/file_links/"+l.text("id"), "").ok(t); s["file"] != id ||
		s["url"] != l["url"] {
		t.Errorf("%v", s)
	}
	c.Clock.Advance(time.Minute)
	c.do(t, "DELETE", c.URL+"/v1/files/"+id, "").ok(t)
	f := c.do(t, "GET", "/files/"+id, "").ok(t)
	if f["status"] != "deleted" || f["updated_at"] != "2026-03-04T05:07:07.890Z" {
		t.Errorf("%v", f)
	}
	if l := c.do(t, "GET", "/files/"+id+"/links/"+l.text("id"), "").ok(t); l["expires_at"] != "2026-03-04T05:07:07.890Z" {
		t.Errorf("link of a deleted file: %v", l)
	}
	c.do(
		t, "PATCH", "/files/"+id+"/links/"+l.text("id"),
		`{"expires_at":"2026-03-05T00:00:00Z"}`,
	).fails(
		t, 400, "bad_request",
	)
	c.do(t, "PATCH", "/files/"+id, `{"title":"t"}`).fails(t, 404, "not_found", "file")
	held := c.file(t)
	c.do(t, "PATCH", c.URL+"/v1/files/"+held, `{"held":true}`).ok(t)
	c.do(t, "DELETE", "/files/"+held, "").fails(t, 400, "bad_request")
}

// TestIdempotency repeats requests with Idempotency-Key. Metorial's client library
// does not send it, but other clients may.
func TestIdempotency(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	link := c.link(t, file, "").text("id")
	for i, r := range []struct{ method, path, body string }{
		{"POST", "/files/" + file + "/links", "{}"},
		{"PATCH", "/files/" + file, `{"title":"T"}`},
		{"DELETE", "/files/" + file + "/links/" + link, ""},
		{"DELETE", "/files/" + file, ""},
		{"DELETE", "/files/file_none", ""},
	} {
		var first answer
		for n := range 3 {
			a := c.do(t, r.method, r.path, r.body, "Idempotency-Key", fmt.Sprint("k", i))
			if n == 0 {
				first = a
			}
			if a.status != first.status || !bytes.Equal(a.body, first.body) {
				t.Errorf("%s %s: %d %s, first %d %s", r.method, r.path, a.status, a.body, first.status, first.body)
			}
			c.Clock.Advance(time.Second)
		}
	}
	c.do(t, "POST", "/file-links", "{}", "Idempotency-Key", "k0").fails(t, 400, "bad_request")
	var ended int
	for _, e := range c.Entries(t, c.Ledger(sluice.Test)) {
		if e.Action == sluice.LinkEnded || e.Action == sluice.FileEnded {
			ended++
		}
	}
	if ended != 2 {
		t.Errorf("got %d entries of ended links", ended)
	}
}

// TestRateLimit counts the requests of a key.
func TestRateLimit(t *testing.T) {
	c := newClient(t, func(o *server.Options) { o.Rates = map[sluice.Mode]httpd.Rate{sluice.Test: {PerMinute: 1}} })
	c.do(t, "GET", "/files", "").ok(t)
	a := c.do(t, "GET", "/files", "")
	a.fails(t, 429, "rate_limit_exceeded")
	if a.header.Get("Retry-After") == "" {
		t.Errorf("%v", a.header)
	}
}

// TestPurposeThatRequiresRecipients checks that Metorial's clients get no links to files whose purpose requires what
// Metorial's API does not know.
func TestPurposeThatRequiresRecipients(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	c.SetPurposes(sluice.Purpose{
		Name: "attachment", MaxSize: 100, Linkable: true, Require: []sluice.Requirement{sluice.RequireVerification},
	})
	c.Restart(t)
	c.do(t, "POST", "/files/"+file+"/links", "{}").fails(t, 400, "invalid_data", "required verification")
}
