package ledger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// A Source is a log as published: a running server, or an exported folder.
// What is not there is fs.ErrNotExist; any other error ends Verify as it is,
// for it says nothing of the log.
type Source interface {
	// Checkpoint gives the newest signed checkpoint. It need not read further
	// than one byte beyond MaxCheckpoint.
	Checkpoint(ctx context.Context) ([]byte, error)
	// Tile gives a hash tile or an entry bundle, at exactly that width. It need
	// not read further than one byte beyond Tile.MaxBytes. It is called from
	// several goroutines at once, and the answer is the caller's to keep.
	Tile(ctx context.Context, t Tile) ([]byte, error)
	// Disclosures yields every disclosure there is, in the order of Seq and
	// then Field, and ends with an error. One that is ErrDisclosure, as those of
	// ParseDisclosure are, counts against the log.
	Disclosures(ctx context.Context) iter.Seq2[Disclosure, error]
}

// A FaultKind is what is wrong with a log.
type FaultKind string

// The kinds of faults. Where a log has several, Verify tells of entries before
// tiles, and of tiles before disclosures.
const (
	FaultCheckpoint FaultKind = "checkpoint" // not this log's, or not signed by a key that may
	FaultEntry      FaultKind = "entry"      // missing, not what was signed, or not canonical
	FaultRoot       FaultKind = "root"       // entries and tiles agree, but the checkpoint signs another root
	FaultHistory    FaultKind = "history"    // not what an older checkpoint has signed: rewritten, or cut short
	FaultTile       FaultKind = "tile"       // a hash tile is not that of the entries, which are as signed
	FaultDisclosure FaultKind = "disclosure" // malformed, out of order, or opens no commitment
)

// A Fault is something wrong with a log, and where.
type Fault struct {
	Kind  FaultKind
	Path  string // file at fault: as in C2SP tlog-tiles, or "disclosures"
	Seq   int64  // first entry at fault, or -1 where no entry is
	Last  int64  // equal to Seq where that is certain; else the fault lies somewhere from Seq to Last
	Field string // with FaultDisclosure: of which field
	Err   error  // what is wrong
}

// Error says where and what in one line.
func (f *Fault) Error() string {
	where := f.Path
	if f.Field != "" {
		where += " " + f.Field
	}
	switch {
	case f.Seq >= 0 && f.Last > f.Seq:
		return fmt.Sprintf("entries %d to %d (%s): %v", f.Seq, f.Last, where, f.Err)
	case f.Seq >= 0:
		return fmt.Sprintf("entry %d (%s): %v", f.Seq, where, f.Err)
	}
	return fmt.Sprintf("%s: %v", where, f.Err)
}

// Unwrap gives Err.
func (f *Fault) Unwrap() error { return f.Err }

// A Report is what Verify has seen hold.
type Report struct {
	Checkpoint  Checkpoint // every entry below its Size is as signed
	Tiles       int64      // hash tiles that are those of the entries
	Disclosures int64      // disclosures that open their commitment
}

