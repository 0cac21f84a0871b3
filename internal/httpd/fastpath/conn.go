package fastpath

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"

	"sluice/internal/httpd"
)

// firstRead is the size of the buffer of a connection until a request needs more.
const firstRead = 2 << 10

// conn is a connection that has sent only plain requests.
type conn struct {
	*httpd.Conn
	listener *Listener
	direct   *httpd.Direct
	state    atomic.Int32 // waiting, busy or ended

	buffer   []byte
	unread   []byte    // what was received and not answered, in buffer
	deadline time.Time // for the next read
	later    bool      // a request was answered before
}

// The states of a conn.
const (
	waiting int32 = iota // for a request to begin
	busy
	ended
)

// closeIdle closes the connection if it waits for a request.
func (c *conn) closeIdle() {
	if c.state.CompareAndSwap(waiting, ended) {
		c.Conn.Close()
	}
}

// serve answers the requests of the connection until one is not plain, or until the connection ends.
func (c *conn) serve() {
	handed := false
	defer func() {
		if p := recover(); p != nil { // the Responder recovers its own
			c.direct.Log().Error("panic", "connection", c.RemoteAddr().String(), "panic", fmt.Sprint(p),
				"stack", string(debug.Stack()))
		}
		if !handed {
			c.Close()
		}
		c.listener.remove(c)
	}()
	for {
		n, plain := c.next()
		switch {
		case n == 0 && !plain:
			handed = c.handOver(nil)
			return
		case n == 0:
			return
		}
		decided, err := c.listener.server.Responder().Respond(c.direct)
		if decided != nil {
			handed = c.handOver(decided)
			return
		}
		if err != nil || !c.await(n) {
			return
		}
	}
}

// await ends a request whose head had n bytes. It reports whether the connection stays open.
func (c *conn) await(n int) bool {
	c.later = true
	if c.unread = c.unread[n:]; !c.hasBegun() {
		c.state.Store(waiting)
	}
	// Stopping closes what is waiting, but it may have looked before.
	return !c.direct.Close && !c.listener.stopped.Load() && c.direct.Context.Err() == nil
}

// handOver gives the connection to net/http, with what was received and not answered.
func (c *conn) handOver(d *httpd.Decided) bool {
	if d != nil {
		c.listener.handing.Add(1)
		d.Left = func() { c.listener.handing.Add(-1) }
	}
	_ = c.SetDeadline(time.Time{})
	c.Conn.HandOver(c.unread, d)
	c.listener.pass(c.Conn)
	return true
}

// next waits for the head of the next request, and returns its length. Without a plain request, n is 0, and plain tells
// whether the connection has ended.
func (c *conn) next() (n int, plain bool) {
	started := false
	for {
		if c.hasBegun() {
			if n, plain = parse(c.unread, c.direct); n > 0 || !plain {
				return n, plain
			}
			if !started {
				started = true
				c.expire(c.listener.heading, 0)
			}
		}
		if err := c.read(); err != nil {
			// net/http answers a head that ends early.
			return 0, !c.hasBegun() || !errors.Is(err, io.EOF)
		}
	}
}

// hasBegun reports whether a request has begun to arrive. As for net/http, a later request of a connection takes four
// bytes to begin.
func (c *conn) hasBegun() bool { return len(c.unread) >= 4 || !c.later && len(c.unread) > 0 }

// expire sets the deadline of reads, unless the one that is set is at most slack earlier.
func (c *conn) expire(after, slack time.Duration) {
	if after <= 0 {
		return // no limit
	}
	at := time.Now().Add(after)
	if early := at.Sub(c.deadline); early < 0 || early > slack {
		c.deadline = at
		_ = c.SetReadDeadline(at)
	}
}

// slack is the part of its time by which an idle connection may be closed early. It saves setting a deadline for each
// request.
const slack = 0.01

// errStopped says that the connection was closed while it waited.
var errStopped = errors.New("the server stops")

// read reads more of a request.
func (c *conn) read() error {
	begun := c.hasBegun()
	switch {
	case begun: // next has set the deadline
	case c.later:
		c.expire(c.listener.idle, time.Duration(slack*float64(c.listener.idle)))
	default:
		c.expire(c.listener.heading, 0)
	}
	c.makeRoom()
	n, err := c.TCPConn.Read(c.buffer[len(c.unread):])
	c.unread = c.buffer[:len(c.unread)+n]
	if n == 0 {
		return err
	}
	if !begun && c.hasBegun() && !c.state.CompareAndSwap(waiting, busy) {
		return errStopped
	}
	return nil
}

// makeRoom moves what was not answered to the start of the buffer, and makes the buffer larger if that fills it.
func (c *conn) makeRoom() {
	switch {
	case c.buffer == nil:
		c.buffer = make([]byte, firstRead)
	case len(c.unread) == len(c.buffer):
		c.buffer = append(c.buffer, make([]byte, min(len(c.buffer), maxHead-len(c.buffer)))...)
	}
	copy(c.buffer, c.unread)
	c.unread = c.buffer[:len(c.unread)]
}
