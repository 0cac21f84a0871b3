package httpd

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/api"
)

// plainOperation describes the operation of a handler that reads and writes
// bytes itself.
func plainOperation(ref *huma.OpenAPI, rt route) *huma.Operation {
	about := docs[rt.operation]
	op := &huma.Operation{
		OperationID: rt.operation, Method: rt.method, Path: rt.documented(),
		Tags: []string{about.tag}, Summary: about.summary, Description: about.description,
	}
	if rt.scope != public {
		op.Parameters = headerParams(rt)
	}
	describe, known := byHand[rt.operation]
	if !known {
		panic(fmt.Sprintf("the operation %s is not described", rt.operation))
	}
	describe(ref, op)
	return op
}

// byHand describes what the parameters, bodies and answers of plain handlers
// are, by operation.
var byHand = map[string]func(*huma.OpenAPI, *huma.Operation){
	"createFile":      describeUpload,
	"putFile":         describeUpload,
	"redeem":          describeDownload,
	"redeemNamed":     describeDownload,
	"answerLink":      describeAnswer,
	"answerLinkNamed": describeAnswer,
	"health":          answers("application/json", statusSchema, "It answers"),
	"ready":           answers("application/json", statusSchema, "Changes can be committed, and bytes stored"),
	"getMetrics":      answers("text/plain", &huma.Schema{Type: huma.TypeString}, "Metrics"),
	"getTile":         describeTile,
	"getDocument":     answers("application/json", &huma.Schema{Type: huma.TypeObject, Description: "An OpenAPI 3.1 document"}, "The document"),

	"showReference": answers("text/html", &huma.Schema{Type: huma.TypeString}, "The page"),
	"explainError": func(ref *huma.OpenAPI, op *huma.Operation) {
		answers("text/html", &huma.Schema{Type: huma.TypeString}, "The page")(ref, op)
		code := &huma.Schema{Type: huma.TypeString}
		codeLimits(code)
		op.Parameters = []*huma.Param{{Name: "code", In: "path", Required: true, Description: "The code of a problem", Schema: code}}
	},
}

// describeTile describes a tile, whose path has as many steps as its place needs.
func describeTile(ref *huma.OpenAPI, op *huma.Operation) {
	answers("application/octet-stream", bytesOf("Hashes of 32 bytes each, or entries behind their length in two bytes"), "The tile")(ref, op)
	op.Parameters = append([]*huma.Param{{
		Name: "tile", In: "path", Required: true, Schema: textSchema(), Example: exampleTile,
		Description: "Level and place, as C2SP tlog-tiles writes them: 0/000, 0/x001/234, entries/000.p/7",
	}}, op.Parameters...)
}

var statusSchema = &huma.Schema{
	Type: huma.TypeObject, Required: []string{"status"},
	Properties: map[string]*huma.Schema{"status": {Type: huma.TypeString, Enum: []any{"ok"}, Description: "Always ok"}},
}

// answers describes an operation that takes nothing and gives one thing.
func answers(mediaType string, schema *huma.Schema, description string) func(*huma.OpenAPI, *huma.Operation) {
	return func(_ *huma.OpenAPI, op *huma.Operation) {
		op.Responses = map[string]*huma.Response{"200": {
			Description: description, Content: map[string]*huma.MediaType{mediaType: {Schema: schema}},
		}}
	}
}

// A file as it goes over the wire, whatever its type.
func bytesOf(description string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "binary", Description: description}
}

// describeUpload describes the two forms of an upload: a form, and a raw body
// with the fields of a form in the query.
func describeUpload(ref *huma.OpenAPI, op *huma.Operation) {
	raw := &huma.MediaType{Schema: bytesOf("The file; its media type is the Content-Type"), Example: exampleContent}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"*/*": raw}}
	if op.Method == http.MethodPost {
		ref.Components.Schemas.Map()["Upload"] = uploadSchema(ref)
		op.RequestBody.Content["multipart/form-data"] = &huma.MediaType{
			Schema: &huma.Schema{Ref: schemaPrefix + "Upload"}, Example: uploadExample(),
		}
	}
	op.Parameters = append(op.Parameters, uploadParams(op.Method == http.MethodPut)...)
	op.Responses = map[string]*huma.Response{"201": {
		Description: "The file, and the link that was asked for with it",
		Headers:     headerRefs("ETag", "Location"),
		Content: map[string]*huma.MediaType{
			"application/json": {Schema: ref.Components.Schemas.Schema(reflect.TypeFor[api.CreatedFile](), true, "")},
		},
	}}
}

// uploadField is one field of an upload, in a form or in a query.
type uploadField struct {
	name, description string
	schema            func() *huma.Schema
	json              bool // whether it comes as JSON
	example           any
}

func textSchema() *huma.Schema { return &huma.Schema{Type: huma.TypeString} }

func integerSchema() *huma.Schema { return &huma.Schema{Type: huma.TypeInteger, Format: "int64"} }

func textsSchema() *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: textSchema()}
}

func resourcesSchema() *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Ref: schemaPrefix + "Resource"}}
}

func dispositionSchema() *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Enum: []any{"attachment", "inline"}}
}

// givenLifetime is a lifetime where there is no null.
func givenLifetime() *huma.Schema {
	s := lifetimeSchema{}.Schema(nil)
	s.OneOf[0].Nullable = false
	return s
}

