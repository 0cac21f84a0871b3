package sluice

import (
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
