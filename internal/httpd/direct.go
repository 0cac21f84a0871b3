package httpd

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// Responder answers plain requests for the URLs of links: GET and HEAD in their simplest form.
type Responder interface {
	// Respond decides about a request, and answers it if the answer is 200, 206 or 304. Otherwise it writes nothing and
	// returns what it decided, and net/http answers the request. An error means that the connection must be closed.
	Respond(d *Direct) (*Decided, error)
}

// Direct is a plain request that is answered without net/http, and its connection. Package fastpath uses one for all
// requests of a connection, so that a request allocates little.
type Direct struct {
	Call
	Conn  *Conn
	Peer  Peer
	Head  Head
	Token string
	Named bool // the target has more segments after the token
	Close bool // the client wants the connection closed after the answer
	// Stopping reports whether the server stops, so that it closes the connection after the answer.
	Stopping func() bool
	// Context ends when the connection is closed, or when a decision takes longer than AnswerTimeout.
	Context context.Context
	// State belongs to the Responder.
	State any

	// timeout runs on between decisions, because most of them are made long before their time is over.
	timeout *time.Timer
	running atomic.Bool // timeout runs
	opened  time.Time
	until   atomic.Int64 // when the running decision must be made, in nanoseconds since opened; 0: none runs
}

// UseResponder sets what answers plain requests for links.
func (s *Server) UseResponder(r Responder) { s.responder = r }

// Responder is what answers plain requests for links; nil when there is none.
func (s *Server) Responder() Responder { return s.responder }

// NewDirect makes a Direct for the requests of a connection that has sent none yet.
func (s *Server) NewDirect(ctx context.Context, c *Conn) *Direct {
	d := &Direct{Call: Call{server: s}, Conn: c, Peer: NewPeer(c.RemoteAddr().String()), opened: time.Now()}
	var cancel context.CancelCauseFunc
	d.Context, cancel = context.WithCancelCause(ctx)
	d.timeout = time.AfterFunc(AnswerTimeout, func() { d.expire(cancel) })
	d.timeout.Stop()
	c.cancel = func() {
		cancel(nil)
		d.timeout.Stop()
	}
	return d
}

// expire ends the context if the time of the running decision is over, and else waits for that.
func (d *Direct) expire(cancel context.CancelCauseFunc) {
	d.running.Store(false)
	until := d.until.Load()
	if until == 0 {
		return
	}
	left := time.Duration(until) - time.Since(d.opened)
	if left <= 0 {
		cancel(context.DeadlineExceeded)
		return
	}
	d.running.Store(true)
	d.timeout.Reset(left)
}

// Start begins the answer to the next request. Until Decide, the request may take as long as AnswerTimeout.
func (d *Direct) Start() {
	s := d.server
	d.Call = Call{
		server: s, ID: s.svc.NewRequestID(), method: d.Head.Method, series: s.metrics.unrouted, began: time.Now(),
	}
	d.until.Store(int64(d.began.Sub(d.opened) + AnswerTimeout))
	if !d.running.Swap(true) {
		d.timeout.Reset(AnswerTimeout)
	}
}

// Decide notes that the request is decided. It reports whether that was in time.
func (d *Direct) Decide() bool {
	d.until.Store(0)
	return d.Context.Err() == nil
}

// Decided describes the request for net/http, with what was decided about it.
func (d *Direct) Decided(result any, abandon func()) *Decided {
	return &Decided{ID: d.ID, Began: d.began, Result: result, Abandon: abandon}
}

// HeadRoom is how many bytes SendHead adds to a head at most.
const HeadRoom = 96

// SendHead holds back the head of an answer for the ReadFrom of the connection, or sends it when no content follows.
// The head lacks what net/http adds at its end, and the empty line.
func (d *Direct) SendHead(status int, head []byte, content bool) error {
	d.status = status
	head = append(head, "Date: "...)
	head = append(head, dateLine()...)
	if d.Close || d.Stopping() {
		head = append(head, "Connection: close\r\n"...)
	}
	head = append(head, "\r\n"...)
	if content {
		d.Conn.Hold(head)
		return nil
	}
	_ = d.Conn.ExtendWrites(d.began.Add(AnswerTimeout))
	_, err := d.Conn.Write(head)
	return err
}

// End counts and logs a request after its answer.
func (d *Direct) End(aborted bool) {
	d.observe()
	d.log(d.Context, aborted)
}

// date is the current date in the form of a header, for one second.
type date struct {
	second int64
	line   []byte
}

var lastDate atomic.Pointer[date]

// dateLine is the value of a Date header (RFC 9110 section 6.6.1) and the end of its line.
func dateLine() []byte {
	now := time.Now()
	d := lastDate.Load()
	if d == nil || d.second != now.Unix() {
		d = &date{now.Unix(), now.UTC().AppendFormat(nil, http.TimeFormat+"\r\n")}
		lastDate.Store(d)
	}
	return d.line
}
