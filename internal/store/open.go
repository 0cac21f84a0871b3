package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/postgres"
	"sluice/internal/store/sqldb"
	"sluice/internal/store/sqlite"
)

// OpenSQLite opens the database in a file. It creates a file that does not exist, readable by its owner only.
// Several processes of one machine may share it. A file that is replaced or removed while it is open is noticed:
// see Lost. A schema newer than this binary knows is refused. A full disk is CodeStorageFull.
func OpenSQLite(path string, opts Options) (*Store, error) {
	return openSQLite(path, opts, maxGroup, 5*time.Second)
}

// openSQLite lets group requests share a commit, and waits up to wait for the lock of another process. To open a
// database needs some space, which the reserve of a full disk has.
func openSQLite(path string, opts Options, group int, wait time.Duration) (*Store, error) {
	opts = opts.Complete()
	db, err := sqlite.Open(path, opts.Log)
	if err != nil && opts.Reserve != "" && sluice.CodeOf(err) == sluice.CodeStorageFull {
		if info, absent := os.Stat(opts.Reserve); absent == nil && info.Size() > 0 {
			(&reserve{path: opts.Reserve, log: opts.Log}).release()
			db, err = sqlite.Open(path, opts.Log)
		}
	}
	if err != nil {
		return nil, err
	}
	s := newStore(db, opts, group, wait)
	if opts.Reserve != "" {
		s.reserve = openReserve(opts.Reserve, opts.Log)
	}
	return s, nil
}

// OpenPostgres opens an existing database of a PostgreSQL server, given by a URL or by the keywords that libpq
// understands. Any number of processes may share it. It refuses a schema newer than this binary knows, a server
// that may lose commits or cannot store every text, and a database that a transfer has not finished to fill.
//
// It needs sessions of its own: a pooler between it and the server must not give them to others between two
// transactions.
func OpenPostgres(ctx context.Context, url string, opts Options) (*Store, error) {
	return openPostgres(ctx, url, opts.Complete(), maxGroup)
}

func openPostgres(ctx context.Context, url string, opts Options, group int) (*Store, error) {
	db, err := postgres.Open(ctx, url, opts.Log)
	if err != nil {
		return nil, err
	}
	s := newStore(db, opts, group, 0)
	mark, err := s.FillMark(ctx)
	if err == nil && mark != "" {
		err = errors.New("sluice migrate has begun to fill it and has not finished: run the same sluice migrate again")
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", db.Name, errors.Join(err, s.Close()))
	}
	return s, nil
}

// A transfer that fills a database holds the lease under which a server starts (see service.Service.Start), without
// an end. A server that had opened the database before that cannot start.
const (
	FillLease = "start"
	FillUntil = 1 << 62
)

// FillMark names the transfer that fills the database, "" when none does.
func (s *Store) FillMark(ctx context.Context) (mark string, err error) {
	err = s.View(ctx, func(given service.Reader) error {
		err := given.(*reader).session.One([]any{&mark}, "SELECT holder FROM lease WHERE name = $1 AND until = $2",
			FillLease, int64(FillUntil))
		if err == sqldb.ErrNotFound {
			return nil
		}
		return err
	})
	return mark, err
}
