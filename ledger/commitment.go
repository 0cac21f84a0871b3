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

// AppendCommitment appends the result of Commit, without quotes. It does not
// allocate for values up to 1 KiB.
func AppendCommitment[V ~[]byte | ~string](dst []byte, salt Salt, value V) []byte {
	var buf [len(salt) + 1<<10]byte
	sum := sha256.Sum256(append(append(buf[:0], salt[:]...), value...))
	return hex.AppendEncode(append(dst, commitmentPrefix...), sum[:])
}
