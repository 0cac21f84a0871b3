package stripe_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// client sends requests like Stripe's client libraries.
type client struct {
	*sluicetest.Server
	url, secret string
}

func newClient(t *testing.T, adjust ...func(*server.Options)) *client {
	s := sluicetest.NewServer(t, adjust...)
	_, secret := s.NewKeyAs(
		t, s.Ledger(sluice.Test),
		service.NewKey{Name: "endless", Scopes: sluice.AllScopes(), MaxLinkLifetime: sluice.Forever},
	)
	return &client{s, s.URL + "/compat/stripe", secret}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// failure is the error in a response.
type failure struct {
	Code, Message, Param, Type string
	DocURL                     string `json:"doc_url"`
}

// object is a JSON object in a response.
type object map[string]any

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
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
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
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, data}
}

func (a answer) ok(t *testing.T) (o object) {
	t.Helper()
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &o); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return o
}

// fails expects an error in Stripe's shape, complete.
func (a answer) fails(t *testing.T, status int, kind, code, param string) {
	t.Helper()
	var e struct{ Error failure }
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatalf("%v in %d %s", err, a.status, a.body)
	}
	got := e.Error
	if a.status != status || got.Type != kind || got.Code != code || got.Param != param {
		t.Errorf("%d %s\nwant %d %s code %q param %q", a.status, a.body, status, kind, code, param)
	}
	retry := ""
	if status < 500 && status != 429 {
		retry = "false"
	}
	if got.Message == "" || !strings.Contains(got.DocURL, "/docs/errors/") ||
		!strings.HasPrefix(a.header.Get("Request-Id"), "req_") ||
		a.header.Get("Stripe-Should-Retry") != retry ||
		a.header.Get("Content-Type") != "application/json" {
		t.Errorf("incomplete: %v %s", a.header, a.body)
	}
}

const invalid = "invalid_request_error"

type field struct{ name, value string }

// form returns an upload like those of stripe-node.
func form(content string, fields ...field) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		if f.name != "file" {
			_ = w.WriteField(f.name, f.value)
			continue
		}
		head := textproto.MIMEHeader{"Content-Type": {"application/octet-stream"}}
		head.Set("Content-Disposition", `form-data; name="file"; filename="`+f.value+`"`)
		part, _ := w.CreatePart(head)
		_, _ = io.WriteString(part, content)
	}
	w.Close()
	return b.String(), w.FormDataContentType()
}

func (c *client) upload(t *testing.T, content string, fields ...field) answer {
	t.Helper()
	body, contentType := form(content, fields...)
	return c.do(t, "POST", "/v1/files", body, "Content-Type", contentType)
}

func (c *client) file(t *testing.T) string {
	t.Helper()
	return c.upload(t, "hello", field{"purpose", "selfie"}, field{"file", "a.txt"}).ok(t)["id"].(string)
}

func (c *client) link(t *testing.T, more string) object {
	t.Helper()
	return c.do(t, "POST", "/v1/file_links", "file="+c.file(t)+more).ok(t)
}

