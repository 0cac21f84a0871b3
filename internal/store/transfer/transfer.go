// Package transfer copies the records of an installation from SQLite to PostgreSQL.
package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sluice"
	"sluice/internal/store"
	"sluice/internal/store/postgres"
	"sluice/internal/store/sqldb"
	"sluice/internal/store/sqlite"
)

// Transfer copies the records of an installation from SQLite to PostgreSQL. While it is open no other process can
// open the SQLite database. It changes nothing in there but the schema, where that is older than this binary.
//
// From Begin to Finish the PostgreSQL database has a mark, and only another Transfer of the same installation can
// open it. Such a Transfer continues where the last one stopped, for whatever reason that was. It is not for
// several goroutines at once, but the Store that To gives is.
type Transfer struct {
	source *sql.DB
	from   *sqldb.Conn // the only connection to the SQLite database
	to     *store.Store
	target *sqldb.Database // that of to
	conn   *sqldb.Conn     // to target
	tables []table
	mark   string
	begun  bool
	done   bool
}

// batchSize is how many rows are read at a time, and how many are changed in one transaction.
const batchSize = 500

// notCopied are tables that belong to a database and not to an installation.
var notCopied = []string{"goose_db_version", "lease", "probe"}

// copiedLast are copied after all others: a database without them counts as unused.
var copiedLast = []string{"account", "signing_key"}

// Open opens the SQLite database of an installation in a file, and locks it. It opens the PostgreSQL database as
// store.OpenPostgres does. That one must be empty, or a transfer of the same installation must have begun or
// finished to fill it.
func Open(ctx context.Context, path, url string, opts store.Options) (_ *Transfer, err error) {
	opts = opts.Complete()
	t := &Transfer{}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	if err := t.openSource(ctx, path, opts); err != nil {
		return nil, sqlite.OpenError(path, err)
	}
	if t.target, err = postgres.Open(ctx, url, opts.Log); err != nil {
		return nil, err
	}
	t.to = store.New(t.target, opts)
	if t.conn, err = t.target.Connect(ctx, t.target.Writer); err != nil {
		return nil, t.target.Classify(err)
	}
	return t, t.inspectTarget(ctx)
}

// openSource locks the database before it touches the schema.
func (t *Transfer) openSource(ctx context.Context, path string, opts store.Options) error {
	if err := t.lockSource(ctx, path); err != nil {
		return err
	}
	if err := t.closeSource(); err != nil {
		return err
	}
	if err := sqlite.Migrate(path, opts.Log); err != nil {
		return err
	}
	if err := t.lockSource(ctx, path); err != nil {
		return err
	}
	var err error
	if t.tables, err = tablesOf(ctx, t.from); err != nil {
		return err
	}
	keys, err := t.SigningKeys(ctx)
	if err == nil && len(keys) == 0 {
		err = errors.New("it holds no Sluice data: there is nothing to move")
	}
	if err == nil {
		t.mark = markPrefix + keys[0]
	}
	return err
}

// markPrefix stands before the oldest signing key of an installation in its mark.
const markPrefix = "migrate "

// lockSource opens the database in the mode that excludes other connections until it is closed, even if this
// process is killed: https://www.sqlite.org/pragma.html#pragma_locking_mode. Any other connection to a database in
// WAL mode, even an idle one, holds a lock that conflicts with it.
func (t *Transfer) lockSource(ctx context.Context, path string) (err error) {
	// No setting that reads the database may come before locking_mode.
	t.source, err = sql.Open("sqlite", sqlite.DSN(path, "mode=rw", "_busy_timeout=1000", "_query_only=1",
		"_pragma=locking_mode(EXCLUSIVE)"))
	if err != nil {
		return err
	}
	t.source.SetMaxOpenConns(1)
	if t.from, err = sqldb.Connect(ctx, t.source); err == nil {
		_, err = values(ctx, t.from, 1, "SELECT count(*) FROM sqlite_schema")
	}
	if err != nil && sqlite.Locked(err) {
		return errors.New("another process has it open: stop the server, and whatever else works with it, first")
	}
	return err
}

func (t *Transfer) closeSource() error {
	if t.from != nil {
		t.from.Discard()
	}
	source := t.source
	t.from, t.source = nil, nil
	if source == nil {
		return nil
	}
	return source.Close()
}

// Close closes both databases. A transfer that is not done can be continued later.
func (t *Transfer) Close() error {
	err := t.closeSource()
	if t.conn != nil {
		t.conn.Discard()
	}
	if t.to != nil {
		err = errors.Join(err, t.to.Close())
	}
	return err
}

// To is the store that is filled.
func (t *Transfer) To() *store.Store { return t.to }

