package httpd_test

import (
	"context"
	"errors"
	"net"
	"os"
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
			d := newDirect(t)
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

// newDirect makes the Direct of a new connection.
func newDirect(t *testing.T) *httpd.Direct {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = httpd.Listener(l)
	t.Cleanup(func() { l.Close() })
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newClient(t).HTTP.NewDirect(t.Context(), c.(*httpd.Conn))
}

// TestDirectTimeout lets the timer of decisions end between two and within one. It ends none that has time left, and
// goes on only as long as one runs.
func TestDirectTimeout(t *testing.T) {
	d := newDirect(t)
	ends := func() (runs bool) {
		t.Helper()
		d.RunTimeout()
		time.Sleep(10 * time.Millisecond) // if the timer is later than that, this test finds less
		if d.Context.Err() != nil {
			t.Fatalf("the context has ended: %v", context.Cause(d.Context))
		}
		return d.TimeoutRuns()
	}
	d.Start()
	if !d.Decide() {
		t.Error("a decision took too long")
	}
	if ends() {
		t.Error("the timer runs while nothing is decided")
	}
	d.Start()
	if !d.TimeoutRuns() || !ends() {
		t.Error("the timer does not run while something is decided")
	}
	d.Expire()
	<-d.Context.Done()
	if d.Decide() {
		t.Error("a decision took longer than its time, and counts")
	}
}

// TestExtendWrites writes to a client that reads nothing. The deadline is the last one that differs by more than a
// hundredth.
func TestExtendWrites(t *testing.T) {
	c := newDirect(t).Conn
	now := time.Now()
	for _, to := range []time.Duration{time.Hour, time.Hour + time.Second, 100 * time.Millisecond} {
		if err := c.ExtendWrites(now.Add(to)); err != nil {
			t.Fatal(err)
		}
	}
	failed := make(chan error)
	go func() {
		var err error
		for chunk := make([]byte, 1<<20); err == nil; {
			_, err = c.Write(chunk)
		}
		failed <- err
	}()
	select {
	case err := <-failed:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the write has no deadline any more, or that before")
	}
	if err := c.ExtendWrites(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}

	if _, err := c.Write(nil); err != nil {
		t.Errorf("after another deadline: %v", err)
	}
}
