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

// problems is the one table from codes to what a caller sees.
var problems = map[sluice.Code]struct {
	status int
	title  string
}{
	sluice.CodeValidation:         {400, "Invalid request"},
	sluice.CodeDigestMismatch:     {400, "Digest mismatch"},
	sluice.CodeUnauthenticated:    {401, "Invalid API key"},
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
func Codes() []string { return texts(slices.Sorted(maps.Keys(problems))) }

// failure turns an error into the one that the caller is told of, whatever
// face it is told on, and sets Retry-After. What must stay hidden goes to the
// log.
func (c *call) failure(ctx context.Context, err error) *sluice.Error {
	found := asError(ctx, err)
	e := c.settle(ctx, found)
	if e != found {
		err = e
	}
	row, known := problems[e.Code]
	if !known {
		e, row = sluice.Wrap(sluice.CodeInternal, "", e), problems[sluice.CodeInternal]
	}
	if row.status >= 500 {
		c.server.log.Error("request failed", "request", c.id, "route", c.route, "code", string(e.Code), "error", err)
	}
	if row.status == http.StatusTooManyRequests || row.status == http.StatusServiceUnavailable {
		c.header.Set("Retry-After", strconv.FormatInt(retryAfter(e), 10))
	}
	return e
}

func retryAfter(e *sluice.Error) (seconds int64) {
	return wholeSeconds(cmp.Or(e.RetryAfter, time.Second))
}

// problem turns an error into what a caller of the native API sees of it, and
// sets the headers that belong to it.
func (c *call) problem(ctx context.Context, err error) *api.Problem {
	e := c.failure(ctx, err)
	row := problems[e.Code]
	page := c.server.svc.PublicURL() + "/docs/errors/" + string(e.Code)
	p := &api.Problem{
		Type: page, Title: row.title, Status: row.status, Code: string(e.Code), Detail: e.Detail,
		DocURL: page, RequestID: c.id, Param: e.Param, Reason: string(e.Reason),
	}
	if e.Code == sluice.CodeInternal {
		p.Detail = "the request id leads us to the cause"
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, api.FieldError(f))
	}
	if a := c.replayed(); a != nil && a.Err == e {
		p.RequestID = a.RequestID
		c.markReplayed()
	}
	switch row.status {
	case http.StatusUnauthorized:
		c.header.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		p.RetryAfter = retryAfter(e)
	}
	return p
}

// fail answers with the problem that err is, in the form of the face that was
// asked.
func (c *call) fail(w http.ResponseWriter, r *http.Request, err error) {
	if c.door != nil {
		c.failAtDoor(w, r, err)
		return
	}
	p := c.problem(r.Context(), err)
	c.answer(w, p.Status, api.ProblemType, p)
}

// answer writes a JSON document.
func (c *call) answer(w http.ResponseWriter, status int, mediaType string, v any) {
	data, err := c.encode(v)
	if err != nil {
		panic(err)
	}
	send(w, status, mediaType, data)
}

// send writes an answer. What cannot be written has no reader any more.
func send(w http.ResponseWriter, status int, mediaType string, data []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(data)
}
