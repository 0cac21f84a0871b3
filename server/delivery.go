package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// How much of a file is handed over at a time. Until the next piece a reader
// may be as slow as it likes, as long as some of this one flows.
const (
	fileChunk   = 4 << 20  // to the kernel
	copiedChunk = 64 << 10 // from what is no file of this machine
	memoryChunk = 16 << 10 // from memory
)

// delivery sends the bytes of a file. They go from file to socket by
// sendfile(2): the connection's own ReadFrom gets what it can do that with, an
// *os.File within an io.LimitedReader.
type delivery struct {
	to    http.ResponseWriter
	rc    *http.ResponseController
	stall time.Duration
	sent  int64
}

// held is content that is in memory as a whole.
type held interface{ Bytes() []byte }

// send sends one part of content.
func (d *delivery) send(content io.ReadSeeker, p byteRange) error {
	if h, ok := content.(held); ok {
		return d.sendBytes(h.Bytes(), p)
	}
	if at, err := content.Seek(p.from, io.SeekStart); err != nil || at != p.from {
		return errors.Join(err, io.ErrUnexpectedEOF)
	}
	chunk := int64(copiedChunk)
	file, _ := content.(*os.File)
	if file != nil {
		chunk = fileChunk
	}
	to, direct := d.to.(io.ReaderFrom)
	if !direct {
		to = plainCopy{d.to}
	}
	for left := p.length; left > 0; {
		d.extend()
		piece := &io.LimitedReader{R: content, N: min(left, chunk)}
		asked := piece.N
		n, err := to.ReadFrom(piece)
		d.sent, left = d.sent+n, left-n
		switch {
		case n > 0 && errors.Is(err, os.ErrDeadlineExceeded) && file != nil:
			// Slow, but not still. What was read and not sent is read again.
			if _, err := file.Seek(piece.N-(asked-n), io.SeekCurrent); err != nil {
				return err
			}
		case err != nil:
			return err
		case n < asked:
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

func (d *delivery) sendBytes(content []byte, p byteRange) error {
	if p.from+p.length > int64(len(content)) {
		return io.ErrUnexpectedEOF
	}
	for content = content[p.from : p.from+p.length]; len(content) > 0; {
		d.extend()
		n, err := d.to.Write(content[:min(len(content), memoryChunk)])
		d.sent, content = d.sent+int64(n), content[n:]
		if err == nil && len(content) == 0 { // the connection may not have the end yet
			err = d.rc.Flush()
		}
		if errors.Is(err, errors.ErrUnsupported) {
			err = nil
		}
		if err != nil { // what of this piece went out is not known
			d.sent -= int64(n)
			return err
		}
	}
	return nil
}

// plainCopy copies to what knows no better way.
type plainCopy struct{ w io.Writer }

func (p plainCopy) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{p.w}, r)
}

func (d *delivery) extend() {
	_ = d.rc.SetWriteDeadline(time.Now().Add(d.stall))
}
