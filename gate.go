package sluice

import (
	"context"
	"io"
	"net/netip"
	"time"
	"unicode/utf8"
)

// Bearer is whoever presents a link's URL, and what they send with it.
type Bearer struct {
	Address  netip.Addr // the client's, as far as proxies are trusted
	Password string     // "" when none was sent
	// Spends says whether content is asked for: a request without, such as
	// HEAD, is recorded but does not count against MaxDownloads.
	Spends  bool
	Request Request
}

// Grant is a redemption that was decided, and whose entry is committed: the
// bytes may leave.
type Grant struct {
	File    File
	Link    Link
	Content io.ReadSeekCloser
}

// Redeem turns a token into the bytes it gives a right to. A token that no
// signing key made is CodeNotFound and costs no I/O. Else the decision is made
// against link, file and minting key as they are now, and is committed to the
// log, allowed or refused, before Redeem returns. What is refused is CodeGone
// or CodeForbidden with the rule as Reason; too many wrong passwords are
// CodeRateLimited.
//
// The caller closes Grant.Content.
func (s *Service) Redeem(ctx context.Context, token string, b Bearer) (*Grant, error) {
	ledger, id, ok := s.keys.open(token)
	if !ok {
		return nil, errNoLink
	}
	g, err := s.decide(ctx, ledger, id, b, "")
	if err == errAsksPassword {
		var proved PasswordHash
		if proved, err = s.provePassword(g.Link, b.Password); err == nil {
			g, err = s.decide(ctx, ledger, id, b, proved)
		}
	}
	if CodeOf(err) == CodeNotFound {
		return nil, errNoLink
	}
	if err != nil {
		return nil, err
	}
	// A file deleted since the decision has no bytes any more.
	if g.Content, err = s.blobs.Open(ctx, g.File.ID); CodeOf(err) == CodeNotFound {
		return nil, s.missingBytes(ctx, g.File, err)
	}
	return g, err
}

// decide commits the decision on one redemption. A hash takes longer to check
// than an Update may, so a link with a password is decided in two steps: the
// first gives errAsksPassword and commits nothing, the second brings the hash
// that was proved, or wrongPassword.
func (s *Service) decide(ctx context.Context, ledger LedgerID, id string, b Bearer, proved PasswordHash) (*Grant, error) {
	bearer := Caller{Ledger: ledger, Actor: Actor{Type: ActorBearer, ID: id}, Request: b.Request.clipped()}
	var g Grant
	var refusal Refusal
	err := s.store.Update(Foresee(ctx, id), ledger, func(tx Tx) error {
		now := s.Now()
		k, err := g.load(tx, ledger, id)
		if err != nil {
			return err
		}
		refusal = refuse(g.Link, g.File, k, now, b)
		if refusal == "" && g.Link.Password != "" {
			switch {
			case proved == "":
				return errAsksPassword
			case proved != g.Link.Password:
				refusal = WrongPassword
			}
		}
		e := s.linkEntry(bearer, LinkRedeemed, now, g.File, g.Link)
		if k.ID != "" {
			e.Key = &KeyPart{ID: k.ID, Name: k.Name}
		}
		switch {
		case refusal != "":
			e.Action, e.Outcome, e.Refusal = LinkRefused, Refused, refusal
			return tx.Record(e)
		case !b.Spends:
			return tx.Record(e)
		}
		return tx.Redeemed(id, now, e)
	})
	if err == nil && refusal != "" {
		err = refused(refusal)
	}
	return &g, err
}

func (g *Grant) load(r Reader, ledger LedgerID, id string) (k Key, err error) {
	if g.Link, err = r.Link(ledger, id); err != nil {
		return Key{}, err
	}
	if g.File, err = r.File(ledger, g.Link.FileID); err != nil {
		return Key{}, err
	}
	if g.Link.KeyID != "" {
		k, err = r.Key(ledger, g.Link.KeyID)
	}
	return k, err
}

// refuse is the rule of redemption: the reason why a link is no longer good,
// or not good for this bearer, or "". The password is decide's.
func refuse(l Link, f File, k Key, now time.Time, b Bearer) Refusal {
	switch {
	case !l.Revoked.IsZero():
		return l.Ended
	case !f.Active():
		return FileDeleted
	case !k.Revoked.IsZero():
		return KeyRevoked
	case l.Expired(now):
		return Expired
	case l.MaxDownloads != 0 && l.Downloads >= l.MaxDownloads:
		return Exhausted
	case !l.allows(b.Address):
		return AddressNotAllowed
	}
	return ""
}

// allows reports whether a link may be redeemed from an address. An IPv4
// address that came as IPv6 is what it stands for.
func (l Link) allows(from netip.Addr) bool {
	for _, p := range l.AllowedIPs {
		if p.Contains(from.Unmap().WithZone("")) {
			return true
		}
	}
	return len(l.AllowedIPs) == 0
}

// wrongPassword is no hash of anything.
const wrongPassword PasswordHash = "wrong"

// provePassword gives the link's own hash for the right password, and
// wrongPassword for any other. Guessing too fast is CodeRateLimited, and is
// neither checked nor recorded.
func (s *Service) provePassword(l Link, password string) (PasswordHash, error) {
	if password == "" {
		return wrongPassword, nil
	}
	if !s.passwords.take(l.ID, s.Now()) {
		return "", &Error{Code: CodeRateLimited, Detail: "too many wrong passwords", RetryAfter: guessEvery}
	}
	if len(password) > MaxPasswordLen*utf8.UTFMax || !l.Password.matches(password) {
		return wrongPassword, nil
	}
	s.passwords.giveBack(l.ID)
	return l.Password, nil
}

// missingBytes tells a file that was deleted since a decision from one whose
// bytes were lost.
func (s *Service) missingBytes(ctx context.Context, f File, cause error) error {
	err := s.store.View(ctx, func(r Reader) (err error) {
		f, err = r.File(f.Ledger, f.ID)
		return err
	})
	if err == nil && !f.Active() {
		return refused(FileDeleted)
	}
	return Wrap(CodeInternal, "", cause)
}

// errNoLink is the one answer to every token that is not authentic.
var errNoLink = Errorf(CodeNotFound, "there is no such link")

// errAsksPassword never leaves Redeem.
var errAsksPassword = Errorf(CodeForbidden, "the link asks for a password")

// refused is the error a bearer gets for a refusal: gone for what cannot come
// back, forbidden for what another bearer could do.
func refused(r Refusal) error {
	e := &Error{Code: CodeGone, Reason: r}
	switch r {
	case Expired:
		e.Detail = "this link has expired"
	case Revoked:
		e.Detail = "this link was ended by its owner"
	case Exhausted:
		e.Detail = "this link has been used as often as it may be"
	case FileDeleted:
		e.Detail = "the file behind this link was deleted"
	case KeyRevoked:
		e.Detail = "the key that made this link was revoked"
	case WrongPassword:
		e.Code, e.Detail = CodeForbidden, "this link needs its password: send it as X-Link-Password, or by Basic authentication"
	case AddressNotAllowed:
		e.Code, e.Detail = CodeForbidden, "this link may not be used from your address"
	}
	return e
}
