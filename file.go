package sluice

import (
	"context"
	"fmt"
	"io"
	"mime"
	"path"
	"strings"
	"time"
	"unicode"
)

// File is a stored object: what Sluice knows of its bytes. The bytes are in
// Blobs under the file's id.
type File struct {
	ID       string
	Ledger   LedgerID
	Purpose  string
	Filename string
	Title    string
	Type     string // media type as declared, RFC 9110 section 8.3.1
	Size     int64
	SHA256   Digest
	Metadata Metadata
	Created  time.Time
	Updated  time.Time
	Deleted  time.Time // zero: active
}

// Limits of a file's texts, in characters.
const (
	MaxFilenameLen = 255
	MaxTitleLen    = 255
	MaxTypeLen     = 127
)

// Active reports whether the file still has its bytes.
func (f File) Active() bool { return f.Deleted.IsZero() }

// NewFile is what a caller says of a file to be stored.
type NewFile struct {
	Purpose  string
	Filename string
	Title    string
	Type     string
	Metadata Metadata
}

func (n *NewFile) validate(v *Invalid, purposes Purposes) (p Purpose) {
	p, known := purposes[n.Purpose]
	switch {
	case n.Purpose == "":
		v.Add("purpose", "required", "purpose is required; GET /v1/purposes lists them")
	case !known:
		v.Add("purpose", "invalid", "there is no purpose %q", clip(n.Purpose, MaxMetadataKeyLen))
	}
	n.Filename = baseName(n.Filename)
	validateText(v, "filename", n.Filename, MaxFilenameLen)
	validateText(v, "title", n.Title, MaxTitleLen)
	n.Type = mediaType(n.Type, n.Filename)
	n.Metadata.validate(v)
	return p
}

// baseName takes the last element of a name that may be a path of any system,
// and gives a nameless file a name. Hostile characters are kept: the name is
// data, and made safe where it is shown.
func baseName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	if strings.TrimFunc(name, func(r rune) bool { return unicode.IsSpace(r) || r == '.' }) == "" || name == "/" {
		return "file"
	}
	return name
}

// mediaType gives the declared type in its canonical form, or when there is
// none worth having, the one that the name's extension stands for.
func mediaType(declared, filename string) string {
	t, params, err := mime.ParseMediaType(declared)
	if err == nil && t != "application/octet-stream" && strings.Contains(t, "/") {
		if canonical := mime.FormatMediaType(t, params); canonical != "" && len(canonical) <= MaxTypeLen {
			return canonical
		}
	}
	if byName := mime.TypeByExtension(path.Ext(filename)); byName != "" {
		return byName
	}
	return "application/octet-stream"
}

// CreateFile stores bytes and what is said of them: the bytes first, then the
// record. Of an upload that fails nothing is kept. It needs files:write.
//
// A form may name its fields after its file, so describe is asked once content
// has been read to its end. A purpose known before that bounds what is read;
// with "" the largest purpose does. Content over the limit is CodeTooLarge, a
// type the purpose does not allow CodeUnsupportedType; errors of content and
// describe come back as they are.
func (s *Service) CreateFile(ctx context.Context, c Caller, purpose string, content io.Reader, describe func() (NewFile, error)) (File, error) {
	if err := s.Allow(ctx, c, FilesWrite); err != nil {
		return File{}, err
	}
	limit, err := s.sizeLimit(purpose)
	if err != nil {
		return File{}, err
	}
	id := s.ids.make(PrefixFile, s.Now())
	stored, err := s.blobs.Put(ctx, id, &sizeLimited{r: content, left: limit, limit: limit})
	if err != nil {
		return File{}, err
	}
	n, err := describe()
	if err != nil {
		s.discard(ctx, c.Ledger, id)
		return File{}, err
	}
	f, err := s.recordFile(ctx, c, id, n, stored)
	if err != nil {
		s.discard(ctx, c.Ledger, id)
	}
	return f, err
}

