package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// estate is a single-machine installation with objects of every kind, and the
// secrets and links of its users.
type estate struct {
	data     string
	key      string            // created by the first start
	rotated  [2]string         // two secrets of one key, both valid
	revoked  string            // a secret
	opens    map[string]string // paths of valid links, with their content
	gone     []string          // paths of ended links
	password string            // path of a link with the password "open sesame"
	counted  string            // path of a link with one download, of which 4 bytes were sent
	counter  string            // its id in the API
	once     func(base string) (id string, err error)
	since    string // file with a checkpoint of the first key's log
	vkey     string // verifier key of since
	files    []string
}

func (e *estate) move(t *testing.T, to target) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = run(t.Context(), e.args(to), &out, &out)
	return code, out.String()
}

func (e *estate) args(to target) []string {
	return []string{"migrate", "--data", e.data, "--to-database-url", to.database, "--to-blob-url", to.blobs}
}

// target is the destination of a migration.
type target struct{ database, blobs string }

func newTarget(t *testing.T) target {
	return target{sluicetest.Postgres(t), sluicetest.S3(t)}
}

// place returns the target with the secrets of the installation.
func (e *estate) place(to target) place {
	return place{DatabaseURL: to.database, BlobURL: to.blobs, Secrets: filepath.Join(e.data, secretsName)}
}

func quiet() service.Config {
	return service.Config{PublicURL: "http://localhost", LedgerOrigin: "files.example.com",
		Log: slog.New(slog.DiscardHandler)}
}

func mustOpen(t *testing.T, p place) *installation {
	t.Helper()
	i, err := p.open(t.Context(), quiet(), opening{})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

const hostile = "..\\..\\a\"b'; DROP TABLE file;--\u202egnp.%s%00\n<script>é\U0001F600\u0001.txt"

// newEstate creates an installation without a running server.
func newEstate(t *testing.T) *estate {
	t.Helper()
	dir := t.TempDir()
	e := &estate{data: filepath.Join(dir, "data"), since: filepath.Join(dir, "checkpoint"), opens: map[string]string{}}
	p := startServer(t, e.data, "--ledger-origin", "files.example.com")
	e.key = p.key
	e.useServer(t, p.url)
	if code := p.stop(); code != 0 {
		t.Fatalf("an orderly stop exits with %d", code)
	}
	i := mustOpen(t, place{Data: e.data})
	e.useService(t, i)
	if err := i.close(); err != nil {
		t.Fatal(err)
	}
	e.rotateLedgerKey(t)
	return e
}

// useServer creates the objects that need HTTP requests.
func (e *estate) useServer(t *testing.T, base string) {
	t.Helper()
	c := &crashClients{key: e.key, http: http.DefaultClient}
	id, err := c.upload(base, []byte("first content"))
	if err != nil {
		t.Fatal(err)
	}
	_, path, err := c.mint(base, id)
	if err != nil {
		t.Fatal(err)
	}
	e.opens[path] = "first content"
	e.once = func(base string) (string, error) {
		var answer struct{ ID string }
		req, err := http.NewRequest("POST", base+"/v1/files/"+id+"/links", strings.NewReader(`{"reason":"once"}`))
		if err != nil {
			return "", err
		}
		req.Header.Set("Authorization", "Bearer "+e.key)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", "made once")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		err = json.NewDecoder(res.Body).Decode(&answer)
		return answer.ID, err
	}
	var link struct{ ID, URL string }
	err = c.do("POST", base+"/v1/files/"+id+"/links", strings.NewReader(`{"reason":"counted","max_downloads":1}`),
		"application/json", http.StatusOK, &link)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link.URL)
	if err != nil {
		t.Fatal(err)
	}
	e.counted, e.counter = u.Path, "/v1/files/"+id+"/links/"+link.ID
	if status, content := fetch(t, base+e.counted, "Range", "bytes=0-3"); status != http.StatusPartialContent ||
		content != "firs" {
		t.Fatalf("part of a counted link: %d %q", status, content)
	}
}

