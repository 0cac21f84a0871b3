package gate

import (
	"context"
	"errors"
	"fmt"
	"io"

	"sluice"
	"sluice/internal/service"
)

// openBytes opens the bytes of a file. Bytes of another size than the record
// says are damaged, and are refused before anything is sent. So are bytes of
// another digest, where they are in memory as a whole.
func (gate *Gate) openBytes(ctx context.Context, f sluice.File) (io.ReadSeekCloser, error) {
	content, err := gate.blobs.Open(ctx, f.ID)
	if err != nil {
		return nil, gate.unreadable(ctx, f, err)
	}
	size, err := content.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = sameSize(f, size)
	}
	if v, ok := content.(service.Verifier); ok && err == nil && !v.Verify(f.SHA256) {
		err = fmt.Errorf("file %s is damaged: the stored bytes do not have its SHA-256", f.ID)
	}
	if err != nil {
		return nil, sluice.Wrap(sluice.CodeInternal, "", errors.Join(err, content.Close()))
	}
	return content, nil
}

// checkSize fails as openBytes does where bytes are missing or of another size.
// It reads none of them.
func (gate *Gate) checkSize(ctx context.Context, f sluice.File) error {
	size, err := gate.blobs.Size(ctx, f.ID)
	if err != nil {
		return gate.unreadable(ctx, f, err)
	}
	if err := sameSize(f, size); err != nil {
		return sluice.Wrap(sluice.CodeInternal, "", err)
	}
	return nil
}

func sameSize(f sluice.File, size int64) error {
	if size != f.Size {
		return fmt.Errorf("file %s is damaged: %d bytes are stored, and %d were uploaded", f.ID, size, f.Size)
	}
	return nil
}

// unreadable tells a file that was deleted since a decision from one whose bytes
// were lost.
func (gate *Gate) unreadable(ctx context.Context, f sluice.File, cause error) error {
	if sluice.CodeOf(cause) != sluice.CodeNotFound {
		return cause
	}
	err := gate.store.View(ctx, func(r service.Reader) (err error) {
		f, err = r.File(f.Ledger, f.ID)
		return err
	})
	if err == nil && !f.Active() {
		return refused(sluice.FileDeleted)
	}
	return sluice.Wrap(sluice.CodeInternal, "", fmt.Errorf("file %s is damaged: %w", f.ID, cause))
}
