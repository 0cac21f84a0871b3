package sluice

import (
	"context"
	"fmt"
	"time"
)

// Link is a time-limited, single-purpose right to read one file. Its URL is
// derived from its id and a signing key; nothing stored opens the file.
type Link struct {
	ID         string
	Ledger     LedgerID
	FileID     string
	KeyID      string // the key that minted it; "" when the operator did
	SigningKey string // which signing key its URL is derived with
	Reason     string // why the file leaves
	Metadata   Metadata
	Created    time.Time
	Updated    time.Time
	Expires    time.Time // zero: never
	Revoked    time.Time // zero: not ended before its time
	Ended      Refusal   // why it was ended, when Revoked is set
	Downloads  int64
	Redeemed   time.Time // last redemption; zero: none yet
}

// Lifetimes of links, and the longest reason in characters.
const (
	DefaultLinkLifetime = time.Hour
	MaxLinkLifetime     = 24 * time.Hour // unless configured otherwise
	MaxReasonLen        = 500
)

// Refusal is the rule that forbids a redemption.
type Refusal string

// The refusals. Expired, Revoked, FileDeleted and KeyRevoked are what a link
// cannot come back from.
const (
	Expired     Refusal = "expired"
	Revoked     Refusal = "revoked"
	FileDeleted Refusal = "file_deleted"
	KeyRevoked  Refusal = "key_revoked"
)

// Expired reports whether the link's time has run out.
func (l Link) Expired(now time.Time) bool {
	return !l.Expires.IsZero() && !now.Before(l.Expires)
}

// NewLink is what a caller asks for. Lifetime and Expires exclude each other;
// with neither, DefaultLinkLifetime holds.
type NewLink struct {
	FileID   string
	Lifetime *time.Duration
	Expires  time.Time
	Reason   string
	Metadata Metadata
}

// LinkChange says what to change of a link; nil leaves a part as it is.
type LinkChange struct {
	Lifetime *time.Duration // from now
	Expires  *time.Time
	Reason   *string
	Metadata map[string]*string // merged; nil or "" removes a key
}

// expiry gives the moment a link ends that was minted at minted: what was
// asked for now, held to the longest lifetime that policy allows.
func expiry(v *Invalid, lifetime *time.Duration, expires, minted, now time.Time, longest time.Duration) time.Time {
	param := "expires_at"
	switch {
	case lifetime != nil && !expires.IsZero():
		v.Add(param, "invalid", "give expires_at or expires_in_seconds, not both")
		return time.Time{}
	case lifetime != nil:
		param = "expires_in_seconds"
		if *lifetime < time.Second || *lifetime >= 100*365*24*time.Hour {
			v.Add(param, "out_of_range", "expires_in_seconds is at least 1%s", upTo(longest))
			return time.Time{}
		}
		expires = now.Add(*lifetime)
	case expires.IsZero():
		expires = now.Add(min(DefaultLinkLifetime, longest))
	}
	if !expires.After(now) {
		v.Add(param, "out_of_range", "%s lies in the past", param)
	}
	if longest != Forever && expires.After(minted.Add(longest)) {
		v.Add(param, "out_of_range", "a link lives at most %d seconds from its minting", int64(longest/time.Second))
	}
	return expires
}

func upTo(longest time.Duration) string {
	if longest == Forever {
		return ""
	}
	return fmt.Sprintf(" and at most %d", int64(longest/time.Second))
}

// MintLink makes a link to a file. It needs links:write.
func (s *Service) MintLink(ctx context.Context, c Caller, n NewLink) (Link, error) {
	l := Link{
		ID: s.ids.make(PrefixLink, s.Now()), Ledger: c.Ledger, FileID: n.FileID, KeyID: c.Key.ID,
		SigningKey: s.keys[0].ID(), Reason: n.Reason, Metadata: n.Metadata,
	}
	err := s.change(ctx, c, LinksWrite, func(tx Tx, now time.Time) error {
		f, err := tx.File(c.Ledger, n.FileID)
		if err == nil && !f.Active() {
			err = noSuch("file", n.FileID)
		}
		if err != nil {
			return found(err, "file", n.FileID)
		}
		if p, known := s.purposes[f.Purpose]; known && !p.Linkable {
			return Errorf(CodeForbidden, "files of purpose %s may not be linked", f.Purpose)
		}
		var v Invalid
		l.Created, l.Updated = now, now
		l.Expires = expiry(&v, n.Lifetime, n.Expires, now, now, s.longestLink(c.Key, f))
		n.Metadata.validate(&v)
		validateText(&v, "reason", n.Reason, MaxReasonLen)
		if err := v.Err(); err != nil {
			return err
		}
		return tx.CreateLink(l, s.linkEntry(c, LinkCreated, now, f, l))
	})
	return l, err
}

