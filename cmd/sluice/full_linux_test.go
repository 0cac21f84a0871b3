package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestStartOnAFullDisk starts a server where too little is free for its reserve, and ends something over HTTP and from
// the command line. The reserve is released, or was never made, as where an older version ran before, or all that is left.
func TestStartOnAFullDisk(t *testing.T) {
	for name, test := range map[string]struct {
		lose func(string) error
		free int64
	}{
		"released":   {func(path string) error { return os.Truncate(path, 0) }, 16 << 20},
		"never made": {os.Remove, 16 << 20},
		"whole":      {func(string) error { return nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := smallDisk(t)
			data := filepath.Join(dir, "data")
			p := startServer(t, data)
			c := &crashClients{key: p.key, http: http.DefaultClient}
			file, err := c.upload(p.url, []byte("content"))
			if err != nil {
				t.Fatal(err)
			}
			p.stop()
			if err := test.lose(filepath.Join(data, reserveName)); err != nil {
				t.Fatal(err)
			}
			fillDisk(t, filepath.Join(dir, "filler"), test.free)

			p = startServer(t, data)
			if _, err := c.upload(p.url, []byte("more")); err == nil || !strings.Contains(err.Error(), "507") {
				t.Errorf("an upload: %v, want 507", err)
			}
			var deleted struct{ Deleted bool }
			if err := c.do("DELETE", p.url+"/v1/files/"+file, nil, "", http.StatusOK, &deleted); err != nil || !deleted.Deleted {
				t.Errorf("delete a file: %+v, %v", deleted, err)
			}
			var listed, said bytes.Buffer
			if code := run(t.Context(), []string{"key", "list", "--data", data}, &listed, &said); code != 0 {
				t.Fatalf("key list exits with %d: %s", code, &said)
			}
			id := regexp.MustCompile(`key_\w+`).FindString(listed.String())
			if code := run(t.Context(), []string{"key", "revoke", "--data", data, id}, &listed, &said); code != 0 {
				t.Errorf("key revoke exits with %d: %s", code, &said)
			}
			if code := p.stop(); code != 0 {
				t.Errorf("the server exits with %d", code)
			}
		})
	}
}

// smallDisk mounts a disk of 64 MiB.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Skipf("a full disk is tested by root where it may mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk writes a file until no more than free bytes are left on its disk.
func fillDisk(t *testing.T, path string, free int64) {
	t.Helper()
	exec.Command("dd", "if=/dev/zero", "of="+path, "bs=4k", "status=none").Run()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		err = f.Truncate(size - free)
	}
	if err != nil {
		t.Fatal(err)
	}
}
