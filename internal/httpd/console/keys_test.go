package console_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

var secretOnPage = regexp.MustCompile(`id="secret" value="(sk_test_[a-z2-7]+)"`)

// TestKeyPages is "keys" of "what the API can do, with words that explain it". It creates a key, shows its secret once, gives it a new one and revokes it.
func TestKeyPages(t *testing.T) {
	o := newOffice(t)
	a := o.post("/console/test/keys", url.Values{
		"name": {" <b>billing</b> "}, "scopes": {"files:read", "links:read"}, "expires_at": {"2099-12-31"},
	})
	found := secretOnPage.FindStringSubmatch(a.body)
	if a.StatusCode != 200 || found == nil || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the answer has no secret: %d %v\n%s", a.StatusCode, a.Header, a.body)
	}
	id := o.entry(sluice.KeyCreated).Key.ID
	page := o.get("/console/test/keys/" + id)
	if secretOnPage.MatchString(page.body) || strings.Contains(page.body, found[1]) {
		t.Error("the secret is shown twice")
	}
	for _, want := range []string{"&lt;b&gt;billing&lt;/b&gt;", "files:read", "See the records of files", "1 Jan 2100"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page of the key lacks %q", want)
		}
	}
	k, err := o.Keys.Get(t.Context(), service.Operator(o.Ledger(sluice.Test)), id)
	if err != nil || k.Expires != time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) || len(k.Scopes) != 2 {
		t.Errorf("the key is %+v, %v", k, err)
	}
	other := newBrowser(t, o.URL)
	if a := other.signIn(found[1]); a.StatusCode != 303 {
		t.Errorf("the secret does not sign in: %d", a.StatusCode)
	}

	a = o.post("/console/test/keys/"+id+"/rotate", url.Values{"overlap_seconds": {"3600"}})
	second := secretOnPage.FindStringSubmatch(a.body)
	if second == nil || second[1] == found[1] || !strings.Contains(a.body, "works until") {
		t.Fatalf("no new secret: %d\n%s", a.StatusCode, a.body)
	}
	if a := newBrowser(t, o.URL).signIn(found[1]); a.StatusCode != 303 {
		t.Errorf("the old secret does not work for an hour: %d", a.StatusCode)
	}
	a = o.post("/console/test/keys/"+id+"/rotate", url.Values{"overlap_seconds": {"5"}})
	if a.StatusCode != 422 && a.StatusCode != 400 {
		t.Errorf("a time that is no choice: %d", a.StatusCode)
	}
	if a := o.get("/console/test/keys/" + id + "/revoke"); !strings.Contains(a.body, "This cannot be undone") {
		t.Error("the page does not ask before it revokes")
	}
	if a := o.post("/console/test/keys/"+id+"/revoke", nil); a.location() != "/console/test/keys?did=key-revoked" {
		t.Errorf("revoked: %d to %q", a.StatusCode, a.location())
	}
	if a := other.get("/console/test/"); a.StatusCode != 303 {
		t.Errorf("the session of a revoked key goes on: %d", a.StatusCode)
	}
	if a := o.get("/console/test/keys"); !strings.Contains(a.body, "revoked") {
		t.Error("the list does not say that the key is revoked")
	}

	for _, test := range []struct{ field, value, at, want string }{
		{"name", "", "name", "needs a name"}, {"name", strings.Repeat("x", 101), "name", "more than 100"},
		{"scopes", "", "scopes", "at least one scope"},
		{"scopes", "everything", "scopes", "no scope"}, {"expires_at", "soon", "expires_at", "not a day"},
		{"expires_at", "2000-01-01", "expires_at", "past"},
	} {
		form := url.Values{"name": {"n"}, "scopes": {"files:read"}}
		form[test.field] = []string{test.value}
		if test.value == "" {
			form.Del(test.field)
		}
		a := o.post("/console/test/keys", form)
		if says := a.at(test.at); a.StatusCode < 400 || !strings.Contains(says, test.want) {
			t.Errorf("%s %.20q: %d, %q", test.field, test.value, a.StatusCode, says)
		}
	}
	// A key grants only what it has.
	clerk := o.as(sluice.KeysAdmin)
	if a := clerk.get("/console/test/keys/new"); strings.Contains(a.body, `value="files:write"`) {
		t.Error("the form offers a scope that the person does not have")
	}
	a = clerk.post("/console/test/keys", url.Values{"name": {"n"}, "scopes": {"files:write"}})
	if a.StatusCode != 403 || !strings.Contains(a.body, "The key was not created") {
		t.Errorf("a key with more rights: %d\n%s", a.StatusCode, a.body)
	}
	a = clerk.post("/console/test/keys/"+o.Key.ID+"/rotate", url.Values{"overlap_seconds": {"0"}})
	if a.StatusCode != 403 {
		t.Errorf("a key with more rights gets a new secret: %d", a.StatusCode)
	}
	own := clerk.entry(sluice.SessionCreated).Session.Key
	if a := clerk.post("/console/test/keys/"+own+"/revoke", nil); a.location() != "/console/signin" {
		t.Errorf("the own key: %d to %q", a.StatusCode, a.location())
	}
}

// TestSessionPages is "listed and revocable". It lists the sessions and ends them.
func TestSessionPages(t *testing.T) {
	o := newOffice(t)
	other := o.as(sluice.FilesRead)
	id := o.entry(sluice.SessionCreated).Session.ID
	a := o.get("/console/test/sessions")
	if n := strings.Count(a.body, `data-label="State"`); n != 2 || strings.Count(a.body, "this browser") != 1 {
		t.Errorf("%d sessions\n%s", n, a.body)
	}
	if a := o.post("/console/test/sessions/"+id+"/end", nil); a.location() != "/console/test/sessions?did=session-ended" {
		t.Errorf("ended: %d to %q", a.StatusCode, a.location())
	}
	if a := other.get("/console/test/"); a.StatusCode != 303 {
		t.Errorf("the session goes on: %d", a.StatusCode)
	}
	if a := o.post("/console/test/sessions/"+id+"/end", nil); a.StatusCode != 404 {
		t.Errorf("a session that has ended: %d", a.StatusCode)
	}
	if a := o.get("/console/test/sessions"); !strings.Contains(a.body, ">ended<") {
		t.Error("the list does not say that the session has ended")
	}
}

