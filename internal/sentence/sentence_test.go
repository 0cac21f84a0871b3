package sentence_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/sentence"
)

var (
	file = &sluice.FilePart{ID: "file_1", Filename: "invoice.pdf", Size: 120_000, Type: "application/pdf"}
	link = &sluice.LinkPart{ID: "link_1", Reason: "audit of 2026"}
	ann  = &sluice.RecipientPart{Email: "ann@bank.example"}

	byKey    = sluice.Actor{Type: sluice.ActorKey, ID: "key_1", Name: "erp"}
	byBearer = sluice.Actor{Type: sluice.ActorBearer, ID: "link_1"}
	byCLI    = sluice.Actor{Type: sluice.ActorCLI, Name: "operator"}
	bySluice = sluice.Actor{Type: sluice.ActorSystem, Name: "retention"}
	byPerson = sluice.Actor{Type: sluice.ActorPerson, ID: "4711", Issuer: "https://id.example", Name: "Eve Adams",
		Email: "eve@corp.example"}
)

// sentences has an entry of every action and what it is in words.
var sentences = []struct {
	entry sluice.Entry
	want  string
}{
	{sluice.Entry{Action: sluice.AccountCreated, Actor: byCLI}, "The operator created this account."},
	{sluice.Entry{Action: sluice.SigningKeyAdded, Actor: bySluice}, "Sluice added a key that signs links."},
	{sluice.Entry{Action: sluice.KeyCreated, Actor: byPerson, Key: &sluice.KeyPart{ID: "key_1", Name: "crm"}},
		"Eve Adams (eve@corp.example) created the API key crm."},
	{sluice.Entry{Action: sluice.KeyUpdated, Actor: byKey, Key: &sluice.KeyPart{ID: "key_2"}},
		"The API key erp changed the API key key_2."},
	{sluice.Entry{Action: sluice.KeyRotated, Actor: byKey, Key: &sluice.KeyPart{Name: "crm"}},
		"The API key erp gave the API key crm a new secret."},
	{sluice.Entry{Action: sluice.KeyEnded, Actor: byCLI, Key: &sluice.KeyPart{Name: "crm"}},
		"The operator revoked the API key crm."},
	{sluice.Entry{Action: sluice.FileCreated, Actor: byKey, File: file},
		"The API key erp uploaded invoice.pdf (120.0 kB)."},
	{sluice.Entry{Action: sluice.FileUpdated, Actor: byKey, File: file},
		"The API key erp changed the details of invoice.pdf."},
	{sluice.Entry{Action: sluice.FileHeld, Actor: byKey, File: file}, "The API key erp put invoice.pdf on hold."},
	{sluice.Entry{Action: sluice.FileReleased, Actor: byKey, File: file},
		"The API key erp released invoice.pdf from its hold."},
	{sluice.Entry{Action: sluice.FileRetainedOut, Actor: bySluice, File: file},
		"Sluice deleted invoice.pdf: its retention had ended."},
	{sluice.Entry{Action: sluice.FileRead, Actor: byKey, File: file, Delivery: &sluice.DeliveryPart{
		Mode: sluice.DeliveredByProxy, Status: 200, Sent: &sluice.Sent{Bytes: 60_000}}},
		"The API key erp read the content of invoice.pdf (120.0 kB); it stopped after 60.0 kB."},
	{sluice.Entry{Action: sluice.FileEnded, Actor: byKey, File: file}, "The API key erp deleted invoice.pdf."},
	{sluice.Entry{Action: sluice.FileDamaged, Actor: bySluice, File: damaged(sluice.WrongDigest)},
		"Sluice found that the stored bytes of invoice.pdf are not those that were uploaded."},
	{sluice.Entry{Action: sluice.LinkCreated, Actor: byKey, File: file, Link: link},
		"The API key erp made the link link_1 to invoice.pdf."},
	{sluice.Entry{Action: sluice.LinkUpdated, Actor: byKey, File: file, Link: link},
		"The API key erp changed the link link_1 to invoice.pdf."},
	{sluice.Entry{Action: sluice.LinkEnded, Actor: byKey, File: file, Link: link},
		"The API key erp ended the link link_1 to invoice.pdf."},
	{redeemed(200, &sluice.Sent{Bytes: 120_000, Complete: true}),
		"ann@bank.example, proven by e-mail, downloaded invoice.pdf (120.0 kB) by the link link_1; all bytes were sent."},
	{redeemed(200, nil),
		"ann@bank.example, proven by e-mail, downloaded invoice.pdf (120.0 kB) by the link link_1."},
	{redeemed(206, &sluice.Sent{Bytes: 2_000, Complete: true}),
		"ann@bank.example, proven by e-mail, downloaded invoice.pdf (120.0 kB) by the link link_1; " +
			"all bytes of a part (2.0 kB) were sent."},
	{refused(sluice.WrongPassword),
		"Someone with the link was refused invoice.pdf by the link link_1, because the password was wrong or missing."},
	{sluice.Entry{Action: sluice.LinkDelivered, Actor: bySluice, Deliveries: make([]sluice.Delivery, 3)},
		"Sluice recorded how 3 downloads ended."},
	{sluice.Entry{Action: sluice.LinkDelivered, Actor: bySluice, File: file,
		Delivery: &sluice.DeliveryPart{Returned: true}},
		"Sluice recorded how a download of invoice.pdf ended; Sluice failed, so the download is not counted."},
	{sluice.Entry{Action: sluice.LinkSent, Actor: byKey, File: file, Link: link, Recipient: ann},
		"The API key erp sent the link link_1 to invoice.pdf to ann@bank.example by e-mail."},
	{sluice.Entry{Action: sluice.LinkCodeSent, Actor: byBearer, File: file, Link: link, Recipient: ann},
		"Someone with the link asked for a code for the link link_1 to invoice.pdf, which was sent to ann@bank.example."},
	{sluice.Entry{Action: sluice.LinkVerified, Actor: byBearer, File: file, Link: link, Recipient: ann},
		"ann@bank.example, proven by e-mail, may open the link link_1 to invoice.pdf."},
	{sluice.Entry{Action: sluice.LinkMailFailed, Actor: bySluice, File: file, Link: link,
		Mail: &sluice.MailPart{Kind: "link"}},
		"Sluice could not deliver the mail with the link link_1 to invoice.pdf."},
	{sluice.Entry{Action: sluice.SessionCreated, Actor: byPerson, Session: &sluice.SessionPart{ID: "sess_1"}},
		"Eve Adams (eve@corp.example) signed in to the console with the session sess_1."},
	{sluice.Entry{Action: sluice.SessionEnded, Actor: byKey, Session: &sluice.SessionPart{ID: "sess_1"}},
		"The API key erp ended the session sess_1 of the console."},
	{sluice.Entry{Action: sluice.AuditExported, Actor: byKey, Export: "disclosures"},
		"The API key erp exported disclosures of the log."},
	{sluice.Entry{Action: sluice.AuditReported, Actor: byKey, Report: &sluice.ReportPart{Entries: 12}},
		"The API key erp made a report of 12 entries of the log."},
	{sluice.Entry{Action: sluice.AuditRedacted, Actor: byCLI,
		Subject: &sluice.EntryPart{ID: "aud_1", Seq: 41, Fields: []string{"/request/ip"}}},
		"The operator erased /request/ip of entry 41."},
	{sluice.Entry{Action: sluice.AuditErasureBegun, Actor: byKey, Erasure: &sluice.ErasurePart{
		By: sluice.ErasedByRecipient, Fields: []sluice.PersonalField{"ip", "recipient"}}},
		"The API key erp began to erase ip, recipient of one recipient."},
	{sluice.Entry{Action: sluice.AuditErased, Actor: bySluice, Erasure: &sluice.ErasurePart{
		By: sluice.ErasedByFile, Object: "file_1", Fields: []sluice.PersonalField{"title"},
		Erased: &sluice.ErasedCounts{Entries: 7}}},
		"Sluice erased title of the file file_1, from 7 entries."},
	{sluice.Entry{Action: sluice.KeyHandedOver, Actor: bySluice}, "Sluice changed the key that signs this log."},
	{sluice.Entry{Action: sluice.LedgerRolledBack, Actor: byCLI, Rollback: &sluice.RollbackPart{Size: 5, WasSize: 6}},
		"The operator accepted a database that had lost 1 entry of this log."},
	{sluice.Entry{Action: sluice.AccessDenied, Actor: byKey, Outcome: sluice.Refused, Refusal: "missing_scope:audit:read"},
		"The API key erp was refused what it asked for, because the scope audit:read is missing."},
	// A text that someone else chose cannot be taken for words of the sentence.
	{sluice.Entry{Action: sluice.FileEnded, Actor: byKey,
		File: &sluice.FilePart{Filename: "a. The operator deleted b”\u202e"}},
		"The API key erp deleted “a. The operator deleted b[U+201D][U+202E]”."},
	{sluice.Entry{Action: sluice.FileEnded, File: file,
		Actor: sluice.Actor{Type: sluice.ActorPerson, ID: "1", Name: "The operator"}},
		"The person “The operator” deleted invoice.pdf."},
	{sluice.Entry{Action: "future.action\n", Actor: byKey, Outcome: sluice.Refused, Refusal: "future_rule"},
		"The API key erp did future.action[U+000A], because future_rule."},
}

