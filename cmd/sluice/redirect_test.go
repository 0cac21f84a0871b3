//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/sluicetest"
)

const redirectedText = "what the store sends itself\n"

// redirecting is a server that redirects downloads to a real S3 server, at
// another address than it uses itself.
type redirecting struct {
	*crashClients
	url, public string
}

func startRedirecting(t *testing.T) *redirecting {
	t.Helper()
	s3 := sluicetest.NewS3Server(t)
	public := strings.Replace(s3.Endpoint, "127.0.0.1", "localhost", 1)
	p := startServer(t, filepath.Join(t.TempDir(), "data"), "--database-url", sluicetest.Postgres(t),
		"--blob-url", s3.URL("redirected", "public_endpoint", public), "--delivery", "redirect", "--no-rate-limit")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &redirecting{&crashClients{key: p.key, http: client}, p.url, public}
}

// link uploads a file and mints a link to it.
func (r *redirecting) link(t *testing.T, content, body string) (path string) {
	t.Helper()
	var file struct{ ID string }
	err := r.do("POST", r.url+"/v1/files?purpose=report&filename=Caf%C3%A9.txt", strings.NewReader(content), "text/plain",
		http.StatusCreated, &file)
	if err != nil {
		t.Fatal(err)
	}
	var link struct{ URL string }
	if err := r.do("POST", r.url+"/v1/files/"+file.ID+"/links", strings.NewReader(body), "application/json",
		http.StatusOK, &link); err != nil {
		t.Fatal(err)
	}
	return link.URL
}

// ask sends a request with headers, given as pairs of name and value.
func (r *redirecting) ask(t *testing.T, method, target, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(content)
}

// wantRedirect checks that a response redirects to the file at the public
// address.
func (r *redirecting) wantRedirect(t *testing.T, res *http.Response, body string) (location string) {
	t.Helper()
	location = res.Header.Get("Location")
	if res.StatusCode != http.StatusSeeOther ||
		!strings.HasPrefix(location, r.public+"/"+sluicetest.S3Bucket+"/redirected/") ||
		strings.Contains(body, redirectedText) {
		t.Fatalf("status %s, to %q, with %q; want 303 to %s", res.Status, location, body, r.public)
	}
	if got := res.Header.Get("Cache-Control"); got != "private, no-store" {
		t.Errorf("Cache-Control of a redirect is %q", got)
	}
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Query().Get("X-Amz-Expires"); got != "60" {
		t.Errorf("the URL is valid for %s seconds, want 60", got)
	}
	got, content := r.ask(t, "GET", location, "")
	if got.StatusCode != http.StatusOK || content != redirectedText {
		t.Errorf("there is %s %q", got.Status, content)
	}
	for name, want := range map[string]string{
		"Content-Type":        "text/plain",
		"Content-Disposition": `attachment; filename="Caf_.txt"; filename*=UTF-8''Caf%C3%A9.txt`,
		"Cache-Control":       "private, no-store",
	} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s there is %q, want %q", name, value, want)
		}
	}
	return location
}

// delivered returns the entries about links, newest first, as "action mode
// status".
func (r *redirecting) delivered(t *testing.T) (all []string) {
	t.Helper()
	var page struct {
		Data []struct {
			Action   string
			Delivery json.RawMessage
		}
	}
	if err := r.do("GET", r.url+"/v1/audit_entries?limit=100", nil, "", http.StatusOK, &page); err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Data {
		if strings.HasPrefix(e.Action, "link.") && e.Action != "link.created" {
			all = append(all, e.Action+" "+string(e.Delivery))
		}
	}
	return all
}

const (
	redirected = `link.redeemed {"mode":"redirect","status":303}` // without a number of sent bytes
	answered   = `link.redeemed {"mode":"proxy","status":`
)

func TestRedirect(t *testing.T) {
	r := startRedirecting(t)
	link := r.link(t, redirectedText, `{}`)
	res, body := r.ask(t, "GET", link, "")
	location := r.wantRedirect(t, res, body)
	if res, _ := r.ask(t, "GET", location, "", "Range", "bytes=5-8"); res.StatusCode != http.StatusPartialContent {
		t.Errorf("a range there is %s", res.Status)
	}
	if res, _ := r.ask(t, "GET", strings.Replace(location, "X-Amz-Expires=60", "X-Amz-Expires=6000", 1),
		""); res.StatusCode != http.StatusForbidden {
		t.Errorf("a URL that was made to last longer is %s", res.Status)
	}

	// Sluice itself responds if no bytes are needed.
	res, _ = r.ask(t, "HEAD", link, "")
	tag := res.Header.Get("Etag")
	if res.StatusCode != http.StatusOK || res.ContentLength != int64(len(redirectedText)) || tag == "" ||
		res.Header.Get("Location") != "" {
		t.Errorf("HEAD: %s, %d bytes, Etag %s", res.Status, res.ContentLength, tag)
	}
	if res, _ := r.ask(t, "GET", link, "", "If-None-Match", tag); res.StatusCode != http.StatusNotModified {
		t.Errorf("If-None-Match: %s", res.Status)
	}
	if res, _ := r.ask(t, "GET", link, "", "If-Match", `"another"`); res.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("If-Match: %s", res.Status)
	}
	if res, body := r.ask(t, "GET", r.link(t, "", `{}`), ""); res.StatusCode != http.StatusOK || body != "" {
		t.Errorf("a file without bytes: %s", res.Status)
	}

	// Only of the empty file it is known that it was sent.
	got := r.delivered(t)
	for deadline := time.Now().Add(time.Minute); len(got) < 6 && time.Now().Before(deadline); got = r.delivered(t) {
		time.Sleep(20 * time.Millisecond)
	}
	slices.Reverse(got)
	want := []string{redirected, answered + "200}", answered + "304}", answered + "412}", answered + `200,"bytes":0,`,
		"link.delivered "}
	if len(got) != len(want) || !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

// A link that is limited in downloads or clients is not redirected to a URL
// that works for anyone. Sluice sends the file.
func TestRedirectOfLimitedLinks(t *testing.T) {
	r := startRedirecting(t)
	const person, form = "text/html,application/xhtml+xml", "application/x-www-form-urlencoded"
	sent := func(what string, res *http.Response, body string) {
		t.Helper()
		if res.StatusCode != http.StatusOK || body != redirectedText || res.Header.Get("Location") != "" {
			t.Errorf("%s: %s, %q, Location %q", what, res.Status, body, res.Header.Get("Location"))
		}
	}
	counted := r.link(t, redirectedText, `{"max_downloads":1}`)
	res, body := r.ask(t, "GET", counted, "")
	sent("a number of downloads", res, body)
	near := r.link(t, redirectedText, `{"allowed_ips":["127.0.0.0/8","::1/128"]}`)
	res, body = r.ask(t, "GET", near, "")
	sent("allowed addresses", res, body)
	guarded := r.link(t, redirectedText, `{"password":"open sesame"}`)
	res, body = r.ask(t, "GET", guarded, "", "X-Link-Password", "open sesame")
	sent("a password", res, body)
	res, body = r.ask(t, "GET", guarded, "", "Accept", person)
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "<form") ||
		!strings.Contains(res.Header.Get("Content-Security-Policy"), "form-action 'self'") {
		t.Fatalf("%s %s", res.Status, body)
	}
	res, body = r.ask(t, "POST", guarded, "password=open+sesame", "Accept", person, "Content-Type", form)
	sent("the answer of a person", res, body)
	for _, entry := range r.delivered(t) {
		if strings.Contains(entry, "redirect") {
			t.Errorf("the log has %s", entry)
		}
	}
}
