package backup_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/maintain/backup"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// fixture is an installation, and a target for its backups.
type fixture struct {
	*sluicetest.Service
	by     service.Caller
	id     string // of the installation
	source backup.Source
	dir    string // of the target
	depot  *blob.Disk
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{Service: sluicetest.NewService(t), dir: filepath.Join(t.TempDir(), "target")}
	f.by = service.Operator(f.Ledger(sluice.Live))
	f.source = backup.Source{Store: f.Store, Blobs: f.Blobs, Version: "test"}
	err := f.Store.View(t.Context(), func(r service.Reader) (err error) {
		f.id, err = r.Installation()
		return err
	})
	if err == nil {
		f.depot, err = blob.OpenDisk(f.dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.depot.Close() })
	return f
}

func (f *fixture) upload(t *testing.T, content string) string {
	t.Helper()
	details := func() (service.NewFile, error) {
		return service.NewFile{Purpose: "export", Filename: "a.bin", Type: "application/octet-stream"}, nil
	}
	created, err := f.Files.Create(t.Context(), f.by, "export", strings.NewReader(content), details)
	if err != nil {
		t.Fatal(err)
	}
	return created.File.ID
}

func (f *fixture) claim(t *testing.T, depot backup.Depot) *backup.Target {
	t.Helper()
	target, err := backup.Claim(t.Context(), depot, f.id, backup.Recipients{})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func silent(string, int64, int64) {}

func (f *fixture) backup(t *testing.T, depot backup.Depot, keep int) backup.Result {
	t.Helper()
	result, err := f.claim(t, depot).Backup(t.Context(), f.source, keep, silent)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// newest restores the files of the newest snapshot, and gives what was restored.
func (f *fixture) newest(t *testing.T) (*backup.Snapshot, backup.Restored) {
	t.Helper()
	target, err := backup.Open(t.Context(), f.depot, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	s, err := target.Snapshot(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	to, err := blob.OpenDisk(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	done, err := s.Restore(t.Context(), to, nil, silent)
	if err != nil {
		t.Fatal(err)
	}
	return s, done
}

// hooked is a target that calls looked each time a backup looks for objects.
type hooked struct {
	*blob.Disk
	looks  atomic.Int64
	looked func(n int64)
}

func (h *hooked) Present(ctx context.Context, keys []string) (map[string]int64, error) {
	sizes, err := h.Disk.Present(ctx, keys)
	h.looked(h.looks.Add(1))
	return sizes, err
}

// deleting is a place for the stored bytes of an installation in which files are deleted right before they are copied.
type deleting struct {
	service.Blobs
	deleted func(key string)
}

func (d *deleting) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	d.deleted(key)
	return d.Blobs.Open(ctx, key)
}

// A file is created right before the snapshot of the database begins, and deleted right before its bytes are copied.
// The snapshot is made anew, without the file. Every file that a snapshot names has its bytes.
func TestDeletedInBetween(t *testing.T) {
	f := newFixture(t)
	kept := f.upload(t, "kept")
	var brief string
	target := &hooked{Disk: f.depot}
	target.looked = func(n int64) {
		if n == 1 {
			f.Clock.Advance(-time.Hour) // before the other one in the order of ids, and so not in a later page
			brief = f.upload(t, "brief")
		}
	}
	tried := false
	f.source.Blobs = &deleting{f.Blobs, func(key string) {
		if key == brief {
			tried = true
			if _, err := f.Files.Delete(t.Context(), f.by, key, nil); err != nil {
				t.Error(err)
			}
		}
	}}
	result := f.backup(t, target, 0)
	if !tried {
		t.Fatal("the file was never copied, so nothing was tested")
	}
	s, done := f.newest(t)
	if result.Files != 1 || done.Files != 1 || done.Lost != 0 || s.Files != 1 {
		t.Errorf("the backup has %d files and restores %+v, want only %s", result.Files, done, kept)
	}
}

// A file that is deleted while the database is copied is in the backup: its row is in the copy.
func TestDeletedMeanwhile(t *testing.T) {
	f := newFixture(t)
	id := f.upload(t, "content")
	var deleted bool
	show := func(what string, _, _ int64) {
		if what == "database" && !deleted {
			deleted = true
			if _, err := f.Files.Delete(t.Context(), f.by, id, nil); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := f.claim(t, f.depot).Backup(t.Context(), f.source, 0, show); err != nil || !deleted {
		t.Fatal(deleted, err)
	}
	if _, done := f.newest(t); done.Files != 1 || done.Lost != 0 {
		t.Errorf("%+v is restored, want the file that was deleted meanwhile", done)
	}
}

// A later backup copies only new files. Bytes leave the target when no kept snapshot names them, not before.
func TestKeep(t *testing.T) {
	f := newFixture(t)
	old := f.upload(t, "old")
	f.upload(t, "stays")
	first := f.backup(t, f.depot, 2)
	f.upload(t, "new one")
	if _, err := f.Files.Delete(t.Context(), f.by, old, nil); err != nil {
		t.Fatal(err)
	}
	second := f.backup(t, f.depot, 2)
	if second.CopiedFiles != 1 || second.CopiedBytes != int64(len("new one")) || second.Files != 2 ||
		len(second.Removed) > 0 || second.Pruned > 0 {
		t.Errorf("the second backup: %+v", second)
	}
	third := f.backup(t, f.depot, 2)
	if third.CopiedFiles != 0 || len(third.Removed) != 1 || third.Removed[0] != first.Snapshot || third.Pruned != 1 {
		t.Errorf("the third backup: %+v", third)
	}
	if _, err := f.depot.Size(t.Context(), old); sluice.CodeOf(err) != sluice.CodeNotFound {
		t.Errorf("bytes that no snapshot names: %v", err)
	}
	if _, done := f.newest(t); done.Files != 2 {
		t.Errorf("%+v", done)
	}
	names, err := f.claim(t, f.depot).Snapshots(t.Context())
	if err != nil || len(names) != 2 || names[0] != second.Snapshot || names[1] != third.Snapshot {
		t.Errorf("the snapshots are %q, %v", names, err)
	}
}

// Nothing is removed as long as the list of a kept snapshot is damaged, no older snapshot either. The new snapshot is
// complete all the same.
func TestDamagedList(t *testing.T) {
	f := newFixture(t)
	old := f.upload(t, "old")
	first := f.backup(t, f.depot, 0)
	if _, err := f.Files.Delete(t.Context(), f.by, old, nil); err != nil {
		t.Fatal(err)
	}
	second := f.backup(t, f.depot, 0)
	list := "list_" + second.Snapshot
	if err := f.depot.Remove(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	third, err := f.claim(t, f.depot).Backup(t.Context(), f.source, 2, silent)
	var damaged *backup.DamagedError
	if !errors.As(err, &damaged) || damaged.Object != list {
		t.Errorf("a missing list: %v", err)
	}
	if _, err := f.depot.Size(t.Context(), old); err != nil {
		t.Errorf("bytes were removed without the list: %v", err)
	}
	names, err := f.claim(t, f.depot).Snapshots(t.Context())
	if err != nil || len(names) != 3 || names[0] != first.Snapshot || names[2] != third.Snapshot {
		t.Errorf("the snapshots are %q, %v", names, err)
	}
}

// failing is a target that cannot store one kind of object.
type failing struct {
	*blob.Disk
	kind string
	err  error
}

func (b *failing) Stage(ctx context.Context, key string) (service.Stage, error) {
	s, err := b.Disk.Stage(ctx, key)
	if err == nil && strings.HasPrefix(key, b.kind) {
		return &brokenStage{s, b.err}, nil
	}
	return s, err
}

type brokenStage struct {
	service.Stage
	err error
}

func (s *brokenStage) Commit(context.Context) (service.Stored, error) { return service.Stored{}, s.err }

// An object cannot be stored. Then there is no snapshot and no part of one, the earlier snapshot is whole, and the next
// backup goes on.
func TestTargetFails(t *testing.T) {
	f := newFixture(t)
	f.source.Secrets = func() ([]byte, error) { return []byte("{}"), nil }
	f.upload(t, "first")
	earlier := f.backup(t, f.depot, 0)
	f.upload(t, "second")
	for _, kind := range []string{"file_", "database_", "secrets_", "list_", "manifest_"} {
		target := &failing{f.depot, kind, sluice.Wrap(sluice.CodeStorageFull, "full", syscall.ENOSPC)}
		result, err := f.claim(t, target).Backup(t.Context(), f.source, 0, silent)
		if sluice.CodeOf(err) != sluice.CodeStorageFull {
			t.Errorf("%s fails: %v", kind, err)
		}
		err = f.depot.Walk(t.Context(), func(key string, _ time.Time) error {
			if strings.HasSuffix(key, result.Snapshot) {
				t.Errorf("%s fails, and %s is left", kind, key)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if s, _ := f.newest(t); s.Name != earlier.Snapshot {
			t.Errorf("%s fails, and the newest snapshot is %s", kind, s.Name)
		}
	}
	if result := f.backup(t, f.depot, 0); result.Files != 2 || result.CopiedFiles != 0 {
		t.Errorf("the next backup: %+v", result)
	}
}

// Damaged and missing stored bytes are named. The backup has all other files.
func TestDamagedSource(t *testing.T) {
	f := newFixture(t)
	missing, changed := f.upload(t, "missing"), f.upload(t, "changed")
	f.upload(t, "whole")
	for _, id := range []string{missing, changed} {
		if err := f.Blobs.Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Blobs.Put(t.Context(), changed, bytes.NewReader([]byte("CHANGED"))); err != nil {
		t.Fatal(err)
	}
	result := f.backup(t, f.depot, 0)
	if len(result.Damaged) != 2 || result.Files != 1 {
		t.Errorf("the backup: %+v", result)
	}
	s, done := f.newest(t)
	if len(s.Damaged) != 2 || done.Files != 1 || done.Lost != 0 || done.Without != 2 {
		t.Errorf("%+v, %+v", s.Damaged, done)
	}
	// Once the bytes are back, the next backup has them.
	if _, err := f.Blobs.Put(t.Context(), missing, bytes.NewReader([]byte("missing"))); err != nil {
		t.Fatal(err)
	}
	if result = f.backup(t, f.depot, 0); len(result.Damaged) != 1 || result.Files != 2 {
		t.Errorf("the next backup: %+v", result)
	}
}

// doubtful is a target that stores manifests and then fails to say so. With stuck it cannot remove them either.
type doubtful struct {
	*blob.Disk
	stuck bool
}

func (d *doubtful) Stage(ctx context.Context, key string) (service.Stage, error) {
	s, err := d.Disk.Stage(ctx, key)
	if err == nil && strings.HasPrefix(key, "manifest_") {
		return &doubtfulStage{s}, nil
	}
	return s, err
}

func (d *doubtful) Remove(ctx context.Context, key string) error {
	if d.stuck && strings.HasPrefix(key, "manifest_") {
		return errLost
	}
	return d.Disk.Remove(ctx, key)
}

type doubtfulStage struct{ service.Stage }

var errLost = errors.New("the answer was lost")

func (s *doubtfulStage) Commit(ctx context.Context) (service.Stored, error) {
	if _, err := s.Stage.Commit(ctx); err != nil {
		return service.Stored{}, err
	}
	return service.Stored{}, errLost
}

// The manifest is stored, and the target fails to say so. The snapshot is removed, or it stays with all its parts, but
// there is none without them.
func TestManifestInDoubt(t *testing.T) {
	f := newFixture(t)
	f.source.Secrets = func() ([]byte, error) { return []byte("{}"), nil }
	f.upload(t, "content")
	for _, stuck := range []bool{false, true} {
		result, err := f.claim(t, &doubtful{f.depot, stuck}).Backup(t.Context(), f.source, 0, silent)
		if !errors.Is(err, errLost) {
			t.Fatal(err)
		}
		left := 0
		err = f.depot.Walk(t.Context(), func(key string, _ time.Time) error {
			if strings.HasSuffix(key, result.Snapshot) {
				left++
			}
			return nil
		})
		if want := map[bool]int{false: 0, true: 4}[stuck]; err != nil || left != want {
			t.Errorf("stuck is %t: %d objects of the snapshot are left, %v, want %d", stuck, left, err, want)
		}
	}
	if _, done := f.newest(t); done.Files != 1 || done.Lost != 0 {
		t.Errorf("the snapshot that stays: %+v", done)
	}
}

// The snapshot begins anew after its database was stored. It is stored again.
func TestMovedAfterDatabase(t *testing.T) {
	f := newFixture(t)
	f.upload(t, "kept")
	id := f.upload(t, "lost")
	moved := false
	show := func(what string, _, _ int64) {
		if what != "database" || moved {
			return
		}
		moved = true
		if _, err := f.Files.Delete(t.Context(), f.by, id, nil); err != nil {
			t.Error(err)
		}
		if err := f.depot.Remove(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	result, err := f.claim(t, f.depot).Backup(t.Context(), f.source, 0, show)
	if err != nil || !moved {
		t.Fatal(moved, err)
	}
	if _, done := f.newest(t); result.Files != 1 || done.Files != 1 || done.Lost != 0 {
		t.Errorf("the backup has %d files and restores %+v", result.Files, done)
	}
}

// Parts that a killed backup left are removed after a day. Those of a complete snapshot are not, nor those that someone
// may be writing.
func TestDeadParts(t *testing.T) {
	f := newFixture(t)
	f.claim(t, f.depot)
	now, old := time.Now(), time.Now().Add(-48*time.Hour)
	name := func(begun time.Time, rest string) string { return begun.UTC().Format("20060102t150405z") + rest }
	parts := []struct {
		key     string
		written time.Time
		stays   bool
	}{
		{"database_" + name(old, "aaaaaaaaaa"), old, false},
		{"list_" + name(old, "aaaaaaaaaa"), old, false},
		{"other_" + name(old, "aaaaaaaaaa"), old, true},
		{"list_" + name(old, "bbbbbbbbbb"), now, true},
		{"list_" + name(old, "cccccccccc"), old, true},
		{"manifest_" + name(old, "cccccccccc"), old, true},
		{"database_" + name(now, "dddddddddd"), old, true},
		{"list_" + strings.Repeat("e", 26), old, true},
	}
	for _, p := range parts {
		if _, err := f.depot.Put(t.Context(), p.key, strings.NewReader("part")); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(f.path(p.key), p.written, p.written); err != nil {
			t.Fatal(err)
		}
	}
	f.backup(t, f.depot, 0)
	for _, p := range parts {
		if _, err := f.depot.Size(t.Context(), p.key); (err == nil) != p.stays {
			t.Errorf("%s: %v", p.key, err)
		}
	}
}

// path is where an object of the target is.
func (f *fixture) path(key string) string { return filepath.Join(f.dir, key[len(key)-2:], key) }

// A line of a manifest or a list that is longer than any that is written is refused before it is in memory.
func TestLongLine(t *testing.T) {
	f := newFixture(t)
	f.upload(t, "content")
	name := f.backup(t, f.depot, 0).Snapshot
	long := `{"id":"file_01jd3x2m0000000000000000aa","damaged":"` + strings.Repeat("x", 9<<10) + "\"}\n"
	for _, key := range []string{"list_" + name, "manifest_" + name} {
		text, err := os.ReadFile(f.path(key))
		if err != nil {
			t.Fatal(err)
		}
		first, rest, _ := strings.Cut(string(text), "\n")
		if err := os.WriteFile(f.path(key), []byte(first+"\n"+long+rest), 0o600); err != nil {
			t.Fatal(err)
		}
		target := f.claim(t, f.depot)
		if strings.HasPrefix(key, "list_") {
			_, err = target.Backup(t.Context(), f.source, 2, silent)
		} else {
			_, err = target.Snapshot(t.Context(), name)
		}
		var damaged *backup.DamagedError
		if !errors.As(err, &damaged) || damaged.Object != key || !strings.Contains(damaged.Why, "too long") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// object reads an object of the target.
func (f *fixture) object(t *testing.T, key string) string {
	t.Helper()
	from, err := f.depot.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	text, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// An object that was cut stays when the source has not the right bytes any more.
func TestCutObjectBadSource(t *testing.T) {
	f := newFixture(t)
	missing, changed := f.upload(t, "missing"), f.upload(t, "changed")
	f.backup(t, f.depot, 0)
	for _, id := range []string{missing, changed} {
		if err := errors.Join(f.Blobs.Remove(t.Context(), id), f.depot.Remove(t.Context(), id)); err != nil {
			t.Fatal(err)
		}
		if _, err := f.depot.Put(t.Context(), id, strings.NewReader("cut")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Blobs.Put(t.Context(), changed, strings.NewReader("CHANGED")); err != nil {
		t.Fatal(err)
	}
	if result := f.backup(t, f.depot, 1); len(result.Damaged) != 2 || result.Files != 0 || result.Pruned != 0 {
		t.Errorf("the backup: %+v", result)
	}
	for _, id := range []string{missing, changed} {
		if have := f.object(t, id); have != "cut" {
			t.Errorf("the object is %q", have)
		}
	}
}

// A recipient that is given twice is one: nothing is written again.
func TestRecipientTwice(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	text := identity.Recipient().String()
	f := newFixture(t)
	id := f.upload(t, "content")
	before := ""
	for _, texts := range [][]string{{text}, {text, text}, {text, "# me\n" + text}} {
		to, err := backup.ParseRecipients(texts)
		if err != nil {
			t.Fatal(err)
		}
		target, err := backup.Claim(t.Context(), f.depot, f.id, to)
		if err != nil {
			t.Fatal(err)
		}
		result, err := target.Backup(t.Context(), f.source, 0, silent)
		if err != nil {
			t.Fatal(err)
		}
		object := f.object(t, id)
		if before != "" && (object != before || result.CopiedFiles != 0) {
			t.Errorf("%q: the object was written again: %+v", texts, result)
		}
		before = object
	}
}

// An object that was cut in the target is written again, encrypted or not. On S3 it is one that is sent in parts.
func TestCutObject(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := backup.ParseRecipients([]string{identity.Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	disk := func(_ *testing.T, f *fixture) backup.Depot { return f.depot }
	bucket := func(t *testing.T, _ *fixture) backup.Depot {
		options, err := blob.ParseS3URL(sluicetest.S3(t))
		if err != nil {
			t.Fatal(err)
		}
		s, err := blob.OpenS3(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	for name, c := range map[string]struct {
		to    backup.Recipients
		depot func(*testing.T, *fixture) backup.Depot
		size  int
	}{
		"plain":     {backup.Recipients{}, disk, 200_000},
		"encrypted": {to, disk, 200_000},
		"S3":        {to, bucket, 9 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			depot := c.depot(t, f)
			var ids []string
			for _, size := range []int{c.size, 0, 1 << 16} {
				ids = append(ids, f.upload(t, string(make([]byte, size))))
			}
			target, err := backup.Claim(t.Context(), depot, f.id, c.to)
			if err != nil {
				t.Fatal(err)
			}
			for want := range int64(2) {
				result, err := target.Backup(t.Context(), f.source, 0, silent)
				if err != nil || result.CopiedFiles != 3-2*want {
					t.Fatalf("%+v, %v", result, err)
				}
				if err := depot.Remove(t.Context(), ids[0]); err != nil {
					t.Fatal(err)
				}
				if _, err := depot.Put(t.Context(), ids[0], bytes.NewReader([]byte("cut"))); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A target belongs to one installation and one set of recipients.
func TestClaim(t *testing.T) {
	recipients := func() backup.Recipients {
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		r, err := backup.ParseRecipients([]string{identity.Recipient().String()})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	one, other := recipients(), recipients()
	open := func(t *testing.T) *blob.Disk {
		d, err := blob.OpenDisk(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	for name, c := range map[string]struct {
		before func(*blob.Disk) error
		to     backup.Recipients
		ok     bool
	}{
		"empty":      {func(*blob.Disk) error { return nil }, one, true},
		"own":        {claimed("i1", one), one, true},
		"another's":  {claimed("i2", one), one, false},
		"others":     {claimed("i1", other), one, false},
		"plain":      {claimed("i1", backup.Recipients{}), one, false},
		"encrypted":  {claimed("i1", one), backup.Recipients{}, false},
		"live files": {func(d *blob.Disk) error { return d.Claim(t.Context(), "i1") }, one, false},
		"not empty": {func(d *blob.Disk) error {
			_, err := d.Put(t.Context(), "file_01jd3x2m0000000000000000aa", bytes.NewReader(nil))
			return err
		}, one, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			if err := c.before(d); err != nil {
				t.Fatal(err)
			}
			_, err := backup.Claim(t.Context(), d, "i1", c.to)
			if (err == nil) != c.ok || err != nil && sluice.CodeOf(err) != sluice.CodeForbidden {
				t.Error(err)
			}
		})
	}
}

func claimed(id string, to backup.Recipients) func(*blob.Disk) error {
	return func(d *blob.Disk) error {
		_, err := backup.Claim(context.Background(), d, id, to)
		return err
	}
}

// Two backups of an installation at the same time: the second is refused.
func TestTwoAtOnce(t *testing.T) {
	f := newFixture(t)
	f.upload(t, "content")
	var second error
	show := func(what string, _, _ int64) {
		if what == "files" && second == nil {
			_, second = f.claim(t, f.depot).Backup(t.Context(), f.source, 0, silent)
		}
	}
	if _, err := f.claim(t, f.depot).Backup(t.Context(), f.source, 0, show); err != nil {
		t.Fatal(err)
	}
	if sluice.CodeOf(second) != sluice.CodeConflict {
		t.Errorf("the second backup: %v", second)
	}
}

// Recipients that are none are refused, and a secret among them is not repeated.
func TestParseRecipients(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "age1", "ssh-ed25519 AAAA", identity.String(), "# comment"} {
		if _, err := backup.ParseRecipients([]string{text}); err == nil || text == identity.String() &&
			bytes.Contains([]byte(err.Error()), []byte(text)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
