package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice"
	"sluice/internal/blob/blobtest"
	"sluice/internal/service"
)

func TestS3(t *testing.T) {
	g := sharedGateway(t)
	blobtest.Run(t, func(t *testing.T) service.Blobs { return openSharedS3(t, g) })
}

func openSharedS3(t *testing.T, g *gateway, tune ...func(*s3.Options)) *S3 {
	t.Helper()
	return mustOpenS3(t, g.options(t), tune...)
}

// unfinished counts the multipart uploads under a store's prefix.
func unfinished(t *testing.T, s *S3) int {
	t.Helper()
	in := &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &s.prefix}
	out, err := s.client.ListMultipartUploads(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}

// wantIdle checks that no stage holds a buffer and no upload is left.
func wantIdle(t *testing.T, s *S3) {
	t.Helper()
	if n := unfinished(t, s); n != 0 {
		t.Errorf("%d multipart uploads are left", n)
	}
	if len(s.parts) != 0 || len(s.huge) != 0 {
		t.Errorf("%d and %d buffers are held", len(s.parts), len(s.huge))
	}
}

// parts gives the number of parts of an object according to the server. It is 0
// for an object that came in a single request.
func parts(t *testing.T, s *S3, key string) int {
	t.Helper()
	head, err := s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.name(key)})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, after, ok := strings.Cut(strings.Trim(*head.ETag, `"`), "-"); ok {
		fmt.Sscan(after, &n)
	}
	return n
}

func TestS3Parts(t *testing.T) {
	s := openSharedS3(t, sharedGateway(t))
	for size, want := range map[int]int{
		smallSize: 0, partSize - 1: 0, partSize: 1, partSize + 1: 2, 2 * partSize: 2, 2*partSize + 1: 3, 3*partSize + 5: 4,
	} {
		key, p := blobtest.Key(size), blobtest.Content(size, size)
		blobtest.Put(t, s, key, p)
		blobtest.WantContent(t, s, key, p)
		if got := parts(t, s, key); got != want {
			t.Errorf("%d bytes came in %d parts, want %d", size, got, want)
		}
	}
	wantIdle(t, s)
}

// TestS3HugeParts stores a file that needs parts of the larger size.
func TestS3HugeParts(t *testing.T) {
	if most := int64(hugeAfter)*partSize + int64(10_000-hugeAfter)*hugeSize; most < sluice.MaxFileSize {
		t.Errorf("10,000 parts hold %d bytes, a file may have %d", most, sluice.MaxFileSize)
	}
	s := openSharedS3(t, sharedGateway(t))
	s.partSize, s.hugeSize, s.hugeAfter = 5<<20, 8<<20, 2
	p := blobtest.Content(1, 2*5<<20+2*8<<20+1)
	blobtest.Put(t, s, blobtest.Key(1), p)
	blobtest.WantContent(t, s, blobtest.Key(1), p)
	if got := parts(t, s, blobtest.Key(1)); got != 5 {
		t.Errorf("came in %d parts, want 5", got)
	}
	wantIdle(t, s)
}

// TestS3Memory runs more large Puts than there are buffers.
func TestS3Memory(t *testing.T) {
	const puts, size = 10, 3*partSize + 1
	s := openSharedS3(t, sharedGateway(t))
	runtime.GC()
	heap := heapBytes()
	var most, mostHeap atomic.Int64
	var all sync.WaitGroup
	for i := range puts {
		all.Go(func() {
			source := io.LimitReader(blobtest.ReaderFunc(func(p []byte) (int, error) {
				raise(&most, int64(len(s.parts)))
				return len(p), nil
			}), size)
			stored, err := s.Put(t.Context(), blobtest.Key(i), source)
			if err != nil || stored.Size != size {
				t.Errorf("Put: %d bytes, %v", stored.Size, err)
			}
			raise(&mostHeap, heapBytes())
		})
	}
	all.Wait()
	if most.Load() > partBuffers || most.Load() < 2 {
		t.Errorf("%d buffers at once, want 2 to %d", most.Load(), partBuffers)
	}
	if grown := mostHeap.Load() - heap; runtime.GOOS == "linux" && grown > 32<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	wantIdle(t, s)
}

func raise(most *atomic.Int64, n int64) {
	for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
	}
}

func heapBytes() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// TestS3WaitEnds checks that a Put that waits for a buffer ends with its context.
func TestS3WaitEnds(t *testing.T) {
	s := openSharedS3(t, sharedGateway(t))
	for range partBuffers {
		s.parts <- struct{}{}
	}
	blobtest.Put(t, s, blobtest.Key(1), blobtest.Content(1, smallSize-1))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Put(ctx, blobtest.Key(2), bytes.NewReader(blobtest.Content(1, smallSize+1)))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a free buffer: %v", err)
	}
}

