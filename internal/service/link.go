package service

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/objectid"
	"sluice/internal/password"
	"sluice/internal/token"
)

// Links has the rules of links: how they are minted, changed and ended. Package gate redeems them.
type Links struct {
	*core
	keys      token.Keyring
	limits    LinkLimits
	blobs     Blobs
	publicURL string
	random    io.Reader
	mail      bool // a mail server is configured
	opened    *opened
}

// NewLink describes a link to mint. At most one of Lifetime and Expires is set. Without either the link lives for
// DefaultLinkLifetime. With a Lifetime of Forever it does not expire.
type NewLink struct {
	FileID       string
	Lifetime     *time.Duration
	Expires      time.Time
	Reason       string
	Metadata     sluice.Metadata
	MaxDownloads int64 // no limit if 0
	Password     string
	AllowedIPs   []netip.Prefix
	Disposition  sluice.Disposition // Attachment if ""
	Filename     string
	// Access is checked and brought into canonical form. Verification is EmailVerification if it is "" and Recipient or
	// Allowed is set; Page is that of the file's purpose if it is "".
	Access sluice.Access
	Send   bool // the link is mailed to its recipient
}

// LinkChange is an update of a link. A nil field stays as it is.
type LinkChange struct {
	Lifetime     *time.Duration // from now; Forever to never expire
	Expires      *time.Time
	Reason       *string
	Metadata     map[string]*string // merged; nil or "" removes a key
	MaxDownloads *int64             // 0 lifts the limit
	AllowedIPs   *[]netip.Prefix

	// The people of a link: who may open it can be changed where the link verifies. Whom it is for and whether it
	// verifies cannot.
	AllowedRecipients *[]string
	Message           *string
	Terms             *string
	Notify            *sluice.Notify // the zero value ends notices
	Page              *sluice.PagePolicy
	Language          *string

	// ExpireNow and ClearMetadata are for the APIs of other vendors.
	ExpireNow     bool // the link expires now and stays visible as expired; Lifetime and Expires are ignored
	ClearMetadata bool // remove all metadata before Metadata is merged
}

// expiry returns the time when a link that was minted at minted expires. It checks what the caller asks for now against
// the longest lifetime that is allowed.
func expiry(
	v *sluice.Invalid, lifetime *time.Duration, expires, minted, now time.Time, longest time.Duration,
) time.Time {
	param := "expires_at"
	switch {
	case lifetime != nil && !expires.IsZero():
		v.Add(param, "invalid", "give expires_at or expires_in_seconds, not both")
		return time.Time{}
	case lifetime != nil && *lifetime == sluice.Forever:
		if longest != sluice.Forever {
			v.Add(param, "out_of_range", "this key may not mint links without end; a link lives at most %d seconds",
				int64(longest/time.Second))
		}
		return time.Time{}
	case lifetime != nil:
		param = "expires_in_seconds"
		if *lifetime < time.Second || *lifetime > longestLifetime {
			v.Add(param, "out_of_range", "expires_in_seconds is 1 to %d",
				int64(min(longest, longestLifetime)/time.Second))
			return time.Time{}
		}
		expires = now.Add(*lifetime)
	case expires.IsZero():
		expires = now.Add(min(sluice.DefaultLinkLifetime, longest))
	}
	if !expires.After(now) {
		v.Add(param, "out_of_range", "%s lies in the past", param)
	}
	if longest != sluice.Forever && expires.After(minted.Add(longest)) {
		v.Add(param, "out_of_range", "a link lives at most %d seconds from its minting", int64(longest/time.Second))
	}
	return expires
}

// longestLifetime is the longest lifetime that a caller may give in seconds: a hundred years less a second.
const longestLifetime = 100*365*24*time.Hour - time.Second

