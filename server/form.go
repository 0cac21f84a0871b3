package server

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"sluice"
)

// Limits of a form (RFC 7578). All bytes but the file's count against one
// budget: fields, the heads of parts, and what stands before, between and
// after them.
const (
	maxParts    = 32 + 2*sluice.MaxMetadataKeys
	maxFormText = 512 << 10 // bytes
)

// form is an upload as it comes in, part by part.
type form struct {
	fields
	parts    *multipart.Reader
	text     *budget
	count    int
	part     *filePart
	promised *promise // of the body as a whole
}

// filePart is the part that is the file: its name and type as declared, and
// its bytes.
type filePart struct {
	form     *form
	part     *multipart.Part
	name     string
	sha256   *sluice.Digest // that is promised of its bytes
	promised *promise       // what else is
}

func openForm(body io.Reader, contentType string) (*form, error) {
	t, params, err := mime.ParseMediaType(contentType)
	if err != nil || t != "multipart/form-data" || params["boundary"] == "" {
		return nil, sluice.Errorf(sluice.CodeUnsupportedType, "the body must be multipart/form-data with a boundary")
	}
	// The multipart reader asks for 4 KiB at a time; the connection is read in
	// larger pieces.
	text := &budget{r: bufio.NewReaderSize(body, 64<<10), left: maxFormText}
	return &form{fields: newFields(), parts: multipart.NewReader(text, params["boundary"]), text: text}, nil
}

// untilFile reads the fields that stand before the file, and gives the file.
func (f *form) untilFile() (io.Reader, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	if f.part == nil {
		f.invalid.Add("file", "required", "the form has no part named file")
		if f.purpose == "" {
			f.invalid.Add("purpose", "required", "purpose is required; GET /v1/purposes lists them")
		}
	}
	return f.part, f.invalid.Err()
}

// describe reads the fields that stand after the file, and gives what all of
// them say, when every digest that was promised holds.
func (f *form) describe() (sluice.NewFile, error) {
	if err := f.read(); err != nil {
		return sluice.NewFile{}, err
	}
	if f.promised != nil { // of what follows the form, too
		if _, err := io.Copy(io.Discard, f.text); err != nil {
			return sluice.NewFile{}, broken(err)
		}
	}
	n, err := f.file(f.part.part.Header.Get("Content-Type"))
	if err != nil {
		return n, err
	}
	if n.Filename == "" {
		n.Filename = f.part.name
	}
	n.SHA256 = f.part.sha256
	return n, cmp.Or(f.part.promised.check("file"), f.promised.check("Content-Digest"))
}

// read reads parts up to the file, or to the end when the file has been.
func (f *form) read() error {
	for {
		part, err := f.parts.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return broken(err)
		}
		if f.count++; f.count > maxParts {
			return sluice.Errorf(sluice.CodeTooLarge, "the form has more than %d parts", maxParts)
		}
		name, params, err := disposition(part)
		if err != nil {
			return err
		}
		if name == "file" && f.part != nil {
			f.invalid.Add("file", "too_many", "a form brings one file")
			return f.invalid.Err()
		}
		if name == "file" {
			f.part = &filePart{form: f, part: part, name: unescapeFilename(params["filename"])}
			f.part.sha256, f.part.promised = promised(part.Header, &f.invalid).sha256()
			return nil
		}
		value, err := io.ReadAll(io.LimitReader(part, fieldLimit(name)+1))
		if err != nil {
			return broken(err)
		}
		f.set(name, string(value))
	}
}

// disposition reads what a part says of itself.
func disposition(part *multipart.Part) (name string, params map[string]string, err error) {
	t, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil || t != "form-data" || params["name"] == "" {
		return "", nil, sluice.Errorf(sluice.CodeValidation, "a part of the form has no proper Content-Disposition")
	}
	encoding := strings.ToLower(part.Header.Get("Content-Transfer-Encoding"))
	if !slices.Contains([]string{"", "7bit", "8bit", "binary"}, encoding) {
		return "", nil, sluice.Errorf(sluice.CodeValidation, "the part %q has a transfer encoding, which forms have not", clean(params["name"]))
	}
	return params["name"], params, nil
}

// unescapeFilename undoes what browsers and curl do to the characters that a
// quoted name cannot hold (WHATWG HTML, multipart form data).
func unescapeFilename(name string) string {
	return strings.NewReplacer("%22", `"`, "%0D", "\r", "%0A", "\n").Replace(name)
}

// Read gives the bytes of the file, which count against no budget here.
func (p *filePart) Read(b []byte) (int, error) {
	p.form.text.open = true
	n, err := p.part.Read(b)
	p.form.text.open = false
	if p.promised != nil {
		_, _ = p.promised.Write(b[:n])
	}
	if err != nil && err != io.EOF {
		err = broken(err)
	}
	return n, err
}

// budget reads like r and fails with CodeTooLarge once left bytes have come,
// those that come while it is open not counted.
type budget struct {
	r    io.Reader
	left int
	open bool
}

func (b *budget) Read(p []byte) (int, error) {
	if b.open {
		return b.r.Read(p)
	}
	if b.left <= 0 {
		return 0, sluice.Errorf(sluice.CodeTooLarge, "the form holds more than %d bytes beside the file", maxFormText)
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// broken says what is wrong with an upload that cannot be read to its end.
func broken(err error) error {
	var e *sluice.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, multipart.ErrMessageTooLarge):
		return sluice.Wrap(sluice.CodeTooLarge, "the head of a part is too large", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return sluice.Wrap(sluice.CodeValidation, "the body stopped coming", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return sluice.Wrap(sluice.CodeValidation, "the body ended before it was whole", err)
	}
	return sluice.Wrap(sluice.CodeValidation, "the body is malformed", err)
}

// flow reads a body that may take as long as it likes while bytes come.
type flow struct {
	call  *call
	body  io.Reader
	rc    *http.ResponseController
	armed time.Time
	broke bool // the peer left, or stood still
}

// flowing gives the body of r as a flow. Its answer may be written only after
// stop was called.
func (c *call) flowing(w http.ResponseWriter, r *http.Request) (body *flow, stop func()) {
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{})
	return &flow{call: c, body: r.Body, rc: rc}, func() {
		_ = rc.SetWriteDeadline(time.Now().Add(answerTimeout))
	}
}

func (f *flow) Read(p []byte) (int, error) {
	stall := f.call.server.stall
	if now := time.Now(); now.Sub(f.armed) > stall/30 {
		f.armed = now
		_ = f.rc.SetReadDeadline(now.Add(stall))
	}
	n, err := f.body.Read(p)
	f.call.received += int64(n)
	if err == io.EOF {
		// From here on the connection is watched for the peer's leaving,
		// which must not be mistaken for a time without a byte.
		_ = f.rc.SetReadDeadline(time.Time{})
	}
	f.broke = f.broke || err != nil && err != io.EOF
	return n, err
}
