package sluice

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
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
}

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

// clipped holds what a stranger sends to what an entry has room for.
func clipped(r Request) Request {
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

// detailedFile tells all that the owner says of a file, and when was is not
// nil, what a change replaced.
func detailedFile(f File, was *File) *FilePart {
	p := filePart(f)
	p.Details = &FileDetails{Title: f.Title, Held: f.Held, Linked: f.Linked}
	if was != nil {
		p.Before = before(writeFile, *detailedFile(*was, nil), *p)
	}
	return p
}

// limitedLink tells the limits of a link too, and when was is not nil, what a
// change replaced.
func limitedLink(l Link, was *Link) *LinkPart {
	p := linkPart(l)
	p.Limits = &LinkLimits{
		MaxDownloads: l.MaxDownloads, HasPassword: l.Password != "", AllowedIPs: l.AllowedIPs,
		Disposition: cmp.Or(l.Disposition, Attachment), Filename: l.Filename,
	}
	if was != nil {
		p.Before = before(writeLink, *limitedLink(*was, nil), *p)
	}
	return p
}

// keyPart tells what a key may do, and when was is not nil, what a change
// replaced.
func keyPart(k Key, was *Key) *KeyPart {
	p := &KeyPart{ID: k.ID, Name: k.Name, Rights: &KeyRights{Scopes: k.Scopes, Expires: k.Expires, MaxLinkLifetime: k.MaxLinkLifetime}}
	if was != nil {
		p.Before = before(writeKey, *keyPart(*was, nil), *p)
	}
	return p
}

// before compares two states of a part by their members in the leaf.
func before[P any](write func(w *object, p P, digests bool), was, is P) Before {
	members := func(p P) Before {
		var w object
		w.open("")
		write(&w, p, false)
		w.close()
		m := Before{}
		for name, value := range ledger.Members(w.buf) {
			m[string(name)] = json.RawMessage(value)
		}
		return m
	}
	old, current := members(was), members(is)
	for name, value := range old {
		if bytes.Equal(value, current[name]) {
			delete(old, name)
		}
		delete(current, name)
	}
	for name := range current {
		old[name] = json.RawMessage("null")
	}
	return old
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

// Seal encodes an entry. Personal fields (addresses, forwarded addresses, user
// agent) stand in the leaf as salted commitments. Where a leaf would be too
// large, metadata and linked resources stand in it as their SHA-256.
func Seal(e Entry, random io.Reader) (SealedEntry, error) {
	beside := object{buf: make([]byte, 0, 512)}
	beside.open("")
	if e.Request != nil {
		request := clipped(*e.Request)
		e.Request = &request
		for _, personal := range []struct { // in the order of RFC 8785
			field string
			value *string
		}{
			{"/request/client_ip", &request.ClientIP}, {"/request/forwarded_for", &request.ForwardedFor}, {"/request/ip", &request.IP}, {"/request/user_agent", &request.UserAgent},
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
	leaf := leafOf(e, false)
	if len(leaf) > ledger.MaxLeaf {
		leaf = leafOf(e, true)
	}
	if len(leaf) > ledger.MaxLeaf {
		return SealedEntry{}, fmt.Errorf("entry %s: %d bytes are more than a leaf holds", e.ID, len(leaf))
	}
	return SealedEntry{Leaf: leaf, Disclosures: beside.buf}, nil
}

// leaf writes the entry with the keys of every object in order, as RFC 8785
// demands. With digests, metadata and linked resources stand as their SHA-256.
func leafOf(e Entry, digests bool) []byte {
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
		writeFile(&w, *f, digests)
		w.close()
	}
	w.str("id", e.ID)
	if k := e.Key; k != nil {
		w.open("key")
		writeKey(&w, *k, digests)
		w.close()
	}
	if e.Handover != "" || e.Rollback != nil {
		w.open("ledger")
		w.str("key", e.Handover)
		if p := e.Rollback; p != nil {
			w.str("log", p.Log)
			w.raw("size", strconv.FormatInt(p.Size, 10))
			w.str("was_root", p.WasRoot)
			w.raw("was_size", strconv.FormatInt(p.WasSize, 10))
		}
		w.close()
	}
	if l := e.Link; l != nil {
		w.open("link")
		writeLink(&w, *l, digests)
		w.close()
	}
	w.raw("livemode", strconv.FormatBool(e.Ledger.Mode.Live()))
	w.str("outcome", string(e.Outcome))
	w.str("refusal", string(e.Refusal))
	if e.Repeats > 0 {
		w.raw("repeats", strconv.FormatInt(e.Repeats, 10))
	}
	if r := e.Request; r != nil {
		w.open("request")
		w.str("client_ip", r.ClientIP)
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

// writeKey writes the members of the part, in order.
func writeKey(w *object, k KeyPart, digests bool) {
	w.before(k.Before, digests)
	r := k.Rights
	if r != nil {
		w.time("expires_at", r.Expires)
	}
	w.str("id", k.ID)
	if r != nil {
		switch r.MaxLinkLifetime {
		case 0:
		case Forever:
			w.str("max_link_lifetime", endless)
		default:
			w.raw("max_link_lifetime", strconv.FormatInt(int64(r.MaxLinkLifetime/time.Second), 10))
		}
	}
	w.str("name", k.Name)
	if r != nil {
		w.time("old_secret_expires_at", r.OldExpires)
		w.strs("scopes", stringsOf(r.Scopes))
	}
}

// endless is Forever in a leaf.
const endless = "none"

// writeFile writes the members of the part, in order.
func writeFile(w *object, f FilePart, digests bool) {
	w.before(f.Before, digests)
	w.str("filename", f.Filename)
	d := f.Details
	if d != nil {
		w.raw("held", strconv.FormatBool(d.Held))
	}
	w.str("id", f.ID)
	if d != nil && len(d.Linked) > 0 {
		w.large("linked_resources", appendResources(nil, d.Linked), digests)
	}
	w.metadata(f.Metadata, digests)
	w.str("purpose", f.Purpose)
	w.str("sha256", f.SHA256)
	w.raw("size", strconv.FormatInt(f.Size, 10))
	if d != nil {
		w.str("title", d.Title)
	}
	w.str("type", f.Type)
}

// writeLink writes the members of the part, in order.
func writeLink(w *object, l LinkPart, digests bool) {
	limits := l.Limits
	if limits != nil && len(limits.AllowedIPs) > 0 {
		w.strs("allowed_ips", stringsOf(limits.AllowedIPs))
	}
	w.before(l.Before, digests)
	if limits != nil {
		w.str("disposition", string(limits.Disposition))
	}
	w.time("expires_at", l.Expires)
	if limits != nil {
		w.str("filename", limits.Filename)
		w.raw("has_password", strconv.FormatBool(limits.HasPassword))
	}
	w.str("id", l.ID)
	if limits != nil && limits.MaxDownloads != 0 {
		w.raw("max_downloads", strconv.FormatInt(limits.MaxDownloads, 10))
	}
	w.metadata(l.Metadata, digests)
	w.str("reason", l.Reason)
}

func stringsOf[T any](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = fmt.Sprint(v)
	}
	return out
}

func appendResources(dst []byte, list []Resource) []byte {
	w := object{buf: append(dst, '[')}
	for i, r := range list {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.open("")
		w.str("id", r.ID)
		w.str("type", r.Type)
		w.close()
	}
	return append(w.buf, ']')
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

// time writes a moment; the zero time is left out.
func (w *object) time(name string, at time.Time) {
	if !at.IsZero() {
		w.str(name, at.UTC().Format(EntryTime))
	}
}

func (w *object) metadata(m Metadata, digest bool) {
	switch {
	case len(m) == 0:
	case digest:
		w.large("metadata", ledger.AppendStringMap(nil, m), true)
	default:
		w.key("metadata")
		w.buf = ledger.AppendStringMap(w.buf, m)
	}
}

// large writes a value in canonical JSON, or its SHA-256 under another name.
func (w *object) large(name string, value []byte, digest bool) {
	if !digest {
		w.raw(name, string(value))
		return
	}
	sum := sha256.Sum256(value)
	w.str(name+"_sha256", hex.EncodeToString(sum[:]))
}

// before writes what a change replaced. With digests, the members that may be
// large stand as their SHA-256, as they do beside it.
func (w *object) before(b Before, digests bool) {
	if len(b) == 0 {
		return
	}
	w.open("before")
	for _, name := range slices.Sorted(maps.Keys(b)) {
		set := string(b[name]) != "null"
		w.large(name, b[name], digests && set && (name == "metadata" || name == "linked_resources"))
	}
	w.close()
}

// Open reads what Seal wrote. A personal field whose disclosure was erased is
// empty and named in Redacted. One whose disclosure does not open the
// commitment in the leaf, or stands beside a leaf without one, is empty and
// named in Damaged.
func (s SealedEntry) Open(seq int64) (Entry, error) {
	var in struct {
		Account, Action, ID, Outcome, Refusal, Time string
		Livemode                                    bool
		Repeats                                     int64
		Export                                      string
		Entry                                       *EntryPart
		Ledger                                      struct {
			Key string
			*RollbackPart
		}
		Actor struct{ ID, Name, Type string }
		Key   *struct {
			ID, Name         string
			Before           Before
			Scopes           []Scope
			ExpiresAt        leafTime        `json:"expires_at"`
			OldSecretExpires leafTime        `json:"old_secret_expires_at"`
			MaxLinkLifetime  json.RawMessage `json:"max_link_lifetime"`
		}
		Delivery *struct {
			Mode       DeliveryMode
			Status     int
			Bytes      *int64
			Complete   bool
			Returned   bool
			DurationMS int64 `json:"duration_ms"`
		}
		File *struct {
			FilePart
			Title  string
			Held   *bool      // there whenever the details are
			Linked []Resource `json:"linked_resources"`
		}
		Link *struct {
			ID, Reason, Filename string
			ExpiresAt            leafTime `json:"expires_at"`
			Metadata             Metadata
			Before               Before
			Disposition          Disposition    // there whenever the limits are
			MaxDownloads         int64          `json:"max_downloads"`
			HasPassword          bool           `json:"has_password"`
			AllowedIPs           []netip.Prefix `json:"allowed_ips"`
		}
		Request *struct {
			ID, Method, Route, Range, IP string
			ClientIP                     string `json:"client_ip"`
			ForwardedFor                 string `json:"forwarded_for"`
			UserAgent                    string `json:"user_agent"`
			RefererHost                  string `json:"referer_host"`
		}
	}
	if err := json.Unmarshal(s.Leaf, &in); err != nil {
		return Entry{}, fmt.Errorf("entry %d: %w", seq, err)
	}
	disclosed := map[string]disclosure{}
	unreadable := json.Unmarshal(s.Disclosures, &disclosed) != nil
	e := Entry{
		Seq: seq, ID: in.ID, Ledger: LedgerID{Account: in.Account, Mode: Test},
		Action: Action(in.Action), Outcome: Outcome(in.Outcome), Refusal: Refusal(in.Refusal), Repeats: in.Repeats,
		Actor:   Actor{Type: ActorType(in.Actor.Type), ID: in.Actor.ID, Name: in.Actor.Name},
		Subject: in.Entry, Export: in.Export, Handover: in.Ledger.Key, Rollback: in.Ledger.RollbackPart,
	}
	if in.Livemode {
		e.Ledger.Mode = Live
	}
	var err error
	if e.Time, err = time.Parse(EntryTime, in.Time); err != nil {
		return Entry{}, fmt.Errorf("entry %d: %w", seq, err)
	}
	if k := in.Key; k != nil {
		e.Key = &KeyPart{ID: k.ID, Name: k.Name, Before: k.Before}
		if k.Scopes != nil {
			e.Key.Rights = &KeyRights{Scopes: k.Scopes, Expires: time.Time(k.ExpiresAt), OldExpires: time.Time(k.OldSecretExpires)}
			if e.Key.Rights.MaxLinkLifetime, err = leafLifetime(k.MaxLinkLifetime); err != nil {
				return Entry{}, fmt.Errorf("entry %d: %w", seq, err)
			}
		}
	}
	if f := in.File; f != nil {
		e.File = &f.FilePart
		if f.Held != nil {
			e.File.Details = &FileDetails{Title: f.Title, Held: *f.Held, Linked: f.Linked}
		}
	}
	if l := in.Link; l != nil {
		e.Link = &LinkPart{ID: l.ID, Expires: time.Time(l.ExpiresAt), Reason: l.Reason, Metadata: l.Metadata, Before: l.Before}
		if l.Disposition != "" {
			e.Link.Limits = &LinkLimits{
				MaxDownloads: l.MaxDownloads, HasPassword: l.HasPassword, AllowedIPs: l.AllowedIPs,
				Disposition: l.Disposition, Filename: l.Filename,
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
			switch {
			case !ok && commitment == "":
			case !ok && !unreadable:
				e.Redacted = append(e.Redacted, field)
			case !d.opens(commitment):
				e.Damaged = append(e.Damaged, field)
			default:
				return d.Value
			}
			return ""
		}
		e.Request = &Request{
			ID: r.ID, Method: r.Method, Route: r.Route, Range: r.Range, RefererHost: r.RefererHost,
			ClientIP: reveal("/request/client_ip", r.ClientIP), ForwardedFor: reveal("/request/forwarded_for", r.ForwardedFor),
			IP: reveal("/request/ip", r.IP), UserAgent: reveal("/request/user_agent", r.UserAgent), // in order
		}
	}
	return e, nil
}

// opens reports whether the disclosure opens a commitment.
func (d disclosure) opens(commitment string) bool {
	salt, err := hex.DecodeString(d.Salt)
	return err == nil && len(salt) == len(ledger.Salt{}) && ledger.Commit(ledger.Salt(salt), []byte(d.Value)) == commitment
}

// leafTime reads a moment in a leaf.
type leafTime time.Time

// UnmarshalJSON reads the form that EntryTime names.
func (t *leafTime) UnmarshalJSON(data []byte) error {
	at, err := time.Parse(`"`+EntryTime+`"`, string(data))
	*t = leafTime(at)
	return err
}

// leafLifetime reads a max_link_lifetime of a leaf, where there is one.
func leafLifetime(text json.RawMessage) (time.Duration, error) {
	switch string(text) {
	case "":
		return 0, nil
	case `"` + endless + `"`:
		return Forever, nil
	}
	seconds, err := strconv.ParseInt(string(text), 10, 64)
	return time.Duration(seconds) * time.Second, err
}

// Entry gives one line of the audit log. It needs audit:read.
func (s *Service) Entry(ctx context.Context, c Caller, id string) (e Entry, err error) {
	err = s.read(ctx, c, AuditRead, func(r Reader) error {
		e, err = r.Entry(c.Ledger, id)
		return found(err, "audit entry", id)
	})
	s.logDamage(c.Ledger, e)
	return e, err
}

// Entries lists the audit log, newest first. It needs audit:read.
func (s *Service) Entries(ctx context.Context, c Caller, filter EntryFilter, page Page) (list List[Entry], err error) {
	err = s.read(ctx, c, AuditRead, func(r Reader) error {
		list, err = r.Entries(c.Ledger, filter, page)
		return err
	})
	s.logDamage(c.Ledger, list.Data...)
	return list, err
}

// logDamage tells the operator of personal fields that were altered in the
// database.
func (s *Service) logDamage(l LedgerID, entries ...Entry) {
	for _, e := range entries {
		if len(e.Damaged) > 0 {
			s.log.Error("stored personal fields are not those the entry commits to", "ledger", l.String(), "entry", e.ID, "fields", e.Damaged)
		}
	}
}
