package store

import (
	"bufio"
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/postgres"
	"sluice/internal/store/records"
	"sluice/internal/store/sqldb"
	"sluice/internal/store/storetest"
)

// NewPostgres makes an empty database and gives its URL. NewPostgresServer makes one on a server of its own, and stops
// and starts that server. Tests outside of the package set them, because sluicetest imports this package.
var (
	NewPostgres       func(testing.TB) string
	NewPostgresServer func(testing.TB) (url string, stop, start func())
)

func openPostgresURL(url string) (*Store, error) {
	return OpenPostgres(storetest.Background, url, Options{})
}

func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database {
		url := NewPostgres(t)
		return storetest.Database{
			Open: func() (service.Store, error) { return openPostgresURL(url) },
			Exec: func(query string) error { return execPostgres(url, query) },
			Far:  true,
		}
	})
}

func execPostgres(url, query string) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(query)
	return err
}

func openTempPostgres(t *testing.T) (*Store, string) {
	t.Helper()
	url := NewPostgres(t)
	return openAnother(t, url), url
}

func openAnother(t *testing.T, url string) *Store {
	t.Helper()
	s, err := openPostgresURL(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestPostgresKill is TestSQLiteKill on PostgreSQL. SLUICE_LONG=1 kills 30 times.
func TestPostgresKill(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short")
	}
	testKill(t, 30, openPostgresURL, func() string { return NewPostgres(t) })
}

// TestPostgresOpen lets processes open an empty database at once. An error that prevents it is one line, without the
// password.
func TestPostgresOpen(t *testing.T) {
	good := NewPostgres(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			s, err := openPostgresURL(good)
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(s.Ready(storetest.Background), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	migrating(t, good)
	for _, query := range []string{"CREATE DATABASE latin TEMPLATE template0 ENCODING latin1 LOCALE 'C'",
		"CREATE ROLE guest LOGIN PASSWORD 'pa55w0rd'"} {
		if err := execPostgres(good, query); err != nil {
			t.Fatal(err)
		}
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := nobody.Addr().String()
	nobody.Close()
	with := func(change func(*url.URL)) string {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	for name, test := range map[string]struct{ url, want string }{
		"password": {with(func(u *url.URL) {
			u.User = url.UserPassword("sluice", "pa55w0rd2")
		}), "refuses the password of user sluice"},
		"database": {with(func(u *url.URL) { u.Path = "/none" }), "open database none"},
		"server": {"postgres://sluice:pa55w0rd@" + closed + "/sluice",
			"database sluice of " + closed + ": the server cannot be reached"},
		"rights": {with(func(u *url.URL) {
			u.User = url.UserPassword("guest", "pa55w0rd")
		}), "user guest lacks a right"},
		"encoding": {with(func(u *url.URL) { u.Path = "/latin" }), "LATIN1: create it with encoding UTF8"},
		"no URL":   {"postgres://sluice:pa55w0rd%zz@localhost/sluice", "should look like postgres://"},
	} {
		s, err := openPostgresURL(test.url)
		if err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		if text := err.Error(); !strings.Contains(text, test.want) || strings.Contains(text, "\n") ||
			strings.Contains(text, "pa55w0rd") {
			t.Errorf("%s: %q, want one line with %q", name, text, test.want)
		}
	}
}

// migrating checks that a process waits while another migrates the schema.
func migrating(t *testing.T, url string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("SELECT pg_advisory_lock($1)", int64(postgres.MigrationLock)); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error)
	go func() {
		s, err := openPostgresURL(url)
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		t.Errorf("opened while another process migrates: %v", err)
		return
	case <-time.After(200 * time.Millisecond):
	}
	db.Close()
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// TestPostgresReadWrite uses a URL that asks for a server that accepts writes, as one with several hosts does. Readers
// find the server too, and still cannot write.
func TestPostgresReadWrite(t *testing.T) {
	u, err := url.Parse(NewPostgres(t))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("target_session_attrs", "read-write")
	u.RawQuery = q.Encode()
	s, err := openPostgresURL(u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.View(storetest.Background, func(r service.Reader) error {
		_,
			err := r.SigningKeys()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Reader.Exec("UPDATE probe SET n = n + 1"); err == nil {
		t.Error("a reader has written")
	}
}

// TestPostgresSessions asks the connections for their settings, on a server whose defaults promise less.
func TestPostgresSessions(t *testing.T) {
	s := openAnother(t, NewPostgres(t)+"&options=-c%20synchronous_commit%3Doff")
	show := func(c *sqldb.Conn, name string) (value string) {
		if err := c.QueryRowContext(storetest.Background, "SHOW "+name).Scan(&value); err != nil {
			t.Error(err)
		}
		return value
	}
	storetest.Update(t, s, storetest.LiveLedger, func(given service.Tx) error {
		for name, want := range map[string]string{"synchronous_commit": "on",
			"transaction_isolation": "read committed", "idle_in_transaction_session_timeout": "5s",
			"lock_timeout": "10s"} {
			if got := show(given.(*tx).session.Conn, name); got != want {
				t.Errorf("the writer's %s is %s, want %s", name, got, want)
			}
		}
		return given.Record(storetest.NewEntry(storetest.LiveLedger))
	})
	s.View(storetest.Background, func(r service.Reader) error {
		c := r.(*reader).session.Conn
		if got := show(c, "transaction_isolation"); got != "repeatable read" {
			t.Errorf("a reader's isolation is %s", got)
		}
		if _, err := c.ExecContext(storetest.Background, "UPDATE probe SET n = 0"); err == nil {
			t.Error("a reader can write")
		}
		return nil
	})
	// Texts are ordered by their bytes, whatever the collation of the database is.
	rows, err := s.db.Reader.Query("SELECT table_name || '.' || column_name FROM information_schema.columns" +
		" WHERE table_schema = 'public' AND table_name <> 'goose_db_version' AND data_type = 'text' AND" +
		" collation_name IS DISTINCT FROM 'C'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s has the collation of the database", column)
	}
}

// TestPostgresRestart stops the server under load, as a crash would, and starts it again.
func TestPostgresRestart(t *testing.T) {
	url, stop, start := NewPostgresServer(t)
	stores := []*Store{openAnother(t, url), openAnother(t, url)}
	var acknowledged sync.Map
	var failed, stored atomic.Int64
	ended := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				id, err := tryStoreFile(stores[g%2])
				if err != nil {
					failed.Add(1)
					storetest.WantCode(t, err, sluice.CodeUnavailable)
					time.Sleep(5 * time.Millisecond)
					continue
				}
				stored.Add(1)
				acknowledged.Store(id, true)
			}
		})
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("no ", what)
			}
		}
	}
	until("updates", func() bool { return stored.Load() > 200 })
	stop()
	until("failures", func() bool { return failed.Load() > 0 })
	storetest.WantCode(t, stores[0].Ready(storetest.Background), sluice.CodeUnavailable)
	start()
	before := stored.Load()
	until("updates after the restart", func() bool { return stored.Load() > before+200 })
	close(ended)
	wg.Wait()
	for _, s := range stores {
		if err := s.Ready(storetest.Background); err != nil {
			t.Error(err)
		}
		for range 2 * postgres.Readers { // on every connection
			storetest.Read(t, s, service.Reader.Accounts)
		}
	}
	all := map[string]bool{}
	acknowledged.Range(func(id, _ any) bool {
		all[id.(string)] = true
		return true
	})
	if err := errors.Join(stores[0].Close(), stores[1].Close()); err != nil {
		t.Error(err)
	}
	checkStored(t, openPostgresURL, url, all)
}

// TestPostgresTerminated ends the session of an Update. The Update fails and leaves nothing, and the next succeeds. So
// does a View on a connection that was lost while it was idle.
func TestPostgresTerminated(t *testing.T) {
	s, url := openTempPostgres(t)
	storetest.Read(t, s, service.Reader.Accounts)
	const others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND" +
		" pid <> pg_backend_pid()"
	err := s.Update(storetest.Background, storetest.LiveLedger, func(tx service.Tx) error {
		if err := tx.CreateFile(storetest.NewFile(storetest.LiveLedger, "file_1"),
			storetest.NewEntry(storetest.LiveLedger)); err != nil {
			return err
		}
		return execPostgres(url, others)
	})
	storetest.WantCode(t, err, sluice.CodeUnavailable)
	storetest.WantNothing(t, s)
	storetest.Update(t, s, storetest.LiveLedger, storetest.Changes)
	if err := execPostgres(url, others); err != nil {
		t.Fatal(err)
	}
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
		return tx.Record(storetest.NewEntry(storetest.LiveLedger))
	})
	if n := len(storetest.Seqs(t, s, storetest.LiveLedger)); n != 11 {
		t.Errorf("%d entries, want 11", n)
	}
}

