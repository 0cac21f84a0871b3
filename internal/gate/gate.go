// Package gate redeems links. Its input is data, what a request wants of a file; its output is data, a decision and
// a plan of the response. It does not import net/http: of HTTP it knows the statuses, methods and ranges that audit
// entries record.
package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"sluice"
	"sluice/internal/presentation"
	"sluice/internal/refusals"
	"sluice/internal/service"
)

// Bearer describes the client that presents a link's URL.
type Bearer struct {
	Address  netip.Addr // of the client, as reported by trusted proxies
	Password string     // "" if none was sent
	// Person says that the client is a browser, so that a person is asked before
	// a password is needed or a download is counted. Answered says that the
	// request is the person's answer.
	Person, Answered bool
	// Named says that the URL continues after the token.
	Named bool
	// Cookie is the Cookie of an earlier Grant, or "". Visit is the NewVisit of one.
	Cookie, Visit string
	// Terms says that the person accepts the terms of the link. Again says that
	// they know that they have downloaded the file already.
	Terms, Again bool
	// Language is a BCP 47 tag for a mail to the person; "" for that of the link.
	Language string
	// Want is the part of the file that is requested.
	Want    Want
	Request sluice.Request
}

// Grant is an allowed redemption whose entry is committed: the bytes may leave.
type Grant struct {
	File sluice.File
	Link sluice.Link
	Plan Plan
	// Content is nil if the plan has no bytes or if there is a Location.
	Content io.ReadSeekCloser
	// Location is the presigned URL of the bytes, valid for RedirectLasts, or ""
	// if Sluice sends them.
	Location string
	// Cookie is a secret for the browser of a person, valid for GrantLasts. With
	// it the browser can download the file, or parts of it, again without being
	// counted. It is "" if there is none.
	Cookie string
	// Visit is what the browser of the person has shown at the link until now; zero
	// for nothing. NewVisit is its text, to be kept by the browser in place of an
	// earlier one; "" if nothing was added.
	Visit    service.Visit
	NewVisit string

	ledger    sluice.LedgerID
	by        refusals.Caller // the bearer
	key       *sluice.KeyPart
	began     time.Time
	seq       int64             // of the entry of the decision
	openGrant service.OpenGrant // the bytes are taken from it, if the link has a download limit
	counts    bool              // the redemption counts as a download
	failed    bool              // the delivery failed because of Sluice
	sent      sluice.Sent

	repeats int64                 // with a refusal: counted refusals that its entry includes
	person  *sluice.RecipientPart // with a refusal: who was refused, if that is known
}

// RedirectLasts is the lifetime of the presigned URL that a bearer is redirected to.
const RedirectLasts = time.Minute

// Gate redeems links: it decides whether the bytes of a file may leave, commits the decision to the log, and records
// what was sent. It is safe for concurrent use.
type Gate struct {
	service   *service.Service
	store     service.Store
	blobs     service.Blobs
	redirect  service.Presigner
	limits    service.LinkLimits
	refusals  *refusals.Counts
	random    io.Reader
	log       *slog.Logger
	guessing  guessing
	delivered deliveries

	answersAtOnce bool // of SendCode, in tests
}

// Config configures a Gate.
type Config struct {
	Service *service.Service // mints the links; the gate uses its signing keys, limits and clock
	Store   service.Store    // the store of Service
	Blobs   service.Blobs    // the bytes of Service

	// Redirect, if not nil, makes links redirect to presigned URLs.
	Redirect service.Presigner

	Random io.Reader    // crypto/rand if nil; safe for concurrent use
	Log    *slog.Logger // slog.Default() if nil
}

