package backup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"sluice"
	"sluice/internal/service"
)

const (
	pageSize = 500 // files in one query

	// atOnce is how many files are copied at the same time. One alone mostly waits for a disk or the network.
	atOnce = 8

	// maxDamaged is how many damaged files a backup goes on with.
	maxDamaged = 1000

	maxWhy = 1000 // bytes of what is wrong with a file; a line of a manifest has room for it
)

// backup is a Backup under way.
type backup struct {
	target   *Target
	source   Source
	show     Progress
	overhead int64 // of an encrypted object, see Target.overhead

	inView bool // the records come from a View that is open

	manifest      Header
	result        Result
	copied, bytes atomic.Int64

	mu      sync.Mutex
	damaged map[string]string // by id
}

// pager gives the next files after an id, in the order of their ids.
type pager func(ctx context.Context, after string) ([]service.StoredFile, error)

// each has the target hold the bytes of all files of a pager. It calls then after each page, with the files that were
// deleted before their bytes were copied.
func (b *backup) each(
	ctx context.Context, next pager, then func(files []service.StoredFile, gone map[string]bool) error,
) error {
	for after := ""; ; {
		files, err := next(ctx, after)
		if err != nil || len(files) == 0 {
			return err
		}
		after = files[len(files)-1].ID
		gone, err := b.copyFiles(ctx, files)
		if err != nil {
			return err
		}
		if err := then(files, gone); err != nil {
			return err
		}
	}
}

// copyFiles copies the bytes that the target lacks.
func (b *backup) copyFiles(ctx context.Context, files []service.StoredFile) (gone map[string]bool, err error) {
	missing, err := b.missing(ctx, files)
	if err != nil {
		return nil, err
	}
	gone = map[string]bool{}
	var mu sync.Mutex
	err = inParallel(ctx, missing, func(ctx context.Context, f service.StoredFile) error {
		isGone, err := b.copyFile(ctx, f)
		if isGone {
			mu.Lock()
			gone[f.ID] = true
			mu.Unlock()
		}
		b.show("files", b.copied.Load(), b.bytes.Load())
		return err
	})
	return gone, err
}

// inParallel calls do for each item, for a few at a time, and returns the first error.
func inParallel[T any](ctx context.Context, items []T, do func(context.Context, T) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	queue := make(chan T)
	var workers sync.WaitGroup
	for range min(atOnce, len(items)) {
		workers.Go(func() {
			for item := range queue {
				if err := do(ctx, item); err != nil {
					stop(err)
				}
			}
		})
	}
	for _, item := range items {
		select {
		case queue <- item:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}

// missing gives the files whose bytes the target lacks and the source may have. An object of another size than the
// record tells counts as missing. It stays where it is: the record may be wrong.
func (b *backup) missing(ctx context.Context, files []service.StoredFile) (missing []service.StoredFile, err error) {
	keys := make([]string, len(files))
	for i, f := range files {
		keys[i] = f.ID
	}
	sizes, err := b.target.depot.Present(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("look at the target: %w", err)
	}
	for _, f := range files {
		size, present := sizes[f.ID]
		if present && size == b.stored(f.Size) {
			continue
		}
		if _, known := b.damaged[f.ID]; !known {
			missing = append(missing, f)
		}
	}
	return missing, nil
}

// stored is the size of the object of so many bytes.
func (b *backup) stored(size int64) int64 {
	if !b.target.Encrypted() {
		return size
	}
	return b.overhead + sealedSize(size)
}

// copyFile copies the bytes of a file. Gone means that the file was deleted meanwhile.
func (b *backup) copyFile(ctx context.Context, f service.StoredFile) (gone bool, err error) {
	from, err := b.source.Blobs.Open(ctx, f.ID)
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return b.lost(ctx, f)
	}
	if err != nil {
		return false, b.unreadable(f, err)
	}
	defer from.Close()
	read := &source{Reader: from}
	want := content{f.Size, digest(f.SHA256)}
	_, err = b.target.putOver(ctx, f.ID, read, func(have content) error {
		if have != want {
			return errOther
		}
		return nil
	}, func() error { return b.removeCut(ctx, f) })
	switch {
	case sluice.CodeOf(read.err) == sluice.CodeNotFound: // S3 needs another request for the rest
		return b.lost(ctx, f)
	case read.err != nil && ctx.Err() == nil:
		return false, b.unreadable(f, read.err)
	case errors.Is(err, errOther):
		return false, b.damage(f, "the stored bytes are not those that were uploaded")
	case errors.Is(err, errTaken): // Present did not show it
		return false, nil
	case err != nil:
		return false, writing(err)
	}
	b.copied.Add(1)
	b.bytes.Add(f.Size)
	return false, nil
}

// removeCut removes the object of a file unless it has the size of the file's bytes: then it returns errTaken. The
// caller has read these bytes, and they are those of the record, so that an object of another size cannot be them.
func (b *backup) removeCut(ctx context.Context, f service.StoredFile) error {
	size, err := b.target.depot.Size(ctx, f.ID)
	switch {
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		return nil
	case err != nil:
		return err
	case size == b.stored(f.Size):
		return errTaken
	}
	return b.target.remove(ctx, f.ID)
}

var errOther = errors.New("these are not the bytes that were uploaded")

// lost tells a file that was deleted from one whose bytes are missing: the record of a deleted one says so before its
// bytes are removed. An open View does not see that, and there may be no connection for a second one.
func (b *backup) lost(ctx context.Context, f service.StoredFile) (gone bool, err error) {
	if b.inView {
		return true, nil
	}
	var active map[string]bool
	err = b.source.Store.View(ctx, func(r service.Reader) (err error) {
		active, err = r.KnownFiles([]string{f.ID})
		return err
	})
	if err != nil || !active[f.ID] {
		return err == nil, err
	}
	return false, b.damage(f, "the stored bytes are missing")
}

// unreadable notes a file that the disk fails to read. Other errors end the backup.
func (b *backup) unreadable(f service.StoredFile, err error) error {
	if errors.Is(err, syscall.EIO) {
		return b.damage(f, fmt.Sprintf("the stored bytes cannot be read (%v)", err))
	}
	return fmt.Errorf("read file %s: %w", f.ID, err)
}

func (b *backup) damage(f service.StoredFile, why string) error {
	if len(why) > maxWhy {
		why = why[:maxWhy]
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.damaged[f.ID] = why; len(b.damaged) > maxDamaged {
		return fmt.Errorf("more than %d files are damaged, such as %s: %s; is this the right folder or bucket?",
			maxDamaged, f.ID, why)
	}
	return nil
}
