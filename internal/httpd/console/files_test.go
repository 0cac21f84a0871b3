package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// office is a server with a purpose that is strict, and a browser that is signed in with its key.
type office struct {
	*sluicetest.Server
	*browser
	t *testing.T
}

func newOffice(t *testing.T) office {
	t.Helper()
	s := sluicetest.NewServer(t)
	purposes := sluice.DefaultPurposes().List()
	s.SetPurposes(append(purposes, sluice.Purpose{
		Name: "contract", Title: "Contract", MaxSize: 1000, Types: []string{"application/pdf"}, Linkable: true,
		MaxLinkLifetime: time.Hour,
		Require:         []sluice.Requirement{sluice.RequireReason, sluice.RequireTerms, sluice.RequireRecipient},
	})...)
	s.Restart(t)
	b := newBrowser(t, s.URL)
	if a := b.signIn(s.Secret); a.StatusCode != 303 {
		t.Fatal(a.StatusCode, a.body)
	}
	return office{s, b, t}
}

// as is a browser that is signed in with a key that has some scopes.
func (o office) as(scopes ...sluice.Scope) office {
	o.t.Helper()
	_, secret := o.NewKey(o.t, o.Ledger(sluice.Test), scopes...)
	o.browser = newBrowser(o.t, o.URL)
	o.signIn(secret)
	return o
}

// file stores a file.
func (o office) file(n service.NewFile) sluice.File {
	o.t.Helper()
	created, err := o.Files.Create(context.Background(), service.Operator(o.Ledger(sluice.Test)), n.Purpose,
		strings.NewReader("content of "+n.Filename), func() (service.NewFile, error) { return n, nil })
	if err != nil {
		o.t.Fatal(err)
	}
	return created.File
}

// link mints a link to a file.
func (o office) link(n service.NewLink) sluice.Link {
	o.t.Helper()
	l, err := o.Links.Mint(context.Background(), service.Operator(o.Ledger(sluice.Test)), n)
	if err != nil {
		o.t.Fatal(err)
	}
	return l
}

// form is a form with a file, or without one if name is "".
func form(fields [][2]string, name, mediaType, content string) (contentType string, body []byte) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		_ = w.WriteField(f[0], f[1])
	}
	if name != "" {
		part, _ := w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {`form-data; name="file"; filename="` + name + `"`}, "Content-Type": {mediaType},
		})
		_, _ = io.WriteString(part, content) // to a buffer
	}
	_ = w.Close()
	return w.FormDataContentType(), b.Bytes()
}

