package store

import (
	"strings"
)

// insertion is a statement that inserts rows into a table.
type insertion struct {
	table   string
	columns []string
}

// rowsAtOnce are the numbers of rows that one statement inserts.
var rowsAtOnce = []int{64, 16, 4, 1}

// insert inserts rows, many with each statement; values appends those of one.
func insert[T any](r *reader, into insertion, rows []T, values func([]any, T) []any) error {
	args := r.group.args
	for len(rows) > 0 {
		n := 1
		for _, size := range rowsAtOnce {
			if len(rows) >= size {
				n = size
				break
			}
		}
		args = args[:0]
		for _, row := range rows[:n] {
			args = values(args, row)
		}
		if _, err := r.conn.exec(r.ctx, r.group.insertion(into, n, r.store.placeholder), args...); err != nil {
			return r.fail(err)
		}
		rows = rows[n:]
	}
	clear(args)
	r.group.args = args
	return nil
}

// insertion gives the SQL for a number of rows, which it makes once.
func (g *group) insertion(into insertion, rows int, placeholder func(int) string) string {
	name := insertText{into.table, rows}
	text, ok := g.texts[name]
	if !ok {
		text = into.text(rows, placeholder)
		g.texts[name] = text
	}
	return text
}

// insertText names the SQL that inserts a number of rows into a table.
type insertText struct {
	table string
	rows  int
}

// text gives the SQL for a number of rows.
func (i insertion) text(rows int, placeholder func(int) string) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + i.table + " (" + strings.Join(i.columns, ", ") + ") VALUES")
	for row := range rows {
		before := " ("
		if row > 0 {
			before = ", ("
		}
		for column := range i.columns {
			b.WriteString(before + placeholder(row*len(i.columns)+column+1))
			before = ", "
		}
		b.WriteString(")")
	}
	return b.String()
}
