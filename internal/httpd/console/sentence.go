package console

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice"
)

// sentence is an entry in words: who did what to which object, and what else is to be known of it. All texts are
// visible.
type sentence struct {
	Who, Did, What string
	More           []string // facts, such as "Reason: audit of 2026"
	Tone           string   // "good", "warn", "bad", "info" or "", as the classes of the style sheet
}

// String is the sentence without its facts.
func (s sentence) String() string { return strings.TrimSpace(s.Who + " " + s.Did + " " + s.What) }

// deeds are the actions in words, with their tones. The name of the file, key or person follows.
var deeds = map[sluice.Action][2]string{
	sluice.AccountCreated:   {"created the account"},
	sluice.SigningKeyAdded:  {"added a signing key of links"},
	sluice.KeyCreated:       {"created the API key", "info"},
	sluice.KeyUpdated:       {"changed the API key"},
	sluice.KeyRotated:       {"gave a new secret to the API key"},
	sluice.KeyEnded:         {"revoked the API key", "warn"},
	sluice.FileCreated:      {"uploaded", "info"},
	sluice.FileUpdated:      {"changed the details of"},
	sluice.FileHeld:         {"put on hold", "warn"},
	sluice.FileReleased:     {"released from its hold"},
	sluice.FileRetainedOut:  {"deleted, because its retention had ended,", "warn"},
	sluice.FileRead:         {"read the content of", "good"},
	sluice.FileEnded:        {"deleted", "warn"},
	sluice.FileDamaged:      {"found damage in the stored bytes of", "bad"},
	sluice.LinkCreated:      {"shared", "info"},
	sluice.LinkUpdated:      {"changed a link to"},
	sluice.LinkEnded:        {"ended a link to", "warn"},
	sluice.LinkRedeemed:     {"downloaded", "good"},
	sluice.LinkDelivered:    {"recorded how downloads ended"},
	sluice.LinkSent:         {"mailed the link to", "info"},
	sluice.LinkCodeSent:     {"asked for a code to open"},
	sluice.LinkVerified:     {"proved an address to open", "info"},
	sluice.LinkMailFailed:   {"could not deliver a mail about", "warn"},
	sluice.SessionCreated:   {"signed in"},
	sluice.SessionEnded:     {"ended a session"},
	sluice.AuditExported:    {"exported the log"},
	sluice.AuditRedacted:    {"erased personal fields of an entry", "warn"},
	sluice.KeyHandedOver:    {"changed the key that signs the log"},
	sluice.LedgerRolledBack: {"accepted a log that had lost entries", "bad"},
}

// refusals are the rules that refuse, in words that follow "because".
var refusals = map[sluice.Refusal]string{
	sluice.Expired: "the link had expired", sluice.Exhausted: "its downloads were used up",
	sluice.Revoked: "the link had been ended", sluice.FileDeleted: "the file was deleted",
	sluice.KeyRevoked:        "the API key that made the link was revoked",
	sluice.KeyExpired:        "the API key that made the link had expired",
	sluice.KeyRestricted:     "the API key that made the link may no longer make such links",
	sluice.PurposeRestricted: "the purpose of the file no longer allows such links",
	sluice.WrongPassword:     "the password was wrong", sluice.AddressNotAllowed: "the network is not allowed",
	sluice.Altered:              "the record of the link was altered outside of Sluice",
	sluice.VerificationRequired: "no address was proved",
	sluice.RecipientNotAllowed:  "the link is not for this address",
	sluice.WrongCode:            "the code was wrong", sluice.TooManyCodes: "too many codes were asked for",
	sluice.TermsNotAccepted: "the terms were not accepted",
}

// sentenceOf puts an entry into words.
func sentenceOf(e sluice.Entry) sentence {
	deed, known := deeds[e.Action]
	if !known {
		deed[0] = "did " + string(e.Action)
	}
	s := sentence{Who: whoOf(e), Did: deed[0], Tone: deed[1]}
	switch {
	case e.Action == sluice.LinkDelivered || e.Action == sluice.AuditRedacted:
	case e.File != nil:
		s.What = nameOf(e.File)
	case e.Key != nil:
		s.What = visible(cmp.Or(e.Key.Name, e.Key.ID))
	}
	if e.Outcome == sluice.Refused {
		s.refuse(e)
	}
	s.addFacts(e)
	return s
}

