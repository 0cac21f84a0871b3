package service

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// NewFile is what a caller says of a file to be stored.
type NewFile struct {
	Purpose  string
	Filename string
	Title    string
	Type     string
	Metadata sluice.Metadata
	Linked   []sluice.Resource
	SHA256   *sluice.Digest // what the content's digest must be, when declared
	Link     *NewLink       // a link to mint with it; its FileID is not looked at
}

// FileChange says what to change of a file; nil leaves a part as it is.
type FileChange struct {
	Filename *string
	Title    *string
	Metadata map[string]*string // merged; nil or "" removes a key
	Linked   *[]sluice.Resource
	Held     *bool
}

// Versions is a precondition: the versions of which an object must be one.
// Nil asks for nothing; "*" is any.
type Versions []string

func (want Versions) check(version string) error {
	if want == nil || slices.Contains(want, version) || slices.Contains(want, "*") {
		return nil
	}
	return sluice.Errorf(sluice.CodePreconditionFailed, "the object was changed meanwhile; get it again and decide anew")
}

// next is the moment of a change: now, but after the change before it, so
// that versions differ.
func next(now, updated time.Time) time.Time {
	if now.After(updated) {
		return now
	}
	return updated.Add(time.Microsecond)
}

func (n *NewFile) validate(v *sluice.Invalid, purposes sluice.Purposes) (p sluice.Purpose) {
	p, known := purposes[n.Purpose]
	switch {
	case n.Purpose == "":
		v.Add("purpose", "required", "purpose is required; GET /v1/purposes lists them")
	case !known:
		v.Add("purpose", "invalid", "there is no purpose %q; choose from %s", audit.Clip(n.Purpose, sluice.MaxMetadataKeyLen), purposes.Names())
	}
	n.Filename = baseName(n.Filename)
	validateText(v, "filename", n.Filename, sluice.MaxFilenameLen)
	validateText(v, "title", n.Title, sluice.MaxTitleLen)
	n.Type = mediaType(n.Type, n.Filename)
	validateMetadata(v, n.Metadata)
	validateResources(v, n.Linked)
	return p
}

// CreatedFile is a stored file, and the link that was minted with it, if any.
type CreatedFile struct {
	File sluice.File
	Link *sluice.Link
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
	if err := s.Allow(ctx, c, sluice.FilesWrite); err != nil {
		return CreatedFile{}, err
	}
	limit, err := s.sizeLimit(purpose)
	if err != nil {
		return CreatedFile{}, err
	}
	id := s.ids.New(sluice.PrefixFile, s.Now())
	staged, err := s.blobs.Stage(ctx, id)
	if err != nil {
		return CreatedFile{}, err
	}
	defer staged.Close()
	if err := staged.Append(ctx, 0, &sizeLimited{r: content, left: limit, limit: limit}); err != nil {
		return CreatedFile{}, err
	}
	n, err := describe()
	if err != nil {
		return CreatedFile{}, err
	}
	return s.recordFile(ctx, c, id, n, staged)
}

// recordFile ends every upload: it checks what was staged and what is said of it, commits the bytes, and then commits
// the record. Bytes that got no record are removed.
func (s *Service) recordFile(ctx context.Context, c Caller, id string, n NewFile, staged Stage) (CreatedFile, error) {
	create, err := s.prepareFile(ctx, c, id, n, staged.Stored())
	if err != nil {
		return CreatedFile{}, err
	}
	if _, err := staged.Commit(ctx); err != nil {
		return CreatedFile{}, err
	}
	created, err := change(ctx, s, c, sluice.FilesWrite, create)
	if err != nil || created.File.ID != id {
		s.discard(ctx, c.Ledger, id, err)
	}
	return created, err
}

// prepareFile checks an upload and gives the change that records it.
func (s *Service) prepareFile(
	ctx context.Context, c Caller, id string, n NewFile, stored Stored,
) (create func(Tx, time.Time) (CreatedFile, error), err error) {
	if err := c.Once.fingerprint(n, stored); err != nil {
		return nil, err
	}
	var v sluice.Invalid
	p := n.validate(&v, s.purposes)
	if err := v.Err(); err != nil {
		return nil, err
	}
	switch {
	case stored.Size > p.MaxSize:
		return nil, tooLarge(p.MaxSize)
	case !p.Allows(n.Type):
		return nil, &sluice.Error{Code: sluice.CodeUnsupportedType, Param: "file", Detail: fmt.Sprintf("purpose %s does not allow %s", p.Name, n.Type)}
	case n.SHA256 != nil && *n.SHA256 != stored.SHA256:
		return nil, &sluice.Error{Code: sluice.CodeDigestMismatch, Param: "file", Detail: fmt.Sprintf("the content that arrived has SHA-256 %s", stored.SHA256)}
	}
	f := sluice.File{
		ID: id, Ledger: c.Ledger, Purpose: p.Name, Filename: n.Filename, Title: n.Title, Type: n.Type,
		Size: stored.Size, SHA256: stored.SHA256, CRC32: &stored.CRC32, Metadata: n.Metadata, Linked: n.Linked,
	}
	link, err := s.prepareLink(ctx, n.Link)
	if err != nil {
		return nil, within("link", err)
	}
	if link != nil {
		if err := s.Allow(ctx, c, sluice.LinksWrite); err != nil {
			return nil, err
		}
	}
	return func(tx Tx, now time.Time) (CreatedFile, error) {
		f.Created, f.Updated = now, now
		if p.Retention != 0 {
			f.Expires = now.Add(p.Retention)
		}
		e := s.entry(c, sluice.FileCreated, now)
		e.File = audit.FileDetails(f, nil)
		if err := tx.CreateFile(f, e); err != nil || link == nil {
			return CreatedFile{File: f}, err
		}
		l, err := s.mint(tx, c, f, *link, now)
		return CreatedFile{File: f, Link: &l}, within("link", err)
	}, nil
}

