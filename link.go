package sluice

import (
	"net/netip"
	"time"
)

// Link is a time-limited, single-purpose right to read one file. Its URL is
// derived from its id and a signing key; nothing stored opens the file.
type Link struct {
	ID         string
	Ledger     LedgerID
	FileID     string
	KeyID      string // the key that minted it; "" when the operator did
	SigningKey string // which signing key its URL is derived with
	Reason     string // why the file leaves
	Metadata   Metadata
	Created    time.Time
	Updated    time.Time
	Expires    time.Time // zero: never
	Revoked    time.Time // zero: not ended before its time
	Ended      Refusal   // why it was ended, when Revoked is set
	Downloads  int64
	Redeemed   time.Time // last redemption; zero: none yet

	MaxDownloads int64          // 0: no limit
	Password     PasswordHash   // "": none
	AllowedIPs   []netip.Prefix // none: any address
	Disposition  Disposition
	Filename     string // what the download is called; "": the file's name
}

// Disposition says whether a browser shows a file or saves it (RFC 6266).
type Disposition string

// The dispositions. Inline is for the types of InlineTypes; a link that asks for
// it to a file of another type is refused.
const (
	Attachment Disposition = "attachment"
	Inline     Disposition = "inline"
)

// Lifetimes of links, and the longest reason in characters.
const (
	DefaultLinkLifetime = time.Hour
	MaxLinkLifetime     = 24 * time.Hour // unless configured otherwise
	MaxReasonLen        = 500
)

// Limits of what a link may ask for.
const (
	MaxMaxDownloads = 1_000_000_000
	MaxAllowedIPs   = 100
	MaxBatch        = 100
)

// Refusal is the rule that forbids a redemption.
type Refusal string

// The refusals. Expired, Revoked, FileDeleted and KeyRevoked are what a link
// cannot come back from. KeyExpired, KeyRestricted and PurposeRestricted follow
// from the minting key and the purpose as they are at the moment of use: when
// those are widened again, the link works again.
const (
	Expired     Refusal = "expired"
	Exhausted   Refusal = "exhausted"
	Revoked     Refusal = "revoked"
	FileDeleted Refusal = "file_deleted"
	KeyRevoked  Refusal = "key_revoked"

	KeyExpired        Refusal = "key_expired"
	KeyRestricted     Refusal = "key_restricted"     // it lacks links:write, or its links may not live so long
	PurposeRestricted Refusal = "purpose_restricted" // it may not be linked, or its links may not live so long

	WrongPassword     Refusal = "wrong_password"
	AddressNotAllowed Refusal = "address_not_allowed"
)

// Expired reports whether the link's time has run out.
func (l Link) Expired(now time.Time) bool {
	return !l.Expires.IsZero() && !now.Before(l.Expires)
}

// Version names a state of the link for conditional requests. Downloads do
// not change it.
func (l Link) Version() string { return version(l.Updated) }

// PasswordHash is an argon2id hash (RFC 9106) with its salt and parameters, in
// the PHC string form. It is a string that must not be shown.
type PasswordHash string

// String hides the hash from logs.
func (PasswordHash) String() string { return "(password)" }
