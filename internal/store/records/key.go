package records

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

const keyColumns = "id, name, hash, scopes, created, updated, expires, revoked, used, version, old_hash, old_expires," +
	" max_link_lifetime, seal"

func keyFields(k *sluice.Key) []any {
	return []any{
		&k.ID, &k.Name, (*sqldb.Digest)(&k.Hash), (*scopes)(&k.Scopes), (*sqldb.Time)(&k.Created),
		(*sqldb.Time)(&k.Updated),
		(*sqldb.Time)(&k.Expires), (*sqldb.Time)(&k.Revoked), (*sqldb.Time)(&k.Used), &k.Version,
		(*optionalDigest)(&k.OldHash), (*sqldb.Time)(&k.OldExpires), (*sqldb.Integer)(&k.MaxLinkLifetime),
		(*optionalDigest)(&k.Seal),
	}
}

// scopes are stored as one text, separated by spaces.
type scopes []sluice.Scope

func (s scopes) text() string {
	var b strings.Builder
	for i, scope := range s {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(scope))
	}
	return b.String()
}

// Scan implements sql.Scanner.
func (s *scopes) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("scopes are stored as text, not as %T", v)
	}
	*s = nil
	for scope := range strings.FieldsSeq(text) {
		*s = append(*s, sluice.Scope(scope))
	}
	return nil
}

// optionalDigest is a digest that may be missing: zero is stored as NULL.
type optionalDigest sluice.Digest

func (d optionalDigest) bytes() any {
	if d == (optionalDigest{}) {
		return nil
	}
	return d[:]
}

// Scan implements sql.Scanner.
func (d *optionalDigest) Scan(v any) error {
	*d = optionalDigest{}
	if v == nil {
		return nil
	}
	return (*sqldb.Digest)(d).Scan(v)
}

// KeyByHash implements service.Reader. A current secret takes precedence over an old one.
func (r *Reader) KeyByHash(hash sluice.Digest) (k sluice.Key, err error) {
	for _, column := range []string{"hash", "old_hash"} {
		k = sluice.Key{}
		err = r.One(append(keyFields(&k), &k.Ledger.Account, (*string)(&k.Ledger.Mode)),
			"SELECT "+keyColumns+", "+ledgerName("key")+" FROM key WHERE "+column+" = $1", hash[:])
		if err != sqldb.ErrNotFound {
			break
		}
	}
	return k, err
}

// Key implements service.Reader.
func (r *Reader) Key(l sluice.LedgerID, id string) (sluice.Key, error) {
	const query = "SELECT " + keyColumns + " FROM key WHERE id = $1 AND ledger = $2"
	known, err := cached(r, r.known().keys, l, id, query, keyFields)
	if err != nil {
		return sluice.Key{}, err
	}
	k := *known
	k.Ledger, k.Scopes = l, slices.Clone(k.Scopes)
	return k, nil
}

// Keys implements service.Reader.
func (r *Reader) Keys(l sluice.LedgerID, p sluice.Page) (sluice.List[sluice.Key], error) {
	return list(r, l, keyListing(), p, func(k *sluice.Key) []any {
		k.Ledger = l
		return keyFields(k)
	})
}

func keyListing() listing {
	return listing{
		columns: keyColumns, table: "key", ledger: "ledger", at: "created", tie: "id", least: "",
		created: sqldb.Everything, cursorQuery: "SELECT created, id FROM key WHERE id = $1 AND ledger = $2",
	}
}

// CreateKey implements service.Tx.
func (t *Tx) CreateKey(k sluice.Key, e sluice.Entry) error {
	ledger, err := t.log.EnsureLedger(k.Ledger)
	if err == nil {
		err = t.checkHashes(k)
	}
	if err != nil {
		return err
	}
	return t.log.Change(e, "INSERT INTO key (ledger, "+keyColumns+")"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
		ledger, k.ID, k.Name, k.Hash[:], scopes(k.Scopes).text(), sqldb.Micros(k.Created), sqldb.Micros(k.Updated),
		sqldb.Micros(k.Expires), sqldb.Micros(k.Revoked), sqldb.Micros(k.Used), k.Version,
		optionalDigest(k.OldHash).bytes(), sqldb.Micros(k.OldExpires), int64(k.MaxLinkLifetime),
		optionalDigest(k.Seal).bytes())
}

