package httpd_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"sluice/internal/httpd"
	"sluice/internal/service"
)

// dial connects to the server of c with a small receive buffer.
func (c client) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	return conn.(*net.TCPConn)
}

func askFor(t testing.TB, conn net.Conn, url string) {
	t.Helper()
	_, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	if _, err := fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
}

// TestOneCall checks that a small file leaves in one piece with the head of the answer, several times on one
// connection.
func TestOneCall(t *testing.T) {
	c := newClient(t)
	content := strings.Repeat("0123456789abcdef", 4<<10/16)
	l := c.mint(t, c.upload(t, "a.bin", "", content).ID, "")
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buffer := make([]byte, 16<<10)
	for range 20 {
		askFor(t, conn, l.URL)
		n, err := conn.Read(buffer)
		_, body, _ := bytes.Cut(buffer[:n], []byte("\r\n\r\n"))
		if err != nil || string(body) != content {
			t.Fatalf("the first read gave %d bytes of the file, %v", len(body), err)
		}
	}
}

// pausing is content that is late.
type pausing struct{ io.Reader }

func (p pausing) Read(b []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	return p.Reader.Read(b)
}

// TestHeadWaitsForFile checks that the head of a file leaves with the first bytes of the file, even if these come a
// little later. The system holds the head back for 200 ms, so a slow machine may need several attempts.
func TestHeadWaitsForFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has MSG_MORE")
	}
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := httpd.Listener(listening)
	defer l.Close()
	const head, body = "head", "0123456789"
	buffer := make([]byte, 64)
	for range 20 {
		reader, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if !httpd.HoldHead(httpd.WithConn(t.Context(), conn)) {
			t.Fatal("the connection holds nothing back")
		}
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() {
			n, err := conn.(io.ReaderFrom).ReadFrom(pausing{strings.NewReader(body)})
			if err == nil && n != int64(len(body)) {
				err = fmt.Errorf("%d bytes of the file were counted", n)
			}
			sent <- err
		}()
		first, err := reader.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadFull(reader, buffer[first:len(head+body)])
		if got := string(buffer[:len(head+body)]); err != nil || got != head+body {
			t.Fatalf("%q came, %v", got, err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if first == len(head+body) {
			return
		}
	}
	t.Error("the head came alone 20 times")
}

// TestFileWithHead checks that a file that is not kept in memory comes with the head of its answer: net/http by itself
// sends 512 bytes with the head, and the rest later. A slow machine may delay some of the answers, but not most.
func TestFileWithHead(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has MSG_MORE")
	}
	c := newClient(t)
	content := strings.Repeat("0123456789abcdef", 128<<10/16)
	l := c.mint(t, c.upload(t, "a.bin", "", content).ID, "")
	conn := c.dial(t)
	together := 0
	const times = 50
	for range times {
		askFor(t, conn, l.URL)
		answer := make([]byte, 32<<10)
		n, err := conn.Read(answer)
		head, body, _ := bytes.Cut(answer[:n], []byte("\r\n\r\n"))
		if err != nil || len(head) == n {
			t.Fatalf("%q, %v", answer[:n], err)
		}
		if len(body) > 512 {
			together++
		}
		rest, err := io.ReadAll(io.LimitReader(conn, int64(len(content)-len(body))))
		if string(body)+string(rest) != content || err != nil {
			t.Fatalf("%d bytes came, %v", len(body)+len(rest), err)
		}
	}
	if together < times/2 {
		t.Errorf("more than 512 bytes of the file came with the head %d of %d times", together, times)
	}
}

