package report

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/ledger"
)

const origin = "files.example.com/acct_01/live"

// testLog is a log in memory.
type testLog struct {
	t       testing.TB
	random  *rand.ChaCha8
	entries []Entry
	signers [2]*ledger.Signer
	log     Log
	tree    ledger.Tree
	tiles   map[[2]int64][]byte
}

func newLog(t testing.TB) *testLog {
	t.Helper()
	l := &testLog{t: t, random: rand.NewChaCha8([32]byte{16}), tiles: map[[2]int64][]byte{}}
	for i := range l.signers {
		skey, _, err := ledger.GenerateKey(l.random, "files.example.com")
		if err != nil {
			t.Fatal(err)
		}
		if l.signers[i], err = ledger.NewSigner(skey, origin); err != nil {
			t.Fatal(err)
		}
	}
	l.log.FirstKey = l.signers[0].VerifierKey()
	return l
}

// add appends an entry.
func (l *testLog) add(e sluice.Entry) Entry {
	l.t.Helper()
	seq := int64(len(l.entries))
	e.Ledger = sluice.LedgerID{Account: "acct_01", Mode: sluice.Live}
	if e.ID == "" {
		e.ID = fmt.Sprintf("aud_%026d", seq)
	}
	if e.Time.IsZero() {
		e.Time = time.Date(2026, 11, 21, 19, 0, 0, 123456000, time.UTC).Add(time.Duration(seq) * time.Minute)
	}
	if e.Outcome == "" {
		e.Outcome = sluice.Allowed
	}
	sealed, err := audit.Seal(e, l.random)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.addSealed(sealed)
}

func (l *testLog) addSealed(sealed audit.SealedEntry) Entry {
	l.entries = append(l.entries, Entry{int64(len(l.entries)), sealed})
	l.tree.Append(ledger.LeafHash(sealed.Leaf))
	return l.entries[len(l.entries)-1]
}

func (l *testLog) sign(signer *ledger.Signer) string {
	for _, c := range l.tree.Changes() {
		l.tiles[[2]int64{int64(c.Level), c.Index}] = c.Data
	}
	signed, err := signer.Sign(l.tree.Size(), l.tree.Root())
	if err != nil {
		l.t.Fatal(err)
	}
	return string(signed)
}

func (l *testLog) prove(seqs []int64) (proofs [][]ledger.Hash, err error) {
	for _, seq := range seqs {
		proof, err := ledger.ProveInclusion(seq, l.tree.Size(), func(want []ledger.Tile) (found [][]byte, err error) {
			for _, t := range want {
				found = append(found, l.tiles[[2]int64{int64(t.Level), t.Index}])
			}
			return found, nil
		})
		if err != nil {
			return nil, err
		}
		proofs = append(proofs, proof)
	}
	return proofs, nil
}

// rotate replaces the key of the log.
func (l *testLog) rotate() {
	e := l.add(sluice.Entry{
		Action: sluice.KeyHandedOver, Actor: sluice.Actor{Type: sluice.ActorSystem}, Handover: l.signers[1].VerifierKey(),
	})
	signed := l.sign(l.signers[0])
	proofs, err := l.prove([]int64{e.Seq})
	if err != nil {
		l.t.Fatal(err)
	}
	l.log.Rotations = append(l.log.Rotations, string(ledger.Proof{
		Index: e.Seq, Hashes: proofs[0], Extra: e.Leaf, Checkpoint: []byte(signed),
	}.Format()))
	l.signers[0] = l.signers[1]
}

