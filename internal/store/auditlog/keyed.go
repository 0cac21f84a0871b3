package auditlog

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"sluice/internal/audit"
	"sluice/internal/store/sqldb"
)

// What identifies people stands in the index, and in the rows of links, as a hash under a key of the installation. A
// hash finds the entries of one person, whom the asker names, and lists nobody.

// IndexKey is the key of these hashes.
type IndexKey []byte

// Sum returns the hash of a value of a field: the first half of its HMAC-SHA-256.
func (k IndexKey) Sum(field, value string) []byte {
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(field))
	mac.Write([]byte{0})
	mac.Write([]byte(value))
	return mac.Sum(nil)[:sha256.Size/2]
}

// term returns the text that stands in the index for a value of a field.
func (k IndexKey) term(field, value string) string {
	return base64.RawURLEncoding.EncodeToString(k.Sum(field, value))
}

// indexKey returns the key of the installation. It is read once: it never changes.
func (r *Reader) indexKey() (IndexKey, error) {
	if r.group != nil && r.group.key != nil {
		return r.group.key, nil
	}
	if r.ledgers != nil {
		if key, ok := r.ledgers.key.Load().(IndexKey); ok {
			return key, nil
		}
	}
	var key IndexKey
	if err := r.OneUnbuffered([]any{(*[]byte)(&key)}, "SELECT index_key FROM installation"); err != nil {
		return nil, err
	}
	if r.group != nil {
		r.group.key = key
	}
	if r.ledgers != nil {
		r.ledgers.key.Store(key)
	}
	return key, nil
}

// Keyed returns the hash of a value under the key of the installation, nil for "".
func (r *Reader) Keyed(field, value string) ([]byte, error) {
	if value == "" {
		return nil, nil
	}
	key, err := r.indexKey()
	if err != nil {
		return nil, err
	}
	return key.Sum(field, value), nil
}

// personalFrom gives the seq of the first entry that is in the index by its personal terms. Those before it were
// indexed by an older version.
func (r *Reader) personalFrom(ledger int64) (from int64, err error) {
	err = r.One([]any{&from}, "SELECT personal_from FROM ledger WHERE id = $1", ledger)
	if err == sqldb.ErrNotFound {
		return 0, nil
	}
	return from, err
}

// forget removes the personal terms that an entry has lost from the index.
func (t *Tx) forget(seq int64, was, is audit.PersonalTerms) error {
	t.head.erased = true // entries that are not indexed yet are read again
	if seq >= t.head.Indexed {
		return nil
	}
	key, err := t.indexKey()
	if err != nil {
		return err
	}
	for _, f := range fields {
		before, after := f.of(&audit.IndexTerms{PersonalTerms: was}), f.of(&audit.IndexTerms{PersonalTerms: is})
		if f.keyed && before != "" && before != after {
			if err := t.removePlace(f.name, key.term(f.name, before), seq); err != nil {
				return err
			}
		}
	}
	return nil
}

// removePlace removes the place of an entry from the row of a term. A row that is damaged is removed.
func (t *Tx) removePlace(field, value string, seq int64) error {
	rows, err := sqldb.Many(t.Session, (*posting).fields, postingsQuery(false), t.head.ID, field, value, 0, seq+1, 1)
	if err != nil || len(rows) == 0 {
		return err
	}
	p := rows[0]
	places, damaged := p.unpack()
	i := slices.Index(places, seq)
	if damaged == nil && i < 0 {
		return nil
	}
	_, err = t.Exec("DELETE FROM entry_index WHERE ledger = $1 AND field = $2 AND value = $3 AND first = $4",
		t.head.ID, field, value, p.first)
	if err != nil || damaged != nil || len(places) == 1 {
		return err
	}
	places = slices.Delete(places, i, i+1)
	_, err = t.Exec("INSERT INTO entry_index (ledger, field, value, first, seqs) VALUES ($1, $2, $3, $4, $5)",
		t.head.ID, field, value, places[0], packSeqs(places))
	return err
}
