package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"

	"sluice/api"
)

// NewFile describes an upload. Only Purpose is required.
type NewFile struct {
	Purpose         string            // name of a purpose, which sets the file's rules
	Filename        string            // name for downloads, up to 255 characters
	Title           string            // name for people, up to 255 characters
	Type            string            // media type; "" lets the server derive it from Filename
	Metadata        map[string]string // up to 50 keys of up to 40 characters, with values of up to 500
	LinkedResources []api.Resource    // objects of the caller's own system that the file belongs to, up to 50
	SHA256          string            // digest of the content in hexadecimal, if known; other content is refused
	Link            *api.NewLink      // mints a link in the same call; nil for none
}

// Upload stores content as a file and returns once the file is durable. It streams content through a small buffer. If
// content is an io.Seeker, it is sent from its current offset to its end.
//
// The client hashes what it sends. If the server reports another SHA-256, Upload returns the stored file and ErrDigest.
//
// Upload retries a temporary failure if content is an io.Seeker that can return to its starting offset, or if nothing
// was read yet. Otherwise the first such failure is returned. The server keeps nothing of a failed upload. Content is
// not read after Upload returns, except by a Read that was blocked when the context was done.
func (c *Client) Upload(
	ctx context.Context, content io.Reader, f NewFile, options ...ChangeOption,
) (api.CreatedFile, error) {
	r, err := change(http.MethodPost, filesPath, nil, options)
	if err != nil {
		return api.CreatedFile{}, err
	}
	form, err := newForm(f)
	if err != nil {
		return api.CreatedFile{}, err
	}
	up := &upload{c: c, request: r, form: form, content: content, length: -1}
	if err := up.measure(); err != nil {
		return api.CreatedFile{}, err
	}
	var created api.CreatedFile
	err = c.retry(ctx, func() (bool, error) {
		if err := up.rewind(); err != nil {
			return false, err
		}
		created, err = up.attempt(ctx)
		return false, up.final(err)
	})
	return created, err
}

// upload is the state of an upload.
type upload struct {
	c       *Client
	request *request
	form    *form
	content io.Reader
	seeker  io.Seeker // content, if it can be sent again
	start   int64     // content's starting offset, if it is a seeker
	length  int64     // of content; -1 if unknown
	last    *source   // content in the last attempt; nil before the first
}

// measure determines the length of content and whether it can be sent again.
func (u *upload) measure() error {
	seeker, ok := u.content.(io.Seeker)
	if !ok {
		return nil
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil // such as a pipe, which is an *os.File
	}
	end, err := seeker.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = seeker.Seek(start, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("content: %w", err)
	}
	u.seeker, u.start, u.length = seeker, start, max(0, end-start)
	return nil
}

// rewind prepares content to be sent again.
func (u *upload) rewind() error {
	if u.last == nil || !u.last.begun.Load() {
		return nil
	}
	if _, err := u.seeker.Seek(u.start, io.SeekStart); err != nil {
		return fmt.Errorf("content: %w", err)
	}
	return nil
}

// final makes an error permanent if content cannot be sent again.
func (u *upload) final(err error) error {
	if err == nil || u.seeker != nil || u.last == nil || !u.last.begun.Load() {
		return err
	}
	if b, ok := errors.AsType[*connectionError](err); ok {
		return b.error
	}
	return err
}

// attempt sends the file once. It does not send Expect: 100-continue. A net/http server that refuses such a request
// while it receives the body resets the connection, and its response is lost.
func (u *upload) attempt(ctx context.Context) (created api.CreatedFile, err error) {
	dog := watch(ctx, u.c.times.response)
	defer dog.end()
	source := &source{
		ctx: dog.ctx, r: u.content, quick: u.seeker != nil, sum: sha256.New(), turn: make(chan struct{}, 1),
	}
	u.last = source
	var content io.Reader = source
	if u.length >= 0 {
		content = io.LimitReader(source, u.length)
	}
	body := io.MultiReader(bytes.NewReader(u.form.head), content, strings.NewReader(u.form.tail))
	req, err := u.c.newRequest(dog.ctx, u.request, &watchedUpload{body, dog, u.c.times})
	if err != nil {
		return created, err
	}
	req.Header.Set("Content-Type", u.form.contentType)
	if u.length >= 0 {
		req.ContentLength = int64(len(u.form.head)) + u.length + int64(len(u.form.tail))
	}
	data, err := u.exchange(req)
	source.done.Store(true)
	if err == nil && !source.whole(u.length) {
		return created, fmt.Errorf("%w: it arrived before the file was sent", ErrProtocol)
	}
	if err == nil || u.seeker != nil { // without a seeker, a Read may block indefinitely
		if err := source.settle(ctx); err != nil {
			return created, err
		}
	}
	if failed := source.failure(); failed != nil {
		return created, fmt.Errorf("content: %w", failed)
	}
	if err != nil {
		return created, err
	}
	if created, err = decode[api.CreatedFile](data, "file"); err != nil {
		return created, err
	}
	if sent := hex.EncodeToString(source.sum.Sum(nil)); created.SHA256 != sent {
		return created, fmt.Errorf("%w: sent %s, stored %.64q", ErrDigest, sent, created.SHA256)
	}
	return created, nil
}

func (u *upload) exchange(req *http.Request) ([]byte, error) {
	res, err := u.c.do(req)
	if err != nil {
		return nil, err
	}
	data, err := readAll(res.Body, maxDocument)
	if err != nil && !errors.Is(err, ErrProtocol) {
		err = broken(req, err)
	}
	return data, err
}

