package auditlog

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"sluice/ledger"
)

// TestPack wants packed data back, and wants every changed bit of it to give nothing or other data.
func TestPack(t *testing.T) {
	few := []byte(`{"account":"acct_1","action":"link.redeemed"}`)
	random := make([]byte, 5000)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 10)
	for what, data := range map[string][]byte{
		"nothing": {}, "one byte": {1}, "one entry": few, "random": random, "repeated": bytes.Repeat(few, 40),
	} {
		packed := pack(data)
		if repeated := what == "repeated"; repeated != (packed[0] == packedS2) || len(packed) > len(data)+1 {
			t.Errorf("%s: %d bytes become %d, the first is %d", what, len(data), len(packed), packed[0])
		}
		before := bytes.Clone(packed)
		if buffer = unpack(buffer, packed); !bytes.Equal(buffer, data) {
			t.Errorf("%s came back as %d bytes", what, len(buffer))
		}
		for i := range packed {
			for bit := range 8 {
				packed[i] ^= 1 << bit
				got := unpack(nil, packed)
				if bytes.Equal(got, data) && len(data) > 0 || before[0] == packedS2 && i > 0 && got != nil {
					t.Fatalf("%s: bit %d of byte %d changes nothing", what, bit, i)
				}
				packed[i] ^= 1 << bit
			}
		}
	}
	for _, damaged := range [][]byte{nil, {2, 0, 0}, {packedS2}, {packedS2, 0, 0, 0, 0}} {
		if got := unpack(nil, damaged); got != nil {
			t.Errorf("%v gives %q", damaged, got)
		}
	}
}

// FuzzBatch reads what may be in a damaged database. Damage must not cause a panic, nor take more memory than a batch.
func FuzzBatch(f *testing.F) {
	two, err := ledger.AppendEntry(nil, []byte(`{"actor":{"id":"key_1","type":"key"},"id":"aud_1"}`))
	if err == nil {
		two, err = ledger.AppendEntry(two, []byte(`{"file":{"id":"file_1"},"id":"aud_2"}`))
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pack(two), pack([]byte("{}\n{}\n")))
	f.Add(pack(bytes.Repeat(two, 40)), pack([]byte(strings.Repeat("{}\n", 80))))
	f.Add([]byte{packedS2, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0}, []byte{9})
	f.Fuzz(func(t *testing.T, leaves, disclosures []byte) {
		b := unpackedBatch{leaves: unpack(nil, leaves), disclosures: unpack(nil, disclosures)}
		for i, e := range b.entries(nil) {
			if e.seq != int64(i) || len(e.Leaf) == 0 || len(e.Leaf) > ledger.MaxLeaf {
				t.Errorf("entry %d: seq %d, %d bytes", i, e.seq, len(e.Leaf))
			}
			e.IndexTerms()
		}
		if len(b.leaves) > max(maxUnpacked, len(leaves)) {
			t.Errorf("%d bytes from %d", len(b.leaves), len(leaves))
		}
	})
}

// FuzzPosting unpacks the seqs of a posting. Damage is an error, never a panic, and what was packed comes back.
func FuzzPosting(f *testing.F) {
	f.Add(int64(0), packSeqs([]int64{0, 1, 300}))
	f.Add(int64(1<<40), []byte{0, 0x80})
	f.Fuzz(func(t *testing.T, first int64, packed []byte) {
		p := posting{first: first, seqs: packed}
		seqs, err := p.unpack()
		if err != nil || len(seqs) == 0 {
			return
		}
		for i, seq := range seqs[1:] {
			if seq < seqs[i] { // an overflow: no posting of ours
				return
			}
		}
		again := posting{first: seqs[0], seqs: packSeqs(seqs)}
		if got, err := again.unpack(); err != nil || len(got) != len(seqs) || got[len(got)-1] != seqs[len(seqs)-1] {
			t.Errorf("%v became %v, %v", seqs, got, err)
		}
	})
}
