package httpd

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
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
			return &Conn{TCPConn: tcp, listener: l}, nil
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
			return &Conn{TCPConn: tcp, listener: l, from: from}, nil
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

// Conn is a TCP connection that a Listener has accepted. It can hold back the head of an answer until ReadFrom gets the
// bytes that follow it, and it can take back bytes that were read. Only one goroutine at a time reads from it, and one
// writes to it.
type Conn struct {
	*net.TCPConn
	listener *listener
	from     netip.Prefix // the network that the listener counts it for
	released sync.Once

	writeBy time.Time               // the deadline of writes that ExtendWrites has set
	unread  []byte                  // what Read gives first
	decided atomic.Pointer[Decided] // of the first request in unread
	cancel  func()                  // of the Direct of the connection, if it has one

	holds bool
	held  []byte
	both  [2][]byte // the head and what follows, while they are sent
	out   net.Buffers
}

// Close closes the connection and frees its place. A decision that no handler has taken is abandoned.
func (c *Conn) Close() error {
	c.released.Do(func() { c.listener.release(c.from) })
	err := c.TCPConn.Close()
	if c.cancel != nil {
		c.cancel()
	}
	if d := c.decided.Swap(nil); d != nil {
		d.leave()
		d.Abandon()
	}
	return err
}

// Decided is a request that was decided before net/http reads it.
type Decided struct {
	ID     string // of the request
	Began  time.Time
	Result any // what the face decided; it takes it from the Call by TakeDecided
	// Abandon is called instead, once, when the request does not reach the face.
	Abandon func()
	// Left, if not nil, is called once when the request has reached a Call, or before Abandon.
	Left func()
}

func (d *Decided) leave() {
	if d.Left != nil {
		d.Left()
	}
}

// HandOver makes p the next bytes that Read gives. It takes p over. When d is not nil, it belongs to the request at the
// start of p.
func (c *Conn) HandOver(p []byte, d *Decided) {
	c.unread = p
	c.decided.Store(d)
}

func (c *Conn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		return c.TCPConn.Read(p)
	}
	n := copy(p, c.unread)
	if c.unread = c.unread[n:]; len(c.unread) == 0 {
		c.unread = nil
	}
	return n, nil
}

// ExtendWrites sets the deadline of writes, unless the one that it set before ends only a hundredth of the time
// earlier. Nothing else may set the deadline of writes before and after.
func (c *Conn) ExtendWrites(to time.Time) error {
	if early := to.Sub(c.writeBy); early >= 0 && early <= time.Until(to)/100 {
		return nil
	}
	c.writeBy = to
	return c.SetWriteDeadline(to)
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// takeDecided returns what was decided about the request whose context ctx is, and nil if nothing was.
func takeDecided(ctx context.Context) *Decided {
	c, ok := ctx.Value(connKey{}).(*Conn)
	if !ok {
		return nil
	}
	d := c.decided.Swap(nil)
	if d != nil {
		d.leave()
	}
	return d
}

// TakeDecided returns the Result of the fast path for this request, once, or nil if it has none.
func (c *Call) TakeDecided() any {
	d := c.decided
	if d == nil {
		return nil
	}
	c.decided = nil
	return d.Result
}

// HoldHead makes the connection of a request hold back the head of the answer until its ReadFrom is called. It reports
// whether the connection can do that: it must come from a Listener of this package.
func HoldHead(ctx context.Context) bool {
	c, ok := ctx.Value(connKey{}).(*Conn)
	if ok {
		c.holds = true
	}
	return ok
}

// Hold holds back the head of an answer until ReadFrom is called. The head stays as it is until ReadFrom returns.
func (c *Conn) Hold(head []byte) { c.holds, c.held = true, head }

func (c *Conn) Write(p []byte) (int, error) {
	if c.holds {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.TCPConn.Write(p)
}

// ReadFrom sends the bytes of r after the head that was held back. It sends a bytes.Reader together with the head, in
// one system call, and any other reader as net.TCPConn does, by sendfile(2) where possible. It returns the number of
// bytes of r.
//
// The head of a file leaves with the first bytes of the file. A segment of its own makes the reader wake up for it, and
// congestion control that measures the rate of a connection (BBR) sends what follows at a higher price.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
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
type following struct{ c *Conn }

func (f following) Write(p []byte) (int, error) { return f.c.send(p) }

// send sends the head that was held back and then p. It returns the number of bytes of p.
func (c *Conn) send(p []byte) (int, error) {
	c.both = [2][]byte{c.held, p}
	c.out = c.both[:]
	sent, err := c.out.WriteTo(c.TCPConn)
	head := min(int(sent), len(c.held))
	c.held = append(c.held[:0], c.held[head:]...)
	return int(sent) - head, err
}
