package service

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"sluice"
)

// codeDomain separates codes from other uses of the signing keys.
const codeDomain = "sluice code"

// Code derives the code of eight digits that proves an address for a challenge of a link. It is HMAC-SHA-256 under the
// signing key of the link, so that no database holds it and each server derives the same.
func (s *Links) Code(l sluice.Link, challenge string) string {
	key := s.mac(l, codeDomain, challenge)
	const codes, unbiased = 100_000_000, 42 * 100_000_000 // the most multiples of codes in 32 bits
	for round := byte(0); ; round++ {
		block := hmac.New(sha256.New, key)
		block.Write([]byte{round})
		for sum := block.Sum(nil); len(sum) > 0; sum = sum[4:] {
			if n := binary.BigEndian.Uint32(sum); n < unbiased {
				return fmt.Sprintf("%08d", n%codes)
			}
		}
	}
}
