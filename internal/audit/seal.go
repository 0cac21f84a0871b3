// Package audit encodes entries of the log as leaves and decodes them. A leaf is canonical JSON (RFC 8785) in which
// personal fields are replaced by salted commitments.
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
// forwarded addresses, user agent, and names as File.Personal says) are replaced by salted commitments with salts from
// random. If the leaf would be longer than ledger.MaxLeaf, metadata and linked
// resources are replaced by their SHA-256 digests.
func Seal(e sluice.Entry, random io.Reader) (SealedEntry, error) {
	disclosures := []byte("{}")
	if e.Request != nil {
		request := ClipRequest(*e.Request)
		e.Request = &request
		var err error
		if disclosures, err = commitPersonal(&request, random); err != nil {
			return SealedEntry{}, err
		}
	}
	var committed map[string]string
	if e.Actor.Type == sluice.ActorPerson || e.Recipient != nil || e.Report != nil ||
		e.Link != nil && (e.Link.Access != nil || e.Link.Before != nil) || e.File != nil && len(e.File.Personal) > 0 {
		var people []byte
		var err error
		people, committed, err = commitPeople(&e, random)
		if err != nil {
			return SealedEntry{}, err
		}
		disclosures = joinObjects(people, disclosures)
	}
	leaf := leafOf(e, committed, false)
	if len(leaf) > ledger.MaxLeaf {
		leaf = leafOf(e, committed, true)
	}
	if len(leaf) > ledger.MaxLeaf {
		return SealedEntry{}, fmt.Errorf("entry %s: %d bytes do not fit a leaf", e.ID, len(leaf))
	}
	return SealedEntry{Leaf: leaf, Disclosures: disclosures}, nil
}

