package fastpath

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/httpd"
)

// Listener accepts the connections that the fast path hands over. Connections of the listener below that are not of
// package httpd, and so not plain TCP, pass as they are. It is for the Serve method of an http.Server.
type Listener struct {
	below   net.Listener
	server  *httpd.Server
	idle    time.Duration // how long a connection may wait for its next request
	heading time.Duration // how long the head of a request may take

	start   sync.Once
	shut    sync.Once
	shutErr error // of Close of the listener below
	passed  chan net.Conn
	failed  chan error    // of Accept of the listener below
	closed  chan struct{} // Accept has ended
	close   sync.Once

	ctx     context.Context // ends when connections are closed by force
	cancel  context.CancelFunc
	stopped atomic.Bool  // nothing is accepted any more, and connections close after their answer
	handing atomic.Int64 // decided requests that no handler has yet
	mu      sync.Mutex
	conns   map[*conn]struct{} // not handed over
}

// Listen makes a Listener over l. It takes the limits of time from the http.Server that connections are handed to.
func Listen(s *httpd.Server, to *http.Server, l net.Listener) *Listener {
	n := &Listener{
		below: l, server: s, idle: to.IdleTimeout, heading: to.ReadHeaderTimeout,
		passed: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{}), conns: map[*conn]struct{}{},
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// Addr is the address of the listener below.
func (l *Listener) Addr() net.Addr { return l.below.Addr() }

// Accept waits for a connection that is handed over.
func (l *Listener) Accept() (net.Conn, error) {
	l.start.Do(func() { go l.accept() })
	select {
	case c := <-l.passed:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// accept accepts the connections of the listener below. After an error it waits until Accept has returned that: the
// http.Server waits before it calls Accept again.
func (l *Listener) accept() {
	for {
		c, err := l.below.Accept()
		if err != nil {
			if l.stopped.Load() {
				return
			}
			select {
			case l.failed <- err:
			case <-l.closed:
				return
			}
			continue
		}
		tcp, ok := c.(*httpd.Conn)
		if !ok || l.server.Responder() == nil {
			go l.pass(c)
			continue
		}
		if served := l.add(tcp); served != nil {
			go served.serve()
		}
	}
}

// pass gives a connection to Accept. When that has ended, it closes the connection.
func (l *Listener) pass(c net.Conn) {
	select {
	case l.passed <- c:
	case <-l.closed:
		c.Close()
	}
}

// add makes a conn. It closes the connection and returns nil when the listener has stopped.
func (l *Listener) add(tcp *httpd.Conn) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped.Load() {
		tcp.Close()
		return nil
	}
	c := &conn{listener: l, Conn: tcp, direct: l.server.NewDirect(l.ctx, tcp)}
	c.direct.Stopping = l.stopped.Load
	l.conns[c] = struct{}{}
	return c
}

func (l *Listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// stop ends accepting, and closes the connections without a request.
func (l *Listener) stop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped.Store(true)
	l.shut.Do(func() { l.shutErr = l.below.Close() })
	for c := range l.conns {
		c.closeIdle()
	}
	return l.shutErr
}

// Close ends Accept and closes the connections without a request. Answers that have begun continue; their connections
// are closed after them.
func (l *Listener) Close() error {
	err := l.stop()
	l.close.Do(func() { close(l.closed) })
	return err
}

// Drain stops the listener, and waits for the answers that have begun. Requests that were decided and handed over count
// until a handler has them.
func (l *Listener) Drain(ctx context.Context) error {
	err := l.stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for l.busy() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (l *Listener) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns) > 0 || l.handing.Load() > 0
}

// abort ends Accept and closes all connections at once.
func (l *Listener) abort() error {
	err := l.Close()
	l.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.Close()
	}
	return err
}
