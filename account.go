package sluice

import "time"

// Account is a tenant. Its objects exist in one of two modes, live and test,
// which share nothing.
type Account struct {
	ID      string
	Name    string
	Created time.Time
}

// Mode is live or test.
type Mode string

// The modes.
const (
	Test Mode = "test"
	Live Mode = "live"
)

// Live reports whether m is the live mode. The wire member is "livemode".
func (m Mode) Live() bool { return m == Live }

// LedgerID names the log of one account and mode. Every stored object belongs
// to exactly one ledger and is invisible from every other.
type LedgerID struct {
	Account string
	Mode    Mode
}

// String returns "acct_…/live" or "acct_…/test".
func (l LedgerID) String() string { return l.Account + "/" + string(l.Mode) }
