package digitalriver_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// client sends requests to a server and validates every response against the schemas
// of Digital River's objects.
type client struct {
	*sluicetest.Server
	url, secret string
	schemas     *jsonschema.Compiler
}

func newClient(t *testing.T, adjust ...func(*server.Options)) *client {
	s := sluicetest.NewServer(t, adjust...)
	_, secret := s.NewKeyAs(
		t, s.Ledger(sluice.Test),
		service.NewKey{Name: "endless", Scopes: sluice.AllScopes(), MaxLinkLifetime: sluice.Forever},
	)
	return &client{s, s.URL + "/compat/digitalriver", secret, jsonschema.NewCompiler()}
}

// fits validates a document against a schema in testdata.
func (c *client) fits(t *testing.T, schema string, document []byte) {
	t.Helper()
	s, err := c.schemas.Compile(filepath.Join("testdata", "schemas", schema+".json"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		t.Errorf("%v in %s", err, document)
	}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// object is a JSON object in a response.
type object map[string]any

func (o object) text(name string) string {
	text, _ := o[name].(string)
	return text
}

// is fails unless the members of an object have the given values, formatted with %v.
func (o object) is(t *testing.T, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := fmt.Sprint(o[name]); got != value {
			t.Errorf("%s is %s, want %s", name, got, value)
		}
	}
}

func (c *client) do(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	u := c.url + path
	if strings.HasPrefix(path, "http") {
		u = path
	}
	req, err := http.NewRequest(method, u, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.secret)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Del(header[i])
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return c.read(t, method, u, resp)
}

// read reads a response and validates it against its schema.
func (c *client) read(t *testing.T, method, u string, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{resp.StatusCode, resp.Header, data}
	path, ours := strings.CutPrefix(u, c.url)
	if !ours {
		return a
	}
	if !strings.HasPrefix(resp.Header.Get("x-dr-requestid"), "req_") {
		t.Errorf("no request id: %v", resp.Header)
	}
	path, _, _ = strings.Cut(path, "?")
	switch {
	case method == "HEAD":
	case a.status >= 400:
		c.fits(t, "error", data)
	case method == "DELETE":
		if a.status != 204 || len(data) > 0 {
			t.Errorf("%d %q", a.status, data)
		}
	case strings.HasSuffix(path, "/content"):
	case path == "/files" && method == "GET":
		c.fits(t, "files", data)
	case path == "/file-links" && method == "GET":
		c.fits(t, "file-links", data)
	case strings.HasPrefix(path, "/files"):
		c.fits(t, "file", data)
	default:
		c.fits(t, "file-link", data)
	}
	return a
}

// want expects a status and a JSON object.
func (a answer) want(t *testing.T, status int) (o object) {
	t.Helper()
	if a.status != status {
		t.Fatalf("%d %s, want %d", a.status, a.body, status)
	}
	if len(a.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(a.body, &o); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return o
}

// fails expects an error; what is "code parameter" of each.
func (a answer) fails(t *testing.T, status int, kind string, what ...string) {
	t.Helper()
	var e struct {
		Type   string
		Errors []struct{ Code, Parameter, Message string }
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatalf("%v in %d %s", err, a.status, a.body)
	}
	var got []string
	for _, one := range e.Errors {
		got = append(got, strings.TrimSpace(one.Code+" "+one.Parameter))
	}
	if a.status != status || e.Type != kind || !slices.Equal(got, what) {
		t.Errorf("%d %s\nwant %d %s %q", a.status, a.body, status, kind, what)
	}
}

// list returns the ids of a page, and whether there are more.
func (c *client) list(t *testing.T, path string) (ids []string, more bool) {
	t.Helper()
	o := c.do(t, "GET", path, "").want(t, 200)
	for _, one := range o["data"].([]any) {
		ids = append(ids, one.(map[string]any)["id"].(string))
	}
	return ids, o["hasMore"].(bool)
}

func (c *client) listIs(t *testing.T, path string, want ...string) {
	t.Helper()
	if got, _ := c.list(t, path); !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", path, got, want)
	}
}

type field struct{ name, value string }

// form returns an upload with a named file, or in base64 if the name is empty.
func form(content string, fields ...field) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		if f.name != "file" {
			_ = w.WriteField(f.name, f.value)
			continue
		}
		head := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"`}}
		if f.value != "" {
			head.Set("Content-Disposition", `form-data; name="file"; filename="`+f.value+`"`)
		}
		part, _ := w.CreatePart(head)
		_, _ = io.WriteString(part, content)
	}
	w.Close()
	return b.String(), w.FormDataContentType()
}

func (c *client) upload(t *testing.T, content string, fields ...field) answer {
	t.Helper()
	body, contentType := form(content, fields...)
	return c.do(t, "POST", "/files", body, "Content-Type", contentType)
}

var invoice = field{"purpose", "customer_invoice"}

