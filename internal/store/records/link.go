package records

import (
	"cmp"
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

const linkColumns = "id, file_id, key_id, signing_key, reason, metadata, created, updated, expires, revoked, ended," +
	" downloads, redeemed, max_downloads, password, allowed_ips, disposition, filename, access, seal"

func linkFields(l *sluice.Link) []any {
	return []any{
		&l.ID, &l.FileID, &l.KeyID, &l.SigningKey, &l.Reason, (*metadata)(&l.Metadata), (*sqldb.Time)(&l.Created),
		(*sqldb.Time)(&l.Updated), (*sqldb.Time)(&l.Expires), (*sqldb.Time)(&l.Revoked), (*string)(&l.Ended),
		(*sqldb.Integer)(&l.Downloads), (*sqldb.Time)(&l.Redeemed), (*sqldb.Integer)(&l.MaxDownloads),
		(*string)(&l.Password), (*networks)(&l.AllowedIPs), (*string)(&l.Disposition), &l.Filename,
		access{&l.Access}, (*optionalDigest)(&l.Seal),
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

// Scan implements sql.Scanner.
func (n *networks) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("networks are stored as text, not as %T", v)
	}
	*n = nil
	for word := range strings.FieldsSeq(text) {
		network, err := netip.ParsePrefix(word)
		if err != nil {
			return err
		}
		*n = append(*n, network)
	}
	return nil
}

const linkByID = "SELECT " + linkColumns + " FROM link WHERE id = $1 AND ledger = $2"

// Link implements service.Reader.
func (r *Reader) Link(l sluice.LedgerID, id string) (sluice.Link, error) {
	if err := r.flushLink(id); err != nil {
		return sluice.Link{}, err
	}
	if err := r.readWithFile(l, id); err != nil {
		return sluice.Link{}, err
	}
	known, err := cached(r, r.known().links, l, id, linkByID, linkFields)
	if err != nil {
		return sluice.Link{}, err
	}
	link := *known
	link.Ledger, link.Metadata = l, maps.Clone(link.Metadata)
	hasEndings, err := r.hasEndings(l)
	if err == nil && hasEndings {
		derived := link // so that the other links need no allocation
		err = r.derive(&derived)
		link = derived
	}
	return link, err
}

// flushLink flushes the group, if a link is among those that are not written yet.
func (r *Reader) flushLink(id string) error {
	if r.group != nil && slices.ContainsFunc(r.group.minted, func(m minted) bool { return m.link.ID == id }) {
		return r.Flush()
	}
	return nil
}

// readWithFile reads a link together with its file, where each would be a round trip: an Update that reads the link
// goes on to read the file.
func (r *Reader) readWithFile(l sluice.LedgerID, id string) error {
	if r.group == nil || r.DB.Each == nil {
		return nil
	}
	ledger, err := r.LedgerNumber(l)
	if err != nil {
		return err
	}
	if _, ok := r.group.links[object{ledger, id}]; ok {
		return nil
	}
	link, file := new(sluice.Link), new(sluice.File)
	err = r.OneUnbuffered(append(linkFields(link), fileFields(file)...),
		linkWithFile+" WHERE link.id = $1 AND link.ledger = $2", id, ledger)
	switch err {
	case nil:
		r.group.links[object{ledger, id}] = link
		r.group.files[object{ledger, file.ID}] = file
	case sqldb.ErrNotFound: // one of them is missing
	default:
		return err
	}
	return nil
}

// Prefetch reads links of a ledger together with their files, in one round trip for all Updates of a group.
func (g *Group) Prefetch(s *sqldb.Session, ledger int64, ids []string) error {
	type both struct {
		link sluice.Link
		file sluice.File
	}
	marks, args := []string{}, []any{ledger}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for i := range 1 << bits.Len(uint(len(ids)-1)) { // the last is repeated, so that few texts are prepared
		args = append(args, ids[min(i, len(ids)-1)])
		marks = append(marks, "$"+strconv.Itoa(len(args)))
	}
	rows, err := sqldb.Many(s, func(b *both) []any {
		return append(linkFields(&b.link), fileFields(&b.file)...)
	}, linkWithFile+" WHERE link.ledger = $1 AND link.id IN ("+strings.Join(marks, ", ")+")", args...)
	if err != nil {
		return err
	}
	for i := range rows {
		b := &rows[i]
		g.links[object{ledger, b.link.ID}] = &b.link
		g.files[object{ledger, b.file.ID}] = &b.file
	}
	return nil
}

var linkWithFile = "SELECT " + qualified("link", linkColumns) + ", " + qualified("file", fileColumns) +
	" FROM link JOIN file ON file.id = link.file_id AND file.ledger = link.ledger"

// qualified puts the name of a table before each column.
func qualified(table, columns string) string {
	return table + "." + strings.ReplaceAll(columns, ", ", ", "+table+".")
}

// Links implements service.Reader.
func (r *Reader) Links(
	l sluice.LedgerID, f service.LinkFilter, p sluice.Page,
) (sluice.List[sluice.Link], error) {
	h, err := r.Head(l)
	if err != nil {
		return sluice.List[sluice.Link]{}, err
	}
	hasEndings := h.Endings > 0
	recipient, err := r.Keyed("link", f.Recipient)
	if err != nil {
		return sluice.List[sluice.Link]{}, err
	}
	list, err := merged(r, l, linkListings(f, recipient, h.Longest, hasEndings), p, func(link *sluice.Link) []any {
		link.Ledger = l
		return linkFields(link)
	}, func(a, b sluice.Link) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID)) })
	for i := range list.Data {
		if err == nil && hasEndings {
			err = r.derive(&list.Data[i])
		}
	}
	return list, err
}

