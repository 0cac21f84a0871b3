package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"sluice"
)

// Format is the version of the form of manifests and of the objects beside them.
const Format = "sluice-backup-1"

// Header is the first line of a manifest. A line for each file follows, in the order of their ids, and one that ends
// the manifest.
type Header struct {
	Format       string    `json:"format"`
	Snapshot     string    `json:"snapshot"`
	Time         time.Time `json:"time"`
	Version      string    `json:"version"` // of Sluice
	Installation string    `json:"installation"`
	Schema       int64     `json:"schema"`   // version of the database's schema
	Database     *content  `json:"database"` // nil when the backup does not hold it
	Secrets      *content  `json:"secrets"`  // nil when the backup does not hold them
	Ledgers      []Ledger  `json:"ledgers"`
}

// Ledger is the head of a log in a snapshot.
type Ledger struct {
	Ledger string `json:"ledger"`
	Size   int64  `json:"size"`           // entries
	Signed int64  `json:"signed"`         // entries that the newest checkpoint covers
	Root   string `json:"root,omitempty"` // of the tree in that checkpoint, as its text has it
}

// fileLine is the line of a file.
type fileLine struct {
	ID string `json:"id"`
	content
	// Damaged says what was wrong with the stored bytes when the backup was made. It does not hold them.
	Damaged string `json:"damaged,omitempty"`
}

// endLine is the last line of a manifest, or of a list.
type endLine struct {
	Files  *int64 `json:"files"`
	Bytes  int64  `json:"bytes"`
	SHA256 digest `json:"sha256"` // of all lines before
}

// Limits of a line in bytes. That of a header has room for more than 100,000 logs. Of the others, many are in memory at
// a time.
const (
	maxHeader = 32 << 20
	maxLine   = 8 << 10
)

// The objects of a snapshot.
const (
	manifestPrefix = "manifest"
	databasePrefix = "database"
	secretsPrefix  = "secrets"
	listPrefix     = "list"
)

func object(prefix, snapshot string) string { return prefix + "_" + snapshot }

// partPrefixes are those of the objects of a snapshot besides its manifest.
var partPrefixes = []string{listPrefix, databasePrefix, secretsPrefix}

// parts are the objects of a snapshot besides its manifest.
func parts(snapshot string) (keys []string) {
	for _, prefix := range partPrefixes {
		keys = append(keys, object(prefix, snapshot))
	}
	return keys
}

const (
	nameTime = "20060102t150405z"
	nameLen  = len(nameTime) + 10
)

// newName names a snapshot by its time, which is later than that of the newest one.
func newName(now time.Time, newest string) string {
	now = now.UTC().Truncate(time.Second)
	if last := NameTime(newest); !now.After(last) {
		now = last.Add(time.Second)
	}
	return now.Format(nameTime) + strings.ToLower(rand.Text())[:nameLen-len(nameTime)]
}

// NameTime is the time in the name of a snapshot, to the second; zero when it has none.
func NameTime(name string) time.Time {
	if len(name) != nameLen {
		return time.Time{}
	}
	t, err := time.Parse(nameTime, name[:len(nameTime)])
	if err != nil {
		return time.Time{}
	}
	return t
}

// Snapshots gives the names of the complete snapshots, oldest first.
func (t *Target) Snapshots(ctx context.Context) (names []string, err error) {
	names, _, err = t.look(ctx)
	return names, err
}

// part is an object of a snapshot besides its manifest.
type part struct {
	key, snapshot string
	written       time.Time
}

// look gives the names of the complete snapshots, oldest first, and the parts of others.
func (t *Target) look(ctx context.Context) (names []string, unfinished []part, err error) {
	complete := map[string]bool{}
	err = t.depot.Walk(ctx, func(key string, written time.Time) error {
		prefix, name, _ := strings.Cut(key, "_")
		switch {
		case prefix == manifestPrefix:
			names, complete[name] = append(names, name), true
		case slices.Contains(partPrefixes, prefix):
			unfinished = append(unfinished, part{key, name, written})
		}
		return nil
	})
	slices.Sort(names)
	return names, slices.DeleteFunc(unfinished, func(p part) bool { return complete[p.snapshot] }), err
}