// TestSendfileBeyondHead checks that the connection uses sendfile(2): a copy would allocate memory.
func TestSendfileBeyondHead(t *testing.T) {
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := httpd.Listener(listening)
	defer l.Close()
	reader, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const size = 1 << 20
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	buffer, received := make([]byte, 64<<10), make(chan int64, 1)
	go func() {
		n := int64(0)
		for n < size {
			got, err := reader.Read(buffer)
			if n += int64(got); err != nil {
				break
			}
		}
		received <- n
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := conn.(io.ReaderFrom).ReadFrom(&io.LimitedReader{R: file, N: size})
	runtime.ReadMemStats(&after)
	if got := <-received; err != nil || n != size || got != size {
		t.Errorf("%d bytes sent and %d received, %v", n, got, err)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 16<<10 {
		t.Errorf("%d bytes of memory were taken", taken)
	}
}

// TestStalledReader checks that the log has the exact number of bytes that a stalled reader can have received, for a
// file in memory and for another one.
func TestStalledReader(t *testing.T) {
	const size = 24 << 20 // more than sockets hold
	content := strings.Repeat("0123456789abcdef", size/16)
	for name, blobs := range map[string]func(service.Blobs) service.Blobs{
		"file":   func(b service.Blobs) service.Blobs { return b },
		"memory": func(b service.Blobs) service.Blobs { return inMemory{b} },
	} {
		c := newOver(t, func(config *service.Config) { config.Blobs = blobs(config.Blobs) }, 200*time.Millisecond)
		conn := c.dial(t)
		askFor(t, conn, c.mint(t, c.upload(t, "a.bin", "", content).ID, "").URL)
		head, id := bufio.NewReader(conn), ""
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = head.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if value, ok := strings.CutPrefix(line, "X-Request-Id: "); ok {
				id = strings.TrimSpace(value)
			}
		}
		sent := c.delivered(t, id) // waits until the server gives up
		body, _ := io.ReadAll(head)
		if sent.Complete || sent.Bytes != int64(len(body)) || string(body) != content[:len(body)] {
			t.Errorf("from %s %d bytes of %d came, and the log says %+v", name, len(body), size, sent)
		}
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

// TestGoneBeforeTheFirstByte closes the connection between the decision and the bytes: the log says that no byte was
// sent.
func TestGoneBeforeTheFirstByte(t *testing.T) {
	for _, size := range []int{4 << 10, 60 << 10, 1 << 20} {
		blobs := late{asked: make(chan struct{}), open: make(chan struct{})}
		c := newOver(t, func(config *service.Config) {
			blobs.Blobs = inMemory{config.Blobs}
			if size > 64<<10 {
				blobs.Blobs = config.Blobs
			}
			config.Blobs = blobs
		}, 0)
		l := c.mint(t, c.upload(t, "a.bin", "", strings.Repeat("0123456789abcdef", size/16)).ID, "")
		conn := c.dial(t)
		askFor(t, conn, l.URL)
		<-blobs.asked
		_ = conn.SetLinger(0) // a reset
		conn.Close()
		time.Sleep(50 * time.Millisecond) // until it arrives
		blobs.open <- struct{}{}
		told := 0
		for _, of := range c.told(t) {
			if of.delivered == nil {
				continue
			}
			told++
			if sent := of.delivered.Sent; sent.Bytes != 0 || sent.Complete {
				t.Errorf("of %d bytes the log says %+v", size, sent)
			}
		}
		if told != 1 {
			t.Errorf("of %d bytes the log tells of %d deliveries", size, told)
		}
	}
}

// TestHandOver gives bytes back to a connection: they are read first. A decision that nobody takes is abandoned once,
// when the connection is closed.
func TestHandOver(t *testing.T) {
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := httpd.Listener(below)
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := accepted.(*httpd.Conn)
	left, abandoned := 0, 0
	c.HandOver([]byte("abc"), &httpd.Decided{Left: func() { left++ }, Abandon: func() { abandoned++ }})
	if _, err := peer.Write([]byte("def")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 6)
	if _, err := io.ReadFull(iotest.OneByteReader(c), got); err != nil || string(got) != "abcdef" {
		t.Errorf("%q is read, %v", got, err)
	}
	if left != 0 || abandoned != 0 {
		t.Error("the decision was abandoned before the connection was closed")
	}
	c.Close()
	c.Close()
	if left != 1 || abandoned != 1 {
		t.Errorf("the decision has left %d times and was abandoned %d times", left, abandoned)
	}
}
