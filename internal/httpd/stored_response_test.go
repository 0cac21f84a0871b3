package httpd_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/server"
	"sluice/internal/service"
)

// again sends a request twice with one idempotency key, checks that the second answer equals the first, and returns
// both.
func (c client) again(t testing.TB, key string, send func(headers ...string) answer) (first, second answer) {
	t.Helper()
	first = send("Idempotency-Key", key)
	if first.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("the first answer is a replay: %s", first.body)
	}
	before := c.state(t)
	second = send("Idempotency-Key", key)
	if second.status != first.status || second.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("status %d and Idempotency-Replayed %q after %d: %s", second.status,
			second.header.Get("Idempotency-Replayed"), first.status, second.body)
	}
	if second.header.Get("X-Request-Id") == first.header.Get("X-Request-Id") {
		t.Error("both answers have one X-Request-Id")
	}
	for _, name := range []string{"Content-Type", "Location", "ETag", "Sluice-Version"} {
		if first.header.Get(name) != second.header.Get(name) {
			t.Errorf("%s is %q after %q", name, second.header.Get(name), first.header.Get(name))
		}
	}
	if before.Denials == c.state(t).Denials {
		c.unchanged(t, before, 0)
	}
	return first, second
}

// linkWith mints a link with idempotency keys as given.
func (c client) linkWith(t testing.TB, file string, keys ...string) answer {
	t.Helper()
	r, err := http.NewRequest("POST", c.URL+"/v1/files/"+file+"/links", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["Idempotency-Key"] = keys
	return c.do(t, r)
}

func TestIdempotencyKeySyntax(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	for name, same := range map[string][]string{
		"1 character":              {"a", `"a"`},
		"255 printable characters": {strings.Repeat("~", 255), `"` + strings.Repeat("~", 255) + `"`},
		"a UUID":                   {"8e03978e-40d5-43e8-bc93-6894a57f9324", `"8e03978e-40d5-43e8-bc93-6894a57f9324"`},
		"spaces and punctuation":   {"a b;c=d,e", `"a b;c=d,e"`},
		"quoted form accepted: escapes stand for one key": {`back\slash and "quote"`, `"back\\slash and \"quote\""`},
	} {
		t.Run(name, func(t *testing.T) {
			first := c.linkWith(t, f.ID, same[0]).want(t, 200)
			second := c.linkWith(t, f.ID, same[1]).want(t, 200)
			if string(first.body) != string(second.body) || second.header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("%q and %q are two keys", same[0], same[1])
			}
		})
	}
	before := c.state(t)
	for name, keys := range map[string][]string{
		"empty":                    {""},
		"empty in quotes":          {`""`},
		"256 characters":           {strings.Repeat("x", 256)},
		"a tab":                    {"a\tb"},
		"not ASCII":                {"schlüssel"},
		"a quote without an end":   {`"abc`},
		"text after a quote":       {`"abc"d`},
		"parameters":               {`"abc";a=1`},
		"an escape of a character": {`"a\bc"`},
		"two of them":              {"a1", "a2"},
		"one of them twice":        {"a1", "a1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.problem(t, c.linkWith(t, f.ID, keys...).want(t, 400), sluice.CodeValidation)
			if p.Param != "Idempotency-Key" {
				t.Errorf("param %q", p.Param)
			}
		})
	}
	c.unchanged(t, before, 0)
	// The header has no effect where nothing is changed.
	for range 2 {
		if a := c.ask(t, "GET", "/v1/files/"+f.ID, "", "Idempotency-Key", "\"").want(t,
			200); a.header.Get("Idempotency-Replayed") != "" {
			t.Error("a GET is replayed")
		}
	}
}

// TestReplayEveryRoute sends every request that changes something twice.
func TestReplayEveryRoute(t *testing.T) {
	c := newClient(t)
	for _, rt := range server.Routes() {
		if rt.Method == "GET" || rt.Scope == httpd.Public {
			continue
		}
		t.Run("same method, path and body: the stored status and body: "+rt.Operation, func(t *testing.T) {
			o := c.objects(t)
			first, second := c.again(t, rt.Operation, func(headers ...string) answer { return c.call(t, rt, o, headers...) })
			if first.status >= 300 {
				t.Fatalf("status %d: %s", first.status, first.body)
			}
			switch rt.Operation {
			case "createKey", "rotateKey":
				made, again := read[api.CreatedKey](t, first), read[api.CreatedKey](t, second)
				if made.Secret == nil || again.Secret != nil {
					t.Errorf("the secret is %v, and in the replay %v", made.Secret, again.Secret)
				}
				c.as(*made.Secret).ask(t, "GET", "/v1/account", "").want(t, 200)
				if want := strings.Replace(string(first.body), fmt.Sprintf("%q", *made.Secret), "null",
					1); want != string(second.body) {
					t.Errorf("replayed\n%s after\n%s", second.body, first.body)
				}
			default:
				if string(first.body) != string(second.body) {
					t.Errorf("replayed\n%s after\n%s", second.body, first.body)
				}
			}
		})
	}
}

