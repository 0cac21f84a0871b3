package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrProof is wrapped in the errors for a proof that is not valid.
var ErrProof = errors.New("invalid proof")

// ProveInclusion returns the proof that a tree of size entries contains the entry
// with seq index (RFC 6962, section 2.1.1). It reads at most two tiles per level,
// in one call.
func ProveInclusion(index, size int64, read TileReader) ([]Hash, error) {
	if index < 0 || index >= size || size > MaxSize {
		return nil, fmt.Errorf("entry %d of %d: %w", index, size, errSize)
	}
	return tlog.ProveRecord(size, index, hashReader(size, read))
}

// CheckInclusion checks a proof that the tree with the given size and root
// contains, at index, an entry whose LeafHash is leaf. A failure wraps ErrProof.
func CheckInclusion(proof []Hash, index, size int64, root, leaf Hash) error {
	if index < 0 || index >= size || size > MaxSize || tlog.CheckRecord(proof, size, root, index, leaf) != nil {
		return fmt.Errorf("inclusion of entry %d in %d: %w", index, size, ErrProof)
	}
	return nil
}

// ProveConsistency returns the proof that the tree of size from is a prefix of
// the tree of size to (RFC 6962, section 2.1.2). The proof is empty if from is 0
// or equal to to. It reads at most two tiles per level, in one call.
func ProveConsistency(from, to int64, read TileReader) ([]Hash, error) {
	if from < 0 || from > to || to > MaxSize {
		return nil, fmt.Errorf("consistency of %d with %d: %w", from, to, errSize)
	}
	if from == 0 {
		return nil, nil
	}
	return tlog.ProveTree(to, from, hashReader(to, read))
}

// CheckConsistency checks a proof that the tree with size from and root fromRoot
// is a prefix of the tree with size to and root toRoot. A failure wraps ErrProof.
func CheckConsistency(proof []Hash, from, to int64, fromRoot, toRoot Hash) error {
	var holds bool
	switch {
	case from < 0 || from > to || to > MaxSize:
	case from == 0:
		holds = len(proof) == 0 && fromRoot == EmptyRoot() && (to > 0 || toRoot == fromRoot)
	default:
		holds = tlog.CheckTree(proof, to, toRoot, from, fromRoot) == nil
	}
	if !holds {
		return fmt.Errorf("consistency of %d with %d: %w", from, to, ErrProof)
	}
	return nil
}

// hashReader reads the hashes of a tree of size entries from its tiles.
func hashReader(size int64, read TileReader) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		var tiles []Tile
		position := make(map[Tile]int)      // of a tile in tiles
		tileOf := make([]int, len(indexes)) // position of the tile of each hash
		for i, x := range indexes {
			t := tlog.TileForIndex(tileHeight, x)
			tile := tileAt(t.L, t.N*TileWidth, size)
			n, ok := position[tile]
			if !ok {
				n = len(tiles)
				position[tile] = n
				tiles = append(tiles, tile)
			}
			tileOf[i] = n
		}
		data, err := read.read(tiles)
		if err != nil {
			return nil, err
		}
		hashes := make([]Hash, len(indexes))
		for i, x := range indexes {
			t := tiles[tileOf[i]]
			tile := tlog.Tile{H: tileHeight, L: t.Level, N: t.Index, W: t.Width}
			hashes[i], err = tlog.HashFromTile(tile, data[tileOf[i]], x)
			if err != nil {
				return nil, err
			}
		}
		return hashes, nil
	})
}

const (
	// MaxProof is the maximum length of the text of a Proof or Consistency, in bytes.
	MaxProof = MaxCheckpoint + MaxLeaf/3*4 + 4 + 8<<10
	// maxProofHashes is the limit of C2SP tlog-witness. Proofs for trees up to MaxSize have fewer hashes.
	maxProofHashes = 63

	proofHeader = "c2sp.org/tlog-proof@v1\n"
)

// A Proof proves, without access to the log, that the log contains an entry
// (C2SP tlog-proof).
type Proof struct {
	Index      int64  // seq of the entry
	Hashes     []Hash // inclusion proof, RFC 6962, section 2.1.1
	Extra      []byte // optional and not authenticated, at most MaxLeaf bytes; in a rotation, the leaf
	Checkpoint []byte // signed checkpoint
}

// Format returns the text of C2SP tlog-proof.
func (p Proof) Format() []byte {
	text := []byte(proofHeader)
	if len(p.Extra) > 0 {
		text = append(text, "extra "...)
		text = append(base64.StdEncoding.AppendEncode(text, p.Extra), '\n')
	}
	text = append(text, "index "...)
	text = strconv.AppendInt(text, p.Index, 10)
	return appendProofTail(append(text, '\n'), p.Hashes, p.Checkpoint)
}

var errProofText = errors.New("malformed proof")

