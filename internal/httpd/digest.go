package httpd

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"strings"

	"sluice"
)

// digestFields are the header fields of RFC 9530 that may declare the digest of content. Content without an encoding
// is its own representation, so both fields mean the same bytes.
var digestFields = []string{"Content-Digest", "Repr-Digest"}

// maxDigests limits the digests in one field.
const maxDigests = 16

// Promise is the digests that a sender declares of content. It hashes what is written to it. A nil Promise accepts any
// content.
type Promise struct{ sums []sum }

type sum struct {
	algorithm string
	want      []byte
	hash      hash.Hash
}

// Promised reads the digests that a header declares. It ignores the algorithms that RFC 9530 does not list as active.
func Promised(head map[string][]string, v *sluice.Invalid) *Promise {
	var p Promise
	for _, field := range digestFields {
		if len(head[field]) == 0 {
			continue
		}
		digests, ok := parseDigests(strings.Join(head[field], ","))
		if !ok {
			v.Add(field, "invalid", "%s must be a list of digests, such as sha-256=:…: (RFC 9530)", field)
		}
		for _, d := range digests {
			switch d.algorithm {
			case "sha-256":
				d.hash = sha256.New()
			case "sha-512":
				d.hash = sha512.New()
			default:
				continue
			}
			if len(d.want) != d.hash.Size() {
				v.Add(field, "invalid", "a digest of %s has %d bytes", d.algorithm, d.hash.Size())
				continue
			}
			p.sums = append(p.sums, d)
		}
	}
	if len(p.sums) == 0 {
		return nil
	}
	return &p
}

// SHA256 takes the SHA-256 out of p, for a caller that computes it anyway, and returns the rest. A second SHA-256 that
// differs stays in the rest.
func (p *Promise) SHA256() (*sluice.Digest, *Promise) {
	if p == nil {
		return nil, nil
	}
	var found *sluice.Digest
	rest := &Promise{}
	for _, s := range p.sums {
		switch {
		case s.algorithm != "sha-256" || found != nil && !bytes.Equal(found[:], s.want):
			rest.sums = append(rest.sums, s)
		case found == nil:
			found = (*sluice.Digest)(s.want)
		}
	}
	if len(rest.sums) == 0 {
		rest = nil
	}
	return found, rest
}

// Write hashes the next bytes of the content.
func (p *Promise) Write(b []byte) (int, error) {
	for _, s := range p.sums {
		s.hash.Write(b)
	}
	return len(b), nil
}

// Check compares the digests of what was written with those declared.
func (p *Promise) Check(param string) error {
	if p == nil {
		return nil
	}
	for _, s := range p.sums {
		if got := s.hash.Sum(nil); !bytes.Equal(got, s.want) {
			return &sluice.Error{
				Code: sluice.CodeDigestMismatch, Param: param,
				Detail: "the content has the digest " + s.algorithm + "=:" + base64.StdEncoding.EncodeToString(got) + ":",
			}
		}
	}
	return nil
}

// parseDigests reads a Dictionary of Structured Fields (RFC 9651) whose values
// are Byte Sequences. Of a key that stands twice the last counts; parameters
// are read and have no meaning here.
func parseDigests(text string) (digests []sum, ok bool) {
	for rest := strings.Trim(text, " "); rest != ""; {
		var d sum
		if d.algorithm, rest, ok = cutKey(rest); !ok || !strings.HasPrefix(rest, "=:") {
			return nil, false
		}
		encoded, after, closed := strings.Cut(rest[2:], ":")
		var err error
		if d.want, err = base64.StdEncoding.DecodeString(encoded); err != nil || !closed || strings.ContainsAny(encoded, "\r\n") {
			return nil, false
		}
		if rest, ok = skipParameters(after); !ok {
			return nil, false
		}
		digests = replaceOrAdd(digests, d)
		if rest = strings.TrimLeft(rest, " \t"); rest == "" {
			break
		}
		if rest, ok = strings.CutPrefix(rest, ","); !ok {
			return nil, false
		}
		if rest = strings.TrimLeft(rest, " \t"); rest == "" || len(digests) > maxDigests {
			return nil, false
		}
	}
	return digests, true
}

func replaceOrAdd(digests []sum, d sum) []sum {
	for i := range digests {
		if digests[i].algorithm == d.algorithm {
			digests[i] = d
			return digests
		}
	}
	return append(digests, d)
}

// cutKey cuts a key (RFC 9651 section 3.1.2) off the front of s.
func cutKey(s string) (key, rest string, ok bool) {
	n := 0
	for n < len(s) && (isLower(s[n]) || s[n] == '*' || n > 0 && (isDigit(s[n]) || strings.IndexByte("_-.", s[n]) >= 0)) {
		n++
	}
	return s[:n], s[n:], n > 0
}

// skipParameters skips parameters (RFC 9651 section 3.1.2) whose values are
// bare items of the kinds that need no quotes, or strings.
func skipParameters(s string) (rest string, ok bool) {
	for strings.HasPrefix(s, ";") {
		if _, s, ok = cutKey(strings.TrimLeft(s[1:], " ")); !ok {
			return "", false
		}
		value, hasValue := strings.CutPrefix(s, "=")
		if !hasValue {
			continue
		}
		if strings.HasPrefix(value, `"`) {
			if _, s, ok = cutString(value); !ok {
				return "", false
			}
			continue
		}
		n := 0
		for n < len(value) && strings.IndexByte(";, \t", value[n]) < 0 {
			n++
		}
		if s = value[n:]; n == 0 {
			return "", false
		}
	}
	return s, true
}

// cutString cuts a String (RFC 9651 section 3.3.3) off the front of s and
// gives what it stands for.
func cutString(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] < ' ' || s[i] > '~':
			return "", "", false
		case s[i] == '\\':
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
