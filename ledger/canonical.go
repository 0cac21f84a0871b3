package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

// MaxLeaf is the largest leaf, in bytes: 64 KiB less one, which is what the
// uint16 length of an entry in a C2SP tlog-tiles bundle can say.
const MaxLeaf = 1<<16 - 1

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
	type member struct{ key, shown string }
	members := make([]member, 0, len(m))
	for k := range m {
		members = append(members, member{k, repaired(k)})
	}
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(compareUTF16(a.shown, b.shown), strings.Compare(a.key, b.key))
	})
	dst = append(dst, '{')
	for i, k := range members {
		if i > 0 {
			if members[i-1].shown == k.shown {
				continue
			}
			dst = append(dst, ',')
		}
		dst = AppendString(dst, k.shown)
		dst = append(dst, ':')
		dst = AppendString(dst, m[k.key])
	}
	return append(dst, '}')
}

// repaired is s with each byte of invalid UTF-8 as U+FFFD.
func repaired(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// compareUTF16 orders valid UTF-8 by its UTF-16 code units. That is the order
// of the bytes, but for characters above U+FFFF (lead bytes from 0xF0): their
// surrogates sort before U+E000 (lead bytes 0xEE and 0xEF).
func compareUTF16[T ~string | ~[]byte](a, b T) int {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		switch {
		case x == y:
			continue
		case x >= 0xF0 && (y == 0xEE || y == 0xEF):
			return -1
		case y >= 0xF0 && (x == 0xEE || x == 0xEF):
			return 1
		}
		return cmp.Compare(x, y)
	}
	return cmp.Compare(len(a), len(b))
}
