package api

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// Problem is an error as it is answered: a problem document of RFC 9457.
// Callers branch on Code.
type Problem struct {
	Type       string       `json:"type" doc:"URI of the page that explains the code"`
	Title      string       `json:"title" doc:"What the code means, in a few words"`
	Status     int          `json:"status" doc:"The HTTP status"`
	Code       string       `json:"code" doc:"What to branch on"`
	Detail     string       `json:"detail,omitempty" doc:"What is wrong with this request, for a person to read"`
	DocURL     string       `json:"doc_url" doc:"The same page as type"`
	RequestID  string       `json:"request_id" doc:"The X-Request-Id of this answer"`
	Param      string       `json:"param,omitempty" doc:"The first offending parameter, dotted"`
	Errors     []FieldError `json:"errors,omitempty" doc:"Every failure of validation"`
	Reason     string       `json:"reason,omitempty" doc:"With gone and forbidden on a link, the rule that refused: expired, revoked, file_deleted, exhausted, key_revoked, key_expired, key_restricted, purpose_restricted, wrong_password or address_not_allowed"`
	RetryAfter int64        `json:"retry_after,omitempty" doc:"Seconds after which trying again may help"`
}

// FieldError is one failure of validation.
type FieldError struct {
	Param   string `json:"param" doc:"The offending parameter, dotted"`
	Code    string `json:"code" doc:"required, invalid, too_long, too_many, out_of_range, reserved or unknown"`
	Message string `json:"message" doc:"What is wrong with it, for a person to read"`
}

// Error gives code and detail in one line.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Code
	}
	return p.Code + ": " + p.Detail
}
