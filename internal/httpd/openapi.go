package httpd

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice"
	"sluice/api"
)

// documentation is the description of the API, as an OpenAPI 3.1 document and
// as a page for people. It is the same on every server, but for the address of the server.
type documentation struct{ json, page []byte }

// newDocumentation makes the documentation of the table of routes. The document
// stands in api/openapi.json, too.
func newDocumentation() documentation {
	ref := newReference()
	data, err := json.Marshal(ref)
	if err != nil {
		panic(err) // it depends on no input
	}
	data = formFirst(data, ref.Paths["/v1/files"].Post.RequestBody.Content)
	var b bytes.Buffer
	_ = json.Indent(&b, data, "", "  ")
	b.WriteByte('\n')
	return documentation{b.Bytes(), referencePage(ref)}
}

// formFirst writes the form before the raw body among the bodies of an upload:
// generators of clients take the first.
func formFirst(data []byte, bodies map[string]*huma.MediaType) []byte {
	const form, raw = "multipart/form-data", "*/*"
	member := func(name string) string {
		body, err := json.Marshal(bodies[name])
		if err != nil {
			panic(err) // it depends on no input
		}
		return `"` + name + `":` + string(body)
	}
	before, after := member(raw)+","+member(form), member(form)+","+member(raw)
	if len(bodies) != 2 || bytes.Count(data, []byte(before)) != 1 {
		panic("the bodies of an upload are not a form and raw bytes")
	}
	return bytes.Replace(data, []byte(before), []byte(after), 1)
}

// anyServer is where the document in api/openapi.json says that the API is.
const anyServer = `"url": "/"`

// document gives the OpenAPI document of this server, which names its public URL.
func (s *Server) document() []byte {
	public, err := json.Marshal(s.svc.PublicURL())
	if err != nil {
		panic(err) // it is a text
	}
	return bytes.Replace(s.documentation().json, []byte(anyServer), append([]byte(`"url": `), public...), 1)
}

// showDocument serves the OpenAPI document.
func (s *Server) showDocument(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	c.guard(c.header)
	c.header.Set("Content-Type", "application/json")
	_, _ = c.record(w).Write(s.document())
}

// newReference lets the table of routes describe itself: Huma knows the types
// of the operations that it mounts, those of plain handlers are described by
// hand, and what holds for all of them is added here.
func newReference() *huma.OpenAPI {
	s := &Server{mux: http.NewServeMux(), metrics: newMetrics(nil, func() int { return 0 })} // is never asked anything
	s.api = newAPI(s)
	ref := s.api.OpenAPI()
	introduce(ref)
	for _, rt := range s.routes() {
		rt.mount(s, rt)
		op := operationOf(ref, rt)
		if op == nil {
			op = plainOperation(ref, rt)
			ref.AddOperation(op)
		}
		secure(op, rt)
		exemplify(op, rt)
		answerWith(ref, op, rt)
	}
	describeSchemas(ref.Components.Schemas.Map(), asked(ref))
	return ref
}

// documented is the path of a route as OpenAPI writes it.
func (rt route) documented() string { return strings.ReplaceAll(rt.path, "...}", "}") }

// operationOf gives the operation of a route, nil when the reference has none.
func operationOf(ref *huma.OpenAPI, rt route) *huma.Operation {
	item := ref.Paths[rt.documented()]
	if item == nil {
		return nil
	}
	return map[string]*huma.Operation{
		"GET": item.Get, "PUT": item.Put, "POST": item.Post, "PATCH": item.Patch, "DELETE": item.Delete,
	}[rt.method]
}

// Names of the ways to show who one is.
const (
	bearerScheme   = "bearer"
	passwordScheme = "linkPassword"
	basicScheme    = "linkPasswordBasic"
)

