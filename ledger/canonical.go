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

// MaxLeaf is the maximum length of a leaf in bytes: 65,535, the largest entry
// length that a C2SP tlog-tiles bundle can encode (a uint16).
const MaxLeaf = 1<<16 - 1

// ErrTooLarge is wrapped in the errors for input over a documented limit.
var ErrTooLarge = errors.New("too large")

// Canonical returns the canonical form (RFC 8785) of a JSON document. The error
// is ErrTooLarge if the document or its canonical form is longer than MaxLeaf.
// Input that is not I-JSON (RFC 7493) is an error: invalid UTF-8, lone
// surrogates, duplicate keys, and numbers outside the range of a float64.
func Canonical(data []byte) ([]byte, error) {
	if len(data) > MaxLeaf {
		return nil, fmt.Errorf("canonical JSON: %d bytes: %w", len(data), ErrTooLarge)
	}
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
// 3.2.2.2). It escapes quotes, backslashes and control characters, and nothing
// else. Each byte of invalid UTF-8 becomes U+FFFD, as in encoding/json.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if i += plainPrefix(s[i:]); i == len(s) {
			break
		}
		c := s[i]
		if c < utf8.RuneSelf {
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

// plainPrefix returns how many bytes at the start of s are ASCII and not escaped. It
// looks at eight bytes at once: BenchmarkAppendString shows what that saves.
func plainPrefix(s string) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		b := s[i : i+8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		// The lowest byte below n <= 128 sets its high bit when n is subtracted. Other bytes may set theirs too: the
		// next loop finds out.
		quote, backslash := x^('"'*ones), x^('\\'*ones)
		if (x|(x-' '*ones)|(quote-ones)|(backslash-ones))&highs != 0 {
			break
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf || !plain[c] {
			break
		}
	}
	return i
}

// plain marks the ASCII bytes that a canonical string does not escape.
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

// AppendStringMap appends m as a canonical JSON object, with the keys in the
// order of their UTF-16 code units (RFC 8785, section 3.2.3). A nil map is {}.
// Each byte of invalid UTF-8 becomes U+FFFD. If that makes two keys equal, only
// the one that comes first in byte order is written.
func AppendStringMap(dst []byte, m map[string]string) []byte {
	type member struct{ key, valid string }
	members := make([]member, 0, len(m))
	for k := range m {
		members = append(members, member{k, toValidUTF8(k)})
	}
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(compareUTF16(a.valid, b.valid), strings.Compare(a.key, b.key))
	})
	dst = append(dst, '{')
	for i, k := range members {
		if i > 0 {
			if members[i-1].valid == k.valid {
				continue
			}
			dst = append(dst, ',')
		}
		dst = AppendString(dst, k.valid)
		dst = append(dst, ':')
		dst = AppendString(dst, m[k.key])
	}
	return append(dst, '}')
}

// toValidUTF8 returns s with each byte of invalid UTF-8 replaced by U+FFFD.
func toValidUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// compareUTF16 compares two strings of valid UTF-8 by their UTF-16 code units.
// The result is that of a comparison by bytes, except for characters above
// U+FFFF (lead bytes from 0xF0): their surrogates sort before U+E000 (lead bytes
// 0xEE and 0xEF).
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
