package apidoc

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"sluice/internal/httpd"
)

// A docSample is a program that sends the example request of an operation.
type docSample struct {
	Language string // curl, javascript, python or go
	Name     string // of the language, for people
	Code     string
}

// sampleRequest is the example request of an operation: everything that its samples have in common.
type sampleRequest struct {
	operation      string
	method, target string // path and query
	keyed          bool
	body           any    // of JSON
	fields         []pair // of a form
	filed          bool   // whether the file exampleFilename is the body, or a part of the form
	answer         answer
}

type pair struct{ name, value string }

// answer is what a sample does with the body of the response.
type answer int

const (
	printJSON answer = iota
	printText
	saveFile // under the name saved
)

// samplesOf returns the samples of an operation.
func samplesOf(op *operation, rt httpd.Route) []docSample {
	r := exampleOf(op, rt)
	return []docSample{
		{"curl", "curl", r.curl()},
		{"javascript", "JavaScript", r.javaScript()},
		{"python", "Python", r.python()},
		{"go", "Go", r.golang(rt)},
	}
}

// exampleOf returns the example request of an operation: the examples of its required parameters and of its body.
func exampleOf(op *operation, rt httpd.Route) sampleRequest {
	r := sampleRequest{operation: rt.Operation, method: rt.Method, keyed: rt.Scope != httpd.Public}
	path, query := op.Path, url.Values{}
	for _, p := range op.Parameters {
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", fmt.Sprint(p.Example))
		case p.In == "query" && (p.Required || p.Name == "limit"):
			query.Set(p.Name, fmt.Sprint(p.Example))
		}
	}
	if op.RequestBody != nil {
		content := op.RequestBody.Content
		switch {
		case content["application/json"] != nil:
			r.body = content["application/json"].Example
		case content["application/x-www-form-urlencoded"] != nil:
			r.fields = formOf(content["application/x-www-form-urlencoded"].Example)
		default:
			r.filed = true
			r.fields = []pair{{"purpose", fmt.Sprint(exampleParams["purpose"])}, {"filename", exampleFilename}}
			if content["multipart/form-data"] == nil {
				r.intoQuery(query)
			}
		}
	}
	r.target = path
	if len(query) > 0 {
		r.target += "?" + query.Encode()
	}
	r.answer = answerOf(op)
	if savedAs[rt.Operation] != "" {
		r.answer = saveFile
	}
	return r
}

// intoQuery moves the fields of a form to the query.
func (r *sampleRequest) intoQuery(query url.Values) {
	for _, f := range r.fields {
		query.Set(f.name, f.value)
	}
	r.fields = nil
}

// raw returns an upload with the file as its body, without a form.
func (r sampleRequest) raw() sampleRequest {
	if !r.filed || r.fields == nil {
		return r
	}
	query := url.Values{}
	r.intoQuery(query)
	r.target += "?" + query.Encode()
	return r
}

func formOf(example any) (fields []pair) {
	v := reflect.ValueOf(example)
	for _, key := range sortedKeys(v) {
		fields = append(fields, pair{key.String(), fmt.Sprint(v.MapIndex(key).Interface())})
	}
	return fields
}

// sortedKeys returns the keys of a map, which are texts.
func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// answerOf returns what the samples do with the response to an operation.
func answerOf(op *operation) answer {
	for _, status := range []string{"200", "201"} {
		if op.Responses[status] == nil {
			continue
		}
		for media := range op.Responses[status].Content {
			switch {
			case media == "application/json":
				return printJSON
			case strings.HasPrefix(media, "text/"), media == "application/x-ndjson":
				return printText
			}
		}
	}
	return saveFile
}

// saved is the name that samples save a response under.
func (r sampleRequest) saved() string {
	if name := savedAs[r.operation]; name != "" {
		return name
	}
	if strings.HasPrefix(r.target, "/l/") {
		return exampleFilename
	}
	return strings.ToLower(strings.TrimLeftFunc(r.operation, unicode.IsLower))
}

// savedAs are the names for responses of operations whose own name does not say it.
var savedAs = map[string]string{"reportAuditEntries": "report.html"}

// exampleType is the media type of the file that samples upload.
const exampleType = "text/plain"

// curl returns a command of the shell.
func (r sampleRequest) curl() string {
	options := "-sS --fail-with-body"
	sends := r.body != nil || r.fields != nil
	switch {
	case r.filed && r.fields == nil:
		options += " -T " + exampleFilename
	case r.method == http.MethodGet, r.method == http.MethodPost && sends:
	default:
		options += " -X " + r.method
	}
	switch {
	case r.answer == saveFile && strings.HasPrefix(r.target, "/l/"):
		options += " -OJ"
	case r.answer == saveFile:
		options += " -o " + r.saved()
	}
	lines := []string{"curl " + options + ` "$SLUICE_URL` + r.target + `"`}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if r.keyed {
		add(`-H "Authorization: Bearer $SLUICE_KEY"`)
	}
	switch {
	case r.body != nil:
		add(`-H "Content-Type: application/json"`)
		add("-d '%s'", strings.ReplaceAll(inJSON.write(parsed(r.body), "  "), "'", `'\''`))
	case r.filed && r.fields == nil:
		add(`-H "Content-Type: %s"`, exampleType)
	case r.filed:
		for _, f := range r.fields {
			if f.name != "filename" { // the part has it
				add("-F %s=%s", f.name, f.value)
			}
		}
		add("-F file=@%s", exampleFilename)
	default:
		for _, f := range r.fields {
			add("--data-urlencode %s", shellWord(f.name+"="+f.value))
		}
	}
	return strings.Join(lines, " \\\n  ") + "\n"
}

