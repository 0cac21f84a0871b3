package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// MaxCheckpoint is the longest signed checkpoint, in bytes. It has room for
// more than the 16 signatures that C2SP signed-note demands of a reader.
const MaxCheckpoint = 128 << 10

// A Checkpoint is the head of a log: what is signed, per C2SP tlog-checkpoint.
type Checkpoint struct {
	Origin string // names the log; neither empty nor with spaces or +
	Size   int64  // number of entries
	Root   Hash   // of the tree over all of them
}

// ErrCheckpoint is returned, wrapped, for a checkpoint that is malformed,
// another log's, or not signed by a key that may.
var ErrCheckpoint = errors.New("not a checkpoint of this log")

// Text is the text of C2SP tlog-checkpoint: origin, size and root on a line
// each, and no extension lines.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// ParseCheckpoint reads what Text writes, in its one form. It knows nothing of
// signatures: Verifier.Open does.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(text) > MaxCheckpoint || len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, fmt.Errorf("%w: not three lines", ErrCheckpoint)
	}
	size, err := parseSize(lines[1])
	root, err2 := parseHash(lines[2])
	c := Checkpoint{lines[0], size, root}
	if err != nil || err2 != nil || !validName(c.Origin) || size == 0 && root != EmptyRoot() {
		return Checkpoint{}, fmt.Errorf("%w: malformed origin, size or root", ErrCheckpoint)
	}
	return c, nil
}

// signature is one signature line of a note.
type signature struct {
	line string // whole, with its newline
	name string
	id   uint32
	sig  []byte
}

// splitNote cuts a signed note (C2SP signed-note) into its text and its
// signature lines. It is stricter than note.Open in that base64 has one form,
// so that a changed byte of a signature never leaves the same signature.
func splitNote(signed []byte) (text string, sigs []signature, err error) {
	if len(signed) > MaxCheckpoint {
		return "", nil, fmt.Errorf("%w: %w", ErrCheckpoint, ErrTooLarge)
	}
	end := strings.LastIndex(string(signed), "\n\n")
	if end < 0 {
		return "", nil, fmt.Errorf("%w: no signatures", ErrCheckpoint)
	}
	text = string(signed[:end+1])
	sigs, err = parseSignatures(string(signed[end+2:]))
	return text, sigs, err
}

func parseSignatures(lines string) ([]signature, error) {
	var sigs []signature
	for line := range strings.Lines(lines) {
		body, ok := strings.CutPrefix(line, "— ")
		name, encoded, ok2 := strings.Cut(body, " ")
		encoded, ok3 := strings.CutSuffix(encoded, "\n")
		raw, err := decodeBase64(encoded)
		if !ok || !ok2 || !ok3 || err != nil || len(raw) < 5 || !validName(name) {
			return nil, fmt.Errorf("%w: malformed signature line", ErrCheckpoint)
		}
		sigs = append(sigs, signature{line, name, keyID(raw), raw[4:]})
	}
	return sigs, nil
}

// openNote verifies the signatures of the keys that are known, each of which
// may stand there once, and gives the text with the keys that have signed.
// Signatures by others are left alone, as C2SP signed-note demands.
func openNote(signed []byte, known ...note.Verifier) (text string, by []note.Verifier, err error) {
	text, sigs, err := splitNote(signed)
	if err != nil {
		return "", nil, err
	}
	for _, s := range sigs {
		for _, v := range known {
			if v.Name() != s.name || v.KeyHash() != s.id {
				continue
			}
			for _, earlier := range by {
				if earlier == v {
					return "", nil, fmt.Errorf("%w: signed twice by %s", ErrCheckpoint, s.name)
				}
			}
			if !v.Verify([]byte(text), s.sig) {
				return "", nil, fmt.Errorf("%w: bad signature by %s", ErrCheckpoint, s.name)
			}
			by = append(by, v)
		}
	}
	return text, by, nil
}
