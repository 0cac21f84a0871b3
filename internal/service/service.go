// Package service has the rules of everything that is managed: accounts, keys, files, links, and
// the log. Every change goes through one funnel, which authorises, changes and records in one
// commit. It also says what it needs of a database ([Store]) and of a place for bytes ([Blobs]).
package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/objectid"
	"sluice/internal/refusals"
	"sluice/internal/token"
)

// Service holds the rules. Every face of Sluice calls it, so that
// authorisation, validation and audit cannot differ between them. It is safe
// for concurrent use.
type Service struct {
	store     Store
	blobs     Blobs
	keys      token.Keyring
	purposes  sluice.Purposes
	lifetime  time.Duration
	publicURL string
	now       func() time.Time
	random    io.Reader
	ids       *objectid.Source
	log       *slog.Logger
	used      usage
	lookups   lookups
	signers   signers
	signing   signing
	refusals  refusals.Counts
	orphans   orphanSightings
	heads     Heads
	anchored  []Head
	watch     logWatch
	scrub     scrubWatch

	acceptRollback bool
}

// Config is what a Service is made of.
type Config struct {
	Store        Store
	Blobs        Blobs
	SigningKeys  []token.Key // the first one signs, all are accepted
	PublicURL    string      // where links lead: scheme, host, and a path when there is one
	LedgerKeys   []string    // of checkpoints, C2SP signed-note form: the first signs, the others hand over to it
	LedgerOrigin string      // begins the names of new ledgers; the host of PublicURL when ""

	// Heads remembers the newest head of each log outside of Store; nil for a
	// service that forgets them. Anchored are heads that others remember. Start
	// refuses a Store whose logs do not go on from all of these. With
	// AcceptRollback it does not: it records which log has lost what.
	Heads          Heads
	Anchored       []Head
	AcceptRollback bool

	Purposes        sluice.Purposes  // DefaultPurposes() when nil
	MaxLinkLifetime time.Duration    // for keys without a value of their own; MaxLinkLifetime when 0
	Now             func() time.Time // time.Now when nil
	Random          io.Reader        // crypto/rand when nil; safe for concurrent use
	Log             *slog.Logger     // slog.Default() when nil
}

