package apidoc

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/server"
)

// docPage is a page of the reference: operations on one kind of object, and the objects that they return.
type docPage struct {
	Slug, Title, Lead string
	OldAnchor         string // of the part of the reference when it was one page
	Operations        []docOperation
	Objects           []docSchema
}

// resources are the pages of the reference, in their order. Operations that none of them lists in only, and whose path
// none of them lists in paths, are on the page of their tag. A tag that has no page here gets one of its own.
var resources = []struct {
	slug, title, lead, tag string
	only, paths            []string
}{
	{slug: "uploads", title: "Uploads", lead: "A file comes in as a form or as plain bytes, in one request. It is " +
		"stored once and never changes. An upload that fails leaves nothing behind.",
		only: []string{"createFile", "putFile"}},
	{slug: "files", tag: "Files", title: "Files", lead: "A file never changes. Its details can be " +
		"updated, and it can be shared with links."},
	{slug: "purposes", title: "Purposes", lead: "The purpose of a file sets its rules: which types and sizes are " +
		"allowed, whether it can be shared, and for how long.", only: []string{"listPurposes"}},
	{slug: "links", tag: "Links", title: "Links", lead: "A link is a time-limited right to download one file. Its URL " +
		"is a secret: whoever has it can use it."},
	{slug: "links-of-a-file", title: "Links of a file", lead: "The same links, addressed through their file. The " +
		"operations do what those of Links do, and refuse a link to another file.",
		only: []string{"createLinkOfFile", "listLinksOfFile", "getLinkOfFile", "updateLinkOfFile", "deleteLinkOfFile"}},
	{slug: "link-batches", title: "Link batches", lead: "Links to many files, or for many recipients, in one request: " +
		"all of them or none.", only: []string{"createLinks"}},
	{slug: "downloads", tag: "Downloads", title: "Downloads", lead: "What the holder of a link can request. No key is " +
		"needed. Each download is in the audit log before its first byte is sent."},
	{slug: "audit-log", tag: "Audit", title: "Audit log", lead: "The log of what was done and refused: who did what to " +
		"which object, from where, and why."},
	{slug: "reports", title: "Exports and reports", lead: "The log as a whole: for programs, as a stream of entries, " +
		"and for people, as a file that checks itself. Making one is recorded.",
		paths: []string{"/v1/audit_entries/export", "/v1/audit_report"}},
	{slug: "erasure", title: "Erasure", lead: "Personal fields of the log can be erased. The signed data does not " +
		"change, so every proof stays valid.",
		paths: []string{"/v1/audit_entries/{id}/redact", "/v1/audit_redactions"}},
	{slug: "ledger", tag: "Ledger", title: "Ledger", lead: "The audit log in verifiable form: its tree, its signed " +
		"checkpoints and proofs (RFC 6962, C2SP tlog-tiles). An auditor can check it without trusting the server."},
	{slug: "keys", tag: "Keys", title: "Keys", lead: "API keys with scopes, expiry, and rotation without downtime."},
	{slug: "account", title: "Account", lead: "The account and mode that a key belongs to.",
		only: []string{"getAccount"}},
	{slug: "operation", tag: "Operation", title: "Operation", lead: "Health and metrics, for whoever runs the server."},
	{slug: "documents", tag: "Reference", title: "Documents", lead: "This documentation, for programs."},
}

// slugOf returns the page of an operation.
func slugOf(rt httpd.Route) string {
	tag := descriptions[rt.Operation].tag
	slug := strings.ReplaceAll(strings.ToLower(tag), " ", "-")
	for _, r := range resources {
		if slices.Contains(r.only, rt.Operation) || slices.Contains(r.paths, strings.TrimSuffix(rt.Path, "/{id}")) {
			return r.slug
		}
		if r.tag == tag {
			slug = r.slug
		}
	}
	return slug
}

// docPages returns the pages of the reference. Within a page, operations have the order of the table of routes.
func docPages(ref *document) (pages []*docPage) {
	bySlug := map[string]*docPage{}
	add := func(slug, title, lead, tag string) {
		if bySlug[slug] == nil {
			bySlug[slug] = &docPage{Slug: slug, Title: title, Lead: lead, OldAnchor: cmp.Or(tag, slug)}
			pages = append(pages, bySlug[slug])
		}
	}
	for _, r := range resources {
		add(r.slug, r.title, r.lead, r.tag)
	}
	for _, t := range ref.Tags {
		for _, rt := range server.Routes() {
			if descriptions[rt.Operation].tag == t.Name {
				add(slugOf(rt), t.Name, t.Description, t.Name)
			}
		}
	}
	placed := placeObjects(ref, pages)
	for _, rt := range server.Routes() {
		page := bySlug[slugOf(rt)]
		page.Operations = append(page.Operations, describedOperation(ref, rt, placed))
	}
	for _, s := range docSchemas(ref, placed) {
		page := bySlug[cmp.Or(placed[s.Name], "documents")]
		if placed[s.Name] != "errors" {
			page.Objects = append(page.Objects, s)
		}
	}
	for _, page := range pages {
		page.sortObjects(ref)
	}
	return pages
}

