package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice"
	"sluice/internal/service"
)

// putMark is the metadata that holds a random text of each Put, by which one
// whose answer was lost knows its own object.
const putMark = "sluice-put"

// Put stores all of r under key as service.Blobs promises: what fits in one part
// by a single request, more by a multipart upload of which two parts are under
// way at a time. A part has 8 MiB; from 8,000 MiB of a file on, 128 MiB. All Puts
// together hold eight buffers for parts of 8 MiB and one of 128; a Put of more
// than 256 KiB that finds none free waits for one before it reads on, until ctx
// ends.
//
// A key of the wrong form is CodeValidation and a taken one CodeConflict, which
// is known only when all of r is read. ctx is looked at before each Read of r;
// it does not break a Read that blocks, and a request under way has five more
// seconds to end. When the server can no longer be
// reached, what was begun is left to Sweep; and if it cannot be asked whether
// the last request took effect either, the Put fails and its bytes may be there.
func (s *S3) Put(ctx context.Context, key string, r io.Reader) (service.Stored, error) {
	if err := checkKey(key); err != nil {
		return service.Stored{}, err
	}
	p := &s3Put{s3: s, key: key, mark: rand.Text(), digest: sha256.New(), check: crc32.NewIEEE()}
	if err := p.run(ctx, r); err != nil {
		return service.Stored{}, err
	}
	stored := service.Stored{Size: p.size, CRC32: p.check.Sum32()}
	p.digest.Sum(stored.SHA256[:0])
	return stored, nil
}

// s3Put is one Put under way.
type s3Put struct {
	s3     *S3
	key    string
	mark   string
	digest hash.Hash
	check  hash.Hash32
	size   int64
}

func (p *s3Put) count(b []byte) {
	p.digest.Write(b)
	p.check.Write(b)
	p.size += int64(len(b))
}

// run reads r only in the caller's goroutine, so that a panic of r unwinds
// through the caller.
func (p *s3Put) run(ctx context.Context, r io.Reader) error {
	small := p.s3.small.Get().(*[smallSize]byte)
	defer p.s3.small.Put(small)
	n, err := readChunk(ctx, r, small[:])
	if err != nil && err != io.EOF {
		return err
	}
	if err == io.EOF {
		return p.whole(ctx, small[:n])
	}

	first, err := p.s3.buffer(ctx, 1)
	if err != nil {
		return err
	}
	defer first.free()
	copy(first.bytes, small[:])
	n, err = readChunk(ctx, r, first.bytes[smallSize:])
	if err != nil && err != io.EOF {
		return err
	}
	if err == io.EOF {
		return p.whole(ctx, first.bytes[:smallSize+n])
	}
	return p.inParts(ctx, r, first)
}

// whole stores a blob that fits in one request.
func (p *s3Put) whole(ctx context.Context, b []byte) error {
	p.count(b)
	return p.commit(ctx, timeToSend(len(b)), func(ctx context.Context) error {
		_, err := p.s3.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &p.s3.bucket, Key: p.s3.name(p.key), IfNoneMatch: aws.String("*"),
			Body: newBody(b), ContentLength: aws.Int64(int64(len(b))), Metadata: map[string]string{putMark: p.mark},
		}, signed)
		return err
	})
}

// inParts stores a blob by a multipart upload, of which part 1 is read.
func (p *s3Put) inParts(ctx context.Context, r io.Reader, first *buffer) (err error) {
	u, err := p.begin(ctx)
	if err != nil {
		return err
	}
	committed := false
	defer func() {
		u.cancel()
		u.sending.Wait()
		if !committed {
			u.abort()
		}
	}()

	p.count(first.bytes)
	u.send(first, len(first.bytes))
	for number, more := 2, true; more; number++ {
		if more, err = u.next(r, number); err != nil {
			return u.failed(ctx, err)
		}
	}
	u.sending.Wait()
	if err := u.failed(ctx, nil); err != nil {
		return err
	}
	err = p.commit(ctx, askTimeout+time.Duration(p.size/joining)*time.Second, u.complete)
	committed = err == nil
	return err
}

// commit does what makes the bytes visible. When the answer is lost or doubtful,
// the object itself is asked whose it is.
func (p *s3Put) commit(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	outliving, cancel := outlive(ctx, limit)
	defer cancel()
	err := do(outliving)
	if err == nil || p.isStored(ctx) {
		return nil
	}
	if isTaken(err) {
		return sluice.Errorf(sluice.CodeConflict, "bytes are already stored under this key")
	}
	return s3Error(ctx, "store an object", err)
}

// outlive gives a context for a request that writes. It is not broken off with
// ctx at once: a server may go on with what it was sent, so that afterwards
// nobody knew whether an object is there, or a part came after the abort.
func outlive(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	long, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	stop := context.AfterFunc(ctx, func() {
		grace := time.NewTimer(writeGrace)
		defer grace.Stop()
		select {
		case <-grace.C:
			cancel()
		case <-long.Done():
		}
	})
	return long, func() { stop(); cancel() }
}

// isStored reports whether the object under the key is known to be this Put's.
func (p *s3Put) isStored(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	head, err := p.s3.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &p.s3.bucket, Key: p.s3.name(p.key)})
	return err == nil && head.Metadata[putMark] == p.mark && aws.ToInt64(head.ContentLength) == p.size
}

