package postgres

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sluice"
)

// reason says in one line, without the password, why a database could not be opened.
func reason(config *pgx.ConnConfig, err error) error {
	var e *pgconn.PgError
	var c *pgconn.ConnectError
	switch {
	case errors.As(err, &e) && e.Code == "28P01":
		return fmt.Errorf("the server refuses the password of user %s", config.User)
	case errors.As(err, &e) && e.Code == "3D000":
		return errors.New("the server has no such database: create it first")
	case errors.As(err, &e) && e.Code == "42501":
		return fmt.Errorf("user %s lacks a right: %s", config.User, e.Message)
	case errors.As(err, &e):
		return errors.New(e.Message)
	case errors.As(err, &c):
		return fmt.Errorf("the server cannot be reached: %s",
			strings.Join(strings.Fields(errors.Unwrap(c).Error()), " "))
	}
	return err
}

// rerun reads the codes of https://www.postgresql.org/docs/current/errcodes-appendix.html: a failure to serialise,
// and a deadlock with another group.
func rerun(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

// Code reads the same codes. An error that is no answer of the server is a connection that was lost or could not be
// made.
func Code(err error) sluice.Code {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return networkCode(err)
	}
	switch e.Code {
	case "53100": // disk full
		return sluice.CodeStorageFull
	case "40001", "40P01", // rerun without success
		"25006",          // read-only: a standby, or a server in read-only mode
		"25P02",          // a statement before this one failed
		"25P03",          // idle_in_transaction_session_timeout
		"55P03",          // lock_timeout
		"57014",          // statement_timeout
		"XX001", "XX002": // a page or an index that cannot be read
		return sluice.CodeUnavailable
	}
	switch e.Code[:2] {
	case "23": // a constraint
		return sluice.CodeConflict
	case "08", "28", "3D", "53", "57", "58": // connection, password, database, resources, shutdown, I/O
		return sluice.CodeUnavailable
	}
	return ""
}

func networkCode(err error) sluice.Code {
	var n net.Error
	var c *pgconn.ConnectError
	switch {
	case errors.As(err, &n), errors.As(err, &c), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, pgconn.ErrConnClosed):
		return sluice.CodeUnavailable
	}
	return ""
}
