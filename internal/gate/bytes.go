package gate

import (
	"context"
	"errors"
	"fmt"
	"io"

	"sluice"
	"sluice/internal/service"
)

// openBytes opens the bytes of a file. It is an error if their number differs
// from the record, or, for content that is held in memory, if their digest does.
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

// checkSize returns the error of openBytes if the bytes of a file are missing or
// their number is wrong. It does not read them.
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
		return fmt.Errorf("file %s is damaged: %d bytes are stored, %d were uploaded", f.ID, size, f.Size)
	}
	return nil
}

// unreadable returns the error for bytes that cannot be opened. It distinguishes
// a file that was deleted since the decision from a file whose bytes are lost.
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
