package httpd_test

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/api"
	"sluice/internal/service"
)

// TestUploadFields sends every field of an upload, in every form.
func TestUploadFields(t *testing.T) {
	c := newClient(t)
	now := c.Clock.Now().Unix()
	want := api.File{
		Object: "file", Purpose: "invoice", Filename: "given.txt", Title: ptr("A title"), Size: 5, Type: "text/plain",
		SHA256: hello, Status: "active",
		LinkedResources: []api.Resource{{Type: "order", ID: "6735"}, {Type: "customer", ID: "ü"}},
		Metadata:        map[string]string{"a": "1", "b": ""}, Created: now, Updated: now,
	}
	wantLink := api.Link{
		Object: "file_link", ExpiresAt: ptr(now + 60), Reason: ptr("case 4711"),
		Metadata: map[string]string{"who": "Müller"}, Disposition: "inline", Filename: ptr("shown.txt"),
		MaxDownloads: ptr(int64(3)), HasPassword: true, AllowedIPs: []string{"10.0.0.0/8", "127.0.0.1/32", "::1/128"},
		Created: now, Updated: now,
		Recipient:         &api.Recipient{Email: "ann@bank.example", Name: "Ann Müller"},
		AllowedRecipients: []string{"bob@bank.example", "*@audit.example"}, Verification: "email",
		Message: ptr("Dear Ann,"), Terms: ptr("1. None."), Page: "always", Language: ptr("de"),
		Notify: &api.Notify{Email: "carl@northwind.example", On: []string{"first_download", "unopened"}},
	}
	said := []part{
		{"purpose", "invoice"}, {"title", "A title"}, {"filename", "given.txt"}, {"metadata[a]", "1"}, {"metadata[b]", ""},
		{"linked_resources", `[{"type":"order","id":"6735"},{"type":"customer","id":"ü"}]`},
		{"link[expires_in_seconds]", "60"}, {"link[reason]", "case 4711"}, {"link[metadata][who]", "Müller"},
		{"link[disposition]", "inline"}, {"link[filename]", "shown.txt"},
		{"link[max_downloads]", "3"}, {"link[password]", "secret horse"}, {"link[allowed_ips]", "10.0.0.0/8, 127.0.0.1,::1"},
		{"link[recipient][email]", "Ann@Bank.example"}, {"link[recipient][name]", "Ann Müller"},
		{"link[allowed_recipients]", "bob@bank.example, *@AUDIT.example"}, {"link[verification]", "email"},
		{"link[send]", "true"}, {"link[message]", "Dear Ann,"}, {"link[terms]", "1. None."}, {"link[page]", "always"},
		{"link[language]", "de"}, {"link[notify][email]", "carl@northwind.example"},
		{"link[notify][on]", "unopened,first_download"},
	}
	file := part{"file", "hello"}
	var query []string
	for _, p := range said {
		query = append(query, urlEncode(p.name)+"="+urlEncode(p.value))
	}
	objects := slices.Clone(said)
	objects[3], objects[4], objects[8] = part{"metadata", `{"a":"1"}`}, part{"metadata", `{}`},
		part{"link[metadata]", `{"who":"Müller"}`}
	objects[4] = part{"metadata[b]", ""}
	for name, a := range map[string]answer{
		"fields before the file": c.post(t, newForm(append(slices.Clone(said), file)...)),
		"fields after the file":  c.post(t, newForm(append([]part{file}, said...)...)),
		"metadata as JSON":       c.post(t, newForm(append(slices.Clone(objects), file)...)),
		"raw body with a query": c.ask(t, "POST", "/v1/files?"+strings.Join(query, "&"), "hello", "Content-Type",
			"text/plain"),
		"raw body by PUT": c.ask(t, "PUT", "/v1/files?"+strings.Join(query, "&"), "hello", "Content-Type",
			"text/plain"),
		"raw body of no known type": c.ask(t, "PUT", "/v1/files?"+strings.Join(query, "&"), "hello", "Content-Type", ""),
		"raw body of curl --data": c.ask(t, "POST", "/v1/files?"+strings.Join(query, "&"), "hello", "Content-Type",
			"application/x-www-form-urlencoded"),
		"raw body of unknown length": chunked(t, c, "/v1/files?"+strings.Join(query, "&"), "hello"),
	} {
		t.Run(name, func(t *testing.T) {
			got := read[api.CreatedFile](t, a.want(t, 201))
			want, wantLink := want, wantLink
			want.ID = got.ID
			if strings.HasPrefix(got.Type, "text/plain; charset=") { // by the filename
				want.Type = got.Type
			}
			if diff := cmp.Diff(want, got.File); diff != "" {
				t.Error(diff)
			}
			if got.Link == nil {
				t.Fatal("the answer has no link")
			}
			wantLink.ID, wantLink.URL, wantLink.FileID = got.Link.ID, got.Link.URL, got.ID
			if diff := cmp.Diff(wantLink, *got.Link); diff != "" {
				t.Error(diff)
			}
			c.get(t, got.Link.URL).want(t, 403)
			down := c.get(t, got.Link.URL, "X-Link-Password", "secret horse").want(t, 401)
			if p := read[api.Problem](t, down); p.Code != "verification_required" || p.VerifyURL != got.Link.URL ||
				down.header.Get("WWW-Authenticate") != "Verification" {
				t.Errorf("%s %v", down.body, down.header)
			}
			if a.header.Get("ETag") == "" ||
				a.header.Get("ETag") != c.ask(t, "GET", "/v1/files/"+got.ID, "").header.Get("ETag") {
				t.Errorf("ETag %q", a.header.Get("ETag"))
			}
		})
	}
	// With no link[…] there is no link.
	if a := c.post(t, newForm(part{"purpose", "generic"}, file)); strings.Contains(string(a.body), `"link"`) {
		t.Errorf("%s", a.body)
	}
	// A link that never expires, with a key that may mint one.
	_, endless := c.NewKeyAs(t, c.Ledger(sluice.Test), service.NewKey{Name: "endless", MaxLinkLifetime: sluice.Forever})
	got := read[api.CreatedFile](t,
		c.as(endless).post(t, newForm(part{"purpose", "generic"}, file, part{"link[expires_in_seconds]", "none"})).want(t,
			201))
	if got.Link == nil || got.Link.ExpiresAt != nil {
		t.Errorf("%+v", got.Link)
	}
	at := read[api.CreatedFile](t,
		c.post(t, newForm(part{"purpose", "generic"}, file, part{"link[expires_at]", fmt.Sprint(now + 7)})).want(t, 201))
	if at.Link == nil || *at.Link.ExpiresAt != now+7 {
		t.Errorf("%+v", at.Link)
	}
}

