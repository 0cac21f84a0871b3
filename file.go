package sluice

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"path"
	"regexp"
	"slices"
	"strconv"
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
	Linked   []Resource // what the file belongs to, in the caller's own system
	Held     bool       // under legal hold: it may not be deleted
	Created  time.Time
	Updated  time.Time
	Expires  time.Time // when its purpose's retention deletes it; zero: never
	Deleted  time.Time // zero: active
}

// Resource names an object of the caller's own system.
type Resource struct {
	Type string
	ID   string
}

// Limits of linked resources. Lengths are in characters.
const (
	MaxLinkedResources = 50
	MaxResourceIDLen   = 255
)

var resourceType = regexp.MustCompile(`^[a-z][a-z0-9_.\-]{0,39}$`)

func validateResources(v *Invalid, list []Resource) {
	if len(list) > MaxLinkedResources {
		v.Add("linked_resources", "too_many", "linked_resources has %d elements; at most %d are kept", len(list), MaxLinkedResources)
		return
	}
	seen := map[Resource]bool{}
	for i, r := range list {
		param := fmt.Sprintf("linked_resources.%d", i)
		if !resourceType.MatchString(r.Type) {
			v.Add(param+".type", "invalid", "a resource type is 1 to 40 of a-z 0-9 _ . -, a letter first")
		}
		if r.ID == "" {
			v.Add(param+".id", "required", "a linked resource needs an id")
		}
		validateText(v, param+".id", r.ID, MaxResourceIDLen)
		if seen[r] {
			v.Add(param, "invalid", "%s %s is there twice", r.Type, clip(r.ID, 64))
		}
		seen[r] = true
	}
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
	Linked   []Resource
	SHA256   *Digest  // what the content's digest must be, when declared
	Link     *NewLink // a link to mint with it; its FileID is not looked at
}

// FileChange says what to change of a file; nil leaves a part as it is.
type FileChange struct {
	Filename *string
	Title    *string
	Metadata map[string]*string // merged; nil or "" removes a key
	Linked   *[]Resource
	Held     *bool
}

// Version names a state of an object for conditional requests: it differs
// whenever its owner has changed the object.
func (f File) Version() string { return version(f.Updated) }

func version(updated time.Time) string { return strconv.FormatInt(updated.UnixMicro(), 36) }

// Versions is a precondition: the versions of which an object must be one.
// Nil asks for nothing; "*" is any.
type Versions []string

func (want Versions) check(version string) error {
	if want == nil || slices.Contains(want, version) || slices.Contains(want, "*") {
		return nil
	}
	return Errorf(CodePreconditionFailed, "the object was changed meanwhile; get it again and decide anew")
}

// next is the moment of a change: now, but after the change before it, so
// that versions differ.
func next(now, updated time.Time) time.Time {
	if now.After(updated) {
		return now
	}
	return updated.Add(time.Microsecond)
}

