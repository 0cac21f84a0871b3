package service

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// rowEraser erases from rows what entries lose in the same Update.
type rowEraser struct {
	*core
	rules  *Links
	tx     Tx
	ledger sluice.LedgerID
	now    time.Time
	links  map[string]*erasedLink
	files  map[string]*erasedFile
	visits map[visitor]bool // that were ended
}

// visitor is a person at a link.
type visitor struct{ link, address string }

// erasedLink is a link as it is to be stored.
type erasedLink struct {
	sluice.Link
	changed bool
}

type erasedFile struct {
	sluice.File
	changed bool
}

func newRowEraser(s *core, rules *Links, tx Tx, l sluice.LedgerID, now time.Time) *rowEraser {
	return &rowEraser{
		core: s, rules: rules, tx: tx, ledger: l, now: now,
		links: map[string]*erasedLink{}, files: map[string]*erasedFile{}, visits: map[visitor]bool{},
	}
}

// eraseEntry erases from rows what an entry loses: from the link or the file if the entry records its details, the
// codes and visits of the person at the link, and the stored response to the request if that may show it.
func (r *rowEraser) eraseEntry(e sluice.Entry, pointers []string) (err error) {
	if e.Link != nil && e.Link.Limits != nil {
		err = r.linkOf(e, pointers)
	}
	if err == nil && e.File != nil && e.File.Details != nil {
		err = r.file(e, pointers)
	}
	if err == nil && e.Link != nil && slices.Contains(pointers, "/recipient/email") {
		err = r.endVisits(visitor{e.Link.ID, e.Recipient.Email})
	}
	if err == nil && e.Request != nil && e.Actor.Type != sluice.ActorBearer && inResponse(e, pointers) {
		err = r.tx.EraseResponse(e.Request.ID, e.Time, errErasedResponse)
	}
	return err
}

// errErasedResponse answers a request that is sent again after its response was erased. It has taken effect, and does
// not take effect again.
var errErasedResponse = sluice.Errorf(sluice.CodeIdempotencyReused,
	"a request with this Idempotency-Key has taken effect; its response was erased with personal data in the log")

// inResponse reports whether the response to the request of an entry may show one of the fields. Where a request came
// from, and who sent it, is only in that to a redaction, which is the entry itself.
func inResponse(e sluice.Entry, pointers []string) bool {
	return e.Action == sluice.AuditRedacted || slices.ContainsFunc(pointers, func(p string) bool {
		return !strings.HasPrefix(p, "/request/") && !strings.HasPrefix(p, "/actor/")
	})
}

// endVisits ends the codes and visits of a person at a link.
func (r *rowEraser) endVisits(v visitor) error {
	if v.address == "" || r.visits[v] {
		return nil
	}
	r.visits[v] = true
	l, err := r.loadLink(v.link)
	if err != nil || l == nil {
		return err
	}
	return r.tx.EndChallenges(v.link, r.rules.AddressHash(l.Link, v.address))
}

// lostFields returns the fields of the pointers into a part of an entry that a row loses with the entry: those whose
// value the row still has. A disclosure that does not open its commitment may be any value.
func lostFields(
	e sluice.Entry, part string, pointers []string, has func(pointer string) bool,
) (fields []sluice.PersonalField) {
	for _, p := range pointers {
		member, ok := strings.CutPrefix(p, part)
		if ok && (has(p) || slices.Contains(e.Damaged, p) && !strings.HasPrefix(member, "before/")) {
			fields = append(fields, audit.FieldOf(p))
		}
	}
	return fields
}

// linkOf erases from the row of a link what an entry that records its details loses. Values that the link got later
// stay.
func (r *rowEraser) linkOf(e sluice.Entry, pointers []string) error {
	l, err := r.loadLink(e.Link.ID)
	if err != nil || l == nil {
		return err
	}
	a, was := l.Access.Get(), cmp.Or(e.Link.Access, &sluice.LinkAccess{})
	return r.link(e.Link.ID, lostFields(e, "/link/", pointers, func(pointer string) bool {
		switch pointer {
		case "/link/allowed_recipients":
			return slices.Equal(a.Allowed, was.Allowed)
		case "/link/recipient/email":
			return a.Recipient.Email == was.Recipient.Email
		case "/link/recipient/name":
			return a.Recipient.Name == was.Recipient.Name
		case "/link/message":
			return a.Message == was.Message
		case "/link/notify/email":
			return a.Notify.Email == was.Notify.Email
		case "/link/filename":
			return l.Filename == e.Link.Limits.Filename
		case "/link/metadata":
			return maps.Equal(l.Metadata, e.Link.Metadata)
		case "/link/reason":
			return l.Reason == e.Link.Reason
		}
		return false
	}))
}

