package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// lanes is the number of bundles that are read and hashed concurrently. It
// bounds the memory of Verify: a bundle has 256 entries of up to MaxLeaf bytes.
const lanes = 8

// bundle is an entry bundle that was read and hashed, with its hash tile.
type bundle struct {
	tile         Tile
	leaves       [][]byte
	hashes       []Hash // of the leaves
	nonCanonical int    // index of the first leaf that is not a canonical JSON object, or -1
	err          error  // why there are no more leaves
	hashTile     TileData
	tileErr      error
}

// bundles reads the bundles of a log concurrently and yields them in order. All
// its goroutines have ended when it returns.
func bundles(ctx context.Context, src Source, size int64) iter.Seq[*bundle] {
	return func(yield func(*bundle) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()

		queue := make(chan chan *bundle, lanes-1)
		running.Go(func() {
			defer close(queue)
			for from := int64(0); from < size; from += TileWidth {
				done := make(chan *bundle, 1)
				select {
				case queue <- done:
				case <-ctx.Done():
					return
				}
				running.Go(func() { done <- readBundle(ctx, src, tileAt(EntriesLevel, from, size)) })
			}
		})
		for done := range queue {
			if !yield(<-done) {
				return
			}
		}
	}
}

func readBundle(ctx context.Context, src Source, t Tile) *bundle {
	b := &bundle{tile: t, nonCanonical: -1, hashTile: TileData{Tile: Tile{0, t.Index, t.Width}}}
	b.hashTile.Data, b.tileErr = readHashTile(ctx, src, b.hashTile.Tile)
	from, to := t.Entries()
	data, err := src.Tile(ctx, t)
	if err != nil {
		b.err = sourceError(err, Fault{Kind: FaultEntry, Path: t.Path(), Seq: from, Last: to - 1})
		return b
	}
	b.leaves, err = ParseBundle(data, t.Width)
	if err != nil {
		broken := from + int64(len(b.leaves))
		if broken == to {
			broken = -1 // the entries are complete; the bundle has trailing bytes
		}
		b.err = &Fault{Kind: FaultEntry, Path: t.Path(), Seq: broken, Last: broken, Err: err}
	}
	b.hashes = make([]Hash, len(b.leaves))
	for i, leaf := range b.leaves {
		b.hashes[i] = LeafHash(leaf)
		if b.nonCanonical < 0 && (leaf[0] != '{' || !IsCanonical(leaf)) {
			b.nonCanonical = i
		}
	}
	return b
}

// readHashTile reads a hash tile and checks its length.
func readHashTile(ctx context.Context, src Source, t Tile) ([]byte, error) {
	f := Fault{Kind: FaultTile, Path: t.Path(), Seq: -1, Last: -1}
	data, err := src.Tile(ctx, t)
	if err != nil {
		return nil, sourceError(err, f)
	}
	if len(data) != t.MaxBytes() {
		f.Err = fmt.Errorf("%d bytes long instead of %d", len(data), t.MaxBytes())
		return nil, &f
	}
	return data, nil
}

// publishedTiles adapts a Source to tlog.TileReader.
type publishedTiles struct {
	ctx     context.Context
	src     Source
	failure error // an error of the source that is no fault of the log
}

func (p *publishedTiles) Height() int { return tileHeight }

func (p *publishedTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		var err error
		if data[i], err = readHashTile(p.ctx, p.src, Tile{t.L, t.N, t.W}); err != nil {
			var f *Fault
			if !errors.As(err, &f) {
				p.failure = err
			}
			return nil, err
		}
	}
	return data, nil
}

func (p *publishedTiles) SaveTiles([]tlog.Tile, [][]byte) {}
