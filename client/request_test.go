package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/client"
	"sluice/sluicetest"
)

func TestProblems(t *testing.T) {
	ctx := context.Background()
	s := sluicetest.NewServer(t)
	_, reader := s.NewKey(t, s.Ledger(sluice.Test), sluice.AuditRead)
	_, other := s.NewKey(t, s.Ledger(sluice.Test), sluice.FilesRead)
	const none = "aud_01jd3x2m0000000000000000aa"
	badFilter := api.EntryFilter{Created: api.Created{CreatedGT: "soon"}}
	for _, c := range []struct {
		name, key string
		ask       func(*client.Client) error
		want      sluice.Code
		status    int
	}{
		{"stranger", "sk_test_nobody", func(c *client.Client) error {
			_, err := c.Checkpoint(ctx)
			return err
		}, sluice.CodeUnauthenticated, 401},
		{"no scope", other, func(c *client.Client) error {
			_, err := c.Checkpoint(ctx)
			return err
		}, sluice.CodeForbidden, 403},
		{"nothing", reader, func(c *client.Client) error {
			_, err := c.ProveEntry(ctx, none)
			return err
		}, sluice.CodeNotFound, 404},
		{"redact without scope", reader, func(c *client.Client) error {
			_, err := c.RedactEntry(ctx, none)
			return err
		}, sluice.CodeForbidden, 403},
		{"redact nothing", s.Secret, func(c *client.Client) error {
			_, err := c.RedactEntry(ctx, none)
			return err
		}, sluice.CodeNotFound, 404},
		{"filter", reader, func(c *client.Client) error {
			_, err := c.EntryPage(ctx, api.EntryQuery{EntryFilter: badFilter})
			return err
		}, sluice.CodeValidation, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.ask(newClient(t, s.URL, c.key))
			var e *client.Error
			if !errors.As(err, &e) || e.Code != c.want || e.Status != c.status || e.Detail == "" || e.RequestID == "" {
				t.Errorf("got %#v, want %s with a detail", err, c.want)
			}
			if sluice.CodeOf(err) != c.want {
				t.Errorf("%s to package sluice", sluice.CodeOf(err))
			}
			if c.want == sluice.CodeValidation && (len(e.Fields) != 1 || e.Fields[0].Param != e.Param) {
				t.Errorf("fields %+v", e.Fields)
			}
		})
	}
}

// An invalid id does not lead to another path.
func TestHostileIDs(t *testing.T) {
	ctx := context.Background()
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked for") })
	hostile := []string{"", ".", "..", "../keys", "a/b", "a%2Fb", "a?b", "a#b", "a b", "ä", strings.Repeat("a", 65)}
	for _, id := range hostile {
		for name, ask := range map[string]func() error{
			"file":   func() error { _, err := c.File(ctx, id); return err },
			"update": func() error { _, err := c.HoldFile(ctx, id); return err },
			"delete": func() error { return c.DeleteFile(ctx, id) },
			"link":   func() error { _, err := c.Link(ctx, id); return err },
			"change": func() error { _, err := c.UpdateLink(ctx, id, api.LinkChange{}); return err },
			"revoke": func() error { return c.RevokeLink(ctx, id) },
			"entry":  func() error { _, err := c.Entry(ctx, id); return err },
			"redact": func() error { _, err := c.RedactEntry(ctx, id); return err },
			"key":    func() error { _, err := c.Key(ctx, id); return err },
			"rotate": func() error { _, err := c.RotateKey(ctx, id, 0); return err },
			"widen":  func() error { _, err := c.UpdateKey(ctx, id, api.KeyChange{}); return err },
			"end":    func() error { return c.RevokeKey(ctx, id) },
		} {
			if err := ask(); sluice.CodeOf(err) != sluice.CodeNotFound {
				t.Errorf("%s %q: %v", name, id, err)
			}
		}
	}
}

// responses responds with the statuses in turn, and then with an object of a
// kind.
type responses struct {
	mu       sync.Mutex
	statuses []int
	headers  http.Header
	kind     string
	asked    int
	names    map[string]bool // Idempotency-Keys
	at       []time.Time
}

func (a *responses) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.names == nil {
		a.names = map[string]bool{}
	}
	a.names[r.Header.Get("Idempotency-Key")] = true
	a.at = append(a.at, time.Now())
	a.asked++
	if a.asked > len(a.statuses) {
		fmt.Fprintf(w, `{"object": %q, "id": "x"}`, a.kind)
		return
	}
	for name, values := range a.headers {
		w.Header()[name] = values
	}
	if status := a.statuses[a.asked-1]; status != 0 {
		w.WriteHeader(status)
		return
	}
	panic(http.ErrAbortHandler) // 0 breaks the connection
}