// TestPostgresLostAnswer loses the answer to a commit, which may have happened. The Update must not report success.
func TestPostgresLostAnswer(t *testing.T) {
	direct := NewPostgres(t)
	p := newProxy(t, direct)
	s := openAnother(t, p.url)
	for _, delivered := range []bool{true, false} {
		id := fmt.Sprint("file_", delivered)
		err := s.Update(storetest.Background, storetest.LiveLedger, func(tx service.Tx) error {
			err := tx.CreateFile(storetest.NewFile(storetest.LiveLedger, id), storetest.NewEntry(storetest.LiveLedger))
			p.cut(delivered)
			return err
		})
		storetest.WantCode(t, err, sluice.CodeUnavailable)
		p.heal()
		err = s.View(storetest.Background, func(r service.Reader) error {
			_, err := r.File(storetest.LiveLedger, id)
			return err
		})
		if delivered && err != nil {
			t.Errorf("a commit that reached the server: %v", err)
		}
		if !delivered {
			storetest.WantCode(t, err, sluice.CodeNotFound)
		}
		storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
			return tx.Record(storetest.NewEntry(storetest.LiveLedger))
		})
	}
	if n := len(storetest.Seqs(t, s, storetest.LiveLedger)); n != 3 {
		t.Errorf("%d entries, want 3", n)
	}
}

