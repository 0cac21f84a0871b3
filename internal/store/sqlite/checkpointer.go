package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"sluice/internal/store/sqldb"
)

// checkpointer moves committed pages from the WAL into the database while the writer goes on. When the WAL is full
// the writer does so itself, and every Update waits for it; then little is left to move. Two connections that
// checkpoint need SQLite 3.51.3 or later: https://www.sqlite.org/wal.html#walresetbug.
type checkpointer struct {
	db        *sql.DB
	conn      *sql.Conn  // is opened at once, because the path may name another file later
	mu        sync.Mutex // held while a checkpoint runs
	committed chan struct{}
	stop      chan struct{}
	stopped   chan struct{}
}

// checkpointPause is the pause between two checkpoints.
const checkpointPause = 100 * time.Millisecond

func newCheckpointer(path string) (*checkpointer, error) {
	db, err := sql.Open("sqlite", DSN(path, "_busy_timeout=0", "_synchronous=FULL"))
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	c := &checkpointer{
		db: db, conn: conn, committed: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go c.run()
	return c, nil
}

// note says that the writer has committed.
func (c *checkpointer) note() {
	select {
	case c.committed <- struct{}{}:
	default:
	}
}

// run makes checkpoints until it is stopped. The writer moves what a failed one leaves, and gets the error.
func (c *checkpointer) run() {
	defer close(c.stopped)
	for {
		select {
		case <-c.stop:
			return
		case <-c.committed:
		}
		select {
		case <-c.stop:
			return
		case <-time.After(checkpointPause):
		}
		c.mu.Lock()
		_, _ = c.conn.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
		c.mu.Unlock()
	}
}

// scrub truncates the WAL on the writer's connection, while the checkpointer rests.
func (c *checkpointer) scrub(ctx context.Context, writer *sqldb.Conn) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return truncateWAL(ctx, writer)
}

func (c *checkpointer) close() error {
	close(c.stop)
	<-c.stopped
	return errors.Join(c.conn.Close(), c.db.Close())
}
