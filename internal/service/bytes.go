package service

import (
	"context"
	"errors"
	"fmt"
	"io"

	"sluice"
)

// openBytes opens the bytes of a file. Bytes of another size than the record
// says are damaged, and are refused before anything is sent.
func (s *Service) openBytes(ctx context.Context, f sluice.File) (io.ReadSeekCloser, error) {
	content, err := s.blobs.Open(ctx, f.ID)
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