// Verify reads a whole log and checks all that can be: the signature of the
// checkpoint; that every entry is a canonical JSON object and together they
// hash to the signed root; that every hash tile is that of the entries; that
// every disclosure opens a commitment; and that the older checkpoints, opened
// before with the same keys, are of prefixes of this log. Memory stays flat
// whatever the log's size.
//
// What is wrong with the log is a *Fault. Where an entry and a hash tile
// disagree, tiles that lead up to the signed root decide between them. Verify
// cannot tell a missing disclosure from a redaction, nor a log from an earlier
// state of itself, unless an older checkpoint shows it.
func Verify(ctx context.Context, src Source, keys *Verifier, older ...Checkpoint) (Report, error) {
	signed, err := src.Checkpoint(ctx)
	if err != nil {
		return Report{}, sourceError(err, Fault{Kind: FaultCheckpoint, Path: "checkpoint", Seq: -1, Last: -1})
	}
	c, err := keys.Open(signed)
	if err != nil {
		return Report{}, &Fault{Kind: FaultCheckpoint, Path: "checkpoint", Seq: -1, Last: -1, Err: err}
	}
	older = slices.Concat(older, keys.handovers)
	slices.SortStableFunc(older, func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	for _, o := range older {
		if o.Origin != c.Origin {
			return Report{}, historyFault(-1, -1, fmt.Errorf("the older checkpoint is of %s", o.Origin))
		}
		if o.Size > c.Size {
			return Report{}, historyFault(c.Size, o.Size-1, fmt.Errorf("the log has %d entries and had %d before", c.Size, o.Size))
		}
	}
	next, stop := iter.Pull2(src.Disclosures(ctx))
	defer stop()
	v := verification{
		ctx: ctx, src: src, report: Report{Checkpoint: c}, older: older,
		disclosures: disclosureStream{next: next, more: true},
	}
	if err := v.run(); err != nil {
		return Report{}, err
	}
	return v.report, nil
}

func historyFault(seq, last int64, err error) *Fault {
	return &Fault{Kind: FaultHistory, Path: "checkpoint", Seq: seq, Last: last, Err: err}
}

// sourceError is the fault, if the source says that something is not there.
func sourceError(err error, f Fault) error {
	if errors.Is(err, fs.ErrNotExist) {
		f.Err = err
		return &f
	}
	return fmt.Errorf("%s: %w", f.Path, err)
}

// verification is one run of Verify. It takes the entries in order and rebuilds
// the tree from them alone.
type verification struct {
	ctx         context.Context
	src         Source
	report      Report
	frontier    frontier
	tiles       [maxLevel + 1]TileData // as published: the one that each level has reached
	suspect     [maxLevel + 1]Tile     // the last one found not to lead up to the root
	older       []Checkpoint           // not reached yet
	agreed      int64                  // the last older checkpoint that agreed, by its size
	disclosures disclosureStream

	err     error  // found while a hash was put into place
	doubt   *Fault // where entries and tiles disagree and it was not seen which is wrong
	history *Fault // first older checkpoint that disagrees
	opening *Fault // first disclosure at fault
}

func (v *verification) run() error {
	v.checkOlder()
	for b := range bundles(v.ctx, v.src, v.report.Checkpoint.Size) {
		if err := v.take(b); err != nil {
			return err
		}
	}
	if err := v.ctx.Err(); err != nil {
		return err
	}
	if err := v.disclosed(v.frontier.size, nil); err != nil {
		return err
	}
	return v.verdict()
}

// take checks the next bundle.
func (v *verification) take(b *bundle) error {
	if v.enter(b.hashTile, b.tileErr); v.err != nil {
		return v.err
	}
	from, _ := b.tile.Entries()
	for i, leaf := range b.leaves {
		if v.frontier.push(b.hashes[i], v.place); v.err != nil {
			return v.err
		}
		seq := from + int64(i)
		if b.odd == i {
			return &Fault{Kind: FaultEntry, Path: b.tile.Path(), Seq: seq, Last: seq, Err: errors.New("it is not a canonical JSON object")}
		}
		if err := v.disclosed(seq, leaf); err != nil {
			return err
		}
		v.checkOlder()
	}
	return b.err
}

// enter begins the next published tile of a level. One that is missing, or not
// as long as it should be, is left without data and compared with nothing.
func (v *verification) enter(t TileData, err error) {
	v.tiles[t.Level] = t
	v.report.Tiles++
	var f *Fault
	if err != nil && !errors.As(err, &f) {
		v.err = err
	}
	if f != nil {
		from, to := t.Entries()
		v.suspicion(&Fault{Kind: FaultEntry, Path: f.Path, Seq: from, Last: to - 1, Err: f.Err})
	}
}

// suspicion keeps the narrowest doubt, and of equals the first.
func (v *verification) suspicion(f *Fault) {
	if v.doubt == nil || f.Last-f.Seq < v.doubt.Last-v.doubt.Seq {
		v.doubt = f
	}
}

// place compares a hash of the rebuilt tree with the published one.
func (v *verification) place(level int, index int64, h Hash) {
	if v.err != nil {
		return
	}
	t := &v.tiles[level]
	if level > 0 && (t.Width == 0 || t.Index != index/TileWidth) {
		tile := tileAt(level, index, v.report.Checkpoint.Size)
		data, err := readHashTile(v.ctx, v.src, tile)
		if v.enter(TileData{tile, data}, err); v.err != nil {
			return
		}
	}
	at := index % TileWidth * HashSize
	if len(t.Data) > 0 && !bytes.Equal(t.Data[at:at+HashSize], h[:]) {
		v.disagree(t.Tile, index, h)
	}
}

// disagree decides which is wrong: the published hash, or the entries under it.
func (v *verification) disagree(t Tile, index int64, h Hash) {
	shift := tileHeight * t.Level
	f := &Fault{Kind: FaultEntry, Path: t.Path(), Seq: index << shift, Last: (index+1)<<shift - 1}
	if v.suspect[t.Level] == t {
		return
	}
	if signed, err := v.authentic(t.Level, index); err == nil && signed != h {
		f.Path = tileAt(EntriesLevel, f.Seq, v.report.Checkpoint.Size).Path()
		f.Err = errors.New("not what was signed")
		v.err = f
		return
	}
	v.suspect[t.Level] = t
	f.Err = fmt.Errorf("hash %d is not that of the entries", index%TileWidth)
	v.suspicion(f)
}

// authentic gives a published hash if the tiles above it lead up to the signed
// root. Where the source fails, that goes to v.err.
func (v *verification) authentic(level int, index int64) (Hash, error) {
	c := v.report.Checkpoint
	tiles := &publishedTiles{ctx: v.ctx, src: v.src}
	r := tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, tiles)
	hashes, err := r.ReadHashes([]int64{tlog.StoredHashIndex(tileHeight*level, index)})
	v.err = tiles.failure
	if err != nil {
		return Hash{}, err
	}
	return hashes[0], nil
}

