package httpd_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/server"
	"sluice/sluicetest"
)

// TestRealFiles uploads and downloads real files.
func TestRealFiles(t *testing.T) {
	c := newClient(t)
	for _, test := range []struct {
		path, name, declared, want string
	}{
		{"testdata/page.pdf", "page.pdf", "application/pdf", "application/pdf"},
		{"testdata/dot.png", "dot.png", "", "image/png"},
		{"testdata/orders.csv", "orders.csv", "text/csv; charset=utf-8", "text/csv; charset=utf-8"},
		{"", "empty", "", "application/octet-stream"},
		{"testdata/page.pdf", "发票 \"2026年\"\r\n第一页.pdf", "application/pdf", "application/pdf"},
		{"testdata/page.pdf", `C:\invoices\März.pdf`, "application/pdf", "application/pdf"},
		{"testdata/page.pdf", "../../etc/passwd", "application/pdf", "application/pdf"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var content []byte
			if test.path != "" {
				var err error
				if content, err = os.ReadFile(test.path); err != nil {
					t.Fatal(err)
				}
			}
			f := c.upload(t, test.name, test.declared, string(content))
			sum := sha256.Sum256(content)
			name := test.name[strings.LastIndexAny(test.name, `/\`)+1:]
			if f.Filename != name || f.Type != test.want || f.Size != int64(len(content)) ||
				f.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("%+v", f)
			}
			a := c.get(t, c.mint(t, f.ID, "").URL).want(t, 200)
			if !bytes.Equal(a.body, content) || a.header.Get("Content-Type") != test.want ||
				a.header.Get("Content-Length") != fmt.Sprint(len(content)) {
				t.Errorf("%d bytes, %v", len(a.body), a.header)
			}
		})
	}
}

// TestFormFilenames sends filenames in every form that clients use.
func TestFormFilenames(t *testing.T) {
	c := newClient(t)
	for disposition, want := range map[string]string{
		`form-data; name="file"; filename="a.txt"`:                                          "a.txt",
		`form-data; name=file; filename=a.txt`:                                              "a.txt",
		`form-data; name="file"; filename="say \"hi\".txt"`:                                 `say "hi".txt`,
		`form-data; name="file"; filename="say %22hi%22 100%.txt"`:                          `say "hi" 100%.txt`,
		`form-data; name="file"; filename="报告.txt"`:                                         "报告.txt",
		`form-data; name="file"; filename="x.txt"; filename*=UTF-8''%e6%8a%a5%E5%91%8A.txt`: "报告.txt",
		`form-data; name="file"; filename*0="very "; filename*1="long.txt"`:                 "very long.txt",
		`form-data; name="file"; filename="/tmp/a/b.txt"`:                                   "b.txt",
		`form-data; name="file"; filename="C:\dir\b.txt"`:                                   "b.txt",
		`form-data; name="file"; filename=".."`:                                             "file",
		`form-data; name="file"; filename=""`:                                               "file",
		`form-data; name="file"`:                                                            "file",
	} {
		f := newForm(part{"purpose", "generic"})
		f.part(textproto.MIMEHeader{"Content-Disposition": {disposition}}, "hello")
		if got := read[api.File](t, c.post(t, f).want(t, 201)); got.Filename != want {
			t.Errorf("%s: filename %q, want %q", disposition, got.Filename, want)
		}
	}
	f := newForm(part{"filename", "given.txt"}, part{"purpose", "generic"}, part{"file", "hello"})
	if got := read[api.File](t, c.post(t, f).want(t, 201)); got.Filename != "given.txt" {
		t.Errorf("filename %q", got.Filename)
	}
}

func TestFormMetadata(t *testing.T) {
	c := newClient(t)
	f := newForm(part{"metadata", `{"a":"1","b":""}`}, part{"purpose", "generic"}, part{"file", "hello"},
		part{"metadata[c]", "ü \r\n"})
	got := read[api.File](t, c.post(t, f).want(t, 201))
	if len(got.Metadata) != 3 || got.Metadata["a"] != "1" || got.Metadata["b"] != "" || got.Metadata["c"] != "ü \r\n" {
		t.Errorf("%v", got.Metadata)
	}
	f = newForm(part{"purpose", "generic"}, part{"file", "hello"})
	for i := range 50 {
		f.field(fmt.Sprintf("metadata[k%d]", i), strings.Repeat("ü", 500))
	}
	if got := read[api.File](t, c.post(t, f).want(t, 201)); len(got.Metadata) != 50 {
		t.Errorf("%d keys", len(got.Metadata))
	}
}

// TestBadForms sends complete and invalid forms.
func TestBadForms(t *testing.T) {
	c := newClient(t)
	raw := func(head textproto.MIMEHeader) *multipartForm {
		f := newForm(part{"purpose", "generic"})
		f.part(head, "hello")
		return f
	}
	many := newForm(part{"purpose", "generic"}, part{"file", "hello"})
	keys := newForm(part{"purpose", "generic"}, part{"file", "hello"})
	large := newForm(part{"purpose", "generic"}, part{"file", "hello"})
	for i := range 150 {
		many.field(fmt.Sprint("metadata[k", i, "]"), "v")
		large.field(fmt.Sprint("unknown", i), strings.Repeat("x", 10<<10))
	}
	for i := range 51 {
		keys.field(fmt.Sprint("metadata[k", i, "]"), "v")
	}

	const invalid = sluice.CodeValidation
	for _, test := range []struct {
		name         string
		form         *multipartForm
		status       int
		code         sluice.Code
		param, field string
	}{
		{"no purpose", newForm(part{"file", "hello"}), 400, invalid, "purpose", "required"},
		{"an empty purpose", newForm(part{"purpose", ""}, part{"file", "hello"}), 400, invalid, "purpose", "required"},
		{"an unknown purpose before", newForm(part{"purpose", "nonesuch"}, part{"file", "hello"}), 400, invalid, "purpose",
			"invalid"},
		{"an unknown purpose after", newForm(part{"file", "hello"}, part{"purpose", "nonesuch"}), 400, invalid, "purpose",
			"invalid"},
		{"two purposes", newForm(part{"purpose", "generic"}, part{"purpose", "invoice"}, part{"file", "hello"}), 400,
			invalid, "purpose", "invalid"},
		{"no file", newForm(part{"purpose", "generic"}), 400, invalid, "file", "required"},
		{"an empty form", newForm(), 400, invalid, "file", "required"},
		{"two files", newForm(part{"purpose", "generic"}, part{"file", "a"}, part{"file", "b"}), 400, invalid, "file",
			"too_many"},
		{"an unknown field before", newForm(part{"colour", "red"}, part{"purpose", "generic"}, part{"file", "a"}), 400,
			invalid, "colour", "unknown"},
		{"an unknown field after", newForm(part{"purpose", "generic"}, part{"file", "a"}, part{"colour", "red"}), 400,
			invalid, "colour", "unknown"},
		{"a long title", newForm(part{"purpose", "generic"}, part{"title", strings.Repeat("ü", 256)}, part{"file", "a"}),
			400, invalid, "title", "too_long"},
		{"a very long title", newForm(part{"purpose", "generic"}, part{"title", strings.Repeat("x", 5000)},
			part{"file", "a"}), 400, invalid, "title", "too_long"},
		{"a long filename", newForm(part{"purpose", "generic"}, part{"filename", strings.Repeat("x", 256)},
			part{"file", "a"}), 400, invalid, "filename", "too_long"},
		{"a title that is not UTF-8", newForm(part{"purpose", "generic"}, part{"title", "\xff"}, part{"file", "a"}), 400,
			invalid, "title", "invalid"},
		{"a filename with NUL", newForm(part{"purpose", "generic"}, part{"filename", "a\x00b"}, part{"file", "a"}), 400,
			invalid, "filename", "invalid"},
		{"51 keys", keys, 400, invalid, "metadata", "too_many"},
		{"a value of 501 characters",
			newForm(part{"purpose", "generic"}, part{"file", "a"}, part{"metadata[k]", strings.Repeat("ü", 501)}), 400, invalid,
			"metadata.k", "too_long"},
		{"the reserved prefix", newForm(part{"purpose", "generic"}, part{"file", "a"}, part{"metadata[sluice_x]", "v"}), 400,
			invalid, "metadata.sluice_x", "reserved"},
		{"metadata that is not JSON", newForm(part{"purpose", "generic"}, part{"metadata", "a=1"}, part{"file", "a"}), 400,
			invalid, "metadata", "invalid"},
		{"metadata that is null", newForm(part{"purpose", "generic"}, part{"metadata", "null"}, part{"file", "a"}), 400,
			invalid, "metadata", "invalid"},
		{"metadata that is no text", newForm(part{"purpose", "generic"}, part{"metadata", `{"a":1}`}, part{"file", "a"}),
			400, invalid, "metadata", "invalid"},
		{"metadata with null", newForm(part{"purpose", "generic"}, part{"metadata", `{"a":null}`}, part{"file", "a"}), 400,
			invalid, "metadata.a", "invalid"},
		{"metadata twice", newForm(part{"purpose", "generic"}, part{"metadata", `{"a":"1"}`}, part{"metadata[a]", "2"},
			part{"file", "a"}), 400, invalid, "metadata.a", "invalid"},
		{"metadata without an end", newForm(part{"purpose", "generic"}, part{"metadata[a", "2"}, part{"file", "a"}), 400,
			invalid, "metadata[a", "unknown"},
		{"too many parts", many, 413, sluice.CodeTooLarge, "", ""},
		{"too much text", large, 413, sluice.CodeTooLarge, "", ""},
		{"a head without an end", raw(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"`},
			"X": {strings.Repeat("x", 600<<10)}}), 413, sluice.CodeTooLarge, "", ""},
		{"a part without a name", raw(textproto.MIMEHeader{"Content-Disposition": {`form-data`}}), 400, invalid, "", ""},
		{"a part without a disposition", raw(textproto.MIMEHeader{}), 400, invalid, "", ""},
		{"a disposition that is none",
			raw(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="a`}}), 400, invalid, "", ""},
		{"a transfer encoding", raw(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"`},
			"Content-Transfer-Encoding": {"base64"}}), 400, invalid, "", ""},
		{"a type its purpose does not allow", fileOf("identity_document", "a.txt", "text/plain", "hello"), 415,
			sluice.CodeUnsupportedType, "file", ""},
		{"a file over its purpose's limit", fileOf("logo", "a.png", "image/png", strings.Repeat("x", 10<<20+1)), 413,
			sluice.CodeTooLarge, "file", ""},
		{"a file over the limit of a purpose that comes late",
			newForm(part{"file", strings.Repeat("x", 10<<20+1)}, part{"purpose", "logo"}), 413, sluice.CodeTooLarge, "file", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := c.state(t)
			p := c.problem(t, c.post(t, test.form).want(t, test.status), test.code)
			if p.Param != test.param || test.field != "" && (len(p.Errors) == 0 || p.Errors[0].Code != test.field) {
				t.Errorf("param %q and errors %+v, want %q %q", p.Param, p.Errors, test.param, test.field)
			}
			c.unchanged(t, before, 0)
		})
	}

	_, readOnly := c.NewKey(t, c.Ledger(sluice.Test), sluice.FilesRead)
	before := c.state(t)
	c.problem(t, c.as(readOnly).post(t, fileOf("generic", "a", "", "hello")).want(t, 403), sluice.CodeForbidden)
	c.unchanged(t, before, 1)

	form := fileOf("generic", "a", "", "hello")
	a := c.ask(t, "POST", "/v1/files?purpose=generic", string(form.closed()), "Content-Type", form.w.FormDataContentType())
	if p := c.problem(t, a.want(t, 400), invalid); p.Param != "purpose" || p.Errors[0].Code != "unknown" {
		t.Errorf("%+v", p)
	}
	for _, contentType := range []string{
		"multipart/form-data", "multipart/mixed; boundary=x", "multipart/form-data; boundary=",
		"multipart/form-data, boundary=x",
		"multipart/form-data boundary=x", "multipart/form-data; boundary=x; boundary=y",
		" Multipart/Form-Data; boundary=x; charset=a; charset=b",
	} {
		for _, path := range []string{"/v1/files", "/v1/files?purpose=generic"} {
			a := c.ask(t, "POST", path, "--x--\r\n", "Content-Type", contentType)
			if a.status == 400 && strings.Contains(path, "?") { // a form has no query
				continue
			}
			c.problem(t, a.want(t, 415), sluice.CodeUnsupportedType)
		}
	}
	c.unchanged(t, before, 1)
}

