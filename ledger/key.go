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

// GenerateKey returns a new Ed25519 key pair in the text form of C2SP
// signed-note: the signer key skey, which is secret, and the verifier key vkey,
// which is public. The name must not be empty or contain spaces or plus signs.
func GenerateKey(random io.Reader, name string) (skey, vkey string, err error) {
	if !validName(name) {
		return "", "", fmt.Errorf("key name %q: %w", name, errKey)
	}
	return note.GenerateKey(random, name)
}

// validName reports whether s can name a key or a log, per C2SP signed-note.
func validName(s string) bool {
	forbidden := func(r rune) bool { return unicode.IsSpace(r) || r < ' ' || r == '+' }
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, forbidden)
}

// keyID returns the key id in the first four bytes of raw.
func keyID(raw []byte) uint32 { return binary.BigEndian.Uint32(raw) }

// A Signer signs the checkpoints of one log.
type Signer struct {
	signer note.Signer
	vkey   string
}

// NewSigner returns a signer for the log named origin. The signer uses the
// secret of skey with the origin as the key's name, as C2SP tlog-checkpoint
// recommends. One secret can thus sign many logs, and the verifier key of each
// log names the log.
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

// VerifierKey returns the public key in the text form of C2SP signed-note.
func (s *Signer) VerifierKey() string { return s.vkey }

// Origin returns the name of the log.
func (s *Signer) Origin() string { return s.signer.Name() }

// Sign returns the signed checkpoint of a tree with size entries. The caller must
// make sure that every tree signed before is a prefix of this tree.
func (s *Signer) Sign(size int64, root Hash) ([]byte, error) {
	if size < 0 || size > MaxSize {
		return nil, fmt.Errorf("checkpoint of %d entries: %w", size, errSize)
	}
	return note.Sign(&note.Note{Text: Checkpoint{s.Origin(), size, root}.Text()}, s.signer)
}

// A Verifier checks the checkpoints of one log: those signed by its first key
// and by the keys that replaced it. It is safe for concurrent use.
type Verifier struct {
	origin    string
	keys      []trustedKey // oldest first
	handovers []Checkpoint
}

type trustedKey struct {
	note.Verifier
	vkey string
	upTo int64 // size of the largest checkpoint it may sign
}

// NewVerifier returns a verifier for a log. The name of vkey is the log's origin.
// The rotations are the changes of the log's key since vkey, oldest first. Each
// is the text of a Proof whose Extra is a leaf that names the next key (see
// RotatedKey). The checkpoint of the proof is signed by the previous key and is
// the largest checkpoint accepted from it, so a key that is stolen after its
// rotation cannot fork the log.
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
		return fmt.Errorf("verifier key: %w: not a key of %s", errKey, v.origin)
	}
	v.keys = append(v.keys, trustedKey{key, vkey, math.MaxInt64})
	return nil
}

// Origin returns the name of the log.
func (v *Verifier) Origin() string { return v.origin }

// Key returns the newest verifier key.
func (v *Verifier) Key() string { return v.keys[len(v.keys)-1].vkey }

// Open checks a signed checkpoint (C2SP signed-note) and returns it. The note
// must be at most MaxCheckpoint bytes long, have the origin of this log, and be
// signed by one of the log's keys. Other signatures, such as the cosignatures of
// witnesses, are ignored. Failures wrap ErrCheckpoint.
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
		return Checkpoint{}, fmt.Errorf("%w: its origin is %s, want %s", ErrCheckpoint, c.Origin, v.origin)
	}
	for _, key := range by {
		if c.Size <= key.(*trustedKey).upTo {
			return c, nil
		}
	}
	return Checkpoint{}, fmt.Errorf("%w: signed by a key that was replaced before entry %d", ErrCheckpoint, c.Size-1)
}

// ActionKeyRotated is the action of the entry that replaces the log's key.
const ActionKeyRotated = "ledger.key_rotated"

// RotatedKey returns the verifier key of the log's next signing key: the string
// at /ledger/key of a canonical leaf whose action is ActionKeyRotated. It is not
// ok for any other leaf.
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
