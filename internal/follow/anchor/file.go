// Package anchor keeps checkpoints outside the database: in an append-only file, at
// a URL, or with a witness that signs that the log has only grown. An attacker who
// has both the database and the signing key of a log still cannot rewrite the
// entries under an anchored checkpoint unnoticed.
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

// separator is the line that ends each text in a file. No checkpoint and no proof
// contains such a line.
const separator = "---\n"

// AppendText appends a text and a separator line. The text must end in a newline.
func AppendText(dst, text []byte) []byte {
	return append(append(dst, text...), separator...)
}

// AppendFile appends a text, such as a signed checkpoint, and a line of three
// hyphens to the file at path. It creates the file with mode 0600 if it does not
// exist. The text is durable when AppendFile returns. Only one process at a time may
// append. A text that a crash left incomplete is ended before the next one.
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
		return fmt.Errorf("%s is not a regular file", f.Name())
	}
	var record []byte
	tail := make([]byte, min(info.Size(), int64(len(separator))))
	if _, err := f.ReadAt(tail, info.Size()-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	if len(tail) > 0 && string(tail) != separator {
		record = append(record, "\n"+separator...)
	}
	// A single write, so that a crash leaves at most a prefix of this text.
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

// Texts yields the texts of a file written by AppendFile. The last text may lack its
// line of hyphens, so a file with a single checkpoint is valid too. It stops after
// the first error. A text longer than ledger.MaxProof is ledger.ErrTooLarge.
func Texts(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewReader(r)
		var text []byte
		for {
			line, err := lines.ReadSlice('\n')
			atStart := len(text) == 0 || text[len(text)-1] == '\n' // line is the beginning of a line
			end := err == nil && atStart && string(line) == separator
			if !end {
				text = append(text, line...)
			}
			switch {
			case len(text) > ledger.MaxProof:
				err = fmt.Errorf("a text in the file is %w", ledger.ErrTooLarge)
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

// Newest returns the last checkpoint of each log in the file at path, by origin. It
// does not check signatures. It skips texts that are not checkpoints, such as one
// that a crash left incomplete.
//
// It reads the whole file, which takes about a second per million checkpoints. The
// end of the file is not enough: the last checkpoint of an idle log may be far from
// the end, and only this file knows of a log that the database has lost.
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
