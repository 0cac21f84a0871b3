package sluice

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gowebpki/jcs"

	"sluice/ledger"
)

func sampleEntry(text string) Entry {
	now := time.Date(2026, 11, 21, 19, 0, 0, 123456000, time.UTC)
	return Entry{
		Seq: 7, ID: "aud_01", Ledger: LedgerID{Account: "acct_01", Mode: Live}, Time: now,
		Action: LinkRedeemed, Outcome: Allowed, Actor: Actor{Type: ActorBearer, ID: "link_01", Name: text},
		Key:     &KeyPart{ID: "key_01", Name: text},
		File:    &FilePart{ID: "file_01", Filename: text, Size: 1 << 40, Type: "text/plain", SHA256: "00", Purpose: "report", Metadata: Metadata{"b": text, "a": "1", "€": text}},
		Link:    &LinkPart{ID: "link_01", Expires: now.Add(time.Hour), Reason: text, Metadata: Metadata{"case": text}},
		Subject: &EntryPart{ID: "aud_00", Seq: 3, Fields: []string{"/request/ip", text}}, Handover: text, Export: text,
		Request: &Request{ID: "req_01", Method: "GET", Route: "/l/{token}", Range: "bytes=0-", IP: "192.0.2.7", ForwardedFor: text, UserAgent: text, RefererHost: "example.com"},
		Refusal: Refusal(text),
	}
}

func TestEntryRoundTrip(t *testing.T) {
	want := sampleEntry("a \"quoted\" name\n\u2028 <é> 文件 \U0001F600")
	sealed, err := want.Seal(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sealed.Open(want.Seq)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entry changed (-sealed +opened):\n%s", diff)
	}
}

// What an entry is found by is the same before it is sealed and after.
func TestEntryTerms(t *testing.T) {
	hostile := "a \"quoted\" \\ name\n\u2028 <é> 文件 \U0001F600"
	whole := sampleEntry(hostile)
	whole.File.ID, whole.Link.ID, whole.Key.ID, whole.Request.ID, whole.ID = hostile, hostile+"1", hostile+"2", hostile+"3", hostile+"4"
	bare := Entry{ID: "aud_1", Ledger: whole.Ledger, Time: whole.Time, Action: AccessDenied, Outcome: Refused, Actor: Actor{Type: ActorKey, ID: "key_1"}}
	operator := bare
	operator.Actor = Actor{Type: ActorCLI, ID: "key_1"}
	for _, e := range []Entry{whole, bare, operator} {
		sealed, err := e.Seal(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		got, at := sealed.Terms()
		if diff := cmp.Diff(e.Terms(), got); diff != "" || !at.Equal(e.Time) {
			t.Errorf("at %s, want %s (-sealed +read):\n%s", at, e.Time, diff)
		}
		for n := range sealed.Leaf { // damage is no reason to fail
			SealedEntry{Leaf: sealed.Leaf[:n]}.Terms()
		}
	}
}

func TestEntryHidesPersonalFields(t *testing.T) {
	e := sampleEntry("plain")
	e.Request.UserAgent, e.Request.ForwardedFor = "an-agent", "198.51.100.9"
	sealed, err := e.Seal(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, personal := range []string{"192.0.2.7", "an-agent", "198.51.100.9"} {
		if bytes.Contains(sealed.Leaf, []byte(personal)) {
			t.Errorf("the leaf holds %q", personal)
		}
	}
	again, _ := e.Seal(rand.Reader)
	if bytes.Equal(again.Leaf, sealed.Leaf) {
		t.Error("the same address has the same commitment twice: it is not salted")
	}
	sealed.Disclosures = []byte("{}")
	opened, err := sealed.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(opened.Redacted)
	if diff := cmp.Diff([]string{"/request/forwarded_for", "/request/ip", "/request/user_agent"}, opened.Redacted); diff != "" {
		t.Errorf("redacted fields (-want +got):\n%s", diff)
	}
	if opened.Request.IP != "" {
		t.Errorf("an erased address reads %q", opened.Request.IP)
	}
}

func TestEntryTooLargeKeepsDigests(t *testing.T) {
	m := Metadata{}
	for i := range MaxMetadataKeys {
		m[strings.Repeat("k", 38)+string(rune('a'+i%26))+string(rune('a'+i/26))] = strings.Repeat("\u0001", MaxMetadataValueLen)
	}
	e := sampleEntry("plain")
	e.File.Metadata, e.Link.Metadata = m, m
	sealed, err := e.Seal(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed.Leaf) > ledger.MaxLeaf || !bytes.Contains(sealed.Leaf, []byte(`"metadata_sha256"`)) {
		t.Errorf("leaf has %d bytes and begins %.80s", len(sealed.Leaf), sealed.Leaf)
	}
	if !ledger.IsCanonical(sealed.Leaf) {
		t.Error("the leaf is not canonical")
	}
}

func FuzzEntryLeafIsCanonical(f *testing.F) {
	f.Add("plain")
	f.Add("\u2028\u2029<>&\"\\\x00\x1f\x7f\U0001F600\xff")
	f.Fuzz(func(t *testing.T, text string) {
		sealed, err := sampleEntry(text).Seal(rand.Reader)
		if err != nil {
			t.Skip()
		}
		if !json.Valid(sealed.Leaf) {
			t.Fatalf("leaf is not JSON: %q", sealed.Leaf)
		}
		canonical, err := jcs.Transform(sealed.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(canonical, sealed.Leaf) {
			t.Fatalf("leaf is not canonical:\n got %s\nwant %s", sealed.Leaf, canonical)
		}
	})
}

func BenchmarkEntrySeal(b *testing.B) {
	e := sampleEntry("quarterly report")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Seal(rand.Reader); err != nil {
			b.Fatal(err)
		}
	}
}
