package store

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
	"sluice/internal/store/sqlite"
	"sluice/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database {
		path := filepath.Join(t.TempDir(), "sluice.db")
		return storetest.Database{
			Open: func() (service.Store, error) { return OpenSQLite(path, Options{}) },
			Exec: func(query string) error { return execSQLite(path, query) },
		}
	})
}

func execSQLite(path, query string) error {
	db, err := sql.Open("sqlite", sqlite.DSN(path))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(query)
	return err
}

func openTemp(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.db")
	s, err := OpenSQLite(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, path
}

// TestSQLiteDurability asks the connections for their settings.
func TestSQLiteDurability(t *testing.T) {
	s, path := openTemp(t)
	pragma := func(c *sqldb.Conn, name string) (value string) {
		if err := c.QueryRowContext(storetest.Background, "PRAGMA "+name).Scan(&value); err != nil {
			t.Error(err)
		}
		return value
	}
	storetest.Update(t, s, storetest.LiveLedger, func(given service.Tx) error {
		for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "query_only": "0"} {
			if got := pragma(given.(*tx).session.Conn, name); got != want {
				t.Errorf("the writer's %s is %s, want %s", name, got, want)
			}
		}
		return given.Record(storetest.NewEntry(storetest.LiveLedger))
	})
	s.View(storetest.Background, func(r service.Reader) error {
		c := r.(*reader).session.Conn
		if got := pragma(c, "query_only"); got != "1" {
			t.Errorf("a reader's query_only is %s, want 1", got)
		}
		if _, err := c.ExecContext(storetest.Background, "UPDATE probe SET n = 0"); err == nil {
			t.Error("a reader can write")
		}
		return nil
	})
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", info.Name(), info.Mode())
		}
	}
}

// TestSQLiteOpen opens a path with special characters from several goroutines at once, and paths that cannot be
// opened.
func TestSQLiteOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c%41#d'é&_sync=0.db")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := OpenSQLite(path, Options{})
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
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), filepath.Base(path)) {
			t.Errorf("the folder holds %q", f.Name())
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := OpenSQLite(filepath.Join(path, "below"), Options{}); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
	if _, err := OpenSQLite(filepath.Join(t.TempDir(), "none", "sluice.db"), Options{}); !errors.Is(err,
		fs.ErrNotExist) {
		t.Errorf("in no folder: %v", err)
	}
}

// TestSQLitePlans looks at the plan of every statement that a use of the store has prepared. Those of lists under every
// filter are looked at in the packages records and auditlog.
func TestSQLitePlans(t *testing.T) {
	s, _ := openTemp(t)
	storetest.Update(t, s, storetest.LiveLedger, storetest.Changes)
	storetest.Update(t, s, storetest.LiveLedger, func(given service.Tx) error {
		queries := given.(*tx).session.Conn.Statements()
		for _, query := range queries {
			whole := strings.Contains(query, " FROM account") || strings.Contains(query, " FROM signing_key") ||
				strings.Contains(query, " probe ") || strings.HasPrefix(query, "INSERT")
			if plan := explain(t, s, query); !whole && strings.Contains(plan, "SCAN") {
				t.Errorf("%s\n%s", query, plan)
			}
		}
		if len(queries) < 20 {
			t.Errorf("%d statements are prepared", len(queries))
		}
		return nil
	})
}

// TestSQLiteSchema wants every table to be STRICT, and every index of a table that grows to have statistics for the
// planner.
func TestSQLiteSchema(t *testing.T) {
	s, _ := openTemp(t)
	for _, test := range []struct{ want, query string }{
		{"tables are not STRICT", "SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict" +
			" AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version'"},
		{"indexes have no row in sqlite_stat1", "SELECT i.name FROM sqlite_schema m, pragma_index_list(m.name) i" +
			" WHERE m.type = 'table'" +
			" AND NOT EXISTS (SELECT 1 FROM sqlite_stat1 WHERE tbl = m.name AND idx = i.name)" +
			" AND m.name NOT IN ('account', 'signing_key', 'ledger', 'lease', 'rotation', 'checkpoint', 'tile'," +
			" 'goose_db_version')"},
	} {
		names := storetest.Read(t, s, func(r service.Reader) ([]string, error) {
			return sqldb.Many(&r.(*reader).session, func(name *string) []any { return []any{name} }, test.query)
		})
		if len(names) > 0 {
			t.Errorf("these %s: %q", test.want, names)
		}
	}
}

