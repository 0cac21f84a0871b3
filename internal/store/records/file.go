package records

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

const fileColumns = "id, purpose, filename, title, type, size, sha256, metadata, linked, held, created, updated," +
	" expires, deleted, crc32, personal"

func fileFields(f *sluice.File) []any {
	return []any{
		&f.ID, &f.Purpose, &f.Filename, &f.Title, &f.Type, (*sqldb.Integer)(&f.Size), (*sqldb.Digest)(&f.SHA256),
		(*metadata)(&f.Metadata), (*resources)(&f.Linked), (*boolean)(&f.Held), (*sqldb.Time)(&f.Created),
		(*sqldb.Time)(&f.Updated), (*sqldb.Time)(&f.Expires), (*sqldb.Time)(&f.Deleted), checksum{&f.CRC32},
		(*personal)(&f.Personal),
	}
}

// resources are stored as JSON, "" when there are none.
type resources []sluice.Resource

func (r resources) text() (string, error) {
	if len(r) == 0 {
		return "", nil
	}
	data, err := json.Marshal(r)
	return string(data), err
}

// Scan implements sql.Scanner.
func (r *resources) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("linked resources are stored as text, not as %T", v)
	}
	*r = nil
	if s == "" {
		return nil
	}
	return json.Unmarshal([]byte(s), (*[]sluice.Resource)(r))
}

// checksum is stored as an integer, NULL while it is not known.
type checksum struct{ to **uint32 }

func (c checksum) value() any {
	if *c.to == nil {
		return nil
	}
	return int64(**c.to)
}

// Scan implements sql.Scanner.
func (c checksum) Scan(v any) error {
	*c.to = nil
	if v == nil {
		return nil
	}
	n, ok := v.(int64)
	if !ok || n < 0 || n > math.MaxUint32 {
		return fmt.Errorf("a CRC-32 is stored as an integer of 32 bits, not as %v", v)
	}
	sum := uint32(n)
	*c.to = &sum
	return nil
}

// File implements service.Reader.
func (r *Reader) File(l sluice.LedgerID, id string) (sluice.File, error) {
	const query = "SELECT " + fileColumns + " FROM file WHERE id = $1 AND ledger = $2"
	known, err := cached(r, r.known().files, l, id, query, fileFields)
	if err != nil {
		return sluice.File{}, err
	}
	f := *known
	f.Ledger, f.Metadata = l, maps.Clone(f.Metadata)
	return f, nil
}

// Files implements service.Reader.
func (r *Reader) Files(l sluice.LedgerID, f service.FileFilter, p sluice.Page) (sluice.List[sluice.File], error) {
	var lists []listing
	for _, one := range perValue(f) {
		lists = append(lists, fileListing(one))
	}
	return merged(r, l, lists, p, func(f *sluice.File) []any {
		f.Ledger = l
		return fileFields(f)
	}, func(a, b sluice.File) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID)) })
}

// perValue gives a filter for each purpose and type that a filter allows, so that each list is read by an index.
func perValue(f service.FileFilter) (each []service.FileFilter) {
	for _, purpose := range allowed(f.Purpose, f.Purposes) {
		for _, t := range allowed(f.Type, f.Types) {
			one := f
			one.Purpose, one.Type = purpose, t
			each = append(each, one)
		}
	}
	return each
}

// allowed gives the values that a field may have: one, or a value of the list, or with both, one if the list has it. An
// empty one and no list allow all values; then it gives "".
func allowed(one string, list []string) []string {
	if len(list) == 0 {
		return []string{one}
	}
	var both []string
	for _, value := range list {
		if (one == "" || one == value) && value != "" && !slices.Contains(both, value) {
			both = append(both, value)
		}
	}
	return both
}

func fileListing(f service.FileFilter) listing {
	q := listing{
		columns: fileColumns, table: "file", ledger: "ledger", at: "created", tie: "id", least: "",
		created: sqldb.Times(f.Created), cursorQuery: "SELECT created, id FROM file WHERE id = $1 AND ledger = $2",
	}
	deleted := "deleted"
	if f.Linked != nil {
		q.table, q.ledger = "linked JOIN file ON file.id = linked.file_id", "file_ledger"
		q.at, q.tie, deleted = "file_created", "file_id", "file_deleted"
		q.and("resource_type =", f.Linked.Type)
		q.and("resource_id =", f.Linked.ID)
	}
	if f.Status == service.DeletedFiles {
		q.where += " AND " + deleted + " IS NOT NULL"
	} else {
		q.where += " AND " + deleted + " IS NULL"
	}
	q.equal("purpose", f.Purpose)
	q.equal("filename", f.Filename)
	if f.Title != "" {
		q.where += " AND title <> ''"
	}
	q.equal("title", f.Title)
	q.equal("type", f.Type)
	if f.SHA256 != nil {
		q.and("sha256 =", f.SHA256[:])
	}
	if f.Size != (sluice.Range[int64]{}) {
		q.between("size", sqldb.Integers(f.Size))
	}
	q.in("id", f.IDs)
	return q
}

