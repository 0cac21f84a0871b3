package client_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/client"
	"sluice/sluicetest"
)

// digestOf returns the Repr-Digest of content.
func digestOf(data []byte) string {
	sum, err := hex.DecodeString(sha(data))
	if err != nil {
		panic(err)
	}
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}

// linked uploads content and mints a link to it.
func linked(t *testing.T, s *sluicetest.Server, data []byte, n api.NewLink) api.CreatedFile {
	t.Helper()
	ask := client.NewFile{Purpose: "report", Filename: "f.bin", Link: &n}
	f, err := newClient(t, s.URL, s.Secret).Upload(context.Background(), bytes.NewReader(data), ask)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// folder returns the names in a folder.
func folder(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestDownloadResumesAfterBrokenConnections(t *testing.T) {
	s := sluicetest.NewServer(t)
	data := someBytes(24 << 20) // the server counts bytes in socket buffers as sent
	once := int64(1)
	f := linked(t, s, data, api.NewLink{MaxDownloads: &once})
	proxy := newCutter(t, s.URL, func(n int) (up, down int64) {
		if n < 2 {
			return whole, 1_000_000 // less than a good part
		}
		return whole, whole
	})
	c := newClient(t, proxy.url, "")
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	got, err := c.DownloadFile(context.Background(), proxy.through(t, f.Link.URL), path, client.DownloadOptions{})
	if err != nil || got.Size != int64(len(data)) || got.SHA256 != f.SHA256 || proxy.count.Load() != 3 {
		t.Fatalf("%+v, %v after %d connections", got, err, proxy.count.Load())
	}
	if on, err := os.ReadFile(path); err != nil || !bytes.Equal(on, data) || len(folder(t, dir)) != 1 {
		t.Errorf("%d bytes, %v beside %q", len(on), err, folder(t, dir))
	}
	ranges, downloads := 0, int64(0)
	for _, e := range s.Entries(t, s.Ledger(sluice.Test)) {
		if e.Action == sluice.LinkRedeemed && e.Request.Range != "" {
			ranges++
		}
	}
	if l, err := newClient(t, s.URL, s.Secret).Link(context.Background(), f.Link.ID); err == nil {
		downloads = l.Downloads
	}
	if ranges != 2 || downloads != 1 {
		t.Errorf("%d ranges, %d downloads", ranges, downloads)
	}
}

// The connection may break any number of times, as long as each attempt receives a good part.
func TestDownloadProgressRestoresRetries(t *testing.T) {
	s := sluicetest.NewServer(t)
	data := someBytes(8 << 20)
	f := linked(t, s, data, api.NewLink{})
	for _, c := range []struct {
		name string
		part int64
		good bool
	}{{"good parts", client.GoodPart + 10_000, true}, {"small parts", client.GoodPart / 2, false}} {
		t.Run(c.name, func(t *testing.T) {
			proxy := newCutter(t, s.URL, func(int) (up, down int64) { return whole, c.part })
			cl := newClient(t, proxy.url, "", client.WithRetries(2))
			var out bytes.Buffer
			_, err := cl.Download(context.Background(), proxy.through(t, f.Link.URL), &out, client.DownloadOptions{})
			if (err == nil) != c.good || c.good && !bytes.Equal(out.Bytes(), data) || !c.good && proxy.count.Load() != 3 {
				t.Errorf("%d bytes, %v after %d connections", out.Len(), err, proxy.count.Load())
			}
		})
	}
}

type (
	response = http.ResponseWriter
	request  = http.Request
)

// source is a server with one file, which may return wrong responses.
type source struct {
	data   []byte
	before func(n int32, w http.ResponseWriter, r *http.Request) (done bool) // n counts requests from 1
	asked  atomic.Int32
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Repr-Digest", digestOf(s.data))
	w.Header().Set("ETag", `"tag"`)
	if s.before != nil && s.before(s.asked.Add(1), w, r) {
		return
	}
	http.ServeContent(w, r, "f.bin", time.Time{}, bytes.NewReader(s.data))
}

// breakOff sends a part of the file and resets the connection.
func (s *source) breakOff(w http.ResponseWriter, n int) {
	w.Header().Set("Content-Length", strconv.Itoa(len(s.data)))
	_, _ = w.Write(s.data[:n])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestDownloadRefusesWrongResponses(t *testing.T) {
	data := someBytes(100_000)
	for _, c := range []struct {
		name    string
		before  func(*source, int32, response, *request) bool
		options client.DownloadOptions
		want    error // nil if the download succeeds
		asked   int32
	}{
		{name: "good", asked: 1},
		{name: "digest of the caller", options: client.DownloadOptions{SHA256: sha(data)}, asked: 1},
		{name: "other digest than the caller's", options: client.DownloadOptions{SHA256: sha(nil)},
			want: client.ErrDigest, asked: 1},
		{name: "other content than promised", before: func(_ *source, _ int32, w response, _ *request) bool {
			w.Header().Set("Repr-Digest", digestOf(nil))
			return false
		}, want: client.ErrDigest, asked: 1},
		{name: "nothing promised", before: func(_ *source, _ int32, w response, _ *request) bool {
			w.Header().Del("Repr-Digest")
			return false
		}, want: client.ErrDigest, asked: 1},
		{name: "nothing promised but by the caller", before: func(_ *source, _ int32, w response, _ *request) bool {
			w.Header().Set("Repr-Digest", "md5=:AAAA:, sha-256=:AAAA:, sha-256=x")
			return false
		}, options: client.DownloadOptions{SHA256: sha(data)}, asked: 1},
		{name: "digest among others", before: func(_ *source, _ int32, w response, _ *request) bool {
			w.Header().Set("Repr-Digest", "md5=:AAAA:,  "+digestOf(data)+";q=1, x=:AAAA:")
			return false
		}, asked: 1},
		{name: "broken once", before: func(s *source, n int32, w response, _ *request) bool {
			if n == 1 {
				s.breakOff(w, 60_000)
			}
			return false
		}, asked: 2},
		{name: "another file after the break", before: func(s *source, n int32, w response, _ *request) bool {
			if n == 1 {
				s.breakOff(w, 60_000)
			}
			w.Header().Set("ETag", `"other"`)
			return false
		}, want: client.ErrProtocol, asked: 2},
		{name: "all of it after the break", before: func(s *source, n int32, w response, r *request) bool {
			if n == 1 {
				s.breakOff(w, 60_000)
			}
			r.Header.Del("Range")
			return false
		}, asked: 2},
		{name: "a wrong part of all of it", before: func(s *source, n int32, w response, r *request) bool {
			if n == 1 {
				s.breakOff(w, 60_000)
			}
			if n == 2 {
				r.Header.Del("Range")
				s.breakOff(w, 30_000)
			}
			return false
		}, asked: 3},
		{name: "another range", before: func(s *source, n int32, w response, r *request) bool {
			if n == 1 {
				s.breakOff(w, 60_000)
			}
			r.Header.Set("Range", "bytes=50000-")
			return false
		}, want: client.ErrProtocol, asked: 2},
		{name: "a range that ends early", before: func(s *source, n int32, w response, r *request) bool {
			if n == 1 {
				s.breakOff(w, 60_000)
			}
			r.Header.Set("Range", "bytes=60000-70000")
			return false
		}, want: client.ErrProtocol, asked: 2},
		{name: "a range that is short of its word", before: func(s *source, n int32, w response, r *request) bool {
			switch n {
			case 1:
				s.breakOff(w, 60_000)
			case 2:
				w.Header().Set("Content-Range", "bytes 60000-99999/100000")
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(data[60_000:70_000]) // flushing omits Content-Length
				w.(http.Flusher).Flush()
				return true
			}
			return false
		}, asked: 3},
		{name: "an unrequested range", before: func(_ *source, _ int32, _ response, r *request) bool {
			r.Header.Set("Range", "bytes=0-")
			return false
		}, want: client.ErrProtocol, asked: 1},
		{name: "packed", before: func(_ *source, _ int32, w response, _ *request) bool {
			w.Header().Set("Content-Encoding", "gzip")
			return false
		}, want: client.ErrProtocol, asked: 1},
		{name: "too large", options: client.DownloadOptions{MaxSize: 99_999}, want: client.ErrTooLarge, asked: 1},
		{name: "as large as allowed", options: client.DownloadOptions{MaxSize: 100_000}, asked: 1},
		{name: "without end", before: func(_ *source, _ int32, w response, _ *request) bool {
			for {
				if _, err := w.Write(data); err != nil {
					return true
				}
			}
		}, options: client.DownloadOptions{MaxSize: 1 << 20}, want: client.ErrTooLarge, asked: 1},
		{name: "page of a proxy", before: func(_ *source, n int32, w response, _ *request) bool {
			if n == 1 {
				http.Error(w, "<h1>Bad gateway</h1>", http.StatusBadGateway)
				return true
			}
			return false
		}, asked: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &source{data: data}
			s.before = func(n int32, w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Authorization") != "" {
					t.Error("a download has the key")
				}
				return c.before != nil && c.before(s, n, w, r)
			}
			cl := serve(t, s.ServeHTTP)
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := cl.DownloadFile(context.Background(), serverOf(cl)+"/l/secret", path, c.options)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || s.asked.Load() != c.asked {
				t.Errorf("%+v, %v after %d requests", got, err, s.asked.Load())
			}
			want := data
			if c.want != nil {
				want = []byte("before")
			}
			if on, err := os.ReadFile(path); err != nil || !bytes.Equal(on, want) || len(folder(t, dir)) != 1 {
				t.Errorf("%d bytes, %v, and the folder has %q", len(on), err, folder(t, dir))
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error contains the link: %v", err)
			}
		})
	}
}

// If the header is enough to refuse a response, nothing is written to the caller's writer.
func TestDownloadRefusedBeforeFirstByte(t *testing.T) {
	data := someBytes(200_000) // more than one read
	for _, c := range []struct {
		name, digest string
		options      client.DownloadOptions
		want         error
	}{
		{"nothing promised", "", client.DownloadOptions{}, client.ErrDigest},
		{"other digest than the caller's", digestOf(data),
			client.DownloadOptions{SHA256: sha(nil)}, client.ErrDigest},
		{"too large", digestOf(data), client.DownloadOptions{MaxSize: 199_999}, client.ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := serve(t, func(w http.ResponseWriter, _ *request) {
				w.Header().Set("Repr-Digest", c.digest)
				w.Header().Set("Content-Length", "200000")
				_, _ = w.Write(data)
			})
			var out bytes.Buffer
			_, err := cl.Download(context.Background(), serverOf(cl)+"/l/x", &out, c.options)
			if !errors.Is(err, c.want) || out.Len() > 0 {
				t.Errorf("%v after %d bytes", err, out.Len())
			}
		})
	}
}

