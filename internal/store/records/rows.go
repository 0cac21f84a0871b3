package records

import (
	"bytes"
	"fmt"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

// Row is a row as a check of the database reads it.
type Row[T any] struct {
	Value  T
	Ledger int64 // the number of the row's ledger
	// Err says that a column holds no value of its kind. Value then has the columns before it.
	Err error
	// Problem says what is wrong with a column that is not part of Value; "" for nothing.
	Problem string
}

// rows reads rows. A value that cannot be read is an error of its row, not of the session.
func rows[T any](r *Reader, fields func(*Row[T]) []any, query string, args ...any) (list []Row[T], err error) {
	if r.Err() != nil {
		return nil, r.Err()
	}
	found, err := r.Conn.Query(r.Ctx, query, args...)
	if err != nil {
		return nil, r.Fail(err)
	}
	defer found.Close()
	for found.Next() {
		var row Row[T]
		row.Err = found.Scan(fields(&row)...)
		list = append(list, row)
	}
	return list, r.Fail(found.Err())
}

// LinkRows returns up to limit links of all ledgers with ids after one, in the order of their ids.
func (r *Reader) LinkRows(after string, limit int) ([]Row[sluice.Link], error) {
	var hashes []*[]byte
	list, err := rows(r, func(row *Row[sluice.Link]) []any {
		hashes = append(hashes, new([]byte))
		return append(linkFields(&row.Value), &row.Ledger, hashes[len(hashes)-1])
	}, "SELECT "+linkColumns+", ledger, recipient_hash FROM link WHERE id > $1 ORDER BY id LIMIT $2", after, limit)
	for i := range list {
		want, err := r.recipientHash(list[i].Value)
		if err != nil {
			return nil, err
		}
		if list[i].Err == nil && !bytes.Equal(*hashes[i], want) {
			list[i].Problem = "its recipient_hash is not that of its recipient, so lists do not find it"
		}
	}
	return list, err
}

// FileRows returns up to limit files of all ledgers with ids after one, in the order of their ids.
func (r *Reader) FileRows(after string, limit int) ([]Row[sluice.File], error) {
	return rows(r, func(row *Row[sluice.File]) []any {
		return append(fileFields(&row.Value), &row.Ledger, zeroOrOne{})
	}, "SELECT "+fileColumns+", ledger, held FROM file WHERE id > $1 ORDER BY id LIMIT $2", after, limit)
}

// zeroOrOne takes 0 or 1 and no other value: boolean takes every other value for 1.
type zeroOrOne struct{}

// Scan implements sql.Scanner.
func (zeroOrOne) Scan(v any) error {
	if n, ok := v.(int64); !ok || n != 0 && n != 1 {
		return fmt.Errorf("want 0 or 1, have %v", v)
	}
	return nil
}

// KeyRows returns up to limit keys of all ledgers with ids after one, in the order of their ids.
func (r *Reader) KeyRows(after string, limit int) ([]Row[sluice.Key], error) {
	return rows(r, func(row *Row[sluice.Key]) []any { return append(keyFields(&row.Value), &row.Ledger) },
		"SELECT "+keyColumns+", ledger FROM key WHERE id > $1 ORDER BY id LIMIT $2", after, limit)
}

// LinkedRow is a row by which a file is found by a resource, with what it repeats of the file.
type LinkedRow struct {
	FileID   string
	Resource sluice.Resource
	Created  sqldb.Time
	Deleted  sqldb.Time
}

// LinkedRows returns the rows of files with ids after one and up to another, or of all after it if last is "".
func (r *Reader) LinkedRows(after, last string) ([]Row[LinkedRow], error) {
	return rows(r, func(row *Row[LinkedRow]) []any {
		v := &row.Value
		return []any{&v.FileID, &v.Resource.Type, &v.Resource.ID, &v.Created, &v.Deleted, &row.Ledger}
	}, "SELECT file_id, resource_type, resource_id, file_created, file_deleted, file_ledger FROM linked"+
		" WHERE file_id > $1 AND (file_id <= $2 OR $2 = '') ORDER BY file_id, resource_type, resource_id", after, last)
}

// GrantRows returns up to limit open grants of all ledgers after one, in the order of their primary key.
func (r *Reader) GrantRows(after Row[service.OpenGrant], limit int) ([]Row[service.OpenGrant], error) {
	return rows(r, func(row *Row[service.OpenGrant]) []any {
		g := &row.Value
		return []any{&g.LinkID, &row.Ledger, (*sqldb.Digest)(&g.Bearer), (*sqldb.Time)(&g.Expires), &g.Left}
	}, "SELECT link_id, ledger, bearer, expires, bytes FROM open_grant WHERE (ledger, link_id, bearer) > ($1, $2, $3)"+
		" ORDER BY ledger, link_id, bearer LIMIT $4", after.Ledger, after.Value.LinkID, after.Value.Bearer[:], limit)
}

// EndingRow says that a key or a file has ended, and that its links are to be marked.
type EndingRow struct{ Kind, Object string }

// EndingRows returns all endings.
func (r *Reader) EndingRows() ([]Row[EndingRow], error) {
	return rows(r, func(row *Row[EndingRow]) []any { return []any{&row.Value.Object, &row.Value.Kind, &row.Ledger} },
		"SELECT object, kind, ledger FROM ending ORDER BY ledger, kind, object")
}

// LedgerRow is what the row of a ledger says beside the extent of its log.
type LedgerRow struct {
	Ledger  sluice.LedgerID
	Longest int64 // the longest lifetime of its links that expire, in microseconds
	Signed  int64 // size of its newest checkpoint
	Newest  int64 // the same, by the checkpoints
	Endings int64 // how many endings it has
}

// LedgerRows returns all ledgers.
func (r *Reader) LedgerRows() ([]Row[LedgerRow], error) {
	return rows(r, func(row *Row[LedgerRow]) []any {
		v := &row.Value
		return []any{&v.Ledger.Account, (*string)(&v.Ledger.Mode), &row.Ledger, &v.Longest, &v.Signed, &v.Newest, &v.Endings}
	}, "SELECT account, mode, id, longest, signed,"+
		" COALESCE((SELECT MAX(size) FROM checkpoint WHERE checkpoint.ledger = ledger.id), 0), endings"+
		" FROM ledger ORDER BY id")
}

// SigningKeyRow is the id of a signing key and when it was added.
type SigningKeyRow struct {
	ID      string
	Created sqldb.Time
}

// SigningKeyRows returns all signing keys.
func (r *Reader) SigningKeyRows() ([]Row[SigningKeyRow], error) {
	return rows(r, func(row *Row[SigningKeyRow]) []any { return []any{&row.Value.ID, &row.Value.Created} },
		"SELECT id, created FROM signing_key ORDER BY id")
}