// checkOlder compares the root so far with the older checkpoints of this size.
func (v *verification) checkOlder() {
	for len(v.older) > 0 && v.older[0].Size == v.frontier.size {
		switch root := v.frontier.root(); {
		case root == v.older[0].Root:
			v.agreed = v.frontier.size
		case v.history == nil:
			v.history = historyFault(v.agreed, v.frontier.size-1, errors.New("not what an older checkpoint has signed"))
		}
		v.older = v.older[1:]
	}
}

// verdict weighs what was found, once the whole tree is rebuilt.
func (v *verification) verdict() error {
	c := v.report.Checkpoint
	if root := v.frontier.root(); root != c.Root {
		if f := v.doubt; f != nil {
			f.Err = fmt.Errorf("%w, and the entries do not hash to the signed root", f.Err)
			return f
		}
		f := &Fault{Kind: FaultRoot, Path: "checkpoint", Seq: v.agreed, Last: c.Size - 1, Err: fmt.Errorf("the entries hash to %v and the checkpoint signs %v", root, c.Root)}
		if f.Seq > f.Last {
			f.Seq, f.Last = -1, -1
		}
		return f
	}
	if v.history != nil {
		return v.history
	}
	if v.doubt != nil {
		return &Fault{Kind: FaultTile, Path: v.doubt.Path, Seq: -1, Last: -1, Err: v.doubt.Err}
	}
	if v.opening != nil {
		return v.opening
	}
	return nil
}

// disclosed checks the disclosures up to those of an entry, or all that are
// left where leaf is nil. It keeps the first fault, and returns none but an
// error of the source.
func (v *verification) disclosed(seq int64, leaf []byte) error {
	d := &v.disclosures
	for v.opening == nil {
		if err := d.peek(); err != nil {
			if !errors.Is(err, ErrDisclosure) && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("disclosures: %w", err)
			}
			v.opening = &Fault{Kind: FaultDisclosure, Path: "disclosures", Seq: -1, Last: -1, Err: err}
			return nil
		}
		if !d.more || leaf != nil && d.head.Seq > seq {
			return nil
		}
		if err := d.check(leaf); err != nil {
			v.opening = &Fault{Kind: FaultDisclosure, Path: "disclosures", Seq: d.head.Seq, Last: d.head.Seq, Field: d.head.Field, Err: err}
			return nil
		}
		v.report.Disclosures++
	}
	return nil
}

// disclosureStream gives the disclosures one after the other, with a look ahead.
type disclosureStream struct {
	next   func() (Disclosure, error, bool)
	head   Disclosure // the next one, where peeked and more
	last   Disclosure // the one checked last
	any    bool       // whether last is one
	peeked bool
	more   bool
}

func (d *disclosureStream) peek() (err error) {
	if !d.peeked && d.more {
		d.head, err, d.more = d.next()
		d.peeked = true
	}
	return err
}

// check takes the head against the leaf it is of, or nil where there is none.
func (d *disclosureStream) check(leaf []byte) error {
	switch {
	case d.any && (d.head.Seq < d.last.Seq || d.head.Seq == d.last.Seq && d.head.Field <= d.last.Field):
		return errors.New("out of order, or a second one")
	case leaf == nil:
		return errors.New("of no entry in the log")
	case !d.head.Opens(leaf):
		return errors.New("salt and value do not fit a commitment in the entry")
	}
	d.last, d.any, d.peeked = d.head, true, false
	return nil
}
