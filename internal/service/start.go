package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sluice"
	"sluice/internal/token"
)

// First is what Start makes in an empty store.
type First struct {
	Account sluice.Account
	Key     sluice.Key // a test key that may do everything
	Secret  string     // shown once
}

// Start ties the service to its store, and is called once before any other
// work. In an empty store it makes the first account and a test key; when an
// earlier Start was killed between the two, the next one goes on. A store that
// was used with other signing keys is refused: its links would not open here. So is
// one whose logs were signed last with a key that is not there, or do not go on
// from the heads that are remembered of them.
// Blobs of another installation are refused, and so are blobs that nobody has
// claimed where the store knows no file: a sweep would take them all for orphans.
// Processes that start at once on one store do so one after the other.
func (s *Service) Start(ctx context.Context) (first *First, err error) {
	for {
		ran, err := s.store.Exclusive(ctx, "start", func(ctx context.Context) error {
			first, err = s.start(ctx)
			return err
		})
		if ran || err != nil {
			return first, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *Service) start(ctx context.Context) (*First, error) {
	if err := s.claimBlobs(ctx); err != nil {
		return nil, err
	}
	lost, err := s.checkLogs(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.adopt(ctx); err != nil {
		return nil, err
	}
	if err := s.acceptLost(ctx, lost); err != nil {
		return nil, err
	}
	accounts, err := s.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	return s.firstKey(ctx, accounts[0])
}

// claimBlobs sees that the blobs and the records are of one installation.
func (s *Service) claimBlobs(ctx context.Context) error {
	var id string
	var files bool
	err := s.store.View(ctx, func(r Reader) (err error) {
		if id, err = r.Installation(); err != nil {
			return err
		}
		files, err = r.AnyFile()
		return err
	})
	if err != nil {
		return err
	}
	owner, err := s.blobs.Owner(ctx)
	switch {
	case err != nil || owner == id:
		return err
	case owner != "":
		return sluice.Errorf(sluice.CodeConflict, "the stored files belong to installation %s, "+
			"as the marker %q beside them says, and this database belongs to installation %s; "+
			"start with the database of these files, or choose an empty place for the files; "+
			"only if the files do belong to this database, remove the marker and start again", owner, MarkerName, id)
	}
	if !files {
		if err := s.requireNoBlobs(ctx); err != nil {
			return err
		}
	}
	return s.blobs.Claim(ctx, id)
}

func (s *Service) requireNoBlobs(ctx context.Context) error {
	return s.blobs.Walk(ctx, func(key string, _ time.Time) error {
		return sluice.Errorf(sluice.CodeConflict, "the database has no files, "+
			"but the blob store is not empty (%s is stored); "+
			"put back the database of these files from a backup, or choose an empty place for the files", key)
	})
}

// adopt makes the first account where there is none, and notes the signing
// keys that the store does not know yet. Where there is nothing to add it writes
// nothing: a server must start on a full disk, too.
func (s *Service) adopt(ctx context.Context) error {
	first, err := s.newAccount("default")
	if err != nil {
		return err
	}
	var accounts []sluice.Account
	var unknown []token.Key
	err = s.store.View(ctx, func(r Reader) (err error) {
		if accounts, err = r.Accounts(); err != nil {
			return err
		}
		unknown, err = s.unknownKeys(r)
		return err
	})
	if err != nil || len(accounts) > 0 && len(unknown) == 0 {
		return err
	}
	if len(accounts) > 0 {
		first = accounts[0]
	}
	starter := Caller{
		Ledger: sluice.LedgerID{Account: first.ID, Mode: sluice.Live},
		Actor:  sluice.Actor{Type: sluice.ActorSystem, Name: "start"},
	}
	return s.store.Update(ctx, starter.Ledger, func(tx Tx) error {
		now := s.Now()
		if accounts, err := tx.Accounts(); err != nil {
			return err
		} else if len(accounts) == 0 {
			if err := tx.CreateAccount(first, s.entry(starter, sluice.AccountCreated, now)); err != nil {
				return err
			}
		}
		unknown, err := s.unknownKeys(tx)
		if err != nil {
			return err
		}
		return s.addSigningKeys(tx, starter, unknown, now)
	})
}

// unknownKeys gives the signing keys that the store does not know. A store that
// knows others, and none of these, is an error.
func (s *Service) unknownKeys(r Reader) ([]token.Key, error) {
	known, err := r.SigningKeys()
	if err != nil {
		return nil, err
	}
	isKnown := func(k token.Key) bool { return slices.Contains(known, k.ID()) }
	if len(known) > 0 && !slices.ContainsFunc(s.keys, isKnown) {
		return nil, fmt.Errorf("this database was made with other signing keys than those of the secrets file (it knows %v); use the secrets file that belongs to it", known)
	}
	return slices.DeleteFunc(slices.Clone(s.keys), isKnown), nil
}

func (s *Service) addSigningKeys(tx Tx, c Caller, keys []token.Key, now time.Time) error {
	for _, k := range keys {
		e := s.entry(c, sluice.SigningKeyAdded, now)
		e.Key = &sluice.KeyPart{ID: k.ID(), Name: "signing key"}
		if err := tx.AddSigningKey(k.ID(), now, e); err != nil {
			return err
		}
	}
	return nil
}

// firstKey makes a test key for an account that has no key at all.
func (s *Service) firstKey(ctx context.Context, a sluice.Account) (*First, error) {
	for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
		list, err := s.Keys(ctx, Operator(sluice.LedgerID{Account: a.ID, Mode: m}), sluice.Page{Limit: 1})
		if err != nil || len(list.Data) > 0 {
			return nil, err
		}
	}
	k, err := s.CreateKey(ctx, Operator(sluice.LedgerID{Account: a.ID, Mode: sluice.Test}), NewKey{Name: "first test key"})
	return &First{Account: a, Key: k.Key, Secret: k.Secret}, err
}
