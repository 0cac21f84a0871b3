package httpd

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
)

// Listener has the connections that l accepts send a file that is in memory in
// one call to the system with the head of the answer. It is for the Serve of
// HTTPServer. Without it answers are the same, and take more calls.
func Listener(l net.Listener) net.Listener { return &listener{Listener: l} }

// LimitedListener is a Listener that holds at most so many connections of TCP
// open at once. Others wait until one is closed.
func LimitedListener(l net.Listener, most int) net.Listener {
	return &listener{Listener: l, open: make(chan struct{}, most), closed: make(chan struct{})}
}

type listener struct {
	net.Listener
	open   chan struct{} // holds one for each connection that is open; nil without a limit
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	if l.open != nil {
		select {
		case l.open <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &conn{TCPConn: tcp, listener: l}, nil
	}
	l.release()
	return c, err
}

func (l *listener) release() {
	if l.open != nil {
		<-l.open
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		if l.closed != nil {
			close(l.closed)
		}
	})
	return l.Listener.Close()
}

// conn is a connection that can hold back the head of an answer until the bytes
// come that ReadFrom sends. One goroutine at a time writes to it.
type conn struct {
	*net.TCPConn
	listener *listener
	released sync.Once

	holds bool
	held  []byte
	both  [2][]byte // what is held and what follows, while they are sent
	out   net.Buffers
}

// Close closes the connection, which makes room for another.
func (c *conn) Close() error {
	c.released.Do(c.listener.release)
	return c.TCPConn.Close()
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf is the connection of a request, nil when no Listener accepted it.
func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

// hold keeps what is written until ReadFrom gets a bytes.Reader.
func (c *conn) hold() { c.holds = true }

func (c *conn) Write(p []byte) (int, error) {
	if c.holds {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.TCPConn.Write(p)
}

// ReadFrom sends what r has: a bytes.Reader after what was held, in one call to
// the system, and anything else as net.TCPConn does, which is by sendfile(2)
// where it can. The number is of bytes of r.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	if b, ok := r.(*bytes.Reader); ok {
		c.holds = false
		return b.WriteTo(following{c})
	}
	return c.TCPConn.ReadFrom(r)
}

// following writes what follows the held to a connection.
type following struct{ c *conn }

func (f following) Write(p []byte) (int, error) { return f.c.send(p) }

// send sends what was held and then p. It counts the bytes of p.
func (c *conn) send(p []byte) (int, error) {
	c.both = [2][]byte{c.held, p}
	c.out = c.both[:]
	sent, err := c.out.WriteTo(c.TCPConn)
	head := min(int(sent), len(c.held))
	c.held = append(c.held[:0], c.held[head:]...)
	return int(sent) - head, err
}