// report makes a report of some entries.
func (l *testLog) report(filter map[string]string, entries ...Entry) []byte {
	l.t.Helper()
	r, err := New(entries, l.log.FirstKey, l.random)
	if err != nil {
		l.t.Fatal(err)
	}
	made := l.add(sluice.Entry{
		Action: sluice.AuditReported,
		Actor: sluice.Actor{
			Type: sluice.ActorPerson, ID: "1234", Issuer: "https://id.example", Name: "Ann <b>", Email: "ann@northwind.example",
		},
		Report:  &sluice.ReportPart{Entries: int64(len(entries)), SHA256: r.SHA256(), Filter: filter},
		Request: &sluice.Request{ID: "req_09", Method: "GET", IP: "192.0.2.9", ClientIP: "192.0.2.9"},
	})
	l.log.Checkpoint = l.sign(l.signers[0])
	var out bytes.Buffer
	if err := r.Write(&out, l.log, made, l.prove); err != nil {
		l.t.Fatal(err)
	}
	return out.Bytes()
}

// hostile is what people who want to deceive name files, links and themselves.
const hostile = "</script><script>alert(1)</script><!-- \u202efdp.exe\u2066 =cmd|'/C calc'!A0 \"q\" &amp; " +
	"\u00a0\u200b\r\n\u2028 \x00 ]]> 😀 שלום"

func redemption(seq int, name string) sluice.Entry {
	return sluice.Entry{
		Action: sluice.LinkRedeemed, Actor: sluice.Actor{Type: sluice.ActorBearer, ID: "link_01"},
		File: &sluice.FilePart{
			ID: "file_01", Filename: name, Size: 1 << 40, Type: "application/pdf", SHA256: strings.Repeat("0a", 32),
			Purpose: "report",
		},
		Link:     &sluice.LinkPart{ID: "link_01", Reason: name, Metadata: sluice.Metadata{"case": name}},
		Delivery: &sluice.DeliveryPart{Mode: sluice.DeliveredByProxy, Status: 200},
		Request: &sluice.Request{
			ID: fmt.Sprintf("req_%02d", seq), Method: "GET", Route: "GET /d/{token}", IP: "203.0.113.7", ClientIP: "2001:db8::7",
			UserAgent: "Mozilla/5.0 " + name,
		},
		Recipient: &sluice.RecipientPart{Email: "ann@bank.example", Name: name, Verification: "aud_00"},
	}
}

// story fills a log with what a report should tell.
func (l *testLog) story() *testLog {
	actor := sluice.Actor{Type: sluice.ActorKey, ID: "key_01", Name: hostile}
	l.add(sluice.Entry{Action: sluice.FileCreated, Actor: actor, File: redemption(0, hostile).File})
	l.add(sluice.Entry{Action: sluice.LinkCreated, Actor: actor, File: redemption(0, "a.pdf").File,
		Link: &sluice.LinkPart{ID: "link_01", Reason: "case 12/7", Access: &sluice.LinkAccess{
			Recipient: sluice.Recipient{Email: "ann@bank.example", Name: "Ann"}}}})
	l.add(redemption(2, "a.pdf"))
	l.add(redemption(3, hostile))
	l.add(sluice.Entry{Action: sluice.LinkDelivered, Actor: sluice.Actor{Type: sluice.ActorSystem},
		Deliveries: []sluice.Delivery{
			{Seq: 2, FileID: "file_01", LinkID: "link_01", Sent: sluice.Sent{Bytes: 1 << 40, Complete: true}},
			{Seq: 3, FileID: "file_01", LinkID: "link_01", Sent: sluice.Sent{Bytes: 7, Duration: time.Second}},
		}})
	refused := redemption(5, "a.pdf")
	refused.Action, refused.Outcome, refused.Refusal, refused.Repeats = sluice.LinkRefused, sluice.Refused, "expired", 3
	refused.Recipient, refused.Delivery = nil, nil
	l.add(refused)
	redacted := redemption(6, "b.pdf")
	redacted.Recipient.Verification = ""
	l.add(redacted)
	l.entries[6].Disclosures = []byte("{}")
	l.rotate() // entry 7
	last := redemption(8, "c.pdf")
	last.Delivery.Returned = true
	l.add(last)
	return l
}

// some returns entries by their seq.
func (l *testLog) some(seqs ...int64) (list []Entry) {
	for _, seq := range seqs {
		list = append(list, l.entries[seq])
	}
	return list
}
