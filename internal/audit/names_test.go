package audit

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/ledger"
)

// namedEntry is the entry of a change of a link whose file has personal names.
func namedEntry(personal ...sluice.PersonalField) sluice.Entry {
	at := time.Date(2026, 11, 29, 1, 2, 3, 0, time.UTC)
	was := sluice.File{
		ID: "file_01", Purpose: "report", Type: "text/plain", Filename: "old secret.txt", Title: "an old secret",
		Metadata: sluice.Metadata{"case": "old secret"}, Linked: []sluice.Resource{{Type: "person", ID: "old secret"}},
		Personal: personal,
	}
	is := was
	is.Filename, is.Title, is.Metadata = "secret.txt", "a secret", sluice.Metadata{"case": "secret \U0001F600\""}
	is.Linked = []sluice.Resource{{Type: "person", ID: "secret"}}
	wasLink := sluice.Link{
		ID: "link_01", Reason: "old secret", Filename: "old secret.txt", Metadata: sluice.Metadata{"k": "old secret"},
		Access: &sluice.Access{Recipient: sluice.Recipient{Email: "ann@bank.example"}, Message: "Dear Ann"},
	}
	link := wasLink
	link.Reason, link.Filename, link.Metadata = "secret", "secret.txt", sluice.Metadata{"k": "secret"}
	return sluice.Entry{
		ID: "aud_01", Ledger: sluice.LedgerID{Account: "acct_01", Mode: sluice.Test}, Time: at,
		Action: sluice.LinkUpdated, Outcome: sluice.Allowed, Actor: sluice.Actor{Type: sluice.ActorCLI},
		File: FileDetails(is, &was), Link: LinkLimits(link, &wasLink),
		Request: &sluice.Request{ID: "req_01", IP: "192.0.2.7"},
	}
}

// Names that are personal are commitments in the leaf, and open as they were. Each disclosure opens its commitment, and
// can be erased by the name of its field.
func TestPersonalNames(t *testing.T) {
	want := namedEntry(sluice.NameFields()...)
	sealed, err := Seal(want, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if leaf := string(sealed.Leaf); !ledger.IsCanonical(sealed.Leaf) || strings.Contains(leaf, "secret") {
		t.Errorf("the leaf is %s", leaf)
	}
	if !ledger.IsCanonical(sealed.Disclosures) {
		t.Errorf("the disclosures are %s", sealed.Disclosures)
	}
	got, err := sealed.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the entry changed (-sealed +opened):\n%s", diff)
	}
	disclosures, err := sealed.Disclosed(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range disclosures {
		if !d.Opens(sealed.Leaf) || FieldOf(d.Field) == "" {
			t.Errorf("%s, field %q", d.Field, FieldOf(d.Field))
		}
	}
	for _, field := range sluice.NameFields() {
		pointers := sealed.Pointers([]sluice.PersonalField{field})
		erased := SealedEntry{sealed.Leaf, sealed.WithoutDisclosures(pointers)}
		got, err := erased.Open(0)
		if err != nil || !slices.Equal(slices.Sorted(slices.Values(got.Redacted)), pointers) || len(pointers) < 2 {
			t.Errorf("%s: erased %q of %q, %v", field, got.Redacted, pointers, err)
		}
	}
	erased, err := SealedEntry{sealed.Leaf, []byte("{}")}.Open(0)
	if err != nil || erased.File.Filename != "" || erased.File.Metadata != nil || erased.Link.Metadata != nil ||
		erased.File.Details.Linked != nil || string(erased.File.Before["metadata"]) != `""` || len(erased.Damaged) > 0 {
		t.Errorf("%+v, %v", erased, err)
	}
}

// A purpose may have some names personal and others in clear. A name in clear that looks like a commitment is none.
func TestSomePersonalNames(t *testing.T) {
	want := namedEntry(sluice.FieldReason)
	want.File.Filename = ledger.Commit(ledger.Salt{}, []byte("a name"))
	sealed, err := Seal(want, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sealed.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the entry changed (-sealed +opened):\n%s", diff)
	}
	if leaf := string(sealed.Leaf); !strings.Contains(leaf, `"case":"secret`) || strings.Contains(leaf, `"reason":"secret"`) {
		t.Errorf("the leaf is %s", leaf)
	}
}

// The largest names fit a leaf where they are personal, and their commitments are not replaced by digests where
// something else is too large.
func TestLargePersonalNames(t *testing.T) {
	e := namedEntry(sluice.FieldMetadata)
	m := sluice.Metadata{}
	for i := range sluice.MaxMetadataKeys {
		m[strings.Repeat("k", sluice.MaxMetadataKeyLen-2)+string(rune('a'+i/26))+string(rune('a'+i%26))] =
			strings.Repeat("\u0001", sluice.MaxMetadataValueLen)
	}
	e.File.Metadata, e.Link.Metadata = m, m
	for range sluice.MaxLinkedResources {
		e.File.Details.Linked = append(e.File.Details.Linked, sluice.Resource{
			Type: strings.Repeat("t", 40), ID: strings.Repeat("\u0001", sluice.MaxResourceIDLen),
		})
	}
	sealed, err := Seal(e, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sealed.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got.File.Metadata); diff != "" || len(got.Damaged)+len(got.Redacted) > 0 ||
		!strings.Contains(string(sealed.Leaf), `"linked_resources_sha256"`) {
		t.Errorf("%d bytes, damaged %q, redacted %q: %s", len(sealed.Leaf), got.Damaged, got.Redacted, diff)
	}
	for _, d := range must(sealed.Disclosed(0)) {
		if _, err := ledger.AppendDisclosure(nil, d); err != nil || !d.Opens(sealed.Leaf) {
			t.Errorf("%s opens %t, %v", d.Field, d.Opens(sealed.Leaf), err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
