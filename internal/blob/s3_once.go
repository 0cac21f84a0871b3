package blob

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// maxText is the largest text that WriteOnce keeps, in bytes.
	maxText  = 64 << 10
	textTime = 30 * time.Second // for one of its requests
)

// WriteOnce keeps a text of up to 64 KiB under a name below the prefix, where it
// replaces nothing: when the name is taken, it gives what is there. It is for
// what is to outlive whoever wrote it, such as checkpoints of a log; Walk, Sweep
// and Remove know nothing of it, since no key has a slash.
func (s *S3) WriteOnce(ctx context.Context, name string, text []byte) (there []byte, err error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("a text of %d bytes is more than WriteOnce keeps", len(text))
	}
	asked, cancel := context.WithTimeout(ctx, textTime)
	defer cancel()
	_, err = s.client.PutObject(asked, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: s.name(name), IfNoneMatch: aws.String("*"), ContentType: aws.String("text/plain; charset=utf-8"),
		Body: newBody(text), ContentLength: aws.Int64(int64(len(text))),
	}, signed)
	if err == nil {
		return nil, nil
	}
	if !isTaken(err) {
		return nil, s3Error(ctx, "write a text", err)
	}
	out, err := s.client.GetObject(asked, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.name(name)})
	if err != nil {
		return nil, s3Error(ctx, "read a text", err)
	}
	defer out.Body.Close()
	if there, err = io.ReadAll(io.LimitReader(out.Body, maxText)); err != nil {
		return nil, s3Error(ctx, "read a text", err)
	}
	return there, nil
}