// AnyFile implements service.Reader.
func (r *Reader) AnyFile() (bool, error) {
	var one int64
	err := r.One([]any{&one}, "SELECT 1 FROM file LIMIT 1")
	if err == sqldb.ErrNotFound {
		return false, nil
	}
	return err == nil, err
}

// KnownFiles implements service.Reader.
func (r *Reader) KnownFiles(ids []string) (map[string]bool, error) {
	known := make(map[string]bool, len(ids))
	if ids = sqldb.Texts(ids); len(ids) == 0 {
		return known, nil
	}
	var in strings.Builder
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
		if i > 0 {
			in.WriteString(", ")
		}
		in.WriteString(r.DB.Placeholder(i + 1))
	}
	type row struct {
		id      string
		deleted sqldb.Time
	}
	rows, err := sqldb.Many(r.Session, func(f *row) []any { return []any{&f.id, &f.deleted} },
		"SELECT id, deleted FROM file WHERE id IN ("+in.String()+")", args...)
	for _, f := range rows {
		known[f.id] = time.Time(f.deleted).IsZero()
	}
	return known, err
}

// ExpiredFiles implements service.Reader.
func (r *Reader) ExpiredFiles(now time.Time, limit int) ([]sluice.File, error) {
	return sqldb.Many(r.Session, func(f *sluice.File) []any {
		return append(fileFields(f), &f.Ledger.Account, (*string)(&f.Ledger.Mode))
	}, "SELECT "+fileColumns+", "+ledgerName("file")+" FROM file WHERE deleted IS NULL AND held = 0"+
		" AND expires IS NOT NULL AND expires <= $1 ORDER BY expires, id LIMIT $2", now.UnixMicro(), limit)
}

// CreateFile implements service.Tx.
func (t *Tx) CreateFile(f sluice.File, e sluice.Entry) error {
	ledger, err := t.log.EnsureLedger(f.Ledger)
	if err != nil {
		return err
	}
	linked, err := resources(f.Linked).text()
	if err != nil {
		return t.Fail(err)
	}
	err = t.log.Change(e, "INSERT INTO file (ledger, "+fileColumns+")"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
		ledger, f.ID, f.Purpose, f.Filename, f.Title, f.Type, f.Size, f.SHA256[:], metadata(f.Metadata).text(), linked,
		boolean(f.Held).integer(), sqldb.Micros(f.Created), sqldb.Micros(f.Updated), sqldb.Micros(f.Expires),
		sqldb.Micros(f.Deleted), checksum{&f.CRC32}.value(), personal(f.Personal).text())
	if err != nil {
		return err
	}
	return t.insertLinked(f.ID, f.Linked)
}

// insertLinked has a file found by the resources that it is linked to.
func (t *Tx) insertLinked(file string, linked []sluice.Resource) error {
	for _, r := range linked {
		_, err := t.log.Exec("INSERT INTO linked (file_id, resource_type, resource_id, file_ledger,"+
			" file_created, file_deleted)"+
			" SELECT id, $2, $3, ledger, created, deleted FROM file WHERE id = $1", file, r.Type, r.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

// UpdateFile implements service.Tx.
func (t *Tx) UpdateFile(f sluice.File, e sluice.Entry) error {
	if _, err := t.log.EnsureLedger(f.Ledger); err != nil {
		return err
	}
	if err := t.readAgain(); err != nil {
		return err
	}
	if err := t.replaceFile(f); err != nil {
		return err
	}
	return t.log.Record(e)
}

// replaceFile replaces what may change of a file.
func (t *Tx) replaceFile(f sluice.File) error {
	linked, err := resources(f.Linked).text()
	if err != nil {
		return t.Fail(err)
	}
	n, err := t.log.Exec("UPDATE file SET filename = $3, title = $4, metadata = $5, linked = $6, held = $7, updated = $8"+
		" WHERE id = $1 AND ledger = $2", f.ID, t.log.LedgerHead().ID, f.Filename, f.Title, metadata(f.Metadata).text(),
		linked, boolean(f.Held).integer(), sqldb.Micros(f.Updated))
	if err == nil && n == 0 {
		err = sqldb.ErrNotFound
	}
	if err != nil {
		return err
	}
	if _, err := t.log.Exec("DELETE FROM linked WHERE file_id = $1", f.ID); err != nil {
		return err
	}
	return t.insertLinked(f.ID, f.Linked)
}

// DeleteFile implements service.Tx. A file that is deleted already is CodeNotFound.
func (t *Tx) DeleteFile(id string, now time.Time, e sluice.Entry) error {
	err := t.rewrite(e, "UPDATE file SET deleted = $3, updated = $3 WHERE id = $1 AND ledger = $2 AND deleted IS NULL",
		id, t.log.LedgerHead().ID, sqldb.Micros(now))
	if err != nil {
		return err
	}
	_, err = t.log.Exec("UPDATE linked SET file_deleted = $2 WHERE file_id = $1", id, sqldb.Micros(now))
	if err != nil {
		return err
	}
	return t.endLinks(endingFile, id, now)
}
