package native

import (
	"bufio"
	"io"
	"net/http"
	"time"

	"sluice/internal/httpd"
)

// bytesOut is the answer of an operation whose answer is not JSON.
type bytesOut func(c *call, w http.ResponseWriter, r *http.Request)

func (out bytesOut) write(c *call, w http.ResponseWriter, r *http.Request) { out(c, w, r) }

const plainText = "text/plain; charset=utf-8"

// document answers with complete content.
func document(contentType string, data []byte) bytesOut {
	return func(_ *call, w http.ResponseWriter, _ *http.Request) { httpd.Send(w, http.StatusOK, contentType, data) }
}

// streamed answers with the output of write. It has no time limit while bytes flow. When write fails before anything
// was sent, the answer is a problem; after that, the connection breaks, so that a client cannot take a part for the
// whole.
func streamed(contentType string, write func(io.Writer) error) bytesOut {
	return func(c *call, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusOK)
			return
		}
		out := bufio.NewWriterSize(&patient{w, http.NewResponseController(w), c.Transfer().Stall}, 32<<10)
		err := write(out)
		if err == nil {
			err = out.Flush()
		}
		if err != nil && !c.Begun() {
			c.Fail(w, r, err)
		} else if err != nil {
			c.Log().Error("response ended early", "request", c.ID, "route", c.Route(), "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// patient is a writer without a time limit while bytes flow.
type patient struct {
	io.Writer
	rc    *http.ResponseController
	stall time.Duration
}

func (p *patient) Write(b []byte) (int, error) {
	_ = p.rc.SetWriteDeadline(time.Now().Add(p.stall))
	return p.Writer.Write(b)
}
