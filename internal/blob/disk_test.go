package blob

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice"
	"sluice/internal/blob/blobtest"
	"sluice/internal/service"
)

// A child is this test binary, which a test starts again in order to kill it.
const (
	childDir   = "SLUICE_BLOB_TEST_DIR"
	childFirst = "SLUICE_BLOB_TEST_FIRST"
)

// children are what a child does in the folder that the variable names.
var children = map[string]func(dir string) error{childDir: child}

func TestMain(m *testing.M) {
	for variable, do := range children {
		dir := os.Getenv(variable)
		if dir == "" {
			continue
		}
		if err := do(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	endGateway()
	os.Exit(code)
}

func TestDisk(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) service.Blobs { return openDisk(t, t.TempDir()) })
}

func openDisk(t testing.TB, dir string) *Disk {
	t.Helper()
	d, err := OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// names lists a folder. It is empty if the folder does not exist.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	found := []string{}
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func wantNames(t testing.TB, dir string, want ...string) {
	t.Helper()
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", filepath.Base(dir), got, want)
	}
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func TestModes(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	base := t.TempDir()
	d := openDisk(t, filepath.Join(base, "made", "with", "parents"))
	blobtest.Put(t, d, blobtest.Key(12), []byte("x"))
	finish := blobtest.StartPut(t, d, blobtest.Key(13), []byte("x"))
	want := map[string]fs.FileMode{
		"made":                       fs.ModeDir | 0o700,
		"made/with":                  fs.ModeDir | 0o700,
		"made/with/parents":          fs.ModeDir | 0o700,
		"made/with/parents/tmp":      fs.ModeDir | 0o700,
		"made/with/parents/tmp/*":    0o600,
		"made/with/parents/12":       fs.ModeDir | 0o700,
		"made/with/parents/12/file*": 0o600,
	}
	for pattern, mode := range want {
		matches, _ := filepath.Glob(filepath.Join(base, pattern))
		if len(matches) != 1 {
			t.Errorf("%s: %q", pattern, matches)
			continue
		}
		info, err := os.Lstat(matches[0])
		if err != nil || info.Mode() != mode {
			t.Errorf("%s has mode %v, want %v (%v)", pattern, info.Mode(), mode, err)
		}
	}
	if err := finish(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenDiskFails(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	writeFile(t, name, "")
	for _, dir := range []string{name, filepath.Join(name, "below"), ""} {
		if d, err := OpenDisk(dir); err == nil {
			d.Close()
			t.Errorf("OpenDisk(%q) succeeds", dir)
		}
	}
}

func TestMakeDirSyncs(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "a", "b", "c")
	broken := errors.New("broken")
	if err := makeDir(filepath.Join(base, "d"), func(*os.File) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("makeDir with a Sync that fails gives %v", err)
	}
	var synced []string
	note := func(f *os.File) error {
		name, err := filepath.Rel(base, f.Name())
		synced = append(synced, name)
		return err
	}
	for range 2 {
		if err := makeDir(dir, note); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{".", "a", "a/b"}; !slices.Equal(synced, want) {
		t.Errorf("makeDir syncs %q, want %q", synced, want)
	}
}

func TestReopen(t *testing.T) {
	dir, p := t.TempDir(), blobtest.Content(1, 1000)
	blobtest.Put(t, openDisk(t, dir), blobtest.Key(1), p)
	blobtest.WantContent(t, openDisk(t, dir), blobtest.Key(1), p)
}

func TestOpenGivesFile(t *testing.T) {
	d := openDisk(t, t.TempDir())
	blobtest.Put(t, d, blobtest.Key(1), nil)
	if _, ok := blobtest.Open(t, d, blobtest.Key(1)).(*os.File); !ok {
		t.Error("Open gives no *os.File: the system cannot send it by itself")
	}
}

func TestSeekAfterRemove(t *testing.T) {
	d, p := openDisk(t, t.TempDir()), blobtest.Content(1, 1000)
	blobtest.Put(t, d, blobtest.Key(1), p)
	r := blobtest.Open(t, d, blobtest.Key(1))
	if err := d.Remove(t.Context(), blobtest.Key(1)); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{900, 0} {
		if _, err := r.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		blobtest.WantRest(t, r, p[at:])
	}
}

// TestSyncs checks the order of a Put: it syncs the bytes before they have a key,
// then the name of a new folder, and the folder after the key is in it.
func TestSyncs(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir)
	var log []string
	var key string
	d.sync = func(f *os.File) error {
		name, _ := filepath.Rel(dir, f.Name())
		if filepath.Dir(name) == tempFolder {
			name = "bytes"
		}
		if _, err := os.Lstat(filepath.Join(dir, key[len(key)-2:], key)); err == nil {
			name += " of what is visible"
		}
		log = append(log, name)
		return f.Sync()
	}
	check := func(doing string, want ...string) {
		t.Helper()
		if !slices.Equal(log, want) {
			t.Errorf("%s syncs %q, want %q", doing, log, want)
		}
		log = nil
	}

	key = blobtest.Key(112)
	blobtest.Put(t, d, key, []byte("x"))
	check("the first Put to a folder", "bytes", ".", "12 of what is visible")
	key = blobtest.Key(212)
	blobtest.Put(t, d, key, []byte("x"))
	check("the second Put to a folder", "bytes", "12 of what is visible")
	if err := d.Remove(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	check("Remove", "12")

	again := openDisk(t, dir)
	again.sync = d.sync
	key = blobtest.Key(312)
	blobtest.Put(t, again, key, []byte("x"))
	check("the first Put to a folder another process made", "bytes", ".", "12 of what is visible")
}

func TestSyncFails(t *testing.T) {
	broken := errors.New("broken")
	for failing, syncs := range map[string]int{"bytes": 1, "folder's name": 2, "folder": 3} {
		for _, want := range []error{broken, syscall.ENOSPC, syscall.EDQUOT} {
			t.Run(fmt.Sprint(failing, " ", want), func(t *testing.T) {
				dir := t.TempDir()
				d := openDisk(t, dir)
				n, failed := 0, false
				d.sync = func(f *os.File) error {
					if n++; n == syncs && !failed {
						failed = true
						return &fs.PathError{Op: "sync", Path: f.Name(), Err: want}
					}
					return f.Sync()
				}
				stored, err := d.Put(t.Context(), blobtest.Key(1), bytes.NewReader(blobtest.Content(1, 1000)))
				if !errors.Is(err, want) || stored != (service.Stored{}) {
					t.Errorf("Put gives %v, %v", stored, err)
				}
				if full := sluice.CodeOf(err) == sluice.CodeStorageFull; full != (want != broken) {
					t.Errorf("the code of %v is %q", err, sluice.CodeOf(err))
				}
				wantNames(t, filepath.Join(dir, tempFolder))
				n = 0
				blobtest.WantNothing(t, d, blobtest.Key(1))
				if syncs == 2 && n != 3 {
					t.Errorf("the next Put syncs %d times: it takes the folder's name for durable", n)
				}
			})
		}
	}

	t.Run("remove", func(t *testing.T) {
		d := openDisk(t, t.TempDir())
		blobtest.Put(t, d, blobtest.Key(1), nil)
		d.sync = func(*os.File) error { return broken }
		if err := d.Remove(t.Context(), blobtest.Key(1)); !errors.Is(err, broken) {
			t.Errorf("Remove gives %v", err)
		}
		if err := d.Remove(t.Context(), blobtest.Key(1)); !errors.Is(err, broken) {
			t.Errorf("Remove of what may come back gives %v", err)
		}
		d.sync = (*os.File).Sync
		for _, key := range []string{blobtest.Key(1), blobtest.Key(2)} { // the second one has no folder
			if err := d.Remove(t.Context(), key); err != nil {
				t.Errorf("Remove of a missing key gives %v", err)
			}
		}
	})

	t.Run("claim and release", func(t *testing.T) {
		d := openDisk(t, t.TempDir())
		for range 2 {
			d.sync = func(f *os.File) error {
				if info, err := f.Stat(); err != nil || info.IsDir() {
					return broken
				}
				return nil
			}
			if err := d.Claim(t.Context(), "ins1"); !errors.Is(err, broken) {
				t.Errorf("Claim gives %v", err)
			}
		}
		for range 2 {
			if err := d.Release(t.Context(), "ins1"); !errors.Is(err, broken) {
				t.Errorf("Release gives %v", err)
			}
		}
	})
}

func TestSymlinks(t *testing.T) {
	key := blobtest.Key(12)
	plant := func(t *testing.T, outside, link string) (dir string) {
		t.Helper()
		dir = t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(link)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	failsInside := func(t *testing.T, doing string, err error) {
		t.Helper()
		if err == nil || sluice.CodeOf(err) == sluice.CodeNotFound {
			t.Errorf("%s through a link: %v", doing, err)
		}
	}

	t.Run("blob", func(t *testing.T) {
		secret := filepath.Join(t.TempDir(), "secret")
		writeFile(t, secret, "secret")
		dir := plant(t, secret, filepath.Join("12", key))
		d := openDisk(t, dir)
		_, err := d.Open(t.Context(), key)
		failsInside(t, "Open", err)
		blobtest.WantKeys(t, d)
		_, err = d.Put(t.Context(), key, strings.NewReader("x"))
		blobtest.WantCode(t, "Put", err, sluice.CodeConflict)
		if err := d.Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		if got := readFile(t, secret); got != "secret" {
			t.Errorf("the file outside became %q", got)
		}
	})

	t.Run("folder", func(t *testing.T) {
		outside := t.TempDir()
		writeFile(t, filepath.Join(outside, key), "secret")
		dir := plant(t, outside, "12")
		d := openDisk(t, dir)
		_, err := d.Open(t.Context(), key)
		failsInside(t, "Open", err)
		failsInside(t, "Remove", d.Remove(t.Context(), key))
		_, err = d.Put(t.Context(), blobtest.Key(112), strings.NewReader("x"))
		failsInside(t, "Put", err)
		blobtest.WantKeys(t, d)
		wantNames(t, outside, key)
		wantNames(t, filepath.Join(dir, tempFolder))
	})

	t.Run("temporary folder", func(t *testing.T) {
		outside := t.TempDir()
		writeFile(t, filepath.Join(outside, "file"), "")
		d := openDisk(t, plant(t, outside, tempFolder))
		_, err := d.Put(t.Context(), key, strings.NewReader("x"))
		failsInside(t, "Put", err)
		_, err = d.Sweep(t.Context(), time.Now().Add(time.Hour))
		failsInside(t, "Sweep", err)
		blobtest.WantCode(t, "Ready through a link", d.Ready(t.Context()), sluice.CodeUnavailable)
		wantNames(t, outside, "file")
	})
}

func TestWalkPassesOver(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir)
	blobtest.Put(t, d, blobtest.Key(12), nil)
	for _, folder := range []string{"lost+found", "13", "12/" + blobtest.Key(112)} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{
		blobtest.Key(13), "tmp/" + blobtest.Key(13), "lost+found/" + blobtest.Key(13), "12/" + blobtest.Key(13),
		"12/notes.txt", "13/." + blobtest.Key(13), "ab",
	} {
		writeFile(t, filepath.Join(dir, file), "")
	}
	blobtest.WantKeys(t, d, blobtest.Key(12))
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir)
	blobtest.Put(t, d, blobtest.Key(1), nil)
	now := time.Now()
	for name, age := range map[string]time.Duration{"old": 2 * time.Hour, "older": 48 * time.Hour, "young": time.Minute} {
		file := filepath.Join(dir, tempFolder, name)
		writeFile(t, file, name)
		if err := os.Chtimes(file, time.Time{}, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := d.Sweep(t.Context(), now.Add(-time.Hour)); n != 2 || err != nil {
		t.Errorf("Sweep gives %d, %v, want 2", n, err)
	}
	wantNames(t, filepath.Join(dir, tempFolder), "young")
	blobtest.WantKeys(t, d, blobtest.Key(1))
}

// TestSweepsTogether runs several Sweeps over the same files.
func TestSweepsTogether(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir)
	const files = 500
	for i := range files {
		writeFile(t, filepath.Join(dir, tempFolder, strconv.Itoa(i)), "")
	}
	var all sync.WaitGroup
	var swept atomic.Int64
	for range 4 {
		all.Go(func() {
			n, err := d.Sweep(t.Context(), time.Now().Add(time.Hour))
			if err != nil {
				t.Errorf("Sweep: %v", err)
			}
			swept.Add(int64(n))
		})
	}
	all.Wait()
	if got := swept.Load(); got != files {
		t.Errorf("the Sweeps count %d files, want %d", got, files)
	}
	wantNames(t, filepath.Join(dir, tempFolder))
}

// TestSweepOfLivePut checks that a Put fails when its file was swept.
func TestSweepOfLivePut(t *testing.T) {
	d := openDisk(t, t.TempDir())
	finish := blobtest.StartPut(t, d, blobtest.Key(1), blobtest.Content(1, 700_000))
	if n, err := d.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("Sweep gives %d, %v", n, err)
	}
	if err := finish(); err == nil {
		t.Error("Put succeeds without its file")
	}
	blobtest.WantNothing(t, d, blobtest.Key(1))
}

// TestNothingLeft checks that Puts leave no temporary file, however they end.
func TestNothingLeft(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir)
	for _, run := range []func(*testing.T, service.Blobs){
		blobtest.Taken, blobtest.SameKey, blobtest.BrokenReader, blobtest.Panic, blobtest.Cancelled, blobtest.Ready,
	} {
		for _, key := range blobtest.Walk(t, d) {
			if err := d.Remove(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		run(t, d)
		wantNames(t, filepath.Join(dir, tempFolder))
	}
}

// TestFlatMemory stores 1 GiB and counts the bytes that are allocated meanwhile.
func TestFlatMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 1 GiB")
	}
	const size, limit = 1 << 30, 4 << 20
	d := openDisk(t, t.TempDir())
	p := blobtest.Content(1, 1<<20)
	left := size / len(p)
	r := bytes.NewReader(p)
	repeat := blobtest.ReaderFunc(func(q []byte) (int, error) {
		if r.Len() == 0 {
			if left--; left == 0 {
				return 0, io.EOF
			}
			r.Reset(p)
		}
		return r.Read(q)
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	stored, err := d.Put(t.Context(), blobtest.Key(1), repeat)
	runtime.ReadMemStats(&after)
	if err != nil || stored.Size != size {
		t.Fatalf("Put: %d bytes, %v", stored.Size, err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > limit {
		t.Errorf("storing 1 GiB allocates %d bytes, want at most %d", got, limit)
	}
}

// child puts blobs into dir, one after another from a first number, and prints
// the number of each when its Put has returned. Without a first number it starts
// one Put, says so, and never ends it.
func child(dir string) error {
	if os.Getenv(childStage) != "" {
		return stagingChild(dir)
	}
	d, err := OpenDisk(dir)
	if err != nil {
		return err
	}
	number := os.Getenv(childFirst)
	if number == "" {
		stuck := blobtest.ReaderFunc(func([]byte) (int, error) {
			fmt.Println("stuck")
			return os.Stdin.Read(make([]byte, 1))
		})
		r := io.MultiReader(bytes.NewReader(blobtest.Content(1, 1<<20)), stuck)
		_, err := d.Put(context.Background(), blobtest.Key(1), r)
		return err
	}
	first, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	for i := first; ; i++ {
		if _, err := d.Put(context.Background(), blobtest.Key(i), bytes.NewReader(childContent(i))); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

func childContent(n int) []byte { return blobtest.Content(n, n*77_773%900_000) }

// startChild starts a child over dir. It gives the lines that the child prints, and
// a function that sends it SIGKILL.
func startChild(t *testing.T, dir, first string) (lines *bufio.Scanner, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childFirst+"="+first)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return bufio.NewScanner(out), func() { cmd.Process.Kill() }
}

func TestKilledInPut(t *testing.T) {
	dir := t.TempDir()
	lines, kill := startChild(t, dir, "")
	if !lines.Scan() || lines.Text() != "stuck" {
		t.Fatalf("child says %q, %v", lines.Text(), lines.Err())
	}
	kill()
	for lines.Scan() {
	}

	d := openDisk(t, dir)
	_, err := d.Open(t.Context(), blobtest.Key(1))
	blobtest.WantCode(t, "Open of what was being put", err, sluice.CodeNotFound)
	blobtest.WantKeys(t, d)
	left := names(t, filepath.Join(dir, tempFolder))
	if len(left) != 1 {
		t.Fatalf("the child left %q, want one file", left)
	}
	if info, err := os.Stat(filepath.Join(dir, tempFolder, left[0])); err != nil || info.Size() == 0 {
		t.Fatalf("the child died before it wrote: %v", err)
	}
	if n, err := d.Sweep(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("Sweep of an hour ago gives %d, %v", n, err)
	}
	if n, err := d.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("Sweep gives %d, %v", n, err)
	}
	wantNames(t, filepath.Join(dir, tempFolder))
	blobtest.WantNothing(t, d, blobtest.Key(1))
}

// TestKilledAnywhere kills a child between and in its Puts. Every blob whose Put
// returned is there, and every blob that is there is whole.
func TestKilledAnywhere(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir)
	acknowledged := 0
	for round := range 5 {
		lines, kill := startChild(t, dir, strconv.Itoa(round*100_000))
		for n := 0; lines.Scan(); n++ {
			if n == 3+7*round {
				time.AfterFunc(time.Duration(round)*531*time.Microsecond, kill)
			}
			number, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
			blobtest.WantContent(t, d, blobtest.Key(number), childContent(number))
			acknowledged++
		}
	}
	if acknowledged < 50 {
		t.Errorf("the children finished %d Puts: too few to tell", acknowledged)
	}
	keys := blobtest.Walk(t, d)
	if len(keys) < acknowledged {
		t.Errorf("%d blobs of %d are there", len(keys), acknowledged)
	}
	for _, key := range keys {
		number, err := strconv.Atoi(strings.TrimPrefix(key, "file_"))
		if err != nil {
			t.Fatal(err)
		}
		blobtest.WantContent(t, d, key, childContent(number))
	}
	if _, err := d.Sweep(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantNames(t, filepath.Join(dir, tempFolder))
}

// FuzzKey checks wellFormed against the documented pattern, and that no key leads
// out of the folder.
func FuzzKey(f *testing.F) {
	for _, key := range blobtest.HostileKeys {
		f.Add(key)
	}
	f.Add(blobtest.Key(1))
	f.Add("z_" + strings.Repeat("z", 26))
	pattern := regexp.MustCompile(`^[a-z]{1,32}_[0-9a-z]{26}$`)

	base := f.TempDir()
	d := openDisk(f, filepath.Join(base, "deep", "down"))
	f.Fuzz(func(t *testing.T, key string) {
		want := pattern.MatchString(key)
		_, err := d.Put(t.Context(), key, strings.NewReader("x"))
		if !want {
			blobtest.WantCode(t, "Put", err, sluice.CodeValidation)
			_, err = d.Open(t.Context(), key)
			blobtest.WantCode(t, "Open", err, sluice.CodeValidation)
			blobtest.WantCode(t, "Remove", d.Remove(t.Context(), key), sluice.CodeValidation)
			blobtest.WantKeys(t, d)
		} else {
			blobtest.WantCode(t, "Put", err, "")
			blobtest.WantKeys(t, d, key)
			blobtest.WantCode(t, "Remove", d.Remove(t.Context(), key), "")
		}
		wantNames(t, base, "deep")
		wantNames(t, filepath.Join(base, "deep"), "down")
	})
}
