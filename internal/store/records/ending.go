package records

import (
	"math"
	"slices"
	"time"

	"sluice"
	"sluice/internal/store/auditlog"
	"sluice/internal/store/sqldb"
)

// Revoking a key or deleting a file ends its links, of which there may be millions. The Update that does so marks a
// few link rows at most. Where there are more it writes one row to the table ending, and EndSome marks the links
// later, a few in each commit. Until then readers derive what a link is from that row, so nobody sees a difference.

// ending says that a key or a file has ended, and its links with it.
type ending struct {
	kind         endingKind
	object       string
	at           int64 // microseconds
	afterCreated int64 // links up to this position are marked; of a key, it is the time when they expire
	afterID      string
}

type endingKind string

const (
	endingKey  endingKind = "key"
	endingFile endingKind = "file"
)

// reason is why the links end.
func (e ending) reason() sluice.Refusal {
	if e.kind == endingKey {
		return sluice.KeyRevoked
	}
	return sluice.FileDeleted
}

const (
	// EndedAtOnce bounds the link rows that one Update marks.
	EndedAtOnce = 100
	// EndedPerCommit is how many link rows EndSome marks in a commit: some milliseconds of work.
	EndedPerCommit = 500
)

// endLinks ends the links of a key or file inside the Update that ends it.
func (t *Tx) endLinks(kind endingKind, object string, at time.Time) error {
	e := ending{kind: kind, object: object, at: at.UnixMicro(), afterCreated: math.MinInt64}
	h := t.log.LedgerHead()
	if h.Endings == 0 { // otherwise links may have ended earlier that are not marked yet
		if n, err := t.mark(h.ID, &e, EndedAtOnce); err != nil || n < EndedAtOnce {
			return err
		}
	}
	_, err := t.log.Exec("INSERT INTO ending (ledger, kind, object, ended_at, after_created, after_id)"+
		" VALUES ($1, $2, $3, $4, $5, $6)",
		h.ID, string(e.kind), e.object, e.at, e.afterCreated, e.afterID)
	if err == nil {
		_, err = t.log.Exec("UPDATE ledger SET endings = endings + 1 WHERE id = $1", h.ID)
	}
	if err == nil {
		h.Endings++
	}
	return err
}

// mark marks up to limit links of an ending, from where the last call ended, and says how many. Fewer than limit means
// that none is left.
func (t *Tx) mark(ledger int64, e *ending, limit int) (int, error) {
	if e.kind == endingFile {
		return t.markOfFile(ledger, e, limit)
	}
	return t.markOfKey(ledger, e, limit)
}

// markOfKey marks links in the order in which they expire, and then those that do not expire. A link that had expired
// stays so. While an old snapshot is open, PostgreSQL's index still has the links that are marked already, so the next
// call begins with the last of them.
func (t *Tx) markOfKey(ledger int64, e *ending, limit int) (int, error) {
	const links = "UPDATE link SET revoked = $3, updated = $3, ended = $4, seal = NULL WHERE id IN" +
		" (SELECT id FROM link WHERE ledger = $1 AND key_id = $2 AND revoked IS NULL"
	t.log.Writes()
	expires, err := sqldb.Many(t.Session, func(expires *int64) []any { return []any{expires} },
		links+" AND expires > $3 AND expires >= $6 ORDER BY expires LIMIT $5) RETURNING expires",
		ledger, e.object, e.at, string(e.reason()), limit, e.afterCreated)
	if err != nil {
		return 0, err
	}
	if len(expires) > 0 {
		e.afterCreated = slices.Max(expires)
	}
	if len(expires) == limit {
		return limit, nil
	}
	n, err := t.log.Exec(links+" AND expires IS NULL LIMIT $5)",
		ledger, e.object, e.at, string(e.reason()), limit-len(expires))
	return len(expires) + int(n), err
}

