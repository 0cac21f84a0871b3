package httpd

import (
	"bufio"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// bytesOut is the output of an operation that answers with something else than
// JSON.
type bytesOut struct {
	ContentType string `header:"Content-Type"`
	Body        func(huma.Context)
}

const plainText = "text/plain; charset=utf-8"

// document answers with bytes that are all there.
func document(contentType string, data []byte) *bytesOut {
	return &bytesOut{contentType, func(ctx huma.Context) {
		ctx.SetStatus(http.StatusOK)
		_, _ = ctx.BodyWriter().Write(data)
	}}
}

// streamed answers with what write writes, however long that takes while bytes
// flow. When it fails before anything was sent, the answer is a problem;
// after that, the connection breaks, so that no part is taken for the whole.
func streamed(contentType string, write func(io.Writer) error) *bytesOut {
	return &bytesOut{contentType, func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		c := callOf(r.Context())
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusOK)
			return
		}
		out := bufio.NewWriterSize(&patient{w, http.NewResponseController(w), c.server.stall}, 32<<10)
		err := write(out)
		if err == nil {
			err = out.Flush()
		}
		if err != nil && c.status == 0 {
			c.fail(w, r, err)
		} else if err != nil {
			c.server.log.Error("an answer broke off", "request", c.id, "route", c.route, "error", err)
			panic(http.ErrAbortHandler)
		}
	}}
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