// Mint makes a link to a file. It needs links:write.
func (s *Links) Mint(ctx context.Context, c Caller, n NewLink) (sluice.Link, error) {
	p, err := s.prepare(ctx, &n)
	if err == nil {
		err = s.findPDFs(ctx, c, p, n.FileID)
	}
	if err != nil {
		return sluice.Link{}, err
	}
	return change(ctx, s.core, c, sluice.LinksWrite, func(tx Tx, c Caller, now time.Time) (sluice.Link, error) {
		f, err := activeFile(tx, c.Ledger, n.FileID)
		if err != nil {
			return sluice.Link{}, err
		}
		return s.mint(tx, c, f, *p, now)
	})
}

// Batch is the result of minting many links at once: a link for each file that exists, and each recipient, in the order
// of the request, and the ids of the files that do not exist.
type Batch struct {
	Links  []sluice.Link
	Absent []string
}

// MintBatch makes one link for each of 1 to MaxBatch files, all or none. With recipients, it makes one for each file
// and recipient, at most MaxBatch in all. An id that is listed twice gets two links. It needs links:write.
func (s *Links) MintBatch(
	ctx context.Context, c Caller, fileIDs []string, recipients []sluice.Recipient, n NewLink,
) (Batch, error) {
	if err := checkBatch(len(fileIDs), recipients, n); err != nil {
		return Batch{}, err
	}
	pending, err := s.prepareEach(ctx, c, fileIDs, recipients, n)
	if err != nil {
		return Batch{}, err
	}
	return change(ctx, s.core, c, sluice.LinksWrite, func(tx Tx, c Caller, now time.Time) (b Batch, err error) {
		for _, id := range fileIDs {
			f, err := activeFile(tx, c.Ledger, id)
			if sluice.CodeOf(err) == sluice.CodeNotFound {
				b.Absent = append(b.Absent, id)
				continue
			}
			if err != nil {
				return Batch{}, err
			}
			for _, p := range pending {
				p.pdfs = pending[0].pdfs
				l, err := s.mint(tx, c, f, p, now)
				if err != nil {
					return Batch{}, err
				}
				b.Links = append(b.Links, l)
			}
		}
		return b, nil
	})
}

// checkBatch checks the size of a batch.
func checkBatch(files int, recipients []sluice.Recipient, n NewLink) error {
	var v sluice.Invalid
	if files < 1 || files > sluice.MaxBatch {
		v.Add("file_ids", "out_of_range", "file_ids has %d elements; 1 to %d are minted at once",
			files, sluice.MaxBatch)
	}
	switch {
	case len(recipients) > sluice.MaxBatch:
		v.Add("recipients", "too_many", "recipients has %d elements; at most %d links are minted at once",
			len(recipients), sluice.MaxBatch)
	case files*len(recipients) > sluice.MaxBatch:
		v.Add("recipients", "too_many", "%d files for %d recipients are %d links; at most %d are minted at once",
			files, len(recipients), files*len(recipients), sluice.MaxBatch)
	case len(recipients) > 0 && n.Access.Recipient != sluice.Recipient{}:
		v.Add("recipients", "invalid", "give recipient or recipients, not both")
	}
	return v.Err()
}