// Begun reports whether an earlier Transfer of this installation has begun and not finished.
func (t *Transfer) Begun() bool { return t.begun }

// Done reports whether a Transfer of this installation has finished. Then there is nothing left to do.
func (t *Transfer) Done() bool { return t.done }

// SigningKeys gives the ids of the signing keys of the installation, oldest first.
func (t *Transfer) SigningKeys(ctx context.Context) ([]string, error) {
	return signingKeys(ctx, t.from)
}

func signingKeys(ctx context.Context, c *sqldb.Conn) (ids []string, err error) {
	rows, err := values(ctx, c, 1, "SELECT id FROM signing_key ORDER BY created, id")
	for _, row := range rows {
		ids = append(ids, row[0].(string))
	}
	return ids, err
}

// inspectTarget finds out whether the PostgreSQL database is empty, begun or done.
func (t *Transfer) inspectTarget(ctx context.Context) error {
	mark, err := t.to.FillMark(ctx)
	switch {
	case err != nil:
		return err
	case mark == t.mark:
		t.begun = true
		return nil
	case mark != "":
		return errors.New("the database to move to is being filled from another installation")
	}
	keys, err := signingKeys(ctx, t.conn)
	if err != nil {
		return t.target.Classify(err)
	}
	if t.done = slices.Contains(keys, strings.TrimPrefix(t.mark, markPrefix)); t.done {
		return nil
	}
	return t.wantEmpty(ctx)
}

// wantEmpty refuses a database that holds anything but the installation id that its migrations gave it.
func (t *Transfer) wantEmpty(ctx context.Context) error {
	for _, table := range t.tables {
		if table.name == "installation" {
			continue
		}
		rows, err := values(ctx, t.conn, 1, "SELECT 1 FROM "+quoted(table.name)+" LIMIT 1")
		if err != nil {
			return t.target.Classify(err)
		}
		if len(rows) > 0 {
			return fmt.Errorf("the database to move to is not empty (table %s): create a new one", table.name)
		}
	}
	return nil
}

// Begin marks the PostgreSQL database, which is still empty or has the mark already.
func (t *Transfer) Begin(ctx context.Context) error {
	if t.begun {
		return nil
	}
	err := t.transact(ctx, func() error {
		result, err := t.conn.Exec(ctx, "INSERT INTO lease (name, holder, until) VALUES ($1, $2, $3)"+
			" ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until"+
			" WHERE lease.until <= "+t.target.Now,
			store.FillLease, t.mark, int64(store.FillUntil))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); n == 0 || err != nil {
			return errors.Join(errors.New("another process starts to use the database to move to"), err)
		}
		return t.wantEmpty(ctx)
	})
	t.begun = err == nil
	return err
}

// Copy makes the records in PostgreSQL the same as those in SQLite, table by table and in the order of their keys,
// and gives their number. It compares rows that are there already, and replaces those that differ: an earlier
// Transfer wrote them. It calls progress now and then.
func (t *Transfer) Copy(ctx context.Context, progress func(table string, rows int64)) (rows int64, err error) {
	for _, table := range t.tables {
		c := change{transfer: t, table: table}
		n, err := t.compare(ctx, table, func(want, have []any) error {
			c.add(want, have)
			if len(c.added)+len(c.removed) < batchSize {
				return nil
			}
			return c.write(ctx)
		}, func(n int64) { progress(table.name, n) })
		if err == nil {
			err = c.write(ctx)
		}
		if err != nil {
			return rows, fmt.Errorf("copy table %s: %w", table.name, err)
		}
		rows += n
	}
	return rows, nil
}

// Check compares all records of both databases, and fails with the first that differs.
func (t *Transfer) Check(ctx context.Context) error {
	for _, table := range t.tables {
		_, err := t.compare(ctx, table, func(want, have []any) error {
			if want == nil {
				want = have
			}
			return fmt.Errorf("the row %s is not the same in both databases", table.keyText(want))
		}, func(int64) {})
		if err != nil {
			return fmt.Errorf("check table %s: %w", table.name, err)
		}
	}
	return nil
}

// Finish removes the mark. From then on a server can use the PostgreSQL database.
func (t *Transfer) Finish(ctx context.Context) error {
	err := t.transact(ctx, func() error {
		// The next ledger gets a number above those that were copied.
		_, err := values(ctx, t.conn, 1, "SELECT setval(pg_get_serial_sequence('ledger', 'id'),"+
			" (SELECT max(id) FROM ledger))")
		if err == nil {
			_, err = t.conn.Exec(ctx, "DELETE FROM lease WHERE name = $1 AND holder = $2", store.FillLease, t.mark)
		}
		return err
	})
	t.done = err == nil
	return err
}

