package native

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/service"
)

// upload is a file that arrives as a form or as a raw body.
type upload interface {
	// open reads what comes before the content, and returns the content.
	open() (purpose string, content io.Reader, err error)
	// describe reads what comes after the content, and returns the description of the file.
	describe() (service.NewFile, error)
	// said is everything that the client has said of the file so far.
	said() string
}

// createFile stores the file of a form or of a raw body. It streams the bytes to storage, and keeps nothing of an
// upload that fails.
func (s *face) createFile(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	created, err := c.store(w, r, func(in *flow) (upload, error) { return c.upload(in, r) })
	if err != nil {
		c.Fail(w, r, err)
		return
	}
	file, err := wireFile(c, created.File)
	if err != nil {
		c.Fail(w, r, err)
		return
	}
	out := api.CreatedFile{File: file}
	if created.Link != nil {
		link, err := changedLink(c, *created.Link)
		if err != nil {
			c.Fail(w, r, err)
			return
		}
		out.Link = &link
	}
	data, err := c.Encode(file)
	if err != nil {
		c.Fail(w, r, err)
		return
	}
	c.Header.Set("ETag", data.EntityTag(created.File.Version()))
	c.Header.Set("Location", s.svc.PublicURL()+"/v1/files/"+file.ID)
	c.MarkReplayed()
	c.Answer(w, http.StatusCreated, "application/json", out)
}

// store passes an upload to the service; begin finds out its form.
func (c *call) store(
	w http.ResponseWriter,
	r *http.Request,
	begin func(*flow) (upload, error),
) (service.CreatedFile, error) {
	in, stop := c.flowing(w, r)
	defer stop()
	up, err := begin(in)
	if err != nil {
		return service.CreatedFile{}, c.recognise("", err, in)
	}
	purpose, content, err := up.open()
	if err != nil {
		return service.CreatedFile{}, c.recognise(up.said(), err, in)
	}
	// A client that closes the connection ends the body early. A client that has sent the whole body may close its
	// side of the connection, which cancels the context.
	created, err := c.Service().Files.Create(context.WithoutCancel(r.Context()), c.Caller, purpose, content, up.describe)
	if err != nil {
		return created, c.recognise(up.said(), err, in)
	}
	return created, nil
}

// recognise completes the fingerprint of a failed upload, so that a repeat of it gets the same answer. When the
// service has read the fields and the content, the fingerprint covers them. Before that, it covers the fields so far
// and the error, since the answer depends on nothing else. An upload that ended early has no fingerprint.
func (c *call) recognise(said string, err error, in *flow) error {
	once := c.Caller.IdempotencyKey
	if once == nil || in.broke {
		return err
	}
	c.Whole = true
	if slices.Equal(once.Fingerprint, c.Fingerprint()) {
		once.Fingerprint = c.Fingerprint("failed", said, err.Error())
	}
	return err
}

// upload finds out the form of an upload.
func (c *call) upload(in *flow, r *http.Request) (upload, error) {
	if err := httpd.CheckEncoding(r); err != nil {
		return nil, err
	}
	declared := r.Header.Get("Content-Type")
	// A malformed form is still a form: its body is no file.
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(declared)), "multipart/") {
		return c.formUpload(in, r, declared)
	}
	return c.rawUpload(in, r, declared)
}

// formUpload is an upload whose file is a part of a form.
type formUpload struct{ *form }

func (c *call) formUpload(in io.Reader, r *http.Request, declared string) (upload, error) {
	if err := refuseQuery(r.URL); err != nil {
		return nil, err
	}
	var v sluice.Invalid
	digests := httpd.Promised(r.Header, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	if digests != nil {
		in = io.TeeReader(in, digests)
	}
	form, err := openForm(in, declared)
	if err != nil {
		return nil, err
	}
	form.promised, form.upgrade = digests, c.UpgradeParam
	return formUpload{form}, nil
}

func (u formUpload) open() (string, io.Reader, error) {
	content, err := u.untilFile()
	return u.purpose, content, err
}

// rawUpload is an upload whose body is the file, as curl -T sends it. The query holds what a form has in fields.
type rawUpload struct {
	fields
	call      *call
	body      io.Reader
	length    int64 // -1 when unknown
	mediaType string
	sha256    *sluice.Digest // the declared SHA-256
	promised  *httpd.Promise // the other declared digests
}

func (c *call) rawUpload(in io.Reader, r *http.Request, declared string) (upload, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, sluice.Errorf(sluice.CodeValidation, "the query of the URL is malformed")
	}
	// curl --data sends this type by default.
	if t, _, _ := strings.Cut(declared, ";"); t == "application/x-www-form-urlencoded" {
		declared = ""
	}
	u := &rawUpload{fields: newFields(), call: c, body: in, length: r.ContentLength, mediaType: declared}
	u.upgrade = c.UpgradeParam
	for _, name := range slices.Sorted(maps.Keys(query)) {
		for _, value := range query[name] {
			u.set(name, value)
		}
	}
	u.sha256, u.promised = httpd.Promised(r.Header, &u.invalid).SHA256()
	return u, nil
}

// open refuses what can be refused before the body is read.
func (u *rawUpload) open() (string, io.Reader, error) {
	if u.purpose == "" {
		u.invalid.Add("purpose", "required", "purpose is required, as ?purpose=; GET /v1/purposes lists them")
	}
	if err := u.invalid.Err(); err != nil {
		return "", nil, err
	}
	for _, p := range u.call.Service().Purposes() {
		if p.Name == u.purpose && u.length > p.MaxSize {
			return "", nil, &sluice.Error{
				Code: sluice.CodeTooLarge, Param: "file",
				Detail: fmt.Sprintf("the file is larger than the %d bytes its purpose allows", p.MaxSize),
			}
		}
	}
	return u.purpose, u, nil
}

func (u *rawUpload) describe() (service.NewFile, error) {
	n, err := u.file(u.mediaType)
	n.SHA256 = u.sha256
	return n, cmp.Or(err, u.promised.Check("file"))
}

// Read reads the bytes of the file, and hashes them for the declared digests.
func (u *rawUpload) Read(b []byte) (int, error) {
	n, err := u.body.Read(b)
	if u.promised != nil {
		_, _ = u.promised.Write(b[:n])
	}
	if err != nil && err != io.EOF {
		err = broken(err)
	}
	return n, err
}
