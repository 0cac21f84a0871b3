package httpd_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/internal/token"
	"sluice/sluicetest"
)

// noise is an endless stream of bytes in which no two blocks are equal.
type noise struct {
	block [64 << 10]byte
	n     uint64
	at    int
}

func newNoise() *noise {
	s := &noise{}
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(s.block[:])
	return s
}

func (s *noise) Read(p []byte) (int, error) {
	if s.at == len(s.block) {
		s.at = 0
	}
	if s.at == 0 {
		s.n++
		binary.BigEndian.PutUint64(s.block[:], s.n)
	}
	n := copy(p, s.block[s.at:])
	s.at += n
	return n, nil
}

// memory returns the bytes that the Go runtime holds.
func memory() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64() - sample[1].Value.Uint64()
}

// TestGiB uploads and downloads 1 GiB. Neither side keeps it in memory.
func TestGiB(t *testing.T) {
	if testing.Short() {
		t.Skip("1 GiB takes a while")
	}
	c := newClient(t)
	debug.FreeOSMemory()
	idle, peak := memory(), atomic.Uint64{}
	done := make(chan struct{})
	var sampler sync.WaitGroup
	sampler.Go(func() {
		for {
			peak.Store(max(peak.Load(), memory()))
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})

	const size = 1 << 30
	sent := sha256.New()
	pr, pw := io.Pipe()
	form := multipart.NewWriter(pw)
	go func() {
		_ = form.WriteField("purpose", "generic")
		w, err := form.CreateFormFile("file", "large.bin")
		if err == nil {
			_, err = io.CopyBuffer(w, struct{ io.Reader }{io.TeeReader(io.LimitReader(newNoise(), size), sent)},
				make([]byte, 256<<10))
		}
		if err == nil {
			err = form.Close()
		}
		pw.CloseWithError(err)
	}()
	r, err := http.NewRequest("POST", c.URL+"/v1/files", pr)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", form.FormDataContentType())
	began := time.Now()
	f := read[api.File](t, c.do(t, r).want(t, 201))
	t.Logf("up in %v", time.Since(began))
	if want := hex.EncodeToString(sent.Sum(nil)); f.Size != size || f.SHA256 != want {
		t.Fatalf("%d bytes with digest %s, want %s", f.Size, f.SHA256, want)
	}

	began = time.Now()
	res, err := http.Get(c.mint(t, f.ID, "").URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{got}, res.Body, make([]byte, 256<<10))
	if err != nil || n != size || hex.EncodeToString(got.Sum(nil)) != f.SHA256 {
		t.Fatalf("%d bytes, digest %x: %v", n, got.Sum(nil), err)
	}
	t.Logf("down in %v", time.Since(began))
	close(done)
	sampler.Wait()
	grown := int64(peak.Load()) - int64(idle)
	t.Logf("memory grew by %d KiB at most", grown>>10)
	if grown > 32<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

// TestManyAtOnce uploads, mints and downloads from many goroutines.
func TestManyAtOnce(t *testing.T) {
	c := newClient(t)
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			content := strings.Repeat(fmt.Sprintf("%04d", i), 20000)
			f := c.upload(t, fmt.Sprint(i), "text/plain", content)
			for range 4 {
				l := c.mint(t, f.ID, "")
				if a := c.get(t, l.URL); string(a.body) != content {
					t.Errorf("%d: status %d, %d bytes", i, a.status, len(a.body))
				}
			}
		})
	}
	clients.Wait()
	if s := c.state(t); s.Files != 16 || s.Links != 64 || len(s.Blobs) != 16 {
		t.Errorf("%d files, %d links, %d blobs", s.Files, s.Links, len(s.Blobs))
	}
}

// TestPanic makes the clock panic during a request.
func TestPanic(t *testing.T) {
	real := sluicetest.NewService(t)
	_, secret := real.NewKey(t, real.Ledger(sluice.Test))
	var calls atomic.Int32
	config := service.Config{
		Store: real.Store, Blobs: real.Blobs, SigningKeys: []token.Key{{}}, PublicURL: real.PublicURL(),
		Now: func() time.Time {
			if calls.Add(1) == 2 { // the first call is for the id of the request
				panic("the clock stands still: " + secret[:8])
			}
			return real.Clock.Now()
		},
	}
	svc, err := service.New(config)
	if err != nil {
		t.Fatal(err)
	}
	srv := server.New(svc, sluicetest.NewGate(t, svc, config),
		server.Options{Options: httpd.Options{Log: slog.New(slog.NewTextHandler(real.Log, nil))}})
	ts := httptest.NewServer(srv)
	defer ts.Close()
	c := client{&sluicetest.Server{Service: real, URL: ts.URL}, secret}
	a := c.ask(t, "GET", "/v1/files", "").want(t, 500)
	c.problem(t, a, sluice.CodeInternal)
	if strings.Contains(string(a.body), "clock") || !strings.Contains(real.Log.String(), "the clock stands still") ||
		!strings.Contains(real.Log.String(), a.header.Get("X-Request-Id")) {
		t.Errorf("shown: %s\nlogged: %s", a.body, real.Log)
	}
	c.ask(t, "GET", "/v1/files", "").want(t, 200)
}

// FuzzTokenPath requests invalid tokens.
func FuzzTokenPath(f *testing.F) {
	s := sluicetest.NewServer(f)
	c := client{s, s.Secret}
	made := read[api.File](f, c.post(f, fileOf("generic", "a.txt", "text/plain", "hello")).want(f, 201))
	link := read[api.Link](f, c.ask(f, "POST", "/v1/files/"+made.ID+"/links", "").want(f, 200))
	token := strings.TrimPrefix(link.URL, s.URL+"/l/")
	srv := server.New(s.Service.Service, s.Gate,
		server.Options{Options: httpd.Options{Log: slog.New(slog.DiscardHandler)}})
	for _, seed := range []string{"", "/", "x", token[1:], token + "=", "../" + token, token[:71] + "/" + token[71:],
		"\x00", "\xff", "a/b/c", strings.Repeat("A", 72)} {
		f.Add(seed)
	}
	entries := len(s.Entries(f, s.Ledger(sluice.Test)))
	f.Fuzz(func(t *testing.T, path string) {
		if path == token || strings.HasPrefix(path, token+"/") {
			return
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = &url.URL{Path: "/l/" + path}
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		if w.Code != 404 || w.Header().Get("X-Request-Id") == "" {
			t.Fatalf("%q: status %d", path, w.Code)
		}
		if n := len(s.Entries(t, s.Ledger(sluice.Test))); n != entries {
			t.Fatalf("%q was recorded", path)
		}
	})
}
