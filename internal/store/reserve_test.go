package store

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sluice/internal/service"
	"sluice/internal/store/storetest"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice"
)

// On a full disk what ends something is committed, everything else waits until
// there is room, and then the reserve is made again.
func TestSQLiteReserve(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Skipf("a full disk is tested by root where it may mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	reserve := filepath.Join(dir, "reserve")
	s, err := OpenSQLite(filepath.Join(dir, "sluice.db"), Options{Reserve: reserve})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const files = 20
	for i := range files {
		storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
			return tx.CreateFile(storetest.NewFile(storetest.LiveLedger, fmt.Sprint("file_", i)), storetest.NewEntry(storetest.LiveLedger))
		})
	}
	filler := filepath.Join(dir, "filler")
	exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=4k", "status=none").Run() // until nothing is left
	create := func(i int) error {
		return s.Update(storetest.Background, storetest.LiveLedger, func(tx service.Tx) error {
			f := storetest.NewFile(storetest.LiveLedger, fmt.Sprint("more_", i))
			f.Title = strings.Repeat("x", 20_000)
			return tx.CreateFile(f, storetest.NewEntry(storetest.LiveLedger))
		})
	}
	full := false
	for i := 0; i < 1000 && !full; i++ {
		full = sluice.CodeOf(create(i)) == sluice.CodeStorageFull
	}
	if !full {
		t.Fatal("the disk was never full")
	}
	for i := range files {
		err := s.Update(service.Ending(storetest.Background), storetest.LiveLedger, func(tx service.Tx) error {
			return tx.DeleteFile(fmt.Sprint("file_", i), storetest.Epoch, storetest.NewEntry(storetest.LiveLedger))
		})
		if err != nil {
			t.Fatalf("delete on a full disk: %v", err)
		}
	}
	if info, err := os.Stat(reserve); err != nil || info.Size() != 0 {
		t.Fatalf("the reserve: %v, %v", info, err)
	}
	storetest.WantCode(t, create(2000), sluice.CodeStorageFull)
	storetest.WantCode(t, s.Ready(storetest.Background), sluice.CodeStorageFull)

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); create(3000) != nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing can be stored with room again")
		}
	}
	if info, err := os.Stat(reserve); err != nil || info.Size() != reserveSize {
		t.Errorf("the reserve was not made again: %v, %v", info, err)
	}
	if err := s.Ready(storetest.Background); err != nil {
		t.Error(err)
	}
}
