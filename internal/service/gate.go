package service

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/netip"
	"time"
	"unicode/utf8"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/password"
	"sluice/internal/presentation"
	"sluice/internal/refusals"
)

// Bearer is whoever presents a link's URL, and what they send with it.
type Bearer struct {
	Address  netip.Addr // the client's, as far as proxies are trusted
	Password string     // "" when none was sent
	// Person says that somebody sits before it, who is asked before a password
	// or a download is taken from them; Answered, that this is the answer.
	Person, Answered bool
	// Cookie is the one a Grant gave this bearer, "" for none.
	Cookie string
	// Want is what they ask for of the file.
	Want    Want
	Request sluice.Request
}

// Grant is a redemption that was decided, and whose entry is committed: the
// bytes may leave.
type Grant struct {
	File sluice.File
	Link sluice.Link
	Plan Plan
	// Content is nil when the plan has no bytes, or a Location.
	Content io.ReadSeekCloser
	// Location is where the bearer gets the bytes, for RedirectLasts; "" when
	// Sluice sends them.
	Location string
	// Cookie is a secret to give to a person's browser for as long as GrantLasts:
	// with it, parts of the file come without counting again. "" when there is none.
	Cookie string

	bearer Caller
	key    *sluice.KeyPart
	began  time.Time
	taken  OpenGrant // what the bytes are taken from, if the link counts
	counts bool      // as one more download
	failed bool      // on Sluice's side
	sent   sluice.Sent
	entry  string // id of the entry that tells what was sent

	repeats int64 // refusals without an entry, which the entry of this one tells of
}

// RedirectLasts is how long the address is good to which a bearer is redirected.
const RedirectLasts = time.Minute

// GrantLasts is how long a bearer who was counted may ask again, for parts or
// for the whole, without being counted.
const GrantLasts = 10 * time.Minute

// OpenGrant is what a bearer of a link with a number of downloads may still ask
// for without being counted again.
type OpenGrant struct {
	LinkID  string
	Bearer  sluice.Digest // of their cookie, or of their address and user agent
	Expires time.Time
	Left    int64 // bytes
}

// Redeem turns a token into the bytes it gives a right to. A token that no
// signing key made is CodeNotFound and costs no I/O. Else the decision is made
// against link, file and minting key as they are now, and is committed to the
// log, allowed or refused, before Redeem returns. What is refused is CodeGone
// or CodeForbidden with the rule as Reason; too many wrong passwords are
// CodeRateLimited.
//
// A person who has to be asked first gets ErrAsk with a Grant that has File and
// Link only; nothing is decided. A wrong password comes with one too: who
// mistyped it is asked again.
//
// The caller closes Grant.Content, and tells Delivered or Failed what became of
// the bytes, once for each Grant. Flush waits for that. When the bytes cannot be
// opened, or the address of a redirect cannot be made, Redeem gives the download
// back itself.
func (s *Service) Redeem(ctx context.Context, token string, b Bearer) (*Grant, error) {
	ledger, id, ok := s.keys.open(token)
	if !ok {
		return nil, errNoLink
	}
	if err := s.deliverable(ctx, ledger); err != nil {
		return nil, err
	}
	g, err := s.decide(ctx, ledger, id, b, "")
	if err == errAsksPassword {
		var proved sluice.PasswordHash
		if proved, err = s.provePassword(ctx, g.Link, b); err == nil {
			g, err = s.decide(ctx, ledger, id, b, proved)
		}
	}
	switch {
	case err == ErrAsk, sluice.ReasonOf(err) == sluice.WrongPassword:
		return g, err
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		return nil, errNoLink
	case err != nil:
		return nil, err
	}
	if g.Plan.spends() {
		s.delivered.underway.Add(1)
	}
	if err := s.fetch(ctx, g); err != nil {
		if ctx.Err() != nil { // the bearer went away
			s.Delivered(g, 0)
		} else {
			s.Failed(g, 0)
		}
		return nil, err
	}
	return g, nil
}

// fetch gives a grant its bytes, or the address of them.
func (s *Service) fetch(ctx context.Context, g *Grant) (err error) {
	switch {
	case g.Plan.mode() == sluice.DeliveredByRedirect:
		g.Location, err = s.redirect.Presign(ctx, g.File.ID, g.presigned())
	case g.Plan.Bytes > 0:
		// A file deleted since the decision has no bytes any more.
		if g.Content, err = s.openBytes(ctx, g.File); sluice.CodeOf(err) == sluice.CodeNotFound {
			err = s.missingBytes(ctx, g.File, err)
		}
	}
	return err
}

