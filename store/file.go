package store

import (
	"maps"
	"time"

	"sluice"
)

const fileColumns = "id, purpose, filename, title, type, size, sha256, metadata, created, updated, deleted"

func fileFields(f *sluice.File) []any {
	return []any{
		&f.ID, &f.Purpose, &f.Filename, &f.Title, &f.Type, (*integer)(&f.Size), (*digest)(&f.SHA256), (*metadata)(&f.Metadata),
		(*moment)(&f.Created), (*moment)(&f.Updated), (*moment)(&f.Deleted),
	}
}

func (r *reader) File(l sluice.LedgerID, id string) (sluice.File, error) {
	return once(r, r.seen().files, l, id, "SELECT "+fileColumns+" FROM file WHERE id = $1 AND ledger = $2", fileFields, func(f *sluice.File) {
		f.Ledger, f.Metadata = l, maps.Clone(f.Metadata)
	})
}

func (r *reader) Files(l sluice.LedgerID, f sluice.FileFilter, p sluice.Page) (sluice.List[sluice.File], error) {
	return list(r, l, fileListing(f), f.Created, p, func(f *sluice.File) []any {
		f.Ledger = l
		return fileFields(f)
	})
}

func fileListing(f sluice.FileFilter) listing {
	q := listing{columns: fileColumns, table: "file", at: "created", tie: "id", least: "", where: " AND deleted IS NULL"}
	q.equal("purpose", f.Purpose)
	q.in("id", f.IDs)
	return q
}

func (r *reader) ActiveFile(id string) (bool, error) {
	var one int64
	err := r.one([]any{&one}, "SELECT 1 FROM file WHERE id = $1 AND deleted IS NULL", id)
	if err == errNotFound {
		return false, nil
	}
	return err == nil, err
}

func (t *tx) CreateFile(f sluice.File, e sluice.Entry) error {
	ledger, err := t.own(f.Ledger)
	if err != nil {
		return err
	}
	return t.change(e, "INSERT INTO file (ledger, "+fileColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
		ledger, f.ID, f.Purpose, f.Filename, f.Title, f.Type, f.Size, f.SHA256[:], metadata(f.Metadata).text(),
		micros(f.Created), micros(f.Updated), micros(f.Deleted))
}

// DeleteFile implements sluice.Tx. A file that is deleted already is CodeNotFound.
func (t *tx) DeleteFile(id string, now time.Time, e sluice.Entry) error {
	t.group.forget()
	err := t.change(e, "UPDATE file SET deleted = $3, updated = $3 WHERE id = $1 AND ledger = $2 AND deleted IS NULL", id, t.head.id, micros(now))
	if err != nil {
		return err
	}
	_, err = t.exec("UPDATE link SET revoked = $3, updated = $3, ended = $4 WHERE ledger = $1 AND file_id = $2 AND ended <> 'revoked' AND revoked IS NULL",
		t.head.id, id, micros(now), string(sluice.FileDeleted))
	return err
}
