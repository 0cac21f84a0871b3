package sluice

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Access is what a link asks of the people who open it, and what it tells
// them. Its zero value asks nothing, and so does nil. Addresses in it are canonical: in lower
// case, with the domain in ASCII (RFC 5890).
type Access struct {
	Recipient    Recipient
	Allowed      []string // patterns: an address, or *@ and a domain; at most MaxAllowedRecipients
	Verification Verification
	Message      string // from the sender to the recipient; "": none
	Terms        string // to be accepted before a download; "": none
	Notify       Notify
	Page         PagePolicy
	Language     string // one of Languages; "": the reader's
	// Erased says that a redaction erased Recipient and Allowed. Nobody is
	// admitted then.
	Erased bool
}

// Recipient is the person that a link is for. The zero value is nobody.
type Recipient struct {
	Email string // at most MaxEmailLen bytes
	Name  string // at most MaxRecipientNameLen characters, no control characters; "": unknown
}

// Verification says how people prove who they are before a download.
type Verification string

// The verifications. "" is NoVerification.
const (
	NoVerification    Verification = "none"
	EmailVerification Verification = "email" // by a code that is sent to their address
)

// PagePolicy says when a browser gets a page before the bytes.
type PagePolicy string

// The policies. "" is PageAuto.
const (
	PageAuto   PagePolicy = "auto"   // where something must be asked
	PageAlways PagePolicy = "always" // at every navigation
	PageNever  PagePolicy = "never"  // never; only for links that ask nothing
)

// Valid reports whether p is "" or one of the policies.
func (p PagePolicy) Valid() bool {
	return p == "" || p == PageAuto || p == PageAlways || p == PageNever
}

// Notify says who is told by mail of the use of a link. The zero value is
// nobody.
type Notify struct {
	Email string
	On    []NotifyOn // ascending, without duplicates
}

// NotifyOn is an occasion of a notice.
type NotifyOn string

// The occasions.
const (
	FirstDownload NotifyOn = "first_download"
	EveryDownload NotifyOn = "every_download"
	RefusedAccess NotifyOn = "refused"
	Unopened      NotifyOn = "unopened" // not opened 24 hours, or half the lifetime if that is shorter, before the end
)

// Limits of an Access. Lengths are in characters, that of an address in bytes
// (RFC 5321, erratum 1690).
const (
	MaxEmailLen          = 254
	MaxRecipientNameLen  = 200
	MaxAllowedRecipients = 20
	MaxMessageLen        = 2000
	MaxTermsLen          = 5000
)

// Languages returns the languages of pages and mails for recipients, as BCP 47
// tags.
func Languages() []string {
	return []string{"en", "de", "fr", "es", "it", "nl", "pt", "pl", "ja", "zh"}
}

// Get returns what a points to, or the zero value for nil.
func (a *Access) Get() Access {
	if a == nil {
		return Access{}
	}
	return *a
}

// Ref returns a as a Link has it: nil for the zero value.
func (a Access) Ref() *Access {
	if a.IsZero() {
		return nil
	}
	kept := a // so that the zero value needs no allocation
	return &kept
}

// IsZero reports whether the link asks and tells nothing.
func (a *Access) IsZero() bool {
	return a == nil || a.Recipient == Recipient{} && len(a.Allowed) == 0 && a.Verification == "" && a.Message == "" &&
		a.Terms == "" && a.Notify.Email == "" && len(a.Notify.On) == 0 && a.Page == "" && a.Language == "" && !a.Erased
}

// Verifies reports whether people must prove an address before a download.
func (a *Access) Verifies() bool { return a != nil && a.Verification == EmailVerification }

// HasTerms reports whether people must accept terms before a download.
func (a *Access) HasTerms() bool { return a != nil && a.Terms != "" }

// Admits reports whether the owner of a canonical address, once it is proved,
// may open the link. A link with neither a recipient nor allowed patterns admits
// everyone, unless a redaction erased them.
func (a *Access) Admits(email string) bool {
	if a == nil {
		return true
	}
	if a.Erased {
		return false
	}
	if a.Recipient.Email == "" && len(a.Allowed) == 0 {
		return true
	}
	_, domain, _ := strings.Cut(email, "@")
	return email != "" && email == a.Recipient.Email || slices.Contains(a.Allowed, email) ||
		domain != "" && slices.Contains(a.Allowed, "*@"+domain)
}

// TermsSHA256 returns the SHA-256 digest of the terms in lower-case hexadecimal,
// or "" without terms.
func (a *Access) TermsSHA256() string { return termsSHA256(a.Get().Terms) }

func termsSHA256(terms string) string {
	if terms == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(terms))
	return hex.EncodeToString(sum[:])
}

// Identifies reports whether the link says anything that Erase removes.
func (a *Access) Identifies() bool {
	return a != nil && (a.Recipient != Recipient{} || len(a.Allowed) > 0 || a.Message != "" || len(a.Notify.On) > 0)
}

// Erase removes the people and what identifies them: recipient, allowed
// patterns, message and notices. It returns what is left.
func (a Access) Erase() Access {
	a.Erased = a.Erased || a.Recipient != Recipient{} || len(a.Allowed) > 0
	a.Recipient, a.Allowed, a.Message, a.Notify = Recipient{}, nil, "", Notify{}
	return a
}
