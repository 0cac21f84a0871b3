// Package audit encodes entries of the log as leaves and decodes them. A leaf is canonical JSON (RFC 8785) in which
// personal fields are replaced by salted commitments.
package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"sluice"
	"sluice/ledger"
)

// ClipRequest shortens each text that the client chose to 512 characters, the
// limit of an entry.
func ClipRequest(r sluice.Request) sluice.Request {
	for _, s := range []*string{&r.Range, &r.ForwardedFor, &r.UserAgent, &r.RefererHost} {
		*s = Clip(*s, 512)
	}
	return r
}

// SealedEntry is an entry in its stored form: the leaf, which the ledger hashes,
// and the disclosures, which open the commitments in the leaf. Disclosures can be
// erased without a change to the leaf.
type SealedEntry struct {
	Leaf        []byte // canonical JSON, RFC 8785, at most ledger.MaxLeaf bytes
	Disclosures []byte // JSON object from JSON Pointer (RFC 6901) into the leaf to {salt, value}
}

type disclosure struct {
	Salt  string `json:"salt"`
	Value string `json:"value"`
}

// Seal encodes an entry. In the leaf, personal fields (those of people, addresses,
// forwarded addresses, user agent) are replaced by salted commitments with salts from
// random. If the leaf would be longer than ledger.MaxLeaf, metadata and linked
// resources are replaced by their SHA-256 digests.
func Seal(e sluice.Entry, random io.Reader) (SealedEntry, error) {
	c := committer{disclosures: object{buf: make([]byte, 0, 512)}, random: random}
	c.disclosures.open("")
	if e.Recipient != nil || e.Link != nil && (e.Link.Access != nil || e.Link.Before != nil) {
		c.people(&e)
	}
	if e.Request != nil {
		request := ClipRequest(*e.Request)
		e.Request = &request
		for _, personal := range []struct { // in the order of RFC 8785
			field string
			value *string
		}{
			{"/request/client_ip", &request.ClientIP},
			{"/request/forwarded_for", &request.ForwardedFor},
			{"/request/ip", &request.IP},
			{"/request/user_agent", &request.UserAgent},
		} {
			c.commit(personal.field, personal.value)
		}
	}
	if c.err != nil {
		return SealedEntry{}, c.err
	}
	c.disclosures.close()
	leaf := leafOf(e, false)
	if len(leaf) > ledger.MaxLeaf {
		leaf = leafOf(e, true)
	}
	if len(leaf) > ledger.MaxLeaf {
		return SealedEntry{}, fmt.Errorf("entry %s: %d bytes do not fit a leaf", e.ID, len(leaf))
	}
	return SealedEntry{Leaf: leaf, Disclosures: c.disclosures.buf}, nil
}

