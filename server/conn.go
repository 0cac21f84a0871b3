package server

import (
	"bytes"
	"context"
	"io"
	"net"
)

// Listener has the connections that l accepts send a file that is in memory in
// one call to the system with the head of the answer. It is for the Serve of
// HTTPServer. Without it answers are the same, and take more calls.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		c = &conn{TCPConn: tcp}
	}
	return c, err
}

// conn is a connection that can hold back the head of an answer until the bytes
// come that ReadFrom sends. One goroutine at a time writes to it.
type conn struct {
	*net.TCPConn
	holds bool
	held  []byte
	both  [2][]byte // what is held and what follows, while they are sent
	out   net.Buffers
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
