// Package store keeps records in a database: service.Store on database/sql.
//
// The SQL is written once, beside the struct it fills, and runs on every
// database; what is particular to one is in its dialect.
package store

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"

	"sluice"
	"sluice/internal/service"
)

// Options are what a Store may be given; the zero value is ready.
type Options struct {
	Random io.Reader    // for the salts of entries; crypto/rand when nil
	Log    *slog.Logger // slog.Default() when nil
	// Reserve is a file that OpenSQLite keeps on the disk of the database. Its space
	// is released for Updates that end something when the disk is full. None when "".
	Reserve string
	// Observer is told of each commit; nil: nobody is.
	Observer Observer
}

// Observer is told of each commit, by the goroutine that writes.
type Observer interface{ Committed(Commit) }

// Commit is what became of a group of Updates.
type Commit struct {
	Updates int
	Runs    int // how often the group was run
	Took    time.Duration
	Err     error
}

func (o Options) complete() Options {
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// dialect is what differs between databases besides their migrations.
type dialect struct {
	begin string // begins the writer's transaction, and takes its locks
	view  string // begins a read-only snapshot
	// placeholder stands for the nth argument of a statement with many, from 1.
	placeholder func(n int) string
	// version gives a number that changes when another connection has written.
	// nil: the database has none, and groups know nothing of each other.
	version func(context.Context, *conn) (int64, error)
	// code is the class of a driver's error, "" when it has none.
	code func(error) sluice.Code
	// locked says whether begin failed because another process has the lock.
	locked func(error) bool
	// rowLock ends the query that takes the heads of a group's ledgers, where
	// begin has not locked them with all else.
	rowLock string
	// each runs one statement with many sets of arguments. nil: one after the
	// other, where that is no round trip.
	each func(ctx context.Context, c *conn, query string, sets [][]any) error
	// now is an expression: the microseconds of the database's clock.
	now string
	// sound says whether a commit would commit; nil: it would say so itself.
	sound func(*conn) bool
	// rerun says whether a group failed by no fault of its own, and may run again.
	rerun func(error) bool
	// text says whether the database can keep a text at all; nil: any.
	text func(string) bool
	// scrub removes what was erased from wherever the database still has it,
	// and says whether it could. It waits for nobody. nil: there is nothing to do.
	scrub func(context.Context, *conn) (done bool, err error)
	// pages checks the pages of the database, with a connection that is used for nothing else.
	pages     func(context.Context, *conn) (PageReport, error)
	committed func()       // is told of each commit; nil: nobody wants to know
	close     func() error // ends what belongs to one Store; nil: nothing does
}

// Store is a service.Store. One goroutine writes, see writer.go; Views run
// beside it on connections of their own.
type Store struct {
	dialect
	db     *sql.DB // for the writer
	readDB *sql.DB
	random io.Reader // read by the writer only
	log    *slog.Logger

	queue   chan *request
	waiting atomic.Int64  // requests that wait for the writer
	observe Observer      // nil: nobody is told of commits
	reserve *reserve      // nil: none
	group   int           // how many requests may share a commit
	wait    time.Duration // for the lock of another process
	lease   time.Duration // see leaseTime
	stopped chan struct{} // closed when the writer has ended
	readers chan *conn    // nil stands for one that is not open
	ledgers sync.Map      // sluice.LedgerID to int64: the ids of committed ledgers, which never change

	file *fileWatch // nil: the database is not a file

	distrusted sync.Map // sluice.LedgerID to true: see DistrustIndex

	mu       sync.RWMutex
	closed   bool
	inflight sync.WaitGroup
}

var _ service.Store = (*Store)(nil)

func newStore(d dialect, db, readDB *sql.DB, readers, group int, wait time.Duration, opts Options) *Store {
	s := &Store{
		dialect: d, db: db, readDB: readDB, random: bufio.NewReader(opts.Random), log: opts.Log, observe: opts.Observer, group: group, wait: wait, lease: leaseTime,
		queue: make(chan *request), stopped: make(chan struct{}), readers: make(chan *conn, readers),
	}
	for range readers {
		s.readers <- nil
	}
	go s.write()
	return s
}

// migrate brings the schema up to what this binary knows, and refuses one
// that is newer. Of several processes that do so at once, one migrates.
func migrate(ctx context.Context, d goose.Dialect, db *sql.DB, files fs.FS, log *slog.Logger) error {
	p, err := goose.NewProvider(d, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	for attempt := 1; ; attempt++ {
		has, knows, err := p.GetVersions(ctx)
		if err != nil {
			return fmt.Errorf("schema version: %w", err)
		}
		if has > knows {
			return fmt.Errorf("the database has schema version %d, and this binary knows versions up to %d: use the newer binary that made it", has, knows)
		}
		if has == knows {
			return nil
		}
		if has > 0 {
			log.Info("bringing the database's schema up to date", "has", has, "knows", knows)
		}
		if _, err = p.Up(ctx); err != nil && attempt == 3 {
			return fmt.Errorf("migrate the schema from version %d to %d: %w", has, knows, err)
		}
	}
}

// enter counts a call in, so that Close waits for it; leave counts it out.
func (s *Store) enter() (leave func(), err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, s.coded(sluice.CodeUnavailable, errors.New("the store is closed"))
	}
	if err := s.Err(); err != nil {
		return nil, s.coded(sluice.CodeUnavailable, err)
	}
	s.inflight.Add(1)
	return s.inflight.Done, nil
}

// Close finishes the calls that have begun, and refuses later ones.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.inflight.Wait()
	var err error
	if s.file != nil {
		s.file.close()
	}
	if s.dialect.close != nil {
		err = s.dialect.close()
	}
	for range cap(s.readers) {
		if c := <-s.readers; c != nil {
			c.discard()
		}
	}
	err = errors.Join(err, s.readDB.Close())
	close(s.queue)
	<-s.stopped
	err = errors.Join(err, s.db.Close())
	if s.file != nil {
		err = errors.Join(err, s.file.clear(s.log))
	}
	return err
}

