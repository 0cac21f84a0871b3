package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

// Revoking a key or deleting a file ends its links, of which there may be millions. The Update that does so marks a
// few link rows at most. Where there are more it writes one row to the table ending, and EndLinks marks the links
// later, a few in each commit. Until then readers derive what a link is from that row, so nobody sees a difference.

// ending says that a key or a file has ended, and its links with it.
type ending struct {
	kind         endingKind
	object       string
	at           int64 // microseconds
	afterCreated int64 // links up to this place are marked; of a key, it is when they expire
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
	// endedAtOnce bounds the link rows that one Update marks.
	endedAtOnce = 100
	// endedPerCommit is how many link rows EndLinks marks in a commit: some milliseconds of work.
	endedPerCommit = 500
)

// endLinks ends the links of a key or file inside the Update that ends it.
func (t *tx) endLinks(kind endingKind, object string, at time.Time) error {
	e := ending{kind: kind, object: object, at: at.UnixMicro(), afterCreated: math.MinInt64}
	if t.head.endings == 0 { // else links may have ended earlier that are not marked yet
		if n, err := t.mark(t.head.id, &e, endedAtOnce); err != nil || n < endedAtOnce {
			return err
		}
	}
	_, err := t.exec("INSERT INTO ending (ledger, kind, object, ended_at, after_created, after_id) VALUES ($1, $2, $3, $4, $5, $6)",
		t.head.id, string(e.kind), e.object, e.at, e.afterCreated, e.afterID)
	if err == nil {
		_, err = t.exec("UPDATE ledger SET endings = endings + 1 WHERE id = $1", t.head.id)
	}
	if err == nil {
		t.head.endings++
	}
	return err
}

// mark marks up to limit links of an ending, from where the last call ended, and says how many. Fewer than limit means
// that none is left.
func (t *tx) mark(ledger int64, e *ending, limit int) (int, error) {
	if e.kind == endingFile {
		return t.markOfFile(ledger, e, limit)
	}
	return t.markOfKey(ledger, e, limit)
}

// markOfKey marks links in the order in which they expire, and then those that do not expire. A link that had expired
// stays so. While an old snapshot is open, PostgreSQL's index still has the links that are marked already, so the next
// call begins with the last of them.
func (t *tx) markOfKey(ledger int64, e *ending, limit int) (int, error) {
	const links = "UPDATE link SET revoked = $3, updated = $3, ended = $4 WHERE id IN" +
		" (SELECT id FROM link WHERE ledger = $1 AND key_id = $2 AND revoked IS NULL"
	t.wrote = true
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
	n, err := t.exec(links+" AND expires IS NULL LIMIT $5)", ledger, e.object, e.at, string(e.reason()), limit-len(expires))
	return len(expires) + int(n), err
}

// markOfFile marks links in the order of their index, from where the last call ended: it does not pass over marked
// links again.
func (t *tx) markOfFile(ledger int64, e *ending, limit int) (int, error) {
	type place struct {
		created int64
		id      string
	}
	places, err := sqldb.Many(t.Session, func(p *place) []any { return []any{&p.created, &p.id} },
		"SELECT created, id FROM link WHERE ledger = $1 AND file_id = $2 AND ended <> 'revoked' AND revoked IS NULL"+
			" AND (created, id) > ($3, $4) ORDER BY created, id LIMIT $5", ledger, e.object, e.afterCreated, e.afterID, limit)
	if err != nil || len(places) == 0 {
		return 0, err
	}
	last := places[len(places)-1]
	_, err = t.exec("UPDATE link SET revoked = $3, updated = $3, ended = $4 WHERE ledger = $1 AND file_id = $2 AND ended <> 'revoked'"+
		" AND revoked IS NULL AND (created, id) > ($5, $6) AND (created, id) <= ($7, $8)",
		ledger, e.object, e.at, string(e.reason()), e.afterCreated, e.afterID, last.created, last.id)
	e.afterCreated, e.afterID = last.created, last.id
	return len(places), err
}

