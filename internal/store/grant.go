package store

import (
	"context"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

func (r *reader) OpenGrant(l sluice.LedgerID, link string, bearer sluice.Digest) (g service.OpenGrant, err error) {
	ledger, err := r.ledgerID(l)
	if err == nil {
		g.LinkID, g.Bearer = link, bearer
		err = r.OneUnbuffered([]any{(*sqldb.Time)(&g.Expires), &g.Left}, "SELECT expires, bytes FROM open_grant WHERE ledger = $1 AND link_id = $2 AND bearer = $3", ledger, link, bearer[:])
	}
	return g, err
}

func (t *tx) SetGrant(g service.OpenGrant) error {
	_, err := t.exec("INSERT INTO open_grant (ledger, link_id, bearer, expires, bytes) VALUES ($1, $2, $3, $4, $5)"+
		" ON CONFLICT (ledger, link_id, bearer) DO UPDATE SET expires = excluded.expires, bytes = excluded.bytes",
		t.head.id, g.LinkID, g.Bearer[:], sqldb.Micros(g.Expires), g.Left)
	return err
}

// ForgetGrants implements service.Store. What was forgotten before an error
// stays forgotten, and is counted.
func (s *Store) ForgetGrants(ctx context.Context, before time.Time) (int, error) {
	return s.forget(ctx, "DELETE FROM open_grant WHERE (ledger, link_id, bearer) IN"+
		" (SELECT ledger, link_id, bearer FROM open_grant WHERE expires < $1 ORDER BY expires LIMIT $2)", before)
}