// TestBadInput sends invalid requests.
func TestBadInput(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	link := c.link(t, "")["id"].(string)
	post := "POST /v1/file_links"
	update := "POST /v1/file_links/" + link
	ask := "file=" + file + "&"
	for _, b := range []struct {
		request, body string
		status        int
		code, param   string
	}{
		{post, "", 400, "parameter_missing", "file"},
		{post, "file=", 400, "parameter_invalid_empty", "file"},
		{post, "file[a]=1", 400, "", "file"},
		{post, ask + "file=2", 400, "", "file"},
		{post, ask + "colour=red", 400, "parameter_unknown", "colour"},
		{post, ask + "colour[a][b]=red", 400, "parameter_unknown", "colour"},
		{post, ask + "expires_at=soon", 400, "parameter_invalid_integer", "expires_at"},
		{post, ask + "expires_at=now", 400, "parameter_invalid_integer", "expires_at"},
		{post, ask + "expires_at=", 400, "parameter_invalid_integer", "expires_at"},
		{post, ask + "expires_at=1.5e9", 400, "parameter_invalid_integer", "expires_at"},
		{post, ask + "expires_at=-1", 400, "parameter_invalid_integer", "expires_at"},
		{post, ask + "expires_at=99999999999999", 400, "parameter_invalid_integer", "expires_at"},
		{post, ask + "expires_at=1", 400, "", "expires_at"},
		{post, ask + "metadata=text", 400, "", "metadata"},
		{post, ask + "metadata[a][b]=1", 400, "", "metadata[a]"},
		{post, ask + "metadata[a]=1&metadata[a]=2", 400, "", "metadata[a]"},
		{post, ask + "metadata[a b]=1", 400, "", "metadata[a b]"},
		{post, ask + "metadata[sluice_a]=1", 400, "", "metadata[sluice_a]"},
		{post, ask + "metadata[a]=" + strings.Repeat("x", 501), 400, "", "metadata[a]"},
		{post, ask + "metadata[a.b]=" + strings.Repeat("x", 501), 400, "", "metadata[a.b]"},
		{post, ask + manyPairs(51), 400, "", "metadata"},
		{post, ask + "metadata[a=1", 400, "", "metadata[a"},
		{post, ask + "metadata]=1", 400, "", "metadata]"},
		{post, ask + "metadata[a]b=1", 400, "", "metadata[a]b"},
		{post, ask + "[a]=1", 400, "", "[a]"},
		{post, ask + "a[b][c][d][e]=1", 400, "", "a[b][c][d][e]"},
		{post, ask + "metadata[a]=%zz", 400, "", "metadata[a]"},
		{post, ask + "metadata[a]=%ff", 400, "", "metadata[a]"},
		{post, ask + "metadata[a]=%00", 400, "", "metadata[a]"},
		{post, "file=%00", 400, "", "file"},
		{post, ask + strings.Repeat("a=1&", 600), 400, "", ""},
		{post, ask + "metadata[a]=" + strings.Repeat("x", 300<<10), 400, "", ""},
		{post, ask + "expand[]=owner", 400, "", "expand"},
		{post, ask + "expand[]=file.links", 400, "", "expand"},
		{post, ask + "expand[]=file.links.data.file.links.data.file", 400, "", "expand"},
		{post, ask + "expand[a]=file", 400, "", "expand[a]"},
		{post, "file=file_none", 404, "resource_missing", "file"},
		{post, "file=" + link, 404, "resource_missing", "file"},
		{update, "expires_at=soon", 400, "parameter_invalid_integer", "expires_at"},
		{update, "expires_at=1", 400, "", "expires_at"},
		{update, "file=" + file, 400, "parameter_unknown", "file"},
		{update, "metadata=text", 400, "", "metadata"},
		{update, "metadata[sluice_a]=1", 400, "", "metadata[sluice_a]"},
		{"POST /v1/file_links/link_none", "expires_at=now", 404, "resource_missing", "id"},
		{"POST /v1/file_links/" + file, "expires_at=now", 404, "resource_missing", "id"},
		{"GET /v1/file_links/link_none", "", 404, "resource_missing", "id"},
		{"GET /v1/file_links/" + link + "?colour=red", "", 400, "parameter_unknown", "colour"},
		{"GET /v1/files/file_none", "", 404, "resource_missing", "id"},
		{"GET /v1/files/%00", "", 404, "resource_missing", "id"},
		{"GET /v1/files/%ff", "", 404, "resource_missing", "id"},
		{"GET /v1/files/file_none/contents", "", 404, "resource_missing", "id"},
		{"GET /v1/files/" + file + "?expand[]=links", "", 400, "", "expand"},
		{"GET /v1/files/" + file + "?expand[]=links.data", "", 400, "", "expand"},
		{"GET /v1/files/" + file + "?expand[]=", "", 400, "", "expand"},
		{"GET /v1/files?limit=100&expand[]=data.links.data.file", "", 400, "", "limit"},
		{"GET /v1/files?limit=17&expand[]=data.links.data.file", "", 400, "", "limit"},
		{"GET /v1/files?expand[]=data.links.data.file&expand[]=data.links.data.file&limit=50", "", 400, "", "limit"},
		{"GET /v1/files?limit=0", "", 400, "parameter_invalid_integer", "limit"},
		{"GET /v1/files?limit=101", "", 400, "parameter_invalid_integer", "limit"},
		{"GET /v1/files?limit=ten", "", 400, "parameter_invalid_integer", "limit"},
		{"GET /v1/files?limit=", "", 400, "parameter_invalid_integer", "limit"},
		{"GET /v1/files?limit=1&limit=2", "", 400, "", "limit"},
		{"GET /v1/files?starting_after=" + file + "&ending_before=" + file, "", 400, "parameters_exclusive", "starting_after"},
		{"GET /v1/files?starting_after=file_none", "", 400, "resource_missing", "starting_after"},
		{"GET /v1/files?starting_after=" + link, "", 400, "resource_missing", "starting_after"},
		{"GET /v1/files?ending_before=file_none", "", 400, "resource_missing", "ending_before"},
		{"GET /v1/files?ending_before=", "", 400, "parameter_invalid_empty", "ending_before"},
		{"GET /v1/files?created=yesterday", "", 400, "", "created"},
		{"GET /v1/files?created[gt]=yesterday", "", 400, "", "created[gt]"},
		{"GET /v1/files?created[near]=1", "", 400, "parameter_unknown", "created[near]"},
		{"GET /v1/files?created=1&created[gt]=1", "", 400, "", "created"},
		{"GET /v1/files?purpose=fun", "", 400, "", "purpose"},
		{"GET /v1/files?file=" + file, "", 400, "parameter_unknown", "file"},
		{"GET /v1/file_links?purpose=selfie", "", 400, "parameter_unknown", "purpose"},
		{"GET /v1/file_links?expired=1", "", 400, "", "expired"},
		{"GET /v1/file_links?file=file_none", "", 404, "resource_missing", "file"},
		{"GET /v1/file_links?ending_before=" + file, "", 400, "resource_missing", "ending_before"},
		{"GET /v1/file_links?expand[]=file", "", 400, "", "expand"},
		{"GET /v1/nothing", "", 404, "", ""},
		{"GET /", "", 404, "", ""},
		{"GET /v1/files/", "", 404, "", ""},
		{"GET //v1/files", "", 404, "", ""},
		{"GET /v1/x/../files", "", 404, "", ""},
		{"DELETE /v1/files/" + file, "", 404, "", ""},
		{"PATCH " + "/v1/file_links/" + link, "", 404, "", ""},
	} {
		t.Run(fmt.Sprintf("%s %.60s", b.request, b.body), func(t *testing.T) {
			method, path, _ := strings.Cut(b.request, " ")
			c.do(t, method, path, b.body).fails(t, b.status, invalid, b.code, b.param)
		})
	}
	c.do(
		t, "POST", "/v1/file_links",
		`{"file":"`+file+`"}`,
		"Content-Type", "application/json",
	).fails(
		t, 400, invalid, "", "",
	)
	c.do(t, "POST", "/v1/file_links", ask, "Content-Encoding", "gzip").fails(t, 400, invalid, "", "")
	c.do(
		t, "POST", "/v1/file_links", ask, "Idempotency-Key",
		strings.Repeat("k", 256),
	).fails(
		t, 400, invalid, "", "Idempotency-Key",
	)
	c.do(t, "GET", "/v1/files/"+file+"/contents", "", "Range", "bytes=9-").fails(t, 416, invalid, "", "")
}

