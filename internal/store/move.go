package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sluice"
	"sluice/internal/service"
)

// Move moves the records of an installation from SQLite to PostgreSQL. While it
// is open nobody else opens the SQLite database, and it changes nothing in there
// but the schema, where that is older than this binary.
//
// From Begin to Finish the PostgreSQL database bears a mark, with which nobody
// but another Move of the same installation opens it. Whatever happens in
// between, such a Move goes on where the one before ended. It is not for several
// goroutines at once, but the Store that To gives is.
type Move struct {
	source *sql.DB
	from   *conn // alone with the database
	to     *Store
	conn   *conn // to PostgreSQL
	tables []table
	mark   string
	begun  bool
	done   bool
}

// moveBatch is how many rows are read at a time, and how many changed in one
// transaction.
const moveBatch = 500

// The mark is the lease under which a server starts (see service.Service.Start),
// without an end: one that had opened the database before it was marked waits.
const (
	markName  = "start"
	markUntil = 1 << 62
)

// These tables belong to a database and not to an installation.
var notMoved = []string{"goose_db_version", "lease", "probe"}

// These go last: a database without them is taken for one that nobody uses.
var movedLast = []string{"account", "signing_key"}

// table is one that is moved, as the source describes it.
type table struct {
	name    string
	columns []string
	key     []int // which columns are the primary key, in its order
}

// OpenMove opens the SQLite database of an installation in a file, for itself
// alone, and the PostgreSQL database that it moves to, as OpenPostgres does. That
// one must be empty, or have been begun or finished with the same installation.
func OpenMove(ctx context.Context, path, url string, opts Options) (_ *Move, err error) {
	opts = opts.complete()
	m := &Move{}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if err := m.openSource(ctx, path, opts); err != nil {
		return nil, openError(path, err)
	}
	if m.to, err = openURL(ctx, url, opts, nil); err != nil {
		return nil, err
	}
	if m.conn, err = connect(ctx, m.to.db); err != nil {
		return nil, m.to.classify(err)
	}
	return m, m.look(ctx)
}

// openSource sees that nobody uses the database before it touches its schema.
func (m *Move) openSource(ctx context.Context, path string, opts Options) error {
	if err := m.lockSource(ctx, path); err != nil {
		return err
	}
	if err := m.closeSource(); err != nil {
		return err
	}
	if err := migrateSQLite(path, opts.Log); err != nil {
		return err
	}
	if err := m.lockSource(ctx, path); err != nil {
		return err
	}
	var err error
	if m.tables, err = tablesOf(ctx, m.from); err != nil {
		return err
	}
	keys, err := m.SigningKeys(ctx)
	if err == nil && len(keys) == 0 {
		err = errors.New("it holds no Sluice data: there is nothing to move")
	}
	if err == nil {
		m.mark = "migrate " + keys[0]
	}
	return err
}

// lockSource opens the database in the mode that has it to itself until it is
// closed, however this process ends: https://www.sqlite.org/pragma.html#pragma_locking_mode.
// Every other connection to a database with a log (WAL) keeps a lock that is in
// the way of that, also one that does nothing.
func (m *Move) lockSource(ctx context.Context, path string) (err error) {
	// No other setting goes with it: one that reads the database first would undo it.
	m.source, err = sql.Open("sqlite", sqliteDSN(path, "mode=rw", "_busy_timeout=1000", "_query_only=1", "_pragma=locking_mode(EXCLUSIVE)"))
	if err != nil {
		return err
	}
	m.source.SetMaxOpenConns(1)
	if m.from, err = connect(ctx, m.source); err == nil {
		_, err = m.from.values(ctx, 1, "SELECT count(*) FROM sqlite_schema")
	}
	if err != nil && sqliteLocked(err) {
		return errors.New("another process has it open: stop the server, and whatever else works with it, first")
	}
	return err
}

func (m *Move) closeSource() error {
	if m.from != nil {
		m.from.discard()
	}
	source := m.source
	m.from, m.source = nil, nil
	if source == nil {
		return nil
	}
	return source.Close()
}

// Close ends the move, or leaves it to be gone on with.
func (m *Move) Close() error {
	err := m.closeSource()
	if m.conn != nil {
		m.conn.discard()
	}
	if m.to != nil {
		err = errors.Join(err, m.to.Close())
	}
	return err
}

// To is the store that the installation moves to.
func (m *Move) To() *Store { return m.to }

// Begun says whether a Move of this installation has begun before and was not
// finished, Done whether it was. Then there is nothing left to do.
func (m *Move) Begun() bool { return m.begun }

// Done is described with Begun.
func (m *Move) Done() bool { return m.done }

