package sluice

import (
	"context"
	"time"
)

// Account is a tenant. Each has a live and a test side that share nothing.
type Account struct {
	ID      string
	Name    string
	Created time.Time
}

// Mode is the side of an account: live, or test.
type Mode string

// The modes.
const (
	Test Mode = "test"
	Live Mode = "live"
)

// Live reports whether m is the live side; on the wire, "livemode".
func (m Mode) Live() bool { return m == Live }

// LedgerID names the log of one account and mode. Everything stored belongs
// to exactly one ledger, and is invisible from every other.
type LedgerID struct {
	Account string
	Mode    Mode
}

// String is "acct_…/live" or "acct_…/test".
func (l LedgerID) String() string { return l.Account + "/" + string(l.Mode) }

// CreateAccount makes an account. The first entry of its live ledger tells of it.
func (s *Service) CreateAccount(ctx context.Context, name string) (Account, error) {
	a, err := s.newAccount(name)
	if err != nil {
		return a, err
	}
	live := LedgerID{Account: a.ID, Mode: Live}
	err = s.store.Update(ctx, live, func(tx Tx) error {
		return tx.CreateAccount(a, s.entry(Operator(live), AccountCreated, a.Created))
	})
	return a, err
}

func (s *Service) newAccount(name string) (Account, error) {
	var v Invalid
	if name == "" {
		v.Add("name", "required", "an account needs a name")
	}
	validateText(&v, "name", name, MaxKeyNameLen)
	now := s.Now()
	return Account{ID: s.ids.make(PrefixAccount, now), Name: name, Created: now}, v.Err()
}

// Accounts lists every account, oldest first.
func (s *Service) Accounts(ctx context.Context) (list []Account, err error) {
	err = s.store.View(ctx, func(r Reader) error {
		list, err = r.Accounts()
		return err
	})
	return list, err
}
