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

// byHand describes the parameters, bodies and responses of operations without wire
// types.
var byHand = map[string]func(*document, *operation){
	"createFile":      describeUpload,
	"putFile":         describeUpload,
	"redeem":          describeDownload,
	"redeemNamed":     describeDownload,
	"answerLink":      describeAnswer,
	"answerLinkNamed": describeAnswer,
	"health":          answers("application/json", statusSchema, "The process responds"),
	"ready":           answers("application/json", statusSchema, "Changes can be committed and bytes can be stored"),
	"getMetrics":      answers("text/plain", &schema{Type: typeString}, "Metrics"),
	"getTile":         describeTile,
	"getDocument": answers(
		"application/json",
		&schema{Type: typeObject, Description: "An OpenAPI 3.1 document"},
		"The document",
	),

	"showReference": answers("text/html", &schema{Type: typeString}, "The page"),
	"showPage": func(ref *document, op *operation) {
		answers("text/html", &schema{Type: typeString}, "The page")(ref, op)
		op.Parameters = []*param{{
			Name: "page", In: "path", Required: true, Description: "Name of the page", Schema: textSchema(),
		}}
	},
	"explainError": func(ref *document, op *operation) {
		answers("text/html", &schema{Type: typeString}, "The page")(ref, op)
		code := &schema{Type: typeString, Enum: codes.Enum}
		op.Parameters = []*param{
			{Name: "code", In: "path", Required: true, Description: "A problem code", Schema: code},
		}
	},
}

// describeTile describes a tile. The number of segments of its path varies.
func describeTile(ref *document, op *operation) {
	answers("application/octet-stream", bytesOf("Hashes of 32 bytes each, or entries, each preceded by its length "+
		"in two bytes"), "The tile")(ref, op)
	op.Parameters = append([]*param{{
		Name: "tile", In: "path", Required: true, Schema: textSchema(), Example: exampleTile,
		Description: "Level and index as in C2SP tlog-tiles: 0/000, 0/x001/234, entries/000.p/7",
	}}, op.Parameters...)
}

var statusSchema = &schema{
	Type: typeObject, Required: []string{"status"},
	Properties: map[string]*schema{"status": {Type: typeString, Enum: []any{"ok"}, Description: "Always ok"}},
}

// answers describes an operation without input and with one response.
func answers(media string, content *schema, description string) func(*document, *operation) {
	return func(_ *document, op *operation) {
		op.Responses = map[string]*response{"200": {
			Description: description, Content: map[string]*mediaType{media: {Schema: content}},
		}}
	}
}

// bytesOf returns the schema of the bytes of a file of any type.
func bytesOf(description string) *schema {
	return &schema{
		Type:             typeString,
		Format:           "binary",
		ContentMediaType: "application/octet-stream",
		Description:      description,
	}
}