func TestS3BrokenReader(t *testing.T) {
	s := openSharedS3(t, sharedGateway(t))
	broken := errors.New("the line is dead")
	for _, after := range []int{0, partSize / 2, partSize, partSize + 1, 3*partSize + partSize/2} {
		r := io.MultiReader(bytes.NewReader(blobtest.Content(1, after)), iotest.ErrReader(broken))
		_, err := s.Put(t.Context(), blobtest.Key(1), r)
		if err != broken {
			t.Errorf("after %d bytes: %v", after, err)
		}
		blobtest.WantKeys(t, s)
		wantIdle(t, s)
	}
	func() {
		defer func() { _ = recover() }()
		failing := blobtest.ReaderFunc(func([]byte) (int, error) { panic("reader") })
		s.Put(t.Context(), blobtest.Key(1), io.MultiReader(bytes.NewReader(blobtest.Content(1, partSize+1)), failing))
	}()
	blobtest.WantKeys(t, s)
	wantIdle(t, s)

	ctx, cancel := context.WithCancel(t.Context())
	ending := blobtest.ReaderFunc(func([]byte) (int, error) { cancel(); return 0, nil })
	_, err := s.Put(ctx, blobtest.Key(1), io.MultiReader(bytes.NewReader(blobtest.Content(1, 2*partSize+1)), ending))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	blobtest.WantNothing(t, s, blobtest.Key(1))
	wantIdle(t, s)
}

// TestS3PartsEnd checks that an upload is aborted only when no part is under way. A
// part that arrives after the abort would be left over.
func TestS3PartsEnd(t *testing.T) {
	read := make(chan struct{})
	var ended atomic.Int64
	s := openSharedS3(t, sharedGateway(t), through(func(r *http.Request, send sender) (*http.Response, error) {
		if isOperation(r, "UploadPart") {
			<-read
			time.Sleep(100 * time.Millisecond)
			if err := r.Context().Err(); err != nil {
				t.Errorf("a part under way is broken off: %v", err)
			}
			defer ended.Add(1)
		}
		if r.Method == http.MethodDelete && ended.Load() != 2 {
			t.Errorf("the upload is ended when %d parts of 2 are", ended.Load())
		}
		return send(r)
	}))
	broken := errors.New("the line is dead")
	breaking := blobtest.ReaderFunc(func([]byte) (int, error) { close(read); return 0, broken })
	r := io.MultiReader(bytes.NewReader(blobtest.Content(1, 2*partSize+1)), breaking)
	_, err := s.Put(t.Context(), blobtest.Key(1), r)
	if err != broken {
		t.Error(err)
	}
	blobtest.WantNothing(t, s, blobtest.Key(1))
	wantIdle(t, s)
}

// TestS3SameKey lets one of many uploads of several parts win.
func TestS3SameKey(t *testing.T) {
	s := openSharedS3(t, sharedGateway(t))
	outcomes := make([]error, 16)
	var all sync.WaitGroup
	for i := range outcomes {
		size := partSize + i + 1
		if i%2 == 0 {
			size = 1000 + i
		}
		all.Go(func() {
			_, outcomes[i] = s.Put(t.Context(), blobtest.Key(1), bytes.NewReader(blobtest.Content(i, size)))
		})
	}
	all.Wait()
	winner := blobtest.WantOneWinner(t, outcomes)
	size := partSize + winner + 1
	if winner%2 == 0 {
		size = 1000 + winner
	}
	blobtest.WantContent(t, s, blobtest.Key(1), blobtest.Content(winner, size))
	blobtest.WantKeys(t, s, blobtest.Key(1))
	wantIdle(t, s)

	_, err := s.Put(t.Context(), blobtest.Key(1), bytes.NewReader(blobtest.Content(1, 2*partSize)))
	blobtest.WantCode(t, "Put of a taken key in parts", err, sluice.CodeConflict)
	wantIdle(t, s)
}

// TestS3AnswerLost breaks the connection before a request arrives, and after it
// took effect.
func TestS3AnswerLost(t *testing.T) {
	g := sharedGateway(t)
	for name, size := range map[string]int{"PutObject": 1000, "CompleteMultipartUpload": 2*partSize + 1} {
		for _, applied := range []bool{false, true} {
			for _, times := range []int{1, attempts} {
				t.Run(fmt.Sprintf("%s applied %v, %d times", name, applied, times), func(t *testing.T) {
					var lost atomic.Int64
					s := openSharedS3(t, g, through(func(r *http.Request, send sender) (*http.Response, error) {
						if !isOperation(r, name) || lost.Add(1) > int64(times) {
							return send(r)
						}
						if applied {
							res, err := send(r)
							if err != nil {
								return nil, err
							}
							res.Body.Close()
						} else if r.Body != nil {
							r.Body.Close()
						}
						return nil, errors.New("connection reset by peer")
					}))
					p := blobtest.Content(1, size)
					stored, err := s.Put(t.Context(), blobtest.Key(1), bytes.NewReader(p))
					if lost.Load() < int64(times) {
						t.Fatalf("%d answers were lost", lost.Load())
					}
					if !applied && times == attempts {
						blobtest.WantCode(t, "Put that never arrived", err, sluice.CodeUnavailable)
						blobtest.WantNothing(t, s, blobtest.Key(1))
					} else if err != nil || stored != blobtest.StoredOf(p) {
						t.Errorf("Put whose answer was lost: %d bytes, %v", stored.Size, err)
					} else {
						blobtest.WantContent(t, s, blobtest.Key(1), p)
					}
					wantIdle(t, s)
				})
			}
		}
	}
}

