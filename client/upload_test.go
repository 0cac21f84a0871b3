package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/client"
	"sluice/sluicetest"
)

// someBytes returns n different bytes.
func someBytes(n int) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(data)
	return data
}

func sha(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// onlyReader hides all methods but Read.
type onlyReader struct{ io.Reader }

func files(t *testing.T, c *client.Client) (list []api.File) {
	t.Helper()
	for f, err := range c.Files(context.Background(), api.FileQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	return list
}

func TestUploadKeepsContentAndDetails(t *testing.T) {
	ctx := context.Background()
	s := sluicetest.NewServer(t)
	c := newClient(t, s.URL, s.Secret)
	lifetime, most, password := api.Lifetime(600), int64(3), "pa55 w:rd é"
	ask := client.NewFile{
		Purpose: "report", Filename: `a "b" %22 ü.txt`, Title: "Third <quarter>", Type: "text/x-odd",
		Metadata:        map[string]string{"a": "ä & b", "c": "line\nline"},
		LinkedResources: []api.Resource{{Type: "case", ID: "7"}},
		Link: &api.NewLink{
			ExpiresInSeconds: &lifetime, Reason: "for the bank", Metadata: map[string]string{"k": "v"}, MaxDownloads: &most,
			Password: &password, AllowedIPs: []string{"127.0.0.0/8", "::1"}, Disposition: "attachment", Filename: "other.txt",
		},
	}
	for _, size := range []int{0, 1, 100_000, 3 << 20} {
		data := someBytes(size)
		path := filepath.Join(t.TempDir(), "content")
		if err := os.WriteFile(path, append([]byte("head"), data...), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.Seek(4, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]io.Reader{
			"size known": bytes.NewReader(data), "size unknown": onlyReader{bytes.NewReader(data)},
			"from the offset of a file": file,
		} {
			ask.SHA256 = strings.ToUpper(sha(data))
			got, err := c.Upload(ctx, content, ask)
			if err != nil {
				t.Fatalf("%d bytes, %s: %v", size, name, err)
			}
			f, l := got.File, got.Link
			if f.Size != int64(size) || f.SHA256 != sha(data) || f.Filename != ask.Filename || *f.Title != ask.Title ||
				f.Type != ask.Type || f.Purpose != "report" || !maps.Equal(f.Metadata, ask.Metadata) ||
				!slices.Equal(f.LinkedResources, ask.LinkedResources) {
				t.Errorf("%d bytes, %s: file %+v", size, name, f)
			}
			if l == nil || *l.Reason != "for the bank" || *l.ExpiresAt-l.Created != 600 || *l.MaxDownloads != 3 ||
				l.Metadata["k"] != "v" || !l.HasPassword || len(l.AllowedIPs) != 2 || *l.Filename != "other.txt" {
				t.Fatalf("%d bytes, %s: link %+v", size, name, l)
			}
			var out bytes.Buffer
			_, err = c.Download(ctx, l.URL, &out, client.DownloadOptions{Password: password})
			if err != nil || !bytes.Equal(out.Bytes(), data) {
				t.Errorf("%d bytes, %s: downloaded %d, %v", size, name, out.Len(), err)
			}
		}
	}
	ask = client.NewFile{Purpose: "report", Filename: "x.pdf", Link: &api.NewLink{}}
	plain, err := c.Upload(ctx, strings.NewReader("x"), ask)
	if err != nil || plain.Type != "application/pdf" || plain.Link == nil {
		t.Errorf("%+v, %v", plain, err)
	}
}

// gate is a reader and writer that limits the bytes in transit between them.
type gate struct {
	mu        sync.Mutex
	moved     sync.Cond
	in, out   int64
	size, gap int64
}

func newGate(size, gap int64) *gate {
	g := &gate{size: size, gap: gap}
	g.moved.L = &g.mu
	return g
}

// Read returns zeros as long as the bytes in transit fit the gap.
func (g *gate) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.in-g.out >= g.gap {
		g.moved.Wait()
	}
	n := min(int64(len(p)), g.size-g.in)
	if n == 0 {
		return 0, io.EOF
	}
	clear(p[:n])
	g.in += n
	return int(n), nil
}

// Write counts received bytes.
func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.out += int64(len(p))
	g.moved.Broadcast()
	return len(p), nil
}

// A client that kept the file in memory would block forever.
func TestTransfersUseLittleMemory(t *testing.T) {
	const size, gap = 64 << 20, 16 << 20 // the gap exceeds the socket buffers
	up, down := newGate(size, gap), newGate(size, gap)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Repr-Digest", digestOf(make([]byte, size)))
			_, _ = io.Copy(w, onlyReader{down})
			return
		}
		form, err := r.MultipartReader()
		for err == nil {
			part, ended := form.NextPart()
			if ended == io.EOF {
				break
			}
			_, err = io.Copy(up, part)
		}
		up.mu.Lock()
		up.out -= int64(len("report"))
		up.mu.Unlock()
		fmt.Fprintf(w, `{"object": "file", "sha256": %q}`, sha(make([]byte, size)))
	})
	if _, err := c.Upload(context.Background(), up, client.NewFile{Purpose: "report"}); err != nil || up.out != size {
		t.Errorf("%d bytes sent, %v", up.out, err)
	}
	got, err := c.Download(context.Background(), serverOf(c)+"/l/x", down, client.DownloadOptions{})
	if err != nil || got.Size != size {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestUploadIsRetriedAfterBrokenConnections(t *testing.T) {
	s := sluicetest.NewServer(t)
	data := someBytes(2 << 20)
	proxy := newCutter(t, s.URL, func(n int) (up, down int64) {
		if n < 2 {
			return 300_000, whole
		}
		return whole, whole
	})
	c := newClient(t, proxy.url, s.Secret)
	got, err := c.Upload(context.Background(), bytes.NewReader(data), client.NewFile{Purpose: "report", Filename: "f"})
	if err != nil || got.SHA256 != sha(data) || proxy.count.Load() != 3 {
		t.Fatalf("%+v, %v after %d connections", got, err, proxy.count.Load())
	}
	if list := files(t, newClient(t, s.URL, s.Secret)); len(list) != 1 || len(s.BlobKeys(t)) != 1 {
		t.Errorf("%d files, %d stored", len(list), len(s.BlobKeys(t)))
	}
}

func TestUploadWithoutSeekerIsNotRetried(t *testing.T) {
	s := sluicetest.NewServer(t)
	proxy := newCutter(t, s.URL, func(int) (up, down int64) { return 300_000, whole })
	c := newClient(t, proxy.url, s.Secret)
	content := onlyReader{bytes.NewReader(someBytes(2 << 20))}
	if _, err := c.Upload(context.Background(), content, client.NewFile{Purpose: "report"}); err == nil {
		t.Error("a part is taken for the whole")
	}
	if got := proxy.count.Load(); got != 1 {
		t.Errorf("%d connections", got)
	}
	if list := files(t, newClient(t, s.URL, s.Secret)); len(list) != 0 {
		t.Errorf("%d files", len(list))
	}
}

// The server stores the file and its response is lost. The retry has the same idempotency key.
func TestUploadWithLostResponseStoresOneFile(t *testing.T) {
	s := sluicetest.NewServer(t)
	proxy := newCutter(t, s.URL, func(n int) (up, down int64) {
		if n < 2 {
			return whole, 20
		}
		return whole, whole
	})
	c := newClient(t, proxy.url, s.Secret)
	got, err := c.Upload(context.Background(), strings.NewReader("content"), client.NewFile{Purpose: "report"})
	if err != nil || proxy.count.Load() != 3 {
		t.Fatalf("%v after %d connections", err, proxy.count.Load())
	}
	if list := files(t, newClient(t, s.URL, s.Secret)); len(list) != 1 || list[0].ID != got.ID {
		t.Errorf("%d files", len(list))
	}
}

// Content that cannot be rewound is sent in a later attempt if none of it was read before.
func TestUnreadUploadIsRetried(t *testing.T) {
	s := sluicetest.NewServer(t)
	var dialed atomic.Int32
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialed.Add(1) < 3 {
			return nil, errors.New("no route")
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	h := &http.Client{Transport: &http.Transport{DialContext: dial}}
	c := newClient(t, s.URL, s.Secret, client.WithHTTPClient(h))
	content := onlyReader{strings.NewReader("content")}
	got, err := c.Upload(context.Background(), content, client.NewFile{Purpose: "report"})
	if err != nil || got.Size != 7 || dialed.Load() != 3 {
		t.Errorf("%+v, %v after %d connections", got, err, dialed.Load())
	}
}

func TestUploadChecksResponse(t *testing.T) {
	readAll := func(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
	}{
		{"other content", func(w http.ResponseWriter, r *http.Request) {
			readAll(r)
			fmt.Fprintf(w, `{"object": "file", "id": "file_1", "sha256": %q}`, sha([]byte("other")))
		}, client.ErrDigest},
		{"before the end", func(w http.ResponseWriter, r *http.Request) {
			conn, out, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			answer := fmt.Sprintf(`{"object": "file", "id": "file_1", "sha256": %q}`, sha([]byte("content")))
			fmt.Fprintf(out, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
			out.Flush()
			_, _ = io.Copy(io.Discard, conn)
		}, client.ErrProtocol},
		{"no file", func(w http.ResponseWriter, r *http.Request) {
			readAll(r)
			io.WriteString(w, `{"object": "key"}`)
		}, client.ErrProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Content ends when the response arrives.
			answered := make(chan bool)
			content := io.Reader(strings.NewReader("content"))
			if c.name == "before the end" {
				content = io.MultiReader(content, readerFunc(func([]byte) (int, error) { <-answered; return 0, io.EOF }))
			}
			cl := serve(t, c.answer)
			t.Cleanup(func() { close(answered) })
			got, err := cl.Upload(context.Background(), onlyReader{content}, client.NewFile{Purpose: "report"})
			if !errors.Is(err, c.want) || (got.ID != "") != (c.want == client.ErrDigest) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// tornFile is content that can be rewound and fails in the middle.
type tornFile struct {
	io.Seeker
	io.Reader
}

func TestUploadOfFailingContent(t *testing.T) {
	torn := errors.New("the tape is torn")
	for _, seekable := range []bool{false, true} {
		s := sluicetest.NewServer(t)
		data := bytes.NewReader(someBytes(2 << 20))
		var read atomic.Int32
		fails := readerFunc(func([]byte) (int, error) { read.Add(1); return 0, torn })
		content := io.MultiReader(io.LimitReader(data, 1<<20), fails)
		if seekable {
			content = tornFile{data, content}
		}
		c := newClient(t, s.URL, s.Secret)
		if _, err := c.Upload(context.Background(), content, client.NewFile{Purpose: "report"}); !errors.Is(err, torn) {
			t.Errorf("seekable %v: %v", seekable, err)
		}
		if n, list := read.Load(), files(t, c); n != 1 || len(list) != 0 {
			t.Errorf("seekable %v: failed %d times, %d files", seekable, n, len(list))
		}
	}
}

func TestUploadRefusals(t *testing.T) {
	s := sluicetest.NewServer(t)
	c := newClient(t, s.URL, s.Secret)
	for _, u := range []struct {
		name string
		ask  client.NewFile
		want sluice.Code // "" if it is not sent
	}{
		{"other digest", client.NewFile{Purpose: "report", SHA256: sha([]byte("other"))}, sluice.CodeDigestMismatch},
		{"no digest", client.NewFile{Purpose: "report", SHA256: "c0ffee"}, ""},
		{"no purpose", client.NewFile{}, sluice.CodeValidation},
		{"line break in the type", client.NewFile{Purpose: "report", Type: "a/b\r\nX: y"}, ""},
		{"too many pairs", client.NewFile{
			Purpose: "report", Metadata: manyPairs(sluice.MaxMetadataKeys + 1),
		}, sluice.CodeValidation},
	} {
		t.Run(u.name, func(t *testing.T) {
			_, err := c.Upload(context.Background(), strings.NewReader("content"), u.ask)
			var e *client.Error
			if err == nil || errors.As(err, &e) != (u.want != "") || e != nil && e.Code != u.want {
				t.Errorf("got %v", err)
			}
		})
	}
	if n := len(files(t, c)); n != 0 {
		t.Errorf("%d files", n)
	}
}

func manyPairs(n int) map[string]string {
	pairs := map[string]string{}
	for i := range n {
		pairs[fmt.Sprint("k", i)] = "v"
	}
	return pairs
}

// The server refuses the file before all of it is sent, and the client gets the response.
func TestUploadOverTheLimitOfItsPurpose(t *testing.T) {
	s := sluicetest.NewServer(t)
	c := newClient(t, s.URL, s.Secret, client.WithRetries(2))
	data := someBytes(32 << 20)
	for name, content := range map[string]io.Reader{
		"size known": bytes.NewReader(data), "size unknown": onlyReader{bytes.NewReader(data)},
	} {
		_, err := c.Upload(context.Background(), content, client.NewFile{Purpose: "logo", Type: "image/png"})
		if sluice.CodeOf(err) != sluice.CodeTooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func TestUploadStalls(t *testing.T) {
	released := make(chan bool)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		<-released
	}, client.WithRetries(0))
	t.Cleanup(func() { close(released) })
	ask := func() error {
		_, err := c.Upload(context.Background(), bytes.NewReader(make([]byte, 64<<20)), client.NewFile{Purpose: "report"})
		return err
	}
	c.SetStall(50 * time.Millisecond)
	if err := ask(); !isTimeout(err) {
		t.Errorf("got %v", err)
	}
	c.SetStall(time.Minute)
	c.SetCommit(50 * time.Millisecond)
	_, err := c.Upload(context.Background(), strings.NewReader("content"), client.NewFile{Purpose: "report"})
	if !isTimeout(err) {
		t.Errorf("without an answer: %v", err)
	}
}

// A slow reader is not a stalled connection.
func TestUploadOfSlowReader(t *testing.T) {
	t.Parallel() // waits
	s := sluicetest.NewServer(t)
	c := newClient(t, s.URL, s.Secret)
	c.SetStall(3 * time.Second)
	c.SetResponse(3 * time.Second)
	slow := readerFunc(func([]byte) (int, error) { time.Sleep(4 * time.Second); return 0, io.EOF })
	content := io.MultiReader(strings.NewReader("content"), slow)
	got, err := c.Upload(context.Background(), content, client.NewFile{Purpose: "report"})
	if err != nil || got.Size != 7 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A context ends an upload whose reader blocks forever.
func TestContextEndsUpload(t *testing.T) {
	s := sluicetest.NewServer(t)
	c := newClient(t, s.URL, s.Secret)
	ctx, cancel := context.WithCancel(context.Background())
	block := make(chan bool)
	t.Cleanup(func() { close(block) })
	stuck := readerFunc(func([]byte) (int, error) { cancel(); <-block; return 0, io.EOF })
	if _, err := c.Upload(ctx, stuck, client.NewFile{Purpose: "report"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
