package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// mover moves what is committed out of SQLite's log (WAL) into the database
// while the writer goes on. When the log is full the writer does so itself, and
// all wait for it; then little is left to move. That two connections do so needs
// SQLite 3.51.3 or later: https://www.sqlite.org/wal.html#walresetbug.
type mover struct {
	db      *sql.DB
	conn    *sql.Conn // opened at once: later, another file may have the name
	moving  sync.Mutex
	written chan struct{} // something was committed since
	stop    chan struct{}
	ended   chan struct{}
}

// moveAfter is how long the mover leaves between one go and the next.
const moveAfter = 50 * time.Millisecond

func newMover(path string) (*mover, error) {
	db, err := sql.Open("sqlite", sqliteDSN(path, "_busy_timeout=0", "_synchronous=FULL"))
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	m := &mover{db: db, conn: conn, written: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	go m.run()
	return m, nil
}

// note tells that something was committed.
func (m *mover) note() {
	select {
	case m.written <- struct{}{}:
	default:
	}
}

// run moves until it is stopped. What it could not move is left to the writer,
// which learns why.
func (m *mover) run() {
	defer close(m.ended)
	for {
		select {
		case <-m.stop:
			return
		case <-m.written:
		}
		select {
		case <-m.stop:
			return
		case <-time.After(moveAfter):
		}
		m.moving.Lock()
		_, _ = m.conn.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
		m.moving.Unlock()
	}
}

// scrub does what sqliteScrub does, when the mover is not in its way.
func (m *mover) scrub(ctx context.Context, c *conn) (done bool, err error) {
	m.moving.Lock()
	defer m.moving.Unlock()
	return sqliteScrub(ctx, c)
}

func (m *mover) close() error {
	close(m.stop)
	<-m.ended
	return errors.Join(m.conn.Close(), m.db.Close())
}
