package httpd_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/server"
)

const golden = "../../api/openapi.json"

// TestDocumentIsGolden compares the document that is served with the file in the repository.
func TestDocumentIsGolden(t *testing.T) {
	c := newClient(t)
	a := c.as("").ask(t, "GET", "/openapi.json", "").want(t, 200)
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
	own := []byte(`"url": "` + c.PublicURL() + `"`)
	if bytes.Count(a.body, own) != 1 {
		t.Errorf("the document does not name the server once")
	}
	a.body = bytes.Replace(a.body, own, []byte(`"url": "/"`), 1)
	_, upload, _ := bytes.Cut(a.body, []byte(`"operationId": "createFile"`))
	form, raw := bytes.Index(upload, []byte(`"multipart/form-data"`)), bytes.Index(upload, []byte(`"*/*"`))
	if form < 0 || raw < form {
		t.Errorf("an upload as raw bytes comes before the form")
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.body, want) {
		t.Errorf("%s is not what is served", golden)
	}
}

// TestDocumentHasEveryRoute compares the document with the tables of routes, in both directions.
func TestDocumentHasEveryRoute(t *testing.T) {
	var documented, routed []string
	for _, op := range readDocument(t).operations() {
		documented = append(documented, op.method+" "+op.path+" "+op.ID)
	}
	for _, rt := range server.Routes() {
		routed = append(routed, rt.Method+" "+strings.ReplaceAll(rt.Path, "...}", "}")+" "+rt.Operation)
	}
	for _, op := range documented {
		if !slices.Contains(routed, op) {
			t.Errorf("%s is documented and is no route", op)
		}
	}
	for _, rt := range routed {
		if !slices.Contains(documented, rt) {
			t.Errorf("%s is a route and not documented", rt)
		}
	}
}

// document is the part of an OpenAPI document that the tests read.
type document struct {
	Paths      map[string]map[string]*operation
	Components struct {
		Schemas   map[string]*schema
		Responses map[string]*response
		Headers   map[string]struct{ Required bool }
		Examples  map[string]struct{ Value any }
	}

	compiling sync.Mutex // a Compiler serves one goroutine at a time
	schemas   *jsonschema.Compiler
}

type operation struct {
	ID                   string `json:"operationId"`
	Summary, Description string
	Tags                 []string
	Security             []map[string][]string
	Parameters           []parameter
	RequestBody          *struct {
		Content map[string]mediaType
	}
	Responses map[string]*response

	method, path string
}

type parameter struct {
	Name, In, Description string
	Required              bool
	Example               any
	Content               map[string]mediaType
}

type response struct {
	Ref         string `json:"$ref"`
	Description string
	Headers     map[string]any
	Content     map[string]mediaType
}

type mediaType struct {
	Schema   *schema
	Example  any
	Examples map[string]any
}

type schema struct {
	Ref         string `json:"$ref"`
	Description string
	Properties  map[string]*schema
	Examples    []any
	OneOf       []*schema
	Items       *schema
	Enum        []any

	MinLength, MaxLength, MinItems, MaxItems, MaxProperties *int
	Minimum, Maximum                                        *float64

	AdditionalProperties any
}

// pointer is a JSON Pointer (RFC 6901) as a fragment.
func pointer(names ...string) string {
	at := golden + "#"
	for _, name := range names {
		at += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return at
}

// readDocument parses the document, and makes its schemas refuse members that are not documented.
func readDocument(t testing.TB) *document {
	t.Helper()
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	for path, item := range d.Paths {
		for method, op := range item {
			op.method, op.path = strings.ToUpper(method), path
		}
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	closeObjects(whole)
	d.schemas = jsonschema.NewCompiler()
	d.schemas.AssertFormat()
	if err := d.schemas.AddResource(golden, whole); err != nil {
		t.Fatal(err)
	}
	return &d
}

// closeObjects makes every schema with members refuse unknown ones.
func closeObjects(v any) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			closeObjects(element)
		}
	case map[string]any:
		if _, open := v["additionalProperties"]; !open && v["properties"] != nil {
			v["additionalProperties"] = false
		}
		for _, member := range v {
			closeObjects(member)
		}
	}
}

