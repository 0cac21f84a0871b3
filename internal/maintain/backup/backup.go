package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store"
)

// Source is the installation that is backed up.
type Source struct {
	Store   *store.Store
	Blobs   service.Blobs
	Version string // of Sluice

	// Secrets reads the file of secrets; nil leaves it out. It is read after the database: a rotation adds keys to the
	// file first, so what is read then has every key that the database knows.
	Secrets func() ([]byte, error)
}

// Progress is told how far a backup or a restore has come: what it does, and how many files and bytes are done.
type Progress func(what string, files, bytes int64)

// inTurn has goroutines show their progress one at a time.
func inTurn(show Progress) Progress {
	var mu sync.Mutex
	return func(what string, files, bytes int64) {
		mu.Lock()
		defer mu.Unlock()
		show(what, files, bytes)
	}
}

// Result is what a backup did.
type Result struct {
	Snapshot    string
	Files       int64 // that the snapshot has
	Bytes       int64 // of these files
	CopiedFiles int64 // that the target did not have
	CopiedBytes int64
	Database    int64 // bytes of the database; 0 when the backup does not hold it
	Secrets     bool  // the backup holds them
	Ledgers     []Ledger
	Damaged     []DamagedFile // files whose stored bytes are damaged, and not in the backup
	Removed     []string      // older snapshots
	Pruned      int64         // objects that no snapshot needs any more
}

// DamagedFile is a file whose stored bytes are missing or not those that were uploaded.
type DamagedFile struct {
	ID  string
	Why string
}

const (
	leaseName = "backup"

	// catchUps is how often the files are copied before the snapshot, until a round takes less than a second.
	catchUps = 5
	// tries limits how often a snapshot may begin anew because a file was deleted in the moment before its bytes were
	// copied.
	tries = 100

	staleUploads = time.Hour
	deadParts    = 24 * time.Hour
)

// Backup makes a snapshot of an installation, which servers may use meanwhile. It holds every change that was
// acknowledged before the call, and the bytes of every file that its database has, but for damaged ones. When a backup
// fails or is killed there is no snapshot, earlier ones are whole, and the next backup does not copy again what was
// copied. (A target that stores the manifest, and fails to say so and to remove it, keeps a whole snapshot.) With keep
// above 0, older snapshots than the newest keep ones are removed once the new one is complete, and then what no
// snapshot needs.
//
// Another Backup of the same installation is refused with CodeConflict while one is running.
//
// A database that is no file (see store.Store.IsFile) is not copied. The files are then those that have a record at the
// end of the backup, or had one when an earlier copy of the database was made and have not been deleted since.
func (t *Target) Backup(ctx context.Context, s Source, keep int, show Progress) (result Result, err error) {
	b := &backup{target: t, source: s, show: inTurn(show), damaged: map[string]string{}}
	ran, err := s.Store.Exclusive(ctx, leaseName, func(ctx context.Context) error {
		err := b.run(ctx, keep)
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		return err
	})
	if err == nil && !ran {
		err = sluice.Errorf(sluice.CodeConflict, "another backup of this installation is running; "+
			"one that was killed is over within ten seconds")
	}
	b.result.CopiedFiles, b.result.CopiedBytes = b.copied.Load(), b.bytes.Load()
	for id, why := range b.damaged {
		b.result.Damaged = append(b.result.Damaged, DamagedFile{id, why})
	}
	return b.result, err
}

func (b *backup) run(ctx context.Context, keep int) error {
	if err := b.checkOwner(ctx); err != nil {
		return err
	}
	if _, err := b.target.depot.Sweep(ctx, time.Now().Add(-staleUploads)); err != nil {
		return err
	}
	older, unfinished, err := b.target.look(ctx)
	if err != nil {
		return err
	}
	b.target.removeDead(ctx, unfinished, time.Now().Add(-deadParts))
	newest := ""
	if len(older) > 0 {
		newest = older[len(older)-1]
	}
	b.result.Snapshot = newName(time.Now(), newest)
	if b.overhead, err = b.target.overhead(); err != nil {
		return err
	}
	if err := b.catchUp(ctx); err != nil {
		return err
	}
	if err := b.snapshot(ctx); err != nil {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		// A manifest that could not be stored may be there all the same.
		return errors.Join(err, b.target.removeSnapshot(ending, b.result.Snapshot))
	}
	if keep < 1 {
		return nil
	}
	b.result.Removed, b.result.Pruned, err = b.target.prune(ctx, keep)
	if err != nil {
		err = fmt.Errorf("the snapshot %s is complete, but older ones were not removed: %w", b.result.Snapshot, err)
	}
	return err
}