// TestReplayIsAsOfThen repeats a request after its result has changed.
func TestReplayIsAsOfThen(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	first := c.ask(t, "POST", "/v1/files/"+f.ID+"/links", `{"expires_in_seconds":60}`, "Idempotency-Key", "k").want(t, 200)
	l := read[api.Link](t, first)
	changed := c.ask(t, "PATCH", "/v1/file_links/"+l.ID, `{"reason":"later"}`, "Idempotency-Key", "p").want(t, 200)
	c.get(t, l.URL).want(t, 200)
	c.Clock.Advance(2 * time.Minute)
	if got := read[api.Link](t, c.ask(t, "GET", "/v1/file_links/"+l.ID, "").want(t, 200)); !got.Expired ||
		got.Downloads != 1 || got.Reason == nil {
		t.Fatalf("%+v", got)
	}
	second := c.ask(t, "POST", "/v1/files/"+f.ID+"/links", `{"expires_in_seconds":60}`, "Idempotency-Key", "k").want(t,
		200)
	if string(first.body) != string(second.body) {
		t.Errorf("replayed\n%s after\n%s", second.body, first.body)
	}
	repeated := c.ask(t, "PATCH", "/v1/file_links/"+l.ID, `{"reason":"later"}`, "Idempotency-Key", "p").want(t, 200)
	if string(changed.body) != string(repeated.body) {
		t.Errorf("replayed\n%s after\n%s", repeated.body, changed.body)
	}
	// And after the file itself is gone.
	c.ask(t, "DELETE", "/v1/files/"+f.ID, "").want(t, 200)
	if third := c.linkAgain(t, f.ID); string(first.body) != string(third.body) {
		t.Errorf("replayed\n%s after\n%s", third.body, first.body)
	}
}

func (c client) linkAgain(t testing.TB, file string) answer {
	t.Helper()
	return c.ask(t, "POST", "/v1/files/"+file+"/links", `{"expires_in_seconds":60}`, "Idempotency-Key", "k").want(t, 200)
}