// introduce says what the API is as a whole.
func introduce(ref *huma.OpenAPI) {
	ref.Info.Description = introduction
	ref.Info.License = &huma.License{Name: "Apache 2.0", Identifier: "Apache-2.0"}
	ref.Servers = []*huma.Server{{URL: "/", Description: "The server that this document comes from"}}
	for _, t := range tags {
		ref.Tags = append(ref.Tags, &huma.Tag{Name: t.name, Description: t.description})
	}
	ref.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		bearerScheme: {Type: "http", Scheme: "bearer", BearerFormat: "sk_test_… or sk_live_…",
			Description: "An API key. It decides account and mode; objects of another account or of the other mode do not exist for it. An operation names the scope that the key must have."},
		passwordScheme: {Type: "apiKey", In: "header", Name: "X-Link-Password", Description: "The password of a link that has one"},
		basicScheme:    {Type: "http", Scheme: "basic", Description: "The password of a link that has one, with any user name"},
	}
	ref.Components.Headers = map[string]*huma.Param{}
	for _, h := range headers {
		ref.Components.Headers[h.name] = &huma.Param{
			Description: h.description, Required: h.always, Schema: &huma.Schema{Type: h.kind}, Example: h.example,
		}
	}
	ref.Components.Examples = map[string]*huma.Example{}
	ref.Components.Responses = map[string]*huma.Response{}
}

// secure says who may ask for a route.
func secure(op *huma.Operation, rt route) {
	switch {
	case rt.operation == "redeem", rt.operation == "redeemNamed", rt.operation == "answerLink", rt.operation == "answerLinkNamed":
		op.Security = []map[string][]string{{}, {passwordScheme: {}}, {basicScheme: {}}}
	case rt.scope == public:
		op.Security = []map[string][]string{}
	case rt.scope == anyKey:
		op.Security = []map[string][]string{{bearerScheme: {}}}
	default:
		op.Security = []map[string][]string{{bearerScheme: {string(rt.scope)}}}
	}
}

// exemplify gives the parameters and the body of an operation an example each.
func exemplify(op *huma.Operation, rt route) {
	for _, p := range op.Parameters {
		if p.Example == nil {
			p.Example = exampleParam(rt, p)
		}
		if p.In == "path" && p.Description == "" {
			p.Description = pathParam(rt, p.Name)
		}
		if p.Schema != nil {
			p.Schema.Description = ""
			p.Schema.Pattern = paramPatterns[p.Name]
		}
		if p.Schema != nil && p.Schema.Type == huma.TypeArray {
			p.Schema.Nullable = false
		}
	}
	if op.RequestBody == nil {
		return
	}
	if body := op.RequestBody.Content["application/json"]; body != nil {
		body.Example = exampleBodies[rt.operation]
	}
}

// answerWith completes the answers of an operation: headers, and the problems
// it may meet.
func answerWith(ref *huma.OpenAPI, op *huma.Operation, rt route) {
	delete(op.Responses, "default")
	for _, response := range op.Responses {
		names := answerHeaders(rt)
		for name := range response.Headers {
			if name != "Content-Type" { // OpenAPI has a place of its own for it
				names = append(names, name)
			}
		}
		response.Headers = headerRefs(names...)
	}
	if op.Responses["200"] != nil && op.Responses["200"].Description == http.StatusText(http.StatusOK) {
		op.Responses["200"].Description = success(rt)
	}
	if rt.scope != public && isOne(rt) && rt.method == http.MethodGet {
		op.Responses["304"] = &huma.Response{
			Description: "The caller has the object as it is", Headers: headerRefs(append(answerHeaders(rt), "ETag")...),
		}
	}
	byStatus := map[int][]sluice.Code{}
	for _, code := range codesOf(rt) {
		status := problems[code].status
		byStatus[status] = append(byStatus[status], code)
	}
	for status, codes := range byStatus {
		op.Responses[strconv.Itoa(status)] = problemResponse(ref, rt, status, codes)
	}
}

// isOne reports whether a route is about one object.
func isOne(rt route) bool { return strings.HasSuffix(rt.path, "}") }

// changes reports whether a route changes something.
func (rt route) changes() bool { return rt.method != http.MethodGet }

// brings reports whether requests to a route have a body.
func (rt route) brings() bool { return rt.changes() && rt.method != http.MethodDelete }

func success(rt route) string {
	switch {
	case rt.method == http.MethodDelete:
		return "It was ended"
	case rt.operation == "createLinks":
		return "The links"
	case rt.changes():
		return "The object as it is now"
	case strings.HasPrefix(rt.operation, "list"):
		return "One page"
	}
	return "The object"
}