// compare reads a table in both databases at once, in the order of its key, and calls differs for every key whose
// rows are not the same; nil stands for a missing row. It gives the number of rows in SQLite.
func (t *Transfer) compare(
	ctx context.Context, table table, differs func(want, have []any) error, progress func(int64),
) (rows int64, err error) {
	from := &cursor{table: table, conn: &t.from, placeholder: sqlite.Placeholder}
	to := &cursor{table: table, conn: &t.conn, placeholder: t.target.Placeholder}
	for {
		want, err := from.peek(ctx)
		if err != nil {
			return rows, err
		}
		have, err := to.peek(ctx)
		if err != nil {
			return rows, t.target.Classify(err)
		}
		if want == nil && have == nil {
			return rows, nil
		}
		order := table.compare(want, have)
		if order <= 0 {
			from.next()
			if rows++; rows%batchSize == 0 {
				progress(rows)
			}
		} else {
			want = nil
		}
		if order >= 0 {
			to.next()
		} else {
			have = nil
		}
		if order == 0 && slices.EqualFunc(want, have, same) {
			continue
		}
		if err := differs(want, have); err != nil {
			return rows, err
		}
	}
}

// change gathers the rows of a table that are to be written.
type change struct {
	transfer       *Transfer
	table          table
	removed, added [][]any
}

func (c *change) add(want, have []any) {
	if have != nil {
		c.removed = append(c.removed, c.table.keyOf(have))
	}
	if want != nil {
		c.added = append(c.added, want)
	}
}

// write writes them in one transaction.
func (c *change) write(ctx context.Context) error {
	if len(c.removed)+len(c.added) == 0 {
		return nil
	}
	t, target := c.transfer, c.transfer.target
	err := t.transact(ctx, func() error {
		if err := target.ExecEach(ctx, t.conn, c.table.deleteText(target.Placeholder), c.removed); err != nil {
			return err
		}
		return target.ExecEach(ctx, t.conn, c.table.insertText(target.Placeholder), c.added)
	})
	c.removed, c.added = c.removed[:0], c.added[:0]
	return err
}

// transact runs fn in a transaction of PostgreSQL on t.conn.
func (t *Transfer) transact(ctx context.Context, fn func() error) (err error) {
	if t.conn, err = t.target.Start(ctx, t.conn, t.target.Writer, t.target.Begin); err != nil {
		return t.target.Classify(err)
	}
	if err = fn(); err == nil {
		_, err = t.conn.Exec(ctx, "COMMIT")
	}
	if err != nil {
		t.conn.Discard()
		t.conn = nil
	}
	return t.target.Classify(err)
}

// Installation gives the id of the installation.
func (t *Transfer) Installation(ctx context.Context) (string, error) {
	rows, err := values(ctx, t.from, 1, "SELECT id FROM installation")
	if err != nil {
		return "", err
	}
	if len(rows) != 1 {
		return "", fmt.Errorf("table installation has %d rows, want 1", len(rows))
	}
	return rows[0][0].(string), nil
}

// File is a file whose bytes move with the records.
type File struct {
	ID     string
	Size   int64
	SHA256 sluice.Digest
}

// CountFiles gives the number of files whose bytes move, and the sum of their sizes.
func (t *Transfer) CountFiles(ctx context.Context) (files, size int64, err error) {
	rows, err := values(ctx, t.from, 2, "SELECT count(*), CAST(coalesce(sum(size), 0) AS INTEGER)"+
		" FROM file WHERE deleted IS NULL")
	if err != nil {
		return 0, 0, err
	}
	return rows[0][0].(int64), rows[0][1].(int64), nil
}

// Files calls fn for every file whose bytes move, until fn fails.
func (t *Transfer) Files(ctx context.Context, fn func(File) error) error {
	query := "SELECT id, size, sha256 FROM file WHERE id > ? AND deleted IS NULL ORDER BY id LIMIT " +
		strconv.Itoa(batchSize)
	for after := ""; ; {
		rows, err := values(ctx, t.from, 3, query, after)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			f := File{ID: row[0].(string), Size: row[1].(int64)}
			if err := (*sqldb.Digest)(&f.SHA256).Scan(row[2]); err != nil {
				return fmt.Errorf("file %s: %w", f.ID, err)
			}
			if err := fn(f); err != nil {
				return err
			}
			after = f.ID
		}
	}
}

// HasFile reports whether the installation has or had a file.
func (t *Transfer) HasFile(ctx context.Context, id string) (bool, error) {
	rows, err := values(ctx, t.from, 1, "SELECT 1 FROM file WHERE id = ?", id)
	return len(rows) > 0, err
}
