package blob

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"sluice"
)

// fullCodes are what servers say when there is no room left, besides the
// status 507. AWS has no such limit.
var fullCodes = map[string]bool{
	"InsufficientStorage":            true, // versitygw
	"QuotaExceeded":                  true, // versitygw, Ceph
	"XMinioStorageFull":              true, // MinIO
	"XMinioAdminBucketQuotaExceeded": true, // MinIO
}

// s3Error gives what a request failed with its class. What ended with the
// caller's ctx is that ctx's error. Throttling, answers from 500 on and none at
// all are CodeUnavailable, after the retries. A request that the server refuses
// for what it is, or for who asks, has no class.
func s3Error(ctx context.Context, doing string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	err = fmt.Errorf("%s: %w", doing, err)
	code, res := answer(err)
	switch {
	case fullCodes[code], res != nil && res.StatusCode == http.StatusInsufficientStorage:
		return sluice.Wrap(sluice.CodeStorageFull, "the store that keeps the bytes of files is full", err)
	case code == "NotImplemented":
		return fmt.Errorf("the S3 server cannot do what Sluice asks of it: %w", err)
	case code == "NoSuchKey", code == "NotFound":
		return sluice.Wrap(sluice.CodeNotFound, noBytes, err)
	case res == nil, res.StatusCode >= 500, res.StatusCode == http.StatusTooManyRequests, passing(code):
		return &sluice.Error{
			Code: sluice.CodeUnavailable, Detail: "the store that keeps the bytes of files cannot be reached",
			RetryAfter: whenToRetry(res), Err: err,
		}
	}
	return err
}

const (
	noBytes  = "no bytes are stored under this key"
	noStage  = "no upload under this key is saved"
	keyTaken = "bytes are already stored under this key"
)

// answer is what the server said: S3's code of the error, and the response
// when there was one.
func answer(err error) (code string, res *smithyhttp.Response) {
	var api smithy.APIError
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.HTTPStatusCode() != 0 {
		res = response.Response
	}
	return code, res
}

// passing reports codes that say try again with a status that does not, or
// that the upload is gone, which another has ended.
func passing(code string) bool {
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	_, retryable := retry.DefaultRetryableErrorCodes[code]
	return throttled || retryable || code == "OperationAborted" || code == "NoSuchUpload" || code == "NoSuchBucket"
}

// isMissing reports whether the server knows no object of the name.
func isMissing(err error) bool {
	code, _ := answer(err)
	return code == "NoSuchKey" || code == "NotFound"
}

// isTaken reports whether a condition on a write did not hold, or another write
// to the same name was under way.
func isTaken(err error) bool {
	code, res := answer(err)
	return code == "ConditionalRequestConflict" || res != nil && res.StatusCode == http.StatusPreconditionFailed
}

// whenToRetry is what the server says, within reason.
func whenToRetry(res *smithyhttp.Response) time.Duration {
	if res != nil {
		seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
		if err == nil && seconds > 0 && seconds <= 3600 {
			return time.Duration(seconds) * time.Second
		}
	}
	return retryAfter
}

// openError says in one line why a bucket cannot be used.
func openError(o S3Options, err error) error {
	at := "AWS, region " + o.Region
	if o.Endpoint != "" {
		at = o.Endpoint
	}
	code, res := answer(err)
	var network *net.OpError
	switch {
	case code == "NoSuchBucket":
		return fmt.Errorf("S3 at %s: there is no bucket %s", at, o.Bucket)
	case res != nil && (res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized), code == "XAdminUserNotFound":
		return fmt.Errorf("S3 at %s: the credentials are refused for the bucket %s (%s)", at, o.Bucket, code)
	case res != nil && res.StatusCode/100 == 3, code == "AuthorizationHeaderMalformed":
		return fmt.Errorf("S3 at %s: the bucket %s is not in the region %s (%s)", at, o.Bucket, o.Region, code)
	case res != nil:
		return fmt.Errorf("S3 at %s: listing the bucket %s: status %d (%s)", at, o.Bucket, res.StatusCode, code)
	case errors.As(err, &network):
		err = network
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no answer within %v", askTimeout)
	}
	return fmt.Errorf("S3 at %s cannot be reached: %s", at, strings.Join(strings.Fields(err.Error()), " "))
}
