package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"hash"
	"io"

	"filippo.io/age"

	"sluice/internal/service"
)

// lineWriter writes an object of JSON lines, of which the last has the digest of the others.
type lineWriter struct {
	ctx    context.Context
	stage  service.Stage
	to     *bufio.Writer
	sealed io.WriteCloser // nil when the object is not encrypted
	hash   hash.Hash
	files  int64
	bytes  int64
}

// create begins an object. The caller ends and closes it.
func (t *Target) create(ctx context.Context, key string, encrypt bool) (*lineWriter, error) {
	stage, err := t.depot.Stage(ctx, key)
	if err != nil {
		return nil, err
	}
	w := &lineWriter{ctx: ctx, stage: stage, hash: sha256.New()}
	w.to = bufio.NewWriterSize(stageWriter{ctx, stage}, 64<<10)
	if encrypt {
		if w.sealed, err = age.Encrypt(w.to, t.recipients.list...); err != nil {
			return nil, errors.Join(err, stage.Close())
		}
	}
	return w, nil
}

func (w *lineWriter) write(p []byte) (err error) {
	if w.sealed != nil {
		_, err = w.sealed.Write(p)
	} else {
		_, err = w.to.Write(p)
	}
	return err
}

// add writes a line that is not that of a file.
func (w *lineWriter) add(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	w.hash.Write(line)
	return w.write(line)
}

// file writes the line of a file.
func (w *lineWriter) file(f fileLine) error {
	w.files++
	w.bytes += f.Size
	return w.add(f)
}

// id writes the line of a file in a list.
func (w *lineWriter) id(id string) error {
	w.files++
	return w.add(struct {
		ID string `json:"id"`
	}{id})
}

// end writes the last line, and makes the object visible and durable.
func (w *lineWriter) end() error {
	last := endLine{Files: &w.files, Bytes: w.bytes}
	w.hash.Sum(last.SHA256[:0])
	err := w.add(last)
	if err == nil && w.sealed != nil {
		err = w.sealed.Close()
	}
	if err == nil {
		err = w.to.Flush()
	}
	if err == nil {
		err = context.Cause(w.ctx)
	}
	if err == nil {
		_, err = w.stage.Commit(w.ctx)
	}
	return err
}

// close drops an object that did not end.
func (w *lineWriter) close() { w.stage.Close() }

// stageWriter appends to a stage.
type stageWriter struct {
	ctx   context.Context
	stage service.Stage
}

func (w stageWriter) Write(p []byte) (int, error) {
	before := w.stage.Stored().Size
	err := w.stage.Append(w.ctx, before, bytes.NewReader(p))
	return int(w.stage.Stored().Size - before), err
}
