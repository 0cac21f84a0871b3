package server

import (
	"bufio"
	"errors"
	"io"
	"maps"
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
	maxParts    = 32 + sluice.MaxMetadataKeys
	maxFormText = 512 << 10 // bytes
	maxField    = 4 << 10   // bytes of a field of text
)

// form is an upload as it comes in, part by part.
type form struct {
	parts    *multipart.Reader
	text     *budget
	count    int
	seen     map[string]bool
	invalid  sluice.Invalid
	purpose  string
	title    string
	filename string
	metadata sluice.Metadata
	file     *filePart
}

// filePart is the part that is the file: its name and type as declared, and
// its bytes.
type filePart struct {
	form *form
	part *multipart.Part
	name string
}

func openForm(body io.Reader, contentType string) (*form, error) {
	t, params, err := mime.ParseMediaType(contentType)
	if err != nil || t != "multipart/form-data" || params["boundary"] == "" {
		return nil, sluice.Errorf(sluice.CodeUnsupportedType, "the body must be multipart/form-data with a boundary")
	}
	// The multipart reader asks for 4 KiB at a time; the connection is read in
	// larger pieces.
	text := &budget{r: bufio.NewReaderSize(body, 64<<10), left: maxFormText}
	return &form{
		parts: multipart.NewReader(text, params["boundary"]), text: text,
		seen: map[string]bool{}, metadata: sluice.Metadata{},
	}, nil
}

// untilFile reads the fields that stand before the file, and gives the file.
func (f *form) untilFile() (io.Reader, error) {
	if err := f.fields(); err != nil {
		return nil, err
	}
	if f.file == nil {
		f.invalid.Add("file", "required", "the form has no part named file")
		if f.purpose == "" {
			f.invalid.Add("purpose", "required", "purpose is required; GET /v1/purposes lists them")
		}
	}
	return f.file, f.invalid.Err()
}

// describe reads the fields that stand after the file, and gives what all of
// them say.
func (f *form) describe() (sluice.NewFile, error) {
	if err := f.fields(); err != nil {
		return sluice.NewFile{}, err
	}
	n := sluice.NewFile{
		Purpose: f.purpose, Filename: f.filename, Title: f.title, Metadata: f.metadata,
		Type: f.file.part.Header.Get("Content-Type"),
	}
	if n.Filename == "" {
		n.Filename = f.file.name
	}
	return n, f.invalid.Err()
}

// fields reads parts up to the file, or to the end when the file has been.
func (f *form) fields() error {
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
		if name == "file" && f.file != nil {
			f.invalid.Add("file", "too_many", "a form brings one file")
			return f.invalid.Err()
		}
		if name == "file" {
			f.file = &filePart{f, part, unescapeFilename(params["filename"])}
			return nil
		}
		if err := f.field(name, part); err != nil {
			return err
		}
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

// field takes one field of text.
func (f *form) field(name string, part io.Reader) error {
	limit := int64(maxField)
	if name == "metadata" {
		limit = maxBody
	}
	value, err := io.ReadAll(io.LimitReader(part, limit+1))
	if err != nil {
		return broken(err)
	}
	key, isPair := strings.CutPrefix(name, "metadata[")
	key, closed := strings.CutSuffix(key, "]")
	isPair = isPair && closed
	param := clean(name)
	if isPair {
		param = "metadata." + clean(key)
	}
	_, taken := f.metadata[key]
	switch {
	case int64(len(value)) > limit:
		f.invalid.Add(param, "too_long", "%s is longer than %d bytes", param, limit)
	case f.seen[name], isPair && taken:
		f.invalid.Add(param, "invalid", "%s is given more than once", param)
	case isPair:
		f.metadata[key] = string(value)
	case name == "metadata":
		f.addMetadata(value)
	case name == "purpose":
		f.purpose = string(value)
	case name == "title":
		f.title = string(value)
	case name == "filename":
		f.filename = string(value)
	default:
		f.invalid.Add(param, "unknown", "there is no field %q here", param)
	}
	f.seen[name] = true
	return nil
}

// addMetadata takes metadata that came as one JSON object.
func (f *form) addMetadata(value []byte) {
	var pairs map[string]*string
	if err := jsonFormat.Unmarshal(value, &pairs); err != nil || pairs == nil {
		f.invalid.Add("metadata", "invalid", "metadata is not a JSON object of texts")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		_, taken := f.metadata[key]
		switch param := "metadata." + clean(key); {
		case taken:
			f.invalid.Add(param, "invalid", "%s is given more than once", param)
		case pairs[key] == nil:
			f.invalid.Add(param, "invalid", "%s is not a text", param)
		default:
			f.metadata[key] = *pairs[key]
		}
	}
}

// Read gives the bytes of the file, which count against no budget here.
func (p *filePart) Read(b []byte) (int, error) {
	p.form.text.open = true
	n, err := p.part.Read(b)
	p.form.text.open = false
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

// broken says what is wrong with a form that cannot be read to its end.
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
		return sluice.Wrap(sluice.CodeValidation, "the body ended before the form did", err)
	}
	return sluice.Wrap(sluice.CodeValidation, "the form is malformed", err)
}

// flow reads a body that may take as long as it likes while bytes come.
type flow struct {
	body  io.Reader
	rc    *http.ResponseController
	stall time.Duration
	armed time.Time
}

// flowing gives the body of r as a flow. Its answer may be written only after
// stop was called.
func (s *Server) flowing(w http.ResponseWriter, r *http.Request) (body io.Reader, stop func()) {
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{})
	return &flow{body: r.Body, rc: rc, stall: s.stall}, func() {
		_ = rc.SetWriteDeadline(time.Now().Add(answerTimeout))
	}
}

func (f *flow) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(f.armed) > f.stall/30 {
		f.armed = now
		_ = f.rc.SetReadDeadline(now.Add(f.stall))
	}
	n, err := f.body.Read(p)
	if err == io.EOF {
		// From here on the connection is watched for the peer's leaving,
		// which must not be mistaken for a time without a byte.
		_ = f.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}
