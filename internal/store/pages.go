package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxPageProblems is how many problems a PageReport has at most.
const maxPageProblems = 100

// PageReport is what a check of a database's pages has found.
type PageReport struct {
	Pages    int64    // that were looked at; 0 where the database does not say
	Problems []string // at most 100
	Notes    []string // what was not looked at, and why
}

func (r *PageReport) add(problem string) {
	if len(r.Problems) < maxPageProblems {
		r.Problems = append(r.Problems, problem)
	}
}

// CheckPages has the database check its own pages, in one read, on a connection of its own: writers and other
// readers go on meanwhile. SQLite keeps what is written meanwhile in its log (WAL). SQLite runs quick_check, and
// PostgreSQL what its extension amcheck offers, where it is installed.
func (s *Store) CheckPages(ctx context.Context) (r PageReport, err error) {
	leave, err := s.enter()
	if err != nil {
		return r, err
	}
	defer leave()
	c, err := s.connect(ctx, s.readDB)
	if err != nil {
		return r, s.classify(err)
	}
	defer c.discard()
	r, err = s.pages(ctx, c)
	return r, s.classify(err)
}

// CheckSQLiteFile checks the pages of a database in a file that may be too damaged to be opened otherwise. It
// changes nothing of the database. Other processes may use it at the same time.
func CheckSQLiteFile(ctx context.Context, path string) (r PageReport, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return r, err
	}
	db, err := sql.Open("sqlite", sqliteDSN(path, "mode=ro", "_busy_timeout=5000"))
	if err != nil {
		return r, err
	}
	defer db.Close()
	c, err := connect(ctx, db)
	if err == nil {
		defer c.discard()
		r, err = sqlitePages(ctx, c)
	}
	if problem := sqliteDamage(err); problem != "" {
		r.add(problem)
		err = nil
	}
	return r, err
}

// sqlitePages runs https://www.sqlite.org/pragma.html#pragma_quick_check.
func sqlitePages(ctx context.Context, c *conn) (r PageReport, err error) {
	err = c.QueryRowContext(ctx, "PRAGMA page_count").Scan(&r.Pages)
	if err == nil {
		err = sqliteQuickCheck(ctx, c, &r)
	}
	if problem := sqliteDamage(err); problem != "" {
		r.add(problem)
		err = nil
	}
	return r, err
}

func sqliteQuickCheck(ctx context.Context, c *conn, r *PageReport) error {
	rows, err := c.QueryContext(ctx, fmt.Sprintf("PRAGMA quick_check(%d)", maxPageProblems))
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
				r.add(line)
			}
		}
	}
	return rows.Err()
}

// sqliteDamage is what an error of SQLite says of a file that is damaged or cannot be read, "" for another error.
func sqliteDamage(err error) string {
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

// postgresPages runs https://www.postgresql.org/docs/current/amcheck.html on every table and index of the schema.
// What it needs no role has by itself but a superuser.
func postgresPages(ctx context.Context, c *conn) (r PageReport, err error) {
	var checksums, version string
	if err := c.QueryRowContext(ctx, "SHOW data_checksums").Scan(&checksums); err != nil {
		return r, err
	}
	if checksums == "off" {
		r.Notes = append(r.Notes, "data_checksums is off: PostgreSQL does not notice that a page has changed on the disk")
	}
	err = c.QueryRowContext(ctx, "SELECT extversion FROM pg_extension WHERE extname = 'amcheck'").Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		r.Notes = append(r.Notes, "the extension amcheck is not installed: tables and indexes were not checked")
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if _, err := c.ExecContext(ctx, "SET statement_timeout = 0"); err != nil {
		return r, err
	}
	relations, err := postgresRelations(ctx, c)
	if err != nil {
		return r, err
	}
	for _, rel := range relations {
		if err := rel.check(ctx, c, &r); err != nil {
			return r, err
		}
		if len(r.Problems) == maxPageProblems {
			break
		}
	}
	return r, nil
}

// relation is a table or a B-tree index.
type relation struct {
	id    int64
	name  string
	kind  string // of pg_class.relkind: r is a table, i an index
	pages int64
}

func postgresRelations(ctx context.Context, c *conn) (list []relation, err error) {
	rows, err := c.QueryContext(ctx, "SELECT c.oid::bigint, c.relname::text, c.relkind::text,"+
		" pg_relation_size(c.oid) / current_setting('block_size')::bigint"+
		" FROM pg_class c LEFT JOIN pg_am am ON am.oid = c.relam LEFT JOIN pg_index x ON x.indexrelid = c.oid"+
		" WHERE c.relnamespace = current_schema()::regnamespace AND c.relpersistence = 'p'"+
		" AND (c.relkind = 'r' OR c.relkind = 'i' AND am.amname = 'btree' AND x.indisvalid) ORDER BY c.relname")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var rel relation
		if err := rows.Scan(&rel.id, &rel.name, &rel.kind, &rel.pages); err != nil {
			return nil, err
		}
		list = append(list, rel)
	}
	return list, rows.Err()
}

// check checks a relation. What the role may not check is a note.
func (rel relation) check(ctx context.Context, c *conn, r *PageReport) error {
	var err error
	if rel.kind == "i" {
		_, err = c.ExecContext(ctx, "SELECT bt_index_check($1::bigint::oid::regclass, false)", rel.id)
	} else {
		err = rel.checkTable(ctx, c, r)
	}
	var failed *pgconn.PgError
	switch {
	case err == nil:
		r.Pages += rel.pages
		return nil
	case !errors.As(err, &failed):
		return err
	}
	switch {
	case failed.Code == "42501" || failed.Code == "42883": // insufficient_privilege, undefined_function
		r.Notes = append(r.Notes, rel.name+" was not checked: "+failed.Message)
	case strings.HasPrefix(failed.Code, "XX") || strings.HasPrefix(failed.Code, "58"): // data_corrupted, io_error
		r.add(rel.name + ": " + failed.Message)
	default:
		return err
	}
	return nil
}

func (rel relation) checkTable(ctx context.Context, c *conn, r *PageReport) error {
	rows, err := c.QueryContext(ctx, "SELECT blkno, COALESCE(offnum, 0), msg"+
		" FROM verify_heapam($1::bigint::oid::regclass) LIMIT $2", rel.id, maxPageProblems)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var block, item int64
		var text string
		if err := rows.Scan(&block, &item, &text); err != nil {
			return err
		}
		r.add(fmt.Sprintf("%s: page %d, item %d: %s", rel.name, block, item, text))
	}
	return rows.Err()
}
