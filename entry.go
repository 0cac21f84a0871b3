package sluice

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"sluice/ledger"
)

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
	Export   string     // with AuditExported: what was exported
	Request  *Request
	Delivery *DeliveryPart
	Refusal  Refusal  // with Refused: the rule that refused
	Redacted []string // personal fields that have been erased since, as JSON Pointers into the leaf
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
	LinkCreated     Action = "link.created"
	LinkUpdated     Action = "link.updated"
	LinkEnded       Action = "link.revoked"
	LinkRedeemed    Action = "link.redeemed"
	LinkRefused     Action = "link.refused"
	LinkDelivered   Action = "link.delivered"
	AuditExported   Action = "audit.exported"
	AuditRedacted   Action = "audit.redacted"
	KeyHandedOver   Action = ledger.ActionKeyRotated
	AccessDenied    Action = "access.denied"
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
	ID   string
	Name string
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
}

// LinkPart is what an entry keeps of a link.
type LinkPart struct {
	ID       string
	Expires  time.Time // zero: never
	Reason   string
	Metadata Metadata
}

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

// Request is what is known of the request that asked. The address is the
// peer's; what a proxy claims stands apart.
type Request struct {
	ID           string
	Method       string
	Route        string // the pattern, never the path: paths hold tokens
	Range        string
	IP           string
	ForwardedFor string
	UserAgent    string
	RefererHost  string
}

// clipped holds what a stranger sends to what an entry has room for.
func (r Request) clipped() Request {
	for _, s := range []*string{&r.Range, &r.ForwardedFor, &r.UserAgent, &r.RefererHost} {
		*s = clip(*s, 512)
	}
	return r
}

func filePart(f File) *FilePart {
	return &FilePart{ID: f.ID, Filename: f.Filename, Size: f.Size, Type: f.Type, SHA256: f.SHA256.String(), Purpose: f.Purpose, Metadata: f.Metadata}
}

func linkPart(l Link) *LinkPart {
	return &LinkPart{ID: l.ID, Expires: l.Expires, Reason: l.Reason, Metadata: l.Metadata}
}

// SealedEntry is an entry as it is stored: the leaf, which is what the ledger
// hashes, and the disclosures beside it, which open the leaf's commitments and
// can be erased without touching the leaf.
type SealedEntry struct {
	Leaf        []byte // canonical JSON, RFC 8785, at most ledger.MaxLeaf bytes
	Disclosures []byte // JSON object: JSON Pointer (RFC 6901) into the leaf to {salt, value}
}

type disclosure struct {
	Salt  string `json:"salt"`
	Value string `json:"value"`
}

// EntryTime is the form of moments in a leaf: UTC, microseconds, RFC 3339.
const EntryTime = "2006-01-02T15:04:05.000000Z"

// Seal encodes an entry. Personal fields (address, forwarded addresses, user
// agent) stand in the leaf as salted commitments. Metadata too large for a
// leaf stands as its SHA-256.
func (e Entry) Seal(random io.Reader) (SealedEntry, error) {
	beside := object{buf: make([]byte, 0, 384)}
	beside.open("")
	if e.Request != nil {
		request := e.Request.clipped()
		e.Request = &request
		for _, personal := range []struct { // in the order of RFC 8785
			field string
			value *string
		}{
			{"/request/forwarded_for", &request.ForwardedFor}, {"/request/ip", &request.IP}, {"/request/user_agent", &request.UserAgent},
		} {
			if *personal.value == "" {
				continue
			}
			var salt ledger.Salt
			if _, err := io.ReadFull(random, salt[:]); err != nil {
				return SealedEntry{}, err
			}
			value := strings.ToValidUTF8(*personal.value, "\uFFFD")
			*personal.value = ledger.Commit(salt, []byte(value))
			beside.open(personal.field)
			beside.str("salt", hex.EncodeToString(salt[:]))
			beside.key("value")
			beside.buf = ledger.AppendString(beside.buf, value)
			beside.close()
		}
	}
	beside.close()
	leaf := e.leaf(false)
	if len(leaf) > ledger.MaxLeaf {
		leaf = e.leaf(true)
	}
	if len(leaf) > ledger.MaxLeaf {
		return SealedEntry{}, fmt.Errorf("entry %s: %d bytes are more than a leaf holds", e.ID, len(leaf))
	}
	return SealedEntry{Leaf: leaf, Disclosures: beside.buf}, nil
}

