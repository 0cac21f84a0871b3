package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sluice"
)

// DownloadOptions configures a download. The zero value is enough for most links.
type DownloadOptions struct {
	Password string // of the link, if it has one
	SHA256   string // expected digest in hexadecimal, if known; other content is refused
	MaxSize  int64  // size limit in bytes; zero means sluice.MaxFileSize
}

// Downloaded describes a downloaded file.
type Downloaded struct {
	Size   int64  // in bytes
	SHA256 string // of the content, in lower-case hexadecimal
}

// Download writes the file behind the URL of a link to w. It does not send the client's key, so it works with a Client
// without a key, and for links of any server.
//
// If the connection breaks, the download resumes where it stopped. If the error is nil, the SHA-256 of the content
// matches DownloadOptions.SHA256 and the server's Repr-Digest, as far as they are known. If neither is known, Download
// returns ErrDigest and writes nothing. A server that redirects downloads to a bucket sends no Repr-Digest.
//
// After any other error, w holds a part of the file. If the server refuses the download, the error is an *Error with a
// Reason. On a link with a download limit, a download counts once, and again if it resumes more than ten minutes after
// it began.
func (c *Client) Download(ctx context.Context, link string, w io.Writer, o DownloadOptions) (Downloaded, error) {
	d, err := c.newDownload(link, w, o)
	if err != nil {
		return Downloaded{}, err
	}
	err = c.retry(ctx, func() (bool, error) {
		before := d.got
		err := d.attempt(ctx)
		return d.got-before >= goodPart, err
	})
	if err != nil {
		return Downloaded{}, err
	}
	sum := d.sum.Sum(nil)
	if !bytes.Equal(sum, d.want) {
		return Downloaded{}, fmt.Errorf("%w: got %x instead of %x", ErrDigest, sum, d.want)
	}
	return Downloaded{Size: d.got, SHA256: hex.EncodeToString(sum)}, nil
}

// DownloadFile downloads the file behind the URL of a link to path, with the promises of Download. The file at path is
// created or replaced atomically once the content is complete, verified and durable. Until then, the content is in a
// temporary file in the same folder. It is removed if the download fails, but remains if the process is killed. Only
// the file's owner can read it.
func (c *Client) DownloadFile(ctx context.Context, link, path string, o DownloadOptions) (done Downloaded, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".sluice-*.part")
	if err != nil {
		return done, err
	}
	defer func() {
		if err != nil {
			done = Downloaded{}
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if done, err = c.Download(ctx, link, f, o); err != nil {
		return done, err
	}
	if err = f.Sync(); err != nil {
		return done, err
	}
	if err = f.Close(); err != nil {
		return done, err
	}
	return done, os.Rename(f.Name(), path)
}

// goodPart is the number of bytes with which an attempt restores all retries.
const goodPart = 1 << 20

// download is the state of a download.
type download struct {
	c    *Client
	link *url.URL
	w    io.Writer
	o    DownloadOptions

	begun bool
	size  int64  // in bytes; -1 if unknown
	tag   string // strong entity tag; "" if none
	want  []byte // SHA-256
	got   int64  // bytes written to w
	sum   hash.Hash
}

func (c *Client) newDownload(link string, w io.Writer, o DownloadOptions) (*download, error) {
	u, err := url.Parse(link)
	if err != nil || !isHTTP(u) || u.User != nil { // the text may be a secret
		return nil, errors.New("the URL of the link must be an http or https URL without a user name")
	}
	d := &download{c: c, link: u, w: w, o: o, size: -1, sum: sha256.New()}
	if o.SHA256 != "" {
		if d.want, err = parseSHA256(o.SHA256); err != nil {
			return nil, err
		}
	}
	if d.o.MaxSize <= 0 {
		d.o.MaxSize = sluice.MaxFileSize
	}
	return d, nil
}

// attempt receives some or all of the missing bytes.
func (d *download) attempt(ctx context.Context) error {
	dog := watch(ctx, d.c.times.response)
	defer dog.end()
	res, err := d.open(dog.ctx)
	if err != nil {
		return err
	}
	body := &watchedBody{res.Body, res.Request, dog, d.c.times.stall}
	defer body.Close()
	skip, err := d.check(res)
	if err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, body, skip)
	if err == nil {
		err = d.receive(body)
	}
	if err == io.EOF || err == nil && d.got < d.size {
		err = broken(res.Request, io.ErrUnexpectedEOF)
	}
	return err
}

// maxRedirects is the largest number of redirects of an attempt.
const maxRedirects = 3