func (c *client) file(t *testing.T) string {
	t.Helper()
	return c.upload(t, "hello", invoice, field{"file", "a.pdf"}).want(t, 201).text("id")
}

// soon is an expiry that any key may set; the clock shows 05:06:07.89.
const soon = "2026-03-04T05:30:00Z"

func (c *client) link(t *testing.T, file, expires string) object {
	t.Helper()
	return c.do(t, "POST", "/file-links", fmt.Sprintf(`{"fileId":%q,"expiresTime":%q}`, file, expires)).want(t, 201)
}

// send writes a request in testdata to a connection. It replaces names in braces, and
// ends lines with CRLF.
func (c *client) send(t *testing.T, name string, names map[string]string) answer {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "requests", name+".http"))
	if err != nil {
		t.Fatal(err)
	}
	pairs := []string{"\n", "\r\n", "{host}", strings.TrimPrefix(c.URL, "http://"), "{key}", c.secret}
	for name, value := range names {
		pairs = append(pairs, "{"+name+"}", value)
	}
	head, body, _ := strings.Cut(
		strings.NewReplacer(pairs...).Replace(strings.TrimSuffix(string(data), "\n")+"\n"),
		"\r\n\r\n",
	)
	if !strings.Contains(head, "multipart") {
		body = strings.TrimSuffix(body, "\r\n")
	}
	head = strings.Replace(head, "{length}", fmt.Sprint(len(body)), 1)
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, head+"\r\n\r\n"+body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	method, rest, _ := strings.Cut(head, " ")
	path, _, _ := strings.Cut(rest, " ")
	return c.read(t, method, c.url+path, resp)
}

