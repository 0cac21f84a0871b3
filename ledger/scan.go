package ledger

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

// maxDepth bounds nesting. It is the limit of encoding/json and jcs.
const maxDepth = 10000

// IsCanonical reports whether data is its own Canonical form. It does not allocate for the leaves that Sluice writes.
// It scans instead of writing the form anew, as Canonical does: BenchmarkIsCanonical shows the difference, which a
// verifier of a long log pays for each entry.
func IsCanonical(data []byte) bool {
	return len(data) <= MaxLeaf && scanValue(data, 0, 0) == len(data)
}

// The scan functions walk canonical JSON. Each takes the offset of a token or
// value and returns the offset of its end, or -1 if there is no canonical one.
// At or beyond the end of the data they return -1.

func scanValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return scanString(b, i)
	case '{':
		return scanObject(b, i, depth+1)
	case '[':
		return scanArray(b, i, depth+1)
	case 't':
		return scanWord(b, i, "true")
	case 'f':
		return scanWord(b, i, "false")
	case 'n':
		return scanWord(b, i, "null")
	}
	return scanNumber(b, i)
}

func scanWord(b []byte, i int, word string) int {
	if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
		return i + len(word)
	}
	return -1
}

func scanArray(b []byte, i, depth int) int {
	if depth > maxDepth {
		return -1
	}
	i++
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = scanValue(b, i, depth); i < 0 || i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i++
		case ']':
			return i + 1
		default:
			return -1
		}
	}
}

func scanObject(b []byte, i, depth int) int {
	if depth > maxDepth {
		return -1
	}
	i++
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	var last []byte
	for {
		key, j := scanKey(b, i)
		if j < 0 || last != nil && compareKeys(last, key) >= 0 {
			return -1
		}
		last = key
		if i = scanValue(b, j, depth); i < 0 || i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i++
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

// scanKey returns the quoted name of a member and the offset of its value.
func scanKey(b []byte, i int) ([]byte, int) {
	if i >= len(b) || b[i] != '"' {
		return nil, -1
	}
	j := scanString(b, i)
	if j < 0 || j >= len(b) || b[j] != ':' {
		return nil, -1
	}
	return b[i:j], j + 1
}

// compareKeys compares two quoted canonical strings by their UTF-16 code units.
func compareKeys(a, b []byte) int {
	if bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0 {
		return compareUTF16(a[1:len(a)-1], b[1:len(b)-1])
	}
	return compareUTF16(unquote(a), unquote(b))
}

func scanString(b []byte, i int) int {
	for i++; i < len(b); {
		c := b[i]
		switch {
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 {
				return -1
			}
			i += size
		case plain[c]:
			i++
		case c == '"':
			return i + 1
		default:
			n := scanEscape(b[i:])
			if n == 0 {
				return -1
			}
			i += n
		}
	}
	return -1
}

// scanEscape returns the length of the canonical escape at the start of b, or 0.
func scanEscape(b []byte) int {
	n := 2
	if len(b) > 1 && b[1] == 'u' {
		n = 6
	}
	if len(b) < n || b[0] != '\\' {
		return 0
	}
	c, ok := unescape(b[:n])
	var buf [6]byte
	if !ok || plain[c] || string(appendEscape(buf[:0], c)) != string(b[:n]) {
		return 0
	}
	return n
}

// unescape decodes an escape of two or six bytes that encodes one ASCII
// character.
func unescape(b []byte) (byte, bool) {
	switch b[1] {
	case '"', '\\':
		return b[1], true
	case 'b':
		return '\b', true
	case 't':
		return '\t', true
	case 'n':
		return '\n', true
	case 'f':
		return '\f', true
	case 'r':
		return '\r', true
	case 'u':
		c, err := strconv.ParseUint(string(b[2:]), 16, 7)
		return byte(c), err == nil
	}
	return 0, false
}

// unquote decodes a quoted canonical string.
func unquote(quoted []byte) string {
	text := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	var s strings.Builder
	for len(text) > 0 {
		if n := scanEscape(text); n > 0 {
			c, _ := unescape(text[:n])
			s.WriteByte(c)
			text = text[n:]
			continue
		}
		s.WriteByte(text[0])
		text = text[1:]
	}
	return s.String()
}

// scanNumber takes integers of up to fifteen digits as they stand: a float64 holds each of them exactly. Any other
// number has to be what ECMAScript writes. BenchmarkIsCanonical shows what it saves to know that.
func scanNumber(b []byte, i int) int {
	j := i
	for j < len(b) && (b[j] >= '0' && b[j] <= '9' || b[j] == '-' || b[j] == '+' || b[j] == '.' || b[j] == 'e') {
		j++
	}
	token := b[i:j]
	if smallInteger(token) {
		return j
	}
	f, err := strconv.ParseFloat(string(token), 64)
	if err != nil {
		return -1
	}
	if want, err := jcs.NumberToJSON(f); err != nil || want != string(token) {
		return -1
	}
	return j
}

func smallInteger(token []byte) bool {
	if len(token) == 0 || len(token) > 15 || token[0] == '0' && len(token) > 1 {
		return false
	}
	for _, c := range token {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// Members yields the members of a canonical JSON object, such as a leaf: the
// name without its quotes but still escaped, and the value in JSON. It stops
// where the data is not canonical, and yields nothing if it is not an object.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		if len(object) == 0 || object[0] != '{' {
			return
		}
		for i := 0; i < len(object) && (i == 0 || object[i] == ','); {
			name, from := scanKey(object, i+1)
			if from < 0 {
				return
			}
			if i = scanValue(object, from, 0); i < 0 || !yield(name[1:len(name)-1], object[from:i]) {
				return
			}
		}
	}
}

// Elements yields the elements of a canonical JSON array, in JSON. It stops where
// the data is not canonical, and yields nothing if it is not an array.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		if len(array) < 2 || array[0] != '[' || array[1] == ']' {
			return
		}
		for i := 0; i < len(array) && (i == 0 || array[i] == ','); {
			from := i + 1
			if i = scanValue(array, from, 0); i < 0 || !yield(array[from:i]) {
				return
			}
		}
	}
}

// Text decodes a canonical JSON string. It returns "" for any other value.
func Text(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	return unquote(value)
}

// lookup returns the value at a JSON Pointer (RFC 6901) in a canonical document,
// in JSON. The pointer can pass through objects only, not arrays.
func lookup(doc []byte, pointer string) ([]byte, bool) {
	i := 0
	for pointer != "" {
		var token string
		if pointer[0] != '/' {
			return nil, false
		}
		token, pointer = pointerToken(pointer[1:])
		if i = member(doc, i, token); i < 0 {
			return nil, false
		}
	}
	end := scanValue(doc, i, 0)
	if end < 0 {
		return nil, false
	}
	return doc[i:end], true
}

func pointerToken(s string) (token, rest string) {
	end := strings.IndexByte(s, '/')
	if end < 0 {
		end = len(s)
	}
	token, rest = s[:end], s[end:]
	if strings.IndexByte(token, '~') >= 0 {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
	}
	return token, rest
}

// member returns the offset of the value of a member of the object at offset i,
// or -1.
func member(doc []byte, i int, name string) int {
	var buf [64]byte
	want := AppendString(buf[:0], name)
	if i >= len(doc) || doc[i] != '{' {
		return -1
	}
	for {
		key, j := scanKey(doc, i+1)
		if j < 0 || bytes.Equal(key, want) {
			return j
		}
		if i = scanValue(doc, j, 0); i < 0 || i >= len(doc) || doc[i] != ',' {
			return -1
		}
	}
}