// checkOwner checks that the database and the files belong to the installation that claimed the target.
func (b *backup) checkOwner(ctx context.Context) error {
	files, err := b.source.Blobs.Owner(ctx)
	if err != nil {
		return err
	}
	return b.source.Store.View(ctx, func(r service.Reader) error {
		id, err := r.Installation()
		if err == nil && id != b.target.Installation() {
			err = refused("the database belongs to installation %s, and the target to %s", id, b.target.Installation())
		}
		if err == nil && files != "" && files != id {
			err = refused("the stored files belong to installation %s, and the database to %s", files, id)
		}
		return err
	})
}

// catchUp copies the bytes of files without a snapshot of the database, until little is left to copy.
func (b *backup) catchUp(ctx context.Context) error {
	for range catchUps {
		began, before := time.Now(), b.copied.Load()
		err := b.each(ctx, b.page, func([]service.StoredFile, map[string]bool) error { return nil })
		if err != nil {
			return err
		}
		if b.copied.Load() == before || time.Since(began) < time.Second {
			break
		}
	}
	return nil
}

// page gives the next files in a View of its own.
func (b *backup) page(ctx context.Context, after string) (files []service.StoredFile, err error) {
	err = b.source.Store.View(ctx, func(r service.Reader) (err error) {
		files, err = r.FilesAfter(after, pageSize)
		return err
	})
	return files, err
}

// errMoved means that a file of the snapshot was deleted before its bytes were copied.
var errMoved = errors.New("a file was deleted in the moment before its bytes were copied")

// snapshot copies the database, and then writes the list and the manifest.
func (b *backup) snapshot(ctx context.Context) error {
	for range tries {
		err := b.source.Store.View(ctx, func(r service.Reader) error {
			if !b.source.Store.IsFile() {
				return b.header(r)
			}
			return b.fromFile(ctx, r)
		})
		if err == nil && !b.source.Store.IsFile() {
			err = b.describe(ctx, b.page)
		}
		if !errors.Is(err, errMoved) {
			return err
		}
		if err := b.target.remove(ctx, parts(b.result.Snapshot)...); err != nil {
			return err
		}
		if err := b.catchUp(ctx); err != nil { // which tells files that were deleted from files without bytes
			return err
		}
	}
	return fmt.Errorf("files are deleted faster than they can be copied: %w", errMoved)
}

