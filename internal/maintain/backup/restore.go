package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"sluice"
	"sluice/internal/service"
)

// Snapshot is a complete snapshot to restore.
type Snapshot struct {
	Header
	Name  string
	Files int64 // whose bytes the snapshot has
	Bytes int64 // of these files
	// Damaged are the files whose stored bytes were damaged already when the backup was made, at most 100 of them.
	Damaged []DamagedFile

	target *Target
}

const (
	// maxShown limits how many damaged files are named.
	maxShown = 100

	maxSecrets = 1 << 20 // bytes
)

// Snapshot finds a snapshot by its name, or the newest one for "". It reads the whole manifest, so that what the
// Snapshot says is what was written.
func (t *Target) Snapshot(ctx context.Context, name string) (*Snapshot, error) {
	names, err := t.Snapshots(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(names) == 0:
		return nil, sluice.Errorf(sluice.CodeNotFound, "it holds no complete snapshot")
	case name == "":
		name = names[len(names)-1]
	case !slices.Contains(names, name):
		return nil, sluice.Errorf(sluice.CodeNotFound, "it holds no snapshot %q; the newest is %s", name, names[len(names)-1])
	}
	m, err := t.openManifest(ctx, name)
	if err != nil {
		return nil, err
	}
	defer m.close()
	s := &Snapshot{target: t}
	err = m.all(func(f fileLine) {
		if f.Damaged == "" {
			s.Files++
			s.Bytes += f.Size
		} else if len(s.Damaged) < maxShown {
			s.Damaged = append(s.Damaged, DamagedFile{f.ID, f.Damaged})
		}
	})
	s.Header, s.Name = m.Header, name
	return s, err
}

// ReadSecrets gives the file of secrets, nil when the snapshot has none.
func (s *Snapshot) ReadSecrets(ctx context.Context) ([]byte, error) {
	if s.Secrets == nil {
		return nil, nil
	}
	key := object(secretsPrefix, s.Name)
	from, err := s.target.open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	read := newSummed(io.LimitReader(from, maxSecrets))
	text, err := io.ReadAll(read)
	if err == nil && read.content() != *s.Secrets {
		err = errChanged(key)
	}
	return text, err
}

// WriteDatabase writes the file of the database. What it wrote is worth nothing when it fails.
func (s *Snapshot) WriteDatabase(ctx context.Context, to io.Writer, show Progress) error {
	key := object(databasePrefix, s.Name)
	if s.Database == nil {
		return sluice.Errorf(sluice.CodeNotFound, "the snapshot holds no database")
	}
	from, err := s.target.open(ctx, key)
	if err != nil {
		return err
	}
	defer from.Close()
	read := newSummed(from)
	_, err = io.Copy(to, &shown{read, func(n int64) { show("database", s.Files, n) }, 0})
	if err == nil && read.content() != *s.Database {
		err = errChanged(key)
	}
	return err
}

func errChanged(key string) error {
	return &DamagedError{key, "is not what was written: its size or its SHA-256 differs"}
}

// Restored is what a restore of files did.
type Restored struct {
	Files   int64 // that are there and were read
	Bytes   int64
	Damaged []DamagedFile // which could not be restored, because the backup is damaged; at most 100
	Lost    int64         // the number of these files
	Unknown []DamagedFile // files of the database that the snapshot does not have; at most 100
	Without int64         // the number of these files
}

// Restore copies the bytes of the files of the snapshot to a place, and compares the digest of each with its record.
// Bytes that are there already, of a restore that was interrupted, are read again. Damaged objects do not end it.
//
// With a database, the files are those of the database, which may have been copied at another time. Otherwise they are
// those of the manifest.
func (s *Snapshot) Restore(
	ctx context.Context, to Depot, database service.Store, show Progress,
) (done Restored, err error) {
	r := &restore{snapshot: s, to: to, show: inTurn(show)}
	m, err := s.target.openManifest(ctx, s.Name)
	if err != nil {
		return done, err
	}
	defer m.close()
	from := manifestFiles{m}.next
	if database != nil {
		from = (&databaseFiles{store: database, manifest: m}).next
	}
	for {
		files, err := from(ctx)
		if err != nil || len(files) == 0 {
			return r.result(), err
		}
		if err := inParallel(ctx, files, r.file); err != nil {
			return r.result(), err
		}
	}
}

// wanted is a file to restore.
type wanted struct {
	fileLine
	unnamed bool // the manifest does not have it
}

// manifestFiles gives the files of a manifest.
type manifestFiles struct{ *manifest }

func (m manifestFiles) next(context.Context) (files []wanted, err error) {
	for len(files) < pageSize {
		f, err := m.manifest.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		files = append(files, wanted{fileLine: f})
	}
	return files, nil
}

// databaseFiles gives the active files of a database, and whether a manifest has them. Both are in the order of ids.
type databaseFiles struct {
	store    service.Store
	manifest *manifest
	after    string
	line     fileLine // the next of the manifest; without an id when it is not read
	ended    bool
}

