package console_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/internal/signin"
	"sluice/sluicetest"
)

// newProvider makes the client of a provider with rules.
func newProvider(t testing.TB, op *sluicetest.OIDC, rules string) *signin.Provider {
	t.Helper()
	parsed, err := signin.ParseRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	p, err := signin.New(signin.Config{
		Issuer: op.Issuer, ClientID: sluicetest.OIDCClient, ClientSecret: sluicetest.OIDCSecret, Rules: parsed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// leave begins a sign-in and returns the address of the provider.
func (b *browser) leave(next string) string {
	b.t.Helper()
	a := b.post("/console/signin", url.Values{"next": {next}})
	address, ok := strings.CutPrefix(a.Header.Get("Refresh"), "0; url=")
	if a.StatusCode != 200 || !ok {
		b.t.Fatalf("the sign-in does not begin: %d, %q\n%s", a.StatusCode, a.Header.Get("Refresh"), a.body)
	}
	return address
}

// back opens the address that the provider sends the browser back to.
func (b *browser) back(address string) answer {
	b.t.Helper()
	path, ok := strings.CutPrefix(address, b.base)
	if !ok {
		b.t.Fatalf("the provider sends the browser to %s", address)
	}
	return b.get(path)
}

// TestPersonSession signs people in at a real provider: with a role, with another one, and with none any more.
func TestPersonSession(t *testing.T) {
	op := sluicetest.NewOIDC(t)
	op.SetPerson(t, "ann", "Ann <b>&\u202e", "ann@bank.example", map[string]any{"groups": []string{"staff", "audit"}})
	op.SetPerson(t, "bob", "Bob", "bob@bank.example", map[string]any{"groups": "staff"})
	op.SetPerson(t, "eve", "Eve", "eve@evil.example", nil)
	s := sluicetest.NewServer(t, func(o *server.Options) {
		o.Console.Provider = newProvider(t, op, "staff=sender::test,audit=auditor,boss=admin")
	})
	live, test := s.Ledger(sluice.Live), s.Ledger(sluice.Test)
	ctx := context.Background()

	ann := newBrowser(t, s.URL)
	if a := ann.get("/console/signin"); strings.Contains(a.body, "API key") || !strings.Contains(a.body, op.Issuer) {
		t.Errorf("the sign-in page:\n%s", a.body)
	}
	if a := ann.signIn(s.Secret); ann.token() != "" {
		t.Errorf("an API key signed in beside the provider: %d", a.StatusCode)
	}
	address := ann.leave("/console/test/")
	for _, part := range []string{"code_challenge_method=S256", "nonce=", "state=", "response_type=code"} {
		if !strings.Contains(address, part) {
			t.Errorf("the request to the provider lacks %s: %s", part, address)
		}
	}
	back := op.SignIn(t, ann.http, address, "ann")

	thief := newBrowser(t, s.URL)
	if a := thief.back(back); a.StatusCode != 403 || thief.token() != "" {
		t.Errorf("another browser came back with the address: %d", a.StatusCode)
	}
	a := ann.back(back)
	if a.StatusCode != 303 || a.location() != "/console/test/" || ann.token() == "" {
		t.Fatalf("sign-in: %d to %q\n%s", a.StatusCode, a.location(), a.body)
	}
	if cookies := a.Header.Values("Set-Cookie"); !slices.ContainsFunc(cookies, func(c string) bool {
		return strings.HasPrefix(c, "sluice-console-signin=;") && strings.Contains(c, "Max-Age=0")
	}) {
		t.Errorf("the browser keeps the flow: %q", cookies)
	}
	for _, mode := range []string{"test", "live"} {
		if a := ann.get("/console/" + mode + "/"); a.StatusCode != 200 {
			t.Errorf("%s: %d", mode, a.StatusCode)
		}
	}
	token := ann.token()
	if a := ann.back(back); a.StatusCode != 403 || ann.token() != token {
		t.Errorf("the address of the provider is good twice: %d", a.StatusCode)
	}

	callers, err := s.Sessions.Find(ctx, token, sluice.Request{})
	if err != nil || len(callers) != 2 {
		t.Fatalf("callers: %v, %v", callers, err)
	}
	for _, c := range callers {
		writes := c.Ledger == test
		if c.Actor.Type != sluice.ActorPerson || c.Grants(sluice.FilesWrite) != writes || !c.Grants(sluice.AuditRead) ||
			c.Grants(sluice.KeysAdmin) {
			t.Errorf("in %s: %+v", c.Ledger, c.Session)
		}
		_, err := s.Keys.Create(ctx, c, service.NewKey{Name: "mine"})
		if sluice.CodeOf(err) != sluice.CodeForbidden {
			t.Errorf("in %s an auditor makes a key: %v", c.Ledger, err)
		}
	}
	began := s.Entries(t, live)[1]
	if began.Action != sluice.SessionCreated || began.Actor.Issuer != op.Issuer ||
		began.Actor.Email != "ann@bank.example" || began.Actor.Name != "Ann <b>&" ||
		!slices.Equal(began.Session.Scopes, sluice.Auditor.Scopes()) {
		t.Errorf("entry %+v, session %+v", began, began.Session)
	}

	bob := newBrowser(t, s.URL)
	if a := bob.back(op.SignIn(t, bob.http, bob.leave("/console/live/"), "bob")); a.location() != "/console/test/" {
		t.Errorf("who has no role in the mode is sent to %q\n%s", a.location(), a.body)
	}
	if a := bob.get("/console/live/"); a.StatusCode != 403 {
		t.Errorf("the mode without a role: %d", a.StatusCode)
	}
	// What a person does stands in the log as theirs. When the test ends, the rows are compared with the log.
	sender, err := s.Sessions.Find(ctx, bob.token(), sluice.Request{ID: "req_1"})
	if err != nil || len(sender) != 1 {
		t.Fatalf("callers: %v, %v", sender, err)
	}
	created, err := s.Files.Create(ctx, sender[0], "", strings.NewReader("x"), func() (service.NewFile, error) {
		return service.NewFile{Purpose: "export", Filename: "a.txt", Type: "text/plain"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	link, err := s.Links.Mint(ctx, sender[0], service.NewLink{FileID: created.File.ID, Reason: "asked for"})
	if err != nil || link.KeyID != "" {
		t.Fatalf("a link of a person: %+v, %v", link, err)
	}
	address, err = s.Links.URL(link)
	if err != nil {
		t.Fatal(err)
	}
	if a := bob.get(strings.TrimPrefix(address, s.URL)); a.StatusCode != 200 || a.body != "x" {
		t.Errorf("the link of a person: %d", a.StatusCode)
	}
	ofBob, err := s.Service.Service.Entries.List(ctx, service.Operator(test), service.EntryFilter{PersonID: "bob"},
		sluice.Page{Limit: 10})
	if err != nil || len(ofBob.Data) != 3 || ofBob.Data[0].Action != sluice.LinkCreated {
		t.Errorf("the entries of a person: %+v, %v", ofBob.Data, err)
	}

	eve := newBrowser(t, s.URL)
	if a := eve.back(op.SignIn(t, eve.http, eve.leave(""), "eve")); a.StatusCode != 403 || eve.token() != "" {
		t.Errorf("who has no role: %d\n%s", a.StatusCode, a.body)
	}
	entries := s.Entries(t, live)
	if last := entries[len(entries)-1]; last.Action != sluice.AccessDenied || last.Refusal != sluice.NoRole ||
		last.Actor.ID != "eve" {
		t.Errorf("the refusal: %+v", last)
	}

	// The provider takes a role away: another sign-in of the person ends the sessions that had it.
	op.SetPerson(t, "ann", "Ann", "ann@bank.example", map[string]any{"groups": []string{"audit"}})
	other := newBrowser(t, s.URL)
	if a := other.back(op.SignIn(t, other.http, other.leave(""), "ann")); a.StatusCode != 303 {
		t.Fatalf("sign-in: %d\n%s", a.StatusCode, a.body)
	}
	if a := ann.get("/console/test/"); a.StatusCode == 200 {
		t.Error("the session with the role that was taken away goes on")
	}
	if a := ann.get("/console/live/"); a.StatusCode != 200 {
		t.Errorf("the session with the role that is left: %d", a.StatusCode)
	}
	op.SetPerson(t, "ann", "Ann", "ann@bank.example", nil)
	last := newBrowser(t, s.URL)
	if a := last.back(op.SignIn(t, last.http, last.leave(""), "ann")); a.StatusCode != 403 {
		t.Errorf("without a role: %d", a.StatusCode)
	}
	if a := other.get("/console/live/"); a.StatusCode == 200 {
		t.Error("a session goes on without a role")
	}
}

// TestOtherWayIn opens pages with sessions that began in a way in which nobody signs in any more.
func TestOtherWayIn(t *testing.T) {
	op := sluicetest.NewOIDC(t)
	s := sluicetest.NewServer(t, func(o *server.Options) { o.Console.Provider = newProvider(t, op, "staff=admin") })
	byKey := sluicetest.NewServer(t)
	key, err := s.Keys.Authenticate(t.Context(), s.Secret, sluice.Request{})
	if err != nil {
		t.Fatal(err)
	}
	ofKey, err := s.Sessions.SignIn(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	person := func(s *sluicetest.Server, issuer string) string {
		token, err := s.Sessions.SignInPerson(t.Context(), sluice.Person{Issuer: issuer, Subject: "ann"},
			[]service.Grant{{Ledger: s.Ledger(sluice.Test), Scopes: sluice.Admin.Scopes()}}, sluice.Request{})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for _, test := range []struct {
		name  string
		base  string
		token string
		want  int
	}{
		{"a key beside the provider", s.URL, ofKey, 303},
		{"another issuer", s.URL, person(s, "https://old.example"), 303},
		{"the issuer", s.URL, person(s, op.Issuer), 200},
		{"a person without a provider", byKey.URL, person(byKey, op.Issuer), 303},
	} {
		b := newBrowser(t, test.base)
		b.setToken(test.token)
		if a := b.get("/console/test/"); a.StatusCode != test.want {
			t.Errorf("%s: %d, want %d", test.name, a.StatusCode, test.want)
		}
		if a := b.get("/console"); test.want == 303 && a.location() != "/console/signin" {
			t.Errorf("%s: the console leads to %q", test.name, a.location())
		}
	}
}
