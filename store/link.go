package store

import (
	"fmt"
	"math/bits"
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
	return list(r, l, linkListing(l, f), moments(f.Created), p, func(link *sluice.Link) []any {
		link.Ledger = l
		return linkFields(link)
	})
}

// The states of links. One that its owner ended is in no list.
const (
	goodLink   = 0
	endedLink  = 1
	hiddenLink = 2
)

var (
	linkRoute    = route{table: "link", ledger: "ledger", state: "state", at: "created", tie: "id"}
	fewLinkRoute = route{table: "link", ledger: "ledger", state: "state", at: "created", tie: "id", sorts: true}
)

// linkListing is the list of links under a filter.
//
// The list is in the order in which links were made, and it is time alone that
// makes them expire, so no index can hold the expired ones together in that
// order. What it can hold together is links that last equally long: of those,
// the expired ones are all that were made before a certain moment. So a list
// that asks when links expire is read term by term, of each term what was made
// within the moments that its lifetimes leave. Where the lifetimes of a term
// differ, the worst case is that links are looked at for nothing which were made
// within a time as long as the difference.
func linkListing(l sluice.LedgerID, f sluice.LinkFilter) listing {
	q := listing{columns: linkColumns, route: &linkRoute, least: "", states: []int{goodLink, endedLink}}
	switch {
	case f.Revoked == nil:
	case *f.Revoked:
		q.states = []int{endedLink}
	default:
		q.states = []int{goodLink}
	}
	expires, never := moments(f.Expires), f.Expires == (sluice.TimeRange{})
	if f.Expired != nil {
		now := f.Now.UnixMicro()
		if *f.Expired {
			expires.to, never = min(expires.to, now+1), false
		} else {
			expires.from = max(expires.from, now+1)
		}
	}
	bands := func(r *reader) ([]band, error) { return r.linkBands(l, expires, never) }
	q.in(f.IDs)
	if f.FileID != "" {
		q.lead(condition{"file_id = ?", []any{f.FileID}}, leader{route: &linkRoute, bands: bands}, leader{route: &fewLinkRoute})
	}
	switch {
	case !never:
		q.where("expires >= ? AND expires < ?", expires.from, expires.to)
		q.along("file_id <> ''", bands)
	case expires != everything:
		q.where("expires IS NULL OR expires >= ? AND expires < ?", expires.from, expires.to)
		q.along("file_id <> ''", bands)
	default:
		q.along("id <> ''", nil)
	}
	return q
}

// linkTerm is the shortest and the longest lifetime that any link of a term
// has had.
type linkTerm struct{ term, least, most int64 }

// linkBands gives the terms whose links may expire in an interval, or never,
// and when those links were made.
func (r *reader) linkBands(l sluice.LedgerID, expires interval, never bool) ([]band, error) {
	ledger, err := r.ledgerID(l)
	if err != nil {
		return nil, err
	}
	terms, err := many(r, func(t *linkTerm) []any { return []any{&t.term, &t.least, &t.most} },
		"SELECT term, least, most FROM link_term WHERE ledger = $1 ORDER BY term", ledger)
	var bands []band
	for _, t := range terms {
		made := everything
		if t.term != endless {
			made = interval{plus(expires.from, -t.most), plus(expires.to, -t.least)}
		}
		if t.term != endless || never {
			bands = append(bands, band{condition{"term = ?", []any{t.term}}, made})
		}
	}
	return bands, err
}

// endless is the term of links that never expire.
const endless = 0

// lifetime gives the term of a link, and its lifetime in microseconds. A term
// holds lifetimes from a power of two, in seconds, to less than the next; one
// that an installation often gives is as a rule alone in its term.
func lifetime(l sluice.Link) (term, micros int64) {
	if l.Expires.IsZero() {
		return endless, 0
	}
	micros = l.Expires.UnixMicro() - l.Created.UnixMicro()
	return 1 + int64(bits.Len64(uint64(max(0, micros/1e6)))), micros
}

func (t *tx) CreateLink(l sluice.Link, e sluice.Entry) error {
	ledger, err := t.own(l.Ledger)
	if err != nil {
		return err
	}
	term, err := t.lasts(ledger, l)
	if err != nil {
		return err
	}
	return t.change(e, "INSERT INTO link (ledger, term, "+linkColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"+
		" $16, $17, $18, $19, $20)",
		ledger, term, l.ID, l.FileID, l.KeyID, l.SigningKey, l.Reason, metadata(l.Metadata).text(), micros(l.Created), micros(l.Updated),
		micros(l.Expires), micros(l.Revoked), string(l.Ended), l.Downloads, micros(l.Redeemed),
		l.MaxDownloads, string(l.Password), networks(l.AllowedIPs).text(), string(l.Disposition), l.Filename)
}

func (t *tx) UpdateLink(l sluice.Link, e sluice.Entry) error {
	ledger, err := t.own(l.Ledger)
	if err != nil {
		return err
	}
	err = t.one([]any{(*moment)(&l.Created)}, "SELECT created FROM link WHERE id = $1 AND ledger = $2", l.ID, ledger)
	if err != nil {
		return err
	}
	term, err := t.lasts(ledger, l)
	if err != nil {
		return err
	}
	return t.change(e, "UPDATE link SET reason = $3, metadata = $4, max_downloads = $5, allowed_ips = $6, updated = $7, expires = $8, revoked = $9,"+
		" ended = $10, term = $11 WHERE id = $1 AND ledger = $2",
		l.ID, ledger, l.Reason, metadata(l.Metadata).text(), l.MaxDownloads, networks(l.AllowedIPs).text(),
		micros(l.Updated), micros(l.Expires), micros(l.Revoked), string(l.Ended), term)
}

// lasts gives the term of a link that is about to be stored, and has it hold
// the link's lifetime.
func (t *tx) lasts(ledger int64, l sluice.Link) (int64, error) {
	term, lifetime := lifetime(l)
	_, err := t.exec("INSERT INTO link_term (ledger, term, least, most) VALUES ($1, $2, $3, $3) ON CONFLICT (ledger, term) DO UPDATE"+
		" SET least = CASE WHEN excluded.least < link_term.least THEN excluded.least ELSE link_term.least END,"+
		" most = CASE WHEN excluded.most > link_term.most THEN excluded.most ELSE link_term.most END"+
		" WHERE excluded.least < link_term.least OR excluded.most > link_term.most", ledger, term, lifetime)
	return term, err
}

func (t *tx) Redeemed(id string, now time.Time, e sluice.Entry) error {
	return t.change(e, "UPDATE link SET downloads = downloads + 1, redeemed = $3 WHERE id = $1 AND ledger = $2", id, t.head.id, micros(now))
}
