package gate

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"time"

	"sluice"
	"sluice/internal/email"
	"sluice/internal/service"
)

// step is what a person does at a link besides downloading, once the link's rules and password allow it. It records its
// own entry, or returns the refusal to record.
type step func(tx service.Tx, g *Grant) (sluice.Refusal, error)

// request is a bearer with what they want of a link.
type request struct {
	Bearer
	step   step // nil for a download
	proves bool // the step is ProveCode: it needs a challenge, and for that the password was needed
}

// ErrBadAddress says that a person gave something that is no e-mail address.
var ErrBadAddress = sluice.Errorf(sluice.CodeValidation, "this is no e-mail address")

// SendCode sends a person a code, by which they prove an address: the given one, or that of the link's recipient if the
// link is for nobody else. It returns a secret for the person's browser, valid for service.CodeLasts: only with it the
// code is good.
//
// What it returns, the commit that it takes and the time until it returns are the same whether or not the address may
// open the link, and whether or not a code may be sent now. The entry says which it was.
//
// A link that Redeem refuses is refused alike, and the password of the link is asked for alike. If nothing is to be
// proved, the error is ErrAsk. If the address is none, it is ErrBadAddress, and nothing was committed. With an error,
// the Grant is that of Redeem.
func (gate *Gate) SendCode(ctx context.Context, token string, b Bearer, address string) (*Grant, string, error) {
	asked := time.Now()
	canonical, invalid := email.Canonical(strings.TrimSpace(address))
	var secret [16]byte
	if _, err := io.ReadFull(gate.random, secret[:]); err != nil {
		return nil, "", err
	}
	cookie := base64.RawURLEncoding.EncodeToString(secret[:])
	g, err := gate.take(ctx, token, &request{Bearer: b}, func(tx service.Tx, g *Grant) (sluice.Refusal, error) {
		to := canonical
		if only := OnlyRecipient(g.Link); only != "" {
			to = only
		} else if invalid != nil {
			return "", ErrBadAddress
		}
		return gate.sendCode(tx, g, b, to, cookie)
	})
	if reason := sluice.ReasonOf(err); reason == sluice.TooManyCodes || reason == sluice.RecipientNotAllowed {
		err = nil
	}
	if err == nil {
		gate.waitForStep(ctx, asked)
	}
	return g, cookie, err
}

// answerStep is what the time of an answer to a request for a code is a multiple of. A commit takes less. A code that
// is sent takes some statements more than one that is not, because its mail is queued and its entry is never only
// counted: without the step, enough answers would tell who may open a link.
const answerStep = 100 * time.Millisecond

