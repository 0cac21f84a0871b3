package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

var logSizes = []int{0, 1, 2, 3, 255, 256, 257, 600}

func forSizes(t *testing.T, test func(t *testing.T, n int, f folder, v *Verifier)) {
	signer := testSigner(t, 1)
	v := testVerifier(t, signer.VerifierKey())
	for _, n := range logSizes {
		leaves, disclosures := testLeaves(n)
		f := export(t, signer, leaves, disclosures)
		t.Run(fmt.Sprint(n), func(t *testing.T) { test(t, n, f, v) })
	}
}

// faultOf verifies a log that must be at fault, and returns the fault.
func faultOf(t *testing.T, f folder, v *Verifier, older ...Checkpoint) *Fault {
	t.Helper()
	report, err := Verify(context.Background(), f, v, older...)
	var fault *Fault
	if !errors.As(err, &fault) {
		t.Fatalf("got %+v, %v, want a fault", report, err)
	}
	return fault
}

func (f folder) with(path string, data []byte) folder {
	g := maps.Clone(f)
	g[path] = data
	return g
}

// place returns the kind and location of a fault.
func (f *Fault) place() string { return fmt.Sprintf("%s %s %d-%d", f.Kind, f.Path, f.Seq, f.Last) }

func TestVerify(t *testing.T) {
	forSizes(t, func(t *testing.T, n int, f folder, v *Verifier) {
		report, err := Verify(context.Background(), f, v)
		if err != nil {
			t.Fatal(err)
		}
		tiles := 0
		for path := range f {
			if strings.HasPrefix(path, "tile/") && !strings.HasPrefix(path, "tile/entries/") {
				tiles++
			}
		}
		if report.Checkpoint.Size != int64(n) || report.Disclosures != int64(2*n) || report.Tiles != int64(tiles) {
			t.Errorf("%+v", report)
		}
	})
}

// Every changed byte is detected: all bytes of small logs, and a sample of large ones.
func TestVerifyNamesFlippedByte(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	forSizes(t, func(t *testing.T, n int, f folder, v *Verifier) {
		for _, path := range slices.Sorted(maps.Keys(f)) {
			for at := range f[path] {
				if n > 3 && random.IntN(len(f[path])) > 10 {
					continue
				}
				mask := byte(1) << random.IntN(8)
				flipped := bytes.Clone(f[path])
				flipped[at] ^= mask
				fault := faultOf(t, f.with(path, flipped), v)
				if want := flipPlace(f, path, at); !strings.HasPrefix(fault.place(), want) {
					t.Fatalf("%s, byte %d ^ %#x: %q, want %q (%v)", path, at, mask, fault.place(), want, fault)
				}
			}
		}
	})
}

// flipPlace returns the kind and location that Verify should report for a changed byte.
func flipPlace(f folder, path string, at int) string {
	switch {
	case path == "checkpoint":
		return "checkpoint checkpoint -1-"
	case path == "disclosures":
		return "disclosure disclosures "
	case !strings.HasPrefix(path, "tile/entries/"):
		return "tile " + path + " -1-"
	}
	tile, _ := ParseTilePath(path)
	seq, _ := tile.Entries()
	leaves, _ := ParseBundle(f[path], tile.Width)
	for end := 2 + len(leaves[0]); end <= at; end += 2 + len(leaves[0]) {
		leaves, seq = leaves[1:], seq+1
	}
	return fmt.Sprintf("entry %s %d-%d", path, seq, seq)
}

func TestVerifyNamesWhereEntriesWereMoved(t *testing.T) {
	forSizes(t, func(t *testing.T, n int, f folder, v *Verifier) {
		for tile := range Tiles(0, int64(n)) {
			if tile.Level != EntriesLevel {
				continue
			}
			path := tile.Path()
			from, _ := tile.Entries()
			leaves, err := ParseBundle(f[path], tile.Width)
			if err != nil {
				t.Fatal(err)
			}
			for at := range leaves {
				moved := map[string][][]byte{
					"dropped":  slices.Concat(leaves[:at], leaves[at+1:]),
					"repeated": slices.Concat(leaves[:at+1], leaves[at:]),
					"added":    slices.Concat(leaves[:at], [][]byte{[]byte(`{}`)}, leaves[at:]),
					"replaced": slices.Concat(leaves[:at], [][]byte{[]byte(`{}`)}, leaves[at+1:]),
				}
				if at > 0 {
					moved["reordered"] = slices.Concat(leaves[:at-1], [][]byte{leaves[at], leaves[at-1]}, leaves[at+1:])
				}
				for what, leaves := range moved {
					if n > 3 && at > 2 && at < tile.Width-2 && at%100 != 0 {
						continue
					}
					fault := faultOf(t, f.with(path, bundleOf(t, leaves)), v)
					seq := from + int64(at)
					switch what {
					case "repeated":
						seq++
					case "reordered":
						seq--
					}
					last := seq
					if what == "repeated" && at == tile.Width-1 {
						seq, last = -1, -1 // the entries are complete, with an extra one
					}
					if want := fmt.Sprintf("entry %s %d-%d", path, seq, last); fault.place() != want {
						t.Errorf("%s %d of %s: %q, want %q (%v)", what, at, path, fault.place(), want, fault)
					}
				}
			}
		}
	})
}

