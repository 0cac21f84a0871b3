package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// chunk is how much of a file is handed to the kernel at a time.
const chunk = 4 << 20

// delivery is the writer through which a file leaves. It lets http.ServeContent
// decide what to send, and keeps from it what must be answered in our own form:
// refused is the status of that. Bytes go from file to socket by sendfile(2):
// ReadFrom hands the connection's own ReadFrom what it can do that with, the
// file within an io.LimitedReader. A reader may be as slow as it likes while
// bytes flow.
type delivery struct {
	http.ResponseWriter
	call    *call
	rc      *http.ResponseController
	refused int
}

func (d *delivery) WriteHeader(status int) {
	if status >= 400 {
		d.refused = status
		return
	}
	d.call.status = status
	d.ResponseWriter.WriteHeader(status)
}

func (d *delivery) Write(p []byte) (int, error) {
	if d.refused != 0 {
		return len(p), nil
	}
	d.extend()
	n, err := d.ResponseWriter.Write(p)
	d.call.sent += int64(n)
	return n, err
}

// ReadFrom copies what http.ServeContent gives it: a file, or the parts of
// several ranges, within an io.LimitedReader.
func (d *delivery) ReadFrom(src io.Reader) (sent int64, err error) {
	all, ok := src.(*io.LimitedReader)
	to, ok2 := d.ResponseWriter.(io.ReaderFrom)
	if !ok || !ok2 {
		return io.Copy(struct{ io.Writer }{d}, src)
	}
	file, _ := all.R.(*os.File)
	for all.N > 0 && err == nil {
		d.extend()
		piece := &io.LimitedReader{R: all.R, N: min(all.N, chunk)}
		asked := piece.N
		var n int64
		n, err = to.ReadFrom(piece)
		sent, all.N = sent+n, all.N-n
		d.call.sent += n
		if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) && file != nil {
			// Slow, but not still. What was read and not sent is read again.
			err = d.rewind(file, asked-n, piece.N)
		} else if err == nil && n < asked {
			break
		}
	}
	return sent, err
}

// rewind puts a file back to the first byte that was not sent, when more than
// was sent had been read.
func (d *delivery) rewind(file *os.File, unsent, unread int64) error {
	_, err := file.Seek(unread-unsent, io.SeekCurrent)
	return err
}

func (d *delivery) extend() {
	_ = d.rc.SetWriteDeadline(time.Now().Add(d.call.server.stall))
}
