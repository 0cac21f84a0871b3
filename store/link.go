package store

import (
	"fmt"
	"maps"
	"math"
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

const linkByID = "SELECT " + linkColumns + " FROM link WHERE id = $1 AND ledger = $2"

func (r *reader) Link(l sluice.LedgerID, id string) (sluice.Link, error) {
	return once(r, r.seen().links, l, id, linkByID, linkFields, func(link *sluice.Link) {
		link.Ledger, link.Metadata = l, maps.Clone(link.Metadata)
	})
}

func (r *reader) Links(l sluice.LedgerID, f sluice.LinkFilter, p sluice.Page) (sluice.List[sluice.Link], error) {
	created, err := r.linksCreated(l, f)
	if err != nil {
		return sluice.List[sluice.Link]{}, err
	}
	return list(r, l, linkListing(f), created, p, func(link *sluice.Link) []any {
		link.Ledger = l
		return linkFields(link)
	})
}

// linksCreated is when the links of a list may have been made. No index holds
// those that expire within some time together in the order in which they were
// made. But a link expires after it was made, and no link of its ledger has
// lived longer than the longest, so only a part of the list need be looked at:
// in the worst case the links that were made within that longest lifetime, and
// all links of a ledger in which one never ends.
func (r *reader) linksCreated(l sluice.LedgerID, f sluice.LinkFilter) (interval, error) {
	created, expires := moments(f.Created), linksExpire(f)
	if expires.to < math.MaxInt64 {
		created.to = min(created.to, expires.to)
	}
	if expires.from == math.MinInt64 {
		return created, nil
	}
	longest, err := r.longest(l)
	if longest < math.MaxInt64 {
		created.from = max(created.from, expires.from-longest)
	}
	return created, err
}

// linksExpire is when the links of a list expire, as far as they do.
func linksExpire(f sluice.LinkFilter) interval {
	expires := moments(f.Expires)
	if f.Expired != nil && *f.Expired {
		expires.to = min(expires.to, f.Now.UnixMicro()+1)
	}
	if f.Expired != nil && !*f.Expired || f.Over != nil && !*f.Over {
		expires.from = max(expires.from, f.Now.UnixMicro()+1)
	}
	return expires
}

func linkListing(f sluice.LinkFilter) listing {
	q := listing{columns: linkColumns, table: "link", ledger: "ledger", at: "created", tie: "id", least: "", place: "SELECT created, id FROM link WHERE id = $1 AND ledger = $2", where: " AND ended <> 'revoked'"}
	q.equal("file_id", f.FileID)
	q.in("id", f.IDs)
	switch {
	case f.Revoked == nil:
	case *f.Revoked:
		q.where += " AND ended <> ''"
	default:
		q.where += " AND ended = ''"
	}
	switch {
	case f.Over == nil:
	case *f.Over:
		q.and("(ended <> '' OR expires <=", f.Now.UnixMicro())
		q.where += ")"
	default:
		q.where += " AND ended = ''"
	}
	switch expires := linksExpire(f); {
	case expires == everything:
	case f.Expires == (sluice.TimeRange{}) && (f.Expired == nil || !*f.Expired):
		q.and("(expires IS NULL OR expires >=", expires.from)
		q.where += ")"
	default:
		q.between("expires", expires)
	}
	return q
}

func (t *tx) CreateLink(l sluice.Link, e sluice.Entry) error {
	ledger, err := t.own(l.Ledger)
	if err != nil {
		return err
	}
	t.lasts(l)
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
	t.lasts(l)
	return t.rewrite(e, "UPDATE link SET reason = $3, metadata = $4, max_downloads = $5, allowed_ips = $6, updated = $7, expires = $8, revoked = $9, ended = $10"+
		" WHERE id = $1 AND ledger = $2",
		l.ID, ledger, l.Reason, metadata(l.Metadata).text(), l.MaxDownloads, networks(l.AllowedIPs).text(),
		micros(l.Updated), micros(l.Expires), micros(l.Revoked), string(l.Ended))
}

// lasts has the ledger know of a link's lifetime.
func (t *tx) lasts(l sluice.Link) {
	lifetime := int64(math.MaxInt64)
	if !l.Expires.IsZero() {
		lifetime = l.Expires.UnixMicro() - l.Created.UnixMicro()
	}
	t.head.longest = max(t.head.longest, lifetime)
}

// redemption is a download that the database does not count yet.
type redemption struct {
	link   object
	at     time.Time
	before sluice.Link // the link as the group knew it
}

func (t *tx) Redeemed(id string, now time.Time, e sluice.Entry) error {
	l, err := once(&t.reader, t.group.links, t.ledger, id, linkByID, linkFields, func(*sluice.Link) {})
	if err == nil {
		err = t.Record(e)
	}
	if err != nil {
		return err
	}
	name, at := object{t.head.id, id}, now.UTC().Truncate(time.Microsecond)
	t.group.redeemed = append(t.group.redeemed, redemption{name, at, l})
	l.Downloads++
	l.Redeemed = at
	t.group.links[name] = l
	return nil
}

// count writes the downloads that were gathered, one statement a link.
func (r *reader) count(redeemed []redemption) error {
	type total struct {
		n  int64
		at time.Time
	}
	totals := map[object]total{}
	var order []object
	for _, d := range redeemed {
		t, seen := totals[d.link]
		if !seen {
			order = append(order, d.link)
		}
		totals[d.link] = total{t.n + 1, d.at}
	}
	for _, link := range order {
		t := totals[link]
		_, err := r.conn.exec(r.ctx, "UPDATE link SET downloads = downloads + $3, redeemed = $4 WHERE id = $1 AND ledger = $2", link.id, link.ledger, t.n, micros(t.at))
		if err != nil {
			return r.fail(err)
		}
	}
	return nil
}