func TestVerifyNamesTruncatedAndMissingFiles(t *testing.T) {
	forSizes(t, func(t *testing.T, n int, f folder, v *Verifier) {
		for path, data := range f {
			gone := maps.Clone(f)
			delete(gone, path)
			fault := faultOf(t, gone, v)
			if fault.Path != path {
				t.Errorf("without %s: %v", path, fault)
			}
			if strings.HasPrefix(path, "tile/entries/") && fault.Kind != FaultEntry ||
				strings.HasPrefix(path, "tile/0") && fault.Kind != FaultTile {
				t.Errorf("without %s: %s", path, fault.place())
			}
			for _, end := range []int{0, 1, len(data) / 3, len(data) - 33, len(data) - 1} {
				if end < 0 || end >= len(data) || path == "disclosures" && (end == 0 || data[end-1] == '\n') {
					continue // missing lines may have been redacted
				}
				if fault := faultOf(t, f.with(path, data[:end]), v); fault.Path != path {
					t.Errorf("%s cut after %d bytes: %v", path, end, fault)
				}
			}
			if fault := faultOf(t, f.with(path, append(bytes.Clone(data), '\n')), v); fault.Path != path {
				t.Errorf("%s with an extra byte: %v", path, fault)
			}
		}
	})
}

func TestVerifyRefusesStrangersKey(t *testing.T) {
	stranger := testSigner(t, 2)
	forSizes(t, func(t *testing.T, n int, f folder, v *Verifier) {
		c, err := v.Open(f["checkpoint"])
		if err != nil {
			t.Fatal(err)
		}
		signed, err := stranger.Sign(c.Size, c.Root)
		if err != nil {
			t.Fatal(err)
		}
		if fault := faultOf(t, f.with("checkpoint", signed), v); fault.Kind != FaultCheckpoint ||
			!errors.Is(fault, ErrCheckpoint) ||
			!strings.Contains(fault.Error(), "not signed by") {
			t.Errorf("%v", fault)
		}
	})
}

// An entry is changed, and with it all hashes above it up to a certain level.
func TestVerifyNamesConsistentChange(t *testing.T) {
	signer := testSigner(t, 1)
	v := testVerifier(t, signer.VerifierKey())
	leaves, disclosures := testLeaves(600)
	f := export(t, signer, leaves, disclosures)
	changed := slices.Clone(leaves)
	changed[300] = bytes.Replace(leaves[300], []byte("link.redeemed"), []byte("link.refused"), 1)
	g := export(t, signer, changed, disclosures)

	mixed := maps.Clone(f)
	for _, step := range []struct{ path, want string }{
		{"tile/entries/001", "entry tile/entries/001 300-300"},
		{"tile/0/001", "entry tile/entries/001 256-511"},
		{"tile/1/000.p/2", "root checkpoint 0-599"},
	} {
		mixed[step.path] = g[step.path]
		if fault := faultOf(t, mixed, v); fault.place() != step.want {
			t.Errorf("up to %s: %q, want %q (%v)", step.path, fault.place(), step.want, fault)
		}
	}

	// The tiles above are broken, so it is unknown whether entry or tile is wrong.
	broken := f.with("tile/entries/001", g["tile/entries/001"])
	broken["tile/1/000.p/2"] = make([]byte, 2*HashSize)
	if fault := faultOf(t, broken, v); fault.Kind != FaultEntry || fault.Seq != 300 {
		t.Errorf("with a broken tile above: %q (%v)", fault.place(), fault)
	}
	// A broken tile does not hide a broken entry behind it.
	broken = f.with("tile/0/000", make([]byte, 256*HashSize))
	broken["tile/entries/002.p/88"] = bundleOf(t, append(slices.Clone(leaves[512:599]), []byte(`{}`)))
	if fault := faultOf(t, broken, v); fault.place() != "entry tile/entries/002.p/88 599-599" {
		t.Errorf("behind a broken tile: %q (%v)", fault.place(), fault)
	}
}

