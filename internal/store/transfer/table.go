package transfer

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sluice/internal/store/sqldb"
)

// table is a table that is copied, as the SQLite database describes it.
type table struct {
	name    string
	columns []string
	key     []int // which columns are the primary key, in its order
}

// tablesOf gives all tables that are copied, with all of their columns.
func tablesOf(ctx context.Context, c *sqldb.Conn) (tables []table, err error) {
	names, err := values(ctx, c, 1, "SELECT name FROM sqlite_schema WHERE type = 'table'"+
		" AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		t := table{name: name[0].(string)}
		if slices.Contains(notCopied, t.name) {
			continue
		}
		columns, err := values(ctx, c, 2, "SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", t.name)
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
		return cmp.Compare(slices.Index(copiedLast, a.name), slices.Index(copiedLast, b.name))
	})
	return tables, nil
}

// cursor reads the rows of a table in the order of its key.
type cursor struct {
	table       table
	conn        **sqldb.Conn // a lost connection is replaced
	placeholder func(int) string
	rows        [][]any
	last        []any // the key of the last row read
	ended       bool
}

// peek gives the next row, nil after the last.
func (c *cursor) peek(ctx context.Context) ([]any, error) {
	if len(c.rows) == 0 && !c.ended {
		query := c.table.pageText(c.placeholder, c.last != nil)
		rows, err := values(ctx, *c.conn, len(c.table.columns), query, c.last...)
		if err != nil {
			return nil, err
		}
		c.rows, c.ended = rows, len(rows) < batchSize
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

func quoted(names ...string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = pgx.Identifier{name}.Sanitize() // SQLite quotes in the same way
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
	return "SELECT " + quoted(t.columns...) + " FROM " + quoted(t.name) + where +
		" ORDER BY " + t.keyColumns() + fmt.Sprint(" LIMIT ", batchSize)
}

func (t table) deleteText(placeholder func(int) string) string {
	return "DELETE FROM " + quoted(t.name) + " WHERE (" + t.keyColumns() + ") = (" + marks(placeholder, len(t.key)) +
		")"
}

// insertText inserts a row with its number, also where PostgreSQL would choose one.
func (t table) insertText(placeholder func(int) string) string {
	return "INSERT INTO " + quoted(t.name) + " (" + quoted(t.columns...) + ") OVERRIDING SYSTEM VALUE VALUES (" +
		marks(placeholder, len(t.columns)) + ")"
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

// compare orders two rows by their keys as both databases do: texts by their bytes. A missing row comes after all
// others.
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

// same reports whether two values are equal and of the same type.
func same(a, b any) bool {
	x, isBytes := a.([]byte)
	y, areBytes := b.([]byte)
	if isBytes || areBytes {
		return isBytes && areBytes && bytes.Equal(x, y)
	}
	return a == b
}

// values reads rows of n columns: integers, texts, bytes and nil.
func values(ctx context.Context, c *sqldb.Conn, n int, query string, args ...any) (list [][]any, err error) {
	rows, err := c.Query(ctx, query, args...)
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
				row[i] = []byte{} // an empty value: NULL is nil without a type
			}
		}
		list = append(list, row)
	}
	return list, rows.Err()
}
