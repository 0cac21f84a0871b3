package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	"sluice"
	"sluice/api"
)

// Error is a response that refuses a call.
//
// It unwraps to a *sluice.Error, so sluice.CodeOf and sluice.ReasonOf work on it.
type Error struct {
	Code       sluice.Code         // the error code, for programs
	Status     int                 // the HTTP status; 0 if the call was refused before it was sent
	Detail     string              // an explanation for people; at most a mebibyte
	Param      string              // the first invalid parameter, dotted, or ""
	Fields     []sluice.FieldError // all invalid parameters, with sluice.CodeValidation
	Reason     sluice.Refusal      // the rule that refused a download, or ""
	RequestID  string              // the response's X-Request-Id, which is also in the server's log; or ""
	RetryAfter time.Duration       // when to retry, or 0
}

// Error returns code and detail in one line.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Code == sluice.CodeInternal && e.RequestID != "" {
		text += ": " + e.RequestID
	}
	return text
}

// Unwrap returns the error as a *sluice.Error.
func (e *Error) Unwrap() error {
	return &sluice.Error{
		Code: e.Code, Param: e.Param, Detail: e.Detail, Reason: e.Reason, RetryAfter: e.RetryAfter, Fields: e.Fields,
	}
}

// Errors for errors.Is.
var (
	// ErrProtocol reports a response that violates the API: missing or invalid JSON, members of the wrong type, a
	// response over its size limit, or an unexpected range. Either the server is not a Sluice server, or it is broken.
	ErrProtocol = errors.New("the server's response does not follow the API")
	// ErrDigest reports content whose SHA-256 differs from the expected one, or for which none is known.
	ErrDigest = errors.New("the SHA-256 does not match")
	// ErrTooLarge reports content over DownloadOptions.MaxSize.
	ErrTooLarge = errors.New("the file is larger than allowed")
)

// maxProblem is the largest error document in bytes.
const maxProblem = 1 << 20

// refusal reads the error in a response and closes the response.
func refusal(res *http.Response) error {
	data, err := readAll(res.Body, maxProblem)
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	var p api.Problem
	if err == nil && kind == api.ProblemType {
		err = json.Unmarshal(data, &p)
	}
	if err != nil || p.Code == "" {
		p = api.Problem{Code: string(codeOf(res.StatusCode))}
		server := res.Request.URL.Host
		p.Detail = fmt.Sprintf("%s responded %s without a Sluice error document", server, status(res.StatusCode))
	}
	e := &Error{
		Code: sluice.Code(p.Code), Status: res.StatusCode, Detail: p.Detail, Param: p.Param,
		Reason: sluice.Refusal(p.Reason), RequestID: p.RequestID, RetryAfter: retryAfter(res, p),
	}
	for _, f := range p.Errors {
		e.Fields = append(e.Fields, sluice.FieldError(f))
	}
	if e.RequestID == "" {
		e.RequestID = res.Header.Get("X-Request-Id")
	}
	return e
}

func status(code int) string { return strconv.Itoa(code) + " " + http.StatusText(code) }

// retryAfter parses Retry-After (RFC 9110 section 10.2.3), which is seconds or a date. Without the header it returns
// the member of the error document.
func retryAfter(res *http.Response, p api.Problem) time.Duration {
	const most = int64(time.Duration(1<<63-1) / time.Second)
	text := res.Header.Get("Retry-After")
	seconds, err := strconv.ParseInt(text, 10, 64)
	if at, notDate := http.ParseTime(text); notDate == nil {
		return max(0, time.Until(at))
	}
	if err != nil {
		seconds = p.RetryAfter
	}
	return time.Duration(max(0, min(most, seconds))) * time.Second
}

// codeOf returns the code for a status that comes without an error document, such as one from a proxy.
func codeOf(status int) sluice.Code {
	switch status {
	case http.StatusUnauthorized:
		return sluice.CodeUnauthenticated
	case http.StatusForbidden:
		return sluice.CodeForbidden
	case http.StatusNotFound:
		return sluice.CodeNotFound
	case http.StatusGone:
		return sluice.CodeGone
	case http.StatusRequestEntityTooLarge:
		return sluice.CodeTooLarge
	case http.StatusTooManyRequests:
		return sluice.CodeRateLimited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return sluice.CodeUnavailable
	}
	return sluice.CodeInternal
}