func shellWord(text string) string {
	if strings.ContainsAny(text, " '\"$&") {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return text
}

// javaScript returns an ES module that uses fetch.
func (r sampleRequest) javaScript() string {
	var b, head strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	use := func(name, module string) { fmt.Fprintf(&head, "import { %s } from \"node:%s\";\n", name, module) }

	if r.filed {
		use("openAsBlob", "fs")
		say("const file = await openAsBlob(%q, { type: %q });\n", exampleFilename, exampleType)
	}
	if r.filed && r.fields != nil {
		say("const form = new FormData();\n")
		for _, f := range r.fields {
			if f.name != "filename" {
				say("form.set(%s, %s);\n", quoted(f.name), quoted(f.value))
			}
		}
		say("form.set(\"file\", file, %q);\n", exampleFilename)
	}
	say("const response = await fetch(`${process.env.SLUICE_URL}%s`", r.target)
	if options := r.fetchOptions(); options != "" {
		say(", {\n%s}", options)
	}
	say(");\nif (!response.ok) throw new Error(await response.text());\n")
	switch r.answer {
	case printJSON:
		say("console.log(await response.json());\n")
	case printText:
		say("console.log(await response.text());\n")
	case saveFile:
		use("writeFile", "fs/promises")
		say("await writeFile(%q, response.body);\n", r.saved())
	}
	if head.Len() > 0 {
		head.WriteByte('\n')
	}
	return head.String() + b.String()
}

// fetchOptions returns the lines of the second argument of fetch.
func (r sampleRequest) fetchOptions() string {
	var lines, headers []string
	if r.method != http.MethodGet {
		lines = append(lines, fmt.Sprintf("method: %q", r.method))
	}
	if r.keyed {
		headers = append(headers, "Authorization: `Bearer ${process.env.SLUICE_KEY}`")
	}
	if r.body != nil {
		headers = append(headers, `"Content-Type": "application/json"`)
	}
	switch len(headers) {
	case 0:
	case 1:
		lines = append(lines, "headers: { "+headers[0]+" }")
	default:
		lines = append(lines, "headers: {\n    "+strings.Join(headers, ",\n    ")+",\n  }")
	}
	switch {
	case r.body != nil:
		lines = append(lines, "body: JSON.stringify("+inJavaScript.write(parsed(r.body), "  ")+")")
	case r.filed && r.fields == nil:
		lines = append(lines, "body: file")
	case r.filed:
		lines = append(lines, "body: form")
	case r.fields != nil:
		lines = append(lines, "body: new URLSearchParams("+inJavaScript.write(fieldsNode(r.fields), "  ")+")")
	}
	if len(lines) == 0 {
		return ""
	}
	return "  " + strings.Join(lines, ",\n  ") + ",\n"
}

func fieldsNode(fields []pair) node {
	n := node{object: true}
	for _, f := range fields {
		n.members = append(n.members, member{f.name, node{scalar: quoted(f.value)}})
	}
	return n
}

// python returns a program that uses only the standard library.
func (r sampleRequest) python() string {
	r = r.raw()
	modules := []string{"os", "urllib.request"}
	args := []string{`os.environ["SLUICE_URL"] + ` + quoted(r.target)}
	var headers []string
	if r.method != http.MethodGet {
		args = append(args, fmt.Sprintf("method=%q", r.method))
	}
	if r.keyed {
		headers = append(headers, `"Authorization": "Bearer " + os.environ["SLUICE_KEY"]`)
	}
	var data string
	switch {
	case r.body != nil:
		modules = append(modules, "json")
		headers = append(headers, `"Content-Type": "application/json"`)
		data = "json.dumps(" + inPython.write(parsed(r.body), "    ") + ").encode()"
	case r.filed:
		headers = append(headers, fmt.Sprintf(`"Content-Type": %q`, exampleType))
		data = "file"
	case r.fields != nil:
		modules = append(modules, "urllib.parse")
		data = "urllib.parse.urlencode(" + inPython.write(fieldsNode(r.fields), "    ") + ").encode()"
	}
	switch len(headers) {
	case 0:
	case 1:
		args = append(args, "headers={"+headers[0]+"}")
	default:
		args = append(args, "headers={\n        "+strings.Join(headers, ",\n        ")+",\n    }")
	}
	if data != "" {
		args = append(args, "data="+data)
	}
	request := "request = urllib.request.Request(\n    " + strings.Join(args, ",\n    ") + ",\n)\n"
	if len(args) == 1 {
		request = "request = urllib.request.Request(" + args[0] + ")\n"
	}
	var answer, with string
	switch r.answer {
	case printJSON:
		modules = append(modules, "json")
		answer = "print(json.load(response))\n"
	case printText:
		answer = "print(response.read().decode())\n"
	case saveFile:
		modules = append(modules, "shutil")
		with = fmt.Sprintf(", open(%q, \"wb\") as saved", r.saved())
		answer = "shutil.copyfileobj(response, saved)\n"
	}
	program := request + "with urllib.request.urlopen(request) as response" + with + ":\n    " + answer
	if r.filed {
		program = fmt.Sprintf("with open(%q, \"rb\") as file:\n", exampleFilename) +
			"    " + strings.ReplaceAll(strings.TrimSpace(program), "\n", "\n    ") + "\n"
	}
	slices.Sort(modules)
	return "import " + strings.Join(slices.Compact(modules), "\nimport ") + "\n\n" + program
}
