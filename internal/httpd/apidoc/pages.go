package apidoc

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
)

// The pages are rendered from the document. They need no scripts and no other hosts.

//go:embed templates
var templateFiles embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"style": httpd.PageStyle,
	"json":  indented,
	"prose": prose,
}).ParseFS(templateFiles, "templates/*.html"))

// Pages returns the pages of the documentation, by their paths below internal/httpd/docs/generated.
func Pages() map[string][]byte {
	pages := map[string][]byte{"reference.html": referencePage(newDocument())}
	for code, about := range explanations {
		pages["errors/"+string(code)+".html"] = rendered("error.html", map[string]any{
			"Code": code, "Title": titleOf(code), "Status": statusOf(code),
			"StatusText": http.StatusText(statusOf(code)),
			"Meaning":    about.meaning, "When": about.when, "Remedy": about.remedy, "Example": exampleProblem(code),
		})
	}
	return pages
}

func statusOf(code sluice.Code) int {
	status, _ := httpd.ProblemOf(code)
	return status
}

func titleOf(code sluice.Code) string {
	_, title := httpd.ProblemOf(code)
	return title
}

func rendered(name string, data any) []byte {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		panic(err) // it depends on no input
	}
	return b.Bytes()
}

// prose converts text to HTML, with text between backticks as code.
func prose(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = template.HTMLEscapeString(part)
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String())
}

func indented(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return strings.TrimSpace(b.String()), err
}

func referencePage(ref *document) []byte {
	data := map[string]any{
		"Title": ref.Info.Title, "Version": ref.Info.Version,
		"Introduction": strings.Split(ref.Info.Description, "\n\n"),
		"Groups":       docGroups(ref), "Schemas": docSchemas(ref), "Problems": docProblems(),
		"Schemes": ref.Components.SecuritySchemes, "ProblemType": docType{Ref: "Problem"},
	}
	return rendered("reference.html", data)
}

// docGroup is a tag with its operations.
type docGroup struct {
	Name, Description string
	Operations        []docOperation
}

type docOperation struct {
	*operation
	Scope   string // required scope of the key
	Keyed   bool
	Params  []docParam
	Bodies  []docBody
	Answers []docAnswer
	Refused []docProblem
	Curl    string
}

type docParam struct {
	docMember
	In string
}

// docMember is a row of a table: a parameter, or a member of an object.
type docMember struct {
	Name, Description, Limits string
	Type                      docType
	Required                  bool // in a request
	Optional                  bool // in a response
}

// docType is a type in words, followed by the name of a schema.
type docType struct{ Text, Ref string }

type docBody struct {
	MediaType string
	Type      docType
	Members   []docMember // of the request
	Example   string
}

type docAnswer struct {
	Status, Description string
	Bodies              []docBody
	Headers             []string
}

type docProblem struct {
	Code, Title, Meaning string
	Status               int
}

type docSchema struct {
	Name, Description string
	Members           []docMember
	Example           any
}

// docGroups returns the operations in the order of the tags and, within a tag, of the
// table of routes.
func docGroups(ref *document) []docGroup {
	var groups []docGroup
	for _, t := range ref.Tags {
		g := docGroup{Name: t.Name, Description: t.Description}
		for _, rt := range httpd.Routes() {
			if descriptions[rt.Operation].tag == t.Name {
				g.Operations = append(g.Operations, describedOperation(ref, rt))
			}
		}
		groups = append(groups, g)
	}
	return groups
}

func describedOperation(ref *document, rt httpd.Route) docOperation {
	op := *ref.Paths[documented(rt)].of(rt.Method)
	d := docOperation{operation: op, Keyed: rt.Scope != httpd.Public, Curl: curl(op, rt)}
	if d.Keyed && rt.Scope != httpd.AnyKey {
		d.Scope = string(rt.Scope)
	}
	for _, p := range op.Parameters {
		d.Params = append(d.Params, docParam{In: p.In, docMember: docMember{
			Name: p.Name, Description: p.Description, Required: p.Required, Type: typeOf(paramSchema(p)),
		}})
		if p.In != "header" {
			d.Params[len(d.Params)-1].Limits = limitsOf(paramSchema(p))
		}
	}
	if op.RequestBody != nil {
		d.Bodies = bodiesOf(ref, op.RequestBody.Content)
		for i, b := range d.Bodies {
			if s := ref.Components.Schemas[b.Type.Ref]; s != nil {
				d.Bodies[i].Members = membersOf(s, true)
			}
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		answer := op.Responses[status]
		if n, _ := strconv.Atoi(status); n >= 400 {
			continue
		}
		d.Answers = append(d.Answers, docAnswer{
			Status: status, Description: answer.Description,
			Bodies: bodiesOf(ref, answer.Content), Headers: slices.Sorted(maps.Keys(answer.Headers)),
		})
	}
	for _, code := range codesOf(rt) {
		d.Refused = append(d.Refused, problemOf(code))
	}
	slices.SortStableFunc(d.Refused, func(a, b docProblem) int { return a.Status - b.Status })
	return d
}

// paramSchema returns the schema of a parameter in text or JSON.
func paramSchema(p *param) *schema {
	if p.Schema != nil {
		return p.Schema
	}
	return p.Content["application/json"].Schema
}

func bodiesOf(ref *document, content map[string]*mediaType) (bodies []docBody) {
	for _, mediaType := range slices.Sorted(maps.Keys(content)) {
		m := content[mediaType]
		b := docBody{MediaType: mediaType, Type: typeOf(m.Schema)}
		example := m.Example
		if s := ref.Components.Schemas[b.Type.Ref]; example == nil && s != nil && len(s.Examples) > 0 {
			example = s.Examples[0]
		}
		if example != nil && mediaType == "application/json" {
			b.Example, _ = indented(example)
		}
		bodies = append(bodies, b)
	}
	return bodies
}

func docSchemas(ref *document) (list []docSchema) {
	schemas, asked := ref.Components.Schemas, asked(ref)
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		s := schemas[name]
		d := docSchema{Name: name, Description: s.Description, Members: membersOf(s, asked[name])}
		if len(s.Examples) > 0 {
			d.Example = s.Examples[0]
		}
		list = append(list, d)
	}
	return list
}

