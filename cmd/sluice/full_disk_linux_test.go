package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// TestStartOnAFullDisk starts a server on a disk without space for its reserve, and revokes over HTTP and from the
// command line. The reserve is released, was never created (as by an older version), or is all the space that is left.
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

// On a full disk without a reserve, every command that opens the database prints one line that says so and what to do.
func TestRefusedOnAFullDisk(t *testing.T) {
	disk := smallDisk(t)
	data, fresh := filepath.Join(disk, "data"), filepath.Join(disk, "fresh")
	startServer(t, data).stop()
	// Use all space, including the reserve.
	if err := os.Truncate(filepath.Join(data, reserveName), 0); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(disk, "filler")
	exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=4k", "status=none").Run() // until no space is left

	commands := map[string][]string{
		"serve":        {"serve", "--listen", "127.0.0.1:0", "--data", data},
		"serve, first": {"serve", "--listen", "127.0.0.1:0", "--data", fresh},
		"key create":   {"key", "create", "--mode", "test", "--name", "a", "--data", data},
		"key list":     {"key", "list", "--data", data},
		"key revoke":   {"key", "revoke", "key_01m802dp1929wp4hw9pkx01jmd", "--data", data},
		"migrate": {"migrate", "--data", data, "--to-database-url", "postgres://127.0.0.1:1/none", "--to-blob-url",
			"s3://none?region=a"},
	}
	for name, args := range commands {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), args, &stdout, &stderr)
			said := stderr.String()
			if code != exitFailed || stdout.Len() > 0 || strings.Count(said, "\n") != 1 ||
				!strings.Contains(said, "is full: free some space and try again") {
				t.Errorf("exit code %d, output %q", code, said)
			}
		})
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	startServer(t, data).stop()
	startServer(t, fresh).stop()
}

// TestProveOnAFullDisk asks for codes, gives them and has mails sent while the disk is full. The pages say that it does
// not work now, and nothing is half done: no mail without its entry, no try that counts, no visit. A mail that goes out
// meanwhile goes out once. With space, the codes of before are good, and new ones come.
func TestProveOnAFullDisk(t *testing.T) {
	t.Parallel() // it waits for a mail to be tried again
	disk := smallDisk(t)
	data, filler := filepath.Join(disk, "data"), filepath.Join(disk, "filler")
	box := sluicetest.NewMailpit(t)
	p := startServer(t, data, "--smtp-url", box.URL(), "--mail-from", mailFrom)
	c := &crashClients{key: p.key, http: http.DefaultClient}
	file, err := c.upload(p.url, []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	var link struct{ ID, URL string }
	mint := func(body string) error {
		target := p.url + "/v1/files/" + file + "/links"
		return c.do("POST", target, strings.NewReader(body), "application/json", http.StatusOK, &link)
	}
	if err := mint(`{"allowed_recipients":["*@bank.example"]}`); err != nil {
		t.Fatal(err)
	}
	about := link
	var visitors []*visitor // the last one asks while the mail server is down
	var codes []string
	for i := range 4 {
		v := newVisitor(t, about.URL)
		if visitors = append(visitors, v); i == 3 {
			box.Stop(t)
		}
		if status, page := v.send(t, fmt.Sprintf("step=send&email=p%d@bank.example", i)); status != http.StatusSeeOther {
			t.Fatalf("%d %s", status, page)
		}
		if i < 3 {
			codes = append(codes, codeOf(box.Await(t, i+1)[i]))
		}
	}

	fillDisk(t, filler, 0)
	counts := map[string]int{} // of answers, by step and status
	// Files have space that was used before, so the disk is filled up before each step.
	attempt := func(step string, v *visitor, form string) int {
		t.Helper()
		for mint(`{}`) == nil {
		}
		status, page := v.send(t, form)
		if status == http.StatusInsufficientStorage && !strings.Contains(page, "Temporarily unavailable") {
			t.Errorf("the page says\n%s", page)
		}
		counts[fmt.Sprint(step, " ", status)]++
		return status
	}
	for tries := 0; tries < service.MaxTries-1 && counts["wrong 507"] < service.MaxTries+1; {
		if attempt("wrong", visitors[0], "step=verify&code=00000000") == http.StatusForbidden {
			tries++
		}
	}
	for i, v := range visitors[:3] {
		attempt("right", v, "step=verify&code="+codes[i])
	}
	for i := range 3 {
		visitors = append(visitors, newVisitor(t, about.URL))
		attempt("send", visitors[4+i], fmt.Sprintf("step=send&email=p%d@bank.example", 4+i))
	}
	for _, step := range []string{"wrong 507", "right 507", "send 507"} {
		if counts[step] == 0 {
			t.Errorf("not refused on a full disk: %s; %v", step, counts)
		}
	}
	sent := 4 + counts["send 303"]
	box.Start(t)
	mails := box.Await(t, sent)
	codes = append(codes, codeOf(mails[slices.IndexFunc(mails, func(m sluicetest.Received) bool {
		return m.Header.Get("To") == "<p3@bank.example>"
	})]))

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return mint(`{}`) })
	for i, v := range visitors {
		if i < 4 {
			v.send(t, "step=verify&code="+codes[i]) // whoever has proved it is not asked again
		}
		want := http.StatusOK
		if i >= 4 {
			want = http.StatusUnauthorized
		}
		if status, got := v.send(t, "step=download"); status != want || i < 4 && got != "content" {
			t.Errorf("visitor %d: %d %s", i, status, got)
		}
	}
	last := newVisitor(t, about.URL)
	last.send(t, "step=send&email=last@bank.example")
	mails = box.Await(t, sent+1)
	last.send(t, "step=verify&code="+codeOf(mails[sent]))
	if status, got := last.send(t, "step=download"); status != http.StatusOK || got != "content" {
		t.Errorf("with space again: %d %s", status, got)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("the server exits with %d", code)
	}
	if n := box.Count(t); n != sent+1 {
		t.Errorf("%d mails, want one for each of %d codes", n, sent+1)
	}
	actions := actionsOf(t, data, about.ID)
	for action, want := range map[sluice.Action]int{
		sluice.LinkCreated: 1, sluice.LinkCodeSent: sent + 1, sluice.LinkVerified: 5, sluice.LinkRedeemed: 5,
	} {
		if actions[action] != want {
			t.Errorf("%d entries %s, want %d", actions[action], action, want)
		}
	}
	sluiceRun(t, 0, "fsck", "--data", data)
}

