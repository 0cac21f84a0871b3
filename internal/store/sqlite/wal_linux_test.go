package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"sluice/internal/store/sqldb"
)

// openWriter opens a database with a small page cache, which SQLite would spill into the WAL by default.
func openWriter(t *testing.T) (path string, d *sqldb.Database, c *sqldb.Conn) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sluice.db")
	d, err := Open(path, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	if c, err = d.Connect(context.Background(), d.Writer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Stop()
		c.Discard()
		d.Reader.Close()
		d.Writer.Close()
	})
	mustExec(t, c, "PRAGMA cache_size = 10")
	mustExec(t, c, "CREATE TABLE page (n INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT")
	return path, d, c
}

func mustExec(t *testing.T, c *sqldb.Conn, query string, args ...any) {
	t.Helper()
	if _, err := c.Exec(context.Background(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// pagesOf gives how many rows a copy of the files has, which is what a process that was killed leaves, and what is
// wrong with the copy.
func pagesOf(t *testing.T, path string) (n int, check string) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy.db")
	for _, end := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + end)
		if err == nil {
			err = os.WriteFile(copied+end, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", DSN(copied))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT count(*) FROM page").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&check); err != nil {
		t.Fatal(err)
	}
	return n, check
}

// TestWALCommits wants each commit in the files when COMMIT has returned.
func TestWALCommits(t *testing.T) {
	path, d, c := openWriter(t)
	for i := range 20 {
		mustExec(t, c, d.Begin)
		mustExec(t, c, "INSERT INTO page (data) VALUES ($1)", make([]byte, i*1000))
		mustExec(t, c, "COMMIT")
		if n, check := pagesOf(t, path); n != i+1 || check != "ok" {
			t.Fatalf("after commit %d a copy of the files has %d rows: %s", i+1, n, check)
		}
	}
}

// TestWALSpill wants nothing in the files of a transaction that does not fit the page cache, before it commits.
func TestWALSpill(t *testing.T) {
	path, d, c := openWriter(t)
	mustExec(t, c, d.Begin)
	random := make([]byte, 3000)
	rand.Read(random)
	for range 200 {
		mustExec(t, c, "INSERT INTO page (data) VALUES ($1)", random)
	}
	if n := same(t, c, random); n != 200 {
		t.Errorf("the transaction reads %d of its rows", n)
	}
	if n, check := pagesOf(t, path); n != 0 || check != "ok" {
		t.Errorf("before the commit a copy of the files has %d rows: %s", n, check)
	}
	mustExec(t, c, "COMMIT")
	if n, check := pagesOf(t, path); n != 200 || check != "ok" {
		t.Errorf("after the commit a copy of the files has %d rows: %s", n, check)
	}
}

func same(t *testing.T, c *sqldb.Conn, data []byte) (n int) {
	t.Helper()
	rows, err := c.Query(context.Background(), "SELECT count(*) FROM page WHERE data = $1", data)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestWALFullDisk has writes fail for a while. Such a transaction is lost as a whole, or it is committed as a whole.
func TestWALFullDisk(t *testing.T) {
	for failsAt := range 12 {
		t.Run(fmt.Sprint(failsAt), func(t *testing.T) {
			path, d, c := openWriter(t)
			ctx := context.Background()
			intact := below.io
			defer func() { below.io = intact }()
			failing, writes := *intact, 0
			write := method[transferMethod](intact.FxWrite)
			failing.FxWrite = address(transferMethod(func(tls *libc.TLS, file, data uintptr, n int32, at int64) int32 {
				if writes++; writes > failsAt && writes <= failsAt+3 {
					return sqlite3.SQLITE_FULL
				}
				return write(tls, file, data, n, at)
			}))
			below.io = &failing
			mustExec(t, c, d.Begin)
			random := make([]byte, 3000)
			rand.Read(random)
			inserted := 0
			for range 200 {
				if _, err := c.Exec(ctx, "INSERT INTO page (data) VALUES ($1)", random); err != nil {
					break
				}
				inserted++
			}
			if _, err := c.Exec(ctx, "COMMIT"); err != nil {
				inserted = 0
				c.Exec(ctx, "ROLLBACK") // SQLite may have done so
			}
			n, check := pagesOf(t, path)
			if n != inserted || check != "ok" {
				t.Errorf("a copy of the files has %d rows, want %d: %s", n, inserted, check)
			}
			below.io = intact
			mustExec(t, c, d.Begin)
			mustExec(t, c, "INSERT INTO page (data) VALUES (x'')")
			mustExec(t, c, "COMMIT")
			if after, check := pagesOf(t, path); after != n+1 || check != "ok" {
				t.Errorf("after the next commit a copy of the files has %d rows, want %d: %s", after, n+1, check)
			}
		})
	}
}

// TestWALRollback has another connection commit where a transaction that was rolled back might have written.
func TestWALRollback(t *testing.T) {
	path, d, c := openWriter(t)
	ctx := context.Background()
	mustExec(t, c, d.Begin)
	for range 400 {
		mustExec(t, c, "INSERT INTO page (data) VALUES ($1)", make([]byte, 3000))
	}
	mustExec(t, c, "COMMIT")
	if _, err := truncateWAL(ctx, c); err != nil {
		t.Fatal(err)
	}
	mustExec(t, c, d.Begin)
	random := make([]byte, 3000)
	rand.Read(random)
	for n := range 200 { // more than the page cache holds, of pages that exist
		mustExec(t, c, "UPDATE page SET data = $1 WHERE n = $2", random, n+1)
	}
	mustExec(t, c, "ROLLBACK")
	other, err := sql.Open("sqlite", DSN(path, "_busy_timeout=5000"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Exec("UPDATE page SET data = $1", []byte("committed")); err != nil {
		t.Fatal(err)
	}
	mustExec(t, c, d.Begin)
	mustExec(t, c, "INSERT INTO page (data) VALUES (x'')")
	mustExec(t, c, "COMMIT")
	if n, check := pagesOf(t, path); n != 401 || check != "ok" {
		t.Errorf("a copy of the files has %d rows: %s", n, check)
	}
	if n := same(t, c, []byte("committed")); n != 400 {
		t.Errorf("%d rows are as the other connection has committed them, want 400", n)
	}
}
