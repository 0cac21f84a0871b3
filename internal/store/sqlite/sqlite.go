// Package sqlite opens SQLite databases for a store: the dialect, the migrations, and what runs beside the writer.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"sluice"
	"sluice/internal/store/sqldb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations gives the migrations of the schema.
func Migrations() fs.FS {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return files
}

var dialect = sqldb.Dialect{
	Begin: "BEGIN IMMEDIATE", View: "BEGIN", Now: "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
	Code: code, Locked: Locked, Version: version, Placeholder: Placeholder, Pages: checkPages,
	File: databaseFile,
}

// Placeholder is that of any argument. The driver searches all names of numbered ones for each argument, which
// takes long in a statement with many.
func Placeholder(int) string { return "?" }

// Open opens the database in a file. It creates a file that does not exist, readable by its owner only. Several
// processes of one machine may share it. A file that is replaced or removed while it is open is noticed: see
// Database.Lost. A schema newer than this binary knows is refused. A full disk is CodeStorageFull.
func Open(path string, log *slog.Logger) (*sqldb.Database, error) {
	d, err := open(path, log)
	if err != nil {
		return nil, OpenError(path, err)
	}
	return d, nil
}

func open(path string, log *slog.Logger) (_ *sqldb.Database, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	// SQLite gives the files beside the database the mode of the database.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	opened, err := file.Stat()
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if err := Migrate(path, log); err != nil {
		return nil, err
	}
	d := &sqldb.Database{Dialect: dialect, Name: path, Readers: runtime.GOMAXPROCS(0)}
	// SQLite's own waiting sleeps ever longer, so that a busy process would never
	// let another in. The writer waits in small steps instead.
	d.Writer, err = sql.Open("sqlite", DSN(path, walParam(), "_busy_timeout="+strconv.Itoa(writerWait),
		"_txlock=immediate", "_journal_mode=WAL", "_synchronous=FULL",
		"_pragma=cache_spill(OFF)",  // what a rollback takes back never leaves memory: see wal_linux.go
		"_pragma=secure_delete(ON)", // erased values are overwritten, also in pages that become free
		"_pragma=temp_store(MEMORY)", "_pragma=cache_size(-16384)", "_pragma=wal_autocheckpoint(4000)"))
	if err != nil {
		return nil, err
	}
	d.Writer.SetMaxOpenConns(1)
	d.Reader, err = sql.Open("sqlite", DSN(path, "_busy_timeout=5000", "_query_only=1", "_pragma=cache_size(-8192)"))
	if err != nil {
		return nil, errors.Join(err, d.Writer.Close())
	}
	c, err := newCheckpointer(path)
	if err != nil {
		return nil, errors.Join(err, d.Reader.Close(), d.Writer.Close())
	}
	w, err := watchOpened(d, path, opened)
	if err != nil {
		return nil, errors.Join(err, c.close(), d.Reader.Close(), d.Writer.Close())
	}
	d.Scrub, d.Committed = c.scrub, c.note
	d.Intact, d.Lost = w.intact, w.lost
	d.Stop = func() error { w.close(); return c.close() }
	d.Drain = func(last *sqldb.Conn) { w.drain(last, log) }
	d.Finish = func() error { return w.clear(log) }
	return d, nil
}

// watchOpened watches the file of a database. The first read creates the files that reading needs, while the disk has
// room, and leaves a connection that keeps them.
func watchOpened(d *sqldb.Database, path string, opened os.FileInfo) (*watch, error) {
	var n int64
	if err := d.Reader.QueryRow("SELECT count(*) FROM signing_key").Scan(&n); err != nil {
		return nil, d.Classify(err)
	}
	return newWatch(path, opened)
}

// OpenError says which database could not be opened. A full disk is CodeStorageFull.
func OpenError(path string, err error) error {
	if code := code(err); code == sluice.CodeStorageFull && sluice.CodeOf(err) != code {
		err = sqldb.Coded(code, err)
	}
	return fmt.Errorf("open database %s: %w", path, err)
}

// Migrate brings the schema of the database in a file up to date.
func Migrate(path string, log *slog.Logger) error {
	db, err := sql.Open("sqlite", DSN(path,
		"_busy_timeout=5000", "_txlock=immediate", "_journal_mode=WAL", "_synchronous=FULL"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	err = sqldb.Migrate(context.Background(), goose.DialectSQLite3, db, Migrations(), log)
	// SQLite does not always wait for a lock: not for the one that turns a new database into WAL mode, for example.
	for deadline := time.Now().Add(time.Minute); Locked(err) && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
		err = sqldb.Migrate(context.Background(), goose.DialectSQLite3, db, Migrations(), log)
	}
	return errors.Join(err, db.Close())
}

// writerWait is how long a statement of the writer waits for a lock, in milliseconds.
const writerWait = 10

// DSN names the database in a file, with parameters of the driver.
func DSN(path string, params ...string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: strings.Join(params, "&")}
	return u.String()
}

// Locked reports whether an error says that another connection holds a lock.
func Locked(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// version is https://www.sqlite.org/pragma.html#pragma_data_version.
func version(ctx context.Context, c *sqldb.Conn) (version int64, err error) {
	rows, err := c.Query(ctx, "PRAGMA data_version")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		err = rows.Scan(&version)
	}
	return version, errors.Join(err, rows.Err())
}

// truncateWAL moves the WAL into the database and truncates it, because the WAL still has the pages from before an
// erasure. A reader of those pages prevents that; done is false then.
func truncateWAL(ctx context.Context, c *sqldb.Conn) (done bool, err error) {
	if _, err := c.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return false, err
	}
	defer func() {
		_, restored := c.ExecContext(ctx, "PRAGMA busy_timeout = "+strconv.Itoa(writerWait))
		err = errors.Join(err, restored)
	}()
	var busy, pages, moved int
	if err := c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved); err != nil {
		return false, err
	}
	return busy == 0, nil
}

// code reads the result codes of https://www.sqlite.org/rescode.html.
func code(err error) sluice.Code {
	var e *sqlite.Error
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return sluice.CodeStorageFull
	case !errors.As(err, &e):
		return ""
	case e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE: // the index of the WAL could not grow
		return sluice.CodeStorageFull
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return sluice.CodeStorageFull
	case sqlite3.SQLITE_CONSTRAINT:
		return sluice.CodeConflict
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB: // SQLite may report an unreadable page as a malformed one
		return sluice.CodeUnavailable
	}
	return ""
}