// membersOf returns the members of an object, required ones first.
func membersOf(s *schema, asked bool) (members []docMember) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		m, required := s.Properties[name], slices.Contains(s.Required, name)
		members = append(members, docMember{
			Name: name, Description: m.Description, Type: typeOf(m), Limits: limitsOf(m),
			Required: required && asked, Optional: !required && !asked,
		})
	}
	slices.SortStableFunc(members, func(a, b docMember) int {
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		}
		return 1
	})
	return members
}

func docProblems() (list []docProblem) {
	for _, code := range httpd.Codes() {
		list = append(list, problemOf(sluice.Code(code)))
	}
	slices.SortStableFunc(list, func(a, b docProblem) int { return a.Status - b.Status })
	return list
}

func problemOf(code sluice.Code) docProblem {
	return docProblem{
		Code:    string(code),
		Title:   titleOf(code),
		Meaning: explanations[code].meaning,
		Status:  statusOf(code),
	}
}

// typeOf returns the type of a schema in words.
func typeOf(s *schema) (t docType) {
	switch {
	case s.Ref != "":
		return docType{Ref: path.Base(s.Ref)}
	case len(s.OneOf) > 0:
		return docType{Text: `integer or "` + api.EndlessName + `"` + orNull(s.OneOf[0])}
	case s.Type == typeArray:
		inner := typeOf(s.Items)
		return docType{Text: "list of " + inner.Text, Ref: inner.Ref}
	case s.Format == "binary":
		return docType{Text: "bytes"}
	case s.Type == typeObject && s.AdditionalProperties != nil:
		if values, ok := s.AdditionalProperties.(*schema); ok {
			return docType{Text: "object of texts" + orNull(values)}
		}
	}
	kind := s.Type
	if kind == typeString {
		kind = "text"
	}
	return docType{Text: kind + orNull(s)}
}

func orNull(s *schema) string {
	if s.Nullable {
		return " or null"
	}
	return ""
}

// limitsOf returns the limits of a schema in words.
func limitsOf(s *schema) string {
	if len(s.OneOf) > 0 {
		s = s.OneOf[0]
	}
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	if len(s.Enum) > 0 && len(s.Enum) <= 10 {
		var values []string
		for _, v := range s.Enum {
			values = append(values, fmt.Sprint(v))
		}
		say("%s", strings.Join(values, ", "))
	}
	if s.MinLength != nil || s.MaxLength != nil {
		say("%s characters", span(s.MinLength, s.MaxLength))
	}
	if s.MinItems != nil || s.MaxItems != nil {
		say("%s elements", span(s.MinItems, s.MaxItems))
	}
	if s.MaxProperties != nil {
		say("up to %d keys", *s.MaxProperties)
	}
	if s.Minimum != nil || s.Maximum != nil {
		say("%s", span(whole(s.Minimum), whole(s.Maximum)))
	}
	if s.Pattern != "" {
		say("`%s`", s.Pattern)
	}
	if s.Default != nil {
		say("default %v", s.Default)
	}
	return strings.Join(said, "; ")
}

func whole(f *float64) *int {
	if f == nil {
		return nil
	}
	return ptr(int(*f))
}

func span(least, most *int) string {
	switch {
	case least == nil:
		return fmt.Sprintf("up to %d", *most)
	case most == nil:
		return fmt.Sprintf("%d or more", *least)
	}
	return fmt.Sprintf("%d to %d", *least, *most)
}

// curl returns a curl command for an operation.
func curl(op *operation, rt httpd.Route) string {
	target := op.Path
	for _, p := range op.Parameters {
		if p.In == "path" {
			target = strings.Replace(target, "{"+p.Name+"}", fmt.Sprint(p.Example), 1)
		}
	}
	lines := []string{`curl -sS "$SLUICE_URL` + target + `"`}
	switch {
	case rt.Operation == "putFile":
		lines[0] = `curl -sS -T report.pdf "$SLUICE_URL` + target + `?purpose=report&filename=report.pdf"`
	case strings.HasPrefix(rt.Operation, "answerLink"):
		lines[0] = `curl -sS -fOJ "$SLUICE_URL` + target + `"`
		lines = append(lines, `-d password=correct+horse`)
	case strings.HasPrefix(target, "/l/"):
		lines[0] = `curl -sS -fOJ "$SLUICE_URL` + target + `"`
	case changes(rt) && op.RequestBody == nil, rt.Method == http.MethodPatch, rt.Operation == "rotateKey":
		lines[0] = `curl -sS -X ` + rt.Method + strings.TrimPrefix(lines[0], "curl -sS")
	}
	if rt.Scope != httpd.Public {
		lines = append(lines, `-H "Authorization: Bearer $SLUICE_KEY"`)
	}
	if rt.Operation == "createFile" {
		lines = append(lines, `-F purpose=report -F title="Third quarter" -F file=@report.pdf`)
	}
	if op.RequestBody != nil && op.RequestBody.Content["application/json"] != nil {
		body, err := indented(op.RequestBody.Content["application/json"].Example)
		if err != nil {
			panic(err) // it depends on no input
		}
		lines = append(lines, `-H "Content-Type: application/json"`, `-d '`+body+`'`)
	}
	return strings.Join(lines, " \\\n  ")
}
