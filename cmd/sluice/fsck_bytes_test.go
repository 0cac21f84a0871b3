package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/maintain/fsck"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// Bytes that are missing, cut or altered are found, on a disk and in a bucket. Bytes without a file are a note.
func TestFsckFindsBytes(t *testing.T) {
	t.Run("disk", func(t *testing.T) {
		r := newRecords(t, "")
		testFsckBytes(t, r, r.Blobs, func(id string, to func([]byte) []byte) {
			path := filepath.Join(r.Dir, "blobs", id[len(id)-2:], id)
			data, err := os.ReadFile(path)
			r.must(err)
			r.must(os.Chmod(path, 0o600))
			r.must(os.WriteFile(path, to(data), 0o600))
		}, time.Now().Add(-2*time.Hour))
	})
	t.Run("S3", func(t *testing.T) {
		o, err := blob.ParseS3URL(sluicetest.S3(t))
		if err != nil {
			t.Fatal(err)
		}
		bucket, err := blob.OpenS3(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { bucket.Close() })
		r := newRecords(t, "")
		for _, f := range []sluice.File{r.plain, r.held} {
			content, err := r.Blobs.Open(t.Context(), f.ID)
			r.must(err)
			_, err = bucket.Put(t.Context(), f.ID, content)
			r.must(err)
			r.must(content.Close())
		}
		testFsckBytes(t, r, bucket, func(id string, to func([]byte) []byte) {
			r.must(bucket.Remove(t.Context(), id))
			_, err := bucket.Put(t.Context(), id, strings.NewReader(string(to([]byte("ab")))))
			r.must(err)
		}, time.Time{})
	})
}

// testFsckBytes damages the bytes of files. If aged is set, it makes bytes of a file that does not exist that old.
func testFsckBytes(
	t *testing.T, r *records, blobs service.Blobs, rewrite func(id string, to func([]byte) []byte), aged time.Time,
) {
	check := func(deep bool) fsck.Report {
		t.Helper()
		var report fsck.Report
		r.must(report.CheckBytes(t.Context(), r.Store, blobs, deep))
		return report
	}
	for _, deep := range []bool{false, true} {
		if report := check(deep); findingLines(report) != "" || len(report.Notes) != 0 || report.Files != 2 {
			t.Fatalf("before any damage: %+v", report)
		}
	}
	rewrite(r.plain.ID, func([]byte) []byte { return []byte{'z'} })
	if lines := findingLines(check(false)); lines != "" {
		t.Errorf("without deep: %s", lines)
	}
	altered := "file " + r.plain.ID + ": the stored bytes have the SHA-256"
	if lines := findingLines(check(true)); !strings.Contains(lines, altered) {
		t.Errorf("altered bytes: %q", lines)
	}
	rewrite(r.plain.ID, func([]byte) []byte { return []byte("zz") })
	for _, deep := range []bool{false, true} {
		want := "file " + r.plain.ID + ": 2 bytes are stored, and its record says 1"
		if lines := findingLines(check(deep)); !strings.Contains(lines, want) {
			t.Errorf("want %q, have %q", want, lines)
		}
	}
	r.must(blobs.Remove(t.Context(), r.held.ID))
	if lines := findingLines(check(false)); !strings.Contains(lines, "file "+r.held.ID+": its bytes are missing") {
		t.Errorf("missing bytes: %q", lines)
	}
	if aged.IsZero() {
		return
	}
	_, err := blobs.Put(t.Context(), r.deleted.ID, strings.NewReader("x"))
	r.must(err)
	if report := check(false); len(report.Notes) != 0 {
		t.Errorf("bytes of an upload under way: %q", report.Notes)
	}
	r.must(os.Chtimes(filepath.Join(r.Dir, "blobs", r.deleted.ID[len(r.deleted.ID)-2:], r.deleted.ID), aged, aged))
	if report := check(false); len(report.Notes) != 1 || !strings.Contains(report.Notes[0], r.deleted.ID) {
		t.Errorf("bytes without a file: %q", report.Notes)
	}
}