func isOperation(r *http.Request, name string) bool {
	q := r.URL.Query()
	switch name {
	case "PutObject":
		return r.Method == http.MethodPut && !q.Has("partNumber")
	case "UploadPart":
		return q.Has("partNumber")
	case "CompleteMultipartUpload":
		return r.Method == http.MethodPost && q.Has("uploadId")
	case "HeadObject":
		return r.Method == http.MethodHead && strings.Count(r.URL.Path, "/") > 1
	case "GetObject":
		return r.Method == http.MethodGet && q.Get("x-id") == "GetObject"
	}
	return false
}

// TestS3PartFails checks that a Put ends when a part cannot be sent.
func TestS3PartFails(t *testing.T) {
	s := openSharedS3(t, sharedGateway(t), through(func(r *http.Request, send sender) (*http.Response, error) {
		if isOperation(r, "UploadPart") && r.URL.Query().Get("partNumber") == "2" {
			return nil, errors.New("connection reset by peer")
		}
		return send(r)
	}))
	read := 0
	r := io.TeeReader(bytes.NewReader(blobtest.Content(1, 12*partSize)), blobtest.WriterFunc(func(p []byte) (int, error) {
		read += len(p)
		return len(p), nil
	}))
	_, err := s.Put(t.Context(), blobtest.Key(1), iotest.HalfReader(r))
	blobtest.WantCode(t, "Put of which a part fails", err, sluice.CodeUnavailable)
	if read > 8*partSize {
		t.Errorf("read %d bytes after a part had failed", read)
	}
	blobtest.WantNothing(t, s, blobtest.Key(1))
	wantIdle(t, s)
}

// TestS3LateRead checks a property of the SDK that the buffers rely on: it reads no
// body after the request has returned. Then the memory may be gone.
func TestS3LateRead(t *testing.T) {
	var late []io.Reader
	s := openSharedS3(t, sharedGateway(t), through(func(r *http.Request, send sender) (*http.Response, error) {
		if !isOperation(r, "UploadPart") && !isOperation(r, "PutObject") {
			return send(r)
		}
		late = append(late, r.Body)
		text := strings.NewReader("<Error><Code>AccessDenied</Code></Error>")
		return &http.Response{
			StatusCode: 403, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, Body: io.NopCloser(text),
		}, nil
	}))
	for _, size := range []int{1000, partSize} {
		if _, err := s.Put(t.Context(), blobtest.Key(1), bytes.NewReader(blobtest.Content(1, size))); err == nil {
			t.Error("Put was taken")
		}
	}
	if len(late) != 2 {
		t.Fatalf("%d bodies were sent, want 2", len(late))
	}
	for _, body := range late {
		if n, err := body.Read(make([]byte, 10)); n != 0 || err == nil {
			t.Errorf("a late Read gives %d bytes, %v", n, err)
		}
	}
	wantIdle(t, s)
}

// TestS3Wire looks at the requests: bodies are signed, also over TLS, and the server
// refuses one that was damaged on its way.
func TestS3Wire(t *testing.T) {
	g := sharedGateway(t)
	signedSum := regexp.MustCompile(`^[0-9a-f]{64}$`)
	var checked, damaged atomic.Int64
	o := g.options(t)
	o.Endpoint = strings.Replace(o.Endpoint, "http:", "https:", 1)
	s := mustOpenS3(t, o, through(func(r *http.Request, send sender) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Scheme = "http" // what is above believes that this is TLS
		if isOperation(r, "PutObject") || isOperation(r, "UploadPart") {
			checked.Add(1)
			if sum := r.Header.Get("X-Amz-Content-Sha256"); !signedSum.MatchString(sum) {
				t.Errorf("%s: x-amz-content-sha256 is %q", r.URL.Path, sum)
			}
			if r.Header.Get("X-Amz-Trailer")+r.Header.Get("X-Amz-Sdk-Checksum-Algorithm") != "" {
				t.Errorf("%s is sent with a checksum of the SDK's own", r.URL.Path)
			}
			if damaged.Load() > 0 {
				p, err := io.ReadAll(r.Body)
				if err != nil {
					return nil, err
				}
				p[len(p)/2] ^= 1
				r.Body = io.NopCloser(bytes.NewReader(p))
			}
		}
		return send(r)
	}))
	blobtest.Put(t, s, blobtest.Key(1), blobtest.Content(1, 1000))
	blobtest.Put(t, s, blobtest.Key(2), blobtest.Content(1, partSize+1))
	if checked.Load() != 3 {
		t.Errorf("%d bodies were sent, want 3", checked.Load())
	}
	damaged.Store(1)
	for _, size := range []int{1000, partSize + 1} {
		if _, err := s.Put(t.Context(), blobtest.Key(3), bytes.NewReader(blobtest.Content(1, size))); err == nil {
			t.Errorf("a damaged body of %d bytes was taken", size)
		}
		_, err := s.Open(t.Context(), blobtest.Key(3))
		blobtest.WantCode(t, "Open after it", err, sluice.CodeNotFound)
		wantIdle(t, s)
	}
}

