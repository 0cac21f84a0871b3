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
	mac := s.keys.Key(l.SigningKey).NewMAC()
	for _, part := range []string{codeDomain, l.Ledger.Account, string(l.Ledger.Mode), l.ID, challenge} {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	key := mac.Sum(nil)
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