// presigned says how whoever has the bytes presents the file of a grant.
func (g *Grant) presigned() Presigned {
	return Presigned{
		Type: presentation.Type(g.File), Disposition: presentation.Disposition(g.Link, g.File), Lifetime: RedirectLasts,
	}
}

// decide commits the decision on one redemption. A hash takes longer to check
// than an Update may, so a link with a password is decided in two steps: the
// first gives errAsksPassword and commits nothing, the second brings the hash
// that was proved, or wrongPassword.
func (s *Service) decide(ctx context.Context, ledger sluice.LedgerID, id string, b Bearer, proved sluice.PasswordHash) (*Grant, error) {
	var g *Grant
	var refusal sluice.Refusal
	object, attempt := refusals.Object{Ledger: ledger, ID: id}, s.refusals.Attempt()
	peeks := s.refusals.Recent(object)
	judge := func(tx Reader) error {
		attempt.Again()
		now := s.Now()
		g = &Grant{bearer: Caller{Ledger: ledger, Actor: sluice.Actor{Type: sluice.ActorBearer, ID: id}, Request: audit.ClipRequest(b.Request)}, began: now}
		k, err := g.load(tx, ledger, id)
		if err != nil {
			return err
		}
		g.Plan = b.Want.Plan(g.File)
		if s.redirect != nil && g.Plan.Bytes > 0 && !limited(g.Link) { // whoever has the address has all of the file
			g.Plan = redirected(g.File)
		}
		open, answered, err := g.covered(tx, b, now)
		if err != nil {
			return err
		}
		refusal = s.refuse(g.Link, g.File, k, now, b)
		if refusal == sluice.Exhausted && open.LinkID != "" {
			refusal = ""
		}
		if refusal == "" && !answered {
			if refusal, err = g.question(b, proved); err != nil {
				return err
			}
		}
		if peeks {
			if refusal == "" || !s.refusals.Repeated(object, refusal, askedBy(g.bearer), now) {
				return errUndecided
			}
			return nil
		}
		if refusal != "" {
			var write bool
			if g.repeats, write = attempt.Begin(object, refusal, now); !write {
				return nil
			}
		}
		return s.record(tx.(Tx), g, b, open, refusal)
	}
	// What was refused a moment ago is looked at first: it costs no commit when it
	// is refused again.
	var err error = errUndecided
	if peeks {
		err = s.store.View(ctx, judge)
		peeks = false
	}
	if err == errUndecided {
		err = s.store.Update(Foresee(ctx, id), ledger, func(tx Tx) error { return judge(tx) })
		if g != nil {
			attempt.End(askedBy(g.bearer), g.began, err)
		}
	}
	if err == nil && refusal != "" {
		err = refused(refusal)
	}
	return g, err
}

// question is what a link asks of those who have not answered yet: ErrAsk and
// errAsksPassword say that they are to be asked.
func (g *Grant) question(b Bearer, proved sluice.PasswordHash) (sluice.Refusal, error) {
	switch {
	case b.Person && !b.Answered && g.asks():
		return "", ErrAsk
	case g.Link.Password == "":
		return "", nil
	case proved == "":
		return "", errAsksPassword
	case proved != g.Link.Password:
		return sluice.WrongPassword, nil
	}
	return "", nil
}

// record writes a decision, with what follows from it: one more download, or
// less that is left of an open grant.
func (s *Service) record(tx Tx, g *Grant, b Bearer, open OpenGrant, refusal sluice.Refusal) (err error) {
	e := s.linkEntry(g.bearer, sluice.LinkRedeemed, g.began, g.File, g.Link)
	e.Key, e.Delivery = g.key, &sluice.DeliveryPart{Mode: g.Plan.mode(), Status: g.Plan.Status}
	switch {
	case refusal != "":
		e.Action, e.Outcome, e.Refusal, e.Delivery = sluice.LinkRefused, sluice.Refused, refusal, nil
		e.Repeats = g.repeats
		if e.Request != nil {
			*e.Request = refusals.Kept(*e.Request)
		}
		return tx.Record(e)
	case !g.Plan.spends():
		return tx.Record(e)
	case g.Link.MaxDownloads == 0 && g.Plan.Later: // more of a download that was counted when it began
		return tx.Record(e)
	case g.Link.MaxDownloads == 0:
		g.counts = true
		return tx.Redeemed(g.Link.ID, g.began, e)
	case open.LinkID != "":
		open.Left -= g.Plan.cost()
		g.taken = open
		return errors.Join(tx.Record(e), tx.SetGrant(open))
	}
	if g.taken, err = s.open(g, b, g.began); err != nil {
		return err
	}
	g.counts = true
	return errors.Join(tx.Redeemed(g.Link.ID, g.began, e), tx.SetGrant(g.taken))
}