// proxy stands between a Store and its server.
type proxy struct {
	url   string
	mu    sync.Mutex
	state int // whole, deaf or unanswered
}

const (
	whole      = iota
	deaf       // the next message of a client breaks the connection
	unanswered // the next message of the server does
)

func newProxy(t *testing.T, direct string) *proxy {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	const socket = ".s.PGSQL.5432"
	server := filepath.Join(u.Query().Get("host"), socket)
	dir, err := os.MkdirTemp("", "proxy") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		os.RemoveAll(dir)
	})
	u.RawQuery = url.Values{"host": {dir}}.Encode()
	p := &proxy{url: u.String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", server)
			if err != nil {
				client.Close()
				continue
			}
			go p.carry(server, client, deaf)
			go p.carry(client, server, unanswered)
		}
	}()
	return p
}

func (p *proxy) carry(to, from net.Conn, breaks int) {
	defer to.Close()
	defer from.Close()
	data := make([]byte, 64<<10)
	for {
		n, err := from.Read(data)
		p.mu.Lock()
		broken := p.state == breaks && (breaks == deaf || bytes.HasSuffix(data[:n], []byte("Z\x00\x00\x00\x05I")))
		p.mu.Unlock()
		if err != nil || broken {
			return
		}
		if _, err := to.Write(data[:n]); err != nil {
			return
		}
	}
}

// cut breaks the connection at the next message of the client or, when its commit is to be delivered, at the answer to
// that.
func (p *proxy) cut(delivered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = deaf
	if delivered {
		p.state = unanswered
	}
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = whole
}

