package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
)

// Conn is a connection with the statements prepared on it.
type Conn struct {
	*sql.Conn
	stmts map[string]*sql.Stmt
}

// Connect takes a connection out of pool.
func Connect(ctx context.Context, pool *sql.DB) (*Conn, error) {
	c, err := pool.Conn(ctx)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil { // the driver's own
		err = fmt.Errorf("%w: %v", driver.ErrBadConn, err)
	}
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c, stmts: map[string]*sql.Stmt{}}, nil
}

// Discard closes the connection for good, whatever state it is in. Statements left open would keep it, and its locks,
// alive.
func (c *Conn) Discard() {
	for _, stmt := range c.stmts {
		stmt.Close()
	}
	c.stmts = nil
	c.Raw(func(any) error { return driver.ErrBadConn })
}

// maxStmts bounds how many statements a connection keeps. There are as many lists as combinations of filters, and
// anyone who may read can ask for all of them.
const maxStmts = 256

// Prepared gives the prepared statement of a query, and prepares it at its first use.
func (c *Conn) Prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := c.stmts[query]; ok {
		return stmt, nil
	}
	if len(c.stmts) == maxStmts {
		for _, stmt := range c.stmts {
			stmt.Close()
		}
		clear(c.stmts)
	}
	stmt, err := c.PrepareContext(ctx, query)
	if err == nil {
		c.stmts[query] = stmt
	}
	return stmt, err
}

// Statements gives the queries that are prepared on the connection.
func (c *Conn) Statements() (queries []string) {
	for query := range c.stmts {
		queries = append(queries, query)
	}
	return queries
}

// Exec runs a statement that gives no rows.
func (c *Conn) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := c.Prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

// Query runs a statement that gives rows.
func (c *Conn) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := c.Prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}
