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

// DownloadOptions says what a download needs and must be. The zero value is enough for most links.
type DownloadOptions struct {
	Password string // of a link that has one
	SHA256   string // of the file in hexadecimal, if the caller knows it: any other content is refused
	MaxSize  int64  // largest file to take, in bytes; sluice.MaxFileSize when it is zero
}

// Downloaded tells of a file that was downloaded.
type Downloaded struct {
	Size   int64  // bytes
	SHA256 string // of the content, lower-case hexadecimal
}

// Download writes the file behind the URL of a link to w. The client's key is not sent, so a Client without a key will
// do, and the link may be one of any server.
//
// When the connection breaks, the download goes on where it stopped, in the same file. The content is right when the
// error is nil: its SHA-256 is that of DownloadOptions.SHA256 and that of the server's Repr-Digest, as far as they are
// there. When neither is, the download is refused with ErrDigest before w gets anything. A server that sends its files
// through a redirect to a bucket names no digest.
//
// After any other error w has a part of the file. A link that has ended, or does not let the caller in, is an *Error
// with a Reason. When a link has a number of downloads, a download counts once, and again if it goes on later than ten
// minutes after it began.
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
		return Downloaded{}, fmt.Errorf("%w: got %x in the place of %x", ErrDigest, sum, d.want)
	}
	return Downloaded{Size: d.got, SHA256: hex.EncodeToString(sum)}, nil
}

// DownloadFile writes the file behind the URL of a link to a file at path, under the promises of Download. The file
// appears, or replaces the one that was there, when it is whole, right and durable. Until then the content is in a
// file with another name in the same folder, which is removed when the download fails; a process that is killed
// leaves it. The file can be read by its owner only.
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

// goodPart is how much an attempt must receive to count as the first one again, in bytes.
const goodPart = 1 << 20

// download is a file on its way in.
type download struct {
	c    *Client
	link *url.URL
	w    io.Writer
	o    DownloadOptions

	begun bool
	size  int64  // bytes; -1 when it is not known
	tag   string // its strong entity tag; "" when it has none
	want  []byte // its SHA-256
	got   int64  // bytes written to w
	sum   hash.Hash
}

func (c *Client) newDownload(link string, w io.Writer, o DownloadOptions) (*download, error) {
	u, err := url.Parse(link)
	if err != nil || !isHTTP(u) || u.User != nil { // what it holds instead may be a secret
		return nil, errors.New("the URL of the link is not an http or https URL without a user name")
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

// attempt receives what is missing, or a part of it.
func (d *download) attempt(ctx context.Context) error {
	dog := watch(ctx, d.c.times.answer)
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

// maxRedirects is how often an attempt is redirected at most.
const maxRedirects = 3

// open asks for what is missing, and gives an answer of status 200 or 206.
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
	return nil, fmt.Errorf("%w: it redirects more than %d times", ErrProtocol, maxRedirects)
}

// target reads where an answer redirects to, and closes it.
func target(res *http.Response) (*url.URL, error) {
	res.Body.Close()
	from := res.Request.URL
	to, err := from.Parse(res.Header.Get("Location"))
	if err != nil || !isHTTP(to) || to.User != nil || from.Scheme == "https" && to.Scheme != "https" {
		return nil, fmt.Errorf("%w: it redirects to where no file can be, or to an unprotected connection", ErrProtocol)
	}
	return to, nil
}

// request asks for what is missing. The password goes to the server of the link alone, and the key goes nowhere.
func (d *download) request(ctx context.Context, at *url.URL) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", d.c.agent)
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Accept-Encoding", "identity") // else ranges would be those of a compressed file
	if d.o.Password != "" && at.Scheme == d.link.Scheme && at.Host == d.link.Host {
		req.SetBasicAuth("", d.o.Password) // unlike a header, it carries every character
	}
	if d.got > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(d.got, 10)+"-")
		if d.tag != "" {
			req.Header.Set("If-Range", d.tag)
		}
	}
	return req, nil
}

// check holds the head of an answer to what was asked for, and to the answers before. It gives how many bytes the
// client has already.
func (d *download) check(res *http.Response) (skip int64, err error) {
	tag := res.Header.Get("ETag")
	if strings.HasPrefix(tag, "W/") {
		tag = ""
	}
	size := res.ContentLength
	if res.StatusCode == http.StatusPartialContent {
		var first int64
		if first, size, err = contentRange(res.Header.Get("Content-Range")); err != nil || d.got == 0 || first != d.got {
			return 0, fmt.Errorf("%w: it is another range than the one asked for", ErrProtocol)
		}
	}
	switch coding := res.Header.Get("Content-Encoding"); {
	case coding != "" && !strings.EqualFold(coding, "identity"):
		return 0, fmt.Errorf("%w: the file is encoded, which was not asked for", ErrProtocol)
	case d.begun && (tag != d.tag || d.size >= 0 && size != d.size):
		return 0, fmt.Errorf("%w: the file is not the one that the download began with", ErrProtocol)
	case size > d.o.MaxSize:
		return 0, fmt.Errorf("%w: %d bytes, and at most %d", ErrTooLarge, size, d.o.MaxSize)
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

// expect settles the digest that the content must have.
func (d *download) expect(promised []byte) error {
	switch {
	case d.want == nil && promised == nil:
		return fmt.Errorf("%w: the server names none, and neither does the caller", ErrDigest)
	case d.want == nil:
		d.want = promised
	case promised != nil && !bytes.Equal(promised, d.want):
		return fmt.Errorf("%w: the server has a file with %x in the place of %x", ErrDigest, promised, d.want)
	}
	return nil
}

// receive writes what comes to w.
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

// contentRange reads a Content-Range (RFC 9110 section 14.4) that reaches to the end of a file.
func contentRange(text string) (first, size int64, err error) {
	var last int64
	if _, err = fmt.Sscanf(text, "bytes %d-%d/%d", &first, &last, &size); err == nil && last != size-1 {
		err = errors.New("it ends before the file does")
	}
	return first, size, err
}

// reprDigest reads the SHA-256 of Repr-Digest (RFC 9530), nil when there is none.
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