// New makes a Service, and refuses a configuration it could not work with.
func New(c Config) (*Service, error) {
	u, err := parsePublicURL(c.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("public URL: %w; it should look like https://files.example.com", err)
	}
	if c.Store == nil || c.Blobs == nil || len(c.SigningKeys) == 0 {
		return nil, errors.New("a service needs a store, blobs and a signing key")
	}
	s := &Service{
		store: c.Store, blobs: c.Blobs, keys: slices.Clone(c.SigningKeys),
		purposes: c.Purposes, lifetime: c.MaxLinkLifetime, publicURL: strings.TrimSuffix(c.PublicURL, "/"),
		now: c.Now, random: c.Random, log: c.Log,
		heads: c.Heads, anchored: c.Anchored, acceptRollback: c.AcceptRollback,
	}
	if s.heads == nil {
		s.heads = noHeads{}
	}
	if s.purposes == nil {
		s.purposes = sluice.DefaultPurposes()
	}
	if s.lifetime == 0 {
		s.lifetime = sluice.MaxLinkLifetime
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if c.LedgerOrigin == "" {
		c.LedgerOrigin = u.Host
	}
	s.signers = signers{keys: slices.Clone(c.LedgerKeys), origin: c.LedgerOrigin}
	s.ids = objectid.NewSource(s.random)
	return s, nil
}

// Now is the moment by the service's clock, in UTC microseconds.
func (s *Service) Now() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// NewRequestID makes an id for a request.
func (s *Service) NewRequestID() string { return s.ids.New(sluice.PrefixRequest, s.Now()) }

// PublicURL is where links lead, without a slash at its end.
func (s *Service) PublicURL() string { return s.publicURL }

// Purposes gives the purposes of this installation, by name.
func (s *Service) Purposes() []sluice.Purpose { return s.purposes.List() }

// Ready says whether changes could be committed and bytes stored now, and
// whether the logs are signed on, as WatchLogs saw it last.
func (s *Service) Ready(ctx context.Context) error {
	return errors.Join(s.store.Ready(ctx), s.blobs.Ready(ctx), s.watch.ready(s.Now()))
}

// Caller is who asks the service for something: a key that presented its
// secret, or the operator at the command line.
type Caller struct {
	Ledger  sluice.LedgerID
	Actor   sluice.Actor
	Key     sluice.Key // when Actor.Type is ActorKey
	Request sluice.Request
	Once    *Once // when the request may be sent more than once, else nil
}

// Operator is the caller for commands that work on the data directly: it may
// do everything in one ledger.
func Operator(l sluice.LedgerID) Caller {
	return Caller{Ledger: l, Actor: sluice.Actor{Type: sluice.ActorCLI, Name: "operator"}}
}

// Authenticate gives the caller that a key's secret stands for. A secret that
// is malformed is refused without asking the store.
func (s *Service) Authenticate(ctx context.Context, secret string, r sluice.Request) (Caller, error) {
	hash, ok := hashKeySecret(secret)
	if !ok {
		return Caller{}, sluice.Errorf(sluice.CodeUnauthenticated, "this is not a Sluice API key")
	}
	key, err := s.lookups.find(ctx, hash, s.store.KeyByHash)
	if sluice.CodeOf(err) == sluice.CodeNotFound || err == nil && !accepts(key, hash, s.Now()) {
		return Caller{}, sluice.Errorf(sluice.CodeUnauthenticated, "no such API key")
	}
	if err != nil {
		return Caller{}, err
	}
	if err := s.active(key); err != nil {
		return Caller{}, err
	}
	s.used.note(key.ID, s.Now())
	return Caller{
		Ledger:  key.Ledger,
		Actor:   sluice.Actor{Type: sluice.ActorKey, ID: key.ID, Name: key.Name},
		Key:     key,
		Request: audit.ClipRequest(r),
	}, nil
}

func (s *Service) active(k sluice.Key) error {
	switch {
	case !k.Revoked.IsZero():
		return sluice.Errorf(sluice.CodeUnauthenticated, "this API key was revoked")
	case !k.Active(s.Now()):
		return sluice.Errorf(sluice.CodeUnauthenticated, "this API key has expired")
	}
	return nil
}

// entry begins an entry of what a caller does.
func (s *Service) entry(c Caller, a sluice.Action, now time.Time) sluice.Entry {
	e := sluice.Entry{ID: s.ids.New(sluice.PrefixEntry, now), Ledger: c.Ledger, Time: now, Action: a, Outcome: sluice.Allowed, Actor: c.Actor}
	if c.Request != (sluice.Request{}) {
		request := c.Request
		e.Request = &request
	}
	return e
}

// change is the one way to change anything: authorise against the key as it
// is now, change, record, all in one Update. A missing scope is recorded too.
// A request that was answered before gets that answer, and nothing changes.
func change[T any](ctx context.Context, s *Service, c Caller, scope sluice.Scope, fn func(tx Tx, now time.Time) (T, error)) (T, error) {
	var result T
	var denied error
	refused := s.refusals.Attempt()
	err := s.store.Update(ctx, c.Ledger, func(tx Tx) (err error) {
		now := s.Now()
		denied = nil
		refused.Again()
		if c.Actor.Type == sluice.ActorKey {
			if err := s.recheck(tx, &c); err != nil {
				return err
			}
			if !c.Key.Grants(scope) {
				denied = missingScope(scope)
				return s.recordDenial(tx, refused, c, scope, now)
			}
		}
		if answered, err := c.Once.recall(tx, c, now, &result); answered || err != nil {
			return err
		}
		if result, err = fn(tx, now); err != nil {
			return err
		}
		return c.Once.remember(tx, c, now, result)
	})
	refused.End(askedBy(c), s.Now(), err)
	if err == nil {
		err = denied
	}
	return result, err
}

// recheck replaces the caller's key by what it is inside the transaction.
func (s *Service) recheck(tx Tx, c *Caller) (err error) {
	if c.Key, err = tx.Key(c.Ledger, c.Key.ID); err != nil {
		return err
	}
	return s.active(c.Key)
}

// read gives fn a snapshot when the caller has the scope, and records it when
// the caller has not.
func (s *Service) read(ctx context.Context, c Caller, scope sluice.Scope, fn func(Reader) error) error {
	if err := s.Allow(ctx, c, scope); err != nil {
		return err
	}
	return s.store.View(ctx, fn)
}

// Allow answers CodeForbidden, and records it, when the caller lacks a scope.
// It is for work that must be refused before it begins, such as an upload.
func (s *Service) Allow(ctx context.Context, c Caller, scope sluice.Scope) error {
	if c.Actor.Type != sluice.ActorKey || c.Key.Grants(scope) {
		return nil
	}
	return errors.Join(s.deny(ctx, c, scope), missingScope(scope))
}

func (s *Service) denial(c Caller, scope sluice.Scope, now time.Time) sluice.Entry {
	e := s.entry(c, sluice.AccessDenied, now)
	e.Outcome, e.Refusal = sluice.Refused, lacks(scope)
	if e.Request != nil {
		*e.Request = refusals.Kept(*e.Request)
	}
	return e
}

func missingScope(scope sluice.Scope) error {
	return sluice.Errorf(sluice.CodeForbidden, "this API key lacks the scope %s", scope)
}

// NoSuch is what a caller learns of an object that does not exist, or is not
// theirs to see.
func NoSuch(what, id string) error {
	return sluice.Errorf(sluice.CodeNotFound, "no %s %q is visible to this key", what, audit.Clip(id, 64))
}

// found turns the store's not_found into one that names the object.
func found(err error, what, id string) error {
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return NoSuch(what, id)
	}
	return err
}
