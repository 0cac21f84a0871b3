package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

const linkColumns = "id, file_id, key_id, signing_key, reason, metadata, created, updated, expires, revoked, ended, downloads, redeemed, max_downloads, password, allowed_ips, disposition, filename"

func linkFields(l *sluice.Link) []any {
	return []any{
		&l.ID, &l.FileID, &l.KeyID, &l.SigningKey, &l.Reason, (*metadata)(&l.Metadata), (*sqldb.Time)(&l.Created), (*sqldb.Time)(&l.Updated),
		(*sqldb.Time)(&l.Expires), (*sqldb.Time)(&l.Revoked), (*string)(&l.Ended), (*sqldb.Integer)(&l.Downloads), (*sqldb.Time)(&l.Redeemed),
		(*sqldb.Integer)(&l.MaxDownloads), (*string)(&l.Password), (*networks)(&l.AllowedIPs), (*string)(&l.Disposition), &l.Filename,
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
	if err := r.flushLink(id); err != nil {
		return sluice.Link{}, err
	}
	if err := r.withFile(l, id); err != nil {
		return sluice.Link{}, err
	}
	link, err := once(r, r.seen().links, l, id, linkByID, linkFields, func(link *sluice.Link) {
		link.Ledger, link.Metadata = l, maps.Clone(link.Metadata)
	})
	if err != nil {
		return link, err
	}
	pending, err := r.pending(l)
	if err == nil && pending {
		err = r.derive(&link)
	}
	return link, err
}

// flushLink writes what the group has gathered, if a link is among it.
func (r *reader) flushLink(id string) error {
	if r.group != nil && slices.ContainsFunc(r.group.minted, func(m minted) bool { return m.link.ID == id }) {
		return r.Flush()
	}
	return nil
}

// withFile has the group know a link together with its file, where each would
// be a round trip: an Update that asks for the one goes on to ask for the other.
func (r *reader) withFile(l sluice.LedgerID, id string) error {
	if r.group == nil || r.DB.Each == nil {
		return nil
	}
	ledger, err := r.ledgerID(l)
	if err != nil {
		return err
	}
	if _, ok := r.group.links[object{ledger, id}]; ok {
		return nil
	}
	var link sluice.Link
	var file sluice.File
	switch err := r.OneUnbuffered(append(linkFields(&link), fileFields(&file)...), linkWithFile+" WHERE link.id = $1 AND link.ledger = $2", id, ledger); err {
	case nil:
		r.group.links[object{ledger, id}] = link
		r.group.files[object{ledger, file.ID}] = file
	case sqldb.ErrNotFound: // one of them
	default:
		return err
	}
	return nil
}

// foresee has the group know the links, with their files, that its Updates are
// going to ask for.
func (w *writer) foresee(ctx context.Context, requests []*request) error {
	if w.store.db.Each == nil {
		return nil
	}
	links := map[int64][]string{}
	for _, r := range requests {
		link, h := service.Foreseen(r.ctx), w.group.heads[r.ledger]
		if link != "" && sqldb.IsText(link) && h != nil && h.id != 0 {
			links[h.id] = append(links[h.id], link)
		}
	}
	for ledger, ids := range links {
		type both struct {
			link sluice.Link
			file sluice.File
		}
		slices.Sort(ids)
		marks, args := []string{}, []any{ledger}
		ids = slices.Compact(ids)
		for i := range 1 << bits.Len(uint(len(ids)-1)) { // the last is repeated, so that few texts are prepared
			args = append(args, ids[min(i, len(ids)-1)])
			marks = append(marks, "$"+strconv.Itoa(len(args)))
		}
		rows, err := sqldb.Many(w.session(ctx, nil), func(b *both) []any {
			return append(linkFields(&b.link), fileFields(&b.file)...)
		}, linkWithFile+" WHERE link.ledger = $1 AND link.id IN ("+strings.Join(marks, ", ")+")", args...)
		if err != nil {
			return err
		}
		for _, b := range rows {
			w.group.links[object{ledger, b.link.ID}] = b.link
			w.group.files[object{ledger, b.file.ID}] = b.file
		}
	}
	return nil
}

var linkWithFile = "SELECT " + of("link", linkColumns) + ", " + of("file", fileColumns) +
	" FROM link JOIN file ON file.id = link.file_id AND file.ledger = link.ledger"

// of names columns with their table.
func of(table, columns string) string {
	return table + "." + strings.ReplaceAll(columns, ", ", ", "+table+".")
}

func (r *reader) Links(l sluice.LedgerID, f service.LinkFilter, p sluice.Page) (sluice.List[sluice.Link], error) {
	longest, err := r.longest(l)
	if err != nil {
		return sluice.List[sluice.Link]{}, err
	}
	pending, err := r.pending(l)
	if err != nil {
		return sluice.List[sluice.Link]{}, err
	}
	list, err := merged(r, l, linkListings(f, longest, pending), p, func(link *sluice.Link) []any {
		link.Ledger = l
		return linkFields(link)
	}, func(a, b sluice.Link) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID)) })
	for i := range list.Data {
		if err == nil && pending {
			err = r.derive(&list.Data[i])
		}
	}
	return list, err
}

