package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/sluicetest"
)

// An independent checker, fsck of transparency-dev/tessera, accepts exported
// folders at sizes around that of a tile, and rejects damaged ones.
func TestFsckOfFolder(t *testing.T) {
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
	s := sluicetest.NewServer(t)
	s.Checkpoint(t)
	dir := filepath.Join(t.TempDir(), "log")
	var sizes []int
	for _, grow := range []int{1, 251, 0, 0, 0, 253, 0, 0} {
		growLogBy(t, s, grow)
		audit(t, s, 0, "export", dir)
		size := entryCount(t, dir)
		sizes = append(sizes, size)
		if said := fsckFolder(t, tool, dir); !strings.Contains(said,
			fmt.Sprintf("Successfully fsck'd log with size %d and root", size)) {
			t.Fatalf("%d entries: %s", size, said)
		}
	}
	t.Logf("accepted at %d entries", sizes)
	for _, name := range []string{"tile/0/000", "tile/entries/000", checkpointName} {
		dir := copyFolder(t, dir)
		tamper(t, dir, name, flip(-40))
		if said := fsckFolder(t, tool, dir); strings.Contains(said, "Successfully") {
			t.Errorf("a flipped byte in %s: %s", name, said)
		}
	}
}

// growLogBy adds n entries and waits for their checkpoint.
func growLogBy(t *testing.T, s *sluicetest.Server, n int) {
	t.Helper()
	l := s.Key.Ledger
	for range n {
		s.NewKey(t, l)
	}
	s.Checkpoint(t)
}

// fsckFolder returns the output of the checker for a folder. It may exit with 0
// despite damage.
func fsckFolder(t *testing.T, tool, dir string) string {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(dir, keyName))
	if err != nil {
		t.Fatal(err)
	}
	origin, _, _ := strings.Cut(string(key), "+")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, _ := exec.CommandContext(ctx, tool, "--ui=false", "-N=4", "--storage_url", "file://"+dir+"/", "--public_key",
		filepath.Join(dir, keyName), "--origin", origin).CombinedOutput()
	return string(out)
}