// asks reports whether a person is asked before the link is used.
func (g *Grant) asks() bool {
	return g.Plan.spends() && (g.Link.Password != "" || g.Link.MaxDownloads != 0)
}

// Bearers are named without keeping who they are: by the cookie they have, or
// by their address and user agent.

func byCookie(link, cookie string) sluice.Digest {
	return sha256.Sum256([]byte("cookie\x00" + link + "\x00" + cookie))
}

func byClient(link string, b Bearer) sluice.Digest {
	return sha256.Sum256([]byte("client\x00" + link + "\x00" + b.Address.String() + "\x00" + b.Request.UserAgent))
}

// covered gives the grant by which an answer comes without counting, or one of
// nothing. Whoever has it by its cookie has answered what the link asks.
func (g *Grant) covered(r Reader, b Bearer, now time.Time) (open OpenGrant, answered bool, err error) {
	if g.Link.MaxDownloads == 0 {
		return OpenGrant{}, false, nil
	}
	if b.Cookie != "" {
		open, err = r.OpenGrant(g.Link.Ledger, g.Link.ID, byCookie(g.Link.ID, b.Cookie))
		if err == nil && open.covers(g.Plan, now) {
			return open, true, nil
		}
	}
	if err == nil || sluice.CodeOf(err) == sluice.CodeNotFound {
		open, err = r.OpenGrant(g.Link.Ledger, g.Link.ID, byClient(g.Link.ID, b))
	}
	if sluice.CodeOf(err) == sluice.CodeNotFound || err == nil && !open.covers(g.Plan, now) {
		return OpenGrant{}, false, nil
	}
	return open, false, err
}

// covers reports whether an answer comes without counting: it does as long as
// that many bytes are left, and always when it has no bytes.
func (o OpenGrant) covers(p Plan, now time.Time) bool {
	return now.Before(o.Expires) && p.cost() <= o.Left
}

// open opens a grant with a download that is counted. In all, twice the file's
// size may be taken from it, so whoever lost a download can have the whole file
// once more.
func (s *Service) open(g *Grant, b Bearer, now time.Time) (OpenGrant, error) {
	bearer := byClient(g.Link.ID, b)
	if b.Person {
		var secret [16]byte
		if _, err := io.ReadFull(s.random, secret[:]); err != nil {
			return OpenGrant{}, err
		}
		g.Cookie = base64.RawURLEncoding.EncodeToString(secret[:])
		bearer = byCookie(g.Link.ID, g.Cookie)
	}
	return OpenGrant{LinkID: g.Link.ID, Bearer: bearer, Expires: now.Add(GrantLasts), Left: 2*max(1, g.File.Size) - g.Plan.cost()}, nil
}

func (g *Grant) load(r Reader, ledger sluice.LedgerID, id string) (k sluice.Key, err error) {
	if g.Link, err = r.Link(ledger, id); err != nil {
		return sluice.Key{}, err
	}
	if g.File, err = r.File(ledger, g.Link.FileID); err != nil {
		return sluice.Key{}, err
	}
	if g.Link.KeyID != "" {
		k, err = r.Key(ledger, g.Link.KeyID)
	}
	if err == nil && k.ID != "" {
		g.key = &sluice.KeyPart{ID: k.ID, Name: k.Name}
	}
	return k, err
}

// refuse is the rule of redemption: the reason why a link is no longer good,
// or not good for this bearer, or "". The password is decide's. The minting key
// and the purpose are judged as they are now. A link that the operator minted
// has no key, and a purpose that is not configured any more has no rules: such
// links stay good until their own end.
func (s *Service) refuse(l sluice.Link, f sluice.File, k sluice.Key, now time.Time, b Bearer) sluice.Refusal {
	purpose, configured := s.purposes[f.Purpose]
	switch {
	case !l.Revoked.IsZero():
		return l.Ended
	case !f.Active():
		return sluice.FileDeleted
	case !k.Revoked.IsZero():
		return sluice.KeyRevoked
	case l.Expired(now):
		return sluice.Expired
	case k.ID != "" && !k.Active(now):
		return sluice.KeyExpired
	case k.ID != "" && (!k.Grants(sluice.LinksWrite) || outlived(l, s.linkLifetime(k), now)):
		return sluice.KeyRestricted
	case configured && (!purpose.Linkable || purpose.MaxLinkLifetime != 0 && outlived(l, purpose.MaxLinkLifetime, now)):
		return sluice.PurposeRestricted
	case !allows(l, b.Address):
		return sluice.AddressNotAllowed
	case l.MaxDownloads != 0 && l.Downloads >= l.MaxDownloads:
		return sluice.Exhausted // the last, for a grant goes beyond it
	}
	return ""
}

