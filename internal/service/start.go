package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sluice"
	"sluice/internal/token"
)

// First is the account and the key that Start makes in an empty store.
type First struct {
	Account sluice.Account
	Key     sluice.Key // a test key with all scopes
	Secret  string     // shown once
}

// Start checks that store, blobs and secrets belong together. Call it once before any other work. In an empty store it
// makes the first account and a test key. If it is killed in between, the next Start continues.
//
// It refuses a store that was used with other signing keys, because its links would not work here; a store whose logs
// were last signed with a key that the secrets lack; and a store whose logs do not extend their remembered heads.
//
// It refuses blobs of another installation. If the store has no file, it also refuses unclaimed blobs that are not
// empty: a sweep would move all of them to the trash.
//
// Processes that start on one store at the same time do so one after the other.
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
	lost, err := s.Ledgers.checkLogs(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.adopt(ctx); err != nil {
		return nil, err
	}
	if err := s.Ledgers.acceptLost(ctx, lost); err != nil {
		return nil, err
	}
	if err := s.resealKeys(ctx); err != nil { // a full disk keeps no server from its start
		s.log.Warn("the seals of API keys were not renewed; do not remove old signing keys", "error", err)
	}
	accounts, err := s.Accounts.List(ctx)
	if err != nil {
		return nil, err
	}
	return s.firstKey(ctx, accounts[0])
}

// claimBlobs checks that blobs and records belong to one installation, and claims blobs that have no owner.
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

// adopt makes the first account if there is none, and stores the ids of new signing keys. If there is nothing to add it
// writes nothing, so that a server can start on a full disk.
func (s *Service) adopt(ctx context.Context) error {
	first, err := s.Accounts.prepare("default")
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
	starter := system(sluice.LedgerID{Account: first.ID, Mode: sluice.Live}, "start")
	return s.changeBySystem(ctx, starter, func(tx Tx, now time.Time) error {
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

// unknownKeys returns the signing keys that the store does not know. It fails if the store knows only other keys.
func (s *Service) unknownKeys(r Reader) ([]token.Key, error) {
	known, err := r.SigningKeys()
	if err != nil {
		return nil, err
	}
	isKnown := func(k token.Key) bool { return slices.Contains(known, k.ID()) }
	if len(known) > 0 && !slices.ContainsFunc(s.keys, isKnown) {
		return nil, fmt.Errorf("this database was made with other signing keys than those of the secrets file "+
			"(it knows %v); use the secrets file that belongs to it", known)
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

// resealKeys seals the keys anew that have the seal of an older signing key, which may be removed one day. Of links
// there may be millions: sluice secrets seal seals them anew.
func (s *Service) resealKeys(ctx context.Context) error {
	var stale []sluice.Key
	err := s.store.View(ctx, func(r Reader) error {
		logs, err := r.Logs()
		for _, l := range logs {
			for page := (sluice.Page{Limit: sluice.MaxPageSize}); err == nil; {
				var list sluice.List[sluice.Key]
				if list, err = r.Keys(l.Ledger, page); err != nil {
					return err
				}
				for _, k := range list.Data {
					if seal := s.seals.Key(k); seal != k.Seal && s.seals.KeyFits(k) {
						k.Seal = seal
						stale = append(stale, k)
					}
				}
				if !list.More {
					break
				}
				page.After = list.Data[len(list.Data)-1].ID
			}
		}
		return err
	})
	if err != nil || len(stale) == 0 {
		return err
	}
	return s.store.Reseal(ctx, Sealed{Keys: stale})
}

// firstKey makes a test key for an account that has no keys.
func (s *Service) firstKey(ctx context.Context, a sluice.Account) (*First, error) {
	for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
		list, err := s.Keys.List(ctx, Operator(sluice.LedgerID{Account: a.ID, Mode: m}), sluice.Page{Limit: 1})
		if err != nil || len(list.Data) > 0 {
			return nil, err
		}
	}
	operator := Operator(sluice.LedgerID{Account: a.ID, Mode: sluice.Test})
	k, err := s.Keys.Create(ctx, operator, NewKey{Name: "first test key"})
	return &First{Account: a, Key: k.Key, Secret: k.Secret}, err
}
