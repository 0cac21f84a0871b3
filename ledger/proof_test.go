package ledger

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// grownRows returns the rows of a log of numbered leaves, and its root at every size.
func grownRows(t testing.TB, n int64) (rows, []Hash) {
	t.Helper()
	tree, stored, roots := &Tree{}, rows{}, []Hash{EmptyRoot()}
	for i := range n {
		tree.Append(numberedLeaf(i))
		roots = append(roots, tree.Root())
	}
	stored.put(tree.Changes())
	return stored, roots
}

var proofSizes = []int64{1, 2, 3, 4, 7, 8, 255, 256, 257, 511, 512, 513, 600, 65_535, 65_536, 65_537, 66_000}

func TestProofs(t *testing.T) {
	stored, roots := grownRows(t, 66_000)
	random := rand.New(rand.NewPCG(7, 8))
	reference := tlogTree(t, 66_000)
	for _, size := range proofSizes {
		for _, index := range []int64{0, size / 2, size - 1, random.Int64N(size), random.Int64N(size)} {
			proof, err := ProveInclusion(index, size, stored.read)
			want, err2 := tlog.ProveRecord(size, index, reference)
			if err != nil || err2 != nil || !slices.Equal(proof, want) {
				t.Fatalf("inclusion of %d in %d: %v, %v", index, size, err, err2)
			}
			if err := CheckInclusion(proof, index, size, roots[size], numberedLeaf(index)); err != nil {
				t.Fatal(err)
			}
			refuseInclusions(t, proof, index, size, roots[size], numberedLeaf(index))

			from := index + 1
			proof, err = ProveConsistency(from, size, stored.read)
			want2, err2 := tlog.ProveTree(size, from, reference)
			if err != nil || err2 != nil || !slices.Equal(proof, want2) {
				t.Fatalf("consistency of %d with %d: %v, %v", from, size, err, err2)
			}
			if err := CheckConsistency(proof, from, size, roots[from], roots[size]); err != nil {
				t.Fatal(err)
			}
			refuseConsistencies(t, proof, from, size, roots)
		}
	}
}

func refuseInclusions(t *testing.T, proof []Hash, index, size int64, root, leaf Hash) {
	t.Helper()
	wrong := func(what string, err error) {
		if !errors.Is(err, ErrProof) {
			t.Errorf("inclusion of %d in %d, %s: %v", index, size, what, err)
		}
	}
	other := leaf
	other[31] ^= 1
	wrong("other leaf", CheckInclusion(proof, index, size, root, other))
	wrong("other root", CheckInclusion(proof, index, size, other, leaf))
	wrong("index beyond", CheckInclusion(proof, size, size, root, leaf))
	wrong("negative index", CheckInclusion(proof, -1, size, root, leaf))
	wrong("one hash more", CheckInclusion(append(slices.Clone(proof), other), index, size, root, leaf))
	wrong("huge size", CheckInclusion(proof, index, 1<<62+1, root, leaf))
	if len(proof) > 0 {
		wrong("one hash less", CheckInclusion(proof[1:], index, size, root, leaf))
		wrong("other index", CheckInclusion(proof, index^1, size, root, leaf))
		changed := slices.Clone(proof)
		changed[len(changed)-1][0] ^= 1
		wrong("other hash", CheckInclusion(changed, index, size, root, leaf))
	}
}

func refuseConsistencies(t *testing.T, proof []Hash, from, to int64, roots []Hash) {
	t.Helper()
	wrong := func(what string, err error) {
		if !errors.Is(err, ErrProof) {
			t.Errorf("consistency of %d with %d, %s: %v", from, to, what, err)
		}
	}
	other := roots[from]
	other[0] ^= 1
	wrong("other old root", CheckConsistency(proof, from, to, other, roots[to]))
	wrong("other new root", CheckConsistency(proof, from, to, roots[from], other))
	wrong("the wrong way", CheckConsistency(proof, to+1, from, roots[to], roots[from]))
	wrong("one hash more", CheckConsistency(append(slices.Clone(proof), other), from, to, roots[from], roots[to]))
	wrong("huge size", CheckConsistency(proof, from, 1<<62+1, roots[from], roots[to]))
	wrong("from nothing", CheckConsistency(nil, 0, to, roots[from], roots[to]))
}

func TestConsistencyFromNothing(t *testing.T) {
	stored, roots := grownRows(t, 5)
	for _, to := range []int64{0, 5} {
		proof, err := ProveConsistency(0, to, stored.read)
		if err != nil || len(proof) > 0 {
			t.Errorf("to %d: %v, %v", to, proof, err)
		}
		if err := CheckConsistency(proof, 0, to, EmptyRoot(), roots[to]); err != nil {
			t.Error(err)
		}
	}
	if err := CheckConsistency([]Hash{roots[1]}, 0, 5, EmptyRoot(), roots[5]); !errors.Is(err, ErrProof) {
		t.Errorf("with an extra hash: %v", err)
	}
	if err := CheckConsistency(nil, 0, 0, EmptyRoot(), roots[1]); !errors.Is(err, ErrProof) {
		t.Errorf("empty tree with another root: %v", err)
	}
}

