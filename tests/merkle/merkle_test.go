package merkle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"sluice/ledger"
)

func numberedLeaf(i int64) ledger.Hash {
	return ledger.LeafHash(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

// tiles holds the stored hash tiles of a tree. A narrower tile is a prefix of a wider one.
type tiles map[[2]int64][]byte

func (s tiles) read(want []ledger.Tile) (found [][]byte, err error) {
	for _, t := range want {
		data := s[[2]int64{int64(t.Level), t.Index}]
		if len(data) < t.Width*ledger.HashSize {
			return nil, fmt.Errorf("tile %s is missing", t.Path())
		}
		found = append(found, data)
	}
	return found, nil
}

// grownTree returns a tree of numbered leaves and its root at every size.
func grownTree(size int64) (tiles, []ledger.Hash) {
	tree, stored, roots := &ledger.Tree{}, tiles{}, []ledger.Hash{ledger.EmptyRoot()}
	for i := range size {
		tree.Append(numberedLeaf(i))
		roots = append(roots, tree.Root())
	}
	for _, t := range tree.Changes() {
		stored[[2]int64{int64(t.Tile.Level), t.Tile.Index}] = t.Data
	}
	return stored, roots
}

// Roots and proofs agree with an implementation that shares no code with ours.
func TestAgainstTransparencyDevMerkle(t *testing.T) {
	const size = 3000
	stored, roots := grownTree(size)
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
		hashes, err := ledger.ProveInclusion(index, to, stored.read)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(to), leaf[:], plainHashes(hashes), roots[to][:]); err != nil {
			t.Fatalf("inclusion of %d in %d: %v", index, to, err)
		}
		if hashes, err = ledger.ProveConsistency(from, to, stored.read); err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(from), uint64(to), plainHashes(hashes), roots[from][:], roots[to][:]); err != nil {
			t.Fatalf("consistency of %d with %d: %v", from, to, err)
		}
	}
}

func plainHashes(hashes []ledger.Hash) [][]byte {
	plain := make([][]byte, len(hashes))
	for i, h := range hashes {
		plain[i] = h[:]
	}
	return plain
}