// linkListings gives the lists that a filter is made of. No index holds links
// that expire within some time together in the order in which they were made.
// But a link expires after it was made, and none of its ledger has lived longer
// than the longest, so only a part of the list need be looked at: in the worst
// case the links that were made within that longest lifetime. Links without an
// end are no part of that, and have an index of their own.
func linkListings(f service.LinkFilter, longest int64, pending bool) []listing {
	expires := linksExpire(f)
	if expires == everything {
		return []listing{linkListing(f, pending)}
	}
	ending := linkListing(f, pending)
	ending.between("expires", expires)
	if expires.to < math.MaxInt64 {
		ending.created.to = min(ending.created.to, expires.to)
	}
	if expires.from > math.MinInt64 {
		ending.created.from = max(ending.created.from, expires.from-longest)
	}
	if f.Expires != (sluice.TimeRange{}) || f.Expired != nil && *f.Expired {
		return []listing{ending}
	}
	endless := linkListing(f, pending)
	endless.where += " AND expires IS NULL"
	return []listing{ending, endless}
}

// linksExpire is when the links of a list expire, as far as they do.
func linksExpire(f service.LinkFilter) interval {
	expires := moments(f.Expires)
	if f.Expired != nil && *f.Expired {
		expires.to = min(expires.to, f.Now.UnixMicro()+1)
	}
	if f.Expired != nil && !*f.Expired || f.Over != nil && !*f.Over {
		expires.from = max(expires.from, f.Now.UnixMicro()+1)
	}
	return expires
}

// linkListing is the list of a filter, whenever its links expire. With pending, links count as ended that are not
// marked yet.
func linkListing(f service.LinkFilter, pending bool) listing {
	q := listing{columns: linkColumns, table: "link", ledger: "ledger", at: "created", tie: "id", created: moments(f.Created), least: "", place: "SELECT created, id FROM link WHERE id = $1 AND ledger = $2", where: " AND ended <> 'revoked'"}
	q.equal("file_id", f.FileID)
	q.in("id", f.IDs)
	ended, good := "ended <> ''", "ended = ''"
	if pending {
		ended, good = "("+ended+" OR "+endsLater+")", "("+good+" AND NOT "+endsLater+")"
	}
	switch {
	case f.Revoked == nil:
	case *f.Revoked:
		q.where += " AND " + ended
	default:
		q.where += " AND " + good
	}
	switch {
	case f.Over == nil:
	case *f.Over:
		q.and("("+ended+" OR expires <=", f.Now.UnixMicro())
		q.where += ")"
	default:
		q.where += " AND " + good
	}
	return q
}

// CreateLink gathers links, which are written together: an id that is taken
// fails the Update, not CreateLink.
func (t *tx) CreateLink(l sluice.Link, e sluice.Entry) error {
	ledger, err := t.own(l.Ledger)
	if err == nil {
		err = t.Record(e)
	}
	if err != nil {
		return err
	}
	t.lasts(l)
	t.group.minted = append(t.group.minted, minted{ledger, l})
	return nil
}

// minted is a link that the database does not have yet.
type minted struct {
	ledger int64
	link   sluice.Link
}

var linkInsert = sqldb.Insertion{Table: "link", Columns: append([]string{"ledger"}, strings.Split(linkColumns, ", ")...)}

func (m minted) values(args []any) []any {
	l := m.link
	return append(args, m.ledger, l.ID, l.FileID, l.KeyID, l.SigningKey, l.Reason, metadata(l.Metadata).text(), sqldb.Micros(l.Created), sqldb.Micros(l.Updated),
		sqldb.Micros(l.Expires), sqldb.Micros(l.Revoked), string(l.Ended), l.Downloads, sqldb.Micros(l.Redeemed),
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
		sqldb.Micros(l.Updated), sqldb.Micros(l.Expires), sqldb.Micros(l.Revoked), string(l.Ended))
}

// lasts has the ledger know of a link's lifetime, if it ends.
func (t *tx) lasts(l sluice.Link) {
	if !l.Expires.IsZero() {
		t.head.longest = max(t.head.longest, l.Expires.UnixMicro()-l.Created.UnixMicro())
	}
}

// redemption is a download that the database does not count yet.
type redemption struct {
	link   object
	at     time.Time
	before sluice.Link // the link as the group knew it
}

func (t *tx) Redeemed(id string, now time.Time, e sluice.Entry) error {
	if err := t.flushLink(id); err != nil {
		return err
	}
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

func (t *tx) Returned(id string, e sluice.Entry) error {
	return t.rewrite(e, "UPDATE link SET downloads = CASE WHEN downloads > 0 THEN downloads - 1 ELSE 0 END WHERE id = $1 AND ledger = $2", id, t.head.id)
}

// count writes the downloads that were gathered, one statement a link.
func count(r *sqldb.Session, redeemed []redemption) error {
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
	sets := make([][]any, len(order))
	for i, link := range order {
		t := totals[link]
		sets[i] = []any{link.id, link.ledger, t.n, sqldb.Micros(t.at)}
	}
	if len(sets) == 0 {
		return nil
	}
	return r.Fail(r.DB.ExecEach(r.Ctx, r.Conn, "UPDATE link SET downloads = downloads + $3, redeemed = $4 WHERE id = $1 AND ledger = $2", sets))
}
