// Package postgres opens PostgreSQL databases for a store: the dialect, the sessions, the migrations, and VACUUM
// after an erasure.
package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"sluice/internal/store/sqldb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations gives the migrations of the schema.
func Migrations() fs.FS {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return files
}

// A group locks the heads of its ledgers before it reads anything else. Under READ COMMITTED every statement sees
// all that was committed before it began. So what an Update reads of its ledger is as the last group of any process
// left it, and stays so until this group commits: only the process that holds the head changes anything that a
// decision depends on.
//
// No decision depends on what unlogged writes change without a head: the last use of keys, old stored responses,
// leases.
var dialect = sqldb.Dialect{
	Begin: "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", View: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
	RowLock:     " FOR UPDATE",
	Placeholder: func(n int) string { return "$" + strconv.Itoa(n) },
	Now:         "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
	Text:        sqldb.IsText,
	Code:        Code, Locked: func(error) bool { return false }, Sound: sound, Each: each, Rerun: rerun,
	Pages: checkPages,
}

// Timeouts of the server for a session. FrozenWriter is how long others wait when a process freezes, or its machine
// is gone, in the middle of a group. lockWait is longer, so that they do wait for it. patience of a connection is
// longer than any statement may take.
const (
	FrozenWriter  = 5 * time.Second
	lockWait      = 10 * time.Second
	statementTime = 30 * time.Second
	frozenReader  = time.Minute
	patience      = 45 * time.Second
	dialTime      = 5 * time.Second
)

// Readers is how many Views run at once. Their connections are made when they are needed. A store has one more, which
// writes.
const Readers = 8

// Open opens an existing database of a PostgreSQL server, given by a URL or by the keywords that libpq understands.
// Any number of processes may share it. It refuses a schema newer than this binary knows, and a server that may
// lose commits or cannot store every text.
//
// It needs sessions of its own: a pooler between it and the server must not give them to others between two
// transactions.
func Open(ctx context.Context, url string, log *slog.Logger) (*sqldb.Database, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil { // which might show the password
		return nil, errors.New("the URL of the database cannot be read: it should look like" +
			" postgres://USER:PASSWORD@HOST:5432/DATABASE, with special characters of the password as %XX")
	}
	name := fmt.Sprintf("%s of %s", cmp.Or(config.Database, config.User), serverName(config))
	d, err := open(ctx, config, log)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", name, reason(config, err))
	}
	d.Name = name
	return d, nil
}

func serverName(c *pgx.ConnConfig) string {
	if strings.HasPrefix(c.Host, "/") {
		return c.Host
	}
	return net.JoinHostPort(c.Host, fmt.Sprint(c.Port))
}

func open(ctx context.Context, config *pgx.ConnConfig, log *slog.Logger) (*sqldb.Database, error) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = dialTime
	}
	// Statements of a migration may take any time.
	if err := migrate(ctx, session(config, nil), log); err != nil {
		return nil, err
	}
	d := &sqldb.Database{Dialect: dialect, Readers: Readers}
	d.Writer = patient(config, map[string]string{
		"idle_in_transaction_session_timeout": milliseconds(FrozenWriter),
		"lock_timeout":                        milliseconds(lockWait), "statement_timeout": milliseconds(statementTime),
	})
	d.Reader = patient(readOnly(config), map[string]string{
		"idle_in_transaction_session_timeout": milliseconds(frozenReader),
		"statement_timeout":                   milliseconds(statementTime),
	})
	v := newVacuumer(config, log)
	d.Scrub, d.Stop = v.scrub, v.close
	return d, nil
}

// readOnly gives connections that cannot write. They become read-only after they are made: before, a URL with
// target_session_attrs=read-write would take the server for a standby.
func readOnly(config *pgx.ConnConfig) *pgx.ConnConfig {
	c := config.Copy()
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		return conn.Exec(ctx, "SET default_transaction_read_only = on").Close()
	}
	return c
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// session gives connections with settings of their own.
func session(config *pgx.ConnConfig, settings map[string]string) *sql.DB {
	c := config.Copy()
	maps.Copy(c.RuntimeParams, map[string]string{
		"client_encoding":     "UTF8",
		"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
	})
	maps.Copy(c.RuntimeParams, settings)
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "sluice"
	}
	return stdlib.OpenDB(*c, stdlib.OptionAfterConnect(checkSession))
}

// patient gives connections whose reads and writes time out after patience.
func patient(config *pgx.ConnConfig, settings map[string]string) *sql.DB {
	c := config.Copy()
	dial := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		n, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &patientConn{Conn: n}, nil
	}
	return session(c, settings)
}

// checkSession refuses a server that cannot keep the contract, and turns synchronous_commit on where it is off.
func checkSession(ctx context.Context, c *pgx.Conn) error {
	var encoding, fsync, commit string
	err := c.QueryRow(ctx, "SELECT current_setting('server_encoding'), current_setting('fsync'),"+
		" current_setting('synchronous_commit')").Scan(&encoding, &fsync, &commit)
	switch {
	case err != nil:
		return err
	case encoding != "UTF8":
		return fmt.Errorf("its encoding is %s: create it with encoding UTF8", encoding)
	case fsync == "off":
		return errors.New("the server runs with fsync off and may lose commits: turn it on")
	case commit == "off":
		_, err = c.Exec(ctx, "SET synchronous_commit = on")
	}
	return err
}

// MigrationLock is the advisory lock that a process holds while it migrates.
const MigrationLock = 0x736c75696365 // "sluice"

func migrate(ctx context.Context, db *sql.DB, log *slog.Logger) (err error) {
	defer func() { err = errors.Join(err, db.Close()) }()
	lock, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	// The server releases it when the session ends, also when this process is killed.
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(MigrationLock)); err != nil {
		return err
	}
	return sqldb.Migrate(ctx, goose.DialectPostgres, db, Migrations(), log)
}

// sound reports whether a transaction has not failed. PostgreSQL answers the COMMIT of a failed transaction with a
// rollback, and with no error.
func sound(c *sqldb.Conn) (sound bool) {
	err := c.Raw(func(d any) error {
		sound = d.(*stdlib.Conn).Conn().PgConn().TxStatus() == 'T'
		return nil
	})
	return sound && err == nil
}

// each sends a statement with all sets of arguments, and then waits for the answers.
func each(ctx context.Context, c *sqldb.Conn, query string, sets [][]any) error {
	if _, err := c.Prepared(ctx, query); err != nil {
		return err
	}
	return c.Raw(func(d any) error {
		var batch pgx.Batch
		for _, args := range sets {
			batch.Queue(query, args...)
		}
		return d.(*stdlib.Conn).Conn().SendBatch(ctx, &batch).Close()
	})
}