// EndLinks implements service.Store. While the reserve of a full disk is released it marks none: that would use the space
// for new rows of an index, and readers derive what the links are.
func (s *Store) EndLinks(ctx context.Context) (marked int, more bool, err error) {
	if s.reserve != nil && !s.reserve.ensure() {
		return 0, false, nil
	}
	var ledgers []sluice.LedgerID
	err = s.View(ctx, func(r service.Reader) (err error) {
		ledgers, err = sqldb.Many(r.(*reader).Session, ledgerFields, "SELECT account, mode FROM ledger WHERE endings > 0 ORDER BY id")
		return err
	})
	for _, l := range ledgers {
		n, left, failed := s.endSome(ctx, l)
		marked, more = marked+n, more || left
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("end links of %s: %w", l, failed))
		}
	}
	return marked, more, err
}

// endSome marks some links of the oldest ending of a ledger, in one commit.
func (s *Store) endSome(ctx context.Context, l sluice.LedgerID) (marked int, more bool, err error) {
	err = s.unlogged(ctx, l, func(t *tx) error {
		marked, more = 0, false
		h, err := t.headOf(l)
		if err != nil || h.endings == 0 {
			return err
		}
		var e ending
		err = t.One([]any{(*string)(&e.kind), &e.object, &e.at, &e.afterCreated, &e.afterID},
			"SELECT kind, object, ended_at, after_created, after_id FROM ending WHERE ledger = $1 ORDER BY ended_at, kind, object LIMIT 1", h.id)
		if err != nil {
			return err
		}
		if err := t.forget(); err != nil {
			return err
		}
		if marked, err = t.mark(h.id, &e, endedPerCommit); err != nil {
			return err
		}
		more = marked == endedPerCommit
		if more {
			_, err = t.exec("UPDATE ending SET after_created = $4, after_id = $5 WHERE ledger = $1 AND kind = $2 AND object = $3",
				h.id, string(e.kind), e.object, e.afterCreated, e.afterID)
			return err
		}
		if _, err = t.exec("DELETE FROM ending WHERE ledger = $1 AND kind = $2 AND object = $3", h.id, string(e.kind), e.object); err != nil {
			return err
		}
		if _, err = t.exec("UPDATE ledger SET endings = endings - 1 WHERE id = $1", h.id); err != nil {
			return err
		}
		h.endings--
		more = h.endings > 0
		return nil
	})
	if err != nil { // nothing was committed
		return 0, false, err
	}
	return marked, more, nil
}

// pending reports whether a ledger has endings whose links are not all marked.
func (r *reader) pending(l sluice.LedgerID) (bool, error) {
	if r.group != nil {
		h, err := r.headOf(l)
		return err == nil && h.endings > 0, err
	}
	var n int64
	err := r.One([]any{&n}, "SELECT endings FROM ledger WHERE account = $1 AND mode = $2", l.Account, string(l.Mode))
	if err == sqldb.ErrNotFound {
		err = nil
	}
	return n > 0, err
}

// derive gives a link as it will read once pending endings are applied. Nothing is gathered for their table, so what a
// group has gathered is not written for it.
func (r *reader) derive(l *sluice.Link) error {
	if !l.Revoked.IsZero() {
		return nil
	}
	ledger, err := r.ledgerID(l.Ledger)
	if err != nil {
		return err
	}
	expires := int64(math.MaxInt64)
	if !l.Expires.IsZero() {
		expires = l.Expires.UnixMicro()
	}
	var e ending
	err = r.OneUnbuffered([]any{(*string)(&e.kind), &e.at}, "SELECT kind, ended_at FROM ending WHERE ledger = $1"+
		" AND (kind = 'file' AND object = $2 OR kind = 'key' AND object = $3 AND ended_at < $4) ORDER BY ended_at, kind LIMIT 1",
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
const endsLater = "(EXISTS (SELECT 1 FROM ending WHERE ending.ledger = link.ledger AND kind = 'file' AND object = file_id)" +
	" OR EXISTS (SELECT 1 FROM ending WHERE ending.ledger = link.ledger AND kind = 'key' AND object = key_id" +
	" AND (link.expires IS NULL OR link.expires > ended_at)))"