// TestPostgresFrozen stops a process in the middle of an Update. Others wait for a few seconds at most. When the
// process continues, it runs that Update again, after theirs.
func TestPostgresFrozen(t *testing.T) {
	if url := os.Getenv(childDatabase); url != "" {
		writeSlowly(url)
	}
	s, url := openTempPostgres(t)
	child := exec.Command(os.Args[0], "-test.run=^TestPostgresFrozen$")
	child.Env = append(os.Environ(), childDatabase+"="+url)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	lines := bufio.NewScanner(out)
	said := func(want string) string {
		t.Helper()
		for lines.Scan() {
			if word, rest, _ := strings.Cut(lines.Text(), " "); word == want {
				return rest
			}
		}
		t.Fatalf("the other process did not say %q", want)
		return ""
	}
	first := said("stored")
	late := said("inside")
	child.Process.Signal(syscall.SIGSTOP)
	began := time.Now()
	meanwhile := storetest.NewEntry(storetest.LiveLedger)
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error { return tx.Record(meanwhile) })
	if took := time.Since(began); took < time.Second || took > postgres.FrozenWriter+time.Minute {
		t.Errorf("a frozen process held up an update for %v", took)
	}
	child.Process.Signal(syscall.SIGCONT)
	if again := said("inside"); again != late {
		t.Errorf("%s runs after the freeze, want %s again", again, late)
	}
	if stored := said("stored"); stored != late {
		t.Errorf("%s was stored after the freeze, want %s", stored, late)
	}
	ids := storetest.Seqs(t, s, storetest.LiveLedger)
	at := func(id string) int { return slices.Index(ids, id) }
	if at(first) < 0 || at(meanwhile.ID) < at(first) || at(late) < at(meanwhile.ID) {
		t.Errorf("%s, %s and %s stand at %d, %d and %d", first, meanwhile.ID, late, at(first), at(meanwhile.ID),
			at(late))
	}
}