func TestProveRefuses(t *testing.T) {
	stored, _ := grownRows(t, 5)
	for _, at := range [][2]int64{{-1, 5}, {5, 5}, {0, 0}, {0, -1}, {0, MaxSize + 1}} {
		if _, err := ProveInclusion(at[0], at[1], stored.read); err == nil {
			t.Errorf("inclusion of %d in %d", at[0], at[1])
		}
	}
	for _, at := range [][2]int64{{-1, 5}, {6, 5}, {0, MaxSize + 1}} {
		if _, err := ProveConsistency(at[0], at[1], stored.read); err == nil {
			t.Errorf("consistency of %d with %d", at[0], at[1])
		}
	}
	if _, err := ProveInclusion(0, 6, stored.read); err == nil {
		t.Error("a row that is too short gave a proof")
	}
	if _, err := ProveInclusion(0, 600, rows{}.read); err == nil {
		t.Error("missing rows gave a proof")
	}
}

// A proof reads O(log n) tiles of a log of ten million entries.
func TestProofReads(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	for range 200 {
		const size = 10_000_000
		index, reads := random.Int64N(size), 0
		if _, err := ProveInclusion(index, size, madeUpTiles(&reads)); err != nil || reads > 6 {
			t.Fatalf("inclusion of %d: %d reads, %v", index, reads, err)
		}
		reads = 0
		if _, err := ProveConsistency(index+1, size, madeUpTiles(&reads)); err != nil || reads > 6 {
			t.Fatalf("consistency of %d: %d reads, %v", index+1, reads, err)
		}
	}
}

// testProof returns the proof of an entry in a log of 600 entries, and its leaf.
func testProof(t testing.TB, index int64) (p Proof, leaf []byte, v *Verifier) {
	t.Helper()
	signer := testSigner(t, 1)
	leaves, _ := testLeaves(600)
	f := export(t, signer, leaves, nil)
	hashes, err := ProveInclusion(index, 600, f.tiles)
	if err != nil {
		t.Fatal(err)
	}
	return Proof{
			Index:      index,
			Hashes:     hashes,
			Checkpoint: f["checkpoint"],
		}, leaves[index], testVerifier(
			t, signer.VerifierKey(),
		)
}

func TestProofText(t *testing.T) {
	p, leaf, v := testProof(t, 300)
	for _, extra := range [][]byte{nil, leaf, bytes.Repeat([]byte{0xff}, MaxLeaf)} {
		p.Extra = extra
		text := p.Format()
		if len(text) > MaxProof {
			t.Errorf("%d bytes", len(text))
		}
		back, err := ParseProof(text)
		if err != nil || !bytes.Equal(back.Format(), text) || back.Index != 300 || !bytes.Equal(back.Extra, extra) {
			t.Fatalf("%+v, %v", back, err)
		}
		seq, c, err := v.Inclusion(text, leaf)
		if err != nil || seq != 300 || c.Size != 600 {
			t.Errorf("%d, %+v, %v", seq, c, err)
		}
		if _, _, err := v.Inclusion(text, append(bytes.Clone(leaf), ' ')); !errors.Is(err, ErrProof) {
			t.Errorf("other leaf: %v", err)
		}
	}
	p.Extra = []byte("hi")
	want := "c2sp.org/tlog-proof@v1\nextra aGk=\nindex 300\n" + base64.StdEncoding.EncodeToString(p.Hashes[0][:]) + "\n"
	if text := string(p.Format()); !strings.HasPrefix(text, want) ||
		!strings.Contains(text, "=\n\n"+testOrigin+"\n600\n") {
		t.Errorf("%s", text)
	}
}

// Every changed byte of a proof is detected.
func TestInclusionNoticesEveryByte(t *testing.T) {
	p, leaf, v := testProof(t, 599)
	text := p.Format()
	for i := range text {
		for bit := range 8 {
			changed := bytes.Clone(text)
			changed[i] ^= 1 << bit
			if _, _, err := v.Inclusion(changed, leaf); err == nil {
				t.Fatalf("byte %d ^ %#x of\n%s", i, 1<<bit, text)
			}
		}
	}
}

