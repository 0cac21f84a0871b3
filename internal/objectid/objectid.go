// Package objectid makes and reads ids: a prefix that names the kind of object, and a ULID.
package objectid

import (
	"io"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// Parse gives the 16 bytes of an id that has the prefix and is written as
// Sluice writes it.
func Parse(prefix, id string) (raw [16]byte, ok bool) {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok || len(rest) != ulid.EncodedSize || rest != strings.ToLower(rest) {
		return raw, false
	}
	u, err := ulid.ParseStrict(strings.ToUpper(rest))
	return [16]byte(u), err == nil
}

// Format writes an id: the inverse of Parse.
func Format(prefix string, raw [16]byte) string {
	return prefix + strings.ToLower(ulid.ULID(raw).String())
}

// Source makes ids from one source of randomness. Those made in one millisecond
// ascend, so ids of one process sort as they were made.
type Source struct {
	mu      sync.Mutex
	entropy *ulid.MonotonicEntropy
}

func NewSource(random io.Reader) *Source {
	return &Source{entropy: ulid.Monotonic(random, 0)}
}

func (s *Source) New(prefix string, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Format(prefix, [16]byte(ulid.MustNew(ulid.Timestamp(now), s.entropy)))
}