// SigningKeys gives the ids of the signing keys of the installation, oldest first.
func (m *Move) SigningKeys(ctx context.Context) ([]string, error) {
	return signingKeys(ctx, m.from)
}

func signingKeys(ctx context.Context, c *conn) (ids []string, err error) {
	rows, err := c.values(ctx, 1, "SELECT id FROM signing_key ORDER BY created, id")
	for _, row := range rows {
		ids = append(ids, row[0].(string))
	}
	return ids, err
}

// look finds out what there is in the database to move to.
func (m *Move) look(ctx context.Context) error {
	mark, err := m.to.moveMark(ctx)
	switch {
	case err != nil:
		return err
	case mark == m.mark:
		m.begun = true
		return nil
	case mark != "":
		return errors.New("the database to move to is being filled from another installation")
	}
	keys, err := signingKeys(ctx, m.conn)
	if err != nil {
		return m.to.classify(err)
	}
	if m.done = slices.Contains(keys, strings.TrimPrefix(m.mark, "migrate ")); m.done {
		return nil
	}
	return m.empty(ctx)
}

// empty refuses a database to move to that holds anything but the id that its
// migrations gave it.
func (m *Move) empty(ctx context.Context) error {
	for _, t := range m.tables {
		if t.name == "installation" {
			continue
		}
		rows, err := m.conn.values(ctx, 1, "SELECT 1 FROM "+quoted(t.name)+" LIMIT 1")
		if err != nil {
			return m.to.classify(err)
		}
		if len(rows) > 0 {
			return fmt.Errorf("the database to move to is not empty (table %s): create a new one", t.name)
		}
	}
	return nil
}

// moveMark gives the mark of a database that is being filled, "" where there is none.
func (s *Store) moveMark(ctx context.Context) (mark string, err error) {
	err = s.View(ctx, func(r service.Reader) error {
		err := r.(*reader).one([]any{&mark}, "SELECT holder FROM lease WHERE name = $1 AND until = $2", markName, int64(markUntil))
		if err == errNotFound {
			return nil
		}
		return err
	})
	return mark, err
}

// refuseMarked refuses a database that is being filled.
func refuseMarked(ctx context.Context, s *Store) error {
	mark, err := s.moveMark(ctx)
	if err == nil && mark != "" {
		err = errors.New("sluice migrate has begun to fill it and has not finished: run the same sluice migrate again")
	}
	return err
}

// Begin marks the database to move to, which is still empty, or marked already.
func (m *Move) Begin(ctx context.Context) error {
	if m.begun {
		return nil
	}
	err := m.transact(ctx, func() error {
		result, err := m.conn.exec(ctx, "INSERT INTO lease (name, holder, until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE"+
			" SET holder = excluded.holder, until = excluded.until WHERE lease.until <= "+m.to.now, markName, m.mark, int64(markUntil))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); n == 0 || err != nil {
			return errors.Join(errors.New("another process starts to use the database to move to"), err)
		}
		return m.empty(ctx)
	})
	m.begun = err == nil
	return err
}

// Copy makes the records in PostgreSQL what they are in SQLite, table by table
// and in the order of their keys, and says how many there are. What is there
// already is compared; what is there and differs is from a move that was broken
// off, and replaced. It calls progress now and then.
func (m *Move) Copy(ctx context.Context, progress func(table string, rows int64)) (rows int64, err error) {
	for _, t := range m.tables {
		c := change{move: m, table: t}
		n, err := m.walk(ctx, t, func(want, have []any) error {
			c.add(want, have)
			if len(c.added)+len(c.removed) < moveBatch {
				return nil
			}
			return c.write(ctx)
		}, func(n int64) { progress(t.name, n) })
		if err == nil {
			err = c.write(ctx)
		}
		if err != nil {
			return rows, fmt.Errorf("copy table %s: %w", t.name, err)
		}
		rows += n
	}
	return rows, nil
}

// Check reads all records in both databases, and fails with the first that
// differs.
func (m *Move) Check(ctx context.Context) error {
	for _, t := range m.tables {
		_, err := m.walk(ctx, t, func(want, have []any) error {
			if want == nil {
				want = have
			}
			return fmt.Errorf("the row %s is not the same in both databases", t.keyText(want))
		}, func(int64) {})
		if err != nil {
			return fmt.Errorf("check table %s: %w", t.name, err)
		}
	}
	return nil
}

// Finish takes the mark away: from then on the installation can be served from
// PostgreSQL, and goes on there.
func (m *Move) Finish(ctx context.Context) error {
	err := m.transact(ctx, func() error {
		// The next ledger is numbered after those that were moved.
		_, err := m.conn.values(ctx, 1, "SELECT setval(pg_get_serial_sequence('ledger', 'id'), (SELECT max(id) FROM ledger))")
		if err == nil {
			_, err = m.conn.exec(ctx, "DELETE FROM lease WHERE name = $1 AND holder = $2", markName, m.mark)
		}
		return err
	})
	m.done = err == nil
	return err
}

