package ledger

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestTilePath(t *testing.T) {
	for path, want := range map[string]Tile{
		"tile/0/000":                           {0, 0, 256},
		"tile/0/x001/x234/067":                 {0, 1234067, 256}, // the example of C2SP tlog-tiles
		"tile/2/000.p/1":                       {2, 0, 1},
		"tile/entries/x273/001.p/255":          {EntriesLevel, 273001, 255},
		"tile/0/x001/x099/x511/x627/775.p/255": {0, MaxSize / 256, 255},
		"tile/5/000.p/255":                     {5, 0, 255},
		"tile/entries/999":                     {EntriesLevel, 999, 256},
		"tile/entries/x001/000":                {EntriesLevel, 1000, 256},
		"tile/entries/x001/x000/x000/007.p/1":  {EntriesLevel, 1000000007, 1},
	} {
		if got := want.Path(); got != path {
			t.Errorf("%+v.Path() = %s, want %s", want, got, path)
		}
		if got, err := ParseTilePath(path); err != nil || got != want {
			t.Errorf("ParseTilePath(%s) = %+v, %v, want %+v", path, got, err, want)
		}
	}
}

func TestParseTilePathRefuses(t *testing.T) {
	for _, path := range []string{
		"", "tile", "tile/", "tile/0", "tile/0/", "/tile/0/000", "tile/0/000/", "Tile/0/000", "tile//000",
		"tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000", "tile/0/x000/000", "tile/0/001/000", "tile/0/x001/x000",
		"tile/00/000", "tile/+0/000", "tile/-1/000", "tile/6/000", "tile/63/000.p/1", "tile/64/000", "tile/data/000",
		"tile/Entries/000",
		"tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/+1", "tile/0/000.p/-1", "tile/0/000.p/",
		"tile/0/000.p",
		"tile/0/000.p/1/", "tile/0/000.p/1.p/1", "tile/0/000.p/1/2", "tile/0/+00", "tile/0/-01", "tile/0/x-01/000",
		"tile/0/٠٠٠",
		"tile/5/001.p/1", "tile/5/000", "tile/0/x001/x099/x511/x627/776.p/1",
		"tile/0/x999/x999/x999/x999/x999/x999/x999/x999/000",
		"tile/0/x18446744/073", "tile/entries/../0/000", "tile/0/000\n", " tile/0/000", "tile/0/000.p/1\x00",
	} {
		if got, err := ParseTilePath(path); err == nil {
			t.Errorf("ParseTilePath(%q) = %+v, want an error", path, got)
		}
	}
}

func FuzzParseTilePath(f *testing.F) {
	f.Add("tile/0/x001/x234/067.p/3")
	f.Add("tile/entries/000")
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := ParseTilePath(path)
		if err == nil && (tile.Path() != path || !tile.In(MaxSize)) {
			t.Fatalf("%q is %+v, whose path is %q", path, tile, tile.Path())
		}
	})
}

// The example of C2SP tlog-tiles.
func TestTilesOf70000(t *testing.T) {
	widths := map[int][]int{}
	for tile := range Tiles(0, 70_000) {
		widths[tile.Level] = append(widths[tile.Level], tile.Width)
	}
	row := append(slices.Repeat([]int{256}, 273), 112)
	for level, want := range map[int][]int{EntriesLevel: row, 0: row, 1: {256, 17}, 2: {1}} {
		if !slices.Equal(widths[level], want) {
			t.Errorf("level %d: %v", level, widths[level])
		}
	}
	if len(widths) != 4 {
		t.Errorf("%d levels", len(widths))
	}
}

func TestTilesAgainstTlog(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		from := random.Int64N(1 << random.IntN(20))
		to := from + random.Int64N(1<<random.IntN(18))
		var got, want []Tile
		for tile := range Tiles(from, to) {
			if tile.Level != EntriesLevel {
				got = append(got, tile)
			}
			if !tile.In(to) || tile.In(from) {
				t.Fatalf("%d to %d: %+v", from, to, tile)
			}
		}
		for _, tile := range tlog.NewTiles(tileHeight, from, to) {
			want = append(want, Tile{tile.L, tile.N, tile.W})
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d to %d: %v, want %v", from, to, got, want)
		}
	}
}

