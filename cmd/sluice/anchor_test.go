package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/follow/anchor"
)

// eventually retries check until it returns no error.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	var err error
	for range 1200 { // a minute
		if err = ask(); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal(err)
}

// Checkpoints are sent to a file and a webhook while the server runs, and the
// newest one when it stops. A failing webhook is retried. A hanging one delays
// nothing else.
func TestCheckpointsSentOut(t *testing.T) {
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "anchor")
	got := make(chan []byte, 100)
	var asked atomic.Int32
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if asked.Add(1) <= 2 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if r.Method == "POST" && r.URL.RawQuery == "token=hush" {
			got <- body
		}
	}))
	defer hook.Close()
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hung.Close()
	defer close(release)

	p := startLog(t, data, "--anchor", "file:"+file, "--anchor", "webhook:"+hook.URL+"/?token=hush", "--anchor",
		"webhook:"+hung.URL)
	select {
	case note := <-got:
		if c, err := claimed(note); err != nil || !strings.HasPrefix(c.Origin, "files.example.com/") {
			t.Errorf("the webhook got %q: %v", note, err)
		}
	case <-time.After(time.Minute):
		t.Fatalf("the webhook received nothing after %d requests", asked.Load())
	}
	began := time.Now()
	makeEntries(t, data, "more", 2)
	awaitCheckpoint(t, p, 3)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("a webhook that hangs held entries up for %s", took)
	}
	log := filepath.Join(dir, "log")
	sluiceRun(t, 0, "audit", "export", log)
	if code := p.stop(); code != 0 {
		t.Errorf("the server stops with %d", code)
	}
	if time.Since(began) > 2*time.Minute {
		t.Error("a webhook that hangs held the stop up")
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int64
	for text, err := range anchor.Texts(bytes.NewReader(kept)) {
		if c, err2 := claimed(text); err == nil && err2 == nil && strings.HasSuffix(c.Origin, "/test") {
			sizes = append(sizes, c.Size)
		}
	}
	if len(sizes) < 2 || sizes[len(sizes)-1] < 3 {
		t.Errorf("the file holds checkpoints of %d entries:\n%s", sizes, kept)
	}
}

func TestAnchorFlags(t *testing.T) {
	for _, c := range []struct{ flag, value, says string }{
		{"--anchor", "s3://bucket/prefix", "region"},
		{"--anchor", "s3:bucket", "s3://bucket"},
		{"--anchor", "ftp://example.com", "neither file:PATH nor webhook:URL"},
		{"--anchor", "file:", "neither file:PATH nor webhook:URL"},
		{"--anchor", "webhook:example.com", "http or https URL"},
		{"--anchor", "file:" + filepath.Join(t.TempDir(), "none", "anchor"), "no such file"},
		{"--witness", "example.com/w+aaaaaaaa+AAAA", "separated by a space"},
		{"--witness", "example.com/w+aaaaaaaa+AAAA http://w", "witness key"},
	} {
		t.Run(c.value, func(t *testing.T) {
			out := sluiceRun(t, exitUsage, "serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(), c.flag, c.value)
			if !strings.Contains(out, c.says) {
				t.Errorf("got %q, want %q", out, c.says)
			}
		})
	}
}