// TestRemembered checks that every kind of 4xx is stored, with the request id of the first answer, also after its
// cause is gone.
func TestRemembered(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	held := c.upload(t, "b.txt", "text/plain", "hello")
	c.ask(t, "PATCH", "/v1/files/"+held.ID, `{"held":true}`).want(t, 200)
	imported := read[api.File](t, c.post(t, fileOf("import", "a.txt", "text/plain", "hello")).want(t, 201))
	old := c.mint(t, f.ID, `{"expires_in_seconds":1}`)
	c.Clock.Advance(time.Second)
	key, narrow := c.NewKey(t, c.Ledger(sluice.Test), sluice.LinksRead)
	links := "/v1/files/" + f.ID + "/links"

	for _, test := range []struct {
		name               string
		method, path, body string
		headers            []string
		code               sluice.Code
	}{
		{"400 malformed body", "POST", links, `{"reason":`, nil, sluice.CodeValidation},
		{"400 unknown body field", "POST", links, `{"colour":1}`, nil, sluice.CodeValidation},
		{"400 unknown query parameter", "POST", links + "?colour=red", ``, nil, sluice.CodeValidation},
		{"400 outside the policy", "POST", links, `{"expires_in_seconds":86401}`, nil, sluice.CodeValidation},
		{"400 If-Match that is none", "PATCH", "/v1/files/" + f.ID, `{}`, []string{"If-Match", "x"}, sluice.CodeValidation},
		{"403 policy", "POST", "/v1/files/" + imported.ID + "/links", ``, nil, sluice.CodeForbidden},
		{"404", "DELETE", "/v1/file_links/link_01kjvktdcjb8swve6173hgcvk1", ``, nil, sluice.CodeNotFound},
		{"409 file_held", "DELETE", "/v1/files/" + held.ID, ``, nil, sluice.CodeFileHeld},
		{"409 link_expired", "PATCH", "/v1/file_links/" + old.ID, `{"reason":"x"}`, nil, sluice.CodeLinkExpired},
		{"412", "DELETE", "/v1/files/" + f.ID, ``, []string{"If-Match", `"other"`}, sluice.CodePreconditionFailed},
		{"413", "POST", links, `{"reason":"` + strings.Repeat("x", 300<<10) + `"}`, nil, sluice.CodeTooLarge},
		{"415", "POST", links, `{}`, []string{"Content-Type", "text/plain"}, sluice.CodeUnsupportedType},
		{"upload: 400 no purpose", "PUT", "/v1/files", `hello`, nil, sluice.CodeValidation},
		{"upload: 400 unknown purpose", "PUT", "/v1/files?purpose=nonesuch", `hello`, nil, sluice.CodeValidation},
		{"upload: 400 metadata", "PUT", "/v1/files?purpose=generic&metadata[sluice_x]=1", `hello`, nil,
			sluice.CodeValidation},
		{"upload: 413", "PUT", "/v1/files?purpose=logo", strings.Repeat("x", 10<<20+1),
			[]string{"Content-Type", "image/png"}, sluice.CodeTooLarge},
		{"upload: 415", "PUT", "/v1/files?purpose=logo", `hello`, []string{"Content-Type", "text/plain"},
			sluice.CodeUnsupportedType},
		{"upload: a form without an end", "POST", "/v1/files", "--x\r\n",
			[]string{"Content-Type", "multipart/form-data; boundary=x"}, sluice.CodeValidation},
	} {
		t.Run(test.name, func(t *testing.T) {
			first, second := c.again(t, test.name, func(headers ...string) answer {
				return c.ask(t, test.method, test.path, test.body, append(headers, test.headers...)...)
			})
			c.problem(t, first, test.code)
			if string(first.body) != string(second.body) {
				t.Errorf("replayed\n%s after\n%s", second.body, first.body)
			}
		})
	}
	t.Run("403 scope", func(t *testing.T) {
		first, second := c.again(t, "scope",
			func(headers ...string) answer { return c.as(narrow).ask(t, "POST", links, ``, headers...) })
		c.problem(t, first.want(t, 403), sluice.CodeForbidden)
		if string(first.body) != string(second.body) {
			t.Errorf("replayed\n%s after\n%s", second.body, first.body)
		}
		// Each refusal for a missing scope is recorded or counted all the same.
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		denials := int64(0)
		for _, e := range c.Entries(t, c.Ledger(sluice.Test)) {
			if e.Action == sluice.AccessDenied && e.Actor.ID == key.ID {
				denials += 1 + e.Repeats
			}
		}
		if denials != 2 {
			t.Errorf("%d denials of 2 were recorded", denials)
		}
	})
	t.Run("remembered also when its cause is gone", func(t *testing.T) {
		c.ask(t, "PATCH", "/v1/files/"+held.ID, `{"held":false}`).want(t, 200)
		a := c.ask(t, "DELETE", "/v1/files/"+held.ID, "", "Idempotency-Key", "409 file_held").want(t, 409)
		if a.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%v", a.header)
		}
		c.ask(t, "DELETE", "/v1/files/"+held.ID, "", "Idempotency-Key", "another").want(t, 200)
	})
}