// TestS3Gone stops the server during reads and Puts, and starts it again.
func TestS3Gone(t *testing.T) {
	g := ownGateway(t)
	s := openSharedS3(t, g)
	s.stall = 5 * time.Second
	p := blobtest.Content(1, 9<<20)
	blobtest.Put(t, s, blobtest.Key(1), p)
	r := blobtest.Open(t, s, blobtest.Key(1))
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	finish := blobtest.StartPut(t, s, blobtest.Key(2), blobtest.Content(2, 2*partSize))
	finishSmall := blobtest.StartPut(t, s, blobtest.Key(3), blobtest.Content(2, 1000))
	g.stop()

	unavailable := func(doing string, err error) {
		t.Helper()
		blobtest.WantCode(t, doing, err, sluice.CodeUnavailable)
		wantNoSecret(t, err)
		var e *sluice.Error
		if errors.As(err, &e) && e.RetryAfter == 0 {
			t.Errorf("%s: no word of when to try again", doing)
		}
	}
	n, err := io.Copy(io.Discard, r)
	unavailable("Read", err)
	unavailable("Put in parts", finish())
	unavailable("Put", finishSmall())
	_, err = s.Open(t.Context(), blobtest.Key(1))
	unavailable("Open", err)
	unavailable("Ready", s.Ready(t.Context()))
	unavailable("Remove", s.Remove(t.Context(), blobtest.Key(1)))
	unavailable("Walk", s.Walk(t.Context(), func(string, time.Time) error { return nil }))
	_, err = s.Sweep(t.Context(), time.Now())
	unavailable("Sweep", err)

	g.start(t)
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	blobtest.WantKeys(t, s, blobtest.Key(1))
	blobtest.WantRest(t, r, p[1000+n:]) // the reader that failed goes on
	blobtest.Put(t, s, blobtest.Key(2), p)
	blobtest.WantContent(t, s, blobtest.Key(2), p)
	if n, err := s.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("Sweep of the upload that was left: %d, %v", n, err)
	}
	wantIdle(t, s)
}

