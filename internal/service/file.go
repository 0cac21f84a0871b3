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

// Files has the rules of files. Their bytes are in Blobs, their records in Store.
type Files struct {
	*core
	blobs    Blobs
	purposes sluice.Purposes
	links    *Links // mints the link that an upload asks for
}

// NewFile describes a file to store.
type NewFile struct {
	Purpose  string
	Filename string
	Title    string
	Type     string
	Metadata sluice.Metadata
	Linked   []sluice.Resource
	SHA256   *sluice.Digest // the declared digest of the content, which is checked; nil if none was declared
	Link     *NewLink       // a link to mint with the file, or nil; its FileID is ignored

	start start // the first bytes of the content, set by Create
}

// FileChange is an update of a file. A nil field stays as it is.
type FileChange struct {
	Filename *string
	Title    *string
	Metadata map[string]*string // merged; nil or "" removes a key
	Linked   *[]sluice.Resource
	Held     *bool
}

func (n *NewFile) validate(v *sluice.Invalid, purposes sluice.Purposes) (p sluice.Purpose) {
	p, known := purposes[n.Purpose]
	switch {
	case n.Purpose == "":
		v.Add("purpose", "required", "purpose is required; GET /v1/purposes lists them")
	case !known:
		v.Add("purpose", "invalid", "there is no purpose %q; choose from %s",
			audit.Clip(n.Purpose, sluice.MaxMetadataKeyLen), purposes.Names())
	}
	n.Filename = baseName(n.Filename)
	validateText(v, "filename", n.Filename, sluice.MaxFilenameLen)
	validateText(v, "title", n.Title, sluice.MaxTitleLen)
	n.Type = mediaType(n.Type, n.Filename)
	validateMetadata(v, n.Metadata)
	validateResources(v, n.Linked)
	return p
}

// CreatedFile is a stored file, with the link that was minted with it, if any.
type CreatedFile struct {
	File sluice.File
	Link *sluice.Link
}

// Create stores the bytes of a file, then its record. It keeps nothing of an upload that fails. It needs files:write,
// and links:write if a link is to be minted.
//
// A form may have fields after its file, so describe is called once content has been read to its end. The limit on the
// size is that of purpose; if purpose is "", it is the largest limit of any purpose. Content over the limit is
// CodeTooLarge, a type that the purpose does not allow is CodeUnsupportedType, a digest other than the declared one is
// CodeDigestMismatch. Errors of content and describe are returned unchanged. Create adds the fields and the content to
// the fingerprint of c.IdempotencyKey.
func (s *Files) Create(
	ctx context.Context,
	c Caller,
	purpose string,
	content io.Reader,
	describe func() (NewFile, error),
) (CreatedFile, error) {
	if err := s.allow(ctx, c, sluice.FilesWrite); err != nil {
		return CreatedFile{}, err
	}
	limit, err := s.sizeLimit(purpose)
	if err != nil {
		return CreatedFile{}, err
	}
	id := s.ids.New(sluice.PrefixFile, s.now())
	staged, err := s.blobs.Stage(ctx, id)
	if err != nil {
		return CreatedFile{}, err
	}
	defer staged.Close()
	var first start
	content = io.TeeReader(content, &first)
	if err := staged.Append(ctx, 0, &sizeLimited{r: content, left: limit, limit: limit}); err != nil {
		return CreatedFile{}, err
	}
	n, err := describe()
	if err != nil {
		return CreatedFile{}, err
	}
	n.start = first
	return s.record(ctx, c, id, n, staged)
}

// record ends every upload: it checks the staged bytes and the details of the file, commits the bytes, and then commits
// the record. Bytes without a record are removed.
func (s *Files) record(ctx context.Context, c Caller, id string, n NewFile, staged Stage) (CreatedFile, error) {
	create, err := s.prepare(ctx, c, id, n, staged.Stored())
	if err != nil {
		return CreatedFile{}, err
	}
	if _, err := staged.Commit(ctx); err != nil {
		return CreatedFile{}, err
	}
	created, err := change(ctx, s.core, c, sluice.FilesWrite, create)
	if err != nil || created.File.ID != id {
		s.discard(ctx, c.Ledger, id, err)
	}
	return created, err
}

// prepare checks an upload, and returns the change that records it.
func (s *Files) prepare(
	ctx context.Context, c Caller, id string, n NewFile, stored Stored,
) (create func(Tx, Caller, time.Time) (CreatedFile, error), err error) {
	if err := c.IdempotencyKey.addUpload(n, stored); err != nil {
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
		return nil, &sluice.Error{
			Code:   sluice.CodeUnsupportedType,
			Param:  "file",
			Detail: fmt.Sprintf("purpose %s does not allow %s", p.Name, n.Type),
		}
	case n.SHA256 != nil && *n.SHA256 != stored.SHA256:
		return nil, &sluice.Error{
			Code:   sluice.CodeDigestMismatch,
			Param:  "file",
			Detail: fmt.Sprintf("the content that arrived has SHA-256 %s", stored.SHA256),
		}
	}
	f := sluice.File{
		ID: id, Ledger: c.Ledger, Purpose: p.Name, Filename: n.Filename, Title: n.Title, Type: n.Type,
		Size: stored.Size, SHA256: stored.SHA256, CRC32: &stored.CRC32, Metadata: n.Metadata, Linked: n.Linked,
		Personal: p.Personal,
	}
	link, err := s.links.prepare(ctx, n.Link)
	if err != nil {
		return nil, within("link", err)
	}
	if link != nil {
		if err := s.allow(ctx, c, sluice.LinksWrite); err != nil {
			return nil, err
		}
		link.setPDF(id, n.start.isPDF())
	}
	return func(tx Tx, c Caller, now time.Time) (CreatedFile, error) {
		f.Created, f.Updated = now, now
		if p.Retention != 0 {
			f.Expires = now.Add(p.Retention)
		}
		e := s.entry(c, sluice.FileCreated, now)
		e.File = audit.FileDetails(f, nil)
		if err := tx.CreateFile(f, e); err != nil || link == nil {
			return CreatedFile{File: f}, err
		}
		l, err := s.links.mint(tx, c, f, *link, now)
		return CreatedFile{File: f, Link: &l}, within("link", err)
	}, nil
}

