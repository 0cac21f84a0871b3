package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A server whose database file is replaced or removed exits, because later
// starts could not find its further commits.
func TestReplacedDatabaseStopsServer(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string) error{
		"removed": func(_ *testing.T, path string) error { return os.Remove(path) },
		"replaced": func(t *testing.T, path string) error {
			copied := filepath.Join(t.TempDir(), "copy.db")
			if out, err := exec.Command("cp", path, copied).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return os.Rename(copied, path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			stderr := filepath.Join(t.TempDir(), "stderr")
			p := startServerTo(t, stderr, data)
			c := &crashClients{key: p.key, http: http.DefaultClient}
			if _, err := c.upload(p.url, []byte("a file")); err != nil {
				t.Fatal(err)
			}
			if err := spoil(t, filepath.Join(data, databaseName)); err != nil {
				t.Fatal(err)
			}
			if code := p.ended(t); code != exitFailed {
				t.Errorf("it ended with %d", code)
			}
			said, err := os.ReadFile(stderr)
			if err != nil || !strings.Contains(string(said), "sluice.db was replaced or removed") {
				t.Errorf("got %s, %v", said, err)
			}
			if left, err := os.Stat(filepath.Join(data, databaseName+"-wal")); err == nil && left.Size() > 0 {
				t.Errorf("a log of %d bytes is left, for the next start to read into the other database", left.Size())
			}
		})
	}
}
