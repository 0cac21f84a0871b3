package ledger

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// The test vectors of Certificate Transparency's reference implementation.
func TestRootVectors(t *testing.T) {
	tree := &Tree{}
	if got := hexRoot(tree); got != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("empty: %s", got)
	}
	leaves := []string{
		"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
	}
	roots := map[int]string{
		1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	for i, leaf := range leaves {
		raw, err := hex.DecodeString(leaf)
		if err != nil {
			t.Fatal(err)
		}
		tree.Append(LeafHash(raw))
		if want, ok := roots[i+1]; ok && hexRoot(tree) != want {
			t.Errorf("%d leaves: %s, want %s", i+1, hexRoot(tree), want)
		}
	}
}

func hexRoot(tree *Tree) string {
	root := tree.Root()
	return hex.EncodeToString(root[:])
}

func TestLeafHash(t *testing.T) {
	for _, n := range []int{0, 1, 600, 2047, 2048, MaxLeaf} {
		leaf := []byte(strings.Repeat("x", n))
		if LeafHash(leaf) != tlog.RecordHash(leaf) {
			t.Errorf("%d bytes", n)
		}
	}
}

func numberedLeaf(i int64) Hash { return LeafHash(binary.BigEndian.AppendUint64(nil, uint64(i))) }

// storedHashes holds a tree as package tlog does.
type storedHashes []Hash

func (s *storedHashes) ReadHashes(indexes []int64) ([]Hash, error) {
	hashes := make([]Hash, len(indexes))
	for i, x := range indexes {
		hashes[i] = (*s)[x]
	}
	return hashes, nil
}

// A tree that grows in steps of any length, opened from stored rows before each
// step, has the same tiles and root as package tlog computes from the leaves.
func TestTreeGrows(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	stored, reference, size := rows{}, tlogTree(t, 80_000), int64(0)
	for size < 69_000 {
		reads := 0
		tree, err := OpenTree(size, func(tiles []Tile) ([][]byte, error) {
			reads++
			for _, tile := range tiles {
				if !tile.In(size) || tile.Width == TileWidth {
					t.Fatalf("size %d: reads %+v", size, tile)
				}
			}
			return stored.read(tiles)
		})
		if err != nil {
			t.Fatal(err)
		}
		if reads > 1 {
			t.Fatalf("%d reads", reads)
		}
		if want, err := tlog.TreeHash(size, reference); err != nil || tree.Root() != want {
			t.Fatalf("opened at %d: %v, want %v, %v", size, tree.Root(), want, err)
		}
		for range random.Int64N(1 << random.IntN(13)) {
			tree.Append(numberedLeaf(tree.Size()))
		}
		changes := tree.Changes()
		stored.put(changes)
		if more := tree.Changes(); len(more) > 0 {
			t.Fatalf("%d changes although nothing was appended", len(more))
		}
		var want int
		for tile := range Tiles(size, tree.Size()) {
			if tile.Level == EntriesLevel {
				continue
			}
			want++
			data, err := tlog.ReadTileData(
				tlog.Tile{H: tileHeight, L: tile.Level, N: tile.Index, W: tile.Width},
				reference,
			)
			if row := stored[[2]int64{int64(tile.Level), tile.Index}]; err != nil || string(row) != string(data) {
				t.Fatalf("%d to %d: %+v differs, %v", size, tree.Size(), tile, err)
			}
		}
		if len(changes) != want {
			t.Fatalf("%d to %d: %d changes, want %d", size, tree.Size(), len(changes), want)
		}
		size = tree.Size()
		if want, err := tlog.TreeHash(size, reference); err != nil || tree.Root() != want {
			t.Fatalf("grown to %d: %v, want %v, %v", size, tree.Root(), want, err)
		}
	}
}

func tlogTree(t testing.TB, n int64) *storedHashes {
	t.Helper()
	s := storedHashes{}
	for i := range n {
		hashes, err := tlog.StoredHashesForRecordHash(i, numberedLeaf(i), &s)
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, hashes...)
	}
	return &s
}

// The caller may overwrite the result of Changes without affecting the tree.
func TestChangesAreTheCallers(t *testing.T) {
	tree := &Tree{}
	tree.Append(numberedLeaf(0))
	first := tree.Changes()[0].Data
	want := string(first)
	first[0] ^= 1
	tree.Append(numberedLeaf(1))
	second := tree.Changes()[0]
	if string(second.Data[:HashSize]) != want || second.Width != 2 {
		t.Errorf("%x, then %x", first, second.Data)
	}
}

func TestOpenTreeRefuses(t *testing.T) {
	broken := errors.New("broken")
	for what, test := range map[string]struct {
		size int64
		read TileReader
	}{
		"negative":   {-1, rows{}.read},
		"too large":  {MaxSize + 1, rows{}.read},
		"no rows":    {3, rows{}.read},
		"short row":  {3, rows{{0, 0}: make([]byte, 3*HashSize-1)}.read},
		"few rows":   {3, func([]Tile) ([][]byte, error) { return nil, nil }},
		"store down": {3, func([]Tile) ([][]byte, error) { return nil, broken }},
	} {
		if _, err := OpenTree(test.size, test.read); err == nil || what == "store down" && !errors.Is(err, broken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if tree, err := OpenTree(0, nil); err != nil || tree.Root() != EmptyRoot() || tree.Changes() != nil {
		t.Errorf("empty: %v", err)
	}
}

// madeUpTiles reads tiles of a log of any size that does not exist: the tiles have
// the right shape and made-up hashes.
func madeUpTiles(reads *int) TileReader {
	row := make([]byte, TileWidth*HashSize)
	for i := range row {
		row[i] = byte(i * 7)
	}
	return func(tiles []Tile) ([][]byte, error) {
		*reads += len(tiles)
		data := make([][]byte, len(tiles))
		for i := range tiles {
			data[i] = row
		}
		return data, nil
	}
}

func BenchmarkLeafHash(b *testing.B) {
	leaf := []byte(strings.Repeat("x", 600))
	b.ReportAllocs()
	for b.Loop() {
		LeafHash(leaf)
	}
}

// The benchmark makes a checkpoint after 10,000 new entries of 600 bytes in a log
// of ten million, without a store.
func BenchmarkCheckpointAfter10000(b *testing.B) {
	signer := testSigner(b, 1)
	leaf := []byte(strings.Repeat("x", 600))
	reads, tiles := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		reads = 0
		tree, err := OpenTree(10_000_000, madeUpTiles(&reads))
		if err != nil {
			b.Fatal(err)
		}
		for range 10_000 {
			tree.Append(LeafHash(leaf))
		}
		tiles = len(tree.Changes())
		if _, err := signer.Sign(tree.Size(), tree.Root()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(reads), "tiles-read/op")
	b.ReportMetric(float64(tiles), "tiles-written/op")
}
