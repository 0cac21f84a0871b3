// Package gate redeems links. It takes data, what a request wants of a file, and returns data, the decision and what
// the answer carries. It knows nothing of HTTP but numbers and words that stand in an audit entry.
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

	bearer service.Caller
	key    *sluice.KeyPart
	began  time.Time
	taken  service.OpenGrant // what the bytes are taken from, if the link counts
	counts bool              // as one more download
	failed bool              // on Sluice's side
	sent   sluice.Sent
	entry  string // id of the entry that tells what was sent

	repeats int64 // refusals without an entry, which the entry of this one tells of
}

// RedirectLasts is how long the address is good to which a bearer is redirected.
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
}

// Config is what a Gate is made of.
type Config struct {
	Service *service.Service // makes the links; its signing keys, limits and clock are those of the gate
	Store   service.Store    // the store of Service
	Blobs   service.Blobs    // the bytes of Service

	// Redirect, when it is not nil, has links lead on to where the bytes are.
	Redirect service.Presigner

	Random io.Reader    // crypto/rand when nil; safe for concurrent use
	Log    *slog.Logger // slog.Default() when nil
}

// New makes a Gate.
func New(c Config) (*Gate, error) {
	if c.Service == nil || c.Store == nil || c.Blobs == nil {
		return nil, errors.New("a gate needs a service with its store and its blobs")
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

// update is the one place where the gate changes records: by a decision, by entries that follow one, and by counting
// a wrong password.
func (gate *Gate) update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	return gate.store.Update(ctx, l, fn)
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
func (gate *Gate) Redeem(ctx context.Context, token string, b Bearer) (*Grant, error) {
	ledger, id, ok := gate.service.Links.OpenToken(token)
	if !ok {
		return nil, errNoLink
	}
	if err := gate.deliverable(ctx, ledger); err != nil {
		return nil, err
	}
	g, err := gate.decide(ctx, ledger, id, b, "")
	if err == errAsksPassword {
		var proved sluice.PasswordHash
		if proved, err = gate.provePassword(ctx, g.Link, b); err == nil {
			g, err = gate.decide(ctx, ledger, id, b, proved)
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
		gate.delivered.underway.Add(1)
	}
	if err := gate.fetch(ctx, g); err != nil {
		if ctx.Err() != nil { // the bearer went away
			gate.Delivered(g, 0)
		} else {
			gate.Failed(g, 0)
		}
		return nil, err
	}
	return g, nil
}

// fetch gives a grant its bytes, or the address of them.
func (gate *Gate) fetch(ctx context.Context, g *Grant) (err error) {
	switch {
	case g.Plan.mode() == sluice.DeliveredByRedirect:
		if err = gate.checkSize(ctx, g.File); err == nil {
			g.Location, err = gate.redirect.Presign(ctx, g.File.ID, g.presigned())
		}
	case g.Plan.Bytes > 0:
		g.Content, err = gate.openBytes(ctx, g.File)
	case g.Plan.Bodiless && g.Plan.Status == 200 && g.File.Size > 0: // HEAD fails where GET would
		err = gate.checkSize(ctx, g.File)
	}
	return err
}

// presigned says how whoever has the bytes presents the file of a grant.
func (g *Grant) presigned() service.Presigned {
	return service.Presigned{
		Type: presentation.Type(g.File), Disposition: presentation.Disposition(g.Link, g.File), Lifetime: RedirectLasts,
	}
}