func TestRetries(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name     string
		statuses []int
		retries  int
		good     bool
		asked    int
	}{
		{"good", nil, 4, true, 1},
		{"busy", []int{429, 502, 503, 504}, 4, true, 5},
		{"broken connections", []int{0, 0, 0, 0}, 4, true, 5},
		{"one more than allowed", []int{503, 503, 503, 503, 503}, 4, false, 5},
		{"no retries", []int{503}, 0, false, 1},
		{"failed", []int{500}, 4, false, 1},
		{"full", []int{507}, 4, false, 1},
		{"refused", []int{400}, 4, false, 1},
		{"conflict", []int{409}, 4, false, 1},
		{"redirect", []int{302}, 4, false, 1},
	} {
		for kind, ask := range map[string]func(*client.Client) error{
			"file":      func(c *client.Client) error { _, err := c.File(ctx, "file_1"); return err },
			"file_link": func(c *client.Client) error { _, err := c.MintLink(ctx, "file_1", api.NewLink{}); return err },
			"key":       func(c *client.Client) error { _, err := c.UpdateKey(ctx, "key_1", api.KeyChange{}); return err },
		} {
			t.Run(c.name+" "+kind, func(t *testing.T) {
				a := &responses{statuses: c.statuses, kind: kind}
				err := ask(serve(t, a.ServeHTTP, client.WithRetries(c.retries)))
				if (err == nil) != c.good || a.asked != c.asked {
					t.Errorf("%v after %d requests", err, a.asked)
				}
				if len(a.names) != 1 || a.names[""] != (kind == "file") {
					t.Errorf("idempotency keys %v", a.names)
				}
			})
		}
	}
}

// The first responses are lost after the server has acted. Still, only one
// object is created.
func TestRetriedChangeCreatesOneObject(t *testing.T) {
	ctx := context.Background()
	s := sluicetest.NewServer(t)
	f := linked(t, s, []byte("content"), api.NewLink{})
	lose := func() *client.Client {
		proxy := newCutter(t, s.URL, func(n int) (up, down int64) {
			if n < 2 {
				return whole, 20
			}
			return whole, whole
		})
		return newClient(t, proxy.url, s.Secret)
	}
	minted, err := lose().MintLink(ctx, f.ID, api.NewLink{Reason: "once"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := lose().CreateKey(ctx, api.NewKey{Name: "once"})
	if err != nil || key.Secret != nil {
		t.Fatalf("%+v, %v", key, err)
	}
	if err := lose().RevokeLink(ctx, f.Link.ID); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if err := lose().DeleteFile(ctx, f.ID); err != nil {
		t.Errorf("delete: %v", err)
	}
	count := map[sluice.Action]int{}
	for _, e := range s.Entries(t, s.Ledger(sluice.Test)) {
		count[e.Action]++
	}
	if count[sluice.LinkCreated] != 2 || count[sluice.KeyCreated] != 2 || count["file.deleted"] != 1 {
		t.Errorf("%v with %s", count, minted.ID)
	}
	for _, name := range []string{"a\nb", "é", strings.Repeat("a", 256)} {
		c := serve(t, func(http.ResponseWriter, *http.Request) { t.Errorf("sent the idempotency key %q", name) })
		if _, err := c.CreateKey(ctx, api.NewKey{Name: "none"}, client.IdempotencyKey(name)); err == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
	// The caller's own idempotency key works across clients.
	var ids []string
	for range 2 {
		k, err := newClient(t, s.URL, s.Secret).CreateKey(ctx, api.NewKey{Name: "mine"}, client.IdempotencyKey("mine 1"))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, k.ID)
	}
	_, err = newClient(t, s.URL, s.Secret).CreateKey(ctx, api.NewKey{Name: "other"}, client.IdempotencyKey("mine 1"))
	if ids[0] != ids[1] || sluice.CodeOf(err) != sluice.CodeIdempotencyReused {
		t.Errorf("%q, %v", ids, err)
	}
}

func TestRetryAfter(t *testing.T) {
	ask := func(a *responses) (time.Duration, error) {
		c := serve(t, a.ServeHTTP)
		_, err := c.File(context.Background(), "file_1")
		if len(a.at) < 2 {
			return 0, err
		}
		return a.at[1].Sub(a.at[0]), err
	}
	for name, header := range map[string]func() string{
		"seconds": func() string { return "1" },
		"date":    func() string { return time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		a := &responses{statuses: []int{429}, kind: "file", headers: http.Header{"Retry-After": {header()}}}
		waited, err := ask(a)
		if err != nil || waited < time.Second {
			t.Errorf("%s: waited %v, %v", name, waited, err)
		}
	}
	// Retry-After is longer than a client waits, so the call fails.
	for name, seconds := range map[string]int64{"an hour": 3600, "for ever": 1 << 62} {
		header := http.Header{"Retry-After": {strconv.FormatInt(seconds, 10)}}
		a := &responses{statuses: []int{503}, kind: "file", headers: header}
		_, err := ask(a)
		var e *client.Error
		if !errors.As(err, &e) || e.RetryAfter < time.Hour || a.asked != 1 {
			t.Errorf("%s: %#v after %d requests", name, err, a.asked)
		}
	}
	for _, header := range []string{"-5", "soon", "", "0"} {
		a := &responses{statuses: []int{503}, kind: "file", headers: http.Header{"Retry-After": {header}}}
		if _, err := ask(a); err != nil || a.asked != 2 {
			t.Errorf("%q: %v after %d requests", header, err, a.asked)
		}
	}
}

func TestBackoffGrowsToLimit(t *testing.T) {
	c, err := client.New("http://127.0.0.1:1", "k")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		d, most := c.Backoff(n)
		expected := min(most, 250*time.Millisecond<<min(n, 20))
		if d < expected/2 || d > expected || most != 10*time.Second {
			t.Errorf("pause %d is %v", n, d)
		}
	}
}

// The context ends the wait before a retry, and the error contains both causes.
func TestContextEndsWait(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "50")
		w.WriteHeader(http.StatusTooManyRequests)
		w.(http.Flusher).Flush()
		time.AfterFunc(50*time.Millisecond, cancel)
	})
	began := time.Now()
	_, err := c.File(ctx, "file_1")
	took := time.Since(began)
	if !errors.Is(err, context.Canceled) || sluice.CodeOf(err) != sluice.CodeRateLimited || took > 40*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

