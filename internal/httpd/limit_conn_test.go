package httpd_test

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/httpd"
	"sluice/internal/server"
	"sluice/sluicetest"
)

// proxied makes a server with trusted proxies.
func proxied(t *testing.T, proxies ...string) *httpd.Server {
	t.Helper()
	var opts server.Options
	for _, p := range proxies {
		opts.TrustedProxies = append(opts.TrustedProxies, netip.MustParsePrefix(p))
	}
	svc := sluicetest.NewService(t)
	srv := server.New(svc.Service, svc.Gate, opts)
	return srv
}

// One address may hold a quarter of the connections. Its further connections are closed, and other addresses still
// connect.
func TestLimitedListenerShare(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := proxied(t, "127.0.0.3/32").LimitedListener(tcp, 8)
	defer l.Close()
	accepted := make(chan net.Conn, 20)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Skipf("this machine has no address %s: %v", from, err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	held := func(from string) net.Conn {
		t.Helper()
		dial(from)
		select {
		case c := <-accepted:
			return c
		case <-time.After(time.Minute):
			t.Fatalf("a connection from %s is not accepted", from)
			return nil
		}
	}
	closed := func(from string) {
		t.Helper()
		c := dial(from)
		c.SetReadDeadline(time.Now().Add(time.Minute))
		_, err := c.Read(make([]byte, 1))
		if timeout, ok := err.(net.Error); err == nil || ok && timeout.Timeout() {
			t.Fatalf("a connection beyond the share of %s is held: %v", from, err)
		}
	}
	first := held("127.0.0.1")
	held("127.0.0.1")
	for range 3 {
		closed("127.0.0.1")
	}
	held("127.0.0.2")
	held("127.0.0.2")
	closed("127.0.0.2")
	for range 3 { // a trusted proxy
		held("127.0.0.3")
	}
	first.Close()
	first.Close() // counts once
	held("127.0.0.1")
	closed("127.0.0.1")
}

// queue is a listener with connections that wait.
type queue struct {
	net.Listener
	conns chan net.Conn
}

func (q queue) Accept() (net.Conn, error) {
	c, ok := <-q.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

// dialled returns the server ends of n connections.
func dialled(t *testing.T, l net.Listener, n int) (conns []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if c, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns = append(conns, c)
	}
	return conns
}

// A listener with a limit accepts the next connection when one is closed, and can be closed while it is full.
func TestLimitedListener(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const all = 5
	conns := dialled(t, tcp, all)
	srv := proxied(t, "127.0.0.0/8") // its connections have no limit of their own
	synctest.Test(t, func(t *testing.T) {
		q := queue{tcp, make(chan net.Conn, all)}
		for _, c := range conns {
			q.conns <- c
		}
		l := srv.LimitedListener(q, 2)
		accepted := make(chan net.Conn, all)
		ended := make(chan error, 1)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					ended <- err
					return
				}
				accepted <- c
			}
		}()
		defer func() { // also when the test fails
			close(q.conns)
			for len(accepted) > 0 {
				(<-accepted).Close()
			}
			l.Close()
		}()
		// Wait returns when the goroutine above is blocked.
		synctest.Wait()
		if n := len(accepted); n != 2 {
			t.Fatalf("%d connections are held, want 2", n)
		}
		first := <-accepted
		first.Close()
		first.Close() // frees one place, once
		synctest.Wait()
		if n := len(accepted); n != 2 {
			t.Fatalf("%d connections are held after one of 2 was closed, want 2", n)
		}
		l.Close()
		synctest.Wait()
		if len(ended) != 1 {
			t.Error("a full listener cannot be closed")
		}
	})
}
