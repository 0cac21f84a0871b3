package apidoc

import (
	"fmt"
	"go/format"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"sluice/api"
	"sluice/client"
	"sluice/internal/httpd"
	"sluice/ledger"
)

// goCall is the call of package client that does what an operation does. Without args, the arguments are the examples
// of the path, then that of the body.
type goCall struct {
	method string
	args   []any
}

// goCalls are the calls of operations. The sample of an operation without one uses net/http.
var goCalls = map[string]goCall{
	"listFiles":    {"Files", []any{api.FileQuery{Page: goPage}}},
	"getFile":      {method: "File"},
	"updateFile":   {method: "UpdateFile"},
	"deleteFile":   {method: "DeleteFile"},
	"listPurposes": {method: "Purposes"},

	"createLinkOfFile": {method: "MintLink"},
	"createLink":       {"MintLink", []any{exampleFileID, exampleShortLink}},
	"createLinks":      {"MintLinks", []any{[]string{exampleFileID}, exampleBatchLink}},
	"listLinks":        {"Links", []any{client.LinkQuery{LinkQuery: api.LinkQuery{Page: goPage}}}},
	"listLinksOfFile": {"Links", []any{client.LinkQuery{
		LinkQuery: api.LinkQuery{Page: goPage}, FileID: exampleFileID,
	}}},
	"getLink":          {method: "Link"},
	"getLinkOfFile":    {"Link", []any{exampleLinkID}},
	"updateLink":       {method: "UpdateLink"},
	"updateLinkOfFile": {"UpdateLink", []any{exampleLinkID, exampleLinkChange}},
	"deleteLink":       {method: "RevokeLink"},
	"deleteLinkOfFile": {"RevokeLink", []any{exampleLinkID}},

	"listAuditEntries":   {"Entries", []any{api.EntryQuery{Page: goPage}}},
	"getAuditEntry":      {method: "Entry"},
	"exportAuditEntries": {"ExportEntries", []any{api.EntryFilter{}, "ndjson"}},
	"redactAuditEntry":   {"RedactFields", []any{exampleEntryID, exampleFields}},
	"createErasure":      {method: "BeginErasure"},
	"getErasure":         {method: "Erasure"},
	"reportAuditEntries": {"Report", []any{api.EntryFilter{}}},

	"getCheckpoint":     {method: "Checkpoint"},
	"getTile":           {"Tile", []any{ledger.Tile{Width: 1}}},
	"getLedgerKey":      {method: "LedgerKey"},
	"listRotations":     {method: "Rotations"},
	"proveEntry":        {"ProveEntry", []any{exampleEntryID}},
	"exportDisclosures": {"Disclosures", []any{1}},

	"createKey":  {method: "CreateKey"},
	"listKeys":   {"Keys", []any{goPage}},
	"getKey":     {method: "Key"},
	"updateKey":  {method: "UpdateKey"},
	"rotateKey":  {"RotateKey", []any{exampleKeyID, time.Hour}},
	"deleteKey":  {method: "RevokeKey"},
	"getAccount": {method: "Account"},
}

var goPage = api.Page{Limit: 10}

// goPrograms are the bodies of samples that take more than one call.
var goPrograms = map[string]string{
	"createFile":  goUpload,
	"putFile":     goUpload,
	"redeem":      goDownload("client.DownloadOptions{}"),
	"redeemNamed": goDownload("client.DownloadOptions{}"),
	"answerLink": goDownload(`client.DownloadOptions{
	Password: "correct horse",
}`),
	"answerLinkNamed": goDownload(`client.DownloadOptions{
	Password: "correct horse",
}`),
}

const (
	goFatal = `
if err != nil {
	log.Fatal(err)
}
`
	goNewClient = `c, err := client.New(os.Getenv("SLUICE_URL"), os.Getenv("SLUICE_KEY"))` + goFatal
	goUpload    = goNewClient + `content, err := os.Open("` + exampleFilename + `")` + goFatal + `defer content.Close()
file, err := c.Upload(context.Background(), content, client.NewFile{
	Purpose: "report",
	Filename: "` + exampleFilename + `",
	Type: "text/plain",
})` + goFatal + "fmt.Println(file.ID)\n"
)

func goDownload(options string) string {
	return goNewClient + `link := os.Getenv("SLUICE_URL") + "/l/` + exampleToken + `"
done, err := c.DownloadFile(context.Background(), link, "` + exampleFilename + `", ` + options + `)` +
		goFatal + "fmt.Println(done.SHA256)\n"
}

// golang returns a program that uses package client, or net/http where the package does not have the operation.
func (r sampleRequest) golang(rt httpd.Route) string {
	body := goPrograms[r.operation]
	if call, ok := goCalls[r.operation]; ok {
		body = goNewClient + call.write(r, rt)
	} else if body == "" {
		body = r.netHTTP()
	}
	source, err := format.Source([]byte("package main\n\n" + goImports(body) + "\nfunc main() {\n" + body + "}\n"))
	if err != nil {
		panic(fmt.Sprintf("the sample of %s: %v in %s", r.operation, err, body)) // it depends on no input
	}
	return string(source)
}

var goPackages = []string{"context", "encoding/json", "fmt", "io", "log", "net/http", "os", "strings", "time", "",
	"sluice/api", "sluice/client", "sluice/ledger"}

// goImports returns the import declaration of a program.
func goImports(body string) string {
	list := "import ("
	for _, name := range goPackages {
		if name == "" || regexp.MustCompile(`\b`+name[strings.LastIndexByte(name, '/')+1:]+`\.[A-Z]`).MatchString(body) {
			list += "\n"
			if name != "" {
				list += fmt.Sprintf("%q", name)
			}
		}
	}
	return list + "\n)\n"
}

