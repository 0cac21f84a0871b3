package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is the SHA-256 hash of a node of the tree.
type Hash = tlog.Hash

// HashSize is the length of a Hash in bytes.
const HashSize = tlog.HashSize

// EmptyRoot returns the root of a tree without entries: the SHA-256 hash of the
// empty string (RFC 6962, section 2.1).
func EmptyRoot() Hash { return sha256.Sum256(nil) }

// LeafHash returns SHA-256(0x00 || leaf) (RFC 6962, section 2.1).
func LeafHash(leaf []byte) Hash {
	var buf [2 << 10]byte // longer leaves are copied to the heap
	return sha256.Sum256(append(append(buf[:0], 0), leaf...))
}

// A TileReader returns the content of hash tiles, in the order of tiles. One call
// asks for all tiles of a step: at most two per level of the tree. Each content
// must begin with the tile's Width hashes. The rest is ignored, so a reader may
// return a row that has grown in the meantime.
type TileReader func(tiles []Tile) ([][]byte, error)

// read calls r and checks the result against the contract of TileReader.
func (r TileReader) read(tiles []Tile) ([][]byte, error) {
	if len(tiles) == 0 {
		return nil, nil
	}
	data, err := r(tiles)
	if err != nil {
		return nil, fmt.Errorf("reading tiles: %w", err)
	}
	if len(data) != len(tiles) {
		return nil, fmt.Errorf("reading tiles: got %d, want %d", len(data), len(tiles))
	}
	for i, t := range tiles {
		if len(data[i]) < t.Width*HashSize {
			return nil, fmt.Errorf("reading tiles: %s is %d bytes long", t.Path(), len(data[i]))
		}
		data[i] = data[i][:t.Width*HashSize]
	}
	return data, nil
}

// A Tree appends leaves to a log whose tiles are stored elsewhere. It keeps only
// the right edge of the tree in memory, at most 8 KiB per level; a log of a
// million entries has three levels. It is not safe for concurrent use.
type Tree struct {
	frontier frontier
	edge     [maxLevel + 1][]byte // the rightmost tile of each level while it is partial
	grown    [maxLevel + 1]bool   // whether it has changed since the last call of Changes
	full     []TileData           // tiles that became full since then
}

// TileData is a hash tile and its content: Width hashes.
type TileData struct {
	Tile
	Data []byte
}

// OpenTree opens a tree of size entries. It reads the partial tiles at the right
// edge, at most one per level, in one call. Before they sign the tree, callers
// should compare Root with the last checkpoint, which detects damaged tiles.
func OpenTree(size int64, read TileReader) (*Tree, error) {
	if size < 0 || size > MaxSize {
		return nil, fmt.Errorf("tree of %d entries: %w", size, errSize)
	}
	var edge []Tile // from the top level down, the order of the frontier
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

// Append appends a leaf, given by its LeafHash. It panics if the tree already has
// MaxSize leaves.
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

// Size returns the number of leaves.
func (t *Tree) Size() int64 { return t.frontier.size }

// Root returns the Merkle tree hash of all leaves (RFC 6962, section 2.1).
func (t *Tree) Root() Hash { return t.frontier.root() }

// Changes returns the tiles that are new or have grown since OpenTree or the last
// call of Changes: first the full tiles, then the partial ones. Each has its
// complete content and replaces the stored row with its Level and Index.
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

// push appends a leaf and calls emit, bottom up, for each new hash that belongs
// in a tile.
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

// subtree returns the root over the hashes in data. Their number is a power of
// two.
func subtree(data []byte) Hash {
	if len(data) == HashSize {
		return Hash(data)
	}
	half := len(data) / 2
	return tlog.NodeHash(subtree(data[:half]), subtree(data[half:]))
}

var errSize = errors.New("not a tree size")

// parseSize parses a tree size or an index: decimal, without leading zeros, at
// most MaxSize.
func parseSize(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > MaxSize || strconv.FormatInt(n, 10) != s {
		return 0, errSize
	}
	return n, nil
}