func TestVerifyRefusesSignedEntryThatIsNotCanonical(t *testing.T) {
	signer := testSigner(t, 1)
	for _, leaf := range []string{`{"b":1,"a":2}`, `{ }`, `"text"`, `{"a":"\u00e9"}`, "\xff", `{"a":1}{}`} {
		leaves, disclosures := testLeaves(3)
		leaves[1] = []byte(leaf)
		f := export(t, signer, leaves, disclosures[:2])
		if fault := faultOf(t, f, testVerifier(t, signer.VerifierKey())); fault.place() != "entry tile/entries/000.p/3 1-1" {
			t.Errorf("%q: %v", leaf, fault)
		}
	}
}

func TestVerifyOlderCheckpoints(t *testing.T) {
	signer := testSigner(t, 1)
	v := testVerifier(t, signer.VerifierKey())
	leaves, disclosures := testLeaves(600)
	f := export(t, signer, leaves, disclosures)
	var older []Checkpoint
	for _, n := range []int{600, 0, 1, 257, 512} { // unordered
		c, err := v.Open(export(t, signer, leaves[:n], nil)["checkpoint"])
		if err != nil {
			t.Fatal(err)
		}
		older = append(older, c)
	}
	if _, err := Verify(context.Background(), f, v, older...); err != nil {
		t.Fatal(err)
	}

	// The holder of the key rewrites entry 300 and signs again.
	rewritten := slices.Clone(leaves)
	rewritten[300] = []byte(`{}`)
	g := export(t, signer, rewritten, nil)
	if _, err := Verify(context.Background(), g, v); err != nil {
		t.Fatalf("without an older checkpoint: %v", err)
	}
	if fault := faultOf(t, g, v, older...); fault.place() != "history checkpoint 257-511" {
		t.Errorf("rewritten: %q (%v)", fault.place(), fault)
	}
	if fault := faultOf(t, export(t, signer, leaves[:500], nil), v, older...); fault.place() != "history checkpoint 500-511" {
		t.Errorf("cut short: %q (%v)", fault.place(), fault)
	}
	foreign := older[2]
	foreign.Origin = "files.example.com/acct_02/live"
	if fault := faultOf(t, f, v, foreign); fault.Kind != FaultHistory {
		t.Errorf("of another log: %v", fault)
	}
	// A wrong root is located behind the last older checkpoint that agrees.
	c := older[0]
	c.Root[0] ^= 1
	signed, err := signer.Sign(c.Size, c.Root)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[int]string{3: "root checkpoint 257-599", 1: "root checkpoint 0-599"} {
		h := f.with("checkpoint", signed)
		h["tile/0/001"] = f["tile/0/001"]
		if fault := faultOf(t, h, v, older[path]); fault.place() != want {
			t.Errorf("wrong root: %q, want %q (%v)", fault.place(), want, fault)
		}
	}
}

func TestVerifyDisclosures(t *testing.T) {
	signer := testSigner(t, 1)
	v := testVerifier(t, signer.VerifierKey())
	leaves, all := testLeaves(300)
	without := func(i int) []Disclosure { return slices.Concat(all[:i], all[i+1:]) }
	if _, err := Verify(context.Background(), export(t, signer, leaves, without(100)), v); err != nil {
		t.Errorf("redacted: %v", err)
	}
	edited := func(i int, edit func(d *Disclosure)) []Disclosure {
		out := slices.Clone(all)
		edit(&out[i])
		return out
	}
	for what, test := range map[string]struct {
		disclosures []Disclosure
		seq         int64
		field       string
	}{
		"other value":   {edited(201, func(d *Disclosure) { d.Value += "x" }), 100, "/request/user_agent"},
		"other salt":    {edited(200, func(d *Disclosure) { d.Salt[15]++ }), 100, "/request/ip"},
		"no commitment": {edited(200, func(d *Disclosure) { d.Field = "/account" }), 100, "/account"},
		"no such field": {edited(599, func(d *Disclosure) { d.Field = "/request/zip" }), 299, "/request/zip"},
		"twice":         {slices.Insert(slices.Clone(all), 11, all[10]), 5, "/request/ip"},
		"out of order":  {append(without(0), all[0]), 0, "/request/ip"},
		"beyond":        {append(slices.Clone(all), Disclosure{Seq: 300, Field: "/a"}), 300, "/a"},
	} {
		fault := faultOf(t, export(t, signer, leaves, test.disclosures), v)
		if fault.Kind != FaultDisclosure || fault.Seq != test.seq || fault.Field != test.field {
			t.Errorf("%s: %q %s (%v)", what, fault.place(), fault.Field, fault)
		}
	}
	// Faults of entries are reported before those of disclosures.
	f := export(t, signer, leaves, edited(0, func(d *Disclosure) { d.Value = "x" }))
	f["tile/entries/001.p/44"][50] ^= 1
	if fault := faultOf(t, f, v); fault.Kind != FaultEntry || fault.Seq != 256 {
		t.Errorf("an entry and a disclosure: %v", fault)
	}
}

