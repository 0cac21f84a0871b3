package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"sluice/internal/maintain/backup"
	"sluice/sluicetest"
)

// backups are the flags of a target and of its restores.
type backups struct {
	target    string
	flags     []string // of sluice backup
	restoring []string // of sluice restore
}

// ageKey writes the identity of a recipient to a file.
func ageKey(t *testing.T) (recipient, file string) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(file, []byte("# a comment\n"+identity.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return identity.Recipient().String(), file
}

func plainTarget(t *testing.T, data string) backups {
	return backups{filepath.Join(t.TempDir(), "target"), nil, []string{"--secrets", filepath.Join(data, secretsName)}}
}

func encryptedTarget(t *testing.T, target string) backups {
	t.Helper()
	first, file := ageKey(t)
	second, _ := ageKey(t)
	return backups{target, []string{"--recipient", first, "--recipient", second}, []string{"--identity", file}}
}

func (b backups) backup(data string) []string {
	return append([]string{"backup", b.target, "--data", data, "--json"}, b.flags...)
}

func (b backups) restore(data string) []string {
	return append([]string{"restore", b.target, "--data", data}, b.restoring...)
}

// makeBackup runs sluice backup and reads what it prints.
func (b backups) makeBackup(t *testing.T, data string, flags ...string) (done backedUp) {
	t.Helper()
	text := sluiceRun(t, 0, append(b.backup(data), flags...)...)
	if err := json.Unmarshal([]byte(text), &done); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return done
}

// TestBackupDrill loads a server, backs it up meanwhile, kills it, and restores it elsewhere. Every change that was
// acknowledged before the backup began is there, and every link works. The log verifies, and extends what an auditor
// had of it before. A second backup copies only what is new.
func TestBackupDrill(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]func(t *testing.T, data string) backups{
		"folder": plainTarget,
		"folder, encrypted": func(t *testing.T, _ string) backups {
			return encryptedTarget(t, filepath.Join(t.TempDir(), "target"))
		},
		"S3, encrypted": func(t *testing.T, _ string) backups { return encryptedTarget(t, sluicetest.S3(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			data, copied, log := filepath.Join(dir, "data"), filepath.Join(dir, "copy"), filepath.Join(dir, "log")
			b := target(t, data)
			p := startServer(t, data, "--no-rate-limit")
			c := &crashClients{key: p.key, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
			first := b.makeBackup(t, data) // a small one, so that the next is a second one
			load := startLoad(c, p.url)
			eventually(t, func() error { return c.confirmed(30) })
			sluiceRun(t, 0, "audit", "export", log, "--url", p.url, "--key", p.key)
			acknowledged := c.acknowledged()
			cmd := exec.Command(path, b.backup(data)...)
			var out, said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &said
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %s", err, &said)
			}
			eventually(t, func() error { return c.confirmed(len(acknowledged.links) + 10) }) // which are lost
			p.kill()
			load.Wait()

			var done backedUp
			if err := json.Unmarshal(out.Bytes(), &done); err != nil {
				t.Fatal(err)
			}
			if done.Files < int64(len(acknowledged.files)) || done.CopiedFiles < done.Files-first.Files ||
				len(done.Damaged) > 0 {
				t.Errorf("%d files are confirmed, and the backup has %+v", len(acknowledged.files), done)
			}
			printed := sluiceRun(t, 0, b.restore(copied)...)
			if !strings.Contains(printed, "--accept-rollback") {
				t.Errorf("restore prints %s", printed)
			}
			refused := refusedServe(t, exitRefused, "--data", copied)
			if !strings.Contains(refused, "was restored from the snapshot "+done.Snapshot) {
				t.Errorf("a start without --accept-rollback: %s", refused)
			}
			r := startServer(t, copied, "--accept-rollback", "--no-rate-limit")
			acknowledged.verify(t, r.url)
			sluiceRun(t, 0, "audit", "export", log, "--url", r.url, "--key", p.key) // extends what was exported
			sluiceRun(t, 0, "audit", "verify", log)
			if code := r.stop(); code != 0 {
				t.Errorf("an orderly stop exits with %d", code)
			}
			startServer(t, copied).stop() // is told only once
			sluiceRun(t, 0, "fsck", "--data", copied)
		})
	}
}

// refusedServe runs sluice serve, which must end with an exit code by itself, and returns what it prints.
func refusedServe(t *testing.T, want int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if got := run(ctx, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), &out, &out); got != want {
		t.Fatalf("sluice serve %q exits with %d, want %d\n%s", args, got, want, &out)
	}
	return out.String()
}

