package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// On a full disk every command that opens the database says in one line that the disk is full and what to do.
func TestStartOnFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64m"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Skipf("a full disk is tested by root where it may mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	data, fresh := filepath.Join(disk, "data"), filepath.Join(disk, "fresh")
	startServer(t, data).stop()
	filler := filepath.Join(disk, "filler")
	exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=4k", "status=none").Run() // until nothing is left

	commands := map[string][]string{
		"serve":        {"serve", "--listen", "127.0.0.1:0", "--data", data},
		"serve, first": {"serve", "--listen", "127.0.0.1:0", "--data", fresh},
		"key create":   {"key", "create", "--mode", "test", "--name", "a", "--data", data},
		"key list":     {"key", "list", "--data", data},
		"key revoke":   {"key", "revoke", "key_01m802dp1929wp4hw9pkx01jmd", "--data", data},
		"migrate":      {"migrate", "--data", data, "--to-database-url", "postgres://127.0.0.1:1/none", "--to-blob-url", "s3://none?region=a"},
	}
	for name, args := range commands {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), args, &stdout, &stderr)
			said := stderr.String()
			if code != exitFailed || stdout.Len() > 0 || strings.Count(said, "\n") != 1 ||
				!strings.Contains(said, "is full: make room on it and try again") {
				t.Errorf("exits with %d and says %q", code, said)
			}
		})
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	startServer(t, data).stop()
	startServer(t, fresh).stop()
}
