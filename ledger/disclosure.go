package ledger

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// MaxDisclosure is the maximum length of the line of a Disclosure, in bytes.
const MaxDisclosure = 512 << 10

// A Disclosure opens one commitment of one leaf: it holds the committed value
// and its salt. To redact a value is to erase its disclosure.
type Disclosure struct {
	Seq   int64  // seq of the entry
	Field string // JSON Pointer (RFC 6901) to the commitment in the leaf, such as /request/ip
	Salt  Salt
	Value string // valid UTF-8
}

// ErrDisclosure is wrapped in the errors for a malformed disclosure.
var ErrDisclosure = errors.New("malformed disclosure")

// AppendDisclosure appends d as one line of canonical JSON, without a newline:
//
//	{"field":"/request/ip","salt":"<32 hex>","seq":12,"value":"203.0.113.7"}
//
// It is ErrDisclosure if the value or field is not valid UTF-8 or the seq is not
// within 0 and MaxSize, and ErrTooLarge if the line is longer than
// MaxDisclosure.
func AppendDisclosure(dst []byte, d Disclosure) ([]byte, error) {
	if d.Seq < 0 || d.Seq > MaxSize || !utf8.ValidString(d.Field) || !utf8.ValidString(d.Value) {
		return dst, fmt.Errorf("disclosure of entry %d: %w", d.Seq, ErrDisclosure)
	}
	start := len(dst)
	dst = append(dst, `{"field":`...)
	dst = AppendString(dst, d.Field)
	dst = append(dst, `,"salt":"`...)
	dst = hex.AppendEncode(dst, d.Salt[:])
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendInt(dst, d.Seq, 10)
	dst = append(dst, `,"value":`...)
	dst = append(AppendString(dst, d.Value), '}')
	if len(dst)-start > MaxDisclosure {
		return dst[:start], fmt.Errorf("disclosure of entry %d: %w", d.Seq, ErrTooLarge)
	}
	return dst, nil
}

// ParseDisclosure parses a line written by AppendDisclosure. Any other input is
// ErrDisclosure, even another encoding of the same content.
func ParseDisclosure(line []byte) (d Disclosure, err error) {
	if len(line) > MaxDisclosure {
		return d, fmt.Errorf("%w: %w", ErrDisclosure, ErrTooLarge)
	}
	p := lineParser{rest: line}
	p.skip(`{"field":`)
	d.Field = p.string()
	p.skip(`,"salt":"`)
	p.hex(d.Salt[:])
	p.skip(`","seq":`)
	d.Seq = p.int()
	p.skip(`,"value":`)
	d.Value = p.string()
	p.skip(`}`)
	if p.failed || len(p.rest) > 0 {
		return Disclosure{}, ErrDisclosure
	}
	return d, nil
}

// Opens reports whether d opens a commitment in the leaf: whether the value at
// d.Field is the commitment to d.Value with d.Salt. The leaf must be canonical.
func (d Disclosure) Opens(leaf []byte) bool {
	got, ok := lookup(leaf, d.Field)
	if !ok {
		return false
	}
	var buf [commitmentLen + 2]byte
	want := append(AppendCommitment(append(buf[:0], '"'), d.Salt, d.Value), '"')
	return bytes.Equal(got, want)
}

// lineParser parses a canonical line from left to right. After a failure all its
// methods do nothing.
type lineParser struct {
	rest   []byte
	failed bool
}

func (p *lineParser) take(n int, ok bool) []byte {
	if p.failed || !ok || n < 0 || n > len(p.rest) {
		p.failed = true
		return nil
	}
	part := p.rest[:n]
	p.rest = p.rest[n:]
	return part
}

func (p *lineParser) skip(s string) {
	p.take(len(s), bytes.HasPrefix(p.rest, []byte(s)))
}

func (p *lineParser) string() string {
	if p.failed || len(p.rest) == 0 || p.rest[0] != '"' {
		p.failed = true
		return ""
	}
	n := scanString(p.rest, 0)
	if quoted := p.take(n, n > 0); quoted != nil {
		return unquote(quoted)
	}
	return ""
}

func (p *lineParser) hex(dst []byte) {
	digits := p.take(hex.EncodedLen(len(dst)), true)
	if p.failed {
		return
	}
	_, err := hex.Decode(dst, digits)
	// Decode accepts upper case too; AppendDisclosure does not write it.
	p.failed = err != nil || !bytes.Equal(bytes.ToLower(digits), digits)
}

func (p *lineParser) int() int64 {
	n := 0
	for n < len(p.rest) && n < 16 && p.rest[n] >= '0' && p.rest[n] <= '9' {
		n++
	}
	digits := p.take(n, n > 0)
	v, err := parseSize(string(digits))
	p.failed = p.failed || err != nil
	return v
}
