package sluice

import (
	"encoding/json"
	"net/netip"
	"time"
)

// AllActions gives every action that this version writes, in the order in which
// they are declared.
func AllActions() []Action {
	return []Action{
		AccountCreated, SigningKeyAdded, KeyCreated, KeyEnded, FileCreated, KeyUpdated, KeyRotated, FileUpdated, FileHeld,
		FileReleased, FileRetainedOut, FileRead, FileEnded, LinkCreated, LinkUpdated, LinkEnded, LinkRedeemed, LinkRefused,
		LinkDelivered, FileDamaged, AuditExported, AuditRedacted, KeyHandedOver, LedgerRolledBack, AccessDenied,
	}
}

// Entry is one line of the audit log: who did what to which object, from
// where and why, and how it ended. Once committed it is never changed.
type Entry struct {
	Seq      int64 // place in its ledger: 0, 1, 2, … without a gap; given by the store
	ID       string
	Ledger   LedgerID
	Time     time.Time
	Action   Action
	Outcome  Outcome
	Actor    Actor
	Key      *KeyPart // the key this concerns: the one changed, or the one that minted the link
	File     *FilePart
	Link     *LinkPart
	Subject  *EntryPart // the entry this one is about
	Handover string     // with KeyHandedOver: the verifier key that the log goes on with
	Rollback *RollbackPart
	Export   string // with AuditExported: what was exported
	Request  *Request
	Delivery *DeliveryPart
	Refusal  Refusal // with Refused: the rule that refused
	// Repeats is, with Refused, how often the same was refused for the same
	// reason since the entry before it without an entry of its own.
	Repeats  int64
	Redacted []string // personal fields that have been erased since, as JSON Pointers into the leaf
	Damaged  []string // personal fields whose stored value is not the one the leaf commits to; they are empty
}

// Action is what was done. The set is open: a reader skips what it does not know.
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
	AuditExported   Action = "audit.exported"
	AuditRedacted   Action = "audit.redacted"
	KeyHandedOver   Action = "ledger.key_rotated" // also ledger.ActionKeyRotated
	AccessDenied    Action = "access.denied"
	// LedgerRolledBack: an operator has accepted a database that lacks what was signed.
	LedgerRolledBack Action = "ledger.rolled_back"
)

// Outcome says whether the act was allowed.
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
	ActorKey    ActorType = "key"    // an API key; ID is the key's
	ActorBearer ActorType = "bearer" // whoever held a link's URL
	ActorCLI    ActorType = "cli"    // the operator, on the machine
	ActorSystem ActorType = "system" // Sluice itself, by a rule
)

// Actor is who asks.
type Actor struct {
	Type ActorType
	ID   string
	Name string
}

// KeyPart is what an entry keeps of a key.
type KeyPart struct {
	ID     string
	Name   string
	Rights *KeyRights // nil where the entry does not tell them
	Before Before     // with KeyUpdated
}

// KeyRights is what a key may do. Entries that a key was created, updated,
// rotated or revoked tell it.
type KeyRights struct {
	Scopes          []Scope
	Expires         time.Time     // zero: never
	MaxLinkLifetime time.Duration // in whole seconds; zero for the server's value, Forever for no limit
	OldExpires      time.Time     // with KeyRotated: when the secret before it ends
}

// FilePart is what an entry keeps of a file, also after the file is gone.
type FilePart struct {
	ID       string
	Filename string
	Size     int64
	Type     string
	SHA256   string
	Purpose  string
	Metadata Metadata
	Details  *FileDetails // nil where the entry does not tell them
	Before   Before       // with FileUpdated, FileHeld and FileReleased
	Found    *FoundPart   // with FileDamaged
}

// FoundPart is what was found in place of the bytes that a file should have.
type FoundPart struct {
	Problem Damage
	Size    *int64 // bytes; nil where they could not be counted
	SHA256  string // of the bytes found, where they have the right size
}

// Damage says in what way the bytes of a file are not what was uploaded. The set
// is open.
type Damage string

// The kinds of damage.
const (
	BytesMissing    Damage = "missing"    // nothing is stored
	BytesUnreadable Damage = "unreadable" // what is stored cannot be read
	WrongSize       Damage = "size"       // more or fewer bytes are stored
	WrongDigest     Damage = "sha256"     // as many bytes are stored, and others
)

// FileDetails is what else its owner says of a file. Entries that a file was
// created, updated, held, released or deleted tell it.
type FileDetails struct {
	Title  string
	Held   bool
	Linked []Resource
}

// LinkPart is what an entry keeps of a link.
type LinkPart struct {
	ID       string
	Expires  time.Time // zero: never
	Reason   string
	Metadata Metadata
	Limits   *LinkLimits // nil where the entry does not tell them
	Before   Before      // with LinkUpdated
}

// LinkLimits is what bounds the use of a link beside its end. Entries that a
// link was created, updated or revoked tell it.
type LinkLimits struct {
	MaxDownloads int64 // 0: no limit
	HasPassword  bool
	AllowedIPs   []netip.Prefix // none: any address
	Disposition  Disposition
	Filename     string // "": the file's own
}

// Before holds the members of a part that a change replaced, with the values
// they had: by their names in the leaf, as canonical JSON. A member that was
// not set is null. A member that is in Before and no longer in the part was
// lifted.
type Before map[string]json.RawMessage

// DeliveryPart is how a file leaves.
type DeliveryPart struct {
	Mode   DeliveryMode
	Status int // of the answer, HTTP
	// Returned says that Sluice failed, and that the download does not count.
	Returned bool
	Sent     *Sent
}

// DeliveryMode says who sends the bytes.
type DeliveryMode string

// The modes of delivery.
const (
	DeliveredByProxy    DeliveryMode = "proxy"    // Sluice itself
	DeliveredByRedirect DeliveryMode = "redirect" // the store of the bytes: whether they were sent is not observed
)

// Sent is what was observed of bytes on their way: they were handed to the
// connection. What of them arrived, only the client knows.
type Sent struct {
	Bytes    int64 // of the file
	Complete bool  // all that was planned
	Duration time.Duration
}

// EntryPart names an earlier entry, and fields of it.
type EntryPart struct {
	ID     string
	Seq    int64
	Fields []string // JSON Pointers into its leaf
}

// RollbackPart is, with LedgerRolledBack, what a log has lost.
type RollbackPart struct {
	Log     string `json:"log"`      // account and mode
	Size    int64  `json:"size"`     // signed entries when it was accepted
	WasSize int64  `json:"was_size"` // signed entries before
	WasRoot string `json:"was_root"` // of the tree over those, base64
}

// Request is what is known of the request that asked. IP is the peer's
// address, which may be a proxy's, and ForwardedFor what proxies claim.
// ClientIP is the address that the rules decided on: what a trusted proxy says
// of whom it speaks for, or else the peer's. It is "" where that is not known.
type Request struct {
	ID           string
	Method       string
	Route        string // the pattern, never the path: paths hold tokens
	Range        string
	IP           string
	ClientIP     string
	ForwardedFor string
	UserAgent    string
	RefererHost  string
}

// KeyID is the key an entry is found by: the one it concerns, else the one
// that asked.
func (e Entry) KeyID() string {
	switch {
	case e.Key != nil:
		return e.Key.ID
	case e.Actor.Type == ActorKey:
		return e.Actor.ID
	}
	return ""
}