func TestRefusedDownloads(t *testing.T) {
	ctx := context.Background()
	s := sluicetest.NewServer(t)
	c := newClient(t, s.URL, s.Secret)
	password := "öpen: sesame"
	locked := linked(t, s, []byte("content"), api.NewLink{Password: &password})
	revoked := linked(t, s, []byte("content"), api.NewLink{})
	if err := c.RevokeLink(ctx, revoked.Link.ID); err != nil {
		t.Fatal(err)
	}
	for _, d := range []struct {
		name, link string
		options    client.DownloadOptions
		code       sluice.Code // "" for none
		reason     sluice.Refusal
	}{
		{"password", locked.Link.URL, client.DownloadOptions{Password: password}, "", ""},
		{"wrong password", locked.Link.URL, client.DownloadOptions{Password: "open barley"},
			sluice.CodeForbidden, sluice.WrongPassword},
		{"revoked", revoked.Link.URL, client.DownloadOptions{}, sluice.CodeGone, sluice.Revoked},
		{"no link", s.URL + "/l/nothing", client.DownloadOptions{}, sluice.CodeNotFound, ""},
	} {
		t.Run(d.name, func(t *testing.T) {
			var out bytes.Buffer
			_, err := c.Download(ctx, d.link, &out, d.options)
			var e *client.Error
			if d.code == "" && err == nil && out.String() == "content" {
				return
			}
			if !errors.As(err, &e) || e.Code != d.code || e.Reason != d.reason || e.RequestID == "" || out.Len() > 0 {
				t.Errorf("%q, %#v", out.String(), err)
			}
			if sluice.CodeOf(err) != d.code || sluice.ReasonOf(err) != d.reason {
				t.Errorf("%s, %s to package sluice", sluice.CodeOf(err), sluice.ReasonOf(err))
			}
		})
	}
	named := "http://u:secret@" + strings.TrimPrefix(s.URL, "http://") + "/l/x"
	for _, link := range []string{"", "/l/x", "ftp://h/l/x", "http://", "http://secret\x7f/l", named} {
		_, err := c.Download(ctx, link, io.Discard, client.DownloadOptions{})
		_, asked := errors.AsType[*client.Error](err)
		if err == nil || asked || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", link, err)
		}
	}
	if _, err := c.Download(ctx, locked.Link.URL, io.Discard, client.DownloadOptions{SHA256: "c0ffee"}); err == nil {
		t.Error("c0ffee is taken for a digest")
	}
	nowhere := filepath.Join(t.TempDir(), "no", "file")
	if _, err := c.DownloadFile(ctx, locked.Link.URL, nowhere, client.DownloadOptions{}); err == nil {
		t.Error("a file is written where there is no folder")
	}
}

