package blob

import (
	"crypto/sha256"
	"encoding"
	"fmt"
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

// savedSums are sums as a place keeps them: the state of each hash, so that a
// resumed stage reads nothing again.
type savedSums struct {
	Size   int64  `json:"size"`
	SHA256 []byte `json:"sha256"`
	CRC32  []byte `json:"crc32"`
}

func (s *sums) save() (saved savedSums, err error) {
	saved.Size = s.size
	if saved.SHA256, err = s.sha256.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
		return saved, err
	}
	saved.CRC32, err = s.crc32.(encoding.BinaryMarshaler).MarshalBinary()
	return saved, err
}

// load gives the sums that were saved. It fails if another version of Go wrote
// them in another form.
func (saved savedSums) load() (sums, error) {
	s := newSums()
	s.size = saved.Size
	err := s.sha256.(encoding.BinaryUnmarshaler).UnmarshalBinary(saved.SHA256)
	if err == nil {
		err = s.crc32.(encoding.BinaryUnmarshaler).UnmarshalBinary(saved.CRC32)
	}
	if err == nil && s.size < 0 {
		err = fmt.Errorf("a size of %d", s.size)
	}
	if err != nil {
		return s, fmt.Errorf("the digests of a saved upload cannot be read: %w", err)
	}
	return s, nil
}
