package stripe

import (
	"errors"
	"net/http"
	"strings"

	"sluice"
	"sluice/internal/httpd/compat"
)

// failure is the error object of https://docs.stripe.com/api/errors.
type failure struct {
	Code    string `json:"code,omitempty"`
	DocURL  string `json:"doc_url,omitempty"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
	Type    string `json:"type"`
}

// The error types.
const (
	invalidRequest = "invalid_request_error"
	apiError       = "api_error"
	idempotency    = "idempotency_error"
)

// failures maps Sluice's codes to Stripe's. It avoids status 409, on which Stripe's
// clients retry. A missing code is a defect.
var failures = map[sluice.Code]struct {
	status     int
	kind, code string
}{
	sluice.CodeValidation:         {400, invalidRequest, ""},
	sluice.CodeDigestMismatch:     {400, invalidRequest, ""},
	sluice.CodeUnauthenticated:    {401, invalidRequest, ""},
	sluice.CodeForbidden:          {403, invalidRequest, ""},
	sluice.CodeNotFound:           {404, invalidRequest, "resource_missing"},
	sluice.CodeMethodNotAllowed:   {404, invalidRequest, ""},
	sluice.CodeConflict:           {400, invalidRequest, ""},
	sluice.CodeIdempotencyReused:  {400, idempotency, ""},
	sluice.CodeLinkExpired:        {400, invalidRequest, ""},
	sluice.CodeLinkRevoked:        {400, invalidRequest, ""},
	sluice.CodePreconditionFailed: {412, invalidRequest, ""},
	sluice.CodeTooLarge:           {400, invalidRequest, ""},
	sluice.CodeUnsupportedType:    {400, invalidRequest, ""},
	sluice.CodeRange:              {416, invalidRequest, ""},
	sluice.CodeRateLimited:        {429, invalidRequest, "rate_limit"},
	sluice.CodeInternal:           {500, apiError, ""},
	sluice.CodeUnavailable:        {503, apiError, ""},
	sluice.CodeStorageFull:        {507, apiError, ""},
}

// fieldCodes maps codes of field errors to Stripe's codes.
var fieldCodes = map[string]string{
	"required": "parameter_missing",
	"unknown":  "parameter_unknown",
	notInteger: "parameter_invalid_integer",
	isEmpty:    "parameter_invalid_empty",
	exclusive:  "parameters_exclusive",
	missing:    "resource_missing",
}

func fail(w http.ResponseWriter, _ *http.Request, f compat.Failure) {
	row, known := failures[f.Err.Code]
	if !known {
		row = failures[sluice.CodeInternal]
	}
	out := failure{Code: row.code, DocURL: f.DocURL, Message: f.Err.Detail, Param: paramOf(f.Err.Param), Type: row.kind}
	switch f.Err.Code {
	case sluice.CodeValidation:
		first := compat.Failures(f.Err)[0]
		out.Message, out.Param, out.Code = first.Message, paramOf(first.Param), fieldCodes[first.Code]
	case sluice.CodeNotFound:
		if !f.Routed {
			out.Code = ""
		}
	case sluice.CodeUnauthenticated:
		w.Header().Set("WWW-Authenticate", `Bearer, Basic realm="Sluice"`)
	}
	if row.status >= 500 {
		out.Message = "the request failed; give the operator the request id " + f.ID
	}
	if row.status < 500 && row.status != http.StatusTooManyRequests {
		w.Header().Set("Stripe-Should-Retry", "false")
	}
	compat.WriteJSON(w, row.status, struct {
		Error failure `json:"error"`
	}{out})
}

// paramOf returns Stripe's name of a parameter.
func paramOf(param string) string {
	if rest, ok := strings.CutPrefix(param, "link."); ok {
		param = "file_link_data." + rest
	}
	if strings.Contains(param, "[") {
		return param
	}
	return compat.Bracketed(param)
}

// noSuch adds kind and id of the object to a not_found error.
func noSuch(err error, what, id, param string) error {
	if sluice.CodeOf(err) != sluice.CodeNotFound {
		return err
	}
	detail := "No such " + what + ": '" + clip(strings.ToValidUTF8(id, "?")) + "'"
	return &sluice.Error{Code: sluice.CodeNotFound, Param: param, Detail: detail}
}

// noCursor turns an invalid cursor into Stripe's failure.
func noCursor(err error, what string, span compat.Span) error {
	var e *sluice.Error
	if !errors.As(err, &e) || e.Code != sluice.CodeValidation {
		return err
	}
	id := span.After
	switch e.Param {
	case "starting_after":
	case "ending_before":
		id = span.Before
	default:
		return err
	}
	var v sluice.Invalid
	v.Add(e.Param, missing, "No such %s: '%s'", what, clip(id))
	return v.Err()
}
