package store

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
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