// Waiting says how many Updates wait for the writer.
func (s *Store) Waiting() int64 { return s.waiting.Load() }

// View runs fn on a snapshot, which is as old as fn's first read.
func (s *Store) View(ctx context.Context, fn func(service.Reader) error) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	var c *conn
	select {
	case c = <-s.readers:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.readers <- c }()
	if c, err = s.start(ctx, c, s.readDB, s.view); err != nil {
		return s.classify(err)
	}
	r := &reader{ctx: ctx, store: s, conn: c}
	defer func() {
		r.err = errEnded
		if _, err := c.exec(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
			c.discard()
			c = nil
		}
	}()
	return fn(r)
}

// start begins a transaction on c, which may be nil. A connection may have been
// lost since it was used last, as when the database was restarted: then it
// begins on a new one. It gives the connection that is left.
func (s *Store) start(ctx context.Context, c *conn, db *sql.DB, begin string) (*conn, error) {
	for fresh := c == nil; ; fresh = true {
		var err error
		if c == nil {
			if c, err = s.connect(ctx, db); err != nil {
				return nil, err
			}
		}
		if _, err = c.exec(ctx, begin); err == nil || s.locked(err) {
			return c, err
		}
		c.discard()
		c = nil
		if fresh || ctx.Err() != nil {
			return nil, err
		}
	}
}

func (s *Store) reruns(err error) bool { return err != nil && s.rerun != nil && s.rerun(err) }

// classify gives a database's error its code. Errors of a context, and those
// that no caller could act on, stay as they are.
func (s *Store) classify(err error) error {
	switch {
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn):
		return s.coded(sluice.CodeUnavailable, err)
	}
	if code := s.code(err); code != "" {
		return s.coded(code, err)
	}
	return err
}

var details = map[sluice.Code]string{
	sluice.CodeConflict:    "an object with this id exists already",
	sluice.CodeStorageFull: "the disk of the database is full",
	sluice.CodeUnavailable: "the database cannot be used now",
}

func (s *Store) coded(code sluice.Code, err error) error {
	e := sluice.Wrap(code, details[code], err)
	if code == sluice.CodeUnavailable {
		e.RetryAfter = time.Second
	}
	return e
}

// conn is a connection with the statements prepared on it.
type conn struct {
	*sql.Conn
	stmts map[string]*sql.Stmt
}

// connect takes a connection out of db, unless it would open another file than the one that the Store has opened.
func (s *Store) connect(ctx context.Context, db *sql.DB) (*conn, error) {
	if s.file != nil && !s.file.there() {
		return nil, driver.ErrBadConn
	}
	return connect(ctx, db)
}

// connect takes a connection out of db.
func connect(ctx context.Context, db *sql.DB) (*conn, error) {
	c, err := db.Conn(ctx)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil { // the driver's own
		err = fmt.Errorf("%w: %v", driver.ErrBadConn, err)
	}
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, stmts: map[string]*sql.Stmt{}}, nil
}

// discard closes the connection for good, whatever state it is in. Statements
// that are left open would keep it, and its locks, alive.
func (c *conn) discard() {
	for _, stmt := range c.stmts {
		stmt.Close()
	}
	c.stmts = nil
	c.Raw(func(any) error { return driver.ErrBadConn })
}

// maxStmts bounds how many statements a connection keeps. There are as many
// lists as combinations of filters, and whoever may read can ask for them all.
const maxStmts = 256

func (c *conn) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
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

func (c *conn) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := c.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

// execEach runs one statement with many sets of arguments.
func (s *Store) execEach(ctx context.Context, c *conn, query string, sets [][]any) error {
	if s.each != nil {
		return s.each(ctx, c, query, sets)
	}
	for _, args := range sets {
		if _, err := c.exec(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := c.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}
