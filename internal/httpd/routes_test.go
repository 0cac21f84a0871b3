package httpd_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/internal/token"
	"sluice/ledger"
	"sluice/sluicetest"
)

// bodies are the bodies with which operations succeed, by operation. %f stands for a file.
var bodies = map[string]string{
	"createLink":       `{"file_id":"%f"}`,
	"createLinkOfFile": `{}`,
	"updateLink":       `{"reason":"changed"}`,
	"updateLinkOfFile": `{"reason":"changed"}`,
	"updateFile":       `{"title":"changed"}`,
	"createLinks":      `{"file_ids":["%f"]}`,
	"createErasure":    `{"file_id":"%f"}`,
	"createKey":        `{"name":"another","scopes":["keys:admin"]}`,
	"updateKey":        `{"name":"changed"}`,
}

// queries are the queries with which operations succeed, by operation. %e stands for an entry.
var queries = map[string]string{
	"putFile":          "?purpose=generic",
	"proveEntry":       "?entry=%e",
	"proveConsistency": "?from=1",
}

// objects are the objects that the path of a route may name.
type objects struct{ file, link, entry, key, erasure, tile string }

func (c client) objects(t *testing.T) objects {
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mint(t, f.ID, "")
	entries := c.Entries(t, c.Ledger(sluice.Test))
	k, _ := c.NewKey(t, c.Ledger(sluice.Test), sluice.KeysAdmin)
	e, err := c.Erasures.Begin(t.Context(), service.Operator(c.Ledger(sluice.Test)), service.NewErasure{Recipient: "nobody@bank.example"})
	if err == nil {
		_, err = c.Erasures.Run(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	c.Checkpoint(t)
	return objects{f.ID, l.ID, entries[len(entries)-1].ID, k.ID, e.ID, c.lastTile(t)}
}

// lastTile is the path of the rightmost tile of the test ledger, below /tile/.
func (c client) lastTile(t *testing.T) string {
	t.Helper()
	newest, err := c.Ledgers.NewestCheckpoint(context.Background(), service.Operator(c.Ledger(sluice.Test)))
	if err != nil {
		t.Fatal(err)
	}
	last := newest.Size - 1
	tile := ledger.Tile{Level: 0, Index: last / ledger.TileWidth, Width: int(last%ledger.TileWidth) + 1}
	return strings.TrimPrefix(tile.Path(), "tile/")
}

// call calls a route with real objects.
func (c client) call(t *testing.T, rt httpd.Route, o objects, headers ...string) answer {
	t.Helper()
	path := rt.Path
	switch {
	case strings.HasPrefix(path, "/v1/files/"):
		path = strings.ReplaceAll(path, "{id}", o.file)
	case strings.HasPrefix(path, "/v1/file_links/"):
		path = strings.ReplaceAll(path, "{id}", o.link)
	case strings.HasPrefix(path, "/v1/audit_entries/"):
		path = strings.ReplaceAll(path, "{id}", o.entry)
	case strings.HasPrefix(path, "/v1/audit_redactions/"):
		path = strings.ReplaceAll(path, "{id}", o.erasure)
	case strings.HasPrefix(path, "/v1/keys/"):
		path = strings.ReplaceAll(path, "{id}", o.key)
	}
	path = strings.ReplaceAll(path, "{link}", o.link)
	path = strings.ReplaceAll(path, "{tile...}", o.tile)
	path += strings.ReplaceAll(queries[rt.Operation], "%e", o.entry)
	if strings.Contains(path, "{") {
		t.Fatalf("the test does not know what to put into %s", path)
	}
	switch rt.Operation {
	case "createFile":
		f := fileOf("generic", "b.txt", "text/plain", "hello")
		return c.ask(t, rt.Method, path, string(f.closed()), append(headers, "Content-Type", f.w.FormDataContentType())...)
	case "putFile":
		return c.ask(t, rt.Method, path, "hello", append(headers, "Content-Type", "text/plain")...)
	}
	return c.ask(t, rt.Method, path, strings.ReplaceAll(bodies[rt.Operation], "%f", o.file), headers...)
}

// TestAuthorisation calls every route with each kind of key that must be refused, and with a key that has just the
// scope it needs.
func TestAuthorisation(t *testing.T) {
	c := newClient(t)
	all := sluice.AllScopes()
	stranger := sluice.LedgerID{Account: c.NewAccount(t, "another").ID, Mode: sluice.Test}
	_, foreign := c.NewKey(t, stranger)
	_, live := c.NewKey(t, c.Ledger(sluice.Live))

	_, unknown := sluicetest.NewService(t).NewKey(t, c.Ledger(sluice.Test))
	revokedKey, revoked := c.NewKey(t, c.Ledger(sluice.Test))
	ctx, operator := context.Background(), service.Operator(c.Ledger(sluice.Test))
	if _, err := c.Keys.Revoke(ctx, operator, revokedKey.ID, nil); err != nil {
		t.Fatal(err)
	}
	_, expired := c.NewKeyAs(t, c.Ledger(sluice.Test),
		service.NewKey{Name: "brief", Expires: c.Clock.Now().Add(time.Minute)})
	c.Clock.Advance(time.Minute)

	for _, rt := range server.Routes() {
		if rt.Scope == httpd.Public {
			if strings.HasPrefix(rt.Path, "/v1/") {
				t.Errorf("%s %s asks for no key", rt.Method, rt.Path)
			}
			continue
		}
		t.Run(rt.Operation, func(t *testing.T) {
			o := c.objects(t)
			before := c.state(t)
			for name, authorization := range map[string]string{
				"no key":          "",
				"an unknown key":  "Bearer " + unknown,
				"a malformed key": "Bearer sk_test_1",
				"a truncated key": "Bearer " + c.secret[:len(c.secret)-1],
				"a revoked key":   "Bearer " + revoked,
				"an expired key":  "Bearer " + expired,
				"Basic":           "Basic " + c.secret,
				"a bare key":      c.secret,
			} {
				a := c.as("").call(t, rt, o, "Authorization", authorization)
				if a.status != 401 || a.header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%s: status %d, WWW-Authenticate %q", name, a.status, a.header.Get("WWW-Authenticate"))
				}
				c.problem(t, a, sluice.CodeUnauthenticated)
			}
			c.unchanged(t, before, 0)

			if rt.Scope != httpd.AnyKey {
				_, others := c.NewKey(t, c.Ledger(sluice.Test),
					slices.DeleteFunc(slices.Clone(all), func(s sluice.Scope) bool { return s == rt.Scope })...)
				before = c.state(t)
				c.problem(t, c.as(others).call(t, rt, o).want(t, 403), sluice.CodeForbidden)
				c.unchanged(t, before, 1)
				entries := c.Entries(t, c.Ledger(sluice.Test))
				last := entries[len(entries)-1]
				if last.Refusal != sluice.Refusal("missing_scope:"+string(rt.Scope)) || last.Request == nil ||
					last.Request.Route != rt.Path {
					t.Errorf("the denial was recorded as %+v of %+v", last, last.Request)
				}
			}

			// To keys of another account or of the other mode, the objects do not exist.
			if strings.Contains(rt.Path, "{") || strings.Contains(queries[rt.Operation], "%e") ||
				strings.HasPrefix(rt.Operation, "createLink") {
				before = c.state(t)
				for _, secret := range []string{foreign, live} {
					a := c.as(secret).call(t, rt, o)
					if rt.Operation == "createLinks" {
						if b := read[api.LinkBatch](t, a.want(t, 200)); len(b.Data) != 0 || !slices.Equal(b.Absent, []string{o.file}) {
							t.Errorf("a foreign key mints %+v", b)
						}
						continue
					}
					if rt.Operation == "listLinksOfFile" && a.status == 200 {
						if l := read[api.List[api.Link]](t, a); len(l.Data) != 0 {
							t.Errorf("a foreign key sees %d links", len(l.Data))
						}
						continue
					}
					c.problem(t, a.want(t, 404), sluice.CodeNotFound)
				}
				c.unchanged(t, before, 0)
			}

			scopes := []sluice.Scope{rt.Scope}
			if rt.Scope == httpd.AnyKey {
				scopes = []sluice.Scope{sluice.AuditRead}
			}
			mode := sluice.Test
			if rt.Operation == "getMetrics" {
				mode = sluice.Live
				_, tester := c.NewKey(t, c.Ledger(sluice.Test), scopes...)
				c.problem(t, c.as(tester).call(t, rt, o).want(t, 403), sluice.CodeForbidden)
			}
			_, just := c.NewKey(t, c.Ledger(mode), scopes...)
			if a := c.as(just).call(t, rt, o); a.status != 200 && a.status != 201 {
				t.Errorf("with the scope %s alone: status %d: %s", rt.Scope, a.status, a.body)
			}
		})
	}
}

func TestUnrouted(t *testing.T) {
	c := newClient(t)
	for _, test := range []struct {
		method, path string
		code         sluice.Code
		allow        string
	}{
		{"GET", "/", sluice.CodeNotFound, ""},
		{"GET", "/v1", sluice.CodeNotFound, ""},
		{"GET", "/v1/", sluice.CodeNotFound, ""},
		{"GET", "/v1/nothing", sluice.CodeNotFound, ""},
		{"GET", "/v1/files/", sluice.CodeNotFound, ""},
		{"GET", "/v1//files", sluice.CodeNotFound, ""},
		{"GET", "/v1/../v1/files", sluice.CodeNotFound, ""},
		{"GET", "//", sluice.CodeNotFound, ""},
		{"GET", "/l/", sluice.CodeNotFound, ""},
		{"GET", "/openapi.yaml", sluice.CodeNotFound, ""},
		{"GET", "/schemas/File.json", sluice.CodeNotFound, ""},
		{"POST", "/docs/", sluice.CodeMethodNotAllowed, "GET, HEAD"},
		{"POST", "/robots.txt", sluice.CodeMethodNotAllowed, "GET, HEAD"},
		{"GET", "/docs/errors/nothing", sluice.CodeNotFound, ""},
		{"GET", "/docs/errors/..", sluice.CodeNotFound, ""},
		{"POST", "/docs", sluice.CodeMethodNotAllowed, "GET, HEAD"},
		{"PATCH", "/v1/files", sluice.CodeMethodNotAllowed, "GET, HEAD, POST, PUT"},
		{"OPTIONS", "/v1/files", sluice.CodeMethodNotAllowed, "GET, HEAD, POST, PUT"},
		{"DELETE", "/v1/files", sluice.CodeMethodNotAllowed, "GET, HEAD, POST, PUT"},
		{"PUT", "/v1/files/x", sluice.CodeMethodNotAllowed, "DELETE, GET, HEAD, PATCH"},
		{"PUT", "/v1/file_links/batch", sluice.CodeMethodNotAllowed, "DELETE, GET, HEAD, PATCH, POST"},
		{"GET", "/v1/keys/x/rotate", sluice.CodeMethodNotAllowed, "POST"},
		{"POST", "/v1/file_links/x", sluice.CodeMethodNotAllowed, "DELETE, GET, HEAD, PATCH"},
		{"POST", "/v1/files/x/links/y", sluice.CodeMethodNotAllowed, "DELETE, GET, HEAD, PATCH"},
		{"POST", "/v1/account", sluice.CodeMethodNotAllowed, "GET, HEAD"},
		{"PUT", "/l/token", sluice.CodeMethodNotAllowed, "GET, HEAD, POST"},
		{"DELETE", "/l/token/a.pdf", sluice.CodeMethodNotAllowed, "GET, HEAD, POST"},
		{"POST", "/healthz", sluice.CodeMethodNotAllowed, "GET, HEAD"},
	} {
		r, err := http.NewRequest(test.method, c.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Opaque = test.path
		a := c.do(t, r)
		c.problem(t, a, test.code)
		if got := a.header.Get("Allow"); got != test.allow {
			t.Errorf("%s %s: Allow is %q, want %q", test.method, test.path, got, test.allow)
		}
	}
}

// broken is a store whose reads fail.
type broken struct {
	service.Store
	err error
}

func (s broken) View(context.Context, func(service.Reader) error) error { return s.err }

// TestInternal checks that the cause of an internal error is in the log only.
func TestInternal(t *testing.T) {
	good := sluicetest.NewService(t)
	_, secret := good.NewKey(t, good.Ledger(sluice.Test))
	for name, cause := range map[string]error{
		"untyped": errors.New("disk 7 of rack 3 smells"),
		"typed":   sluice.Wrap(sluice.CodeInternal, "the disk smells", errors.New("disk 7 of rack 3 smells")),
		"unknown": sluice.Errorf("odd", "disk 7 of rack 3 smells"),
	} {
		config := service.Config{
			Store: broken{good.Store, cause}, Blobs: good.Blobs, SigningKeys: []token.Key{{}}, PublicURL: good.PublicURL(),
		}
		svc, err := service.New(config)
		if err != nil {
			t.Fatal(err)
		}
		log := &sluicetest.Log{}
		srv := server.New(svc, sluicetest.NewGate(t, svc, config),
			server.Options{Options: httpd.Options{Log: slog.New(slog.NewTextHandler(log, nil))}})
		ts := httptest.NewServer(srv)
		defer ts.Close()
		c := client{&sluicetest.Server{Service: good, URL: ts.URL}, secret}
		a := c.ask(t, "GET", "/v1/files", "").want(t, 500)
		c.problem(t, a, sluice.CodeInternal)
		if strings.Contains(string(a.body), "smells") {
			t.Errorf("%s: shown: %s", name, a.body)
		}
		if !strings.Contains(log.String(), "smells") || !strings.Contains(log.String(), a.header.Get("X-Request-Id")) {
			t.Errorf("%s: logged: %s", name, log)
		}
	}
}

func TestHealth(t *testing.T) {
	c := newClient(t).as("")
	c.ask(t, "GET", "/healthz", "").want(t, 200)
	c.ask(t, "GET", "/readyz", "").want(t, 200)
	if err := c.Store.Close(); err != nil {
		t.Fatal(err)
	}
	c.ask(t, "GET", "/healthz", "").want(t, 200)
	a := c.ask(t, "GET", "/readyz", "")
	for deadline := time.Now().Add(time.Minute); a.status == 200 &&
		time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		a = c.ask(t, "GET", "/readyz", "") // the result holds for a second
	}
	p := c.problem(t, a.want(t, 503), sluice.CodeUnavailable)
	if a.header.Get("Retry-After") != "1" || p.RetryAfter != 1 {
		t.Errorf("Retry-After is %q and retry_after %d", a.header.Get("Retry-After"), p.RetryAfter)
	}
}