var uploadFields = []uploadField{
	{"purpose", "What the file is for; GET /v1/purposes lists them", textSchema, false, "report"},
	{"filename", "Its name; that of the part when left out", textSchema, false, exampleFilename},
	{"title", "What people call it", textSchema, false, "Third quarter"},
	{"metadata", "Your own notes, as a JSON object; or one field for each key: metadata[key]", textsSchema, true, exampleMetadata},
	{"linked_resources", "What the file belongs to in your own system, as a JSON list", resourcesSchema, true, []api.Resource{exampleResource}},
	{"link[expires_in_seconds]", "Mint a link too: its lifetime, or none for a link without end. Any link[…] asks for one", givenLifetime, false, 900},
	{"link[expires_at]", "When the link ends, in unix seconds; instead of a lifetime", integerSchema, false, 1772604367},
	{"link[reason]", "Why the file leaves", textSchema, false, "quarterly report for the bank"},
	{"link[metadata]", "Your own notes on the link, as a JSON object; or one field for each key: link[metadata][key]", textsSchema, true, exampleMetadata},
	{"link[max_downloads]", "How often the file may be downloaded", integerSchema, false, 3},
	{"link[password]", "What a bearer must send too", textSchema, false, "correct horse"},
	{"link[allowed_ips]", "Networks (CIDR) or addresses the link may be used from, separated by commas", textSchema, false, "192.0.2.0/24,2001:db8::/32"},
	{"link[disposition]", "Whether a browser saves the file or shows it; inline is refused for types that are never shown, such as application/pdf", dispositionSchema, false, "attachment"},
	{"link[filename]", "What the download is called", textSchema, false, "report.txt"},
}

func uploadSchema(ref *huma.OpenAPI) *huma.Schema {
	ref.Components.Schemas.Schema(reflect.TypeFor[api.Resource](), true, "")
	s := &huma.Schema{
		Type: huma.TypeObject, Required: []string{"file", "purpose"}, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{"file": bytesOf("The file: its media type is that of the part, and its name unless filename says another")},
		Extensions: map[string]any{"patternProperties": map[string]any{
			`^(link\[metadata\]|metadata)\[[A-Za-z0-9_.-]{1,40}\]$`: map[string]any{"type": "string", "maxLength": 500},
		}},
	}
	for _, f := range uploadFields {
		member := f.schema()
		member.Description = f.description
		s.Properties[f.name] = member
	}
	return s
}

func uploadExample() map[string]any {
	example := map[string]any{"file": exampleContent}
	for _, f := range uploadFields {
		if f.name != "link[expires_at]" { // there is a lifetime
			example[f.name] = f.example
		}
	}
	return example
}

// uploadParams are the fields of an upload whose body is the file.
func uploadParams(alone bool) (params []*huma.Param) {
	for _, f := range uploadFields {
		p := &huma.Param{Name: f.name, In: "query", Description: f.description, Required: alone && f.name == "purpose", Example: f.example}
		s := f.schema()
		if limit := limits["Upload."+f.name]; limit != nil {
			limit(s)
		}
		if f.json {
			p.Extensions = map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": s, "example": f.example}}}
			p.Example = nil
		} else {
			p.Schema = s
		}
		if !alone {
			p.Description += ". Where the body is the file"
		}
		if f.name == "filename" {
			p.Description = strings.Replace(p.Description, "; that of the part when left out", "", 1)
		}
		params = append(params, p)
	}
	return params
}

// describeAnswer describes what the form of a page that asks sends.
func describeAnswer(ref *huma.OpenAPI, op *huma.Operation) {
	describeDownload(ref, op)
	op.Parameters = slices.DeleteFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "header" })
	delete(op.Responses, "206")
	delete(op.Responses, "304")
	password := textSchema()
	password.Description = "The password, when the link has one"
	op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{"application/x-www-form-urlencoded": {
		Schema:  &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"password": password}},
		Example: map[string]any{"password": "correct horse"},
	}}}
}

// describeDownload describes what the URL of a link answers.
func describeDownload(_ *huma.OpenAPI, op *huma.Operation) {
	param := func(in, name, description string) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: in, Required: in == "path", Description: description, Schema: textSchema()})
	}
	param("path", "token", "What the URL of a link holds")
	if strings.HasSuffix(op.Path, "{tail}") {
		param("path", "tail", "Anything, slashes too")
	}
	param("header", "Range", "Up to 8 ranges of bytes (RFC 9110 section 14)")
	param("header", "If-Range", "The ETag that the ranges are of")
	param("header", "If-Match", "Entity tags: answer 412 unless the file has one of them")
	param("header", "If-None-Match", "Entity tags: answer 304 when the file has one of them")
	param("header", "If-Modified-Since", "A moment: answer 304 when the file is older")

	about := headerRefs("Accept-Ranges", "Content-Disposition", "ETag", "Repr-Digest", "Last-Modified")
	partly := maps.Clone(about)
	partly["Content-Range"] = headerRefs("Content-Range")["Content-Range"]
	op.Responses = map[string]*huma.Response{
		"200": {Description: "The file", Headers: about, Content: map[string]*huma.MediaType{"*/*": {Schema: bytesOf("")}}},
		"206": {Description: "The ranges that were asked for", Headers: partly, Content: map[string]*huma.MediaType{
			"*/*": {Schema: bytesOf("")}, "multipart/byteranges": {Schema: bytesOf("")},
		}},
		"304": {Description: "The caller has the file as it is", Headers: headerRefs("Content-Disposition", "ETag", "Repr-Digest")},
	}
}

// codes are the codes of problems, in order.
func codes() []string {
	var names []string
	for code := range problems {
		names = append(names, string(code))
	}
	slices.Sort(names)
	return names
}
