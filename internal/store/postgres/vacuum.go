package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sluice/internal/store/sqldb"
)

// vacuumer removes redacted values from PostgreSQL's tables of entries, links, files and stored responses. An UPDATE
// leaves the old version of a row, and autovacuum may not visit a large table for months. VACUUM makes the space of old
// versions free, but does not overwrite it: docs/audit.md says what to run where the bytes themselves must go. The
// vacuumer works beside the writer, on a connection of its own. VACUUM keeps a version that an older transaction may
// still read, so it runs again until all transactions from before the redaction have ended.
type vacuumer struct {
	db     *sql.DB
	log    *slog.Logger
	erased chan struct{} // something was redacted
	warned atomic.Pointer[pgconn.Notice]
	ctx    context.Context
	stop   context.CancelFunc
	ended  chan struct{}
}

// The pauses between one VACUUM and the next, while old snapshots are open or the server fails.
const (
	vacuumFirst = time.Second
	vacuumLast  = 5 * time.Minute
)

func newVacuumer(config *pgx.ConnConfig, log *slog.Logger) *vacuumer {
	v := &vacuumer{log: log, erased: make(chan struct{}, 1), ended: make(chan struct{})}
	c := config.Copy()
	c.OnNotice = v.notice
	v.db = session(c, nil)
	v.ctx, v.stop = context.WithCancel(context.Background())
	go v.run()
	return v
}

// scrub has the table vacuumed soon.
func (v *vacuumer) scrub(context.Context, *sqldb.Conn) (bool, error) {
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
				v.log.Info("removed redacted values from the tables; their bytes may remain in their free space," +
					" see Redaction in docs/audit.md")
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

// notice keeps a warning of the server.
func (v *vacuumer) notice(_ *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		v.warned.Store(n)
	}
}

// olderTransactions asks whether anything makes VACUUM keep row versions that were replaced before a transaction id: a
// snapshot, a transaction that has written, a prepared one, or a standby that reports its snapshots through a
// replication slot. A slot's catalog_xmin concerns the system's own tables only.
const olderTransactions = "SELECT EXISTS (SELECT 1 FROM (" +
	"SELECT backend_xmin FROM pg_stat_activity WHERE pid <> pg_backend_pid()" +
	" UNION ALL SELECT backend_xid FROM pg_stat_activity WHERE pid <> pg_backend_pid()" +
	" UNION ALL SELECT transaction FROM pg_prepared_xacts" +
	" UNION ALL SELECT xmin FROM pg_replication_slots" +
	") AS held (xid) WHERE xid IS NOT NULL AND age(xid) > age($1::text::xid))"

// erasedTables are the tables from which redactions and erasures remove values.
const erasedTables = "batch, link, file, linked, answer"

// vacuum runs VACUUM once, and reports whether it could remove all row versions that were replaced before. A warning of
// VACUUM is an error: PostgreSQL warns when it skips a table that belongs to another role.
func (v *vacuumer) vacuum() (gone bool, err error) {
	c, err := v.db.Conn(v.ctx)
	if err != nil {
		return false, fmt.Errorf("VACUUM: %w", err)
	}
	defer c.Close()
	var now string
	if err := c.QueryRowContext(v.ctx, "SELECT pg_current_xact_id()::xid::text").Scan(&now); err != nil {
		return false, fmt.Errorf("VACUUM: %w", err)
	}
	var spared bool
	if err := c.QueryRowContext(v.ctx, olderTransactions, now).Scan(&spared); err != nil {
		return false, fmt.Errorf("VACUUM: %w", err)
	}
	v.warned.Store(nil)
	if _, err := c.ExecContext(v.ctx, "VACUUM "+erasedTables); err != nil {
		return false, err
	}
	if w := v.warned.Load(); w != nil {
		return false, fmt.Errorf("VACUUM: %s", w.Message)
	}
	return !spared, nil
}