// New returns a Gate.
func New(c Config) (*Gate, error) {
	if c.Service == nil || c.Store == nil || c.Blobs == nil {
		return nil, errors.New("a gate needs a service, its store and its blobs")
	}
	gate := &Gate{
		service: c.Service, store: c.Store, blobs: c.Blobs, redirect: c.Redirect,
		limits: c.Service.Links.Limits(), refusals: c.Service.Refusals(), random: c.Random, log: c.Log,
	}
	if gate.random == nil {
		gate.random = rand.Reader
	}
	if gate.log == nil {
		gate.log = slog.Default()
	}
	return gate, nil
}

// Redirects reports whether links may redirect to presigned URLs.
func (gate *Gate) Redirects() bool { return gate.redirect != nil }

// update is the one place where the gate changes records: for a decision, for entries that follow a decision, and to
// count a wrong password.
func (gate *Gate) update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	return gate.store.Update(ctx, l, fn)
}

// Redeem decides on the redemption of a token. A token that no signing key made
// is CodeNotFound and costs no I/O. For any other token the decision, allowed or
// refused, depends on the current link, file and minting key, and is committed to
// the log before Redeem returns. A refusal is CodeGone or CodeForbidden with the
// rule as Reason. Too many wrong passwords are CodeRateLimited.
//
// If a person must be asked first, Redeem decides nothing and returns ErrAsk and
// a Grant with only File, Link and Visit. It returns such a Grant with a refusal
// and other errors too if it knows the link, so that the person can be asked again
// in their language. If a browser must open another URL of the link, Redeem decides
// nothing either, and returns ErrUnnamed and such a Grant.
//
// The caller closes Grant.Content and calls Delivered or Failed once for each
// Grant; Flush waits for that. If the bytes cannot be opened, or the URL of a
// redirect cannot be presigned, Redeem reports that itself.
func (gate *Gate) Redeem(ctx context.Context, token string, b Bearer) (*Grant, error) {
	ledger, id, ok := gate.service.Links.OpenToken(token)
	if !ok {
		return nil, errNoLink
	}
	if err := gate.deliverable(ctx, ledger); err != nil {
		return nil, err
	}
	g, err := gate.decideProved(ctx, ledger, id, &request{Bearer: b})
	switch {
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		return nil, errNoLink
	case err != nil:
		return g, err
	}
	if g.Plan.consumes() {
		gate.delivered.underway.Add(1)
	}
	if err := gate.fetch(ctx, g); err != nil {
		if context.Cause(ctx) == context.Canceled { // the client disconnected
			gate.Delivered(g, 0)
		} else {
			gate.Failed(g, 0)
		}
		return g, err
	}
	return g, nil
}

// decideProved decides on a redemption, with the password of the link if it has one.
func (gate *Gate) decideProved(ctx context.Context, ledger sluice.LedgerID, id string, b *request) (*Grant, error) {
	g, err := gate.decide(ctx, ledger, id, b, "")
	if err == errAsksPassword {
		var proved sluice.PasswordHash
		if proved, err = gate.provePassword(ctx, g.Link, b.Bearer); err == nil {
			g, err = gate.decide(ctx, ledger, id, b, proved)
		}
	}
	return g, err
}

// fetch opens the bytes of a grant, or presigns their URL.
func (gate *Gate) fetch(ctx context.Context, g *Grant) (err error) {
	switch {
	case g.Plan.mode() == sluice.DeliveredByRedirect:
		if err = gate.checkSize(ctx, g.File); err == nil {
			g.Location, err = gate.redirect.Presign(ctx, g.File.ID, g.presigned())
		}
	case g.Plan.Bytes > 0:
		g.Content, err = gate.openBytes(ctx, g.File)
	case g.Plan.Bodiless && g.Plan.Status == 200 && g.File.Size > 0: // HEAD fails if GET would
		err = gate.checkSize(ctx, g.File)
	}
	return err
}

// presigned returns how the blob store is to send the file of a grant.
func (g *Grant) presigned() service.Presigned {
	return service.Presigned{
		Type: presentation.Type(g.File), Disposition: presentation.Disposition(g.Link, g.File), Lifetime: RedirectLasts,
	}
}