// confirmed reports whether clients have got so many links.
func (c *crashClients) confirmed(links int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.links) < links {
		return fmt.Errorf("%d links are confirmed, want %d", len(c.links), links)
	}
	return nil
}

// acknowledged copies what was confirmed so far.
func (c *crashClients) acknowledged() *crashClients {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &crashClients{key: c.key, http: c.http, files: maps.Clone(c.files), links: maps.Clone(c.links),
		started: maps.Clone(c.started)}
}

// startLoad runs clients until the server ends. Some delete what they have uploaded.
func startLoad(c *crashClients, base string) *sync.WaitGroup {
	c.files, c.links, c.started = map[string][32]byte{}, map[string]string{}, map[string]int{}
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for c.session(base) == nil {
			}
		})
	}
	for range 2 {
		clients.Go(func() {
			for {
				id, err := c.upload(base, []byte("brief"))
				var deleted struct{ Deleted bool }
				if err != nil || c.do("DELETE", base+"/v1/files/"+id, nil, "", http.StatusOK, &deleted) != nil {
					return
				}
			}
		})
	}
	return &clients
}

// smallInstallation is a data folder with two files and their links, without a server.
func smallInstallation(t *testing.T) (data string, c *crashClients) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	p := startServer(t, data)
	c = &crashClients{key: p.key, http: http.DefaultClient, files: map[string][32]byte{}, links: map[string]string{},
		started: map[string]int{}}
	for range 2 {
		if err := c.session(p.url); err != nil {
			t.Fatal(err)
		}
	}
	if code := p.stop(); code != 0 {
		t.Fatalf("an orderly stop exits with %d", code)
	}
	return data, c
}

// An object of the backup is changed in one bit, or is missing. A restore names it and does not finish, and no server
// starts on what is there. The other files can be restored without those that are damaged.
func TestDamagedBackup(t *testing.T) {
	data, _ := smallInstallation(t)
	for name, target := range map[string]func(*testing.T) backups{
		"plain":     func(t *testing.T) backups { return plainTarget(t, data) },
		"encrypted": func(t *testing.T) backups { return encryptedTarget(t, filepath.Join(t.TempDir(), "target")) },
	} {
		for _, kind := range []string{"file", "database", "manifest", "secrets"} {
			for how, damage := range map[string]func(path string) error{"flipped": flipBit, "missing": os.Remove} {
				if how == "missing" && kind == "manifest" || kind == "secrets" && name == "plain" {
					continue // is no snapshot; has no such object
				}
				t.Run(name+" "+kind+" "+how, func(t *testing.T) {
					b := target(t)
					b.makeBackup(t, data)
					paths, err := filepath.Glob(filepath.Join(b.target, "??", kind+"_*"))
					if err != nil || len(paths) == 0 {
						t.Fatal(paths, err)
					}
					if err := damage(paths[0]); err != nil {
						t.Fatal(err)
					}
					to := filepath.Join(t.TempDir(), "copy")
					said := sluiceRun(t, exitFailed, b.restore(to)...)
					if !strings.Contains(said, "damaged") || !strings.Contains(said, filepath.Base(paths[0])) {
						t.Errorf("restore prints %s, want %s to be named", said, filepath.Base(paths[0]))
					}
					if _, err := os.Stat(to); err == nil {
						refusedServe(t, exitRefused, "--data", to, "--accept-rollback")
						said := sluiceRun(t, exitRefused, "key", "list", "--data", to)
						if !strings.Contains(said, "has not finished") {
							t.Errorf("key list on half a copy: %s", said)
						}
					}
					if kind != "file" {
						return
					}
					said = sluiceRun(t, 0, append(b.restore(to), "--skip-damaged")...)
					if !strings.Contains(said, "damaged  "+filepath.Base(paths[0])) || !strings.Contains(said, "1 file of") {
						t.Errorf("restore --skip-damaged prints %s", said)
					}
				})
			}
		}
	}
}

// The size of a file is changed in the database. The file is damaged then. Its object stays, also when no kept snapshot
// has it whole, and the earlier snapshot is what it was.
func TestBackupOfChangedRow(t *testing.T) {
	data, _ := smallInstallation(t)
	b := encryptedTarget(t, filepath.Join(t.TempDir(), "target"))
	first := b.makeBackup(t, data)
	changeDatabase(t, data, "UPDATE file SET size = size + 1")
	objects := func() map[string]string {
		paths, err := filepath.Glob(filepath.Join(b.target, "??", "file_*"))
		if err != nil || int64(len(paths)) != first.Files {
			t.Fatal(paths, err)
		}
		texts := map[string]string{}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(text)
		}
		return texts
	}
	before := objects()
	for _, keep := range []string{"2", "1"} {
		said := sluiceRun(t, exitFailed, append(b.backup(data), "--keep", keep)...)
		if !strings.Contains(said, "not those that were uploaded") || !maps.Equal(objects(), before) {
			t.Errorf("--keep %s: the objects stay: %t; %s", keep, maps.Equal(objects(), before), said)
		}
		if keep == "2" {
			sluiceRun(t, 0, append(b.restore(filepath.Join(t.TempDir(), "copy")), "--snapshot", first.Snapshot)...)
		}
	}
}