func damaged(d sluice.Damage) *sluice.FilePart {
	f := *file
	f.Found = &sluice.FoundPart{Problem: d}
	return &f
}

func redeemed(status int, sent *sluice.Sent) sluice.Entry {
	return sluice.Entry{
		Action: sluice.LinkRedeemed, Actor: byBearer, File: file, Link: link,
		Recipient: &sluice.RecipientPart{Email: ann.Email, Verification: "aud_1"},
		Delivery:  &sluice.DeliveryPart{Mode: sluice.DeliveredByProxy, Status: status, Sent: sent},
	}
}

func refused(r sluice.Refusal) sluice.Entry {
	return sluice.Entry{
		Action: sluice.LinkRefused, Outcome: sluice.Refused, Refusal: r, Actor: byBearer, File: file, Link: link,
	}
}

func TestSentences(t *testing.T) {
	told := map[sluice.Action]bool{}
	for _, test := range sentences {
		told[test.entry.Action] = true
		if got := sentence.Of(test.entry).String(); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.entry.Action, got, test.want)
		}
	}
	for _, a := range sluice.AllActions() {
		got := sentence.Of(sluice.Entry{Action: a}).String()
		if !told[a] || strings.Contains(got, "did "+string(a)) {
			t.Errorf("the action %s has no words or no test", a)
		}
		if strings.ContainsAny(got, "{}") {
			t.Errorf("%s without anything: %s", a, got)
		}
	}
}

