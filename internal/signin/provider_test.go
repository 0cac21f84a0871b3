package signin

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice"
)

// hostile is a provider that says what a test wants. A real one signs people in in the tests of package console.
type hostile struct {
	*httptest.Server
	key     *rsa.PrivateKey
	mu      sync.Mutex
	claims  map[string]any // of the next ID token
	info    map[string]any // of the userinfo endpoint
	header  map[string]any // of the next ID token
	sign    func(text string) []byte
	respond http.HandlerFunc // answers every request, if it is not nil
	asked   int              // requests for the configuration
	forms   []url.Values     // of requests for tokens
}

var hostileKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newHostile(t *testing.T) *hostile {
	h := &hostile{key: hostileKey()}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	h.reset()
	return h
}

// reset has the provider behave.
func (h *hostile) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.claims = map[string]any{
		"iss": h.URL, "sub": "ann", "aud": "sluice", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(),
		"groups": []string{"staff"}, "name": "Ann", "email": "ann@bank.example", "email_verified": true,
	}
	h.info, h.respond = map[string]any{"sub": "ann"}, nil
	h.header = map[string]any{"alg": "RS256", "kid": "1"}
	h.sign = func(text string) []byte {
		sum := sha256.Sum256([]byte(text))
		signature, err := rsa.SignPKCS1v15(rand.Reader, h.key, crypto.SHA256, sum[:])
		if err != nil {
			panic(err)
		}
		return signature
	}
}

func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.URL.Path == "/.well-known/openid-configuration" {
		h.asked++
	}
	if h.respond != nil {
		h.respond(w, r)
		return
	}
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{
			"issuer": h.URL, "authorization_endpoint": h.URL + "/auth", "token_endpoint": h.URL + "/token",
			"jwks_uri": h.URL + "/keys", "userinfo_endpoint": h.URL + "/userinfo",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
			"scopes_supported":                      []string{"openid", "groups"},
		}
	case "/keys":
		answer = map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "e": "AQAB",
			"n": base64.RawURLEncoding.EncodeToString(h.key.N.Bytes()),
		}}}
	case "/token":
		r.ParseForm()
		h.forms = append(h.forms, r.PostForm)
		text := encoded(h.header) + "." + encoded(h.claims)
		answer = map[string]any{
			"access_token": "token", "token_type": "Bearer",
			"id_token": text + "." + base64.RawURLEncoding.EncodeToString(h.sign(text)),
		}
	case "/userinfo":
		answer = h.info
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