func TestContextEndsCall(t *testing.T) {
	release := make(chan bool)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	for name, ask := range map[string]func() error{
		"get":    func() error { _, err := c.File(ctx, "file_1"); return err },
		"stream": func() error { _, err := c.Disclosures(ctx, 1); return err },
		"upload": func() error {
			_, err := c.Upload(ctx, strings.NewReader("content"), client.NewFile{Purpose: "report"})
			return err
		},
		"download": func() error {
			_, err := c.Download(ctx, serverOf(c)+"/l/x", io.Discard, client.DownloadOptions{})
			return err
		},
	} {
		if err := ask(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A request to a server that does not respond times out and is retried.
func TestServerWithoutResponse(t *testing.T) {
	release := make(chan bool)
	var asked atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			<-release
			return
		}
		io.WriteString(w, `{"object": "file"}`)
	})
	t.Cleanup(func() { close(release) })
	c.SetResponse(time.Second)
	if _, err := c.File(context.Background(), "file_1"); err != nil || asked.Load() < 2 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
}

func TestStreamStalls(t *testing.T) {
	release := make(chan bool)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		<-release
	})
	t.Cleanup(func() { close(release) })
	c.SetStall(50 * time.Millisecond)
	body, err := c.ExportEntries(context.Background(), api.EntryFilter{}, "csv")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err == nil || string(got) != "part" {
		t.Errorf("%q, %v", got, err)
	}
}

// endless writes until the client disconnects.
func endless(w io.Writer, begin string) {
	io.WriteString(w, begin)
	for page := []byte(strings.Repeat(" ", 64<<10)); ; {
		if _, err := w.Write(page); err != nil {
			return
		}
	}
}

