package httpd_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
)

// newVersioned is a client of a server whose API changed twice after its keys were made. The reason of a link was
// called use, then why; lifetimes were in minutes until 2027; until 2028, files had a member name, and size[gt] was
// called larger_than.
func newVersioned(t *testing.T) client {
	c := newClient(t)
	rename := func(m map[string]any, from, to string) {
		if v, ok := m[from]; ok {
			m[to] = v
			delete(m, from)
		}
	}
	mints := []string{"createLink", "createLinkOfFile"}
	renamed := func(from, to string) func(kind string, object map[string]any) {
		return func(kind string, object map[string]any) {
			switch {
			case kind == "file_link":
				rename(object, from, to)
			case kind == "problem" && object["param"] == from:
				object["param"] = to
			}
		}
	}
	c.HTTP.SetVersions(
		httpd.Version{Name: sluice.APIVersion},
		httpd.Version{
			Name: "2027-01-01",
			Body: func(operation string, body map[string]any) {
				if !slices.Contains(mints, operation) {
					return
				}
				rename(body, "use", "why")
				if minutes, ok := body["expires_in_minutes"].(json.Number); ok {
					n, _ := minutes.Int64()
					delete(body, "expires_in_minutes")
					body["expires_in_seconds"] = n * 60
				}
			},
			Param: func(operation, name, value string) (string, string) {
				return strings.Replace(name, "link[use]", "link[why]", 1), value
			},
			Answer: renamed("why", "use"),
		},
		httpd.Version{
			Name: "2028-02-02",
			Body: func(operation string, body map[string]any) {
				if slices.Contains(mints, operation) {
					rename(body, "why", "reason")
				}
			},
			Param: func(operation, name, value string) (string, string) {
				if operation == "listFiles" && name == "larger_than" {
					name = "size[gt]"
				}
				return strings.Replace(name, "link[why]", "link[reason]", 1), value
			},
			Answer: func(kind string, object map[string]any) {
				renamed("reason", "why")(kind, object)
				if kind == "file" && object["deleted"] == nil {
					object["name"] = object["filename"]
				}
			},
		},
	)
	return c
}

func object(t *testing.T, a answer) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.body, &m); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return m
}

