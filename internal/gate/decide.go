package gate

import (
	"context"
	"errors"
	"strings"
	"time"

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
	ctx context.Context, ledger sluice.LedgerID, id string, b *request, proved sluice.PasswordHash,
) (g *Grant, err error) {
	object := refusals.Object{Ledger: ledger, ID: id}
	if b.step != nil {
		// Counts of their own: what a step costs must not show in what the next request costs.
		object.ID += " steps"
	}
	var refusal sluice.Refusal
	err = errUndecided
	if b.step == nil && gate.refusals.Recent(object) {
		g, refusal, err = gate.viewDecision(ctx, object, b, proved)
	}
	if err == errUndecided {
		g, refusal, err = gate.commitDecision(ctx, object, id, b, proved)
	}
	if err == nil && refusal != "" {
		err = refused(refusal)
	}
	return g, err
}

// viewDecision decides in a View, where the decision is a refusal that is only counted.
func (gate *Gate) viewDecision(
	ctx context.Context, object refusals.Object, b *request, proved sluice.PasswordHash,
) (g *Grant, refusal sluice.Refusal, err error) {
	err = gate.store.View(ctx, func(r service.Reader) (err error) {
		g = gate.begin(object.Ledger, object.ID, b.Bearer)
		if _, refusal, err = gate.judge(r, g, b, proved); err != nil {
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
	ctx context.Context, object refusals.Object, id string, b *request, proved sluice.PasswordHash,
) (g *Grant, refusal sluice.Refusal, err error) {
	attempt := gate.refusals.Attempt()
	err = gate.update(service.Prefetch(ctx, id), object.Ledger, func(tx service.Tx) error {
		attempt.Again()
		g = gate.begin(object.Ledger, id, b.Bearer)
		var open service.OpenGrant
		var err error
		if open, refusal, err = gate.judge(tx, g, b, proved); err != nil {
			return err
		}
		if refusal == "" && b.step != nil {
			if refusal, err = b.step(tx, g); err != nil || refusal == "" {
				return err
			}
		}
		if refusal != "" {
			var write bool
			if g.repeats, write = attempt.Begin(object, refusal, g.began); !write {
				return nil
			}
		}
		return gate.record(tx, g, b.Bearer, open, refusal)
	})
	if g != nil {
		attempt.End(g.by, g.began, err)
	}
	if err == nil && refusal == sluice.Altered {
		gate.log.Error("link refused: its row, or that of its key, was altered in the database",
			"link", id, "ledger", object.Ledger)
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
	r service.Reader, g *Grant, b *request, proved sluice.PasswordHash,
) (open service.OpenGrant, refusal sluice.Refusal, err error) {
	k, err := g.load(r, g.ledger, g.by.Actor.ID)
	if err != nil {
		return open, "", err
	}
	g.Plan = b.Want.Plan(g.File)
	if b.Visit != "" {
		if g.Visit, err = gate.openVisit(r, g, b.Visit); err != nil {
			return open, "", err
		}
	}
	if gate.redirect != nil && g.Plan.Bytes > 0 && !limited(g.Link) { // a presigned URL gives access to the whole file
		g.Plan = redirected(g.File)
	}
	open, answered, err := g.findOpenGrant(r, b.Bearer, g.began)
	if err != nil {
		return open, "", err
	}
	refusal = refuse(gate.limits, gate.service.Seals(), g.Link, g.File, k, g.began, b.Address)
	if refusal == sluice.Exhausted && open.LinkID != "" {
		refusal = ""
	}
	if refusal == "" {
		refusal, err = g.challenge(b, proved, answered)
	}
	return open, refusal, err
}

// openVisit opens the visit of a browser. What it says of an address does not count any more if the link does not admit
// the address now, or a redaction has erased the person since.
func (gate *Gate) openVisit(r service.Reader, g *Grant, text string) (service.Visit, error) {
	v, ok := gate.service.Links.OpenVisit(g.Link, text, g.began)
	if !ok {
		return service.Visit{}, nil
	}
	if v.Verification == "" {
		return v, nil
	}
	c, err := r.Challenge(g.ledger, g.Link.ID, v.Challenge)
	missing := sluice.CodeOf(err) == sluice.CodeNotFound
	if err != nil && !missing {
		return service.Visit{}, err
	}
	if missing || c.Ended() || !g.Link.Access.Admits(v.Address) {
		v.Address, v.Verification, v.Challenge = "", "", ""
	}
	return v, nil
}

// Verified reports whether the browser has proved an address that may open the link.
func (g *Grant) Verified() bool { return g.Visit.Verification != "" }

// Accepted reports whether the browser has accepted the present terms of the link.
func (g *Grant) Accepted() bool { return g.Visit.Terms == g.Link.Access.TermsSHA256() }

// challenge checks what the link asks of its bearers: its password, a proved
// address, its terms. Each is checked by itself. It returns ErrAsk or
// errAsksPassword if the bearer has yet to be asked for them, or for their consent
// to a download, and ErrUnnamed before all of that. A bearer who answered has an open grant, and thus gave the
// password.
func (g *Grant) challenge(b *request, proved sluice.PasswordHash, answered bool) (sluice.Refusal, error) {
	access := g.Link.Access
	switch {
	case b.Person && !b.Answered && !b.Named && !answered && g.isTitled():
		return "", ErrUnnamed
	case b.Person && !b.Answered && !answered && g.asks():
		return "", ErrAsk
	case b.step != nil && (!access.Verifies() || g.Verified()):
		return "", ErrAsk
	case g.Link.Password == "" || answered || g.Visit.Password || b.proves:
	case proved == "":
		return "", errAsksPassword
	case proved != g.Link.Password:
		return sluice.WrongPassword, nil
	}
	switch {
	case b.step != nil:
		return "", nil
	case access.Verifies() && !g.Verified():
		return sluice.VerificationRequired, nil
	case access.HasTerms() && !b.Terms && !g.Accepted():
		return sluice.TermsNotAccepted, nil
	case g.Link.MaxDownloads != 0 && !g.Visit.Downloaded.IsZero() && b.Person && !b.Again && !answered:
		return "", ErrAsk // a second click
	}
	return "", nil
}

// record records a decision and its effects: it counts a download, or takes the
// response from an open grant.
func (gate *Gate) record(
	tx service.Tx, g *Grant, b Bearer, open service.OpenGrant, refusal sluice.Refusal,
) (err error) {
	e := gate.service.NewLinkEntry(g.caller(), sluice.LinkRedeemed, g.began, g.File, g.Link)
	e.Key, e.Delivery = g.key, &sluice.DeliveryPart{Mode: g.Plan.mode(), Status: g.Plan.Status}
	if !g.Link.Access.IsZero() && refusal == "" {
		gate.recordPerson(g, b, &e)
	}
	switch {
	case refusal != "":
		e.Action, e.Outcome, e.Refusal, e.Delivery = sluice.LinkRefused, sluice.Refused, refusal, nil
		e.Recipient = g.person
		e.Repeats = g.repeats
		if e.Request != nil {
			*e.Request = refusals.Kept(*e.Request)
		}
		return errors.Join(tx.Record(e), gate.tellRefused(tx, g.Link, e, g.began))
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
	if b.Person {
		gate.renewVisit(g, func(v *service.Visit) { v.Downloaded = g.began })
	}
	return errors.Join(tx.Redeemed(g.Link.ID, g.began, e), tx.SetGrant(g.openGrant),
		gate.service.Mails.Downloaded(tx, g.Link, e.ID, g.began))
}

// recordPerson records who redeems a link, and which terms they accepted.
func (gate *Gate) recordPerson(g *Grant, b Bearer, e *sluice.Entry) {
	access := g.Link.Access
	if access.Verifies() {
		e.Recipient = personOf(g.Link, g.Visit.Address)
		e.Recipient.Verification = g.Visit.Verification
	}
	if !access.HasTerms() {
		return
	}
	e.AcceptedTerms = access.TermsSHA256()
	if b.Person && !g.Accepted() {
		gate.renewVisit(g, func(v *service.Visit) { v.Terms = e.AcceptedTerms })
	}
}

// renewVisit adds to what the browser has shown. An address is not proved for longer by that.
func (gate *Gate) renewVisit(g *Grant, add func(*service.Visit)) {
	if g.Visit == (service.Visit{}) {
		g.Visit = service.NewVisit(g.Link, g.began)
	}
	add(&g.Visit)
	g.NewVisit = gate.service.Links.SealVisit(g.Link, g.Visit)
}

// tellRefused queues the notice of a refusal, if the link has one. A program that was only told to use the page is no
// news: the scanners of mail servers are such programs.
func (gate *Gate) tellRefused(tx service.Tx, l sluice.Link, e sluice.Entry, now time.Time) error {
	if e.Refusal == sluice.VerificationRequired {
		return nil
	}
	return gate.service.Mails.Refused(tx, l, e.ID, 1+e.Repeats, now)
}

// asks reports whether a person must be asked before the link is used.
func (g *Grant) asks() bool {
	l, page := &g.Link, g.Link.Access.Get().Page
	return g.Plan.consumes() && (l.Password != "" || l.Access.Verifies() || l.Access.HasTerms() ||
		page == sluice.PageAlways || l.MaxDownloads != 0 && page != sluice.PageNever)
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
