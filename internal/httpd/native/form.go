package native

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
	"sluice/internal/httpd"
	"sluice/internal/service"
)

// Limits of a form (RFC 7578). All bytes except those of the file count against one budget: the fields, the headers of
// the parts, and everything before, between and after the parts.
const (
	maxParts    = 32 + 2*sluice.MaxMetadataKeys
	maxFormText = 512 << 10 // bytes
)

// form is an upload that arrives as a form, part by part.
type form struct {
	fields
	parts
	part     *filePart
	promised *httpd.Promise // the digests of the whole body
}

// parts reads the parts of a form. It gives no meaning to their names but "file".
type parts struct {
	parts *multipart.Reader
	text  *budget
	count int
	found *multipart.Part                 // the file, once it is reached
	name  string                          // of the file, as declared
	named bool                            // whether the file has a name
	take  func(name, value string)        // sets a field
	limit func(name string) (bytes int64) // of a field: at most one byte more is read
}

// filePart is the file of a form: its name and digests as declared, and its bytes.
type filePart struct {
	content  *contentPart
	name     string
	sha256   *sluice.Digest // the declared SHA-256
	promised *httpd.Promise // the other declared digests
}

func openForm(body io.Reader, contentType string) (*form, error) {
	f := &form{fields: newFields()}
	var err error
	f.parts, err = openParts(body, contentType, f.set, fieldLimit)
	return f, err
}

func openParts(
	body io.Reader,
	contentType string,
	take func(name, value string),
	limit func(name string) int64,
) (parts, error) {
	t, params, err := mime.ParseMediaType(contentType)
	if err != nil || t != "multipart/form-data" || params["boundary"] == "" {
		return parts{}, sluice.Errorf(sluice.CodeUnsupportedType, "the body must be multipart/form-data with a boundary")
	}
	// The multipart reader reads 4 KiB at a time; larger reads from the connection cost less.
	text := &budget{r: bufio.NewReaderSize(body, 64<<10), left: maxFormText}
	return parts{parts: multipart.NewReader(text, params["boundary"]), text: text, take: take, limit: limit}, nil
}

// untilFile reads the fields before the file, and returns the file.
func (f *form) untilFile() (io.Reader, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	if f.found == nil {
		f.invalid.Add("file", "required", "the form has no part named file")
		if f.purpose == "" {
			f.invalid.Add("purpose", "required", "purpose is required; GET /v1/purposes lists them")
		}
		return nil, f.invalid.Err()
	}
	f.part = &filePart{content: f.content(), name: f.name}
	f.part.sha256, f.part.promised = httpd.Promised(f.found.Header, &f.invalid).SHA256()
	return f.part, f.invalid.Err()
}

// describe reads the fields after the file, checks all declared digests, and returns the description of the file.
func (f *form) describe() (service.NewFile, error) {
	if err := f.read(); err != nil {
		return service.NewFile{}, err
	}
	if f.promised != nil { // they cover what follows the form, too
		if _, err := io.Copy(io.Discard, f.text); err != nil {
			return service.NewFile{}, broken(err)
		}
	}
	n, err := f.file(f.found.Header.Get("Content-Type"))
	if err != nil {
		return n, err
	}
	if n.Filename == "" {
		n.Filename = f.part.name
	}
	n.SHA256 = f.part.sha256
	return n, cmp.Or(f.part.promised.Check("file"), f.promised.Check("Content-Digest"))
}

// read reads the parts up to the file, or to the end when the file was read before.
func (f *form) read() error {
	err := f.parts.read()
	if err == errSecondFile {
		f.invalid.Add("file", "too_many", "a form must hold exactly one file")
		return f.invalid.Err()
	}
	return err
}

var errSecondFile = &sluice.Error{
	Code: sluice.CodeValidation, Param: "file", Detail: "a form must hold exactly one file",
	Fields: []sluice.FieldError{{Param: "file", Code: "too_many", Message: "a form must hold exactly one file"}},
}