// linkListings gives the lists that a filter is made of. No index has links that expire in some interval in the
// order in which they were made. But a link expires after it was made, and none of its ledger has lived longer than
// longest. So only a part of the list is read: in the worst case the links that were made within the longest
// lifetime. Links that do not expire are no part of that, and have an index of their own.
func linkListings(f service.LinkFilter, recipient []byte, longest int64, hasEndings bool) []listing {
	expires := linksExpire(f)
	if expires == sqldb.Everything {
		return []listing{linkListing(f, recipient, hasEndings)}
	}
	expiring := linkListing(f, recipient, hasEndings)
	expiring.between("expires", expires)
	if expires.To < math.MaxInt64 {
		expiring.created.To = min(expiring.created.To, expires.To)
	}
	if expires.From > math.MinInt64 {
		expiring.created.From = max(expiring.created.From, expires.From-longest)
	}
	if f.Expires != (sluice.TimeRange{}) || f.Expired != nil && *f.Expired {
		return []listing{expiring}
	}
	endless := linkListing(f, recipient, hasEndings)
	endless.where += " AND expires IS NULL"
	return []listing{expiring, endless}
}

// linksExpire gives the interval in which the links of a filter expire, if they do.
func linksExpire(f service.LinkFilter) sqldb.Interval {
	expires := sqldb.Times(f.Expires)
	if f.Expired != nil && *f.Expired {
		expires.To = min(expires.To, f.Now.UnixMicro()+1)
	}
	if f.Expired != nil && !*f.Expired || f.Over != nil && !*f.Over {
		expires.From = max(expires.From, f.Now.UnixMicro()+1)
	}
	return expires
}

// linkListing is the list of a filter, without its conditions on expiry. recipient is the hash of the filter's. With
// hasEndings, links of pending endings count as ended.
func linkListing(f service.LinkFilter, recipient []byte, hasEndings bool) listing {
	q := listing{
		columns: linkColumns, table: "link", ledger: "ledger", at: "created", tie: "id", least: "",
		created: sqldb.Times(f.Created), cursorQuery: "SELECT created, id FROM link WHERE id = $1 AND ledger = $2",
		where: " AND ended <> 'revoked'",
	}
	q.equal("file_id", f.FileID)
	q.in("id", f.IDs)
	if recipient != nil {
		q.and("recipient_hash =", recipient)
	}
	ended, active := "ended <> ''", "ended = ''"
	if hasEndings {
		ended, active = "("+ended+" OR "+endsLater+")", "("+active+" AND NOT "+endsLater+")"
	}
	switch {
	case f.Revoked == nil:
	case *f.Revoked:
		q.where += " AND " + ended
	default:
		q.where += " AND " + active
	}
	switch {
	case f.Over == nil:
	case *f.Over:
		q.and("("+ended+" OR expires <=", f.Now.UnixMicro())
		q.where += ")"
	default:
		q.where += " AND " + active
	}
	return q
}

// CreateLink implements service.Tx. It gathers links, which are written together: an id that exists already fails
// the Update, not CreateLink.
func (t *Tx) CreateLink(l sluice.Link, e sluice.Entry) error {
	ledger, err := t.log.EnsureLedger(l.Ledger)
	if err == nil {
		err = t.log.Record(e)
	}
	if err != nil {
		return err
	}
	hash, err := t.recipientHash(l)
	if err != nil {
		return err
	}
	t.noteLifetime(l)
	t.group.minted = append(t.group.minted, minted{ledger, l, hash})
	return nil
}

// recipientHash gives the hash that a link is found by, nil for a link without a recipient.
func (r *Reader) recipientHash(l sluice.Link) ([]byte, error) {
	return r.Keyed("link", l.Access.Get().Recipient.Email)
}

// minted is a link that is not written yet.
type minted struct {
	ledger        int64
	link          sluice.Link
	recipientHash []byte
}

var linkInsert = sqldb.Insertion{
	Table: "link", Columns: append([]string{"ledger", "recipient_hash"}, strings.Split(linkColumns, ", ")...),
}

