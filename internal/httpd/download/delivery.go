package download

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"sluice/internal/gate"
	"sluice/internal/httpd"
)

// How many bytes of a file go out at a time, unless it is in memory. Each piece has its own deadline, which a slow
// reader meets when some bytes of the piece flow.
const (
	fileChunk   = 4 << 20  // to the kernel
	copiedChunk = 64 << 10 // from remote storage
)

// delivery sends the bytes of a file. They go from a file to the socket by sendfile(2): the ReadFrom of the connection
// gets an *os.File in an io.LimitedReader, for which it uses that call. Bytes in memory go out as they are.
type delivery struct {
	to    io.ReaderFrom
	rc    responseController
	holds bool // whether the connection may be able to hold back the head of the answer
	limit httpd.Transfer
	// The current window began at this time, after this many bytes.
	window time.Time
	before int64
	ctx    context.Context // of the request
	sent   int64
	memory bytes.Reader // of content that is in memory
	// unreadable reports that the content, and not the connection, failed or ended early.
	unreadable bool
}

// responseController is what a delivery needs of an http.ResponseController.
type responseController interface {
	SetWriteDeadline(time.Time) error
	Flush() error
}

// failed reports whether the content made sending fail. When the client has gone, reads from remote storage fail
// because of that, which does not count.
func (d *delivery) failed() bool { return d.unreadable && context.Cause(d.ctx) != context.Canceled }

func newDelivery(w http.ResponseWriter, r *http.Request, limit httpd.Transfer) *delivery {
	d := &delivery{rc: http.NewResponseController(w), limit: limit, window: time.Now(), ctx: r.Context()}
	if to, ok := w.(io.ReaderFrom); ok {
		d.to, d.holds = to, true
	} else {
		d.to = plainCopy{w}
	}
	return d
}

// held is content that is completely in memory.
type held interface{ Bytes() []byte }

// send sends one part of content, which is not empty.
func (d *delivery) send(content io.ReadSeeker, p gate.ByteRange) error {
	if h, ok := content.(held); ok {
		b := h.Bytes()
		if p.From+p.Length > int64(len(b)) {
			d.unreadable = true
			return io.ErrUnexpectedEOF
		}
		d.memory.Reset(b[p.From : p.From+p.Length])
		content, p.From = &d.memory, 0
	}
	if !isHere(content) {
		content = &watched{content, d}
	}
	if at, err := content.Seek(p.From, io.SeekStart); err != nil || at != p.From {
		d.unreadable = true
		return errors.Join(err, io.ErrUnexpectedEOF)
	}
	if isHere(content) && d.holds && httpd.HoldHead(d.ctx) {
		if err := d.flush(); err != nil {
			return err
		}
	}
	for done := int64(0); done < p.Length; {
		n, err := d.piece(content, p.Length-done)
		d.sent, done = d.sent+n, done+n
		if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) && isHere(content) && !d.tooSlow() {
			// The reader is slow and has not stalled. Read the bytes again that were not sent.
			_, err = content.Seek(p.From+done, io.SeekStart)
		}
		if err != nil {
			if f, ok := content.(*os.File); ok {
				// An error of sendfile(2) does not tell which side failed.
				var b [1]byte
				n, _ := f.ReadAt(b[:], p.From+done)
				d.unreadable = n == 0
			}
			return err
		}
	}
	return nil
}

// watched is content that notes when reading it fails, also by a panic.
type watched struct {
	io.ReadSeeker
	by *delivery
}

func (w *watched) Read(p []byte) (int, error) {
	w.by.unreadable = true
	n, err := w.ReadSeeker.Read(p)
	w.by.unreadable = err != nil && err != io.EOF
	return n, err
}

// tooSlow reports whether the reader is slower than the limit. It is checked when a piece took longer than a transfer
// may stall.
func (d *delivery) tooSlow() bool {
	now := time.Now()
	if now.Sub(d.window) < d.limit.Window {
		return false
	}
	slow := d.sent-d.before < d.limit.Bytes
	d.window, d.before = now, d.sent
	return slow
}

// piece sends the next bytes of content, of which left remain, and returns how many the connection took.
func (d *delivery) piece(content io.Reader, left int64) (n int64, err error) {
	_ = d.rc.SetWriteDeadline(time.Now().Add(d.limit.Stall))
	if b, ok := content.(*bytes.Reader); ok {
		n, err = d.to.ReadFrom(b)
	} else {
		chunk := int64(copiedChunk)
		if isHere(content) {
			chunk = fileChunk
		}
		left = min(left, chunk)
		n, err = d.to.ReadFrom(&io.LimitedReader{R: content, N: left})
	}
	if flushed := d.flush(); flushed != nil {
		return 0, flushed // net/http buffered some of it, and how much of that went out is unknown
	}
	if err == nil && n < left {
		d.unreadable = true
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// isHere reports whether reading content again is free.
func isHere(content io.Reader) bool {
	switch content.(type) {
	case *os.File, *bytes.Reader:
		return true
	}
	return false
}

func (d *delivery) flush() error {
	if err := d.rc.Flush(); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// plainCopy copies to a writer without a ReadFrom of its own.
type plainCopy struct{ w io.Writer }

func (p plainCopy) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{p.w}, r)
}
