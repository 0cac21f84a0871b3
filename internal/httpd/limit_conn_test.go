package httpd_test

import (
	"net"
	"testing"
	"testing/synctest"

	"sluice/internal/httpd"
)

// queue is a listener of connections that have come already.
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

// dialled gives the servers' ends of n connections.
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

// A listener with a limit lets the next connection in when one is closed, and
// can be closed while it is full.
func TestLimitedListener(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const all = 5
	conns := dialled(t, tcp, all)
	synctest.Test(t, func(t *testing.T) {
		q := queue{tcp, make(chan net.Conn, all)}
		for _, c := range conns {
			q.conns <- c
		}
		l := httpd.LimitedListener(q, 2)
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
		defer func() { // also where it fails
			close(q.conns)
			for len(accepted) > 0 {
				(<-accepted).Close()
			}
			l.Close()
		}()
		// Wait returns when the goroutine above can go no further.
		synctest.Wait()
		if n := len(accepted); n != 2 {
			t.Fatalf("%d connections are held, want 2", n)
		}
		first := <-accepted
		first.Close()
		first.Close() // makes room once
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