// send posts a body as a form of a page of the console; headers may follow.
func (b *browser) send(path, contentType string, body io.Reader, headers ...string) answer {
	b.t.Helper()
	r, err := http.NewRequest("POST", b.base+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.do(r)
}

// at is what a page says is wrong with a field.
func (a answer) at(field string) string {
	m := regexp.MustCompile(`id="` + regexp.QuoteMeta(field) + `-wrong">([^<]*)<`).FindStringSubmatch(a.body)
	if m == nil {
		return ""
	}
	return m[1]
}

var fileRow = regexp.MustCompile(`<a href="/console/test/files/file_[^"]*"><bdi>([^<]*)</bdi>`)

// names are the files of a list.
func (a answer) names() (list []string) {
	for _, m := range fileRow.FindAllStringSubmatch(a.body, -1) {
		list = append(list, m[1])
	}
	return list
}

func TestFileList(t *testing.T) {
	o := newOffice(t)
	if a := o.get("/console/test/files"); !strings.Contains(a.body, "curl "+o.PublicURL()+"/v1/files") {
		t.Error("an empty list does not say how to fill it")
	}
	for i := range 30 {
		o.file(service.NewFile{Purpose: "report", Filename: fmt.Sprintf("file-%02d.pdf", i)})
	}
	f := o.file(service.NewFile{
		Purpose: "invoice", Filename: "a&b.csv", Title: "Third quarter", Linked: []sluice.Resource{{Type: "case", ID: "a:1"}},
	})
	gone := o.file(service.NewFile{Purpose: "report", Filename: "gone.pdf"})
	if _, err := o.Files.Delete(context.Background(), service.Operator(o.Ledger(sluice.Test)), gone.ID, nil); err != nil {
		t.Fatal(err)
	}

	for query, want := range map[string]string{
		"q=a%26b.csv": "a&amp;b.csv", "q=" + f.SHA256.String(): "a&amp;b.csv",
		"q=" + strings.ToUpper(f.SHA256.String()): "a&amp;b.csv",
		"title=Third+quarter":                     "a&amp;b.csv", "linked_resource=case:a:1": "a&amp;b.csv", "purpose=invoice": "a&amp;b.csv",
		"type=text/csv%3B+charset%3Dutf-8": "a&amp;b.csv",
		"status=deleted":                   "gone.pdf", "q=A%26B.csv": "", "from=2999-01-01": "", "to=1999-01-01": "", "least=1": "",
		"from=2000-01-01&most=0.1&purpose=invoice": "a&amp;b.csv",
	} {
		a := o.get("/console/test/files?" + query)
		if got := strings.Join(a.names(), " "); a.StatusCode != 200 || got != want {
			t.Errorf("%s: %d %q, want %q", query, a.StatusCode, got, want)
		}
	}
	if a := o.get("/console/test/files?q=" + f.ID); a.location() != "/console/test/files/"+f.ID {
		t.Errorf("an id leads to %q", a.location())
	}

	// Two pages, there and back.
	next := regexp.MustCompile(`href="([^"]*)" rel="(next|prev)"`)
	first := o.get("/console/test/files?purpose=report")
	if m := next.FindAllStringSubmatch(first.body, -1); len(m) != 1 || m[0][2] != "next" || len(first.names()) != 25 {
		t.Fatalf("the first page has %d files and leads to %q", len(first.names()), m)
	}
	follow := func(a answer, rel string) answer {
		t.Helper()
		for _, m := range next.FindAllStringSubmatch(a.body, -1) {
			if m[2] == rel {
				return o.get("/console/test/files" + strings.ReplaceAll(m[1], "&amp;", "&"))
			}
		}
		t.Fatalf("no page is %s", rel)
		return answer{}
	}
	second := follow(first, "next")
	if names := second.names(); len(names) != 5 || names[4] != "file-00.pdf" {
		t.Errorf("the second page has %q", names)
	}
	if back := follow(second, "prev"); !slices.Equal(back.names(), first.names()) {
		t.Errorf("back on the first page: %q", back.names())
	}

	for query, want := range map[string]string{
		"from=yesterday": "from", "to=2026-13-01": "to", "least=-1": "least", "most=1e99": "most", "linked_resource=x": "linked_resource",
	} {
		if a := o.get("/console/test/files?" + query); a.StatusCode != 200 || a.at("by-"+want) == "" {
			t.Errorf("%s: %d, nothing is wrong with %s", query, a.StatusCode, want)
		}
	}
	if a := o.get("/console/test/files?starting_after=file_0"); a.StatusCode != 200 || !strings.Contains(a.body, "The list cannot be shown") {
		t.Errorf("an unknown cursor: %d", a.StatusCode)
	}
}

func TestUpload(t *testing.T) {
	o := newOffice(t)
	stored := func() int { t.Helper(); return len(o.BlobKeys(t)) }

	// The names that a browser escapes, and the details.
	kind, body := form([][2]string{
		{"purpose", "attachment"}, {"title", "Third <b>quarter</b>"}, {"linked_resources", "case: 17\r\n\r\ninvoice:a:1"},
		{"metadata", "ticket = 4711\r\n"},
	}, "a%22b\u202e\"<script>.pdf", "application/pdf", "%PDF-")
	body = bytes.Replace(body, []byte("\u202e\"<"), []byte("\u202e<"), 1)
	a := o.send("/console/test/files", kind, bytes.NewReader(body))
	if a.StatusCode != 303 || !strings.HasSuffix(a.location(), "?did=file-uploaded") {
		t.Fatalf("%d to %q\n%s", a.StatusCode, a.location(), a.body)
	}
	a = o.get(a.location())
	for _, want := range []string{
		"a&#34;b[U&#43;202E]&lt;script&gt;.pdf", "Third &lt;b&gt;quarter&lt;/b&gt;", "case: 17", "invoice: a:1", "4711",
		"The file was uploaded.", "application/pdf",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page of the file lacks %q", want)
		}
	}
	if strings.Contains(a.body, "<script>.pdf") || strings.Contains(a.body, "\u202e") {
		t.Error("the page has the name as it is")
	}

	kind, body = form([][2]string{{"purpose", "attachment"}}, "b.txt", "text/plain", "text")
	a = o.send("/console/test/files", kind, bytes.NewReader(body), "Accept", "application/json")
	var created struct{ Path, Name string }
	if err := json.Unmarshal([]byte(a.body), &created); err != nil || a.StatusCode != 201 || created.Name != "b.txt" ||
		o.get(created.Path).StatusCode != 200 {
		t.Errorf("for the module: %d %s", a.StatusCode, a.body)
	}

	before := stored()
	long := strings.Repeat("x", 1000)
	for _, test := range []struct {
		name, field, want string
		fields            [][2]string
		file, mediaType   string
		content           string
	}{
		{"no file", "file", "Choose a file.", [][2]string{{"purpose", "attachment"}}, "", "", ""},
		{"no purpose", "purpose", "Purpose is required", nil, "a.pdf", "application/pdf", "x"},
		{"unknown purpose", "purpose", "There is no purpose", [][2]string{{"purpose", "<b>"}}, "a.pdf", "application/pdf", "x"},
		{"too large", "file", "larger than the 1000 bytes", [][2]string{{"purpose", "contract"}}, "a.pdf", "application/pdf", long + "x"},
		{"wrong type", "file", "does not allow image/gif", [][2]string{{"purpose", "contract"}}, "a.gif", "image/gif", "x"},
		{"long name", "", "Filename has more than 255 characters.", [][2]string{{"purpose", "attachment"}}, long, "text/plain", "x"},
		{"long title", "title", "more than 255", [][2]string{{"purpose", "attachment"}, {"title", long}}, "a", "text/plain", "x"},
		{"metadata", "metadata", "key=value", [][2]string{{"purpose", "attachment"}, {"metadata", "x"}}, "a", "text/plain", "x"},
		{"linked", "linked_resources", "type:id", [][2]string{{"purpose", "attachment"}, {"linked_resources", "x"}}, "a", "text/plain", "x"},
	} {
		kind, body := form(test.fields, test.file, test.mediaType, test.content)
		a := o.send("/console/test/files", kind, bytes.NewReader(body))
		says := a.at(test.field)
		if test.field == "" {
			says = a.body
		}
		if a.StatusCode < 400 || a.StatusCode >= 500 || !strings.Contains(says, test.want) ||
			!strings.Contains(a.body, "<title>Error: ") {
			t.Errorf("%s: %d %q", test.name, a.StatusCode, says)
		}
		a = o.send("/console/test/files", kind, bytes.NewReader(body), "Accept", "application/json")
		if kind := a.Header.Get("Content-Type"); a.StatusCode < 400 || kind != "application/problem+json" {
			t.Errorf("%s, for the module: %d %s", test.name, a.StatusCode, kind)
		}
	}
	for name, a := range map[string]answer{
		"no form":     o.send("/console/test/files", "text/plain", strings.NewReader("x")),
		"ended early": o.send("/console/test/files", kind, bytes.NewReader(body[:len(body)-30])),
		"large field": o.send("/console/test/files", "multipart/form-data; boundary=b", strings.NewReader(
			"--b\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\n"+strings.Repeat("x", 100<<10)+"\r\n--b--\r\n")),
		"many fields": o.send("/console/test/files", "multipart/form-data; boundary=b", strings.NewReader(
			strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n", 100)+"--b--\r\n")),
		"another site": o.send("/console/test/files", kind, bytes.NewReader(body), "Sec-Fetch-Site", "cross-site"),
		"no scope":     o.as(sluice.FilesRead).send("/console/test/files", kind, bytes.NewReader(body)),
	} {
		want := map[string]int{
			"no form": 415, "ended early": 400, "large field": 413, "many fields": 413, "another site": 403, "no scope": 403,
		}[name]
		if a.StatusCode != want {
			t.Errorf("%s: %d, want %d\n%s", name, a.StatusCode, want, a.body)
		}
	}
	if after := stored(); after != before {
		t.Errorf("refused uploads left %d blobs", after-before)
	}
}

// TestFileChanges holds, releases and deletes a file, also one that has changed meanwhile.
func TestFileChanges(t *testing.T) {
	o := newOffice(t)
	f := o.file(service.NewFile{Purpose: "report", Filename: "a.pdf"})
	page := "/console/test/files/" + f.ID
	held := url.Values{"held": {"true"}, "version": {f.Version()}}
	if a := o.post(page+"/hold", held); a.location() != page+"?did=file-held" {
		t.Fatalf("hold: %d\n%s", a.StatusCode, a.body)
	}
	if a := o.get(page + "?did=file-held"); !strings.Contains(a.body, "on hold") || strings.Contains(a.body, ">Delete<") {
		t.Error("the page of a held file can be deleted")
	}
	if a := o.post(page+"/hold", held); a.StatusCode != 412 || !strings.Contains(a.body, "The file was not changed") {
		t.Errorf("an old version: %d", a.StatusCode)
	}
	if a := o.post(page+"/delete", nil); a.StatusCode != 409 || !strings.Contains(a.body, "The file is held") {
		t.Errorf("deletion of a held file: %d", a.StatusCode)
	}
	if a := o.post(page+"/hold", url.Values{"held": {"false"}}); a.location() != page+"?did=file-released" {
		t.Fatalf("release: %d\n%s", a.StatusCode, a.body)
	}
	o.link(service.NewLink{FileID: f.ID})
	if a := o.get(page + "/delete"); !strings.Contains(a.body, "One link ends with it.") {
		t.Error("the question does not tell of the link")
	}
	if a := o.post(page+"/delete", nil); a.location() != page+"?did=file-deleted" {
		t.Fatalf("deletion: %d\n%s", a.StatusCode, a.body)
	}
	a := o.get(page)
	for _, want := range []string{`<span class="badge">deleted</span>`, "uploaded", "deleted this file", "ended with its file"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page of a deleted file lacks %q", want)
		}
	}
	if strings.Contains(a.body, "/share\"") || strings.Contains(a.body, "/hold\"") {
		t.Error("a deleted file can be changed")
	}
}

// TestConsoleScopes checks that each page needs its scope, and that pages show nothing that the person may not see.
func TestConsoleScopes(t *testing.T) {
	o := newOffice(t)
	f := o.file(service.NewFile{Purpose: "report", Filename: "a.pdf"})
	l := o.link(service.NewLink{FileID: f.ID, Reason: "the reason"})
	file, link := "/files/"+f.ID, "/links/"+l.ID
	for scope, pages := range map[sluice.Scope][]string{
		sluice.FilesRead:  {"GET /files", "GET " + file},
		sluice.FilesWrite: {"POST /files", "GET /files/upload", "POST " + file + "/hold", "GET " + file + "/delete", "POST " + file + "/delete"},
		sluice.LinksRead:  {"GET /links", "GET " + link},
		sluice.LinksWrite: {"GET " + file + "/share", "POST " + file + "/share", "GET " + link + "/end", "POST " + link + "/end", "POST " + link + "/expiry"},
	} {
		others := slices.DeleteFunc(sluice.AllScopes(), func(s sluice.Scope) bool { return s == scope })
		someone := o.as(others...)
		for _, page := range pages {
			method, path, _ := strings.Cut(page, " ")
			a := answer{}
			if method == "GET" {
				a = someone.get("/console/test" + path)
			} else {
				a = someone.post("/console/test"+path, nil)
			}
			if a.StatusCode != 403 || !strings.Contains(a.body, "lacks the scope "+string(scope)) {
				t.Errorf("%s without %s: %d", page, scope, a.StatusCode)
			}
		}
	}
	viewer := o.as(sluice.FilesRead)
	if a := viewer.get("/console/test" + file); strings.Contains(a.body, "the reason") || strings.Contains(a.body, `class="story"`) ||
		!strings.Contains(a.body, "Your role does not show links.") || strings.Contains(a.body, `href="/console/test/links"`) {
		t.Errorf("someone who may see files sees more:\n%s", a.body)
	}
	links := o.as(sluice.LinksRead)
	if a := links.get("/console/test/links"); strings.Contains(a.body, "a.pdf") || !strings.Contains(a.body, f.ID) {
		t.Error("someone who may see links sees the name of the file")
	}
	if a := links.get("/console/test" + link); a.StatusCode != 200 || strings.Contains(a.body, "a.pdf") {
		t.Errorf("the page of a link for someone who may not see files: %d", a.StatusCode)
	}
}