// answerHeaders are the headers of every answer to a route.
func answerHeaders(rt route) []string {
	names := []string{"X-Request-Id"}
	if rt.scope != public {
		names = append(names, "Sluice-Version", "RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
		if rt.changes() {
			names = append(names, "Idempotency-Replayed")
		}
	}
	return names
}

func headerRefs(names ...string) map[string]*huma.Param {
	refs := map[string]*huma.Param{}
	for _, name := range names {
		refs[name] = &huma.Param{Ref: "#/components/headers/" + name}
	}
	return refs
}

// codesOf are the codes with which a route may refuse.
func codesOf(rt route) []sluice.Code {
	codes := slices.Concat([]sluice.Code{sluice.CodeInternal}, ownRefusals[rt.operation])
	if rt.scope == public {
		return codes
	}
	codes = append(codes, sluice.CodeValidation, sluice.CodeUnauthenticated, sluice.CodeRateLimited, sluice.CodeUnavailable)
	if rt.scope != anyKey {
		codes = append(codes, sluice.CodeForbidden)
	}
	if strings.Contains(rt.path, "{") {
		codes = append(codes, sluice.CodeNotFound)
	}
	if rt.changes() {
		codes = append(codes, sluice.CodeIdempotencyReused, sluice.CodeStorageFull)
	}
	if rt.brings() {
		codes = append(codes, sluice.CodeDigestMismatch, sluice.CodeTooLarge, sluice.CodeUnsupportedType)
	}
	if rt.method == http.MethodPatch || rt.method == http.MethodDelete {
		codes = append(codes, sluice.CodePreconditionFailed)
	}
	slices.Sort(codes)
	return codes
}

// problemResponse is the answer with a status that stands for some codes. Where
// a key is asked for, routes that refuse alike share it.
func problemResponse(ref *huma.OpenAPI, rt route, status int, codes []sluice.Code) *huma.Response {
	var titles, names []string
	examples := map[string]*huma.Example{}
	for _, code := range codes {
		names = append(names, string(code))
		titles = append(titles, string(code)+": "+explanations[code].meaning)
		ref.Components.Examples[string(code)] = &huma.Example{Summary: problems[code].title, Value: exampleProblem(code)}
		examples[string(code)] = &huma.Example{Ref: "#/components/examples/" + string(code)}
	}
	response := &huma.Response{
		Description: strings.Join(titles, "\n\n"),
		Headers:     headerRefs(problemHeaders(rt, status)...),
		Content: map[string]*huma.MediaType{
			api.ProblemType: {Schema: ref.Components.Schemas.Schema(reflect.TypeFor[api.Problem](), true, ""), Examples: examples},
		},
	}
	if rt.scope == public {
		if strings.HasPrefix(rt.path, "/l/") {
			response.Content["text/html"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: "A small page, for whoever asks for text/html"}}
		}
		return response
	}
	name := strings.Join(names, ".")
	if rt.changes() && status < 500 && status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
		name += ".replayable"
	}
	ref.Components.Responses[name] = response
	return &huma.Response{Ref: "#/components/responses/" + name}
}

func problemHeaders(rt route, status int) []string {
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

// asked gives the schemas that requests are held to, which name everything
// that a body may have.
func asked(ref *huma.OpenAPI) map[string]bool {
	found := map[string]bool{}
	var visit func(s *huma.Schema)
	visit = func(s *huma.Schema) {
		if s == nil {
			return
		}
		if name, ok := strings.CutPrefix(s.Ref, schemaPrefix); ok && !found[name] {
			found[name] = true
			visit(ref.Components.Schemas.Map()[name])
		}
		visit(s.Items)
		for _, member := range s.Properties {
			visit(member)
		}
	}
	for _, item := range ref.Paths {
		for _, op := range []*huma.Operation{item.Post, item.Put, item.Patch} {
			if op != nil && op.RequestBody != nil {
				for _, body := range op.RequestBody.Content {
					visit(body.Schema)
				}
			}
		}
	}
	return found
}

const schemaPrefix = "#/components/schemas/"

// describeSchemas says what validation checks beyond types. What is only
// answered may have more members one day.
func describeSchemas(schemas map[string]*huma.Schema, asked map[string]bool) {
	for name, s := range schemas {
		base := name
		if embedded := bases[name]; embedded != "" {
			base = embedded
		}
		s.Description = schemaDescriptions[name]
		if example := exampleObjects[name]; example != nil {
			s.Examples = []any{example}
		}
		if !asked[name] {
			s.AdditionalProperties = nil
		}
		for member, m := range s.Properties {
			if limit := limits[base+"."+member]; limit != nil {
				limit(m)
			} else if limit := limits[name+"."+member]; limit != nil {
				limit(m)
			}
		}
	}
}
