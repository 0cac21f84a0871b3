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

// digestFields are the header fields of RFC 9530 that a request may promise
// its content by. A body that is not encoded is its own representation, so
// both speak of the same bytes.
var digestFields = []string{"Content-Digest", "Repr-Digest"}

// maxDigests is how many digests one field may list.
const maxDigests = 16

// promise is what a sender says of bytes that come: their digests. It hashes
// what is written to it. A nil promise holds for anything.
type promise struct{ sums []sum }

type sum struct {
	algorithm string
	want      []byte
	hash      hash.Hash
}

// promised reads the digests that a head declares. Algorithms that RFC 9530
// does not call active are ignored.
func promised(head map[string][]string, v *sluice.Invalid) *promise {
	var p promise
	for _, field := range digestFields {
		if len(head[field]) == 0 {
			continue
		}
		digests, ok := parseDigests(head[field])
		if !ok {
			v.Add(field, "invalid", "%s is not a list of digests such as sha-256=:…: (RFC 9530)", field)
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

// sha256 takes the one SHA-256 that is promised out of p, for whoever computes
// it anyway, and gives what is left to check. Two that differ stay.
func (p *promise) sha256() (*sluice.Digest, *promise) {
	if p == nil {
		return nil, nil
	}
	var found *sluice.Digest
	rest := &promise{}
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

// Write hashes bytes that came.
func (p *promise) Write(b []byte) (int, error) {
	for _, s := range p.sums {
		s.hash.Write(b)
	}
	return len(b), nil
}

// check compares what was written with what was promised.
func (p *promise) check(param string) error {
	if p == nil {
		return nil
	}
	for _, s := range p.sums {
		if got := s.hash.Sum(nil); !bytes.Equal(got, s.want) {
			return &sluice.Error{
				Code: sluice.CodeDigestMismatch, Param: param,
				Detail: "what arrived has " + s.algorithm + "=:" + base64.StdEncoding.EncodeToString(got) + ":",
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
