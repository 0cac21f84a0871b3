package service_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/internal/objectid"
	"sluice/internal/service"
)

// putOrphan stores bytes without a record, under the nth id of a moment.
func (f *fixture) putOrphan(made time.Time, n int) (id string) {
	f.Helper()
	var raw [16]byte
	for i, ms := 5, made.UnixMilli(); i >= 0; i, ms = i-1, ms>>8 {
		raw[i] = byte(ms)
	}
	raw[14], raw[15] = byte(n>>8), byte(n)
	id = objectid.Format(sluice.PrefixFile, raw)
	if _, err := f.base.Blobs.Put(ctx, id, strings.NewReader("orphan")); err != nil {
		f.Fatal(err)
	}
	return id
}

func (f *fixture) wantSweep(before time.Time, want service.Swept) {
	f.Helper()
	if got, err := f.Sweep.Run(ctx, before); err != nil || got != want {
		f.Errorf("the sweep did %+v, %v, want %+v", got, err, want)
	}
}

var longAgo = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

// A sweep moves an orphan to the trash if an earlier sweep has seen it, and nothing else. After a week a sweep removes
// it from the trash.
func TestSweep(t *testing.T) {
	f := newFixture(t)
	kept := f.upload("kept")
	orphan := f.putOrphan(longAgo, 1)
	later := time.Now().Add(time.Minute)
	f.wantSweep(time.Now().Add(-time.Hour), service.Swept{})
	f.wantSweep(f.Now(), service.Swept{}) // the file system says that they are new
	f.wantSweep(later, service.Swept{})
	f.wantSweep(later, service.Swept{Orphans: 1})
	if diff := cmp.Diff([]string{kept.ID}, f.base.BlobKeys(t)); diff != "" {
		t.Error(diff)
	}
	trash := filepath.Join(f.base.Dir, "blobs", "trash", "*")
	if found, _ := filepath.Glob(trash); len(found) != 1 || filepath.Base(found[0]) != orphan {
		t.Errorf("the trash holds %q, want %s", found, orphan)
	}
	f.wantSweep(later, service.Swept{})
	f.base.Clock.Advance(time.Since(f.Now()) + service.TrashAge + time.Minute)
	f.wantSweep(later, service.Swept{Emptied: 1})
	if found, _ := filepath.Glob(trash); len(found) != 0 {
		t.Errorf("the trash still holds %q", found)
	}
}

// An orphan stays if no earlier sweep has seen it, or if its id or its bytes are new.
func TestSweepSpares(t *testing.T) {
	f := newFixture(t)
	f.base.Clock.Advance(time.Since(f.Now()) + time.Hour)
	young := f.putOrphan(time.Now().Add(2*time.Hour), 1)
	seen := f.putOrphan(longAgo, 2)
	before := f.Now().Add(-time.Minute) // after the bytes were written, before the sweep
	f.wantSweep(before, service.Swept{})
	f.wantSweep(before, service.Swept{})
	f.base.Clock.Advance(10 * time.Minute)
	unseen := f.putOrphan(longAgo, 3)
	before = f.Now().Add(-time.Minute)
	f.wantSweep(before, service.Swept{Orphans: 1})
	if left := f.base.BlobKeys(t); cmp.Diff([]string{unseen, young}, left) != "" {
		t.Errorf("left are %v, want %s and %s, and %s moved", left, unseen, young, seen)
	}
}

