package sluice

import (
	"io"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// The prefixes of ids. An id is its prefix and the 26 characters of a ULID in
// lower case: sortable by time of making, unguessable in 80 bits.
const (
	PrefixAccount = "acct_"
	PrefixKey     = "key_"
	PrefixFile    = "file_"
	PrefixLink    = "link_"
	PrefixEntry   = "aud_"
	PrefixRequest = "req_"
)

// ParseID gives the 16 bytes of an id that has the prefix and is written as
// Sluice writes it.
func ParseID(prefix, id string) (raw [16]byte, ok bool) {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok || len(rest) != ulid.EncodedSize || rest != strings.ToLower(rest) {
		return raw, false
	}
	u, err := ulid.ParseStrict(strings.ToUpper(rest))
	return [16]byte(u), err == nil
}

// FormatID is the inverse of ParseID.
func FormatID(prefix string, raw [16]byte) string {
	var text [ulid.EncodedSize]byte
	_ = ulid.ULID(raw).MarshalTextTo(text[:]) // fails for want of room only
	for i, c := range text {
		if c >= 'A' {
			text[i] = c + 'a' - 'A'
		}
	}
	return prefix + string(text[:])
}

// ids makes ids from one source of randomness. Those made in one millisecond
// ascend, so ids of one process sort as they were made.
type ids struct {
	mu      sync.Mutex
	entropy *ulid.MonotonicEntropy
}

func newIDs(random io.Reader) *ids {
	return &ids{entropy: ulid.Monotonic(random, 0)}
}

func (s *ids) make(prefix string, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return FormatID(prefix, [16]byte(ulid.MustNew(ulid.Timestamp(now), s.entropy)))
}
