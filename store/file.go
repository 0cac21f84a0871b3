package store

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"mime"
	"strings"
	"time"

	"sluice"
)

const fileColumns = "id, purpose, filename, title, type, size, sha256, metadata, linked, held, created, updated, expires, deleted"

func fileFields(f *sluice.File) []any {
	return []any{
		&f.ID, &f.Purpose, &f.Filename, &f.Title, &f.Type, (*integer)(&f.Size), (*digest)(&f.SHA256), (*metadata)(&f.Metadata),
		(*resources)(&f.Linked), (*truth)(&f.Held), (*moment)(&f.Created), (*moment)(&f.Updated), (*moment)(&f.Expires), (*moment)(&f.Deleted),
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

// truth is stored as 0 or 1.
type truth bool

func (b truth) integer() int64 {
	if b {
		return 1
	}
	return 0
}

func (b *truth) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("want 0 or 1, have %T", v)
	}
	*b = n != 0
	return nil
}

func (r *reader) File(l sluice.LedgerID, id string) (sluice.File, error) {
	f := sluice.File{Ledger: l}
	ledger, err := r.ledgerID(l)
	if err == nil {
		err = r.one(fileFields(&f), "SELECT "+fileColumns+" FROM file WHERE id = $1 AND ledger = $2", id, ledger)
	}
	return f, err
}

func (r *reader) Files(l sluice.LedgerID, f sluice.FileFilter, p sluice.Page) (sluice.List[sluice.File], error) {
	return list(r, l, fileListing(f), moments(f.Created), p, func(f *sluice.File) []any {
		f.Ledger = l
		return fileFields(f)
	})
}

// The states of files.
const (
	activeFile  = 0
	deletedFile = 1
)

var (
	fileRoute     = route{table: "file", ledger: "ledger", state: "state", at: "created", tie: "id"}
	sizeRoute     = route{table: "file", ledger: "ledger", state: "state", at: "created", tie: "id", sorts: true}
	resourceRoute = route{
		table: "linked", join: " JOIN file ON id = file_id",
		ledger: "file_ledger", state: "file_state", at: "file_created", tie: "file_id",
	}
)

// fileListing is the list of files under a filter. A type without parameters
// asks for that type with any, one with parameters for just those.
//
// Sizes are no order that the list is in. Of a range of them that few files are
// in, those are read and sorted. Else the list is read magnitude by magnitude,
// and of the first and the last of those sizes are looked at. The worst case is
// a range in which few hundred are of the millions of one magnitude.
func fileListing(f sluice.FileFilter) listing {
	q := listing{columns: fileColumns, route: &fileRoute, least: "", states: []int{activeFile}}
	if f.Status == sluice.DeletedFiles {
		q.states = []int{deletedFile}
	}
	q.in(f.IDs)
	if f.SHA256 != nil {
		q.lead(condition{"sha256 = ?", []any{f.SHA256[:]}}, leader{route: &fileRoute})
	}
	if f.Linked != nil {
		resource := condition{"resource_type = ? AND resource_id = ?", []any{f.Linked.Type, f.Linked.ID}}
		linked := condition{"EXISTS (SELECT 1 FROM linked WHERE file_id = id AND " + resource.text + ")", resource.values}
		q.lead(linked, leader{route: &resourceRoute, condition: resource})
	}
	q.equal("filename", f.Filename)
	if f.Title != "" {
		q.lead(condition{"title = ? AND title <> ''", []any{f.Title}}, leader{route: &fileRoute})
	}
	if f.Type != "" {
		q.equal("essence", essence(f.Type))
		if canonical := mediaType(f.Type); canonical != essence(f.Type) {
			q.where("type = ?", canonical)
		}
	}
	q.equal("purpose", f.Purpose)
	if f.Size == (sluice.Range[int64]{}) {
		q.along("id <> ''", nil)
	} else {
		sizes := integers(f.Size)
		q.lead(condition{"size >= ? AND size < ?", []any{sizes.from, sizes.to}}, leader{route: &sizeRoute})
		q.along("", func(*reader) ([]band, error) { return magnitudes(sizes), nil })
	}
	return q
}

// magnitudes gives the magnitudes of an interval of sizes.
func magnitudes(sizes interval) (bands []band) {
	if sizes.from >= sizes.to {
		return nil
	}
	for m := magnitude(max(0, sizes.from)); m <= magnitude(max(0, sizes.to-1)); m++ {
		bands = append(bands, band{condition{"magnitude = ?", []any{m}}, everything})
	}
	return bands
}

// magnitude is the number of binary digits of a size.
func magnitude(size int64) int { return bits.Len64(uint64(size)) }