func manyPairs(n int) string {
	v := url.Values{}
	for i := range n {
		v.Set(fmt.Sprintf("metadata[k%d]", i), "v")
	}
	return v.Encode()
}

func TestBadUploads(t *testing.T) {
	c := newClient(t)
	selfie, file := field{"purpose", "selfie"}, field{"file", "a.txt"}
	for name, b := range map[string]struct {
		fields      []field
		code, param string
	}{
		"nothing":                  {nil, "parameter_missing", "file"},
		"no file":                  {[]field{selfie}, "parameter_missing", "file"},
		"no purpose":               {[]field{file}, "parameter_missing", "purpose"},
		"empty purpose":            {[]field{{"purpose", ""}, file}, "parameter_invalid_empty", "purpose"},
		"unknown purpose":          {[]field{{"purpose", "fun"}, file}, "", "purpose"},
		"unknown purpose, later":   {[]field{file, {"purpose", "fun"}}, "", "purpose"},
		"two purposes":             {[]field{selfie, selfie, file}, "", "purpose"},
		"two files":                {[]field{selfie, file, file}, "", "file"},
		"unknown field":            {[]field{selfie, file, {"title", "x"}}, "parameter_unknown", "title"},
		"bad brackets":             {[]field{selfie, {"file_link_data[create", "true"}, file}, "", "file_link_data[create"},
		"long field":               {[]field{selfie, {"file_link_data[create]", strings.Repeat("x", 5000)}, file}, "", "file_link_data[create]"},
		"link without create":      {[]field{selfie, file, {"file_link_data[metadata][a]", "1"}}, "parameter_missing", "file_link_data[create]"},
		"link with a wrong create": {[]field{selfie, file, {"file_link_data[create]", "yes"}}, "", "file_link_data[create]"},
		"link data as text":        {[]field{selfie, file, {"file_link_data", "true"}}, "", "file_link_data"},
		"link with unknown member": {[]field{selfie, file, {"file_link_data[create]", "true"}, {"file_link_data[colour]", "red"}}, "parameter_unknown", "file_link_data[colour]"},
		"link in the past":         {[]field{selfie, file, {"file_link_data[create]", "true"}, {"file_link_data[expires_at]", "1"}}, "", "file_link_data[expires_at]"},
		"link at no time":          {[]field{selfie, file, {"file_link_data[create]", "true"}, {"file_link_data[expires_at]", "soon"}}, "parameter_invalid_integer", "file_link_data[expires_at]"},
		"link with bad metadata":   {[]field{selfie, file, {"file_link_data[create]", "true"}, {"file_link_data[metadata][sluice_x]", "1"}}, "", "file_link_data[metadata][sluice_x]"},
		"a type not allowed":       {[]field{{"purpose", "business_logo"}, file}, "", "file"},
	} {
		t.Run(name, func(t *testing.T) {
			c.upload(t, "hello", b.fields...).fails(t, 400, invalid, b.code, b.param)
		})
	}
	c.upload(
		t, "hello",
		field{"purpose", "import"},
		file,
		field{"file_link_data[create]", "true"},
	).fails(
		t, 403, invalid, "", "",
	)
	c.upload(
		t,
		strings.Repeat("x", 11<<20),
		field{"purpose", "business_logo"},
		field{"file", "a.png"},
	).fails(
		t, 400, invalid, "", "file",
	)
	body, contentType := form("hello", selfie, file)
	c.do(t, "POST", "/v1/files", body[:len(body)-20], "Content-Type", contentType).fails(t, 400, invalid, "", "")
	c.do(t, "POST", "/v1/files", body, "Content-Type", "multipart/form-data").fails(t, 400, invalid, "", "")
	c.do(t, "POST", "/v1/files", "purpose=selfie").fails(t, 400, invalid, "", "")
	if keys := c.BlobKeys(t); len(keys) != 0 {
		t.Errorf("failed uploads left %q behind", keys)
	}
}

