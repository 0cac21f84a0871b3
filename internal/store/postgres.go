package store

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"sluice"
)

//go:embed migrations/postgres/*.sql
var postgresMigrations embed.FS

// The heads of a group's ledgers are locked before anything else of it is read,
// and every statement under READ COMMITTED sees all that was committed before it
// began. So what an Update reads of its ledger after that is as the last group
// of any process left it, and stays so until this one commits: only who holds
// the head changes anything that a decision depends on.
//
// What chores change without a head (when keys were used, old answers, leases)
// no decision depends on.
var postgresDialect = dialect{
	begin: "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", view: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", rowLock: " FOR UPDATE",
	placeholder: func(n int) string { return "$" + strconv.Itoa(n) },
	now:         "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
	code:        postgresCode, locked: func(error) bool { return false }, sound: postgresSound, each: postgresEach, rerun: postgresRerun, text: isText,
	pages: postgresPages,
}

// Timeouts of the server for one session. The first is what others wait for
// when a process is frozen, or gone with its machine, in the middle of a group;
// the second is longer, so that they do wait for it. A patient connection waits
// longer than any statement may take.
const (
	frozenWriter  = 5 * time.Second
	lockWait      = 10 * time.Second
	statementTime = 30 * time.Second
	frozenReader  = time.Minute
	patience      = 45 * time.Second
	dialTime      = 5 * time.Second
)

// postgresReaders is how many Views run at once; their connections are made
// when they are needed. A store has one more, which writes.
const postgresReaders = 8

// OpenPostgres opens a database of a PostgreSQL server, which must be there,
// given by the URL or the keywords that libpq understands. Any number of
// processes may share it. A schema newer than this binary knows is refused, and
// so is a server that does not keep what it commits, or not every text, and a
// database that a Move has not finished to fill.
//
// It needs sessions of its own: a pooler between it and the server must not
// hand them to others between two transactions.
func OpenPostgres(ctx context.Context, url string, opts Options) (*Store, error) {
	return openURL(ctx, url, opts.complete(), refuseMarked)
}

// openURL opens a database as OpenPostgres does, unless check, if there
// is one, refuses it.
func openURL(ctx context.Context, url string, opts Options, check func(context.Context, *Store) error) (*Store, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil { // which might show the password
		return nil, errors.New("the URL of the database cannot be read: it should look like postgres://USER:PASSWORD@HOST:5432/DATABASE, with special characters of the password as %XX")
	}
	s, err := openPostgres(ctx, config, opts, maxGroup)
	if err == nil && check != nil {
		if err = check(ctx, s); err != nil {
			err = errors.Join(err, s.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s of %s: %w", cmp.Or(config.Database, config.User), serverName(config), postgresReason(config, err))
	}
	return s, nil
}

func serverName(c *pgx.ConnConfig) string {
	if strings.HasPrefix(c.Host, "/") {
		return c.Host
	}
	return net.JoinHostPort(c.Host, fmt.Sprint(c.Port))
}

func openPostgres(ctx context.Context, config *pgx.ConnConfig, opts Options, group int) (*Store, error) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = dialTime
	}
	// The server waits for the migration's statements as long as they take.
	if err := migratePostgres(ctx, session(config, nil), opts.Log); err != nil {
		return nil, err
	}
	db := patient(config, map[string]string{
		"idle_in_transaction_session_timeout": milliseconds(frozenWriter),
		"lock_timeout":                        milliseconds(lockWait), "statement_timeout": milliseconds(statementTime),
	})
	readDB := patient(readOnly(config), map[string]string{
		"idle_in_transaction_session_timeout": milliseconds(frozenReader), "statement_timeout": milliseconds(statementTime),
	})
	d := postgresDialect
	v := newVacuumer(config, opts.Log)
	d.scrub, d.close = v.scrub, v.close
	return newStore(d, db, readDB, postgresReaders, group, 0, opts), nil
}

