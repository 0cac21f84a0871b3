package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

var errKey = errors.New("malformed key")

// GenerateKey makes an Ed25519 key pair in the text form of C2SP signed-note:
// the secret signer key, and the verifier key for anyone. The name must not be
// empty nor contain spaces or a plus sign.
func GenerateKey(random io.Reader, name string) (skey, vkey string, err error) {
	if !validName(name) {
		return "", "", fmt.Errorf("key name %q: %w", name, errKey)
	}
	return note.GenerateKey(random, name)
}

// validName reports whether s can name a key or a log, per C2SP signed-note.
func validName(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r < ' ' || r == '+' })
}

// keyID is the number that stands before a signature.
func keyID(raw []byte) uint32 { return binary.BigEndian.Uint32(raw) }

// A Signer makes the checkpoints of one log.
type Signer struct {
	signer note.Signer
	vkey   string
}

// NewSigner makes the signer of a log from a signer key. The key takes the
// log's origin as its name, as C2SP tlog-checkpoint recommends: one secret
// serves many logs, and the verifier key of each says which it is for.
func NewSigner(skey, origin string) (*Signer, error) {
	if _, err := note.NewSigner(skey); err != nil {
		return nil, fmt.Errorf("signer key: %w", err)
	}
	if !validName(origin) {
		return nil, fmt.Errorf("origin %q: %w", origin, errKey)
	}
	encoded := strings.SplitN(skey, "+", 5)[4] // PRIVATE+KEY+<name>+<id>+<base64>
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("signer key: %w", err)
	}
	public := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(origin, public)
	if err != nil {
		return nil, fmt.Errorf("signer key: %w", err)
	}
	id := strings.SplitN(vkey, "+", 3)[1]
	signer, err := note.NewSigner("PRIVATE+KEY+" + origin + "+" + id + "+" + encoded)
	if err != nil {
		return nil, fmt.Errorf("signer key: %w", err)
	}
	return &Signer{signer, vkey}, nil
}

// VerifierKey is the public half, in the text form of C2SP signed-note.
func (s *Signer) VerifierKey() string { return s.vkey }

// Origin is the name of the log.
func (s *Signer) Origin() string { return s.signer.Name() }

// Sign gives the signed checkpoint of a tree. The caller sees to it that the
// tree holds every tree signed before.
func (s *Signer) Sign(size int64, root Hash) ([]byte, error) {
	if size < 0 || size > MaxSize {
		return nil, fmt.Errorf("checkpoint of %d entries: %w", size, errSize)
	}
	return note.Sign(&note.Note{Text: Checkpoint{s.Origin(), size, root}.Text()}, s.signer)
}

// A Verifier knows the checkpoints of one log: those signed by the key it is
// made with, and by the keys which that one has handed over to. It is safe for
// concurrent use.
type Verifier struct {
	origin    string
	keys      []trustedKey // oldest first
	handovers []Checkpoint
}

type trustedKey struct {
	note.Verifier
	vkey string
	upTo int64 // largest checkpoint it may sign
}

// NewVerifier makes a verifier from a verifier key, whose name is the log's
// origin, and the rotations since, oldest first. A rotation is the text of a
// Proof, with the leaf as its Extra, that the log holds an entry which names
// the next key (see RotatedKey) under a checkpoint signed by the key before.
// That checkpoint is the last one that the old key can sign: whoever steals it
// later cannot fork the log.
func NewVerifier(vkey string, rotations ...[]byte) (*Verifier, error) {
	v := &Verifier{}
	if err := v.trust(vkey); err != nil {
		return nil, err
	}
	for i, text := range rotations {
		p, err := ParseProof(text)
		if err != nil {
			return nil, fmt.Errorf("rotation %d: %w", i, err)
		}
		newest := &Verifier{origin: v.origin, keys: v.keys[i:]}
		_, handover, err := newest.Inclusion(text, p.Extra)
		if err != nil {
			return nil, fmt.Errorf("rotation %d: %w", i, err)
		}
		next, ok := RotatedKey(p.Extra)
		if !ok {
			return nil, fmt.Errorf("rotation %d: %w: the entry rotates no key", i, errKey)
		}
		v.keys[i].upTo = handover.Size
		v.handovers = append(v.handovers, handover)
		if err := v.trust(next); err != nil {
			return nil, fmt.Errorf("rotation %d: %w", i, err)
		}
	}
	return v, nil
}

func (v *Verifier) trust(vkey string) error {
	key, err := note.NewVerifier(vkey)
	if err != nil {
		return fmt.Errorf("verifier key: %w", err)
	}
	if v.origin == "" {
		v.origin = key.Name()
	}
	for _, known := range v.keys {
		if known.KeyHash() == key.KeyHash() {
			return fmt.Errorf("verifier key: %w: used before", errKey)
		}
	}
	encoded, ok := strings.CutPrefix(vkey, fmt.Sprintf("%s+%08x+", v.origin, key.KeyHash()))
	if _, err := decodeBase64(encoded); err != nil || !ok || !validName(v.origin) {
		return fmt.Errorf("verifier key: %w: not one of %s", errKey, v.origin)
	}
	v.keys = append(v.keys, trustedKey{key, vkey, math.MaxInt64})
	return nil
}

// Origin is the name of the log.
func (v *Verifier) Origin() string { return v.origin }

// Key is the newest verifier key.
func (v *Verifier) Key() string { return v.keys[len(v.keys)-1].vkey }

// Open checks a signed checkpoint and gives what it says: at most MaxCheckpoint
// bytes of C2SP signed-note, of this log's origin, signed by one of the log's
// keys. Signatures by others, such as the cosignatures of witnesses, are not
// looked at. Failures are ErrCheckpoint.
func (v *Verifier) Open(signed []byte) (Checkpoint, error) {
	known := make([]note.Verifier, len(v.keys))
	for i := range v.keys {
		known[i] = &v.keys[i]
	}
	text, by, err := openNote(signed, known...)
	if err != nil {
		return Checkpoint{}, err
	}
	if len(by) == 0 {
		return Checkpoint{}, fmt.Errorf("%w: not signed by %s", ErrCheckpoint, v.Key())
	}
	c, err := ParseCheckpoint(text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != v.origin {
		return Checkpoint{}, fmt.Errorf("%w: it is of %s, not %s", ErrCheckpoint, c.Origin, v.origin)
	}
	for _, key := range by {
		if c.Size <= key.(*trustedKey).upTo {
			return c, nil
		}
	}
	return Checkpoint{}, fmt.Errorf("%w: signed by a key that had been replaced before entry %d", ErrCheckpoint, c.Size-1)
}

// ActionKeyRotated is the action of the entry that hands a log over to its
// next key.
const ActionKeyRotated = "ledger.key_rotated"

// RotatedKey gives the verifier key that a leaf hands over to: the string at
// /ledger/key of a canonical leaf whose action is ActionKeyRotated.
func RotatedKey(leaf []byte) (vkey string, ok bool) {
	action, ok := lookup(leaf, "/action")
	if !ok || !IsCanonical(leaf) || string(action) != `"`+ActionKeyRotated+`"` {
		return "", false
	}
	quoted, ok := lookup(leaf, "/ledger/key")
	if !ok || quoted[0] != '"' {
		return "", false
	}
	return unquote(quoted), true
}
