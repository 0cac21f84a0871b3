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

// Error is an answer by which the server refuses a call.
//
// It unwraps to a *sluice.Error, so sluice.CodeOf and sluice.ReasonOf work on it.
type Error struct {
	Code       sluice.Code         // what to branch on
	Status     int                 // the HTTP status; 0 when the call was refused before it was sent
	Detail     string              // what is wrong, for a person to read; up to a mebibyte of the server's text
	Param      string              // the first offending parameter, dotted, or ""
	Fields     []sluice.FieldError // with sluice.CodeValidation: every failure that was found
	Reason     sluice.Refusal      // for a download: the rule that refused it, or ""
	RequestID  string              // the X-Request-Id of the answer, by which the operator finds it in the log; or ""
	RetryAfter time.Duration       // when to try again, or 0
}

// Error gives code and detail in one line.
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

// Unwrap gives the same as a *sluice.Error.
func (e *Error) Unwrap() error {
	return &sluice.Error{
		Code: e.Code, Param: e.Param, Detail: e.Detail, Reason: e.Reason, RetryAfter: e.RetryAfter, Fields: e.Fields,
	}
}

// Errors beside Error, for errors.Is.
var (
	// ErrProtocol is an answer that does not follow the API: no JSON where JSON is due, members of wrong types, an
	// answer over its limit, or a range that was not asked for. The server is none of Sluice, or broken.
	ErrProtocol = errors.New("the server's answer does not follow the API")
	// ErrDigest is content whose SHA-256 is not the one that was promised, or of which none was promised.
	ErrDigest = errors.New("the SHA-256 does not match")
	// ErrTooLarge is content over DownloadOptions.MaxSize.
	ErrTooLarge = errors.New("the file is larger than allowed")
)

// maxProblem is the longest error document that is read, in bytes.
const maxProblem = 1 << 20

// refusal reads the error that an answer tells of, and closes the answer.
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
		p.Detail = fmt.Sprintf("%s answered %s without an error document of Sluice", server, status(res.StatusCode))
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

// retryAfter reads Retry-After (RFC 9110 section 10.2.3), seconds or a date, and else the problem's own member.
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

// codeOf is the code for a status that comes without a problem document, such as a proxy's.
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