func explain(t *testing.T, s *Store, query string) (plan string) {
	t.Helper()
	rows, err := s.db.Reader.Query("EXPLAIN QUERY PLAN "+query, make([]any, 1000)...)
	if err != nil {
		t.Fatal(query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan += detail + "\n"
	}
	return plan
}

// TestSQLiteFullDisk fills a disk. What does not fit is refused and leaves nothing. When there is space again, Updates
// succeed.
func TestSQLiteFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
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
	s, err := OpenSQLite(filepath.Join(dir, "sluice.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	filler := filepath.Join(dir, "filler")
	fill := exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=4k", "status=none")
	fill.Run() // until nothing is left

	var failed, stored int64
	for i := range 40 {
		err := s.Update(storetest.Background, storetest.LiveLedger, func(tx service.Tx) error {
			f := storetest.NewFile(storetest.LiveLedger, fmt.Sprint("file_", i))
			f.Title = strings.Repeat("x", 20_000)
			return tx.CreateFile(f, storetest.NewEntry(storetest.LiveLedger))
		})
		if err == nil {
			stored++
			continue
		}
		failed++
		storetest.WantCode(t, err, sluice.CodeStorageFull)
	}
	if failed == 0 {
		t.Fatal("the disk was never full")
	}
	storetest.WantCode(t, s.Ready(storetest.Background), sluice.CodeStorageFull)
	if n := int64(len(storetest.Seqs(t, s, storetest.LiveLedger))); n != stored {
		t.Errorf("%d entries, want %d", n, stored)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(storetest.Background); err != nil {
		t.Error(err)
	}
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
		return tx.CreateFile(storetest.NewFile(storetest.LiveLedger, "file_after"),
			storetest.NewEntry(storetest.LiveLedger))
	})
	if n := int64(len(storetest.Seqs(t, s, storetest.LiveLedger))); n != stored+1 {
		t.Errorf("%d entries, want %d", n, stored+1)
	}
}

// TestSQLiteCheckpointer waits until a commit is in the database file, though the WAL is far from full.
func TestSQLiteCheckpointer(t *testing.T) {
	s, path := openTemp(t)
	title := rand.Text()
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
		f := storetest.NewFile(storetest.LiveLedger, "file_1")
		f.Title = title
		return tx.CreateFile(f, storetest.NewEntry(storetest.LiveLedger))
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(title)) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was moved in a minute")
		}
	}
}

