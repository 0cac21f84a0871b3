package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

// MaxLeaf is the largest leaf, in bytes.
const MaxLeaf = 64 << 10

// ErrTooLarge is returned, wrapped, for input over a documented limit.
var ErrTooLarge = errors.New("too large")

// Canonical gives the canonical form (RFC 8785) of a JSON document of at most
// MaxLeaf bytes. Input that is longer, or whose canonical form is, is
// ErrTooLarge. Input that is not I-JSON (RFC 7493) has no canonical form and is
// an error: invalid UTF-8, lone surrogates, duplicate keys, numbers beyond a
// float64.
func Canonical(data []byte) ([]byte, error) {
	if len(data) > MaxLeaf {
		return nil, fmt.Errorf("canonical JSON: %d bytes: %w", len(data), ErrTooLarge)
	}
	// jcs reads nil as an absent document rather than an empty one; both are refused.
	out, err := jcs.Transform(data)
	if err != nil {
		return nil, fmt.Errorf("canonical JSON: %w", err)
	}
	// Numbers can grow: 1e20 becomes twenty-one digits.
	if len(out) > MaxLeaf {
		return nil, fmt.Errorf("canonical JSON: %d bytes: %w", len(out), ErrTooLarge)
	}
	return out, nil
}

// IsCanonical reports whether data is its own Canonical form.
func IsCanonical(data []byte) bool {
	out, err := Canonical(data)
	return err == nil && bytes.Equal(out, data)
}

// AppendString appends s as a canonical JSON string (RFC 8785, section
// 3.2.2.2): the quote, the backslash and control characters are escaped,
// everything else stands as it is. Each byte of invalid UTF-8 becomes U+FFFD,
// as in encoding/json.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if plain[c] {
				i++
				continue
			}
			dst = appendEscape(append(dst, s[start:i]...), c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(append(dst, s[start:i]...), "\uFFFD"...)
			start = i + 1
		}
		i += size
	}
	return append(append(dst, s[start:]...), '"')
}

// plain marks the ASCII bytes that stand unescaped in a canonical string.
var plain = func() (t [utf8.RuneSelf]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\t':
		return append(dst, `\t`...)
	case '\n':
		return append(dst, `\n`...)
	case '\f':
		return append(dst, `\f`...)
	case '\r':
		return append(dst, `\r`...)
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// AppendStringMap appends m as a canonical JSON object, its keys in the order
// of their UTF-16 code units (RFC 8785, section 3.2.3). Keys and values may be
// any strings. A JSON object cannot hold a key twice: of keys that differ only
// in bytes of invalid UTF-8, the first in byte order is written. A nil map is {}.
func AppendStringMap(dst []byte, m map[string]string) []byte {
	var few [32]string // enough for most maps, so that they cost no allocation
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareBytewiseLast)
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			if compareUTF16(keys[i-1], k) == 0 {
				continue
			}
			dst = append(dst, ',')
		}
		dst = AppendString(dst, k)
		dst = append(dst, ':')
		dst = AppendString(dst, m[k])
	}
	return append(dst, '}')
}

func compareBytewiseLast(a, b string) int {
	if c := compareUTF16(a, b); c != 0 {
		return c
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareUTF16 orders a and b by their UTF-16 code units, invalid bytes
// counting as U+FFFD.
func compareUTF16(a, b string) int {
	for len(a) > 0 && len(b) > 0 {
		if a[0] == b[0] && a[0] < utf8.RuneSelf {
			a, b = a[1:], b[1:]
			continue
		}
		ra, na := utf8.DecodeRuneInString(a)
		rb, nb := utf8.DecodeRuneInString(b)
		if ra != rb {
			return int(utf16Rank(ra)) - int(utf16Rank(rb))
		}
		a, b = a[na:], b[nb:]
	}
	return len(a) - len(b)
}

// utf16Rank maps a rune to a number that sorts as its UTF-16 form does: runes
// above U+FFFF begin with a surrogate, so they come before U+E000.
func utf16Rank(r rune) rune {
	switch {
	case r > 0xFFFF:
		return r - 0x10000 + 0xD800
	case r >= 0xE000:
		return r + 0x100000
	}
	return r
}
