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
	maxText   = 64 << 10
	textTime  = 30 * time.Second      // for all requests of one WriteOnce
	textPause = 20 * time.Millisecond // before its second try; later ones wait longer
)

// WriteOnce stores a text of up to 64 KiB under a name below the prefix. It never
// replaces a text: if the name is taken, it returns the text that is there. It is
// for texts that must outlive their writer, such as the checkpoints of a log.
// Their names have a slash, which no key has, so Walk, Sweep and Remove ignore
// them.
//
// A server may refuse a write because another one is not finished: the name is
// taken, and nothing can be read yet. WriteOnce then tries again until one of the
// two texts is there, for 30 seconds at most.
func (s *S3) WriteOnce(ctx context.Context, name string, text []byte) (there []byte, err error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("a text of %d bytes is more than WriteOnce keeps", len(text))
	}
	asked, cancel := context.WithTimeout(ctx, textTime)
	defer cancel()
	for pause := textPause; ; pause = min(2*pause, time.Second) {
		err = s.writeText(asked, name, text)
		if err == nil {
			return nil, nil
		}
		if !isTaken(err) {
			return nil, s3Error(ctx, "write a text", err)
		}
		there, err = s.readText(asked, name)
		if err == nil {
			return there, nil
		}
		if !isMissing(err) {
			return nil, s3Error(ctx, "read a text", err)
		}
		select {
		case <-time.After(pause):
		case <-asked.Done():
			err = fmt.Errorf("another write of %s is not finished: %w", name, asked.Err())
			return nil, s3Error(ctx, "write a text", err)
		}
	}
}

func (s *S3) writeText(ctx context.Context, name string, text []byte) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: s.name(name), IfNoneMatch: aws.String("*"),
		ContentType: aws.String("text/plain; charset=utf-8"),
		Body:        newBody(text), ContentLength: aws.Int64(int64(len(text))),
	}, signed)
	return err
}

func (s *S3) readText(ctx context.Context, name string) ([]byte, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.name(name)})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(io.LimitReader(out.Body, maxText))
}
