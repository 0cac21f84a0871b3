package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"strconv"
	"testing"
)

const testOrigin = "files.example.com/acct_01/live"

// folder is an exported log: the content of each path. It is a Source.
type folder map[string][]byte

func (f folder) file(path string) ([]byte, error) {
	data, ok := f[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return bytes.Clone(data), nil
}

func (f folder) Checkpoint(context.Context) ([]byte, error) { return f.file("checkpoint") }

func (f folder) Tile(_ context.Context, t Tile) ([]byte, error) { return f.file(t.Path()) }

func (f folder) Disclosures(context.Context) iter.Seq2[Disclosure, error] {
	return func(yield func(Disclosure, error) bool) {
		data, err := f.file("disclosures")
		if err != nil {
			yield(Disclosure{}, err)
			return
		}
		for line := range bytes.Lines(data) {
			if !bytes.HasSuffix(line, []byte("\n")) {
				err = fmt.Errorf("%w: no newline at the end", ErrDisclosure)
			}
			d, perr := ParseDisclosure(bytes.TrimSuffix(line, []byte("\n")))
			if !yield(d, errors.Join(err, perr)) {
				return
			}
		}
	}
}

// tiles reads hash tiles from the folder, like a store from its rows.
func (f folder) tiles(tiles []Tile) ([][]byte, error) {
	var data [][]byte
	for _, t := range tiles {
		d, err := f.file(t.Path())
		if err != nil {
			return nil, err
		}
		data = append(data, d)
	}
	return data, nil
}

// rows holds hash tiles like a store: one growing row for each (Level, Index).
type rows map[[2]int64][]byte

func (r rows) put(changes []TileData) {
	for _, c := range changes {
		r[[2]int64{int64(c.Level), c.Index}] = c.Data
	}
}

func (r rows) read(tiles []Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		data[i] = r[[2]int64{int64(t.Level), t.Index}]
	}
	return data, nil
}

// seededKey returns keys that are the same in every run.
func seededKey(t testing.TB, seed byte) (skey string) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{seed})
	skey, _, err := GenerateKey(random, "files.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return skey
}

func testSigner(t testing.TB, seed byte) *Signer {
	t.Helper()
	s, err := NewSigner(seededKey(t, seed), testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testVerifier(t testing.TB, vkey string, rotations ...[]byte) *Verifier {
	t.Helper()
	v, err := NewVerifier(vkey, rotations...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// testLeaf returns an entry like that of a redemption, and its disclosures.
func testLeaf(seq int) (leaf []byte, disclosures []Disclosure) {
	sum := sha256.Sum256([]byte(strconv.Itoa(seq)))
	salt := Salt(sum[:16])
	disclosures = []Disclosure{
		{Seq: int64(seq), Field: "/request/ip", Salt: salt, Value: "203.0.113." + strconv.Itoa(seq%256)},
		{Seq: int64(seq), Field: "/request/user_agent", Salt: salt, Value: "curl/8.5 \"é\"\n"},
	}
	leaf = append(leaf, `{"account":"acct_01","action":"link.redeemed","id":`...)
	leaf = AppendString(leaf, fmt.Sprintf("aud_%020d", seq))
	leaf = append(leaf, `,"livemode":true,"request":{"ip":"`...)
	leaf = AppendCommitment(leaf, salt, disclosures[0].Value)
	leaf = append(leaf, `","user_agent":"`...)
	leaf = AppendCommitment(leaf, salt, disclosures[1].Value)
	leaf = append(leaf, `"},"v":1}`...)
	return leaf, disclosures
}

func testLeaves(n int) (leaves [][]byte, disclosures []Disclosure) {
	for seq := range n {
		leaf, d := testLeaf(seq)
		leaves, disclosures = append(leaves, leaf), append(disclosures, d...)
	}
	return leaves, disclosures
}

// export returns the folder of a log.
func export(t testing.TB, signer *Signer, leaves [][]byte, disclosures []Disclosure) folder {
	t.Helper()
	tree, stored, f := &Tree{}, rows{}, folder{"disclosures": nil}
	for _, leaf := range leaves {
		tree.Append(LeafHash(leaf))
	}
	stored.put(tree.Changes())
	for tile := range Tiles(0, tree.Size()) {
		if tile.Level == EntriesLevel {
			from, to := tile.Entries()
			f[tile.Path()] = bundleOf(t, leaves[from:to])
			continue
		}
		data, err := TileReader(stored.read).read([]Tile{tile})
		if err != nil {
			t.Fatal(err)
		}
		f[tile.Path()] = data[0]
	}
	for _, d := range disclosures {
		line, err := AppendDisclosure(nil, d)
		if err != nil {
			t.Fatal(err)
		}
		f["disclosures"] = append(append(f["disclosures"], line...), '\n')
	}
	signed, err := signer.Sign(tree.Size(), tree.Root())
	if err != nil {
		t.Fatal(err)
	}
	f["checkpoint"] = signed
	return f
}

func bundleOf(t testing.TB, leaves [][]byte) (bundle []byte) {
	t.Helper()
	for _, leaf := range leaves {
		var err error
		if bundle, err = AppendEntry(bundle, leaf); err != nil {
			t.Fatal(err)
		}
	}
	return bundle
}
