package console_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// browser is a client that keeps cookies and, as a browser does, says where a request comes from. It follows no
// redirect.
type browser struct {
	t    testing.TB
	base string
	http *http.Client
}

func newBrowser(t testing.TB, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, base, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// answer is a response with its whole body.
type answer struct {
	*http.Response
	body string
}

// location is where a redirect leads to.
func (a answer) location() string { return a.Header.Get("Location") }

func (b *browser) do(r *http.Request) answer {
	b.t.Helper()
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp, string(body)}
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	r, err := http.NewRequest("GET", b.base+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	return b.do(r)
}

// post sends a form. Pairs of headers may follow.
func (b *browser) post(path string, form url.Values, headers ...string) answer {
	b.t.Helper()
	r, err := http.NewRequest("POST", b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.do(r)
}

func (b *browser) signIn(secret string) answer {
	b.t.Helper()
	return b.post("/console/signin", url.Values{"key": {secret}})
}

// token is that of the session cookie, or "".
func (b *browser) token() string {
	u, err := url.Parse(b.base + "/console/")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == "sluice-console" {
			return c.Value
		}
	}
	return ""
}

func (b *browser) setToken(token string) {
	u, _ := url.Parse(b.base + "/console/")
	b.http.Jar.SetCookies(u, []*http.Cookie{{Name: "sluice-console", Value: token, Path: "/console"}})
}

// TestKeySession signs in with an API key, and checks the pages, the cookie and the log until the session ends.
func TestKeySession(t *testing.T) {
	s := sluicetest.NewServer(t)
	b := newBrowser(t, s.URL)

	if a := b.get("/console"); a.StatusCode != 303 || a.location() != "/console/signin" {
		t.Fatalf("/console without a session: %d to %q", a.StatusCode, a.location())
	}
	a := b.get("/console/test/")
	if a.StatusCode != 303 || a.location() != "/console/signin?next=%2Fconsole%2Ftest%2F" {
		t.Fatalf("a page without a session: %d to %q", a.StatusCode, a.location())
	}
	if a := b.get(a.location()); a.StatusCode != 200 || !strings.Contains(a.body, `value="/console/test/"`) {
		t.Fatalf("the sign-in page: %d\n%s", a.StatusCode, a.body)
	}

	if a := b.signIn("sk_test_wrong"); a.StatusCode != 401 || b.token() != "" {
		t.Errorf("a wrong key: %d, token %q", a.StatusCode, b.token())
	}
	a = b.signIn(" " + s.Secret + "\n")
	if a.StatusCode != 303 || a.location() != "/console/test/" {
		t.Fatalf("sign-in: %d to %q\n%s", a.StatusCode, a.location(), a.body)
	}
	cookie := a.Header.Get("Set-Cookie")
	for _, part := range []string{"HttpOnly", "SameSite=Lax", "Path=/console", "Max-Age=43200"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("the cookie %q lacks %s", cookie, part)
		}
	}
	a = b.get("/console/test/")
	if a.StatusCode != 200 || !strings.Contains(a.body, "Sign out") {
		t.Fatalf("home: %d\n%s", a.StatusCode, a.body)
	}
	policy := a.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "form-action 'self'",
		"frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy %q lacks %s", policy, part)
		}
	}
	if a := b.get("/console"); a.location() != "/console/test/" {
		t.Errorf("/console leads to %q", a.location())
	}
	if a := b.get("/console/live/"); a.StatusCode != 403 {
		t.Errorf("the other mode: %d", a.StatusCode)
	}

	token := b.token()
	if a := b.get("/console/signout"); a.StatusCode != 404 || b.get("/console/test/").StatusCode != 200 {
		t.Errorf("a GET signed out: %d", a.StatusCode)
	}
	if a := b.post("/console/signout", nil); a.StatusCode != 303 || b.token() != "" {
		t.Errorf("sign-out: %d, token %q", a.StatusCode, b.token())
	}
	b.setToken(token)
	if a := b.get("/console/test/"); a.StatusCode != 303 {
		t.Errorf("the token after sign-out: %d", a.StatusCode)
	}

	var actions []sluice.Action
	for _, e := range s.Entries(t, s.Ledger(sluice.Test)) {
		if e.Session != nil {
			actions = append(actions, e.Action)
			if e.Actor.ID != s.Key.ID || e.Session.Key != s.Key.ID || e.Request == nil {
				t.Errorf("entry %+v, session %+v", e, e.Session)
			}
		}
	}
	if len(actions) != 2 || actions[0] != sluice.SessionCreated || actions[1] != sluice.SessionEnded {
		t.Errorf("entries: %v", actions)
	}
}

