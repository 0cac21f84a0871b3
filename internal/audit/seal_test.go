package audit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gowebpki/jcs"

	"sluice"
	"sluice/ledger"
)

func sampleEntry(text string) sluice.Entry {
	now := time.Date(2026, 11, 21, 19, 0, 0, 123456000, time.UTC)
	return sluice.Entry{
		Seq: 7, ID: "aud_01", Ledger: sluice.LedgerID{Account: "acct_01", Mode: sluice.Live}, Time: now,
		Action: sluice.LinkRedeemed, Outcome: sluice.Allowed,
		Actor: sluice.Actor{
			Type: sluice.ActorPerson, ID: text, Name: text, Issuer: "https://id.example", Email: "dan@bank.example",
		},
		Key: &sluice.KeyPart{ID: "key_01", Name: text,
			Rights: &sluice.KeyRights{
				Scopes:          []sluice.Scope{sluice.FilesRead, sluice.KeysAdmin},
				Expires:         now.Add(time.Hour),
				MaxLinkLifetime: 90 * time.Second,
				OldExpires:      now,
			},
			Before: sluice.Before{"name": ledger.AppendString(nil, text), "expires_at": json.RawMessage("null")}},
		File: &sluice.FilePart{
			ID:       "file_01",
			Filename: text,
			Size:     1 << 40,
			Type:     "text/plain",
			SHA256:   "00",
			Purpose:  "report",
			Metadata: sluice.Metadata{"b": text, "a": "1", "€": text},
			Details: &sluice.FileDetails{Title: text, Held: true, Linked: []sluice.Resource{{Type: "case", ID: text}},
				Expires: &now},
			Found: &sluice.FoundPart{Problem: sluice.WrongDigest, Size: &[]int64{1 << 41}[0], SHA256: "01"},
			Before: sluice.Before{
				"title":    ledger.AppendString(nil, text),
				"metadata": ledger.AppendStringMap(nil, sluice.Metadata{"a": text}),
			},
		},
		Link: &sluice.LinkPart{
			ID:       "link_01",
			Expires:  now.Add(time.Hour),
			Reason:   text,
			Metadata: sluice.Metadata{"case": text},
			Limits: &sluice.LinkLimits{
				MaxDownloads: 3,
				HasPassword:  true,
				AllowedIPs:   []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")},
				Disposition:  sluice.Inline,
				Filename:     text,
			},
			Access: &sluice.LinkAccess{
				Recipient:    sluice.Recipient{Email: "ann@bank.example", Name: text},
				Allowed:      []string{"bob@bank.example", "*@xn--bcher-kva.example"},
				Verification: sluice.EmailVerification,
				Message:      text,
				TermsSHA256:  "02",
				Notify: sluice.Notify{
					Email: "carl@northwind.example", On: []sluice.NotifyOn{sluice.FirstDownload, sluice.Unopened},
				},
				Page:     sluice.PageAlways,
				Language: "de",
				Erased:   true,
			},
			Before: sluice.Before{
				"allowed_recipients": json.RawMessage(`"old@bank.example\n*@old.example"`),
				"max_downloads":      json.RawMessage("1"),
				"message":            ledger.AppendString(nil, text),
				"notify":             json.RawMessage(`{"email":"old@northwind.example","on":["refused"]}`),
				"reason":             ledger.AppendString(nil, text),
				"recipient":          json.RawMessage("null"),
			},
		},
		Recipient:     &sluice.RecipientPart{Email: "ann@bank.example", Name: text, Verification: "aud_00"},
		Mail:          &sluice.MailPart{Kind: "link", Problem: text},
		AcceptedTerms: "03",
		Session: &sluice.SessionPart{
			ID: "sess_01", Expires: now, Key: "key_01", Issuer: "https://id.example", Subject: text,
			Scopes: []sluice.Scope{sluice.AuditRead, sluice.KeysAdmin},
		},
		Subject: &sluice.EntryPart{ID: "aud_00", Seq: 3, Fields: []string{"/request/ip", text}}, Handover: text,
		Export: text,
		Report: &sluice.ReportPart{Entries: 1 << 40, SHA256: "04", Filter: map[string]string{
			"action": text, "client_ip": "198.51.100.2", "recipient": "ann@bank.example",
		}},
		Request: &sluice.Request{
			ID:           "req_01",
			Method:       "GET",
			Route:        "/l/{token}",
			Range:        "bytes=0-",
			IP:           "192.0.2.7",
			ClientIP:     "198.51.100.1",
			ForwardedFor: text,
			UserAgent:    text,
			RefererHost:  "example.com",
		},
		Refusal: sluice.Refusal(text),
		Deliveries: []sluice.Delivery{
			{Seq: 3, FileID: "file_01", LinkID: text, Sent: sluice.Sent{Bytes: 1 << 40, Duration: 7 * time.Millisecond}},
			{Seq: 5, FileID: "file_02", LinkID: "link_02", Returned: true, Sent: sluice.Sent{Complete: true}},
		},
	}
}