// within puts the parameters of a validation error under a parent parameter.
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

// addUpload adds the fields and the content of an upload to the fingerprint of its request. It does not depend on the
// encoding of the upload, or on whether a digest was declared.
func (k *IdempotencyKey) addUpload(n NewFile, stored Stored) error {
	if k == nil {
		return nil
	}
	n.SHA256 = nil
	fields, err := json.Marshal(n)
	if err != nil {
		return err
	}
	begun := k.Fingerprint.digests()
	whole := make(Fingerprint, len(begun))
	for i, of := range begun {
		h := sha256.New()
		h.Write(of[:])
		h.Write(stored.SHA256[:])
		h.Write(fields)
		whole[i] = sluice.Digest(h.Sum(nil))
	}
	k.Fingerprint = whole
	return nil
}

// discard removes the bytes of an upload that failed. If the connection to the database broke, the record may still be
// committed. Then discard leaves the bytes to Sweep, which looks for the record an hour later. Otherwise it looks for
// the record after all commits on the ledger that are under way.
func (s *Files) discard(ctx context.Context, l sluice.LedgerID, id string, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := cause
	if cause == nil || !mayHaveCommitted(cause) {
		err = s.readAfterCommits(ctx, l, func(tx Reader) error {
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

// mayHaveCommitted reports whether an Update that failed with err may have been committed, or may be committed later.
// An Update whose context had ended was not run.
func mayHaveCommitted(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	code := sluice.CodeOf(err)
	return code == sluice.CodeUnavailable || code == sluice.CodeInternal
}

// sizeLimit is the largest size that a purpose allows, or for "" that any purpose allows.
func (s *Files) sizeLimit(purpose string) (int64, error) {
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
	return &sluice.Error{
		Code:   sluice.CodeTooLarge,
		Param:  "file",
		Detail: fmt.Sprintf("the file is larger than the %d bytes its purpose allows", limit),
	}
}

// sizeLimited reads from r, and fails with CodeTooLarge after more than limit bytes.
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

// Get returns a file, active or deleted. It needs files:read.
func (s *Files) Get(ctx context.Context, c Caller, id string) (f sluice.File, err error) {
	err = s.read(ctx, c, sluice.FilesRead, func(r Reader) error {
		f, err = r.File(c.Ledger, id)
		return found(err, "file", id)
	})
	return f, err
}

// List returns files, by default active ones. It needs files:read.
func (s *Files) List(
	ctx context.Context, c Caller, filter FileFilter, page sluice.Page,
) (list sluice.List[sluice.File], err error) {
	err = s.read(ctx, c, sluice.FilesRead, func(r Reader) error {
		list, err = r.Files(c.Ledger, filter, page)
		return err
	})
	return list, err
}

// Update changes the details of a file. Its bytes stay the same. A file of another version than wanted is
// CodePreconditionFailed. It needs files:write.
func (s *Files) Update(
	ctx context.Context, c Caller, id string, want Precondition, ch FileChange,
) (sluice.File, error) {
	return change(ctx, s.core, c, sluice.FilesWrite, func(tx Tx, c Caller, now time.Time) (sluice.File, error) {
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

// activeFile returns a file that is not deleted.
func activeFile(r Reader, ledger sluice.LedgerID, id string) (sluice.File, error) {
	f, err := r.File(ledger, id)
	if err == nil && !f.Active() {
		err = NoSuch("file", id)
	}
	return f, found(err, "file", id)
}

// Deleted is the result of deleting a file, or of revoking a link or key.
type Deleted struct{ ID string }

// Delete ends a file and its links, and removes its bytes. The log keeps its details. A file that is deleted already is
// CodeNotFound; a file that is held or within its retention period is CodeFileHeld. A file of another version than
// wanted is CodePreconditionFailed. It needs files:write.
func (s *Files) Delete(ctx context.Context, c Caller, id string, want Precondition) (Deleted, error) {
	ctx = Ending(ctx)
	deleted, err := change(ctx, s.core, c, sluice.FilesWrite, func(tx Tx, c Caller, now time.Time) (Deleted, error) {
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
		return sluice.Errorf(sluice.CodeFileHeld, "files of purpose %s are retained; this one until %s",
			f.Purpose, f.Expires.Format(time.RFC3339))
	}
	return nil
}

// removeBytes removes the bytes of a deleted file.
func (s *Files) removeBytes(ctx context.Context, id string) {
	if err := s.blobs.Remove(context.WithoutCancel(ctx), id); err != nil {
		s.log.Warn("bytes of a deleted file are left to the sweep", "file", id, "error", err)
	}
}
