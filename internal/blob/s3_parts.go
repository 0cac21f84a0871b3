package blob

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice"
)

// maxParts is the largest part number of S3.
const maxParts = 10_000

// upload is a multipart upload under way.
type upload struct {
	stage   *s3Stage
	id      *string
	sending sync.WaitGroup
	slots   slots

	next     int  // the number of the next part
	recorded bool // the record of the stage names this upload, or may do so

	mu    sync.Mutex
	parts []types.CompletedPart
	err   error // of the first part that failed
}

// begin begins the multipart upload of a stage.
func (st *s3Stage) begin(ctx context.Context) (*upload, error) {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	out, err := st.s3.client.CreateMultipartUpload(asked, &s3.CreateMultipartUploadInput{
		Bucket: &st.s3.bucket, Key: st.s3.name(st.key), Metadata: map[string]string{putMark: st.mark},
	})
	if err != nil {
		return nil, s3Error(ctx, "begin an upload", err)
	}
	u := st.newUpload(aws.ToString(out.UploadId))
	u.next = st.nextPart()
	return u, nil
}

func (st *s3Stage) newUpload(id string) *upload {
	return &upload{stage: st, id: &id, slots: make(slots, sendsPerStage)}
}

// staged gives the parts for the record. None may be under way.
func (u *upload) staged() (parts []stagedPart) {
	for _, p := range u.parts {
		parts = append(parts, stagedPart{Number: *p.PartNumber, ETag: aws.ToString(p.ETag)})
	}
	return parts
}

// failure gives the error of the first part that failed.
func (u *upload) failure() error {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// send sends the first n bytes of a buffer as the next part, and frees the
// buffer when they are sent. It waits while sendsPerStage parts are under way,
// until ctx ends.
func (u *upload) send(ctx context.Context, b *buffer, n int) error {
	if u.next > maxParts {
		return sluice.Errorf(sluice.CodeTooLarge, "the upload was interrupted too often or is too large")
	}
	if err := u.slots.take(ctx); err != nil {
		return err
	}
	number := int32(u.next)
	u.next++
	u.mu.Lock()
	index := len(u.parts)
	u.parts = append(u.parts, types.CompletedPart{PartNumber: &number})
	u.mu.Unlock()
	u.sending.Go(func() {
		defer u.slots.give()
		defer b.free()
		tag, err := u.sendPart(number, b.bytes[:n])
		u.mu.Lock()
		defer u.mu.Unlock()
		u.parts[index].ETag = tag
		if err != nil && u.err == nil {
			u.err = err
			u.stage.end()
		}
	})
	return nil
}

func (u *upload) sendPart(number int32, b []byte) (tag *string, err error) {
	ctx, cancel := outlive(u.stage.life, timeToSend(len(b)))
	defer cancel()
	s := u.stage.s3
	out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &s.bucket, Key: s.name(u.stage.key), UploadId: u.id, PartNumber: &number,
		Body: newBody(b), ContentLength: aws.Int64(int64(len(b))),
	}, signed)
	if err != nil {
		return nil, fmt.Errorf("part %d: %w", number, err)
	}
	return out.ETag, nil
}

func (u *upload) complete(ctx context.Context) error {
	s := u.stage.s3
	_, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.bucket, Key: s.name(u.stage.key), UploadId: u.id, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
	return err
}

// abort ends an upload that will not be completed. What cannot be ended now is
// left to Sweep.
func (u *upload) abort() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.stage.life), probeTimeout)
	defer cancel()
	s := u.stage.s3
	_, _ = s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &s.bucket, Key: s.name(u.stage.key), UploadId: u.id,
	})
}

// timeToSend is the longest time that n bytes may take with all retries.
func timeToSend(n int) time.Duration {
	return askTimeout + time.Duration(n/slowest)*time.Second
}

// outlive gives a context for a request that writes. It does not end with ctx at
// once: a server may go on with the bytes it got, so that afterwards nobody would
// know whether an object is there, or a part would come after the abort.
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

// slots limits how many do a thing at the same time, first come, first served.
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

// buffer is memory for the bytes of a stage.
type buffer struct {
	bytes   []byte
	release func()
	once    sync.Once
}

// free gives the memory back. It may be called again.
func (b *buffer) free() {
	b.once.Do(func() {
		b.bytes = nil
		b.release()
	})
}

// smallBuffer gives a buffer of smallSize, for which nobody waits.
func (s *S3) smallBuffer() *buffer {
	small := s.small.Get().(*[smallSize]byte)
	return &buffer{bytes: small[:], release: func() { s.small.Put(small) }}
}

// buffer waits for the memory of the part of a number. A stage that holds a part
// never waits here for another one, so no stage waits for itself.
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
	return &buffer{bytes: p, release: func() { freeBuffer(p); slots.give() }}, nil
}

// newBody gives a request body without WriteTo. The SDK reads such a body piece by
// piece, and refuses every Read after the request has returned. So p may be freed
// then. TestS3LateRead holds the SDK to this.
func newBody(p []byte) io.ReadSeeker {
	return struct{ io.ReadSeeker }{bytes.NewReader(p)}
}