// Open decodes an entry encoded by Seal. A personal field whose disclosure was
// erased is empty and listed in Redacted. A personal field whose disclosure does
// not open a commitment in the leaf is empty and listed in Damaged.
func (s SealedEntry) Open(seq int64) (sluice.Entry, error) {
	var in struct {
		Account, Action, ID, Outcome, Refusal, Time string
		Livemode                                    bool
		Repeats                                     int64
		Export                                      string
		Entry                                       *sluice.EntryPart
		Ledger                                      struct {
			Key string
			*sluice.RollbackPart
		}
		Actor struct{ ID, Name, Type string }
		Key   *struct {
			ID, Name         string
			Before           sluice.Before
			Scopes           []sluice.Scope
			ExpiresAt        leafTime        `json:"expires_at"`
			OldSecretExpires leafTime        `json:"old_secret_expires_at"`
			MaxLinkLifetime  json.RawMessage `json:"max_link_lifetime"`
		}
		Delivery *struct {
			Mode       sluice.DeliveryMode
			Status     int
			Bytes      *int64
			Complete   bool
			Returned   bool
			DurationMS int64 `json:"duration_ms"`
		}
		File *struct {
			sluice.FilePart
			Title  string
			Held   *bool             // present if the details are
			Linked []sluice.Resource `json:"linked_resources"`
		}
		Link *struct {
			ID, Reason, Filename string
			ExpiresAt            leafTime `json:"expires_at"`
			Metadata             sluice.Metadata
			Before               sluice.Before
			Disposition          sluice.Disposition // present if the limits are
			MaxDownloads         int64              `json:"max_downloads"`
			HasPassword          bool               `json:"has_password"`
			AllowedIPs           []netip.Prefix     `json:"allowed_ips"`
			sealedAccess
		}
		Mail      *struct{ Kind, Problem string }
		Recipient *struct{ Email, Name, Verification string }
		Terms     string `json:"terms_sha256"`
		Request   *struct {
			ID, Method, Route, Range, IP string
			ClientIP                     string `json:"client_ip"`
			ForwardedFor                 string `json:"forwarded_for"`
			UserAgent                    string `json:"user_agent"`
			RefererHost                  string `json:"referer_host"`
		}
	}
	deliveries, rest, err := cutDeliveries(s.Leaf)
	if err == nil {
		err = json.Unmarshal(rest, &in)
	}
	if err != nil {
		return sluice.Entry{}, fmt.Errorf("entry %d: %w", seq, err)
	}
	e := sluice.Entry{
		Seq: seq, ID: in.ID, Ledger: sluice.LedgerID{Account: in.Account, Mode: sluice.Test},
		Action: sluice.Action(in.Action), Outcome: sluice.Outcome(in.Outcome),
		Refusal: sluice.Refusal(in.Refusal), Repeats: in.Repeats,
		Actor:         sluice.Actor{Type: sluice.ActorType(in.Actor.Type), ID: in.Actor.ID, Name: in.Actor.Name},
		Deliveries:    deliveries,
		AcceptedTerms: in.Terms,
		Subject:       in.Entry, Export: in.Export, Handover: in.Ledger.Key, Rollback: in.Ledger.RollbackPart,
	}
	if in.Livemode {
		e.Ledger.Mode = sluice.Live
	}
	if e.Time, err = time.Parse(EntryTime, in.Time); err != nil {
		return sluice.Entry{}, fmt.Errorf("entry %d: %w", seq, err)
	}
	if k := in.Key; k != nil {
		e.Key = &sluice.KeyPart{ID: k.ID, Name: k.Name, Before: k.Before}
		if k.Scopes != nil {
			e.Key.Rights = &sluice.KeyRights{
				Scopes: k.Scopes, Expires: time.Time(k.ExpiresAt), OldExpires: time.Time(k.OldSecretExpires),
			}
			if e.Key.Rights.MaxLinkLifetime, err = leafLifetime(k.MaxLinkLifetime); err != nil {
				return sluice.Entry{}, fmt.Errorf("entry %d: %w", seq, err)
			}
		}
	}
	if f := in.File; f != nil {
		e.File = &f.FilePart
		if f.Held != nil {
			e.File.Details = &sluice.FileDetails{Title: f.Title, Held: *f.Held, Linked: f.Linked}
		}
	}
	if l := in.Link; l != nil {
		e.Link = &sluice.LinkPart{
			ID: l.ID, Expires: time.Time(l.ExpiresAt), Reason: l.Reason, Metadata: l.Metadata, Before: l.Before,
		}
		if l.Disposition != "" {
			e.Link.Limits = &sluice.LinkLimits{
				MaxDownloads: l.MaxDownloads, HasPassword: l.HasPassword, AllowedIPs: l.AllowedIPs,
				Disposition: l.Disposition, Filename: l.Filename,
			}
		}
	}
	if d := in.Delivery; d != nil {
		e.Delivery = &sluice.DeliveryPart{Mode: d.Mode, Status: d.Status, Returned: d.Returned}
		if d.Bytes != nil {
			took := time.Duration(d.DurationMS) * time.Millisecond
			e.Delivery.Sent = &sluice.Sent{Bytes: *d.Bytes, Complete: d.Complete, Duration: took}
		}
	}
	if in.Mail != nil {
		e.Mail = (*sluice.MailPart)(in.Mail)
	}
	disclosed := map[string]disclosure{}
	unreadable := json.Unmarshal(s.Disclosures, &disclosed) != nil
	// The order of the calls is that of Redacted and Damaged.
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
	if e.Link != nil {
		in.Link.open(e.Link, reveal)
	}
	if p := in.Recipient; p != nil {
		e.Recipient = &sluice.RecipientPart{
			Email:        reveal("/recipient/email", p.Email),
			Name:         reveal("/recipient/name", p.Name),
			Verification: p.Verification,
		}
	}
	if r := in.Request; r != nil {
		e.Request = &sluice.Request{
			ID: r.ID, Method: r.Method, Route: r.Route, Range: r.Range, RefererHost: r.RefererHost,
			ClientIP:     reveal("/request/client_ip", r.ClientIP),
			ForwardedFor: reveal("/request/forwarded_for", r.ForwardedFor),
			IP:           reveal("/request/ip", r.IP),
			UserAgent:    reveal("/request/user_agent", r.UserAgent),
		}
	}
	return e, nil
}

