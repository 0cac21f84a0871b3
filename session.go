package sluice

import (
	"slices"
	"time"
)

// Session is the permission of a browser to use the console in one ledger, after someone signed in. Whoever signs in to
// several ledgers at once has a session in each; their browser has one token for all of them. Only a hash of the token
// is stored.
type Session struct {
	ID     string
	Ledger LedgerID
	Hash   Digest // of the token
	// KeyID is the API key that signed in; "" if a Person did. The session may do what the key may at the moment, and
	// ends when the key does, or the secret that it began with.
	KeyID   string
	Person  Person
	Scopes  []Scope // of a Person; empty with KeyID
	Created time.Time
	Expires time.Time
	Ended   time.Time // zero: not ended before its time
	Used    time.Time // last use, to within about a minute; zero: never used

	Seal Digest `json:"-"` // shows that a server wrote the row; zero: none
}

// SessionLifetime is how long a session lasts.
const SessionLifetime = 12 * time.Hour

// Active reports whether the session has neither ended nor expired at now. A clock that was set back to before its
// beginning does not prolong it.
func (s Session) Active(now time.Time) bool {
	return s.Ended.IsZero() && now.Before(s.Expires) && s.Expires.Sub(now) <= SessionLifetime+sessionSkew
}

// sessionSkew is how far the clocks of two servers may differ.
const sessionSkew = 5 * time.Minute

// Person is someone who signed in at an OpenID Connect provider. Issuer and Subject identify them (OpenID Connect Core
// 1.0, section 2); Email and Name are what the provider said of them at the time.
type Person struct {
	Issuer  string
	Subject string
	Email   string // "": unknown
	Name    string // "": unknown
}

// Limits of what a provider says of a person.
const (
	MaxIssuerLen     = 255 // bytes
	MaxSubjectLen    = 255 // bytes of ASCII: OpenID Connect Core 1.0, section 2
	MaxPersonNameLen = 100 // characters; a longer name is shortened
)

// Role is a set of scopes that a person may have.
type Role string

// The roles.
const (
	Viewer  Role = "viewer"  // sees files and links
	Sender  Role = "sender"  // also uploads files, and makes and ends links
	Auditor Role = "auditor" // sees files, links and the log
	Admin   Role = "admin"   // has every scope
)

// AllRoles returns every role, in the order of declaration.
func AllRoles() []Role { return []Role{Viewer, Sender, Auditor, Admin} }

// Scopes returns the scopes of a role; none if there is no such role.
func (r Role) Scopes() []Scope {
	switch r {
	case Viewer:
		return []Scope{FilesRead, LinksRead}
	case Sender:
		return []Scope{FilesRead, FilesWrite, LinksRead, LinksWrite}
	case Auditor:
		return []Scope{AuditRead, FilesRead, LinksRead}
	case Admin:
		return slices.Sorted(slices.Values(AllScopes()))
	}
	return nil
}
