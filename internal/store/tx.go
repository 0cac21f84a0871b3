package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
	"sluice/ledger"
)

// reader reads in one transaction.
type reader struct {
	*sqldb.Session
	session *sqldb.Session
	store   *Store
	group   *group // in an Update
}

func (s *Store) newReader(ctx context.Context, c *sqldb.Conn) *reader {
	session := &sqldb.Session{Ctx: ctx, DB: s.db, Conn: c}
	return &reader{Session: session, session: session, store: s}
}

var _ service.Reader = (*reader)(nil)

// ledgerID gives the number of a ledger, 0 for one that has no entry yet.
func (r *reader) ledgerID(l sluice.LedgerID) (int64, error) {
	if r.group != nil {
		h, err := r.headOf(l)
		if err != nil {
			return 0, err
		}
		return h.id, nil
	}
	if id, ok := r.store.ledgers.Load(l); ok {
		return id.(int64), nil
	}
	var id int64
	err := r.One([]any{&id}, "SELECT id FROM ledger WHERE account = $1 AND mode = $2", l.Account, string(l.Mode))
	if err == sqldb.ErrNotFound {
		return 0, nil
	}
	if err == nil {
		r.store.ledgers.Store(l, id)
	}
	return id, err
}

// headOf takes the head of a ledger.
func (r *reader) headOf(l sluice.LedgerID) (*head, error) {
	if h, ok := r.group.heads[l]; ok {
		return h, nil
	}
	h := &head{}
	err := r.OneUnbuffered([]any{&h.id, &h.next, &h.indexed, &h.latest, &h.longest, &h.endings}, "SELECT id, next, indexed, latest, longest, endings FROM ledger WHERE account = $1 AND mode = $2", l.Account, string(l.Mode))
	if err != nil && err != sqldb.ErrNotFound {
		return nil, err
	}
	r.group.heads[l] = h
	return h, nil
}

// longest is the longest lifetime of the links of a ledger that have an end, in microseconds.
func (r *reader) longest(l sluice.LedgerID) (longest int64, err error) {
	if r.group != nil {
		h, err := r.headOf(l)
		return h.longest, err
	}
	err = r.One([]any{&longest}, "SELECT longest FROM ledger WHERE account = $1 AND mode = $2", l.Account, string(l.Mode))
	if err == sqldb.ErrNotFound {
		err = nil
	}
	return longest, err
}

// object names what a group has read.
type object struct {
	ledger int64
	id     string
}

// seen is what the group has read; a View keeps nothing.
func (r *reader) seen() *group {
	if r.group == nil {
		return &group{}
	}
	return r.group
}

// once reads one object with a query of its id and ledger. In an Update it
// asks the database once for the whole group: until that is committed only the
// writer changes anything, and it notes or forgets what it changes. Each caller
// gets a copy of its own.
func once[T any](r *reader, seen map[object]T, l sluice.LedgerID, id, query string, fields func(*T) []any, own func(*T)) (v T, err error) {
	ledger, err := r.ledgerID(l)
	if err != nil {
		return v, err
	}
	if r.Err() != nil {
		return v, r.Err()
	}
	name := object{ledger, id}
	v, ok := seen[name]
	if !ok {
		if err := r.OneUnbuffered(fields(&v), query, id, ledger); err != nil {
			return v, err
		}
		if seen != nil {
			seen[name] = v
		}
	}
	own(&v)
	return v, nil
}

// tx is the transaction of one Update.
type tx struct {
	reader
	ledger sluice.LedgerID
	head   *head
	wrote  bool // it has changed something in the database
	erased bool // it took something away for good
}

var _ service.Tx = (*tx)(nil)

// exec runs one statement and gives the number of rows it touched.
func (t *tx) exec(query string, args ...any) (int64, error) {
	t.wrote = t.wrote || t.Err() == nil
	return t.Exec(query, args...)
}

// rewrite runs a statement of which the group may have read something before,
// as change does.
func (t *tx) rewrite(e sluice.Entry, query string, args ...any) error {
	if err := t.forget(); err != nil {
		return err
	}
	return t.change(e, query, args...)
}

// change runs a statement that touches exactly one row, and records the entry
// that tells of it. Touching none is CodeNotFound.
func (t *tx) change(e sluice.Entry, query string, args ...any) error {
	n, err := t.exec(query, args...)
	if err == nil && n == 0 {
		err = sqldb.ErrNotFound
	}
	if err != nil {
		return err
	}
	return t.Record(e)
}

// own gives the number of the Update's ledger, making it when l, the ledger of
// something to be stored, is that one.
func (t *tx) own(l sluice.LedgerID) (int64, error) {
	if t.Err() != nil {
		return 0, t.Err()
	}
	if l != t.ledger {
		return 0, t.Fail(fmt.Errorf("an update of ledger %s cannot write to %s", t.ledger, l))
	}
	if t.head.id == 0 {
		if _, err := t.exec("INSERT INTO ledger (account, mode, next, indexed, latest, longest) VALUES ($1, $2, 0, 0, 0, 0)", l.Account, string(l.Mode)); err != nil {
			return 0, err
		}
		err := t.OneUnbuffered([]any{&t.head.id}, "SELECT id FROM ledger WHERE account = $1 AND mode = $2", l.Account, string(l.Mode))
		if err != nil {
			return 0, err
		}
	}
	return t.head.id, nil
}

// forget has objects read again, which a statement may have changed.
func (t *tx) forget() error {
	if err := t.Flush(); err != nil {
		return err
	}
	t.group.forget()
	return nil
}

// metadata is stored as a JSON object, "" when there is none.
type metadata sluice.Metadata

func (m metadata) text() string {
	if len(m) == 0 {
		return ""
	}
	return string(ledger.AppendStringMap(nil, m))
}

func (m *metadata) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("metadata is stored as text, not as %T", v)
	}
	*m = nil
	if s == "" || m.parse(s) {
		return nil
	}
	return json.Unmarshal([]byte(s), (*map[string]string)(m))
}

// parse reads what text wrote when nothing in it had to be escaped. It saves
// the hot path the time of a JSON decoder.
func (m *metadata) parse(s string) bool {
	if strings.IndexByte(s, '\\') >= 0 {
		return false
	}
	parsed := metadata{}
	rest, ok := strings.CutPrefix(s, `{"`)
	for ok {
		key, value, found := strings.Cut(rest, `":"`)
		if value, rest, ok = strings.Cut(value, `"`); !found || !ok {
			return false
		}
		parsed[key] = value
		if rest == "}" {
			*m = parsed
			return true
		}
		rest, ok = strings.CutPrefix(rest, `,"`)
	}
	return false
}
