package sluice

import (
	"encoding/json"
	"net/netip"
	"time"
)

// AllActions returns every action that this version writes, in the order of
// declaration.
func AllActions() []Action {
	return []Action{
		AccountCreated, SigningKeyAdded, KeyCreated, KeyEnded, FileCreated, KeyUpdated, KeyRotated, FileUpdated,
		FileHeld, FileReleased, FileRetainedOut, FileRead, FileEnded, LinkCreated, LinkUpdated, LinkEnded,
		LinkRedeemed, LinkRefused, LinkDelivered, LinkSent, LinkCodeSent, LinkVerified, LinkMailFailed,
		FileDamaged, AuditExported, AuditReported, AuditRedacted, AuditErasureBegun, AuditErased, KeyHandedOver,
		LedgerRolledBack, AccessDenied, SessionCreated, SessionEnded,
	}
}

// Entry is one record of the audit log: who did what to which object, from
// where and why, and with which outcome. A committed entry never changes.
type Entry struct {
	Seq     int64 // position in its ledger: 0, 1, 2, … without gaps; assigned by the store
	ID      string
	Ledger  LedgerID
	Time    time.Time
	Action  Action
	Outcome Outcome
	Actor   Actor
	Key     *KeyPart // the key that was changed, or the key that minted the link
	File    *FilePart
	Link    *LinkPart
	Subject *EntryPart   // the earlier entry that this one refers to
	Erasure *ErasurePart // with AuditErasureBegun and AuditErased
	// Recipient is the person of the action: who was sent something, proved an
	// address, or downloaded the file.
	Recipient *RecipientPart
	Mail      *MailPart // with LinkMailFailed
	Session   *SessionPart
	Handover  string // with KeyHandedOver: the new verifier key of the log
	Rollback  *RollbackPart
	Export    string      // with AuditExported: what was exported
	Report    *ReportPart // with AuditReported
	Request   *Request
	Delivery  *DeliveryPart
	// Deliveries are, with LinkDelivered, the downloads that have ended, in the
	// order of their ends: at most MaxDeliveries.
	Deliveries []Delivery
	Refusal    Refusal // with Refused: the rule that refused
	// AcceptedTerms is, with LinkRedeemed, the SHA-256 digest of the terms that were
	// accepted, in lower-case hexadecimal.
	AcceptedTerms string
	// Repeats counts, with Refused, the identical refusals since the previous
	// entry that were counted and have no entry of their own.
	Repeats  int64
	Redacted []string // personal fields that were erased later, as JSON Pointers into the leaf
	Damaged  []string // personal fields left empty: the stored value does not match the commitment in the leaf
}

// Action names what was done. The set is open: readers ignore actions they do
// not know.
type Action string

// The actions.
const (
	AccountCreated  Action = "account.created"
	SigningKeyAdded Action = "signing_key.added"
	KeyCreated      Action = "key.created"
	KeyEnded        Action = "key.revoked"
	FileCreated     Action = "file.created"
	KeyUpdated      Action = "key.updated"
	KeyRotated      Action = "key.rotated"
	FileUpdated     Action = "file.updated"
	FileHeld        Action = "file.held"
	FileReleased    Action = "file.released"
	FileRetainedOut Action = "file.retained_out"
	FileRead        Action = "file.read"
	FileEnded       Action = "file.deleted"
	FileDamaged     Action = "file.damaged"
	LinkCreated     Action = "link.created"
	LinkUpdated     Action = "link.updated"
	LinkEnded       Action = "link.revoked"
	LinkRedeemed    Action = "link.redeemed"
	LinkRefused     Action = "link.refused"
	LinkDelivered   Action = "link.delivered"
	LinkSent        Action = "link.sent"      // its URL was mailed to the recipient
	LinkCodeSent    Action = "link.code_sent" // a code was asked for, to prove an address
	LinkVerified    Action = "link.verified"  // an address was proved
	LinkMailFailed  Action = "link.mail_failed"
	AuditExported   Action = "audit.exported"
	AuditReported   Action = "audit.reported"
	AuditRedacted   Action = "audit.redacted"
	// AuditErasureBegun records that an erasure from many entries was asked for, and
	// AuditErased that it has ended: nothing before that entry has the fields any more.
	AuditErasureBegun Action = "audit.erasure_begun"
	AuditErased       Action = "audit.erased"
	KeyHandedOver     Action = "ledger.key_rotated" // also ledger.ActionKeyRotated
	AccessDenied      Action = "access.denied"
	SessionCreated    Action = "session.created" // someone signed in to the console
	SessionEnded      Action = "session.ended"   // before its time
	// LedgerRolledBack records that an operator accepted a database that has
	// lost signed entries.
	LedgerRolledBack Action = "ledger.rolled_back"
)