// commitPersonal replaces the personal fields of a request by commitments, and returns
// their disclosures.
func commitPersonal(r *sluice.Request, random io.Reader) (disclosures []byte, err error) {
	personal := [...]struct { // in the order of RFC 8785
		field string
		value *string
	}{
		{"/request/client_ip", &r.ClientIP},
		{"/request/forwarded_for", &r.ForwardedFor},
		{"/request/ip", &r.IP},
		{"/request/user_agent", &r.UserAgent},
	}
	present := 0
	for _, p := range personal {
		if *p.value != "" {
			present++
		}
	}
	salts := make([]byte, present*len(ledger.Salt{}))
	if _, err := io.ReadFull(random, salts); err != nil {
		return nil, err
	}
	w := object{buf: make([]byte, 0, 512)}
	w.open("")
	for _, p := range personal {
		if *p.value == "" {
			continue
		}
		salt := ledger.Salt(salts)
		salts = salts[len(salt):]
		value := strings.ToValidUTF8(*p.value, "\uFFFD")
		*p.value = string(ledger.AppendCommitment(make([]byte, 0, 80), salt, value))
		w.open(p.field)
		w.key("salt")
		w.buf = append(hex.AppendEncode(append(w.buf, '"'), salt[:]), '"')
		w.key("value")
		w.buf = ledger.AppendString(w.buf, value)
		w.close()
	}
	w.close()
	return w.buf, nil
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
		Erasure                                     *leafErasure
		Ledger                                      struct {
			Key string
			*sluice.RollbackPart
		}
		Actor   struct{ ID, Name, Type, Issuer, Email string }
		Session *struct {
			ID, Issuer, Key, Subject string
			ExpiresAt                leafTime `json:"expires_at"`
			Scopes                   []sluice.Scope
		}
		Key *struct {
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
			Title     string
			Held      *bool // present if the details are
			Metadata  leafValue[sluice.Metadata]
			Linked    leafValue[[]sluice.Resource] `json:"linked_resources"`
			ExpiresAt *leafEnding                  `json:"expires_at"`
		}
		Link *struct {
			ID, Reason, Filename string
			ExpiresAt            leafTime `json:"expires_at"`
			Metadata             leafValue[sluice.Metadata]
			Before               sluice.Before
			Disposition          sluice.Disposition // present if the limits are
			MaxDownloads         int64              `json:"max_downloads"`
			HasPassword          bool               `json:"has_password"`
			AllowedIPs           []netip.Prefix     `json:"allowed_ips"`
			sealedAccess
		}
		Mail      *struct{ Kind, Problem string }
		Recipient *struct{ Email, Name, Verification string }
		Report    *sluice.ReportPart
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
		Actor: sluice.Actor{
			Type: sluice.ActorType(in.Actor.Type), ID: in.Actor.ID, Name: in.Actor.Name, Issuer: in.Actor.Issuer,
		},
		Deliveries:    deliveries,
		AcceptedTerms: in.Terms,
		Subject:       in.Entry, Export: in.Export, Handover: in.Ledger.Key, Rollback: in.Ledger.RollbackPart,
	}
	if in.Erasure != nil {
		e.Erasure = in.Erasure.part()
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
		e.File.Metadata = f.Metadata.value
		if f.Held != nil {
			e.File.Details = &sluice.FileDetails{
				Title: f.Title, Held: *f.Held, Linked: f.Linked.value, Expires: (*time.Time)(f.ExpiresAt),
			}
		}
	}
	if l := in.Link; l != nil {
		e.Link = &sluice.LinkPart{
			ID: l.ID, Expires: time.Time(l.ExpiresAt), Reason: l.Reason, Metadata: l.Metadata.value, Before: l.Before,
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
	if s := in.Session; s != nil {
		e.Session = &sluice.SessionPart{
			ID: s.ID, Expires: time.Time(s.ExpiresAt), Key: s.Key, Issuer: s.Issuer, Subject: s.Subject, Scopes: s.Scopes,
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
	if e.Actor.Type == sluice.ActorPerson {
		e.Actor.Email = reveal("/actor/email", in.Actor.Email)
		e.Actor.Name = reveal("/actor/name", in.Actor.Name)
	}
	var personal []sluice.PersonalField
	if e.File != nil && len(e.File.Personal) > 0 {
		personal = e.File.Personal
		openFile(e.File, in.File.Metadata.commitment, in.File.Linked.commitment, reveal)
	}
	if e.Link != nil {
		in.Link.open(e.Link, in.Link.Metadata.commitment, personal, reveal)
	}
	if p := in.Recipient; p != nil {
		e.Recipient = &sluice.RecipientPart{
			Email:        reveal("/recipient/email", p.Email),
			Name:         reveal("/recipient/name", p.Name),
			Verification: p.Verification,
		}
	}
	if e.Report = in.Report; e.Report != nil {
		for _, name := range personalFilters {
			if commitment, ok := e.Report.Filter[name]; ok {
				e.Report.Filter[name] = reveal("/report/filter/"+name, commitment)
			}
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

// leafErasure decodes an ErasurePart in a leaf.
type leafErasure struct {
	ID, Object            string
	By                    sluice.ErasedBy
	Fields                []sluice.PersonalField
	Entries, Links, Files *int64
}

func (l leafErasure) part() *sluice.ErasurePart {
	p := &sluice.ErasurePart{ID: l.ID, By: l.By, Object: l.Object, Fields: l.Fields}
	if l.Entries != nil && l.Links != nil && l.Files != nil {
		p.Erased = &sluice.ErasedCounts{Entries: *l.Entries, Links: *l.Links, Files: *l.Files}
	}
	return p
}

// leafTime decodes a time in a leaf.
type leafTime time.Time

// UnmarshalJSON parses a string in the layout of EntryTime.
func (t *leafTime) UnmarshalJSON(data []byte) error {
	at, err := time.Parse(`"`+EntryTime+`"`, string(data))
	*t = leafTime(at)
	return err
}

// leafEnding decodes a time in a leaf, or endless, which is the zero time.
type leafEnding time.Time

// UnmarshalJSON parses what object.ending writes.
func (t *leafEnding) UnmarshalJSON(data []byte) error {
	if *t = (leafEnding{}); string(data) == `"`+endless+`"` {
		return nil
	}
	return (*leafTime)(t).UnmarshalJSON(data)
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
