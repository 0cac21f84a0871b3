package apidoc

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
)

// answerWith completes the responses of an operation: their headers, and the problems.
func answerWith(ref *document, op *operation, rt httpd.Route) {
	for _, response := range op.Responses {
		names := answerHeaders(rt)
		for name := range response.Headers {
			names = append(names, name)
		}
		response.Headers = headerRefs(names...)
	}
	if op.Responses["200"] != nil && op.Responses["200"].Description == http.StatusText(http.StatusOK) {
		op.Responses["200"].Description = success(rt)
	}
	if rt.Scope != httpd.Public && isOne(rt) && rt.Method == http.MethodGet {
		op.Responses["304"] = &response{
			Description: "The object has not changed", Headers: headerRefs(append(answerHeaders(rt), "ETag")...),
		}
	}
	byStatus := map[int][]sluice.Code{}
	for _, code := range codesOf(rt) {
		status := statusOf(code)
		byStatus[status] = append(byStatus[status], code)
	}
	for status, codes := range byStatus {
		op.Responses[strconv.Itoa(status)] = problemResponse(ref, rt, status, codes)
	}
}

// isOne reports whether a route names a single object.
func isOne(rt httpd.Route) bool { return strings.HasSuffix(rt.Path, "}") }

// changes reports whether a route makes changes.
func changes(rt httpd.Route) bool { return rt.Method != http.MethodGet }

// brings reports whether requests of a route have a body.
func brings(rt httpd.Route) bool { return changes(rt) && rt.Method != http.MethodDelete }

func success(rt httpd.Route) string {
	switch {
	case rt.Method == http.MethodDelete:
		return "The object was deleted or revoked"
	case rt.Operation == "createLinks":
		return "The links"
	case changes(rt):
		return "The object after the change"
	case strings.HasPrefix(rt.Operation, "list"):
		return "One page"
	}
	return "The object"
}

// answerHeaders returns the headers of every response of a route.
func answerHeaders(rt httpd.Route) []string {
	names := []string{"X-Request-Id"}
	if rt.Scope != httpd.Public {
		names = append(
			names, "Sluice-Version", "RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining",
			"X-RateLimit-Reset",
		)
		if changes(rt) {
			names = append(names, "Idempotency-Replayed")
		}
	}
	return names
}

func headerRefs(names ...string) map[string]*param {
	refs := map[string]*param{}
	for _, name := range names {
		refs[name] = &param{Ref: "#/components/headers/" + name}
	}
	return refs
}

// codesOf returns the problem codes of a route.
func codesOf(rt httpd.Route) []sluice.Code {
	codes := slices.Concat([]sluice.Code{sluice.CodeInternal}, ownRefusals[rt.Operation])
	if rt.Scope == httpd.Public {
		return codes
	}
	codes = append(
		codes, sluice.CodeValidation, sluice.CodeUnauthenticated, sluice.CodeRateLimited, sluice.CodeUnavailable,
	)
	if rt.Scope != httpd.AnyKey {
		codes = append(codes, sluice.CodeForbidden)
	}
	if strings.Contains(rt.Path, "{") {
		codes = append(codes, sluice.CodeNotFound)
	}
	if changes(rt) {
		codes = append(codes, sluice.CodeIdempotencyReused, sluice.CodeStorageFull)
	}
	if brings(rt) {
		codes = append(codes, sluice.CodeDigestMismatch, sluice.CodeTooLarge, sluice.CodeUnsupportedType)
	}
	if rt.Method == http.MethodPatch || rt.Method == http.MethodDelete {
		codes = append(codes, sluice.CodePreconditionFailed)
	}
	slices.Sort(codes)
	return codes
}

// problemResponse returns the response for the codes of a status. Routes that need a
// key share equal responses.
func problemResponse(ref *document, rt httpd.Route, status int, codes []sluice.Code) *response {
	var titles, names []string
	examples := map[string]*example{}
	for _, code := range codes {
		names = append(names, string(code))
		titles = append(titles, string(code)+": "+explanations[code].meaning)
		ref.Components.Examples[string(code)] = &example{Summary: titleOf(code), Value: exampleProblem(code)}
		examples[string(code)] = &example{Ref: "#/components/examples/" + string(code)}
	}
	refusal := &response{
		Description: strings.Join(titles, "\n\n"),
		Headers:     headerRefs(problemHeaders(rt, status)...),
		Content: map[string]*mediaType{
			api.ProblemType: {Schema: ref.schemaOf(reflect.TypeFor[api.Problem]()), Examples: examples},
		},
	}
	if rt.Scope == httpd.Public {
		if strings.HasPrefix(rt.Path, "/l/") {
			refusal.Content["text/html"] = &mediaType{
				Schema: &schema{Type: typeString, Description: "A small page, if the client accepts text/html"},
			}
		}
		return refusal
	}
	name := strings.Join(names, ".")
	if changes(rt) && status < 500 && status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
		name += ".replayable"
	}
	ref.Components.Responses[name] = refusal
	return &response{Ref: "#/components/responses/" + name}
}

func problemHeaders(rt httpd.Route, status int) []string {
	switch names := answerHeaders(rt); status {
	case http.StatusUnauthorized:
		return []string{"X-Request-Id", "WWW-Authenticate"}
	case http.StatusRequestedRangeNotSatisfiable:
		return append(names, "Content-Range")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return append(slices.DeleteFunc(names, isReplay), "Retry-After")
	default:
		if status >= 500 {
			names = slices.DeleteFunc(names, isReplay)
		}
		return names
	}
}

func isReplay(name string) bool { return name == "Idempotency-Replayed" }
