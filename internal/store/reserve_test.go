package store

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/records"
	"sluice/internal/store/storetest"
)

// TestSQLiteReserve fills a disk. Revocations and deletions are committed, and everything else is refused until there
// is space. Then the reserve is made again.
func TestSQLiteReserve(t *testing.T) {
	d := newFullDisk(t)
	s := d.store
	d.end(t, s)
	d.wantReserve(t, 0)
	storetest.WantCode(t, d.create(s), sluice.CodeStorageFull)
	storetest.WantCode(t, s.Ready(storetest.Background), sluice.CodeStorageFull)

	if err := os.Remove(d.filler); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "nothing can be stored with space again", func() bool { return d.create(s) == nil })
	d.wantReserve(t, reserveSize)
	if err := s.Ready(storetest.Background); err != nil {
		t.Error(err)
	}
}

// TestSQLiteReserveJobs does what a server does by itself, on a disk whose reserve is released: leases for the start
// and the jobs, and jobs that free space. Links are not marked meanwhile, because that needs space.
func TestSQLiteReserveJobs(t *testing.T) {
	d := newFullDisk(t)
	s := d.store
	d.end(t, s)
	ran, err := s.Exclusive(storetest.Background, "jobs", func(context.Context) error { return nil })
	if !ran || err != nil {
		t.Errorf("a lease on a full disk: %v, %v", ran, err)
	}
	for name, forget := range map[string]func(context.Context, time.Time) (int, error){
		"answers": s.ForgetResponses, "grants": s.ForgetGrants, "guesses": s.ForgetGuesses,
	} {
		if _, err := forget(storetest.Background, storetest.Epoch); err != nil {
			t.Errorf("forget %s on a full disk: %v", name, err)
		}
	}
	if err := s.KeysUsed(storetest.Background, map[string]time.Time{"key_1": storetest.Epoch}); err != nil {
		t.Errorf("key usage on a full disk: %v", err)
	}
	if n, more, err := s.EndLinks(storetest.Background); n != 0 || more || err != nil {
		t.Errorf("EndLinks on a full disk: %d, %v, %v", n, more, err)
	}
	storetest.WantCode(t, d.create(s), sluice.CodeStorageFull)
	if err := os.Remove(d.filler); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the links are never marked", func() bool {
		n, _, err := s.EndLinks(storetest.Background)
		return n == records.EndedAtOnce && err == nil
	})
}

// TestSQLiteReserveShared lets one process release the reserve. The other must notice before it uses that space for
// anything but endings. So must a process that opens the database then.
func TestSQLiteReserveShared(t *testing.T) {
	d := newFullDisk(t)
	other := d.open(t)
	d.end(t, other)
	d.wantReserve(t, 0)
	time.Sleep(2 * reserveCheck) // the longest that it may take to notice
	stored := 0
	for range 200 {
		if d.create(d.store) == nil {
			stored++
		}
	}
	if stored > 0 {
		t.Errorf("%d files of 20 kB were stored in the space that another process released", stored)
	}
	d.end(t, d.store)

	for _, s := range []*Store{other, d.store} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again := d.open(t)
	storetest.WantCode(t, d.create(again), sluice.CodeStorageFull)
	d.end(t, again)
	if err := os.Remove(d.filler); err != nil {
		t.Fatal(err)
	}
	other = d.open(t)
	waitFor(t, "nothing can be stored with space again", func() bool {
		return d.create(again) == nil && d.create(other) == nil
	})
	d.wantReserve(t, reserveSize)
}

// TestSQLiteReserveAsksFirst wants nothing to be written to a disk without space for the reserve.
func TestSQLiteReserveAsksFirst(t *testing.T) {
	d := newFullDisk(t)
	d.end(t, d.store)
	before, err := os.Stat(filepath.Join(d.dir, "reserve"))
	if err != nil {
		t.Fatal(err)
	}
	r := openReserve(filepath.Join(d.dir, "reserve"), slog.Default())
	if r.ensure() {
		t.Error("there is a reserve")
	}
	after, err := os.Stat(filepath.Join(d.dir, "reserve"))
	if err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the reserve was written at %v and at %v, %v", before.ModTime(), after.ModTime(), err)
	}
}

// fullDisk is a small disk that is full, with a database.
type fullDisk struct {
	dir, filler    string
	store          *Store
	created, ended int
}

// newFullDisk mounts a disk, opens a database there, and fills both.
func newFullDisk(t *testing.T) *fullDisk {
	t.Helper()
	d := &fullDisk{dir: t.TempDir()}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size=64m"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Skipf("a full disk is tested by root where it may mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, 0); err != nil {
			t.Error(err)
		}
	})
	d.store = d.open(t)
	for i := range 60 {
		storetest.Update(t, d.store, storetest.LiveLedger, func(tx service.Tx) error {
			return tx.CreateFile(storetest.NewFile(storetest.LiveLedger, fmt.Sprint("file_", i)),
				storetest.NewEntry(storetest.LiveLedger))
		})
	}
	storetest.Update(t, d.store, storetest.LiveLedger, func(tx service.Tx) error { // more than are marked at once
		for i := range 2 * records.EndedAtOnce {
			if err := tx.CreateLink(storetest.NewLink(storetest.LiveLedger, fmt.Sprint("link_", i), "file_0"),
				storetest.NewEntry(storetest.LiveLedger)); err != nil {
				return err
			}
		}
		return nil
	})
	d.filler = filepath.Join(d.dir, "filler")
	exec.Command("dd", "if=/dev/zero", "of="+d.filler, "bs=4k", "status=none").Run() // until nothing is left
	for i := 0; sluice.CodeOf(d.create(d.store)) != sluice.CodeStorageFull; i++ {
		if i == 1000 {
			t.Fatal("the disk was never full")
		}
	}
	d.wantReserve(t, reserveSize)
	return d
}

// open opens the database, once more.
func (d *fullDisk) open(t *testing.T) *Store {
	t.Helper()
	s, err := OpenSQLite(filepath.Join(d.dir, "sluice.db"), Options{Reserve: filepath.Join(d.dir, "reserve")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// create stores a file with a title of 20 kB.
func (d *fullDisk) create(s *Store) error {
	d.created++
	return s.Update(storetest.Background, storetest.LiveLedger, func(tx service.Tx) error {
		f := storetest.NewFile(storetest.LiveLedger, fmt.Sprint("more_", d.created))
		f.Title = strings.Repeat("x", 20_000)
		return tx.CreateFile(f, storetest.NewEntry(storetest.LiveLedger))
	})
}

// end deletes files that were stored before the disk was full.
func (d *fullDisk) end(t *testing.T, s *Store) {
	t.Helper()
	for range 20 {
		err := s.Update(service.Ending(storetest.Background), storetest.LiveLedger, func(tx service.Tx) error {
			return tx.DeleteFile(fmt.Sprint("file_", d.ended), storetest.Epoch,
				storetest.NewEntry(storetest.LiveLedger))
		})
		if err != nil {
			t.Fatalf("delete on a full disk: %v", err)
		}
		d.ended++
	}
}

func (d *fullDisk) wantReserve(t *testing.T, size int64) {
	t.Helper()
	if info, err := os.Stat(filepath.Join(d.dir, "reserve")); err != nil || info.Size() != size {
		t.Fatalf("the reserve is %v, %v, want one of %d bytes", info, err, size)
	}
}

func waitFor(t *testing.T, otherwise string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
	}
}
