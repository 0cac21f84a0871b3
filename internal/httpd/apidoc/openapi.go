package apidoc

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/httpd/contract"
	"sluice/internal/server"
)

// OpenAPI makes the OpenAPI document of the native API, which is api/openapi.json.
func OpenAPI() []byte {
	doc := newDocument()
	data, err := json.Marshal(doc)
	if err != nil {
		panic(err) // it depends on no input
	}
	data = formFirst(data, doc.Paths["/v1/files"].Post.RequestBody.Content)
	var b bytes.Buffer
	_ = json.Indent(&b, data, "", "  ")
	b.WriteByte('\n')
	return b.Bytes()
}

// formFirst writes the form before the raw body among the bodies of an upload:
// generators of clients take the first.
func formFirst(data []byte, bodies map[string]*mediaType) []byte {
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

// newDocument describes the table of routes.
func newDocument() *document {
	ref := &document{OpenAPI: "3.1.0", Paths: map[string]*pathItem{}}
	introduce(ref)
	for _, rt := range server.Routes() {
		op := newOperation(ref, rt)
		secure(op, rt)
		exemplify(op, rt)
		answerWith(ref, op, rt)
	}
	describeSchemas(ref.Components.Schemas, asked(ref))
	return ref
}

// newOperation describes what a route takes and gives.
func newOperation(ref *document, rt httpd.Route) *operation {
	about, known := descriptions[rt.Operation]
	if !known {
		panic(fmt.Sprintf("the operation %s is not described", rt.Operation))
	}
	op := &operation{
		OperationID: rt.Operation, Method: rt.Method, Path: documented(rt),
		Tags: []string{about.tag}, Summary: about.summary, Description: about.description,
	}
	item := ref.Paths[op.Path]
	if item == nil {
		item = &pathItem{}
		ref.Paths[op.Path] = item
	}
	*item.of(rt.Method) = op
	if rt.Scope != httpd.Public {
		op.Parameters = headerParams(rt)
	}
	describe := byHand[rt.Operation]
	switch {
	case rt.Input != nil:
		describeTypes(ref, op, rt)
	case describe != nil:
		describe(ref, op)
	default:
		panic(fmt.Sprintf("what the operation %s takes and gives is not described", rt.Operation))
	}
	return op
}

// describeTypes describes an operation by the types of its input and output.
func describeTypes(ref *document, op *operation, rt httpd.Route) {
	for _, p := range contract.Params(rt.Input) {
		described := &param{Name: p.Name, In: p.In, Description: p.Doc, Required: p.Required, Schema: ref.schema(p.Type)}
		if p.In == "query" {
			described.Explode = ptr(p.Type.Kind == contract.List)
		}
		if p.Default != "" {
			described.Schema.Default = defaultOf(p)
		}
		op.Parameters = append(op.Parameters, described)
	}
	if body, required := contract.Body(rt.Input); body != nil {
		content := map[string]*mediaType{"application/json": {Schema: ref.schema(body)}}
		op.RequestBody = &requestBody{Required: required, Content: content}
	}
	success := &response{Description: http.StatusText(http.StatusOK), Content: map[string]*mediaType{}}
	op.Responses = map[string]*response{"200": success}
	for _, t := range mediaTypes[rt.Operation] {
		success.Content[t] = &mediaType{Schema: textSchema()}
	}
	if body, ok := bodyOf(rt.Output); ok {
		success.Content["application/json"] = &mediaType{Schema: ref.schemaOf(body)}
	}
	success.Headers = headerRefs(headersOf(rt.Output)...)
}

// defaultOf is the value of a parameter that is left out.
func defaultOf(p contract.Param) any {
	if n, err := strconv.Atoi(p.Default); err == nil && p.Type.Kind == contract.Integer {
		return n
	}
	return p.Default
}

// bodyOf is the type of the JSON body of an output, if it has one.
func bodyOf(output reflect.Type) (reflect.Type, bool) {
	if output.Kind() != reflect.Pointer {
		return nil, false
	}
	f, ok := output.Elem().FieldByName("Body")
	return f.Type, ok
}

// headersOf are the headers that an output sets: its other exported fields.
func headersOf(output reflect.Type) (names []string) {
	if output.Kind() != reflect.Pointer {
		return nil
	}
	for i := range output.Elem().NumField() {
		if f := output.Elem().Field(i); f.IsExported() && f.Name != "Body" {
			names = append(names, f.Name)
		}
	}
	return names
}

// documented is the path of a route as OpenAPI writes it.
func documented(rt httpd.Route) string { return strings.ReplaceAll(rt.Path, "...}", "}") }

// Names of the ways to show who one is.
const (
	bearerScheme   = "bearer"
	passwordScheme = "linkPassword"
	basicScheme    = "linkPasswordBasic"
)

// introduce says what the API is as a whole.
func introduce(ref *document) {
	ref.Info = info{
		Title: "Sluice", Version: sluice.APIVersion, Description: introduction,
		License: license{Name: "Apache 2.0", Identifier: "Apache-2.0"},
	}
	ref.Servers = []serverURL{{URL: "/", Description: "The server that this document comes from"}}
	ref.Tags = tags
	ref.Components.Schemas = map[string]*schema{}
	ref.Components.SecuritySchemes = map[string]securityScheme{
		bearerScheme: {Type: "http", Scheme: "bearer", BearerFormat: "sk_test_… or sk_live_…",
			Description: "An API key. It decides account and mode; objects of another account or of the other mode do not exist for it. An operation names the scope that the key must have."},
		passwordScheme: {Type: "apiKey", In: "header", Name: "X-Link-Password", Description: "The password of a link that has one"},
		basicScheme:    {Type: "http", Scheme: "basic", Description: "The password of a link that has one, with any user name"},
	}
	ref.Components.Headers = map[string]*param{}
	for _, h := range headers {
		ref.Components.Headers[h.name] = &param{
			Description: h.description, Required: h.always, Schema: &schema{Type: h.kind}, Example: h.example,
		}
	}
	ref.Components.Examples = map[string]*example{}
	ref.Components.Responses = map[string]*response{}
}

// secure says who may ask for a route.
func secure(op *operation, rt httpd.Route) {
	switch {
	case rt.Operation == "redeem", rt.Operation == "redeemNamed", rt.Operation == "answerLink", rt.Operation == "answerLinkNamed":
		op.Security = []map[string][]string{{}, {passwordScheme: {}}, {basicScheme: {}}}
	case rt.Scope == httpd.Public:
		op.Security = []map[string][]string{}
	case rt.Scope == httpd.AnyKey:
		op.Security = []map[string][]string{{bearerScheme: {}}}
	default:
		op.Security = []map[string][]string{{bearerScheme: {string(rt.Scope)}}}
	}
}

// exemplify gives the parameters and the body of an operation an example each.
func exemplify(op *operation, rt httpd.Route) {
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
		if p.Schema != nil && p.Schema.Type == typeArray {
			p.Schema.Nullable = false
		}
	}
	if op.RequestBody == nil {
		return
	}
	if body := op.RequestBody.Content["application/json"]; body != nil {
		body.Example = exampleBodies[rt.Operation]
	}
}

