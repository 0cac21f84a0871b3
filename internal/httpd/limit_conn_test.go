package httpd_test

import (
	"net"
	"testing"
	"time"

	"sluice/internal/httpd"
)

// A listener with a limit lets the next connection in when one is closed, and
// can be closed while it is full.
func TestLimitedListener(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := httpd.LimitedListener(tcp, 2)
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