// fromFile makes a snapshot of a database that is a file. All of it happens in one View. The bytes that the target
// still lacks come first: those of files that were created since the last round. They are few, so that hardly a moment
// lies between the beginning of the View and the copy of the last one.
func (b *backup) fromFile(ctx context.Context, r service.Reader) error {
	b.inView = true
	defer func() { b.inView = false }()
	page := func(_ context.Context, after string) ([]service.StoredFile, error) {
		return r.FilesAfter(after, pageSize)
	}
	err := b.each(ctx, page, func(_ []service.StoredFile, gone map[string]bool) error {
		if len(gone) > 0 {
			return errMoved
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := b.header(r); err != nil {
		return err
	}
	if err := b.database(ctx, r); err != nil {
		return err
	}
	return b.describe(ctx, page)
}

// header reads what the manifest says of the database.
func (b *backup) header(r service.Reader) (err error) {
	h := &b.manifest
	*h = Header{Format: Format, Snapshot: b.result.Snapshot, Time: time.Now().UTC().Truncate(time.Microsecond),
		Version: b.source.Version, Installation: b.target.Installation(), Ledgers: []Ledger{}}
	if h.Schema, err = b.source.Store.Schema(r); err != nil {
		return err
	}
	logs, err := r.Logs()
	if err != nil {
		return err
	}
	for _, l := range logs {
		head := Ledger{Ledger: l.Ledger.String(), Size: l.Size, Signed: l.Signed}
		c, err := r.Checkpoint(l.Ledger, -1)
		switch {
		case err == nil:
			head.Signed, head.Root = c.Size, c.Root.String()
		case sluice.CodeOf(err) != sluice.CodeNotFound:
			return err
		}
		h.Ledgers = append(h.Ledgers, head)
	}
	b.result.Ledgers = h.Ledgers
	return nil
}

func (b *backup) database(ctx context.Context, r service.Reader) error {
	file, err := b.source.Store.File(r)
	if err != nil {
		return err
	}
	defer file.Close()
	from := &source{Reader: &shown{file, func(n int64) { b.show("database", b.copied.Load(), n) }, 0}}
	written, err := b.target.put(ctx, object(databasePrefix, b.result.Snapshot), from, accept)
	if from.err != nil {
		return fmt.Errorf("read the database: %w", from.err)
	}
	if err != nil {
		return writing(err)
	}
	b.manifest.Database, b.result.Database = &written, written.Size
	return nil
}

// shown reports how many bytes were read.
type shown struct {
	io.Reader
	show func(int64)
	n    int64
}

func (s *shown) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.n += int64(n)
	s.show(s.n)
	return n, err
}

// describe stores the secrets, the list and, last of all, the manifest.
func (b *backup) describe(ctx context.Context, page pager) error {
	t, name := b.target, b.result.Snapshot
	if b.source.Secrets != nil {
		text, err := b.source.Secrets()
		if err != nil {
			return err
		}
		written, err := t.put(ctx, object(secretsPrefix, name), bytes.NewReader(text), accept)
		if err != nil {
			return writing(err)
		}
		b.manifest.Secrets, b.result.Secrets = &written, true
	}
	list, err := t.create(ctx, object(listPrefix, name), false)
	if err != nil {
		return writing(err)
	}
	defer list.close()
	manifest, err := t.create(ctx, object(manifestPrefix, name), t.Encrypted())
	if err != nil {
		return writing(err)
	}
	defer manifest.close()
	if err := manifest.add(b.manifest); err != nil {
		return writing(err)
	}
	b.result.Files, b.result.Bytes = 0, 0
	err = b.each(ctx, page, func(files []service.StoredFile, gone map[string]bool) error {
		if len(gone) > 0 && b.source.Store.IsFile() {
			return errMoved
		}
		for _, f := range files {
			if gone[f.ID] {
				continue
			}
			if err := b.line(list, manifest, f); err != nil {
				return writing(err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := list.end(); err != nil {
		return writing(err)
	}
	return writing(manifest.end())
}

func (b *backup) line(list, manifest *lineWriter, f service.StoredFile) error {
	line := fileLine{ID: f.ID, content: content{f.Size, digest(f.SHA256)}, Damaged: b.damaged[f.ID]}
	if line.Damaged == "" {
		b.result.Files++
		b.result.Bytes += f.Size
	}
	if err := list.id(f.ID); err != nil { // a damaged file may have an object of an earlier backup, which stays
		return err
	}
	return manifest.file(line)
}

// writing says that an error is one of the target.
func writing(err error) error {
	if err == nil || errors.Is(err, errMoved) {
		return err
	}
	if sluice.CodeOf(err) == sluice.CodeStorageFull {
		return fmt.Errorf("the target is full: free some space there and run the same command again; "+
			"earlier snapshots are whole: %w", err)
	}
	return fmt.Errorf("write to the target: %w", err)
}

// overhead gives the number of bytes that the header of an encrypted object takes, 0 where nothing is encrypted. It is
// the same for all objects of a target.
func (t *Target) overhead() (int64, error) {
	if !t.Encrypted() {
		return 0, nil
	}
	sealed, err := age.EncryptReader(strings.NewReader(""), t.recipients.list...)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, sealed)
	return n - sealedSize(0), err
}

// sealedSize is the size of encrypted bytes without their header: see https://age-encryption.org/v1, "Payload".
func sealedSize(size int64) int64 {
	const nonce, chunk, tag = 16, 64 << 10, 16
	chunks := max(1, (size+chunk-1)/chunk)
	return nonce + size + chunks*tag
}
