// Package service has the rules of everything that is managed: accounts, keys, files, links, and the log. Every change
// goes through one funnel, which authorises, changes and records in one commit. The package also says what it needs of
// a database ([Store]) and of a place for bytes ([Blobs]).
package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/objectid"
	"sluice/internal/refusals"
	"sluice/internal/seal"
	"sluice/internal/token"
)

// Service holds the rules. All APIs call it, so authorisation, validation and audit are the same for all of them. It is
// safe for concurrent use.
type Service struct {
	*core
	Accounts *Accounts
	Keys     *Keys
	Sessions *Sessions
	Files    *Files
	Links    *Links
	Entries  *Entries
	Erasures *Erasures
	Ledgers  *Ledgers
	Mails    *Mails

	Idempotency *Idempotency

	// What servers do by themselves, besides Keys.WriteUsage, Ledgers.Checkpoint and Ledgers.Watch.
	Retention    *Retention
	Sweep        *Sweep
	Scrub        *Scrub
	Housekeeping *Housekeeping

	blobs Blobs
	keys  token.Keyring
}

// Config configures a Service.
type Config struct {
	Store        Store
	Blobs        Blobs
	SigningKeys  []token.Key // the first one signs, all are accepted
	RequireSeals bool        // refuse keys and links whose rows no server wrote: see package seal
	PublicURL    string      // base URL of links: scheme, host, and optionally a path
	LedgerKeys   []string    // secrets of checkpoint signers, C2SP signed-note form; the others hand over to the first
	LedgerOrigin string      // prefix of the names of new ledgers; the host of PublicURL if ""

	// Heads remembers the newest head of each log outside of Store; nil remembers none. Anchored are heads that others
	// remember. Start refuses a Store whose logs do not extend all of these heads. With AcceptRollback Start accepts
	// it, and records which log has lost which entries.
	Heads          Heads
	Anchored       []Head
	AcceptRollback bool

	// Mail says that a mail server is configured. Without one, links cannot verify addresses, be sent, or notify.
	Mail bool

	Purposes        sluice.Purposes  // DefaultPurposes() if nil
	MaxLinkLifetime time.Duration    // for keys without a limit of their own; MaxLinkLifetime if 0
	Now             func() time.Time // time.Now if nil
	Random          io.Reader        // crypto/rand if nil; must be safe for concurrent use
	Log             *slog.Logger     // slog.Default() if nil
}

// New makes a Service. It refuses a configuration that cannot work.
func New(c Config) (*Service, error) {
	u, err := parsePublicURL(c.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("public URL: %w; it should look like https://files.example.com", err)
	}
	if c.Store == nil || c.Blobs == nil || len(c.SigningKeys) == 0 {
		return nil, errors.New("a service needs a store, blobs and a signing key")
	}
	if c.Heads == nil {
		c.Heads = noHeads{}
	}
	if c.Purposes == nil {
		c.Purposes = sluice.DefaultPurposes()
	}
	if c.MaxLinkLifetime == 0 {
		c.MaxLinkLifetime = sluice.MaxLinkLifetime
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.LedgerOrigin == "" {
		c.LedgerOrigin = u.Host
	}
	keys := token.Keyring(slices.Clone(c.SigningKeys))
	funnel := &core{
		store: c.Store, clock: c.Now, ids: objectid.NewSource(c.Random), log: c.Log, refusals: &refusals.Counts{},
		seals: seal.New(keys, c.RequireSeals),
	}
	limits := LinkLimits{Purposes: c.Purposes, MaxLifetime: c.MaxLinkLifetime}
	links := &Links{
		core: funnel, keys: keys, limits: limits, blobs: c.Blobs,
		publicURL: strings.TrimSuffix(c.PublicURL, "/"), random: c.Random, mail: c.Mail,
		opened: &opened{seed: maphash.MakeSeed()},
	}
	files := &Files{core: funnel, blobs: c.Blobs, purposes: c.Purposes, links: links}
	accounts := &Accounts{funnel}
	return &Service{
		core:     funnel,
		Accounts: accounts,
		Keys:     &Keys{core: funnel, random: c.Random, limits: limits},
		Sessions: &Sessions{core: funnel, random: c.Random, keys: keys, accounts: accounts},
		Files:    files,
		Links:    links,
		Entries:  &Entries{core: funnel, links: links},
		Erasures: &Erasures{core: funnel, links: links},
		Ledgers: &Ledgers{
			core: funnel, accounts: accounts,
			signers: signers{keys: slices.Clone(c.LedgerKeys), origin: c.LedgerOrigin},
			heads:   c.Heads, anchored: c.Anchored, acceptRollback: c.AcceptRollback,
		},

		Mails: &Mails{core: funnel, links: links},

		Idempotency: &Idempotency{core: funnel, keys: keys},

		Retention:    &Retention{core: funnel, files: files},
		Sweep:        &Sweep{core: funnel, blobs: c.Blobs, accounts: accounts},
		Scrub:        &Scrub{core: funnel, blobs: c.Blobs},
		Housekeeping: &Housekeeping{funnel},

		blobs: c.Blobs, keys: keys,
	}, nil
}

// Now is the current time by the service's clock, in UTC, truncated to microseconds.
func (s *Service) Now() time.Time { return s.now() }

// NewRequestID makes an id for a request.
func (s *Service) NewRequestID() string { return s.ids.New(sluice.PrefixRequest, s.now()) }

// PublicURL is the base URL of links, without a trailing slash.
func (s *Service) PublicURL() string { return s.Links.publicURL }

// Seals makes and checks the seals of rows.
func (s *Service) Seals() *seal.Seals { return s.seals }

// SendsMail reports whether a mail server is configured: whether links can verify addresses, be sent, and notify.
func (s *Service) SendsMail() bool { return s.Links.mail }

// Purposes lists the purposes of this installation, sorted by name.
func (s *Service) Purposes() []sluice.Purpose { return s.Files.purposes.List() }

// Ready reports whether changes can be committed and bytes stored now, and whether Ledgers.Watch last saw that the logs
// are being signed.
func (s *Service) Ready(ctx context.Context) error {
	return errors.Join(s.store.Ready(ctx), s.blobs.Ready(ctx), s.Ledgers.watch.ready(s.now()))
}

// Allow fails with CodeForbidden if the caller lacks a scope, and records the refusal. Use it to refuse work before it
// begins, such as an upload.
func (s *Service) Allow(ctx context.Context, c Caller, scope sluice.Scope) error {
	return s.allow(ctx, c, scope)
}

// Caller is the client of a call: an API key that was authenticated, a person who signed in, or the operator at the
// command line.
type Caller struct {
	Ledger  sluice.LedgerID
	Actor   sluice.Actor
	Key     sluice.Key     // if Actor.Type is ActorKey
	Session sluice.Session // of a person, or of a key that signed in to the console
	Request sluice.Request
	// IdempotencyKey is nil if the request has none. The service sets its Replayed.
	IdempotencyKey *IdempotencyKey

	secret sluice.Digest // the hash of the secret that Keys.Authenticate was given
}

// Operator is the caller for commands that work on the data directly. It may do everything in one ledger.
func Operator(l sluice.LedgerID) Caller {
	return Caller{Ledger: l, Actor: sluice.Actor{Type: sluice.ActorCLI, Name: "operator"}}
}
