//go:build unix

package blob

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"sluice"
)

// Without a free descriptor, bytes are neither missing nor lost: the error asks to
// try again. The limit is that of the process, so no test of this package may run
// in parallel with this one.
func TestDiskWithoutDescriptors(t *testing.T) {
	d, err := OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const key = "file_01m802dp1929wp4hw9pkx01jmd"
	if _, err := d.Put(t.Context(), key, strings.NewReader("bytes")); err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, opened := d.Open(t.Context(), key)
	_, put := d.Put(t.Context(), "file_01m802dp1929wp4hw9pkx01jme", strings.NewReader("bytes"))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"open": opened, "put": put} {
		var e *sluice.Error
		if !errors.As(err, &e) || e.Code != sluice.CodeUnavailable || e.RetryAfter == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f, err := d.Open(t.Context(), key); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
}

// An error of the disk is not the fault of the caller.
func TestFailingDisk(t *testing.T) {
	for _, failure := range []error{syscall.EIO, syscall.EROFS} {
		var e *sluice.Error
		err := diskError("open a blob", &fs.PathError{Op: "open", Path: "a", Err: failure})
		if !errors.As(err, &e) || e.Code != sluice.CodeUnavailable || e.RetryAfter == 0 || !errors.Is(err, failure) {
			t.Errorf("%v: %v", failure, err)
		}
	}
}
