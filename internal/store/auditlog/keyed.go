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

// termPlaces are places of entries in the rows of keyed terms: seqs in the order of the log.
type termPlaces map[term][]int64

// add adds the places of an entry under the personal terms that it has lost.
func (p termPlaces) add(key IndexKey, seq int64, was, is audit.PersonalTerms) {
	for _, f := range fields {
		before, after := f.of(&audit.IndexTerms{PersonalTerms: was}), f.of(&audit.IndexTerms{PersonalTerms: is})
		if f.keyed && before != "" && before != after {
			t := term{f.name, key.term(f.name, before)}
			p[t] = append(p[t], seq)
		}
	}
}

// removePlaces removes places from the index. A row that is damaged is removed.
func (t *Tx) removePlaces(places termPlaces) error {
	var removed [][]any
	var left []posting
	for at, seqs := range places {
		rows, err := t.postingsWith(at, seqs)
		if err != nil {
			return err
		}
		for _, p := range rows {
			has, damaged := p.unpack()
			n := len(has)
			has = slices.DeleteFunc(has, func(seq int64) bool {
				_, found := slices.BinarySearch(seqs, seq)
				return found
			})
			if damaged == nil && len(has) == n {
				continue
			}
			removed = append(removed, []any{t.head.ID, at.field, at.value, p.first})
			if damaged == nil && len(has) > 0 {
				left = append(left, posting{t.head.ID, at.field, at.value, has[0], packSeqs(has)})
			}
		}
	}
	err := t.ExecEach("DELETE FROM entry_index WHERE ledger = $1 AND field = $2 AND value = $3 AND first = $4", removed)
	if err != nil {
		return err
	}
	return sqldb.Insert(t.Session, postingInsert, left, postingValues)
}

// postingsWith gives the postings of a term that may have some seqs, which are in order. The postings of a term do not
// overlap, so at most one of them begins before the first seq.
func (t *Tx) postingsWith(at term, seqs []int64) ([]posting, error) {
	from, to := seqs[0], seqs[len(seqs)-1]+1
	before, err := sqldb.Many(t.Session, (*posting).fields, postingsQuery(false), t.head.ID, at.field, at.value, 0, from,
		1)
	if err != nil {
		return nil, err
	}
	rows, err := sqldb.Many(t.Session, (*posting).fields, postingsQuery(true), t.head.ID, at.field, at.value, from, to,
		to-from)
	return append(before, rows...), err
}