// longestLink is the longest lifetime a key may give a link to a file: the
// narrower of key and purpose, where the server's value stands in for a key
// without one.
func (s *Service) longestLink(k Key, f File) time.Duration {
	longest := s.lifetime
	if k.MaxLinkLifetime != 0 {
		longest = k.MaxLinkLifetime
	}
	if p := s.purposes[f.Purpose]; p.MaxLinkLifetime != 0 {
		longest = min(longest, p.MaxLinkLifetime)
	}
	return longest
}

func (s *Service) linkEntry(c Caller, a Action, now time.Time, f File, l Link) Entry {
	e := s.entry(c, a, now)
	e.File, e.Link = filePart(f), linkPart(l)
	return e
}

// LinkURL derives the URL of a link. Whoever has it can read the file.
func (s *Service) LinkURL(l Link) (string, error) {
	token, err := s.keys.token(l)
	return s.publicURL + "/l/" + token, err
}

// visibleLink gives a link unless its owner has ended it; with fileID, only
// when it leads to that file.
func visibleLink(r Reader, ledger LedgerID, fileID, id string) (Link, error) {
	l, err := r.Link(ledger, id)
	if err == nil && (l.Ended == Revoked || fileID != "" && l.FileID != fileID) {
		err = noSuch("link", id)
	}
	return l, found(err, "link", id)
}

// Link gives a link, also an expired one. With fileID it must lead to that
// file. It needs links:read.
func (s *Service) Link(ctx context.Context, c Caller, fileID, id string) (l Link, err error) {
	err = s.read(ctx, c, LinksRead, func(r Reader) error {
		l, err = visibleLink(r, c.Ledger, fileID, id)
		return err
	})
	return l, err
}

// Links lists links. It needs links:read.
func (s *Service) Links(ctx context.Context, c Caller, filter LinkFilter, page Page) (list List[Link], err error) {
	filter.Now = s.Now()
	err = s.read(ctx, c, LinksRead, func(r Reader) error {
		list, err = r.Links(c.Ledger, filter, page)
		return err
	})
	return list, err
}

// UpdateLink changes a link that has not ended; its URL stays the same. It
// needs links:write. A link that has ended is CodeLinkExpired or CodeLinkRevoked.
func (s *Service) UpdateLink(ctx context.Context, c Caller, fileID, id string, change LinkChange) (l Link, err error) {
	err = s.change(ctx, c, LinksWrite, func(tx Tx, now time.Time) error {
		if l, err = visibleLink(tx, c.Ledger, fileID, id); err != nil {
			return err
		}
		switch {
		case !l.Revoked.IsZero():
			return Errorf(CodeLinkRevoked, "this link was ended (%s) and cannot be changed", l.Ended)
		case l.Expired(now):
			return Errorf(CodeLinkExpired, "this link has expired and cannot be changed")
		}
		f, err := tx.File(c.Ledger, l.FileID)
		if err != nil {
			return err
		}
		if err := s.applyLinkChange(&l, change, now, s.longestLink(c.Key, f)); err != nil {
			return err
		}
		l.Updated = now
		return tx.UpdateLink(l, s.linkEntry(c, LinkUpdated, now, f, l))
	})
	return l, err
}

func (s *Service) applyLinkChange(l *Link, change LinkChange, now time.Time, longest time.Duration) error {
	var v Invalid
	if change.Lifetime != nil || change.Expires != nil {
		var expires time.Time
		if change.Expires != nil {
			expires = *change.Expires
		}
		l.Expires = expiry(&v, change.Lifetime, expires, l.Created, now, longest)
	}
	if change.Reason != nil {
		validateText(&v, "reason", *change.Reason, MaxReasonLen)
		l.Reason = *change.Reason
	}
	if change.Metadata != nil {
		l.Metadata = l.Metadata.merge(change.Metadata)
		l.Metadata.validate(&v)
	}
	return v.Err()
}

// RevokeLink ends a link for good. It needs links:write.
func (s *Service) RevokeLink(ctx context.Context, c Caller, fileID, id string) error {
	return s.change(ctx, c, LinksWrite, func(tx Tx, now time.Time) error {
		l, err := visibleLink(tx, c.Ledger, fileID, id)
		if err != nil {
			return err
		}
		f, err := tx.File(c.Ledger, l.FileID)
		if err != nil {
			return err
		}
		l.Revoked, l.Ended, l.Updated = now, Revoked, now
		return tx.UpdateLink(l, s.linkEntry(c, LinkEnded, now, f, l))
	})
}
