package native

import (
	"bufio"
	"io"
	"net/http"
	"time"

	"sluice/internal/httpd"
)

// bytesOut is the answer of an operation that answers with something else than JSON.
type bytesOut func(c *call, w http.ResponseWriter, r *http.Request)

func (out bytesOut) write(c *call, w http.ResponseWriter, r *http.Request) { out(c, w, r) }

const plainText = "text/plain; charset=utf-8"

// document answers with bytes that are all there.
func document(contentType string, data []byte) bytesOut {
	return func(_ *call, w http.ResponseWriter, _ *http.Request) { httpd.Send(w, http.StatusOK, contentType, data) }
}

// streamed answers with what write writes, however long that takes while bytes
// flow. When it fails before anything was sent, the answer is a problem;
// after that, the connection breaks, so that no part is taken for the whole.
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
			c.Log().Error("an answer broke off", "request", c.ID, "route", c.Route(), "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// patient is a writer whose reader may be as slow as it likes while bytes flow.
type patient struct {
	io.Writer
	rc    *http.ResponseController
	stall time.Duration
}

func (p *patient) Write(b []byte) (int, error) {
	_ = p.rc.SetWriteDeadline(time.Now().Add(p.stall))
	return p.Writer.Write(b)
}
