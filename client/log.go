package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"sync/atomic"

	"sluice"
	"sluice/ledger"
)

// Log is the ledger of a running server, as a source for ledger.Verify. It
// stays at the checkpoint that Checkpoint returned last, even if the server's
// log grows.
type Log struct {
	c    *Client
	size atomic.Int64
}

var _ ledger.Source = (*Log)(nil)

// Log returns the ledger of the client's key.
func (c *Client) Log() *Log { return &Log{c: c} }

// Checkpoint implements ledger.Source.
func (l *Log) Checkpoint(ctx context.Context) ([]byte, error) {
	signed, err := l.c.Checkpoint(ctx)
	if err != nil {
		return nil, missing(err)
	}
	// Verify checks the signature.
	text, _, _ := strings.Cut(string(signed), "\n\n")
	if c, err := ledger.ParseCheckpoint(text + "\n"); err == nil {
		l.size.Store(c.Size)
	}
	return signed, nil
}

// Tile implements ledger.Source.
func (l *Log) Tile(ctx context.Context, t ledger.Tile) ([]byte, error) {
	data, err := l.c.Tile(ctx, t)
	return data, missing(err)
}

// missing turns a not-found response into fs.ErrNotExist.
func missing(err error) error {
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return fmt.Errorf("%w: the server responded %v", fs.ErrNotExist, err)
	}
	return err
}

// Disclosures implements ledger.Source.
func (l *Log) Disclosures(ctx context.Context) iter.Seq2[ledger.Disclosure, error] {
	return func(yield func(ledger.Disclosure, error) bool) {
		size := l.size.Load()
		if size == 0 {
			return
		}
		body, err := l.c.Disclosures(ctx, size)
		if err != nil {
			yield(ledger.Disclosure{}, missing(err))
			return
		}
		defer body.Close()
		ReadDisclosures(body)(yield)
	}
}

// ReadDisclosures reads disclosures from NDJSON. It ends at the first error. An
// invalid or incomplete line is ledger.ErrDisclosure.
func ReadDisclosures(r io.Reader) iter.Seq2[ledger.Disclosure, error] {
	return func(yield func(ledger.Disclosure, error) bool) {
		lines := bufio.NewReaderSize(r, ledger.MaxDisclosure+1)
		for {
			line, err := lines.ReadSlice('\n')
			if err == io.EOF && len(line) == 0 {
				return
			}
			if err == io.EOF {
				err = fmt.Errorf("%w: the last line is incomplete", ledger.ErrDisclosure)
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				err = fmt.Errorf("%w: a line is longer than %d bytes", ledger.ErrDisclosure, ledger.MaxDisclosure)
			}
			var d ledger.Disclosure
			if err == nil {
				d, err = ledger.ParseDisclosure(line[:len(line)-1])
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}