func urlEncode(s string) string {
	return strings.NewReplacer("%", "%25", " ", "%20", "&", "%26", "+", "%2B", `"`, "%22", "{", "%7B", "}", "%7D", "ü",
		"%C3%BC").Replace(s)
}

func chunked(t *testing.T, c client, path, content string) answer {
	t.Helper()
	r, err := http.NewRequest("PUT", c.URL+path, struct{ *strings.Reader }{strings.NewReader(content)})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/plain")
	r.ContentLength = -1
	return c.do(t, r)
}

// TestBadUploadFields sends invalid fields. The failure names each, and nothing is stored.
func TestBadUploadFields(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "x", "text/plain", "hello")
	for _, test := range []struct {
		name, value  string
		param, field string
	}{
		{"link[colour]", "red", "link.colour", "unknown"},
		{"link[]", "red", "link.", "unknown"},
		{"link[file_id]", f.ID, "link.file_id", "unknown"},
		{"link", "{}", "link", "unknown"},
		{"link[metadata][k", "v", "link[metadata][k", "unknown"},
		{"link[expires_in_seconds]", "abc", "link.expires_in_seconds", "invalid"},
		{"link[expires_in_seconds]", "", "link.expires_in_seconds", "invalid"},
		{"link[expires_in_seconds]", "1e3", "link.expires_in_seconds", "invalid"},
		{"link[expires_in_seconds]", "0", "link.expires_in_seconds", "out_of_range"},
		{"link[expires_in_seconds]", "86401", "link.expires_in_seconds", "out_of_range"},
		{"link[expires_in_seconds]", "none", "link.expires_at", "out_of_range"},
		{"link[expires_at]", "tomorrow", "link.expires_at", "invalid"},
		{"link[expires_at]", "1", "link.expires_at", "out_of_range"},
		{"link[expires_at]", "253402300800", "link.expires_at", "out_of_range"},
		{"link[max_downloads]", "0", "link.max_downloads", "out_of_range"},
		{"link[max_downloads]", "many", "link.max_downloads", "invalid"},
		{"link[password]", "", "link.password", "out_of_range"},
		{"link[password]", "abc", "link.password", "out_of_range"},
		{"link[disposition]", "both", "link.disposition", "invalid"},
		{"link[allowed_ips]", "10.0.0.0/8,localhost", "link.allowed_ips.1", "invalid"},
		{"link[allowed_ips]", "10.1.0.0/8", "link.allowed_ips.0", "invalid"},
		{"link[reason]", strings.Repeat("ü", 501), "link.reason", "too_long"},
		{"link[metadata]", "[]", "link.metadata", "invalid"},
		{"link[metadata]", `{"a":null}`, "link.metadata.a", "invalid"},
		{"link[metadata][sluice_a]", "1", "link.metadata.sluice_a", "reserved"},
		{"link[metadata][a]", strings.Repeat("x", 501), "link.metadata.a", "too_long"},
		{"linked_resources", "order:1", "linked_resources", "invalid"},
		{"linked_resources", "null", "linked_resources", "invalid"},
		{"linked_resources", `{"type":"order","id":"1"}`, "linked_resources", "invalid"},
		{"linked_resources", `[{"type":"order"}]`, "linked_resources.0.id", "required"},
		{"linked_resources", `[{"type":"Order","id":"1"}]`, "linked_resources.0.type", "invalid"},
		{"linked_resources", `[{"type":"order","id":"1","url":"x"}]`, "linked_resources.0.url", "unknown"},
		{"linked_resources", `[{"type":"order","id":"1"},{"type":"order","id":"1"}]`, "linked_resources.1", "invalid"},
		{"linked_resources", "[" + strings.TrimSuffix(strings.Repeat(`{"type":"order","id":"1"},`, 51), ",") + "]",
			"linked_resources", "too_many"},
	} {
		t.Run(test.name+" "+strings.ReplaceAll(test.value, "/", "|"), func(t *testing.T) {
			before := c.state(t)
			for form, a := range map[string]answer{
				"before": c.post(t, newForm(part{"purpose", "generic"}, part{test.name, test.value}, part{"file", "hello"})),
				"after":  c.post(t, newForm(part{"purpose", "generic"}, part{"file", "hello"}, part{test.name, test.value})),
				"raw": c.ask(t, "PUT", "/v1/files?purpose=generic&"+urlEncode(test.name)+"="+urlEncode(test.value), "hello",
					"Content-Type", "text/plain"),
			} {
				p := c.problem(t, a.want(t, 400), sluice.CodeValidation)
				if p.Param != test.param || len(p.Errors) == 0 || p.Errors[0].Code != test.field {
					t.Errorf("%s: param %q and errors %+v, want %q %q", form, p.Param, p.Errors, test.param, test.field)
				}
			}
			c.unchanged(t, before, 0)
		})
	}
	for _, query := range []string{
		"purpose=generic&purpose=generic", "purpose=generic&colour=red",
		"purpose=generic&metadata[a]=1&metadata=%7B%22a%22:%221%22%7D", "purpose=%zz", "", "filename=a.txt",
		"purpose=generic&link[reason]=a&link[reason]=b",
		"purpose=generic&link[metadata][a]=a&link[metadata]=%7B%22a%22:%221%22%7D", "purpose=" + strings.Repeat("x", 5000),
	} {
		before := c.state(t)
		c.problem(t, c.ask(t, "PUT", "/v1/files?"+query, "hello", "Content-Type", "text/plain").want(t, 400),
			sluice.CodeValidation)
		c.unchanged(t, before, 0)
	}
	t.Run("links:write when a link is asked for", func(t *testing.T) {
		_, filesOnly := c.NewKey(t, c.Ledger(sluice.Test), sluice.FilesWrite)
		before := c.state(t)
		c.problem(t, c.as(filesOnly).post(t,
			newForm(part{"purpose", "generic"}, part{"file", "hello"}, part{"link[reason]", "x"})).want(t, 403),
			sluice.CodeForbidden)
		c.unchanged(t, before, 1)
	})
	t.Run("a body that is encoded", func(t *testing.T) {
		before := c.state(t)
		c.problem(t, c.ask(t, "PUT", "/v1/files?purpose=generic", "hello", "Content-Encoding", "gzip").want(t, 415),
			sluice.CodeUnsupportedType)
		c.problem(t, c.ask(t, "POST", "/v1/files/"+f.ID+"/links", "{}", "Content-Encoding", "gzip").want(t, 415),
			sluice.CodeUnsupportedType)
		c.unchanged(t, before, 0)
		c.ask(t, "PUT", "/v1/files?purpose=generic", "hello", "Content-Encoding", "identity").want(t, 201)
	})
}

