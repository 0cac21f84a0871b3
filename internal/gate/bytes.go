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
// says are damaged, and are refused before anything is sent.
func (gate *Gate) openBytes(ctx context.Context, f sluice.File) (io.ReadSeekCloser, error) {
	content, err := gate.blobs.Open(ctx, f.ID)
	if err != nil {
		return nil, err
	}
	size, err := content.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err == nil && size != f.Size {
		err = fmt.Errorf("file %s is damaged: %d bytes are stored, and %d were uploaded", f.ID, size, f.Size)
	}
	if err != nil {
		return nil, sluice.Wrap(sluice.CodeInternal, "", errors.Join(err, content.Close()))
	}
	return content, nil
}

// missingBytes tells a file that was deleted since a decision from one whose
// bytes were lost.
func (gate *Gate) missingBytes(ctx context.Context, f sluice.File, cause error) error {
	err := gate.store.View(ctx, func(r service.Reader) (err error) {
		f, err = r.File(f.Ledger, f.ID)
		return err
	})
	if err == nil && !f.Active() {
		return refused(sluice.FileDeleted)
	}
	return sluice.Wrap(sluice.CodeInternal, "", cause)
}