// walk goes through a table in both databases at once, in the order of its key,
// and calls differs for every key whose rows are not the same; nil stands for
// one that is missing. It says how many rows there are in SQLite.
func (m *Move) walk(ctx context.Context, t table, differs func(want, have []any) error, progress func(int64)) (rows int64, err error) {
	from := &cursor{table: t, conn: &m.from, placeholder: sqliteDialect.placeholder}
	to := &cursor{table: t, conn: &m.conn, placeholder: m.to.placeholder}
	for {
		want, err := from.peek(ctx)
		if err != nil {
			return rows, err
		}
		have, err := to.peek(ctx)
		if err != nil {
			return rows, m.to.classify(err)
		}
		if want == nil && have == nil {
			return rows, nil
		}
		order := t.compare(want, have)
		if order <= 0 {
			from.next()
			if rows++; rows%moveBatch == 0 {
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

// change is what is to be changed of a table, on its way.
type change struct {
	move           *Move
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

// write changes what was added, in one transaction.
func (c *change) write(ctx context.Context) error {
	if len(c.removed)+len(c.added) == 0 {
		return nil
	}
	m, t := c.move, c.table
	err := m.transact(ctx, func() error {
		if err := m.to.execEach(ctx, m.conn, t.deleteText(m.to.placeholder), c.removed); err != nil {
			return err
		}
		return m.to.execEach(ctx, m.conn, t.insertText(m.to.placeholder), c.added)
	})
	c.removed, c.added = c.removed[:0], c.added[:0]
	return err
}

// transact runs fn in a transaction of PostgreSQL on m.conn.
func (m *Move) transact(ctx context.Context, fn func() error) (err error) {
	if m.conn, err = m.to.start(ctx, m.conn, m.to.db, m.to.begin); err != nil {
		return m.to.classify(err)
	}
	if err = fn(); err == nil {
		_, err = m.conn.exec(ctx, "COMMIT")
	}
	if err != nil {
		m.conn.discard()
		m.conn = nil
	}
	return m.to.classify(err)
}

// cursor gives the rows of a table in the order of its key.
type cursor struct {
	table       table
	conn        **conn // a lost one is replaced
	placeholder func(int) string
	rows        [][]any
	last        []any // the key of the last row read
	ended       bool
}

// peek gives the next row, nil behind the last.
func (c *cursor) peek(ctx context.Context) ([]any, error) {
	if len(c.rows) == 0 && !c.ended {
		rows, err := (*c.conn).values(ctx, len(c.table.columns), c.table.pageText(c.placeholder, c.last != nil), c.last...)
		if err != nil {
			return nil, err
		}
		c.rows, c.ended = rows, len(rows) < moveBatch
		if len(rows) > 0 {
			c.last = c.table.keyOf(rows[len(rows)-1])
		}
	}
	if len(c.rows) == 0 {
		return nil, nil
	}
	return c.rows[0], nil
}

func (c *cursor) next() { c.rows = c.rows[1:] }

// tablesOf gives all tables that are moved, with all of their columns.
func tablesOf(ctx context.Context, c *conn) (tables []table, err error) {
	names, err := c.values(ctx, 1, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		t := table{name: name[0].(string)}
		if slices.Contains(notMoved, t.name) {
			continue
		}
		columns, err := c.values(ctx, 2, "SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", t.name)
		if err != nil {
			return nil, err
		}
		t.key = make([]int, 0, len(columns))
		for i, column := range columns {
			t.columns = append(t.columns, column[0].(string))
			if column[1].(int64) > 0 {
				t.key = append(t.key, i)
			}
		}
		if len(t.key) == 0 {
			return nil, fmt.Errorf("table %s has no primary key", t.name)
		}
		slices.SortFunc(t.key, func(a, b int) int { return cmp.Compare(columns[a][1].(int64), columns[b][1].(int64)) })
		tables = append(tables, t)
	}
	slices.SortStableFunc(tables, func(a, b table) int {
		return cmp.Compare(slices.Index(movedLast, a.name), slices.Index(movedLast, b.name))
	})
	return tables, nil
}

func quoted(names ...string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = pgx.Identifier{name}.Sanitize() // as SQLite quotes, too
	}
	return strings.Join(list, ", ")
}

// marks gives n placeholders, from the first on.
func marks(placeholder func(int) string, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = placeholder(i + 1)
	}
	return strings.Join(list, ", ")
}

func (t table) keyColumns() string {
	names := make([]string, len(t.key))
	for i, k := range t.key {
		names[i] = t.columns[k]
	}
	return quoted(names...)
}

func (t table) pageText(placeholder func(int) string, after bool) string {
	where := ""
	if after {
		where = " WHERE (" + t.keyColumns() + ") > (" + marks(placeholder, len(t.key)) + ")"
	}
	return "SELECT " + quoted(t.columns...) + " FROM " + quoted(t.name) + where + " ORDER BY " + t.keyColumns() + fmt.Sprint(" LIMIT ", moveBatch)
}

func (t table) deleteText(placeholder func(int) string) string {
	return "DELETE FROM " + quoted(t.name) + " WHERE (" + t.keyColumns() + ") = (" + marks(placeholder, len(t.key)) + ")"
}

// insertText gives a row the number that it has, also where PostgreSQL would
// choose one.
func (t table) insertText(placeholder func(int) string) string {
	return "INSERT INTO " + quoted(t.name) + " (" + quoted(t.columns...) + ") OVERRIDING SYSTEM VALUE VALUES (" + marks(placeholder, len(t.columns)) + ")"
}

func (t table) keyOf(row []any) []any {
	key := make([]any, len(t.key))
	for i, k := range t.key {
		key[i] = row[k]
	}
	return key
}

func (t table) keyText(row []any) string {
	texts := make([]string, len(t.key))
	for i, v := range t.keyOf(row) {
		texts[i] = fmt.Sprint(v)
		if b, ok := v.([]byte); ok {
			texts[i] = fmt.Sprintf("%x", b)
		}
	}
	return strings.Join(texts, " ")
}

// compare orders two rows by their keys, as both databases do: texts by their
// bytes. A row that is missing comes after all.
func (t table) compare(a, b []any) int {
	switch {
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	for _, k := range t.key {
		if order := compareValues(a[k], b[k]); order != 0 {
			return order
		}
	}
	return 0
}

func compareValues(a, b any) int {
	switch a := a.(type) {
	case int64:
		b, _ := b.(int64)
		return cmp.Compare(a, b)
	case string:
		b, _ := b.(string)
		return strings.Compare(a, b)
	case []byte:
		b, _ := b.([]byte)
		return bytes.Compare(a, b)
	}
	return 0
}

// same says whether two values are, with their types.
func same(a, b any) bool {
	x, isBytes := a.([]byte)
	y, areBytes := b.([]byte)
	if isBytes || areBytes {
		return isBytes && areBytes && bytes.Equal(x, y)
	}
	return a == b
}

// values reads rows of n columns: integers, texts, bytes and nil.
func (c *conn) values(ctx context.Context, n int, query string, args ...any) (list [][]any, err error) {
	rows, err := c.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		row, dest := make([]any, n), make([]any, n)
		for i := range row {
			dest[i] = &row[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		for i, v := range row {
			if b, ok := v.([]byte); ok && b == nil {
				row[i] = []byte{} // an empty one: NULL is nil without a type
			}
		}
		list = append(list, row)
	}
	return list, rows.Err()
}

// MovedFile is a file whose bytes move with the records.
type MovedFile struct {
	ID     string
	Size   int64
	SHA256 sluice.Digest
}

// CountFiles says of how many files the bytes move, and how many those are.
func (m *Move) CountFiles(ctx context.Context) (files, size int64, err error) {
	rows, err := m.from.values(ctx, 2, "SELECT count(*), CAST(coalesce(sum(size), 0) AS INTEGER) FROM file WHERE deleted IS NULL")
	if err != nil {
		return 0, 0, err
	}
	return rows[0][0].(int64), rows[0][1].(int64), nil
}

// Files calls fn for every file whose bytes move, until it fails.
func (m *Move) Files(ctx context.Context, fn func(MovedFile) error) error {
	for after := ""; ; {
		rows, err := m.from.values(ctx, 3, fmt.Sprint("SELECT id, size, sha256 FROM file WHERE id > ? AND deleted IS NULL ORDER BY id LIMIT ", moveBatch), after)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			f := MovedFile{ID: row[0].(string), Size: row[1].(int64)}
			if err := (*digest)(&f.SHA256).Scan(row[2]); err != nil {
				return fmt.Errorf("file %s: %w", f.ID, err)
			}
			if err := fn(f); err != nil {
				return err
			}
			after = f.ID
		}
	}
}

// HasFile says whether the installation has or had a file.
func (m *Move) HasFile(ctx context.Context, id string) (bool, error) {
	rows, err := m.from.values(ctx, 1, "SELECT 1 FROM file WHERE id = ?", id)
	return len(rows) > 0, err
}
