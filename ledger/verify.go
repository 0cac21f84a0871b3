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

// A Source is a published log: a running server, or an exported folder. A
// missing file is fs.ErrNotExist and counts as a fault of the log. Verify
// returns any other error unchanged, because it says nothing about the log.
type Source interface {
	// Checkpoint returns the newest signed checkpoint. It need not read more
	// than MaxCheckpoint+1 bytes.
	Checkpoint(ctx context.Context) ([]byte, error)
	// Tile returns a hash tile or an entry bundle with exactly the width of t. It
	// need not read more than t.MaxBytes()+1 bytes. It is called concurrently.
	// The caller keeps the result.
	Tile(ctx context.Context, t Tile) ([]byte, error)
	// Disclosures yields all disclosures, ordered by Seq and then Field. It stops
	// after the first error. An error that wraps ErrDisclosure, such as those of
	// ParseDisclosure, counts as a fault of the log.
	Disclosures(ctx context.Context) iter.Seq2[Disclosure, error]
}

// A FaultKind says what kind of fault a log has.
type FaultKind string

// The kinds of faults. If a log has several, Verify reports entries before tiles,
// and tiles before disclosures.
const (
	FaultCheckpoint FaultKind = "checkpoint" // belongs to another log, or not signed by a key of this log
	FaultEntry      FaultKind = "entry"      // missing, not what was signed, or not canonical
	FaultRoot       FaultKind = "root"       // entries and tiles agree, but the checkpoint signs another root
	FaultHistory    FaultKind = "history"    // contradicts an older checkpoint: rewritten or truncated
	FaultTile       FaultKind = "tile"       // a hash tile contradicts the entries, which are as signed
	FaultDisclosure FaultKind = "disclosure" // malformed, out of order, or opens no commitment
)

// A Fault describes a fault of a log and its location.
type Fault struct {
	Kind  FaultKind
	Path  string // path of the file at fault: "checkpoint", "disclosures", or a path of C2SP tlog-tiles
	Seq   int64  // seq of the first entry at fault, or -1 if no entry is at fault
	Last  int64  // the fault lies between Seq and Last; if they are equal, in that entry
	Field string // with FaultDisclosure: the field
	Err   error  // what is wrong
}

// Error returns location and fault in one line.
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

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

// A Report says what Verify has verified.
type Report struct {
	Checkpoint  Checkpoint // all its entries are as signed
	Tiles       int64      // number of hash tiles that match the entries
	Disclosures int64      // number of disclosures that open their commitment
}

// Verify reads a whole log and checks that
//
//   - one of the keys has signed the checkpoint,
//   - every entry is a canonical JSON object,
//   - the entries hash to the signed root,
//   - every hash tile matches the entries,
//   - every disclosure opens a commitment, and
//   - the older checkpoints, opened with the same keys, are those of prefixes of
//     this log.
//
// Its memory does not grow with the log.
//
// The error is a *Fault if the log is at fault. If an entry and a hash tile
// contradict each other, Verify uses the tiles between them and the signed root
// to find out which one is wrong. It cannot distinguish a missing disclosure from
// a redaction. It detects that a log was reset to an earlier state only with an
// older checkpoint of a larger size.
func Verify(ctx context.Context, src Source, keys *Verifier, older ...Checkpoint) (Report, error) {
	return VerifyEntries(ctx, src, keys, func(int64, []byte) error { return nil }, older...)
}