// answerWith completes the answers of an operation: headers, and the problems
// it may meet.
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
			Description: "The caller has the object as it is", Headers: headerRefs(append(answerHeaders(rt), "ETag")...),
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

// isOne reports whether a route is about one object.
func isOne(rt httpd.Route) bool { return strings.HasSuffix(rt.Path, "}") }

// changes reports whether a route changes something.
func changes(rt httpd.Route) bool { return rt.Method != http.MethodGet }

// brings reports whether requests to a route have a body.
func brings(rt httpd.Route) bool { return changes(rt) && rt.Method != http.MethodDelete }

func success(rt httpd.Route) string {
	switch {
	case rt.Method == http.MethodDelete:
		return "It was ended"
	case rt.Operation == "createLinks":
		return "The links"
	case changes(rt):
		return "The object as it is now"
	case strings.HasPrefix(rt.Operation, "list"):
		return "One page"
	}
	return "The object"
}

// answerHeaders are the headers of every answer to a route.
func answerHeaders(rt httpd.Route) []string {
	names := []string{"X-Request-Id"}
	if rt.Scope != httpd.Public {
		names = append(names, "Sluice-Version", "RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
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

// codesOf are the codes with which a route may refuse.
func codesOf(rt httpd.Route) []sluice.Code {
	codes := slices.Concat([]sluice.Code{sluice.CodeInternal}, ownRefusals[rt.Operation])
	if rt.Scope == httpd.Public {
		return codes
	}
	codes = append(codes, sluice.CodeValidation, sluice.CodeUnauthenticated, sluice.CodeRateLimited, sluice.CodeUnavailable)
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

// problemResponse is the answer with a status that stands for some codes. Where
// a key is asked for, routes that refuse alike share it.
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
			refusal.Content["text/html"] = &mediaType{Schema: &schema{Type: typeString, Description: "A small page, for whoever asks for text/html"}}
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

// asked gives the schemas that requests are held to, which name everything
// that a body may have.
func asked(ref *document) map[string]bool {
	found := map[string]bool{}
	var visit func(s *schema)
	visit = func(s *schema) {
		if s == nil {
			return
		}
		if name, ok := strings.CutPrefix(s.Ref, schemaPrefix); ok && !found[name] {
			found[name] = true
			visit(ref.Components.Schemas[name])
		}
		visit(s.Items)
		for _, member := range s.Properties {
			visit(member)
		}
	}
	for _, item := range ref.Paths {
		for _, op := range []*operation{item.Post, item.Put, item.Patch} {
			if op != nil && op.RequestBody != nil {
				for _, body := range op.RequestBody.Content {
					visit(body.Schema)
				}
			}
		}
	}
	return found
}

// describeSchemas says what validation checks beyond types. What is only
// answered may have more members one day.
func describeSchemas(schemas map[string]*schema, asked map[string]bool) {
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
			if limit := cmp.Or(limits[base+"."+member], limits[name+"."+member]); limit != nil {
				m.holdTo(limit)
			}
		}
	}
}
