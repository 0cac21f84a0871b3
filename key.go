package sluice

import (
	"math"
	"slices"
	"time"
)

// Key is an API key. Its secret is shown once, on creation; only a hash of it
// is stored.
type Key struct {
	ID      string
	Ledger  LedgerID
	Name    string
	Hash    Digest // of the secret
	Scopes  []Scope
	Created time.Time
	Updated time.Time
	Expires time.Time // zero: never
	Revoked time.Time // zero: not revoked
	Used    time.Time // last use, to within about a minute; zero: never used
	Version string    // the API version that the key is pinned to

	// After a rotation the previous secret stays valid until OldExpires.
	OldHash    Digest
	OldExpires time.Time

	// MaxLinkLifetime is the longest lifetime of the links that the key may
	// mint: zero for the server's value, Forever for no limit.
	MaxLinkLifetime time.Duration

	Seal Digest `json:"-"` // shows that a server wrote the row; zero: none
}

// Forever is the lifetime of an object that never expires.
const Forever time.Duration = math.MaxInt64

// MaxKeyNameLen is the maximum length of a key's name, in characters.
const MaxKeyNameLen = 100

// Scope is a permission of a key.
type Scope string

// The scopes.
const (
	FilesRead    Scope = "files:read"    // the records of files, not their bytes
	FilesContent Scope = "files:content" // the bytes of files, without a link
	FilesWrite   Scope = "files:write"
	LinksRead    Scope = "links:read"
	LinksWrite   Scope = "links:write"
	AuditRead    Scope = "audit:read"
	KeysAdmin    Scope = "keys:admin"
)

// AllScopes returns every scope, in the order of the documentation.
func AllScopes() []Scope {
	return []Scope{FilesRead, FilesContent, FilesWrite, LinksRead, LinksWrite, AuditRead, KeysAdmin}
}

// Active reports whether the key is neither revoked nor expired at now.
func (k Key) Active(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires))
}

// Revision returns the version of the key for conditional requests, like
// File.Version. It is not Version, which is the version of the API. Use of the
// key does not change it.
func (k Key) Revision() string { return version(k.Updated) }

// Grants reports whether the key has a scope.
func (k Key) Grants(s Scope) bool { return slices.Contains(k.Scopes, s) }