// read reads the parts up to the file, or to the end when the file was read before.
func (p *parts) read() error {
	for {
		part, err := p.parts.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return broken(err)
		}
		if p.count++; p.count > maxParts {
			return sluice.Errorf(sluice.CodeTooLarge, "the form has more than %d parts", maxParts)
		}
		name, params, err := disposition(part)
		if err != nil {
			return err
		}
		if name == "file" && p.found != nil {
			return errSecondFile
		}
		if name == "file" {
			p.found = part
			p.name, p.named = params["filename"]
			p.name = unescapeFilename(p.name)
			return nil
		}
		value, err := io.ReadAll(io.LimitReader(part, p.limit(name)+1))
		if err != nil {
			return broken(err)
		}
		p.take(name, string(value))
	}
}

// content returns the bytes of the file that read has found.
func (p *parts) content() *contentPart { return &contentPart{p.found, p.text} }

// disposition parses the headers of a part that name it.
func disposition(part *multipart.Part) (name string, params map[string]string, err error) {
	t, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil || t != "form-data" || params["name"] == "" {
		return "", nil, sluice.Errorf(sluice.CodeValidation, "a part of the form has no proper Content-Disposition")
	}
	encoding := strings.ToLower(part.Header.Get("Content-Transfer-Encoding"))
	if !slices.Contains([]string{"", "7bit", "8bit", "binary"}, encoding) {
		return "", nil, sluice.Errorf(
			sluice.CodeValidation,
			"the part %q has a Content-Transfer-Encoding, which multipart/form-data does not allow",
			httpd.Clean(params["name"]),
		)
	}
	return params["name"], params, nil
}

// unescapeFilename reverses how browsers and curl escape the characters that a quoted name cannot hold (WHATWG HTML,
// multipart form data).
func unescapeFilename(name string) string {
	return strings.NewReplacer("%22", `"`, "%0D", "\r", "%0A", "\n").Replace(name)
}

// contentPart reads the bytes of the file of a form, which do not count against the budget.
type contentPart struct {
	part *multipart.Part
	text *budget
}

func (p *contentPart) Read(b []byte) (int, error) {
	p.text.open = true
	n, err := p.part.Read(b)
	p.text.open = false
	if err != nil && err != io.EOF {
		err = broken(err)
	}
	return n, err
}

// Read reads the bytes of the file, and hashes them for the declared digests.
func (p *filePart) Read(b []byte) (int, error) {
	n, err := p.content.Read(b)
	if p.promised != nil {
		_, _ = p.promised.Write(b[:n])
	}
	return n, err
}

// budget reads from r and fails with CodeTooLarge after left bytes. Bytes that are read while it is open do not count.
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

// broken returns the error for an upload that cannot be read to its end.
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
		return sluice.Wrap(sluice.CodeValidation, "the body ended early", err)
	}
	return sluice.Wrap(sluice.CodeValidation, "the body is malformed", err)
}

// flow reads a body without a time limit, as long as bytes arrive.
type flow struct {
	call  *call
	body  io.Reader
	rc    *http.ResponseController
	armed time.Time
	broke bool // the client closed the connection or stalled
}

// flowing returns the body of r as a flow. Call stop before the answer is written.
func (c *call) flowing(w http.ResponseWriter, r *http.Request) (body *flow, stop func()) {
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{})
	return &flow{call: c, body: r.Body, rc: rc}, func() {
		_ = rc.SetWriteDeadline(time.Now().Add(httpd.AnswerTimeout))
	}
}

func (f *flow) Read(p []byte) (int, error) {
	stall := f.call.Transfer().Stall
	if now := time.Now(); now.Sub(f.armed) > stall/30 {
		f.armed = now
		_ = f.rc.SetReadDeadline(now.Add(stall))
	}
	n, err := f.body.Read(p)
	f.call.Received += int64(n)
	if err == io.EOF {
		// From here on the server watches the connection for the client to close it. A read deadline would look the
		// same.
		_ = f.rc.SetReadDeadline(time.Time{})
	}
	f.broke = f.broke || err != nil && err != io.EOF
	return n, err
}