// markOfFile marks links in the order of their index, from where the last call ended: it does not pass over marked
// links again.
func (t *Tx) markOfFile(ledger int64, e *ending, limit int) (int, error) {
	type position struct {
		created int64
		id      string
	}
	positions, err := sqldb.Many(t.Session, func(p *position) []any { return []any{&p.created, &p.id} },
		"SELECT created, id FROM link WHERE ledger = $1 AND file_id = $2 AND ended <> 'revoked' AND revoked IS NULL"+
			" AND (created, id) > ($3, $4) ORDER BY created, id LIMIT $5",
		ledger, e.object, e.afterCreated, e.afterID, limit)
	if err != nil || len(positions) == 0 {
		return 0, err
	}
	last := positions[len(positions)-1]
	_, err = t.log.Exec("UPDATE link SET revoked = $3, updated = $3, ended = $4, seal = NULL"+
		" WHERE ledger = $1 AND file_id = $2 AND ended <> 'revoked' AND revoked IS NULL"+
		" AND (created, id) > ($5, $6) AND (created, id) <= ($7, $8)",
		ledger, e.object, e.at, string(e.reason()), e.afterCreated, e.afterID, last.created, last.id)
	e.afterCreated, e.afterID = last.created, last.id
	return len(positions), err
}

// LedgersWithEndings gives the ledgers that have endings whose links are not all marked.
func (r *Reader) LedgersWithEndings() ([]sluice.LedgerID, error) {
	return sqldb.Many(r.Session, auditlog.LedgerFields,
		"SELECT account, mode FROM ledger WHERE endings > 0 ORDER BY id")
}

// EndSome marks some links of the oldest ending of a ledger. It gives how many, and whether more are left.
func EndSome(t *Tx, l sluice.LedgerID) (marked int, more bool, err error) {
	h, err := t.Head(l)
	if err != nil || h.Endings == 0 {
		return 0, false, err
	}
	var e ending
	err = t.One([]any{(*string)(&e.kind), &e.object, &e.at, &e.afterCreated, &e.afterID},
		"SELECT kind, object, ended_at, after_created, after_id FROM ending WHERE ledger = $1"+
			" ORDER BY ended_at, kind, object LIMIT 1", h.ID)
	if err == nil {
		err = t.readAgain()
	}
	if err != nil {
		return 0, false, err
	}
	if marked, err = t.mark(h.ID, &e, EndedPerCommit); err != nil {
		return 0, false, err
	}
	if marked == EndedPerCommit {
		_, err = t.log.Exec("UPDATE ending SET after_created = $4, after_id = $5"+
			" WHERE ledger = $1 AND kind = $2 AND object = $3",
			h.ID, string(e.kind), e.object, e.afterCreated, e.afterID)
		return marked, true, err
	}
	_, err = t.log.Exec("DELETE FROM ending WHERE ledger = $1 AND kind = $2 AND object = $3",
		h.ID, string(e.kind), e.object)
	if err == nil {
		_, err = t.log.Exec("UPDATE ledger SET endings = endings - 1 WHERE id = $1", h.ID)
	}
	if err != nil {
		return 0, false, err
	}
	h.Endings--
	return marked, h.Endings > 0, nil
}

// hasEndings reports whether a ledger has endings whose links are not all marked.
func (r *Reader) hasEndings(l sluice.LedgerID) (bool, error) {
	h, err := r.Head(l)
	return err == nil && h.Endings > 0, err
}

// derive gives a link as it will be when pending endings are applied. No rows of their table are ever buffered.
func (r *Reader) derive(l *sluice.Link) error {
	if !l.Revoked.IsZero() {
		return nil
	}
	ledger, err := r.LedgerNumber(l.Ledger)
	if err != nil {
		return err
	}
	expires := int64(math.MaxInt64)
	if !l.Expires.IsZero() {
		expires = l.Expires.UnixMicro()
	}
	var e ending
	err = r.OneUnbuffered([]any{(*string)(&e.kind), &e.at}, "SELECT kind, ended_at FROM ending WHERE ledger = $1"+
		" AND (kind = 'file' AND object = $2 OR kind = 'key' AND object = $3 AND ended_at < $4)"+
		" ORDER BY ended_at, kind LIMIT 1",
		ledger, l.FileID, l.KeyID, expires)
	if err == sqldb.ErrNotFound {
		return nil
	}
	if err == nil {
		at := time.UnixMicro(e.at).UTC()
		l.Revoked, l.Updated, l.Ended = at, at, e.reason()
	}
	return err
}

// endsLater is the condition that a link has ended by an ending, and is not marked yet.
const endsLater = "(EXISTS (SELECT 1 FROM ending" +
	" WHERE ending.ledger = link.ledger AND kind = 'file' AND object = file_id)" +
	" OR EXISTS (SELECT 1 FROM ending WHERE ending.ledger = link.ledger AND kind = 'key' AND object = key_id" +
	" AND (link.expires IS NULL OR link.expires > ended_at)))"
