package sluice

import (
	"crypto/sha256"
	"encoding/hex"
)

// Digest is a SHA-256 (FIPS 180-4).
type Digest [sha256.Size]byte

// String is the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }
