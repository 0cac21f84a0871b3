package ledger

import (
	"crypto/sha256"
	"encoding/hex"
)

// A Salt hides a committed value: 128 bits of fresh randomness for each value,
// never reused. Once the salt is erased, the value cannot be recovered from its
// commitment, not even by guessing.
type Salt [16]byte

// Commit returns the commitment to value in the form used in leaves: "sha256:"
// followed by SHA-256(salt || value) in lower-case hexadecimal.
func Commit(salt Salt, value []byte) string {
	return string(AppendCommitment(make([]byte, 0, commitmentLen), salt, value))
}

const (
	commitmentPrefix = "sha256:"
	commitmentLen    = len(commitmentPrefix) + 2*sha256.Size
)

// AppendCommitment appends what Commit returns, without quotes.
func AppendCommitment[V ~[]byte | ~string](dst []byte, salt Salt, value V) []byte {
	var text [256]byte // enough for most values, and so on the stack
	sum := sha256.Sum256(append(append(text[:0], salt[:]...), value...))
	return hex.AppendEncode(append(dst, commitmentPrefix...), sum[:])
}
