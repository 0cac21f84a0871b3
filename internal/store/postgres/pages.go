package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"sluice/internal/store/sqldb"
)

// checkPages runs https://www.postgresql.org/docs/current/amcheck.html on every table and index of the schema.
// What it needs no role has by itself but a superuser.
func checkPages(ctx context.Context, c *sqldb.Conn) (r sqldb.PageReport, err error) {
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
	list, err := relations(ctx, c)
	if err != nil {
		return r, err
	}
	for _, rel := range list {
		if err := rel.check(ctx, c, &r); err != nil {
			return r, err
		}
		if len(r.Problems) == sqldb.MaxPageProblems {
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

func relations(ctx context.Context, c *sqldb.Conn) (list []relation, err error) {
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
func (rel relation) check(ctx context.Context, c *sqldb.Conn, r *sqldb.PageReport) error {
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
		r.Add(rel.name + ": " + failed.Message)
	default:
		return err
	}
	return nil
}

func (rel relation) checkTable(ctx context.Context, c *sqldb.Conn, r *sqldb.PageReport) error {
	rows, err := c.QueryContext(ctx, "SELECT blkno, COALESCE(offnum, 0), msg"+
		" FROM verify_heapam($1::bigint::oid::regclass) LIMIT $2", rel.id, sqldb.MaxPageProblems)
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
		r.Add(fmt.Sprintf("%s: page %d, item %d: %s", rel.name, block, item, text))
	}
	return rows.Err()
}