func (h *hostile) provider(t *testing.T, rules ...Rule) *Provider {
	t.Helper()
	if rules == nil {
		rules = []Rule{{Group: "staff", Role: sluice.Viewer}}
	}
	p, err := New(Config{Issuer: h.URL, ClientID: "sluice", ClientSecret: "secret", Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const callback = "http://127.0.0.1/console/signin/callback"

// signIn signs someone in. change may change what the provider says, and the query that the browser brings.
func (h *hostile) signIn(t *testing.T, p *Provider, change func(f Flow, q url.Values)) (Identity, error) {
	t.Helper()
	h.reset()
	flow, address, err := p.Begin(t.Context(), callback)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(address, h.URL+"/auth?") {
		t.Fatalf("the sign-in begins at %s", address)
	}
	h.claims["nonce"] = flow.Nonce
	q := url.Values{"state": {flow.State}, "code": {"code"}}
	if change != nil {
		change(flow, q)
	}
	return p.Finish(t.Context(), flow, callback, q)
}

// A sign-in says who signed in and which roles they have. The code is sent with the verifier of its flow.
func TestSignIn(t *testing.T) {
	h := newHostile(t)
	p := h.provider(t, Rule{Group: "staff", Role: sluice.Viewer}, Rule{Group: "other", Role: sluice.Admin})
	var verifier string
	id, err := h.signIn(t, p, func(f Flow, _ url.Values) { verifier = f.Verifier })
	if err != nil {
		t.Fatal(err)
	}
	if want := (sluice.Person{Issuer: h.URL, Subject: "ann", Name: "Ann", Email: "ann@bank.example"}); id.Person != want {
		t.Errorf("the person is %+v", id.Person)
	}
	want := []Right{{"", sluice.Test, sluice.Viewer}, {"", sluice.Live, sluice.Viewer}}
	if !slices.Equal(id.Rights, want) {
		t.Errorf("the rights are %v", id.Rights)
	}
	if form := h.forms[0]; form.Get("code_verifier") != verifier || form.Get("redirect_uri") != callback {
		t.Errorf("the request for a token is %v", form)
	}
}

// What a provider, or who stands between, may send instead of a valid sign-in.
func TestForgedSignIns(t *testing.T) {
	h := newHostile(t)
	p := h.provider(t)
	for _, test := range []struct {
		name   string
		change func(f Flow, q url.Values)
		want   error
	}{
		{"no state", func(_ Flow, q url.Values) { q.Del("state") }, ErrRefused},
		{"forged state", func(_ Flow, q url.Values) { q.Set("state", "forged") }, ErrRefused},
		{"two states", func(_ Flow, q url.Values) { q.Add("state", "forged") }, ErrRefused},
		{"no code", func(_ Flow, q url.Values) { q.Del("code") }, ErrRefused},
		{"another issuer", func(_ Flow, q url.Values) { q.Set("iss", "https://evil.example") }, ErrRefused},
		{"denied", func(_ Flow, q url.Values) { q.Set("error", "access_denied") }, ErrRefused},
		{"wrong nonce", func(Flow, url.Values) { h.claims["nonce"] = "of another" }, ErrRefused},
		{"no nonce", func(Flow, url.Values) { delete(h.claims, "nonce") }, ErrRefused},
		{"expired", func(Flow, url.Values) { h.claims["exp"] = time.Now().Add(-time.Minute).Unix() }, ErrRefused},
		{"wrong audience", func(Flow, url.Values) { h.claims["aud"] = "another" }, ErrRefused},
		{"several audiences", func(Flow, url.Values) { h.claims["aud"] = []string{"sluice", "another"} }, ErrRefused},
		{"issued to another", func(Flow, url.Values) {
			h.claims["aud"], h.claims["azp"] = []string{"sluice", "another"}, "another"
		}, ErrRefused},
		{"wrong issuer", func(Flow, url.Values) { h.claims["iss"] = "https://evil.example" }, ErrRefused},
		{"alg none", func(Flow, url.Values) {
			h.header["alg"], h.sign = "none", func(string) []byte { return nil }
		}, ErrRefused},
		{"signed with the client secret", func(Flow, url.Values) { h.header["alg"] = "HS256" }, ErrRefused},
		{"signed by another", func(Flow, url.Values) {
			sign := h.sign
			h.sign = func(text string) []byte { return sign(text + "x") }
		}, ErrRefused},
		{"unknown key", func(Flow, url.Values) {
			sign := h.sign
			h.header["kid"], h.sign = "2", func(text string) []byte { return sign(text + "x") }
		}, ErrRefused},
		{"access token of another", func(Flow, url.Values) { h.claims["at_hash"] = "AAAA" }, ErrRefused},
		{"no subject", func(Flow, url.Values) { delete(h.claims, "sub") }, ErrRefused},
		{"long subject", func(Flow, url.Values) { h.claims["sub"] = strings.Repeat("x", 256) }, ErrRefused},
		{"subject with a line feed", func(Flow, url.Values) { h.claims["sub"] = "ann\nbob" }, ErrRefused},
		{"many groups", func(Flow, url.Values) { h.claims["groups"] = make([]string, maxGroups+1) }, ErrRefused},
		{"a huge token", func(Flow, url.Values) { h.claims["x"] = strings.Repeat("x", maxIDToken) }, ErrRefused},
		{"a huger token", func(Flow, url.Values) { h.claims["x"] = strings.Repeat("x", maxAnswer) }, ErrUnavailable},
		{"userinfo of another", func(Flow, url.Values) {
			delete(h.claims, "groups")
			h.info["sub"] = "bob"
		}, ErrRefused},
		{"used code", func(Flow, url.Values) {
			h.respond = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(400)
				fmt.Fprint(w, `{"error":"invalid_grant","error_description":"<script>"}`)
			}
		}, ErrRefused},
		{"failure", func(Flow, url.Values) {
			h.respond = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }
		}, ErrUnavailable},
		{"redirect", func(Flow, url.Values) {
			h.respond = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://evil.example", http.StatusTemporaryRedirect)
			}
		}, ErrUnavailable},
		{"no JSON", func(Flow, url.Values) {
			h.respond = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }
		}, ErrUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, err := h.signIn(t, p, test.change)
			if !errors.Is(err, test.want) || id.Person.Subject != "" {
				t.Errorf("%+v, %v; want %v", id, err, test.want)
			}
		})
	}
	_, err := p.Finish(t.Context(), Flow{}, callback, url.Values{"state": {""}, "code": {"c"}})
	if !errors.Is(err, ErrRefused) {
		t.Errorf("without a flow: %v", err)
	}
	if _, err := h.signIn(t, p, nil); err != nil {
		t.Errorf("a valid one after them: %v", err)
	}
}

