// Package objectid generates and parses ids. An id is a prefix that names the kind of object, followed by a ULID.
package objectid

import (
	"io"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// Parse returns the 16 bytes of an id with the given prefix. It is not ok unless
// the id has the form that Format returns.
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
	id := make([]byte, len(prefix)+ulid.EncodedSize, 64)
	copy(id, prefix)
	text := id[len(prefix):]
	_ = ulid.ULID(raw).MarshalTextTo(text) // it fails only if text is too short
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			text[i] = c + 'a' - 'A'
		}
	}
	return string(id)
}

// Source generates ids. Ids of the same millisecond increase, so the ids of one
// process sort in the order of their creation. It is safe for concurrent use.
type Source struct {
	mu      sync.Mutex
	entropy *ulid.MonotonicEntropy
	newest  ulid.ULID // here so that an id takes one allocation
}

// NewSource returns a Source that reads from random.
func NewSource(random io.Reader) *Source {
	return &Source{entropy: ulid.Monotonic(random, 0)}
}

// New returns a new id with the given prefix and time.
func (s *Source) New(prefix string, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := ulid.Timestamp(now)
	err := s.newest.SetTime(ms)
	if err == nil {
		err = s.entropy.MonotonicRead(ms, s.newest[6:])
	}
	if err != nil {
		panic(err) // no random bytes, or a time after the year 10889
	}
	return Format(prefix, s.newest)
}