// Outcome says whether the action was allowed.
type Outcome string

// The outcomes.
const (
	Allowed Outcome = "allowed"
	Refused Outcome = "refused"
)

// ActorType says what kind of actor asked.
type ActorType string

// The types of actors.
const (
	ActorKey    ActorType = "key"    // an API key; ID is the id of the key
	ActorBearer ActorType = "bearer" // the bearer of a link's URL; ID is the id of the link
	ActorCLI    ActorType = "cli"    // the operator, on the command line
	ActorSystem ActorType = "system" // Sluice itself, applying a rule
	ActorPerson ActorType = "person" // a person who signed in; ID is their subject at the Issuer
)

// Actor is the party that made a request. Issuer is the provider at which a person signed in, Email the address that
// it gave. The Name of a person, and Email, are personal.
type Actor struct {
	Type   ActorType
	ID     string
	Name   string
	Issuer string
	Email  string
}

// SessionPart is the record of a session in an entry. It has either Key, or Issuer, Subject and Scopes.
type SessionPart struct {
	ID      string
	Expires time.Time
	Key     string // id of the API key that signed in
	Issuer  string
	Subject string
	Scopes  []Scope
}

// KeyPart is the record of a key in an entry.
type KeyPart struct {
	ID     string
	Name   string
	Rights *KeyRights // nil if the entry does not record them
	Before Before     // with KeyUpdated
}

// KeyRights is what a key may do. Entries that create, update, rotate or revoke
// a key record it.
type KeyRights struct {
	Scopes          []Scope
	Expires         time.Time     // zero: never
	MaxLinkLifetime time.Duration // in whole seconds; zero for the server's value, Forever for no limit
	OldExpires      time.Time     // with KeyRotated: when the previous secret expires
}

// FilePart is the record of a file in an entry. It outlives the file.
type FilePart struct {
	ID       string
	Filename string
	Size     int64
	Type     string
	SHA256   string
	Purpose  string
	Metadata Metadata
	// Personal are the names of the file, and of the link of the entry, that are
	// commitments in the leaf: see File.
	Personal []PersonalField
	Details  *FileDetails // nil if the entry does not record them
	Before   Before       // with FileUpdated, FileHeld and FileReleased
	Found    *FoundPart   // with FileDamaged
}

// FoundPart describes the stored bytes of a damaged file.
type FoundPart struct {
	Problem Damage
	Size    *int64 // in bytes; nil if the bytes could not be counted
	SHA256  string // of the stored bytes, if their number is right
}

// Damage says how the stored bytes of a file differ from the uploaded ones. The
// set is open.
type Damage string

// The kinds of damage.
const (
	BytesMissing    Damage = "missing"    // no bytes are stored
	BytesUnreadable Damage = "unreadable" // the stored bytes cannot be read
	WrongSize       Damage = "size"       // the number of stored bytes differs
	WrongDigest     Damage = "sha256"     // the number of bytes is right, their digest differs
)

// FileDetails holds the mutable details of a file, and when its retention ends.
// Entries that create, update, hold, release or delete a file record it.
type FileDetails struct {
	Title   string
	Held    bool
	Linked  []Resource
	Expires *time.Time // zero: never; nil if the entry does not record it, as older ones do not
}

// LinkPart is the record of a link in an entry.
type LinkPart struct {
	ID       string
	Expires  time.Time // zero: never
	Reason   string
	Metadata Metadata
	Limits   *LinkLimits // nil if the entry does not record them
	Access   *LinkAccess // nil if the entry does not record it, or the link asks and tells nothing
	Before   Before      // with LinkUpdated
}

// LinkAccess is the record of a link's Access in an entry. Entries that create,
// update or revoke a link record it. Recipient, Allowed, Message and the address
// of Notify are personal.
type LinkAccess struct {
	Recipient    Recipient
	Allowed      []string
	Verification Verification
	Message      string
	TermsSHA256  string // of the terms, in lower-case hexadecimal; "": none
	Notify       Notify
	Page         PagePolicy
	Language     string
	Erased       bool // see Access
}

// RecipientPart is the record of a person in an entry. Email and Name are
// personal.
type RecipientPart struct {
	Email        string
	Name         string // "": unknown
	Verification string // with LinkRedeemed: the id of the entry that recorded the proof of the address
}

// MailPart describes a mail that could not be delivered.
type MailPart struct {
	Kind    string // the kind of mail
	Problem string // the last answer of the mail server, or why there was none
}

