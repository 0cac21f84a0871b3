package audit

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice"
)

// A leaf with any byte changed has its deliveries read in the same way whether they are read at once or member by member.
func TestDeliveriesReadAtOnce(t *testing.T) {
	e := deliveries(3)
	e.Deliveries[0].Sent.Complete, e.Deliveries[1].Returned = true, false
	e.Deliveries[2] = sluice.Delivery{Seq: 7, FileID: "file_01", LinkID: "link_01"}
	sealed, err := Seal(e, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := sealed.Leaf
	if list, _, ok := cutPlain(leaf); !ok || cmp.Diff(list, e.Deliveries) != "" {
		t.Fatalf("%v: %+v", ok, list)
	}
	compareCuts(t, leaf)
	for i := range leaf {
		compareCuts(t, leaf[:i])
		compareCuts(t, slices.Concat(leaf[:i], leaf[i+1:]))
		for _, c := range []byte("0a1\"\\,:[]{}\x00\xff ") {
			changed := bytes.Clone(leaf)
			changed[i] = c
			compareCuts(t, changed)
			compareCuts(t, slices.Concat(leaf[:i], []byte{c}, leaf[i:]))
		}
	}
	object := `{"account":"a","before":{"a":1,"deliveries":[` + strings.Repeat("9", 19) + `]},"v":1}`
	compareCuts(t, []byte(object))
	compareCuts(t, []byte(strings.Replace(string(leaf), `"bytes":`, `"bytes":123456789012345678`, 1)))
}

// compareCuts fails if cutPlain reads a leaf that cutAny reads in another way.
func compareCuts(t *testing.T, leaf []byte) {
	t.Helper()
	got, rest, ok := cutPlain(leaf)
	if !ok {
		return
	}
	want, wantRest, err := cutAny(leaf)
	if err != nil || cmp.Diff(want, got) != "" {
		t.Fatalf("%s: %v, %+v, want %+v", leaf, err, got, want)
	}
	if has, wants := decode(rest), decode(wantRest); cmp.Diff(has, wants) != "" {
		t.Fatalf("%s: the rest is %s, want %s", leaf, rest, wantRest)
	}
}

// decode decodes the members of a leaf but its deliveries. It returns nil if the leaf is damaged.
func decode(leaf []byte) (members map[string]any) {
	if json.Unmarshal(leaf, &members) != nil {
		return nil
	}
	delete(members, "deliveries")
	return members
}

// BenchmarkOpenDeliveries opens the entry of a hundred downloads.
func BenchmarkOpenDeliveries(b *testing.B) {
	e := deliveries(100)
	for i := range e.Deliveries {
		e.Deliveries[i].Sent, e.Deliveries[i].Seq = sluice.Sent{Bytes: 48_213, Complete: true}, int64(1_000_000+i)
	}
	sealed, err := Seal(e, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sealed.Open(0); err != nil {
			b.Fatal(err)
		}
	}
}