// TestSQLiteBrokenGroup lets the database refuse more pages in the middle of a group. SQLite may then end the
// transaction by itself. No neighbour may be told that it was stored. The next connection has space again.
func TestSQLiteBrokenGroup(t *testing.T) {
	s, _ := openTemp(t)
	storetest.Update(t, s, storetest.LiveLedger, func(given service.Tx) error {
		var pages int
		c := given.(*tx).session.Conn
		if err := c.QueryRowContext(storetest.Background, "PRAGMA page_count").Scan(&pages); err != nil {
			return err
		}
		_, err := c.ExecContext(storetest.Background, fmt.Sprintf("PRAGMA max_page_count = %d", pages+20))
		return err
	})
	release := storetest.Busy(t, s)
	var wg sync.WaitGroup
	acknowledged := make([]bool, 30)
	for i := range acknowledged {
		wg.Go(func() {
			err := s.Update(storetest.Background, storetest.LiveLedger, func(tx service.Tx) error {
				f := storetest.NewFile(storetest.LiveLedger, fmt.Sprint("file_", i))
				f.Title = strings.Repeat("x", 10_000)
				return errors.Join(tx.CreateFile(f, storetest.NewEntry(storetest.LiveLedger)),
					tx.Record(storetest.NewEntry(storetest.LiveLedger)))
			})
			if acknowledged[i] = err == nil; !acknowledged[i] {
				storetest.WantCode(t, err, sluice.CodeStorageFull)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	release()
	wg.Wait()
	stored := 0
	for i, ok := range acknowledged {
		err := s.View(storetest.Background, func(r service.Reader) error {
			_, err := r.File(storetest.LiveLedger, fmt.Sprint("file_", i))
			return err
		})
		if ok {
			stored++
		}
		if ok != (err == nil) {
			t.Errorf("file_%d: acknowledged %v, but %v", i, ok, err)
		}
	}
	if n := len(storetest.Seqs(t, s, storetest.LiveLedger)); n != 2*stored {
		t.Errorf("%d entries, want %d", n, 2*stored)
	}
	for range 3 { // and the store has recovered
		storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
			return tx.Record(storetest.NewEntry(storetest.LiveLedger))
		})
	}
}

// TestSQLiteLocked locks the database from another process. The store waits for it, and is unavailable when that takes
// too long, or when its connection is lost.
func TestSQLiteLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.db")
	s, err := openSQLite(path, Options{}, maxGroup, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db, err := sql.Open("sqlite", sqlite.DSN(path, "_txlock=immediate"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Update": s.Update(storetest.Background, storetest.LiveLedger, func(tx service.Tx) error {
			t.Error("an update was run without the lock")
			return nil
		}),
		"Ready": s.Ready(storetest.Background),
	} {
		var e *sluice.Error
		if !errors.As(err, &e) || e.Code != sluice.CodeUnavailable || e.RetryAfter != time.Second {
			t.Errorf("%s of a locked database: %v", name, err)
		}
	}
	time.AfterFunc(100*time.Millisecond, func() { lock.Rollback() })
	patient, err := OpenSQLite(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer patient.Close()
	storetest.Update(t, patient, storetest.LiveLedger, func(tx service.Tx) error {
		return tx.Record(storetest.NewEntry(storetest.LiveLedger))
	})
	err = s.Update(storetest.Background, storetest.LiveLedger, func(given service.Tx) error {
		if err := given.Record(storetest.NewEntry(storetest.LiveLedger)); err != nil {
			return err
		}
		given.(*tx).session.Conn.Discard()
		return nil
	})
	storetest.WantCode(t, err, sluice.CodeUnavailable)
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
		return tx.Record(storetest.NewEntry(storetest.LiveLedger))
	})
	if n := len(storetest.Seqs(t, s, storetest.LiveLedger)); n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
}

// TestSQLiteGroups queues Updates, each of its own ledger, and counts how many are in one group.
func TestSQLiteGroups(t *testing.T) {
	s, err := openSQLite(filepath.Join(t.TempDir(), "sluice.db"), Options{}, 4, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	release := storetest.Busy(t, s)
	var wg sync.WaitGroup
	var largest int // written by the writer alone
	for i := range 9 {
		wg.Go(func() {
			l := sluice.LedgerID{Account: fmt.Sprint("acct_", i), Mode: sluice.Live}
			storetest.Update(t, s, l, func(given service.Tx) error {
				largest = max(largest, 1+given.(*tx).session.Buffer.(*group).log.Unwritten())
				return given.Record(storetest.NewEntry(l))
			})
		})
	}
	for deadline := time.Now().Add(time.Minute); s.Waiting() < 9 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond) // what is counted is about to wait
	release()
	wg.Wait()
	if largest != 4 {
		t.Errorf("%d updates shared a commit, want 4", largest)
	}
}

const childDatabase = "SLUICE_TEST_DATABASE"

