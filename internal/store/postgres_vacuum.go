package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"
)

// vacuumer removes what was redacted from PostgreSQL's table of entries. An UPDATE leaves the old version of a row in
// the table's file until VACUUM, and autovacuum may not visit a large table for months. It works beside the writer,
// on a connection of its own. VACUUM keeps a version that an open snapshot may still read, so it runs again until
// every snapshot from before the redaction has ended.
type vacuumer struct {
	db     *sql.DB
	log    *slog.Logger
	erased chan struct{} // something was redacted
	ctx    context.Context
	stop   context.CancelFunc
	ended  chan struct{}
}

// The pauses between one VACUUM and the next, while old snapshots are open or the server fails.
const (
	vacuumFirst = time.Second
	vacuumLast  = 5 * time.Minute
)

func newVacuumer(db *sql.DB, log *slog.Logger) *vacuumer {
	v := &vacuumer{db: db, log: log, erased: make(chan struct{}, 1), ended: make(chan struct{})}
	v.ctx, v.stop = context.WithCancel(context.Background())
	go v.run()
	return v
}

// scrub has the table vacuumed soon.
func (v *vacuumer) scrub(context.Context, *conn) (bool, error) {
	select {
	case v.erased <- struct{}{}:
	default:
	}
	return true, nil
}

func (v *vacuumer) close() error {
	v.stop()
	<-v.ended
	return v.db.Close()
}

func (v *vacuumer) run() {
	defer close(v.ended)
	for {
		select {
		case <-v.ctx.Done():
			return
		case <-v.erased:
		}
		for pause := vacuumFirst; ; pause = min(2*pause, vacuumLast) {
			gone, err := v.vacuum()
			if v.ctx.Err() != nil {
				return
			}
			if gone {
				break
			}
			if err != nil {
				v.log.Error("redacted values may still be in the database's files, retrying VACUUM", "error", err)
			}
			select {
			case <-v.ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	}
}

// vacuum runs VACUUM once, and reports whether no snapshot that it had to spare is from before now.
func (v *vacuumer) vacuum() (gone bool, err error) {
	c, err := v.db.Conn(v.ctx)
	if err != nil {
		return false, err
	}
	defer c.Close()
	var now string
	if err := c.QueryRowContext(v.ctx, "SELECT pg_current_xact_id()::xid::text").Scan(&now); err != nil {
		return false, fmt.Errorf("VACUUM: %w", err)
	}
	const older = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_xmin IS NOT NULL" +
		" AND age(backend_xmin) > age($1::text::xid))"
	var spared bool
	if err := c.QueryRowContext(v.ctx, older, now).Scan(&spared); err != nil {
		return false, fmt.Errorf("VACUUM: %w", err)
	}
	if _, err := c.ExecContext(v.ctx, "VACUUM batch"); err != nil {
		return false, err
	}
	return !spared, nil
}
