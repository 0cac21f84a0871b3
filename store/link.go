package store

import (
	"time"

	"sluice"
)

const linkColumns = "id, file_id, key_id, signing_key, reason, metadata, created, updated, expires, revoked, ended, downloads, redeemed"

func linkFields(l *sluice.Link) []any {
	return []any{
		&l.ID, &l.FileID, &l.KeyID, &l.SigningKey, &l.Reason, (*metadata)(&l.Metadata), (*moment)(&l.Created), (*moment)(&l.Updated),
		(*moment)(&l.Expires), (*moment)(&l.Revoked), (*string)(&l.Ended), (*integer)(&l.Downloads), (*moment)(&l.Redeemed),
	}
}

func (r *reader) Link(l sluice.LedgerID, id string) (sluice.Link, error) {
	link := sluice.Link{Ledger: l}
	ledger, err := r.ledgerID(l)
	if err == nil {
		err = r.one(linkFields(&link), "SELECT "+linkColumns+" FROM link WHERE id = $1 AND ledger = $2", id, ledger)
	}
	return link, err
}

func (r *reader) Links(l sluice.LedgerID, f sluice.LinkFilter, p sluice.Page) (sluice.List[sluice.Link], error) {
	return list(r, l, linkListing(f), f.Created, p, func(link *sluice.Link) []any {
		link.Ledger = l
		return linkFields(link)
	})
}

func linkListing(f sluice.LinkFilter) listing {
	q := listing{columns: linkColumns, table: "link", at: "created", tie: "id", least: "", where: " AND ended <> 'revoked'"}
	q.equal("file_id", f.FileID)
	q.in("id", f.IDs)
	switch {
	case f.Expired == nil:
	case *f.Expired:
		q.and("expires <=", micros(f.Now))
	default:
		q.and("(expires IS NULL OR expires >", micros(f.Now))
		q.where += ")"
	}
	return q
}

func (t *tx) CreateLink(l sluice.Link, e sluice.Entry) error {
	ledger, err := t.own(l.Ledger)
	if err != nil {
		return err
	}
	return t.change(e, "INSERT INTO link (ledger, "+linkColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
		ledger, l.ID, l.FileID, l.KeyID, l.SigningKey, l.Reason, metadata(l.Metadata).text(), micros(l.Created), micros(l.Updated),
		micros(l.Expires), micros(l.Revoked), string(l.Ended), l.Downloads, micros(l.Redeemed))
}

func (t *tx) UpdateLink(l sluice.Link, e sluice.Entry) error {
	ledger, err := t.own(l.Ledger)
	if err != nil {
		return err
	}
	return t.change(e, "UPDATE link SET reason = $3, metadata = $4, updated = $5, expires = $6, revoked = $7, ended = $8 WHERE id = $1 AND ledger = $2",
		l.ID, ledger, l.Reason, metadata(l.Metadata).text(), micros(l.Updated), micros(l.Expires), micros(l.Revoked), string(l.Ended))
}

func (t *tx) Redeemed(id string, now time.Time, e sluice.Entry) error {
	return t.change(e, "UPDATE link SET downloads = downloads + 1, redeemed = $3 WHERE id = $1 AND ledger = $2", id, t.head.id, micros(now))
}
