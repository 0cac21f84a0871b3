package stripe

import (
	"errors"
	"net/http"
	"strings"

	"sluice"
	"sluice/internal/httpd/compat"
)

// failure is what https://docs.stripe.com/api/errors describes.
type failure struct {
	Code    string `json:"code,omitempty"`
	DocURL  string `json:"doc_url,omitempty"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
	Type    string `json:"type"`
}

// The types of errors.
const (
	invalidRequest = "invalid_request_error"
	apiError       = "api_error"
	idempotency    = "idempotency_error"
)

// failures is the table from Sluice's codes to Stripe's. There is no 409 in it,
// which Stripe's clients take for a reason to try again. A code that is not in
// it is a defect.
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

// fieldCodes are Stripe's codes of what can be wrong with a parameter.
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
		out.Message = "this could not be done; the request id " + f.ID + " leads to the cause"
	}
	if row.status < 500 && row.status != http.StatusTooManyRequests {
		w.Header().Set("Stripe-Should-Retry", "false")
	}
	compat.WriteJSON(w, row.status, struct {
		Error failure `json:"error"`
	}{out})
}

// paramOf is the name that Stripe's clients know a parameter by.
func paramOf(param string) string {
	if rest, ok := strings.CutPrefix(param, "link."); ok {
		param = "file_link_data." + rest
	}
	if strings.Contains(param, "[") {
		return param
	}
	return compat.Bracketed(param)
}

// noSuch says of an error that is not_found which object there is none of.
func noSuch(err error, what, id, param string) error {
	if sluice.CodeOf(err) != sluice.CodeNotFound {
		return err
	}
	return &sluice.Error{Code: sluice.CodeNotFound, Param: param, Detail: "there is no " + what + " '" + clip(strings.ToValidUTF8(id, "?")) + "'"}
}

// noCursor says of a list that the object it shall begin at does not exist.
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
	v.Add(e.Param, missing, "there is no %s '%s'", what, clip(id))
	return v.Err()
}