// UpdateKey implements service.Tx.
func (t *Tx) UpdateKey(k sluice.Key, e sluice.Entry) error {
	ledger, err := t.log.EnsureLedger(k.Ledger)
	if err == nil {
		err = t.checkHashes(k)
	}
	if err != nil {
		return err
	}
	return t.rewrite(e, "UPDATE key SET name = $3, hash = $4, scopes = $5, updated = $6, expires = $7,"+
		" revoked = $8, version = $9, old_hash = $10, old_expires = $11, max_link_lifetime = $12, seal = $13"+
		" WHERE id = $1 AND ledger = $2",
		k.ID, ledger, k.Name, k.Hash[:], scopes(k.Scopes).text(), sqldb.Micros(k.Updated), sqldb.Micros(k.Expires),
		sqldb.Micros(k.Revoked), k.Version, optionalDigest(k.OldHash).bytes(), sqldb.Micros(k.OldExpires),
		int64(k.MaxLinkLifetime), optionalDigest(k.Seal).bytes())
}

// checkHashes is CodeConflict when another key has a hash of k in the other column. An index keeps a hash unique in one
// column only.
func (t *Tx) checkHashes(k sluice.Key) error {
	var other string
	err := t.One([]any{&other}, "SELECT id FROM key WHERE old_hash = $1 AND id <> $2", k.Hash[:], k.ID)
	if err == sqldb.ErrNotFound && k.OldHash != (sluice.Digest{}) {
		err = t.One([]any{&other}, "SELECT id FROM key WHERE hash = $1 AND id <> $2", k.OldHash[:], k.ID)
	}
	switch err {
	case sqldb.ErrNotFound:
		return nil
	case nil:
		return sqldb.Coded(sluice.CodeConflict, fmt.Errorf("keys %s and %s have the same secret", k.ID, other))
	}
	return err
}

// RevokeKey implements service.Tx. A key that is revoked already is CodeNotFound.
func (t *Tx) RevokeKey(id string, now time.Time, e sluice.Entry) error {
	err := t.rewrite(e, "UPDATE key SET revoked = $3, updated = $3, seal = NULL"+
		" WHERE id = $1 AND ledger = $2 AND revoked IS NULL",
		id, t.log.LedgerHead().ID, sqldb.Micros(now))
	if err != nil {
		return err
	}
	return t.endLinks(endingKey, id, now)
}

// KeysUsed stores when keys of any ledger were last used. An unknown key, and a time older than what is stored, change
// nothing.
func KeysUsed(t *Tx, used map[string]time.Time) error {
	for _, id := range slices.Sorted(maps.Keys(used)) { // in one order, so that two processes do not deadlock
		_, err := t.log.Exec("UPDATE key SET used = $2 WHERE id = $1 AND (used IS NULL OR used < $2)",
			id, sqldb.Micros(used[id]))
		if err != nil {
			return err
		}
	}
	return nil
}

// Reseal stores the seals of rows, as far as they were not changed, revoked or ended since they were read. A session
// only ends.
func Reseal(t *Tx, rows service.Sealed) error {
	if err := t.readAgain(); err != nil {
		return err
	}
	for _, k := range rows.Keys {
		_, err := t.log.Exec("UPDATE key SET seal = $3 WHERE id = $1 AND updated = $2 AND revoked IS NULL",
			k.ID, sqldb.Micros(k.Updated), optionalDigest(k.Seal).bytes())
		if err != nil {
			return err
		}
	}
	for _, l := range rows.Links {
		_, err := t.log.Exec("UPDATE link SET seal = $3 WHERE id = $1 AND updated = $2 AND revoked IS NULL",
			l.ID, sqldb.Micros(l.Updated), optionalDigest(l.Seal).bytes())
		if err != nil {
			return err
		}
	}
	for _, s := range rows.Sessions {
		_, err := t.log.Exec("UPDATE session SET seal = $2 WHERE id = $1 AND ended IS NULL",
			s.ID, optionalDigest(s.Seal).bytes())
		if err != nil {
			return err
		}
	}
	return nil
}