// LinkLimits bounds the use of a link, apart from its expiry. Entries that
// create, update or revoke a link record it.
type LinkLimits struct {
	MaxDownloads int64 // 0: no limit
	HasPassword  bool
	AllowedIPs   []netip.Prefix // empty: any address
	Disposition  Disposition
	Filename     string // "": the file's own name
}

// Before holds the previous values of the members that a change replaced. The
// keys are the member names in the leaf, the values canonical JSON. A member
// that was not set is null. A member that is in Before but no longer in the part
// was removed.
type Before map[string]json.RawMessage

// DeliveryPart describes, with LinkRedeemed, the delivery of a file. The entry
// itself says how the file is delivered. How that ended is recorded later, in an
// entry of LinkDelivered, and is added when the entry is read: Returned, Sent and
// Entry. Until then they are zero, and so they stay if Sluice does not send the
// bytes, or crashed while it did.
//
// Older entries of LinkDelivered have a part of their own and no Deliveries.
type DeliveryPart struct {
	Mode   DeliveryMode
	Status int // of the HTTP response
	// Returned says that Sluice failed and that the download is not counted.
	Returned bool
	Sent     *Sent
	Entry    string // id of the entry that recorded the end
}

// Delivery records how one download ended.
type Delivery struct {
	Seq      int64 // of the entry of the redemption, in the same ledger
	FileID   string
	LinkID   string
	Returned bool // see DeliveryPart
	Sent     Sent
}

// MaxDeliveries is the largest number of downloads in one entry of LinkDelivered.
const MaxDeliveries = 256

// DeliveryMode says which party sends the bytes.
type DeliveryMode string

// The delivery modes.
const (
	DeliveredByProxy    DeliveryMode = "proxy"    // Sluice
	DeliveredByRedirect DeliveryMode = "redirect" // the blob store; Sluice does not see whether it sent them
)

// Sent describes the bytes that were handed to the connection. Only the client
// knows how many of them arrived.
type Sent struct {
	Bytes    int64 // bytes of the file
	Complete bool  // all planned bytes were handed over
	Duration time.Duration
}

// EntryPart names an earlier entry and some of its fields.
type EntryPart struct {
	ID     string
	Seq    int64
	Fields []string // JSON Pointers into its leaf
}

// ErasurePart is the record of an Erasure in an entry. It does not have the
// address of a person.
type ErasurePart struct {
	ID     string
	By     ErasedBy
	Object string // id of the file, link or key
	Fields []PersonalField
	Erased *ErasedCounts // with AuditErased
}

// ErasedCounts counts what an Erasure has erased personal fields from.
type ErasedCounts struct {
	Entries int64 // of the log
	Links   int64 // rows of links
	Files   int64 // rows of files
}

// ReportPart describes, with AuditReported, a report that was made. See package
// internal/report.
type ReportPart struct {
	Entries int64 // number of entries in the report
	// SHA256 is the digest of what the report shows, in lower-case hexadecimal. It is
	// salted: without the report nothing can be guessed from it.
	SHA256 string
	// Filter has what was asked for, by the names of the parameters. The values of
	// recipient and client_ip are personal.
	Filter map[string]string
}

// RollbackPart describes, with LedgerRolledBack, the entries that a log lost.
type RollbackPart struct {
	Log     string `json:"log"`      // account and mode
	Size    int64  `json:"size"`     // number of signed entries when the rollback was accepted
	WasSize int64  `json:"was_size"` // number of signed entries before the rollback
	WasRoot string `json:"was_root"` // root of the tree before the rollback, in base64
}

// Request describes the request behind an entry. IP is the address of the peer,
// which may be a proxy. ForwardedFor is what proxies claim. ClientIP is the
// address that the rules were applied to: the client address reported by a
// trusted proxy, otherwise the peer's. It is "" if unknown.
type Request struct {
	ID           string
	Method       string
	Route        string // the pattern, never the path: paths contain tokens
	Range        string
	IP           string
	ClientIP     string
	ForwardedFor string
	UserAgent    string
	RefererHost  string
}

// PersonID returns the subject of the person who made the request, or "".
func (e Entry) PersonID() string {
	if e.Actor.Type == ActorPerson {
		return e.Actor.ID
	}
	return ""
}

// KeyID returns the id of the key that the entry is listed under: the key it
// concerns, otherwise the key that made the request, otherwise "".
func (e Entry) KeyID() string {
	switch {
	case e.Key != nil:
		return e.Key.ID
	case e.Actor.Type == ActorKey:
		return e.Actor.ID
	}
	return ""
}