// ParseProof parses the text of C2SP tlog-proof, in the form that Format writes.
// It does not check the proof; Verifier.Inclusion does.
func ParseProof(text []byte) (Proof, error) {
	if len(text) > MaxProof {
		return Proof{}, fmt.Errorf("proof: %w", ErrTooLarge)
	}
	rest, ok := strings.CutPrefix(string(text), proofHeader)
	if !ok {
		return Proof{}, errProofText
	}
	var p Proof
	var err error
	if after, ok := strings.CutPrefix(rest, "extra "); ok {
		var encoded string
		encoded, rest, _ = strings.Cut(after, "\n")
		if p.Extra, err = decodeBase64(encoded); err != nil || len(p.Extra) == 0 || len(p.Extra) > MaxLeaf {
			return Proof{}, errProofText
		}
	}
	p.Index, p.Hashes, p.Checkpoint, err = parseProofTail(rest, "index ")
	if err != nil {
		return Proof{}, err
	}
	return p, nil
}

// A Consistency proves that a log has only grown since it had From entries. Its
// text is the body of an add-checkpoint request of C2SP tlog-witness.
type Consistency struct {
	From       int64  // size of the older tree
	Hashes     []Hash // consistency proof, RFC 6962, section 2.1.2
	Checkpoint []byte // signed checkpoint of the newer tree
}

// Format returns the body of an add-checkpoint request of C2SP tlog-witness.
func (c Consistency) Format() []byte {
	text := strconv.AppendInt([]byte("old "), c.From, 10)
	return appendProofTail(append(text, '\n'), c.Hashes, c.Checkpoint)
}

// ParseConsistency parses the output of Consistency.Format and no other form. It
// does not check the proof; Verifier.Consistency does.
func ParseConsistency(text []byte) (Consistency, error) {
	if len(text) > MaxProof {
		return Consistency{}, fmt.Errorf("proof: %w", ErrTooLarge)
	}
	from, hashes, checkpoint, err := parseProofTail(string(text), "old ")
	if err != nil {
		return Consistency{}, err
	}
	return Consistency{from, hashes, checkpoint}, nil
}

func appendProofTail(text []byte, hashes []Hash, checkpoint []byte) []byte {
	for _, h := range hashes {
		text = append(base64.StdEncoding.AppendEncode(text, h[:]), '\n')
	}
	return append(append(text, '\n'), checkpoint...)
}

// parseProofTail parses a line with word and a number, lines with hashes, an
// empty line, and the checkpoint.
func parseProofTail(text, word string) (n int64, hashes []Hash, checkpoint []byte, err error) {
	line, rest, _ := strings.Cut(text, "\n")
	digits, ok := strings.CutPrefix(line, word)
	if n, err = parseSize(digits); err != nil || !ok {
		return 0, nil, nil, errProofText
	}
	for {
		if line, rest, ok = strings.Cut(rest, "\n"); !ok {
			return 0, nil, nil, errProofText
		}
		if line == "" {
			break
		}
		h, err := parseHash(line)
		if err != nil || len(hashes) == maxProofHashes {
			return 0, nil, nil, errProofText
		}
		hashes = append(hashes, h)
	}
	if rest == "" || len(rest) > MaxCheckpoint {
		return 0, nil, nil, errProofText
	}
	return n, hashes, []byte(rest), nil
}

// decodeBase64 decodes standard base64 (RFC 4648, section 4) strictly: without
// line breaks, and with zero padding bits.
func decodeBase64(s string) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("malformed base64")
	}
	return raw, nil
}

func parseHash(s string) (h Hash, err error) {
	raw, err := decodeBase64(s)
	if err != nil || len(raw) != HashSize {
		return h, errors.New("malformed hash")
	}
	return Hash(raw), nil
}

// Inclusion checks the text of a Proof for a leaf: that the checkpoint is one of
// this log and that its tree contains the leaf. It returns the seq of the entry
// and the checkpoint. Failures include ErrCheckpoint, ErrProof and ErrTooLarge.
func (v *Verifier) Inclusion(text, leaf []byte) (seq int64, c Checkpoint, err error) {
	p, err := ParseProof(text)
	if err != nil {
		return 0, Checkpoint{}, err
	}
	if c, err = v.Open(p.Checkpoint); err != nil {
		return 0, Checkpoint{}, err
	}
	if err := CheckInclusion(p.Hashes, p.Index, c.Size, c.Root, LeafHash(leaf)); err != nil {
		return 0, Checkpoint{}, err
	}
	return p.Index, c, nil
}

// Consistency checks the text of a Consistency against a checkpoint that was
// opened earlier, and returns the newer checkpoint. Failures include
// ErrCheckpoint, ErrProof and ErrTooLarge.
func (v *Verifier) Consistency(text []byte, older Checkpoint) (Checkpoint, error) {
	p, err := ParseConsistency(text)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := v.Open(p.Checkpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	if p.From != older.Size || c.Origin != older.Origin {
		return Checkpoint{}, fmt.Errorf("proof starts from %d entries of %s: %w", p.From, c.Origin, ErrProof)
	}
	if err := CheckConsistency(p.Hashes, older.Size, c.Size, older.Root, c.Root); err != nil {
		return Checkpoint{}, err
	}
	return c, nil
}
