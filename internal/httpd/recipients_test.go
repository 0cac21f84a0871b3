package httpd_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// proving is a browser at a link that verifies.
type proving struct {
	client
	t       *testing.T
	link    sluice.Link
	url     string
	cookies map[string]*http.Cookie
}

func (c client) proving(t *testing.T, l api.Link) *proving {
	t.Helper()
	stored, err := c.Links.Get(t.Context(), service.Operator(c.Ledger(sluice.Test)), "", l.ID)
	if err != nil {
		t.Fatal(err)
	}
	return &proving{client: c, t: t, link: stored, url: l.URL, cookies: map[string]*http.Cookie{}}
}

// send sends a form, or with "" requests the page, with the cookies of the browser.
func (p *proving) send(form string) answer {
	p.t.Helper()
	method, headers := "GET", []string{"Accept", "text/html"}
	if form != "" {
		method, headers = "POST", append(headers, "Content-Type", "application/x-www-form-urlencoded")
	}
	for _, cookie := range p.cookies {
		headers = append(headers, "Cookie", cookie.Name+"="+cookie.Value)
	}
	r, err := http.NewRequest(method, p.url, strings.NewReader(form))
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	a := p.as("").do(p.t, r)
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		p.cookies[cookie.Name] = cookie
	}
	return a
}

// code is what the mail for the browser says.
func (p *proving) code() string {
	return p.Links.Code(p.link, service.ChallengeID(p.link.ID, p.cookies["sluice_challenge"].Value))
}

