package blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"sluice"
	"sluice/internal/service"
)

const (
	// smallSize is the size of the buffer that takes the first bytes of a stage
	// and of each of its parts. Most files are no larger, and never wait for a
	// buffer of partSize.
	smallSize = 256 << 10

	// A part has partSize bytes up to part number hugeAfter, and hugeSize bytes
	// beyond it. S3 takes 10,000 parts, which must hold sluice.MaxFileSize.
	partSize  = 8 << 20
	hugeSize  = 128 << 20
	hugeAfter = 1000

	// partBuffers is the number of buffers of partSize that all stages share. There
	// is one buffer of hugeSize.
	partBuffers = 8

	// sendsPerStage is the number of parts of one stage that are sent at a time.
	sendsPerStage = 2
)

// Limits for a server that is slow or does not answer.
const (
	askTimeout   = 20 * time.Second // for a request without bytes, and its retries
	probeTimeout = 5 * time.Second  // for Ready, and for questions after a failure
	stallTimeout = 30 * time.Second // for a body of which no byte comes
	slowest      = 128 << 10        // bytes a second: a body that is sent more slowly is given up
	joining      = 8 << 20          // bytes a second at which a server is expected to join parts
	writeGrace   = 5 * time.Second  // for a request that writes, after the end of its ctx
	retryAfter   = 2 * time.Second  // where the server does not say

	attempts   = 4 // for a request, and for a read from one offset
	maxBackoff = 2 * time.Second
)

// S3 stores each blob in an object of its own, named by the prefix and its key, in
// a bucket of an S3-compatible server. Several processes may share one bucket and
// prefix. S3 never looks at other prefixes.
//
// The server must honour If-None-Match on PutObject and CompleteMultipartUpload,
// and If-Match and Range on GetObject; saved stages need If-Match on PutObject,
// too. It should have a lifecycle rule that ends unfinished uploads after a week
// or so. Sweep ends them as well, on servers whose ListMultipartUploads takes a
// prefix.
type S3 struct {
	client    *s3.Client
	presigner *s3.PresignClient
	transport *http.Transport
	bucket    string
	prefix    string // "" or ending with a slash

	small sync.Pool // of *[smallSize]byte
	parts slots
	huge  slots

	// Tests make these smaller.
	partSize, hugeSize, hugeAfter int
	reservedParts                 int
	stall                         time.Duration
	pageSize                      int32
}

var (
	_ service.Blobs     = (*S3)(nil)
	_ service.Presigner = (*S3)(nil)
)

// OpenS3 opens the blobs in a bucket that exists, and checks that it may list
// them. The caller closes it.
//
// OpenS3 finds credentials where AWS's tools find them: in the environment
// (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN), then in the
// shared config and credentials files, with AWS_PROFILE and roles, then where the
// environment of a container points to. It does not ask the metadata service of
// EC2. Endpoint and region come from o alone.
func OpenS3(ctx context.Context, o S3Options) (*S3, error) {
	return openS3(ctx, o, nil)
}

// openS3 is OpenS3 with client options that tune may change. tune may be nil.
func openS3(ctx context.Context, o S3Options, tune func(*s3.Options)) (*S3, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("S3: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	known, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(o.Region), config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	if err != nil {
		return nil, fmt.Errorf("S3 credentials: %w", err)
	}
	if _, err := known.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "+
			"or a shared credentials file: %w", err)
	}

	s := &S3{
		transport: newTransport(),
		bucket:    o.Bucket,
		small:     sync.Pool{New: func() any { return new([smallSize]byte) }},
		parts:     make(slots, partBuffers),
		huge:      make(slots, 1),
		partSize:  partSize,
		hugeSize:  hugeSize,
		hugeAfter: hugeAfter,

		reservedParts: reservedParts,

		stall:    stallTimeout,
		pageSize: 1000,
	}
	if o.Prefix != "" {
		s.prefix = o.Prefix + "/"
	}
	options := s.clientOptions(o, known.Credentials)
	if tune != nil {
		tune(&options)
	}
	s.client = s3.New(options, at(o.Endpoint))
	s.presigner = s3.NewPresignClient(s3.New(options, at(cmp.Or(o.PublicEndpoint, o.Endpoint))))

	_, err = s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &s.bucket, Prefix: &s.prefix, MaxKeys: aws.Int32(1),
	})
	if err != nil {
		s.Close()
		return nil, openError(o, err)
	}
	return s, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       60 * time.Second,
		MaxIdleConnsPerHost:   64,
		DisableCompression:    true,
	}
}

