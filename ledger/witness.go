package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// algCosignature is the signature type of C2SP tlog-cosignature, Ed25519.
const algCosignature = 4

// A Witness checks the cosignatures of one witness (C2SP tlog-cosignature,
// cosignature/v1). A cosignature says that the witness saw the log only grow.
type Witness struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

var _ note.Verifier = (*Witness)(nil)

// NewWitness returns a Witness for a verifier key of signature type 0x04.
func NewWitness(vkey string) (*Witness, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	raw, err := decodeBase64(encoded)
	if err != nil || len(raw) != 1+ed25519.PublicKeySize || raw[0] != algCosignature || !validName(name) {
		return nil, fmt.Errorf("witness key: %w", errKey)
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), raw...))
	if id != fmt.Sprintf("%08x", keyID(sum[:])) {
		return nil, fmt.Errorf("witness key: %w: the id does not match name and key", errKey)
	}
	return &Witness{name, keyID(sum[:]), raw[1:]}, nil
}

// Name returns the name of the witness.
func (w *Witness) Name() string { return w.name }

// KeyHash returns the id of the witness's key.
func (w *Witness) KeyHash() uint32 { return w.id }

// Verify reports whether sig is a timestamped signature by the witness of the
// text of a checkpoint.
func (w *Witness) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	signed := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text)
	return at <= math.MaxInt64 && ed25519.Verify(w.key, signed, sig[8:])
}

// Cosigned returns the time of the witness's cosignature on a signed checkpoint.
// A missing or invalid cosignature is ErrCheckpoint. Cosigned does not check the
// log's own signature; Verifier.Open does.
func (w *Witness) Cosigned(signed []byte) (time.Time, error) {
	_, by, err := openNote(signed, w)
	if err != nil {
		return time.Time{}, err
	}
	if len(by) == 0 {
		return time.Time{}, fmt.Errorf("%w: not cosigned by %s", ErrCheckpoint, w.name)
	}
	_, sigs, _ := splitNote(signed)
	for _, s := range sigs {
		if s.name == w.name && s.id == w.id {
			return time.Unix(int64(binary.BigEndian.Uint64(s.sig)), 0).UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: not cosigned by %s", ErrCheckpoint, w.name)
}

// Cosign adds the witness's cosignature to a signed checkpoint. The response is
// the body of the witness's response to add-checkpoint (C2SP tlog-witness), which
// consists of signature lines. Lines by other keys are ignored. The cosignature
// replaces an earlier one by the same key. It is ErrCheckpoint if the response
// has no valid cosignature, and ErrTooLarge if it is longer than MaxCheckpoint.
func (w *Witness) Cosign(signed, response []byte) ([]byte, error) {
	if len(response) > MaxCheckpoint {
		return nil, fmt.Errorf("response of %s: %w", w.name, ErrTooLarge)
	}
	text, sigs, err := splitNote(signed)
	if err != nil {
		return nil, err
	}
	received, err := parseSignatures(string(response))
	if err != nil {
		return nil, fmt.Errorf("response of %s: %w", w.name, err)
	}
	for _, r := range received {
		if r.name != w.name || r.id != w.id || !w.Verify([]byte(text), r.sig) {
			continue
		}
		out := text + "\n"
		for _, s := range sigs {
			if s.name != w.name || s.id != w.id {
				out += s.line
			}
		}
		return []byte(out + r.line), nil
	}
	return nil, fmt.Errorf("response of %s: %w: no valid cosignature", w.name, ErrCheckpoint)
}