// TestContentTells checks that the media type is detected from the content if the
// name has no extension.
func TestContentTells(t *testing.T) {
	c := newClient(t)
	png := "\x89PNG\r\n\x1a\n"
	f := c.upload(t, png, field{"file", "logo"}, field{"purpose", "business_logo"}).ok(t)
	if f["type"] != "png" || f["filename"] != "logo" {
		t.Errorf("%v", f)
	}
	if f := c.upload(t, "\x00\x01", field{"file", "x"}, field{"purpose", "selfie"}).ok(t); f["type"] != nil {
		t.Errorf("%v", f)
	}
}

// TestChoice checks that prefix and header select the adapter, and that the native
// API and public links are not affected.
func TestChoice(t *testing.T) {
	c := newClient(t)
	link := c.link(t, "&metadata[k]=v")
	id := link["id"].(string)
	version := []string{"Stripe-Version", "2025-09-30.clover"}
	kind := func(a answer) any { return a.ok(t)["file"] }

	if kind(c.do(t, "GET", "/v1/file_links/"+id, "")) == nil {
		t.Error("the prefix does not select the adapter")
	}
	a := c.do(t, "GET", c.URL+"/v1/file_links/"+id, "", version...)
	if kind(a) == nil || a.header.Get("Stripe-Version") != "2025-09-30.clover" {
		t.Errorf("the header does not select the adapter: %v", a.header)
	}
	native := c.do(t, "GET", c.URL+"/v1/file_links/"+id, "").ok(t)
	if native["file_id"] != link["file"] || native["metadata"].(map[string]any)["k"] != "v" ||
		native["url"] != link["url"] {
		t.Errorf("the native API returns %v", native)
	}
	c.do(t, "GET", c.URL+"/anything", "", version...).fails(t, 404, invalid, "", "")
	if a := c.do(t, "GET", link["url"].(string), "", append(version, "Authorization", "")...); a.status != 200 ||
		string(a.body) != "hello" {
		t.Errorf("public link with the header: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/docs"} {
		if a := c.do(t, "GET", c.URL+path, "", append(version, "Authorization", "")...); a.status != 200 {
			t.Errorf("%s with the header: %d", path, a.status)
		}
	}
	for _, path := range []string{"/compat/stripely/v1/files", "/compat/other/v1/files", "/compat"} {
		if a := c.do(t, "GET", c.URL+path, ""); a.status != 404 ||
			a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	if log := c.Log.String(); !strings.Contains(log, "route=/compat/stripe/v1/file_links/{id}") {
		t.Error("the log does not name the route")
	}
	_, operator := c.NewKey(t, c.Ledger(sluice.Live), sluice.KeysAdmin)
	metrics := string(c.do(t, "GET", c.URL+"/metrics", "", "Authorization", "Bearer "+operator).body)
	if !strings.Contains(
		metrics,
		`sluice_http_request_duration_seconds_count{method="GET",route="/compat/stripe/v1/file_links/{id}",status="2xx"} 2`,
	) {
		t.Error("the metrics do not count the route")
	}
}

// TestOtherFaces creates objects with each API and reads them with the other.
func TestOtherFaces(t *testing.T) {
	c := newClient(t)
	native := c.do(t, "PUT", c.URL+"/v1/files?purpose=report&filename=q3.pdf&title=Third+quarter", "%PDF").body
	var made object
	if err := json.Unmarshal(native, &made); err != nil {
		t.Fatal(err)
	}
	id := made["id"].(string)
	f := c.do(t, "GET", "/v1/files/"+id, "").ok(t)
	if f["purpose"] != "report" || f["title"] != "Third quarter" || f["type"] != "pdf" || f["size"] != 4.0 {
		t.Errorf("%v", f)
	}
	list := c.do(t, "GET", "/v1/files?purpose=report", "").ok(t)["data"].([]any)
	if len(list) != 1 {
		t.Errorf("%v", list)
	}
	l := c.do(t, "POST", "/v1/file_links", "file="+id).ok(t)
	c.do(t, "DELETE", c.URL+"/v1/file_links/"+l["id"].(string), "").ok(t)
	c.do(t, "GET", "/v1/file_links/"+l["id"].(string), "").fails(t, 404, invalid, "resource_missing", "id")

	l = c.do(t, "POST", "/v1/file_links", "file="+id+"&expand[]=file.links.data.file").ok(t)
	within := l["file"].(map[string]any)["links"].(map[string]any)["data"].([]any)[0].(map[string]any)["file"].(map[string]any)
	if within["id"] != id {
		t.Errorf("%v", l)
	}
	c.do(t, "DELETE", c.URL+"/v1/files/"+id, "").ok(t)
	c.do(t, "GET", "/v1/files/"+id, "").fails(t, 404, invalid, "resource_missing", "id")
	c.do(t, "GET", "/v1/files/"+id+"/contents", "").fails(t, 404, invalid, "resource_missing", "id")
	if l := c.do(t, "GET", "/v1/file_links/"+l["id"].(string), "").ok(t); l["expired"] != true {
		t.Errorf("link of a deleted file: %v", l)
	}
	c.do(t, "POST", "/v1/file_links/"+l["id"].(string), "expires_at=").fails(t, 400, invalid, "", "")
}

// TestLinksOfFile checks that a file includes its newest links and the URL of the
// others.
func TestLinksOfFile(t *testing.T) {
	c := newClient(t)
	id := c.file(t)
	var made []string
	for range 11 {
		c.Clock.Advance(time.Second)
		made = append(made, c.do(t, "POST", "/v1/file_links", "file="+id).ok(t)["id"].(string))
	}
	f := c.do(t, "GET", "/v1/files", "").ok(t)["data"].([]any)[0].(map[string]any)
	links := f["links"].(map[string]any)
	data := links["data"].([]any)
	if len(data) != 10 || data[0].(map[string]any)["id"] != made[10] || data[0].(map[string]any)["file"] != id ||
		links["has_more"] != true {
		t.Errorf("%v", links)
	}
	rest := c.do(t, "GET", links["url"].(string)+"&starting_after="+made[1], "").ok(t)
	if data := rest["data"].([]any); len(data) != 1 || data[0].(map[string]any)["id"] != made[0] ||
		rest["has_more"] != false {
		t.Errorf("%v", rest)
	}
}

// TestContents reads bytes with a key, in whole and in part. The log records each
// read.
func TestContents(t *testing.T) {
	c := newClient(t)
	id := c.file(t)
	_, reader := c.NewKey(t, c.Ledger(sluice.Test), sluice.FilesRead, sluice.LinksRead)
	refused := c.do(t, "GET", "/v1/files/"+id+"/contents", "", "Authorization", "Bearer "+reader)
	refused.fails(t, 403, invalid, "", "")
	if !strings.Contains(string(refused.body), "files:content") {
		t.Errorf("the refusal does not name the scope: %s", refused.body)
	}
	before := len(c.Entries(t, c.Ledger(sluice.Test)))
	a := c.do(t, "GET", "/v1/files/"+id+"/contents", "", "Accept", "text/html")
	if a.status != 200 || string(a.body) != "hello" ||
		!strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") ||
		a.header.Get("X-Content-Type-Options") != "nosniff" ||
		a.header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("%d %q %v", a.status, a.body, a.header)
	}
	if a := c.do(t, "GET", "/v1/files/"+id+"/contents", "", "Range", "bytes=1-2"); a.status != 206 ||
		string(a.body) != "el" {
		t.Errorf("%d %q", a.status, a.body)
	}
	c.do(
		t, "GET", "/v1/files/"+id+"/contents", "", "Range", "bytes=9-", "Accept", "text/html",
	).fails(
		t, 416, invalid, "", "",
	)
	for _, e := range c.Entries(t, c.Ledger(sluice.Test))[before:] {
		if e.Action != sluice.FileRead || e.File.ID != id ||
			e.Request.Route != "/compat/stripe/v1/files/{id}/contents" {
			t.Errorf("got an entry %s by %+v", e.Action, e.Request)
		}
		before++
	}
	if before != len(c.Entries(t, c.Ledger(sluice.Test))) || before < 5 {
		t.Errorf("%d entries", before)
	}
}

// TestWhoMay requests every route without a key, with invalid keys, with a key of
// the other mode, and with keys that lack the scope.
func TestWhoMay(t *testing.T) {
	c := newClient(t)
	l := c.link(t, "")
	file, link := l["file"].(string), l["id"].(string)
	_, live := c.NewKey(t, c.Ledger(sluice.Live))
	_, auditor := c.NewKey(t, c.Ledger(sluice.Test), sluice.AuditRead)
	body, contentType := form("hello", field{"purpose", "selfie"}, field{"file", "a.txt"})
	for _, r := range []struct {
		method, path, body string
		foreign            int // status for a key of the other mode
	}{
		{"POST", "/v1/files", body, 200},
		{"GET", "/v1/files", "", 200},
		{"GET", "/v1/files/" + file, "", 404},
		{"GET", "/v1/files/" + file + "/contents", "", 404},
		{"POST", "/v1/file_links", "file=" + file + "&expires_at=1772603000", 404},
		{"GET", "/v1/file_links", "", 200},
		{"GET", "/v1/file_links/" + link, "", 404},
		{"POST", "/v1/file_links/" + link, "expires_at=now", 404},
	} {
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			with := func(authorization string) answer {
				header := []string{"Authorization", authorization}
				if strings.HasPrefix(r.body, "--") {
					header = append(header, "Content-Type", contentType)
				}
				return c.do(t, r.method, r.path, r.body, header...)
			}
			for _, bad := range []string{"", "Bearer", "Bearer sk_test_x", "Digest " + c.secret, "Basic !!!", "Basic " + c.secret} {
				a := with(bad)
				a.fails(t, 401, invalid, "", "")
				if a.header.Get("WWW-Authenticate") == "" {
					t.Error("no WWW-Authenticate")
				}
			}
			with("Bearer "+auditor).fails(t, 403, invalid, "", "")
			if a := with("Bearer " + live); a.status != r.foreign {
				t.Errorf("with a live key: %d %s", a.status, a.body)
			}
		})
	}
	c.do(t, "GET", "/v1/nothing", "", "Authorization", "").fails(t, 401, invalid, "", "")
	req, _ := http.NewRequest("GET", "http://x", nil)
	req.SetBasicAuth(c.secret, "")
	c.do(t, "GET", "/v1/files", "", "Authorization", req.Header.Get("Authorization")).ok(t)
	if a := c.do(t, "GET", c.URL+"/v1/files", "", "Authorization", req.Header.Get("Authorization")); a.status != 401 {
		t.Errorf("the native API with Basic authentication: %d", a.status)
	}
}