// TestPeopleInLists finds links by their recipient, and entries by the person and by the address that limits were
// decided on: in lists, exports and for the links of a file.
func TestPeopleInLists(t *testing.T) {
	s := sluicetest.NewServer(t, func(o *server.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	c := client{s, s.Secret}
	f := c.upload(t, "a.txt", "text/plain", "hello")
	links := map[string]api.Link{}
	for _, who := range []string{"ann", "bob"} {
		links[who] = c.mint(t, f.ID, `{"recipient":{"email":"`+who+`@bank.example"},"verification":"none"}`)
	}
	c.mint(t, f.ID, `{}`)
	c.forwarded(t, links["ann"].URL, "203.0.113.9").want(t, 200)
	c.forwarded(t, links["ann"].URL, "2001:db8::9").want(t, 200)
	c.forwarded(t, links["bob"].URL, "203.0.113.10").want(t, 200)
	c.Entries(t, c.Ledger(sluice.Test)) // the deliveries are written
	for query, want := range map[string]string{
		"/v1/file_links?recipient=ann@bank.example":                 links["ann"].ID,
		"/v1/file_links?recipient=ANN@Bank.example":                 links["ann"].ID,
		"/v1/file_links?recipient=eve@bank.example":                 "",
		"/v1/files/" + f.ID + "/links?recipient=bob@bank.example":   links["bob"].ID,
		"/v1/file_links?recipient=bob@bank.example&file_id=" + f.ID: links["bob"].ID,
	} {
		got := ""
		for _, l := range read[api.List[api.Link]](t, c.ask(t, "GET", query, "").want(t, 200)).Data {
			got += l.ID
		}
		if got != want {
			t.Errorf("%s: links %q, want %q", query, got, want)
		}
	}
	for query, want := range map[string]string{
		"recipient=ann@bank.example":                       "link.created",
		"recipient=Bob@Bank.example&action=link.created":   "link.created",
		"recipient=eve@bank.example":                       "",
		"client_ip=203.0.113.9":                            "link.redeemed",
		"client_ip=::ffff:203.0.113.10":                    "link.redeemed",
		"client_ip=2001:DB8:0:0::9":                        "link.redeemed",
		"client_ip=203.0.113.11":                           "",
		"client_ip=203.0.113.9&link_id=" + links["bob"].ID: "",
		"client_ip=203.0.113.9&recipient=ann@bank.example": "",
		"client_ip=127.0.0.1&recipient=bob@bank.example":   "link.created",
	} {
		list := read[api.List[api.AuditEntry]](t, c.ask(t, "GET", "/v1/audit_entries?"+query, "").want(t, 200))
		got := ""
		for _, e := range list.Data {
			got += e.Action
		}
		if got != want {
			t.Errorf("%s: entries %q, want %q", query, got, want)
		}
		exported := string(c.ask(t, "GET", "/v1/audit_entries/export?format=csv&"+query, "").want(t, 200).body)
		if n := strings.Count(exported, "\n") - 1; n != len(list.Data) {
			t.Errorf("%s: %d entries are exported, want %d", query, n, len(list.Data))
		}
	}
	for path, param := range map[string]string{
		"/v1/file_links?recipient=ann": "recipient", "/v1/audit_entries?recipient=*@bank.example": "recipient",
		"/v1/audit_entries?client_ip=localhost": "client_ip", "/v1/audit_entries?client_ip=10.0.0.0/8": "client_ip",
		"/v1/audit_entries/export?client_ip=x": "client_ip", "/v1/files/" + f.ID + "/links?recipient=a%0Ab@c.example": "recipient",
	} {
		if p := c.problem(t, c.ask(t, "GET", path, "").want(t, 400), sluice.CodeValidation); p.Param != param {
			t.Errorf("%s: param %q, want %q", path, p.Param, param)
		}
	}
}

// TestVerificationRequired: programs are told where a person proves an address, and get nothing else. A browser that has
// proved one keeps a visit for an hour or until the link ends, and sends it to this link only.
func TestVerificationRequired(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mint(t, f.ID, `{"recipient":{"email":"ann@bank.example"},"terms":"1.","expires_in_seconds":5400}`)
	for _, headers := range [][]string{
		{"Accept", "*/*"}, {"Accept", "*/*", "Range", "bytes=0-0"}, {"Accept", "*/*", "Cookie", "sluice_visit=e30.AAAA"},
		{"Accept", "*/*", "X-Link-Password", "12345678"}, {"Accept", "*/*", "Authorization", basic("ann", "12345678")},
		{"Accept", "*/*", "Authorization", "Bearer " + c.secret},
	} {
		for _, address := range []string{l.URL, l.URL + "/a.txt"} {
			a := c.as("").ask(t, "GET", address, "", headers...).want(t, 401)
			p := c.problem(t, a, sluice.CodeUnverified)
			if p.Reason != "verification_required" || p.VerifyURL != l.URL || a.header.Get("WWW-Authenticate") != "Verification" {
				t.Errorf("%v: %+v %v", headers, p, a.header)
			}
			c.as("").ask(t, "HEAD", address, "", headers...).want(t, 401)
		}
	}

	p := c.proving(t, l)
	p.send("step=send").want(t, 303)
	again := p.send("")
	if page := string(again.want(t, 200).body); !strings.Contains(page, `name="code"`) ||
		strings.Contains(page, "ann@bank.example") {
		t.Errorf("%s", page)
	}
	form := "step=verify&code=" + url.QueryEscape(p.code()[:4]+" "+p.code()[4:])
	p.send(form).want(t, 303)
	visit, path := p.cookies["sluice_visit"], strings.TrimPrefix(l.URL, c.URL)
	if visit == nil || visit.Path != path || !visit.HttpOnly || visit.SameSite != http.SameSiteStrictMode ||
		visit.Domain != "" || visit.MaxAge < 3590 || visit.MaxAge > 3600 {
		t.Fatalf("%+v", visit)
	}
	if used := p.cookies["sluice_challenge"]; used.MaxAge != -1 {
		t.Errorf("the browser keeps the challenge: %+v", used)
	}
	p.send("step=download").want(t, 403) // the terms
	if a := p.send("step=download&terms=accepted").want(t, 200); string(a.body) != "hello" {
		t.Errorf("%s", a.body)
	}
	entries := c.Entries(t, c.Ledger(sluice.Test))
	refused := false
	for _, e := range entries {
		refused = refused || e.Action == sluice.LinkRefused && e.Refusal == sluice.TermsNotAccepted
	}
	if !refused {
		t.Error("no entry says that the terms were not accepted")
	}

	c.Clock.Advance(time.Hour + time.Second)
	p.send("step=download&terms=accepted").want(t, 401)
	p.send("step=send").want(t, 303)
	p.send("step=verify&code="+p.code()).want(t, 303)
	if left := 1800 - 1; p.cookies["sluice_visit"].MaxAge < left-10 || p.cookies["sluice_visit"].MaxAge > left+1 {
		t.Errorf("with %d seconds left of the link: %+v", left, p.cookies["sluice_visit"])
	}
	other := c.proving(t, c.mint(t, f.ID, `{"recipient":{"email":"ann@bank.example"}}`))
	other.cookies = p.cookies
	other.send("step=download").want(t, 401)
	if strings.Contains(c.Log.String(), "ann@bank.example") {
		t.Error("the log of the server names a person")
	}
}
