package sqldb

import "strings"

// Insertion is a statement that inserts rows into a table.
type Insertion struct {
	Table   string
	Columns []string
}

// Inserter keeps what Insert uses again: the SQL of each number of rows, and the slice of arguments.
type Inserter struct {
	texts map[insertText]string
	args  []any
}

// NewInserter makes an Inserter.
func NewInserter() *Inserter { return &Inserter{texts: map[insertText]string{}} }

// insertText names the SQL that inserts a number of rows into a table.
type insertText struct {
	table string
	rows  int
}

// rowsAtOnce are the numbers of rows that one statement may insert.
var rowsAtOnce = []int{64, 16, 4, 1}

// Insert inserts rows, many with each statement; values appends the arguments of one row.
func Insert[T any](s *Session, into Insertion, rows []T, values func([]any, T) []any) error {
	args := s.Inserter.args
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
		if _, err := s.Conn.Exec(s.Ctx, s.Inserter.text(into, n, s.DB.Placeholder), args...); err != nil {
			return s.Fail(err)
		}
		rows = rows[n:]
	}
	clear(args)
	s.Inserter.args = args
	return nil
}

// text gives the SQL for a number of rows, which it makes once.
func (i *Inserter) text(into Insertion, rows int, placeholder func(int) string) string {
	name := insertText{into.Table, rows}
	text, ok := i.texts[name]
	if !ok {
		text = into.text(rows, placeholder)
		i.texts[name] = text
	}
	return text
}

func (i Insertion) text(rows int, placeholder func(int) string) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + i.Table + " (" + strings.Join(i.Columns, ", ") + ") VALUES")
	for row := range rows {
		before := " ("
		if row > 0 {
			before = ", ("
		}
		for column := range i.Columns {
			b.WriteString(before + placeholder(row*len(i.Columns)+column+1))
			before = ", "
		}
		b.WriteString(")")
	}
	return b.String()
}
