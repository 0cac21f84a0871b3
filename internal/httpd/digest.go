package httpd

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"

	"github.com/dunglas/httpsfv"

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
		digests, ok := parseDigests(head[field])
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

// parseDigests reads a Dictionary of Structured Fields (RFC 9651) whose values are Byte Sequences. Parameters must be
// well-formed and have no meaning here.
func parseDigests(values []string) (digests []sum, ok bool) {
	dictionary, err := httpsfv.UnmarshalDictionary(values)
	if err != nil || len(dictionary.Names()) > maxDigests {
		return nil, false
	}
	for _, algorithm := range dictionary.Names() {
		member, _ := dictionary.Get(algorithm)
		item, isItem := member.(httpsfv.Item)
		want, isBytes := item.Value.([]byte)
		if !isItem || !isBytes {
			return nil, false
		}
		digests = append(digests, sum{algorithm: algorithm, want: want})
	}
	return digests, true
}
