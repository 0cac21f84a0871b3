package httpd_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sluice"
	"sluice/api"
	"sluice/internal/service"
)

func manyKeys(n int) string {
	var pairs []string
	for i := range n {
		pairs = append(pairs, fmt.Sprintf(`"k%d":"v"`, i))
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

// TestBadInput sends invalid requests. The server refuses each, names the failure, and stores nothing.
func TestBadInput(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mint(t, f.ID, "")
	imported := read[api.File](t, c.post(t, fileOf("import", "a.txt", "text/plain", "hello")).want(t, 201))
	_, live := c.NewKey(t, c.Ledger(sluice.Live))
	_, readOnly := c.NewKey(t, c.Ledger(sluice.Test), sluice.FilesRead, sluice.LinksRead)
	links, link := "/v1/files/"+f.ID+"/links", "/v1/file_links/"+l.ID
	const invalid = sluice.CodeValidation
	for _, test := range []struct {
		name               string
		method, path, body string
		status             int
		code               sluice.Code
		param, field       string // the first failure
	}{
		{"a lifetime of 0", "POST", links, `{"expires_in_seconds":0}`, 400, invalid, "expires_in_seconds", "out_of_range"},
		{"a lifetime of -1", "POST", links, `{"expires_in_seconds":-1}`, 400, invalid, "expires_in_seconds", "out_of_range"},
		{"a lifetime of 86401", "POST", links, `{"expires_in_seconds":86401}`, 400, invalid, "expires_in_seconds",
			"out_of_range"},
		{"a lifetime past int64", "POST", links, `{"expires_in_seconds":9223372036854775807}`, 400, invalid,
			"expires_in_seconds", "out_of_range"},
		{"a lifetime below int64", "POST", links, `{"expires_in_seconds":-9223372036854775808}`, 400, invalid,
			"expires_in_seconds", "out_of_range"},
		{"a lifetime no int64 holds", "POST", links, `{"expires_in_seconds":9223372036854775808}`, 400, invalid,
			"expires_in_seconds", "out_of_range"},
		{"a lifetime of abc", "POST", links, `{"expires_in_seconds":"abc"}`, 400, invalid, "expires_in_seconds", "invalid"},
		{"a lifetime in quotes", "POST", links, `{"expires_in_seconds":"60"}`, 400, invalid, "expires_in_seconds", "invalid"},
		{"a lifetime of 1.5", "POST", links, `{"expires_in_seconds":1.5}`, 400, invalid, "expires_in_seconds", "invalid"},
		{"a lifetime of 1e5", "POST", links, `{"expires_in_seconds":1e5}`, 400, invalid, "expires_in_seconds",
			"out_of_range"},
		{"a lifetime of 1e5 by file_links", "POST", "/v1/file_links", `{"file_id":"` + f.ID + `","expires_in_seconds":1e5}`,
			400, invalid, "expires_in_seconds", "out_of_range"},
		{"a lifetime of 1e400", "POST", links, `{"expires_in_seconds":1e400}`, 400, invalid, "expires_in_seconds",
			"out_of_range"},
		{"an end of 1e400", "POST", links, `{"expires_at":1e400}`, 400, invalid, "expires_at", "out_of_range"},
		{"a member twice", "POST", links, `{"max_downloads":1,"max_downloads":1000}`, 400, invalid, "max_downloads",
			"invalid"},
		{"a key of metadata twice", "POST", links, `{"metadata":{"a":"1","\u0061":"2"}}`, 400, invalid, "metadata.a",
			"invalid"},
		{"half a surrogate pair", "POST", links, `{"reason":"case \ud83d"}`, 400, invalid, "reason", "invalid"},
		{"half a surrogate pair as metadata", "PATCH", link, `{"metadata":{"n":"\udc00"}}`, 400, invalid, "metadata.n",
			"invalid"},
		{"a member twice in metadata of a query", "PUT",
			"/v1/files?purpose=generic&metadata=%7B%22a%22:%221%22,%22a%22:%222%22%7D", `hello`, 400, invalid, "metadata.a",
			"invalid"},
		{"an end in the past", "POST", links, `{"expires_at":1}`, 400, invalid, "expires_at", "out_of_range"},
		{"an end past the policy", "POST", links, fmt.Sprintf(`{"expires_at":%d}`, c.Clock.Now().Unix()+86402), 400, invalid,
			"expires_at", "out_of_range"},
		{"an end past the calendar", "POST", links, `{"expires_at":253402300800}`, 400, invalid, "expires_at",
			"out_of_range"},
		{"two ends", "POST", links, `{"expires_in_seconds":60,"expires_at":1999999999}`, 400, invalid, "expires_at",
			"invalid"},
		{"51 keys", "POST", links, `{"metadata":` + manyKeys(51) + `}`, 400, invalid, "metadata", "too_many"},
		{"a value of 501 characters", "POST", links, `{"metadata":{"k":"` + strings.Repeat("ü", 501) + `"}}`, 400, invalid,
			"metadata.k", "too_long"},
		{"a key of 41 characters", "POST", links, `{"metadata":{"` + strings.Repeat("k", 41) + `":"v"}}`, 400, invalid,
			"metadata." + strings.Repeat("k", 40), "invalid"},
		{"an empty key", "POST", links, `{"metadata":{"":"v"}}`, 400, invalid, "metadata.", "invalid"},
		{"the reserved prefix", "POST", links, `{"metadata":{"sluice_x":"v"}}`, 400, invalid, "metadata.sluice_x",
			"reserved"},
		{"a number as metadata", "POST", links, `{"metadata":{"k":1}}`, 400, invalid, "metadata.k", "invalid"},
		{"a list as metadata", "POST", links, `{"metadata":["k"]}`, 400, invalid, "metadata", "invalid"},
		{"a NUL", "POST", links, `{"reason":"a\u0000b"}`, 400, invalid, "reason", "invalid"},
		{"a reason of 501 characters", "POST", links, `{"reason":"` + strings.Repeat("ü", 501) + `"}`, 400, invalid,
			"reason", "too_long"},
		{"a member nobody knows", "POST", links, `{"expires":60}`, 400, invalid, "expires", "unknown"},
		{"a member in other letters", "POST", links, `{"Expires_In_Seconds":60}`, 400, invalid, "Expires_In_Seconds",
			"unknown"},
		{"no downloads", "POST", links, `{"max_downloads":0}`, 400, invalid, "max_downloads", "out_of_range"},
		{"half a body", "POST", links, `{"reason":"a`, 400, invalid, "", "invalid"},
		{"two bodies", "POST", links, `{}{}`, 400, invalid, "", "invalid"},
		{"a list", "POST", links, `[]`, 400, invalid, "", "invalid"},
		{"null", "POST", links, `null`, 400, invalid, "", "invalid"},
		{"bytes that are not UTF-8", "POST", links, "{\"reason\":\"\xff\"}", 400, invalid, "", "invalid"},
		{"a deep body", "POST", links, strings.Repeat("[", 20000), 400, invalid, "", "invalid"},
		{"a large body", "POST", links, `{"reason":"` + strings.Repeat("x", 256<<10) + `"}`, 413, sluice.CodeTooLarge, "",
			""},
		{"a body without a file", "POST", "/v1/file_links", `{}`, 400, invalid, "file_id", "required"},
		{"no body at all", "POST", "/v1/file_links", ``, 400, invalid, "", ""},
		{"a change without a body", "PATCH", link, ``, 400, invalid, "", ""},
		{"a number as a file", "POST", "/v1/file_links", `{"file_id":1}`, 400, invalid, "file_id", "invalid"},
		{"a change past the policy", "PATCH", link, `{"expires_in_seconds":86401}`, 400, invalid, "expires_in_seconds",
			"out_of_range"},
		{"a change to metadata that is none", "PATCH", link, `{"metadata":{"k":{}}}`, 400, invalid, "metadata.k", "invalid"},
		{"a change of the file", "PATCH", link, `{"file_id":"x"}`, 400, invalid, "file_id", "unknown"},
		{"an unknown file", "POST", "/v1/files/file_01kjvktdcjb8swve6173hgcvk1/links", ``, 404, sluice.CodeNotFound, "", ""},
		{"a file that is none", "POST", "/v1/file_links", `{"file_id":"../../etc/passwd"}`, 404, sluice.CodeNotFound, "", ""},
		{"a file that may not be linked", "POST", "/v1/files/" + imported.ID + "/links", ``, 403, sluice.CodeForbidden, "",
			""},
		{"an unknown link", "DELETE", "/v1/file_links/link_01kjvktdcjb8swve6173hgcvk1", ``, 404, sluice.CodeNotFound, "", ""},
		{"an unknown entry", "GET", "/v1/audit_entries/aud_01kjvktdcjb8swve6173hgcvk1", ``, 404, sluice.CodeNotFound, "", ""},
		{"an id of another type", "GET", "/v1/files/" + l.ID, ``, 404, sluice.CodeNotFound, "", ""},
		{"an id with bytes that are not UTF-8", "GET", "/v1/files/%FF%00", ``, 404, sluice.CodeNotFound, "", ""},

		{"an unknown parameter", "GET", "/v1/files?colour=red", ``, 400, invalid, "colour", "unknown"},
		{"an unknown parameter of a POST", "POST", links + "?expires_in_seconds=60", ``, 400, invalid, "expires_in_seconds",
			"unknown"},
		{"an unknown parameter of a DELETE", "DELETE", link + "?force=true", ``, 400, invalid, "force", "unknown"},
		{"an unknown bound", "GET", "/v1/files?created[eq]=1", ``, 400, invalid, "created[eq]", "unknown"},
		{"a filter of another list", "GET", "/v1/files?file_id=" + f.ID, ``, 400, invalid, "file_id", "unknown"},
		{"limit 0", "GET", "/v1/files?limit=0", ``, 400, invalid, "limit", "out_of_range"},
		{"limit 101", "GET", "/v1/files?limit=101", ``, 400, invalid, "limit", "out_of_range"},
		{"limit ten", "GET", "/v1/files?limit=ten", ``, 400, invalid, "limit", "invalid"},
		{"an empty limit", "GET", "/v1/files?limit=", ``, 400, invalid, "limit", "invalid"},
		{"two limits", "GET", "/v1/files?limit=1&limit=2", ``, 400, invalid, "limit", "invalid"},
		{"two cursors", "GET", "/v1/files?starting_after=" + f.ID + "&ending_before=" + f.ID, ``, 400, invalid,
			"ending_before", "invalid"},
		{"a cursor that never was", "GET", "/v1/files?starting_after=file_01kjvktdcjb8swve6173hgcvk1", ``, 400, invalid,
			"starting_after", "invalid"},
		{"a moment that is none", "GET", "/v1/files?created=yesterday", ``, 400, invalid, "created", "invalid"},
		{"a bound that is none", "GET", "/v1/files?created[lt]=1.5", ``, 400, invalid, "created[lt]", "invalid"},
		{"a moment past the calendar", "GET", "/v1/files?created=99999999999999", ``, 400, invalid, "created", "invalid"},
		{"a moment and a bound", "GET", "/v1/files?created=1&created[lt]=2", ``, 400, invalid, "created", "invalid"},
		{"101 ids", "GET", "/v1/files?ids=" + strings.Repeat("x,", 100) + "x", ``, 400, invalid, "ids", "too_many"},
		{"expired maybe", "GET", "/v1/file_links?expired=maybe", ``, 400, invalid, "expired", "invalid"},
		{"an unknown outcome", "GET", "/v1/audit_entries?outcome=lost", ``, 400, invalid, "outcome", "invalid"},
		{"a broken escape", "GET", "/v1/files?limit=%zz", ``, 400, invalid, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := c.state(t)
			a := c.ask(t, test.method, test.path, test.body).want(t, test.status)
			p := c.problem(t, a, test.code)
			if p.Param != test.param {
				t.Errorf("param %q, want %q: %s", p.Param, test.param, a.body)
			}
			if test.field != "" && (len(p.Errors) == 0 || p.Errors[0].Param != test.param || p.Errors[0].Code != test.field) {
				t.Errorf("errors %+v, want first %q %q", p.Errors, test.param, test.field)
			}
			c.unchanged(t, before, 0)
		})
	}

	// Objects of the other mode do not exist; without the scope nothing is tried.
	before := c.state(t)
	c.problem(t, c.as(live).ask(t, "POST", links, "").want(t, 404), sluice.CodeNotFound)
	c.problem(t, c.as(live).ask(t, "GET", link, "").want(t, 404), sluice.CodeNotFound)
	c.unchanged(t, before, 0)
	c.problem(t, c.as(readOnly).ask(t, "POST", links, `{"nonsense":1}`).want(t, 403), sluice.CodeForbidden)
	c.unchanged(t, before, 1)
}

// TestIntegers sends integers in every JSON form.
func TestIntegers(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	at := c.Clock.Now().Unix() + 3600
	for _, body := range []string{
		fmt.Sprintf(`{"expires_at":%d.0,"max_downloads":3}`, at),
		fmt.Sprintf(`{"expires_at":%d000e-3,"max_downloads":0.3e1}`, at),
		`{"expires_in_seconds":3600.0,"max_downloads":3.0}`, `{"expires_in_seconds":3.6e3,"max_downloads":3.00}`,
	} {
		if l := c.mint(t, f.ID, body); *l.MaxDownloads != 3 || *l.ExpiresAt != at {
			t.Errorf("%s: %+v", body, l)
		}
	}
}

// TestMessages checks the texts of failures.
func TestMessages(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	forever, err := c.Keys.Create(t.Context(), service.Operator(c.Ledger(sluice.Test)), service.NewKey{Name: "forever", MaxLinkLifetime: sluice.Forever})
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		`{"expires_in_seconds":"3600"}`:                 `expires_in_seconds must be a whole number of seconds or "none", not a string`,
		`{"expires_in_seconds":9223372037}`:             `expires_in_seconds is 1 to 3153599999`,
		`{"expires_in_seconds":1e30}`:                   `expires_in_seconds is out of the range of numbers`,
		`{"expires_at":"1795850000"}`:                   `expires_at must be an integer, not a string`,
		`{"expires_at":1.5}`:                            `expires_at must be an integer, not a fraction`,
		`{"expires_at":1e400}`:                          `expires_at is out of the range of numbers`,
		`{"reason":7}`:                                  `reason must be a string, not a number`,
		`{"allowed_ips":"192.0.2.1"}`:                   `allowed_ips must be an array, not a string`,
		`{"reason":"a","reason":"b"}`:                   `reason is given more than once`,
		`{"reason":"\ud83d"}`:                           `reason contains a lone surrogate`,
		`{"metadata":{"b":"1","b":"2","a":"\udc00"}}`:   `metadata.a contains a lone surrogate`,
		`{"metadata":{"b":"1","b":"2"},"reason":1e400}`: `metadata.b is given more than once`,
	} {
		a := c.as(forever.Secret).ask(t, "POST", "/v1/files/"+f.ID+"/links", body).want(t, 400)
		if p := c.problem(t, a, sluice.CodeValidation); p.Errors[0].Message != want {
			t.Errorf("%s: %q, want %q", body, p.Errors[0].Message, want)
		}
	}
}

