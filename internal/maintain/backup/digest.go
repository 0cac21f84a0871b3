package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"sluice"
)

// digest is a SHA-256 digest that JSON has in hexadecimal digits.
type digest sluice.Digest

func (d digest) String() string { return sluice.Digest(d).String() }

// MarshalText implements encoding.TextMarshaler.
func (d digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *digest) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(d)) {
		return errors.New("this is not a SHA-256 digest")
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// content is the size and the digest of what an object holds, before its encryption.
type content struct {
	Size   int64  `json:"size"`
	SHA256 digest `json:"sha256"`
}

// summed counts and hashes what is read through it.
type summed struct {
	from io.Reader
	hash hash.Hash
	size int64
}

func newSummed(r io.Reader) *summed { return &summed{from: r, hash: sha256.New()} }

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	s.hash.Write(p[:n])
	s.size += int64(n)
	return n, err
}

func (s *summed) content() (c content) {
	c.Size = s.size
	s.hash.Sum(c.SHA256[:0])
	return c
}
