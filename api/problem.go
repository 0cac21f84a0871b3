package api

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// Problem is an error response, a problem document of RFC 9457. Programs branch
// on Code.
type Problem struct {
	Type       string       `json:"type" doc:"URI of the page that explains the code"`
	Title      string       `json:"title" doc:"Short meaning of the code"`
	Status     int          `json:"status" doc:"The HTTP status"`
	Code       string       `json:"code" doc:"Error code, for programs"`
	Detail     string       `json:"detail,omitempty" doc:"What is wrong with the request, for people"`
	DocURL     string       `json:"doc_url" doc:"Same as type"`
	RequestID  string       `json:"request_id" doc:"The X-Request-Id of the response"`
	Param      string       `json:"param,omitempty" doc:"The first invalid parameter, dotted"`
	Errors     []FieldError `json:"errors,omitempty" doc:"All invalid parameters"`
	Reason     string       `json:"reason,omitempty" doc:"If the code is gone or forbidden for a link, the rule that refused the download: expired, revoked, file_deleted, exhausted, key_revoked, key_expired, key_restricted, purpose_restricted, wrong_password, address_not_allowed, altered, verification_required, wrong_code, recipient_not_allowed or terms_not_accepted"`
	RetryAfter int64        `json:"retry_after,omitempty" doc:"Seconds to wait before a retry"`
	VerifyURL  string       `json:"verify_url,omitempty" doc:"If the code is verification_required, the page where a person proves an e-mail address, in a browser"`
}

// FieldError describes one invalid parameter.
type FieldError struct {
	Param   string `json:"param" doc:"The invalid parameter, dotted"`
	Code    string `json:"code" doc:"required, invalid, too_long, too_many, out_of_range, reserved or unknown"`
	Message string `json:"message" doc:"What is wrong with the parameter, for people"`
}

// Error returns code and detail in one line.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Code
	}
	return p.Code + ": " + p.Detail
}