// write returns the statements of a call that print its result.
func (g goCall) write(r sampleRequest, rt httpd.Route) string {
	method, ok := reflect.TypeFor[*client.Client]().MethodByName(g.method)
	if !ok {
		panic("package client has no method " + g.method)
	}
	args := []string{"context.Background()"}
	for _, arg := range g.arguments(r, rt) {
		literal := goLiteral(reflect.ValueOf(arg))
		if name, isText := arg.(string); isText {
			literal = fmt.Sprintf("%q", name)
		}
		args = append(args, literal)
	}
	call := "c." + g.method + "(" + strings.Join(args, ", ") + ")"
	out := method.Type.Out(0)
	switch {
	case method.Type.NumOut() == 1 && out.Kind() == reflect.Func: // an iterator
		one := out.In(0).In(0)
		return fmt.Sprintf("for %s, err := range %s {%s%s}\n", goName(one), call, goFatal, goPrint(one, goName(one)))
	case method.Type.NumOut() == 1:
		return "if err := " + call + "; err != nil {\nlog.Fatal(err)\n}\n"
	}
	name := goName(out)
	if r.answer == saveFile && out.Kind() == reflect.Interface {
		return name + ", err := " + call + goFatal + "defer stream.Close()\n" +
			fmt.Sprintf("file, err := os.Create(%q)", r.saved()) + goFatal +
			"if _, err := io.Copy(file, stream); err != nil {\nlog.Fatal(err)\n}\n" +
			"if err := file.Close(); err != nil {\nlog.Fatal(err)\n}\n"
	}
	if r.answer == saveFile {
		return fmt.Sprintf("%s, err := %s%sif err := os.WriteFile(%q, %s, 0o600); err != nil {\nlog.Fatal(err)\n}\n",
			name, call, goFatal, r.saved(), name)
	}
	return name + ", err := " + call + goFatal + goPrint(out, name)
}

func (g goCall) arguments(r sampleRequest, rt httpd.Route) []any {
	if g.args != nil {
		return g.args
	}
	var args []any
	for segment := range strings.SplitSeq(rt.Path, "/") {
		if strings.HasPrefix(segment, "{") {
			name := strings.Trim(segment, "{.}")
			args = append(args, exampleParam(rt, &param{Name: name}))
		}
	}
	if r.body != nil {
		args = append(args, r.body)
	}
	return args
}

// goName returns the name of a variable for a result.
func goName(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Interface:
		return "stream"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return "data"
	case t.Kind() == reflect.Slice:
		return goName(t.Elem()) + "s"
	}
	words := regexp.MustCompile(`[A-Z]+[a-z]*`).FindAllString(t.Name(), -1)
	return strings.ToLower(words[len(words)-1])
}

// goPrint returns the statements that print a result: of an object, the member that tells most.
func goPrint(t reflect.Type, name string) string {
	switch {
	case t.Kind() == reflect.Interface:
		return "defer stream.Close()\nif _, err := io.Copy(os.Stdout, stream); err != nil {\nlog.Fatal(err)\n}\n"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return "fmt.Printf(\"%s\", " + name + ")\n"
	case t.Kind() == reflect.Slice:
		one := goName(t.Elem())
		return "for _, " + one + " := range " + name + " {\n" + goPrint(t.Elem(), one) + "}\n"
	case t.Kind() == reflect.Struct:
		for _, field := range []string{"Secret", "URL", "ID", "Name"} {
			if f, ok := t.FieldByName(field); ok {
				value := name + "." + f.Name
				if f.Type.Kind() == reflect.Pointer {
					value = "*" + value
				}
				return "fmt.Println(" + value + ")\n"
			}
		}
		if f, ok := t.FieldByName("Data"); ok {
			return "for _, " + goName(f.Type.Elem()) + " := range " + name + ".Data {\n" +
				goPrint(f.Type.Elem(), goName(f.Type.Elem())) + "}\n"
		}
		return "fmt.Printf(\"%+v\\n\", " + name + ")\n"
	}
	return "fmt.Println(" + name + ")\n"
}

// netHTTP returns the body of a program that uses net/http.
func (r sampleRequest) netHTTP() string {
	content, media := "nil", ""
	switch {
	case r.body != nil:
		content, media = "strings.NewReader(`"+inJSON.write(parsed(r.body), "")+"`)", "application/json"
	case r.filed || r.fields != nil:
		panic("the sample in Go for " + r.operation + " must be in goPrograms")
	}
	body := fmt.Sprintf("req, err := http.NewRequest(%q, os.Getenv(\"SLUICE_URL\")+%q, %s)%s",
		r.method, r.target, content, goFatal)
	if r.keyed {
		body += `req.Header.Set("Authorization", "Bearer "+os.Getenv("SLUICE_KEY"))` + "\n"
	}
	if media != "" {
		body += fmt.Sprintf("req.Header.Set(\"Content-Type\", %q)\n", media)
	}
	return body + `res, err := http.DefaultClient.Do(req)` + goFatal + `defer res.Body.Close()
body, err := io.ReadAll(res.Body)` + goFatal + `if res.StatusCode != ` + successOf(r) + ` {
	log.Fatalf("%s: %s", res.Status, body)
}
fmt.Printf("%s", body)
`
}

// successOf returns the status of the response to the example request.
func successOf(r sampleRequest) string {
	if r.filed && slices.Contains([]string{http.MethodPost, http.MethodPut}, r.method) {
		return "http.StatusCreated"
	}
	return "http.StatusOK"
}
