package sluice

import (
	"context"
	"io"
	"time"
)

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
// with the rule as Reason.
//
// The caller closes Grant.Content.
func (s *Service) Redeem(ctx context.Context, token string, r Request) (*Grant, error) {
	ledger, id, ok := s.keys.open(token)
	if !ok {
		return nil, errNoLink
	}
	bearer := Caller{Ledger: ledger, Actor: Actor{Type: ActorBearer, ID: id}, Request: r.clipped()}
	var g Grant
	var refusal Refusal
	err := s.store.Update(ctx, ledger, func(tx Tx) error {
		now := s.Now()
		k, err := g.load(tx, ledger, id)
		if err != nil {
			return err
		}
		e := s.linkEntry(bearer, LinkRedeemed, now, g.File, g.Link)
		if k.ID != "" {
			e.Key = &KeyPart{ID: k.ID, Name: k.Name}
		}
		if refusal = refuse(g.Link, g.File, k, now); refusal != "" {
			e.Action, e.Outcome, e.Refusal = LinkRefused, Refused, refusal
			return tx.Record(e)
		}
		return tx.Redeemed(id, now, e)
	})
	if CodeOf(err) == CodeNotFound {
		return nil, errNoLink
	}
	if err != nil {
		return nil, err
	}
	if refusal != "" {
		return nil, gone(refusal)
	}
	// A file deleted since the decision has no bytes any more.
	if g.Content, err = s.blobs.Open(ctx, g.File.ID); CodeOf(err) == CodeNotFound {
		return nil, s.missingBytes(ctx, g.File, err)
	}
	return &g, err
}

// missingBytes tells a file that was deleted since a decision from one whose
// bytes were lost.
func (s *Service) missingBytes(ctx context.Context, f File, cause error) error {
	err := s.store.View(ctx, func(r Reader) (err error) {
		f, err = r.File(f.Ledger, f.ID)
		return err
	})
	if err == nil && !f.Active() {
		return gone(FileDeleted)
	}
	return Wrap(CodeInternal, "", cause)
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

// refuse is the rule of redemption: the reason why a link is no longer good, or "".
func refuse(l Link, f File, k Key, now time.Time) Refusal {
	switch {
	case !l.Revoked.IsZero():
		return l.Ended
	case !f.Active():
		return FileDeleted
	case !k.Revoked.IsZero():
		return KeyRevoked
	case l.Expired(now):
		return Expired
	}
	return ""
}

// errNoLink is the one answer to every token that is not authentic.
var errNoLink = Errorf(CodeNotFound, "there is no such link")

var goneDetail = map[Refusal]string{
	Expired:     "this link has expired",
	Revoked:     "this link was ended by its owner",
	FileDeleted: "the file behind this link was deleted",
	KeyRevoked:  "the key that made this link was revoked",
}

func gone(r Refusal) error {
	return &Error{Code: CodeGone, Reason: r, Detail: goneDetail[r]}
}
