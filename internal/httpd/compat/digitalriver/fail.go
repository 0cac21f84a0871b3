package digitalriver

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"sluice"
	"sluice/internal/httpd/compat"
)

// failure is an error object of Digital River.
type failure struct {
	Type   string    `json:"type"`
	Errors []problem `json:"errors"`
}

type problem struct {
	Code      string `json:"code"`
	Parameter string `json:"parameter,omitempty"`
	Message   string `json:"message"`
}

const (
	badRequest = "bad_request"
	conflict   = "conflict"

	badFormat = "invalid_format"
	badParam  = "invalid_parameter"
	notFound  = "not_found"
	ended     = "restricted_update"
)

// failures maps Sluice's codes to Digital River's types and codes. Its clients know
// only these types. A missing code is a defect.
var failures = map[sluice.Code]struct {
	status     int
	kind, code string
}{
	sluice.CodeValidation:         {400, badRequest, badParam},
	sluice.CodeDigestMismatch:     {400, badRequest, badParam},
	sluice.CodeUnauthenticated:    {401, "unauthorized", "unauthorized"},
	sluice.CodeForbidden:          {403, "forbidden", "forbidden"},
	sluice.CodeNotFound:           {404, notFound, notFound},
	sluice.CodeMethodNotAllowed:   {405, "method_not_allowed", "method_not_allowed"},
	sluice.CodeConflict:           {409, conflict, conflict},
	sluice.CodeIdempotencyReused:  {409, conflict, conflict},
	sluice.CodeLinkExpired:        {409, conflict, ended},
	sluice.CodeLinkRevoked:        {409, conflict, ended},
	sluice.CodeFileHeld:           {409, conflict, ended},
	sluice.CodePreconditionFailed: {409, conflict, conflict},
	sluice.CodeTooLarge:           {400, badRequest, badParam},
	sluice.CodeUnsupportedType:    {400, badRequest, badFormat},
	sluice.CodeRange:              {416, badRequest, badParam},
	sluice.CodeRateLimited:        {429, "too_many_requests", "too_many_requests"},
	sluice.CodeInternal:           {500, "internal_server_error", "internal_server_error"},
	sluice.CodeUnavailable:        {503, "service_unavailable", "service_unavailable"},
	sluice.CodeStorageFull:        {503, "service_unavailable", "service_unavailable"},
}

// fieldCodes maps codes of field errors to Digital River's codes. The others map to
// invalid_parameter.
var fieldCodes = map[string]string{
	"required": "missing_parameter", "unknown": "unknown_parameter", badFormat: badFormat,
}

func fail(w http.ResponseWriter, _ *http.Request, f compat.Failure) {
	row, known := failures[f.Err.Code]
	if !known {
		row = failures[sluice.CodeInternal]
	}
	out := failure{Type: row.kind, Errors: []problem{
		{Code: row.code, Parameter: paramOf(f.Err.Param), Message: f.Err.Detail},
	}}
	switch f.Err.Code {
	case sluice.CodeValidation:
		out.Errors = nil
		for _, one := range compat.Failures(f.Err) {
			out.Errors = append(out.Errors, problem{codeOf(one), paramOf(one.Param), one.Message})
		}
	case sluice.CodeUnauthenticated:
		w.Header().Set("WWW-Authenticate", `Bearer, Basic realm="Sluice"`)
	}
	if row.status >= 500 {
		out.Errors[0].Message = "the request failed; give the operator the request id " + f.ID
	}
	compat.WriteJSON(w, row.status, out)
}

var metadataKey = regexp.MustCompile(`^[A-Za-z0-9_.\-]{1,40}$`)

func codeOf(f sluice.FieldError) string {
	_, inLink, nested := strings.Cut(f.Param, "metadata.")
	switch {
	case nested && (f.Code == "reserved" || f.Code == "invalid" && !metadataKey.MatchString(inLink)):
		return "invalid_metadata_key"
	case nested:
		return "invalid_metadata_value"
	case strings.HasSuffix(f.Param, "metadata") && f.Code == "too_many":
		return "too_many_metadata_pairs"
	case fieldCodes[f.Code] != "":
		return fieldCodes[f.Code]
	}
	if _, _, mistyped := compat.IsMistyped(f.Code); mistyped {
		return badFormat
	}
	return badParam
}

// names maps parameters to Digital River's names.
var names = map[string]string{
	"filename": "fileName", "expires_at": "expiresTime", "link.expires_at": "linkExpiresTime",
	"starting_after": "startingAfter", "ending_before": "endingBefore",
}

func paramOf(param string) string {
	if name := names[param]; name != "" {
		return name
	}
	return param
}

// noSuch adds the kind of object to a not_found error.
func noSuch(err error, what string) error {
	if sluice.CodeOf(err) != sluice.CodeNotFound {
		return err
	}
	return &sluice.Error{Code: sluice.CodeNotFound, Param: "id", Detail: "no " + what + " has this id"}
}

// noFile turns a not_found error into a failure of the parameter fileId.
func noFile(err error) error {
	if sluice.CodeOf(err) != sluice.CodeNotFound {
		return err
	}
	var v sluice.Invalid
	v.Add("fileId", "invalid", "no file has this id")
	return v.Err()
}

// cursor turns an invalid cursor into a failure of Digital River's parameter.
func cursor(err error) error {
	var e *sluice.Error
	if !errors.As(err, &e) || e.Code != sluice.CodeValidation || names[e.Param] == "" {
		return err
	}
	var v sluice.Invalid
	v.Add(names[e.Param], "invalid", "%s is not the id of an object in this list", names[e.Param])
	return v.Err()
}

func clip(s string) string {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "")
	}
	return s
}