// upload is a multipart upload under way.
type upload struct {
	put     *s3Put
	id      *string
	ctx     context.Context // ends with the Put, and when a part has failed
	cancel  context.CancelFunc
	sending sync.WaitGroup
	slots   slots

	mu    sync.Mutex
	parts []types.CompletedPart
	err   error // of the first part that failed
}

func (p *s3Put) begin(ctx context.Context) (*upload, error) {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	out, err := p.s3.client.CreateMultipartUpload(asked, &s3.CreateMultipartUploadInput{
		Bucket: &p.s3.bucket, Key: p.s3.name(p.key), Metadata: map[string]string{putMark: p.mark},
	})
	if err != nil {
		return nil, s3Error(ctx, "begin an upload", err)
	}
	u := &upload{put: p, id: out.UploadId, slots: make(slots, sendsPerPut)}
	u.ctx, u.cancel = context.WithCancel(ctx)
	return u, nil
}

// next reads a part and sends it, and says whether there may be more.
func (u *upload) next(r io.Reader, number int) (more bool, err error) {
	part, err := u.put.s3.buffer(u.ctx, number)
	if err != nil {
		return false, err
	}
	sending := false
	defer func() { // and when r panics
		if !sending {
			part.free()
		}
	}()
	n, err := readChunk(u.ctx, r, part.bytes)
	if err != nil && err != io.EOF {
		return false, err
	}
	if n > 0 {
		u.put.count(part.bytes[:n])
		sending = true
		u.send(part, n)
	}
	return err == nil, nil
}

// send sends the first n bytes of a buffer as the next part, and frees it. It
// waits while sendsPerPut parts are under way.
func (u *upload) send(b *buffer, n int) {
	number := int32(len(u.parts) + 1)
	if err := u.slots.take(u.ctx); err != nil {
		b.free()
		return
	}
	u.mu.Lock()
	u.parts = append(u.parts, types.CompletedPart{PartNumber: &number})
	u.mu.Unlock()
	u.sending.Go(func() {
		defer u.slots.give()
		defer b.free()
		tag, err := u.sendPart(number, b.bytes[:n])
		u.mu.Lock()
		defer u.mu.Unlock()
		u.parts[number-1].ETag = tag
		if err != nil && u.err == nil {
			u.err = err
			u.cancel()
		}
	})
}

func (u *upload) sendPart(number int32, b []byte) (tag *string, err error) {
	ctx, cancel := outlive(u.ctx, timeToSend(len(b)))
	defer cancel()
	out, err := u.put.s3.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.put.s3.bucket, Key: u.put.s3.name(u.put.key), UploadId: u.id, PartNumber: &number,
		Body: newBody(b), ContentLength: aws.Int64(int64(len(b))),
	}, signed)
	if err != nil {
		return nil, fmt.Errorf("part %d: %w", number, err)
	}
	return out.ETag, nil
}

// failed gives what ended the upload: the Put's ctx, a part, or err.
func (u *upload) failed(ctx context.Context, err error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		return ctx.Err()
	case u.err != nil:
		return s3Error(ctx, "store an object", u.err)
	}
	return err
}

func (u *upload) complete(ctx context.Context) error {
	_, err := u.put.s3.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.put.s3.bucket, Key: u.put.s3.name(u.put.key), UploadId: u.id, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
	return err
}

// abort ends an upload that will not be completed. What cannot be ended now is
// left to Sweep.
func (u *upload) abort() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), probeTimeout)
	defer cancel()
	_, _ = u.put.s3.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &u.put.s3.bucket, Key: u.put.s3.name(u.put.key), UploadId: u.id,
	})
}

// timeToSend is how long n bytes may take with all retries.
func timeToSend(n int) time.Duration {
	return askTimeout + time.Duration(n/slowest)*time.Second
}

// slots bounds how many do a thing at the same time, first come, first served.
type slots chan struct{}

func (s slots) take(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s slots) give() { <-s }

// buffer is the memory of one part.
type buffer struct {
	bytes []byte
	slots slots
	once  sync.Once
}

// buffer waits for room for the part of a number. Nobody who holds a part that
// is read waits here for another, so that none waits for itself.
func (s *S3) buffer(ctx context.Context, number int) (*buffer, error) {
	slots, size := s.parts, s.partSize
	if number > s.hugeAfter {
		slots, size = s.huge, s.hugeSize
	}
	if err := slots.take(ctx); err != nil {
		return nil, err
	}
	p, err := newBuffer(size)
	if err != nil {
		slots.give()
		return nil, fmt.Errorf("memory for a part: %w", err)
	}
	return &buffer{bytes: p, slots: slots}, nil
}

// free may be called again.
func (b *buffer) free() {
	b.once.Do(func() {
		freeBuffer(b.bytes)
		b.bytes = nil
		b.slots.give()
	})
}

// newBody is the body of a request. The SDK lets nobody read it once the request
// is answered, so that p may be freed then; it holds back no more than one Read,
// as long as it finds no WriteTo.
func newBody(p []byte) io.ReadSeeker {
	return struct{ io.ReadSeeker }{bytes.NewReader(p)}
}