// TestIdempotency repeats successful and failed requests by prefix and by header. The
// native API does not accept them as its own.
func TestIdempotency(t *testing.T) {
	c := newClient(t)
	id := c.file(t)
	once := []string{"Idempotency-Key", "k1"}
	first := c.do(t, "POST", "/v1/file_links", "file="+id, once...)
	first.ok(t)
	for _, path := range []string{"/v1/file_links", c.URL + "/v1/file_links"} {
		a := c.do(t, "POST", path, "file="+id, append(once, "Stripe-Version", "2020-01-01")...)
		if string(a.body) != string(first.body) || a.header.Get("Idempotent-Replayed") != "true" ||
			a.header.Get(
				"Original-Request",
			) != first.header.Get(
				"Request-Id",
			) || a.header.Get("Idempotency-Key") != "k1" {
			t.Errorf("%s %v", a.body, a.header)
		}
	}
	c.do(t, "POST", "/v1/file_links", "file="+id+"&metadata[a]=1", once...).fails(t, 400, "idempotency_error", "", "")
	c.do(t, "POST", "/v1/file_links?metadata[a]=1", "file="+id, once...).fails(t, 400, "idempotency_error", "", "")
	if a := c.do(t, "POST", c.URL+"/v1/file_links", `{"file_id":"`+id+`"}`, append(once, "Content-Type", "application/json")...); a.status != 409 {
		t.Errorf("the native API: %d %s", a.status, a.body)
	}

	for range 2 {
		a := c.do(t, "POST", "/v1/file_links", "file=file_none", "Idempotency-Key", "k2")
		a.fails(t, 404, invalid, "resource_missing", "file")
	}
	a := c.do(t, "POST", "/v1/file_links", "file=file_none", "Idempotency-Key", "k2")
	if a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%v", a.header)
	}
	for _, replayed := range []string{"", "true"} {
		a := c.do(t, "POST", "/v1/file_links", "colour=red", "Idempotency-Key", "k3")
		a.fails(t, 400, invalid, "parameter_missing", "file")
		if a.header.Get("Idempotent-Replayed") != replayed {
			t.Errorf("%v", a.header)
		}
	}
	body, contentType := form(
		"hello",
		field{"purpose", "selfie"},
		field{"file", "a.txt"},
		field{"file_link_data[create]", "true"},
	)
	up := func(body string) answer {
		return c.do(t, "POST", "/v1/files", body, "Content-Type", contentType, "Idempotency-Key", "k4")
	}
	one, two := up(body), up(body)
	if one.status != 200 || string(one.body) != string(two.body) || two.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%s\n%s %v", one.body, two.body, two.header)
	}
	up(strings.Replace(body, "hello", "jello", 1)).fails(t, 400, "idempotency_error", "", "")
	// A request with several failures fails in the same way each time.
	body, contentType = form("hello", field{"purpose", "selfie"}, field{"file_link_data[create]", "true"},
		field{"file_link_data[metadata][a][b]", "1"}, field{"file_link_data[metadata][c][d]", "1"},
		field{"file_link_data[metadata][e][f]", "1"},
		field{"expand[x]", "1"}, field{"expand[y]", "1"}, field{"expand[z]", "1"}, field{"file", "a.txt"})
	bad := func() answer {
		return c.do(t, "POST", "/v1/files", body, "Content-Type", contentType, "Idempotency-Key", "k5")
	}
	for wrong, i := bad(), 0; i < 20; i++ {
		if again := bad(); again.status != 400 || string(again.body) != string(wrong.body) {
			t.Fatalf("%s\nand then %s", wrong.body, again.body)
		}
	}
	if keys := c.BlobKeys(t); len(keys) != 2 {
		t.Errorf("bytes are stored for %q", keys)
	}
}