// opens reports whether d opens a commitment.
func (d disclosure) opens(commitment string) bool {
	salt, err := hex.DecodeString(d.Salt)
	return err == nil && len(salt) == len(ledger.Salt{}) &&
		ledger.Commit(ledger.Salt(salt), []byte(d.Value)) == commitment
}

// cutDeliveries decodes the deliveries of a leaf, and returns the leaf without them.
// There are up to 256, and encoding/json would take several times as long.
func cutDeliveries(leaf []byte) (list []sluice.Delivery, rest []byte, err error) {
	for name, value := range ledger.Members(leaf) {
		if string(name) < "deliveries" {
			continue
		}
		if string(name) > "deliveries" {
			break
		}
		for element := range ledger.Elements(value) {
			d, err := openDelivery(element)
			if err != nil {
				return nil, nil, err
			}
			list = append(list, d)
		}
		before, after, _ := bytes.Cut(leaf, value)
		return list, slices.Concat(before, []byte("null"), after), nil
	}
	return nil, leaf, nil
}

// openDelivery decodes one of the deliveries of a leaf.
func openDelivery(data []byte) (d sluice.Delivery, err error) {
	number := func(value []byte) (n int64) {
		n, failed := strconv.ParseInt(string(value), 10, 64)
		err = errors.Join(err, failed)
		return n
	}
	for name, value := range ledger.Members(data) {
		switch string(name) {
		case "bytes":
			d.Sent.Bytes = number(value)
		case "complete":
			d.Sent.Complete = string(value) == "true"
		case "duration_ms":
			d.Sent.Duration = time.Duration(number(value)) * time.Millisecond
		case "file":
			d.FileID = ledger.Text(value)
		case "link":
			d.LinkID = ledger.Text(value)
		case "returned":
			d.Returned = string(value) == "true"
		case "seq":
			d.Seq = number(value)
		}
	}
	return d, err
}

// leafTime decodes a time in a leaf.
type leafTime time.Time

// UnmarshalJSON parses a string in the layout of EntryTime.
func (t *leafTime) UnmarshalJSON(data []byte) error {
	at, err := time.Parse(`"`+EntryTime+`"`, string(data))
	*t = leafTime(at)
	return err
}

// leafLifetime decodes a max_link_lifetime of a leaf. It returns 0 if text is empty.
func leafLifetime(text json.RawMessage) (time.Duration, error) {
	switch string(text) {
	case "":
		return 0, nil
	case `"` + endless + `"`:
		return sluice.Forever, nil
	}
	seconds, err := strconv.ParseInt(string(text), 10, 64)
	return time.Duration(seconds) * time.Second, err
}

// Clip shortens s to max characters.
func Clip(s string, max int) string {
	if utf8.RuneCountInString(s) <= max {
		return s
	}
	return string([]rune(s)[:max])
}

// Disclosed returns the disclosures of the entry, ordered by field. seq is the seq
// of the entry.
func (s SealedEntry) Disclosed(seq int64) (list []ledger.Disclosure, err error) {
	stored := map[string]disclosure{}
	if err := json.Unmarshal(s.Disclosures, &stored); err != nil {
		return nil, err
	}
	for _, field := range slices.Sorted(maps.Keys(stored)) {
		d := ledger.Disclosure{Seq: seq, Field: field, Value: stored[field].Value}
		salt, err := hex.DecodeString(stored[field].Salt)
		if err != nil || len(salt) != len(d.Salt) {
			return nil, fmt.Errorf("entry %d: the salt of %s is damaged", seq, field)
		}
		d.Salt = ledger.Salt(salt)
		list = append(list, d)
	}
	return list, nil
}