// lineReader reads an object of JSON lines. What it gives is what was written only once next has returned io.EOF.
type lineReader struct {
	key   string
	from  io.ReadCloser
	lines *bufio.Reader
	hash  hash.Hash
	files int64
	bytes int64
	done  bool
}

func newLineReader(key string, from io.ReadCloser) *lineReader {
	return &lineReader{key: key, from: from, lines: bufio.NewReaderSize(from, 64<<10), hash: sha256.New()}
}

func (l *lineReader) close() error { return l.from.Close() }

func (l *lineReader) damaged(why string) error { return &DamagedError{l.key, why} }

// line reads a line with its end.
func (l *lineReader) line(limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := l.lines.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, l.damaged(fmt.Sprintf("has a line that is too long, after %d files", l.files))
		}
		line = append(line, part...)
		switch err {
		case nil:
			return line, nil
		case io.EOF:
			return nil, l.damaged("ends early")
		case bufio.ErrBufferFull:
		default:
			return nil, err
		}
	}
}

// next reads the line of the next file. After the last one it returns io.EOF if all lines are what was written.
func (l *lineReader) next() (f fileLine, err error) {
	if l.done {
		return f, io.EOF
	}
	line, err := l.line(maxLine)
	if err != nil {
		return f, err
	}
	if bytes.HasPrefix(line, []byte(`{"files"`)) {
		return f, l.end(line)
	}
	l.hash.Write(line)
	if err := json.Unmarshal(line, &f); err != nil || f.ID == "" {
		return f, l.damaged(fmt.Sprintf("has a line that cannot be read, after %d files", l.files))
	}
	l.files++
	l.bytes += f.Size
	return f, nil
}

func (l *lineReader) end(line []byte) error {
	var end endLine
	if err := json.Unmarshal(line, &end); err != nil || end.Files == nil {
		return l.damaged("has a last line that cannot be read")
	}
	if _, err := l.lines.ReadByte(); err == nil {
		return l.damaged("goes on after its end")
	} else if err != io.EOF {
		return err
	}
	var sum digest
	l.hash.Sum(sum[:0])
	if end.SHA256 != sum || *end.Files != l.files || end.Bytes != l.bytes {
		return l.damaged("was changed: its digest is not that of its lines")
	}
	l.done = true
	return io.EOF
}

// all reads to the end.
func (l *lineReader) all(each func(fileLine)) error {
	for {
		f, err := l.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		each(f)
	}
}

// manifest reads a manifest.
type manifest struct {
	Header
	*lineReader
}

// openManifest opens the manifest of a snapshot and reads its header.
func (t *Target) openManifest(ctx context.Context, snapshot string) (*manifest, error) {
	key := object(manifestPrefix, snapshot)
	from, err := t.open(ctx, key)
	if err != nil {
		return nil, err
	}
	m := &manifest{lineReader: newLineReader(key, from)}
	if err := m.header(t.Installation(), snapshot); err != nil {
		from.Close()
		return nil, err
	}
	return m, nil
}

func (m *manifest) header(installation, snapshot string) error {
	line, err := m.line(maxHeader)
	if err != nil {
		return err
	}
	m.hash.Write(line)
	if err := json.Unmarshal(line, &m.Header); err != nil {
		return m.damaged("has a first line that cannot be read")
	}
	switch {
	case m.Snapshot != snapshot || m.Installation != installation:
		return m.damaged("is that of another snapshot")
	case m.Format != Format:
		return fmt.Errorf("snapshot %s has the format %q, and this version of Sluice reads %q: use a newer version",
			snapshot, m.Format, Format)
	}
	return nil
}

// openList opens the list of a snapshot, which is never encrypted.
func (t *Target) openList(ctx context.Context, snapshot string) (*lineReader, error) {
	key := object(listPrefix, snapshot)
	from, err := t.depot.Open(ctx, key)
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return nil, &DamagedError{key, "is missing"}
	}
	if err != nil {
		return nil, err
	}
	return newLineReader(key, from), nil
}