// Claims say what they like: names and addresses are cleaned, and groups count only as texts.
func TestClaims(t *testing.T) {
	h := newHostile(t)
	p := h.provider(t, Rule{Group: "staff", Role: sluice.Viewer, Mode: sluice.Live},
		Rule{Group: Everyone, Role: sluice.Sender, Account: "acct_1", Mode: sluice.Test})
	for _, test := range []struct {
		name   string
		change map[string]any
		person sluice.Person
		roles  int
	}{
		{"a long name", map[string]any{"name": strings.Repeat("ä", 200)},
			sluice.Person{Name: strings.Repeat("ä", 100), Email: "ann@bank.example"}, 2},
		{"a hostile name", map[string]any{"name": "A\u202enn\n<b>\x00"},
			sluice.Person{Name: "Ann<b>", Email: "ann@bank.example"}, 2},
		{"a name that is a number", map[string]any{"name": 7, "preferred_username": "ann7"},
			sluice.Person{Name: "ann7", Email: "ann@bank.example"}, 2},
		{"an address that is not verified", map[string]any{"email_verified": false}, sluice.Person{Name: "Ann"}, 2},
		{"the same as a text", map[string]any{"email_verified": "false"}, sluice.Person{Name: "Ann"}, 2},
		{"no address", map[string]any{"email": "ann\n@bank.example"}, sluice.Person{Name: "Ann"}, 2},
		{"one group", map[string]any{"groups": "staff"}, sluice.Person{Name: "Ann", Email: "ann@bank.example"}, 2},
		{"a part of a group", map[string]any{"groups": "staffers"},
			sluice.Person{Name: "Ann", Email: "ann@bank.example"}, 1},
		{"groups of other kinds", map[string]any{"groups": []any{7, nil, map[string]any{"staff": true}}},
			sluice.Person{Name: "Ann", Email: "ann@bank.example"}, 1},
		{"groups as an object", map[string]any{"groups": map[string]any{"staff": true}},
			sluice.Person{Name: "Ann", Email: "ann@bank.example"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, err := h.signIn(t, p, func(Flow, url.Values) {
				for name, value := range test.change {
					h.claims[name] = value
				}
			})
			test.person.Issuer, test.person.Subject = h.URL, "ann"
			if err != nil || id.Person != test.person || len(id.Rights) != test.roles {
				t.Errorf("%+v, %v; want %+v and %d roles", id, err, test.person, test.roles)
			}
		})
	}
	id, err := h.signIn(t, p, func(Flow, url.Values) {
		delete(h.claims, "groups")
		delete(h.claims, "name")
		h.info = map[string]any{"sub": "ann", "groups": []string{"staff"}, "name": "From userinfo"}
	})
	if err != nil || id.Person.Name != "From userinfo" || len(id.Rights) != 2 {
		t.Errorf("claims of the userinfo endpoint: %+v, %v", id, err)
	}
}

