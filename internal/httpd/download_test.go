package httpd_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/sluicetest"
)

var guards = map[string]string{
	"X-Content-Type-Options":       "nosniff",
	"Content-Security-Policy":      "sandbox; default-src 'none'; frame-ancestors 'none'",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Referrer-Policy":              "no-referrer",
	"X-Robots-Tag":                 "noindex, nofollow",
	"Cache-Control":                "private, no-store",
}

// pagePolicy is the policy of a page of a link. It allows the style sheet of the page and its form.
func pagePolicy(page string) string {
	_, rest, _ := strings.Cut(page, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

func (a answer) guarded(t testing.TB) {
	t.Helper()
	for name, want := range guards {
		// a page of our own
		if name == "Content-Security-Policy" && a.header.Get("Content-Type") == "text/html; charset=utf-8" {
			want = pagePolicy(string(a.body))
		}
		if got := a.header.Get(name); got != want {
			t.Errorf("status %d: %s is %q, want %q", a.status, name, got, want)
		}
	}
}

func TestDownloadHeaders(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.html", "text/html", "<script>alert(1)</script>")
	l := c.mint(t, f.ID, "")
	sum := f.SHA256
	raw, err := regexp.Compile("^.{64}$")
	if err != nil || !raw.MatchString(sum) {
		t.Fatal(sum)
	}
	want := map[string]string{
		"Content-Type":        "text/html",
		"Content-Disposition": `attachment; filename="a.html"; filename*=UTF-8''a.html`,
		"Content-Length":      "25",
		"Accept-Ranges":       "bytes",
		"Etag":                `"` + sum + `"`,
		"Repr-Digest":         "sha-256=:" + base64.StdEncoding.EncodeToString(unhex(t, sum)) + ":",
		"Last-Modified":       "Wed, 04 Mar 2026 05:06:07 GMT",
	}
	for _, url := range []string{l.URL, l.URL + "/", l.URL + "/a.html", l.URL + "/a/b/c%2F..?utm_source=mail"} {
		a := c.get(t, url).want(t, 200)
		a.guarded(t)
		for name, value := range want {
			if got := a.header.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", url, name, got, value)
			}
		}
		if string(a.body) != "<script>alert(1)</script>" {
			t.Errorf("%s", a.body)
		}
		head := c.as("").ask(t, "HEAD", url, "").want(t, 200)
		head.guarded(t)
		if len(head.body) != 0 {
			t.Errorf("HEAD has a body of %d bytes", len(head.body))
		}
		for _, h := range []http.Header{a.header, head.header} {
			h.Del("X-Request-Id")
			h.Del("Date")
		}
		if fmt.Sprint(head.header) != fmt.Sprint(a.header) {
			t.Errorf("HEAD has headers\n%v, GET has\n%v", head.header, a.header)
		}
	}
}

func unhex(t *testing.T, s string) (b []byte) {
	t.Helper()
	if _, err := fmt.Sscanf(s, "%x", &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRanges requests parts of ten bytes.
func TestRanges(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "0123456789")
	empty := c.upload(t, "empty", "text/plain", "")
	url := c.mint(t, f.ID, "").URL
	etag := `"` + f.SHA256 + `"`
	for _, test := range []struct {
		header       []string
		status       int
		body         string
		contentRange string
	}{
		{[]string{"Range", "bytes=0-3"}, 206, "0123", "bytes 0-3/10"},
		{[]string{"Range", "Bytes=0-3"}, 206, "0123", "bytes 0-3/10"},
		{[]string{"Range", "bytes=3-"}, 206, "3456789", "bytes 3-9/10"},
		{[]string{"Range", "bytes=-2"}, 206, "89", "bytes 8-9/10"},
		{[]string{"Range", "bytes=-20"}, 206, "0123456789", "bytes 0-9/10"},
		{[]string{"Range", "bytes=8-100"}, 206, "89", "bytes 8-9/10"},
		{[]string{"Range", "bytes=10-"}, 416, "", "bytes */10"},
		{[]string{"Range", "bytes=-0"}, 416, "", "bytes */10"},
		{[]string{"Range", "bytes=5-2"}, 416, "", ""},
		{[]string{"Range", "bytes=x"}, 416, "", ""},
		{[]string{"Range", "lines=1-2"}, 200, "0123456789", ""},
		{[]string{"Range", "0-3"}, 200, "0123456789", ""},
		{[]string{"Range", "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8"}, 200, "0123456789", ""},
		{[]string{"Range", "bytes=0-9,0-9,0-9"}, 200, "0123456789", ""},
		{[]string{"Range", "bytes=0-3", "If-Range", etag}, 206, "0123", "bytes 0-3/10"},
		{[]string{"Range", "bytes=0-3", "If-Range", `"other"`}, 200, "0123456789", ""},
		{[]string{"Range", "bytes=0-3", "If-Range", "W/" + etag}, 200, "0123456789", ""},
		{[]string{"Range", "bytes=0-3", "If-Range", "Wed, 04 Mar 2026 05:06:07 GMT"}, 206, "0123", "bytes 0-3/10"},
		{[]string{"If-None-Match", etag}, 304, "", ""},
		{[]string{"If-None-Match", `"other", ` + etag}, 304, "", ""},
		{[]string{"If-None-Match", "*"}, 304, "", ""},
		{[]string{"If-None-Match", `"other"`}, 200, "0123456789", ""},
		{[]string{"If-Modified-Since", "Wed, 04 Mar 2026 05:06:07 GMT"}, 304, "", ""},
		{[]string{"If-Modified-Since", "Wed, 04 Mar 2026 05:06:06 GMT"}, 200, "0123456789", ""},
		{[]string{"If-Match", etag}, 200, "0123456789", ""},
		{[]string{"If-Match", `"other"`}, 412, "", ""},
		{[]string{"If-Unmodified-Since", "Wed, 04 Mar 2026 05:06:06 GMT"}, 412, "", ""},
		{[]string{"If-None-Match", etag, "Range", "bytes=10-"}, 304, "", ""},
	} {
		a := c.get(t, url, test.header...).want(t, test.status)
		a.guarded(t)
		if a.status < 400 && string(a.body) != test.body || a.header.Get("Content-Range") != test.contentRange {
			t.Errorf("%q: body %q, Content-Range %q", test.header, a.body, a.header.Get("Content-Range"))
		}
		switch a.status {
		case 416:
			c.problem(t, a, sluice.CodeRange)
		case 412:
			c.problem(t, a, sluice.CodePreconditionFailed)
		default:
			if a.header.Get("Etag") != etag || a.header.Get("Repr-Digest") == "" {
				t.Errorf("%q: %v", test.header, a.header)
			}
		}
		if a.status >= 400 && (a.header.Get("Etag") != "" || a.header.Get("Content-Disposition") != "" ||
			a.header.Get("Repr-Digest") != "") {
			t.Errorf("%q: a problem with the headers of the file: %v", test.header, a.header)
		}
	}

	// Range is defined for GET alone.
	if a := c.as("").ask(t, "HEAD", url, "", "Range", "bytes=0-3").want(t, 200); a.header.Get("Content-Length") != "10" {
		t.Errorf("%v", a.header)
	}
	c.get(t, c.mint(t, empty.ID, "").URL, "Range", "bytes=0-3").want(t, 200)
}

func TestMultipleRanges(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "0123456789")
	a := c.get(t, c.mint(t, f.ID, "").URL, "Range", "bytes=0-1,4-5,-1").want(t, 206)
	a.guarded(t)
	mediaType, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/byteranges" || a.header.Get("Content-Length") != fmt.Sprint(len(a.body)) {
		t.Fatalf("%v %v", err, a.header)
	}
	var got []string
	parts := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for {
		p, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(p)
		got = append(got, p.Header.Get("Content-Range")+" "+p.Header.Get("Content-Type")+" "+string(b))
	}
	want := []string{"bytes 0-1/10 text/plain 01", "bytes 4-5/10 text/plain 45", "bytes 9-9/10 text/plain 9"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestForgedTokens changes each character of a valid token, cuts the token, and makes up tokens. The answers are
// equal, and none is recorded.
func TestForgedTokens(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	token := strings.TrimPrefix(c.mint(t, f.ID, "").URL, c.URL+"/l/")
	var forged []string
	for i := range token {
		for _, r := range "Az9_" {
			if byte(r) != token[i] {
				forged = append(forged, token[:i]+string(r)+token[i+1:])
			}
		}
		forged = append(forged, token[:i+1]+"A"+token[i+1:])
		if i > 0 {
			forged = append(forged, token[:i])
		}
	}
	elsewhere := newClient(t)
	other := elsewhere.upload(t, "a.txt", "text/plain", "hello")
	forged = append(forged, strings.TrimPrefix(elsewhere.mint(t, other.ID, "").URL, elsewhere.URL+"/l/"))
	forged = append(forged, "x", token+"=", token+"%00", "%20"+token, token+"%0A", strings.Repeat("A", 72),
		strings.Repeat("A", 10000), "%FF", "..%2F"+token, strings.ToUpper(token))

	before := c.state(t)
	id := regexp.MustCompile(`req_[0-9a-z]{26}`)
	bodies, pages := map[string]bool{}, map[string]bool{}
	for _, token := range forged {
		a := c.get(t, c.URL+"/l/"+token).want(t, 404)
		a.guarded(t)
		c.problem(t, a, sluice.CodeNotFound)
		bodies[id.ReplaceAllString(string(a.body), "")] = true
		page := c.get(t, c.URL+"/l/"+token, "Accept", "text/html,*/*;q=0.8").want(t, 404)
		page.guarded(t)
		pages[id.ReplaceAllString(string(page.body), "")] = true
	}
	if len(bodies) != 1 || len(pages) != 1 {
		t.Errorf("%d forged tokens had %d answers and %d pages", len(forged), len(bodies), len(pages))
	}
	c.unchanged(t, before, 0)
	c.get(t, c.URL+"/l/"+token).want(t, 200)
}

// TestGone ends links in every possible way.
func TestGone(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	key, secret := c.NewKey(t, c.Ledger(sluice.Test))
	for _, test := range []struct {
		reason, sentence string
		end              func(id string)
	}{
		{"revoked", "<h1>This link was revoked</h1>", func(id string) { c.ask(t, "DELETE", "/v1/file_links/"+id, "").want(t, 200) }},
		{"key_revoked", "The sender may no longer share this file.", func(string) {
			if _, err := c.Keys.Revoke(context.Background(), service.Operator(c.Ledger(sluice.Test)), key.ID, nil); err != nil {
				t.Fatal(err)
			}
		}},
		{"file_deleted", "The file behind this link was deleted.",
			func(string) { c.ask(t, "DELETE", "/v1/files/"+f.ID, "").want(t, 200) }},
		{"expired", "<h1>This link has expired</h1>", func(string) { c.Clock.Advance(time.Hour) }},
	} {
		file, minter := f, c
		if test.reason == "expired" {
			file = c.upload(t, "b.txt", "text/plain", "hello")
		}
		if test.reason == "key_revoked" {
			minter = c.as(secret)
		}
		l := minter.mint(t, file.ID, "")
		c.get(t, l.URL).want(t, 200)
		test.end(l.ID)

		a := c.get(t, l.URL).want(t, 410)
		a.guarded(t)
		if p := c.problem(t, a, sluice.CodeGone); p.Reason != test.reason {
			t.Errorf("reason %q, want %q", p.Reason, test.reason)
		}
		page := c.get(t, l.URL, "Accept", "text/html,application/xhtml+xml").want(t, 410)
		page.guarded(t)
		if page.header.Get("Content-Type") != "text/html; charset=utf-8" ||
			!strings.Contains(string(page.body), test.sentence) || strings.Contains(string(page.body), "<script") {
			t.Errorf("%v: %s", page.header, page.body)
		}
		if head := c.as("").ask(t, "HEAD", l.URL, "").want(t, 410); len(head.body) != 0 {
			t.Errorf("HEAD has a body")
		}
		c.get(t, l.URL, "Range", "bytes=0-1").want(t, 410)
		c.get(t, l.URL, "If-None-Match", "*").want(t, 410)
	}
}

// TestNoEntryNoBytes closes the store: without an entry no byte is sent.
func TestNoEntryNoBytes(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	url := c.mint(t, f.ID, "").URL
	if err := c.Store.Close(); err != nil {
		t.Fatal(err)
	}
	a := c.get(t, url).want(t, 503)
	a.guarded(t)
	c.problem(t, a, sluice.CodeUnavailable)
	if a.header.Get("Retry-After") == "" {
		t.Errorf("%v", a.header)
	}
	c.get(t, url, "Accept", "text/html").want(t, 503).guarded(t)
}

// wire is a ResponseWriter that records what the connection gets.
type wire struct {
	http.ResponseWriter
	sources []string
}

func (w *wire) ReadFrom(r io.Reader) (int64, error) {
	source := fmt.Sprintf("%T", r)
	if l, ok := r.(*io.LimitedReader); ok {
		source += fmt.Sprintf(" of %T", l.R)
	}
	w.sources = append(w.sources, source)
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, r)
}

// TestSendfile checks that a download gives the connection what net.TCPConn can pass to sendfile(2): an *os.File
// within one io.LimitedReader.
func TestSendfile(t *testing.T) {
	c := newClient(t)
	content := strings.Repeat("0123456789", 1<<20)
	f := c.upload(t, "a.bin", "", content)
	url := c.mint(t, f.ID, "").URL
	srv := server.New(c.Service.Service, c.Gate, server.Options{})
	for header, want := range map[string]int{"": 10 << 20, "bytes=5-": 10<<20 - 5} {
		rec := httptest.NewRecorder()
		w := &wire{ResponseWriter: rec}
		r := httptest.NewRequest("GET", url, nil)
		if header != "" {
			r.Header.Set("Range", header)
		}
		srv.ServeHTTP(w, r)
		if len(w.sources) == 0 || rec.Body.Len() != want || rec.Body.String() != content[len(content)-want:] {
			t.Fatalf("status %d, %d bytes by %d pieces", rec.Code, rec.Body.Len(), len(w.sources))
		}
		for _, source := range w.sources {
			if source != "*io.LimitedReader of *os.File" {
				t.Errorf("the connection was given %s", source)
			}
		}
	}
}

// hurried is a connection whose deadline expires after every few bytes. It has read more than it has sent by then.
type hurried struct{ *httptest.ResponseRecorder }

func (w hurried) ReadFrom(r io.Reader) (int64, error) {
	var b [10]byte
	n, err := r.Read(b[:])
	if err != nil {
		return 0, err
	}
	sent, _ := w.Write(b[:min(n, 7)])
	return int64(sent), os.ErrDeadlineExceeded
}

// TestDeadlines lets deadlines expire while bytes flow: no byte is lost.
func TestDeadlines(t *testing.T) {
	c := newClient(t)
	const content = "The quick brown fox jumps over the lazy dog."
	f := c.upload(t, "a.txt", "text/plain", content)
	srv := server.New(c.Service.Service, c.Gate, server.Options{})
	for header, want := range map[string]string{"": content, "bytes=4-20": content[4:21]} {
		r := httptest.NewRequest("GET", c.mint(t, f.ID, "").URL, nil)
		if header != "" {
			r.Header.Set("Range", header)
		}
		w := hurried{httptest.NewRecorder()}
		srv.ServeHTTP(w, r)
		if got := w.Body.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestSlowReader reads more slowly than a transfer may stall, and then stops reading.
func TestSlowReader(t *testing.T) {
	svc := sluicetest.NewService(t)
	_, secret := svc.NewKey(t, svc.Ledger(sluice.Test))
	srv := server.New(svc.Service, svc.Gate, server.Options{})
	const stall = 2 * time.Second
	srv.SetStall(stall)
	ts := httptest.NewUnstartedServer(srv)
	var open atomic.Int32
	ts.Config.ConnState = func(conn net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			_ = conn.(*net.TCPConn).SetWriteBuffer(64 << 10)
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	ts.Start()
	defer ts.Close()
	c := client{&sluicetest.Server{Service: svc, URL: ts.URL}, secret}
	content := bytes.Repeat([]byte("0123456789abcdef"), 8<<20/16)
	f := c.upload(t, "a.bin", "", string(content))
	path := strings.TrimPrefix(c.mint(t, f.ID, "").URL, "http://sluice.test")
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	dial := func() net.Conn {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	slow := dial()
	defer slow.Close()
	var got bytes.Buffer
	began := time.Now()
	for range 20 {
		if _, err := io.CopyN(&got, slow, 128<<10); err != nil {
			t.Fatalf("cut off after %d bytes, while they flowed: %v", got.Len(), err)
		}
		time.Sleep(stall / 4)
	}
	if time.Since(began) < 4*stall {
		t.Fatal("the reader was not slow")
	}
	_, body, _ := bytes.Cut(got.Bytes(), []byte("\r\n\r\n"))
	if !bytes.Equal(body, content[:len(body)]) {
		t.Error("a slow reader got other bytes")
	}
	rest, err := io.ReadAll(io.LimitReader(slow, int64(len(content)-len(body))))
	if err != nil || !bytes.Equal(rest, content[len(body):]) {
		t.Errorf("a slow reader got another end: %d bytes, %v", len(rest), err)
	}
	slow.Close()

	still := dial()
	defer still.Close()
	for deadline := time.Now().Add(20 * stall); open.Load() > 0; time.Sleep(stall / 10) {
		if time.Now().After(deadline) {
			t.Fatal("a reader that stands still holds its connection")
		}
	}
}

// TestTooSlowReader checks that a reader who takes too few bytes is cut off.
func TestTooSlowReader(t *testing.T) {
	svc := sluicetest.NewService(t)
	_, secret := svc.NewKey(t, svc.Ledger(sluice.Test))
	srv := server.New(svc.Service, svc.Gate, server.Options{})
	srv.SetStall(500 * time.Millisecond)
	srv.SetPace(time.Second, 1<<30)
	ts := httptest.NewUnstartedServer(srv)
	ts.Config.ConnState = func(conn net.Conn, s http.ConnState) {
		if s == http.StateNew {
			_ = conn.(*net.TCPConn).SetWriteBuffer(64 << 10)
		}
	}
	ts.Start()
	defer ts.Close()
	c := client{&sluicetest.Server{Service: svc, URL: ts.URL}, secret}
	content := strings.Repeat("0123456789abcdef", 64<<20/16)
	f := c.upload(t, "a.bin", "", content)
	path := strings.TrimPrefix(c.mint(t, f.ID, "").URL, "http://sluice.test")
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got := int64(0)
	for err == nil {
		var n int64
		n, err = io.CopyN(io.Discard, conn, 128<<10)
		got += n
		time.Sleep(50 * time.Millisecond)
	}
	if got >= int64(len(content)) {
		t.Errorf("a reader that is too slow got all of the file, %d bytes", got)
	}
}

// TestAbortedDownload makes the content end in the middle of a file: the connection breaks, and nothing is appended.
func TestAbortedDownload(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.bin", "", strings.Repeat("0123456789", 4<<20))
	url := c.mint(t, f.ID, "").URL
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	err = filepath.WalkDir(filepath.Join(c.Dir, "blobs"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Truncate(name, 1<<20)
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err == nil || len(b) >= 40<<20 || strings.Contains(string(b[len(b)-100:]), "problem") {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