// TestReused sends different requests with one key.
func TestReused(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	other := c.upload(t, "b.txt", "text/plain", "hello")
	links := "/v1/files/" + f.ID + "/links"
	c.ask(t, "POST", links, `{"reason":"a"}`, "Idempotency-Key", "link").want(t, 200)
	uploaded := func(key, content string, parts ...part) answer {
		form := newForm(append(parts, part{"purpose", "generic"}, part{"file", content})...)
		return c.ask(t, "POST", "/v1/files", string(form.closed()), "Content-Type", form.w.FormDataContentType(),
			"Idempotency-Key", key)
	}
	uploaded("file", "hello", part{"title", "T"}).want(t, 201)
	c.ask(t, "POST", links, `{`, "Idempotency-Key", "malformed").want(t, 400)
	c.ask(t, "PATCH", "/v1/files/"+f.ID, `{}`, "Idempotency-Key", "change").want(t, 200)
	c.ask(t, "PUT", "/v1/files?purpose=nonesuch", `hello`, "Idempotency-Key", "refused").want(t, 400)

	before := c.state(t)
	for name, a := range map[string]answer{
		"another body": c.ask(t, "POST", links, `{"reason":"b"}`, "Idempotency-Key", "link"),
		"no body":      c.ask(t, "POST", links, ``, "Idempotency-Key", "link"),
		"another path": c.ask(t, "POST", "/v1/files/"+other.ID+"/links", `{"reason":"a"}`,
			"Idempotency-Key", "link"),
		"another method":             c.ask(t, "DELETE", "/v1/files/"+f.ID, ``, "Idempotency-Key", "link"),
		"another method of the path": c.ask(t, "DELETE", "/v1/files/"+f.ID, `{}`, "Idempotency-Key", "change"),
		"a body that is malformed":   c.ask(t, "POST", links, `{"reason":`, "Idempotency-Key", "link"),
		"a body that is too large": c.ask(t, "POST", links, strings.Repeat(" ", 300<<10), "Idempotency-Key",
			"link"),
		"a query":                           c.ask(t, "POST", links+"?x=1", `{"reason":"a"}`, "Idempotency-Key", "link"),
		"an upload":                         uploaded("link", "hello"),
		"a good body after a malformed one": c.ask(t, "POST", links, `{}`, "Idempotency-Key", "malformed"),
		"an upload of other content":        uploaded("file", "jello", part{"title", "T"}),
		"an upload with another field":      uploaded("file", "hello", part{"title", "U"}),
		"an upload with a field more":       uploaded("file", "hello", part{"title", "T"}, part{"metadata[a]", "1"}),
		"an upload with a link":             uploaded("file", "hello", part{"title", "T"}, part{"link[reason]", "x"}),
		"an upload with a malformed field":  uploaded("file", "hello", part{"title", "T"}, part{"colour", "red"}),
		"an upload that is no form": c.ask(t, "POST", "/v1/files", "x", "Content-Type",
			"multipart/form-data; boundary=x", "Idempotency-Key", "file"),
		"an upload by another method": c.ask(t, "PUT", "/v1/files?purpose=generic&title=T&filename=a.txt", `hello`,
			"Content-Type", "text/plain", "Idempotency-Key", "file"),
		"a good upload after one refused": c.ask(t, "PUT", "/v1/files?purpose=generic", `hello`, "Idempotency-Key",
			"refused"),
		"another bad upload after one": c.ask(t, "PUT", "/v1/files?purpose=nothing", `hello`, "Idempotency-Key",
			"refused"),
		"a link where an upload was answered": c.ask(t, "POST", links, `{"reason":"a"}`, "Idempotency-Key", "file"),
	} {
		t.Run("different request: 409: "+name, func(t *testing.T) {
			if p := c.problem(t, a.want(t, 409), sluice.CodeIdempotencyReused); p.RequestID != a.header.Get("X-Request-Id") ||
				a.header.Get("Idempotency-Replayed") != "" {
				t.Errorf("%+v", p)
			}
		})
	}
	c.unchanged(t, before, 0)
	// The first request still gets its answer.
	if a := c.ask(t, "POST", links, `{"reason":"a"}`, "Idempotency-Key", "link").want(t,
		200); a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%v", a.header)
	}
}

// TestUploadFingerprint sends one upload in many forms: the fields and the content identify it, not the bytes of the
// form.
func TestUploadFingerprint(t *testing.T) {
	c := newClient(t)
	var first answer
	for i, form := range []*multipartForm{
		newForm(part{"purpose", "generic"}, part{"title", "T"}, part{"metadata[a]", "1"}, part{"metadata[b]", "2"},
			part{"link[reason]", "x"}, part{"file", "hello"}),
		newForm(part{"file", "hello"}, part{"link[reason]", "x"}, part{"metadata", `{"b":"2","a":"1"}`}, part{"title", "T"},
			part{"purpose", "generic"}),
	} {
		a := c.ask(t, "POST", "/v1/files", string(form.closed()), "Content-Type", form.w.FormDataContentType(),
			"Idempotency-Key", "k").want(t, 201)
		if i == 0 {
			first = a
		} else if string(a.body) != string(first.body) || a.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("form %d: %s\nafter %s", i, a.body, first.body)
		}
	}
	a := c.ask(t, "POST", "/v1/files?purpose=generic&filename=a.txt&title=T&metadata[b]=2&metadata[a]=1&link[reason]=x",
		"hello", "Content-Type", "text/plain", "Idempotency-Key", "k").want(t, 201)
	if string(a.body) != string(first.body) {
		t.Errorf("raw: %s\nafter %s", a.body, first.body)
	}
	if s := c.state(t); s.Files != 1 || s.Links != 1 || len(s.Blobs) != 1 {
		t.Errorf("%+v", s)
	}
}