func TestVersions(t *testing.T) {
	c := newVersioned(t)
	const middle, newest = "2027-01-01", "2028-02-02"
	f := c.as(c.secret).ask(t, "PUT", "/v1/files?purpose=generic&filename=a.txt", "hello", "Content-Type",
		"text/plain").want(t, 201)
	file := object(t, f)["id"].(string)
	links := "/v1/files/" + file + "/links"

	t.Run("a key is pinned to the version current when it was made", func(t *testing.T) {
		a := c.ask(t, "POST", links,
			`{"use":"case 4711","expires_in_minutes":2,"metadata":{"object":"file_link","reason":"mine"}}`).want(t, 200)
		m := object(t, a)
		if _, ok := m["reason"]; ok || m["use"] != "case 4711" || a.header.Get("Sluice-Version") != sluice.APIVersion {
			t.Errorf("%s", a.body)
		}
		if at := int64(m["expires_at"].(float64)); at != c.Clock.Now().Unix()+120 {
			t.Errorf("expires_at %d", at)
		}
		if got := m["metadata"].(map[string]any); got["reason"] != "mine" {
			t.Errorf("metadata is the caller's own: %v", got)
		}
		if got := c.ask(t, "GET", "/v1/files/"+file, "").want(t, 200); object(t, got)["name"] != "a.txt" {
			t.Errorf("%s", got.body)
		}
	})
	t.Run("the header overrides", func(t *testing.T) {
		a := c.ask(t, "POST", links, `{"reason":"case 4711","expires_in_seconds":60}`, "Sluice-Version", newest).want(t, 200)
		read[api.Link](t, a)
		if a.header.Get("Sluice-Version") != newest {
			t.Errorf("%v", a.header)
		}
		c.problem(t, c.ask(t, "POST", links, `{"use":"x"}`, "Sluice-Version", newest).want(t, 400), sluice.CodeValidation)
		c.problem(t, c.ask(t, "POST", links, `{"use":"x"}`, "Sluice-Version", middle).want(t, 400), sluice.CodeValidation)
		if why := object(t, c.ask(t, "POST", links, `{"why":"between"}`, "Sluice-Version", middle).want(t,
			200))["why"]; why != "between" {
			t.Errorf("why is %v", why)
		}
		m := object(t, c.ask(t, "GET", "/v1/files/"+file, "", "Sluice-Version", middle).want(t, 200))
		if m["name"] != "a.txt" {
			t.Errorf("%v", m)
		}
		read[api.File](t, c.ask(t, "GET", "/v1/files/"+file, "", "Sluice-Version", newest).want(t, 200))
	})
	t.Run("objects within lists, and their links to further pages", func(t *testing.T) {
		c.ask(t, "PUT", "/v1/files?purpose=generic&filename=b.txt", "hello", "Content-Type", "text/plain").want(t, 201)
		a := c.ask(t, "GET", "/v1/files?larger_than=1&limit=1", "").want(t, 200)
		data := object(t, a)["data"].([]any)
		if len(data) != 1 || data[0].(map[string]any)["name"] != "b.txt" ||
			!strings.Contains(beside(a)["next"], "larger_than=1") {
			t.Errorf("%s %v", a.body, a.header)
		}
		c.ask(t, "GET", beside(a)["next"], "").want(t, 200)
		if p := c.problem(t, c.ask(t, "GET", "/v1/files?larger_than=1", "", "Sluice-Version", newest).want(t, 400),
			sluice.CodeValidation); p.Param != "larger_than" {
			t.Errorf("%+v", p)
		}
	})
	t.Run("fields of an upload, and what is minted with it", func(t *testing.T) {
		form := newForm(part{"purpose", "generic"}, part{"file", "hello"}, part{"link[use]", "with the file"})
		m := object(t, c.post(t, form).want(t, 201))
		if m["name"] != "a.txt" || m["link"].(map[string]any)["use"] != "with the file" {
			t.Errorf("%v", m)
		}
	})
	t.Run("problems", func(t *testing.T) {
		long := fmt.Sprintf(`{"use":%q}`, strings.Repeat("x", 501))
		if p := c.problem(t, c.ask(t, "POST", links, long).want(t, 400), sluice.CodeValidation); p.Param != "use" {
			t.Errorf("%+v", p)
		}
	})
	t.Run("a body that is none is refused in every version", func(t *testing.T) {
		for _, body := range []string{`{"use":`, `[]`, `{}{}`, `null`, "{\"use\":\"\xff\"}"} {
			for _, version := range []string{sluice.APIVersion, newest} {
				c.problem(t, c.ask(t, "POST", links, body, "Sluice-Version", version).want(t, 400), sluice.CodeValidation)
			}
		}
	})
	t.Run("a replay is in the version that is asked for", func(t *testing.T) {
		body := `{"metadata":{"a":"1"}}`
		first := c.ask(t, "POST", links, body, "Idempotency-Key", "k").want(t, 200)
		second := c.ask(t, "POST", links, body, "Idempotency-Key", "k").want(t, 200)
		if string(first.body) != string(second.body) {
			t.Errorf("%s\n%s", first.body, second.body)
		}
		third := c.ask(t, "POST", links, body, "Idempotency-Key", "k", "Sluice-Version", newest).want(t, 200)
		if l := read[api.Link](t, third); l.ID != object(t, first)["id"] ||
			third.header.Get("ETag") == first.header.Get("ETag") {
			t.Errorf("%+v %v", l, third.header)
		}
	})
	t.Run("unknown is 400", func(t *testing.T) {
		for _, unknown := range []string{"1999-01-01", "latest", "", "2027-1-1"} {
			a := c.ask(t, "GET", "/v1/files", "", "Sluice-Version", unknown).want(t, 400)
			if p := c.problem(t, a, sluice.CodeValidation); p.Param != "Sluice-Version" ||
				a.header.Get("Sluice-Version") != sluice.APIVersion {
				t.Errorf("%+v %v", p, a.header)
			}
		}
	})
}

// TestVersionOfServer checks that the newest version is the one that new keys get.
func TestVersionOfServer(t *testing.T) {
	c := newClient(t)
	for _, headers := range [][]string{nil, {"Sluice-Version", sluice.APIVersion}} {
		if got := c.ask(t, "GET", "/v1/account", "", headers...).want(t,
			200).header.Get("Sluice-Version"); got != sluice.APIVersion {
			t.Errorf("Sluice-Version %q", got)
		}
	}
	if got := c.makeKey(t, `{"name":"x"}`).Version; got != sluice.APIVersion {
		t.Errorf("a key is pinned to %q", got)
	}
}
