package store

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
	"sluice/internal/service"
)

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

var sqliteDialect = dialect{
	begin: "BEGIN IMMEDIATE", view: "BEGIN", now: "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
	code: sqliteCode, locked: sqliteLocked, version: sqliteVersion, pages: sqlitePages,
	// The driver looks for the name of each numbered one, among all of them.
	placeholder: func(int) string { return "?" },
}

// OpenSQLite opens the database in a file, which it makes when there is none,
// readable by its owner only. Several processes of one machine may share it. A
// file that is replaced or removed meanwhile is noticed: see Lost.
// A schema newer than this binary knows is refused. A full disk is CodeStorageFull.
func OpenSQLite(path string, opts Options) (*Store, error) {
	return openSQLite(path, opts, maxGroup, 5*time.Second)
}

// openSQLite has group requests share a commit, and waits for another process's lock as long as wait says. Even to open
// a database takes some space, which the reserve of a full disk has.
func openSQLite(path string, opts Options, group int, wait time.Duration) (*Store, error) {
	opts = opts.complete()
	s, err := openSQLiteFile(path, opts, group, wait)
	if err != nil && opts.Reserve != "" && sqliteCode(err) == sluice.CodeStorageFull {
		if info, absent := os.Stat(opts.Reserve); absent == nil && info.Size() > 0 {
			(&reserve{path: opts.Reserve, log: opts.Log}).release()
			s, err = openSQLiteFile(path, opts, group, wait)
		}
	}
	if err != nil {
		return nil, openError(path, err)
	}
	return s, nil
}

func openSQLiteFile(path string, opts Options, group int, wait time.Duration) (_ *Store, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	// SQLite gives the files beside the database the mode that it has itself.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	opened, err := file.Stat()
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}

	if err := migrateSQLite(path, opts.Log); err != nil {
		return nil, err
	}
	// SQLite's own waiting sleeps ever longer, so that a busy process would never
	// let another in; the writer waits in small steps instead.
	db, err := sql.Open("sqlite", sqliteDSN(path, "_busy_timeout="+strconv.Itoa(writerWait), "_txlock=immediate", "_journal_mode=WAL", "_synchronous=FULL",
		"_pragma=secure_delete(ON)", // what is erased is overwritten, also in pages that become free
		"_pragma=temp_store(MEMORY)", "_pragma=cache_size(-16384)", "_pragma=wal_autocheckpoint(4000)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	readDB, err := sql.Open("sqlite", sqliteDSN(path, "_busy_timeout=5000", "_query_only=1", "_pragma=cache_size(-8192)"))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	m, err := newMover(path)
	if err != nil {
		return nil, errors.Join(err, readDB.Close(), db.Close())
	}
	d := sqliteDialect
	d.scrub, d.committed, d.close = m.scrub, m.note, m.close
	s := newStore(d, db, readDB, runtime.GOMAXPROCS(0), group, wait, opts)
	if opts.Reserve != "" {
		s.reserve = openReserve(opts.Reserve, opts.Log)
	}
	// A first look makes the files that even reading needs, while there is room.
	err = s.View(context.Background(), func(r service.Reader) error {
		_, err := r.SigningKeys()
		return err
	})
	if err == nil {
		s.file, err = watchFile(path, opened)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openError says which database could not be opened. A full disk is CodeStorageFull.
func openError(path string, err error) error {
	if code := sqliteCode(err); code == sluice.CodeStorageFull && sluice.CodeOf(err) != code {
		err = sluice.Wrap(code, details[code], err)
	}
	return fmt.Errorf("open database %s: %w", path, err)
}

func migrateSQLite(path string, log *slog.Logger) error {
	db, err := sql.Open("sqlite", sqliteDSN(path, "_busy_timeout=5000", "_txlock=immediate", "_journal_mode=WAL", "_synchronous=FULL"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	files, err := fs.Sub(sqliteMigrations, "migrations/sqlite")
	if err == nil {
		err = migrate(context.Background(), goose.DialectSQLite3, db, files, log)
	}
	// SQLite does not always wait for a lock: not for the one that a new database takes to become a WAL, for one.
	for deadline := time.Now().Add(time.Minute); sqliteLocked(err) && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
		err = migrate(context.Background(), goose.DialectSQLite3, db, files, log)
	}
	return errors.Join(err, db.Close())
}

// writerWait is how long a statement of the writer waits for a lock, in
// milliseconds.
const writerWait = 10

func sqliteDSN(path string, params ...string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: strings.Join(params, "&")}
	return u.String()
}

func sqliteLocked(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// sqliteVersion is https://www.sqlite.org/pragma.html#pragma_data_version.
func sqliteVersion(ctx context.Context, c *conn) (version int64, err error) {
	rows, err := c.query(ctx, "PRAGMA data_version")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		err = rows.Scan(&version)
	}
	return version, errors.Join(err, rows.Err())
}

// sqliteScrub moves the log (WAL) into the database and cuts it to nothing: it
// still has the pages from before. A reader of those pages is in its way.
func sqliteScrub(ctx context.Context, c *conn) (done bool, err error) {
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

// sqliteCode reads the result codes of https://www.sqlite.org/rescode.html.
func sqliteCode(err error) sluice.Code {
	var e *sqlite.Error
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return sluice.CodeStorageFull
	case !errors.As(err, &e):
		return ""
	case e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE: // the index of the log could not grow
		return sluice.CodeStorageFull
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return sluice.CodeStorageFull
	case sqlite3.SQLITE_CONSTRAINT:
		return sluice.CodeConflict
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB: // a page that cannot be read may be taken for a malformed one
		return sluice.CodeUnavailable
	}
	return ""
}