// TestDigests declares digests of the whole body and of the file within it.
func TestDigests(t *testing.T) {
	c := newClient(t)
	wrong := digestOf("jello")
	sum := sha512.Sum512([]byte("hello"))
	sha512Of := "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	raw := func(field, value string) answer {
		return c.ask(t, "PUT", "/v1/files?purpose=generic", "hello", "Content-Type", "text/plain", field, value)
	}
	ofPart := func(field, value string) answer {
		f := newForm(part{"purpose", "generic"})
		f.part(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="a.txt"`}, field: {value}},
			"hello")
		f.field("title", "after")
		return c.post(t, f)
	}
	whole := func(field, value string) answer {
		f := fileOf("generic", "a.txt", "text/plain", "hello")
		body := string(f.closed()) + strings.Repeat("what follows is of the body, too", 4<<10)
		value = strings.ReplaceAll(value, digestOf("hello"), digestOf(body))
		all := sha512.Sum512([]byte(body))
		value = strings.ReplaceAll(value, sha512Of, "sha-512=:"+base64.StdEncoding.EncodeToString(all[:])+":")
		return c.ask(t, "POST", "/v1/files", body, "Content-Type", f.w.FormDataContentType(), field, value)
	}
	for _, where := range []struct {
		name  string
		send  func(field, value string) answer
		param string
	}{{"a raw body", raw, "file"}, {"the part of a form", ofPart, "file"},
		{"the body of a form as a whole", whole, "Content-Digest"}} {
		for _, field := range []string{"Content-Digest", "Repr-Digest"} {
			for _, test := range []struct {
				name, value string
				status      int
			}{
				{"sha-256", digestOf("hello"), 201},
				{"sha-512", sha512Of, 201},
				{"both", digestOf("hello") + ", " + sha512Of, 201},
				{"unknown algorithms are ignored", "md5=:aA==:, " + digestOf("hello") + ", unixsum=:aA==:;a=1", 201},
				{"only unknown algorithms", "md5=:aA==:", 201},
				{"sha-256 of other content", wrong, 400},
				{"sha-512 of other content", strings.Replace(sha512Of, ":", ":AAAA", 1)[:len(sha512Of)-5] +
					sha512Of[len(sha512Of)-5:], 400},
				{"one good, one bad", sha512Of + ", " + wrong, 400},
				{"not a digest", "hello", -400},
				{"hexadecimal", "sha-256=" + hello, -400},
				{"too short", "sha-256=:aA==:", -400},
				{"an algorithm in capitals", strings.ToUpper(digestOf("hello")), -400},
			} {
				t.Run(where.name+": "+field+": "+test.name, func(t *testing.T) {
					before := c.state(t)
					a := where.send(field, test.value)
					switch {
					case test.status == 201:
						a.want(t, 201)
						return
					case test.status == 400:
						if p := c.problem(t, a.want(t, 400), sluice.CodeDigestMismatch); p.Param != where.param {
							t.Errorf("param %q", p.Param)
						}
					default:
						if p := c.problem(t, a.want(t, 400), sluice.CodeValidation); p.Param != field {
							t.Errorf("param %q", p.Param)
						}
					}
					c.unchanged(t, before, 0)
				})
			}
		}
	}
	t.Run("two fields that differ", func(t *testing.T) {
		a := c.ask(t, "PUT", "/v1/files?purpose=generic", "hello", "Content-Type", "text/plain", "Content-Digest",
			digestOf("hello"), "Repr-Digest", wrong)
		c.problem(t, a.want(t, 400), sluice.CodeDigestMismatch)
		a = c.ask(t, "PUT", "/v1/files?purpose=generic", "hello", "Content-Type", "text/plain", "Content-Digest", wrong,
			"Repr-Digest", digestOf("hello"))
		c.problem(t, a.want(t, 400), sluice.CodeDigestMismatch)
	})
	t.Run("a JSON body", func(t *testing.T) {
		f := c.upload(t, "a.txt", "text/plain", "hello")
		c.ask(t, "POST", "/v1/files/"+f.ID+"/links", `{}`, "Content-Digest", digestOf(`{}`)).want(t, 200)
		c.problem(t, c.ask(t, "POST", "/v1/files/"+f.ID+"/links", `{}`, "Content-Digest", wrong).want(t, 400),
			sluice.CodeDigestMismatch)
		c.problem(t, c.ask(t, "POST", "/v1/files/"+f.ID+"/links", `{}`, "Content-Digest", "x").want(t, 400),
			sluice.CodeValidation)
	})
}

// TestCurl uploads with the real curl, as in the documentation.
func TestCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl on this machine: apt-get install curl")
	}
	c := newClient(t)
	large := filepath.Join(t.TempDir(), "large.bin")
	if err := os.WriteFile(large, []byte(strings.Repeat("0123456789", 300_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		size int64
		kind string
	}{
		"curl -T": {[]string{"-T", "testdata/page.pdf", c.URL + "/v1/files?purpose=invoice&filename=page.pdf"},
			-1, "application/pdf"},
		"curl -T, a pipe": {[]string{"-T", "-", c.URL + "/v1/files?purpose=invoice&filename=page.pdf"}, 5,
			"application/pdf"},
		"curl -T, 3 MB": {[]string{"-H", "Expect: 100-continue", "-T", large, c.URL + "/v1/files?purpose=generic"},
			3_000_000, "application/octet-stream"},
		"curl --data-binary": {[]string{"--data-binary", "@testdata/dot.png", c.URL +
			"/v1/files?purpose=logo&filename=dot.png"}, -1, "image/png"},
		"curl -F": {[]string{"-F", "file=@testdata/page.pdf", "-F", "purpose=invoice", c.URL + "/v1/files"}, -1,
			"application/pdf"},
	} {
		t.Run(name, func(t *testing.T) {
			curl := exec.CommandContext(t.Context(), "curl",
				append([]string{"-sS", "-g", "-H", "Authorization: Bearer " + c.secret}, test.args...)...)
			curl.Stdin = strings.NewReader("hello")
			out, err := curl.Output()
			if err != nil {
				t.Fatal(err)
			}
			f := read[api.CreatedFile](t, answer{body: out})
			if f.Type != test.kind || test.size >= 0 && f.Size != test.size {
				t.Errorf("%s", out)
			}
		})
	}
}

// TestExpect checks that the server refuses a body before it is sent.
func TestExpect(t *testing.T) {
	c := newClient(t)
	_, revokedKey := c.NewKey(t, c.Ledger(sluice.Test), sluice.FilesRead)
	put := func(secret, query string, length int) string {
		return "PUT /v1/files?" + query + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + secret +
			fmt.Sprintf("\r\nContent-Type: image/png\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", length)
	}
	before := c.state(t)
	for name, test := range map[string]struct {
		sent   string
		status int
	}{
		"a bad key":                  {put("sk_test_x", "purpose=logo", 5), 401},
		"a key without the scope":    {put(revokedKey, "purpose=logo", 5), 403},
		"a purpose that is none":     {put(c.secret, "purpose=nonesuch", 5), 400},
		"no purpose":                 {put(c.secret, "", 5), 400},
		"an unknown field":           {put(c.secret, "purpose=logo&colour=red", 5), 400},
		"more than its purpose lets": {put(c.secret, "purpose=logo", 10<<20+1), 413},
	} {
		t.Run(name, func(t *testing.T) {
			if a := c.talk(t, test.sent, false); a.status != test.status { // otherwise the status would be 100
				t.Errorf("status %d, want %d", a.status, test.status)
			}
		})
	}
	c.unchanged(t, before, 1)
	if a := c.talk(t, put(c.secret, "purpose=logo", 5), false); a.status != 100 {
		t.Errorf("status %d, want 100", a.status)
	}
	if a := c.talk(t, put(c.secret, "purpose=logo", 5)+"hello", false); a.status != 100 && a.status != 201 {
		t.Errorf("status %d", a.status)
	}
}
