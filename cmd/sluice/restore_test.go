package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/internal/maintain/fsck"
)

// A log records for ever what should not have happened: here a link was revoked, opened again with SQL, and used. The
// row of a file was edited, too. The backup is restored all the same, and the restore says what was found.
func TestRestoreOfALogWithFindings(t *testing.T) {
	data, c := smallInstallation(t)
	withoutSeals(t, data) // a seal would have the server refuse the link
	p := startServer(t, data)
	id, err := c.upload(p.url, []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	link, path, err := c.mint(p.url, id)
	if err != nil {
		t.Fatal(err)
	}
	var revoked struct{ ID string }
	if err := c.do("DELETE", p.url+"/v1/file_links/"+link, nil, "", http.StatusOK, &revoked); err != nil {
		t.Fatal(err)
	}
	p.stop()
	change(t, data, "UPDATE link SET revoked = NULL, ended = '' WHERE id = '"+link+"'")
	p = startServer(t, data)
	if err := c.download(p.url, path, link); err != nil {
		t.Fatal(err)
	}
	p.stop()
	b := plainTarget(t, data)
	b.makeBackup(t, data)

	to := filepath.Join(t.TempDir(), "copy")
	said := sluiceRun(t, 0, b.restore(to)...)
	for _, want := range []string{"found  rules ", "was redeemed after entry", "found  rows ", "link " + link,
		"the original had the same"} {
		if !strings.Contains(said, want) {
			t.Errorf("restore prints %s, want %q", said, want)
		}
	}
	if code, said := fsckRun(t, to); code != exitFailed || !strings.Contains(said, "was redeemed after entry") {
		t.Errorf("fsck of the copy: exit %d: %s", code, said)
	}
	r := startServer(t, to, "--accept-rollback")
	c.verify(t, r.url)
	r.stop()

	var done restoredCopy
	said = sluiceRun(t, 0, append(b.restore(filepath.Join(t.TempDir(), "copy")), "--json")...)
	if err := json.Unmarshal([]byte(said), &done); err != nil {
		t.Fatal(err)
	}
	for _, check := range []fsck.Check{fsck.Rules, fsck.Rows} {
		if !slices.ContainsFunc(done.Findings, func(f fsck.Finding) bool { return f.Check == check }) {
			t.Errorf("it prints no finding of the %s: %s", check, said)
		}
	}
}

// A log whose entries are not what was signed is not restored.
func TestRestoreOfADamagedLog(t *testing.T) {
	data, _ := smallInstallation(t)
	change(t, data, "UPDATE tile SET hashes = zeroblob(length(hashes)) WHERE level = 0")
	b := plainTarget(t, data)
	b.makeBackup(t, data)
	to := filepath.Join(t.TempDir(), "copy")
	if said := sluiceRun(t, exitFailed, b.restore(to)...); !strings.Contains(said, "the restored copy is not sound") {
		t.Errorf("restore prints %s", said)
	}
	refusedServe(t, exitRefused, "--data", to, "--accept-rollback")
}

// A restore that is killed after it has copied the newer heads of the lost server goes on.
func TestRestoreGoesOnBesideNewerHeads(t *testing.T) {
	data, c := smallInstallation(t)
	b := plainTarget(t, data)
	b.makeBackup(t, data)
	p := startServer(t, data)
	if err := c.session(p.url); err != nil { // which is lost
		t.Fatal(err)
	}
	p.stop()
	to := filepath.Join(t.TempDir(), "copy")
	first := sluiceRun(t, 0, b.restore(to)...)
	m, err := readMark(to)
	if err != nil || m == nil {
		t.Fatal(m, err)
	}
	m.Finished = false
	if err := m.write(to); err != nil {
		t.Fatal(err)
	}
	if again := sluiceRun(t, 0, b.restore(to)...); again != first || !strings.Contains(again, "lost  entries ") {
		t.Errorf("the second run prints %s, want %s", again, first)
	}

	// A run without heads does not keep those of the run before.
	if err := errors.Join(m.write(to), os.Remove(filepath.Join(data, secretsName+".heads"))); err != nil {
		t.Fatal(err)
	}
	said := sluiceRun(t, 0, b.restore(to)...)
	if _, err := os.Stat(filepath.Join(to, secretsName+".heads")); err == nil || strings.Contains(said, "lost  ") {
		t.Errorf("the third run prints %s; %v", said, err)
	}
}

// With PostgreSQL, the database that was restored is older than the heads beside the secrets, or than those of --heads.
// The bytes are restored, and the lost entries are listed.
func TestRestoreForAnOlderPostgres(t *testing.T) {
	to := newTarget(t)
	dir := t.TempDir()
	secrets := filepath.Join(dir, secretsName)
	flags := []string{"--database-url", to.database, "--blob-url", to.blobs, "--secrets", secrets}
	p := startServer(t, filepath.Join(dir, "unused"), flags...)
	c := &crashClients{key: p.key, http: http.DefaultClient, files: map[string][32]byte{}, links: map[string]string{},
		started: map[string]int{}}
	if err := c.session(p.url); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, "target")
	sluiceRun(t, 0, append([]string{"backup", target}, flags...)...)
	p.stop()

	newer := filepath.Join(dir, "newer.heads")
	addToHeads(t, secrets+".heads", newer, 20)
	addToHeads(t, secrets+".heads", secrets+".heads", 10)
	for name, more := range map[string][]string{"": nil, newer: {"--heads", newer}} {
		blobs := strings.Replace(to.blobs, "/files?", fmt.Sprintf("/restored%d?", len(more)), 1)
		again := append([]string{"--database-url", to.database, "--blob-url", blobs, "--secrets", secrets}, more...)
		said := sluiceRun(t, 0, append([]string{"restore", target, "--json"}, again...)...)
		var done restoredCopy
		if err := json.Unmarshal([]byte(said), &done); err != nil {
			t.Fatal(err)
		}
		want := int64(10)
		if name != "" {
			want = 20
		}
		if len(done.Lost) == 0 || len(done.Logs) == 0 || done.Files != 1 {
			t.Fatalf("restore prints %s", said)
		}
		for _, l := range done.Lost {
			if l.Signed != l.Has+want {
				t.Errorf("it lists %+v, want %d lost entries", l, want)
			}
		}
		if name == "" {
			said := refusedServe(t, exitFailed, again...)
			if !strings.Contains(said, "secrets.json.heads remembers ") {
				t.Errorf("the heads of the lost server: %s", said)
			}
			continue
		}
		if !slices.Contains(done.Start, "--accept-rollback") || !slices.Contains(done.Start, newer) {
			t.Errorf("it says to start %q", done.Start)
		}
	}
}