func (s *Service) recordFile(ctx context.Context, c Caller, id string, n NewFile, stored Stored) (File, error) {
	var v Invalid
	p := n.validate(&v, s.purposes)
	if err := v.Err(); err != nil {
		return File{}, err
	}
	if stored.Size > p.MaxSize {
		return File{}, tooLarge(p.MaxSize)
	}
	if !p.allows(n.Type) {
		return File{}, &Error{Code: CodeUnsupportedType, Param: "file", Detail: fmt.Sprintf("purpose %s does not allow %s", p.Name, n.Type)}
	}
	f := File{
		ID: id, Ledger: c.Ledger, Purpose: p.Name, Filename: n.Filename, Title: n.Title, Type: n.Type,
		Size: stored.Size, SHA256: stored.SHA256, Metadata: n.Metadata,
	}
	err := s.change(ctx, c, FilesWrite, func(tx Tx, now time.Time) error {
		f.Created, f.Updated = now, now
		e := s.entry(c, FileCreated, now)
		e.File = filePart(f)
		return tx.CreateFile(f, e)
	})
	return f, err
}

// discard removes bytes that no record came to name. An Update can fail after
// it was applied, when the answer of a database is lost, so the record is
// looked for first; where even that fails, Sweep decides later.
func (s *Service) discard(ctx context.Context, l LedgerID, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := s.store.View(ctx, func(r Reader) error {
		_, err := r.File(l, id)
		return err
	})
	if CodeOf(err) == CodeNotFound {
		err = s.blobs.Remove(ctx, id)
	}
	if err != nil {
		s.log.Warn("bytes of a failed upload are left to the sweep", "file", id, "error", err)
	}
}

// sizeLimit is how much content a purpose admits.
func (s *Service) sizeLimit(purpose string) (int64, error) {
	if p, ok := s.purposes[purpose]; ok {
		return p.MaxSize, nil
	}
	if purpose != "" {
		var v Invalid
		(&NewFile{Purpose: purpose}).validate(&v, s.purposes)
		return 0, v.Err()
	}
	var limit int64
	for _, p := range s.purposes {
		limit = max(limit, p.MaxSize)
	}
	return limit, nil
}

func tooLarge(limit int64) error {
	return &Error{Code: CodeTooLarge, Param: "file", Detail: fmt.Sprintf("the file is larger than the %d bytes its purpose allows", limit)}
}

// sizeLimited reads like r and fails with CodeTooLarge once more than limit
// bytes have come.
type sizeLimited struct {
	r           io.Reader
	left, limit int64
}

func (l *sizeLimited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, tooLarge(l.limit)
	}
	return n, err
}

// File gives a file, active or deleted. It needs files:read.
func (s *Service) File(ctx context.Context, c Caller, id string) (f File, err error) {
	err = s.read(ctx, c, FilesRead, func(r Reader) error {
		f, err = r.File(c.Ledger, id)
		return found(err, "file", id)
	})
	return f, err
}

// Files lists active files. It needs files:read.
func (s *Service) Files(ctx context.Context, c Caller, filter FileFilter, page Page) (list List[File], err error) {
	err = s.read(ctx, c, FilesRead, func(r Reader) error {
		list, err = r.Files(c.Ledger, filter, page)
		return err
	})
	return list, err
}

// DeleteFile ends a file and its links and removes its bytes; the log keeps
// what it was. Deleting a deleted file is CodeNotFound. It needs files:write.
func (s *Service) DeleteFile(ctx context.Context, c Caller, id string) error {
	err := s.change(ctx, c, FilesWrite, func(tx Tx, now time.Time) error {
		f, err := tx.File(c.Ledger, id)
		if err == nil && !f.Active() {
			err = noSuch("file", id)
		}
		if err != nil {
			return found(err, "file", id)
		}
		e := s.entry(c, FileEnded, now)
		e.File = filePart(f)
		return tx.DeleteFile(id, now, e)
	})
	if err != nil {
		return err
	}
	if err := s.blobs.Remove(context.WithoutCancel(ctx), id); err != nil {
		s.log.Warn("bytes of a deleted file are left to the sweep", "file", id, "error", err)
	}
	return nil
}