func (n *NewFile) validate(v *Invalid, purposes Purposes) (p Purpose) {
	p, known := purposes[n.Purpose]
	switch {
	case n.Purpose == "":
		v.Add("purpose", "required", "purpose is required; GET /v1/purposes lists them")
	case !known:
		v.Add("purpose", "invalid", "there is no purpose %q; choose from %s", clip(n.Purpose, MaxMetadataKeyLen), purposes.Names())
	}
	n.Filename = baseName(n.Filename)
	validateText(v, "filename", n.Filename, MaxFilenameLen)
	validateText(v, "title", n.Title, MaxTitleLen)
	n.Type = mediaType(n.Type, n.Filename)
	validateMetadata(v, n.Metadata)
	validateResources(v, n.Linked)
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

// CreatedFile is a stored file, and the link that was minted with it, if any.
type CreatedFile struct {
	File File
	Link *Link
}

// CreateFile stores bytes and what is said of them: the bytes first, then the
// record. Of an upload that fails nothing is kept. It needs files:write, and
// links:write when a link is asked for.
//
// A form may name its fields after its file, so describe is asked once content
// has been read to its end. A purpose known before that bounds what is read;
// with "" the largest purpose does. Content over the limit is CodeTooLarge, a
// type the purpose does not allow CodeUnsupportedType, a digest other than the
// declared one CodeDigestMismatch; errors of content and describe come back as
// they are. The fingerprint of c.Once is made here, of fields and content.
func (s *Service) CreateFile(ctx context.Context, c Caller, purpose string, content io.Reader, describe func() (NewFile, error)) (CreatedFile, error) {
	if err := s.Allow(ctx, c, FilesWrite); err != nil {
		return CreatedFile{}, err
	}
	limit, err := s.sizeLimit(purpose)
	if err != nil {
		return CreatedFile{}, err
	}
	id := s.ids.make(PrefixFile, s.Now())
	stored, err := s.blobs.Put(ctx, id, &sizeLimited{r: content, left: limit, limit: limit})
	if err != nil {
		return CreatedFile{}, err
	}
	n, err := describe()
	if err != nil {
		s.discard(ctx, c.Ledger, id, nil)
		return CreatedFile{}, err
	}
	created, err := s.recordFile(ctx, c, id, n, stored)
	if err != nil || created.File.ID != id {
		s.discard(ctx, c.Ledger, id, err)
	}
	return created, err
}

func (s *Service) recordFile(ctx context.Context, c Caller, id string, n NewFile, stored Stored) (CreatedFile, error) {
	if err := c.Once.fingerprint(n, stored); err != nil {
		return CreatedFile{}, err
	}
	var v Invalid
	p := n.validate(&v, s.purposes)
	if err := v.Err(); err != nil {
		return CreatedFile{}, err
	}
	switch {
	case stored.Size > p.MaxSize:
		return CreatedFile{}, tooLarge(p.MaxSize)
	case !p.Allows(n.Type):
		return CreatedFile{}, &Error{Code: CodeUnsupportedType, Param: "file", Detail: fmt.Sprintf("purpose %s does not allow %s", p.Name, n.Type)}
	case n.SHA256 != nil && *n.SHA256 != stored.SHA256:
		return CreatedFile{}, &Error{Code: CodeDigestMismatch, Param: "file", Detail: fmt.Sprintf("the content that arrived has SHA-256 %s", stored.SHA256)}
	}
	f := File{
		ID: id, Ledger: c.Ledger, Purpose: p.Name, Filename: n.Filename, Title: n.Title, Type: n.Type,
		Size: stored.Size, SHA256: stored.SHA256, Metadata: n.Metadata, Linked: n.Linked,
	}
	link, err := s.prepareLink(ctx, n.Link)
	if err != nil {
		return CreatedFile{}, within("link", err)
	}
	if link != nil {
		if err := s.Allow(ctx, c, LinksWrite); err != nil {
			return CreatedFile{}, err
		}
	}
	return change(ctx, s, c, FilesWrite, func(tx Tx, now time.Time) (CreatedFile, error) {
		f.Created, f.Updated = now, now
		if p.Retention != 0 {
			f.Expires = now.Add(p.Retention)
		}
		e := s.entry(c, FileCreated, now)
		e.File = detailedFile(f, nil)
		if err := tx.CreateFile(f, e); err != nil || link == nil {
			return CreatedFile{File: f}, err
		}
		l, err := s.mint(tx, c, f, *link, now)
		return CreatedFile{File: f, Link: &l}, within("link", err)
	})
}

// within says of a failure of validation that its parameters are members of
// another one.
func within(param string, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeValidation {
		return err
	}
	inner := *e
	inner.Param = param + "." + e.Param
	inner.Fields = slices.Clone(e.Fields)
	for i, f := range e.Fields {
		inner.Fields[i].Param = param + "." + f.Param
	}
	return &inner
}

// fingerprint is that of an upload: what was said of the content, and the
// content itself, in whatever form it was sent and whatever it was checked by.
func (o *Once) fingerprint(n NewFile, stored Stored) error {
	if o == nil {
		return nil
	}
	n.SHA256 = nil
	fields, err := json.Marshal(n)
	if err != nil {
		return err
	}
	begun := o.Fingerprint.digests()
	whole := make(Fingerprint, len(begun))
	for i, of := range begun {
		h := sha256.New()
		h.Write(of[:])
		h.Write(stored.SHA256[:])
		h.Write(fields)
		whole[i] = Digest(h.Sum(nil))
	}
	o.Fingerprint = whole
	return nil
}

// discard removes the bytes of an upload that failed. Where it is not known whether the record was committed, because
// the connection to the database broke, the commit may still come: those bytes are left to Sweep, which looks for the
// record an hour later. Else the record is looked for in an Update, which waits for every commit on the ledger that is
// under way.
func (s *Service) discard(ctx context.Context, l LedgerID, id string, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := cause
	if cause == nil || !mayHaveCommitted(cause) {
		err = s.store.Update(ctx, l, func(tx Tx) error {
			_, err := tx.File(l, id)
			return err
		})
		if CodeOf(err) == CodeNotFound {
			err = s.blobs.Remove(ctx, id)
		}
	}
	if err != nil {
		s.log.Warn("bytes of a failed upload are left to the sweep", "file", id, "error", err)
	}
}

// mayHaveCommitted reports whether an Update that failed with err may have been committed, or be committed later. One
// whose context ended first was not run.
func mayHaveCommitted(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	code := CodeOf(err)
	return code == CodeUnavailable || code == CodeInternal
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

// UpdateFile changes what is said of a file; its bytes stay. It needs
// files:write. A state other than the wanted versions is CodePreconditionFailed.
func (s *Service) UpdateFile(ctx context.Context, c Caller, id string, want Versions, ch FileChange) (File, error) {
	return change(ctx, s, c, FilesWrite, func(tx Tx, now time.Time) (File, error) {
		f, err := activeFile(tx, c.Ledger, id)
		if err != nil {
			return File{}, err
		}
		if err := want.check(f.Version()); err != nil {
			return File{}, err
		}
		action := FileUpdated
		if ch.Held != nil && *ch.Held != f.Held {
			if action = FileReleased; *ch.Held {
				action = FileHeld
			}
		}
		was := f
		if err := ch.apply(&f); err != nil {
			return File{}, err
		}
		f.Updated = next(now, f.Updated)
		e := s.entry(c, action, now)
		e.File = detailedFile(f, &was)
		return f, tx.UpdateFile(f, e)
	})
}

func (ch FileChange) apply(f *File) error {
	var v Invalid
	if ch.Filename != nil {
		f.Filename = baseName(*ch.Filename)
		validateText(&v, "filename", f.Filename, MaxFilenameLen)
	}
	if ch.Title != nil {
		f.Title = *ch.Title
		validateText(&v, "title", f.Title, MaxTitleLen)
	}
	if ch.Metadata != nil {
		f.Metadata = mergeMetadata(f.Metadata, ch.Metadata)
		validateMetadata(&v, f.Metadata)
	}
	if ch.Linked != nil {
		f.Linked = *ch.Linked
		validateResources(&v, f.Linked)
	}
	if ch.Held != nil {
		f.Held = *ch.Held
	}
	return v.Err()
}

// activeFile gives a file that still has its bytes.
func activeFile(r Reader, ledger LedgerID, id string) (File, error) {
	f, err := r.File(ledger, id)
	if err == nil && !f.Active() {
		err = noSuch("file", id)
	}
	return f, found(err, "file", id)
}

// Deleted says that an object was ended.
type Deleted struct{ ID string }

// DeleteFile ends a file and its links and removes its bytes; the log keeps
// what it was. Deleting a deleted file is CodeNotFound; one that is held, or
// that its purpose retains for longer, CodeFileHeld. It needs files:write.
func (s *Service) DeleteFile(ctx context.Context, c Caller, id string, want Versions) (Deleted, error) {
	deleted, err := change(Ending(ctx), s, c, FilesWrite, func(tx Tx, now time.Time) (Deleted, error) {
		f, err := activeFile(tx, c.Ledger, id)
		if err != nil {
			return Deleted{}, err
		}
		if err := want.check(f.Version()); err != nil {
			return Deleted{}, err
		}
		if err := deletable(f, now); err != nil {
			return Deleted{}, err
		}
		e := s.entry(c, FileEnded, now)
		e.File = detailedFile(f, nil)
		return Deleted{ID: id}, tx.DeleteFile(id, now, e)
	})
	if err == nil {
		s.removeBytes(ctx, id)
	}
	return deleted, err
}

func deletable(f File, now time.Time) error {
	switch {
	case f.Held:
		return Errorf(CodeFileHeld, "the file is held; release it with held=false first")
	case now.Before(f.Expires):
		return Errorf(CodeFileHeld, "files of purpose %s are retained; this one until %s", f.Purpose, f.Expires.Format(time.RFC3339))
	}
	return nil
}

// removeBytes removes the bytes of a file that was just deleted.
func (s *Service) removeBytes(ctx context.Context, id string) {
	if err := s.blobs.Remove(context.WithoutCancel(ctx), id); err != nil {
		s.log.Warn("bytes of a deleted file are left to the sweep", "file", id, "error", err)
	}
}
