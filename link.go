package sluice

import (
	"net/netip"
	"time"
)

// Link is a right to download one file, bounded in time. Its URL is derived from
// its id and a signing key and is not stored.
type Link struct {
	ID         string
	Ledger     LedgerID
	FileID     string
	KeyID      string // the key that minted it; "" for a link minted by the operator
	SigningKey string // the name of the signing key that its URL is derived with
	Reason     string // why the file is shared
	Metadata   Metadata
	Created    time.Time
	Updated    time.Time
	Expires    time.Time // zero: never
	Revoked    time.Time // zero: not revoked
	Ended      Refusal   // why it was revoked, if Revoked is set
	Downloads  int64
	Redeemed   time.Time // last redemption; zero: none yet

	MaxDownloads int64          // 0: no limit
	Password     PasswordHash   // "": none
	AllowedIPs   []netip.Prefix // empty: any address
	Disposition  Disposition
	Filename     string // the name that the file is saved under; "": the file's own name
	// Access is nil if the link asks and tells nothing. Copies of a Link share it,
	// so it is replaced, never changed.
	Access *Access

	Seal Digest `json:"-"` // shows that a server wrote the row; zero: none
}

// Disposition says whether a browser displays a file or saves it (RFC 6266).
type Disposition string

// The dispositions. Inline needs a file of one of the InlineTypes.
const (
	Attachment Disposition = "attachment"
	Inline     Disposition = "inline"
)

// Lifetimes of links, and the maximum length of a reason in characters.
const (
	DefaultLinkLifetime = time.Hour
	MaxLinkLifetime     = 24 * time.Hour // unless configured otherwise
	MaxReasonLen        = 500
)

// Limits of a link's restrictions and of a batch.
const (
	MaxMaxDownloads = 1_000_000_000 // largest MaxDownloads
	MaxAllowedIPs   = 100           // prefixes in AllowedIPs
	MaxBatch        = 100           // links minted by one request
)

// Refusal is the rule that forbids a redemption.
type Refusal string

// The refusals. Expired, Revoked, FileDeleted and KeyRevoked are final.
// KeyExpired, KeyRestricted and PurposeRestricted depend on the minting key and
// the purpose at the time of use: once those allow the link again, it works
// again.
const (
	Expired     Refusal = "expired"
	Exhausted   Refusal = "exhausted"
	Revoked     Refusal = "revoked"
	FileDeleted Refusal = "file_deleted"
	KeyRevoked  Refusal = "key_revoked"

	KeyExpired        Refusal = "key_expired"
	KeyRestricted     Refusal = "key_restricted"     // the key lacks links:write, or allows only shorter lifetimes
	PurposeRestricted Refusal = "purpose_restricted" // the purpose allows no links, or only shorter lifetimes

	WrongPassword     Refusal = "wrong_password"
	AddressNotAllowed Refusal = "address_not_allowed"

	Altered Refusal = "altered" // the row of the link or of its key was written by someone other than a server

	VerificationRequired Refusal = "verification_required" // no address was proved yet
	RecipientNotAllowed  Refusal = "recipient_not_allowed" // the link is not for the owner of this address
	WrongCode            Refusal = "wrong_code"
	TooManyCodes         Refusal = "too_many_codes" // for this link, address or network, for now
	TermsNotAccepted     Refusal = "terms_not_accepted"

	NoRole Refusal = "no_role" // the person may sign in at the provider, and has no role here
)

// Expired reports whether the link has expired at now.
func (l Link) Expired(now time.Time) bool {
	return !l.Expires.IsZero() && !now.Before(l.Expires)
}

// Version returns the version of the link for conditional requests. Downloads
// do not change it.
func (l Link) Version() string { return version(l.Updated) }

// PasswordHash is an argon2id hash (RFC 9106) with its salt and parameters, in
// the PHC string format. It must not be shown.
type PasswordHash string

// String returns "(password)", so that logs do not contain the hash.
func (PasswordHash) String() string { return "(password)" }