func (d *databaseFiles) next(ctx context.Context) (files []wanted, err error) {
	var rows []service.StoredFile
	err = d.store.View(ctx, func(r service.Reader) (err error) {
		rows, err = r.FilesAfter(d.after, pageSize)
		return err
	})
	for _, row := range rows {
		if err != nil {
			return nil, err
		}
		d.after = row.ID
		f := wanted{fileLine: fileLine{ID: row.ID, content: content{row.Size, digest(row.SHA256)}}, unnamed: true}
		if err = d.advance(row.ID); err == nil && d.line.ID == row.ID {
			f.unnamed, f.Damaged = false, d.line.Damaged
		}
		files = append(files, f)
	}
	return files, err
}

// advance reads the manifest up to an id.
func (d *databaseFiles) advance(id string) (err error) {
	for !d.ended && d.line.ID < id {
		d.line, err = d.manifest.next()
		if err == io.EOF {
			d.ended, d.line = true, fileLine{}
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restore is a Restore under way.
type restore struct {
	snapshot     *Snapshot
	to           Depot
	show         Progress
	files, bytes atomic.Int64

	mu   sync.Mutex
	done Restored
}

func (r *restore) result() Restored {
	r.done.Files, r.done.Bytes = r.files.Load(), r.bytes.Load()
	return r.done
}

// file restores the bytes of a file.
func (r *restore) file(ctx context.Context, f wanted) error {
	have, err := read(ctx, r.to, f.ID)
	switch {
	case err == nil && have == f.content:
		r.restored(f)
		return nil
	case err == nil:
		err = r.to.Remove(ctx, f.ID)
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		err = nil
	}
	if err == nil {
		err = r.copy(ctx, f)
	}
	var damaged *DamagedError
	switch {
	case errors.As(err, &damaged) && (f.unnamed || f.Damaged != ""):
		r.note(&r.done.Unknown, &r.done.Without, DamagedFile{f.ID, f.why()})
		return nil
	case errors.As(err, &damaged):
		r.note(&r.done.Damaged, &r.done.Lost, DamagedFile{f.ID, damaged.Why})
		return nil
	case err != nil && ctx.Err() == nil:
		return fmt.Errorf("file %s: %w", f.ID, err)
	case err != nil:
		return err
	}
	r.restored(f)
	return nil
}

func (f wanted) why() string {
	if f.Damaged != "" {
		return f.Damaged + " when the backup was made"
	}
	return "was deleted while the backup was made, or created after it"
}

// copy copies the bytes of a file from the backup. They do not become visible when they are not what was written.
func (r *restore) copy(ctx context.Context, f wanted) error {
	from, err := r.snapshot.target.open(ctx, f.ID)
	if err != nil {
		return err
	}
	defer from.Close()
	sum := newSummed(from)
	err = stage(ctx, r.to, f.ID, sum, func() error {
		if sum.content() != f.content {
			return errChanged(f.ID)
		}
		return nil
	}, stays)
	if errors.Is(err, errTaken) {
		return errors.New("another restore writes to the same place")
	}
	return err
}

func (r *restore) restored(f wanted) {
	r.show("files", r.files.Add(1), r.bytes.Add(f.Size))
}

// note counts a file, and keeps it when there are few.
func (r *restore) note(list *[]DamagedFile, n *int64, f DamagedFile) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if *n++; len(*list) < maxShown {
		*list = append(*list, f)
	}
}

// read reads the bytes under a key.
func read(ctx context.Context, blobs service.Blobs, key string) (content, error) {
	from, err := blobs.Open(ctx, key)
	if err != nil {
		return content{}, err
	}
	defer from.Close()
	sum := newSummed(from)
	_, err = io.Copy(io.Discard, sum)
	return sum.content(), err
}

// Compare checks that the active files of a restored database are those of the manifest, with the same sizes and
// digests.
func (s *Snapshot) Compare(ctx context.Context, database service.Store) error {
	m, err := s.target.openManifest(ctx, s.Name)
	if err != nil {
		return err
	}
	defer m.close()
	for after := ""; ; {
		var rows []service.StoredFile
		err := database.View(ctx, func(r service.Reader) (err error) {
			rows, err = r.FilesAfter(after, pageSize)
			return err
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			line, err := m.next()
			if err == io.EOF || err == nil &&
				(line.ID != row.ID || line.content != content{row.Size, digest(row.SHA256)}) {
				err = &DamagedError{row.ID, "is not the same file in the manifest and in the database"}
			}
			if err != nil {
				return err
			}
			after = row.ID
		}
		if len(rows) == 0 {
			break
		}
	}
	if line, err := m.next(); err != io.EOF {
		if err == nil {
			err = &DamagedError{line.ID, "is in the manifest and not in the database"}
		}
		return err
	}
	return nil
}