// leaf writes the entry with the keys of every object in order, as RFC 8785
// demands. With digests, metadata stands as its SHA-256.
func (e Entry) leaf(digests bool) []byte {
	w := object{buf: make([]byte, 0, 1024)}
	w.open("")
	w.str("account", e.Ledger.Account)
	w.str("action", string(e.Action))
	w.open("actor")
	w.str("id", e.Actor.ID)
	w.str("name", e.Actor.Name)
	w.str("type", string(e.Actor.Type))
	w.close()
	if d := e.Delivery; d != nil {
		w.open("delivery")
		if d.Sent != nil {
			w.raw("bytes", strconv.FormatInt(d.Sent.Bytes, 10))
			w.raw("complete", strconv.FormatBool(d.Sent.Complete))
			w.raw("duration_ms", strconv.FormatInt(d.Sent.Duration.Milliseconds(), 10))
		}
		w.str("mode", string(d.Mode))
		if d.Returned {
			w.raw("returned", "true")
		}
		w.raw("status", strconv.Itoa(d.Status))
		w.close()
	}
	if p := e.Subject; p != nil {
		w.open("entry")
		w.strs("fields", p.Fields)
		w.str("id", p.ID)
		w.raw("seq", strconv.FormatInt(p.Seq, 10))
		w.close()
	}
	w.str("export", e.Export)
	if f := e.File; f != nil {
		w.open("file")
		w.str("filename", f.Filename)
		w.str("id", f.ID)
		w.metadata(f.Metadata, digests)
		w.str("purpose", f.Purpose)
		w.str("sha256", f.SHA256)
		w.raw("size", strconv.FormatInt(f.Size, 10))
		w.str("type", f.Type)
		w.close()
	}
	w.str("id", e.ID)
	if k := e.Key; k != nil {
		w.open("key")
		w.str("id", k.ID)
		w.str("name", k.Name)
		w.close()
	}
	if e.Handover != "" {
		w.open("ledger")
		w.str("key", e.Handover)
		w.close()
	}
	if l := e.Link; l != nil {
		w.open("link")
		if !l.Expires.IsZero() {
			w.str("expires_at", l.Expires.UTC().Format(EntryTime))
		}
		w.str("id", l.ID)
		w.metadata(l.Metadata, digests)
		w.str("reason", l.Reason)
		w.close()
	}
	w.raw("livemode", strconv.FormatBool(e.Ledger.Mode.Live()))
	w.str("outcome", string(e.Outcome))
	w.str("refusal", string(e.Refusal))
	if r := e.Request; r != nil {
		w.open("request")
		w.str("forwarded_for", r.ForwardedFor)
		w.str("id", r.ID)
		w.str("ip", r.IP)
		w.str("method", r.Method)
		w.str("range", r.Range)
		w.str("referer_host", r.RefererHost)
		w.str("route", r.Route)
		w.str("user_agent", r.UserAgent)
		w.close()
	}
	w.str("time", e.Time.UTC().Format(EntryTime))
	w.raw("v", "1")
	w.close()
	return w.buf
}

// object writes a JSON object member by member; empty strings are left out.
type object struct {
	buf   []byte
	comma bool
}

func (w *object) key(name string) {
	if w.comma {
		w.buf = append(w.buf, ',')
	}
	w.comma = true
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '"', ':')
}

func (w *object) open(name string) {
	if name != "" {
		w.key(name)
	}
	w.buf = append(w.buf, '{')
	w.comma = false
}

func (w *object) close() {
	w.buf = append(w.buf, '}')
	w.comma = true
}

func (w *object) str(name, value string) {
	if value != "" {
		w.key(name)
		w.buf = ledger.AppendString(w.buf, value)
	}
}

func (w *object) strs(name string, values []string) {
	w.key(name)
	w.buf = append(w.buf, '[')
	for i, v := range values {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = ledger.AppendString(w.buf, v)
	}
	w.buf = append(w.buf, ']')
}

func (w *object) raw(name, value string) {
	w.key(name)
	w.buf = append(w.buf, value...)
}

func (w *object) metadata(m Metadata, digest bool) {
	switch {
	case len(m) == 0:
	case digest:
		sum := sha256.Sum256(ledger.AppendStringMap(nil, m))
		w.str("metadata_sha256", hex.EncodeToString(sum[:]))
	default:
		w.key("metadata")
		w.buf = ledger.AppendStringMap(w.buf, m)
	}
}