// within says of a failure of validation that its parameters are members of
// another one.
func within(param string, err error) error {
	var e *sluice.Error
	if !errors.As(err, &e) || e.Code != sluice.CodeValidation {
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
		whole[i] = sluice.Digest(h.Sum(nil))
	}
	o.Fingerprint = whole
	return nil
}

// discard removes the bytes of an upload that failed. Where it is not known whether the record was committed, because
// the connection to the database broke, the commit may still come: those bytes are left to Sweep, which looks for the
// record an hour later. Else the record is looked for in an Update, which waits for every commit on the ledger that is
// under way.
func (s *Service) discard(ctx context.Context, l sluice.LedgerID, id string, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := cause
	if cause == nil || !mayHaveCommitted(cause) {
		err = s.store.Update(ctx, l, func(tx Tx) error {
			_, err := tx.File(l, id)
			return err
		})
		if sluice.CodeOf(err) == sluice.CodeNotFound {
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
	code := sluice.CodeOf(err)
	return code == sluice.CodeUnavailable || code == sluice.CodeInternal
}

// sizeLimit is how much content a purpose admits.
func (s *Service) sizeLimit(purpose string) (int64, error) {
	if p, ok := s.purposes[purpose]; ok {
		return p.MaxSize, nil
	}
	if purpose != "" {
		var v sluice.Invalid
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
	return &sluice.Error{Code: sluice.CodeTooLarge, Param: "file", Detail: fmt.Sprintf("the file is larger than the %d bytes its purpose allows", limit)}
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
func (s *Service) File(ctx context.Context, c Caller, id string) (f sluice.File, err error) {
	err = s.read(ctx, c, sluice.FilesRead, func(r Reader) error {
		f, err = r.File(c.Ledger, id)
		return found(err, "file", id)
	})
	return f, err
}

// Files lists active files. It needs files:read.
func (s *Service) Files(ctx context.Context, c Caller, filter FileFilter, page sluice.Page) (list sluice.List[sluice.File], err error) {
	err = s.read(ctx, c, sluice.FilesRead, func(r Reader) error {
		list, err = r.Files(c.Ledger, filter, page)
		return err
	})
	return list, err
}

// UpdateFile changes what is said of a file; its bytes stay. It needs
// files:write. A state other than the wanted versions is CodePreconditionFailed.
func (s *Service) UpdateFile(ctx context.Context, c Caller, id string, want Versions, ch FileChange) (sluice.File, error) {
	return change(ctx, s, c, sluice.FilesWrite, func(tx Tx, now time.Time) (sluice.File, error) {
		f, err := activeFile(tx, c.Ledger, id)
		if err != nil {
			return sluice.File{}, err
		}
		if err := want.check(f.Version()); err != nil {
			return sluice.File{}, err
		}
		action := sluice.FileUpdated
		if ch.Held != nil && *ch.Held != f.Held {
			if action = sluice.FileReleased; *ch.Held {
				action = sluice.FileHeld
			}
		}
		was := f
		if err := ch.apply(&f); err != nil {
			return sluice.File{}, err
		}
		f.Updated = next(now, f.Updated)
		e := s.entry(c, action, now)
		e.File = audit.FileDetails(f, &was)
		return f, tx.UpdateFile(f, e)
	})
}

func (ch FileChange) apply(f *sluice.File) error {
	var v sluice.Invalid
	if ch.Filename != nil {
		f.Filename = baseName(*ch.Filename)
		validateText(&v, "filename", f.Filename, sluice.MaxFilenameLen)
	}
	if ch.Title != nil {
		f.Title = *ch.Title
		validateText(&v, "title", f.Title, sluice.MaxTitleLen)
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
func activeFile(r Reader, ledger sluice.LedgerID, id string) (sluice.File, error) {
	f, err := r.File(ledger, id)
	if err == nil && !f.Active() {
		err = NoSuch("file", id)
	}
	return f, found(err, "file", id)
}

// Deleted says that an object was ended.
type Deleted struct{ ID string }

// DeleteFile ends a file and its links and removes its bytes; the log keeps
// what it was. Deleting a deleted file is CodeNotFound; one that is held, or
// that its purpose retains for longer, CodeFileHeld. It needs files:write.
func (s *Service) DeleteFile(ctx context.Context, c Caller, id string, want Versions) (Deleted, error) {
	deleted, err := change(Ending(ctx), s, c, sluice.FilesWrite, func(tx Tx, now time.Time) (Deleted, error) {
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
		e := s.entry(c, sluice.FileEnded, now)
		e.File = audit.FileDetails(f, nil)
		return Deleted{ID: id}, tx.DeleteFile(id, now, e)
	})
	if err == nil {
		s.removeBytes(ctx, id)
	}
	return deleted, err
}

func deletable(f sluice.File, now time.Time) error {
	switch {
	case f.Held:
		return sluice.Errorf(sluice.CodeFileHeld, "the file is held; release it with held=false first")
	case now.Before(f.Expires):
		return sluice.Errorf(sluice.CodeFileHeld, "files of purpose %s are retained; this one until %s", f.Purpose, f.Expires.Format(time.RFC3339))
	}
	return nil
}

// removeBytes removes the bytes of a file that was just deleted.
func (s *Service) removeBytes(ctx context.Context, id string) {
	if err := s.blobs.Remove(context.WithoutCancel(ctx), id); err != nil {
		s.log.Warn("bytes of a deleted file are left to the sweep", "file", id, "error", err)
	}
}
