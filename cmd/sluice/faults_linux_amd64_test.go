package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/syscalltest"
)

// TestFaultsOfBackup fails the system calls of sluice backup about its data and its target, each once. The command
// succeeds or says what failed. Every snapshot that is listed is whole, the earlier one is there unless a newer one is,
// and the next backup succeeds.
//
// It fails the first call of each kind that changes the target. SLUICE_LONG=1 fails all calls; docs/faults.md has the
// results.
func TestFaultsOfBackup(t *testing.T) {
	f := newFaulted(t)
	args := func(dir string) []string {
		return append(f.backups(dir).backup(filepath.Join(dir, "data")), "--keep", "1")
	}
	f.each(t, args, "^target/(tmp|xx)/", func(t *testing.T, dir string, code int, out string) {
		b, data := f.backups(dir), filepath.Join(dir, "data")
		before := f.restoreAll(t, b)
		endLease(t, data)
		if code == 0 {
			if !strings.Contains(out, before) {
				t.Errorf("the newest snapshot is %s", before)
			}
			b.makeBackup(t, data, "--keep", "1")
			return
		}
		done := b.makeBackup(t, data, "--keep", "1")
		if newest := f.restoreAll(t, b); newest != done.Snapshot {
			t.Errorf("%s is the newest snapshot after the backup %s", newest, done.Snapshot)
		}
		if code, said := fsckRun(t, data, "--deep"); code != 0 {
			t.Errorf("fsck of the original: %s", said)
		}
	})
}

// TestFaultsOfRestore fails the system calls of sluice restore about its target and the restored folder, each once.
// The command succeeds or says what failed. What it leaves cannot be opened unless it is whole, and the same command
// finishes it.
//
// It fails the first call of each kind that changes the mark of the restore, or the database. SLUICE_LONG=1 fails all
// calls; docs/faults.md has the results.
func TestFaultsOfRestore(t *testing.T) {
	f := newFaulted(t)
	args := func(dir string) []string { return f.backups(dir).restore(filepath.Join(dir, "new", "copy")) }
	f.each(t, args, `^new/copy(/\.|$)`, func(t *testing.T, dir string, code int, out string) {
		copied := filepath.Join(dir, "new", "copy")
		opens, said := sluiceTry(t, "key", "list", "--data", copied)
		if whole := f.compare(copied); opens == 0 && whole != nil {
			t.Errorf("half a copy can be opened: %v", whole)
		}
		if (code == 0) != (opens == 0) && opens != 0 {
			t.Errorf("restore says that it has finished, and the copy cannot be opened: %s", said)
		}
		if code == 0 {
			return
		}
		sluiceRun(t, 0, args(dir)...)
		if err := f.compare(copied); err != nil {
			t.Error(err)
		}
	})
}

// faulted is an installation with a backup, of which each fault gets a copy.
type faulted struct {
	template string
	clients  *crashClients
}