// TestSessionEnds checks that a session ends when its key is revoked, when an administrator ends it, after twelve
// hours, and not later when the clock is set back; and that a change which is under way is refused by then.
func TestSessionEnds(t *testing.T) {
	s := sluicetest.NewServer(t)
	ctx := context.Background()
	ledger := s.Ledger(sluice.Test)
	operator := service.Operator(ledger)
	rotate := func(id string, overlap time.Duration) service.CreatedKey {
		t.Helper()
		k, err := s.Keys.Rotate(ctx, operator, id, overlap)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, test := range []struct {
		name string
		end  func(k sluice.Key, c service.Caller)
	}{
		{"revoked key", func(k sluice.Key, c service.Caller) {
			if _, err := s.Keys.Revoke(ctx, operator, k.ID, nil); err != nil {
				t.Fatal(err)
			}
		}},
		{"ended by an administrator", func(k sluice.Key, c service.Caller) {
			if _, err := s.Sessions.End(ctx, operator, c.Session.ID); err != nil {
				t.Fatal(err)
			}
		}},
		{"expired key", func(k sluice.Key, c service.Caller) {
			expires := s.Clock.Now().Add(time.Minute)
			if _, err := s.Keys.Update(ctx, operator, k.ID, nil, service.KeyChange{Expires: &expires}); err != nil {
				t.Fatal(err)
			}
			s.Clock.Advance(time.Minute)
		}},
		{"new secret", func(k sluice.Key, c service.Caller) { rotate(k.ID, 0) }},
		{"end of the overlap", func(k sluice.Key, c service.Caller) {
			s.Clock.Advance(time.Minute)
			rotate(k.ID, time.Hour)
			if _, err := s.Files.List(ctx, c, service.FileFilter{}, sluice.Page{Limit: 1}); err != nil {
				t.Errorf("during the overlap: %v", err)
			}
			s.Clock.Advance(time.Hour)
		}},
		{"two new secrets", func(k sluice.Key, c service.Caller) {
			rotate(k.ID, 0)
			s.Clock.Advance(time.Minute)
			rotate(k.ID, time.Hour)
		}},
		{"twelve hours", func(sluice.Key, service.Caller) { s.Clock.Advance(12 * time.Hour) }},
		{"a clock that is set back", func(sluice.Key, service.Caller) { s.Clock.Advance(-time.Hour) }},
	} {
		k, secret := s.NewKey(t, ledger)
		b := newBrowser(t, s.URL)
		if a := b.signIn(secret); a.StatusCode != 303 {
			t.Fatalf("sign-in: %d\n%s", a.StatusCode, a.body)
		}
		callers, err := s.Sessions.Find(ctx, b.token(), sluice.Request{})
		if err != nil || len(callers) != 1 {
			t.Fatalf("callers: %v, %v", callers, err)
		}
		if a := b.get("/console/test/"); a.StatusCode != 200 {
			t.Errorf("%s: before it %d", test.name, a.StatusCode)
		}
		test.end(k, callers[0])
		list, err := s.Sessions.List(ctx, operator, sluice.Page{Limit: 1})
		if err != nil || list.Data[0].ID != callers[0].Session.ID || list.Data[0].Active(s.Clock.Now()) {
			t.Errorf("%s: the list has %+v, %v", test.name, list.Data, err)
		}
		if a := b.get("/console/test/"); a.StatusCode != 303 {
			t.Errorf("%s: a page answers %d", test.name, a.StatusCode)
		}
		_, err = s.Keys.Create(ctx, callers[0], service.NewKey{Name: "late"})
		if sluice.CodeOf(err) != sluice.CodeUnauthenticated {
			t.Errorf("%s: a change under way: %v", test.name, err)
		}
		_, err = s.Files.List(ctx, callers[0], service.FileFilter{}, sluice.Page{Limit: 1})
		if sluice.CodeOf(err) != sluice.CodeUnauthenticated {
			t.Errorf("%s: a page that is open: %v", test.name, err)
		}
	}
}

// TestSignInDuringRotation rotates the secret of a key between the check of the secret and the sign-in.
func TestSignInDuringRotation(t *testing.T) {
	s := sluicetest.NewServer(t)
	ctx := context.Background()
	ledger := s.Ledger(sluice.Test)
	k, secret := s.NewKey(t, ledger)
	old, err := s.Keys.Authenticate(ctx, secret, sluice.Request{})
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := s.Keys.Rotate(ctx, service.Operator(ledger), k.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Clock.Advance(time.Second)
	if _, err := s.Sessions.SignIn(ctx, old); sluice.CodeOf(err) != sluice.CodeUnauthenticated {
		t.Errorf("sign-in with a secret that has ended: %v", err)
	}
	b := newBrowser(t, s.URL)
	if a := b.signIn(rotated.Secret); a.StatusCode != 303 || b.get("/console/test/").StatusCode != 200 {
		t.Errorf("sign-in with the new secret: %d\n%s", a.StatusCode, a.body)
	}
}
