package httpd

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sluice"
	"sluice/api"
)

// problems is the one table from codes to statuses and titles.
var problems = map[sluice.Code]struct {
	status int
	title  string
}{
	sluice.CodeValidation:         {400, "Invalid request"},
	sluice.CodeDigestMismatch:     {400, "Digest mismatch"},
	sluice.CodeUnauthenticated:    {401, "Invalid API key"},
	sluice.CodeUnverified:         {401, "Verification required"},
	sluice.CodeForbidden:          {403, "Forbidden"},
	sluice.CodeNotFound:           {404, "Not found"},
	sluice.CodeMethodNotAllowed:   {405, "Method not allowed"},
	sluice.CodeConflict:           {409, "Conflict"},
	sluice.CodeIdempotencyReused:  {409, "Idempotency key reused"},
	sluice.CodeLinkExpired:        {409, "Link expired"},
	sluice.CodeLinkRevoked:        {409, "Link revoked"},
	sluice.CodeFileHeld:           {409, "File held"},
	sluice.CodeGone:               {410, "Link no longer valid"},
	sluice.CodePreconditionFailed: {412, "Precondition failed"},
	sluice.CodeTooLarge:           {413, "Content too large"},
	sluice.CodeUnsupportedType:    {415, "Unsupported media type"},
	sluice.CodeRange:              {416, "Range not satisfiable"},
	sluice.CodeRateLimited:        {429, "Too many requests"},
	sluice.CodeInternal:           {500, "Internal error"},
	sluice.CodeUnavailable:        {503, "Temporarily unavailable"},
	sluice.CodeStorageFull:        {507, "Storage full"},
}

// ProblemOf gives the status and the title of a code.
func ProblemOf(code sluice.Code) (status int, title string) {
	return problems[code].status, problems[code].title
}

// Codes are the codes of problems, in order.
func Codes() (list []string) {
	for _, code := range slices.Sorted(maps.Keys(problems)) {
		list = append(list, string(code))
	}
	return list
}

// failure returns the error to show the caller, on any face, and sets Retry-After. An error with a status of 500 or
// more goes to the log with its cause, which the caller must not see.
func (c *Call) failure(ctx context.Context, err error) *sluice.Error {
	found := asError(ctx, err)
	e := c.storeFailure(ctx, found)
	if e != found {
		err = e
	}
	row, known := problems[e.Code]
	if !known {
		e, row = sluice.Wrap(sluice.CodeInternal, "", e), problems[sluice.CodeInternal]
	}
	if row.status >= 500 {
		c.server.log.Error("request failed", "request", c.ID, "route", c.route, "code", string(e.Code), "error", err)
	}
	if row.status == http.StatusTooManyRequests || row.status == http.StatusServiceUnavailable {
		c.Header.Set("Retry-After", strconv.FormatInt(retryAfter(e), 10))
	}
	return e
}

func retryAfter(e *sluice.Error) (seconds int64) {
	return wholeSeconds(cmp.Or(e.RetryAfter, time.Second))
}

// Problem returns the problem document of an error, and sets the headers that go with it.
func (c *Call) Problem(ctx context.Context, err error) *api.Problem {
	e := c.failure(ctx, err)
	row := problems[e.Code]
	page := c.server.svc.PublicURL() + "/docs/errors/" + string(e.Code)
	p := &api.Problem{
		Type: page, Title: row.title, Status: row.status, Code: string(e.Code), Detail: e.Detail,
		DocURL: page, RequestID: c.ID, Param: e.Param, Reason: string(e.Reason),
	}
	if e.Code == sluice.CodeInternal {
		p.Detail = "the server failed; its log has the cause under this request id"
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, api.FieldError(f))
	}
	if stored := c.Replayed(); stored != nil && stored.Err == e {
		p.RequestID = stored.RequestID
		c.MarkReplayed()
	}
	switch row.status {
	case http.StatusUnauthorized:
		c.Header.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		p.RetryAfter = retryAfter(e)
	}
	return p
}

// Fail answers with an error, in the form of the face that the request is for.
func (c *Call) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if c.Failed != nil {
		c.Failed(err)
		return
	}
	if c.adapter != nil {
		c.adapter.Fail(c, w, r, c.failure(r.Context(), err))
		return
	}
	p := c.Problem(r.Context(), err)
	c.Answer(w, p.Status, api.ProblemType, p)
}

// Answer writes a JSON document in the version of the API that the caller uses.
func (c *Call) Answer(w http.ResponseWriter, status int, mediaType string, v any) {
	data, err := c.Encode(v)
	if err != nil {
		panic(err)
	}
	Send(w, status, mediaType, data)
}

// Send writes an answer. It ignores write errors: the client is gone then.
func Send(w http.ResponseWriter, status int, mediaType string, data []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(data)
}
