package httpd_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"sluice/internal/httpd"
	"sluice/sluicetest"
)

func limited(t *testing.T, l net.Listener, most int, proxies ...string) net.Listener {
	t.Helper()
	var opts httpd.Options
	for _, p := range proxies {
		opts.TrustedProxies = append(opts.TrustedProxies, netip.MustParsePrefix(p))
	}
	svc := sluicetest.NewService(t)
	srv, err := httpd.New(svc.Service, svc.Gate, opts)
	if err != nil {
		t.Fatal(err)
	}
	return srv.LimitedListener(l, most)
}

// One address has a quarter of the connections. What it opens beyond is closed, and others get theirs.
func TestLimitedListenerShare(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limited(t, tcp, 8, "127.0.0.3/32")
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

// A listener with a limit lets the next connection in when one is closed, and
// can be closed while it is full.
func TestLimitedListener(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limited(t, tcp, 2, "127.0.0.0/8")
	accepted := make(chan net.Conn, 4)
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
	for range 4 {
		c, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-accepted
	defer (<-accepted).Close()
	select {
	case <-accepted:
		t.Fatal("a third connection is held")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	first.Close() // makes room once
	defer (<-accepted).Close()
	select {
	case <-accepted:
		t.Fatal("two more are held where one was closed")
	case <-time.After(50 * time.Millisecond):
	}
	l.Close()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("a full listener cannot be closed")
	}
}
