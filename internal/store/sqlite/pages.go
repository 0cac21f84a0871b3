package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"sluice/internal/store/sqldb"
)

// CheckFile checks the pages of a database in a file that may be too damaged to be opened otherwise. It
// changes nothing of the database. Other processes may use it at the same time.
func CheckFile(ctx context.Context, path string) (r sqldb.PageReport, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return r, err
	}
	db, err := sql.Open("sqlite", DSN(path, "mode=ro", "_busy_timeout=5000"))
	if err != nil {
		return r, err
	}
	defer db.Close()
	c, err := sqldb.Connect(ctx, db)
	if err == nil {
		defer c.Discard()
		r, err = checkPages(ctx, c)
	}
	if problem := damage(err); problem != "" {
		r.Add(problem)
		err = nil
	}
	return r, err
}

// checkPages runs https://www.sqlite.org/pragma.html#pragma_quick_check.
func checkPages(ctx context.Context, c *sqldb.Conn) (r sqldb.PageReport, err error) {
	err = c.QueryRowContext(ctx, "PRAGMA page_count").Scan(&r.Pages)
	if err == nil {
		err = quickCheck(ctx, c, &r)
	}
	if problem := damage(err); problem != "" {
		r.Add(problem)
		err = nil
	}
	return r, err
}

func quickCheck(ctx context.Context, c *sqldb.Conn, r *sqldb.PageReport) error {
	rows, err := c.QueryContext(ctx, fmt.Sprintf("PRAGMA quick_check(%d)", sqldb.MaxPageProblems))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		for line := range strings.Lines(text) { // one row may tell of several
			if line = strings.TrimSpace(line); line != "ok" && line != "" && !strings.HasPrefix(line, "***") {
				r.Add(line)
			}
		}
	}
	return rows.Err()
}

// damage is what an error of SQLite says of a file that is damaged or cannot be read, "" for another error.
func damage(err error) string {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_ERROR: // a schema that cannot be parsed
		return e.Error()
	}
	return ""
}
