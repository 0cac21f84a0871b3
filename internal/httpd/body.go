package httpd

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"sluice"
)

// MaxBody is the largest JSON body, in bytes.
const MaxBody = 256 << 10

// CheckEncoding refuses a body with a Content-Encoding, since the server decodes none.
func CheckEncoding(r *http.Request) error {
	for _, e := range r.Header.Values("Content-Encoding") {
		if e != "" && !strings.EqualFold(e, "identity") {
			return sluice.Errorf(sluice.CodeUnsupportedType, "the body has a Content-Encoding, which is not accepted here")
		}
	}
	return nil
}

// receive reads a JSON body before its endpoint does where that is needed: to recognise a repeated request, to check
// the digest, or to upgrade the body from an earlier version of the API.
func (c *Call) receive(r *http.Request) error {
	var v sluice.Invalid
	digests := Promised(r.Header, &v)
	if c.Caller.IdempotencyKey == nil && len(c.later()) == 0 && digests == nil && v.Err() == nil {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return sluice.Wrap(sluice.CodeValidation, "the body ended early", err)
	}
	c.CompleteFingerprint(r.URL.RawQuery, string(data))
	switch {
	case len(data) > MaxBody:
		return sluice.Errorf(sluice.CodeTooLarge, "the body is larger than %d bytes", MaxBody)
	case v.Err() != nil:
		return v.Err()
	case digests != nil:
		_, _ = digests.Write(data)
		if err := digests.Check("Content-Digest"); err != nil {
			return err
		}
	}
	data = c.upgradeBody(data)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return nil
}

// Encoded is a JSON document.
type Encoded []byte

// Encode returns an answer in the version of the API that the caller uses.
func (c *Call) Encode(v any) (Encoded, error) {
	shown, err := c.downgrade(v)
	if err != nil {
		return nil, err
	}
	return encode(shown)
}

// encode writes JSON. It does not escape markup: no answer is HTML.
func encode(v any) (Encoded, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}