// TestRefusals reads the rules that refuse, and the kinds of damage, from the root.
func TestRefusals(t *testing.T) {
	for _, rule := range declared(t, "../../link.go", "Refusal") {
		got := sentence.Of(refused(sluice.Refusal(rule))).String()
		if _, why, _ := strings.Cut(got, "because "); why == "" || why == rule+"." {
			t.Errorf("the refusal %s has no words: %s", rule, got)
		}
	}
	for _, kind := range declared(t, "../../entry.go", "Damage") {
		got := sentence.Of(sluice.Entry{Action: sluice.FileDamaged, Actor: bySluice, File: damaged(sluice.Damage(kind))})
		if strings.Contains(got.String(), "have the problem") {
			t.Errorf("the damage %s has no words: %s", kind, got)
		}
	}
	for _, kind := range declared(t, "../service/mail.go", "MailKind") {
		e := sluice.Entry{Action: sluice.LinkMailFailed, Link: link, File: file, Mail: &sluice.MailPart{Kind: kind}}
		if got := sentence.Of(e).String(); strings.Contains(got, "the mail "+kind+" about") {
			t.Errorf("the mail %s has no words: %s", kind, got)
		}
	}
}

// declared returns the string constants of a type in a file.
func declared(t *testing.T, name, kind string) (list []string) {
	parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == kind {
			for _, value := range spec.Values {
				text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, text)
			}
		}
		return true
	})
	if len(list) == 0 {
		t.Fatalf("%s declares no %s", name, kind)
	}
	return list
}

func TestFacts(t *testing.T) {
	e := refused(sluice.RecipientNotAllowed)
	e.Recipient, e.Repeats = ann, 4
	e.Request = &sluice.Request{ClientIP: "198.51.100.7", UserAgent: "curl\x1b[2J"}
	e.Redacted = []string{"/request/ip"}
	made := sluice.Entry{Action: sluice.LinkCreated, Link: &sluice.LinkPart{
		Access:  &sluice.LinkAccess{Recipient: sluice.Recipient{Email: ann.Email}},
		Limits:  &sluice.LinkLimits{MaxDownloads: 1},
		Expires: time.Date(2026, 11, 29, 1, 2, 3, 0, time.UTC),
	}}
	for _, test := range []struct {
		entry sluice.Entry
		want  string
	}{
		{e, "Reason: audit of 2026; Address: ann@bank.example; From: 198.51.100.7; Browser: curl[U+001B][2J; " +
			"Alike before it: 4 refusals; Erased later: /request/ip"},
		{made, "For: ann@bank.example; Ends: 29 Nov 2026, 01:02:03 UTC; At most: 1 download"},
		{sluice.Entry{Action: sluice.LinkEnded, Link: &sluice.LinkPart{
			Reason: "audit", Metadata: sluice.Metadata{sentence.EndReason: "sent to the wrong person"}}},
			"Reason: audit; Ended because: sent to the wrong person"},
		{sluice.Entry{Action: sluice.KeyRotated, Key: &sluice.KeyPart{Rights: &sluice.KeyRights{
			Scopes: []sluice.Scope{"files:read"}, OldExpires: time.Unix(0, 0)}}},
			"Scopes: files:read; Its old secret works until: 1 Jan 1970, 00:00:00 UTC"},
		{sluice.Entry{Action: sluice.AuditReported, Report: &sluice.ReportPart{
			Filter: map[string]string{"recipient": ann.Email}}},
			"Asked for recipient: ann@bank.example"},
	} {
		var got []string
		for _, f := range sentence.Of(test.entry).Facts {
			got = append(got, f.String())
		}
		if strings.Join(got, "; ") != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.entry.Action, strings.Join(got, "; "), test.want)
		}
	}
}