// TestNotRemembered repeats requests whose first failure had a cause outside the request.
func TestNotRemembered(t *testing.T) {
	t.Run("a 5xx is not remembered", func(t *testing.T) {
		c := newClient(t)
		f := c.upload(t, "a.txt", "text/plain", "hello")
		if err := c.Store.Close(); err != nil {
			t.Fatal(err)
		}
		c.problem(t, c.linkWith(t, f.ID, "k").want(t, 503), sluice.CodeUnavailable)
		c.Restart(t)
		if a := c.linkWith(t, f.ID, "k").want(t, 200); a.header.Get("Idempotency-Replayed") != "" {
			t.Error("replayed")
		}
	})
	t.Run("nor a 401", func(t *testing.T) {
		c := newClient(t)
		f := c.upload(t, "a.txt", "text/plain", "hello")
		k, secret := c.NewKeyAs(t, c.Ledger(sluice.Test),
			service.NewKey{Name: "brief", Expires: c.Clock.Now().Add(time.Minute)})
		c.Clock.Advance(time.Minute)
		c.as(secret).linkWith(t, f.ID, "k").want(t, 401)
		never := time.Time{}
		if _, err := c.Keys.Update(t.Context(), service.Operator(c.Ledger(sluice.Test)), k.ID, nil, service.KeyChange{Expires: &never}); err != nil {
			t.Fatal(err)
		}
		c.as(secret).linkWith(t, f.ID, "k").want(t, 200)
	})
	t.Run("nor a 429", func(t *testing.T) {
		c := newLimited(t, 1, 0)
		f := c.upload(t, "a.txt", "text/plain", "hello")
		c.linkWith(t, f.ID, "k").want(t, 429)
		c.Clock.Advance(time.Second)
		c.linkWith(t, f.ID, "k").want(t, 200)
	})
	t.Run("nor an upload that broke off", func(t *testing.T) {
		c := newClient(t)
		head := c.head(fmt.Sprintf("Content-Length: %d\r\nIdempotency-Key: k", len(wholeForm)))
		c.talk(t, head+wholeForm[:len(wholeForm)-10], true).want(t, 400)
		a := c.talk(t, head+wholeForm, false).want(t, 201)
		if a.header.Get("Idempotency-Replayed") != "" {
			t.Error("replayed")
		}
	})
	t.Run("nor a body that broke off", func(t *testing.T) {
		c := newClient(t)
		f := c.upload(t, "a.txt", "text/plain", "hello")
		head := "POST /v1/files/" + f.ID + "/links HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + c.secret +
			"\r\nIdempotency-Key: k\r\nContent-Length: 2\r\n\r\n"
		c.problem(t, c.talk(t, head+"{", true).want(t, 400), sluice.CodeValidation)
		c.talk(t, head+"{}", false).want(t, 200)
	})
	t.Run("nor what does not match its digest: it is not what was sent", func(t *testing.T) {
		c := newClient(t)
		f := c.upload(t, "a.txt", "text/plain", "hello")
		for path, sent := range map[string]string{"/v1/files?purpose=generic": "hello", "/v1/files/" + f.ID +
			"/links": `{"reason":"x"}`} {
			method, digest := cond(strings.Contains(path, "links"), "POST", "PUT"), digestOf(sent)
			damaged := strings.Replace(sent, "e", "a", 1)
			a := c.ask(t, method, path, damaged, "Content-Digest", digest, "Idempotency-Key", "k"+path).want(t, 400)
			c.problem(t, a, sluice.CodeDigestMismatch)
			first := c.ask(t, method, path, sent, "Content-Digest", digest, "Idempotency-Key", "k"+path)
			if first.status >= 300 || first.header.Get("Idempotency-Replayed") != "" {
				t.Errorf("status %d: %s", first.status, first.body)
			}
			// The digest that checks it is not part of it either.
			if second := c.ask(t, method, path, sent, "Idempotency-Key", "k"+path); string(second.body) != string(first.body) {
				t.Errorf("status %d: %s", second.status, second.body)
			}
		}
	})
	t.Run("nor an upload refused for its scope, of which nothing was read", func(t *testing.T) {
		c := newClient(t)
		k, secret := c.NewKey(t, c.Ledger(sluice.Test), sluice.FilesRead)
		put := func() answer {
			return c.as(secret).ask(t, "PUT", "/v1/files?purpose=generic", "hello", "Idempotency-Key", "k")
		}
		put().want(t, 403)
		scopes := []sluice.Scope{sluice.FilesWrite}
		if _, err := c.Keys.Update(t.Context(), service.Operator(c.Ledger(sluice.Test)), k.ID, nil, service.KeyChange{Scopes: &scopes}); err != nil {
			t.Fatal(err)
		}
		put().want(t, 201)
	})
}

