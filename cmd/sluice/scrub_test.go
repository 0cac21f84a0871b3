package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseInterval(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30d": 30 * 24 * time.Hour, " 1h ": time.Hour, "0": 0, "0s": 0, "1y": 365 * 24 * time.Hour,
		"59m": -1, "1s": -1, "-1h": -1, "": -1, "none": -1, "200y": -1, "monthly": -1,
	} {
		got, err := parseInterval("--scrub-interval", text)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "--scrub-interval: ") {
			t.Errorf("%q: the error names no flag: %v", text, err)
		}
	}
}

// A server reads its files regularly and records damage once, despite kills.
// With an interval of 0 it does not.
func TestScrubRuns(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startServer(t, data, "--scrub-interval", "0")
	c := &crashClients{key: p.key, http: http.DefaultClient}
	var file struct{ ID string }
	err := c.do("POST", p.url+"/v1/files?purpose=report&filename=a.txt", strings.NewReader("content"), "text/plain",
		http.StatusCreated, &file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(data, blobsName, file.ID[len(file.ID)-2:], file.ID)
	if err := os.WriteFile(path, []byte("Content"), 0o600); err != nil {
		t.Fatal(err)
	}
	var found struct {
		Data []struct{ File struct{ ID string } }
	}
	look := func() error {
		return c.do("GET", p.url+"/v1/audit_entries?action=file.damaged", nil, "", http.StatusOK, &found)
	}
	passes := func() (n int) {
		t.Helper()
		db := openDatabase(t, data)
		defer db.Close()
		if err := db.QueryRow("SELECT count(completed) FROM scrub").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if err := look(); err != nil || len(found.Data) != 0 || passes() != 0 {
		t.Fatalf("%v, %v", err, found)
	}
	for range 2 {
		p.kill()
		change(t, data, "UPDATE scrub SET running = 0, began = 0, completed = NULL") // the next pass is due
		p = startServer(t, data)
		eventually(t, func() error {
			if passes() == 0 {
				return errors.New("no pass has ended")
			}
			return nil
		})
		if err := look(); err != nil || len(found.Data) != 1 || found.Data[0].File.ID != file.ID {
			t.Fatal(fmt.Errorf("%w, %v", err, found))
		}
	}
	t.Setenv("SLUICE_URL", p.url)
	t.Setenv("SLUICE_KEY", c.key)
	out := sluiceRun(t, 0, "audit", "ls", "--action", "file.damaged")
	if !strings.Contains(out, "a.txt") || !strings.Contains(out, "found: sha256") {
		t.Errorf("audit ls prints %q", out)
	}
}
