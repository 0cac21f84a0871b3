package client_test

import (
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// cutter forwards connections to a server and breaks them.
type cutter struct {
	url   string
	count atomic.Int32 // connections
}

// all bytes of one direction.
const whole = int64(1) << 60

// newCutter returns a cutter in front of a server. It forwards a number of bytes of each connection, counted from 0, in
// each direction. Then it resets the connection to the server and ends the one to the client, with a reset if too much
// was sent.
func newCutter(t *testing.T, server string, plan func(n int) (up, down int64)) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := &cutter{url: "http://" + l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			up, down := plan(int(c.count.Add(1)) - 1)
			go pass(conn, strings.TrimPrefix(server, "http://"), up, down)
		}
	}()
	return c
}

func pass(near net.Conn, address string, up, down int64) {
	far, err := net.Dial("tcp", address)
	if err != nil {
		near.Close()
		return
	}
	sent := make(chan bool)
	go func() {
		_, _ = io.CopyN(far, near, up)
		reset(far)
		if up != whole {
			reset(near)
		}
		close(sent)
	}()
	_, _ = io.CopyN(near, far, down)
	reset(far)
	_ = near.(*net.TCPConn).CloseWrite() // forwarded bytes must arrive
	<-sent
	near.Close()
}

func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// through returns the URL of a link through the cutter.
func (c *cutter) through(t *testing.T, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return c.url + u.EscapedPath()
}