// TestS3Cut breaks the connection again and again during a read.
func TestS3Cut(t *testing.T) {
	g := sharedGateway(t)
	o := g.options(t)
	p := blobtest.Content(1, 20<<20)
	blobtest.Put(t, mustOpenS3(t, o), blobtest.Key(1), p)

	var connections atomic.Int64
	relay := newRelay(t, g.addr, func(n int) (int64, bool) {
		connections.Add(1)
		return int64(n+1) * 1_000_003, false
	})
	o.Endpoint = "http://" + relay.Addr().String()
	s := mustOpenS3(t, o)
	blobtest.WantContent(t, s, blobtest.Key(1), p)
	if connections.Load() < 4 {
		t.Errorf("the read took %d connections", connections.Load())
	}
	connections.Store(0)
	r := blobtest.Open(t, s, blobtest.Key(1))
	if _, err := r.Seek(-3_000_000, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	blobtest.WantRest(t, r, p[len(p)-3_000_000:])
}

// TestS3Stall has the first connections hang after some bytes.
func TestS3Stall(t *testing.T) {
	g := sharedGateway(t)
	o := g.options(t)
	p := blobtest.Content(1, 20<<20)
	blobtest.Put(t, mustOpenS3(t, o), blobtest.Key(1), p)

	relay := newRelay(t, g.addr, func(n int) (int64, bool) {
		if n < 3 {
			return 5_000_000, true
		}
		return math.MaxInt64, false
	})
	o.Endpoint = "http://" + relay.Addr().String()
	s := mustOpenS3(t, o)
	s.stall = 300 * time.Millisecond
	blobtest.WantContent(t, s, blobtest.Key(1), p)
}

// TestS3Truncated reads over connections that always end too early.
func TestS3Truncated(t *testing.T) {
	g := sharedGateway(t)
	o := g.options(t)
	p := blobtest.Content(1, 1<<20)
	blobtest.Put(t, mustOpenS3(t, o), blobtest.Key(1), p)

	var dead atomic.Bool
	s := mustOpenS3(t, o, through(func(r *http.Request, send sender) (*http.Response, error) {
		res, err := send(r)
		if err == nil && dead.Load() && isOperation(r, "GetObject") {
			body := res.Body
			res.Body = struct {
				io.Reader
				io.Closer
			}{iotest.ErrReader(io.ErrUnexpectedEOF), body}
		}
		return res, err
	}))
	r := blobtest.Open(t, s, blobtest.Key(1))
	dead.Store(true)
	if _, err := r.Seek(10, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	_, err := io.ReadAll(r)
	blobtest.WantCode(t, "Read of a body that never comes", err, sluice.CodeUnavailable)
	dead.Store(false)
	blobtest.WantRest(t, r, p[10:])
}

// TestS3Requests counts the requests of reads.
func TestS3Requests(t *testing.T) {
	var gets, others atomic.Int64
	s := openSharedS3(t, sharedGateway(t), through(func(r *http.Request, send sender) (*http.Response, error) {
		if isOperation(r, "GetObject") {
			gets.Add(1)
		} else {
			others.Add(1)
		}
		return send(r)
	}))
	p := blobtest.Content(1, 1<<20)
	blobtest.Put(t, s, blobtest.Key(1), p)
	others.Store(0)
	r := blobtest.Open(t, s, blobtest.Key(1))
	if size, err := r.Seek(0, io.SeekEnd); size != 1<<20 || err != nil {
		t.Errorf("Seek to the end: %d, %v", size, err)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	blobtest.WantRest(t, r, p)
	if gets.Load() != 1 || others.Load() != 0 {
		t.Errorf("a read from start to end took %d GETs and %d other requests", gets.Load(), others.Load())
	}
	if _, err := r.Seek(500, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	blobtest.WantRest(t, r, p[500:])
	if gets.Load() != 2 || others.Load() != 0 {
		t.Errorf("after a Seek: %d GETs and %d other requests", gets.Load(), others.Load())
	}
}

// TestS3Replaced replaces an object under a reader, who gets no byte of the new
// one.
func TestS3Replaced(t *testing.T) {
	s := openSharedS3(t, sharedGateway(t))
	p := blobtest.Content(1, 1<<20)
	blobtest.Put(t, s, blobtest.Key(1), p)
	r := blobtest.Open(t, s, blobtest.Key(1))
	if err := s.Remove(t.Context(), blobtest.Key(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Seek(100, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	_, err := r.Read(make([]byte, 10))
	blobtest.WantCode(t, "Read elsewhere after a Remove", err, sluice.CodeNotFound)

	blobtest.Put(t, s, blobtest.Key(1), blobtest.Content(2, 1<<20))
	if n, err := r.Read(make([]byte, 10)); n != 0 || err == nil {
		t.Errorf("Read of another object's bytes: %d, %v", n, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 10)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
}

// TestS3IgnoresRange checks that an answer with all bytes is no answer to a range.
func TestS3IgnoresRange(t *testing.T) {
	s := openSharedS3(t, sharedGateway(t), through(func(r *http.Request, send sender) (*http.Response, error) {
		if r.Header.Get("Range") != "" {
			r = r.Clone(r.Context())
			r.Header.Del("Range")
		}
		return send(r)
	}))
	blobtest.Put(t, s, blobtest.Key(1), blobtest.Content(1, 1000))
	r := blobtest.Open(t, s, blobtest.Key(1))
	if _, err := r.Seek(100, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 10)); n != 0 || err == nil {
		t.Errorf("Read gives %d bytes, %v", n, err)
	}
}

func TestS3ReadingEndsWithContext(t *testing.T) {
	s := openSharedS3(t, sharedGateway(t))
	blobtest.Put(t, s, blobtest.Key(1), blobtest.Content(1, 9<<20))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Open(ctx, blobtest.Key(1))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadAll: %v", err)
	}
}

func TestS3Walk(t *testing.T) {
	s := openSharedS3(t, sharedGateway(t))
	s.pageSize = 7
	var want []string
	for i := range 30 {
		blobtest.Put(t, s, blobtest.Key(i), nil)
		want = append(want, blobtest.Key(i))
	}
	blobtest.WantKeys(t, s, want...)
	if err := s.Walk(t.Context(), func(key string, _ time.Time) error { return s.Remove(t.Context(), key) }); err != nil {
		t.Fatal(err)
	}
	blobtest.WantKeys(t, s)
}

// beginUpload leaves an unfinished upload with one part.
func beginUpload(t *testing.T, s *S3, name string) {
	t.Helper()
	out, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &name})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.client.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: &s.bucket, Key: &name, UploadId: out.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part"),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestS3Sweep(t *testing.T) {
	var old atomic.Bool
	initiated := regexp.MustCompile(`<Initiated>[^<]*</Initiated>`)
	s := openSharedS3(t, sharedGateway(t), through(func(r *http.Request, send sender) (*http.Response, error) {
		res, err := send(r)
		if err == nil && old.Load() && r.URL.Query().Has("uploads") {
			p, _ := io.ReadAll(res.Body)
			res.Body.Close()
			p = initiated.ReplaceAll(p, []byte("<Initiated>2020-01-01T00:00:00Z</Initiated>"))
			res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(p)), int64(len(p))
			res.Header.Del("Content-Length")
		}
		return res, err
	}))
	s.pageSize = 2
	for i := range 5 {
		beginUpload(t, s, s.prefix+blobtest.Key(i))
	}
	for _, of := range []string{"somebody-else", "trash/somebody-else", "elsewhere/" + blobtest.Key(9)} {
		beginUpload(t, s, s.prefix+of)
	}
	beginUpload(t, s, s.prefix+"trash/"+blobtest.Key(5)) // a copy to the trash, killed
	hour := time.Now().Add(-time.Hour)
	if n, err := s.Sweep(t.Context(), hour); n != 0 || err != nil {
		t.Errorf("Sweep of an hour ago: %d, %v", n, err)
	}
	old.Store(true) // they began long ago, and their last part came now
	if n, err := s.Sweep(t.Context(), hour); n != 0 || err != nil {
		t.Errorf("Sweep of uploads that still get parts: %d, %v", n, err)
	}
	if n, err := s.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 6 || err != nil {
		t.Errorf("Sweep: %d, %v, want 6", n, err)
	}
	if n := unfinished(t, s); n != 3 {
		t.Errorf("%d uploads are left, want the 3 that are not ours", n)
	}
}

// TestS3Prefix checks that stores in one bucket do not touch each other.
func TestS3Prefix(t *testing.T) {
	g := sharedGateway(t)
	o := g.options(t)
	stores := map[string]*S3{}
	for _, suffix := range []string{"/a", "/a/b", "/ab", "/a-b"} {
		o := o
		o.Prefix += suffix
		stores[suffix] = mustOpenS3(t, o)
		blobtest.Put(t, stores[suffix], blobtest.Key(1), []byte(suffix))
		beginUpload(t, stores[suffix], stores[suffix].prefix+blobtest.Key(2))
	}
	a := stores["/a"]
	blobtest.WantKeys(t, a, blobtest.Key(1))
	if n, err := a.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("Sweep: %d, %v", n, err)
	}
	for range 2 {
		if err := a.Remove(t.Context(), blobtest.Key(1)); err != nil {
			t.Fatal(err)
		}
	}
	blobtest.WantKeys(t, a)
	for suffix, s := range stores {
		if suffix == "/a" {
			continue
		}
		blobtest.WantContent(t, s, blobtest.Key(1), []byte(suffix))
		if n := unfinished(t, s); n != 1 {
			t.Errorf("%s: %d uploads, want the one begun", suffix, n)
		}
	}
}

func TestS3Presign(t *testing.T) {
	g := sharedGateway(t)
	o := g.options(t)
	o.PublicEndpoint = strings.Replace(o.Endpoint, "127.0.0.1", "localhost", 1)
	s := mustOpenS3(t, o)
	p := blobtest.Content(1, 100_000)
	blobtest.Put(t, s, blobtest.Key(1), p)
	presign := func(key string, lifetime time.Duration) (string, error) {
		return s.Presign(t.Context(), key, service.Presigned{
			Type: "application/pdf", Lifetime: lifetime,
			Disposition: `attachment; filename="ä b.pdf"; filename*=UTF-8''%C3%A4%20b.pdf`,
		})
	}
	link, err := presign(blobtest.Key(1), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil || !strings.HasPrefix(u.Host, "localhost:") {
		t.Errorf("the URL leads to %q, %v", u.Host, err)
	}
	if strings.Contains(link, testSecret) {
		t.Error("the URL holds the secret")
	}
	res, body := fetch(t, http.MethodGet, link)
	for name, want := range map[string]string{
		"Content-Type":        "application/pdf",
		"Content-Disposition": `attachment; filename="ä b.pdf"; filename*=UTF-8''%C3%A4%20b.pdf`,
		"Cache-Control":       "private, no-store",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if res.StatusCode != 200 || !bytes.Equal(body, p) {
		t.Errorf("status %d, %d bytes", res.StatusCode, len(body))
	}
	for name, bad := range map[string]string{
		"another type": strings.Replace(link, "pdf", "exe", 1),
		"another key":  strings.Replace(link, blobtest.Key(1), blobtest.Key(2), 1),
	} {
		if res, _ := fetch(t, http.MethodGet, bad); res.StatusCode != http.StatusForbidden || bad == link {
			t.Errorf("%s: status %d", name, res.StatusCode)
		}
	}
	if res, _ := fetch(t, http.MethodDelete, link); res.StatusCode != http.StatusForbidden {
		t.Errorf("DELETE: status %d", res.StatusCode)
	}

	short, err := presign(blobtest.Key(1), 1500*time.Millisecond)
	if err != nil || !strings.Contains(short, "X-Amz-Expires=1&") {
		t.Fatal(short, err)
	}
	time.Sleep(2100 * time.Millisecond)
	if res, _ := fetch(t, http.MethodGet, short); res.StatusCode != http.StatusForbidden {
		t.Errorf("after its lifetime: status %d", res.StatusCode)
	}
	for _, lifetime := range []time.Duration{0, -time.Minute, time.Second - 1, service.MaxPresigned + 1} {
		if link, err := presign(blobtest.Key(1), lifetime); err == nil {
			t.Errorf("a lifetime of %v gives %q", lifetime, link)
		}
	}
	for _, key := range blobtest.HostileKeys {
		_, err := presign(key, time.Minute)
		blobtest.WantCode(t, fmt.Sprintf("Presign of %.40q", key), err, sluice.CodeValidation)
	}
}

func fetch(t *testing.T, method, link string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, body
}

// TestS3Answers checks the code of each refusal of a server.
func TestS3Answers(t *testing.T) {
	for _, test := range []struct {
		status int
		code   string
		want   sluice.Code
		after  time.Duration
	}{
		{507, "InsufficientStorage", sluice.CodeStorageFull, 0},
		{507, "Anything", sluice.CodeStorageFull, 0},
		{507, "XMinioStorageFull", sluice.CodeStorageFull, 0},
		{403, "QuotaExceeded", sluice.CodeStorageFull, 0},
		{400, "XMinioAdminBucketQuotaExceeded", sluice.CodeStorageFull, 0},
		{503, "SlowDown", sluice.CodeUnavailable, 7 * time.Second},
		{500, "InternalError", sluice.CodeUnavailable, 7 * time.Second},
		{502, "", sluice.CodeUnavailable, 7 * time.Second},
		{429, "TooManyRequests", sluice.CodeUnavailable, 7 * time.Second},
		{400, "RequestTimeout", sluice.CodeUnavailable, 7 * time.Second},
		{404, "NoSuchBucket", sluice.CodeUnavailable, 7 * time.Second},
		{409, "ConditionalRequestConflict", sluice.CodeUnavailable, retryAfter}, // and there is no object
		{412, "PreconditionFailed", sluice.CodeUnavailable, retryAfter},
		{501, "NotImplemented", sluice.CodeInternal, 0},
		{403, "AccessDenied", sluice.CodeInternal, 0},
		{403, "SignatureDoesNotMatch", sluice.CodeInternal, 0},
	} {
		t.Run(fmt.Sprint(test.status, test.code), func(t *testing.T) {
			s := openSharedS3(t, sharedGateway(t), through(func(r *http.Request, send sender) (*http.Response, error) {
				if !isOperation(r, "PutObject") {
					return send(r)
				}
				text := fmt.Sprintf("<Error><Code>%s</Code><Message>no</Message></Error>", test.code)
				return &http.Response{
					StatusCode: test.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
					Header: http.Header{"Retry-After": {"7"}}, Body: io.NopCloser(strings.NewReader(text)),
				}, nil
			}))
			_, err := s.Put(t.Context(), blobtest.Key(1), strings.NewReader("x"))
			blobtest.WantCode(t, "Put", err, test.want)
			wantNoSecret(t, err)
			var e *sluice.Error
			if errors.As(err, &e) && e.RetryAfter != test.after {
				t.Errorf("RetryAfter is %v, want %v", e.RetryAfter, test.after)
			}
			blobtest.WantKeys(t, s)
		})
	}
}

// TestS3RefusesItsOwnWrite loses the answer to a write, so that its repetition is
// refused, while the server cannot show the object at first.
func TestS3RefusesItsOwnWrite(t *testing.T) {
	answer := func(r *http.Request, status int, code string) *http.Response {
		text := fmt.Sprintf("<Error><Code>%s</Code><Message>no</Message></Error>", code)
		return &http.Response{
			StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)),
		}
	}
	asked := 0
	s := openSharedS3(t, sharedGateway(t), through(
		func(r *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
			switch {
			case isOperation(r, "PutObject"):
				res, err := send(r)
				if err != nil {
					return nil, err
				}
				res.Body.Close()
				return answer(r, http.StatusPreconditionFailed, "PreconditionFailed"), nil
			case isOperation(r, "HeadObject"):
				if asked++; asked < 3 {
					return answer(r, http.StatusNotFound, "NotFound"), nil
				}
			}
			return send(r)
		}))
	if _, err := s.Put(t.Context(), blobtest.Key(1), strings.NewReader("x")); err != nil {
		t.Errorf("Put of what is stored: %v", err)
	}
	blobtest.WantKeys(t, s, blobtest.Key(1))
}

// TestWriteOnceBesideAnother has the server refuse the first writes because of
// another write that cannot be read yet.
func TestWriteOnceBesideAnother(t *testing.T) {
	for _, test := range []struct {
		name, code string
		status     int
		succeeds   bool // the other write
	}{
		{"that succeeds", "PreconditionFailed", 412, true},
		{"that fails", "ConditionalRequestConflict", 409, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			writes := 0
			var s *S3
			s = openSharedS3(t, sharedGateway(t), through(
				func(r *http.Request, send sender) (*http.Response, error) {
					if !isOperation(r, "PutObject") {
						return send(r)
					}
					if writes++; writes > 2 {
						return send(r)
					}
					if writes == 2 && test.succeeds {
						writes++
						if there, err := s.WriteOnce(t.Context(), "a/text", []byte("theirs")); there != nil || err != nil {
							t.Errorf("the other WriteOnce gives %q, %v", there, err)
						}
					}
					text := fmt.Sprintf("<Error><Code>%s</Code><Message>no</Message></Error>", test.code)
					return &http.Response{
						StatusCode: test.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
						Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)),
					}, nil
				}))
			there, err := s.WriteOnce(t.Context(), "a/text", []byte("ours"))
			if err != nil || test.succeeds != (string(there) == "theirs") {
				t.Errorf("WriteOnce gives %q, %v", there, err)
			}
		})
	}
}

