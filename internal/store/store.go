package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/auditlog"
	"sluice/internal/store/sqldb"
)

// Options are optional settings of a Store; the zero value is ready to use.
type Options struct {
	Random io.Reader    // for the salts of entries; crypto/rand when nil
	Log    *slog.Logger // slog.Default() when nil
	// Reserve is the path of a file that OpenSQLite keeps on the disk of the database. Its space
	// is released for revocations and deletions when the disk is full. No reserve when "".
	Reserve string
	// Observer is told of each commit; nil for none.
	Observer Observer
}

// Observer is told of each commit, by the goroutine that writes.
type Observer interface{ Committed(Commit) }

// Commit describes how a group of Updates ended.
type Commit struct {
	Updates int
	Runs    int // how often the group ran
	Took    time.Duration
	Err     error
}

// Complete gives the options with the defaults filled in.
func (o Options) Complete() Options {
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// Store is a service.Store. One goroutine writes, see writer.go; Views run beside it on connections of their own.
type Store struct {
	db       *sqldb.Database
	random   io.Reader // read by the writer only
	log      *slog.Logger
	observer Observer // nil for none

	queue    *queue
	reserve  *reserve         // nil: none
	maxGroup int              // how many requests may share a commit
	lockWait time.Duration    // how long the writer waits for the lock of another process
	lease    time.Duration    // see leaseTime
	stopped  chan struct{}    // closed when the writer has ended
	readers  chan *sqldb.Conn // idle connections of Views; nil stands for one that is not open
	ledgers  auditlog.Ledgers

	mu       sync.RWMutex
	closed   bool
	inflight sync.WaitGroup
}

var _ service.Store = (*Store)(nil)

// New makes a Store on an open database, which the Store closes.
func New(db *sqldb.Database, opts Options) *Store { return newStore(db, opts, maxGroup, 0) }

func newStore(db *sqldb.Database, opts Options, group int, wait time.Duration) *Store {
	opts = opts.Complete()
	s := &Store{
		db: db, random: opts.Random, log: opts.Log, observer: opts.Observer,
		queue: newQueue(), maxGroup: group, lockWait: wait, lease: leaseTime,
		stopped: make(chan struct{}), readers: make(chan *sqldb.Conn, db.Readers),
	}
	for range db.Readers {
		s.readers <- nil
	}
	go s.write()
	return s
}

// enter counts a call that begins, so that Close waits for it. When it is nil, inflight.Done counts the end.
func (s *Store) enter() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return sqldb.Coded(sluice.CodeUnavailable, errors.New("the store is closed"))
	}
	if err := s.Err(); err != nil {
		return sqldb.Coded(sluice.CodeUnavailable, err)
	}
	s.inflight.Add(1)
	return nil
}

// Close finishes the calls that have begun, and refuses later ones. The writer's connection is the last that is closed.
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
	if s.db.Stop != nil {
		err = s.db.Stop()
	}
	for range cap(s.readers) {
		if c := <-s.readers; c != nil {
			c.Discard()
		}
	}
	err = errors.Join(err, s.db.Reader.Close())
	s.queue.close()
	<-s.stopped
	err = errors.Join(err, s.db.Writer.Close())
	if s.db.Finish != nil {
		err = errors.Join(err, s.db.Finish())
	}
	return err
}

// Waiting gives the number of Updates that wait for the writer.
func (s *Store) Waiting() int64 { return int64(s.queue.length()) }

// Lost is closed when the database file was replaced or removed while it was in use. From then on every call fails,
// and Err says why. A database of a server is never lost.
func (s *Store) Lost() <-chan struct{} { return s.db.Lost }

// Err says why the Store is lost, nil when it is not.
func (s *Store) Err() error {
	select {
	case <-s.db.Lost:
		return fmt.Errorf("the database file %s was replaced or removed while it was in use", s.db.Name)
	default:
		return nil
	}
}

// takeReader takes an idle connection of a View, which may be nil. It waits for one until ctx ends.
func (s *Store) takeReader(ctx context.Context) (*sqldb.Conn, error) {
	select {
	case c := <-s.readers:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// View runs fn on a snapshot, which is as old as fn's first read.
func (s *Store) View(ctx context.Context, fn func(service.Reader) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.inflight.Done()
	c, err := s.takeReader(ctx)
	if err != nil {
		return err
	}
	defer func() { s.readers <- c }()
	if c, err = s.db.Start(ctx, c, s.db.Reader, s.db.View); err != nil {
		return s.db.Classify(err)
	}
	r := s.newReader(ctx, c)
	defer func() {
		r.session.End(errEnded)
		if _, err := c.Exec(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
			c.Discard()
			c = nil
		}
	}()
	return fn(r)
}

// KeyByHash implements service.Store. One statement needs no transaction. A connection that was lost since its last
// use is replaced.
func (s *Store) KeyByHash(ctx context.Context, hash sluice.Digest) (k sluice.Key, err error) {
	if err := s.enter(); err != nil {
		return k, err
	}
	defer s.inflight.Done()
	c, err := s.takeReader(ctx)
	if err != nil {
		return k, err
	}
	defer func() { s.readers <- c }()
	for fresh := c == nil; ; fresh = true {
		if c == nil {
			if c, err = s.db.Connect(ctx, s.db.Reader); err != nil {
				return k, s.db.Classify(err)
			}
		}
		r := s.newReader(ctx, c)
		if k, err = r.KeyByHash(hash); r.session.Err() == nil {
			return k, err
		}
		c.Discard()
		if c = nil; fresh || ctx.Err() != nil {
			return k, err
		}
	}
}
