package store

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sluice"
)

const linkColumns = "id, file_id, key_id, signing_key, reason, metadata, created, updated, expires, revoked, ended, downloads, redeemed, max_downloads, password, allowed_ips, disposition, filename"

func linkFields(l *sluice.Link) []any {
	return []any{
		&l.ID, &l.FileID, &l.KeyID, &l.SigningKey, &l.Reason, (*metadata)(&l.Metadata), (*moment)(&l.Created), (*moment)(&l.Updated),
		(*moment)(&l.Expires), (*moment)(&l.Revoked), (*string)(&l.Ended), (*integer)(&l.Downloads), (*moment)(&l.Redeemed),
		(*integer)(&l.MaxDownloads), (*string)(&l.Password), (*networks)(&l.AllowedIPs), (*string)(&l.Disposition), &l.Filename,
	}
}

// networks are stored as one text, separated by spaces.
type networks []netip.Prefix

func (n networks) text() string {
	var b strings.Builder
	for i, network := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(network.String())
	}
	return b.String()
}

func (n *networks) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("networks are stored as text, not as %T", v)
	}
	*n = nil
	for part := range strings.FieldsSeq(text) {
		network, err := netip.ParsePrefix(part)
		if err != nil {
			return err
		}
		*n = append(*n, network)
	}
	return nil
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
	return list(r, l, linkListing(f), moments(f.Created), p, func(link *sluice.Link) []any {
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
	switch {
	case f.Revoked == nil:
	case *f.Revoked:
		q.where += " AND revoked IS NOT NULL"
	default:
		q.where += " AND revoked IS NULL"
	}
	if f.Expires != (sluice.TimeRange{}) {
		q.between("expires", moments(f.Expires))
	}
	return q
}

func (t *tx) CreateLink(l sluice.Link, e sluice.Entry) error {
	ledger, err := t.own(l.Ledger)
	if err != nil {
		return err
	}
	return t.change(e, "INSERT INTO link (ledger, "+linkColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"+
		" $15, $16, $17, $18, $19)",
		ledger, l.ID, l.FileID, l.KeyID, l.SigningKey, l.Reason, metadata(l.Metadata).text(), micros(l.Created), micros(l.Updated),
		micros(l.Expires), micros(l.Revoked), string(l.Ended), l.Downloads, micros(l.Redeemed),
		l.MaxDownloads, string(l.Password), networks(l.AllowedIPs).text(), string(l.Disposition), l.Filename)
}

func (t *tx) UpdateLink(l sluice.Link, e sluice.Entry) error {
	ledger, err := t.own(l.Ledger)
	if err != nil {
		return err
	}
	return t.change(e, "UPDATE link SET reason = $3, metadata = $4, max_downloads = $5, allowed_ips = $6, updated = $7, expires = $8, revoked = $9, ended = $10"+
		" WHERE id = $1 AND ledger = $2",
		l.ID, ledger, l.Reason, metadata(l.Metadata).text(), l.MaxDownloads, networks(l.AllowedIPs).text(),
		micros(l.Updated), micros(l.Expires), micros(l.Revoked), string(l.Ended))
}

func (t *tx) Redeemed(id string, now time.Time, e sluice.Entry) error {
	return t.change(e, "UPDATE link SET downloads = downloads + 1, redeemed = $3 WHERE id = $1 AND ledger = $2", id, t.head.id, micros(now))
}