// TestSQLiteKill kills a process in the middle of its Updates, again and again, while this process updates the same
// database. Everything that either was told is stored is there, and nothing is half stored. SLUICE_LONG=1 does so 60
// times; docs/faults.md has the results.
func TestSQLiteKill(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short")
	}
	testKill(t, 60, func(path string) (*Store, error) { return OpenSQLite(path, Options{}) }, func() string {
		return filepath.Join(t.TempDir(), "sluice.db")
	})
}

// testKill kills a process three times, or long times.
func testKill(t *testing.T, long int, open func(path string) (*Store, error), create func() string) {
	if path := os.Getenv(childDatabase); path != "" {
		writeUntilKilled(open(path))
	}
	rounds, began := 3, time.Now()
	if os.Getenv("SLUICE_LONG") != "" {
		rounds = long
	}
	path := create()
	acknowledged := map[string]bool{}
	for round := range rounds {
		s, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		child.Env = append(os.Environ(), childDatabase+"="+path)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			acknowledged[lines.Text()] = true
			if n%30 == 0 {
				acknowledged[storeFile(t, s)] = true
			}
			if n == 300+100*(round%3) {
				child.Process.Kill()
			}
		}
		child.Wait()
		acknowledged[storeFile(t, s)] = true // while the killed process's locks are cleaned up
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		checkStored(t, open, path, acknowledged)
	}
	t.Logf("%d rounds, %d updates acknowledged, %v", rounds, len(acknowledged), time.Since(began).Round(time.Second))
}

// storeFile stores a file with two entries, and gives its id.
func storeFile(t *testing.T, s *Store) string {
	t.Helper()
	id, err := tryStoreFile(s)
	if err != nil {
		t.Error(err)
	}
	return id
}

func tryStoreFile(s *Store) (string, error) {
	e1, e2 := storetest.NewEntry(storetest.LiveLedger), storetest.NewEntry(storetest.LiveLedger)
	e1.ID, e2.ID = fmt.Sprintf("%s_%d", e1.ID, os.Getpid()), fmt.Sprintf("%s_%d", e2.ID, os.Getpid())
	f := storetest.NewFile(storetest.LiveLedger, "file_"+e1.ID)
	e1.File, e2.File = &sluice.FilePart{ID: f.ID}, &sluice.FilePart{ID: f.ID}
	return f.ID, s.Update(storetest.Background, storetest.LiveLedger, func(tx service.Tx) error {
		return errors.Join(tx.CreateFile(f, e1), tx.Record(e2))
	})
}

// checkStored wants every file in acknowledged, two successive entries for each file, and each file that an entry
// names.
func checkStored(t *testing.T, open func(path string) (*Store, error), path string, acknowledged map[string]bool) {
	t.Helper()
	s, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stored := storetest.Seqs(t, s, storetest.LiveLedger)
	if len(stored)%2 != 0 || len(acknowledged) < 300 {
		t.Errorf("%d entries of updates that record two, %d acknowledged", len(stored), len(acknowledged))
	}
	err = s.View(storetest.Background, func(r service.Reader) error {
		for id := range acknowledged {
			if _, err := r.File(storetest.LiveLedger, id); err != nil {
				t.Errorf("%s was acknowledged: %v", id, err)
			}
		}
		for i := 0; i+1 < len(stored); i += 2 {
			first, err1 := r.Entry(storetest.LiveLedger, stored[i])
			second, err2 := r.Entry(storetest.LiveLedger, stored[i+1])
			if err := errors.Join(err1, err2); err != nil || first.File.ID != second.File.ID {
				t.Errorf("seq %d and %d do not belong to one Update: %v", i, i+1, err)
				continue
			}
			if _, err := r.File(storetest.LiveLedger, first.File.ID); err != nil {
				t.Errorf("seq %d names %s: %v", i, first.File.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// writeUntilKilled stores files from many goroutines, and prints the id of each when its Update has returned.
func writeUntilKilled(s *Store, err error) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err != nil {
		fail(err)
	}
	for range 16 {
		go func() {
			for {
				id, err := tryStoreFile(s)
				if err != nil {
					fail(err)
				}
				fmt.Println(id)
			}
		}()
	}
	select {}
}