func TestTileIn(t *testing.T) {
	for _, test := range []struct {
		tile Tile
		size int64
		want bool
	}{
		{Tile{0, 0, 1}, 0, false}, {Tile{0, 0, 1}, 1, true}, {Tile{0, 0, 2}, 1, false}, {Tile{0, 0, 256}, 255, false},
		{Tile{0, 0, 256}, 256, true}, {Tile{EntriesLevel, 1, 1}, 256, false}, {Tile{EntriesLevel, 1, 1}, 257, true},
		{Tile{1, 0, 1}, 255, false}, {Tile{1, 0, 1}, 256, true}, {Tile{1, 0, 2}, 511, false},
		{Tile{1, 0, 2}, 512, true},
		{Tile{0, 0, 0}, 10, false}, {Tile{0, 0, 257}, 1000, false}, {Tile{0, -1, 256}, 1000, false},
		{Tile{-2, 0, 1}, 1000, false},
		{Tile{6, 0, 1}, MaxSize, false}, {Tile{0, 0, 1}, MaxSize + 1, false}, {Tile{0, 1 << 62, 1}, MaxSize, false},
	} {
		if got := test.tile.In(test.size); got != test.want {
			t.Errorf("%+v in %d: %v", test.tile, test.size, got)
		}
	}
	if from, to := (Tile{2, 1, 3}).Entries(); from != 256*65536 || to != 259*65536 {
		t.Errorf("entries %d to %d", from, to)
	}
	if from, to := (Tile{EntriesLevel, 1, 3}).Entries(); from != 256 || to != 259 {
		t.Errorf("entries %d to %d", from, to)
	}
}

func TestBundle(t *testing.T) {
	leaves := [][]byte{[]byte("a"), bytes.Repeat([]byte("b"), MaxLeaf), []byte("cc")}
	data := bundleOf(t, leaves)
	if !bytes.HasPrefix(data, []byte("\x00\x01a\xff\xffb")) || len(data) > (Tile{EntriesLevel, 0, 3}).MaxBytes() {
		t.Errorf("bundle of %d bytes begins %q", len(data), data[:8])
	}
	got, err := ParseBundle(data, 3)
	if err != nil || !slices.EqualFunc(got, leaves, bytes.Equal) {
		t.Errorf("%d leaves, %v", len(got), err)
	}
	for _, width := range []int{-1, 0, 2, 4, 257} {
		if _, err := ParseBundle(data, width); err == nil {
			t.Errorf("%d entries were read from a bundle of 3", width)
		}
	}
	for end := range len(data) {
		if end > 10 && end < len(data)-10 {
			continue
		}
		if got, err := ParseBundle(data[:end], 3); err == nil ||
			!slices.EqualFunc(got, leaves[:len(got)], bytes.Equal) {
			t.Errorf("cut after %d: %d leaves, %v", end, len(got), err)
		}
	}
	for _, bad := range [][]byte{nil, make([]byte, MaxLeaf+1)} {
		if got, err := AppendEntry([]byte("x"), bad); err == nil || string(got) != "x" {
			t.Errorf("entry of %d bytes: %d, %v", len(bad), len(got), err)
		}
	}
	if _, err := ParseBundle([]byte{0, 0}, 1); err == nil {
		t.Error("an empty entry was read")
	}
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte("\x00\x01a\x00\x02bb"), 2)
	f.Add([]byte(strings.Repeat("\x00\x01a", 256)), 256)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		leaves, err := ParseBundle(data, width)
		if err != nil {
			return
		}
		if len(leaves) != width || !bytes.Equal(bundleOf(t, leaves), data) {
			t.Fatalf("%q is read as %q", data, leaves)
		}
	})
}
