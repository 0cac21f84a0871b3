package sluice

import (
	"context"
	"fmt"
	"net/netip"
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

	MaxDownloads int64          // 0: no limit
	Password     PasswordHash   // "": none
	AllowedIPs   []netip.Prefix // none: any address
	Disposition  Disposition
	Filename     string // what the download is called; "": the file's name
}

// Disposition says whether a browser shows a file or saves it (RFC 6266).
type Disposition string

// The dispositions. Inline is for the types of InlineTypes; a link that asks for
// it to a file of another type is refused.
const (
	Attachment Disposition = "attachment"
	Inline     Disposition = "inline"
)

// Lifetimes of links, and the longest reason in characters.
const (
	DefaultLinkLifetime = time.Hour
	MaxLinkLifetime     = 24 * time.Hour // unless configured otherwise
	MaxReasonLen        = 500
)

// Limits of what a link may ask for.
const (
	MaxMaxDownloads = 1_000_000_000
	MaxAllowedIPs   = 100
	MaxBatch        = 100
)

// Refusal is the rule that forbids a redemption.
type Refusal string

// The refusals. Expired, Revoked, FileDeleted and KeyRevoked are what a link
// cannot come back from. KeyExpired, KeyRestricted and PurposeRestricted follow
// from the minting key and the purpose as they are at the moment of use: when
// those are widened again, the link works again.
const (
	Expired     Refusal = "expired"
	Exhausted   Refusal = "exhausted"
	Revoked     Refusal = "revoked"
	FileDeleted Refusal = "file_deleted"
	KeyRevoked  Refusal = "key_revoked"

	KeyExpired        Refusal = "key_expired"
	KeyRestricted     Refusal = "key_restricted"     // it lacks links:write, or its links may not live so long
	PurposeRestricted Refusal = "purpose_restricted" // it may not be linked, or its links may not live so long

	WrongPassword     Refusal = "wrong_password"
	AddressNotAllowed Refusal = "address_not_allowed"
)

// Expired reports whether the link's time has run out.
func (l Link) Expired(now time.Time) bool {
	return !l.Expires.IsZero() && !now.Before(l.Expires)
}

// NewLink is what a caller asks for. Lifetime and Expires exclude each other;
// with neither, DefaultLinkLifetime holds. A Lifetime of Forever asks for a
// link without end.
type NewLink struct {
	FileID       string
	Lifetime     *time.Duration
	Expires      time.Time
	Reason       string
	Metadata     Metadata
	MaxDownloads int64 // 0: no limit
	Password     string
	AllowedIPs   []netip.Prefix
	Disposition  Disposition // "": Attachment
	Filename     string
}

// LinkChange says what to change of a link; nil leaves a part as it is.
type LinkChange struct {
	Lifetime     *time.Duration // from now; Forever for no end
	Expires      *time.Time
	Reason       *string
	Metadata     map[string]*string // merged; nil or "" removes a key
	MaxDownloads *int64             // 0 lifts the limit
	AllowedIPs   *[]netip.Prefix

	// What contracts of vendors have beyond that:
	ExpireNow     bool // its time runs out now, and it stays visible as expired; Lifetime and Expires are not looked at
	ClearMetadata bool // before Metadata is merged
}

// Version names a state of the link for conditional requests. Downloads do
// not change it.
func (l Link) Version() string { return version(l.Updated) }