// codeOf returns the code in a mail.
func codeOf(m sluicetest.Received) string {
	return strings.ReplaceAll(regexp.MustCompile(`\b\d{4} \d{4}\b`).FindString(m.Text), " ", "")
}

// actionsOf counts the entries of a link in a data folder, by action.
func actionsOf(t *testing.T, data, link string) map[sluice.Action]int {
	t.Helper()
	s := newSender(t, data)
	counts := map[sluice.Action]int{}
	err := s.store.View(t.Context(), func(r service.Reader) error {
		list, err := r.Entries(s.caller.Ledger, service.EntryFilter{LinkID: link}, sluice.Page{Limit: sluice.MaxPageSize})
		for _, e := range list.Data {
			counts[e.Action]++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
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

// fillDisk writes a file until at most free bytes are left on its disk.
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

// The disk of the target is full in the middle of a backup. The command says so, no part of a snapshot is left, the
// earlier one is whole, and with more space the next backup goes on.
func TestBackupOnAFullDisk(t *testing.T) {
	data, c := smallInstallation(t)
	disk := smallDisk(t)
	b := plainTarget(t, data)
	b.target = filepath.Join(disk, "target")
	first := b.makeBackup(t, data)
	p := startServer(t, data)
	if _, err := c.upload(p.url, make([]byte, 3<<20)); err != nil {
		t.Fatal(err)
	}
	if code := p.stop(); code != 0 {
		t.Fatalf("an orderly stop exits with %d", code)
	}
	filler := filepath.Join(disk, "filler")
	for _, free := range []int64{1 << 20, 3<<20 + 64<<10} { // the file does not fit; the database does not
		fillDisk(t, filler, free)
		said := sluiceRun(t, exitFailed, b.backup(data)...)
		if !strings.Contains(said, "the target is full: free some space there") || strings.Count(said, "\n") != 1 {
			t.Errorf("with %d free bytes it prints %s", free, said)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		if list := sluiceRun(t, 0, "restore", b.target, "--list"); strings.Count(list, "\n") != 1 ||
			!strings.Contains(list, first.Snapshot) {
			t.Errorf("the snapshots are %s", list)
		}
	}
	sluiceRun(t, 0, b.restore(filepath.Join(t.TempDir(), "copy"))...)
	if done := b.makeBackup(t, data); done.CopiedFiles != 0 || done.Files != 3 {
		t.Errorf("the next backup: %+v", done)
	}

	// A restore onto a full disk says so, and goes on when there is space.
	to := filepath.Join(disk, "copy")
	fillDisk(t, filler, 2<<20)
	said := sluiceRun(t, exitFailed, b.restore(to)...)
	if !strings.Contains(said, "is full: free some space and try again") {
		t.Errorf("restore prints %s", said)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	sluiceRun(t, 0, b.restore(to)...)
}