// counted counts the reads of Verify.
type counted struct {
	folder
	reads *atomic.Int64
}

func (c counted) Tile(ctx context.Context, t Tile) ([]byte, error) {
	c.reads.Add(1)
	return c.folder.Tile(ctx, t)
}

// A tile with many wrong hashes is resolved once, not for each hash.
func TestVerifyReadsLittleForABrokenTile(t *testing.T) {
	signer := testSigner(t, 1)
	leaves, _ := testLeaves(600)
	f := export(t, signer, leaves, nil).with("tile/0/001", make([]byte, TileWidth*HashSize))
	source := counted{f, new(atomic.Int64)}
	_, err := Verify(context.Background(), source, testVerifier(t, signer.VerifierKey()))
	var fault *Fault
	if !errors.As(err, &fault) || fault.place() != "tile tile/0/001 -1--1" || source.reads.Load() > 20 {
		t.Errorf("%d reads, %v", source.reads.Load(), err)
	}
}

// lost fails when a path is read a second time.
type lost struct {
	folder
	path string
	seen *atomic.Int64
}

func (l lost) Tile(ctx context.Context, t Tile) ([]byte, error) {
	if t.Path() == l.path && l.seen.Add(1) > 1 {
		return nil, io.ErrUnexpectedEOF
	}
	return l.folder.Tile(ctx, t)
}

// If the source fails while Verify decides whether a tile or an entry is wrong,
// Verify returns that error and no fault.
func TestVerifyBlamesNothingWhenTheSourceIsLost(t *testing.T) {
	signer := testSigner(t, 1)
	leaves, _ := testLeaves(600)
	f := export(t, signer, leaves, nil)
	changed := slices.Clone(leaves[256:512])
	changed[44] = []byte(`{}`)
	f["tile/entries/001"] = bundleOf(t, changed)
	v := testVerifier(t, signer.VerifierKey())
	if fault := faultOf(t, f, v); fault.Seq != 300 {
		t.Fatal(fault)
	}
	_, err := Verify(context.Background(), lost{f, "tile/0/001", new(atomic.Int64)}, v)
	var fault *Fault
	if !errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &fault) {
		t.Errorf("%v", err)
	}
}

// failing is a source that fails at one path, like a network.
type failing struct {
	folder
	path string
	err  error
}

func (f failing) Tile(ctx context.Context, t Tile) ([]byte, error) {
	if t.Path() == f.path {
		return nil, f.err
	}
	return f.folder.Tile(ctx, t)
}

func (f failing) Checkpoint(ctx context.Context) ([]byte, error) {
	if f.path == "checkpoint" {
		return nil, f.err
	}
	return f.folder.Checkpoint(ctx)
}

func (f failing) Disclosures(ctx context.Context) iter.Seq2[Disclosure, error] {
	if f.path != "disclosures" {
		return f.folder.Disclosures(ctx)
	}
	return func(yield func(Disclosure, error) bool) { yield(Disclosure{}, f.err) }
}

func TestVerifyTakesAFailingSourceForNoFault(t *testing.T) {
	forSizes(t, func(t *testing.T, n int, f folder, v *Verifier) {
		for path := range f {
			_, err := Verify(context.Background(), failing{f, path, io.ErrUnexpectedEOF}, v)
			var fault *Fault
			if !errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &fault) {
				t.Errorf("%s: %v", path, err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := Verify(ctx, f, v); n > 0 && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// Each entry is visited once, in order. An error of visit ends the verification.
func TestVerifyEntries(t *testing.T) {
	forSizes(t, func(t *testing.T, n int, f folder, v *Verifier) {
		leaves, _ := testLeaves(n)
		var visited [][]byte
		report, err := VerifyEntries(t.Context(), f, v, func(seq int64, leaf []byte) error {
			if seq != int64(len(visited)) {
				t.Errorf("entry %d is visited after %d others", seq, len(visited))
			}
			visited = append(visited, bytes.Clone(leaf))
			return nil
		})
		if err != nil || report.Checkpoint.Size != int64(n) || !slices.EqualFunc(visited, leaves, bytes.Equal) {
			t.Errorf("%d of %d entries were visited: %v", len(visited), n, err)
		}
		stop := errors.New("stop")
		_, err = VerifyEntries(t.Context(), f, v, func(seq int64, _ []byte) error {
			if seq == int64(n)/2 {
				return stop
			}
			return nil
		})
		if n > 0 && err != stop {
			t.Errorf("the error of visit came back as %v", err)
		}
	})
}
