package store

import (
	"context"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/auditlog"
	"sluice/internal/store/records"
	"sluice/internal/store/sqldb"
	"sluice/internal/store/sqlite"
)

// What a check of the database reads.
type (
	PageReport = sqldb.PageReport
	Extent     = auditlog.Extent
	LogBatch   = auditlog.LogBatch
	LogEntry   = auditlog.LogEntry
	IndexTerm  = auditlog.IndexTerm
	IndexRow   = auditlog.IndexRow
)

// CheckPages has the database check its own pages, in one read, on a connection of its own: writers and other
// readers go on meanwhile. SQLite keeps what is written meanwhile in its log (WAL). SQLite runs quick_check, and
// PostgreSQL what its extension amcheck offers, where it is installed.
func (s *Store) CheckPages(ctx context.Context) (r PageReport, err error) {
	if err := s.enter(); err != nil {
		return r, err
	}
	defer s.inflight.Done()
	c, err := s.db.Connect(ctx, s.db.Reader)
	if err != nil {
		return r, s.db.Classify(err)
	}
	defer c.Discard()
	r, err = s.db.Pages(ctx, c)
	return r, s.db.Classify(err)
}

// CheckSQLiteFile checks the pages of a database in a file: see sqlite.CheckFile.
func CheckSQLiteFile(ctx context.Context, path string) (PageReport, error) {
	return sqlite.CheckFile(ctx, path)
}

// viewLog runs fn on a snapshot of the logs.
func (s *Store) viewLog(ctx context.Context, fn func(*auditlog.Reader) error) error {
	return s.View(ctx, func(r service.Reader) error { return fn(&r.(*reader).Reader) })
}

// MaxTail is how many entries may be missing from the end of an index: see auditlog.MaxTail.
const MaxTail = auditlog.MaxTail

// Extent says how far a ledger reaches. A ledger without entries is CodeNotFound.
func (s *Store) Extent(ctx context.Context, l sluice.LedgerID) (e Extent, err error) {
	err = s.viewLog(ctx, func(r *auditlog.Reader) (err error) {
		e, err = r.Extent(l)
		return err
	})
	return e, err
}

// BatchAt gives the seq with which the batch begins that holds an entry, or that comes before it; -1 for none.
func (s *Store) BatchAt(ctx context.Context, l sluice.LedgerID, seq int64) (first int64, err error) {
	err = s.viewLog(ctx, func(r *auditlog.Reader) (err error) {
		first, err = r.BatchAt(l, seq)
		return err
	})
	return first, err
}

// ReadBatches reads batches of a ledger: see auditlog.Reader.ReadBatches.
func (s *Store) ReadBatches(
	ctx context.Context, l sluice.LedgerID, from, to int64, limit int, yield func(LogBatch),
) (n int, err error) {
	err = s.viewLog(ctx, func(r *auditlog.Reader) (err error) {
		n, err = r.ReadBatches(l, from, to, limit, yield)
		return err
	})
	return n, err
}

// ReadIndex reads rows of a ledger's index: see auditlog.Reader.ReadIndex.
func (s *Store) ReadIndex(
	ctx context.Context, l sluice.LedgerID, after IndexRow, limit int, yield func(IndexRow),
) (n int, err error) {
	err = s.viewLog(ctx, func(r *auditlog.Reader) (err error) {
		n, err = r.ReadIndex(l, after, limit, yield)
		return err
	})
	return n, err
}

// DistrustIndex has lists of a ledger's entries do without the index: see auditlog.Ledgers.DistrustIndex.
func (s *Store) DistrustIndex(l sluice.LedgerID, distrust bool) { s.ledgers.DistrustIndex(l, distrust) }

// What a check of the rows reads. See package records.
type (
	Row[T any]    = records.Row[T]
	LinkedRow     = records.LinkedRow
	EndingRow     = records.EndingRow
	LedgerRow     = records.LedgerRow
	SigningKeyRow = records.SigningKeyRow
)

// RowReader reads the rows of the tables, whatever they hold, beside what a service.Reader reads.
type RowReader interface {
	service.Reader
	LinkRows(after string, limit int) ([]Row[sluice.Link], error)
	FileRows(after string, limit int) ([]Row[sluice.File], error)
	KeyRows(after string, limit int) ([]Row[sluice.Key], error)
	SessionRows(after string, limit int) ([]Row[sluice.Session], error)
	LinkedRows(after, last string) ([]Row[LinkedRow], error)
	GrantRows(after Row[service.OpenGrant], limit int) ([]Row[service.OpenGrant], error)
	EndingRows() ([]Row[EndingRow], error)
	LedgerRows() ([]Row[LedgerRow], error)
	SigningKeyRows() ([]Row[SigningKeyRow], error)
}

// ViewRows is View for a check of the rows.
func (s *Store) ViewRows(ctx context.Context, fn func(RowReader) error) error {
	return s.View(ctx, func(r service.Reader) error { return fn(r.(*reader)) })
}
