package httpd_test

import (
	"context"
	"net"
	"testing"
	"time"

	"sluice/internal/httpd"
)

// TestDirectContext wants to know from the context of a request why it ended.
func TestDirectContext(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*httpd.Direct)
		want error
	}{
		"the time is over": {func(d *httpd.Direct) { d.Expire() }, context.DeadlineExceeded},
		"it is closed":     {func(d *httpd.Direct) { d.Conn.Close() }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l = httpd.Listener(l)
			defer l.Close()
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			d := newClient(t).HTTP.NewDirect(t.Context(), c.(*httpd.Conn))
			d.Start()
			test.end(d)
			select {
			case <-d.Context.Done():
			case <-time.After(time.Minute):
				t.Fatal("the context has not ended")
			}
			if cause := context.Cause(d.Context); cause != test.want {
				t.Errorf("it ended because of %v", cause)
			}
		})
	}
}