// expiry gives the moment a link ends that was minted at minted: what was
// asked for now, held to the longest lifetime that policy allows.
func expiry(v *Invalid, lifetime *time.Duration, expires, minted, now time.Time, longest time.Duration) time.Time {
	param := "expires_at"
	switch {
	case lifetime != nil && !expires.IsZero():
		v.Add(param, "invalid", "give expires_at or expires_in_seconds, not both")
		return time.Time{}
	case lifetime != nil && *lifetime == Forever:
		if longest != Forever {
			v.Add(param, "out_of_range", "this key may not mint links without end; a link lives at most %d seconds", int64(longest/time.Second))
		}
		return time.Time{}
	case lifetime != nil:
		param = "expires_in_seconds"
		if *lifetime < time.Second || *lifetime > longestLifetime {
			v.Add(param, "out_of_range", "expires_in_seconds is 1 to %d", int64(min(longest, longestLifetime)/time.Second))
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

// longestLifetime is the longest that a link may be asked for in seconds: a
// hundred years less a second.
const longestLifetime = 100*365*24*time.Hour - time.Second

// MintLink makes a link to a file. It needs links:write.
func (s *Service) MintLink(ctx context.Context, c Caller, n NewLink) (Link, error) {
	p, err := s.prepareLink(ctx, &n)
	if err != nil {
		return Link{}, err
	}
	return change(ctx, s, c, LinksWrite, func(tx Tx, now time.Time) (Link, error) {
		f, err := activeFile(tx, c.Ledger, n.FileID)
		if err != nil {
			return Link{}, err
		}
		return s.mint(tx, c, f, *p, now)
	})
}

// Batch is what minting many links at once gives: a link for each file that
// exists, in the order asked for, and the ids of those that do not.
type Batch struct {
	Links  []Link
	Absent []string
}

// MintLinks makes one link for each of 1 to MaxBatch files, all or none. An id
// that stands twice gets two links. It needs links:write.
func (s *Service) MintLinks(ctx context.Context, c Caller, fileIDs []string, n NewLink) (Batch, error) {
	var v Invalid
	if len(fileIDs) < 1 || len(fileIDs) > MaxBatch {
		v.Add("file_ids", "out_of_range", "file_ids has %d elements; 1 to %d are minted at once", len(fileIDs), MaxBatch)
	}
	if err := v.Err(); err != nil {
		return Batch{}, err
	}
	p, err := s.prepareLink(ctx, &n)
	if err != nil {
		return Batch{}, err
	}
	return change(ctx, s, c, LinksWrite, func(tx Tx, now time.Time) (b Batch, err error) {
		for _, id := range fileIDs {
			f, err := activeFile(tx, c.Ledger, id)
			if CodeOf(err) == CodeNotFound {
				b.Absent = append(b.Absent, id)
				continue
			}
			if err != nil {
				return Batch{}, err
			}
			l, err := s.mint(tx, c, f, *p, now)
			if err != nil {
				return Batch{}, err
			}
			b.Links = append(b.Links, l)
		}
		return b, nil
	})
}

// pending is a link that was checked as far as it can be without its file.
type pending struct {
	new      NewLink
	password PasswordHash
}

// prepareLink does what must be done outside of an Update: it checks what was
// asked for and hashes the password. A nil n stands for no link.
func (s *Service) prepareLink(ctx context.Context, n *NewLink) (*pending, error) {
	if n == nil {
		return nil, nil
	}
	var v Invalid
	validateMetadata(&v, n.Metadata)
	validateText(&v, "reason", n.Reason, MaxReasonLen)
	if n.Filename != "" {
		n.Filename = baseName(n.Filename)
	}
	validateText(&v, "filename", n.Filename, MaxFilenameLen)
	validateMaxDownloads(&v, n.MaxDownloads)
	validateAllowedIPs(&v, n.AllowedIPs)
	switch n.Disposition {
	case "":
		n.Disposition = Attachment
	case Attachment, Inline:
	default:
		v.Add("disposition", "invalid", "disposition is attachment or inline")
	}
	validatePassword(&v, n.Password)
	if err := v.Err(); err != nil {
		return nil, err
	}
	p := &pending{new: *n}
	var err error
	if n.Password != "" {
		p.password, err = hashPassword(ctx, s.random, n.Password)
	}
	return p, err
}

func validateMaxDownloads(v *Invalid, n int64) {
	if n < 0 || n > MaxMaxDownloads {
		v.Add("max_downloads", "out_of_range", "max_downloads is 1 to %d", MaxMaxDownloads)
	}
}

func validateAllowedIPs(v *Invalid, list []netip.Prefix) {
	if len(list) > MaxAllowedIPs {
		v.Add("allowed_ips", "too_many", "allowed_ips has %d elements; at most %d are kept", len(list), MaxAllowedIPs)
	}
	for i, p := range list {
		if !p.IsValid() || p.Masked() != p {
			v.Add(fmt.Sprintf("allowed_ips.%d", i), "invalid", "%s is not a network: bits are set beyond its length", p)
		}
	}
}

// mint makes a link inside an Update.
func (s *Service) mint(tx Tx, c Caller, f File, p pending, now time.Time) (Link, error) {
	if err := s.linkable(f); err != nil {
		return Link{}, err
	}
	n := p.new
	var v Invalid
	expires := expiry(&v, n.Lifetime, n.Expires, now, now, s.longestLink(c.Key, f))
	validateInline(&v, n.Disposition, f.Type)
	if err := v.Err(); err != nil {
		return Link{}, err
	}
	l := Link{
		ID: s.ids.make(PrefixLink, now), Ledger: c.Ledger, FileID: f.ID, KeyID: c.Key.ID, SigningKey: s.keys[0].ID(),
		Reason: n.Reason, Metadata: n.Metadata, Created: now, Updated: now, Expires: expires,
		MaxDownloads: n.MaxDownloads, Password: p.password, AllowedIPs: n.AllowedIPs,
		Disposition: n.Disposition, Filename: n.Filename,
	}
	return l, tx.CreateLink(l, s.linkChange(c, LinkCreated, now, f, l, nil))
}

// linkable answers CodeForbidden for a file whose purpose does not allow links,
// or is not configured any more: nothing new is allowed without rules.
func (s *Service) linkable(f File) error {
	switch purpose, configured := s.purposes[f.Purpose]; {
	case !configured:
		return Errorf(CodeForbidden, "the purpose %s is not configured on this server, so its files may not be linked", f.Purpose)
	case !purpose.Linkable:
		return Errorf(CodeForbidden, "files of purpose %s may not be linked", f.Purpose)
	}
	return nil
}

// longestLink is the longest lifetime a key may give a link to a file: the
// narrower of key and purpose.
func (s *Service) longestLink(k Key, f File) time.Duration {
	longest := s.linkLifetime(k)
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

// linkChange is the entry of a change of a link: it tells the limits of the
// link and, when was is not nil, what the change replaced.
func (s *Service) linkChange(c Caller, a Action, now time.Time, f File, l Link, was *Link) Entry {
	e := s.linkEntry(c, a, now, f, l)
	e.Link = limitedLink(l, was)
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

// Links lists links. Those of a file that does not exist are CodeNotFound. It
// needs links:read.
func (s *Service) Links(ctx context.Context, c Caller, filter LinkFilter, page Page) (list List[Link], err error) {
	filter.Now = s.Now()
	err = s.read(ctx, c, LinksRead, func(r Reader) error {
		if filter.FileID != "" {
			if _, err := r.File(c.Ledger, filter.FileID); err != nil {
				return found(err, "file", filter.FileID)
			}
		}
		list, err = r.Links(c.Ledger, filter, page)
		return err
	})
	return list, err
}

// UpdateLink changes a link that has not ended; its URL stays the same. It
// needs links:write. A later end is held to what the caller's key, the minting
// key and the purpose allow. A link that has ended is CodeLinkExpired or CodeLinkRevoked;
// a state other than the wanted versions is CodePreconditionFailed.
func (s *Service) UpdateLink(ctx context.Context, c Caller, fileID, id string, want Versions, ch LinkChange) (Link, error) {
	return change(ctx, s, c, LinksWrite, func(tx Tx, now time.Time) (Link, error) {
		l, err := visibleLink(tx, c.Ledger, fileID, id)
		if err != nil {
			return Link{}, err
		}
		if err := want.check(l.Version()); err != nil {
			return Link{}, err
		}
		switch {
		case !l.Revoked.IsZero():
			return Link{}, Errorf(CodeLinkRevoked, "this link was ended (%s) and cannot be changed", l.Ended)
		case l.Expired(now):
			return Link{}, Errorf(CodeLinkExpired, "this link has expired and cannot be changed")
		}
		f, err := tx.File(c.Ledger, l.FileID)
		if err != nil {
			return Link{}, err
		}
		longest := s.longestLink(c.Key, f)
		if l.KeyID != "" { // the link dies when it outlives what its own key allows, whoever changes it
			k, err := tx.Key(c.Ledger, l.KeyID)
			if err != nil {
				return Link{}, err
			}
			longest = min(longest, s.linkLifetime(k))
		}
		was := l
		if err := ch.apply(&l, now, longest); err != nil {
			return Link{}, err
		}
		if endsAfter(l, was) {
			if err := s.linkable(f); err != nil {
				return Link{}, err
			}
		}
		l.Updated = next(now, l.Updated)
		return l, tx.UpdateLink(l, s.linkChange(c, LinkUpdated, now, f, l, &was))
	})
}

// endsAfter reports whether a link ends later than it did.
func endsAfter(l, was Link) bool {
	return !was.Expires.IsZero() && (l.Expires.IsZero() || l.Expires.After(was.Expires))
}

func (ch LinkChange) apply(l *Link, now time.Time, longest time.Duration) error {
	var v Invalid
	switch {
	case ch.ExpireNow:
		l.Expires = next(now, l.Created)
	case ch.Lifetime != nil || ch.Expires != nil:
		var expires time.Time
		if ch.Expires != nil {
			expires = *ch.Expires
		}
		l.Expires = expiry(&v, ch.Lifetime, expires, l.Created, now, longest)
	}
	if ch.Reason != nil {
		l.Reason = *ch.Reason
		validateText(&v, "reason", l.Reason, MaxReasonLen)
	}
	if ch.ClearMetadata {
		l.Metadata = nil
	}
	if ch.Metadata != nil {
		l.Metadata = mergeMetadata(l.Metadata, ch.Metadata)
		validateMetadata(&v, l.Metadata)
	}
	if ch.MaxDownloads != nil {
		l.MaxDownloads = *ch.MaxDownloads
		validateMaxDownloads(&v, l.MaxDownloads)
	}
	if ch.AllowedIPs != nil {
		l.AllowedIPs = *ch.AllowedIPs
		validateAllowedIPs(&v, l.AllowedIPs)
	}
	return v.Err()
}

// EndLink ends a link as RevokeLink does, and gives it as it was, also when it
// is asked for again with the same Once. It needs links:write.
func (s *Service) EndLink(ctx context.Context, c Caller, fileID, id string) (Link, error) {
	return change(ctx, s, c, LinksWrite, func(tx Tx, now time.Time) (Link, error) {
		return s.endLink(tx, c, fileID, id, nil, now)
	})
}

// EndLinks marks the links of keys that were revoked and of files that were
// deleted, until none is left or ctx ends, and says how many. Nothing that a
// client sees depends on it: it keeps lists fast.
func (s *Service) EndLinks(ctx context.Context) (int, error) {
	for marked := 0; ; {
		n, more, err := s.store.EndLinks(ctx)
		marked += n
		if err != nil || !more || ctx.Err() != nil {
			return marked, err
		}
	}
}

// RevokeLink ends a link for good. It needs links:write.
func (s *Service) RevokeLink(ctx context.Context, c Caller, fileID, id string, want Versions) (Deleted, error) {
	return change(Ending(ctx), s, c, LinksWrite, func(tx Tx, now time.Time) (Deleted, error) {
		_, err := s.endLink(tx, c, fileID, id, want, now)
		return Deleted{ID: id}, err
	})
}

// endLink ends a link inside an Update, and gives it as it was.
func (s *Service) endLink(tx Tx, c Caller, fileID, id string, want Versions, now time.Time) (Link, error) {
	l, err := visibleLink(tx, c.Ledger, fileID, id)
	if err != nil {
		return Link{}, err
	}
	if err := want.check(l.Version()); err != nil {
		return Link{}, err
	}
	f, err := tx.File(c.Ledger, l.FileID)
	if err != nil {
		return Link{}, err
	}
	was := l
	l.Revoked, l.Ended, l.Updated = now, Revoked, next(now, l.Updated)
	return was, tx.UpdateLink(l, s.linkChange(c, LinkEnded, now, f, l, nil))
}