// The client follows a redirect without sending key and password.
func TestDownloadThroughRedirects(t *testing.T) {
	data := []byte("content")
	s := &source{data: data}
	var told http.Header
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = r.Header.Clone()
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(bucket.Close)
	var to atomic.Value
	var own http.Header
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		own = r.Header.Clone()
		w.Header().Set("Location", to.Load().(string))
		w.WriteHeader(http.StatusFound)
	})
	options := client.DownloadOptions{Password: "open sesame", SHA256: sha(data)}
	to.Store(bucket.URL + "/bucket/f")
	if _, err := c.Download(context.Background(), serverOf(c)+"/l/x", io.Discard, options); err != nil {
		t.Fatal(err)
	}
	if told.Get("Authorization") != "" || !strings.HasPrefix(own.Get("Authorization"), "Basic ") {
		t.Errorf("sent to the server of the link %v and the bucket %v", own, told)
	}
	for _, where := range []string{"/l/y", "", "ftp://h/", "http://", "file:///etc/passwd", "http://user:pw@h/"} {
		to.Store(where)
		_, err := c.Download(context.Background(), serverOf(c)+"/l/x", io.Discard, options)
		if !errors.Is(err, client.ErrProtocol) {
			t.Errorf("to %q: %v", where, err)
		}
	}
}

