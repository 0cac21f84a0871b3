package httpd_test

import (
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/api"
)

// TestEntityTags reads and changes each kind of object with preconditions.
func TestEntityTags(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mint(t, f.ID, "")
	own := c.upload(t, "b.txt", "text/plain", "hello")
	k, _ := c.NewKey(t, c.Ledger(sluice.Test))
	entries := c.Entries(t, c.Ledger(sluice.Test))
	for _, test := range []struct{ name, path, change string }{
		{"file", "/v1/files/" + own.ID, `{"title":"%"}`},
		{"link", "/v1/file_links/" + l.ID, `{"reason":"%"}`},
		{"link of file", "/v1/files/" + f.ID + "/links/" + l.ID, `{"reason":"%"}`},
		{"key", "/v1/keys/" + k.ID, `{"name":"%"}`},
		{"entry", "/v1/audit_entries/" + entries[0].ID, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			tag := func() string { return c.ask(t, "GET", test.path, "").want(t, 200).header.Get("ETag") }
			first := tag()
			if !strings.HasPrefix(first, `"`) || !strings.HasSuffix(first, `"`) || len(first) < 3 || first != tag() {
				t.Fatalf("ETag %q, and then %q", first, tag())
			}
			for condition, status := range map[string]int{
				first: 304, "W/" + first: 304, `"x", ` + first: 304, `"x" ,,W/` + first: 304, "*": 304, `"x"`: 200, "x": 200,
				first + "x": 200, strings.Trim(first, `"`): 200,
			} {
				a := c.ask(t, "GET", test.path, "", "If-None-Match", condition).want(t, status)
				if a.header.Get("ETag") != first || status == 304 && len(a.body) != 0 {
					t.Errorf("%s: ETag %q, body %s", condition, a.header.Get("ETag"), a.body)
				}
				c.ask(t, "HEAD", test.path, "", "If-None-Match", condition).want(t, status)
			}
			if test.change == "" {
				return
			}
			change := func(text string, headers ...string) answer {
				return c.ask(t, "PATCH", test.path, strings.ReplaceAll(test.change, "%", text), headers...)
			}
			changed := change("one", "If-Match", first).want(t, 200).header.Get("ETag")
			if changed == first || changed != tag() {
				t.Errorf("ETag %q after %q, and then %q", changed, first, tag())
			}
			before := c.state(t)
			for _, stale := range []string{first, `"x"`, "W/" + changed, first + `, "x", W/` + changed, `""`} {
				c.problem(t, change("two", "If-Match", stale).want(t, 412), sluice.CodePreconditionFailed)
				c.problem(t, c.ask(t, "DELETE", test.path, "", "If-Match", stale).want(t, 412), sluice.CodePreconditionFailed)
			}
			for _, malformed := range []string{"x", `"x`, `"a" "b"`, ",", `* , "a"`, strings.Repeat(`"a",`, 101)} {
				for _, a := range []answer{change("two", "If-Match", malformed),
					c.ask(t, "DELETE", test.path, "", "If-Match", malformed)} {
					if p := c.problem(t, a.want(t, 400), sluice.CodeValidation); p.Param != "If-Match" {
						t.Errorf("%q: param %q", malformed, p.Param)
					}
				}
			}
			c.unchanged(t, before, 0)
			change("three", "If-Match", `"x", `+changed).want(t, 200)
			change("four", "If-Match", "*").want(t, 200)
			if test.name == "link" {
				return // the same one as of the file
			}
			c.ask(t, "DELETE", test.path, "", "If-Match", tag()).want(t, 200)
		})
	}
}

// TestEntityTagOfDownloads changes a link by a download: its answer changes, and its owner may still change the
// version that they saw.
func TestEntityTagOfDownloads(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mint(t, f.ID, `{"expires_in_seconds":60}`)
	path := "/v1/file_links/" + l.ID
	tag := c.ask(t, "GET", path, "").header.Get("ETag")
	c.get(t, l.URL).want(t, 200)
	if got := read[api.Link](t, c.ask(t, "GET", path, "", "If-None-Match", tag).want(t, 200)); got.Downloads != 1 {
		t.Errorf("%+v", got)
	}
	c.ask(t, "PATCH", path, `{"reason":"x"}`, "If-Match", tag).want(t, 200)
	tag = c.ask(t, "GET", path, "").header.Get("ETag")
	c.Clock.Advance(time.Minute)
	c.ask(t, "GET", path, "", "If-None-Match", tag).want(t, 200) // it has expired since
}

// TestTwoChangesInOneMoment changes an object twice at one time of the clock: the versions differ.
func TestTwoChangesInOneMoment(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	path := "/v1/files/" + f.ID
	tag := c.ask(t, "GET", path, "").header.Get("ETag")
	c.ask(t, "PATCH", path, `{"title":"a"}`, "If-Match", tag).want(t, 200)
	c.ask(t, "PATCH", path, `{"title":"a"}`, "If-Match", tag).want(t, 412)
}
