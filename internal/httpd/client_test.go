package httpd_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// client sends requests with one key, or without a key when secret is empty.
type client struct {
	*sluicetest.Server
	secret string
}

func newClient(t *testing.T) client {
	t.Helper()
	s := sluicetest.NewServer(t)
	return client{s, s.Secret}
}

func (c client) as(secret string) client { return client{c.Server, secret} }

// answer is an answer whose body was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (c client) do(t testing.TB, r *http.Request) answer {
	t.Helper()
	if c.secret != "" && r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", "Bearer "+c.secret)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if id := res.Header.Get("X-Request-Id"); !strings.HasPrefix(id, "req_") {
		t.Errorf("%s %s: X-Request-Id is %q", r.Method, r.URL.Path, id)
	}
	return answer{res.StatusCode, res.Header, b}
}

// ask sends a request with a JSON body, or without a body when it is "". Headers are given as name, value, name,
// value.
func (c client) ask(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	if strings.HasPrefix(path, "/") {
		path = c.URL + path
	}
	r, err := http.NewRequest(method, path, content)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return c.do(t, r)
}

// get requests a URL without a key, as the holder of a link does.
func (c client) get(t testing.TB, url string, headers ...string) answer {
	t.Helper()
	return c.as("").ask(t, "GET", url, "", headers...)
}

func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

func read[T any](t testing.TB, a answer) (v T) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// problem parses a problem document and checks what every problem must have.
func (c client) problem(t testing.TB, a answer, code sluice.Code) api.Problem {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("status %d, Content-Type %q, want a problem: %s", a.status, got, a.body)
	}
	p := read[api.Problem](t, a)
	page := c.PublicURL() + "/docs/errors/" + string(code)
	if p.Code != string(code) || p.Status != a.status || p.Type != page || p.DocURL != page || p.Title == "" ||
		p.RequestID != a.header.Get("X-Request-Id") {
		t.Fatalf("status %d, want problem %s: %s", a.status, code, a.body)
	}
	if got := a.header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
		t.Errorf("Cache-Control is %q", got)
	}
	return p
}

// part is one part of a form. A part named file is a file.
type part struct{ name, value string }

// fileOf is a form with a purpose and one file.
func fileOf(purpose, filename, mediaType, content string) *multipartForm {
	f := newForm()
	f.field("purpose", purpose)
	f.file(filename, mediaType, content)
	return f
}

type multipartForm struct {
	bytes.Buffer
	w *multipart.Writer
}

func newForm(parts ...part) *multipartForm {
	f := &multipartForm{}
	f.w = multipart.NewWriter(&f.Buffer)
	for _, p := range parts {
		if p.name == "file" {
			f.file("a.txt", "text/plain", p.value)
		} else {
			f.field(p.name, p.value)
		}
	}
	return f
}

func (f *multipartForm) field(name, value string) {
	f.part(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="%s"`, name)}}, value)
}

func (f *multipartForm) file(filename, mediaType, content string) {
	escaped := strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A").Replace(filename)
	f.part(textproto.MIMEHeader{
		"Content-Disposition": {fmt.Sprintf(`form-data; name="file"; filename="%s"`, escaped)},
		"Content-Type":        {mediaType},
	}, content)
}

func (f *multipartForm) part(head textproto.MIMEHeader, content string) {
	w, err := f.w.CreatePart(head)
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, content)
}

// closed returns the complete form.
func (f *multipartForm) closed() []byte {
	_ = f.w.Close()
	return f.Bytes()
}

func (c client) post(t testing.TB, f *multipartForm) answer {
	t.Helper()
	r, err := http.NewRequest("POST", c.URL+"/v1/files", bytes.NewReader(f.closed()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", f.w.FormDataContentType())
	return c.do(t, r)
}

// upload uploads a file. It fails the test when the server refuses it.
func (c client) upload(t testing.TB, filename, mediaType, content string) api.File {
	t.Helper()
	return read[api.File](t, c.post(t, fileOf("generic", filename, mediaType, content)).want(t, 201))
}

// mint mints a link. It fails the test when the server refuses it.
func (c client) mint(t testing.TB, file, body string) api.Link {
	t.Helper()
	return read[api.Link](t, c.ask(t, "POST", "/v1/files/"+file+"/links", body).want(t, 200))
}

// state is everything that a server stores. A refused request leaves it unchanged, except for an entry about a missing
// scope.
type state struct {
	Files, Links, Keys, Unfinished, Denials int
	Blobs, Entries                          []string
}

func (c client) state(t testing.TB) (s state) {
	t.Helper()
	ctx, all := context.Background(), sluice.Page{Limit: sluice.MaxPageSize}
	for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
		operator := service.Operator(c.Ledger(m))
		files, err := c.Files.List(ctx, operator, service.FileFilter{}, all)
		if err != nil {
			t.Fatal(err)
		}
		links, err := c.Links.List(ctx, operator, service.LinkFilter{}, all)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := c.Keys.List(ctx, operator, all)
		if err != nil {
			t.Fatal(err)
		}
		s.Files, s.Links, s.Keys = s.Files+len(files.Data), s.Links+len(links.Data), s.Keys+len(keys.Data)
		for _, e := range c.Entries(t, c.Ledger(m)) {
			if e.Action == sluice.AccessDenied {
				s.Denials++
			} else {
				s.Entries = append(s.Entries, e.ID+" "+string(e.Action))
			}
		}
	}
	s.Blobs = c.BlobKeys(t)
	unfinished, err := c.Blobs.Sweep(ctx, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	s.Unfinished = unfinished
	return s
}

// unchanged fails the test when anything was added or removed since before, except for a number of denials.
func (c client) unchanged(t testing.TB, before state, denials int) {
	t.Helper()
	before.Denials += denials
	if diff := cmp.Diff(before, c.state(t)); diff != "" {
		t.Errorf("something was left behind (-before +now):\n%s", diff)
	}
}

// newLimited is a client whose keys may make a limited number of requests in a second and in a minute.
func newLimited(t *testing.T, perSecond, perMinute int) client {
	t.Helper()
	s := sluicetest.NewServer(t, func(o *server.Options) {
		o.Rates = map[sluice.Mode]httpd.Rate{sluice.Test: {PerSecond: perSecond, PerMinute: perMinute}}
	})
	return client{s, s.Secret}
}

// digestOf is the SHA-256 of content as RFC 9530 writes it.
func digestOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}