// refuse puts a refusal into words.
func (s *sentence) refuse(e sluice.Entry) {
	s.Tone, s.Did = "bad", "was refused"
	why, known := refusals[e.Refusal]
	if scope, ok := strings.CutPrefix(string(e.Refusal), "missing_scope:"); ok {
		why, known = "the scope "+scope+" is missing", true
	}
	if !known {
		why = string(e.Refusal)
	}
	s.More = append(s.More, "Because "+why)
	if e.Repeats > 0 {
		s.More = append(s.More, fmt.Sprintf("%s alike before it", count(e.Repeats, "refusal")))
	}
}

// whoOf is the actor of an entry. The bearer of a link is known by the address that was proved, if one was.
func whoOf(e sluice.Entry) string {
	switch e.Actor.Type {
	case sluice.ActorKey:
		return "The API key " + visible(cmp.Or(e.Actor.Name, e.Actor.ID))
	case sluice.ActorBearer:
		if r := e.Recipient; r != nil && r.Email != "" {
			return visible(r.Email)
		}
		return "Someone with the link"
	case sluice.ActorCLI:
		return "The operator"
	case sluice.ActorSystem:
		return "Sluice"
	}
	return visible(cmp.Or(e.Actor.Name, e.Actor.Email, e.Actor.ID, string(e.Actor.Type)))
}

// addFacts adds what the entry says besides.
func (s *sentence) addFacts(e sluice.Entry) {
	add := func(format string, args ...any) { s.More = append(s.More, fmt.Sprintf(format, args...)) }
	if e.Action == sluice.FileCreated && e.File != nil {
		add("%s, %s", english.Size(e.File.Size), e.File.Type)
	}
	if l := e.Link; l != nil && e.Action == sluice.LinkCreated {
		if a := l.Access; a != nil && a.Recipient.Email != "" {
			add("For %s", visible(a.Recipient.Email))
		}
		if l.Reason != "" {
			add("Reason: %s", visible(l.Reason))
		}
		add("%s", untilWhen(l.Expires))
	}
	if l := e.Link; l != nil && len(l.Before) > 0 {
		add("Changed: %s", changes(l.Before))
		if _, moved := l.Before["expires_at"]; moved {
			add("%s", untilWhen(l.Expires))
		}
	}
	if f := e.File; f != nil && len(f.Before) > 0 && e.Action == sluice.FileUpdated {
		add("Changed: %s", changes(f.Before))
	}
	if l := e.Link; l != nil && e.Action == sluice.LinkEnded && l.Metadata[endReason] != "" {
		add("Reason: %s", visible(l.Metadata[endReason]))
	}
	if r := e.Recipient; r != nil && r.Email != "" && e.Actor.Type != sluice.ActorBearer {
		add("To %s", visible(r.Email))
	}
	if d := e.Delivery; d != nil && e.Outcome == sluice.Allowed {
		addDelivery(add, d)
	}
	if m := e.Mail; m != nil {
		add("%s: %s", m.Kind, visible(m.Problem))
	}
	if len(e.Deliveries) > 0 {
		add("%s", count(int64(len(e.Deliveries)), "download"))
	}
	if e.AcceptedTerms != "" {
		add("The terms were accepted")
	}
	if e.Request != nil && e.Request.ClientIP != "" {
		add("From %s", visible(e.Request.ClientIP))
	}
	if len(e.Redacted) > 0 {
		add("Personal fields were erased later")
	}
}

// untilWhen is the end of a link.
func untilWhen(expires time.Time) string {
	if expires.IsZero() {
		return "Without end"
	}
	return "Until " + expires.UTC().Format("2 Jan 2006, 15:04")
}

// changes are the members that a change replaced.
func changes(b sluice.Before) string {
	return strings.ReplaceAll(strings.Join(slices.Sorted(maps.Keys(b)), ", "), "_", " ")
}

// addDelivery says how a download ended.
func addDelivery(add func(string, ...any), d *sluice.DeliveryPart) {
	switch {
	case d.Returned:
		add("The download failed and is not counted")
	case d.Mode == sluice.DeliveredByRedirect:
		add("Sent by the bucket of the files")
	case d.Sent == nil:
		add("How it ended is not recorded yet")
	case d.Sent.Complete:
		add("All %s were sent", english.Size(d.Sent.Bytes))
	default:
		add("It stopped after %s", english.Size(d.Sent.Bytes))
	}
}