// flipBit changes a bit in the middle of a file.
func flipBit(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		text = []byte{0}
	}
	text[len(text)/2] ^= 1
	return os.WriteFile(path, text, 0o600)
}

// Backups and restores that would do harm are refused, with a line that says what to do.
func TestBackupRefusals(t *testing.T) {
	data, _ := smallInstallation(t)
	other, _ := smallInstallation(t)
	b := plainTarget(t, data)
	b.makeBackup(t, data)
	sealed := encryptedTarget(t, filepath.Join(t.TempDir(), "sealed"))
	sealed.makeBackup(t, data)
	recipient, wrong := ageKey(t)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	secrets := filepath.Join(data, secretsName)
	for name, c := range map[string]struct {
		code int
		want string
		args []string
	}{
		"target of another installation": {exitRefused, "it holds the backups of installation",
			[]string{"backup", b.target, "--data", other}},
		"target of other recipients": {exitRefused, "encrypted to other recipients",
			[]string{"backup", sealed.target, "--data", data, "--recipient", recipient}},
		"encrypted target": {exitRefused, "give the same --recipient again",
			[]string{"backup", sealed.target, "--data", data}},
		"plain target": {exitRefused, "leave out --recipient",
			[]string{"backup", b.target, "--data", data, "--recipient", recipient}},
		"the stored files": {exitRefused, "not backups",
			[]string{"backup", filepath.Join(data, blobsName), "--data", data}},
		"the data folder": {exitRefused, "it holds other files", []string{"backup", data, "--data", data}},
		"a file":          {exitFailed, "not a directory", []string{"backup", secrets, "--data", data}},
		"no data":         {exitFailed, "holds no Sluice data", []string{"backup", b.target, "--data", full}},
		"a URL":           {exitUsage, "s3://BUCKET/PREFIX", []string{"backup", "https://example.com/a", "--data", data}},
		"an S3 URL":       {exitUsage, "the region is missing", []string{"backup", "s3://bucket/a", "--data", data}},
		"a secret as recipient": {exitUsage, "which is a secret", []string{"backup", full, "--data", data, "--recipient",
			"AGE-SECRET-KEY-1QQQQ"}},
		"no recipient": {exitUsage, "is not an age recipient", []string{"backup", full, "--data", data, "--recipient", "me"}},
		"keep":         {exitUsage, "--keep", []string{"backup", b.target, "--data", data, "--keep=-1"}},

		"no backups":  {exitRefused, "it holds no backups", []string{"restore", full, "--data", full + "/copy"}},
		"no source":   {exitRefused, "it holds no backups", []string{"restore", full + "/none", "--data", full + "/copy"}},
		"folder":      {exitRefused, "is not empty", []string{"restore", b.target, "--data", full, "--secrets", secrets}},
		"data in use": {exitRefused, "is not empty", []string{"restore", b.target, "--data", data, "--secrets", secrets}},
		"no secrets":  {exitUsage, "give --secrets", []string{"restore", b.target, "--data", full + "/copy"}},
		"no identity": {exitUsage, "give --identity", []string{"restore", sealed.target, "--data", full + "/copy"}},
		"wrong identity": {exitRefused, "no identity in --identity opens",
			[]string{"restore", sealed.target, "--data", full + "/copy", "--identity", wrong}},
		"identity": {exitUsage, "holds something else than age identities",
			[]string{"restore", sealed.target, "--data", full + "/copy", "--identity", secrets}},
		"snapshot": {exitRefused, `it holds no snapshot "x"`,
			[]string{"restore", b.target, "--data", full + "/copy", "--secrets", secrets, "--snapshot", "x"}},
		"secrets of another": {exitFailed, "other signing keys",
			[]string{"restore", b.target, "--data", full + "/other", "--secrets", filepath.Join(other, secretsName)}},
	} {
		t.Run(name, func(t *testing.T) {
			said := sluiceRun(t, c.code, c.args...)
			if !strings.Contains(said, c.want) || strings.Count(said, "\n") != 1 || strings.Contains(said, "AGE-SECRET-KEY-1Q") {
				t.Errorf("%q, want %q", said, c.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(full, "copy")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused restore leaves a folder: %v", err)
	}
}

// An encrypted backup holds the secrets and a plain one does not, unless flags say otherwise. The objects of an
// encrypted one show nothing of what they hold.
func TestSecretsInBackup(t *testing.T) {
	data, _ := smallInstallation(t)
	text, err := os.ReadFile(filepath.Join(data, secretsName))
	if err != nil {
		t.Fatal(err)
	}
	var s secrets
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	recipient, _ := ageKey(t)
	for name, c := range map[string]struct {
		flags        []string
		holds, shows bool
	}{
		"plain":                    {nil, false, false},
		"plain with secrets":       {[]string{"--with-secrets"}, true, true},
		"encrypted":                {[]string{"--recipient", recipient}, true, false},
		"encrypted without secret": {[]string{"--recipient", recipient, "--without-secrets"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "target")
			said := sluiceRun(t, 0, append([]string{"backup", target, "--data", data}, c.flags...)...)
			if warned := strings.Contains(said, "The secrets are not in this backup"); warned == c.holds {
				t.Errorf("it prints %s", said)
			}
			shows, names := false, false
			err := filepath.WalkDir(target, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				content, err := os.ReadFile(path)
				shows = shows || bytes.Contains(content, []byte(s.SigningKeys[0]))
				names = names || bytes.Contains(content, []byte("crash.bin"))
				return err
			})
			if encrypted := strings.HasPrefix(name, "encrypted"); err != nil || shows != c.shows || names == encrypted {
				t.Errorf("shows the secrets: %v, want %v; shows names: %v; %v", shows, c.shows, names, err)
			}
		})
	}
}

// Backups and restores are killed at random moments. Each snapshot that is listed is whole, and what a restore leaves
// cannot be started until another run has finished it.
func TestKilledBackups(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	data, c := smallInstallation(t)
	b := encryptedTarget(t, filepath.Join(t.TempDir(), "target"))
	kill := func(within int, args []string) {
		cmd := exec.Command(path, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(within)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
	}
	for range 8 {
		p := startServer(t, data)
		if err := c.session(p.url); err != nil {
			t.Fatal(err)
		}
		kill(150, append(b.backup(data), "--keep", "2"))
		if code := p.stop(); code != 0 {
			t.Fatalf("an orderly stop exits with %d", code)
		}
		endLease(t, data)
	}
	b.makeBackup(t, data)
	for name := range strings.FieldsSeq(sluiceRun(t, 0, "restore", b.target, "--list")) {
		if strings.Contains(name, "-") { // a time
			continue
		}
		sluiceRun(t, 0, append(b.restore(filepath.Join(t.TempDir(), "copy")), "--snapshot", name)...)
	}

	to := filepath.Join(t.TempDir(), "copy")
	for range 8 {
		kill(80, b.restore(to))
		m, err := readMark(to)
		if err != nil || m != nil && m.Finished {
			t.Logf("%+v, %v", m, err)
			break // it was faster
		}
		if m != nil { // else nothing was restored
			said := refusedServe(t, exitRefused, "--data", to, "--accept-rollback")
			if !strings.Contains(said, "has not finished") {
				t.Errorf("serve on half a copy: %s", said)
			}
		}
	}
	if m, err := readMark(to); err != nil || m == nil || !m.Finished {
		sluiceRun(t, 0, b.restore(to)...)
	}
	p := startServer(t, to, "--accept-rollback")
	c.verify(t, p.url)
}

// endLease ends the lease of a backup that was killed, as ten seconds would.
func endLease(t *testing.T, data string) {
	t.Helper()
	changeDatabase(t, data, "DELETE FROM lease WHERE name = 'backup'")
}

// changeDatabase runs a statement behind Sluice's back.
func changeDatabase(t *testing.T, data, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, databaseName)+"?_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// A restored server starts closed: by the mark of the restore, and by the heads of the lost server, which are copied.
// The lost entries are recorded.
func TestRestoredServerIsClosed(t *testing.T) {
	data, c := smallInstallation(t)
	b := plainTarget(t, data)
	b.makeBackup(t, data)
	p := startServer(t, data)
	if err := c.session(p.url); err != nil { // which is lost
		t.Fatal(err)
	}
	p.stop()
	to := filepath.Join(t.TempDir(), "copy")
	said := sluiceRun(t, 0, b.restore(to)...)
	if !strings.Contains(said, "lost  entries ") {
		t.Errorf("restore prints %s", said)
	}
	if err := os.Remove(filepath.Join(to, restoredName)); err != nil { // as if it had been told
		t.Fatal(err)
	}
	said = refusedServe(t, exitFailed, "--data", to)
	if !strings.Contains(said, "secrets.json.heads remembers ") {
		t.Errorf("the heads of the lost server: %s", said)
	}
	r := startServer(t, to, "--accept-rollback")
	if list := sluiceRun(t, 0, "audit", "ls", "--url", r.url, "--key", c.key, "--action", "ledger.rolled_back",
		"--json"); !strings.Contains(list, `"was_size"`) {
		t.Errorf("the log says of the rollback: %s", list)
	}
}

// With PostgreSQL, the bytes are backed up, and restored into an empty bucket for the files of a database. No server
// starts on the bucket before a restore has finished.
func TestBackupPostgres(t *testing.T) {
	to := newTarget(t)
	dir := t.TempDir()
	secrets := filepath.Join(dir, secretsName)
	flags := []string{"--database-url", to.database, "--blob-url", to.blobs, "--secrets", secrets}
	p := startServer(t, filepath.Join(dir, "unused"), flags...)
	c := &crashClients{key: p.key, http: http.DefaultClient, files: map[string][32]byte{}, links: map[string]string{},
		started: map[string]int{}}
	for range 3 {
		if err := c.session(p.url); err != nil {
			t.Fatal(err)
		}
	}
	target := filepath.Join(dir, "target")
	said := sluiceRun(t, 0, append([]string{"backup", target}, flags...)...)
	if !strings.Contains(said, "The database is not in this backup") || !strings.Contains(said, "3 files of") {
		t.Errorf("backup prints %s", said)
	}
	late, err := c.upload(p.url, []byte("after the backup"))
	if err != nil {
		t.Fatal(err)
	}
	p.stop()

	blobs := strings.Replace(to.blobs, "/files?", "/restored?", 1)
	again := []string{"--database-url", to.database, "--blob-url", blobs, "--secrets", secrets}
	said = sluiceRun(t, exitUsage, "restore", target, "--data", filepath.Join(dir, "copy"), "--secrets", secrets)
	if !strings.Contains(said, "give --database-url and --blob-url") {
		t.Errorf("without the database: %s", said)
	}
	objects, err := filepath.Glob(filepath.Join(target, "??", "file_*"))
	if err != nil || len(objects) != 3 {
		t.Fatal(objects, err)
	}
	if err := os.Rename(objects[0], objects[0]+".away"); err != nil {
		t.Fatal(err)
	}
	said = sluiceRun(t, exitFailed, append([]string{"restore", target}, again...)...)
	if !strings.Contains(said, filepath.Base(objects[0])+" is missing") {
		t.Errorf("a missing object: %s", said)
	}
	said = refusedServe(t, exitFailed, again...)
	if !strings.Contains(said, "the stored files belong to installation "+restoringMark) {
		t.Errorf("serve on half a bucket: %s", said)
	}
	if err := os.Rename(objects[0]+".away", objects[0]); err != nil {
		t.Fatal(err)
	}
	said = sluiceRun(t, 0, append([]string{"restore", target}, again...)...)
	if !strings.Contains(said, "missing  "+late) {
		t.Errorf("restore prints %s, want a note about %s", said, late)
	}
	r := startServer(t, filepath.Join(dir, "unused"), again...)
	c.verify(t, r.url)
	said = sluiceRun(t, exitRefused, append([]string{"restore", target}, again...)...)
	if !strings.Contains(said, "in use by installation") {
		t.Errorf("a restore into a bucket in use: %s", said)
	}
	r.stop()

	// A restore is killed between the removal of its marker and the marker of the server.
	i := mustOpen(t, place{DatabaseURL: to.database, BlobURL: blobs, Secrets: secrets})
	defer i.close()
	owner, err := i.blobs.Owner(t.Context())
	if err == nil {
		err = i.blobs.(backup.Depot).Release(t.Context(), owner)
	}
	if err != nil {
		t.Fatal(err)
	}
	said = sluiceRun(t, exitRefused, append([]string{"restore", target}, again...)...)
	if !strings.Contains(said, "is not empty") || !strings.Contains(said, "check it with sluice fsck --deep") {
		t.Errorf("a bucket without a marker: %s", said)
	}
	sluiceRun(t, exitFailed, append([]string{"fsck", "--deep"}, again...)...) // the late file has no bytes
	startServer(t, filepath.Join(dir, "unused"), again...).stop()
}
