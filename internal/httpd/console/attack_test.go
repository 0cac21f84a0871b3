package console_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// TestAttacks plays the attacks of another site, of another browser and of a stranger against one server.
func TestAttacks(t *testing.T) {
	s := sluicetest.NewServer(t)
	ctx := context.Background()
	signedIn := func(t *testing.T) *browser {
		t.Helper()
		s.Clock.Advance(time.Minute) // the tries of the tests before are forgotten
		b := newBrowser(t, s.URL)
		if a := b.signIn(s.Secret); a.StatusCode != 303 {
			t.Fatalf("sign-in: %d\n%s", a.StatusCode, a.body)
		}
		return b
	}
	active := func(b *browser) bool { return b.get("/console/test/").StatusCode == 200 }

	t.Run("session fixation", func(t *testing.T) {
		attacker, victim := signedIn(t), newBrowser(t, s.URL)
		planted := attacker.token()
		victim.setToken(planted)
		if a := victim.signIn(s.Secret); a.StatusCode != 303 || victim.token() == planted || !active(victim) {
			t.Errorf("sign-in with a planted token: %d", a.StatusCode)
		}
		if active(attacker) {
			t.Error("the planted session goes on")
		}
		made := strings.Repeat("A", 43)
		victim.setToken(made)
		if a := victim.signIn(s.Secret); a.StatusCode != 303 || victim.token() == made {
			t.Errorf("sign-in with a token that was made up: %d", a.StatusCode)
		}
	})
	t.Run("forms of other sites", func(t *testing.T) {
		b := signedIn(t)
		for _, headers := range [][]string{
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site"},
			{"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
			{"Sec-Fetch-Site", "", "Origin", "null"},
			{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		} {
			for _, path := range []string{"/console/signout", "/console/signin"} {
				a := b.post(path, url.Values{"key": {s.Secret}}, headers...)
				if a.StatusCode != 403 || len(a.Header["Set-Cookie"]) > 0 || !active(b) {
					t.Errorf("%s with %q: %d, cookies %q", path, headers, a.StatusCode, a.Header["Set-Cookie"])
				}
			}
		}
		if a := b.post("/console/signout", nil, "Sec-Fetch-Site", "", "Origin", s.URL); a.StatusCode != 303 || active(b) {
			t.Errorf("a form of the console itself, from an older browser: %d", a.StatusCode)
		}
	})
	t.Run("headers of every page", func(t *testing.T) {
		b := signedIn(t)
		for _, path := range []string{"/console", "/console/signin", "/console/test/", "/console/live/", "/console/test/x",
			"/console/x/"} {
			h := b.get(path).Header
			if h.Get("X-Frame-Options") != "DENY" || h.Get("Cache-Control") != "no-store" ||
				h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" ||
				!strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
				strings.Contains(h.Get("Content-Security-Policy"), "unsafe") || h.Get("WWW-Authenticate") != "" {
				t.Errorf("%s: %v", path, h)
			}
		}
	})
	t.Run("redirects to other sites", func(t *testing.T) {
		s.Clock.Advance(time.Minute)
		for _, next := range []string{
			"https://evil.example", "//evil.example", "/\\evil.example", "/console/test/../../../evil", "/console/test/..//x",
			"javascript:alert(1)", "/console/test/\n//evil.example", "\t//evil.example", "/console//evil.example",
			"/console/test\\..\\x", "/console/signin", "/console/other/", "/consoletest/", "/l/x", "http:/console/test/",
			"/console/test/%2e%2e/%2e%2e/l/x", "/console/test/#x", "//evil.example/console/test/", "/console/test/\x00",
			"/console/test/" + strings.Repeat("x", 3000), "https:console/test/", "/console/test/./x",
		} {
			b := newBrowser(t, s.URL)
			s.Clock.Advance(5 * time.Second)
			a := b.post("/console/signin", url.Values{"key": {s.Secret}, "next": {next}})
			if a.StatusCode != 303 || a.location() != "/console/test/" {
				t.Errorf("next %.80q leads to %q (%d)", next, a.location(), a.StatusCode)
			}
		}
		for _, next := range []string{"/console/test/", "/console/test/files?q=a%2Fb&after=x", "/console/live/log"} {
			b := newBrowser(t, s.URL)
			s.Clock.Advance(5 * time.Second)
			if a := b.post("/console/signin", url.Values{"key": {s.Secret}, "next": {next}}); a.location() != next {
				t.Errorf("next %q leads to %q", next, a.location())
			}
		}
		a := newBrowser(t, s.URL).get("/console/signin?next=" + url.QueryEscape(`/console/test/x?"><script>alert(1)</script>`))
		if strings.Contains(a.body, "<script>") {
			t.Errorf("the sign-in page shows a script:\n%s", a.body)
		}
	})
	t.Run("guessed tokens", func(t *testing.T) {
		b := signedIn(t)
		token := b.token()
		for _, guess := range []string{
			"", "x", token[:42], token + "A", strings.ToLower(token), strings.ToUpper(token), token[1:] + token[:1],
			strings.Repeat("A", 43), strings.Repeat("A", 5000), s.Secret, "sess_01kjvktdcj7fr2k2v6m9y4q0x1",
		} {
			if guess == token {
				continue
			}
			b.setToken(guess)
			if active(b) {
				t.Errorf("the token %.60q is taken for %q", guess, token)
			}
		}
		r, _ := http.NewRequest("GET", s.URL+"/console/test/", nil)
		r.Header.Set("Cookie", "sluice-console="+token+"; sluice-console="+strings.Repeat("A", 43))
		if a := newBrowser(t, s.URL).do(r); a.StatusCode != 303 {
			t.Errorf("two cookies, one of which someone else set: %d", a.StatusCode)
		}
		r.Header.Set("Cookie", "sluice-console="+token)
		if a := newBrowser(t, s.URL).do(r); a.StatusCode != 200 {
			t.Errorf("one cookie: %d", a.StatusCode)
		}
	})
	t.Run("an API key is no session, and a session no key", func(t *testing.T) {
		b := signedIn(t)
		r, _ := http.NewRequest("GET", s.URL+"/v1/files", nil)
		r.Header.Set("Authorization", "Bearer "+b.token())
		if a := b.do(r); a.StatusCode != 401 {
			t.Errorf("a token as an API key: %d", a.StatusCode)
		}
		r, _ = http.NewRequest("GET", s.URL+"/console/test/", nil)
		r.Header.Set("Authorization", "Bearer "+s.Secret)
		if a := newBrowser(t, s.URL).do(r); a.StatusCode != 303 {
			t.Errorf("an API key in the place of a session: %d", a.StatusCode)
		}
		r, _ = http.NewRequest("GET", s.URL+"/v1/files", nil)
		r.Header.Set("Cookie", "sluice-console="+b.token())
		if a := b.do(r); a.StatusCode != 401 {
			t.Errorf("the API takes the cookie of the console: %d", a.StatusCode)
		}
	})
	t.Run("many tries", func(t *testing.T) {
		s.Clock.Advance(time.Minute)
		before := len(s.Entries(t, s.Ledger(sluice.Test)))
		b, refused := newBrowser(t, s.URL), 0
		for range 60 {
			switch a := b.signIn("sk_test_wrong"); a.StatusCode {
			case 401:
			case 429:
				if refused++; a.Header.Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
			default:
				t.Fatalf("a wrong key: %d", a.StatusCode)
			}
		}
		if refused != 40 {
			t.Errorf("%d of 60 tries were refused for their number, want 40", refused)
		}
		if after := len(s.Entries(t, s.Ledger(sluice.Test))); after != before {
			t.Errorf("strangers wrote %d entries", after-before)
		}
		s.Clock.Advance(3 * time.Second)
		if a := b.signIn(s.Secret); a.StatusCode != 303 {
			t.Errorf("after a pause: %d", a.StatusCode)
		}
		s.Clock.Advance(time.Minute)
	})
	t.Run("large and odd forms", func(t *testing.T) {
		if a := newBrowser(t, s.URL).post("/console/signin", url.Values{"key": {strings.Repeat("x", 1<<20)}}); a.StatusCode != 400 {
			t.Errorf("a form of a megabyte: %d", a.StatusCode)
		}
		a := newBrowser(t, s.URL).post("/console/signin?key="+s.Secret, nil)
		if a.StatusCode != 401 {
			t.Errorf("a key in the query: %d", a.StatusCode)
		}
	})
	t.Run("a session of another ledger", func(t *testing.T) {
		other := s.NewAccount(t, "other")
		_, secret := s.NewKey(t, sluice.LedgerID{Account: other.ID, Mode: sluice.Test})
		b := newBrowser(t, s.URL)
		b.signIn(secret)
		callers, err := s.Sessions.Find(ctx, b.token(), sluice.Request{})
		if err != nil || len(callers) != 1 || callers[0].Ledger.Account != other.ID {
			t.Fatalf("callers %v, %v", callers, err)
		}
		mine := signedIn(t)
		found, err := s.Sessions.Find(ctx, mine.token(), sluice.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sessions.End(ctx, callers[0], found[0].Session.ID); sluice.CodeOf(err) != sluice.CodeNotFound {
			t.Errorf("an administrator of another account ends a session: %v", err)
		}
		mixed := callers[0]
		mixed.Session = found[0].Session // of a caller that no request can make
		if _, err := s.Sessions.End(ctx, mixed, mixed.Session.ID); sluice.CodeOf(err) != sluice.CodeUnauthenticated {
			t.Errorf("a session of another ledger in a caller: %v", err)
		}
	})
	t.Run("who may end sessions", func(t *testing.T) {
		_, secret := s.NewKey(t, s.Ledger(sluice.Test), sluice.FilesRead)
		b := newBrowser(t, s.URL)
		b.signIn(secret)
		reader, err := s.Sessions.Find(ctx, b.token(), sluice.Request{})
		if err != nil {
			t.Fatal(err)
		}
		admin, err := s.Sessions.Find(ctx, signedIn(t).token(), sluice.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sessions.List(ctx, reader[0], sluice.Page{Limit: 10}); sluice.CodeOf(err) != sluice.CodeForbidden {
			t.Errorf("a reader lists sessions: %v", err)
		}
		if _, err := s.Sessions.End(ctx, reader[0], admin[0].Session.ID); sluice.CodeOf(err) != sluice.CodeForbidden {
			t.Errorf("a reader ends the session of another: %v", err)
		}
		if _, err := s.Sessions.End(ctx, admin[0], reader[0].Session.ID); err != nil || active(b) {
			t.Errorf("an administrator ends a session: %v", err)
		}
		if _, err := s.Sessions.End(ctx, admin[0], reader[0].Session.ID); sluice.CodeOf(err) != sluice.CodeNotFound {
			t.Errorf("it is ended twice: %v", err)
		}
		list, err := s.Sessions.List(ctx, admin[0], sluice.Page{Limit: 1})
		if err != nil || len(list.Data) != 1 || !list.More {
			t.Errorf("the list: %+v, %v", list, err)
		}
	})
}

// TestCookiesOverTLS checks the cookie of a console that browsers reach by https, below a path.
func TestCookiesOverTLS(t *testing.T) {
	s := sluicetest.NewServer(t, func(o *server.Options) { o.Console.URL = "https://files.example.com/sluice" })
	b := newBrowser(t, s.URL)
	a := b.signIn(s.Secret)
	if cookie := a.Header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-sluice=") ||
		!strings.Contains(cookie, "; Path=/;") || !strings.Contains(cookie, "; Secure") || strings.Contains(cookie, "Domain") {
		t.Errorf("the cookie is %q", cookie)
	}
	if a.location() != "/sluice/console/test/" {
		t.Errorf("sign-in leads to %q", a.location())
	}
	a = newBrowser(t, s.URL).get("/console/test/files?q=x")
	if want := "/sluice/console/signin?next=" + url.QueryEscape("/sluice/console/test/files?q=x"); a.location() != want {
		t.Errorf("without a session, a page leads to %q, want %q", a.location(), want)
	}
	a = b.post("/console/signin", url.Values{"key": {s.Secret}}, "Sec-Fetch-Site", "", "Origin", "https://files.example.com")
	if a.StatusCode != 303 {
		t.Errorf("a form with the origin of the console, through a proxy that changes the host: %d", a.StatusCode)
	}
}

// TestAccounts signs in a person with roles in two accounts, who chooses one, on a second server over the same records.
func TestAccounts(t *testing.T) {
	op := sluicetest.NewOIDC(t)
	s := sluicetest.NewServer(t)
	other := s.NewAccount(t, `Bank <script>`)
	ts := httptest.NewUnstartedServer(nil)
	base := "http://" + ts.Listener.Addr().String()
	opts := server.Options{}
	opts.Console.URL = base
	opts.Console.Provider = newProvider(t, op, "staff=viewer,staff=sender:"+other.ID+":live,staff=admin:acct_gone")
	ts.Config.Handler = server.New(s.Service.Service, s.Gate, opts)
	ts.Start()
	defer ts.Close()
	op.SetPerson(t, "ann", "Ann", "ann@bank.example", map[string]any{"groups": "staff"})

	choose := func() (*browser, answer) {
		b := newBrowser(t, base)
		return b, b.back(op.SignIn(t, b.http, b.leave("/console/test/"), "ann"))
	}
	b, a := choose()
	if a.StatusCode != 200 || b.token() != "" || !strings.Contains(a.body, "Bank &lt;script&gt;") ||
		strings.Contains(a.body, "acct_gone") {
		t.Fatalf("the choice: %d\n%s", a.StatusCode, a.body)
	}
	if a := b.post("/console/signin/account", url.Values{"account": {"acct_gone"}}); a.StatusCode != 403 || b.token() != "" {
		t.Errorf("an account without a role: %d", a.StatusCode)
	}
	b, _ = choose()
	a = b.post("/console/signin/account", url.Values{"account": {other.ID}})
	if a.StatusCode != 303 || a.location() != "/console/live/" {
		t.Fatalf("the choice leads to %q (%d)\n%s", a.location(), a.StatusCode, a.body)
	}
	callers, err := s.Sessions.Find(context.Background(), b.token(), sluice.Request{})
	if err != nil || len(callers) != 1 || callers[0].Ledger.Account != other.ID || !callers[0].Grants(sluice.LinksWrite) {
		t.Errorf("callers %+v, %v", callers, err)
	}
	if a := b.post("/console/signin/account", url.Values{"account": {s.Account.ID}}); a.StatusCode != 401 {
		t.Errorf("a second choice: %d", a.StatusCode)
	}

	// The first server, over the same records, has no provider: people do not sign in to it in this way.
	first := newBrowser(t, s.URL)
	first.setToken(b.token())
	if a := first.get("/console/live/"); a.StatusCode != 303 {
		t.Errorf("the session on the other server: %d", a.StatusCode)
	}

	pending := service.PendingSignIn{Person: sluice.Person{Issuer: op.Issuer, Subject: "ann"},
		Grants: []service.Grant{{Ledger: s.Ledger(sluice.Live), Scopes: []sluice.Scope{sluice.FilesRead}}}}
	text, err := s.Sessions.SealPending(pending)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Sessions.OpenPending(text); !ok {
		t.Error("a pending sign-in cannot be read")
	}
	payload, tag, _ := strings.Cut(text, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(payload)
	forged := strings.Replace(string(raw), "files:read", "keys:admin", 1)
	for _, bad := range []string{"", ".", payload, payload + ".", base64.RawURLEncoding.EncodeToString([]byte(forged)) + "." + tag,
		payload + "." + strings.Repeat("A", 43), text + "A", strings.Repeat("A", 5000) + "." + tag} {
		if p, ok := s.Sessions.OpenPending(bad); ok {
			t.Errorf("%.60q is read as %+v", bad, p)
		}
	}
	s.Clock.Advance(service.PendingLasts)
	if _, ok := s.Sessions.OpenPending(text); ok {
		t.Error("a pending sign-in does not expire")
	}
}