// open requests the missing bytes and returns a response of status 200 or 206.
func (d *download) open(ctx context.Context) (*http.Response, error) {
	at := d.link
	for range maxRedirects + 1 {
		req, err := d.request(ctx, at)
		if err != nil {
			return nil, err
		}
		res, err := d.c.roundTrip(req)
		if err != nil {
			return nil, err
		}
		switch res.StatusCode {
		case http.StatusOK, http.StatusPartialContent:
			return res, nil
		case http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect:
			if at, err = target(res); err != nil {
				return nil, err
			}
		default:
			return nil, refusal(res)
		}
	}
	return nil, fmt.Errorf("%w: more than %d redirects", ErrProtocol, maxRedirects)
}

// target returns the target of a redirect and closes the response.
func target(res *http.Response) (*url.URL, error) {
	res.Body.Close()
	from := res.Request.URL
	to, err := from.Parse(res.Header.Get("Location"))
	if err != nil || !isHTTP(to) || to.User != nil || from.Scheme == "https" && to.Scheme != "https" {
		return nil, fmt.Errorf("%w: a redirect to an invalid URL or an unencrypted connection", ErrProtocol)
	}
	return to, nil
}

// request returns the request for the missing bytes. The password is sent only to the server of the link, and the key
// nowhere.
func (d *download) request(ctx context.Context, at *url.URL) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", d.c.agent)
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Accept-Encoding", "identity") // ranges must not be those of a compressed file
	if d.o.Password != "" && at.Scheme == d.link.Scheme && at.Host == d.link.Host {
		req.SetBasicAuth("", d.o.Password) // unlike a header, it carries any character
	}
	if d.got > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(d.got, 10)+"-")
		if d.tag != "" {
			req.Header.Set("If-Range", d.tag)
		}
	}
	return req, nil
}

// check compares the head of a response with the request and with earlier responses. It returns the number of bytes to
// skip.
func (d *download) check(res *http.Response) (skip int64, err error) {
	tag := res.Header.Get("ETag")
	if strings.HasPrefix(tag, "W/") {
		tag = ""
	}
	size := res.ContentLength
	if res.StatusCode == http.StatusPartialContent {
		var first int64
		if first, size, err = contentRange(res.Header.Get("Content-Range")); err != nil || d.got == 0 || first != d.got {
			return 0, fmt.Errorf("%w: the range is not the requested one", ErrProtocol)
		}
	}
	switch coding := res.Header.Get("Content-Encoding"); {
	case coding != "" && !strings.EqualFold(coding, "identity"):
		return 0, fmt.Errorf("%w: the file is encoded, which was not requested", ErrProtocol)
	case d.begun && (tag != d.tag || d.size >= 0 && size != d.size):
		return 0, fmt.Errorf("%w: the file has changed since the download began", ErrProtocol)
	case size > d.o.MaxSize:
		return 0, fmt.Errorf("%w: %d bytes, and the limit is %d", ErrTooLarge, size, d.o.MaxSize)
	}
	if res.StatusCode == http.StatusOK {
		skip = d.got
	}
	if d.begun {
		return skip, nil
	}
	d.begun, d.tag, d.size = true, tag, size
	return skip, d.expect(reprDigest(res.Header))
}

// expect sets the digest that the content must have.
func (d *download) expect(promised []byte) error {
	switch {
	case d.want == nil && promised == nil:
		return fmt.Errorf("%w: neither the server nor the caller gives one", ErrDigest)
	case d.want == nil:
		d.want = promised
	case promised != nil && !bytes.Equal(promised, d.want):
		return fmt.Errorf("%w: the server has a file with %x instead of %x", ErrDigest, promised, d.want)
	}
	return nil
}

// receive copies a response body to w.
func (d *download) receive(body io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := body.Read(buf)
		if d.got+int64(n) > d.o.MaxSize {
			return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, d.o.MaxSize)
		}
		if failed := d.write(buf[:n]); failed != nil {
			return fmt.Errorf("writing the file: %w", failed)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (d *download) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	n, err := d.w.Write(p)
	if n < 0 || n > len(p) || err == nil && n < len(p) {
		return io.ErrShortWrite
	}
	d.sum.Write(p[:n])
	d.got += int64(n)
	return err
}

// contentRange parses a Content-Range (RFC 9110 section 14.4), which must extend to the end of the file.
func contentRange(text string) (first, size int64, err error) {
	var last int64
	if _, err = fmt.Sscanf(text, "bytes %d-%d/%d", &first, &last, &size); err == nil && last != size-1 {
		err = errors.New("the range ends before the file does")
	}
	return first, size, err
}

// reprDigest returns the SHA-256 in Repr-Digest (RFC 9530), or nil.
func reprDigest(h http.Header) []byte {
	for _, member := range strings.Split(strings.Join(h.Values("Repr-Digest"), ","), ",") {
		value, ok := strings.CutPrefix(strings.TrimSpace(member), "sha-256=:")
		encoded, _, closed := strings.Cut(value, ":")
		digest, err := base64.StdEncoding.DecodeString(encoded)
		if ok && closed && err == nil && len(digest) == sha256.Size {
			return digest
		}
	}
	return nil
}