// TestRateLimit checks that the requests of a key to all APIs are counted together.
func TestRateLimit(t *testing.T) {
	c := newClient(t, func(o *server.Options) { o.Rates = map[sluice.Mode]httpd.Rate{sluice.Test: {PerMinute: 2}} })
	c.do(t, "GET", "/v1/files", "").ok(t)
	c.do(t, "GET", c.URL+"/v1/files", "").ok(t)
	a := c.do(t, "GET", "/v1/files", "")
	a.fails(t, 429, invalid, "rate_limit", "")
	if a.header.Get("Retry-After") == "" || a.header.Get("RateLimit") == "" {
		t.Errorf("%v", a.header)
	}
	if a := c.do(t, "GET", c.URL+"/v1/files", ""); a.status != 429 {
		t.Errorf("the native API responds with %d", a.status)
	}
}

// TestEndedLinks filters links by expired.
func TestEndedLinks(t *testing.T) {
	c := newClient(t)
	good := c.link(t, "")["id"]
	brief := c.link(t, "&expires_at=1772600777")["id"]
	key, secret := c.NewKeyAs(
		t, c.Ledger(sluice.Test),
		service.NewKey{Name: "brief", Scopes: sluice.AllScopes(), MaxLinkLifetime: sluice.Forever},
	)
	orphan := c.do(t, "POST", "/v1/file_links", "file="+c.file(t), "Authorization", "Bearer "+secret).ok(t)["id"].(string)
	if _, err := c.Keys.Revoke(t.Context(), service.Operator(c.Ledger(sluice.Test)), key.ID, nil); err != nil {
		t.Fatal(err)
	}
	c.Clock.Advance(time.Minute)
	for query, want := range map[string][]any{"expired=true": {orphan, brief}, "expired=false": {good}} {
		var got []any
		for _, l := range c.do(t, "GET", "/v1/file_links?"+query, "").ok(t)["data"].([]any) {
			got = append(got, l.(map[string]any)["id"])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	if l := c.do(t, "GET", "/v1/file_links/"+orphan, "").ok(t); l["expired"] != true {
		t.Errorf("link of a revoked key: %v", l)
	}
}

// TestChunked sends bodies without Content-Length.
func TestChunked(t *testing.T) {
	c := newClient(t)
	send := func(path, body, contentType string) object {
		t.Helper()
		req, err := http.NewRequest("POST", c.url+path, io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(c.secret, "")
		req.Header.Set("Content-Type", contentType)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer{resp.StatusCode, resp.Header, data}.ok(t)
	}
	body, contentType := form("hello", field{"purpose", "selfie"}, field{"file", "a.txt"})
	f := send("/v1/files", body, contentType)
	l := send("/v1/file_links", "file="+f["id"].(string), "application/x-www-form-urlencoded; charset=utf-8")
	if l["file"] != f["id"] || f["size"] != 5.0 {
		t.Errorf("%v %v", f, l)
	}
}

// TestUpdates changes links in every way that Stripe allows.
func TestUpdates(t *testing.T) {
	c := newClient(t)
	l := c.link(t, "&expires_at=1772700000&metadata[a]=1&metadata[b]=2&metadata[c]=")
	if m := l["metadata"].(map[string]any); len(m) != 2 || m["a"] != "1" {
		t.Errorf("%v", m)
	}
	path := "/v1/file_links/" + l["id"].(string)
	update := func(body string) object { t.Helper(); return c.do(t, "POST", path, body).ok(t) }
	if m := update("metadata[a]=&metadata[c]=3")["metadata"].(map[string]any); len(m) != 2 || m["b"] != "2" ||
		m["c"] != "3" {
		t.Errorf("merged: %v", m)
	}
	if got := update(""); got["expires_at"] != 1772700000.0 || len(got["metadata"].(map[string]any)) != 2 {
		t.Errorf("nothing changed: %v", got)
	}
	if m := update("metadata=")["metadata"].(map[string]any); len(m) != 0 {
		t.Errorf("cleared: %v", m)
	}
	if got := update("expires_at="); got["expires_at"] != nil || got["expired"] != false {
		t.Errorf("never: %v", got)
	}
	if got := update("expires_at=1772800000&expand[0]=file"); got["expires_at"] != 1772800000.0 ||
		got["file"].(map[string]any)["filename"] != "a.txt" {
		t.Errorf("later: %v", got)
	}
	c.Clock.Advance(time.Second)
	if got := update("expires_at=now&metadata[why]=done"); got["expired"] != true ||
		got["metadata"].(map[string]any)["why"] != "done" {
		t.Errorf("ended: %v", got)
	}
	if a := c.do(t, "GET", l["url"].(string), ""); a.status != 410 {
		t.Errorf("the URL of an expired link responds with %d", a.status)
	}
	c.do(t, "POST", path, "expires_at=1772800000").fails(t, 400, invalid, "", "")
	c.do(t, "POST", path, "metadata[a]=1").fails(t, 400, invalid, "", "")
}

// Lists with few objects are returned with any expansion.
func TestExpandedListsAreBounded(t *testing.T) {
	c := newClient(t)
	for _, path := range []string{
		"/v1/files?limit=100", "/v1/files?expand[]=data.links.data.file",
		"/v1/files?limit=16&expand[]=data.links.data.file",
		"/v1/file_links?limit=100&expand[]=data.file",
	} {
		c.do(t, "GET", path, "").ok(t)
	}
}

// TestPurposeThatRequiresRecipients checks that Stripe's clients get no links to files whose purpose requires what
// Stripe's API does not know.
func TestPurposeThatRequiresRecipients(t *testing.T) {
	c := newClient(t)
	file := c.file(t)
	c.SetPurposes(sluice.Purpose{
		Name: "selfie", MaxSize: 100, Linkable: true, Require: []sluice.Requirement{sluice.RequireRecipient},
	})
	c.Restart(t)
	c.url = c.URL + "/compat/stripe"
	c.do(t, "POST", "/v1/file_links", "file="+file).fails(t, 400, invalid, "parameter_missing", "recipient")
	c.upload(t, "x", field{"purpose", "selfie"}, field{"file", "a.txt"}, field{"file_link_data[create]", "true"}).
		fails(t, 400, invalid, "parameter_missing", "file_link_data[recipient]")
}