// addToHeads copies a file of heads, with more entries in each log.
func addToHeads(t *testing.T, from, to string, entries int64) {
	t.Helper()
	var kept keptHeads
	if err := readJSON(from, &kept); err != nil {
		t.Fatal(err)
	}
	for id, head := range kept.Logs {
		head.Size += entries
		kept.Logs[id] = head
	}
	text, err := json.Marshal(kept)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A restore that was complete may have failed to say so, when its last mark could not be made durable. Running it again
// checks the folder, and keeps what other commands have done in it. Once a server has accepted the copy, it is refused.
func TestRestoreAgain(t *testing.T) {
	data, _ := smallInstallation(t)
	b := plainTarget(t, data)
	b.makeBackup(t, data)
	to := filepath.Join(t.TempDir(), "copy")
	sluiceRun(t, 0, b.restore(to)...)
	sluiceRun(t, 0, "key", "create", "--data", to, "--mode", "test", "--name", "since")
	paths, err := filepath.Glob(filepath.Join(to, blobsName, "??", "file_*"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	if err := os.Remove(paths[0]); err != nil {
		t.Fatal(err)
	}
	said := sluiceRun(t, 0, b.restore(to)...)
	if !strings.Contains(said, "--accept-rollback") {
		t.Errorf("%s", said)
	}
	if list := sluiceRun(t, 0, "key", "list", "--data", to); !strings.Contains(list, "since") {
		t.Errorf("a key of the restored folder is lost: %s", list)
	}
	if code, said := fsckRun(t, to, "--deep"); code != 0 {
		t.Errorf("fsck: %s", said)
	}
	heads := filepath.Join(to, secretsName+".heads")
	if err := os.WriteFile(heads, []byte("newer"), 0o600); err != nil {
		t.Fatal(err)
	}
	sluiceRun(t, 0, b.restore(to)...)
	if text, err := os.ReadFile(heads); err != nil || string(text) != "newer" {
		t.Errorf("the newer heads of the restored folder are lost: %q, %v", text, err)
	}
	if err := os.Remove(heads); err != nil {
		t.Fatal(err)
	}
	startServer(t, to, "--accept-rollback").stop()
	if said := sluiceRun(t, exitRefused, b.restore(to)...); !strings.Contains(said, "is not empty") {
		t.Errorf("%s", said)
	}
}

// The bytes of a file that was deleted after a restore was complete do not come back when the restore is run again.
func TestRestoreAgainAfterAFileWasDeleted(t *testing.T) {
	data, _ := smallInstallation(t)
	b := plainTarget(t, data)
	b.makeBackup(t, data)
	to := filepath.Join(t.TempDir(), "copy")
	sluiceRun(t, 0, b.restore(to)...)
	paths, err := filepath.Glob(filepath.Join(to, blobsName, "??", "file_*"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	db, err := sql.Open("sqlite", filepath.Join(to, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec("UPDATE file SET deleted = 1 WHERE id = ?", filepath.Base(paths[0]))
	if err := errors.Join(err, db.Close(), os.Remove(paths[0])); err != nil {
		t.Fatal(err)
	}
	if said := sluiceRun(t, exitRefused, b.restore(to)...); !strings.Contains(said, "have changed since") {
		t.Errorf("%s", said)
	}
	if _, err := os.Stat(paths[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the bytes of the deleted file are back: %v", err)
	}
}
