package service

import (
	"context"
	"time"

	"sluice"
)

// Accounts makes and lists accounts, for the operator.
type Accounts struct{ *core }

// Create makes an account. The first entry of the account's live ledger records it.
func (s *Accounts) Create(ctx context.Context, name string) (sluice.Account, error) {
	a, err := s.prepare(name)
	if err != nil {
		return a, err
	}
	live := sluice.LedgerID{Account: a.ID, Mode: sluice.Live}
	err = s.changeBySystem(ctx, Operator(live), func(tx Tx, _ time.Time) error {
		return tx.CreateAccount(a, s.entry(Operator(live), sluice.AccountCreated, a.Created))
	})
	return a, err
}

// prepare makes an account that is not stored yet.
func (s *Accounts) prepare(name string) (sluice.Account, error) {
	var v sluice.Invalid
	if name == "" {
		v.Add("name", "required", "an account needs a name")
	}
	validateText(&v, "name", name, sluice.MaxKeyNameLen)
	now := s.now()
	return sluice.Account{ID: s.ids.New(sluice.PrefixAccount, now), Name: name, Created: now}, v.Err()
}

// List gives all accounts, oldest first.
func (s *Accounts) List(ctx context.Context) (list []sluice.Account, err error) {
	err = s.store.View(ctx, func(r Reader) error {
		list, err = r.Accounts()
		return err
	})
	return list, err
}
