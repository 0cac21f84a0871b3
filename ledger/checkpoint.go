package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// MaxCheckpoint is the maximum length of a signed checkpoint in bytes. It allows
// more than the 16 signatures that C2SP signed-note requires readers to support.
const MaxCheckpoint = 128 << 10

// A Checkpoint is the head of a log (C2SP tlog-checkpoint). Its Text is what the
// log signs.
type Checkpoint struct {
	Origin string // name of the log; not empty, without spaces and plus signs
	Size   int64  // number of entries
	Root   Hash   // root of the tree over all entries
}

// ErrCheckpoint is wrapped in the errors for a checkpoint that is malformed,
// belongs to another log, or is not signed by a key of the log.
var ErrCheckpoint = errors.New("not a checkpoint of this log")

// Text returns the text of C2SP tlog-checkpoint: origin, size and root, one per
// line, without extension lines.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// ParseCheckpoint parses the output of Text and no other form. Failures wrap
// ErrCheckpoint. It does not look at signatures; Verifier.Open checks them.
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
	line string // the complete line, with its newline
	name string
	id   uint32
	sig  []byte
}

// splitNote splits a signed note (C2SP signed-note) into its text and its
// signature lines. Unlike note.Open it accepts only one base64 encoding of a
// signature, so changing any byte of a note invalidates it.
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

// openNote verifies the signatures by known keys and returns the text and the
// keys that signed it. A second signature by the same key is an error.
// Signatures by unknown keys are ignored, as C2SP signed-note requires.
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