func (m minted) values(args []any) []any {
	l := m.link
	return append(args, m.ledger, m.recipientHash,
		l.ID, l.FileID, l.KeyID, l.SigningKey, l.Reason, metadata(l.Metadata).text(),
		sqldb.Micros(l.Created), sqldb.Micros(l.Updated), sqldb.Micros(l.Expires), sqldb.Micros(l.Revoked),
		string(l.Ended), l.Downloads, sqldb.Micros(l.Redeemed), l.MaxDownloads, string(l.Password),
		networks(l.AllowedIPs).text(), string(l.Disposition), l.Filename, accessText(l.Access),
		optionalDigest(l.Seal).bytes())
}

// UpdateLink implements service.Tx.
func (t *Tx) UpdateLink(l sluice.Link, e sluice.Entry) error {
	ledger, err := t.log.EnsureLedger(l.Ledger)
	if err != nil {
		return err
	}
	hash, err := t.recipientHash(l)
	if err != nil {
		return err
	}
	t.noteLifetime(l)
	return t.rewrite(e, "UPDATE link SET reason = $3, metadata = $4, max_downloads = $5, allowed_ips = $6,"+
		" updated = $7, expires = $8, revoked = $9, ended = $10, access = $11,"+
		" recipient_hash = $12, seal = $13 WHERE id = $1 AND ledger = $2",
		l.ID, ledger, l.Reason, metadata(l.Metadata).text(), l.MaxDownloads, networks(l.AllowedIPs).text(),
		sqldb.Micros(l.Updated), sqldb.Micros(l.Expires), sqldb.Micros(l.Revoked), string(l.Ended),
		accessText(l.Access), hash, optionalDigest(l.Seal).bytes())
}

// Redact implements service.Tx.
func (t *Tx) Redact(r service.RedactedRows, e sluice.Entry) error {
	if err := t.eraseRows(r.Links, r.Files); err != nil {
		return err
	}
	return t.log.Erase(r.EntryID, r.Pointers, e)
}

// noteLifetime raises the longest lifetime of the ledger to that of a link, if the link expires.
func (t *Tx) noteLifetime(l sluice.Link) {
	if !l.Expires.IsZero() {
		h := t.log.LedgerHead()
		h.Longest = max(h.Longest, l.Expires.UnixMicro()-l.Created.UnixMicro())
	}
}

// redemption is a download that is not counted in the database yet.
type redemption struct {
	link   *sluice.Link // as the group knows it
	ledger int64
	at     time.Time
	before counted
}

// counted is what a download changes of a link.
type counted struct {
	downloads int64
	redeemed  time.Time
}

// Redeemed implements service.Tx. It gathers downloads, which are counted together.
func (t *Tx) Redeemed(id string, now time.Time, e sluice.Entry) error {
	if err := t.flushLink(id); err != nil {
		return err
	}
	l, err := cached(&t.Reader, t.group.links, t.log.Ledger(), id, linkByID, linkFields)
	if err == nil {
		err = t.log.Record(e)
	}
	if err != nil {
		return err
	}
	at := now.UTC().Truncate(time.Microsecond)
	t.group.redeemed = append(t.group.redeemed, redemption{
		link: l, ledger: t.log.LedgerHead().ID, at: at, before: counted{l.Downloads, l.Redeemed},
	})
	l.Downloads++
	l.Redeemed = at
	return nil
}

// Delivered implements service.Tx.
func (t *Tx) Delivered(returned []string, e sluice.Entry) error {
	if len(returned) > 0 {
		if err := t.readAgain(); err != nil {
			return err
		}
	}
	for _, id := range returned {
		n, err := t.log.Exec("UPDATE link SET downloads = CASE WHEN downloads > 0 THEN downloads - 1 ELSE 0 END"+
			" WHERE id = $1 AND ledger = $2", id, t.log.LedgerHead().ID)
		if err == nil && n == 0 {
			err = sqldb.ErrNotFound
		}
		if err != nil {
			return err
		}
	}
	return t.log.Record(e)
}

// count writes downloads, with one statement for each link.
func count(s *sqldb.Session, redeemed []redemption) error {
	place := map[*sluice.Link]int{}
	var totals []redemption
	var n []int64
	for _, d := range redeemed {
		i, seen := place[d.link]
		if !seen {
			i = len(totals)
			place[d.link] = i
			totals, n = append(totals, d), append(n, 0)
		}
		totals[i].at = d.at
		n[i]++
	}
	sets := make([][]any, len(totals))
	for i, d := range totals {
		sets[i] = []any{d.link.ID, d.ledger, n[i], sqldb.Micros(d.at)}
	}
	return s.ExecEach("UPDATE link SET downloads = downloads + $3, redeemed = $4 WHERE id = $1 AND ledger = $2", sets)
}
