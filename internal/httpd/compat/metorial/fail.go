package metorial

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"sluice"
	"sluice/internal/httpd/compat"
)

// failure is an error object of Metorial.
type failure struct {
	Typename string    `json:"__typename"`
	OK       bool      `json:"ok"`
	Status   int       `json:"status"`
	Code     string    `json:"code"`
	Message  string    `json:"message"`
	Hint     string    `json:"hint,omitempty"`
	Entity   string    `json:"entity,omitempty"`
	ID       string    `json:"id,omitempty"`
	Errors   []invalid `json:"errors,omitempty"`
}

// invalid is one failure of validation.
type invalid struct {
	Code     string   `json:"code"`
	Message  string   `json:"message"`
	Path     []string `json:"path"`
	Expected string   `json:"expected,omitempty"`
	Received string   `json:"received,omitempty"`
}

const badRequest = "bad_request"

// failures maps Sluice's codes to Metorial's. A missing code is a defect.
var failures = map[sluice.Code]struct {
	status int
	code   string
}{
	sluice.CodeValidation:         {400, "invalid_data"},
	sluice.CodeDigestMismatch:     {400, badRequest},
	sluice.CodeUnauthenticated:    {401, "unauthorized"},
	sluice.CodeForbidden:          {403, "forbidden"},
	sluice.CodeNotFound:           {404, "not_found"},
	sluice.CodeMethodNotAllowed:   {404, "not_found"},
	sluice.CodeConflict:           {400, badRequest},
	sluice.CodeIdempotencyReused:  {400, badRequest},
	sluice.CodeLinkExpired:        {400, badRequest},
	sluice.CodeLinkRevoked:        {400, badRequest},
	sluice.CodeFileHeld:           {400, badRequest},
	sluice.CodePreconditionFailed: {400, badRequest},
	sluice.CodeTooLarge:           {400, badRequest},
	sluice.CodeUnsupportedType:    {400, badRequest},
	sluice.CodeRateLimited:        {429, "rate_limit_exceeded"},
	sluice.CodeInternal:           {500, "internal_server_error"},
	sluice.CodeUnavailable:        {503, "internal_server_error"},
	sluice.CodeStorageFull:        {507, "internal_server_error"},
}

// The entities of not_found errors.
const (
	fileEntity = "file"
	linkEntity = "fileLink"
	endpoint   = "endpoint"
)

func fail(w http.ResponseWriter, r *http.Request, f compat.Failure) {
	row, known := failures[f.Err.Code]
	if !known {
		row = failures[sluice.CodeInternal]
	}
	out := failure{Typename: "error", Status: row.status, Code: row.code, Message: f.Err.Detail}
	switch f.Err.Code {
	case sluice.CodeValidation:
		if f.Err.Param == "" && len(f.Err.Fields) == 0 {
			out.Code = badRequest // the body as a whole is invalid
			break
		}
		for _, one := range compat.Failures(f.Err) {
			out.Errors = append(out.Errors, wireInvalid(one))
		}
	case sluice.CodeTooLarge, sluice.CodeUnsupportedType:
		if f.Err.Param != "" {
			out.Code = failures[sluice.CodeValidation].code
			out.Errors = []invalid{wireInvalid(compat.Failures(f.Err)[0])}
		}
	case sluice.CodeNotFound, sluice.CodeMethodNotAllowed:
		out.Entity = endpoint
		if f.Routed && f.Err.Param != "" {
			out.Entity, out.ID = f.Err.Param, f.Err.Fields[0].Param
		}
	case sluice.CodeUnauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
		if r.URL.Query().Has("token") {
			out.Hint = "send the key in the Authorization header: the query parameter token is not accepted, " +
				"because it would appear in logs"
		}
	}
	if row.status >= 500 {
		out.Message = "the request failed; give the operator the request id " + f.ID
	}
	if out.Hint == "" && row.status < 500 {
		out.Hint = f.DocURL
	}
	compat.WriteJSON(w, row.status, out)
}

func wireInvalid(f sluice.FieldError) invalid {
	out := invalid{Code: f.Code, Message: f.Message, Path: []string{}}
	if want, got, ok := compat.IsMistyped(f.Code); ok {
		out.Code, out.Expected, out.Received = "invalid_type", want, got
	}
	if f.Param != "" {
		out.Path = strings.Split(f.Param, ".")
	}
	return out
}

// noSuch adds entity and id to a not_found error: as its param, and as the param of its
// only field.
func noSuch(err error, entity, id string) error {
	var e *sluice.Error
	if sluice.CodeOf(err) != sluice.CodeNotFound || errors.As(err, &e) && e.Param != "" {
		return err
	}
	id = strings.ToValidUTF8(id, "?")
	if utf8.RuneCountInString(id) > 64 {
		id = string([]rune(id)[:64])
	}
	return &sluice.Error{
		Code: sluice.CodeNotFound, Param: entity, Detail: "no " + entity + " has this id",
		Fields: []sluice.FieldError{{Param: id}},
	}
}

// cursor turns an invalid cursor into a failure of Metorial's parameter.
func cursor(err error, span compat.Span) error {
	var e *sluice.Error
	if !errors.As(err, &e) || e.Code != sluice.CodeValidation ||
		e.Param != "starting_after" && e.Param != "ending_before" {
		return err
	}
	name := "after"
	if span.Before != "" {
		name = "before"
	}
	var v sluice.Invalid
	v.Add(name, "invalid", "%s is not the id of an object in this list", name)
	return v.Err()
}