// wantNoSecret checks that an error is one line without credentials.
func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v", err, err)
	if strings.Contains(text, testSecret[:12]) || strings.Contains(text, "Signature=") {
		t.Errorf("an error shows a secret: %s", text)
	}
}

func TestS3OpenRefuses(t *testing.T) {
	g := sharedGateway(t)
	for name, test := range map[string]struct {
		change func(*testing.T, *S3Options)
		want   string
	}{
		"nobody listens": {func(_ *testing.T, o *S3Options) { o.Endpoint = "http://127.0.0.1:1" },
			"cannot be reached: dial tcp 127.0.0.1:1"},
		"no bucket": {func(_ *testing.T, o *S3Options) { o.Bucket = "elsewhere" }, "there is no bucket elsewhere"},
		"wrong secret": {func(t *testing.T, _ *S3Options) { t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret+"x") },
			"the credentials are refused for the bucket sluice-test (SignatureDoesNotMatch)"},
		"unknown access key": {func(t *testing.T, _ *S3Options) { t.Setenv("AWS_ACCESS_KEY_ID", "NOBODY") },
			"the credentials are refused for the bucket sluice-test ("},
		"no credentials": {func(t *testing.T, _ *S3Options) { forgetCredentials(t) },
			"no S3 credentials: set AWS_ACCESS_KEY_ID"},
		"half of the credentials": {func(t *testing.T, _ *S3Options) { t.Setenv("AWS_ACCESS_KEY_ID", "") },
			"no S3 credentials: set AWS_ACCESS_KEY_ID"},
		"another region": {func(_ *testing.T, o *S3Options) { o.Region = "us-west-2" },
			"is not in the region us-west-2"},
		"half of the options": {func(_ *testing.T, o *S3Options) { o.Region = "" }, "the region is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			setCredentials(t)
			o := g.options(t)
			test.change(t, &o)
			began := time.Now()
			s, err := OpenS3(t.Context(), o)
			if s != nil || err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v\nwant one line with %q", err, test.want)
			}
			wantNoSecret(t, err)
			if took := time.Since(began); took > time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestS3NoMetadataService checks that the metadata service is not asked.
func TestS3NoMetadataService(t *testing.T) {
	g := sharedGateway(t)
	forgetCredentials(t)
	var asked atomic.Int64
	metadata := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer metadata.Close()
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL)
	if _, err := OpenS3(t.Context(), g.options(t)); err == nil || asked.Load() != 0 {
		t.Errorf("the metadata service was asked %d times; %v", asked.Load(), err)
	}
}

// TestS3SharedFile reads the credentials from the shared file of AWS's tools.
func TestS3SharedFile(t *testing.T) {
	g := sharedGateway(t)
	forgetCredentials(t)
	file := filepath.Join(t.TempDir(), "credentials")
	writeFile(t, file, "[other]\naws_access_key_id = "+testAccess+"\naws_secret_access_key = "+testSecret+"\n")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_PROFILE", "other")
	s := openSharedS3(t, g)
	blobtest.Put(t, s, blobtest.Key(1), []byte("x"))
}
