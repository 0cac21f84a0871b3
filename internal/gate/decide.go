package gate

import (
	"context"
	"errors"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/refusals"
	"sluice/internal/service"
)

// decide commits the decision on one redemption. A hash takes longer to check
// than an Update may, so a link with a password is decided in two steps: the
// first gives errAsksPassword and commits nothing, the second brings the hash
// that was proved, or wrongPassword.
func (gate *Gate) decide(ctx context.Context, ledger sluice.LedgerID, id string, b Bearer, proved sluice.PasswordHash) (*Grant, error) {
	var g *Grant
	var refusal sluice.Refusal
	object, attempt := refusals.Object{Ledger: ledger, ID: id}, gate.refusals.Attempt()
	peeks := gate.refusals.Recent(object)
	judge := func(tx service.Reader) error {
		attempt.Again()
		now := gate.service.Now()
		g = &Grant{bearer: service.Caller{Ledger: ledger, Actor: sluice.Actor{Type: sluice.ActorBearer, ID: id}, Request: audit.ClipRequest(b.Request)}, began: now}
		k, err := g.load(tx, ledger, id)
		if err != nil {
			return err
		}
		g.Plan = b.Want.Plan(g.File)
		if gate.redirect != nil && g.Plan.Bytes > 0 && !limited(g.Link) { // whoever has the address has all of the file
			g.Plan = redirected(g.File)
		}
		open, answered, err := g.covered(tx, b, now)
		if err != nil {
			return err
		}
		refusal = refuse(gate.limits, g.Link, g.File, k, now, b.Address)
		if refusal == sluice.Exhausted && open.LinkID != "" {
			refusal = ""
		}
		if refusal == "" && !answered {
			if refusal, err = g.question(b, proved); err != nil {
				return err
			}
		}
		if peeks {
			if refusal == "" || !gate.refusals.Repeated(object, refusal, g.asker(), now) {
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
		return gate.record(tx.(service.Tx), g, b, open, refusal)
	}
	// What was refused a moment ago is looked at first: it costs no commit when it
	// is refused again.
	var err error = errUndecided
	if peeks {
		err = gate.store.View(ctx, judge)
		peeks = false
	}
	if err == errUndecided {
		err = gate.update(service.Foresee(ctx, id), ledger, func(tx service.Tx) error { return judge(tx) })
		if g != nil {
			attempt.End(g.asker(), g.began, err)
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
func (gate *Gate) record(tx service.Tx, g *Grant, b Bearer, open service.OpenGrant, refusal sluice.Refusal) (err error) {
	e := gate.service.NewLinkEntry(g.bearer, sluice.LinkRedeemed, g.began, g.File, g.Link)
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
	if g.taken, err = gate.open(g, b, g.began); err != nil {
		return err
	}
	g.counts = true
	return errors.Join(tx.Redeemed(g.Link.ID, g.began, e), tx.SetGrant(g.taken))
}

// asker is who is counted when the link is refused.
func (g *Grant) asker() refusals.Caller {
	return refusals.Caller{Actor: g.bearer.Actor, Request: g.bearer.Request}
}

// asks reports whether a person is asked before the link is used.
func (g *Grant) asks() bool {
	return g.Plan.spends() && (g.Link.Password != "" || g.Link.MaxDownloads != 0)
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