// readOnly has connections write nothing, from after they were made: before, a
// URL with target_session_attrs=read-write would take the server for a standby.
func readOnly(config *pgx.ConnConfig) *pgx.ConnConfig {
	c := config.Copy()
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		return conn.Exec(ctx, "SET default_transaction_read_only = on").Close()
	}
	return c
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// session gives connections with settings of their own. A commit waits for the
// disk on each, whatever the server does otherwise.
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

// patient gives connections that are not waited for without end.
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

// checkSession refuses a server on which the contract would not hold, and has
// commits wait for the disk where they do not by themselves.
func checkSession(ctx context.Context, c *pgx.Conn) error {
	var encoding, fsync, commit string
	err := c.QueryRow(ctx, "SELECT current_setting('server_encoding'), current_setting('fsync'), current_setting('synchronous_commit')").Scan(&encoding, &fsync, &commit)
	switch {
	case err != nil:
		return err
	case encoding != "UTF8":
		return fmt.Errorf("its encoding is %s: create it with encoding UTF8", encoding)
	case fsync == "off":
		return errors.New("the server runs with fsync off and may lose what it has committed: turn it on")
	case commit == "off":
		_, err = c.Exec(ctx, "SET synchronous_commit = on")
	}
	return err
}

// migrationLock is the advisory lock under which one process migrates.
const migrationLock = 0x736c75696365 // "sluice"

func migratePostgres(ctx context.Context, db *sql.DB, log *slog.Logger) (err error) {
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := fs.Sub(postgresMigrations, "migrations/postgres")
	if err != nil {
		return err
	}
	lock, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	// It is released when its session ends, however this process does.
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return err
	}
	return migrate(ctx, goose.DialectPostgres, db, files, log)
}

// postgresReason says in one line, without the password, what is wrong.
func postgresReason(config *pgx.ConnConfig, err error) error {
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
		return fmt.Errorf("the server cannot be reached: %s", strings.Join(strings.Fields(errors.Unwrap(c).Error()), " "))
	}
	return err
}

// postgresSound says whether a transaction has not failed. PostgreSQL answers
// the COMMIT of one that has with a rollback, and with no error.
func postgresSound(c *conn) (sound bool) {
	err := c.Raw(func(d any) error {
		sound = d.(*stdlib.Conn).Conn().PgConn().TxStatus() == 'T'
		return nil
	})
	return sound && err == nil
}

// postgresEach sends all at once, and then waits for the answers.
func postgresEach(ctx context.Context, c *conn, query string, sets [][]any) error {
	if _, err := c.prepared(ctx, query); err != nil {
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

// postgresRerun reads the classes of
// https://www.postgresql.org/docs/current/errcodes-appendix.html: a failure to
// serialise, and a deadlock with another group.
func postgresRerun(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

// postgresCode reads the same classes. What is no answer of the server is a
// connection that was lost, or could not be made.
func postgresCode(err error) sluice.Code {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return networkCode(err)
	}
	switch e.Code {
	case "53100": // disk full
		return sluice.CodeStorageFull
	case "40001", "40P01", // rerun in vain
		"25006",          // read-only: a standby, or a server that was told so
		"25P02",          // after an error before
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
	case errors.As(err, &n), errors.As(err, &c), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, pgconn.ErrConnClosed):
		return sluice.CodeUnavailable
	}
	return ""
}

// patientConn gives up on a server that does not answer, as when its machine
// is gone: the system would wait for a quarter of an hour. A deadline that
// somebody else sets goes first.
type patientConn struct {
	net.Conn
	mu  sync.Mutex
	set bool
}

func (c *patientConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = !t.IsZero()
	return c.Conn.SetDeadline(t)
}

func (c *patientConn) extend(set func(time.Time) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.set {
		set(time.Now().Add(patience))
	}
}

func (c *patientConn) Read(p []byte) (int, error) {
	c.extend(c.Conn.SetReadDeadline)
	return c.Conn.Read(p)
}

func (c *patientConn) Write(p []byte) (int, error) {
	c.extend(c.Conn.SetWriteDeadline)
	return c.Conn.Write(p)
}