func TestDownloadIsNotRedirectedToPlainHTTP(t *testing.T) {
	plain := httptest.NewServer(&source{data: []byte("content")})
	t.Cleanup(plain.Close)
	safe := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	t.Cleanup(safe.Close)
	c := newClient(t, safe.URL, "", client.WithHTTPClient(safe.Client()))
	_, err := c.Download(context.Background(), safe.URL+"/l/x", io.Discard, client.DownloadOptions{})
	if !errors.Is(err, client.ErrProtocol) {
		t.Errorf("got %v", err)
	}
}

func TestDownloadResumesAfterStall(t *testing.T) {
	released := make(chan bool)
	s := &source{data: someBytes(100_000)}
	s.before = func(n int32, w http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(s.data[:50_000])
			w.(http.Flusher).Flush()
			<-released
			return true
		}
		return false
	}
	c := serve(t, s.ServeHTTP)
	t.Cleanup(func() { close(released) })
	c.SetStall(500 * time.Millisecond)
	got, err := c.Download(context.Background(), serverOf(c)+"/l/x", io.Discard, client.DownloadOptions{})
	if err != nil || got.Size != 100_000 || s.asked.Load() < 2 {
		t.Errorf("%+v, %v after %d requests", got, err, s.asked.Load())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestDownloadToFailingWriter(t *testing.T) {
	full := errors.New("the tape is full")
	for _, c := range []struct {
		name string
		w    writerFunc
		want error
	}{
		{"error", func([]byte) (int, error) { return 0, full }, full},
		{"short", func([]byte) (int, error) { return 1, nil }, io.ErrShortWrite},
		{"too long", func(p []byte) (int, error) { return len(p) + 1, nil }, io.ErrShortWrite},
		{"end of file", func([]byte) (int, error) { return 0, io.EOF }, io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &source{data: []byte("content"), before: func(int32, response, *request) bool { return false }}
			cl := serve(t, s.ServeHTTP)
			_, err := cl.Download(context.Background(), serverOf(cl)+"/l/x", c.w, client.DownloadOptions{})
			if !errors.Is(err, c.want) || s.asked.Load() != 1 {
				t.Errorf("%v after %d requests", err, s.asked.Load())
			}
		})
	}
}

// Errors about a connection do not contain the link, which is a secret.
func TestConnectionErrorsHideLink(t *testing.T) {
	c := newClient(t, "http://127.0.0.1:1", "sk_test_secret", client.WithRetries(0))
	link := "http://" + sluicetest.FreeAddress(t) + "/l/secret"
	_, err := c.Download(context.Background(), link, io.Discard, client.DownloadOptions{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s", c, c, c)} {
		if strings.Contains(text, "secret") {
			t.Errorf("a client shows its key: %s", text)
		}
	}
}