// writeSlowly records entries, and prints when it is inside an Update and when that is stored.
func writeSlowly(url string) {
	s, err := openPostgresURL(url)
	for err == nil {
		e := storetest.NewEntry(storetest.LiveLedger)
		e.ID = fmt.Sprint("aud_child_", e.ID)
		failed := s.Update(storetest.Background, storetest.LiveLedger, func(tx service.Tx) error {
			err := tx.Record(e)
			fmt.Println("inside", e.ID)
			time.Sleep(200 * time.Millisecond)
			return err
		})
		if failed == nil {
			fmt.Println("stored", e.ID)
		} else {
			err = failed
		}
		time.Sleep(50 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestPostgresDeadlock makes two groups wait for each other. One of them runs again.
func TestPostgresDeadlock(t *testing.T) {
	first, url := openTempPostgres(t)
	second := openAnother(t, url)
	storetest.Update(t, first, storetest.LiveLedger, func(tx service.Tx) error {
		return errors.Join(tx.CreateKey(storetest.NewKey(storetest.LiveLedger, "key_1"),
			storetest.NewEntry(storetest.LiveLedger)), tx.CreateKey(storetest.NewKey(storetest.LiveLedger, "key_2"),
			storetest.NewEntry(storetest.LiveLedger)))
	})
	var meeting sync.WaitGroup
	meeting.Add(2)
	var runs atomic.Int64
	touch := func(s *Store, l sluice.LedgerID, keys ...string) error {
		met := false
		return s.Update(storetest.Background, l, func(given service.Tx) error {
			runs.Add(1)
			for _, key := range keys {
				if _, err := given.(*tx).session.Exec("UPDATE key SET used = 1 WHERE id = $1", key); err != nil {
					return err
				}
				if !met {
					met = true
					meeting.Done()
					meeting.Wait()
				}
			}
			return given.Record(storetest.NewEntry(l))
		})
	}
	var wg sync.WaitGroup
	for i, s := range []*Store{first, second} {
		wg.Go(func() {
			l, keys := storetest.TestLedger, []string{"key_1", "key_2"}
			if i == 1 {
				l, keys = storetest.OtherLedger, []string{"key_2", "key_1"}
			}
			if err := touch(s, l, keys...); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := runs.Load(); n < 3 {
		t.Errorf("the functions ran %d times: there was no deadlock", n)
	}
	if a, b := len(storetest.Seqs(t, first, storetest.TestLedger)),
		len(storetest.Seqs(t, first, storetest.OtherLedger)); a != 1 || b != 1 {
		t.Errorf("%d and %d entries, want one each", a, b)
	}
}

// TestPostgresBrokenGroup makes a statement fail, which fails the whole transaction in PostgreSQL. The neighbours in
// the group are committed.
func TestPostgresBrokenGroup(t *testing.T) {
	s, _ := openTempPostgres(t)
	for _, changed := range []bool{false, true} {
		release := storetest.Busy(t, s)
		var wg sync.WaitGroup
		var acknowledged atomic.Int64
		for i := range 9 {
			wg.Go(func() {
				err := s.Update(storetest.Background, storetest.LiveLedger, func(given service.Tx) error {
					if i%3 != 1 {
						return given.Record(storetest.NewEntry(storetest.LiveLedger))
					}
					if changed {
						if err := given.Record(storetest.NewEntry(storetest.LiveLedger)); err != nil {
							return err
						}
					}
					var n int
					if err := given.(*tx).session.One([]any{&n},
						"SELECT 1 / downloads FROM (SELECT 0 AS downloads) AS none"); err == nil {
						t.Error("a division by zero succeeded")
					}
					return nil
				})
				if err == nil {
					acknowledged.Add(1)
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
		before := int64(len(storetest.Seqs(t, s, storetest.LiveLedger)))
		release()
		wg.Wait()
		if stored := int64(len(storetest.Seqs(t, s, storetest.LiveLedger))) - before; stored != acknowledged.Load() {
			t.Errorf("%d updates were told that they were stored, %d were", acknowledged.Load(), stored)
		}
		storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
			return tx.Record(storetest.NewEntry(storetest.LiveLedger))
		})
	}
}

// TestPostgresUnsound makes a transaction fail unnoticed. PostgreSQL answers its COMMIT with no error.
func TestPostgresUnsound(t *testing.T) {
	s, _ := openTempPostgres(t)
	err := s.unlogged(storetest.Background, noLedger, func(t *tx) error {
		if _, err := t.session.Exec("INSERT INTO account (id, name, created) VALUES ('acct_1', '', 0)"); err != nil {
			return err
		}
		t.session.Conn.ExecContext(storetest.Background, "SELECT 1 / n FROM probe")
		return nil
	})
	storetest.WantCode(t, err, sluice.CodeUnavailable)
	storetest.WantNothing(t, s)
}

// TestPostgresTexts asks for texts that PostgreSQL cannot store. They are not found, and do not disturb neighbours.
func TestPostgresTexts(t *testing.T) {
	s, _ := openTempPostgres(t)
	e := storetest.NewEntry(storetest.LiveLedger)
	e.ID = "aud_first"
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
		return errors.Join(tx.CreateFile(storetest.NewFile(storetest.LiveLedger, "file_1"), e),
			tx.CreateLink(storetest.NewLink(storetest.LiveLedger, "link_1", "file_1"),
				storetest.NewEntry(storetest.LiveLedger)))
	})
	page := sluice.Page{Limit: 10}
	for _, text := range []string{"file\x00", "\x00", "file_1\x00", "\xff", "a\xc3\x28"} {
		look := func(r service.Reader) error {
			_, err := r.File(storetest.LiveLedger, text)
			storetest.WantCode(t, err, sluice.CodeNotFound)
			_, err = r.Link(sluice.LedgerID{Account: text, Mode: sluice.Live}, "link_1")
			storetest.WantCode(t, err, sluice.CodeNotFound)
			entries, err4 := r.Entries(storetest.LiveLedger, service.EntryFilter{RequestID: text}, page)
			first, err5 := r.Entries(storetest.LiveLedger, service.EntryFilter{IDs: []string{text, "aud_first"}}, page)
			if err := errors.Join(err4, err5); err != nil || len(entries.Data) != 0 || len(first.Data) != 1 {
				t.Errorf("%q: %d and %d entries, %v", text, len(entries.Data), len(first.Data), err)
			}
			files, err1 := r.Files(storetest.LiveLedger, service.FileFilter{Filename: text}, page)
			some, err2 := r.Files(storetest.LiveLedger, service.FileFilter{IDs: []string{"file_1", text}}, page)
			none, err3 := r.Links(storetest.LiveLedger, service.LinkFilter{IDs: []string{text}}, page)
			if err := errors.Join(err1, err2, err3); err != nil || len(files.Data) != 0 || len(some.Data) != 1 ||
				len(none.Data) != 0 {
				t.Errorf("%q: %d, %d and %d objects, %v", text, len(files.Data), len(some.Data), len(none.Data), err)
			}
			return nil
		}
		if err := s.View(storetest.Background, look); err != nil {
			t.Error(err)
		}
		storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
			return errors.Join(look(tx), tx.Record(storetest.NewEntry(storetest.LiveLedger)))
		})
		if err := s.Update(storetest.Background, storetest.LiveLedger, func(tx service.Tx) error {
			return tx.CreateFile(storetest.NewFile(storetest.LiveLedger, text),
				storetest.NewEntry(storetest.LiveLedger))
		}); err == nil {
			t.Errorf("%q was stored", text)
		}
		if err := s.Update(storetest.Background, sluice.LedgerID{Account: text, Mode: sluice.Live},
			func(tx service.Tx) error { return nil }); err != nil {
			t.Errorf("an update of nothing in ledger %q: %v", text, err)
		}
	}
	if n := len(storetest.Seqs(t, s, storetest.LiveLedger)); n != 7 {
		t.Errorf("%d entries, want 7", n)
	}
}

// TestPostgresEndsInOnePass marks the links of a revoked key while an old snapshot is open. PostgreSQL cannot
// remove the index entries of marked links then, so a commit must not start at the first of them again.
func TestPostgresEndsInOnePass(t *testing.T) {
	url := NewPostgres(t)
	s := openAnother(t, url)
	const links = 10 * records.EndedPerCommit
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
		err := tx.CreateKey(storetest.NewKey(storetest.LiveLedger, "key_1"), storetest.NewEntry(storetest.LiveLedger))
		for i := range links {
			l := storetest.NewLink(storetest.LiveLedger, fmt.Sprintf("link_%04d", i), "file_1")
			l.KeyID, l.Expires = "key_1", storetest.Epoch.Add(time.Hour+time.Duration(i)*time.Second)
			err = errors.Join(err, tx.CreateLink(l, storetest.NewEntry(storetest.LiveLedger)))
		}
		return err
	})
	release := inTransaction(t, url, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
	defer release()
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
		return tx.RevokeKey("key_1", storetest.Epoch, storetest.NewEntry(storetest.LiveLedger))
	})
	marked := records.EndedAtOnce
	for more := true; more; {
		var n int
		var err error
		if n, more, err = s.EndLinks(storetest.Background); err != nil {
			t.Fatal(err)
		}
		marked += n
	}
	if marked != links {
		t.Errorf("%d of %d links were marked", marked, links)
	}
	if err := s.Close(); err != nil { // its connections report what they have read
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var read int64
	waitFor(t, "the index was never read", func() bool {
		if err := db.QueryRow("SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname =" +
			" 'link_by_key'").Scan(&read); err != nil {
			t.Fatal(err)
		}
		return read >= links-records.EndedPerCommit
	})
	if read > 2*links {
		t.Errorf("%d entries of the index were read to mark %d links", read, links)
	}
}

// inTransaction runs statements on a connection of its own, which release closes.
func inTransaction(t *testing.T, url string, queries ...string) (release func()) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c, err := db.Conn(storetest.Background)
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range queries {
		if _, err := c.ExecContext(storetest.Background, query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	return func() { c.Close(); db.Close() }
}
