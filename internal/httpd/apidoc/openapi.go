package apidoc

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/httpd/contract"
	"sluice/internal/server"
)

// OpenAPI returns the OpenAPI document of the native API, the content of api/openapi.json.
func OpenAPI() []byte {
	doc := newDocument()
	data, err := json.Marshal(doc)
	if err != nil {
		panic(err) // the data is constant
	}
	data = formFirst(data, doc.Paths["/v1/files"].Post.RequestBody.Content)
	var b bytes.Buffer
	_ = json.Indent(&b, data, "", "  ")
	b.WriteByte('\n')
	return b.Bytes()
}

// formFirst moves the form of an upload before the raw body, because client generators
// use the first body.
func formFirst(data []byte, bodies map[string]*mediaType) []byte {
	const form, raw = "multipart/form-data", "*/*"
	member := func(name string) string {
		body, err := json.Marshal(bodies[name])
		if err != nil {
			panic(err) // the data is constant
		}
		return `"` + name + `":` + string(body)
	}
	before, after := member(raw)+","+member(form), member(form)+","+member(raw)
	if len(bodies) != 2 || bytes.Count(data, []byte(before)) != 1 {
		panic("the bodies of an upload must be a form and raw bytes")
	}
	return bytes.Replace(data, []byte(before), []byte(after), 1)
}

// newDocument returns the document for the table of routes.
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

// newOperation describes the input and output of a route.
func newOperation(ref *document, rt httpd.Route) *operation {
	about, known := descriptions[rt.Operation]
	if !known {
		panic(fmt.Sprintf("the operation %s has no description", rt.Operation))
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
		panic(fmt.Sprintf("the operation %s has neither wire types nor a description by hand", rt.Operation))
	}
	return op
}

// describeTypes describes an operation by the types of its input and output.
func describeTypes(ref *document, op *operation, rt httpd.Route) {
	for _, p := range contract.Params(rt.Input) {
		described := &param{
			Name:        p.Name,
			In:          p.In,
			Description: p.Doc,
			Required:    p.Required,
			Schema:      ref.schema(p.Type),
		}
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
	success.Headers = headerRefs(append(headersOf(rt.Output), ownHeaders[rt.Operation]...)...)
}

// defaultOf returns the default value of a parameter.
func defaultOf(p contract.Param) any {
	if n, err := strconv.Atoi(p.Default); err == nil && p.Type.Kind == contract.Integer {
		return n
	}
	return p.Default
}

// bodyOf returns the type of the JSON body of an output, if it has one.
func bodyOf(output reflect.Type) (reflect.Type, bool) {
	if output.Kind() != reflect.Pointer {
		return nil, false
	}
	f, ok := output.Elem().FieldByName("Body")
	return f.Type, ok
}

// headersOf returns the headers of an output: its other exported fields.
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

// documented returns the path of a route in OpenAPI's form.
func documented(rt httpd.Route) string { return strings.ReplaceAll(rt.Path, "...}", "}") }

// The names of the security schemes.
const (
	bearerScheme   = "bearer"
	passwordScheme = "linkPassword"
	basicScheme    = "linkPasswordBasic"
)

// introduce fills in the parts of the document that describe the API as a whole.
func introduce(ref *document) {
	ref.Info = info{
		Title: "Sluice", Version: sluice.APIVersion, Description: introduction,
		License: license{Name: "Apache 2.0", Identifier: "Apache-2.0"},
	}
	ref.Servers = []serverURL{{URL: "/", Description: "The server of this document"}}
	ref.Tags = tags
	ref.Components.Schemas = map[string]*schema{}
	ref.Components.SecuritySchemes = map[string]securityScheme{
		bearerScheme: {Type: "http", Scheme: "bearer", BearerFormat: "sk_test_… or sk_live_…",
			Description: "An API key. It determines account and mode, and sees only their objects. Each operation " +
				"names the scope that the key must have."},
		passwordScheme: {Type: "apiKey", In: "header", Name: "X-Link-Password", Description: "The password of a link"},
		basicScheme:    {Type: "http", Scheme: "basic", Description: "The password of a link, with any user name"},
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

// secure sets the security of an operation.
func secure(op *operation, rt httpd.Route) {
	switch {
	case rt.Operation == "redeem",
		rt.Operation == "redeemNamed",
		rt.Operation == "answerLink",
		rt.Operation == "answerLinkNamed":
		op.Security = []map[string][]string{{}, {passwordScheme: {}}, {basicScheme: {}}}
	case rt.Scope == httpd.Public:
		op.Security = []map[string][]string{}
	case rt.Scope == httpd.AnyKey:
		op.Security = []map[string][]string{{bearerScheme: {}}}
	default:
		op.Security = []map[string][]string{{bearerScheme: {string(rt.Scope)}}}
	}
}

// exemplify adds examples to the parameters and the body of an operation.
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

// asked returns the names of the schemas of request bodies. They do not allow other
// members.
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

// describeSchemas adds descriptions, examples and limits to the schemas. Schemas that
// are only used in responses allow more members, for later versions.
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