// TestForever uses a key without a longest lifetime up to the last year.
func TestForever(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	forever, err := c.Keys.Create(t.Context(), service.Operator(c.Ledger(sluice.Test)), service.NewKey{Name: "forever", MaxLinkLifetime: sluice.Forever})
	if err != nil {
		t.Fatal(err)
	}
	const last = 253402300799 // of the year 9999
	if l := c.as(forever.Secret).mint(t, f.ID, fmt.Sprintf(`{"expires_at":%d}`, last)); *l.ExpiresAt != last {
		t.Errorf("%+v", l)
	}
	before := c.state(t)
	for _, body := range []string{fmt.Sprintf(`{"expires_at":%d}`, last+1), `{"expires_at":9223372036854775807}`,
		`{"expires_in_seconds":9223372036854775807}`} {
		a := c.as(forever.Secret).ask(t, "POST", "/v1/files/"+f.ID+"/links", body).want(t, 400)
		if p := c.problem(t, a, sluice.CodeValidation); p.Errors[0].Code != "out_of_range" {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	c.unchanged(t, before, 0)
}

// TestAllFailures checks that a problem lists every failure, in order.
func TestAllFailures(t *testing.T) {
	c := newClient(t)
	a := c.ask(t, "POST", "/v1/file_links",
		`{"file_id":7,"zeal":1,"expires_in_seconds":"x","metadata":{"a":1,"b":[],"c":2,"d":3,"e":4}}`)
	p := c.problem(t, a.want(t, 400), sluice.CodeValidation)
	var got []string
	for _, e := range p.Errors {
		got = append(got, e.Param+" "+e.Code)
	}
	want := "expires_in_seconds invalid, file_id invalid, metadata.a invalid, metadata.b invalid, metadata.c invalid, metadata.d invalid, metadata.e invalid, zeal unknown"
	if strings.Join(got, ", ") != want {
		t.Errorf("%v", got)
	}

	var members []string
	for i := range 5000 {
		members = append(members, fmt.Sprintf(`"m%d":0`, i))
	}
	a = c.ask(t, "POST", "/v1/file_links", `{`+strings.Join(members, ",")+`}`)
	if p := c.problem(t, a.want(t, 400), sluice.CodeValidation); len(p.Errors) != 50 {
		t.Errorf("%d failures are listed", len(p.Errors))
	}
}

// TestSecretsAreNotEchoed sends secrets in the wrong places. No answer repeats them.
func TestSecretsAreNotEchoed(t *testing.T) {
	c := newClient(t)
	const secret = "sk_live_abcdefghijklmnopqrstuvwxyz234567aaaaaaa"
	for _, a := range []answer{
		c.as(secret).ask(t, "GET", "/v1/files", ""),
		c.ask(t, "POST", "/v1/file_links", `{"file_id":"x","expires_in_seconds":"`+secret+`"}`),
		c.ask(t, "POST", "/v1/file_links", `{"file_id":"x","reason":`+secret+`}`),
		c.ask(t, "GET", "/v1/files?limit="+secret, ""),
		c.ask(t, "GET", "/v1/files?expired="+secret, ""),
	} {
		if strings.Contains(string(a.body), secret) {
			t.Errorf("a secret came back: %s", a.body)
		}
	}
	if strings.Contains(c.Log.String(), secret) {
		t.Error("the log holds a secret")
	}
}

func TestContentTypeOfABody(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	links := "/v1/files/" + f.ID + "/links"
	for _, accepted := range []string{"", "application/json", "application/json; charset=utf-8", "Application/JSON"} {
		c.ask(t, "POST", links, "{}", "Content-Type", accepted).want(t, 200)
	}
	before := c.state(t)
	for _, refused := range []string{"text/plain", "application/x-www-form-urlencoded", "application/vnd.api+json",
		"x+application/json", "json", "application/json+", ";"} {
		c.problem(t, c.ask(t, "POST", links, "{}", "Content-Type", refused).want(t, 415), sluice.CodeUnsupportedType)
	}
	c.unchanged(t, before, 0)
	// An empty body has no type.
	r, err := http.NewRequest("POST", c.URL+links, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c.do(t, r).want(t, 200)
}
