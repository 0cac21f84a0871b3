package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"sluice"
)

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

var sqliteDialect = dialect{begin: "BEGIN IMMEDIATE", view: "BEGIN", code: sqliteCode, scrub: sqliteScrub}

// OpenSQLite opens the database in a file, which it makes when there is none,
// readable by its owner only. Several processes of one machine may share it.
// A schema newer than this binary knows is refused.
func OpenSQLite(path string, opts Options) (*Store, error) {
	return openSQLite(path, opts, maxGroup)
}

func openSQLite(path string, opts Options, group int) (_ *Store, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open database %s: %w", path, err)
		}
	}()
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	// SQLite gives the files beside the database the mode that it has itself.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	file.Close()

	db, err := sql.Open("sqlite", sqliteDSN(path, "_txlock=immediate", "_journal_mode=WAL", "_synchronous=FULL",
		"_pragma=secure_delete(ON)", // what is erased is overwritten, also in pages that become free
		"_pragma=temp_store(MEMORY)", "_pragma=cache_size(-32768)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	files, err := fs.Sub(sqliteMigrations, "migrations/sqlite")
	if err == nil {
		err = migrate(context.Background(), goose.DialectSQLite3, db, files)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	readDB, err := sql.Open("sqlite", sqliteDSN(path, "_query_only=1", "_pragma=cache_size(-8192)"))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return newStore(sqliteDialect, db, readDB, runtime.GOMAXPROCS(0), group, opts), nil
}

// busyTimeout is how long a statement waits for a lock, in milliseconds.
const busyTimeout = 5000

func sqliteDSN(path string, params ...string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: "_busy_timeout=" + strconv.Itoa(busyTimeout)}
	for _, p := range params {
		u.RawQuery += "&" + p
	}
	return u.String()
}

// sqliteScrub moves the log (WAL) into the database and cuts it to nothing: it
// still has the pages from before. A reader of those pages is in its way.
func sqliteScrub(ctx context.Context, c *conn) (done bool, err error) {
	if _, err := c.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return false, err
	}
	defer func() {
		_, restored := c.ExecContext(ctx, "PRAGMA busy_timeout = "+strconv.Itoa(busyTimeout))
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
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM:
		return sluice.CodeUnavailable
	}
	return ""
}
