package records

import (
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

// Guesses implements service.Reader.
func (r *Reader) Guesses(
	l sluice.LedgerID, link string, address sluice.Digest, day time.Time,
) (g service.Guesses, err error) {
	ledger, err := r.LedgerNumber(l)
	if err == nil {
		g.LinkID, g.Address, g.Day = link, address, day
		err = r.OneUnbuffered([]any{&g.N, (*sqldb.Time)(&g.Last)},
			"SELECT n, last FROM guess WHERE ledger = $1 AND link_id = $2 AND address = $3 AND day = $4",
			ledger, link, address[:], sqldb.Micros(day))
	}
	if err == sqldb.ErrNotFound {
		err = nil
	}
	return g, err
}

// SetGuesses implements service.Tx.
func (t *Tx) SetGuesses(g service.Guesses) error {
	_, err := t.log.Exec("INSERT INTO guess (ledger, link_id, address, day, n, last) VALUES ($1, $2, $3, $4, $5, $6)"+
		" ON CONFLICT (ledger, link_id, address, day) DO UPDATE SET n = excluded.n, last = excluded.last",
		t.log.LedgerHead().ID, g.LinkID, g.Address[:], sqldb.Micros(g.Day), g.N, sqldb.Micros(g.Last))
	return err
}

// DeleteGuesses deletes the guesses of days that began before a time.
var DeleteGuesses = deleteBefore("DELETE FROM guess WHERE (ledger, link_id, address, day) IN" +
	" (SELECT ledger, link_id, address, day FROM guess WHERE day < $1 ORDER BY day LIMIT $2)")
