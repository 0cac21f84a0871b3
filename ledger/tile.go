package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// MaxSize is the largest number of entries in a log.
const MaxSize = 1<<48 - 1

const (
	// TileWidth is the number of hashes in a full tile and of entries in a full bundle.
	TileWidth = 1 << tileHeight
	// EntriesLevel is the Level of an entry bundle.
	EntriesLevel = -1

	tileHeight = 8
	maxLevel   = 5 // MaxSize >> (tileHeight * 6) is 0
)

// A Tile names a hash tile (C2SP tlog-tiles) or, if its Level is EntriesLevel, an
// entry bundle. Tile (L, N) contains the hashes of the nodes at height 8*L,
// starting with node 256*N. A tile of a smaller tree is a prefix of the same tile
// of a larger tree, so a store needs one growing row per pair of Level and Index.
type Tile struct {
	Level int
	Index int64
	Width int // number of hashes or entries: 1 to TileWidth
}

// level returns the level in the tree: bundles are below the hashes of level 0.
func (t Tile) level() int { return max(t.Level, 0) }

// In reports whether a tree of size entries has the tile with at least this width.
func (t Tile) In(size int64) bool {
	return t.Level >= EntriesLevel && t.Level <= maxLevel && t.Width >= 1 && t.Width <= TileWidth && size <= MaxSize &&
		t.Index >= 0 && t.Index <= MaxSize/TileWidth && t.Index*TileWidth+int64(t.Width) <= size>>(tileHeight*t.level())
}

// Entries returns the range [from, to) of the seqs of the entries under the tile.
func (t Tile) Entries() (from, to int64) {
	shift := tileHeight * t.level()
	return t.Index * TileWidth << shift, (t.Index*TileWidth + int64(t.Width)) << shift
}

// MaxBytes returns the maximum length of the tile's content in bytes. Readers of
// untrusted input should stop there.
func (t Tile) MaxBytes() int {
	if t.Level == EntriesLevel {
		return t.Width * (2 + MaxLeaf)
	}
	return t.Width * HashSize
}

// Path returns the path of the tile (C2SP tlog-tiles): tile/<L>/<N>[.p/<W>] or
// tile/entries/<N>[.p/<W>].
func (t Tile) Path() string {
	level := "entries"
	if t.Level != EntriesLevel {
		level = strconv.Itoa(t.Level)
	}
	n := fmt.Sprintf("%03d", t.Index%1000)
	for i := t.Index / 1000; i > 0; i /= 1000 {
		n = fmt.Sprintf("x%03d/%s", i%1000, n)
	}
	if t.Width != TileWidth {
		n += ".p/" + strconv.Itoa(t.Width)
	}
	return "tile/" + level + "/" + n
}

var errTilePath = errors.New("malformed tile path")

// ParseTilePath parses the output of Tile.Path and no other form. It is an error
// if no tree of up to MaxSize entries has the tile.
func ParseTilePath(path string) (Tile, error) {
	rest, ok := strings.CutPrefix(path, "tile/")
	level, rest, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || len(path) > 64 {
		return Tile{}, errTilePath
	}
	t := Tile{Level: EntriesLevel, Width: TileWidth}
	var errLevel, errWidth error
	if level != "entries" {
		t.Level, errLevel = strconv.Atoi(level)
	}
	if number, width, ok := strings.Cut(rest, ".p/"); ok {
		t.Width, errWidth = strconv.Atoi(width)
		rest = number
	}
	for group := range strings.SplitSeq(rest, "/") {
		n, err := strconv.Atoi(strings.TrimPrefix(group, "x"))
		if err != nil || n < 0 || n > 999 || t.Index > MaxSize/1000 {
			return Tile{}, errTilePath
		}
		t.Index = t.Index*1000 + int64(n)
	}
	if errLevel != nil || errWidth != nil || !t.In(MaxSize) || t.Path() != path {
		return Tile{}, errTilePath
	}
	return t, nil
}

// tileAt returns the tile that contains hash number index of a level, with its
// full width in a tree of size entries.
func tileAt(level int, index, size int64) Tile {
	t := Tile{Level: level, Index: index / TileWidth}
	t.Width = int(min(TileWidth, size>>(tileHeight*t.level())-t.Index*TileWidth))
	return t
}

// Tiles yields the hash tiles and entry bundles of a tree of size to that a tree
// of size from does not have or has with a smaller width. If from is 0 it yields
// all of them.
func Tiles(from, to int64) iter.Seq[Tile] {
	return func(yield func(Tile) bool) {
		for level := EntriesLevel; level <= maxLevel; level++ {
			shift := tileHeight * max(level, 0)
			for n := from >> shift; n < to>>shift; n = (n/TileWidth + 1) * TileWidth {
				if !yield(tileAt(level, n, to)) {
					return
				}
			}
		}
	}
}

// AppendEntry appends a leaf to an entry bundle (C2SP tlog-tiles): its length as
// a big-endian uint16, then the leaf. It is an error if the leaf is empty or
// longer than MaxLeaf.
func AppendEntry(bundle, leaf []byte) ([]byte, error) {
	if len(leaf) == 0 || len(leaf) > MaxLeaf {
		return bundle, fmt.Errorf("entry of %d bytes does not fit a bundle", len(leaf))
	}
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
	return append(bundle, leaf...), nil
}

// CutEntry returns the first leaf of an entry bundle and the rest of the bundle.
// Both share memory with bundle. It is not ok if the bundle does not begin with a
// complete leaf.
func CutEntry(bundle []byte) (leaf, rest []byte, ok bool) {
	if len(bundle) < 2 {
		return nil, bundle, false
	}
	n := 2 + int(binary.BigEndian.Uint16(bundle))
	if n == 2 || n > len(bundle) {
		return nil, bundle, false
	}
	return bundle[2:n:n], bundle[n:], true
}

// ParseBundle returns the leaves of an entry bundle. They share memory with data.
// It is an error if the bundle does not consist of exactly width leaves, none of
// them empty. The leaves before the damage are returned with the error.
func ParseBundle(data []byte, width int) ([][]byte, error) {
	if width < 1 || width > TileWidth {
		return nil, fmt.Errorf("a bundle cannot have %d entries", width)
	}
	leaves := make([][]byte, 0, width)
	for len(leaves) < width {
		if len(data) < 2 {
			return leaves, fmt.Errorf("bundle ends after %d of %d entries", len(leaves), width)
		}
		leaf, rest, ok := CutEntry(data)
		if !ok {
			return leaves, fmt.Errorf("bundle has no complete entry number %d of %d", len(leaves), width)
		}
		leaves, data = append(leaves, leaf), rest
	}
	if len(data) > 0 {
		return leaves, fmt.Errorf("bundle has %d bytes after its %d entries", len(data), width)
	}
	return leaves, nil
}
