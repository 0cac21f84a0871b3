package sluice

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code names a class of failure. It is what callers branch on: the set is
// small, stable, and the same on every face of Sluice.
type Code string

// The codes. Each has one row in the table of the face that shows it; for the
// native API that is internal/httpd/problem.go.
const (
	CodeValidation         Code = "validation_failed"      // invalid input
	CodeDigestMismatch     Code = "digest_mismatch"        // declared digest differs from what arrived
	CodeUnauthenticated    Code = "unauthenticated"        // no key, or one that is not good
	CodeForbidden          Code = "forbidden"              // the key lacks the scope
	CodeNotFound           Code = "not_found"              // unknown, or not visible to the caller
	CodeMethodNotAllowed   Code = "method_not_allowed"     // the resource exists, the method does not
	CodeConflict           Code = "conflict"               // a duplicate of something that must be unique
	CodeIdempotencyReused  Code = "idempotency_key_reused" // same Idempotency-Key, different request
	CodeLinkExpired        Code = "link_expired"           // changing a link whose time has run out
	CodeLinkRevoked        Code = "link_revoked"           // changing a link that was ended
	CodeFileHeld           Code = "file_held"              // deleting a file under hold or retention
	CodeGone               Code = "gone"                   // an authentic link that is no longer good
	CodePreconditionFailed Code = "precondition_failed"    // If-Match did not match
	CodeTooLarge           Code = "too_large"              // body or file over its limit
	CodeUnsupportedType    Code = "unsupported_media_type" // media type not allowed here
	CodeRange              Code = "range_not_satisfiable"  // no byte of the range exists
	CodeRateLimited        Code = "rate_limited"           // slow down; RetryAfter says how long
	CodeInternal           Code = "internal"               // a defect of ours: logged whole, never shown
	CodeUnavailable        Code = "unavailable"            // store or log cannot commit now
	CodeStorageFull        Code = "insufficient_storage"   // disk full
)

// Error is the only error type that crosses a package boundary with meaning.
// An error without one is CodeInternal.
type Error struct {
	Code       Code
	Param      string        // the offending parameter, dotted, or ""
	Detail     string        // one sentence for the caller; never holds a secret
	Reason     Refusal       // with CodeGone and CodeForbidden on a link: which rule refused it
	RetryAfter time.Duration // when trying again may help, else 0
	Fields     []FieldError  // with CodeValidation: every failure found
	Err        error         `json:"-"` // the cause, for the log
}

// FieldError is one failure of validation.
type FieldError struct {
	Param   string
	Code    string // "required", "invalid", "too_long", "too_many", "out_of_range", "reserved", "unknown"
	Message string
}

// Error gives code, detail and cause in one line.
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

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf gives the code of err: CodeInternal for an error without one, "" for nil.
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

// Errorf makes an Error whose detail is formatted for the caller to read.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error that hides cause from the caller and keeps it for the log.
func Wrap(code Code, detail string, cause error) *Error {
	return &Error{Code: code, Detail: detail, Err: cause}
}

// Invalid collects failures of validation, so that a caller learns all of
// them at once. Its zero value is ready.
type Invalid struct{ fields []FieldError }

// Add notes one failure of param.
func (v *Invalid) Add(param, code, format string, args ...any) {
	v.fields = append(v.fields, FieldError{Param: param, Code: code, Message: fmt.Sprintf(format, args...)})
}

// Err is nil when nothing was added, else a CodeValidation Error that names
// the first failure and lists all.
func (v *Invalid) Err() error {
	if len(v.fields) == 0 {
		return nil
	}
	first := v.fields[0]
	return &Error{Code: CodeValidation, Param: first.Param, Detail: first.Message, Fields: v.fields}
}

// ReasonOf gives the rule that refused, "" when err is no refusal.
func ReasonOf(err error) Refusal {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}