// describeUpload describes the two kinds of uploads: a form, and a raw body with the
// fields in the query.
func describeUpload(ref *document, op *operation) {
	raw := &mediaType{Schema: bytesOf("The file. Its media type is the Content-Type"), Example: exampleContent}
	op.RequestBody = &requestBody{Required: true, Content: map[string]*mediaType{"*/*": raw}}
	if op.Method == http.MethodPost {
		ref.Components.Schemas["Upload"] = uploadSchema(ref)
		op.RequestBody.Content["multipart/form-data"] = &mediaType{
			Schema: &schema{Ref: schemaPrefix + "Upload"}, Example: uploadExample(),
		}
	}
	op.Parameters = append(op.Parameters, uploadParams(op.Method == http.MethodPut)...)
	op.Responses = map[string]*response{"201": {
		Description: "The file, and its link if one was requested",
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
	json              bool // whether its value is JSON
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

// givenLifetime is the schema of a lifetime that cannot be null.
func givenLifetime() *schema {
	s := lifetime()
	s.OneOf[0].Nullable = false
	return s
}

var uploadFields = []uploadField{
	{"purpose", "What the file is for; see GET /v1/purposes", textSchema, false, "report"},
	{"filename", "Name of the file; by default that of the part", textSchema, false, exampleFilename},
	{"title", "Title for people", textSchema, false, "Third quarter"},
	{
		"metadata", "Your metadata, as a JSON object or as one field per key: metadata[key]", textsSchema, true,
		exampleMetadata,
	},
	{
		"linked_resources", "Objects of your system that the file belongs to, as a JSON array", resourcesSchema, true,
		[]api.Resource{exampleResource},
	},
	{"link[expires_in_seconds]", "Lifetime of a link to create with the file, or none for no expiry. Any link[…] " +
		"field creates a link", givenLifetime, false, 900},
	{
		"link[expires_at]", "Expiry of the link, in Unix seconds, instead of a lifetime", integerSchema, false,
		1772604367,
	},
	{"link[reason]", "Why the file is shared", textSchema, false, "quarterly report for the bank"},
	{
		"link[metadata]", "Metadata of the link, as a JSON object or as one field per key: link[metadata][key]",
		textsSchema, true, exampleMetadata,
	},
	{"link[max_downloads]", "Maximum number of downloads", integerSchema, false, 3},
	{"link[password]", "Password that a download needs", textSchema, false, "correct horse"},
	{
		"link[allowed_ips]", "Addresses or networks (CIDR) that may use the link, separated by commas", textSchema,
		false, "192.0.2.0/24,2001:db8::/32",
	},
	{"link[disposition]", "Whether a browser saves or displays the file; inline is refused for types such as " +
		"text/html", dispositionSchema, false, "attachment"},
	{"link[filename]", "Name that the file is saved under", textSchema, false, "report.txt"},
	{"link[recipient][email]", "E-mail address of the person that the link is for", textSchema, false, "ann@bank.example"},
	{"link[recipient][name]", "Name of that person", textSchema, false, "Ann Miller"},
	{
		"link[allowed_recipients]", "Who else may open the link: e-mail addresses, or *@ and a domain, separated by commas",
		textSchema, false, "bob@bank.example,*@audit.example",
	},
	{"link[verification]", "How people prove their address: none or email", textSchema, false, "email"},
	{"link[send]", "Whether to mail the link to its recipient: true or false", textSchema, false, "true"},
	{"link[message]", "From the sender to the recipient", textSchema, false, "The report you asked for"},
	{"link[terms]", "Terms to be accepted before a download", textSchema, false, "For your own use only"},
	{"link[notify][email]", "Who is told by mail of the use of the link", textSchema, false, "carl@northwind.example"},
	{
		"link[notify][on]", "The occasions, separated by commas: first_download, every_download, refused, unopened",
		textSchema, false, "first_download,unopened",
	},
	{"link[page]", "When a browser gets a page before the bytes: auto, always or never", textSchema, false, "auto"},
	{"link[language]", "Language of the page and of mails", textSchema, false, "en"},
}

func uploadSchema(ref *document) *schema {
	ref.schemaOf(reflect.TypeFor[api.Resource]())
	s := &schema{
		Type: typeObject, Required: []string{"file", "purpose"}, AdditionalProperties: false,
		Properties: map[string]*schema{"file": bytesOf("The file. Its media type is that of the part, and so is " +
			"its name unless filename is given")},
		PatternProperties: map[string]*schema{
			`^(link\[metadata\]|metadata)\[[A-Za-z0-9_.-]{1,40}\]$`: {
				Type:      typeString,
				MaxLength: ptr(sluice.MaxMetadataValueLen),
			},
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
		if f.name != "link[expires_at]" { // excluded by the lifetime
			example[f.name] = f.example
		}
	}
	return example
}

// ifRaw is the end of the descriptions of parameters that only an upload without a form reads.
const ifRaw = ". If the body is the file"

// uploadParams returns the query parameters of an upload whose body is the file.
func uploadParams(alone bool) (params []*param) {
	for _, f := range uploadFields {
		p := &param{
			Name:        f.name,
			In:          "query",
			Description: f.description,
			Required:    alone && f.name == "purpose",
			Example:     f.example,
		}
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
			p.Description += ifRaw
		}
		if f.name == "filename" {
			p.Description = strings.Replace(p.Description, "; by default that of the part", "", 1)
		}
		params = append(params, p)
	}
	return params
}

// describeAnswer describes the request of the form on a link's page.
func describeAnswer(ref *document, op *operation) {
	describeDownload(ref, op)
	op.Parameters = slices.DeleteFunc(op.Parameters, func(p *param) bool { return p.In == "header" })
	delete(op.Responses, "206")
	delete(op.Responses, "304")
	password := textSchema()
	password.Description = "The password, if the link has one"
	op.RequestBody = &requestBody{Content: map[string]*mediaType{"application/x-www-form-urlencoded": {
		Schema:  &schema{Type: typeObject, Properties: map[string]*schema{"password": password}},
		Example: map[string]any{"password": "correct horse"},
	}}}
}

// describeDownload describes the responses of a link's URL.
func describeDownload(_ *document, op *operation) {
	param := func(in, name, description string) {
		op.Parameters = append(
			op.Parameters,
			&param{Name: name, In: in, Required: in == "path", Description: description, Schema: textSchema()},
		)
	}
	param("path", "token", "The token in the URL of a link")
	if strings.HasSuffix(op.Path, "{tail}") {
		param("path", "tail", "Any text, including slashes")
	}
	param("header", "Range", "Up to 8 byte ranges (RFC 9110 section 14)")
	param("header", "If-Range", "ETag of the file that the ranges refer to")
	param("header", "If-Match", "Entity tags: 412 unless the file has one of them")
	param("header", "If-None-Match", "Entity tags: 304 if the file has one of them")
	param("header", "If-Modified-Since", "A date: 304 if the file was not stored later")

	about := headerRefs("Accept-Ranges", "Content-Disposition", "ETag", "Repr-Digest", "Last-Modified")
	partly := maps.Clone(about)
	partly["Content-Range"] = headerRefs("Content-Range")["Content-Range"]
	op.Responses = map[string]*response{
		"200": {Description: "The file", Headers: about, Content: map[string]*mediaType{"*/*": {Schema: bytesOf("")}}},
		"206": {Description: "The requested ranges", Headers: partly, Content: map[string]*mediaType{
			"*/*": {Schema: bytesOf("")}, "multipart/byteranges": {Schema: bytesOf("")},
		}},
		"304": {
			Description: "The file has not changed",
			Headers:     headerRefs("Content-Disposition", "ETag", "Repr-Digest"),
		},
	}
}