// loadLink returns a link as it is to be stored, nil if there is none.
func (r *rowEraser) loadLink(id string) (*erasedLink, error) {
	if l, ok := r.links[id]; ok {
		return l, nil
	}
	l, err := r.tx.Link(r.ledger, id)
	switch {
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		r.links[id] = nil
		return nil, nil
	case err != nil:
		return nil, err
	}
	r.links[id] = &erasedLink{Link: l}
	return r.links[id], nil
}

// link erases fields from the row of a link. A link that someone altered gets no seal.
func (r *rowEraser) link(id string, fields []sluice.PersonalField) error {
	if len(fields) == 0 {
		return nil
	}
	l, err := r.loadLink(id)
	if err != nil || l == nil {
		return err
	}
	fits, was := r.seals.LinkFits(l.Link), l.Updated
	if !eraseFromLink(&l.Link, fields) {
		return nil
	}
	if !l.changed {
		l.Updated, l.changed = next(r.now, was), true
	}
	if fits {
		l.Seal = r.seals.Link(l.Link)
	}
	return nil
}

// eraseFromLink erases fields from a link, and reports whether it had any of them. Recipient and allowed recipients go
// together: nobody is admitted until the owner of the link names others.
func eraseFromLink(l *sluice.Link, fields []sluice.PersonalField) (erased bool) {
	a := l.Access.Get()
	for _, field := range fields {
		switch field {
		case sluice.FieldRecipient, sluice.FieldAllowedRecipients:
			if a.Recipient != (sluice.Recipient{}) || len(a.Allowed) > 0 {
				a.Recipient, a.Allowed, a.Erased, erased = sluice.Recipient{}, nil, true, true
			}
		case sluice.FieldMessage:
			erased = clearText(&a.Message) || erased
		case sluice.FieldNotify:
			if len(a.Notify.On) > 0 {
				a.Notify, erased = sluice.Notify{}, true
			}
		case sluice.FieldReason:
			erased = clearText(&l.Reason) || erased
		case sluice.FieldFilename:
			erased = clearText(&l.Filename) || erased
		case sluice.FieldMetadata:
			erased, l.Metadata = erased || len(l.Metadata) > 0, nil
		}
	}
	if erased {
		l.Access = a.Ref()
	}
	return erased
}

func clearText(text *string) (had bool) {
	had, *text = *text != "", ""
	return had
}

// file erases from the row of a file what an entry that records its details loses. Values that the file got later
// stay.
func (r *rowEraser) file(e sluice.Entry, pointers []string) error {
	f, ok := r.files[e.File.ID]
	if !ok {
		stored, err := r.tx.File(r.ledger, e.File.ID)
		switch {
		case sluice.CodeOf(err) == sluice.CodeNotFound:
			return nil
		case err != nil:
			return err
		}
		f = &erasedFile{File: stored}
		r.files[e.File.ID] = f
	}
	fields := lostFields(e, "/file/", pointers, func(pointer string) bool {
		switch pointer {
		case "/file/filename":
			return f.Filename == e.File.Filename
		case "/file/linked_resources":
			return slices.Equal(f.Linked, e.File.Details.Linked)
		case "/file/metadata":
			return maps.Equal(f.Metadata, e.File.Metadata)
		case "/file/title":
			return f.Title == e.File.Details.Title
		}
		return false
	})
	if eraseFromFile(&f.File, fields) && !f.changed {
		f.Updated, f.changed = next(r.now, f.Updated), true
	}
	return nil
}

// eraseFromFile erases fields from a file, and reports whether it had any of them. A file without a name is called
// sluice.ErasedFilename.
func eraseFromFile(f *sluice.File, fields []sluice.PersonalField) (erased bool) {
	for _, field := range fields {
		switch field {
		case sluice.FieldFilename:
			if f.Filename != sluice.ErasedFilename {
				f.Filename, erased = sluice.ErasedFilename, true
			}
		case sluice.FieldTitle:
			erased = clearText(&f.Title) || erased
		case sluice.FieldMetadata:
			erased, f.Metadata = erased || len(f.Metadata) > 0, nil
		case sluice.FieldLinkedResources:
			erased, f.Linked = erased || len(f.Linked) > 0, nil
		}
	}
	return erased
}

// changed returns the links and files that lost something, by their ids.
func (r *rowEraser) changed() (links []sluice.Link, files []sluice.File) {
	for _, l := range r.links {
		if l != nil && l.changed {
			links = append(links, l.Link)
		}
	}
	for _, f := range r.files {
		if f.changed {
			files = append(files, f.File)
		}
	}
	slices.SortFunc(links, func(a, b sluice.Link) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(files, func(a, b sluice.File) int { return strings.Compare(a.ID, b.ID) })
	return links, files
}
