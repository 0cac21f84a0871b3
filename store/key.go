package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice"
)

const keyColumns = "id, name, hash, scopes, created, updated, expires, revoked, max_link_lifetime"

func keyFields(k *sluice.Key) []any {
	return []any{
		&k.ID, &k.Name, (*digest)(&k.Hash), (*scopes)(&k.Scopes), (*moment)(&k.Created), (*moment)(&k.Updated),
		(*moment)(&k.Expires), (*moment)(&k.Revoked), (*integer)(&k.MaxLinkLifetime),
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

func (r *reader) KeyByHash(hash sluice.Digest) (sluice.Key, error) {
	var k sluice.Key
	err := r.one(append(keyFields(&k), &k.Ledger.Account, (*string)(&k.Ledger.Mode)),
		"SELECT "+keyColumns+", (SELECT account FROM ledger WHERE ledger.id = key.ledger), (SELECT mode FROM ledger WHERE ledger.id = key.ledger)"+
			" FROM key WHERE hash = $1", hash[:])
	return k, err
}

func (r *reader) Key(l sluice.LedgerID, id string) (sluice.Key, error) {
	return once(r, r.seen().keys, l, id, "SELECT "+keyColumns+" FROM key WHERE id = $1 AND ledger = $2", keyFields, func(k *sluice.Key) {
		k.Ledger, k.Scopes = l, slices.Clone(k.Scopes)
	})
}

func (r *reader) Keys(l sluice.LedgerID, p sluice.Page) (sluice.List[sluice.Key], error) {
	return list(r, l, keyListing(), sluice.TimeRange{}, p, func(k *sluice.Key) []any {
		k.Ledger = l
		return keyFields(k)
	})
}

func keyListing() listing {
	return listing{columns: keyColumns, table: "key", at: "created", tie: "id", least: ""}
}

func (t *tx) CreateKey(k sluice.Key, e sluice.Entry) error {
	ledger, err := t.own(k.Ledger)
	if err != nil {
		return err
	}
	return t.change(e, "INSERT INTO key (ledger, "+keyColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		ledger, k.ID, k.Name, k.Hash[:], scopes(k.Scopes).text(), micros(k.Created), micros(k.Updated),
		micros(k.Expires), micros(k.Revoked), int64(k.MaxLinkLifetime))
}

// RevokeKey implements sluice.Tx. A key that is revoked already is CodeNotFound.
func (t *tx) RevokeKey(id string, now time.Time, e sluice.Entry) error {
	t.group.forget()
	err := t.change(e, "UPDATE key SET revoked = $3, updated = $3 WHERE id = $1 AND ledger = $2 AND revoked IS NULL", id, t.head.id, micros(now))
	if err != nil {
		return err
	}
	for _, good := range []string{"expires > $3", "expires IS NULL"} {
		_, err := t.exec("UPDATE link SET revoked = $3, updated = $3, ended = $4 WHERE ledger = $1 AND key_id = $2 AND revoked IS NULL AND "+good,
			t.head.id, id, micros(now), string(sluice.KeyRevoked))
		if err != nil {
			return err
		}
	}
	return nil
}