// waitForStep waits until a multiple of answerStep after a moment, or until ctx ends.
func (gate *Gate) waitForStep(ctx context.Context, since time.Time) {
	if gate.answersAtOnce {
		return
	}
	timer := time.NewTimer(answerStep - time.Since(since)%answerStep)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// OnlyRecipient returns the address of the link's recipient if no other may open the link, or "".
func OnlyRecipient(l sluice.Link) string {
	access := l.Access.Get()
	if len(access.Allowed) > 0 {
		return ""
	}
	return access.Recipient.Email
}

// sendCode adds a challenge, and sends its code if the address may open the link. It compares the counts first: they do
// not depend on that.
func (gate *Gate) sendCode(tx service.Tx, g *Grant, b Bearer, to, cookie string) (sluice.Refusal, error) {
	links, l := gate.service.Links, g.Link
	c := service.Challenge{
		LinkID: l.ID, ID: service.ChallengeID(l.ID, cookie), Address: links.AddressHash(l, to),
		Network: links.NetworkHash(b.Address), Created: g.began,
	}
	n, err := tx.ChallengeCounts(l.Ledger, l.ID, c.Address, c.Network, g.began)
	switch {
	case err != nil:
		return "", err
	case n.Full():
		return sluice.TooManyCodes, nil
	case !l.Access.Admits(to):
		g.person = &sluice.RecipientPart{Email: to}
		if n.Unsent >= service.MaxUnsentOfLink {
			err = tx.DropUnsentChallenge(l.ID)
		}
		return sluice.RecipientNotAllowed, errors.Join(err, tx.SetChallenge(c))
	}
	e := gate.service.NewLinkEntry(g.caller(), sluice.LinkCodeSent, g.began, g.File, l)
	e.Key, e.Recipient, c.Entry = g.key, personOf(l, to), e.ID
	return "", errors.Join(tx.Record(e), tx.SetChallenge(c),
		gate.service.Mails.QueueCode(tx, l, c.ID, e.ID, b.Language, g.began.Add(service.CodeLasts), g.began))
}

// personOf is the record of the owner of an address that may open a link.
func personOf(l sluice.Link, address string) *sluice.RecipientPart {
	p := &sluice.RecipientPart{Email: address}
	if to := l.Access.Get().Recipient; address == to.Email {
		p.Name = to.Name
	}
	return p
}

// ProveCode compares a code with that of the browser whose secret of SendCode is cookie. If it is right, the Grant has
// a NewVisit. Any other code, and any for a challenge that is unknown, over or used up, is the refusal WrongCode. A try
// is counted before the code is compared, in the commit of the answer.
func (gate *Gate) ProveCode(ctx context.Context, token string, b Bearer, cookie, code string) (*Grant, error) {
	code = digits(code)
	return gate.take(ctx, token, &request{Bearer: b, proves: true}, func(tx service.Tx, g *Grant) (sluice.Refusal, error) {
		return gate.proveCode(tx, g, cookie, code)
	})
}

func (gate *Gate) proveCode(tx service.Tx, g *Grant, cookie, code string) (sluice.Refusal, error) {
	links, l := gate.service.Links, g.Link
	c, err := tx.Challenge(l.Ledger, l.ID, service.ChallengeID(l.ID, cookie))
	switch {
	case sluice.CodeOf(err) == sluice.CodeNotFound, err == nil && !c.Live(g.began):
		return sluice.WrongCode, nil
	case err != nil:
		return "", err
	}
	c.Tries++
	right := subtle.ConstantTimeCompare([]byte(code), []byte(links.Code(l, c.ID))) == 1 && c.Entry != ""
	if right {
		c.Tries = service.MaxTries
	}
	if err := tx.SetChallenge(c); err != nil || !right {
		return sluice.WrongCode, err
	}
	sent, err := tx.Entry(l.Ledger, c.Entry)
	if err != nil {
		return "", err
	}
	if sent.Recipient == nil || !l.Access.Admits(sent.Recipient.Email) { // erased, or removed from the link
		return sluice.RecipientNotAllowed, nil
	}
	e := gate.service.NewLinkEntry(g.caller(), sluice.LinkVerified, g.began, g.File, l)
	e.Key, e.Recipient = g.key, personOf(l, sent.Recipient.Email)
	v := service.NewVisit(l, g.began)
	v.Address, v.Verification, v.Challenge, v.Password = e.Recipient.Email, e.ID, c.ID, l.Password != ""
	g.Visit, g.NewVisit = v, links.SealVisit(l, v)
	return "", tx.Record(e)
}

// digits returns a code as a person typed it, without the spaces and hyphens that are for reading, and with the digits
// of other widths as ASCII. It is "" for what is too long to be a code.
func digits(code string) string {
	if len(code) > 100 {
		return ""
	}
	return strings.Map(func(c rune) rune {
		switch {
		case '０' <= c && c <= '９':
			return c - '０' + '0'
		case c == ' ' || c == '\u00a0' || c == '\u3000' || c == '-':
			return -1
		}
		return c
	}, code)
}

// caller is the bearer as the author of an entry.
func (g *Grant) caller() service.Caller {
	return service.Caller{Ledger: g.ledger, Actor: g.by.Actor, Request: g.by.Request}
}

// take commits a step at a link.
func (gate *Gate) take(ctx context.Context, token string, b *request, s step) (*Grant, error) {
	ledger, id, ok := gate.service.Links.OpenToken(token)
	if !ok {
		return nil, errNoLink
	}
	b.step, b.Answered = s, true
	g, err := gate.decideProved(ctx, ledger, id, b)
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return nil, errNoLink
	}
	return g, err
}