// The bytes of a deleted file are removed at once, not moved to the trash.
func TestSweepDeleted(t *testing.T) {
	f := newFixture(t)
	file := f.upload("content")
	if _, err := f.Files.Delete(ctx, f.caller, file.ID, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.base.Blobs.Put(ctx, file.ID, strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	f.wantSweep(time.Now().Add(time.Minute), service.Swept{Deleted: 1})
	if found, _ := filepath.Glob(filepath.Join(f.base.Dir, "blobs", "trash", "*")); len(found) != 0 {
		t.Errorf("the trash holds %q", found)
	}
}

// The bytes of deleted files are removed even if there are too many orphans to move any.
func TestSweepDeletedBesideManyOrphans(t *testing.T) {
	f := newFixture(t)
	file := f.upload("content")
	if _, err := f.Files.Delete(ctx, f.caller, file.ID, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.base.Blobs.Put(ctx, file.ID, strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	for n := range 21 {
		f.putOrphan(longAgo, n)
	}
	later := time.Now().Add(time.Minute)
	for _, want := range []service.Swept{{Deleted: 1}, {}} {
		if swept, err := f.Sweep.Run(ctx, later); err == nil || swept != want {
			t.Errorf("the sweep did %+v, %v, want %+v and an error", swept, err, want)
		}
	}
	if n := len(f.base.BlobKeys(t)); n != 21 {
		t.Errorf("%d files are stored, want the %d orphans", n, 21)
	}
}

// A sweep that would move many files moves none.
func TestSweepOfMany(t *testing.T) {
	f := newFixture(t)
	for n := range 20 {
		f.putOrphan(longAgo, n)
	}
	later := time.Now().Add(time.Minute)
	f.wantSweep(later, service.Swept{}) // twenty may go
	last := f.putOrphan(longAgo, 20)
	for range 2 {
		swept, err := f.Sweep.Run(ctx, later)
		refused := err != nil && strings.Contains(err.Error(), "21 of 21 stored files are unknown")
		if !refused || swept != (service.Swept{}) {
			t.Errorf("the sweep did %+v, %v, want an error", swept, err)
		}
	}
	if n := len(f.base.BlobKeys(t)); n != 21 {
		t.Errorf("%d files are left of 21", n)
	}
	if err := f.base.Blobs.Remove(ctx, last); err != nil {
		t.Fatal(err)
	}
	f.wantSweep(later, service.Swept{Orphans: 20})
}

// during is a Store that calls a function after a View has ended.
type during struct {
	service.Store
	viewed func()
	update func(sluice.LedgerID) error
}

func (d *during) View(ctx context.Context, fn func(service.Reader) error) error {
	err := d.Store.View(ctx, fn)
	if d.viewed != nil {
		d.viewed()
	}
	return err
}

func (d *during) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	if d.update != nil {
		if err := d.update(l); err != nil {
			return err
		}
	}
	return d.Store.Update(ctx, l, fn)
}

// over returns another service on the same data, over another Store.
func (f *fixture) over(d *during) *service.Service {
	f.Helper()
	d.Store = f.base.Store
	c := f.config
	c.Store = d
	s, err := service.New(c)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// The bytes of a record that is committed during a sweep stay.
func TestSweepAsksAgain(t *testing.T) {
	f := newFixture(t)
	f.base.Tampered = true // the entry of the late upload is not its own
	id := f.putOrphan(longAgo, 1)
	later := time.Now().Add(time.Minute)
	d := &during{}
	s := f.over(d)
	if _, err := s.Sweep.Run(ctx, later); err != nil {
		t.Fatal(err)
	}
	d.viewed = func() {
		d.viewed = nil
		file := f.upload("elsewhere")
		file.ID = id
		if err := f.base.Store.Update(ctx, f.ledger, func(tx service.Tx) error {
			return tx.CreateFile(file, sluice.Entry{
				ID: "aud_late", Ledger: f.ledger, Time: f.Now(), Action: sluice.FileCreated,
				Outcome: sluice.Allowed, Actor: sluice.Actor{Type: sluice.ActorSystem, Name: "test"},
			})
		}); err != nil {
			t.Error(err)
		}
	}
	if swept, err := s.Sweep.Run(ctx, later); err != nil || swept != (service.Swept{}) {
		t.Errorf("the sweep did %+v, %v, want nothing", swept, err)
	}
}

// retained returns a fixture with files whose retention period has ended.
func retained(t *testing.T, files int) (f *fixture, ids []string) {
	t.Helper()
	f = newFixture(t)
	purposes, err := sluice.NewPurposes([]sluice.Purpose{{Name: "generic", MaxSize: 100, Retention: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	f.use(purposes)
	for range files {
		ids = append(ids, f.upload("content").ID)
	}
	f.base.Clock.Advance(2 * time.Hour)
	return f, ids
}

// A hold between the listing of expired files and their deletion is respected.
func TestRetainRespectsALateHold(t *testing.T) {
	f, ids := retained(t, 1)
	d := &during{}
	s := f.over(d)
	d.viewed = func() {
		d.viewed = nil
		held := true
		if _, err := f.Files.Update(ctx, f.caller, ids[0], nil, service.FileChange{Held: &held}); err != nil {
			t.Error(err)
		}
	}
	if n, err := s.Retention.Run(ctx); n != 0 || err != nil {
		t.Errorf("retention deleted %d files, %v, want none", n, err)
	}
	if got, err := f.Files.Get(ctx, f.caller, ids[0]); err != nil || !got.Active() {
		t.Errorf("the held file is gone: %v", err)
	}
}

// Retention and the sweep work on a full disk: they free space.
func TestRetainOnAFullDisk(t *testing.T) {
	f, _ := retained(t, 2)
	f.putOrphan(longAgo, 1)
	later := time.Now().Add(time.Minute)
	f.wantSweep(later, service.Swept{})
	f.store.fail = "full"
	if _, err := f.tryUpload(strings.NewReader("more")); sluice.CodeOf(err) != sluice.CodeStorageFull {
		t.Fatalf("the disk is not full: %v", err)
	}
	if n, err := f.Retention.Run(ctx); n != 2 || err != nil {
		t.Errorf("retention deleted %d files, %v, want 2", n, err)
	}
	f.wantSweep(later, service.Swept{Orphans: 1})
}

// Files that cannot be deleted do not stop retention.
func TestRetainGoesOn(t *testing.T) {
	f, _ := retained(t, 130)
	d := &during{}
	s := f.over(d)
	damaged := errors.New("this row is damaged")
	updates := 0
	d.update = func(sluice.LedgerID) error {
		if updates++; updates <= 110 { // more than Run lists at a time
			return damaged
		}
		return nil
	}
	if n, err := s.Retention.Run(ctx); n != 20 || !errors.Is(err, damaged) {
		t.Errorf("retention deleted %d files, %v, want 20 and the error of the others", n, err)
	}
	if n, err := s.Retention.Run(ctx); n != 110 || err != nil {
		t.Errorf("the next run deleted %d files, %v, want 110", n, err)
	}
}