// TestRequests sends the requests of Digital River's client library for PHP, and
// checks all members that the library reads.
func TestRequests(t *testing.T) {
	c := newClient(t)
	oldest := c.file(t)
	c.Clock.Advance(time.Millisecond)
	made := c.send(t, "create-file-form", nil).want(t, 201)
	file := made.text("id")
	made.is(t, map[string]string{
		"createdTime": "2026-03-04T05:06:07Z", "fileName": "invoice.pdf", "purpose": "customer_invoice",
		"title": "Your invoice", "size": "14", "type": "pdf",
		"url": c.URL + "/compat/digitalriver/files/" + file + "/content", "liveMode": "false",
	})
	born := object(made["links"].([]any)[0].(map[string]any))
	born.is(
		t,
		map[string]string{
			"createdTime": "2026-03-04T05:06:07Z",
			"expired":     "false",
			"expiresTime": "2026-03-04T06:06:07Z",
			"fileId":      file,
			"liveMode":    "false",
		},
	)
	memo := c.send(t, "create-file-base64", nil).want(t, 201)
	memo.is(
		t,
		map[string]string{"fileName": "memo.pdf", "purpose": "customer_credit_memo", "size": "14", "type": "pdf"},
	)
	image := c.send(t, "create-file-json", nil).want(t, 201)
	image.is(
		t,
		map[string]string{
			"fileName": "exemption.png",
			"title":    "Exemption",
			"purpose":  "tax_document_customer_upload",
			"size":     "8",
			"type":     "png",
		},
	)
	if memo["links"] != nil || image["links"] != nil {
		t.Errorf("got links that were not requested: %v %v", memo, image)
	}

	names := map[string]string{"file": file, "other": memo.text("id"), "last": oldest}
	ids := func(a answer) (ids []string) {
		for _, one := range a.want(t, 200)["data"].([]any) {
			ids = append(ids, one.(map[string]any)["id"].(string))
		}
		slices.Sort(ids)
		return ids
	}
	equal := func(got []string, want ...string) {
		t.Helper()
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	equal(ids(c.send(t, "list-files", names)), file)
	equal(ids(c.send(t, "list-files-numbered", names)), file, memo.text("id"))
	equal(ids(c.send(t, "list-files-bracketed", names)), file, memo.text("id"))
	if got := c.send(t, "get-file", names).want(t, 200); fmt.Sprint(got) != fmt.Sprint(made) {
		t.Errorf("%v, want %v", got, made)
	}
	if a := c.send(t, "get-content", names); a.status != 200 || string(a.body) != "%PDF-1.7 hello" {
		t.Errorf("%d %q", a.status, a.body)
	}
	names["file"] = memo.text("id")
	if a := c.send(t, "get-content", names); a.status != 200 || string(a.body) != "%PDF-1.7 hello" {
		t.Errorf("content uploaded in base64: %d %q", a.status, a.body)
	}

	c.Clock.Advance(time.Second)
	l := c.send(t, "create-link", names).want(t, 201)
	names["link"] = l.text("id")
	l.is(t, map[string]string{
		"createdTime": "2026-03-04T05:06:08Z", "expired": "false", "expiresTime": "2026-03-04T06:06:07Z",
		"fileId": memo.text("id"), "liveMode": "false",
		"metadata": "map[count:7 order:6735 paid:true]",
	})
	if got := c.send(t, "get-link", names).want(t, 200); fmt.Sprint(got) != fmt.Sprint(l) {
		t.Errorf("%v, want %v", got, l)
	}
	equal(ids(c.send(t, "list-links-good", names)), l.text("id"))
	equal(ids(c.send(t, "list-links-expired", names)))
	updated := c.send(t, "update-link", names).want(t, 200)
	updated.is(t, map[string]string{"id": l.text("id"), "url": l.text("url"), "expiresTime": "2026-03-04T08:00:00Z"})
	if a := c.do(t, "GET", l.text("url"), "", "Authorization", ""); a.status != 200 ||
		string(a.body) != "%PDF-1.7 hello" {
		t.Errorf("%d %q", a.status, a.body)
	}
	c.Clock.Advance(3 * time.Hour)
	equal(ids(c.send(t, "list-links-good", names)))
	equal(ids(c.send(t, "list-links-expired", names)), l.text("id"))
	c.send(t, "update-link", names).fails(t, 409, "conflict", "restricted_update")
	c.send(t, "delete-link", names).want(t, 204)
	c.send(t, "delete-link", names).fails(t, 404, "not_found", "not_found id")
	c.send(t, "delete-file", names).want(t, 204)
	c.send(t, "delete-file", names).fails(t, 404, "not_found", "not_found id")
}

// TestPages pages through long lists in both directions, like auto-pagination.
func TestPages(t *testing.T) {
	c := newClient(t)
	const count = 255
	var files, links []string
	for i := range count {
		purpose := []string{"customer_invoice", "customer_credit_memo", "tax_document_customer_upload"}[i%3]
		files = append(
			[]string{
				c.upload(
					t, "x",
					field{"purpose", purpose},
					field{"file", fmt.Sprint(i, ".pdf")},
				).want(
					t, 201,
				).text(
					"id",
				),
			},
			files...)
		c.do(t, "PUT", c.URL+"/v1/files?purpose=report", "x", "Content-Type", "").want(t, 201) // not visible in Digital River's lists
		c.Clock.Advance(time.Millisecond)
	}
	for range count {
		links = append([]string{c.link(t, files[0], "2027-01-01T00:00:00Z").text("id")}, links...)
		c.Clock.Advance(time.Millisecond)
	}
	for path, all := range map[string][]string{"/files": files, "/file-links": links} {
		for _, limit := range []int{0, 100} {
			size, query := 10, "?"
			if limit > 0 {
				size, query = limit, fmt.Sprintf("?limit=%d&", limit)
			}
			var down, up []string
			for page, more := c.list(t, path+query); ; page, more = c.list(t, path+query+"startingAfter="+down[len(down)-1]) {
				if down = append(down, page...); !more {
					break
				}
				if len(page) != size {
					t.Errorf("%s: a page of %d", path+query, len(page))
				}
			}
			up = []string{all[count-1]}
			for more := true; more; {
				var page []string
				page, more = c.list(t, path+query+"endingBefore="+up[0])
				up = append(page, up...)
			}
			if !slices.Equal(down, all) || !slices.Equal(up, all) {
				t.Errorf("%s: %d down, %d up, want %d", path+query, len(down), len(up), count)
			}
		}
	}
	var invoices []string
	for i, id := range files {
		if (count-1-i)%3 == 0 {
			invoices = append(invoices, id)
		}
	}
	c.listIs(t, "/files?limit=100&purpose=customer_invoice", invoices...)
}

// TestFilters narrows lists by every parameter.
func TestFilters(t *testing.T) {
	c := newClient(t)
	a := c.upload(t, "hello", invoice, field{"file", "a.pdf"}, field{"title", "A"}).want(t, 201).text("id")
	c.Clock.Advance(1500 * time.Millisecond)
	b := c.upload(t, "a,b\n", field{"purpose", "customer_credit_memo"}, field{"file", "b.csv"}).want(t, 201).text("id")
	c.Clock.Advance(time.Second)
	n := c.upload(t, "notes", field{"purpose", "customer_credit_memo"}, field{"file", "n.txt"}).want(t, 201).text("id")
	for query, want := range map[string][]string{
		"purpose=customer_invoice": {a}, "purpose=tax_document_customer_upload": nil, "fileName=b.csv": {b},
		"title=A":  {a},
		"type=pdf": {a}, "type=csv": {b}, "type=txt": {n}, "type=TXT": {n}, "type=png": nil, "type=nosuch": nil,
		"size=5": {n, a}, "size[gt]=4": {n, a}, "size[gte]=4&size[lt]=5": {b}, "size[lte]=4": {b},
		"createdTime=2026-03-04T05:06:07Z": {a}, "createdTime=2026-03-04T06:06:09%2B01:00": {b},
		"createdTime[0]=2026-03-04T05:06:07Z":  {a},
		"createdTime[gt]=2026-03-04T05:06:07Z": {n, b}, "createdTime[gte]=2026-03-04T05:06:09Z": {n, b},
		"createdTime[lt]=2026-03-04T05:06:09Z":                                      {a},
		"createdTime[lte]=2026-03-04T05:06:09Z":                                     {b, a},
		"createdTime[gt]=2026-03-04T05:06:07Z&createdTime[lt]=2026-03-04T05:06:10Z": {b},
		"ids=" + a + "&ids=" + n:                                                    {n, a}, "ids=" + a + "," + n: {n, a}, "ids[0]=" + a + "&ids[1]=" + n: {n, a},
		"ids[]=" + a:         {a},
		"0=" + a + "&1=" + n: {n, a}, "ids=file_none": nil, "limit=1": {n}, "startingAfter=" + b: {a},
		"endingBefore=" + b:                         {n},
		"endingBefore=" + b + "&startingAfter=" + b: {n}, "endingBefore=" + b + "&startingAfter=file_none": {n},
		"": {n, b, a},
	} {
		t.Run(query, func(t *testing.T) { c.listIs(t, "/files?"+query, want...) })
	}

	early := c.link(t, a, soon).text("id")
	c.Clock.Advance(time.Second)
	later := c.link(t, a, "2026-03-05T00:00:00Z").text("id")
	other := c.link(t, b, "2026-03-05T00:00:00Z").text("id")
	c.do(t, "DELETE", "/files/"+b, "").want(t, 204)
	c.Clock.Advance(time.Hour)
	sorted := []string{later, other}
	slices.Sort(sorted)
	slices.Reverse(sorted)
	for query, want := range map[string][]string{
		"fileId=" + a: {later, early}, "fileId=" + b: {other}, "expired=false": {later}, "expired=0": {later},
		"expired=true&fileId=" + a: {early}, "expired=1&fileId=" + b: {other}, "ids=" + early: {early},
		"0=" + early: {early}, "limit=2": sorted,
		"createdTime[lt]=2026-03-04T05:06:11Z": {early}, "createdTime=2026-03-04T05:06:10Z": {early},
		"createdTime[gt]=2026-03-04T05:06:11Z": nil,
	} {
		t.Run(query, func(t *testing.T) { c.listIs(t, "/file-links?"+query, want...) })
	}
}

// TestBadInput sends invalid requests.
func TestBadInput(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	link := c.link(t, file, soon).text("id")
	one := "POST /file-links/" + link
	make := func(more string) string { return `{"fileId":"` + file + `","expiresTime":"` + soon + `"` + more + `}` }
	const links, files, param, format, bad = "POST /file-links", "POST /files", "invalid_parameter ", "invalid_format ", "bad_request"
	json := func(more string) string { return `{"purpose":"customer_invoice","fileName":"a.pdf"` + more + `}` }
	for _, b := range []struct {
		request, body string
		status        int
		kind          string
		what          []string
	}{
		{links, "", 400, bad, []string{"missing_parameter fileId", "missing_parameter expiresTime"}},
		{links, "{", 400, bad, []string{"invalid_parameter"}},
		{links, "[]", 400, bad, []string{"invalid_parameter"}},
		{links, `{"fileId":"","expiresTime":""}`, 400, bad, []string{"missing_parameter fileId", "missing_parameter expiresTime"}},
		{links, `{"fileId":7,"expiresTime":null}`, 400, bad, []string{format + "fileId", format + "expiresTime"}},
		{links, make(`,"colour":"red"`), 400, bad, []string{"unknown_parameter colour"}},
		{links, `{"fileId":"` + file + `","expiresTime":"soon"}`, 400, bad, []string{format + "expiresTime"}},
		{links, `{"fileId":"` + file + `","expiresTime":"2020-04-25T20:36:00Z"}`, 400, bad, []string{param + "expiresTime"}},
		{links, `{"fileId":"file_none","expiresTime":"` + soon + `"}`, 400, bad, []string{param + "fileId"}},
		{links, make(`,"metadata":"text"`), 400, bad, []string{format + "metadata"}},
		{links, make(`,"metadata":{"a":{}}`), 400, bad, []string{"invalid_metadata_value metadata.a"}},
		{links, make(`,"metadata":{"a":null}`), 400, bad, []string{"invalid_metadata_value metadata.a"}},
		{links, make(`,"metadata":{"a b":"x"}`), 400, bad, []string{"invalid_metadata_key metadata.a b"}},
		{links, make(`,"metadata":{"sluice_a":"x"}`), 400, bad, []string{"invalid_metadata_key metadata.sluice_a"}},
		{links, make(`,"metadata":{"a.b":"` + strings.Repeat("x", 501) + `"}`), 400, bad, []string{"invalid_metadata_value metadata.a.b"}},
		{links, make(`,"metadata":{"a":"\u0000"}`), 400, bad, []string{"invalid_metadata_value metadata.a"}},
		{links, make(`,"metadata":{` + pairs(21) + `}`), 400, bad, []string{"too_many_metadata_pairs metadata"}},
		{links, make(`,"x":"` + strings.Repeat("x", 300<<10) + `"`), 400, bad, []string{"invalid_parameter"}},
		{one, "{}", 400, bad, []string{"missing_parameter expiresTime"}},
		{one, `{"expiresTime":"2020-04-25T20:36:00Z"}`, 400, bad, []string{param + "expiresTime"}},
		{one, `{"expiresTime":"` + soon + `","metadata":{}}`, 400, bad, []string{"unknown_parameter metadata"}},
		{"POST /file-links/link_none", `{"expiresTime":"` + soon + `"}`, 404, "not_found", []string{"not_found id"}},
		{"GET /file-links/link_none", "", 404, "not_found", []string{"not_found id"}},
		{"GET /file-links/%00", "", 404, "not_found", []string{"not_found id"}},
		{"DELETE /file-links/" + file, "", 404, "not_found", []string{"not_found id"}},
		{"GET /files/file_none", "", 404, "not_found", []string{"not_found id"}},
		{"GET /files/file_none/content", "", 404, "not_found", []string{"not_found id"}},
		{"DELETE /files/file_none", "", 404, "not_found", []string{"not_found id"}},
		{"GET /files/" + file + "?colour=red", "", 400, bad, []string{"unknown_parameter colour"}},
		{"GET /files?limit=0", "", 400, bad, []string{param + "limit"}},
		{"GET /files?limit=101", "", 400, bad, []string{param + "limit"}},
		{"GET /files?limit=", "", 400, bad, []string{param + "limit"}},
		{"GET /files?startingAfter=file_none", "", 400, bad, []string{param + "startingAfter"}},
		{"GET /files?endingBefore=" + link, "", 400, bad, []string{param + "endingBefore"}},
		{"GET /files?purpose=report", "", 400, bad, []string{param + "purpose"}},
		{"GET /files?size=big", "", 400, bad, []string{param + "size"}},
		{"GET /files?size[gte]=-1", "", 400, bad, []string{param + "size[gte]"}},
		{"GET /files?createdTime=yesterday", "", 400, bad, []string{param + "createdTime"}},
		{"GET /files?createdTime[near]=2026-03-04T05:06:07Z", "", 400, bad, []string{"unknown_parameter createdTime[near]"}},
		{"GET /files?ids=a,,b", "", 400, bad, []string{param + "ids"}},
		{"GET /files?ids=" + strings.Repeat("a,", 100) + "a", "", 400, bad, []string{param + "ids"}},
		{"GET /files?fileName=", "", 400, bad, []string{param + "fileName"}},
		{"GET /files?expired=true", "", 400, bad, []string{"unknown_parameter expired"}},
		{"GET /file-links?expired=yes", "", 400, bad, []string{param + "expired"}},
		{"GET /file-links?fileId=file_none", "", 400, bad, []string{param + "fileId"}},
		{"GET /file-links?title=%zz", "", 400, bad, []string{param + "title"}},
		{files, json(""), 400, bad, []string{"missing_parameter file"}},
		{files, `{}`, 400, bad, []string{"missing_parameter purpose", param + "purpose", "missing_parameter fileName", "missing_parameter file"}},
		{files, json(`,"file":"$"`), 400, bad, []string{format + "file"}},
		{files, json(`,"file":"aGVsbG8"`), 400, bad, []string{format + "file"}},
		{files, json(`,"file":7`), 400, bad, []string{format + "file"}},
		{files, json(`,"file":"aGVsbG8=","colour":1`), 400, bad, []string{"unknown_parameter colour"}},
		{files, json(`,"file":"aGVsbG8=","linkExpiresTime":"soon"`), 400, bad, []string{format + "linkExpiresTime"}},
		{files, json(`,"file":"aGVsbG8=","linkExpiresTime":"2020-04-25T20:36:00Z"`), 400, bad, []string{param + "linkExpiresTime"}},
		{files, `{"purpose":"report","fileName":"a","file":"aGVsbG8="}`, 400, bad, []string{param + "purpose"}},
		{files, `{"x":"` + strings.Repeat("x", 17<<20) + `"}`, 400, bad, []string{"invalid_parameter"}},
		{"PUT /files/" + file, "", 405, "method_not_allowed", []string{"method_not_allowed"}},
		{"PATCH /file-links/" + link, "{}", 405, "method_not_allowed", []string{"method_not_allowed"}},
		{"GET /nothing", "", 404, "not_found", []string{"not_found"}},
		{"GET //files", "", 404, "not_found", []string{"not_found"}},
	} {
		t.Run(fmt.Sprintf("%.70s %.60s", b.request, b.body), func(t *testing.T) {
			method, path, _ := strings.Cut(b.request, " ")
			c.do(t, method, path, b.body).fails(t, b.status, b.kind, b.what...)
		})
	}
	c.do(
		t, "POST", "/file-links", "fileId=1", "Content-Type", "application/x-www-form-urlencoded",
	).fails(
		t, 400, bad, "invalid_format",
	)
	c.do(t, "POST", "/file-links", make(""), "Content-Encoding", "gzip").fails(t, 400, bad, "invalid_format")
	c.do(t, "GET", "/files/"+file+"/content", "", "Range", "bytes=9-").fails(t, 416, bad, "invalid_parameter")
	if l := c.do(t, "POST", "/file-links", make(`,"metadata":{`+pairs(20)+`}`)).want(t, 201); len(
		l["metadata"].(map[string]any),
	) != 20 {
		t.Errorf("%v", l)
	}
	_, brief := c.NewKey(t, c.Ledger(sluice.Test))
	c.do(
		t, "POST", "/file-links",
		`{"fileId":"`+file+`","expiresTime":"2036-01-01T00:00:00Z"}`,
		"Authorization", "Bearer "+brief,
	).fails(
		t, 400, bad, param+"expiresTime",
	)
	if keys := c.BlobKeys(t); len(keys) != 1 {
		t.Errorf("failed uploads left %q behind", keys)
	}
}

func pairs(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"k%d":"v"`, i))
	}
	return strings.Join(list, ",")
}

func TestBadUploads(t *testing.T) {
	c := newClient(t)
	file := field{"file", "a.pdf"}
	for name, b := range map[string]struct {
		content string
		fields  []field
		what    []string
	}{
		"nothing":               {"", nil, []string{"missing_parameter file", "missing_parameter purpose"}},
		"no purpose":            {"x", []field{file}, []string{"missing_parameter purpose"}},
		"unknown purpose":       {"x", []field{{"purpose", "fun"}, file}, []string{"invalid_parameter purpose"}},
		"purpose of others":     {"x", []field{file, {"purpose", "report"}}, []string{"invalid_parameter purpose"}},
		"unknown field":         {"x", []field{invoice, file, {"colour", "red"}}, []string{"unknown_parameter colour"}},
		"long field":            {"x", []field{invoice, file, {"title", strings.Repeat("x", 5000)}}, []string{"invalid_parameter title"}},
		"long title":            {"x", []field{invoice, file, {"title", strings.Repeat("x", 256)}}, []string{"invalid_parameter title"}},
		"long file name":        {"x", []field{invoice, file, {"fileName", strings.Repeat("x", 256)}}, []string{"invalid_parameter fileName"}},
		"link at no time":       {"x", []field{invoice, file, {"linkExpiresTime", "soon"}}, []string{"invalid_format linkExpiresTime"}},
		"link in the past":      {"x", []field{invoice, file, {"linkExpiresTime", "2020-01-01T00:00:00Z"}}, []string{"invalid_parameter linkExpiresTime"}},
		"base64 without a name": {"aGVsbG8=", []field{invoice, {"file", ""}}, []string{"missing_parameter fileName"}},
		"no base64":             {"hello!", []field{invoice, {"file", ""}, {"fileName", "a.pdf"}}, []string{"invalid_format file"}},
		"half of a base64":      {"aGVsbG8", []field{invoice, {"file", ""}, {"fileName", "a.pdf"}}, []string{"invalid_format file"}},
	} {
		t.Run(name, func(t *testing.T) { c.upload(t, b.content, b.fields...).fails(t, 400, "bad_request", b.what...) })
	}
	body, contentType := form("hello", invoice, file)
	c.do(
		t, "POST", "/files", body[:len(body)-20], "Content-Type", contentType,
	).fails(
		t, 400, "bad_request", "invalid_parameter",
	)
	c.do(t, "POST", "/files", "x", "Content-Type", "text/plain").fails(t, 400, "bad_request", "invalid_format")
	if keys := c.BlobKeys(t); len(keys) != 0 {
		t.Errorf("failed uploads left %q behind", keys)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	lines := base64.StdEncoding.EncodeToString(large)
	broken := strings.Join(slices.Collect(chunks(lines, 76)), "\r\n")
	f := c.upload(t, broken, field{"fileName", "big.pdf"}, invoice, field{"file", ""}).want(t, 201)
	if a := c.do(t, "GET", f.text("url"), ""); !bytes.Equal(a.body, large) {
		t.Errorf("got %d bytes", len(a.body))
	}
}

func chunks(s string, n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for ; len(s) > n; s = s[n:] {
			if !yield(s[:n]) {
				return
			}
		}
		yield(s)
	}
}

// TestWhoMay requests every route without a key, with invalid keys, with a key of
// the other mode, and with keys that lack the scope.
func TestWhoMay(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	link := c.link(t, file, soon).text("id")
	_, live := c.NewKey(t, c.Ledger(sluice.Live))
	_, auditor := c.NewKey(t, c.Ledger(sluice.Test), sluice.AuditRead)
	encoded := `{"purpose":"customer_invoice","fileName":"a.pdf","file":"aGVsbG8="}`
	for _, r := range []struct {
		method, path, body string
		foreign            int // status for a key of the other mode
	}{
		{"POST", "/files", encoded, 201},
		{"GET", "/files", "", 200},
		{"GET", "/files/" + file, "", 404},
		{"GET", "/files/" + file + "/content", "", 404},
		{"DELETE", "/files/" + file, "", 404},
		{"POST", "/file-links", `{"fileId":"` + file + `","expiresTime":"` + soon + `"}`, 400},
		{"GET", "/file-links", "", 200},
		{"GET", "/file-links/" + link, "", 404},
		{"POST", "/file-links/" + link, `{"expiresTime":"` + soon + `"}`, 404},
		{"DELETE", "/file-links/" + link, "", 404},
	} {
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			for _, bad := range []string{"", "Bearer", "Bearer sk_test_x", "Basic !!!"} {
				a := c.do(t, r.method, r.path, r.body, "Authorization", bad)
				a.fails(t, 401, "unauthorized", "unauthorized")
				if a.header.Get("WWW-Authenticate") == "" {
					t.Error("no WWW-Authenticate")
				}
			}
			c.do(
				t, r.method, r.path, r.body, "Authorization", "Bearer "+auditor,
			).fails(
				t, 403, "forbidden", "forbidden",
			)
			if a := c.do(t, r.method, r.path, r.body, "Authorization", "Bearer "+live); a.status != r.foreign {
				t.Errorf("with a live key: %d %s", a.status, a.body)
			}
		})
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(c.secret+":"))
	c.do(t, "GET", "/files/"+file, "", "Authorization", basic).want(t, 200)
	_, reader := c.NewKey(t, c.Ledger(sluice.Test), sluice.FilesRead)
	if f := c.do(t, "GET", "/files/"+file, "", "Authorization", "Bearer "+reader).want(t, 200); f["links"] != nil {
		t.Errorf("got links with a key that may not read them: %v", f)
	}
}

// TestOtherFaces creates objects with each API and reads them with the others.
func TestOtherFaces(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	for _, u := range []string{"/v1/files/", "/compat/stripe/v1/files/", "/compat/metorial/files/"} {
		if f := c.do(t, "GET", c.URL+u+file, "", "Content-Type", "").want(t, 200); f["id"] != file {
			t.Errorf("%s: %v", u, f)
		}
	}
	native := c.do(
		t, "PUT", c.URL+"/v1/files?purpose=customer_invoice&filename=n.pdf", "%PDF", "Content-Type", "",
	).want(
		t, 201,
	).text(
		"id",
	)
	c.do(t, "GET", "/files/"+native, "").want(t, 200).is(t, map[string]string{"fileName": "n.pdf", "type": "pdf"})

	// A file whose purpose Digital River does not know is not visible, but its links are.
	hidden := c.do(
		t, "PUT", c.URL+"/v1/files?purpose=report&filename=r.pdf", "hello", "Content-Type", "",
	).want(
		t, 201,
	).text(
		"id",
	)
	for method, path := range map[string]string{"GET": "/files/" + hidden, "DELETE": "/files/" + hidden, "HEAD": "/files/" + hidden + "/content"} {
		if a := c.do(t, method, path, ""); a.status != 404 {
			t.Errorf("%s %s: %d", method, path, a.status)
		}
	}
	if ids, _ := c.list(t, "/files"); slices.Contains(ids, hidden) {
		t.Errorf("%v", ids)
	}
	l := c.do(t, "POST", c.URL+"/compat/metorial/files/"+hidden+"/links", "{}").want(t, 200).text("id")
	got := c.do(t, "GET", "/file-links/"+l, "").want(t, 200)
	if at, given := got["expiresTime"]; given || got["fileId"] != hidden || got["expired"] != false {
		t.Errorf("%v %v", at, got)
	}
	c.listIs(t, "/file-links", l)

	// The header selects the adapter too, and a revoked link is gone in every API.
	c.do(t, "DELETE", c.URL+"/file-links/"+l, "", "DigitalRiver-Version", "2021-12-13").want(t, 204)
	if a := c.do(t, "GET", c.URL+"/v1/file_links/"+l, "", "Content-Type", ""); a.status != 404 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := c.do(t, "GET", got.text("url"), "", "Authorization", ""); a.status != 410 {
		t.Errorf("%d", a.status)
	}
	held := c.file(t)
	c.do(t, "PATCH", c.URL+"/v1/files/"+held, `{"held":true}`).want(t, 200)
	c.do(t, "DELETE", "/files/"+held, "").fails(t, 409, "conflict", "restricted_update")
}

// TestLinksOfFile checks that a file includes its newest links, even if they have
// expired.
func TestLinksOfFile(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	var made []string
	for range 11 {
		c.Clock.Advance(time.Second)
		made = append(made, c.link(t, file, soon).text("id"))
	}
	links := c.do(t, "GET", "/files/"+file, "").want(t, 200)["links"].([]any)
	if len(links) != 10 || links[0].(map[string]any)["id"] != made[10] {
		t.Errorf("%v", links)
	}
	c.do(t, "DELETE", "/files/"+file, "").want(t, 204)
	c.do(t, "GET", "/files/"+file, "").fails(t, 404, "not_found", "not_found id")
	c.do(t, "GET", "/file-links/"+made[0], "").want(t, 200).is(t, map[string]string{"expired": "true"})
	c.do(t, "POST", "/file-links/"+made[0], `{"expiresTime":"`+soon+`"}`).fails(t, 409, "conflict", "restricted_update")
	c.do(
		t, "POST", "/file-links",
		`{"fileId":"`+file+`","expiresTime":"`+soon+`"}`,
	).fails(
		t, 400, "bad_request", "invalid_parameter fileId",
	)
}

// TestIdempotency repeats requests with Idempotency-Key.
func TestIdempotency(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	link := c.link(t, file, soon).text("id")
	encoded := `{"purpose":"customer_invoice","fileName":"a.pdf","file":"aGVsbG8=","linkExpiresTime":"` + soon + `"}`
	for i, r := range []struct{ method, path, body string }{
		{"POST", "/files", encoded},
		{"POST", "/files", strings.Replace(encoded, "aGVsbG8=", "aGVsbG8", 1)},
		{"POST", "/file-links", `{"fileId":"` + file + `","expiresTime":"` + soon + `"}`},
		{"DELETE", "/file-links/" + link, ""},
		{"DELETE", "/files/" + file, ""},
	} {
		var first answer
		for n := range 3 {
			a := c.do(t, r.method, r.path, r.body, "Idempotency-Key", fmt.Sprint("k", i))
			if n == 0 {
				first = a
			}
			if a.status != first.status || !bytes.Equal(a.body, first.body) {
				t.Errorf("%s %s: %d %s, first %d %s", r.method, r.path, a.status, a.body, first.status, first.body)
			}
			c.Clock.Advance(time.Second)
		}
	}
	c.do(
		t, "POST", "/files",
		strings.Replace(encoded, "a.pdf", "b.pdf", 1),
		"Idempotency-Key", "k0",
	).fails(
		t, 409, "conflict", "conflict",
	)
	if keys := c.BlobKeys(t); len(keys) != 1 {
		t.Errorf("bytes are stored for %q", keys)
	}
}

// TestRateLimit counts the requests of a key.
func TestRateLimit(t *testing.T) {
	c := newClient(t, func(o *server.Options) { o.Rates = map[sluice.Mode]httpd.Rate{sluice.Test: {PerMinute: 1}} })
	c.do(t, "GET", "/files", "").want(t, 200)
	a := c.do(t, "GET", "/files", "")
	a.fails(t, 429, "too_many_requests", "too_many_requests")
	if a.header.Get("Retry-After") == "" {
		t.Errorf("%v", a.header)
	}
}

// TestContentNeedsScope requests bytes with keys that may only read the record.
func TestContentNeedsScope(t *testing.T) {
	c := newClient(t)
	path := "/files/" + c.file(t) + "/content"
	for want, scopes := range map[int][]sluice.Scope{
		403: {sluice.FilesRead, sluice.FilesWrite, sluice.LinksRead, sluice.LinksWrite},
		200: {sluice.FilesRead, sluice.FilesContent},
	} {
		_, secret := c.NewKey(t, c.Ledger(sluice.Test), scopes...)
		if a := c.do(t, "GET", path, "", "Authorization", "Bearer "+secret); a.status != want {
			t.Errorf("%v: %d %s", scopes, a.status, a.body)
		}
	}
}

// TestPurposeThatRequiresRecipients checks that Digital River's clients get no links to files whose purpose requires
// what Digital River's API does not know.
func TestPurposeThatRequiresRecipients(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	c.SetPurposes(sluice.Purpose{
		Name: "customer_invoice", MaxSize: 100, Linkable: true, Require: []sluice.Requirement{sluice.RequireTerms},
	})
	c.Restart(t)
	a := c.do(t, "POST", "/file-links", fmt.Sprintf(`{"fileId":%q,"expiresTime":%q}`, file, soon))
	if a.status != 400 || !strings.Contains(string(a.body), "need terms") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
