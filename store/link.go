package store

import (
	"cmp"
	"maps"
	"slices"
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
	return once(r, r.seen().links, l, id, "SELECT "+linkColumns+" FROM link WHERE id = $1 AND ledger = $2", linkFields, func(link *sluice.Link) {
		link.Ledger, link.Metadata = l, maps.Clone(link.Metadata)
	})
}

func (r *reader) Links(l sluice.LedgerID, f sluice.LinkFilter, p sluice.Page) (sluice.List[sluice.Link], error) {
	fields := func(link *sluice.Link) []any {
		link.Ledger = l
		return linkFields(link)
	}
	page, err := list(r, l, linkListing(f), f.Created, p, fields)
	if err != nil || f.Expired == nil {
		return page, err
	}
	strays, err := list(r, l, strayListing(f), f.Created, p, fields)
	return merge(page, strays, p), err
}

// linkListing lists links. No index can tell the expired from the others in the
// order of creation, since that changes with every moment, so the writer marks
// links as lapsed in the course of time, and a list goes by the mark. Where the
// mark is wrong at the moment asked for, strayListing has the link.
func linkListing(f sluice.LinkFilter) listing {
	q := listing{columns: linkColumns, table: "link", at: "created", tie: "id", least: "", where: " AND ended <> 'revoked'"}
	q.equal("file_id", f.FileID)
	q.in("id", f.IDs)
	switch {
	case f.Expired == nil:
	case *f.Expired:
		q.and("lapsed = 1 AND expires <=", micros(f.Now))
	default:
		q.and("lapsed = 0 AND COALESCE(expires, 9223372036854775807) >", micros(f.Now))
	}
	return q
}

// strayListing lists what linkListing misses under the filter Expired. Those are
// few; 1 - lapsed has the index that finds them, and no other query, see to that.
func strayListing(f sluice.LinkFilter) listing {
	expired := *f.Expired
	f.Expired = nil
	q := linkListing(f)
	if expired {
		q.and("1 - lapsed = 1 AND expires <=", micros(f.Now))
	} else {
		q.and("1 - lapsed = 0 AND expires >", micros(f.Now))
	}
	return q
}

// merge makes one page of two that were asked for with the same p.
func merge(a, b sluice.List[sluice.Link], p sluice.Page) sluice.List[sluice.Link] {
	all := append(a.Data, b.Data...)
	slices.SortFunc(all, func(x, y sluice.Link) int {
		return cmp.Or(y.Created.Compare(x.Created), cmp.Compare(y.ID, x.ID))
	})
	beyond := max(0, len(all)-p.Limit)
	if p.Before != "" {
		all = all[beyond:]
	} else {
		all = all[:len(all)-beyond]
	}
	return sluice.List[sluice.Link]{Data: all, More: a.More || b.More || beyond > 0}
}

// lapse marks links that have expired: as many as a group can have minted, so
// that few are left.
const lapse = "UPDATE link SET lapsed = 1 WHERE id IN (SELECT id FROM link WHERE 1 - lapsed = 1 AND expires <= $1 ORDER BY expires LIMIT 256)"

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
	t.group.forget()
	return t.change(e, "UPDATE link SET reason = $3, metadata = $4, updated = $5, expires = $6, revoked = $7, ended = $8, lapsed = 0 WHERE id = $1 AND ledger = $2",
		l.ID, ledger, l.Reason, metadata(l.Metadata).text(), micros(l.Updated), micros(l.Expires), micros(l.Revoked), string(l.Ended))
}

func (t *tx) Redeemed(id string, now time.Time, e sluice.Entry) error {
	err := t.change(e, "UPDATE link SET downloads = downloads + 1, redeemed = $3 WHERE id = $1 AND ledger = $2", id, t.head.id, micros(now))
	name := object{t.head.id, id}
	if l, ok := t.group.links[name]; ok && err == nil {
		l.Downloads++
		l.Redeemed = now.UTC().Truncate(time.Microsecond)
		t.group.links[name] = l
	}
	return err
}
