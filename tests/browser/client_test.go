package browser

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"sluice/api"
	"sluice/internal/server"
	"sluice/sluicetest"
)

// client sends requests to a server with one key.
type client struct {
	*sluicetest.Server
	secret string
}

func newClient(t *testing.T, options ...func(*server.Options)) client {
	t.Helper()
	s := sluicetest.NewServer(t, options...)
	return client{s, s.Secret}
}

func (c client) as(secret string) client { return client{c.Server, secret} }

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request. The headers are pairs of name and value.
func (c client) call(t *testing.T, method, target, mediaType string, body []byte, headers ...string) answer {
	t.Helper()
	if strings.HasPrefix(target, "/") {
		target = c.URL + target
	}
	r, err := http.NewRequest(method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if c.secret != "" {
		r.Header.Set("Authorization", "Bearer "+c.secret)
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", mediaType)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
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
	return answer{res.StatusCode, res.Header, b}
}

// ask sends a request with a JSON body, or without one if body is "".
func (c client) ask(t *testing.T, method, target, body string, headers ...string) answer {
	t.Helper()
	return c.call(t, method, target, "application/json", []byte(body), headers...)
}

// get requests a URL without a key, like the bearer of a link.
func (c client) get(t *testing.T, target string, headers ...string) answer {
	t.Helper()
	return c.as("").ask(t, "GET", target, "", headers...)
}

func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

func read[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// upload stores a file.
func (c client) upload(t *testing.T, filename, mediaType, content string) api.File {
	t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="upload"`}, "Content-Type": {mediaType},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(part, content) // writes to a buffer do not fail
	_ = w.WriteField("purpose", "generic")
	_ = w.WriteField("filename", filename)
	_ = w.Close()
	return read[api.File](t, c.call(t, "POST", "/v1/files", w.FormDataContentType(), form.Bytes()).want(t, 201))
}

// mint creates a link to a file.
func (c client) mint(t *testing.T, file, body string) api.Link {
	t.Helper()
	return read[api.Link](t, c.ask(t, "POST", "/v1/files/"+url.PathEscape(file)+"/links", body).want(t, 200))
}

// downloads returns the number of counted downloads of a link.
func (c client) downloads(t *testing.T, link string) int64 {
	t.Helper()
	return read[api.Link](t, c.ask(t, "GET", "/v1/file_links/"+link, "").want(t, 200)).Downloads
}
