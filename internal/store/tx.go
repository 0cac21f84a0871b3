package store

import (
	"context"
	"errors"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/auditlog"
	"sluice/internal/store/records"
	"sluice/internal/store/sqldb"
)

// The records' types have names of their own here, so that they can stand beside those of the log.
type (
	recordsReader = records.Reader
	recordsTx     = records.Tx
)

// reader is the service.Reader of a View.
type reader struct {
	auditlog.Reader
	recordsReader
	session sqldb.Session
}

// tx is the service.Tx of an Update, or of an unlogged write. It is one value, because each download makes one.
type tx struct {
	auditlog.Tx
	recordsTx
	session sqldb.Session
}

var (
	_ service.Reader = (*reader)(nil)
	_ service.Tx     = (*tx)(nil)
)

func (s *Store) newReader(ctx context.Context, c *sqldb.Conn) *reader {
	r := &reader{session: sqldb.Session{Ctx: ctx, DB: s.db, Conn: c}}
	r.Reader = auditlog.NewReader(&r.session, &s.ledgers, nil)
	r.recordsReader = records.NewReader(r.Reader, nil)
	return r
}

// newTx makes the tx of a request. The head of an unlogged write is empty.
func (w *writer) newTx(r *request) (*tx, error) {
	t := &tx{session: w.session(context.Background())}
	log := auditlog.NewReader(&t.session, &w.store.ledgers, w.group.log)
	var head *auditlog.Head
	var err error
	if r.unlogged != nil {
		head = &auditlog.Head{}
	} else if head, err = log.Head(r.ledger); err != nil {
		return nil, err
	}
	t.Tx = auditlog.NewTx(log, r.ledger, head, w.store.random)
	t.recordsTx = records.NewTx(records.NewReader(log, w.group.records), &t.Tx)
	return t, nil
}

// session is one on the writer's connection.
func (w *writer) session(ctx context.Context) sqldb.Session {
	return sqldb.Session{Ctx: ctx, DB: w.store.db, Conn: w.conn, Buffer: w.group, Inserter: w.inserter}
}

// setSavepoint puts a savepoint behind all that was written so far.
func (t *tx) setSavepoint() error {
	if err := t.session.Flush(); err != nil {
		return err
	}
	_, err := t.session.Conn.Exec(t.session.Ctx, "SAVEPOINT u")
	return t.session.Fail(err)
}

// call runs the caller's function, and keeps its panic for the caller.
func (t *tx) call(r *request) error {
	returned := false
	defer func() {
		if r.panicked = recover(); r.panicked == nil && !returned {
			panic("store: the function given to Update ended its goroutine")
		}
	}()
	var err error
	if r.unlogged != nil {
		err = r.unlogged(t)
	} else {
		err = r.fn(t)
	}
	returned = true
	return err
}

var errEnded = errors.New("the transaction has ended: a Reader or Tx is valid only inside the function it was given to")

// noLedger is the ledger of an unlogged write whose rows belong to none.
var noLedger sluice.LedgerID
