// Package anchor gives checkpoints to others, so that whoever holds both the
// database and the signing key of a log cannot rewrite what has gone out: to a
// file that is only appended to, to a URL, or to a witness who signs that the
// log has only grown.
package anchor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"sluice/ledger"
)

// separator ends each text of a file of several. No checkpoint and no proof has
// such a line of its own.
const separator = "---\n"

// AppendText appends a text that ends in a newline, and the line that ends it.
func AppendText(dst, text []byte) []byte {
	return append(append(dst, text...), separator...)
}

// AppendFile appends a text to the file at path, made with mode 0600 if there
// is none: signed checkpoints, each followed by a line of three hyphens. The
// text is durable when it returns. One process at a time may append; what a
// crash has left half-written is ended by the next text.
func AppendFile(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(appendTo(f, text), f.Close(), syncDir(filepath.Dir(path)))
}

func appendTo(f *os.File, text []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", f.Name())
	}
	var record []byte
	tail := make([]byte, min(info.Size(), int64(len(separator))))
	if _, err := f.ReadAt(tail, info.Size()-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	if len(tail) > 0 && string(tail) != separator {
		record = append(record, "\n"+separator...)
	}
	// One write, so that a crash leaves a part of this text at most.
	if _, err := f.Write(AppendText(record, text)); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Texts reads a file of texts, each ended by a line of three hyphens. The last
// one may lack that line, so a single checkpoint is such a file too. It ends
// with the first error; a text longer than ledger.MaxProof is one.
func Texts(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewReader(r)
		var text []byte
		for {
			line, err := lines.ReadSlice('\n')
			whole := len(text) == 0 || text[len(text)-1] == '\n' // the line begins here
			end := err == nil && whole && string(line) == separator
			if !end {
				text = append(text, line...)
			}
			switch {
			case len(text) > ledger.MaxProof:
				err = fmt.Errorf("a text in it: %w", ledger.ErrTooLarge)
			case err == bufio.ErrBufferFull:
				err = nil
			}
			if err != nil && err != io.EOF {
				yield(nil, err)
				return
			}
			if (end || err == io.EOF) && len(text) > 0 && !yield(bytes.Clone(text), nil) || err == io.EOF {
				return
			}
			if end {
				text = text[:0]
			}
		}
	}
}

// Newest gives the last checkpoint of each log, by origin, in the file at path.
// It does not check signatures. What is no checkpoint is left out, such as one
// that a crash has left half-written.
//
// It reads the whole file, about a second for each million checkpoints. Its end
// alone would not do: a log that was idle for long has its last checkpoint far
// up, and a log that the database has lost is known from this file only.
func Newest(path string) (map[string]ledger.Checkpoint, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	newest := map[string]ledger.Checkpoint{}
	for text, err := range Texts(f) {
		if err != nil {
			return nil, err
		}
		signed, _, _ := bytes.Cut(text, []byte("\n\n"))
		if c, err := ledger.ParseCheckpoint(string(signed) + "\n"); err == nil {
			newest[c.Origin] = c
		}
	}
	return newest, nil
}
