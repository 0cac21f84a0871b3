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
	// TileWidth is the number of hashes in a full tile, and of entries in a full bundle.
	TileWidth = 1 << tileHeight
	// EntriesLevel is the Level of a bundle of entries.
	EntriesLevel = -1

	tileHeight = 8
	maxLevel   = 5 // MaxSize >> (tileHeight * 6) is 0
)

// A Tile names a hash tile or, with Level EntriesLevel, an entry bundle, per
// C2SP tlog-tiles. Tile (L, N) holds the hashes of the nodes at height 8*L,
// from number 256*N on. The tile of a smaller tree is a prefix of the same tile
// of a larger one, so a store needs one growing row for each (Level, Index).
type Tile struct {
	Level int
	Index int64
	Width int // hashes or entries: 1 to TileWidth
}

// level is the level in the tree: entries lie under the hashes of level 0.
func (t Tile) level() int { return max(t.Level, 0) }

// In reports whether a tree of size entries has the tile, at this width or wider.
func (t Tile) In(size int64) bool {
	return t.Level >= EntriesLevel && t.Level <= maxLevel && t.Width >= 1 && t.Width <= TileWidth && size <= MaxSize &&
		t.Index >= 0 && t.Index <= MaxSize/TileWidth && t.Index*TileWidth+int64(t.Width) <= size>>(tileHeight*t.level())
}

// Entries gives the range [from, to) of entries under the tile.
func (t Tile) Entries() (from, to int64) {
	shift := tileHeight * t.level()
	return t.Index * TileWidth << shift, (t.Index*TileWidth + int64(t.Width)) << shift
}

// MaxBytes is the largest content the tile can have: what a reader of
// untrusted input should stop at.
func (t Tile) MaxBytes() int {
	if t.Level == EntriesLevel {
		return t.Width * (2 + MaxLeaf)
	}
	return t.Width * HashSize
}

// Path is the tile's path per C2SP tlog-tiles: tile/<L>/<N>[.p/<W>] or
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

// ParseTilePath reads a path that Tile.Path writes. Every other spelling is an
// error, and so is a tile that no tree up to MaxSize has.
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

// tileAt is the tile of a tree of size entries that holds hash number index of
// a level, as wide as the tree makes it.
func tileAt(level int, index, size int64) Tile {
	t := Tile{Level: level, Index: index / TileWidth}
	t.Width = int(min(TileWidth, size>>(tileHeight*t.level())-t.Index*TileWidth))
	return t
}

// Tiles yields the hash tiles and entry bundles that a tree of size to has and
// one of size from has not: all of them, from 0. What an exporter writes.
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

// AppendEntry appends a leaf to an entry bundle per C2SP tlog-tiles, behind its
// length as a big-endian uint16. An empty leaf is an error, as is one above MaxLeaf.
func AppendEntry(bundle, leaf []byte) ([]byte, error) {
	if len(leaf) == 0 || len(leaf) > MaxLeaf {
		return bundle, fmt.Errorf("entry of %d bytes in a bundle", len(leaf))
	}
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
	return append(bundle, leaf...), nil
}

// CutEntry gives the first leaf of an entry bundle, and what follows it, as
// parts of bundle. It is not ok when no whole leaf is left.
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

// ParseBundle gives the width leaves of a bundle, as parts of data. A bundle
// that holds fewer, more, or an empty one is an error; the leaves before the
// damage are given with it.
func ParseBundle(data []byte, width int) ([][]byte, error) {
	if width < 1 || width > TileWidth {
		return nil, fmt.Errorf("bundle of %d entries", width)
	}
	leaves := make([][]byte, 0, width)
	for len(leaves) < width {
		if len(data) < 2 {
			return leaves, fmt.Errorf("bundle ends after %d of %d entries", len(leaves), width)
		}
		leaf, rest, ok := CutEntry(data)
		if !ok {
			return leaves, fmt.Errorf("bundle has no whole entry number %d of %d", len(leaves), width)
		}
		leaves, data = append(leaves, leaf), rest
	}
	if len(data) > 0 {
		return leaves, fmt.Errorf("bundle goes on for %d bytes after %d entries", len(data), width)
	}
	return leaves, nil
}
