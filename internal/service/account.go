package service

import (
	"context"
	"time"

	"sluice"
)

// CreateAccount makes an account. The first entry of its live ledger tells of it.
func (s *Service) CreateAccount(ctx context.Context, name string) (sluice.Account, error) {
	a, err := s.newAccount(name)
	if err != nil {
		return a, err
	}
	live := sluice.LedgerID{Account: a.ID, Mode: sluice.Live}
	err = s.changeBySystem(ctx, Operator(live), func(tx Tx, _ time.Time) error {
		return tx.CreateAccount(a, s.entry(Operator(live), sluice.AccountCreated, a.Created))
	})
	return a, err
}

func (s *Service) newAccount(name string) (sluice.Account, error) {
	var v sluice.Invalid
	if name == "" {
		v.Add("name", "required", "an account needs a name")
	}
	validateText(&v, "name", name, sluice.MaxKeyNameLen)
	now := s.now()
	return sluice.Account{ID: s.ids.New(sluice.PrefixAccount, now), Name: name, Created: now}, v.Err()
}

// Accounts lists every account, oldest first.
func (s *Service) Accounts(ctx context.Context) (list []sluice.Account, err error) {
	err = s.store.View(ctx, func(r Reader) error {
		list, err = r.Accounts()
		return err
	})
	return list, err
}