// source is content during one attempt. The transport may read it even after the response; done stops that. A Read of
// content that is not a seeker may block, as on a pipe. It is abandoned when the attempt ends.
type source struct {
	ctx   context.Context // context of the attempt
	r     io.Reader
	quick bool         // whether Read does not block
	begun atomic.Bool  // whether Read was called
	done  atomic.Bool  // whether Read must stop
	ended atomic.Bool  // whether r reached io.EOF
	n     atomic.Int64 // bytes read

	turn chan struct{} // holds a value while r is read; guards the fields below
	buf  []byte        // an abandoned Read may write to it
	sum  hash.Hash
	err  error // of r, except io.EOF
}

var errStopped = errors.New("the upload has ended")

func (s *source) Read(p []byte) (int, error) {
	select {
	case s.turn <- struct{}{}:
	case <-s.ctx.Done():
		return 0, errStopped
	}
	if s.done.Load() {
		<-s.turn
		return 0, errStopped
	}
	s.begun.Store(true)
	if s.quick {
		defer func() { <-s.turn }()
		return s.read(p)
	}
	return s.readBehind(p)
}

// readBehind reads in the background. If the attempt ends first, the turn is never released.
func (s *source) readBehind(p []byte) (int, error) {
	if s.buf == nil {
		s.buf = make([]byte, 64<<10)
	}
	type result struct {
		n   int
		err error
	}
	buf, done := s.buf[:min(len(p), len(s.buf))], make(chan result, 1)
	go func() {
		n, err := s.read(buf)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		copy(p, buf[:r.n])
		<-s.turn
		return r.n, r.err
	case <-s.ctx.Done():
		return 0, errStopped
	}
}

func (s *source) read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum.Write(p[:n])
	s.n.Add(int64(n))
	s.ended.Store(err == io.EOF)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// whole reports whether all of content was read: length bytes or, if length is -1, up to io.EOF.
func (s *source) whole(length int64) bool {
	return length >= 0 && s.n.Load() >= length || s.ended.Load()
}

// settle waits for a Read in progress.
func (s *source) settle(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		<-s.turn
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failure returns the error of content, if a Read failed.
func (s *source) failure() error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
		return s.err
	default:
		return nil
	}
}

// watchedUpload is the body of an upload. The time to send it is limited; the time to read it is not.
type watchedUpload struct {
	r     io.Reader
	dog   *watchdog
	times times
}

func (w *watchedUpload) Read(p []byte) (int, error) {
	w.dog.pause()
	n, err := w.r.Read(p)
	if err == nil {
		w.dog.await(w.times.stall)
	} else {
		w.dog.await(w.times.commit)
	}
	return n, err
}

// form is a multipart/form-data body (RFC 7578) around content. The fields come before the content, so that the server
// can refuse early, and not in the URL, which proxies log.
type form struct {
	head        []byte
	tail        string
	contentType string
}

func newForm(f NewFile) (*form, error) {
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	fields, err := formFields(f)
	for _, field := range fields {
		if err == nil {
			err = w.WriteField(field[0], field[1])
		}
	}
	header := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename=""`}}
	if f.Type != "" {
		header.Set("Content-Type", f.Type)
	}
	if f.SHA256 != "" && err == nil {
		var digest []byte
		digest, err = parseSHA256(f.SHA256)
		header.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(digest)+":")
	}
	if strings.ContainsAny(f.Type, "\r\n") {
		err = errors.New("the media type contains a line break")
	}
	if err == nil {
		_, err = w.CreatePart(header)
	}
	return &form{head.Bytes(), "\r\n--" + w.Boundary() + "--\r\n", w.FormDataContentType()}, err
}

// formFields returns the names and values of the fields that are not empty.
func formFields(f NewFile) (fields [][2]string, err error) {
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, [2]string{name, value})
		}
	}
	addJSON := func(name string, value any, n int) {
		if n > 0 && err == nil {
			var data []byte
			data, err = json.Marshal(value)
			add(name, string(data))
		}
	}
	add("purpose", f.Purpose)
	add("filename", f.Filename)
	add("title", f.Title)
	addJSON("metadata", f.Metadata, len(f.Metadata))
	addJSON("linked_resources", f.LinkedResources, len(f.LinkedResources))
	if f.Link == nil {
		return fields, err
	}
	// Any link field mints a link, so always send one.
	fields = append(fields, [2]string{"link[reason]", f.Link.Reason})
	if l := f.Link.ExpiresInSeconds; l != nil {
		text := strconv.FormatInt(int64(*l), 10)
		if *l == api.Endless {
			text = api.EndlessName
		}
		add("link[expires_in_seconds]", text)
	}
	if at := f.Link.ExpiresAt; at != nil {
		add("link[expires_at]", strconv.FormatInt(*at, 10))
	}
	if most := f.Link.MaxDownloads; most != nil {
		add("link[max_downloads]", strconv.FormatInt(*most, 10))
	}
	if f.Link.Password != nil {
		fields = append(fields, [2]string{"link[password]", *f.Link.Password})
	}
	addJSON("link[metadata]", f.Link.Metadata, len(f.Link.Metadata))
	add("link[allowed_ips]", strings.Join(f.Link.AllowedIPs, ","))
	add("link[disposition]", f.Link.Disposition)
	add("link[filename]", f.Link.Filename)
	return fields, err
}

func parseSHA256(text string) ([]byte, error) {
	digest, err := hex.DecodeString(text)
	if err != nil || len(digest) != sha256.Size {
		return nil, fmt.Errorf("the SHA-256 %.70q is not %d hexadecimal digits", text, 2*sha256.Size)
	}
	return digest, nil
}