// prepareEach does what prepare does for a link to each recipient, or for one link if there are none.
func (s *Links) prepareEach(
	ctx context.Context, c Caller, fileIDs []string, recipients []sluice.Recipient, n NewLink,
) ([]pending, error) {
	var v sluice.Invalid
	var canonical []sluice.Recipient
	for i, r := range recipients {
		if param := fmt.Sprintf("recipients.%d", i); r == (sluice.Recipient{}) {
			v.Add(param+".email", "required", "a recipient needs an e-mail address")
		} else {
			canonical = append(canonical, canonicalRecipient(&v, param, r))
		}
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	if len(canonical) > 0 {
		n.Access.Recipient = canonical[0]
	}
	p, err := s.prepare(ctx, &n) // once: it hashes the password
	if err == nil {
		err = s.findPDFs(ctx, c, p, fileIDs...)
	}
	if err != nil {
		return nil, err
	}
	list := []pending{*p}
	for _, r := range canonical[min(1, len(canonical)):] {
		next := *p
		next.new.Access.Recipient = r
		list = append(list, next)
	}
	return list, nil
}

// pending is a link to be minted, checked as far as is possible without its file.
type pending struct {
	new      NewLink
	password sluice.PasswordHash
	pdfs     map[string]bool // the ids of the files whose bytes begin like a PDF
}

func (p *pending) setPDF(file string, is bool) {
	if p.pdfs == nil {
		p.pdfs = map[string]bool{}
	}
	p.pdfs[file] = is
}

// prepare does the part of minting that must be done outside of an Update: it validates the request and hashes the
// password. For a nil n it returns nil.
func (s *Links) prepare(ctx context.Context, n *NewLink) (*pending, error) {
	if n == nil {
		return nil, nil
	}
	var v sluice.Invalid
	validateMetadata(&v, n.Metadata)
	validateText(&v, "reason", n.Reason, sluice.MaxReasonLen)
	if n.Filename != "" {
		n.Filename = baseName(n.Filename)
	}
	validateText(&v, "filename", n.Filename, sluice.MaxFilenameLen)
	validateMaxDownloads(&v, n.MaxDownloads)
	validateAllowedIPs(&v, n.AllowedIPs)
	switch n.Disposition {
	case "":
		n.Disposition = sluice.Attachment
	case sluice.Attachment, sluice.Inline:
	default:
		v.Add("disposition", "invalid", "disposition is attachment or inline")
	}
	validatePassword(&v, n.Password)
	n.Access = s.canonicalAccess(&v, n.Access, n.Send)
	if err := v.Err(); err != nil {
		return nil, err
	}
	p := &pending{new: *n}
	var err error
	if n.Password != "" {
		p.password, err = password.Hash(ctx, s.random, n.Password)
	}
	return p, err
}

// mint makes a link, inside an Update.
func (s *Links) mint(tx Tx, c Caller, f sluice.File, p pending, now time.Time) (sluice.Link, error) {
	if err := s.linkable(f); err != nil {
		return sluice.Link{}, err
	}
	n := p.new
	var v sluice.Invalid
	expires := expiry(&v, n.Lifetime, n.Expires, now, now, s.longest(c.Key, f))
	validateInline(&v, n.Disposition, f.Type, p.pdfs[f.ID])
	purpose := s.limits.Purposes[f.Purpose]
	n.Access.Page = pageOf(n.Access, n.Password != "", purpose)
	validatePage(&v, n.Access, n.Password != "")
	validateRequired(&v, purpose, n.Reason, n.Access)
	if err := v.Err(); err != nil {
		return sluice.Link{}, err
	}
	l := sluice.Link{
		ID: s.ids.New(sluice.PrefixLink, now), Ledger: c.Ledger, FileID: f.ID, KeyID: c.Key.ID,
		SigningKey: s.keys[0].ID(),
		Reason:     n.Reason, Metadata: n.Metadata, Created: now, Updated: now, Expires: expires,
		MaxDownloads: n.MaxDownloads, Password: p.password, AllowedIPs: n.AllowedIPs,
		Disposition: n.Disposition, Filename: n.Filename, Access: n.Access.Ref(),
	}
	l.Seal = s.seals.Link(l)
	e := s.linkChange(c, sluice.LinkCreated, now, f, l, nil)
	err := tx.CreateLink(l, e)
	if err == nil && len(n.Access.Notify.On) > 0 {
		err = s.queueUnopened(tx, l, e.ID, now)
	}
	if n.Send && err == nil {
		err = s.send(tx, c, f, l, now)
	}
	return l, err
}

// linkable fails with CodeForbidden for a file whose purpose does not allow links or is no longer configured.
func (s *Links) linkable(f sluice.File) error {
	switch purpose, configured := s.limits.Purposes[f.Purpose]; {
	case !configured:
		return sluice.Errorf(sluice.CodeForbidden,
			"the purpose %s is not configured on this server, so its files may not be linked", f.Purpose)
	case !purpose.Linkable:
		return sluice.Errorf(sluice.CodeForbidden, "files of purpose %s may not be linked", f.Purpose)
	}
	return nil
}

// Longest is the longest lifetime that a caller may give to a link to a file, Forever for no limit.
func (s *Links) Longest(c Caller, f sluice.File) time.Duration { return s.longest(c.Key, f) }

// longest is the longest lifetime that a key may give to a link to a file: the shorter of the limits of the key and of
// the file's purpose.
func (s *Links) longest(k sluice.Key, f sluice.File) time.Duration {
	longest := s.limits.Lifetime(k)
	if p := s.limits.Purposes[f.Purpose]; p.MaxLinkLifetime != 0 {
		longest = min(longest, p.MaxLinkLifetime)
	}
	return longest
}

func (s *Links) linkEntry(c Caller, a sluice.Action, now time.Time, f sluice.File, l sluice.Link) sluice.Entry {
	e := s.entry(c, a, now)
	e.File, e.Link = audit.FilePart(f), audit.LinkPart(l)
	return e
}

// linkChange is the entry of a change of a link. It has the limits of the link and, if was is not nil, the values that
// the change replaced.
func (s *Links) linkChange(
	c Caller, a sluice.Action, now time.Time, f sluice.File, l sluice.Link, was *sluice.Link,
) sluice.Entry {
	e := s.linkEntry(c, a, now, f, l)
	e.Link = audit.LinkLimits(l, was)
	return e
}

// URL derives the URL of a link, with the signing key that the link was minted with, or with the first key if that one
// has been retired. Anyone who has the URL can read the file.
func (s *Links) URL(l sluice.Link) (string, error) {
	account, ok1 := objectid.Parse(sluice.PrefixAccount, l.Ledger.Account)
	link, ok2 := objectid.Parse(sluice.PrefixLink, l.ID)
	if !ok1 || !ok2 {
		return "", fmt.Errorf("no token for link %q of account %q: not an id", l.ID, l.Ledger.Account)
	}
	t := token.Token{Kind: token.Read, Live: l.Ledger.Mode.Live(), Account: account, Object: link}
	return s.publicURL + "/l/" + s.keys.Key(l.SigningKey).Make(t), nil
}

// visibleLink returns a link unless its owner has ended it. With a fileID the link must lead to that file.
func visibleLink(r Reader, ledger sluice.LedgerID, fileID, id string) (sluice.Link, error) {
	l, err := r.Link(ledger, id)
	if err == nil && (l.Ended == sluice.Revoked || fileID != "" && l.FileID != fileID) {
		err = NoSuch("link", id)
	}
	return l, found(err, "link", id)
}

// Get returns a link, whether or not it has expired. With a fileID the link must lead to that file. It needs
// links:read.
func (s *Links) Get(ctx context.Context, c Caller, fileID, id string) (l sluice.Link, err error) {
	err = s.read(ctx, c, sluice.LinksRead, func(r Reader) error {
		l, err = visibleLink(r, c.Ledger, fileID, id)
		return err
	})
	return l, err
}

// List returns links. A filter by a file that does not exist is CodeNotFound. It needs links:read.
func (s *Links) List(
	ctx context.Context, c Caller, filter LinkFilter, page sluice.Page,
) (list sluice.List[sluice.Link], err error) {
	filter.Now = s.now()
	err = s.read(ctx, c, sluice.LinksRead, func(r Reader) error {
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

// Update changes a link that has not ended. Its URL stays the same. A new expiry must be within the limits of the
// caller's key, the minting key and the purpose. A link that has ended is CodeLinkExpired or CodeLinkRevoked. A link of
// another version than wanted is CodePreconditionFailed. It needs links:write.
func (s *Links) Update(
	ctx context.Context, c Caller, fileID, id string, want Precondition, ch LinkChange,
) (sluice.Link, error) {
	if ch.ExpireNow {
		ctx = Ending(ctx)
	}
	return change(ctx, s.core, c, sluice.LinksWrite, func(tx Tx, c Caller, now time.Time) (sluice.Link, error) {
		l, err := visibleLink(tx, c.Ledger, fileID, id)
		if err != nil {
			return sluice.Link{}, err
		}
		if err := want.check(l.Version()); err != nil {
			return sluice.Link{}, err
		}
		switch {
		case !l.Revoked.IsZero():
			return sluice.Link{}, sluice.Errorf(sluice.CodeLinkRevoked,
				"this link was ended (%s) and cannot be changed", l.Ended)
		case l.Expired(now):
			return sluice.Link{}, sluice.Errorf(sluice.CodeLinkExpired, "this link has expired and cannot be changed")
		case !s.seals.TrustsLink(l):
			return sluice.Link{}, errAlteredLink
		}
		f, err := tx.File(c.Ledger, l.FileID)
		if err != nil {
			return sluice.Link{}, err
		}
		longest := s.longest(c.Key, f)
		if l.KeyID != "" { // the limits of the minting key hold for the whole life of the link
			k, err := tx.Key(c.Ledger, l.KeyID)
			if err != nil {
				return sluice.Link{}, err
			}
			longest = min(longest, s.limits.Lifetime(k))
		}
		was := l
		if err := ch.apply(&l, now, longest); err != nil {
			return sluice.Link{}, err
		}
		if err := s.applyAccess(&l, ch, s.limits.Purposes[f.Purpose]); err != nil {
			return sluice.Link{}, err
		}
		if endsAfter(l, was) {
			if err := s.linkable(f); err != nil {
				return sluice.Link{}, err
			}
		}
		l.Updated = next(now, l.Updated)
		l.Seal = s.seals.Link(l)
		e := s.linkChange(c, sluice.LinkUpdated, now, f, l, &was)
		err = tx.UpdateLink(l, e)
		same := slices.Equal(l.Access.Get().Notify.On, was.Access.Get().Notify.On)
		if err == nil && (!l.Expires.Equal(was.Expires) || !same) {
			err = s.queueUnopened(tx, l, e.ID, now)
		}
		return l, err
	})
}

// endsAfter reports whether a link ends later than it did.
func endsAfter(l, was sluice.Link) bool {
	return !was.Expires.IsZero() && (l.Expires.IsZero() || l.Expires.After(was.Expires))
}

func (ch LinkChange) apply(l *sluice.Link, now time.Time, longest time.Duration) error {
	var v sluice.Invalid
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
		validateText(&v, "reason", l.Reason, sluice.MaxReasonLen)
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

// End ends a link like Revoke, and returns the link as it was before. A request that repeats it with the same
// idempotency key gets the same link. It needs links:write.
func (s *Links) End(ctx context.Context, c Caller, fileID, id string) (sluice.Link, error) {
	return change(Ending(ctx), s.core, c, sluice.LinksWrite, func(tx Tx, c Caller, now time.Time) (sluice.Link, error) {
		return s.end(tx, c, fileID, id, nil, now)
	})
}

// Revoke ends a link for good. A link of another version than wanted is CodePreconditionFailed. It needs links:write.
func (s *Links) Revoke(ctx context.Context, c Caller, fileID, id string, want Precondition) (Deleted, error) {
	return change(Ending(ctx), s.core, c, sluice.LinksWrite, func(tx Tx, c Caller, now time.Time) (Deleted, error) {
		_, err := s.end(tx, c, fileID, id, want, now)
		return Deleted{ID: id}, err
	})
}

// end ends a link, inside an Update, and returns the link as it was before.
func (s *Links) end(tx Tx, c Caller, fileID, id string, want Precondition, now time.Time) (sluice.Link, error) {
	l, err := visibleLink(tx, c.Ledger, fileID, id)
	if err != nil {
		return sluice.Link{}, err
	}
	if err := want.check(l.Version()); err != nil {
		return sluice.Link{}, err
	}
	f, err := tx.File(c.Ledger, l.FileID)
	if err != nil {
		return sluice.Link{}, err
	}
	was := l
	l.Revoked, l.Ended, l.Updated = now, sluice.Revoked, next(now, l.Updated)
	l.Seal = s.seals.Link(l)
	e := s.linkChange(c, sluice.LinkEnded, now, f, l, nil)
	err = tx.UpdateLink(l, e)
	if err == nil && len(l.Access.Get().Notify.On) > 0 {
		err = s.queueUnopened(tx, l, e.ID, now)
	}
	return was, err
}
