package store

import (
	"context"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

func (r *reader) Guesses(l sluice.LedgerID, link string, address sluice.Digest, day time.Time) (g service.Guesses, err error) {
	ledger, err := r.ledgerID(l)
	if err == nil {
		g.LinkID, g.Address, g.Day = link, address, day
		err = r.OneUnbuffered([]any{&g.N, (*sqldb.Time)(&g.Last)}, "SELECT n, last FROM guess WHERE ledger = $1 AND link_id = $2 AND address = $3 AND day = $4", ledger, link, address[:], sqldb.Micros(day))
	}
	if err == sqldb.ErrNotFound {
		err = nil
	}
	return g, err
}

func (t *tx) SetGuesses(g service.Guesses) error {
	_, err := t.exec("INSERT INTO guess (ledger, link_id, address, day, n, last) VALUES ($1, $2, $3, $4, $5, $6)"+
		" ON CONFLICT (ledger, link_id, address, day) DO UPDATE SET n = excluded.n, last = excluded.last",
		t.head.id, g.LinkID, g.Address[:], sqldb.Micros(g.Day), g.N, sqldb.Micros(g.Last))
	return err
}

// ForgetGuesses implements service.Store. What was forgotten before an error
// stays forgotten, and is counted.
func (s *Store) ForgetGuesses(ctx context.Context, before time.Time) (int, error) {
	return s.forget(ctx, "DELETE FROM guess WHERE (ledger, link_id, address, day) IN"+
		" (SELECT ledger, link_id, address, day FROM guess WHERE day < $1 ORDER BY day LIMIT $2)", before)
}
