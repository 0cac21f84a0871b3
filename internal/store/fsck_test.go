//go:build !race

// Under the race detector SQLite, which is compiled to Go, takes minutes to fill a large log. test.sh runs this test
// without it.

package store_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// TestFsck checks logs of many sizes on a running server with a checker of a third party: fsck of
// transparency-dev/tessera. The checker must refuse damaged logs.
func TestFsck(t *testing.T) {
	tool := buildFsck(t)
	s := sluicetest.NewServer(t)
	l := s.Ledger(sluice.Test)
	check := func(t *testing.T) string {
		t.Helper()
		return runFsck(t, tool, s)
	}
	var size int
	for _, want := range []int{0, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 200_000} {
		began := time.Now()
		if want > 0 {
			view(t, s.Store, func(r service.Reader) error {
				n, err := r.Size(l)
				size = int(n)
				return err
			})
			record(t, s.Store, l, want-size)
			s.Checkpoint(t)
		}
		filled := time.Now()
		out := check(t)
		if !strings.Contains(out, fmt.Sprintf("Successfully fsck'd log with size %d and root", want)) {
			t.Fatalf("%d entries: %s", want, out)
		}
		t.Logf("%d entries: filled in %s, checked in %s", want, filled.Sub(began).Round(time.Millisecond),
			time.Since(filled).Round(time.Millisecond))
	}

	db := openRaw(t, s.Service)
	for name, column := range map[string]struct{ read, write string }{
		"leaf": {"SELECT leaves FROM batch WHERE first <= 131071 AND ledger = $1 ORDER BY first DESC LIMIT 1",
			"UPDATE batch SET leaves = $2 WHERE ledger = $1 AND first = (SELECT MAX(first) FROM batch WHERE first" +
				" <= 131071 AND ledger = $1)"},
		"tile": {"SELECT hashes FROM tile WHERE level = 1 AND idx = 1 AND ledger = $1",
			"UPDATE tile SET hashes = $2 WHERE level = 1 AND idx = 1 AND ledger = $1"},
	} {
		number := ledgerNumber(t, db, l)
		var data []byte
		if err := db.QueryRow(column.read, number).Scan(&data); err != nil {
			t.Fatal(name, err)
		}
		flipped := append([]byte{}, data...)
		flipped[len(flipped)/2] ^= 1
		mustExec(t, db, column.write, number, flipped)
		if out := check(t); strings.Contains(out, "Successfully") || !strings.Contains(out, "fsck failed") {
			t.Errorf("a flipped byte in a %s: %s", name, out)
		}
		mustExec(t, db, column.write, number, data)
	}
	if out := check(t); !strings.Contains(out, "Successfully") {
		t.Errorf("put back: %s", out)
	}
}

// buildFsck builds the checker from the module that pins it.
func buildFsck(t *testing.T) string {
	t.Helper()
	tool := filepath.Join(t.TempDir(), "fsck")
	out, err := exec.Command("go", "build", "-C", filepath.Join("..", "..", "tools", "fsck"), "-o", tool,
		"github.com/transparency-dev/tessera/cmd/fsck").CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("go build: %v: %s", err, out)
	default:
		t.Skipf("fsck could not be built (%v): with network, go build -C tools/fsck fetches it", err)
	}
	return tool
}

// runFsck gives the output of the checker for the test ledger. It exits with 0 whatever it finds.
func runFsck(t *testing.T, tool string, s *sluicetest.Server) string {
	t.Helper()
	r, err := http.NewRequest("GET", s.URL+"/v1/ledger/key", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.Secret)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	key, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res.Status, err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, "-ui=false", "-N=4", "--storage_url", s.URL+"/v1/ledger/", "--public_key", file,
		"--origin", "sluice.test/"+s.Ledger(sluice.Test).String(), "--bearer_token", s.Secret)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("fsck: %v: %s", err, out)
	}
	return string(out)
}