// Roles by an address count only if the provider vouches for the address.
func TestRolesByAddress(t *testing.T) {
	h := newHostile(t)
	p, err := New(Config{Issuer: h.URL, ClientID: "sluice", RolesClaim: "email",
		Rules: []Rule{{Group: "ann@bank.example", Role: sluice.Admin}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, verified := range []any{true, "true", false, "false", nil, 1} {
		id, err := h.signIn(t, p, func(Flow, url.Values) { h.claims["email_verified"] = verified })
		if want := verified == true || verified == "true"; err != nil || (len(id.Rights) > 0) != want {
			t.Errorf("email_verified %v: %v, %v", verified, id.Rights, err)
		}
	}
}

// A provider that does not answer is not asked by every request, and is asked again when it is back.
func TestProviderDown(t *testing.T) {
	h := newHostile(t)
	p := h.provider(t)
	h.mu.Lock()
	h.respond = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
	h.mu.Unlock()
	began := time.Now()
	for range 50 {
		if _, _, err := p.Begin(t.Context(), callback); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("a provider that is down: %v", err)
		}
	}
	h.reset()
	if most := 1 + int(time.Since(began)/retryAfter); h.asked > most {
		t.Errorf("the provider was asked %d times, at most %d expected", h.asked, most)
	}
	p.failed = time.Time{} // as if time had passed
	if _, err := h.signIn(t, p, nil); err != nil {
		t.Errorf("a provider that is back: %v", err)
	}
}

// An error of the token endpoint has nothing of its body: it may have tokens, and errors are logged.
func TestErrorWithoutBody(t *testing.T) {
	for body, want := range map[string]string{
		`{"error": "server_error", "error_description": "for hunter2", "access_token": "hunter2"}`: "server_error",
		`hunter2`: "500",
	} {
		h := newHostile(t)
		p := h.provider(t)
		_, err := h.signIn(t, p, func(Flow, url.Values) {
			h.respond = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(500)
				fmt.Fprint(w, body)
			}
		})
		text := fmt.Sprint(err)
		if !errors.Is(err, ErrUnavailable) || strings.Contains(text, "hunter2") || !strings.Contains(text, want) {
			t.Errorf("%s: %s", body, text)
		}
	}
}

// A provider whose configuration names an endpoint that is not https is not used.
func TestUnsafeEndpoints(t *testing.T) {
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", ""} {
		h := newHostile(t)
		document := map[string]any{"issuer": h.URL, "authorization_endpoint": h.URL + "/auth",
			"token_endpoint": h.URL + "/token", "jwks_uri": "https://id.example/keys"}
		if name != "" {
			document[name] = "http://id.example/x"
		}
		h.respond = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(document)
		}
		if _, _, err := h.provider(t).Begin(t.Context(), callback); errors.Is(err, ErrUnavailable) != (name != "") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Sign-ins that ask the provider are bounded, and one that waits ends with its request.
func TestBusy(t *testing.T) {
	h := newHostile(t)
	p := h.provider(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	p.asking <- struct{}{}
	if _, _, err := p.Begin(gone, callback); !errors.Is(err, ErrUnavailable) {
		t.Errorf("while the provider is asked: %v", err)
	}
	<-p.asking
	flow, _, err := p.Begin(t.Context(), callback)
	if err != nil {
		t.Fatal(err)
	}
	for range maxFinishing {
		p.finishing <- struct{}{}
	}
	_, err = p.Finish(gone, flow, callback, url.Values{"state": {flow.State}, "code": {"code"}})
	if !errors.Is(err, ErrUnavailable) || len(h.forms) != 0 {
		t.Errorf("beside %d others: %v, the provider was asked %d times", maxFinishing, err, len(h.forms))
	}
}

func TestNewRefuses(t *testing.T) {
	rules := []Rule{{Group: "staff", Role: sluice.Viewer}}
	for _, c := range []Config{
		{Issuer: "http://id.example", ClientID: "x", Rules: rules},
		{Issuer: "ftp://id.example", ClientID: "x", Rules: rules},
		{Issuer: "id.example", ClientID: "x", Rules: rules},
		{Issuer: "https://id.example?x=1", ClientID: "x", Rules: rules},
		{Issuer: "https://ann:secret@id.example", ClientID: "x", Rules: rules},
		{Issuer: "https://id.example/" + strings.Repeat("x", 256), ClientID: "x", Rules: rules},
		{Issuer: "https://id.example", Rules: rules},
		{Issuer: "https://id.example", ClientID: "x"},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func TestParseRules(t *testing.T) {
	got, err := ParseRules(" staff=viewer, cn=it,=admin:acct_1:test,*=sender::live,")
	if err == nil {
		t.Errorf("a group that ends with an equals sign and no role: %v", got)
	}
	got, err = ParseRules("staff=viewer, cn=it=admin:acct_1:test,*=sender::live,a b=auditor:acct_1,")
	want := []Rule{
		{"staff", sluice.Viewer, "", ""}, {"cn=it", sluice.Admin, "acct_1", sluice.Test},
		{"*", sluice.Sender, "", sluice.Live}, {"a b", sluice.Auditor, "acct_1", ""},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", ",", "staff", "=viewer", "staff=", "staff=root", "staff=admin:bank",
		"staff=admin::dev", "staff=admin:acct_1:test:x", strings.Repeat("a=viewer,", maxRules+1)} {
		if rules, err := ParseRules(bad); err == nil {
			t.Errorf("%.40q is read as %d rules", bad, len(rules))
		}
	}
}