// essence is a media type without its parameters, in lower case.
func essence(mediaType string) string {
	name, _, _ := strings.Cut(mediaType, ";")
	return strings.ToLower(strings.TrimSpace(name))
}

// mediaType is a media type as files are stored with it, when it is one.
func mediaType(s string) string {
	if name, params, err := mime.ParseMediaType(s); err == nil {
		if canonical := mime.FormatMediaType(name, params); canonical != "" {
			return canonical
		}
	}
	return s
}

func (r *reader) ActiveFile(id string) (bool, error) {
	var one int64
	err := r.one([]any{&one}, "SELECT 1 FROM file WHERE id = $1 AND deleted IS NULL", id)
	if err == errNotFound {
		return false, nil
	}
	return err == nil, err
}

func (r *reader) ExpiredFiles(now time.Time, limit int) ([]sluice.File, error) {
	return many(r, func(f *sluice.File) []any {
		return append(fileFields(f), &f.Ledger.Account, (*string)(&f.Ledger.Mode))
	}, "SELECT "+fileColumns+", (SELECT account FROM ledger WHERE ledger.id = file.ledger), (SELECT mode FROM ledger WHERE ledger.id = file.ledger)"+
		" FROM file WHERE deleted IS NULL AND held = 0 AND expires IS NOT NULL AND expires <= $1 ORDER BY expires, id LIMIT $2", now.UnixMicro(), limit)
}

func (t *tx) CreateFile(f sluice.File, e sluice.Entry) error {
	ledger, err := t.own(f.Ledger)
	if err != nil {
		return err
	}
	linked, err := resources(f.Linked).text()
	if err != nil {
		return t.fail(err)
	}
	err = t.change(e, "INSERT INTO file (ledger, essence, magnitude, "+fileColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"+
		" $15, $16, $17)",
		ledger, essence(f.Type), magnitude(f.Size), f.ID, f.Purpose, f.Filename, f.Title, f.Type, f.Size, f.SHA256[:], metadata(f.Metadata).text(), linked, truth(f.Held).integer(),
		micros(f.Created), micros(f.Updated), micros(f.Expires), micros(f.Deleted))
	if err != nil {
		return err
	}
	return t.link(ledger, f)
}

// link makes a file to be found by what it belongs to.
func (t *tx) link(ledger int64, f sluice.File) error {
	state := activeFile
	if !f.Active() {
		state = deletedFile
	}
	for _, r := range f.Linked {
		_, err := t.exec("INSERT INTO linked (file_id, resource_type, resource_id, file_ledger, file_state, file_created) VALUES ($1, $2, $3, $4, $5, $6)",
			f.ID, r.Type, r.ID, ledger, state, micros(f.Created))
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) UpdateFile(f sluice.File, e sluice.Entry) error {
	ledger, err := t.own(f.Ledger)
	if err != nil {
		return err
	}
	linked, err := resources(f.Linked).text()
	if err != nil {
		return t.fail(err)
	}
	var before string
	err = t.one([]any{&before, (*moment)(&f.Created), (*moment)(&f.Deleted)}, "SELECT linked, created, deleted FROM file WHERE id = $1 AND ledger = $2", f.ID, ledger)
	if err != nil {
		return err
	}
	err = t.change(e, "UPDATE file SET filename = $3, title = $4, metadata = $5, linked = $6, held = $7, updated = $8 WHERE id = $1 AND ledger = $2",
		f.ID, ledger, f.Filename, f.Title, metadata(f.Metadata).text(), linked, truth(f.Held).integer(), micros(f.Updated))
	if err != nil || linked == before {
		return err
	}
	if _, err := t.exec("DELETE FROM linked WHERE file_id = $1", f.ID); err != nil {
		return err
	}
	return t.link(ledger, f)
}

// DeleteFile implements sluice.Tx. A file that is deleted already is CodeNotFound.
func (t *tx) DeleteFile(id string, now time.Time, e sluice.Entry) error {
	err := t.change(e, "UPDATE file SET deleted = $3, updated = $3 WHERE id = $1 AND ledger = $2 AND deleted IS NULL", id, t.head.id, micros(now))
	if err != nil {
		return err
	}
	if _, err := t.exec("UPDATE linked SET file_state = $2 WHERE file_id = $1", id, deletedFile); err != nil {
		return err
	}
	_, err = t.exec("UPDATE link SET revoked = $4, updated = $4, ended = $5 WHERE ledger = $1 AND state = $2 AND file_id = $3",
		t.head.id, goodLink, id, micros(now), string(sluice.FileDeleted))
	return err
}