func newFaulted(t *testing.T) *faulted {
	t.Helper()
	t.Setenv("SLUICE_LONG", "") // is no variable of the commands
	dir := t.TempDir()
	data, c := smallInstallation(t)
	if err := os.Rename(data, filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	data = filepath.Join(dir, "data")
	f := &faulted{template: dir, clients: c}
	f.backups(dir).makeBackup(t, data)
	p := startServer(t, data) // what the second backup adds, and removes
	gone, err := c.upload(p.url, []byte("gone"))
	if err != nil {
		t.Fatal(err)
	}
	f.backups(dir).makeBackup(t, data)
	if err := c.session(p.url); err != nil {
		t.Fatal(err)
	}
	var deleted struct{ Deleted bool }
	if err := c.do("DELETE", p.url+"/v1/files/"+gone, nil, "", http.StatusOK, &deleted); err != nil {
		t.Fatal(err)
	}
	if code := p.stop(); code != 0 {
		t.Fatalf("an orderly stop exits with %d", code)
	}
	return f
}

// backups is the target in a copy of the template. It is not encrypted, so that its calls are few.
func (f *faulted) backups(dir string) backups {
	return backups{filepath.Join(dir, "target"), []string{"--with-secrets"}, nil}
}

// each runs a command once for each call that is to fail, and then check. args gives its arguments in a copy of the
// template. Unless the run is long, only calls about the paths that short matches fail.
func (f *faulted) each(
	t *testing.T, args func(dir string) []string, short string,
	check func(t *testing.T, dir string, code int, out string),
) {
	t.Helper()
	recorded, code, out := f.run(t, f.copy(t), args, syscalltest.Call{}, syscalltest.Fault{})
	if code != 0 || len(recorded) < 100 {
		t.Fatalf("exit code %d after %d calls: %s", code, len(recorded), out)
	}
	faults, unmade, names := 0, 0, map[string]int{}
	for _, call := range recorded {
		for _, how := range []syscalltest.Fault{
			{Errno: syscall.EIO}, {Errno: syscall.ENOSPC}, {Errno: syscall.EIO, Applied: true},
		} {
			brief := !syscalltest.Long && !regexp.MustCompile(short).MatchString(call.Path)
			if brief || alike(call) || syscalltest.Skip(call, how) {
				continue
			}
			faults++
			names[call.Name]++
			t.Run(fmt.Sprint(call, how), func(t *testing.T) {
				dir := f.copy(t)
				calls, code, out := f.run(t, dir, args, call, how)
				if calls == nil {
					unmade++
				}
				clear := regexp.MustCompile(`(?m)^sluice: .{20}`).MatchString(out) && !strings.Contains(out, "goroutine ")
				if code != 0 && !clear {
					t.Errorf("exit code %d: %s", code, out)
				}
				check(t, dir, code, out)
				if t.Failed() {
					t.Logf("exit code %d: %s", code, out)
				}
			})
		}
	}
	t.Logf("%d faults in %d calls, of which %d were not made again: %v", faults, len(recorded), unmade, names)
}

// alike reports whether several calls before this one were the same for all that Sluice knows: the writes that fill the
// reserve, and the reads and locks of SQLite.
func alike(c syscalltest.Call) bool {
	file := filepath.Base(c.Path)
	read := slices.Contains([]string{"fcntl", "pread64", "fstat", "stat", "mmap"}, c.Name)
	return file == reserveName && c.N > 1 || strings.HasPrefix(file, databaseName) && read && c.N > 3
}

func (f *faulted) copy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(f.template)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "new"), 0o700),
		os.Chmod(filepath.Join(dir, "data", secretsName), 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs a command in which a call fails. It returns no calls when that call was not made.
func (f *faulted) run(
	t *testing.T, dir string, args func(string) []string, call syscalltest.Call, how syscalltest.Fault,
) (calls []syscalltest.Call, code int, out string) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := exec.Command(path, args(dir)...)
	cmd.Stdout, cmd.Stderr = said, said
	r, err := syscalltest.Tracing{Cmd: cmd, Below: dir, Simplify: simplePath, Fail: call, How: how}.Run()
	if errors.Is(err, syscall.EPERM) && os.Getenv("CI") != "true" {
		t.Skipf("this test traces a process: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(said.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !r.Failed && call.Name != "" {
		r.Calls = nil
	}
	return r.Calls, r.Code, string(text)
}

// simplePath gives one name to the files that are named by chance or by the time.
func simplePath(path string) string {
	path = regexp.MustCompile(`/[0-9a-z]{2}(/|$)`).ReplaceAllString(path, "/xx$1")
	path = regexp.MustCompile(`[A-Z2-7]{26}`).ReplaceAllString(path, "RANDOM")
	path = regexp.MustCompile(`\.[0-9]+$`).ReplaceAllString(path, ".N")
	return regexp.MustCompile(`_[0-9a-z]{25,}`).ReplaceAllString(path, "_ID")
}

// sluiceTry runs a command, whatever its exit code.
func sluiceTry(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var out strings.Builder
	code = run(t.Context(), args, &out, &out)
	return code, out.String()
}

// restoreAll restores each snapshot of a target, and returns the name of the newest.
func (f *faulted) restoreAll(t *testing.T, b backups) (newest string) {
	t.Helper()
	for line := range strings.Lines(sluiceRun(t, 0, "restore", b.target, "--list")) {
		newest, _, _ = strings.Cut(line, " ")
		sluiceRun(t, 0, append(b.restore(filepath.Join(t.TempDir(), "copy")), "--snapshot", newest)...)
	}
	if newest == "" {
		t.Fatal("no snapshot is left")
	}
	return newest
}

// compare checks that a restored folder is whole.
func (f *faulted) compare(data string) error {
	var out strings.Builder
	ctx := context.Background()
	if code := run(ctx, []string{"fsck", "--deep", "--data", data}, &out, &out); code != 0 {
		return fmt.Errorf("fsck exits with %d: %s", code, &out)
	}
	return nil
}
