package gate

import (
	"context"
	"errors"
	"strings"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/presentation"
	"sluice/internal/refusals"
	"sluice/internal/service"
)

// decide commits the decision on one redemption. Checking a password takes longer
// than an Update may, so a link with a password is decided in two calls: the
// first returns errAsksPassword and commits nothing; the second is given the
// proved hash, or wrongPassword.
//
// A link that was refused recently is first decided in a View, so that a repeated
// refusal costs no commit.
func (gate *Gate) decide(
	ctx context.Context, ledger sluice.LedgerID, id string, b *Bearer, proved sluice.PasswordHash,
) (g *Grant, err error) {
	object := refusals.Object{Ledger: ledger, ID: id}
	var refusal sluice.Refusal
	err = errUndecided
	if gate.refusals.Recent(object) {
		g, refusal, err = gate.viewDecision(ctx, object, b, proved)
	}
	if err == errUndecided {
		g, refusal, err = gate.commitDecision(ctx, object, b, proved)
	}
	if err == nil && refusal != "" {
		err = refused(refusal)
	}
	return g, err
}

// viewDecision decides in a View, where the decision is a refusal that is only counted.
func (gate *Gate) viewDecision(
	ctx context.Context, object refusals.Object, b *Bearer, proved sluice.PasswordHash,
) (g *Grant, refusal sluice.Refusal, err error) {
	err = gate.store.View(ctx, func(r service.Reader) (err error) {
		g = gate.begin(object.Ledger, object.ID, *b)
		if _, refusal, err = gate.judge(r, g, *b, proved); err != nil {
			return err
		}
		if refusal == "" || !gate.refusals.Repeated(object, refusal, g.by, g.began) {
			return errUndecided
		}
		return nil
	})
	return g, refusal, err
}

// commitDecision decides in an Update. When it returns, the decision is in the log.
func (gate *Gate) commitDecision(
	ctx context.Context, object refusals.Object, b *Bearer, proved sluice.PasswordHash,
) (g *Grant, refusal sluice.Refusal, err error) {
	attempt := gate.refusals.Attempt()
	err = gate.update(service.Prefetch(ctx, object.ID), object.Ledger, func(tx service.Tx) error {
		attempt.Again()
		g = gate.begin(object.Ledger, object.ID, *b)
		var open service.OpenGrant
		var err error
		if open, refusal, err = gate.judge(tx, g, *b, proved); err != nil {
			return err
		}
		if refusal != "" {
			var write bool
			if g.repeats, write = attempt.Begin(object, refusal, g.began); !write {
				return nil
			}
		}
		return gate.record(tx, g, *b, open, refusal)
	})
	if g != nil {
		attempt.End(g.by, g.began, err)
	}
	if err == nil && refusal == sluice.Altered {
		gate.log.Error("link refused: its row, or that of its key, was altered in the database",
			"link", object.ID, "ledger", object.Ledger)
	}
	return g, refusal, err
}

// begin returns a Grant before its decision.
func (gate *Gate) begin(ledger sluice.LedgerID, id string, b Bearer) *Grant {
	return &Grant{
		ledger: ledger,
		by: refusals.Caller{
			Actor: sluice.Actor{Type: sluice.ActorBearer, ID: id}, Request: audit.ClipRequest(b.Request),
		},
		began: gate.service.Now(),
	}
}

// judge loads link, file and key, plans the response, and returns the refusal, or "". If open is set, the response is
// taken from an open grant of the bearer.
func (gate *Gate) judge(
	r service.Reader, g *Grant, b Bearer, proved sluice.PasswordHash,
) (open service.OpenGrant, refusal sluice.Refusal, err error) {
	k, err := g.load(r, g.ledger, g.by.Actor.ID)
	if err != nil {
		return open, "", err
	}
	g.Plan = b.Want.Plan(g.File)
	if gate.redirect != nil && g.Plan.Bytes > 0 && !limited(g.Link) { // a presigned URL gives access to the whole file
		g.Plan = redirected(g.File)
	}
	open, answered, err := g.findOpenGrant(r, b, g.began)
	if err != nil {
		return open, "", err
	}
	refusal = refuse(gate.limits, gate.service.Seals(), g.Link, g.File, k, g.began, b.Address)
	if refusal == sluice.Exhausted && open.LinkID != "" {
		refusal = ""
	}
	if refusal == "" && !answered {
		refusal, err = g.challenge(b, proved)
	}
	return open, refusal, err
}

// challenge checks the link's password. It returns ErrAsk or errAsksPassword if
// the bearer has yet to be asked for it, or for their consent to a download, and
// ErrUnnamed before both.
func (g *Grant) challenge(b Bearer, proved sluice.PasswordHash) (sluice.Refusal, error) {
	switch {
	case b.Person && !b.Answered && !b.Named && g.isTitled():
		return "", ErrUnnamed
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

// record records a decision and its effects: it counts a download, or takes the
// response from an open grant.
func (gate *Gate) record(
	tx service.Tx, g *Grant, b Bearer, open service.OpenGrant, refusal sluice.Refusal,
) (err error) {
	by := service.Caller{Ledger: g.ledger, Actor: g.by.Actor, Request: g.by.Request}
	e := gate.service.NewLinkEntry(by, sluice.LinkRedeemed, g.began, g.File, g.Link)
	e.Key, e.Delivery = g.key, &sluice.DeliveryPart{Mode: g.Plan.mode(), Status: g.Plan.Status}
	switch {
	case refusal != "":
		e.Action, e.Outcome, e.Refusal, e.Delivery = sluice.LinkRefused, sluice.Refused, refusal, nil
		e.Repeats = g.repeats
		if e.Request != nil {
			*e.Request = refusals.Kept(*e.Request)
		}
		return errors.Join(tx.Record(e), gate.service.Mails.Refused(tx, g.Link, e.ID, 1+e.Repeats, g.began))
	case !g.Plan.consumes():
		return tx.Record(e)
	}
	if g.seq, err = tx.Size(g.ledger); err != nil { // the seq of e
		return err
	}
	switch {
	case g.Link.MaxDownloads == 0 && g.Plan.Continuation: // the download was counted when it began
		return tx.Record(e)
	case g.Link.MaxDownloads == 0:
		g.counts = true
		return errors.Join(tx.Redeemed(g.Link.ID, g.began, e), gate.service.Mails.Downloaded(tx, g.Link, e.ID, g.began))
	case open.LinkID != "":
		open.Left -= g.Plan.cost()
		g.openGrant = open
		return errors.Join(tx.Record(e), tx.SetGrant(open))
	}
	if g.openGrant, err = gate.newOpenGrant(g, b, g.began); err != nil {
		return err
	}
	g.counts = true
	return errors.Join(tx.Redeemed(g.Link.ID, g.began, e), tx.SetGrant(g.openGrant),
		gate.service.Mails.Downloaded(tx, g.Link, e.ID, g.began))
}

// asks reports whether a person must be asked before the link is used.
func (g *Grant) asks() bool {
	return g.Plan.consumes() && (g.Link.Password != "" || g.Link.MaxDownloads != 0)
}

// isTitled reports whether a browser shows the file in place under a title that it takes from the URL.
func (g *Grant) isTitled() bool {
	return strings.HasPrefix(g.File.Type, "image/") && presentation.IsInline(g.Link, g.File) &&
		g.Plan.mode() != sluice.DeliveredByRedirect
}

func (g *Grant) load(r service.Reader, ledger sluice.LedgerID, id string) (k sluice.Key, err error) {
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