// limited reports whether a link is for some bearers or some downloads only. An
// address of a store of bytes would be good for anyone, any number of times, so
// Sluice sends the file itself.
func limited(l sluice.Link) bool {
	return l.MaxDownloads != 0 || l.Password != "" || len(l.AllowedIPs) != 0
}

// outlived reports whether a link is as old as a longest lifetime allows, or older.
func outlived(l sluice.Link, longest time.Duration, now time.Time) bool {
	return longest != sluice.Forever && !now.Before(l.Created.Add(longest))
}

// allows reports whether a link may be redeemed from an address. An IPv4
// address that came as IPv6 is what it stands for.
func allows(l sluice.Link, from netip.Addr) bool {
	for _, p := range l.AllowedIPs {
		if p.Contains(from.Unmap().WithZone("")) {
			return true
		}
	}
	return len(l.AllowedIPs) == 0
}

// wrongPassword is no hash of anything.
const wrongPassword sluice.PasswordHash = "wrong"

// provePassword gives the link's own hash for the right password, and
// wrongPassword for any other, which is counted then. Guessing too often is
// CodeRateLimited, and is neither checked nor recorded.
func (s *Service) provePassword(ctx context.Context, l sluice.Link, b Bearer) (sluice.PasswordHash, error) {
	if b.Password == "" {
		return wrongPassword, nil
	}
	from := guesser(l.ID, b.Address)
	end, err := s.guessing.take(ctx, from)
	if err != nil {
		return "", err
	}
	defer end()
	var before time.Duration
	err = s.store.View(ctx, func(r Reader) error {
		now := s.Now()
		address, all, err := guesses(r, l, from, now)
		before = wait(address, all, now)
		return err
	})
	if err != nil {
		return "", err
	}
	if before > 0 {
		return "", &sluice.Error{Code: sluice.CodeRateLimited, Detail: "too many wrong passwords", RetryAfter: before}
	}
	right := false
	if len(b.Password) <= MaxPasswordLen*utf8.UTFMax {
		if right, err = password.Matches(ctx, l.Password, b.Password); err != nil {
			return "", err
		}
	}
	if right {
		return l.Password, nil
	}
	return wrongPassword, s.countGuess(ctx, l, from)
}

// missingBytes tells a file that was deleted since a decision from one whose
// bytes were lost.
func (s *Service) missingBytes(ctx context.Context, f sluice.File, cause error) error {
	err := s.store.View(ctx, func(r Reader) (err error) {
		f, err = r.File(f.Ledger, f.ID)
		return err
	})
	if err == nil && !f.Active() {
		return refused(sluice.FileDeleted)
	}
	return sluice.Wrap(sluice.CodeInternal, "", cause)
}

// errNoLink is the one answer to every token that is not authentic.
var errNoLink = sluice.Errorf(sluice.CodeNotFound, "there is no such link")

// ErrAsk says that a person has to be asked: for the password, or whether they
// mean to spend a download. What fetches links to look at them only goes no further.
var ErrAsk = sluice.Errorf(sluice.CodeForbidden, "this link asks first")

// errUndecided never leaves decide: what was only looked at has to be decided.
var errUndecided = sluice.Errorf(sluice.CodeInternal, "undecided")

// errAsksPassword never leaves Redeem.
var errAsksPassword = sluice.Errorf(sluice.CodeForbidden, "the link asks for a password")

// refused is the error a bearer gets for a refusal: gone when no bearer can
// use the link, forbidden when another bearer could.
func refused(r sluice.Refusal) error {
	e := &sluice.Error{Code: sluice.CodeGone, Reason: r}
	switch r {
	case sluice.Expired:
		e.Detail = "this link has expired"
	case sluice.Revoked:
		e.Detail = "this link was ended by its owner"
	case sluice.Exhausted:
		e.Detail = "this link has been used as often as it may be"
	case sluice.FileDeleted:
		e.Detail = "the file behind this link was deleted"
	case sluice.KeyRevoked:
		e.Detail = "the key that made this link was revoked"
	case sluice.KeyExpired:
		e.Detail = "the key that made this link has expired"
	case sluice.KeyRestricted:
		e.Detail = "the key that made this link may no longer make one like it"
	case sluice.PurposeRestricted:
		e.Detail = "files of this purpose may no longer be linked like this"
	case sluice.WrongPassword:
		e.Code, e.Detail = sluice.CodeForbidden, "this link needs its password: send it as X-Link-Password, or by Basic authentication"
	case sluice.AddressNotAllowed:
		e.Code, e.Detail = sluice.CodeForbidden, "this link may not be used from your address"
	}
	return e
}