// talk sends raw bytes and reads one answer. With hangUp it then closes its side of the connection.
func (c client) talk(t *testing.T, sent string, hangUp bool) answer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	if hangUp {
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, b}
}

func (c client) head(length string) string {
	return "POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + c.secret +
		"\r\nContent-Type: multipart/form-data; boundary=cut\r\n" + length + "\r\n\r\n"
}

const wholeForm = "--cut\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\ngeneric\r\n" +
	"--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello, world\r\n--cut--\r\n"

// TestCutOff ends a body after every byte, by closing the connection and by a Content-Length that is too small.
func TestCutOff(t *testing.T) {
	c := newClient(t)
	whole := len(wholeForm)
	c.talk(t, c.head(fmt.Sprintf("Content-Length: %d", whole))+wholeForm, true).want(t, 201)
	c.talk(t, c.head(fmt.Sprintf("Content-Length: %d", whole))+wholeForm, false).want(t, 201)
	before := c.state(t)
	for n := range whole - len("\r\n") { // the last line break may be missing
		a := c.talk(t, c.head(fmt.Sprintf("Content-Length: %d", whole))+wholeForm[:n], true)
		c.problem(t, a.want(t, 400), sluice.CodeValidation)
		a = c.talk(t, c.head(fmt.Sprintf("Content-Length: %d", n))+wholeForm, false)
		c.problem(t, a.want(t, 400), sluice.CodeValidation)
	}
	chunked := fmt.Sprintf("%x\r\n%s\r\n", 100, wholeForm[:100])
	for _, rest := range []string{"", "1", "zz\r\n", "0\r\n\r\n", "5\r\nab"} {
		c.problem(t, c.talk(t, c.head("Transfer-Encoding: chunked")+chunked+rest, true).want(t, 400), sluice.CodeValidation)
	}
	c.unchanged(t, before, 0)

	// A JSON body that ends early is an error of the client, too.
	a := c.talk(t, "POST /v1/file_links HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+c.secret+"\r\nContent-Length: 10\r\n\r\n{", true)
	c.problem(t, a.want(t, 400), sluice.CodeValidation)
}

// TestTail sends more bytes than the form, and more than the body.
func TestTail(t *testing.T) {
	c := newClient(t)
	epilogue := wholeForm + "what follows the end of a form is no part of it"
	c.talk(t, c.head(fmt.Sprintf("Content-Length: %d", len(epilogue)))+epilogue, false).want(t, 201)
	// What follows the body is the next request, and an invalid one.
	a := c.talk(t, c.head(fmt.Sprintf("Content-Length: %d", len(wholeForm)))+epilogue, false).want(t, 201)
	if got := read[api.File](t, a); got.Size != int64(len("hello, world")) {
		t.Errorf("%+v", got)
	}
}

// TestStalledUpload sends bytes more slowly than a transfer may stall, and then stops.
func TestStalledUpload(t *testing.T) {
	svc := sluicetest.NewService(t)
	_, secret := svc.NewKey(t, svc.Ledger(sluice.Test))
	srv := server.New(svc.Service, svc.Gate, server.Options{})
	const stall = 3 * time.Second
	srv.SetStall(stall)
	ts := httptest.NewServer(srv)
	defer ts.Close()
	c := client{&sluicetest.Server{Service: svc, URL: ts.URL}, secret}
	before := c.state(t)

	conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, c.head(fmt.Sprintf("Content-Length: %d", len(wholeForm)))); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range 15 {
		if _, err := io.WriteString(conn, wholeForm[i*10:i*10+10]); err != nil {
			t.Fatalf("cut off while bytes flowed: %v", err)
		}
		time.Sleep(stall / 10)
	}
	slow := time.Since(began)
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 400 || slow < stall || time.Since(began) > slow+20*stall {
		t.Errorf("status %d after %v, of which %v with bytes", res.StatusCode, time.Since(began), slow)
	}
	c.unchanged(t, before, 0)
}