func TestHostileResponses(t *testing.T) {
	ctx := context.Background()
	file := func(c *client.Client) error { _, err := c.File(ctx, "file_1"); return err }
	list := func(c *client.Client) error {
		for _, err := range c.Files(ctx, api.FileQuery{}) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	checkpoint := func(c *client.Client) error { _, err := c.Checkpoint(ctx); return err }
	text := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			io.WriteString(w, body)
		}
	}
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<h1>No</h1>", status) }
	}
	problem := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", api.ProblemType)
			w.WriteHeader(status)
			if body == "" {
				endless(w, `{"code": "not_found"`)
				return
			}
			io.WriteString(w, body)
		}
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		ask    func(*client.Client) error
		want   error       // nil for an Error
		code   sluice.Code // status of it
	}{
		{"page with 200", text("text/html", "<h1>Sign in</h1>"), file, client.ErrProtocol, ""},
		{"nothing", text("application/json", ""), file, client.ErrProtocol, ""},
		{"null", text("application/json", "null"), file, client.ErrProtocol, ""},
		{"a list", text("application/json", "[]"), file, client.ErrProtocol, ""},
		{"another kind", text("application/json", `{"object": "key", "id": "key_1"}`), file, client.ErrProtocol, ""},
		{"a number for a text", text("application/json", `{"object": "file", "id": 7}`), file, client.ErrProtocol, ""},
		{"a text for a number", text("application/json", `{"object": "file", "size": "7"}`), file, client.ErrProtocol, ""},
		{"a fraction", text("application/json", `{"object": "file", "size": 7.5}`), file, client.ErrProtocol, ""},
		{"a number out of range", text("application/json", `{"object": "file", "size": 1e30}`), file, client.ErrProtocol, ""},
		{"more after the end", text("application/json", `{"object": "file"}{}`), file, client.ErrProtocol, ""},
		{"deep", text("application/json", strings.Repeat("[", 1<<20)), file, client.ErrProtocol, ""},
		{"endless document", func(w http.ResponseWriter, _ *http.Request) { endless(w, "{") }, file, client.ErrProtocol, ""},
		{"endless text", func(w http.ResponseWriter, _ *http.Request) { endless(w, "") }, checkpoint, client.ErrProtocol, ""},
		{"list of no objects", text("application/json", `{"object": "list", "data": [1]}`), list, client.ErrProtocol, ""},
		{"list that does not lead on", text("application/json", `{"object": "list", "data": [], "has_more": true}`),
			list, client.ErrProtocol, ""},
		{"list without progress", text("application/json", `{"object": "list", "data": [{"id": "x"}], "has_more": true}`),
			list, client.ErrProtocol, ""},
		{"page with 404", page(http.StatusNotFound), file, nil, sluice.CodeNotFound},
		{"page with 500", page(http.StatusInternalServerError), file, nil, sluice.CodeInternal},
		{"page with 502", page(http.StatusBadGateway), file, nil, sluice.CodeUnavailable},
		{"endless problem", problem(404, ""), file, nil, sluice.CodeNotFound},
		{"problem of wrong types", problem(404, `{"code": 7}`), file, nil, sluice.CodeNotFound},
		{"problem without a code", problem(410, `{"detail": "x"}`), file, nil, sluice.CodeGone},
		{"code of a later version", problem(418, `{"code": "teapot"}`), file, nil, "teapot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.ask(serve(t, c.answer, client.WithRetries(1)))
			var e *client.Error
			refused := errors.As(err, &e)
			if c.want != nil && !errors.Is(err, c.want) || refused != (c.want == nil) || refused && e.Code != c.code {
				t.Errorf("got %v", err)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// The key is sent only to its server, with any HTTP client.
func TestKeySentOnlyToServer(t *testing.T) {
	var asked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	t.Cleanup(other.Close)
	follow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	for _, status := range []int{301, 302, 303, 307, 308} {
		for name, options := range map[string][]client.Option{"own": nil, "given": {client.WithHTTPClient(follow)}} {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) }, options...)
			_, err := c.File(context.Background(), "file_1")
			var e *client.Error
			if !errors.As(err, &e) || e.Status != status || asked.Load() {
				t.Errorf("%s client, %d: %v, followed: %v", name, status, err, asked.Load())
			}
			if _, err := c.Upload(context.Background(), strings.NewReader("x"), client.NewFile{}); err == nil || asked.Load() {
				t.Errorf("%s client, upload, %d: %v, followed: %v", name, status, err, asked.Load())
			}
		}
	}
	if follow.CheckRedirect(nil, nil) != nil {
		t.Error("the caller's HTTP client was changed")
	}
}

func TestHeaders(t *testing.T) {
	var got http.Header
	h := func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		io.WriteString(w, `{"object": "account"}`)
	}
	if _, err := serve(t, h).Account(context.Background()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer sk_test_x", "User-Agent": client.DefaultUserAgent, "Sluice-Version": sluice.APIVersion,
	} {
		if got.Get(name) != want {
			t.Errorf("%s: %q", name, got.Get(name))
		}
	}
	_, err := serve(t, h, client.WithUserAgent("billing/1.2")).Account(context.Background())
	if err != nil || got.Get("User-Agent") != "billing/1.2" {
		t.Errorf("%q, %v", got.Get("User-Agent"), err)
	}
}

// The URL of a server may have a path.
func TestServerURLWithPath(t *testing.T) {
	var path string
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.RequestURI()
		io.WriteString(w, `{"object": "list", "data": []}`)
	}))
	t.Cleanup(ts.Close)
	for _, base := range []string{ts.URL + "/files", ts.URL + "/files/"} {
		_, err := newClient(t, base, "k").FilePage(context.Background(), api.FileQuery{Filename: "a&b=c"})
		if err != nil || path != "/files/v1/files?filename=a%26b%3Dc" {
			t.Errorf("%s: %s, %v", base, path, err)
		}
	}
}

func TestUntrustedCertificateIsNotRetried(t *testing.T) {
	ts := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(ts.Close)
	server := strings.Replace(ts.URL, "https", "http", 1)
	proxy := newCutter(t, server, func(int) (up, down int64) { return whole, whole })
	_, err := newClient(t, strings.Replace(proxy.url, "http", "https", 1), "k").Account(context.Background())
	if err == nil || proxy.count.Load() != 1 {
		t.Errorf("%v after %d connections", err, proxy.count.Load())
	}
}
