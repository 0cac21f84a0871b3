package blob

import (
	"crypto/sha256"
	"hash"
	"hash/crc32"

	"sluice/internal/service"
)

// sums counts and hashes the bytes of a stage as they come.
type sums struct {
	size   int64
	sha256 hash.Hash
	crc32  hash.Hash32
}

func newSums() sums { return sums{sha256: sha256.New(), crc32: crc32.NewIEEE()} }

func (s *sums) add(p []byte) {
	s.sha256.Write(p)
	s.crc32.Write(p)
	s.size += int64(len(p))
}

// stored gives size and digests of the bytes so far. More may follow.
func (s *sums) stored() service.Stored {
	stored := service.Stored{Size: s.size, CRC32: s.crc32.Sum32()}
	s.sha256.Sum(stored.SHA256[:0])
	return stored
}