// placeObjects returns the page of each schema: the one with the operation that gets such an object, or an object with
// it as a part, or else the first whose operations use it. Those of problems are on the page of errors.
func placeObjects(ref *document, pages []*docPage) map[string]string {
	placed := map[string]string{"Problem": "errors", "FieldError": "errors"}
	for pass := range 3 {
		for _, page := range pages {
			for _, rt := range server.Routes() {
				if slugOf(rt) != page.Slug {
					continue
				}
				op := *ref.Paths[documented(rt)].of(rt.Method)
				names := schemasOf(ref, op)
				if pass < 2 {
					names = gotBy(ref, op)
				}
				if pass == 0 {
					names = names[:min(1, len(names))]
				}
				for _, name := range names {
					if placed[name] == "" {
						placed[name] = page.Slug
					}
				}
			}
		}
	}
	return placed
}

// gotBy returns the schema of the object that an operation gets, followed by those of its parts.
func gotBy(ref *document, op *operation) []string {
	if !strings.HasPrefix(op.OperationID, "get") {
		return nil
	}
	return schemasOf(ref, &operation{Responses: map[string]*response{"200": op.Responses["200"]}})
}

// schemasOf returns the names of the schemas that an operation uses, those of its responses first.
func schemasOf(ref *document, op *operation) (names []string) {
	var visit func(s *schema)
	visit = func(s *schema) {
		if s == nil {
			return
		}
		if name := path.Base(s.Ref); s.Ref != "" && !slices.Contains(names, name) {
			names = append(names, name)
			visit(ref.Components.Schemas[name])
		}
		visit(s.Items)
		for _, member := range slices.Sorted(maps.Keys(s.Properties)) {
			visit(s.Properties[member])
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		for _, content := range op.Responses[status].Content {
			visit(content.Schema)
		}
	}
	if op.RequestBody != nil {
		for _, media := range slices.Sorted(maps.Keys(op.RequestBody.Content)) {
			visit(op.RequestBody.Content[media].Schema)
		}
	}
	return names
}

// sortObjects orders the objects of a page: what its operations get, then the others by their first use.
func (p *docPage) sortObjects(ref *document) {
	var order []string
	for _, one := range p.Operations {
		order = append(order, gotBy(ref, one.operation)...)
	}
	for _, one := range p.Operations {
		order = append(order, schemasOf(ref, one.operation)...)
	}
	slices.SortStableFunc(p.Objects, func(a, b docSchema) int {
		return slices.Index(order, a.Name) - slices.Index(order, b.Name)
	})
}

type docOperation struct {
	*operation
	Scope      string // required scope of the key
	Keyed      bool
	PathParams []docMember
	Query      []docMember
	Raw        []docMember // parameters of the query that only a body without a form needs
	Headers    []docMember
	Bodies     []docBody
	Answers    []docAnswer
	Refused    []docProblem
	Samples    []docSample
	Form       *tryForm // nil where the page offers no try-out
}

// SampleSet returns the samples of the operation.
func (d docOperation) SampleSet() sampleSet { return sampleSet{d.OperationID, d.Samples} }

// docMember is a row of a table: a parameter, or a member of an object.
type docMember struct {
	Name, Description, Limits string
	More                      []string // further parameters with the same meaning, such as created[gt]
	Type                      docType
	Required                  bool // in a request
	Optional                  bool // in a response
}

// docType is a type in words, followed by the name of a schema and its address from /docs/.
type docType struct{ Text, Ref, Href string }

type docBody struct {
	MediaType string
	Type      docType
	Members   []docMember // of the request
	Elsewhere bool        // whether the object has its place on another page
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
	Open              bool // whether the page shows the members at once
}

func describedOperation(ref *document, rt httpd.Route, placed map[string]string) docOperation {
	op := *ref.Paths[documented(rt)].of(rt.Method)
	d := docOperation{
		operation: op, Keyed: rt.Scope != httpd.Public, Samples: samplesOf(op, rt), Form: tryFormOf(op, rt),
	}
	if d.Keyed && rt.Scope != httpd.AnyKey {
		d.Scope = string(rt.Scope)
	}
	d.describeParams(op, placed)
	if op.RequestBody != nil {
		d.Bodies = bodiesOf(ref, op.RequestBody.Content, placed)
		for i, b := range d.Bodies {
			if s := ref.Components.Schemas[b.Type.Ref]; s != nil {
				d.Bodies[i].Members = membersOf(s, true, placed)
				d.Bodies[i].Elsewhere = placed[b.Type.Ref] != slugOf(rt)
			}
		}
		slices.SortStableFunc(d.Bodies, func(a, b docBody) int { return len(b.Members) - len(a.Members) })
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		answer := op.Responses[status]
		if n, _ := strconv.Atoi(status); n >= 400 {
			continue
		}
		d.Answers = append(d.Answers, docAnswer{
			Status: status, Description: answer.Description,
			Bodies: bodiesOf(ref, answer.Content, placed), Headers: slices.Sorted(maps.Keys(answer.Headers)),
		})
	}
	for _, code := range codesOf(rt) {
		d.Refused = append(d.Refused, problemOf(code))
	}
	slices.SortStableFunc(d.Refused, func(a, b docProblem) int { return a.Status - b.Status })
	return d
}

// describeParams fills the tables of parameters. Those that compare, such as created[gt], share a row.
func (d *docOperation) describeParams(op *operation, placed map[string]string) {
	for _, p := range op.Parameters {
		m := docMember{
			Name: p.Name, Description: p.Description, Required: p.Required, Type: typeOf(paramSchema(p), placed),
		}
		table := map[string]*[]docMember{"path": &d.PathParams, "query": &d.Query, "header": &d.Headers}[p.In]
		if p.In != "header" {
			m.Limits = limitsOf(paramSchema(p))
		}
		if raw, ok := strings.CutSuffix(m.Description, ifRaw); ok {
			m.Description, table = raw, &d.Raw
		}
		base, operator, _ := strings.Cut(p.Name, "[")
		if n := len(*table); n > 0 && (*table)[n-1].Name == base && slices.Contains(comparing, operator) {
			(*table)[n-1].More = append((*table)[n-1].More, p.Name)
			continue
		}
		*table = append(*table, m)
	}
}

// comparing are the ends of names of parameters that compare.
var comparing = []string{"gt]", "gte]", "lt]", "lte]"}

// paramSchema returns the schema of a parameter in text or JSON.
func paramSchema(p *param) *schema {
	if p.Schema != nil {
		return p.Schema
	}
	return p.Content["application/json"].Schema
}

func bodiesOf(ref *document, content map[string]*mediaType, placed map[string]string) (bodies []docBody) {
	for _, mediaType := range slices.Sorted(maps.Keys(content)) {
		m := content[mediaType]
		b := docBody{MediaType: mediaType, Type: typeOf(m.Schema, placed)}
		example := m.Example
		if s := ref.Components.Schemas[b.Type.Ref]; example == nil && s != nil && len(s.Examples) > 0 {
			example = s.Examples[0]
		}
		if example != nil && mediaType == "application/json" {
			b.Example = inJSON.write(parsed(example), "")
		}
		bodies = append(bodies, b)
	}
	return bodies
}

func docSchemas(ref *document, placed map[string]string) (list []docSchema) {
	schemas, asked := ref.Components.Schemas, asked(ref)
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		s := schemas[name]
		d := docSchema{Name: name, Description: s.Description, Members: membersOf(s, asked[name], placed)}
		if len(s.Examples) > 0 {
			d.Example = s.Examples[0]
		}
		list = append(list, d)
	}
	return list
}

// membersOf returns the members of an object, required ones first.
func membersOf(s *schema, asked bool, placed map[string]string) (members []docMember) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		m, required := s.Properties[name], slices.Contains(s.Required, name)
		members = append(members, docMember{
			Name: name, Description: m.Description, Type: typeOf(m, placed), Limits: limitsOf(m),
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
func typeOf(s *schema, placed map[string]string) (t docType) {
	switch {
	case s.Ref != "":
		name := path.Base(s.Ref)
		return docType{Ref: name, Href: cmp.Or(placed[name], "documents") + "#" + name}
	case len(s.OneOf) > 0:
		return docType{Text: `integer or "` + api.EndlessName + `"` + orNull(s.OneOf[0])}
	case s.Type == typeArray:
		inner := typeOf(s.Items, placed)
		inner.Text = "list of " + inner.Text
		return inner
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
