package sluice

import (
	"crypto/sha256"
	"encoding/hex"
)

// Digest is a SHA-256 digest (FIPS 180-4).
type Digest [sha256.Size]byte

// String returns the digest as 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }
