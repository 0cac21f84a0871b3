package console

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/service"
)

// uploadForm is the form by which a file is uploaded.
type uploadForm struct {
	Form     *fields
	Purposes []sluice.Purpose
	Open     bool // whether the part that is shown on demand has something to say
}

var uploadParams = []string{"purpose", "file", "title", "linked_resources", "metadata"}

// usualPurpose is the purpose that a new form has, where it is configured.
const usualPurpose = "attachment"

func (v *visit) newUploadForm(values url.Values) uploadForm {
	if values == nil {
		values = url.Values{"purpose": {usualPurpose}}
	}
	return uploadForm{Form: newFields(values, uploadParams...), Purposes: v.svc.Purposes()}
}

func (v *visit) showUpload() error { return v.render("upload", v.newUploadForm(nil)) }

// uploaded is the answer to the module that uploads.
type uploaded struct {
	Path string `json:"path"` // of the page of the file
	Name string `json:"name"`
}

// upload stores a file of a form. The fields stand before the file, as in the form of the page. The module of the page
// wants JSON; a browser without a script gets a page.
func (v *visit) upload() error {
	wantsJSON := v.r.Header.Get("Accept") == "application/json"
	in, stop := v.arriving()
	up := &incoming{body: in, contentType: v.r.Header.Get("Content-Type"), values: url.Values{}}
	f, err := v.store(up)
	stop()
	switch {
	case err == nil && wantsJSON:
		out := uploaded{v.path("/files/" + f.ID), fileName(f)}
		v.call.Answer(v.w, http.StatusCreated, "application/json", out)
		return nil
	case err == nil:
		return v.redirect(did(v.path("/files/"+f.ID), "file-uploaded"))
	case wantsJSON:
		v.call.Fail(v.w, v.r, err)
		return nil
	}
	p := v.newUploadForm(up.values)
	if !p.Form.fail("The file was not uploaded", err) {
		return err
	}
	for _, name := range []string{"title", "linked_resources", "metadata"} {
		p.Open = p.Open || p.Form.Problem(name) != ""
	}
	return v.show(v.call.Problem(v.r.Context(), err).Status, "upload", p)
}

func (v *visit) store(up *incoming) (sluice.File, error) {
	if err := up.untilFile(); err != nil {
		return sluice.File{}, err
	}
	// A browser that is closed ends the body early. One that has sent the whole body may close its side of the
	// connection, which cancels the context.
	created, err := v.svc.Files.Create(context.WithoutCancel(v.r.Context()), v.caller, up.values.Get("purpose"),
		up, up.describe)
	return created.File, err
}

// Limits of the form of an upload, apart from its file.
const (
	maxUploadFields = 20
	maxUploadText   = 64 << 10 // bytes, with the heads of the parts
)

// incoming is a form with a file (RFC 7578) as it comes in.
type incoming struct {
	body        io.Reader
	contentType string
	values      url.Values // of the fields before the file
	left        int        // bytes that may come beside those of the file
	inFile      bool
	parts       *multipart.Reader
	file        *multipart.Part
}

// bounded is the body of the form, bounded outside of the file.
type bounded struct{ *incoming }

func (t bounded) Read(p []byte) (int, error) {
	if t.inFile {
		return t.body.Read(p)
	}
	if t.left <= 0 {
		return 0, sluice.Errorf(sluice.CodeTooLarge, "the form holds more than %d bytes beside the file", maxUploadText)
	}
	n, err := t.body.Read(p[:min(len(p), t.left)])
	t.left -= n
	return n, err
}

// untilFile reads the fields before the file.
func (i *incoming) untilFile() error {
	kind, params, err := mime.ParseMediaType(i.contentType)
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return sluice.Errorf(sluice.CodeUnsupportedType, "an upload is a form of the type multipart/form-data")
	}
	i.left = maxUploadText
	i.parts = multipart.NewReader(bounded{i}, params["boundary"])
	for count := 0; ; count++ {
		part, err := i.parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return broken(err)
		}
		if part.FormName() == "file" {
			i.file = part
			break
		}
		if count == maxUploadFields {
			return sluice.Errorf(sluice.CodeTooLarge, "the form has more than %d fields", maxUploadFields)
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return broken(err)
		}
		i.values.Add(part.FormName(), string(value))
	}
	if i.file == nil || partName(i.file) == "" { // a form without a choice sends an empty part
		var v sluice.Invalid
		v.Add("file", "required", "choose a file")
		return v.Err()
	}
	return nil
}

// partName is the declared name of a part, with the escapes of browsers undone (WHATWG HTML, multipart form data).
func partName(part *multipart.Part) string {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return part.FileName()
	}
	return strings.NewReplacer("%22", `"`, "%0D", "\r", "%0A", "\n").Replace(params["filename"])
}

// Read reads the bytes of the file.
func (i *incoming) Read(p []byte) (int, error) {
	i.inFile = true
	n, err := i.file.Read(p)
	i.inFile = false
	if err != nil && err != io.EOF {
		err = broken(err)
	}
	return n, err
}

// describe reads the details of the file. What comes after the file is ignored.
func (i *incoming) describe() (service.NewFile, error) {
	n := service.NewFile{
		Purpose: i.values.Get("purpose"), Title: strings.TrimSpace(i.values.Get("title")), Filename: partName(i.file),
		Type: i.file.Header.Get("Content-Type"),
	}
	var v sluice.Invalid
	for line := range filled(i.values.Get("linked_resources")) {
		kind, id, ok := strings.Cut(line, ":")
		if !ok {
			v.Add("linked_resources", "invalid", "each line has the form type:id, such as invoice:4711")
			break
		}
		n.Linked = append(n.Linked, sluice.Resource{Type: strings.TrimSpace(kind), ID: strings.TrimSpace(id)})
	}
	for line := range filled(i.values.Get("metadata")) {
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			v.Add("metadata", "invalid", "each line has the form key=value, such as case=2026-17")
			break
		}
		if n.Metadata == nil {
			n.Metadata = sluice.Metadata{}
		}
		n.Metadata[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return n, v.Err()
}

// filled yields the lines of a text that are not blank.
func filled(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && !yield(line) {
				return
			}
		}
	}
}

// broken is the error for a form that cannot be read to its end.
func broken(err error) error {
	if e, ok := errors.AsType[*sluice.Error](err); ok {
		return e
	}
	return sluice.Wrap(sluice.CodeValidation, "the upload ended early", err)
}

// arriving is the body of an upload, which may take as long as bytes come.
type arriving struct {
	call  *httpd.Call
	body  io.Reader
	rc    *http.ResponseController
	armed time.Time
}

// arriving returns the body of the request. Call stop before the answer is written.
func (v *visit) arriving() (body *arriving, stop func()) {
	rc := http.NewResponseController(v.w)
	_ = rc.SetWriteDeadline(time.Time{})
	return &arriving{call: v.call, body: v.r.Body, rc: rc}, func() {
		_ = rc.SetWriteDeadline(time.Now().Add(httpd.AnswerTimeout))
	}
}

func (a *arriving) Read(p []byte) (int, error) {
	stall := a.call.Transfer().Stall
	if now := time.Now(); now.Sub(a.armed) > stall/30 {
		a.armed = now
		_ = a.rc.SetReadDeadline(now.Add(stall))
	}
	n, err := a.body.Read(p)
	a.call.Received += int64(n)
	if err == io.EOF {
		_ = a.rc.SetReadDeadline(time.Time{}) // from here on the server watches for the browser to go away
	}
	return n, err
}

// Types are the media types of a purpose for the accept attribute of a file input, "" for any.
func (u uploadForm) Types() string {
	chosen := u.Form.Get("purpose")
	i := slices.IndexFunc(u.Purposes, func(p sluice.Purpose) bool { return p.Name == chosen })
	if i < 0 {
		return ""
	}
	return strings.Join(u.Purposes[i].Types, ",")
}