// VerifyEntries is Verify, and calls visit with the seq and the leaf of each entry, in order and from one goroutine.
// The leaf is a canonical JSON object and must not be changed or kept. Whether it is what was signed is known only when
// VerifyEntries returns without an error. An error of visit ends the verification and is returned unchanged.
func VerifyEntries(
	ctx context.Context, src Source, keys *Verifier, visit func(seq int64, leaf []byte) error, older ...Checkpoint,
) (Report, error) {
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
			return Report{}, historyFault(-1, -1, fmt.Errorf("the older checkpoint belongs to %s", o.Origin))
		}
		if o.Size > c.Size {
			err := fmt.Errorf("the log has %d entries and had %d before", c.Size, o.Size)
			return Report{}, historyFault(c.Size, o.Size-1, err)
		}
	}
	next, stop := iter.Pull2(src.Disclosures(ctx))
	defer stop()
	v := verification{
		ctx: ctx, src: src, report: Report{Checkpoint: c}, visit: visit, older: older,
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

// sourceError returns the fault f if err says that a file does not exist.
// Otherwise it returns err with context.
func sourceError(err error, f Fault) error {
	if errors.Is(err, fs.ErrNotExist) {
		f.Err = err
		return &f
	}
	return fmt.Errorf("%s: %w", f.Path, err)
}

// verification is one run of Verify. It reads the entries in order and rebuilds
// the tree from them alone.
type verification struct {
	ctx         context.Context
	src         Source
	report      Report
	visit       func(seq int64, leaf []byte) error
	frontier    frontier
	tiles       [maxLevel + 1]TileData // the current published tile of each level
	suspect     [maxLevel + 1]Tile     // the last tile of each level that does not lead up to the root
	older       []Checkpoint           // older checkpoints that are still to be compared
	agreed      int64                  // size of the last older checkpoint that agreed
	disclosures disclosureStream

	err     error  // from compareHash, which cannot return it
	doubt   *Fault // entries and tiles disagree, and it is unknown which are wrong
	history *Fault // the first older checkpoint that disagrees
	opening *Fault // the first disclosure at fault
}

func (v *verification) run() error {
	v.checkOlder()
	for b := range bundles(v.ctx, v.src, v.report.Checkpoint.Size) {
		if err := v.checkBundle(b); err != nil {
			return err
		}
	}
	if err := v.ctx.Err(); err != nil {
		return err
	}
	if err := v.checkDisclosures(v.frontier.size, nil); err != nil {
		return err
	}
	return v.verdict()
}

func (v *verification) checkBundle(b *bundle) error {
	if v.setTile(b.hashTile, b.tileErr); v.err != nil {
		return v.err
	}
	from, _ := b.tile.Entries()
	for i, leaf := range b.leaves {
		if v.frontier.push(b.hashes[i], v.compareHash); v.err != nil {
			return v.err
		}
		seq := from + int64(i)
		if b.nonCanonical == i {
			err := errors.New("not a canonical JSON object")
			return &Fault{Kind: FaultEntry, Path: b.tile.Path(), Seq: seq, Last: seq, Err: err}
		}
		if err := v.checkDisclosures(seq, leaf); err != nil {
			return err
		}
		if err := v.visit(seq, leaf); err != nil {
			return err
		}
		v.checkOlder()
	}
	return b.err
}

// setTile makes t the current published tile of its level. A tile that is missing
// or has the wrong length has no data, and no hash is compared with it.
func (v *verification) setTile(t TileData, err error) {
	v.tiles[t.Level] = t
	v.report.Tiles++
	var f *Fault
	if err != nil && !errors.As(err, &f) {
		v.err = err
	}
	if f != nil {
		from, to := t.Entries()
		v.addDoubt(&Fault{Kind: FaultEntry, Path: f.Path, Seq: from, Last: to - 1, Err: f.Err})
	}
}

// addDoubt keeps the fault with the narrowest range, and the first of several.
func (v *verification) addDoubt(f *Fault) {
	if v.doubt == nil || f.Last-f.Seq < v.doubt.Last-v.doubt.Seq {
		v.doubt = f
	}
}

// compareHash compares a hash of the rebuilt tree with the published one.
func (v *verification) compareHash(level int, index int64, h Hash) {
	if v.err != nil {
		return
	}
	t := &v.tiles[level]
	if level > 0 && (t.Width == 0 || t.Index != index/TileWidth) {
		tile := tileAt(level, index, v.report.Checkpoint.Size)
		data, err := readHashTile(v.ctx, v.src, tile)
		if v.setTile(TileData{tile, data}, err); v.err != nil {
			return
		}
	}
	at := index % TileWidth * HashSize
	if len(t.Data) > 0 && !bytes.Equal(t.Data[at:at+HashSize], h[:]) {
		v.resolve(t.Tile, index, h)
	}
}

// resolve decides which is wrong: a published hash, or the entries under it.
func (v *verification) resolve(t Tile, index int64, h Hash) {
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
	f.Err = fmt.Errorf("hash %d does not match the entries", index%TileWidth)
	v.addDoubt(f)
}

// authentic returns a published hash if the tiles above it lead up to the signed
// root. It sets v.err if the source fails.
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

// checkOlder compares the current root with the older checkpoints of this size.
func (v *verification) checkOlder() {
	for len(v.older) > 0 && v.older[0].Size == v.frontier.size {
		switch root := v.frontier.root(); {
		case root == v.older[0].Root:
			v.agreed = v.frontier.size
		case v.history == nil:
			v.history = historyFault(v.agreed, v.frontier.size-1, errors.New("not what an older checkpoint signed"))
		}
		v.older = v.older[1:]
	}
}

// verdict returns the first fault by priority, once the whole tree is rebuilt.
func (v *verification) verdict() error {
	c := v.report.Checkpoint
	if root := v.frontier.root(); root != c.Root {
		if f := v.doubt; f != nil {
			f.Err = fmt.Errorf("%w, and the entries do not hash to the signed root", f.Err)
			return f
		}
		err := fmt.Errorf("the entries hash to %v and the checkpoint signs %v", root, c.Root)
		f := &Fault{Kind: FaultRoot, Path: "checkpoint", Seq: v.agreed, Last: c.Size - 1, Err: err}
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

// checkDisclosures checks the disclosures up to those of the entry seq, or all
// remaining ones if leaf is nil. It keeps the first fault. It returns only
// errors of the source.
func (v *verification) checkDisclosures(seq int64, leaf []byte) error {
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
			seq := d.head.Seq
			v.opening = &Fault{
				Kind: FaultDisclosure, Path: "disclosures", Seq: seq, Last: seq, Field: d.head.Field, Err: err,
			}
			return nil
		}
		v.report.Disclosures++
	}
	return nil
}

// disclosureStream reads disclosures with one of lookahead.
type disclosureStream struct {
	next   func() (Disclosure, error, bool)
	head   Disclosure // the next disclosure, if peeked and more
	last   Disclosure // the last checked disclosure
	any    bool       // whether last is set
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

// check checks the head against its leaf. The leaf is nil if the log has none.
func (d *disclosureStream) check(leaf []byte) error {
	switch {
	case d.any && (d.head.Seq < d.last.Seq || d.head.Seq == d.last.Seq && d.head.Field <= d.last.Field):
		return errors.New("out of order or duplicate")
	case leaf == nil:
		return errors.New("the log has no such entry")
	case !d.head.Opens(leaf):
		return errors.New("salt and value do not open a commitment in the entry")
	}
	d.last, d.any, d.peeked = d.head, true, false
	return nil
}
