package fastpath_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/httpd"
	"sluice/internal/httpd/fastpath"
	"sluice/internal/server"
	"sluice/internal/service"
)

// running is a Server on a service with links.
type running struct {
	*pair
	server  *fastpath.Server
	http    *http.Server
	address string
	ended   chan error // of Serve
}

// start starts one whose gate reads blobs, if those are not nil.
func start(t *testing.T, blobs service.Blobs, adjust func(*http.Server)) *running {
	t.Helper()
	r := &running{pair: stocked(t, false), ended: make(chan error, 1)}
	links := r.Gate
	if blobs != nil {
		var err error
		links, err = gate.New(gate.Config{Service: r.Service.Service, Store: r.Store, Blobs: blobs})
		if err != nil {
			t.Fatal(err)
		}
	}
	on := server.New(r.Service.Service, links, server.Options{Options: httpd.Options{
		Log: slog.New(slog.NewTextHandler(r.Log, nil))}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.http, r.address = on.HTTPServer(""), l.Addr().String()
	if adjust != nil {
		adjust(r.http)
	}
	r.server = fastpath.NewServer(on, r.http)
	go func() { r.ended <- r.server.Serve(httpd.Listener(l)) }()
	t.Cleanup(func() {
		r.server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := links.Flush(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}

// client is a connection to a server.
type client struct {
	*net.TCPConn
	in *bufio.Reader
}

func (r *running) dial(t *testing.T) client {
	t.Helper()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
	return client{c.(*net.TCPConn), bufio.NewReader(c)}
}

func (r *running) send(t *testing.T, c client, text string) {
	t.Helper()
	if _, err := c.Write(r.fast.expand(text)); err != nil {
		t.Fatal(err)
	}
}

// head reads the head of an answer.
func (c client) head(t *testing.T) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// answer reads an answer.
func (c client) answer(t *testing.T) (*http.Response, int64) {
	t.Helper()
	res := c.head(t)
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, n
}

// isClosed fails the test unless the server closes the connection without another byte.
func (c client) isClosed(t *testing.T, which string) {
	t.Helper()
	if b, err := io.ReadAll(c.in); len(b) > 0 || err != nil && !isReset(err) {
		t.Errorf("%s is not closed: %q, %v", which, b, err)
	}
}

// huge adds a link for more bytes than sockets hold.
const hugeSize = 24 << 20

func (r *running) huge(t *testing.T) {
	t.Helper()
	file := r.file(t, service.NewFile{Filename: "huge"}, strings.Repeat(small, hugeSize/len(small)))
	r.link(t, "huge", service.NewLink{FileID: file})
}

// TestShutdown stops a server: it closes what waits for a request, and waits for the answers that have begun.
func TestShutdown(t *testing.T) {
	r := start(t, nil, nil)
	r.huge(t)
	idle, unused, partial, slow, odd := r.dial(t), r.dial(t), r.dial(t), r.dial(t), r.dial(t)
	r.send(t, idle, get("/l/{plain}", ""))
	idle.answer(t)
	r.send(t, odd, get("/l/{revoked}", ""))
	odd.answer(t)
	r.send(t, slow, get("/l/{huge}", ""))
	downloading := slow.head(t)
	request := get("/l/{plain}", "Accept: a\r\n")
	r.send(t, partial, request[:30])
	time.Sleep(50 * time.Millisecond) // until it arrives

	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		stopped <- r.server.Shutdown(ctx)
	}()
	idle.isClosed(t, "an idle connection")
	unused.isClosed(t, "an unused connection")
	odd.isClosed(t, "an idle connection of net/http")
	if c, err := net.Dial("tcp", r.address); err == nil {
		c.Close()
		t.Error("the server still listens")
	}
	r.send(t, partial, request[30:])
	if res, n := partial.answer(t); res.StatusCode != 200 || n != 4096 || !res.Close {
		t.Errorf("a request that had begun is answered with %d, %d bytes, closing %v", res.StatusCode, n, res.Close)
	}
	select {
	case err := <-stopped:
		t.Fatalf("the server stopped during a download: %v", err)
	default:
	}
	if n, err := io.Copy(io.Discard, downloading.Body); n != hugeSize || err != nil {
		t.Errorf("%d bytes were downloaded, %v", n, err)
	}
	slow.isClosed(t, "the connection of the download")
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := <-r.ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// TestShutdownInTime gives a download that does not end no more time than the stop has, and then breaks it off.
func TestShutdownInTime(t *testing.T) {
	r := start(t, nil, nil)
	r.huge(t)
	r.recorded(t)
	slow := r.dial(t)
	r.send(t, slow, get("/l/{huge}", ""))
	slow.head(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := r.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stop during a download: %v", err)
	}
	if err := r.server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	n, _ := io.Copy(io.Discard, slow.in)
	log := r.recorded(t)
	if len(log.Decisions) != 1 || len(log.Deliveries) != 1 || log.Deliveries[0].Complete || n >= hugeSize {
		t.Errorf("%d bytes came, and the log says %+v", n, log)
	}
}

// late is blobs that open only when they are told to.
type late struct {
	service.Blobs
	asked, open chan struct{}
}

func (b late) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	b.asked <- struct{}{}
	<-b.open
	return b.Blobs.Open(ctx, key)
}

// TestShutdownDuringDecision stops a server while it decides about requests: one is answered by the fast path, and one
// by net/http.
func TestShutdownDuringDecision(t *testing.T) {
	blobs := &late{asked: make(chan struct{}), open: make(chan struct{})}
	r := start(t, blobs, nil)
	blobs.Blobs = r.Blobs
	one, several := r.dial(t), r.dial(t)
	r.send(t, one, get("/l/{plain}", ""))
	r.send(t, several, get("/l/{plain}", "Range: bytes=0-1,4-5\r\n"))
	<-blobs.asked
	<-blobs.asked
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		stopped <- r.server.Shutdown(ctx)
	}()
	for { // until it has begun
		c, err := net.Dial("tcp", r.address)
		if err != nil {
			break
		}
		c.Close()
		time.Sleep(time.Millisecond)
	}
	close(blobs.open)
	if res, n := one.answer(t); res.StatusCode != 200 || n != 4096 || !res.Close {
		t.Errorf("status %d, %d bytes, closing %v", res.StatusCode, n, res.Close)
	}
	if res, _ := several.answer(t); res.StatusCode != 206 || !res.Close {
		t.Errorf("status %d, closing %v", res.StatusCode, res.Close)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestCloseDuringDecision closes a server by force while it decides. Decisions that no one is told of are recorded with
// deliveries of no byte.
func TestCloseDuringDecision(t *testing.T) {
	blobs := &late{asked: make(chan struct{}), open: make(chan struct{})}
	r := start(t, blobs, nil)
	blobs.Blobs = r.Blobs
	for _, fields := range []string{"", "Range: bytes=0-1,4-5\r\n"} {
		r.send(t, r.dial(t), get("/l/{plain}", fields))
		<-blobs.asked
	}
	r.server.Close()
	close(blobs.open)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		decided, sent := 0, []sluice.Sent(nil)
		for _, e := range r.Entries(t, r.ledger) {
			if e.Action == sluice.LinkRedeemed {
				decided++
			}
			for _, d := range e.Deliveries {
				sent = append(sent, d.Sent)
			}
		}
		if decided == 2 && len(sent) == 2 {
			if sent[0].Bytes+sent[1].Bytes != 0 {
				t.Errorf("the log says %+v", sent)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d decisions and %d deliveries", decided, len(sent))
		}
	}
}

// TestPatience closes connections that send nothing, or only a part of a head, and those that are idle.
func TestPatience(t *testing.T) {
	r := start(t, nil, func(hs *http.Server) { hs.ReadHeaderTimeout, hs.IdleTimeout = 100*time.Millisecond, time.Hour })
	silent, partial, later := r.dial(t), r.dial(t), r.dial(t)
	r.send(t, partial, "GET /l/{plain} HTTP/1.1\r\nHos")
	r.send(t, later, get("/l/{plain}", ""))
	later.answer(t)
	r.send(t, later, "GET /l/")
	silent.isClosed(t, "a silent connection")
	partial.isClosed(t, "a connection with a part of a head")
	later.isClosed(t, "a connection with a part of a later head")

	r = start(t, nil, func(hs *http.Server) { hs.ReadHeaderTimeout, hs.IdleTimeout = time.Hour, 100*time.Millisecond })
	idle, begun := r.dial(t), r.dial(t)
	r.send(t, idle, get("/l/{plain}", ""))
	idle.answer(t)
	r.send(t, begun, get("/l/{plain}", "")+"GET")
	begun.answer(t)
	idle.isClosed(t, "an idle connection")
	begun.isClosed(t, "a connection whose next request has not begun")
}

// TestHalfClosed answers clients that close their side after their requests.
func TestHalfClosed(t *testing.T) {
	r := start(t, nil, nil)
	c := r.dial(t)
	r.send(t, c, get("/l/{plain}", "")+get("/l/{large}", ""))
	_ = c.CloseWrite()
	for _, want := range []int64{4096, 320 << 10} {
		if res, n := c.answer(t); res.StatusCode != 200 || n != want {
			t.Errorf("status %d, %d bytes, want %d", res.StatusCode, n, want)
		}
	}
	c.isClosed(t, "the connection")
}
