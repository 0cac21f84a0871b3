package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"sluice/client"
	"sluice/internal/follow/anchor"
	"sluice/ledger"
)

// Names in an exported log, beside its tiles.
const (
	checkpointName  = "checkpoint"
	keyName         = "key"
	rotationsName   = "rotations"
	disclosuresName = "disclosures.ndjson"
	tilesName       = "tile"
	newSuffix       = ".new" // of an unfinished file
)

// logFolder is an exported log. It reads and writes nothing outside the folder
// and follows no symbolic link out of it.
type logFolder struct {
	root        *os.Root
	disclosures string // name of the file of disclosures
}

var _ ledger.Source = (*logFolder)(nil)

func openLogFolder(dir string) (*logFolder, error) {
	root, err := os.OpenRoot(dir)
	return &logFolder{root, disclosuresName}, err
}

// holdsExport reports whether the folder holds any part of an export. A folder
// with only some of the parts is an invalid export.
func (f *logFolder) holdsExport() bool {
	for _, name := range []string{checkpointName, keyName, tilesName} {
		if _, err := f.root.Lstat(name); err == nil {
			return true
		}
	}
	return false
}

func (f *logFolder) open(name string) (*os.File, error) {
	info, err := f.root.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return f.root.Open(name)
}

// read returns the content of a file, but at most most+1 bytes.
func (f *logFolder) read(name string, most int64) ([]byte, error) {
	file, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, most+1))
}

// Checkpoint implements ledger.Source.
func (f *logFolder) Checkpoint(context.Context) ([]byte, error) {
	return f.read(checkpointName, ledger.MaxCheckpoint)
}

// Tile implements ledger.Source.
func (f *logFolder) Tile(_ context.Context, t ledger.Tile) ([]byte, error) {
	return f.read(t.Path(), int64(t.MaxBytes()))
}

// Disclosures implements ledger.Source.
func (f *logFolder) Disclosures(context.Context) iter.Seq2[ledger.Disclosure, error] {
	return func(yield func(ledger.Disclosure, error) bool) {
		file, err := f.open(f.disclosures)
		if err != nil {
			yield(ledger.Disclosure{}, err)
			return
		}
		defer file.Close()
		client.ReadDisclosures(file)(yield)
	}
}

// key returns the verifier key that is in the folder.
func (f *logFolder) key() (string, error) {
	text, err := f.read(keyName, 4<<10)
	vkey, ok := strings.CutSuffix(string(text), "\n")
	if err == nil && !ok {
		err = errors.New("the line is incomplete")
	}
	if err == nil {
		_, err = ledger.NewVerifier(vkey)
	}
	return vkey, err
}

// rotations returns the proofs of the log's key rotations, oldest first.
func (f *logFolder) rotations() (all [][]byte, err error) {
	file, err := f.open(rotationsName)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return allTexts(file)
}

func allTexts(r io.Reader) (all [][]byte, err error) {
	for text, err := range anchor.Texts(r) {
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}

// verifierOf returns a verifier for a log, from one of its keys and its
// rotations. All rotations from that key on must be valid. Rotations beyond
// size entries are then left out: an interrupted export may already hold those
// of a larger log.
func verifierOf(vkey string, rotations [][]byte, size int64) (*ledger.Verifier, error) {
	from, to := 0, 0
	for i, text := range rotations {
		p, err := ledger.ParseProof(text)
		if err != nil {
			return nil, err
		}
		if next, ok := ledger.RotatedKey(p.Extra); ok && next == vkey {
			from = i + 1
		}
		if c, err := claimed(p.Checkpoint); err == nil && c.Size <= size {
			to = i + 1
		}
	}
	if _, err := ledger.NewVerifier(vkey, rotations[from:]...); err != nil {
		return nil, err
	}
	return ledger.NewVerifier(vkey, rotations[from:max(from, to)]...)
}

// create writes a file durably, under a temporary name. Rename gives it its
// final name.
func (f *logFolder) create(name string, write func(io.Writer) error) error {
	if err := f.root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	file, err := f.root.OpenFile(name+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = write(file)
	return errors.Join(err, file.Sync(), file.Close())
}

func (f *logFolder) rename(name string) error {
	if err := f.root.Rename(name+newSuffix, name); err != nil {
		return err
	}
	return f.sync(path.Dir(name))
}

// put writes a file atomically. The file is durable after sync of its folder.
func (f *logFolder) put(name string, data []byte) error {
	err := f.create(name, func(w io.Writer) error { _, err := w.Write(data); return err })
	if err != nil {
		return err
	}
	return f.root.Rename(name+newSuffix, name)
}

func (f *logFolder) sync(dir string) error {
	d, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// replaceFile writes or replaces a file atomically and durably.
func replaceFile(name string, data []byte) error {
	return streamFile(name, bytes.NewReader(data))
}

func streamFile(name string, from io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(name), temporary(name)+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, from)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// temporary is the prefix of a temporary file's name; digits follow.
func temporary(name string) string { return "." + filepath.Base(name) + "." }

// abandonedAfter is the age at which no process writes a temporary file any more.
const abandonedAfter = time.Minute

// removeTemporary removes the temporary files that killed processes left beside the
// named file. A live process that loses its file tries again.
func removeTemporary(name string) error {
	dir := filepath.Dir(name)
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, n := range names {
		digits, ok := strings.CutPrefix(n.Name(), temporary(name))
		if !ok || digits == "" || strings.Trim(digits, "0123456789") != "" {
			continue
		}
		info, statErr := n.Info()
		if statErr != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) < abandonedAfter {
			continue
		}
		if removeErr := os.Remove(filepath.Join(dir, n.Name())); !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	return err
}
