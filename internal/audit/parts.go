package audit

import (
	"bytes"
	"cmp"
	"encoding/json"

	"sluice"
	"sluice/ledger"
)

// FilePart returns the record of a file in an entry, without its details.
func FilePart(f sluice.File) *sluice.FilePart {
	return &sluice.FilePart{
		ID: f.ID, Filename: f.Filename, Size: f.Size, Type: f.Type, SHA256: f.SHA256.String(),
		Purpose: f.Purpose, Metadata: f.Metadata, Personal: f.Personal,
	}
}

// LinkPart returns the record of a link in an entry, without its limits.
func LinkPart(l sluice.Link) *sluice.LinkPart {
	return &sluice.LinkPart{ID: l.ID, Expires: l.Expires, Reason: l.Reason, Metadata: l.Metadata}
}

// FileDetails returns the record of a file with its details. If was is not nil,
// it includes the values of was that differ.
func FileDetails(f sluice.File, was *sluice.File) *sluice.FilePart {
	p := FilePart(f)
	p.Details = &sluice.FileDetails{Title: f.Title, Held: f.Held, Linked: f.Linked, Expires: &f.Expires}
	if was != nil {
		p.Before = before(writeFile, *FileDetails(*was, nil), *p)
	}
	return p
}

// LinkLimits returns the record of a link with its limits and its access. If was is not nil, it
// includes the values of was that differ.
func LinkLimits(l sluice.Link, was *sluice.Link) *sluice.LinkPart {
	p := LinkPart(l)
	p.Limits = &sluice.LinkLimits{
		MaxDownloads: l.MaxDownloads, HasPassword: l.Password != "", AllowedIPs: l.AllowedIPs,
		Disposition: cmp.Or(l.Disposition, sluice.Attachment), Filename: l.Filename,
	}
	if a := l.Access; !a.IsZero() {
		p.Access = &sluice.LinkAccess{
			Recipient: a.Recipient, Allowed: a.Allowed, Verification: a.Verification, Message: a.Message,
			TermsSHA256: a.TermsSHA256(), Notify: a.Notify, Page: a.Page, Language: a.Language,
			Erased: a.Erased,
		}
	}
	if was != nil {
		p.Before = before(writeLink, *LinkLimits(*was, nil), *p)
	}
	return p
}

// KeyPart returns the record of a key with its rights. If was is not nil, it
// includes the values of was that differ.
func KeyPart(k sluice.Key, was *sluice.Key) *sluice.KeyPart {
	rights := &sluice.KeyRights{Scopes: k.Scopes, Expires: k.Expires, MaxLinkLifetime: k.MaxLinkLifetime}
	p := &sluice.KeyPart{ID: k.ID, Name: k.Name, Rights: rights}
	if was != nil {
		p.Before = before(writeKey, *KeyPart(*was, nil), *p)
	}
	return p
}

// SessionPart returns the record of a session in an entry.
func SessionPart(s sluice.Session) *sluice.SessionPart {
	return &sluice.SessionPart{
		ID: s.ID, Expires: s.Expires, Key: s.KeyID, Issuer: s.Person.Issuer, Subject: s.Person.Subject, Scopes: s.Scopes,
	}
}

// before compares the members of two versions of a part, as they are in the leaf,
// and returns the old values of those that differ.
func before[P any](write func(w *object, p P, digests bool), was, is P) sluice.Before {
	members := func(p P) sluice.Before {
		var w object
		w.open("")
		write(&w, p, false)
		w.close()
		m := sluice.Before{}
		for name, value := range ledger.Members(w.buf) {
			m[string(name)] = json.RawMessage(value)
		}
		return m
	}
	old, current := members(was), members(is)
	for name, value := range old {
		if bytes.Equal(value, current[name]) {
			delete(old, name)
		}
		delete(current, name)
	}
	for name := range current {
		old[name] = json.RawMessage("null")
	}
	return old
}
