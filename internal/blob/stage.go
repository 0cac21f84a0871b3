package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"sluice"
	"sluice/internal/service"
)

// put is the Put of every place: a stage that gets all of r and is committed.
func put(ctx context.Context, b service.Blobs, key string, r io.Reader) (service.Stored, error) {
	stage, err := b.Stage(ctx, key)
	if err != nil {
		return service.Stored{}, err
	}
	defer stage.Close()
	if err := stage.Append(ctx, 0, r); err != nil {
		return service.Stored{}, err
	}
	return stage.Commit(ctx)
}

// progress is how far a stage has come, whatever keeps its bytes.
type progress struct {
	sums      sums
	broken    error // what ended the use of the stage, but for Abort and Close
	ending    bool  // Commit was called
	committed bool
	closed    bool
}

// Stored gives size and digests of the bytes appended so far.
func (p *progress) Stored() service.Stored { return p.sums.stored() }

// usable gives the reason why the stage takes no more calls, if there is one.
func (p *progress) usable() error {
	if p.closed {
		return fmt.Errorf("the stage: %w", os.ErrClosed)
	}
	return p.broken
}

// appendable refuses an Append at a wrong offset, or after Commit.
func (p *progress) appendable(offset int64) error {
	switch err := p.usable(); {
	case err != nil:
		return err
	case p.ending:
		return sluice.Errorf(sluice.CodeConflict, "the upload is being finished and takes no more bytes")
	case offset != p.sums.size:
		return sluice.Errorf(sluice.CodeConflict, "the upload continues at offset %d, not at %d", p.sums.size, offset)
	}
	return nil
}

// savable refuses a Save after Commit.
func (p *progress) savable() error {
	if err := p.usable(); err != nil {
		return err
	}
	if p.ending {
		return sluice.Errorf(sluice.CodeConflict, "the upload is being finished")
	}
	return nil
}

// inUse is the error for a stage that another handle has.
func inUse(cause error) error {
	return &sluice.Error{
		Code: sluice.CodeConflict, Detail: "another request is writing this upload; try again in a moment",
		RetryAfter: time.Second, Err: cause,
	}
}

// readChunk fills p, or as much of it as r has, and gives r's own error.
// io.ReadFull cannot be used: it returns io.ErrUnexpectedEOF where r ends early,
// and r may return the same error where it breaks off.
func readChunk(ctx context.Context, r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// endedBy reports whether err is the end of a context.
func endedBy(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
