package httpd

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Listener has the connections that l accepts send a file that is in memory in
// one call to the system with the head of the answer. It is for the Serve of
// HTTPServer. Without it answers are the same, and take more calls.
func Listener(l net.Listener) net.Listener { return &listener{Listener: l} }

// LimitedListener is a Listener that holds at most so many connections of TCP open at once. Others wait until one is
// closed. One address, or one network of IPv6 of 64 bits, has a quarter of them at most: what it opens beyond is closed
// at once. A trusted proxy, which speaks for many, has no such share.
func (s *Server) LimitedListener(l net.Listener, most int) net.Listener {
	return &listener{
		Listener: l, open: make(chan struct{}, most), closed: make(chan struct{}),
		proxies: s.proxies, share: max(most/addressShare, 1), held: map[netip.Prefix]int{}, log: s.log,
		crowded: rate.Sometimes{Interval: time.Minute},
	}
}

// addressShare is the part of all connections that one address may have: one in so many.
const addressShare = 4

type listener struct {
	net.Listener
	open   chan struct{} // holds one for each connection that is open; nil without a limit
	closed chan struct{}
	once   sync.Once

	proxies trust
	share   int // of one address
	mu      sync.Mutex
	held    map[netip.Prefix]int // the connections of each address
	log     *slog.Logger
	crowded rate.Sometimes // limits the lines about it
}

func (l *listener) Accept() (net.Conn, error) {
	if l.open == nil {
		c, err := l.Listener.Accept()
		if tcp, ok := c.(*net.TCPConn); ok {
			return &conn{TCPConn: tcp, listener: l}, nil
		}
		return c, err
	}
	select {
	case l.open <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		c, err := l.Listener.Accept()
		tcp, ok := c.(*net.TCPConn)
		if !ok {
			<-l.open
			return c, err
		}
		from := l.origin(address(tcp.RemoteAddr().String()))
		if l.take(from) {
			return &conn{TCPConn: tcp, listener: l, from: from}, nil
		}
		tcp.Close()
		l.crowded.Do(func() {
			l.log.Warn("an address holds its share of the connections; those beyond are closed", "share", l.share)
		})
	}
}

// origin gives what a connection from an address is counted under; the zero Prefix for one that is not counted.
func (l *listener) origin(at netip.Addr) netip.Prefix {
	if !at.IsValid() || l.proxies.has(at) {
		return netip.Prefix{}
	}
	bits := at.BitLen()
	if at.Is6() {
		bits = 64 // a customer has a network of that size or larger
	}
	return netip.PrefixFrom(at, bits).Masked()
}

// take counts a connection in, unless its address has its share already.
func (l *listener) take(from netip.Prefix) bool {
	if !from.IsValid() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[from] >= l.share {
		return false
	}
	l.held[from]++
	return true
}

// release counts a connection out.
func (l *listener) release(from netip.Prefix) {
	if l.open == nil {
		return
	}
	if from.IsValid() {
		l.mu.Lock()
		if l.held[from]--; l.held[from] == 0 {
			delete(l.held, from)
		}
		l.mu.Unlock()
	}
	<-l.open
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
	from     netip.Prefix // what the listener counts it under
	released sync.Once

	holds bool
	held  []byte
	both  [2][]byte // what is held and what follows, while they are sent
	out   net.Buffers
}

// Close closes the connection, which makes room for another.
func (c *conn) Close() error {
	c.released.Do(func() { c.listener.release(c.from) })
	return c.TCPConn.Close()
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// HoldHead has the connection of a request hold back what is written, the head of an answer, until its ReadFrom gets a
// bytes.Reader. It reports whether the connection can: only those that a Listener accepted do.
func HoldHead(ctx context.Context) bool {
	c, ok := ctx.Value(connKey{}).(*conn)
	if ok {
		c.holds = true
	}
	return ok
}

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