func (s *S3) clientOptions(o S3Options, credentials aws.CredentialsProvider) s3.Options {
	return s3.Options{
		Region:       o.Region,
		Credentials:  credentials,
		UsePathStyle: o.PathStyle,
		HTTPClient: &http.Client{
			Transport:     s.transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.MaxBackoff = maxBackoff
		}),
		// Servers of other vendors do not accept a CRC in a trailer.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
}

// at directs a client to an endpoint. An empty endpoint is AWS.
func at(endpoint string) func(*s3.Options) {
	return func(o *s3.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	}
}

// signed has the server check the body of a request against a SHA-256 in the
// signed header x-amz-content-sha256. The SDK leaves the digest out over TLS, but
// TLS may end at a proxy in front of the server.
func signed(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		sum := &v4.ComputePayloadSHA256{}
		_, err := stack.Finalize.Swap(sum.ID(), sum)
		return err
	})
}

// Close closes idle connections. Objects that Open gave stay readable.
func (s *S3) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

func (s *S3) name(key string) *string { return aws.String(s.prefix + key) }

// Remove removes the bytes under key. A key of the wrong form is CodeValidation.
// In a bucket with versions, Remove only hides the bytes; a lifecycle rule of the
// bucket removes them.
func (s *S3) Remove(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return s.removeObject(ctx, s.name(key))
}

func (s *S3) removeObject(ctx context.Context, name *string) error {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err := s.client.DeleteObject(asked, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: name})
	if err != nil && !isMissing(err) {
		return s3Error(ctx, "remove an object", err)
	}
	return nil
}

// Walk calls fn for every key with the time that the server gives its object, to
// the second. That is the end of its Commit; on AWS, for an upload in parts, it is
// the moment when the first part was begun. Walk holds the names of a thousand
// keys at a time. fn may call the other methods. Walk ignores objects that are not
// blobs.
func (s *S3) Walk(ctx context.Context, fn func(key string, written time.Time) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &s.prefix, MaxKeys: &s.pageSize}
	for {
		page, err := s.list(ctx, in)
		if err != nil {
			return err
		}
		for _, object := range page.Contents {
			if err := ctx.Err(); err != nil {
				return err
			}
			key, ok := s.key(object.Key)
			if !ok {
				continue
			}
			if err := fn(key, aws.ToTime(object.LastModified)); err != nil {
				return err
			}
		}
		if !aws.ToBool(page.IsTruncated) || page.NextContinuationToken == nil {
			return nil
		}
		in.ContinuationToken = page.NextContinuationToken
	}
}

func (s *S3) list(ctx context.Context, in *s3.ListObjectsV2Input) (*s3.ListObjectsV2Output, error) {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	page, err := s.client.ListObjectsV2(asked, in)
	if err != nil {
		return nil, s3Error(ctx, "list the objects", err)
	}
	return page, nil
}

// key gives the key of an object's name. It reports false for other objects.
func (s *S3) key(name *string) (key string, ok bool) {
	key, ok = strings.CutPrefix(aws.ToString(name), s.prefix)
	return key, ok && checkKey(key) == nil
}

// Ready asks whether the bucket exists, and gives up after five seconds. It does
// not check that the credentials allow writing.
func (s *S3) Ready(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := s.client.HeadBucket(asked, &s3.HeadBucketInput{Bucket: &s.bucket})
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return &sluice.Error{
		Code: sluice.CodeUnavailable, Detail: "the S3 bucket for the bytes of files cannot be reached",
		RetryAfter: retryAfter, Err: fmt.Errorf("ask for the bucket: %w", err),
	}
}

// Presign gives a URL of the public endpoint for the bytes under key. It is valid
// until its lifetime is over or the credentials that signed it expire. Presign
// does not ask the server: a missing key shows when the URL is fetched. A key of
// the wrong form is CodeValidation.
func (s *S3) Presign(ctx context.Context, key string, p service.Presigned) (string, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	if p.Lifetime < time.Second || p.Lifetime > service.MaxPresigned {
		return "", errors.New("a presigned URL lives from a second to a week")
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.name(key), ResponseCacheControl: aws.String("private, no-store")}
	if p.Type != "" {
		in.ResponseContentType = &p.Type
	}
	if p.Disposition != "" {
		in.ResponseContentDisposition = &p.Disposition
	}
	r, err := s.presigner.PresignGetObject(ctx, in, s3.WithPresignExpires(p.Lifetime.Truncate(time.Second)))
	if err != nil {
		return "", s3Error(ctx, "sign a URL", err)
	}
	return r.URL, nil
}