func TestIdempotencyScopeAndTime(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	first := c.linkWith(t, f.ID, "k").want(t, 200)
	replays := func(t *testing.T, as client) bool {
		t.Helper()
		a := as.linkWith(t, f.ID, "k").want(t, 200)
		same := string(a.body) == string(first.body)
		if (a.header.Get("Idempotency-Replayed") == "true") != same {
			t.Errorf("%v %s", a.header, a.body)
		}
		return same
	}
	t.Run("scope: the key's id: another key is another scope", func(t *testing.T) {
		_, another := c.NewKey(t, c.Ledger(sluice.Test))
		if replays(t, c.as(another)) {
			t.Error("replayed to another key")
		}
	})
	t.Run("scope: the key's id: a new secret of the key is the same scope", func(t *testing.T) {
		rotated := read[api.CreatedKey](t,
			c.ask(t, "POST", "/v1/keys/"+c.Key.ID+"/rotate", `{"overlap_seconds":60}`).want(t, 200))
		if !replays(t, c.as(*rotated.Secret)) {
			t.Error("not replayed")
		}
	})
	t.Run("survives a restart", func(t *testing.T) {
		c.Restart(t)
		if !replays(t, c) {
			t.Error("not replayed")
		}
	})
	_, fresh := c.NewKey(t, c.Ledger(sluice.Test))
	c = c.as(fresh)
	first = c.linkWith(t, f.ID, "k").want(t, 200)
	t.Run("remembered 24 h from the first answer", func(t *testing.T) {
		c.Clock.Advance(24*time.Hour - time.Microsecond)
		if !replays(t, c) {
			t.Error("forgotten before its time")
		}
		c.Clock.Advance(time.Microsecond)
		if replays(t, c) {
			t.Error("remembered beyond its time, which does not begin again with a replay")
		}
	})
}

// TestConcurrentCopies sends 64 copies of a request at once: one takes effect, and every copy gets its answer.
func TestConcurrentCopies(t *testing.T) {
	const copies = 64
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	form := fileOf("generic", "b.txt", "text/plain", strings.Repeat("0123456789", 10000))
	content, boundary := string(form.closed()), form.w.FormDataContentType()
	for name, send := range map[string]func() answer{
		"JSON": func() answer {
			return c.ask(t, "POST", "/v1/files/"+f.ID+"/links", `{"reason":"copy"}`, "Idempotency-Key", "json")
		},
		"upload": func() answer {
			return c.ask(t, "POST", "/v1/files", content, "Content-Type", boundary, "Idempotency-Key", "upload")
		},
		"failure": func() answer {
			return c.ask(t, "POST", "/v1/files/"+f.ID+"/links", `{"expires_in_seconds":0}`, "Idempotency-Key", "failure")
		},
		"failed upload": func() answer {
			return c.ask(t, "PUT", "/v1/files?purpose=logo", "hello", "Content-Type", "text/plain", "Idempotency-Key", "failed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.state(t)
			answers := make([]answer, copies)
			start := make(chan struct{})
			var clients sync.WaitGroup
			for i := range answers {
				clients.Go(func() {
					<-start
					answers[i] = send()
				})
			}
			close(start)
			clients.Wait()
			replayed := 0
			for _, a := range answers {
				if a.status != answers[0].status || string(a.body) != string(answers[0].body) {
					t.Fatalf("two answers:\n%s\n%s", a.body, answers[0].body)
				}
				if a.header.Get("Idempotency-Replayed") == "true" {
					replayed++
				}
			}
			if replayed != copies-1 {
				t.Errorf("%d of %d answers are replays", replayed, copies)
			}
			after, made := c.state(t), 1
			if answers[0].status >= 400 {
				made = 0
			}
			if n := after.Files + after.Links - before.Files - before.Links; n != made ||
				len(after.Entries)-len(before.Entries) != made {
				t.Errorf("%d objects and %d entries were made", n, len(after.Entries)-len(before.Entries))
			}
			if len(after.Blobs) != after.Files {
				t.Errorf("%d blobs of %d files", len(after.Blobs), after.Files)
			}
		})
	}
}
