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

// Listener accepts the connections of l. They send a file from memory together with the head of its answer, in one
// system call. It is for the Serve method of an HTTPServer. Without it, the answers are the same and take more system
// calls: BenchmarkListener shows the difference.
func Listener(l net.Listener) net.Listener { return &listener{Listener: l} }

// LimitedListener is a Listener with a limit of open TCP connections. Further connections wait until one is closed.
// One address, or one IPv6 network of 64 bits, may hold a quarter of the limit; its further connections are closed at
// once. Trusted proxies have no such limit, since they connect for many clients.
func (s *Server) LimitedListener(l net.Listener, most int) net.Listener {
	return &listener{
		Listener: l, open: make(chan struct{}, most), closed: make(chan struct{}),
		proxies: s.proxies, share: max(most/addressShare, 1), held: map[netip.Prefix]int{}, log: s.log,
		crowded: rate.Sometimes{Interval: time.Minute},
	}
}

// addressShare is the divisor of the limit that gives the limit of one address.
const addressShare = 4

type listener struct {
	net.Listener
	open   chan struct{} // one element for each open connection; nil without a limit
	closed chan struct{}
	once   sync.Once

	proxies trust
	share   int // limit of one address
	mu      sync.Mutex
	held    map[netip.Prefix]int // the connections of each address
	log     *slog.Logger
	crowded rate.Sometimes // limits the log lines about that
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
			l.log.Warn("one address has reached its limit of connections; further ones are closed", "limit", l.share)
		})
	}
}

// origin returns the network that a connection from an address is counted for; the zero Prefix for a connection that
// is not counted.
func (l *listener) origin(at netip.Addr) netip.Prefix {
	if !at.IsValid() || l.proxies.has(at) {
		return netip.Prefix{}
	}
	bits := at.BitLen()
	if at.Is6() {
		bits = 64 // providers assign networks of that size or larger
	}
	return netip.PrefixFrom(at, bits).Masked()
}

// take counts a new connection, unless its address has reached its limit.
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

// release counts a closed connection.
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

// conn is a connection that can hold back the head of an answer until ReadFrom gets the bytes that follow it. Only one
// goroutine at a time writes to it.
type conn struct {
	*net.TCPConn
	listener *listener
	from     netip.Prefix // the network that the listener counts it for
	released sync.Once

	holds bool
	held  []byte
	both  [2][]byte // the head and what follows, while they are sent
	out   net.Buffers
}

// Close closes the connection and frees its place.
func (c *conn) Close() error {
	c.released.Do(func() { c.listener.release(c.from) })
	return c.TCPConn.Close()
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// HoldHead makes the connection of a request hold back the head of the answer until its ReadFrom gets what follows it.
// It reports whether the connection can do that: it must come from a Listener of this package.
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

// ReadFrom sends the head that was held back, and the bytes of r. It sends a bytes.Reader in one system call with the
// head, and any other reader as net.TCPConn does, by sendfile(2) where possible. It returns the number of bytes of r.
//
// The head of a file leaves with the first bytes of the file. A segment of its own makes the reader wake up for it, and
// congestion control that measures the rate of a connection (BBR) takes it for a sign of a slow one.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	b, inMemory := r.(*bytes.Reader)
	if inMemory {
		c.holds = false
		return b.WriteTo(following{c})
	}
	if c.holds {
		c.holds = false
		head := c.held
		c.held = c.held[:0]
		if err := writeMore(c.TCPConn, head); err != nil {
			return 0, err
		}
	}
	return c.TCPConn.ReadFrom(r)
}

// following writes what comes after the head that was held back.
type following struct{ c *conn }

func (f following) Write(p []byte) (int, error) { return f.c.send(p) }

// send sends the head that was held back and then p. It returns the number of bytes of p.
func (c *conn) send(p []byte) (int, error) {
	c.both = [2][]byte{c.held, p}
	c.out = c.both[:]
	sent, err := c.out.WriteTo(c.TCPConn)
	head := min(int(sent), len(c.held))
	c.held = append(c.held[:0], c.held[head:]...)
	return int(sent) - head, err
}
