package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sluice"
	"sluice/internal/service"
	"sluice/ledger"
)

// reader reads in one transaction. After an error of the database it is no
// longer good, and says so.
type reader struct {
	ctx   context.Context
	store *Store
	conn  *conn
	group *group // in an Update
	err   error
}

var _ service.Reader = (*reader)(nil)

var errNotFound = sluice.Errorf(sluice.CodeNotFound, "there is no such object")

// fail keeps an error of the database, so that nothing is built on it.
func (r *reader) fail(err error) error {
	if err != nil {
		r.err = r.store.classify(err)
	}
	return r.err
}

// keeps says whether the database can keep all texts among some arguments. One
// that it cannot is found nowhere.
func (s *Store) keeps(args ...any) bool {
	if s.text == nil {
		return true
	}
	for _, arg := range args {
		if text, ok := arg.(string); ok && !s.text(text) {
			return false
		}
	}
	return true
}

// isText says whether every database keeps s as text: PostgreSQL keeps no NUL.
// The root lets in nothing else.
func isText(s string) bool {
	return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s)
}

// texts gives those values that a database may have.
func texts(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !isText(v) })
}

// one reads one row, or is CodeNotFound.
func (r *reader) one(dest []any, query string, args ...any) error {
	if err := r.flush(); err != nil {
		return err
	}
	return r.written(dest, query, args...)
}

// written reads as one does, of what nothing is gathered for.
func (r *reader) written(dest []any, query string, args ...any) error {
	if r.err != nil {
		return r.err
	}
	if !r.store.keeps(args...) {
		return errNotFound
	}
	rows, err := r.conn.query(r.ctx, query, args...)
	if err != nil {
		return r.fail(err)
	}
	defer rows.Close()
	if !rows.Next() {
		if rows.Err() != nil {
			return r.fail(rows.Err())
		}
		return errNotFound
	}
	return r.fail(rows.Scan(dest...))
}

// many reads all rows; fields says where one goes.
func many[T any](r *reader, fields func(*T) []any, query string, args ...any) (list []T, err error) {
	if err := r.flush(); err != nil || !r.store.keeps(args...) {
		return nil, err
	}
	rows, err := r.conn.query(r.ctx, query, args...)
	if err != nil {
		return nil, r.fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		var row T
		if err := rows.Scan(fields(&row)...); err != nil {
			return nil, r.fail(err)
		}
		list = append(list, row)
	}
	return list, r.fail(rows.Err())
}

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
	err := r.one([]any{&id}, "SELECT id FROM ledger WHERE account = $1 AND mode = $2", l.Account, string(l.Mode))
	if err == errNotFound {
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
	err := r.written([]any{&h.id, &h.next, &h.indexed, &h.latest, &h.longest, &h.endings}, "SELECT id, next, indexed, latest, longest, endings FROM ledger WHERE account = $1 AND mode = $2", l.Account, string(l.Mode))
	if err != nil && err != errNotFound {
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
	err = r.one([]any{&longest}, "SELECT longest FROM ledger WHERE account = $1 AND mode = $2", l.Account, string(l.Mode))
	if err == errNotFound {
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
	if r.err != nil {
		return v, r.err
	}
	name := object{ledger, id}
	v, ok := seen[name]
	if !ok {
		if err := r.written(fields(&v), query, id, ledger); err != nil {
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
	if t.err != nil {
		return 0, t.err
	}
	t.wrote = true
	result, err := t.conn.exec(t.ctx, query, args...)
	if err != nil {
		return 0, t.fail(err)
	}
	n, err := result.RowsAffected()
	return n, t.fail(err)
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
		err = errNotFound
	}
	if err != nil {
		return err
	}
	return t.Record(e)
}

// own gives the number of the Update's ledger, making it when l, the ledger of
// something to be stored, is that one.
func (t *tx) own(l sluice.LedgerID) (int64, error) {
	if t.err != nil {
		return 0, t.err
	}
	if l != t.ledger {
		return 0, t.fail(fmt.Errorf("an update of ledger %s cannot write to %s", t.ledger, l))
	}
	if t.head.id == 0 {
		if _, err := t.exec("INSERT INTO ledger (account, mode, next, indexed, latest, longest) VALUES ($1, $2, 0, 0, 0, 0)", l.Account, string(l.Mode)); err != nil {
			return 0, err
		}
		err := t.written([]any{&t.head.id}, "SELECT id FROM ledger WHERE account = $1 AND mode = $2", l.Account, string(l.Mode))
		if err != nil {
			return 0, err
		}
	}
	return t.head.id, nil
}

// forget has objects read again, which a statement may have changed.
func (t *tx) forget() error {
	if err := t.flush(); err != nil {
		return err
	}
	t.group.forget()
	return nil
}

// micros is how a moment is stored.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// moment reads what micros wrote.
type moment time.Time

func (m *moment) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*m = moment{}
	case int64:
		*m = moment(time.UnixMicro(v).UTC())
	default:
		return fmt.Errorf("a moment is stored as an integer, not as %T", v)
	}
	return nil
}

// integer reads an integer into anything made of an int64.
type integer int64

func (i *integer) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("want an integer, have %T", v)
	}
	*i = integer(n)
	return nil
}

type digest sluice.Digest

func (d *digest) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(d) {
		return errors.New("a digest is stored as 32 bytes")
	}
	copy(d[:], b)
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