// useService creates the other objects, in both modes of two accounts.
func (e *estate) useService(t *testing.T, i *installation) {
	t.Helper()
	ctx, svc := t.Context(), i.service
	if _, err := svc.Accounts.Create(ctx, "second "+hostile); err != nil {
		t.Fatal(err)
	}
	accounts, err := svc.Accounts.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
			e.useLedger(t, svc, service.Operator(sluice.LedgerID{Account: a.ID, Mode: m}))
		}
	}
	first := service.Operator(sluice.LedgerID{Account: accounts[0].ID, Mode: sluice.Test})
	redeemed, err := svc.Entries.List(ctx, first, service.EntryFilter{Action: sluice.LinkRedeemed}, sluice.Page{Limit: 1})
	if err == nil {
		_, err = svc.Entries.Redact(ctx, first, redeemed.Data[0].ID, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Create enough entries for the index and several tiles.
	many := service.Operator(sluice.LedgerID{Account: accounts[1].ID, Mode: sluice.Live})
	f := e.file(t, svc, many, []byte("of many links"))
	var minters sync.WaitGroup
	for n := range 8 {
		minters.Go(func() {
			for range 80 {
				link := service.NewLink{FileID: f.ID, Reason: fmt.Sprint("link of ", n)}
				if _, err := svc.Links.Mint(ctx, many, link); err != nil {
					t.Error(err)
				}
			}
		})
	}
	minters.Wait()
	if _, err := svc.Ledgers.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	if e.vkey, _, err = svc.Ledgers.Key(ctx, first); err != nil {
		t.Fatal(err)
	}
	newest, err := svc.Ledgers.NewestCheckpoint(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.since, newest.Note, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (e *estate) file(t *testing.T, svc *service.Service, c service.Caller, content []byte) sluice.File {
	t.Helper()
	created, err := svc.Files.Create(t.Context(), c, "export", bytes.NewReader(content), func() (service.NewFile, error) {
		return service.NewFile{
			Purpose: "export", Filename: "a" + strings.ReplaceAll(hostile, "\u0001", ""), Title: "title é",
			Metadata: sluice.Metadata{"k": "v\\\"\n\t", "k-2": "é\u2028\U0001F600"}, Linked: []sluice.Resource{{Type: "order",
				ID: "o-1"}, {Type: "order", ID: "ö 2"}},
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e.files = append(e.files, created.File.ID)
	return created.File
}

func (e *estate) useLedger(t *testing.T, svc *service.Service, c service.Caller) {
	t.Helper()
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	path := func(l sluice.Link) string {
		text, err := svc.Links.URL(l)
		check(err)
		return strings.TrimPrefix(text, "http://localhost")
	}
	mint := func(n service.NewLink) sluice.Link {
		l, err := svc.Links.Mint(ctx, c, n)
		check(err)
		return l
	}
	content := make([]byte, 9<<20+rand.IntN(1000)) // in several parts
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	if c.Ledger.Mode == sluice.Live {
		content = nil
	}
	whole := e.file(t, svc, c, content)
	e.opens[path(mint(service.NewLink{FileID: whole.ID, Reason: "whole",
		Metadata: sluice.Metadata{"to": hostile}}))] = string(content)
	revoked := mint(service.NewLink{FileID: whole.ID, Reason: "revoked"})
	_, err := svc.Links.Revoke(ctx, c, whole.ID, revoked.ID, nil)
	check(err)
	soon := time.Second
	e.gone = append(e.gone, path(revoked), path(mint(service.NewLink{FileID: whole.ID, Lifetime: &soon})))
	e.password = path(mint(service.NewLink{FileID: whole.ID, Password: "open sesame"}))

	deleted := e.file(t, svc, c, []byte("deleted"))
	e.gone = append(e.gone, path(mint(service.NewLink{FileID: deleted.ID})))
	_, err = svc.Files.Delete(ctx, c, deleted.ID, nil)
	check(err)
	held, yes := e.file(t, svc, c, []byte("held")), true
	_, err = svc.Files.Update(ctx, c, held.ID, nil, service.FileChange{Held: &yes})
	check(err)

	first, err := svc.Keys.Create(ctx, c, service.NewKey{Name: "rotated " + hostile,
		Scopes: []sluice.Scope{sluice.FilesRead}})
	check(err)
	second, err := svc.Keys.Rotate(ctx, c, first.Key.ID, time.Hour)
	check(err)
	e.rotated = [2]string{first.Secret, second.Secret}
	ended, err := svc.Keys.Create(ctx, c, service.NewKey{Name: "revoked"})
	check(err)
	_, err = svc.Keys.Revoke(ctx, c, ended.Key.ID, nil)
	check(err)
	e.revoked = ended.Secret
}

// rotateLedgerKey rotates the ledger key of all logs, signs more entries, and
// leaves some unsigned.
func (e *estate) rotateLedgerKey(t *testing.T) {
	t.Helper()
	path := filepath.Join(e.data, secretsName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var s secrets
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	s.LedgerKeys = append([]string{sluicetest.NewLedgerKey(t)}, s.LedgerKeys...)
	if data, err = json.Marshal(s); err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	i := mustOpen(t, place{Data: e.data})
	defer i.close()
	accounts, err := i.service.Accounts.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := service.Operator(sluice.LedgerID{Account: accounts[0].ID, Mode: sluice.Test})
	for range 3 {
		e.file(t, i.service, c, []byte("another"))
		if _, err := i.service.Ledgers.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	e.file(t, i.service, c, []byte("last"))
	if _, rotations, err := i.service.Ledgers.Key(t.Context(), c); err != nil || len(rotations) != 1 {
		t.Fatalf("%d rotations, %v", len(rotations), err)
	}
}

func fetch(t *testing.T, target string, header ...string) (status int, content string) {
	t.Helper()
	req, err := http.NewRequest("GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

// ledgerDump holds all pages of all lists of a ledger.
type ledgerDump struct {
	Ledger    sluice.LedgerID
	Keys      []sluice.List[sluice.Key]
	Files     []sluice.List[sluice.File]
	Deleted   []sluice.List[sluice.File]
	Linked    []sluice.List[sluice.File]
	Links     []sluice.List[sluice.Link]
	Entries   []sluice.List[sluice.Entry]
	Minted    []sluice.List[sluice.Entry]
	Newest    service.Checkpoint
	Rotations []service.Rotation
}

func dump(t *testing.T, p place) (all []ledgerDump) {
	t.Helper()
	i := mustOpen(t, p)
	defer i.close()
	ctx, svc := t.Context(), i.service
	accounts, err := svc.Accounts.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
			c := service.Operator(sluice.LedgerID{Account: a.ID, Mode: m})
			d := ledgerDump{Ledger: c.Ledger}
			d.Keys = pages(t, func(k sluice.Key) string { return k.ID },
				func(p sluice.Page) (sluice.List[sluice.Key], error) { return svc.Keys.List(ctx, c, p) })
			files := func(f service.FileFilter) []sluice.List[sluice.File] {
				return pages(t, func(f sluice.File) string { return f.ID },
					func(p sluice.Page) (sluice.List[sluice.File], error) { return svc.Files.List(ctx, c, f, p) })
			}
			d.Files, d.Deleted = files(service.FileFilter{}), files(service.FileFilter{Status: service.DeletedFiles})
			d.Linked = files(service.FileFilter{Linked: &sluice.Resource{Type: "order", ID: "ö 2"}})
			d.Links = pages(t, func(l sluice.Link) string { return l.ID },
				func(p sluice.Page) (sluice.List[sluice.Link], error) {
					return svc.Links.List(ctx, c, service.LinkFilter{}, p)
				})
			entries := func(f service.EntryFilter) []sluice.List[sluice.Entry] {
				return pages(t, func(e sluice.Entry) string { return e.ID },
					func(p sluice.Page) (sluice.List[sluice.Entry], error) { return svc.Entries.List(ctx, c, f, p) })
			}
			d.Entries, d.Minted = entries(service.EntryFilter{}), entries(service.EntryFilter{Action: sluice.LinkCreated})
			if d.Newest, err = svc.Ledgers.NewestCheckpoint(ctx, c); err == nil {
				_, d.Rotations, err = svc.Ledgers.Key(ctx, c)
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, d)
		}
	}
	return all
}

func pages[T any](t *testing.T, id func(T) string, list func(sluice.Page) (sluice.List[T],
	error)) (all []sluice.List[T]) {
	t.Helper()
	for page := (sluice.Page{Limit: 17}); ; {
		l, err := list(page)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
		if !l.More {
			return all
		}
		page.After = id(l.Data[len(l.Data)-1])
	}
}

// works starts a server on the target and checks everything that the users
// hold.
func (e *estate) works(t *testing.T, to target) {
	t.Helper()
	p := startServer(t, filepath.Join(t.TempDir(), "none"), "--ledger-origin", "files.example.com",
		"--database-url", to.database, "--blob-url", to.blobs, "--secrets", filepath.Join(e.data, secretsName))
	if p.printed != "" {
		t.Errorf("the first start after the move prints %q", p.printed)
	}
	for path, want := range e.opens {
		if status, content := fetch(t, p.url+path); status != http.StatusOK || content != want {
			t.Errorf("a link returned %d and %d bytes, want %d", status, len(content), len(want))
		}
	}
	for _, path := range e.gone {
		if status, _ := fetch(t, p.url+path); status != http.StatusGone {
			t.Errorf("an ended link returned %d", status)
		}
	}
	if status, _ := fetch(t, p.url+e.password); status == http.StatusOK {
		t.Error("a link with a password opens without")
	}
	if status, _ := fetch(t, p.url+e.password, "X-Link-Password", "open sesame"); status != http.StatusOK {
		t.Errorf("a link with its password returned %d", status)
	}
	// A download from before the move counts, and its client may continue it.
	if status, content := fetch(t, p.url+e.counted, "Range", "bytes=4-"); status != http.StatusPartialContent ||
		content != "t content" {
		t.Errorf("the rest of a counted download: %d %q", status, content)
	}
	if status, _ := fetch(t, p.url+e.counted, "User-Agent", "another"); status != http.StatusGone {
		t.Errorf("a second download of a link with one: %d", status)
	}
	for secret, want := range map[string]int{e.key: 200, e.rotated[0]: 200, e.rotated[1]: 200, e.revoked: 401} {
		if status, _ := fetch(t, p.url+"/v1/files", "Authorization", "Bearer "+secret); status != want {
			t.Errorf("a key got %d, want %d", status, want)
		}
	}
	c := &crashClients{key: e.key, http: http.DefaultClient}
	id, err := c.upload(p.url, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.mint(p.url, id); err != nil {
		t.Error(err)
	}
	t.Setenv("SLUICE_KEY", e.key)
	var entries struct{ Data []struct{ Seq int } }
	if err := c.do("GET", p.url+"/v1/audit_entries?limit=1", nil, "", http.StatusOK, &entries); err != nil {
		t.Fatal(err)
	}
	awaitCheckpoint(t, p, entries.Data[0].Seq+1)
	if said := sluiceRun(t, 0, "audit", "verify", p.url, "--since", e.since, "--vkey", e.vkey); !strings.Contains(said,
		"holds 1 older checkpoint of ") {
		t.Error(said)
	}
	p.stop()
}

// An installation with objects of every kind can be moved and used at the
// target.
func TestMigrate(t *testing.T) {
	to := newTarget(t)
	e := newEstate(t)
	// Read it before the move, because a repeated request would change it.
	p := startServer(t, e.data, "--ledger-origin", "files.example.com")
	made, err := e.once(p.url)
	if err != nil || made == "" {
		t.Fatalf("%q, %v", made, err)
	}
	if code, said := e.move(t, to); code != exitFailed || !strings.Contains(said, "another process has it open") {
		t.Fatalf("while a server works: %d %s", code, said)
	}
	p.stop()

	want := dump(t, place{Data: e.data})
	code, said := e.move(t, to)
	if code != 0 || strings.Contains(said, "pa55") {
		t.Fatalf("%d %s", code, said)
	}
	t.Log(said)
	if diff := cmp.Diff(want, dump(t, e.place(to))); diff != "" {
		t.Errorf("lists differ (-source +target):\n%s", diff)
	}
	if diff := cmp.Diff(want, dump(t, place{Data: e.data})); diff != "" {
		t.Errorf("the source was changed:\n%s", diff)
	}
	sluiceRun(t, 0, "fsck", "--data", e.data)
	sluiceRun(t, 0, "fsck", "--database-url", to.database, "--blob-url", to.blobs,
		"--secrets", filepath.Join(e.data, secretsName))
	e.works(t, to)
	// Another run changes nothing and prints how to start a server. The command
	// line contains no password.
	var again moved
	if err := json.Unmarshal([]byte(sluiceRun(t, 0, append(e.args(to), "--json")...)), &again); err != nil ||
		!again.Before {
		t.Fatalf("%+v, %v", again, err)
	}
	u, err := url.Parse(to.database)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	t.Setenv("PGPASSWORD", password)
	p = startServer(t, filepath.Join(t.TempDir(), "none"), again.Start[2:]...)
	if replayed, err := e.once(p.url); err != nil || replayed != made {
		t.Errorf("a repeated request returned %q, want %q, %v", replayed, made, err)
	}
}

// A migration can be killed at any time and resumed. Until it has finished, no
// server uses the target.
func TestMigrateKilled(t *testing.T) {
	to := newTarget(t)
	e := newEstate(t)
	want := dump(t, place{Data: e.data})
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	interrupted := 0
	for round := range 40 {
		cmd := exec.Command(path, e.args(to)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(25*round+rand.IntN(25)) * time.Millisecond)
		cmd.Process.Kill()
		if cmd.Wait() == nil {
			break // it was faster
		}
		i, err := e.place(to).open(t.Context(), quiet(), opening{create: true})
		if err != nil && strings.Contains(err.Error(), "run the same sluice migrate again") {
			interrupted++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := isFresh(t.Context(), i.store) // it had not begun
		if err := errors.Join(err, i.close()); err != nil {
			t.Fatal(err)
		}
		if fresh {
			continue
		}
		if diff := cmp.Diff(want, dump(t, e.place(to))); diff != "" {
			t.Errorf("after %d kills, the unfinished target is used:\n%s", interrupted+1, diff)
		}
		break
	}
	t.Logf("%d times killed after it had begun", interrupted)
	if interrupted == 0 {
		t.Error("it was never killed in the middle, so nothing was tested")
	}
	if code, said := e.move(t, to); code != 0 {
		t.Fatalf("%d %s", code, said)
	}
	if diff := cmp.Diff(want, dump(t, e.place(to))); diff != "" {
		t.Errorf("lists differ (-source +target):\n%s", diff)
	}
	e.works(t, to)
}

// Damaged bytes stop the migration with an error that names the file. After a
// repair it resumes.
func TestMigrateDamage(t *testing.T) {
	to := newTarget(t)
	e := newEstate(t)
	id := e.files[0]
	path := filepath.Join(e.data, blobsName, id[len(id)-2:], id)
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(sound)
	damaged[len(damaged)/2] ^= 1
	for what, spoil := range map[string]func() error{
		"are damaged":                func() error { return os.WriteFile(path, damaged, 0o600) },
		"are not in the data folder": func() error { return os.Remove(path) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if code, said := e.move(t, to); code != exitFailed || !strings.Contains(said, id) || !strings.Contains(said, what) {
			t.Errorf("%s: %d %s", what, code, said)
		}
	}
	if _, err := e.place(to).open(t.Context(), quiet(), opening{create: true}); err == nil {
		t.Error("a server starts on half of an installation")
	}
	if err := os.WriteFile(path, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	// A log that was rewritten before the migration is not accepted. Batches of
	// one entry are not packed, and begin with 0.
	tamper := func(query string) {
		t.Helper()
		db, err := sql.Open("sqlite", filepath.Join(e.data, databaseName))
		if err == nil {
			_, err = db.Exec(query)
		}
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	tamper("UPDATE batch SET leaves = CAST(replace(CAST(leaves AS TEXT), 'file.created', 'file.forgery') AS BLOB) WHERE " +
		"ledger = 1 AND substr(leaves, 1, 1) = x'00'")
	if code, said := e.move(t, to); code != exitFailed || !strings.Contains(said, "is not valid") ||
		!strings.Contains(said, "not what was signed") {
		t.Errorf("%d %s", code, said)
	}
	tamper("UPDATE batch SET leaves = CAST(replace(CAST(leaves AS TEXT), 'file.forgery', 'file.created') AS BLOB) WHERE " +
		"ledger = 1 AND substr(leaves, 1, 1) = x'00'")
	options, err := blob.ParseS3URL(to.blobs)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := blob.OpenS3(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	err = bucket.Remove(t.Context(), id)
	if err == nil {
		_, err = bucket.Put(t.Context(), id, bytes.NewReader(damaged))
	}
	if err != nil {
		t.Fatal(err)
	}
	if code, said := e.move(t, to); code != 0 || !strings.Contains(said, "resuming") {
		t.Errorf("%d %s", code, said)
	}
	if s, err := stored(t.Context(), bucket, id); err != nil || s.SHA256 != sha256.Sum256(sound) {
		t.Errorf("bytes that were damaged in the bucket: %v, %v", s, err)
	}
}

// A target in use by others is not changed.
func TestMigrateForeign(t *testing.T) {
	to := newTarget(t)
	data := filepath.Join(t.TempDir(), "data")
	startServer(t, data).stop()
	e := &estate{data: data}
	other := &estate{data: filepath.Join(t.TempDir(), "other")}
	p := startServer(t, other.data)
	c := &crashClients{key: p.key, http: http.DefaultClient}
	if _, err := c.upload(p.url, []byte("other")); err != nil {
		t.Fatal(err)
	}
	p.stop()
	if code, said := other.move(t, to); code != 0 {
		t.Fatalf("%d %s", code, said)
	}
	refused := func(to target, want string) {
		t.Helper()
		if code, said := e.move(t, to); code != exitFailed || !strings.Contains(said, want) ||
			strings.Contains(said, "pa55") {
			t.Errorf("%d %s, want %q", code, said, want)
		}
	}
	refused(to, "is not empty")
	refused(target{sluicetest.Postgres(t), to.blobs}, "the target bucket is not empty")
	foreign, err := os.ReadFile(filepath.Join(other.data, secretsName))
	if err == nil {
		err = os.WriteFile(filepath.Join(data, secretsName), foreign, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	refused(newTarget(t), "secrets")
	var out bytes.Buffer
	none := t.TempDir()
	if code := run(context.Background(), (&estate{data: none}).args(to), &out, &out); code != exitFailed ||
		!strings.Contains(out.String(), "holds no Sluice data") {
		t.Errorf("%d %s", code, &out)
	}
	if left, err := fs.ReadDir(os.DirFS(none), "."); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
