package apidoc

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"sluice"
	"sluice/api"
)

// byHand describes what the parameters, bodies and answers of plain handlers
// are, by operation.
var byHand = map[string]func(*document, *operation){
	"createFile":      describeUpload,
	"putFile":         describeUpload,
	"redeem":          describeDownload,
	"redeemNamed":     describeDownload,
	"answerLink":      describeAnswer,
	"answerLinkNamed": describeAnswer,
	"health":          answers("application/json", statusSchema, "It answers"),
	"ready":           answers("application/json", statusSchema, "Changes can be committed, and bytes stored"),
	"getMetrics":      answers("text/plain", &schema{Type: typeString}, "Metrics"),
	"getTile":         describeTile,
	"getDocument":     answers("application/json", &schema{Type: typeObject, Description: "An OpenAPI 3.1 document"}, "The document"),

	"showReference": answers("text/html", &schema{Type: typeString}, "The page"),
	"explainError": func(ref *document, op *operation) {
		answers("text/html", &schema{Type: typeString}, "The page")(ref, op)
		code := &schema{Type: typeString, Enum: codes.Enum}
		op.Parameters = []*param{{Name: "code", In: "path", Required: true, Description: "The code of a problem", Schema: code}}
	},
}

// describeTile describes a tile, whose path has as many steps as its place needs.
func describeTile(ref *document, op *operation) {
	answers("application/octet-stream", bytesOf("Hashes of 32 bytes each, or entries behind their length in two bytes"), "The tile")(ref, op)
	op.Parameters = append([]*param{{
		Name: "tile", In: "path", Required: true, Schema: textSchema(), Example: exampleTile,
		Description: "Level and place, as C2SP tlog-tiles writes them: 0/000, 0/x001/234, entries/000.p/7",
	}}, op.Parameters...)
}

var statusSchema = &schema{
	Type: typeObject, Required: []string{"status"},
	Properties: map[string]*schema{"status": {Type: typeString, Enum: []any{"ok"}, Description: "Always ok"}},
}

// answers describes an operation that takes nothing and gives one thing.
func answers(media string, content *schema, description string) func(*document, *operation) {
	return func(_ *document, op *operation) {
		op.Responses = map[string]*response{"200": {
			Description: description, Content: map[string]*mediaType{media: {Schema: content}},
		}}
	}
}

// A file as it goes over the wire, whatever its type.
func bytesOf(description string) *schema {
	return &schema{Type: typeString, Format: "binary", ContentMediaType: "application/octet-stream", Description: description}
}

// describeUpload describes the two forms of an upload: a form, and a raw body
// with the fields of a form in the query.
func describeUpload(ref *document, op *operation) {
	raw := &mediaType{Schema: bytesOf("The file; its media type is the Content-Type"), Example: exampleContent}
	op.RequestBody = &requestBody{Required: true, Content: map[string]*mediaType{"*/*": raw}}
	if op.Method == http.MethodPost {
		ref.Components.Schemas["Upload"] = uploadSchema(ref)
		op.RequestBody.Content["multipart/form-data"] = &mediaType{
			Schema: &schema{Ref: schemaPrefix + "Upload"}, Example: uploadExample(),
		}
	}
	op.Parameters = append(op.Parameters, uploadParams(op.Method == http.MethodPut)...)
	op.Responses = map[string]*response{"201": {
		Description: "The file, and the link that was asked for with it",
		Headers:     headerRefs("ETag", "Location"),
		Content: map[string]*mediaType{
			"application/json": {Schema: ref.schemaOf(reflect.TypeFor[api.CreatedFile]())},
		},
	}}
}

// uploadField is one field of an upload, in a form or in a query.
type uploadField struct {
	name, description string
	schema            func() *schema
	json              bool // whether it comes as JSON
	example           any
}

func textSchema() *schema { return &schema{Type: typeString} }

func integerSchema() *schema { return &schema{Type: typeInteger, Format: "int64"} }

func textsSchema() *schema {
	return &schema{Type: typeObject, AdditionalProperties: textSchema()}
}

func resourcesSchema() *schema {
	return &schema{Type: typeArray, Items: &schema{Ref: schemaPrefix + "Resource"}}
}

func dispositionSchema() *schema {
	return &schema{Type: typeString, Enum: []any{"attachment", "inline"}}
}

// givenLifetime is a lifetime where there is no null.
func givenLifetime() *schema {
	s := lifetime()
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

func uploadSchema(ref *document) *schema {
	ref.schemaOf(reflect.TypeFor[api.Resource]())
	s := &schema{
		Type: typeObject, Required: []string{"file", "purpose"}, AdditionalProperties: false,
		Properties: map[string]*schema{"file": bytesOf("The file: its media type is that of the part, and its name unless filename says another")},
		PatternProperties: map[string]*schema{
			`^(link\[metadata\]|metadata)\[[A-Za-z0-9_.-]{1,40}\]$`: {Type: typeString, MaxLength: ptr(sluice.MaxMetadataValueLen)},
		},
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
func uploadParams(alone bool) (params []*param) {
	for _, f := range uploadFields {
		p := &param{Name: f.name, In: "query", Description: f.description, Required: alone && f.name == "purpose", Example: f.example}
		s := f.schema()
		if limit := limits["Upload."+f.name]; limit != nil {
			s.holdTo(limit)
		}
		if f.json {
			p.Content = map[string]*mediaType{"application/json": {Schema: s, Example: f.example}}
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
func describeAnswer(ref *document, op *operation) {
	describeDownload(ref, op)
	op.Parameters = slices.DeleteFunc(op.Parameters, func(p *param) bool { return p.In == "header" })
	delete(op.Responses, "206")
	delete(op.Responses, "304")
	password := textSchema()
	password.Description = "The password, when the link has one"
	op.RequestBody = &requestBody{Content: map[string]*mediaType{"application/x-www-form-urlencoded": {
		Schema:  &schema{Type: typeObject, Properties: map[string]*schema{"password": password}},
		Example: map[string]any{"password": "correct horse"},
	}}}
}

// describeDownload describes what the URL of a link answers.
func describeDownload(_ *document, op *operation) {
	param := func(in, name, description string) {
		op.Parameters = append(op.Parameters, &param{Name: name, In: in, Required: in == "path", Description: description, Schema: textSchema()})
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
	op.Responses = map[string]*response{
		"200": {Description: "The file", Headers: about, Content: map[string]*mediaType{"*/*": {Schema: bytesOf("")}}},
		"206": {Description: "The ranges that were asked for", Headers: partly, Content: map[string]*mediaType{
			"*/*": {Schema: bytesOf("")}, "multipart/byteranges": {Schema: bytesOf("")},
		}},
		"304": {Description: "The caller has the file as it is", Headers: headerRefs("Content-Disposition", "ETag", "Repr-Digest")},
	}
}
