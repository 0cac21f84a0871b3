package store

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"sluice/ledger"
)

// What is packed comes back, and no byte of it can change unseen: what is read
// then is nothing, or something else.
func TestPack(t *testing.T) {
	few := []byte(`{"account":"acct_1","action":"link.redeemed"}`)
	random := make([]byte, 5000)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	room := make([]byte, 10)
	for what, data := range map[string][]byte{
		"nothing": {}, "one byte": {1}, "one entry": few, "chance": random, "many alike": []byte(strings.Repeat(string(few), 40)),
	} {
		packed := pack(data)
		if alike := what == "many alike"; alike != (packed[0] == packedS2) || len(packed) > len(data)+1 {
			t.Errorf("%s: %d bytes become %d, the first is %d", what, len(data), len(packed), packed[0])
		}
		before := bytes.Clone(packed)
		if room = unpack(room, packed); !bytes.Equal(room, data) {
			t.Errorf("%s came back as %d bytes", what, len(room))
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

// FuzzBatch reads what may lie in a database: damage is no reason to fail, nor
// to take more memory than a batch has.
func FuzzBatch(f *testing.F) {
	two, err := ledger.AppendEntry(nil, []byte(`{"actor":{"id":"key_1","type":"key"},"id":"aud_1"}`))
	if err == nil {
		two, err = ledger.AppendEntry(two, []byte(`{"file":{"id":"file_1"},"id":"aud_2"}`))
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pack(two), pack([]byte("{}\n{}\n")))
	f.Add(pack(bytes.Repeat(two, 40)), pack(bytes.Repeat([]byte("{}\n"), 80)))
	f.Add([]byte{packedS2, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0}, []byte{9})
	f.Fuzz(func(t *testing.T, leaves, disclosures []byte) {
		b := opened{leaves: unpack(nil, leaves), disclosures: unpack(nil, disclosures)}
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
