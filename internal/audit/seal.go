// Package audit turns an entry of the log into its leaf and back: canonical JSON (RFC 8785), in
// which personal fields stand as salted commitments.
package audit

import (
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
	"unicode/utf8"

	"sluice"
	"sluice/ledger"
)

// ClipRequest holds what a stranger sends to what an entry has room for.
func ClipRequest(r sluice.Request) sluice.Request {
	for _, s := range []*string{&r.Range, &r.ForwardedFor, &r.UserAgent, &r.RefererHost} {
		*s = Clip(*s, 512)
	}
	return r
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

// Seal encodes an entry. Personal fields (addresses, forwarded addresses, user
// agent) stand in the leaf as salted commitments. Where a leaf would be too
// large, metadata and linked resources stand in it as their SHA-256.
func Seal(e sluice.Entry, random io.Reader) (SealedEntry, error) {
	beside := object{buf: make([]byte, 0, 512)}
	beside.open("")
	if e.Request != nil {
		request := ClipRequest(*e.Request)
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

// Open reads what Seal wrote. A personal field whose disclosure was erased is
// empty and named in Redacted. One whose disclosure does not open the
// commitment in the leaf, or stands beside a leaf without one, is empty and
// named in Damaged.
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
			Held   *bool             // there whenever the details are
			Linked []sluice.Resource `json:"linked_resources"`
		}
		Link *struct {
			ID, Reason, Filename string
			ExpiresAt            leafTime `json:"expires_at"`
			Metadata             sluice.Metadata
			Before               sluice.Before
			Disposition          sluice.Disposition // there whenever the limits are
			MaxDownloads         int64              `json:"max_downloads"`
			HasPassword          bool               `json:"has_password"`
			AllowedIPs           []netip.Prefix     `json:"allowed_ips"`
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
		return sluice.Entry{}, fmt.Errorf("entry %d: %w", seq, err)
	}
	disclosed := map[string]disclosure{}
	unreadable := json.Unmarshal(s.Disclosures, &disclosed) != nil
	e := sluice.Entry{
		Seq: seq, ID: in.ID, Ledger: sluice.LedgerID{Account: in.Account, Mode: sluice.Test},
		Action: sluice.Action(in.Action), Outcome: sluice.Outcome(in.Outcome), Refusal: sluice.Refusal(in.Refusal), Repeats: in.Repeats,
		Actor:   sluice.Actor{Type: sluice.ActorType(in.Actor.Type), ID: in.Actor.ID, Name: in.Actor.Name},
		Subject: in.Entry, Export: in.Export, Handover: in.Ledger.Key, Rollback: in.Ledger.RollbackPart,
	}
	if in.Livemode {
		e.Ledger.Mode = sluice.Live
	}
	var err error
	if e.Time, err = time.Parse(EntryTime, in.Time); err != nil {
		return sluice.Entry{}, fmt.Errorf("entry %d: %w", seq, err)
	}
	if k := in.Key; k != nil {
		e.Key = &sluice.KeyPart{ID: k.ID, Name: k.Name, Before: k.Before}
		if k.Scopes != nil {
			e.Key.Rights = &sluice.KeyRights{Scopes: k.Scopes, Expires: time.Time(k.ExpiresAt), OldExpires: time.Time(k.OldSecretExpires)}
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
		e.Link = &sluice.LinkPart{ID: l.ID, Expires: time.Time(l.ExpiresAt), Reason: l.Reason, Metadata: l.Metadata, Before: l.Before}
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
			e.Delivery.Sent = &sluice.Sent{Bytes: *d.Bytes, Complete: d.Complete, Duration: time.Duration(d.DurationMS) * time.Millisecond}
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
		e.Request = &sluice.Request{
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

// Disclosed gives what opens the commitments of a leaf, by field.
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
