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

// fullCodes are the error codes of servers that have no room left, in addition to
// the status 507. AWS has no such limit.
var fullCodes = map[string]bool{
	"InsufficientStorage":            true, // versitygw
	"QuotaExceeded":                  true, // versitygw, Ceph
	"XMinioStorageFull":              true, // MinIO
	"XMinioAdminBucketQuotaExceeded": true, // MinIO
}

// s3Error gives the error of a request its code. If the caller's ctx ended, it
// returns the error of ctx. After the retries, throttling, an answer of 500 or
// above and no answer at all are CodeUnavailable. A request that is wrong or not
// allowed gets no code.
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

// answer gives the S3 code of an error, and the server's response if there was
// one.
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

// passing reports codes that mean "try again" although their status does not, and
// the code for an upload that another process has ended.
func passing(code string) bool {
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	_, retryable := retry.DefaultRetryableErrorCodes[code]
	return throttled || retryable || code == "OperationAborted" || code == "NoSuchUpload" || code == "NoSuchBucket"
}

// isMissing reports whether the server has no object of the name.
func isMissing(err error) bool {
	code, _ := answer(err)
	return code == "NoSuchKey" || code == "NotFound"
}

// isTaken reports whether the condition of a write did not hold, or another write
// to the same name was under way.
func isTaken(err error) bool {
	code, res := answer(err)
	return code == "ConditionalRequestConflict" || res != nil && res.StatusCode == http.StatusPreconditionFailed
}

// whenToRetry gives the server's Retry-After if it is at most an hour.
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
	case res != nil && (res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized),
		code == "XAdminUserNotFound":
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
