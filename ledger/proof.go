package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrProof is returned, wrapped, for a proof that does not hold.
var ErrProof = errors.New("proof does not hold")

// ProveInclusion makes the proof that a tree of size entries holds the entry
// with seq index (RFC 6962, section 2.1.1). It reads at most two tiles a level,
// in one call.
func ProveInclusion(index, size int64, read TileReader) ([]Hash, error) {
	if index < 0 || index >= size || size > MaxSize {
		return nil, fmt.Errorf("entry %d of %d: %w", index, size, errSize)
	}
	return tlog.ProveRecord(size, index, hashReader(size, read))
}

// CheckInclusion checks the proof that the tree of that size and root holds an
// entry with that LeafHash at index. A failure is ErrProof.
func CheckInclusion(proof []Hash, index, size int64, root, leaf Hash) error {
	if index < 0 || index >= size || size > MaxSize || tlog.CheckRecord(proof, size, root, index, leaf) != nil {
		return fmt.Errorf("inclusion of entry %d in %d: %w", index, size, ErrProof)
	}
	return nil
}

// ProveConsistency makes the proof that the tree of size from is a prefix of
// the one of size to (RFC 6962, section 2.1.2). From nothing, or from the same
// size, it is empty. It reads at most two tiles a level, in one call.
func ProveConsistency(from, to int64, read TileReader) ([]Hash, error) {
	if from < 0 || from > to || to > MaxSize {
		return nil, fmt.Errorf("consistency of %d with %d: %w", from, to, errSize)
	}
	if from == 0 {
		return nil, nil
	}
	return tlog.ProveTree(to, from, hashReader(to, read))
}

// CheckConsistency checks the proof that a tree is a prefix of another. A
// failure is ErrProof.
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

// hashReader takes the hashes of a tree of size entries out of its tiles.
func hashReader(size int64, read TileReader) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		var tiles []Tile
		at := make(map[Tile]int)
		of := make([]int, len(indexes))
		for i, x := range indexes {
			t := tlog.TileForIndex(tileHeight, x)
			tile := tileAt(t.L, t.N*TileWidth, size)
			n, ok := at[tile]
			if !ok {
				n = len(tiles)
				at[tile] = n
				tiles = append(tiles, tile)
			}
			of[i] = n
		}
		data, err := read.read(tiles)
		if err != nil {
			return nil, err
		}
		hashes := make([]Hash, len(indexes))
		for i, x := range indexes {
			t := tiles[of[i]]
			hashes[i], err = tlog.HashFromTile(tlog.Tile{H: tileHeight, L: t.Level, N: t.Index, W: t.Width}, data[of[i]], x)
			if err != nil {
				return nil, err
			}
		}
		return hashes, nil
	})
}

const (
	// MaxProof is the longest text of a Proof or Consistency, in bytes.
	MaxProof = MaxCheckpoint + MaxLeaf/3*4 + 4 + 8<<10
	// maxProofHashes is what C2SP tlog-witness allows; RFC 6962 proofs in trees up to MaxSize are shorter.
	maxProofHashes = 63

	proofHeader = "c2sp.org/tlog-proof@v1\n"
)

// A Proof shows offline that an entry is in a log, per C2SP tlog-proof.
type Proof struct {
	Index      int64  // the entry's seq
	Hashes     []Hash // RFC 6962, section 2.1.1
	Extra      []byte // optional, at most MaxLeaf bytes, authenticated by nothing; in a rotation, the leaf
	Checkpoint []byte // signed
}

// Format gives the text of C2SP tlog-proof.
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

// ParseProof reads the text of C2SP tlog-proof, in its one form. It checks
// nothing of what the proof says: that is Verifier.Inclusion.
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

// Consistency shows that a log has only grown since it had From entries. Its
// text is that of an add-checkpoint request of C2SP tlog-witness.
type Consistency struct {
	From       int64
	Hashes     []Hash // RFC 6962, section 2.1.2
	Checkpoint []byte // signed, of the larger tree
}

// Format gives the request body of C2SP tlog-witness, add-checkpoint.
func (c Consistency) Format() []byte {
	text := strconv.AppendInt([]byte("old "), c.From, 10)
	return appendProofTail(append(text, '\n'), c.Hashes, c.Checkpoint)
}

// ParseConsistency reads what Consistency.Format writes, in its one form. It
// checks nothing of what the proof says: that is Verifier.Consistency.
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

// parseProofTail reads a number behind its word, hashes, an empty line and the
// checkpoint.
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

// decodeBase64 takes the one standard encoding (RFC 4648, section 4) of some
// bytes: no line breaks, no stray bits at the end.
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

// Inclusion checks a Proof for a leaf: that its checkpoint is the log's own and
// the leaf is in the tree. It gives the seq and the checkpoint.
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

// Consistency checks the text of a Consistency proof against a checkpoint that
// was opened before, and gives the newer one.
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
		return Checkpoint{}, fmt.Errorf("proof begins at %d entries of %s: %w", p.From, c.Origin, ErrProof)
	}
	if err := CheckConsistency(p.Hashes, older.Size, c.Size, older.Root, c.Root); err != nil {
		return Checkpoint{}, err
	}
	return c, nil
}
