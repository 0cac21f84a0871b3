package records

import (
	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

// OpenGrant implements service.Reader.
func (r *Reader) OpenGrant(l sluice.LedgerID, link string, bearer sluice.Digest) (g service.OpenGrant, err error) {
	ledger, err := r.LedgerNumber(l)
	if err == nil {
		g.LinkID, g.Bearer = link, bearer
		err = r.OneUnbuffered([]any{(*sqldb.Time)(&g.Expires), &g.Left, &g.Seq},
			"SELECT expires, bytes, seq FROM open_grant WHERE ledger = $1 AND link_id = $2 AND bearer = $3",
			ledger, link, bearer[:])
	}
	return g, err
}

// SetGrant implements service.Tx.
func (t *Tx) SetGrant(g service.OpenGrant) error {
	_, err := t.log.Exec("INSERT INTO open_grant (ledger, link_id, bearer, expires, bytes, seq)"+
		" VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (ledger, link_id, bearer)"+
		" DO UPDATE SET expires = excluded.expires, bytes = excluded.bytes, seq = excluded.seq",
		t.log.LedgerHead().ID, g.LinkID, g.Bearer[:], sqldb.Micros(g.Expires), g.Left, g.Seq)
	return err
}

// DeleteGrants deletes open grants that expired before a time.
var DeleteGrants = deleteBefore("DELETE FROM open_grant WHERE (ledger, link_id, bearer) IN" +
	" (SELECT ledger, link_id, bearer FROM open_grant WHERE expires < $1 ORDER BY expires LIMIT $2)")
