package blob

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"sluice"
	"sluice/internal/blob/blobtest"
	"sluice/internal/service"
)

// ownMounts gives the test a mount namespace of its own, which ends with it. Where
// that is not allowed, the test is skipped; under CI it fails.
func ownMounts(t *testing.T) {
	t.Helper()
	// The namespace belongs to the thread. The thread is never unlocked, so it ends
	// with the goroutine of the test.
	runtime.LockOSThread()
	err := syscall.Unshare(syscall.CLONE_NEWNS)
	if err == nil {
		err = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	}
	if err != nil {
		cannotMount(t, err)
	}
}

func cannotMount(t *testing.T, err error) {
	t.Helper()
	const need = "this test mounts a small file system: run it as root, in a container with CAP_SYS_ADMIN"
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s (%v)", need, err)
	}
	t.Skipf("%s (%v)", need, err)
}

// smallDisk is a Disk on a tmpfs with the given mount options.
func smallDisk(t *testing.T, options string) (d *Disk, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		cannotMount(t, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return openDisk(t, dir), dir
}

func TestFullDisk(t *testing.T) {
	ownMounts(t)
	d, dir := smallDisk(t, "size=1m")
	for _, size := range []int{2 << 20, 20 << 20} {
		stored, err := d.Put(t.Context(), blobtest.Key(1), bytes.NewReader(blobtest.Content(1, size)))
		blobtest.WantCode(t, "Put of more than fits", err, sluice.CodeStorageFull)
		if !errors.Is(err, syscall.ENOSPC) || stored != (service.Stored{}) {
			t.Errorf("Put of more than fits gives %v, %v", stored, err)
		}
		wantNames(t, filepath.Join(dir, tempFolder))
		blobtest.WantNothing(t, d, blobtest.Key(1))
		if err := d.Remove(t.Context(), blobtest.Key(1)); err != nil {
			t.Fatal(err)
		}
	}
	blobtest.WantCode(t, "Ready with less than 1 MiB free", d.Ready(t.Context()), sluice.CodeStorageFull)
}

// TestFullDiskInStage fills the disk in an Append to a saved stage. When there is
// room again, the stage goes on from its last Save.
func TestFullDiskInStage(t *testing.T) {
	ownMounts(t)
	d, dir := smallDisk(t, "size=3m")
	p := blobtest.Content(1, 2<<20)
	saved(t, d, blobtest.Key(1), p[:1<<20])
	writeFile(t, filepath.Join(dir, "other"), string(blobtest.Content(2, 3<<19)))
	stage := blobtest.Resume(t, d, blobtest.Key(1))
	err := stage.Append(t.Context(), 1<<20, bytes.NewReader(p[1<<20:]))
	blobtest.WantCode(t, "Append of more than fits", err, sluice.CodeStorageFull)
	blobtest.WantCode(t, "Save after it", stage.Save(t.Context()), sluice.CodeStorageFull)
	_, err = stage.Commit(t.Context())
	blobtest.WantCode(t, "Commit after it", err, sluice.CodeStorageFull)
	stage.Close()
	if err := os.Remove(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	stage = blobtest.Resume(t, d, blobtest.Key(1))
	blobtest.Append(t, stage, 1<<20, p[1<<20:])
	blobtest.Commit(t, stage, p)
	blobtest.WantContent(t, d, blobtest.Key(1), p)
	stage.Close()
}

// TestNoFileLeft lets the disk run out of inodes at each step of a Put.
func TestNoFileLeft(t *testing.T) {
	ownMounts(t)
	refused := 0
	for inodes := 3; inodes < 12; inodes++ {
		t.Logf("%d inodes", inodes)
		d, dir := smallDisk(t, fmt.Sprintf("size=1m,nr_inodes=%d", inodes))
		for i := range 4 {
			p := blobtest.Content(i, 1000)
			_, err := d.Put(t.Context(), blobtest.Key(i), bytes.NewReader(p))
			if err == nil {
				blobtest.WantContent(t, d, blobtest.Key(i), p)
				continue
			}
			refused++
			blobtest.WantCode(t, "Put with no file left", err, sluice.CodeStorageFull)
			_, err = d.Open(t.Context(), blobtest.Key(i))
			blobtest.WantCode(t, "Open after it", err, sluice.CodeNotFound)
		}
		wantNames(t, filepath.Join(dir, tempFolder))
	}
	if refused == 0 {
		t.Error("the disk never ran out of files")
	}
	d, _ := smallDisk(t, "size=100m,nr_inodes=2")
	blobtest.WantCode(t, "Ready with no file left", d.Ready(t.Context()), sluice.CodeStorageFull)
}

func TestReadyReadOnly(t *testing.T) {
	ownMounts(t)
	d, dir := smallDisk(t, "size=100m")
	if err := d.Ready(t.Context()); err != nil {
		t.Errorf("Ready with 100 MiB free: %v", err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	blobtest.WantCode(t, "Ready on a read-only disk", d.Ready(t.Context()), sluice.CodeUnavailable)
	_, err := d.Put(t.Context(), blobtest.Key(1), bytes.NewReader(nil))
	if !errors.Is(err, syscall.EROFS) {
		t.Errorf("Put on a read-only disk gives %v", err)
	}
	blobtest.WantCode(t, "Put on a read-only disk", err, sluice.CodeUnavailable)
}

// TestWalkWithoutRights walks over the root of an ext4 file system without the
// right to read its lost+found.
func TestWalkWithoutRights(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this test gives up rights: run it as root")
	}
	dir := t.TempDir()
	d := openDisk(t, dir)
	blobtest.Put(t, d, blobtest.Key(12), nil)
	err := errors.Join(
		os.Chmod(dir, 0o755),
		os.Chmod(filepath.Join(dir, "12"), 0o755),
		os.Mkdir(filepath.Join(dir, "lost+found"), 0o700),
	)
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // the rights are the thread's, which ends with the test
	const nobody = 65534
	if err := syscall.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setfsuid(0)
	if _, err := os.ReadDir(filepath.Join(dir, "lost+found")); err == nil {
		t.Fatal("the rights are still there")
	}
	blobtest.WantKeys(t, d, blobtest.Key(12))
}

// TestPowerLoss cuts a real file system off as a power failure does: only the
// bytes that the last Put or Remove waited for are on the disk.
func TestPowerLoss(t *testing.T) {
	const size = 1_234_567
	t.Run("after Put", func(t *testing.T) {
		dir, lose := journaled(t)
		d := openDisk(t, dir)
		for i := range 5 {
			blobtest.Put(t, d, blobtest.Key(i), blobtest.Content(i, size+i))
		}
		d.Close()
		lose()
		d = openDisk(t, dir)
		for i := range 5 {
			blobtest.WantContent(t, d, blobtest.Key(i), blobtest.Content(i, size+i))
		}
		d.Close()
	})
	t.Run("after Remove", func(t *testing.T) {
		dir, lose := journaled(t)
		d := openDisk(t, dir)
		blobtest.Put(t, d, blobtest.Key(1), blobtest.Content(1, size))
		if err := d.Remove(t.Context(), blobtest.Key(1)); err != nil {
			t.Fatal(err)
		}
		d.Close()
		lose()
		d = openDisk(t, dir)
		_, err := d.Open(t.Context(), blobtest.Key(1))
		blobtest.WantCode(t, "Open", err, sluice.CodeNotFound)
		d.Close()
	})
}

// journaled gives a folder on an ext4 file system of the test's own, and a function
// that makes the file system lose what is only in memory.
func journaled(t *testing.T) (dir string, lose func()) {
	t.Helper()
	ownMounts(t)
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		t.Skip("this test needs mkfs.ext4: install e2fsprogs")
	}
	base := t.TempDir()
	image, disk := filepath.Join(base, "image"), filepath.Join(base, "disk")
	writeFile(t, image, "")
	if err := errors.Join(os.Truncate(image, 64<<20), os.Mkdir(disk, 0o700)); err != nil {
		t.Fatal(err)
	}
	run(t, mkfs, "-q", image)
	if out, err := exec.Command("mount", "-o", "loop", image, disk).CombinedOutput(); err != nil {
		t.Skipf("this test needs a loop device: %v: %s", err, out)
	}
	t.Cleanup(func() { run(t, "umount", disk) })
	return filepath.Join(disk, "data", "blobs"), func() {
		t.Helper()
		cutPower(t, disk)
		run(t, "umount", disk)
		run(t, "mount", "-o", "loop", image, disk)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// cutPower makes ext4 drop everything that it has not written, its journal
// included.
func cutPower(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const shutdown = 0x8004587d // EXT4_IOC_SHUTDOWN
	how := uint32(2)            // EXT4_GOING_FLAGS_NOLOGFLUSH
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&how)))
	if errno != 0 {
		t.Skipf("this test needs a kernel that can shut ext4 down: %v", errno)
	}
}
