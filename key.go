package sluice

import (
	"math"
	"slices"
	"time"
)

// Key is an API credential. Its secret is shown once, when it is made; what is
// stored is a hash that opens nothing.
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
	Used    time.Time // last use, known to about a minute; zero: none
	Version string    // the API version it was made under

	// After a rotation the secret before it is good for a while.
	OldHash    Digest
	OldExpires time.Time

	// MaxLinkLifetime bounds the links the key may mint: zero for the server's
	// value, Forever for links without end.
	MaxLinkLifetime time.Duration
}

// Forever is a lifetime without end.
const Forever time.Duration = math.MaxInt64

// MaxKeyNameLen is the longest name of a key, in characters.
const MaxKeyNameLen = 100

// Scope is one thing a key may do.
type Scope string

// The scopes.
const (
	FilesRead    Scope = "files:read"    // what is known of files, without their bytes
	FilesContent Scope = "files:content" // the bytes of files, without a link
	FilesWrite   Scope = "files:write"
	LinksRead    Scope = "links:read"
	LinksWrite   Scope = "links:write"
	AuditRead    Scope = "audit:read"
	KeysAdmin    Scope = "keys:admin"
)

// AllScopes gives every scope, in the order they are documented.
func AllScopes() []Scope {
	return []Scope{FilesRead, FilesContent, FilesWrite, LinksRead, LinksWrite, AuditRead, KeysAdmin}
}

// Active reports whether the key is good at a moment.
func (k Key) Active(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires))
}

// Revision names a state of the key for conditional requests, as File.Version
// does of a file; Version is the API's. Use does not change it.
func (k Key) Revision() string { return version(k.Updated) }

// Grants reports whether the key has a scope.
func (k Key) Grants(s Scope) bool { return slices.Contains(k.Scopes, s) }
