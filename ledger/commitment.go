package ledger

import (
	"crypto/sha256"
	"encoding/hex"
)

// Salt hides a committed value: 128 bits of fresh randomness for each value,
// never reused. Whoever erases it makes the value beyond recovery, however
// guessable it was.
type Salt [16]byte

// Commit gives the commitment to value as it stands in a leaf: "sha256:" and
// the lower-case hex of SHA-256(salt || value).
func Commit(salt Salt, value []byte) string {
	return string(AppendCommitment(make([]byte, 0, commitmentLen), salt, value))
}

const (
	commitmentPrefix = "sha256:"
	commitmentLen    = len(commitmentPrefix) + 2*sha256.Size
)

// AppendCommitment appends what Commit returns, without quotes.
func AppendCommitment[V ~[]byte | ~string](dst []byte, salt Salt, value V) []byte {
	sum := sha256.Sum256(append(salt[:], value...))
	return hex.AppendEncode(append(dst, commitmentPrefix...), sum[:])
}