// operations are all operations, sorted by name.
func (d *document) operations() (all []*operation) {
	for _, item := range d.Paths {
		all = slices.AppendSeq(all, maps.Values(item))
	}
	slices.SortFunc(all, func(a, b *operation) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// fits validates a JSON document against the schema at a path of names.
func (d *document) fits(t testing.TB, value []byte, names ...string) {
	t.Helper()
	d.compiling.Lock()
	s, err := d.schemas.Compile(pointer(names...))
	d.compiling.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		t.Errorf("%v: %v in %s", names, err, value)
	}
}

// fitsExample validates a value of the document itself.
func (d *document) fitsExample(t testing.TB, value any, names ...string) {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	d.fits(t, data, names...)
}

// TestDocumentIsWhole checks that every part of the document has a description, and validates every example.
func TestDocumentIsWhole(t *testing.T) {
	d := readDocument(t)
	scopes := map[string]sluice.Scope{}
	for _, rt := range server.Routes() {
		scopes[rt.Operation] = rt.Scope
	}
	for _, op := range d.operations() {
		if op.Summary == "" || op.Description == "" || len(op.Tags) != 1 {
			t.Errorf("%s is not described", op.ID)
		}
		if want := security(op.ID, scopes[op.ID]); !cmp.Equal(op.Security, want) {
			t.Errorf("%s asks for %v, want %v", op.ID, op.Security, want)
		}
		at := []string{"paths", op.path, strings.ToLower(op.method)}
		for i, p := range op.Parameters {
			value, in := p.Example, []string{"schema"}
			if p.Content != nil {
				value, in = p.Content["application/json"].Example, []string{"content", "application/json", "schema"}
			}
			if p.Description == "" || value == nil {
				t.Errorf("%s: the parameter %s has no description or no example", op.ID, p.Name)
				continue
			}
			d.fitsExample(t, value, slices.Concat(at, []string{"parameters", strconv.Itoa(i)}, in)...)
		}
		if op.RequestBody != nil {
			for media, body := range op.RequestBody.Content {
				d.fitsExample(t, body.Example, slices.Concat(at, []string{"requestBody", "content", media, "schema"})...)
			}
		}
		for status, r := range op.Responses {
			if r, _ = d.response(op, status); r.Description == "" {
				t.Errorf("%s: %s is not described", op.ID, status)
			}
		}
	}
	for name, s := range d.Components.Schemas {
		if s.Description == "" {
			t.Errorf("the schema %s is not described", name)
		}
		for member, m := range s.Properties {
			if m.Description == "" && m.Ref == "" {
				t.Errorf("%s.%s is not described", name, member)
			}
		}
		for _, example := range s.Examples {
			d.fitsExample(t, example, "components", "schemas", name)
		}
	}
	for code, example := range d.Components.Examples {
		d.fitsExample(t, example.Value, "components", "schemas", "Problem")
		if got := example.Value.(map[string]any)["code"]; got != code {
			t.Errorf("the example of %s is one of %s", code, got)
		}
	}
}

// security is what an operation with a scope must require.
func security(operation string, scope sluice.Scope) []map[string][]string {
	switch {
	case strings.HasPrefix(operation, "redeem"), strings.HasPrefix(operation, "answerLink"):
		return []map[string][]string{{}, {"linkPassword": {}}, {"linkPasswordBasic": {}}}
	case scope == httpd.Public:
		return []map[string][]string{}
	case scope == httpd.AnyKey:
		return []map[string][]string{{"bearer": {}}}
	}
	return []map[string][]string{{"bearer": {string(scope)}}}
}

// response returns a documented answer of an operation, and its place in the document.
func (d *document) response(op *operation, status string) (*response, []string) {
	r := op.Responses[status]
	if r == nil || r.Ref == "" {
		return r, []string{"paths", op.path, strings.ToLower(op.method), "responses", status}
	}
	name := r.Ref[strings.LastIndexByte(r.Ref, '/')+1:]
	return d.Components.Responses[name], []string{"components", "responses", name}
}

// unspoken are headers for browsers, caches and the connection, which the document leaves out.
var unspoken = []string{
	"Cache-Control", "Content-Length", "Content-Security-Policy", "Content-Type", "Cross-Origin-Opener-Policy",
	"Cross-Origin-Resource-Policy", "Date", "Referrer-Policy", "Vary", "X-Content-Type-Options", "X-Robots-Tag",
}

// holds compares an answer with the document: status, headers, media type and body.
func (d *document) holds(t testing.TB, op *operation, a answer) {
	t.Helper()
	status := strconv.Itoa(a.status)
	r, at := d.response(op, status)
	if r == nil {
		t.Errorf("%s: %s is not documented: %s", op.ID, status, a.body)
		return
	}
	for name := range a.header {
		known := slices.ContainsFunc(slices.Collect(maps.Keys(r.Headers)),
			func(h string) bool { return strings.EqualFold(h, name) })
		if !known && !slices.Contains(unspoken, name) {
			t.Errorf("%s: %s has a header %s that is not documented", op.ID, status, name)
		}
	}
	for name := range r.Headers {
		if d.Components.Headers[name].Required && a.header.Get(name) == "" {
			t.Errorf("%s: %s has no header %s", op.ID, status, name)
		}
	}
	if len(r.Content) == 0 && len(a.body) == 0 {
		return
	}
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	content, known := r.Content[media]
	if _, any := r.Content["*/*"]; !known && !any {
		t.Errorf("%s: %s is %s, which is not documented", op.ID, status, media)
	}
	if known && (media == "application/json" || strings.HasSuffix(media, "+json")) {
		d.fits(t, a.body, append(at, "content", media, "schema")...)
	}
	if code := (api.Problem{}); known && media == api.ProblemType && json.Unmarshal(a.body, &code) == nil &&
		content.Examples[code.Code] == nil {
		t.Errorf("%s: %s with the code %s is not documented", op.ID, status, code.Code)
	}
}

// exampleID finds ids in examples.
var exampleID = regexp.MustCompile(`\b(file|link|key|aud|era)_[0-9a-z]{26}\b`)

// fill replaces the ids in an example with ids of real objects.
func (o objects) fill(text string) string {
	return exampleID.ReplaceAllStringFunc(text, func(id string) string {
		kind, _, _ := strings.Cut(id, "_")
		return map[string]string{"file": o.file, "link": o.link, "key": o.key, "aud": o.entry, "era": o.erasure}[kind]
	})
}

// try sends the example of an operation with one of its media types, or "" for none, and one of its optional
// parameters, or "" for none.
func (c client) try(t *testing.T, op *operation, media, optional string) answer {
	t.Helper()
	o := c.objects(t)
	body, header := c.exampleBody(t, op, media, o)
	if strings.HasPrefix(op.ID, "updateLink") && strings.Contains(body, "allowed_recipients") {
		o.link = c.mint(t, o.file, `{"recipient":{"email":"ann@bank.example"}}`).ID // a link that verifies addresses
	}
	link := read[api.Link](t, c.ask(t, "GET", "/v1/file_links/"+o.link, "").want(t, 200))
	path, query := op.path, url.Values{}
	for _, p := range op.Parameters {
		if !p.Required && p.Name != optional && p.Name != needs[optional] && !(media == "*/*" && p.Name == "purpose") {
			continue
		}
		value := exampleText(t, p)
		switch p.In {
		case "path":
			if p.Name == "token" {
				value = link.URL[strings.LastIndexByte(link.URL, '/')+1:]
			}
			path = strings.ReplaceAll(path, "{"+p.Name+"}", o.fill(value))
		case "query":
			query.Set(p.Name, o.fill(value))
		case "header":
			header = append(header, p.Name, value)
		}
	}
	switch {
	case slices.Contains([]string{"If-Match", "If-None-Match", "If-Range"}, optional):
		header = append(header, optional, c.ask(t, "GET", path, "").want(t, 200).header.Get("ETag"))
	case strings.HasSuffix(optional, "-Digest"):
		header = append(header, optional, digestOf(body))
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.ask(t, op.method, path, body, header...)
}

// needs names the parameter that another one is refused without.
var needs = map[string]string{
	"link[recipient][name]": "link[recipient][email]",
	"link[send]":            "link[recipient][email]",
	"link[notify][email]":   "link[notify][on]",
	"link[notify][on]":      "link[notify][email]",
}

// exampleBody is the example of a body, with the header that it needs.
func (c client) exampleBody(t *testing.T, op *operation, media string, o objects) (body string, header []string) {
	t.Helper()
	switch media {
	case "":
		return "", nil
	case "*/*":
		return op.RequestBody.Content[media].Example.(string), []string{"Content-Type", "text/plain"}
	case "multipart/form-data":
		f := newForm()
		for name, value := range op.RequestBody.Content[media].Example.(map[string]any) {
			if name == "file" {
				f.file("a.txt", "text/plain", value.(string))
			} else {
				f.field(name, plainText(t, value))
			}
		}
		return string(f.closed()), []string{"Content-Type", f.w.FormDataContentType()}
	case "application/x-www-form-urlencoded":
		form := url.Values{}
		for name, value := range op.RequestBody.Content[media].Example.(map[string]any) {
			form.Set(name, plainText(t, value))
		}
		return form.Encode(), []string{"Content-Type", media}
	}
	data, err := json.Marshal(op.RequestBody.Content[media].Example)
	if err != nil {
		t.Fatal(err)
	}
	return o.fill(string(data)), []string{"Content-Type", media}
}

func exampleText(t *testing.T, p parameter) string {
	if p.Content != nil {
		return plainText(t, p.Content["application/json"].Example)
	}
	if list, ok := p.Example.([]any); ok {
		return plainText(t, list[0])
	}
	return plainText(t, p.Example)
}

// plainText returns a text as it is, and any other value as JSON.
func plainText(t *testing.T, v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// medias are the media types that an operation accepts, or "" for none.
func (op *operation) medias() []string {
	if op.RequestBody == nil {
		return []string{""}
	}
	return slices.Sorted(maps.Keys(op.RequestBody.Content))
}

// TestExamplesAreTrue sends the example of every operation, alone and with the example of each optional parameter, and
// compares the answers with the document.
func TestExamplesAreTrue(t *testing.T) {
	d := readDocument(t)
	for _, op := range d.operations() {
		t.Run(op.ID, func(t *testing.T) {
			t.Parallel()
			c := newLimited(t, 1000, 100_000)
			if op.ID == "getMetrics" { // it needs a live key
				_, live := c.NewKey(t, c.Ledger(sluice.Live))
				c = c.as(live)
			}
			succeed := func(media, optional string) {
				a := c.try(t, op, media, optional)
				if a.status >= 400 {
					t.Errorf("with %q and %q: status %d: %s", media, optional, a.status, a.body)
				}
				d.holds(t, op, a)
			}
			for _, media := range op.medias() {
				succeed(media, "")
			}
			for _, p := range op.Parameters {
				if !p.Required {
					succeed(op.medias()[0], p.Name)
				}
			}
		})
	}
}

// TestRefusalsAreDocumented provokes the refusals that every operation may give, and compares the answers with the
// document.
func TestRefusalsAreDocumented(t *testing.T) {
	d := readDocument(t)
	for _, rt := range server.Routes() {
		op := d.Paths[strings.ReplaceAll(rt.Path, "...}", "}")][strings.ToLower(rt.Method)]
		if rt.Scope == httpd.Public {
			continue
		}
		t.Run(op.ID, func(t *testing.T) {
			t.Parallel()
			c := newLimited(t, 1000, 100_000)
			o := c.objects(t)
			refuse := func(c client, status int, headers ...string) {
				t.Helper()
				d.holds(t, op, c.call(t, rt, o, headers...).want(t, status))
			}
			refuse(c.as(""), 401)
			refuse(c, 400, "Sluice-Version", "1999-01-01")
			if rt.Scope != httpd.AnyKey {
				_, other := c.NewKey(t, c.Ledger(sluice.Test),
					slices.DeleteFunc(sluice.AllScopes(), func(s sluice.Scope) bool { return s == rt.Scope })...)
				refuse(c.as(other), 403)
			}
			if rt.Method != "GET" {
				once := []string{"Idempotency-Key", "a"}
				c.ask(t, "POST", "/v1/files/"+o.file+"/links", `{"reason":"first"}`, once...).want(t, 200)
				refuse(c, 409, once...)
			}
			if op.RequestBody != nil {
				refuse(c, 415, "Content-Encoding", "gzip")
				refuse(c, 400, "Content-Digest", digestOf("another"))
			}
			if rt.Method == "PATCH" || rt.Method == "DELETE" {
				refuse(c, 412, "If-Match", `"another"`)
			}
			if strings.Contains(rt.Path, "{") {
				o = objects{"file_0", "link_0", "aud_0", "key_0", "era_0", "9/999"}
				refuse(c, 404)
			}
			tired := newLimited(t, 1, 1)
			tired.ask(t, "GET", "/v1/account", "").want(t, 200)
			refuse(tired, 429)
		})
	}
}

// TestOwnRefusalsAreDocumented provokes the refusals of single operations.
func TestOwnRefusalsAreDocumented(t *testing.T) {
	d := readDocument(t)
	c := newClient(t)
	refuse := func(method, path string, status int, a answer) {
		t.Helper()
		d.holds(t, d.Paths[path][method], a.want(t, status))
	}
	o := c.objects(t)
	token := func(body string) string {
		l := c.mint(t, o.file, body)
		return c.URL + "/l/" + l.URL[strings.LastIndexByte(l.URL, '/')+1:]
	}
	open, locked, once := token(""), token(`{"password":"correct horse"}`), token(`{"max_downloads":1}`)
	c.get(t, once).want(t, 200)
	for _, accept := range []string{"*/*", "text/html"} {
		for _, tail := range []string{"", "/a.txt"} {
			path := "/l/{token}" + strings.ReplaceAll(tail, "a.txt", "{tail}")
			refuse("get", path, 403, c.get(t, locked+tail, "Accept", accept, "X-Link-Password", "wrong"))
			c.Clock.Advance(time.Minute) // allows further guesses
			for status, form := range map[int]string{403: "password=wrong", 400: "%", 413: strings.Repeat("x", 9<<10)} {
				refuse("post", path, status,
					c.as("").ask(t, "POST", strings.TrimPrefix(locked+tail, c.URL), form, "Accept", accept, "Content-Type",
						"application/x-www-form-urlencoded"))
			}
			c.Clock.Advance(time.Minute)
			refuse("get", path, 404, c.get(t, c.URL+"/l/none"+tail, "Accept", accept))
			refuse("get", path, 410, c.get(t, once+tail, "Accept", accept, "User-Agent", "another"))
			refuse("get", path, 412, c.get(t, open+tail, "Accept", accept, "If-Match", `"another"`))
			refuse("get", path, 416, c.get(t, open+tail, "Accept", accept, "Range", "bytes=99-"))
		}
	}
	for range 20 { // guesses
		if a := c.get(t, locked, "X-Link-Password", "wrong"); a.status == 429 {
			refuse("get", "/l/{token}", 429, a)
		}
	}
	refuse("get", "/docs/errors/{code}", 404, c.get(t, c.URL+"/docs/errors/none"))
	c.ask(t, "PATCH", "/v1/files/"+o.file, `{"held":true}`).want(t, 200)
	refuse("delete", "/v1/files/{id}", 409, c.ask(t, "DELETE", "/v1/files/"+o.file, ""))
	refuse("post", "/v1/file_links", 404, c.ask(t, "POST", "/v1/file_links", `{"file_id":"file_0"}`))
	refuse("post", "/v1/keys", 413, c.ask(t, "POST", "/v1/keys", strings.Repeat(" ", 256<<10+1)))
	c.Clock.Advance(2 * time.Hour)
	refuse("patch", "/v1/file_links/{id}", 409, c.ask(t, "PATCH", "/v1/file_links/"+o.link, `{"reason":"late"}`))
	refuse("patch", "/v1/files/{id}/links/{link}", 409,
		c.ask(t, "PATCH", "/v1/files/"+o.file+"/links/"+o.link, `{"reason":"late"}`))
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Store.Close(); err != nil {
		t.Fatal(err)
	}
	refuse("get", "/readyz", 503, c.get(t, c.URL+"/readyz"))
	refuse("get", "/l/{token}", 503, c.get(t, open))
}

// TestReplaysAreDocumented sends every change twice with one Idempotency-Key, and compares both answers with the
// document.
func TestReplaysAreDocumented(t *testing.T) {
	d := readDocument(t)
	c := newClient(t)
	for _, rt := range server.Routes() {
		if rt.Method == "GET" || rt.Scope == httpd.Public {
			continue
		}
		op, o := d.Paths[rt.Path][strings.ToLower(rt.Method)], c.objects(t)
		for _, replayed := range []string{"", "true"} {
			a := c.call(t, rt, o, "Idempotency-Key", rt.Operation)
			if got := a.header.Get("Idempotency-Replayed"); a.status >= 300 || got != replayed {
				t.Errorf("%s: status %d, Idempotency-Replayed %q: %s", op.ID, a.status, got, a.body)
			}
			d.holds(t, op, a)
		}
	}
}

// TestLimitsAreTrue sends, for every documented limit of a member, a value at the limit and a value beyond it.
func TestLimitsAreTrue(t *testing.T) {
	d := readDocument(t)
	for _, op := range d.operations() {
		for _, media := range op.medias() {
			if media != "application/json" && media != "multipart/form-data" {
				continue
			}
			t.Run(op.ID, func(t *testing.T) {
				t.Parallel()
				c := newClient(t)
				for member, m := range d.bodySchema(t, op, media).Properties {
					kept, broken := m.edges(t, member)
					for _, value := range kept {
						if a := c.with(t, op, media, member, value); a.status >= 300 {
							t.Errorf("%s = %.40v: status %d: %s", member, value, a.status, a.body)
						}
					}
					for _, value := range broken {
						p := c.problem(t, c.with(t, op, media, member, value).want(t, 400), sluice.CodeValidation)
						if param := dotted(member); !strings.HasPrefix(p.Param, param) {
							t.Errorf("%s is blamed where %s is wrong: %s", p.Param, param, p.Detail)
						}
					}
				}
			})
		}
	}
}

func dotted(member string) string { return strings.NewReplacer("[", ".", "]", "").Replace(member) }

// bodySchema is the schema of a body.
func (d *document) bodySchema(t *testing.T, op *operation, media string) *schema {
	t.Helper()
	ref := op.RequestBody.Content[media].Schema.Ref
	s := d.Components.Schemas[ref[strings.LastIndexByte(ref, '/')+1:]]
	if s == nil {
		t.Fatalf("%s has no schema %q", op.ID, ref)
	}
	return s
}

// edges returns values at the limits of a member, and values beyond them.
func (s *schema) edges(t *testing.T, member string) (kept, broken []any) {
	t.Helper()
	if len(s.OneOf) > 0 {
		s = s.OneOf[0]
	}
	text := func(n int) any {
		if strings.HasSuffix(dotted(member), ".email") || member == "recipient" {
			return strings.Repeat("a", n-len(longDomain)) + longDomain
		}
		return strings.Repeat("ü", n)
	}
	list := func(n int) any {
		all := []any{}
		for i := range n {
			switch member {
			case "linked_resources":
				all = append(all, map[string]any{"type": "contract", "id": strconv.Itoa(i)})
			case "file_ids":
				all = append(all, exampleFile)
			case "allowed_recipients":
				all = append(all, "person"+strconv.Itoa(i)+"@example.com")
			case "recipients":
				all = append(all, map[string]any{"email": "person" + strconv.Itoa(i) + "@example.com"})
			case "allowed_ips":
				all = append(all, "192.0.2.0/24")
			case "scopes":
				all = append(all, "links:write")
			case "fields": // from the last, which every entry of a request has
				all = append(all, s.Items.Enum[len(s.Items.Enum)-1-i%len(s.Items.Enum)])
			default:
				t.Fatalf("the test does not know what %s lists", member)
			}
		}
		return all
	}
	if s.MaxLength != nil {
		kept, broken = append(kept, text(*s.MaxLength)), append(broken, text(*s.MaxLength+1))
	}
	if s.MinLength != nil {
		kept, broken = append(kept, text(*s.MinLength)), append(broken, text(*s.MinLength-1))
	}
	if s.MaxItems != nil {
		kept, broken = append(kept, list(*s.MaxItems)), append(broken, list(*s.MaxItems+1))
	}
	if s.MinItems != nil {
		kept, broken = append(kept, list(*s.MinItems)), append(broken, list(*s.MinItems-1))
	}
	texts := func(keys, length int) any {
		all := map[string]string{}
		for i := range keys {
			all["k"+strconv.Itoa(i)] = strings.Repeat("ü", length)
		}
		return all
	}
	if s.MaxProperties != nil {
		kept, broken = append(kept, texts(*s.MaxProperties, 1)), append(broken, texts(*s.MaxProperties+1, 1))
	}
	if values, ok := s.AdditionalProperties.(map[string]any); ok {
		most := int(values["maxLength"].(float64))
		kept, broken = append(kept, texts(1, most)), append(broken, texts(1, most+1))
	}
	if s.Minimum != nil {
		broken = append(broken, int64(*s.Minimum)-1)
	}
	if s.Maximum != nil {
		broken = append(broken, int64(*s.Maximum)+1)
	}
	if !strings.HasSuffix(dotted(member), "expires_at") { // the current time narrows it
		if s.Minimum != nil {
			kept = append(kept, int64(*s.Minimum))
		}
		if s.Maximum != nil {
			kept = append(kept, int64(*s.Maximum))
		}
	}
	return kept, broken
}

// longDomain is the end of an address whose length the part before it can bring to the limit.
var longDomain = "@" + strings.Repeat(strings.Repeat("b", 62)+".", 3) + "example"

// exampleFile is an id that fill replaces.
const exampleFile = "file_00000000000000000000000000"

// with sends the example of an operation with a value for one member.
func (c client) with(t *testing.T, op *operation, media, member string, value any) answer {
	t.Helper()
	changed := *op
	body := *op.RequestBody
	example := maps.Clone(body.Content[media].Example.(map[string]any))
	example[member] = value
	if strings.HasSuffix(dotted(member), "expires_at") {
		delete(example, strings.Replace(member, "expires_at", "expires_in_seconds", 1))
	}
	body.Content = map[string]mediaType{media: {Example: example}}
	changed.RequestBody = &body
	return c.try(t, &changed, media, "")
}
