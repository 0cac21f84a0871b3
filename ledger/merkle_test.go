package ledger

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Roots and proofs are those of an implementation that shares no code with ours.
func TestAgainstTransparencyDevMerkle(t *testing.T) {
	const size = 3000
	stored, roots := grownRows(t, size)
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	theirs := factory.NewEmptyRange(0)
	for i := range int64(size) {
		h := numberedLeaf(i)
		if err := theirs.Append(h[:], nil); err != nil {
			t.Fatal(err)
		}
		if root, err := theirs.GetRootHash(nil); err != nil || !bytes.Equal(root, roots[i+1][:]) {
			t.Fatalf("%d leaves: %x, %v, want %x", i+1, roots[i+1][:], err, root)
		}
	}
	if empty := rfc6962.DefaultHasher.EmptyRoot(); !bytes.Equal(empty, roots[0][:]) {
		t.Errorf("empty: %x", empty)
	}

	random := rand.New(rand.NewPCG(11, 12))
	for range 1000 {
		to := 1 + random.Int64N(size)
		index, from := random.Int64N(to), 1+random.Int64N(to)
		leaf := numberedLeaf(index)
		hashes, err := ProveInclusion(index, to, stored.read)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(to), leaf[:], plainHashes(hashes), roots[to][:]); err != nil {
			t.Fatalf("inclusion of %d in %d: %v", index, to, err)
		}
		if hashes, err = ProveConsistency(from, to, stored.read); err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(from), uint64(to), plainHashes(hashes), roots[from][:], roots[to][:]); err != nil {
			t.Fatalf("consistency of %d with %d: %v", from, to, err)
		}
	}
}

func plainHashes(hashes []Hash) [][]byte {
	plain := make([][]byte, len(hashes))
	for i, h := range hashes {
		plain[i] = h[:]
	}
	return plain
}
