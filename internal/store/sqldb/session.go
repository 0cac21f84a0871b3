package sqldb

import (
	"context"
)

// Session reads and writes in one transaction. After an error of the database every further call fails with that error.
// It is not for several goroutines at once.
type Session struct {
	Ctx  context.Context
	DB   *Database
	Conn *Conn
	// Buffer holds rows that the transaction has not written yet; nil in a View.
	Buffer Buffer
	// Inserter keeps the texts and arguments of Insert; nil in a View.
	Inserter *Inserter
	err      error
}

// Buffer holds rows that were changed and are not written yet.
type Buffer interface {
	// Flush writes all of them.
	Flush(*Session) error
}

// Err is the error that the session failed with, nil while it is good.
func (s *Session) Err() error { return s.err }

// Fail classifies an error of the database and keeps it, so that nothing is built on it. A nil error changes nothing.
func (s *Session) Fail(err error) error {
	if err != nil {
		s.err = s.DB.Classify(err)
	}
	return s.err
}

// End has every further call fail with err.
func (s *Session) End(err error) { s.err = err }

// Flush writes what the Buffer holds.
func (s *Session) Flush() error {
	if s.err != nil || s.Buffer == nil {
		return s.err
	}
	return s.Buffer.Flush(s)
}

// One reads one row, after it has flushed the Buffer. No row is ErrNotFound.
func (s *Session) One(dest []any, query string, args ...any) error {
	if err := s.Flush(); err != nil {
		return err
	}
	return s.OneUnbuffered(dest, query, args...)
}

// OneUnbuffered reads as One does, without a flush. It is for tables that the Buffer holds no rows of, and for rows
// that the caller knows not to be in the Buffer.
func (s *Session) OneUnbuffered(dest []any, query string, args ...any) error {
	if s.err != nil {
		return s.err
	}
	if !s.DB.CanStore(args...) {
		return ErrNotFound
	}
	rows, err := s.Conn.Query(s.Ctx, query, args...)
	if err != nil {
		return s.Fail(err)
	}
	defer rows.Close()
	if !rows.Next() {
		if rows.Err() != nil {
			return s.Fail(rows.Err())
		}
		return ErrNotFound
	}
	return s.Fail(rows.Scan(dest...))
}

// Many reads all rows, after it has flushed the Buffer; fields gives the destinations of a row's columns.
func Many[T any](s *Session, fields func(*T) []any, query string, args ...any) (list []T, err error) {
	if err := s.Flush(); err != nil || !s.DB.CanStore(args...) {
		return nil, err
	}
	rows, err := s.Conn.Query(s.Ctx, query, args...)
	if err != nil {
		return nil, s.Fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		var row T
		if err := rows.Scan(fields(&row)...); err != nil {
			return nil, s.Fail(err)
		}
		list = append(list, row)
	}
	return list, s.Fail(rows.Err())
}

// Exec runs one statement and gives the number of rows that it changed. It does not flush the Buffer.
func (s *Session) Exec(query string, args ...any) (int64, error) {
	if s.err != nil {
		return 0, s.err
	}
	result, err := s.Conn.Exec(s.Ctx, query, args...)
	if err != nil {
		return 0, s.Fail(err)
	}
	n, err := result.RowsAffected()
	return n, s.Fail(err)
}

// ExecEach runs one statement with many sets of arguments.
func (s *Session) ExecEach(query string, sets [][]any) error {
	if s.err != nil || len(sets) == 0 {
		return s.err
	}
	return s.Fail(s.DB.ExecEach(s.Ctx, s.Conn, query, sets))
}
