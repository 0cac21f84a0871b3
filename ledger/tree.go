package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a node of the tree: a SHA-256.
type Hash = tlog.Hash

// HashSize is the length of a Hash in bytes.
const HashSize = tlog.HashSize

// EmptyRoot is the root of a tree without entries: SHA-256 of nothing (RFC
// 6962, section 2.1).
func EmptyRoot() Hash { return sha256.Sum256(nil) }

// LeafHash is SHA-256(0x00 || leaf) (RFC 6962, section 2.1).
func LeafHash(leaf []byte) Hash {
	var room [2 << 10]byte // longer leaves go to the heap
	return sha256.Sum256(append(append(room[:0], 0), leaf...))
}

// A TileReader gives the content of hash tiles, all that one step needs in one
// call: a handful, never more than log256 of the tree's size per hash. Each
// answer must begin with the tile's Width hashes; what follows is ignored, so
// that a row which has grown since will do.
type TileReader func(tiles []Tile) ([][]byte, error)

// read calls r and holds it to its contract. A nil reader has no tiles.
func (r TileReader) read(tiles []Tile) ([][]byte, error) {
	if len(tiles) == 0 {
		return nil, nil
	}
	data, err := r(tiles)
	if err != nil {
		return nil, fmt.Errorf("reading tiles: %w", err)
	}
	if len(data) != len(tiles) {
		return nil, fmt.Errorf("reading tiles: %d asked for, %d given", len(tiles), len(data))
	}
	for i, t := range tiles {
		if len(data[i]) < t.Width*HashSize {
			return nil, fmt.Errorf("reading tiles: %s is %d bytes long", t.Path(), len(data[i]))
		}
		data[i] = data[i][:t.Width*HashSize]
	}
	return data, nil
}

// A Tree takes new leaves into a log whose tiles are stored elsewhere. It holds
// the right edge only: at most 8 KiB for each of the log's levels, of which a
// million entries make three. It is not safe for concurrent use.
type Tree struct {
	frontier frontier
	edge     [maxLevel + 1][]byte // each level's rightmost tile while it is partial
	grown    [maxLevel + 1]bool   // which of them have changed since the last Changes
	full     []TileData
}

// TileData is a hash tile and its content, Width hashes.
type TileData struct {
	Tile
	Data []byte
}

// OpenTree opens a tree of size entries. It reads the partial tiles at the
// right edge, at most one a level, in one call. Whoever signs on top should
// compare Root with the last checkpoint first: it tells of damaged tiles.
func OpenTree(size int64, read TileReader) (*Tree, error) {
	if size < 0 || size > MaxSize {
		return nil, fmt.Errorf("tree of %d entries: %w", size, errSize)
	}
	var edge []Tile // top down, as the frontier stands
	for level := maxLevel; level >= 0; level-- {
		if hashes := size >> (tileHeight * level); hashes%TileWidth != 0 {
			edge = append(edge, tileAt(level, hashes-1, size))
		}
	}
	data, err := read.read(edge)
	if err != nil {
		return nil, err
	}
	t := &Tree{frontier: frontier{size: size}}
	for i, tile := range edge {
		t.edge[tile.Level] = slices.Clone(data[i])
		t.frontier.stack = appendSubtrees(t.frontier.stack, data[i])
	}
	return t, nil
}

// Append adds the next leaf by its LeafHash. Beyond MaxSize it panics.
func (t *Tree) Append(leaf Hash) {
	if t.frontier.size >= MaxSize {
		panic("ledger: tree is full")
	}
	t.frontier.push(leaf, t.keep)
}

func (t *Tree) keep(level int, index int64, h Hash) {
	t.edge[level] = append(t.edge[level], h[:]...)
	t.grown[level] = true
	if len(t.edge[level]) == TileWidth*HashSize {
		t.full = append(t.full, TileData{Tile{level, index / TileWidth, TileWidth}, t.edge[level]})
		t.edge[level], t.grown[level] = nil, false
	}
}

// Size is the number of leaves.
func (t *Tree) Size() int64 { return t.frontier.size }

// Root is the Merkle tree hash of all leaves (RFC 6962, section 2.1).
func (t *Tree) Root() Hash { return t.frontier.root() }

// Changes gives the tiles that are new or have grown since OpenTree or the last
// Changes: full ones first, then those that are still partial. Each is whole,
// to be stored in place of what stands at its (Level, Index).
func (t *Tree) Changes() []TileData {
	changes := t.full
	for level, data := range t.edge {
		if t.grown[level] {
			tile := tileAt(level, t.frontier.size>>(tileHeight*level)-1, t.frontier.size)
			changes = append(changes, TileData{tile, slices.Clone(data)})
		}
	}
	t.full, t.grown = nil, [maxLevel + 1]bool{}
	return changes
}

// frontier is the right edge of a tree: the roots of its complete subtrees,
// largest first, one for each bit set in size.
type frontier struct {
	size  int64
	stack []Hash
}

// push adds a leaf, and calls emit for each hash this makes that belongs into
// a tile, bottom up.
func (f *frontier) push(h Hash, emit func(level int, index int64, h Hash)) {
	emit(0, f.size, h)
	for height := 1; f.size>>(height-1)&1 == 1; height++ {
		last := len(f.stack) - 1
		h = tlog.NodeHash(f.stack[last], h)
		f.stack = f.stack[:last]
		if height%tileHeight == 0 {
			emit(height/tileHeight, f.size>>height, h)
		}
	}
	f.stack = append(f.stack, h)
	f.size++
}

func (f *frontier) root() Hash {
	if f.size == 0 {
		return EmptyRoot()
	}
	last := len(f.stack) - 1
	h := f.stack[last]
	for _, left := range slices.Backward(f.stack[:last]) {
		h = tlog.NodeHash(left, h)
	}
	return h
}

// appendSubtrees appends the roots of the complete subtrees over the hashes of
// a partial tile, largest first.
func appendSubtrees(stack []Hash, data []byte) []Hash {
	for k := TileWidth / 2 * HashSize; k >= HashSize; k /= 2 {
		if len(data) >= k {
			stack = append(stack, subtree(data[:k]))
			data = data[k:]
		}
	}
	return stack
}

// subtree is the root over a power of two of hashes.
func subtree(data []byte) Hash {
	if len(data) == HashSize {
		return Hash(data)
	}
	half := len(data) / 2
	return tlog.NodeHash(subtree(data[:half]), subtree(data[half:]))
}

var errSize = errors.New("not a tree size")

// parseSize reads a tree size or an index: decimal, no leading zeros, at most
// MaxSize.
func parseSize(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > MaxSize || strconv.FormatInt(n, 10) != s {
		return 0, errSize
	}
	return n, nil
}
