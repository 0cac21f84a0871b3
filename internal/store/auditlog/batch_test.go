package auditlog

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"sluice/internal/audit"
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

// TestBatcher puts entries of two ledgers into batches, twice in the same buffers, and wants them back. A batch ends
// where its ledger does, with maxBatch entries, and with the entry that fills it.
func TestBatcher(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), ledger.MaxLeaf/16)
	var b batcher
	for round := range 3 {
		var entries []unwritten
		add := func(number, seq int64, leaf []byte) {
			disclosures := []byte(fmt.Sprintf(`{"round":%d,"ledger":%d,"seq":%d}`, round, number, seq))
			entries = append(entries, unwritten{number, seq, seq, audit.SealedEntry{Leaf: leaf, Disclosures: disclosures}})
		}
		for seq := range int64(maxBatch + 3) {
			add(2, 100+seq, []byte(fmt.Sprintf(`{"round":%d,"seq":%d}`, round, seq)))
			add(1, 7+seq, []byte{byte(round), byte(seq)})
		}
		add(3, 0, large)
		add(3, 1, large)
		add(3, 2, []byte("small"))
		want := map[int64][]unwritten{}
		for _, e := range entries {
			want[e.ledger] = append(want[e.ledger], e)
		}
		batches, err := b.batches(entries)
		if err != nil {
			t.Fatal(err)
		}
		var sizes []string
		for _, batch := range batches {
			got := unpackedBatch{batch.first, batch.time, unpack(nil, batch.leaves), unpack(nil, batch.disclosures)}
			list := got.entries(nil)
			sizes = append(sizes, fmt.Sprint(batch.ledger, ":", len(list)))
			for _, e := range list {
				next := want[batch.ledger][0]
				want[batch.ledger] = want[batch.ledger][1:]
				if e.seq != next.seq || !bytes.Equal(e.Leaf, next.sealed.Leaf) ||
					!bytes.Equal(e.Disclosures, next.sealed.Disclosures) {
					t.Fatalf("entry %d of ledger %d came back as %d with %.40q", next.seq, next.ledger, e.seq, e.Leaf)
				}
			}
		}
		if got := strings.Join(sizes, " "); got != "1:32 1:3 2:32 2:3 3:1 3:1 3:1" {
			t.Errorf("batches are %s", got)
		}
	}
	random := make([]byte, ledger.MaxLeaf)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	var entries []unwritten
	for seq := range int64(2 * maxKeptBuffer / ledger.MaxLeaf) {
		entries = append(entries, unwritten{1, seq, seq, audit.SealedEntry{Leaf: random}})
	}
	if _, err := b.batches(entries); err != nil {
		t.Fatal(err)
	}
	if kept := max(cap(b.leaves), cap(b.disclosures), cap(b.packed)); kept > maxKeptBuffer {
		t.Errorf("a buffer of %d bytes is kept", kept)
	}
}
