package sluice

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code names a class of failure, for callers to branch on. The set is small and
// stable, and every API of Sluice uses the same one.
type Code string

// The codes. Each API maps them to statuses in a table of its own; the native
// API's is internal/httpd/problem.go.
const (
	CodeValidation         Code = "validation_failed"      // invalid input
	CodeDigestMismatch     Code = "digest_mismatch"        // the declared digest is not that of the received bytes
	CodeUnauthenticated    Code = "unauthenticated"        // no key, or an invalid, expired or revoked one
	CodeUnverified         Code = "verification_required"  // a link whose bearer must prove an address on its page
	CodeForbidden          Code = "forbidden"              // the key lacks the scope
	CodeNotFound           Code = "not_found"              // unknown, or not visible to the caller
	CodeMethodNotAllowed   Code = "method_not_allowed"     // the resource exists, the method does not
	CodeConflict           Code = "conflict"               // a duplicate of a value that must be unique
	CodeIdempotencyReused  Code = "idempotency_key_reused" // same Idempotency-Key, different request
	CodeLinkExpired        Code = "link_expired"           // change of an expired link
	CodeLinkRevoked        Code = "link_revoked"           // change of a revoked link
	CodeFileHeld           Code = "file_held"              // deletion of a file under hold or retention
	CodeGone               Code = "gone"                   // an authentic link that can no longer be used
	CodePreconditionFailed Code = "precondition_failed"    // If-Match did not match
	CodeTooLarge           Code = "too_large"              // body or file over its limit
	CodeUnsupportedType    Code = "unsupported_media_type" // media type not allowed here
	CodeRange              Code = "range_not_satisfiable"  // the range lies beyond the end of the file
	CodeRateLimited        Code = "rate_limited"           // too many requests; RetryAfter says how long to wait
	CodeInternal           Code = "internal"               // a defect of Sluice: logged in full, never shown
	CodeUnavailable        Code = "unavailable"            // the store or the log cannot commit now
	CodeStorageFull        Code = "insufficient_storage"   // disk full
)

// Error is the error type that carries a Code across package boundaries. An
// error that is not and does not wrap an *Error is CodeInternal.
type Error struct {
	Code       Code
	Param      string        // path of the offending parameter, with dots, or ""
	Detail     string        // one sentence for the caller, without secrets
	Reason     Refusal       // with CodeGone and CodeForbidden on a link: the rule that refused
	RetryAfter time.Duration // how long to wait before a retry; 0 if a retry does not help
	Fields     []FieldError  // with CodeValidation: all failures
	Err        error         `json:"-"` // the cause, for the log
}

// FieldError is one failure of validation.
type FieldError struct {
	Param   string
	Code    string // "required", "invalid", "too_long", "too_many", "out_of_range", "reserved", "unknown"
	Message string
}

// Error returns code, detail and cause in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Code))
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of err: CodeInternal for an error without one, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// Errorf returns an Error with a formatted detail. The caller of the API sees
// the detail.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Wrap returns an Error with a cause. The cause is logged and never shown to the
// caller of the API.
func Wrap(code Code, detail string, cause error) *Error {
	return &Error{Code: code, Detail: detail, Err: cause}
}

// Invalid collects validation failures, so that a caller learns all of them at
// once. The zero value is ready to use.
type Invalid struct{ fields []FieldError }

// Add adds a failure of param.
func (v *Invalid) Add(param, code, format string, args ...any) {
	v.fields = append(v.fields, FieldError{Param: param, Code: code, Message: fmt.Sprintf(format, args...)})
}

// Err returns nil if there are no failures, otherwise a CodeValidation Error
// with the param and message of the first failure and all of them in Fields.
func (v *Invalid) Err() error {
	if len(v.fields) == 0 {
		return nil
	}
	first := v.fields[0]
	return &Error{Code: CodeValidation, Param: first.Param, Detail: first.Message, Fields: v.fields}
}

// ReasonOf returns the rule that refused, or "" if err is not a refusal.
func ReasonOf(err error) Refusal {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}