func TestParseProofRefuses(t *testing.T) {
	p, _, _ := testProof(t, 3)
	p.Extra = []byte("hi")
	good := string(p.Format())
	for what, text := range map[string]string{
		"nothing":           "",
		"header":            strings.Replace(good, "@v1", "@v2", 1),
		"empty extra":       strings.Replace(good, "aGk=", "", 1),
		"loose extra":       strings.Replace(good, "aGk=", "aGl=", 1),
		"extra too large":   strings.Replace(good, "aGk=", base64.StdEncoding.EncodeToString(make([]byte, MaxLeaf+1)), 1),
		"no index":          strings.Replace(good, "index 3\n", "", 1),
		"leading zero":      strings.Replace(good, "index 3\n", "index 03\n", 1),
		"negative":          strings.Replace(good, "index 3\n", "index -3\n", 1),
		"huge":              strings.Replace(good, "index 3\n", "index 281474976710656\n", 1),
		"carriage return":   strings.ReplaceAll(good, "\n", "\r\n"),
		"64 hashes":         "c2sp.org/tlog-proof@v1\nindex 3\n" + strings.Repeat(p.Hashes[0].String()+"\n", 64) + "\n" + string(p.Checkpoint),
		"short hash":        strings.Replace(good, p.Hashes[0].String(), "aGk=", 1),
		"no checkpoint":     good[:strings.Index(good, "\n\n")+2],
		"no end":            good[:strings.Index(good, "\n\n")],
		"checkpoint large":  good + strings.Repeat("x", MaxCheckpoint),
		"altogether large":  good + strings.Repeat("x", MaxProof),
		"extra in the tail": strings.Replace(good, "index 3\n", "index 3\nextra aGk=\n", 1),
	} {
		if got, err := ParseProof([]byte(text)); err == nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestConsistencyText(t *testing.T) {
	signer := testSigner(t, 1)
	v := testVerifier(t, signer.VerifierKey())
	leaves, _ := testLeaves(600)
	f := export(t, signer, leaves, nil)
	for _, from := range []int64{0, 1, 256, 300, 600} {
		older, err := v.Open(export(t, signer, leaves[:from], nil)["checkpoint"])
		if err != nil {
			t.Fatal(err)
		}
		hashes, err := ProveConsistency(from, 600, f.tiles)
		if err != nil {
			t.Fatal(err)
		}
		text := Consistency{from, hashes, f["checkpoint"]}.Format()
		if back, err := ParseConsistency(text); err != nil || !bytes.Equal(back.Format(), text) {
			t.Errorf("%+v, %v", back, err)
		}
		if c, err := v.Consistency(text, older); err != nil || c.Size != 600 {
			t.Errorf("from %d: %+v, %v", from, c, err)
		}
		older.Root[5] ^= 1
		if c, err := v.Consistency(text, older); !errors.Is(err, ErrProof) || c != (Checkpoint{}) {
			t.Errorf("from %d, other root: %+v, %v", from, c, err)
		}
		older.Root[5] ^= 1
		misnamed := Consistency{from + 1, hashes, f["checkpoint"]}.Format()
		if _, err := v.Consistency(misnamed, older); !errors.Is(err, ErrProof) {
			t.Errorf("from %d, with another From: %v", from, err)
		}
		foreign := older
		foreign.Origin = "files.example.com/acct_02/live"
		if _, err := v.Consistency(text, foreign); !errors.Is(err, ErrProof) {
			t.Errorf("from %d, of another log: %v", from, err)
		}
		older.Size++
		if _, err := v.Consistency(text, older); !errors.Is(err, ErrProof) {
			t.Errorf("from %d, other size: %v", from, err)
		}
	}
	if _, err := ParseConsistency([]byte(strings.Repeat("x", MaxProof+1))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

func FuzzParseProof(f *testing.F) {
	p, leaf, v := testProof(f, 300)
	f.Add(p.Format(), leaf)
	p.Extra = leaf
	f.Add(p.Format(), []byte("x"))
	f.Fuzz(func(t *testing.T, text, other []byte) {
		if back, err := ParseProof(text); err == nil && !bytes.Equal(back.Format(), text) {
			t.Fatalf("%q parses to %+v", text, back)
		}
		if seq, _, err := v.Inclusion(text, other); err == nil && (seq != 300 || !bytes.Equal(other, leaf)) {
			t.Fatalf("%q proves %q", text, other)
		}
	})
}

func FuzzParseConsistency(f *testing.F) {
	p, _, _ := testProof(f, 300)
	f.Add(Consistency{12, p.Hashes, p.Checkpoint}.Format())
	f.Fuzz(func(t *testing.T, text []byte) {
		if back, err := ParseConsistency(text); err == nil && !bytes.Equal(back.Format(), text) {
			t.Fatalf("%q parses to %+v", text, back)
		}
	})
}

func BenchmarkProveInclusion10M(b *testing.B) {
	reads, random := 0, rand.New(rand.NewPCG(1, 1))
	read := madeUpTiles(&reads)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := ProveInclusion(random.Int64N(10_000_000), 10_000_000, read); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(reads)/float64(n), "tiles-read/op")
}

func BenchmarkProveConsistency10M(b *testing.B) {
	reads, random := 0, rand.New(rand.NewPCG(1, 1))
	read := madeUpTiles(&reads)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := ProveConsistency(1+random.Int64N(10_000_000), 10_000_000, read); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(reads)/float64(n), "tiles-read/op")
}