// Open reads what Seal wrote. A personal field whose disclosure was erased is
// empty and named in Redacted.
func (s SealedEntry) Open(seq int64) (Entry, error) {
	var in struct {
		Account, Action, ID, Outcome, Refusal, Time string
		Livemode                                    bool
		Export                                      string
		Entry                                       *EntryPart
		Ledger                                      struct{ Key string }
		Actor                                       struct{ ID, Name, Type string }
		Key                                         *KeyPart
		Delivery                                    *struct {
			Mode       DeliveryMode
			Status     int
			Bytes      *int64
			Complete   bool
			Returned   bool
			DurationMS int64 `json:"duration_ms"`
		}
		File *FilePart
		Link *struct {
			ID, Reason string
			ExpiresAt  string `json:"expires_at"`
			Metadata   Metadata
		}
		Request *struct {
			ID, Method, Route, Range, IP string
			ForwardedFor                 string `json:"forwarded_for"`
			UserAgent                    string `json:"user_agent"`
			RefererHost                  string `json:"referer_host"`
		}
	}
	if err := json.Unmarshal(s.Leaf, &in); err != nil {
		return Entry{}, fmt.Errorf("entry %d: %w", seq, err)
	}
	disclosed := map[string]disclosure{}
	if err := json.Unmarshal(s.Disclosures, &disclosed); err != nil {
		return Entry{}, fmt.Errorf("entry %d: disclosures: %w", seq, err)
	}
	e := Entry{
		Seq: seq, ID: in.ID, Ledger: LedgerID{Account: in.Account, Mode: Test},
		Action: Action(in.Action), Outcome: Outcome(in.Outcome), Refusal: Refusal(in.Refusal),
		Actor: Actor{Type: ActorType(in.Actor.Type), ID: in.Actor.ID, Name: in.Actor.Name},
		Key:   in.Key, File: in.File, Subject: in.Entry, Export: in.Export, Handover: in.Ledger.Key,
	}
	if in.Livemode {
		e.Ledger.Mode = Live
	}
	var err error
	if e.Time, err = time.Parse(EntryTime, in.Time); err != nil {
		return Entry{}, fmt.Errorf("entry %d: %w", seq, err)
	}
	if l := in.Link; l != nil {
		e.Link = &LinkPart{ID: l.ID, Reason: l.Reason, Metadata: l.Metadata}
		if l.ExpiresAt != "" {
			if e.Link.Expires, err = time.Parse(EntryTime, l.ExpiresAt); err != nil {
				return Entry{}, fmt.Errorf("entry %d: %w", seq, err)
			}
		}
	}
	if d := in.Delivery; d != nil {
		e.Delivery = &DeliveryPart{Mode: d.Mode, Status: d.Status, Returned: d.Returned}
		if d.Bytes != nil {
			e.Delivery.Sent = &Sent{Bytes: *d.Bytes, Complete: d.Complete, Duration: time.Duration(d.DurationMS) * time.Millisecond}
		}
	}
	if r := in.Request; r != nil {
		reveal := func(field, commitment string) string {
			d, ok := disclosed[field]
			if commitment != "" && !ok {
				e.Redacted = append(e.Redacted, field)
			}
			return d.Value
		}
		e.Request = &Request{
			ID: r.ID, Method: r.Method, Route: r.Route, Range: r.Range, RefererHost: r.RefererHost,
			IP: reveal("/request/ip", r.IP), ForwardedFor: reveal("/request/forwarded_for", r.ForwardedFor), UserAgent: reveal("/request/user_agent", r.UserAgent),
		}
	}
	return e, nil
}

// Entry gives one line of the audit log. It needs audit:read.
func (s *Service) Entry(ctx context.Context, c Caller, id string) (e Entry, err error) {
	err = s.read(ctx, c, AuditRead, func(r Reader) error {
		e, err = r.Entry(c.Ledger, id)
		return found(err, "audit entry", id)
	})
	return e, err
}

// Entries lists the audit log, newest first. It needs audit:read.
func (s *Service) Entries(ctx context.Context, c Caller, filter EntryFilter, page Page) (list List[Entry], err error) {
	err = s.read(ctx, c, AuditRead, func(r Reader) error {
		list, err = r.Entries(c.Ledger, filter, page)
		return err
	})
	return list, err
}
