package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice"
)

// Open sends a request for all bytes under key, and reads them as they come. A
// reader that goes from the start to the end makes one request, and a Remove does
// not disturb it as long as the connection lasts. Seek makes no request, not even
// for the size. A Read at another offset than the end of the last one makes a new
// request, and so does a Read after the connection broke. After a Remove these
// requests give CodeNotFound. They never give the bytes of another object.
//
// Reading ends with ctx. A key of the wrong form is CodeValidation, a missing one
// CodeNotFound. A Read that gets no byte for half a minute, retries included, is
// CodeUnavailable.
func (s *S3) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	o := &object{s3: s, ctx: ctx, key: key}
	err := o.get()
	if isMissing(err) {
		return nil, sluice.Errorf(sluice.CodeNotFound, noBytes)
	}
	if err != nil {
		return nil, s3Error(ctx, "open an object", err)
	}
	return o, nil
}

// Size sends a HeadObject request. A key of the wrong form is CodeValidation, a
// missing one CodeNotFound.
func (s *S3) Size(ctx context.Context, key string) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	asked, cancel := context.WithTimeout(ctx, s.stall)
	defer cancel()
	out, err := s.client.HeadObject(asked, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.name(key)})
	if isMissing(err) {
		return 0, sluice.Errorf(sluice.CodeNotFound, noBytes)
	}
	if err == nil && out.ContentLength == nil {
		err = fmt.Errorf("%w: it names no length", errOtherBytes)
	}
	if err != nil {
		return 0, s3Error(ctx, "look at an object", err)
	}
	return *out.ContentLength, nil
}

// object is an open blob.
type object struct {
	s3     *S3
	ctx    context.Context
	key    string
	tag    *string // nil until the first answer
	size   int64
	offset int64 // of the next Read
	closed bool

	body   io.ReadCloser // nil when there is none
	at     int64         // offset of the next byte of body
	cancel context.CancelFunc
	stall  *time.Timer // runs cancel
}

// Read reads from the current body if that is at the offset, and else from a new
// one. It gives up when several bodies in turn gave no byte.
func (o *object) Read(p []byte) (int, error) {
	if o.closed {
		return 0, fs.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if o.offset >= o.size {
		return 0, io.EOF
	}
	var failure error
	for attempt := range attempts {
		if attempt > 0 {
			if err := o.pause(attempt); err != nil {
				return 0, err
			}
		}
		n, err := o.readOnce(p)
		if n > 0 {
			o.offset, o.at = o.offset+int64(n), o.at+int64(n)
			return n, nil // the next Read finds the cause of err
		}
		o.drop()
		failure = err
		if _, refused := answer(err); refused != nil || errors.Is(err, errOtherBytes) {
			break // the client has tried again if that could help
		}
	}
	return 0, s3Error(o.ctx, "read an object", failure)
}

func (o *object) readOnce(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	if o.body != nil && o.at != o.offset {
		o.drop()
	}
	if o.body == nil {
		if err := o.get(); err != nil {
			return 0, err
		}
	}
	o.stall.Reset(o.s3.stall)
	defer o.stall.Stop()
	n, err := o.body.Read(p)
	if n == 0 && (err == nil || err == io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// pause gives a server that dropped a connection time to come back.
func (o *object) pause(attempt int) error {
	t := time.NewTimer(100 * time.Millisecond << (2 * (attempt - 1)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
}

// errOtherBytes is the error for an answer that does not fit the request.
var errOtherBytes = errors.New("the S3 server gave other bytes than it was asked for")

// get requests the bytes from the offset on. After the first request it accepts
// only the same version of the object.
func (o *object) get() error {
	ctx, cancel := context.WithCancel(o.ctx)
	o.cancel, o.at = cancel, o.offset
	o.stall = time.AfterFunc(o.s3.stall, cancel)
	in := &s3.GetObjectInput{Bucket: &o.s3.bucket, Key: o.s3.name(o.key), IfMatch: o.tag}
	if o.offset > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", o.offset))
	}
	out, err := o.s3.client.GetObject(ctx, in)
	o.stall.Stop()
	if err != nil {
		cancel()
		return err
	}
	o.body = out.Body
	if err := o.accept(out); err != nil {
		o.drop()
		return err
	}
	return nil
}

// accept checks that the answer has the bytes that were requested. The first answer
// gives the size of the object.
func (o *object) accept(out *s3.GetObjectOutput) error {
	if out.ContentLength == nil || out.ETag == nil {
		return fmt.Errorf("%w: it names no length or no ETag", errOtherBytes)
	}
	if o.tag == nil {
		o.tag, o.size = out.ETag, *out.ContentLength
		return nil
	}
	if *out.ETag != *o.tag || *out.ContentLength != o.size-o.offset {
		return fmt.Errorf("%w: %d of %d bytes from %d on", errOtherBytes, *out.ContentLength, o.size, o.offset)
	}
	if o.offset > 0 && !strings.HasPrefix(aws.ToString(out.ContentRange), fmt.Sprintf("bytes %d-", o.offset)) {
		return fmt.Errorf("%w: the range %q from %d on", errOtherBytes, aws.ToString(out.ContentRange), o.offset)
	}
	return nil
}

// drop closes the body, and its connection unless the body was read to its end.
func (o *object) drop() {
	if o.body != nil {
		o.cancel()
		o.body.Close()
		o.body = nil
	}
}

// Seek makes no request.
func (o *object) Seek(offset int64, whence int) (int64, error) {
	if o.closed {
		return 0, fs.ErrClosed
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += o.offset
	case io.SeekEnd:
		offset += o.size
	default:
		return 0, fmt.Errorf("seek: %d is no whence", whence)
	}
	if offset < 0 {
		return 0, errors.New("seek: before the start")
	}
	o.offset = offset
	return offset, nil
}

// Close ends the reading. A second Close does nothing.
func (o *object) Close() error {
	o.drop()
	o.closed = true
	return nil
}