// TestSettings is "what ends today, what was refused, state of the log" and "purposes, brand, ledger key". It reads the
// pages of the purposes, the brand and the key of the log.
func TestSettings(t *testing.T) {
	o := newOffice(t)
	o.happen()
	key, _, err := o.Ledgers.Key(t.Context(), service.Operator(o.Ledger(sluice.Test)))
	if err != nil {
		t.Fatal(err)
	}
	for path, texts := range map[string][]string{
		"/purposes": {"Contract", "at most 1.0 kB", "live at most 1 hour", ">reason<", ">terms<", "application/pdf"},
		"/brand":    {"As recipients see it", "not set"},
		"/ledger": {`value="` + strings.ReplaceAll(key, "+", "&#43;") + `"`, "Fingerprint", "The key was never changed",
			"— " + strings.SplitN(key, "+", 2)[0]},
		"/": {"Lately", "Refused", "Ends within a day", "possible", "none signed the newest checkpoint",
			`data-news="/console/test/events?known=`},
	} {
		a := o.get("/console/test" + path)
		for _, want := range texts {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
	}
	// Whoever sees no log gets no stream, and no state of the server.
	if a := o.as(sluice.FilesRead).get("/console/test/"); strings.Contains(a.body, "data-news") ||
		strings.Contains(a.body, "The server") || !strings.Contains(a.body, "Your role shows no links and no log") {
		t.Error("the home page shows more than the role allows")
	}
}

// TestServerOfAccounts reads the state of a server with one account, and then with two: the counts of all accounts are
// nothing for the administrator of one.
func TestServerOfAccounts(t *testing.T) {
	o := newOffice(t)
	for accounts := 1; accounts <= 2; accounts++ {
		a := o.get("/console/test/")
		for text, want := range map[string]bool{
			"possible": true, "Mails that wait": accounts == 1, "Damaged files": accounts == 1,
		} {
			if got := strings.Contains(a.body, text); got != want {
				t.Errorf("with %d accounts, %q is shown: %v", accounts, text, got)
			}
		}
		o.NewAccount(t, "other")
	}
}

// onceOnPage is what a form has that is to be sent once.
var onceOnPage = regexp.MustCompile(`name="once" value="([A-Z2-7]+)"`)

// TestSentTwice sends forms twice, as browsers do when somebody clicks twice or reloads an answer. They take effect
// once, unless another session sends them or something in them was changed.
func TestSentTwice(t *testing.T) {
	o := newOffice(t)
	once := func(path string) string {
		t.Helper()
		found := onceOnPage.FindStringSubmatch(o.get(path).body)
		if found == nil {
			t.Fatalf("the form of %s can be sent twice", path)
		}
		return found[1]
	}
	keys := "/console/test/keys"
	form := url.Values{"name": {"n"}, "scopes": {"files:read"}, "once": {once(keys + "/new")}}
	if a := o.post(keys, form); !secretOnPage.MatchString(a.body) {
		t.Fatalf("no key: %d\n%s", a.StatusCode, a.body)
	}
	id := o.entry(sluice.KeyCreated).Key.ID
	a := o.post(keys, form)
	if a.location() != keys+"/"+id+"?did=secret-shown" || o.entry(sluice.KeyCreated).Key.ID != id {
		t.Errorf("a key for a form that is sent again: %d to %q", a.StatusCode, a.location())
	}
	if a := o.get(a.location()); !strings.Contains(a.body, "This form was sent before") {
		t.Error("the page does not say why there is no secret")
	}
	other := newBrowser(t, o.URL)
	other.signIn(o.Secret)
	if a := other.post(keys, form); !secretOnPage.MatchString(a.body) {
		t.Errorf("the same form of another session: %d to %q", a.StatusCode, a.location())
	}
	form.Set("name", "m")
	if a := o.post(keys, form); !secretOnPage.MatchString(a.body) {
		t.Errorf("a form that was changed: %d to %q", a.StatusCode, a.location())
	}

	rotate := keys + "/" + id + "/rotate"
	form = url.Values{"overlap_seconds": {"0"}, "once": {once(rotate)}}
	secret := secretOnPage.FindStringSubmatch(o.post(rotate, form).body)
	if a := o.post(rotate, form); secret == nil || a.location() != keys+"/"+id+"?did=secret-shown" {
		t.Fatalf("a secret for a form that is sent again: %d to %q", a.StatusCode, a.location())
	}
	if a := newBrowser(t, o.URL).signIn(secret[1]); a.StatusCode != 303 {
		t.Errorf("the secret that was shown does not work: %d", a.StatusCode)
	}

	share := "/console/test/files/" + o.file(service.NewFile{Purpose: "report", Filename: "a.pdf"}).ID + "/share"
	form = url.Values{"expires_in_seconds": {"3600"}, "password": {"long enough"}, "once": {once(share)}}
	first := o.post(share, form)
	if a := o.post(share, form); first.StatusCode != 303 || a.location() != first.location() {
		t.Errorf("a link for a form that is sent again: %q, and %d to %q", first.location(), a.StatusCode, a.location())
	}
	if n := len(o.entries(sluice.LinkCreated)); n != 1 {
		t.Errorf("%d links were made", n)
	}
}
