package service

import (
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
		err = r.link(e.Link.ID, fieldsUnder("/link/", pointers))
	}
	if err == nil && e.File != nil && e.File.Details != nil {
		err = r.file(e.File.ID, fieldsUnder("/file/", pointers))
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

// fieldsUnder returns the fields of the pointers that begin with a prefix and lead to a present value.
func fieldsUnder(prefix string, pointers []string) (fields []sluice.PersonalField) {
	for _, p := range pointers {
		if rest, ok := strings.CutPrefix(p, prefix); ok && !strings.HasPrefix(rest, "before/") {
			fields = append(fields, audit.FieldOf(p))
		}
	}
	return fields
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

// file erases fields from the row of a file.
func (r *rowEraser) file(id string, fields []sluice.PersonalField) error {
	if len(fields) == 0 {
		return nil
	}
	f, ok := r.files[id]
	if !ok {
		stored, err := r.tx.File(r.ledger, id)
		if err != nil {
			return err
		}
		f = &erasedFile{File: stored}
		r.files[id] = f
	}
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
