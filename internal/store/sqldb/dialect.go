// Package sqldb is the ground that the store's other packages stand on: connections with prepared statements, what
// differs between databases, and a session that reads and writes in one transaction.
//
// A Database is what the packages sqlite and postgres open.
package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sluice"
)

// Dialect is what differs between databases besides their migrations.
type Dialect struct {
	Begin string // begins the writer's transaction and takes its locks
	View  string // begins a read-only snapshot
	// Placeholder gives the nth placeholder, from 1, of a statement with many arguments.
	Placeholder func(n int) string
	// Version gives a number that changes when another connection has written.
	// nil: the database has none, and a group cannot use what the last one read.
	Version func(context.Context, *Conn) (int64, error)
	// Code is the code of a driver's error, "" when the error has none.
	Code func(error) sluice.Code
	// Locked reports whether Begin failed because another process holds the lock.
	Locked func(error) bool
	// RowLock ends the query that locks the heads of a group's ledgers. It is
	// empty where Begin has locked the whole database.
	RowLock string
	// Each runs one statement with many sets of arguments in one round trip.
	// nil: a statement is no round trip, and they run one after the other.
	Each func(ctx context.Context, c *Conn, query string, sets [][]any) error
	// Now is an SQL expression: the database's clock in microseconds.
	Now string
	// Sound reports whether COMMIT would commit. nil: COMMIT itself fails when it would not.
	Sound func(*Conn) bool
	// Rerun reports whether a transaction failed only because of a concurrent one and may run again. nil: never.
	Rerun func(error) bool
	// Pages has the database check its own pages, on a connection that is used for nothing else.
	Pages func(context.Context, *Conn) (PageReport, error)
	// File gives the bytes of the database's file, as the transaction of a connection sees it. nil: the database is
	// no file.
	File func(context.Context, *Conn) (io.ReadCloser, error)
	// Text reports whether the database can store a text. nil: it stores any.
	Text func(string) bool
}

// Database is an open database, with what belongs to one store on it. A hook that is nil has nothing to do.
type Database struct {
	Dialect
	Name    string  // for messages, without a password
	Writer  *sql.DB // connections that write
	Reader  *sql.DB // connections that cannot write
	Readers int     // how many connections may read at once

	// Scrub removes erased values from wherever the database still has them, and
	// reports whether it could. It does not wait for readers.
	Scrub     func(context.Context, *Conn) (done bool, err error)
	Committed func() // is called after each commit
	// Intact reports whether a new connection would open the same database.
	Intact func() bool
	// Lost is closed when the database was replaced or removed. nil: that cannot happen.
	Lost <-chan struct{}
	// Stop ends what runs beside the writer. It comes before Drain and Finish.
	Stop func() error
	// Drain gets the writer's connection, the last that is open, before it is closed.
	Drain func(*Conn)
	// Finish runs when all connections are closed.
	Finish func() error
}

// Start begins a transaction with the statement begin on c, which may be nil. When c was lost since its last use,
// as when the database was restarted, the transaction begins on a new connection from pool. Start returns the
// connection that is left, nil for none.
func (d *Database) Start(ctx context.Context, c *Conn, pool *sql.DB, begin string) (*Conn, error) {
	for fresh := c == nil; ; fresh = true {
		var err error
		if c == nil {
			if c, err = d.Connect(ctx, pool); err != nil {
				return nil, err
			}
		}
		if _, err = c.Exec(ctx, begin); err == nil || d.Locked(err) {
			return c, err
		}
		c.Discard()
		c = nil
		if fresh || ctx.Err() != nil {
			return nil, err
		}
	}
}

// Connect takes a connection out of pool, unless it would be to another database than the one that was opened.
func (d *Database) Connect(ctx context.Context, pool *sql.DB) (*Conn, error) {
	if d.Intact != nil && !d.Intact() {
		return nil, driver.ErrBadConn
	}
	return Connect(ctx, pool)
}

// Reruns reports whether a transaction that failed with err may run again.
func (d *Dialect) Reruns(err error) bool { return err != nil && d.Rerun != nil && d.Rerun(err) }

// ExecEach runs one statement with many sets of arguments.
func (d *Dialect) ExecEach(ctx context.Context, c *Conn, query string, sets [][]any) error {
	if d.Each != nil {
		return d.Each(ctx, c, query, sets)
	}
	for _, args := range sets {
		if _, err := c.Exec(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}

// CanStore reports whether the database can store all texts among args. A text that it cannot store equals none that it
// has.
func (d *Dialect) CanStore(args ...any) bool {
	if d.Text == nil {
		return true
	}
	for _, arg := range args {
		if text, ok := arg.(string); ok && !d.Text(text) {
			return false
		}
	}
	return true
}

// IsText reports whether every database can store s as text. PostgreSQL stores no NUL and only valid UTF-8. The service
// accepts nothing else.
func IsText(s string) bool {
	return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s)
}

// Texts gives the values that IsText accepts.
func Texts(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !IsText(v) })
}

// ErrNotFound says that an object does not exist in its ledger.
var ErrNotFound = sluice.Errorf(sluice.CodeNotFound, "there is no such object")

// Classify gives a database's error its code. Errors of a context, and errors that no caller could act on, stay as they
// are.
func (d *Dialect) Classify(err error) error {
	switch {
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn):
		return Coded(sluice.CodeUnavailable, err)
	}
	if code := d.Code(err); code != "" {
		return Coded(code, err)
	}
	return err
}

var details = map[sluice.Code]string{
	sluice.CodeConflict:    "an object with this id exists already",
	sluice.CodeStorageFull: "the disk of the database is full",
	sluice.CodeUnavailable: "the database cannot be used now",
}

// Coded gives err a code and the detail that callers see with it.
func Coded(code sluice.Code, err error) error {
	e := sluice.Wrap(code, details[code], err)
	if code == sluice.CodeUnavailable {
		e.RetryAfter = time.Second
	}
	return e
}