func TestEntryRoundTrip(t *testing.T) {
	want := sampleEntry("a \"quoted\" name\n\u2028 <é> 文件 \U0001F600")
	sealed, err := Seal(want, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sealed.Open(want.Seq)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("entry changed (-sealed +opened):\n%s", diff)
	}
}

// An entry has the same index terms before and after it is sealed.
func TestEntryTerms(t *testing.T) {
	hostile := "a \"quoted\" \\ name\n\u2028 <é> 文件 \U0001F600"
	whole := sampleEntry(hostile)
	whole.Action = sluice.LinkDelivered
	whole.File.ID, whole.Link.ID, whole.Key.ID, whole.Request.ID, whole.ID = hostile, hostile+"1", hostile+"2", hostile+"3", hostile+"4"
	bare := sluice.Entry{
		ID:      "aud_1",
		Ledger:  whole.Ledger,
		Time:    whole.Time,
		Action:  sluice.AccessDenied,
		Outcome: sluice.Refused,
		Actor:   sluice.Actor{Type: sluice.ActorKey, ID: "key_1"},
	}
	operator := bare
	operator.Actor = sluice.Actor{Type: sluice.ActorCLI, ID: "key_1"}
	person := bare
	person.Actor.Type = sluice.ActorPerson
	for _, e := range []sluice.Entry{whole, bare, operator, person, deliveries(3)} {
		sealed, err := Seal(e, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		got, at := sealed.IndexTerms()
		got.Deliveries, got.PersonalTerms = sealed.DeliveryTerms(), sealed.PersonalTerms()
		if diff := cmp.Diff(IndexTermsOf(e), got); diff != "" || !at.Equal(e.Time) {
			t.Errorf("at %s, want %s (-sealed +read):\n%s", at, e.Time, diff)
		}
		for n := range sealed.Leaf { // damage must not make it fail
			SealedEntry{Leaf: sealed.Leaf[:n]}.IndexTerms()
			SealedEntry{Leaf: sealed.Leaf[:n]}.DeliveryTerms()
		}
	}
}

// The files and links of deliveries are found in the leaf, and nothing that looks like them.
func TestDeliversFileAndLink(t *testing.T) {
	e := deliveries(2)
	e.Deliveries[1].FileID, e.Deliveries[1].LinkID = `a "quoted" id`, "link_02"
	sealed, err := Seal(e, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	created := sampleEntry(`"link":"link_02","action":"link.delivered"`)
	created.Link.Metadata = sluice.Metadata{"link": "link_02", "file": "link_02"}
	other, err := Seal(created, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if !sealed.DeliversFile(e.Deliveries[0].FileID) || !sealed.DeliversFile(`a "quoted" id`) || !sealed.DeliversBy("link_02") {
		t.Errorf("not found in %s", sealed.Leaf)
	}
	if sealed.DeliversFile("link_02") || sealed.DeliversBy("link_0") || other.DeliversBy("link_02") ||
		other.DeliversFile("link_02") || other.DeliveryTerms() != nil {
		t.Error("a delivery is found that is none")
	}
}

// erasablePointers are those of sampleEntry, in order.
var erasablePointers = append(peopleFields, requestFields...)

var (
	peopleFields = []string{
		"/actor/email", "/actor/name",
		"/link/allowed_recipients", "/link/before/allowed_recipients", "/link/before/message",
		"/link/before/notify/email", "/link/message", "/link/notify/email", "/link/recipient/email",
		"/link/recipient/name", "/recipient/email", "/recipient/name",
		"/report/filter/client_ip", "/report/filter/recipient",
	}
	requestFields = []string{"/request/client_ip", "/request/forwarded_for", "/request/ip", "/request/user_agent"}
)

func TestEntryHidesPersonalFields(t *testing.T) {
	e := sampleEntry("plain")
	e.Request.UserAgent, e.Request.ForwardedFor = "an-agent", "198.51.100.9"
	sealed, err := Seal(e, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, personal := range []string{
		"192.0.2.7", "198.51.100.1", "198.51.100.2", "an-agent", "198.51.100.9", "bank.example", "northwind.example", "old.example",
	} {
		if bytes.Contains(sealed.Leaf, []byte(personal)) {
			t.Errorf("the leaf contains %q", personal)
		}
	}
	again, _ := Seal(e, rand.Reader)
	if bytes.Equal(again.Leaf, sealed.Leaf) {
		t.Error("the same address has the same commitment twice, so it is not salted")
	}
	sealed.Disclosures = []byte("{}")
	opened, err := sealed.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(erasablePointers, opened.Redacted); diff != "" {
		t.Errorf("redacted fields (-want +got):\n%s", diff)
	}
	if opened.Request.IP != "" {
		t.Errorf("an erased address is %q", opened.Request.IP)
	}
}

func TestEntryTooLargeKeepsDigests(t *testing.T) {
	m := sluice.Metadata{}
	for i := range sluice.MaxMetadataKeys {
		m[strings.Repeat("k", 38)+string(rune('a'+i%26))+string(rune('a'+i/26))] = strings.Repeat(
			"\u0001", sluice.MaxMetadataValueLen,
		)
	}
	e := sampleEntry("plain")
	e.File.Metadata, e.Link.Metadata = m, m
	sealed, err := Seal(e, rand.Reader)
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

// The largest change of each object fits a leaf. Digests replace the values that
// would not fit, both the old and the new ones.
func TestLargestChangesFit(t *testing.T) {
	metadata := func(text string) sluice.Metadata {
		m := sluice.Metadata{}
		for i := range sluice.MaxMetadataKeys {
			m[strings.Repeat("k", 38)+fmt.Sprint(10+i)] = strings.Repeat(text, sluice.MaxMetadataValueLen)
		}
		return m
	}
	linked := func(text string) (list []sluice.Resource) {
		for i := range sluice.MaxLinkedResources {
			list = append(
				list,
				sluice.Resource{
					Type: strings.Repeat("t", 40),
					ID:   strings.Repeat(text, sluice.MaxResourceIDLen-2) + fmt.Sprint(10+i),
				},
			)
		}
		return list
	}
	networks := func(first byte) (list []netip.Prefix) {
		for i := range sluice.MaxAllowedIPs {
			a := [16]byte{
				first, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, byte(i),
			}
			list = append(list, netip.PrefixFrom(netip.AddrFrom16(a), 128))
		}
		return list
	}
	file := func(text string) sluice.File {
		return sluice.File{
			ID:       "file_01",
			Filename: strings.Repeat(text, sluice.MaxFilenameLen),
			Title:    strings.Repeat(text, sluice.MaxTitleLen),
			Type:     strings.Repeat("t", sluice.MaxTypeLen),
			Metadata: metadata(text),
			Linked:   linked(text),
		}
	}
	link := func(text string, at time.Time, first byte) sluice.Link {
		return sluice.Link{
			ID:           "link_01",
			Reason:       strings.Repeat(text, sluice.MaxReasonLen),
			Filename:     strings.Repeat(text, sluice.MaxFilenameLen),
			Metadata:     metadata(text),
			MaxDownloads: sluice.MaxMaxDownloads,
			AllowedIPs:   networks(first),
			Expires:      at,
		}
	}
	e := sampleEntry(strings.Repeat("\u0001", 512))
	e.Subject, e.Handover, e.Export, e.Refusal = nil, "", "", ""
	e.Actor.Name = strings.Repeat("\u0001", sluice.MaxKeyNameLen)
	e.Key, e.Deliveries = nil, nil
	wasFile, wasLink := file("\u0001"), link("\u0001", e.Time, 0x11)
	e.File, e.Link = FileDetails(file("\u0002"), &wasFile), LinkLimits(link("\u0002", e.Time.Add(1), 0x22), &wasLink)
	sealed, err := Seal(e, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if !ledger.IsCanonical(sealed.Leaf) {
		t.Error("the leaf is not canonical")
	}
	got, err := sealed.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(ledger.AppendStringMap(nil, wasFile.Metadata))
	if want := fmt.Sprintf("%q", hex.EncodeToString(sum[:])); string(got.File.Before["metadata_sha256"]) != want ||
		string(got.Link.Before["metadata_sha256"]) != want {
		t.Errorf("before: %.300s, %.300s", got.File.Before, got.Link.Before)
	}
	if got.File.Before["linked_resources_sha256"] == nil || len(got.Link.Limits.AllowedIPs) != sluice.MaxAllowedIPs {
		t.Errorf("%d bytes: %.300s", len(sealed.Leaf), sealed.Leaf)
	}
}

// deliveries returns an entry of n downloads with the longest ids and numbers.
func deliveries(n int) sluice.Entry {
	const most = 1<<53 - 1 // of RFC 8785
	long := strings.Repeat("z", 26)
	e := sluice.Entry{
		ID: "aud_" + long, Ledger: sluice.LedgerID{Account: "acct_" + long, Mode: sluice.Test},
		Time:   time.Date(2026, 11, 28, 19, 0, 0, 123456000, time.UTC),
		Action: sluice.LinkDelivered, Outcome: sluice.Allowed, Actor: sluice.Actor{Type: sluice.ActorSystem},
	}
	for i := range n {
		e.Deliveries = append(e.Deliveries, sluice.Delivery{
			Seq: most - int64(i), FileID: "file_" + long, LinkID: "link_" + long, Returned: true,
			Sent: sluice.Sent{Bytes: most, Duration: math.MaxInt64 / time.Millisecond * time.Millisecond},
		})
	}
	return e
}

// The largest entry of deliveries fits a leaf, and nothing of it is personal.
func TestMostDeliveriesFit(t *testing.T) {
	want := deliveries(sluice.MaxDeliveries)
	sealed, err := Seal(want, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if !ledger.IsCanonical(sealed.Leaf) || string(sealed.Disclosures) != "{}" {
		t.Errorf("%d bytes, disclosures %s", len(sealed.Leaf), sealed.Disclosures)
	}
	got, err := sealed.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entry changed (-sealed +opened):\n%s", diff)
	}
}

// The leaf of deliveries keeps its form: others read it too.
func TestLeafOfDeliveries(t *testing.T) {
	e := deliveries(0)
	e.ID, e.Ledger.Account = "aud_01", "acct_01"
	e.Deliveries = []sluice.Delivery{
		{Seq: 123, FileID: "file_01", LinkID: "link_01",
			Sent: sluice.Sent{Bytes: 4096, Complete: true, Duration: 3999 * time.Microsecond}},
		{Seq: 121, FileID: "file_02", LinkID: "link_02", Returned: true},
	}
	sealed, err := Seal(e, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"account":"acct_01","action":"link.delivered","actor":{"type":"system"},"deliveries":[` +
		`{"bytes":4096,"complete":true,"duration_ms":3,"file":"file_01","link":"link_01","seq":123},` +
		`{"bytes":0,"complete":false,"duration_ms":0,"file":"file_02","link":"link_02","returned":true,"seq":121}],` +
		`"id":"aud_01","livemode":false,"outcome":"allowed","time":"2026-11-28T19:00:00.123456Z","v":1}`
	if string(sealed.Leaf) != want {
		t.Errorf("the leaf is %s\nwant %s", sealed.Leaf, want)
	}
}

// A leaf of the time when each download had an entry of its own can be opened.
func TestEntryOfOneDelivery(t *testing.T) {
	leaf := `{"account":"acct_01","action":"link.delivered","actor":{"id":"link_01","type":"bearer"},"delivery":{"bytes":7,"complete":false,"duration_ms":12,"mode":"proxy","returned":true,"status":206},` +
		`"file":{"filename":"a","id":"file_01","purpose":"report","sha256":"00","size":9,"type":"text/plain"},"id":"aud_01","key":{"id":"key_01","name":"n"},"link":{"id":"link_01"},"livemode":true,` +
		`"outcome":"allowed","request":{"id":"req_01"},"time":"2026-11-21T19:00:00.123456Z","v":1}`
	e, err := SealedEntry{Leaf: []byte(leaf), Disclosures: []byte("{}")}.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	want := &sluice.DeliveryPart{Mode: sluice.DeliveredByProxy, Status: 206, Returned: true,
		Sent: &sluice.Sent{Bytes: 7, Duration: 12 * time.Millisecond}}
	if diff := cmp.Diff(want, e.Delivery); diff != "" || e.Deliveries != nil || e.Request.ID != "req_01" ||
		e.Link.ID != "link_01" || e.File.ID != "file_01" || e.KeyID() != "key_01" {
		t.Errorf("%+v: %s", e, diff)
	}
}

// A disclosed value is returned only if it opens the commitment in the leaf.
func TestEntryDamagedDisclosures(t *testing.T) {
	e := sampleEntry("plain")
	sealed, err := Seal(e, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		old, new string
		damaged  []string
	}{
		"another value": {`"value":"192.0.2.7"`, `"value":"203.0.113.9"`, []string{"/request/ip"}},
		"another salt":  {`"/request/ip":{"salt":"`, `"/request/ip":{"salt":"00`, []string{"/request/ip"}},
		"another field": {`"/request/ip":`, `"/request/client_ip":`, []string{"/request/client_ip"}},
		"unreadable":    {`{`, ``, erasablePointers},
	} {
		t.Run(name, func(t *testing.T) {
			altered := SealedEntry{
				sealed.Leaf,
				[]byte(strings.Replace(string(sealed.Disclosures), test.old, test.new, 1)),
			}
			got, err := altered.Open(0)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got.Damaged)
			if diff := cmp.Diff(test.damaged, got.Damaged); diff != "" {
				t.Errorf("damaged (-want +got):\n%s", diff)
			}
			if slices.Contains(test.damaged, "/request/ip") && got.Request.IP != "" ||
				slices.Contains(test.damaged, "/request/client_ip") && got.Request.ClientIP != "" {
				t.Errorf("the damaged value was returned: %+v", got.Request)
			}
		})
	}
	e.Request.UserAgent = ""
	bare, err := Seal(e, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	got, err := SealedEntry{bare.Leaf, sealed.Disclosures}.Open(0)
	if err != nil || got.Request.UserAgent != "" || !slices.Contains(got.Damaged, "/request/user_agent") {
		t.Errorf("with a disclosure of a field that the leaf lacks: %+v, %q, %v", got.Request, got.Damaged, err)
	}
}

// A leaf of the time before entries recorded limits can be opened, and has none.
func TestEntryWithoutLimits(t *testing.T) {
	leaf := `{"account":"acct_01","action":"link.updated","actor":{"id":"key_01","type":"key"},"file":{"filename":"a","id":"file_01","purpose":"report","sha256":"00","size":1,"type":"text/plain"},` +
		`"id":"aud_01","key":{"id":"key_01","name":"n"},"link":{"expires_at":"2026-11-21T19:00:00.123456Z","id":"link_01"},"livemode":true,"outcome":"allowed","time":"2026-11-21T19:00:00.123456Z","v":1}`
	e, err := SealedEntry{Leaf: []byte(leaf), Disclosures: []byte("{}")}.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	if e.Link.Limits != nil || e.File.Details != nil || e.Key.Rights != nil || e.Link.Before != nil ||
		e.Link.Expires.IsZero() {
		t.Errorf("%+v %+v %+v", e.Link, e.File, e.Key)
	}
}

// The end of a file's retention is never, a time, or not recorded.
func TestEntryRetention(t *testing.T) {
	at := time.Date(2026, 11, 28, 19, 0, 0, 123456000, time.UTC)
	for text, want := range map[string]*time.Time{
		"": nil, `"expires_at":"none",`: {}, `"expires_at":"2026-11-28T19:00:00.123456Z",`: &at,
	} {
		e := sluice.Entry{File: &sluice.FilePart{ID: "file_01", Details: &sluice.FileDetails{Expires: want}}, Time: at}
		sealed, err := Seal(e, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(sealed.Leaf, []byte(`"file":{`+text+`"held":false`)) {
			t.Errorf("%q: %s", text, sealed.Leaf)
		}
		got, err := sealed.Open(0)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.File.Details.Expires); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// Times are written as package time writes them.
func TestAppendTime(t *testing.T) {
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(1<<33, 999_999_999), time.Date(2026, 2, 3, 4, 5, 6, 7_000, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.FixedZone("", 3600)),
		time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got, want := string(appendTime(nil, at)), at.UTC().Format(EntryTime); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func FuzzEntryLeafIsCanonical(f *testing.F) {
	f.Add("plain")
	f.Add("\u2028\u2029<>&\"\\\x00\x1f\x7f\U0001F600\xff")
	f.Fuzz(func(t *testing.T, text string) {
		sealed, err := Seal(sampleEntry(text), rand.Reader)
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
	// Like the entry of a redemption, without rights, details, limits and people.
	e.Key.Rights, e.Key.Before, e.File.Details, e.File.Before = nil, nil, nil, nil
	e.Link.Limits, e.Link.Before, e.Link.Access, e.Deliveries = nil, nil, nil, nil
	e.Recipient, e.Mail, e.AcceptedTerms = nil, nil, ""
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Seal(e, rand.Reader); err != nil {
			b.Fatal(err)
		}
	}
}
