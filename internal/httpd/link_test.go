package httpd_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// TestNewLinkMembers checks each member of a new link.
func TestNewLinkMembers(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	now := c.Clock.Now().Unix()
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"10.0.0.0/8",`, n), ",") }
	people := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"ann%d@bank.example"`, i))
		}
		return strings.Join(list, ",")
	}
	for _, test := range []struct {
		name, body   string
		param, field string // of a refusal
		check        func(l api.Link) bool
	}{
		{"body optional: default 3600", ``, "", "", func(l api.Link) bool { return *l.ExpiresAt == now+3600 }},
		{"expires_in_seconds, max 86400", `{"expires_in_seconds":86400}`, "", "",
			func(l api.Link) bool { return *l.ExpiresAt == now+86400 }},
		{"or expires_at", fmt.Sprintf(`{"expires_at":%d}`, now+61), "", "",
			func(l api.Link) bool { return *l.ExpiresAt == now+61 }},
		{"null is as if left out",
			`{"expires_in_seconds":null,"expires_at":null,"max_downloads":null,"password":null,"allowed_ips":null}`, "", "",
			func(l api.Link) bool { return *l.ExpiresAt == now+3600 && !l.HasPassword }},
		{"reason up to 500 characters", `{"reason":"` + strings.Repeat("ü", 500) + `"}`, "", "",
			func(l api.Link) bool { return len(*l.Reason) == 1000 }},
		{"max_downloads", `{"max_downloads":1000000000}`, "", "",
			func(l api.Link) bool { return *l.MaxDownloads == 1_000_000_000 }},
		{"max_downloads beyond", `{"max_downloads":1000000001}`, "max_downloads", "out_of_range", nil},
		{"max_downloads of 0", `{"max_downloads":0}`, "max_downloads", "out_of_range", nil},
		{"max_downloads of text", `{"max_downloads":"1"}`, "max_downloads", "invalid", nil},
		{"password", `{"password":"password"}`, "", "", func(l api.Link) bool { return l.HasPassword }},
		{"password of 200 characters", `{"password":"` + strings.Repeat("ü", 200) + `"}`, "", "",
			func(l api.Link) bool { return l.HasPassword }},
		{"password of 201", `{"password":"` + strings.Repeat("x", 201) + `"}`, "password", "too_long", nil},
		{"password of 7", `{"password":"abcdefg"}`, "password", "out_of_range", nil},
		{"an empty password protects nothing", `{"password":""}`, "password", "out_of_range", nil},
		{"allowed_ips (CIDR)", `{"allowed_ips":["192.0.2.0/24","2001:db8::/32","::ffff:10.0.0.0/104","203.0.113.9"]}`, "",
			"", func(l api.Link) bool {
				return slices.Equal(l.AllowedIPs, []string{"192.0.2.0/24", "2001:db8::/32", "10.0.0.0/8", "203.0.113.9/32"})
			}},
		{"100 networks", `{"allowed_ips":[` + many(100) + `]}`, "", "",
			func(l api.Link) bool { return len(l.AllowedIPs) == 100 }},
		{"101 networks", `{"allowed_ips":[` + many(101) + `]}`, "allowed_ips", "too_many", nil},
		{"a name as network", `{"allowed_ips":["10.0.0.0/8","localhost"]}`, "allowed_ips.1", "invalid", nil},
		{"an address with a zone", `{"allowed_ips":["fe80::1%eth0"]}`, "allowed_ips.0", "invalid", nil},
		{"bits beyond the length", `{"allowed_ips":["10.0.0.1/8"]}`, "allowed_ips.0", "invalid", nil},
		{"disposition attachment", `{"disposition":"attachment"}`, "", "",
			func(l api.Link) bool { return l.Disposition == "attachment" }},
		{"disposition inline", `{"disposition":"inline"}`, "", "",
			func(l api.Link) bool { return l.Disposition == "inline" }},
		{"disposition of another kind", `{"disposition":"form-data"}`, "disposition", "invalid", nil},
		{"filename", `{"filename":"b.txt"}`, "", "", func(l api.Link) bool { return *l.Filename == "b.txt" }},
		{"filename that is a path", `{"filename":"../x/b.txt"}`, "", "",
			func(l api.Link) bool { return *l.Filename == "b.txt" }},
		{"recipient", `{"recipient":{"email":"Ann@Bücher.example","name":"Ann"}}`, "", "", func(l api.Link) bool {
			return *l.Recipient == api.Recipient{Email: "ann@xn--bcher-kva.example", Name: "Ann"} && l.Verification == "email"
		}},
		{"recipient without a name", `{"recipient":{"email":"ann@bank.example"}}`, "", "",
			func(l api.Link) bool { return l.Recipient.Name == "" }},
		{"recipient who proves nothing", `{"recipient":{"email":"ann@bank.example"},"verification":"none"}`, "", "",
			func(l api.Link) bool { return l.Verification == "none" }},
		{"recipient without an address", `{"recipient":{"email":""}}`, "recipient.email", "required", nil},
		{"recipient with no address", `{"recipient":{"email":"Ann <ann@bank.example>"}}`, "recipient.email", "invalid", nil},
		{"recipient with a header", `{"recipient":{"email":"ann@bank.example\r\nBcc: eve@evil.example"}}`,
			"recipient.email", "invalid", nil},
		{"recipient's name with a line feed", `{"recipient":{"email":"ann@bank.example","name":"Ann\nBcc: x"}}`,
			"recipient.name", "invalid", nil},
		{"recipient's name that turns", `{"recipient":{"email":"ann@bank.example","name":"Ann\u202e"}}`,
			"recipient.name", "invalid", nil},
		{"recipient's name of 201", `{"recipient":{"email":"ann@bank.example","name":"` + strings.Repeat("ü", 201) + `"}}`,
			"recipient.name", "too_long", nil},
		{"allowed_recipients", `{"allowed_recipients":["Ann@bank.example","*@BANK.example","ann@bank.example"]}`, "", "",
			func(l api.Link) bool {
				return slices.Equal(l.AllowedRecipients, []string{"ann@bank.example", "*@bank.example"}) &&
					l.Verification == "email"
			}},
		{"20 allowed_recipients", `{"allowed_recipients":[` + people(20) + `]}`, "", "",
			func(l api.Link) bool { return len(l.AllowedRecipients) == 20 }},
		{"21 allowed_recipients", `{"allowed_recipients":[` + people(21) + `]}`, "allowed_recipients", "too_many", nil},
		{"allowed_recipients that is none", `{"allowed_recipients":["*@bank.example","*"]}`, "allowed_recipients.1",
			"invalid", nil},
		{"allowed_recipients that prove nothing", `{"allowed_recipients":["*@bank.example"],"verification":"none"}`,
			"verification", "invalid", nil},
		{"verification alone", `{"verification":"email"}`, "", "",
			func(l api.Link) bool { return l.Verification == "email" && l.Recipient == nil }},
		{"verification of another kind", `{"verification":"sms"}`, "verification", "invalid", nil},
		{"send", `{"send":true,"recipient":{"email":"ann@bank.example"}}`, "", "",
			func(l api.Link) bool { return l.Recipient != nil }},
		{"send to nobody", `{"send":true}`, "send", "invalid", nil},
		{"message", `{"message":"` + strings.Repeat("ü", 2000) + `"}`, "", "",
			func(l api.Link) bool { return len(*l.Message) == 4000 }},
		{"message of 2001", `{"message":"` + strings.Repeat("ü", 2001) + `"}`, "message", "too_long", nil},
		{"terms", `{"terms":"` + strings.Repeat("ü", 5000) + `"}`, "", "",
			func(l api.Link) bool { return len(*l.Terms) == 10000 }},
		{"terms of 5001", `{"terms":"` + strings.Repeat("ü", 5001) + `"}`, "terms", "too_long", nil},
		{"notify", `{"notify":{"email":"Carl@northwind.example","on":["unopened","refused","refused"]}}`, "", "",
			func(l api.Link) bool {
				return l.Notify.Email == "carl@northwind.example" && slices.Equal(l.Notify.On, []string{"refused", "unopened"})
			}},
		{"notify on nothing", `{"notify":{"email":"carl@northwind.example","on":[]}}`, "notify.on", "required", nil},
		{"notify nobody", `{"notify":{"email":"","on":["refused"]}}`, "notify.email", "required", nil},
		{"notify on something else", `{"notify":{"email":"carl@northwind.example","on":["opened"]}}`, "notify.on.0",
			"invalid", nil},
		{"page", `{"page":"always"}`, "", "", func(l api.Link) bool { return l.Page == "always" }},
		{"page of another kind", `{"page":"sometimes"}`, "page", "invalid", nil},
		{"page never", `{"page":"never","max_downloads":1}`, "", "", func(l api.Link) bool { return l.Page == "never" }},
		{"page never, and a password", `{"page":"never","password":"password"}`, "page", "invalid", nil},
		{"page never, and terms", `{"page":"never","terms":"x"}`, "page", "invalid", nil},
		{"page never, and verification", `{"page":"never","recipient":{"email":"a@bank.example"}}`, "page", "invalid", nil},
		{"language", `{"language":"ja"}`, "", "", func(l api.Link) bool { return *l.Language == "ja" }},
		{"language that is none", `{"language":"tlh"}`, "language", "invalid", nil},
		{"nothing asked", ``, "", "", func(l api.Link) bool {
			return l.Recipient == nil && l.Verification == "none" && l.Page == "auto" && l.Notify == nil
		}},
		{"filename of 256 characters", `{"filename":"` + strings.Repeat("x", 256) + `"}`, "filename", "too_long", nil},
	} {
		for _, path := range []string{"/v1/files/" + f.ID + "/links", "/v1/file_links", "/v1/file_links/batch"} {
			t.Run(path[len("/v1/"):]+": "+test.name, func(t *testing.T) {
				body := test.body
				switch path {
				case "/v1/file_links":
					body = `{"file_id":"` + f.ID + `",` + strings.TrimPrefix(cond(body == "", "{}", body), "{")
				case "/v1/file_links/batch":
					body = `{"file_ids":["` + f.ID + `"],` + strings.TrimPrefix(cond(body == "", "{}", body), "{")
				}
				body = strings.Replace(body, ",}", "}", 1)
				before := c.state(t)
				a := c.ask(t, "POST", path, body)
				if test.check == nil {
					p := c.problem(t, a.want(t, 400), sluice.CodeValidation)
					if p.Param != test.param || p.Errors[0].Code != test.field {
						t.Errorf("%+v", p)
					}
					c.unchanged(t, before, 0)
					return
				}
				var l api.Link
				if strings.HasSuffix(path, "batch") {
					l = read[api.LinkBatch](t, a.want(t, 200)).Data[0]
				} else {
					l = read[api.Link](t, a.want(t, 200))
				}
				if !test.check(l) {
					t.Errorf("%s", a.body)
				}
			})
		}
	}
}

func cond[T any](is bool, a, b T) T {
	if is {
		return a
	}
	return b
}

// TestLinkChange checks each member of a change of a link.
func TestLinkChange(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	now := c.Clock.Now().Unix()
	for _, test := range []struct {
		name, body string
		check      func(l api.Link) bool
	}{
		{"expires_in_seconds", `{"expires_in_seconds":7200}`, func(l api.Link) bool { return *l.ExpiresAt == now+7200 }},
		{"expires_at", fmt.Sprintf(`{"expires_at":%d}`, now+61), func(l api.Link) bool { return *l.ExpiresAt == now+61 }},
		{"reason", `{"reason":"other"}`, func(l api.Link) bool { return *l.Reason == "other" }},
		{"reason null removes it", `{"reason":null}`, func(l api.Link) bool { return l.Reason == nil }},
		{"reason empty removes it", `{"reason":""}`, func(l api.Link) bool { return l.Reason == nil }},
		{"metadata merge; null or \"\" removes a key", `{"metadata":{"a":null,"b":"","d":"4"}}`, func(l api.Link) bool {
			return len(l.Metadata) == 2 && l.Metadata["c"] == "3" && l.Metadata["d"] == "4"
		}},
		{"max_downloads", `{"max_downloads":9}`, func(l api.Link) bool { return *l.MaxDownloads == 9 }},
		{"max_downloads null lifts the limit", `{"max_downloads":null}`,
			func(l api.Link) bool { return l.MaxDownloads == nil }},
		{"allowed_ips", `{"allowed_ips":["10.0.0.1"]}`,
			func(l api.Link) bool { return slices.Equal(l.AllowedIPs, []string{"10.0.0.1/32"}) }},
		{"allowed_ips empty is any", `{"allowed_ips":[]}`, func(l api.Link) bool { return len(l.AllowedIPs) == 0 }},
		{"allowed_recipients", `{"allowed_recipients":["BOB@bank.example"]}`,
			func(l api.Link) bool { return slices.Equal(l.AllowedRecipients, []string{"bob@bank.example"}) }},
		{"message", `{"message":"Dear Bob"}`, func(l api.Link) bool { return *l.Message == "Dear Bob" }},
		{"message null removes it", `{"message":null}`, func(l api.Link) bool { return l.Message == nil }},
		{"terms", `{"terms":"2."}`, func(l api.Link) bool { return *l.Terms == "2." }},
		{"terms null removes them", `{"terms":null}`, func(l api.Link) bool { return l.Terms == nil }},
		{"notify", `{"notify":{"email":"dora@northwind.example","on":["refused"]}}`,
			func(l api.Link) bool { return l.Notify.Email == "dora@northwind.example" && len(l.Notify.On) == 1 }},
		{"notify null is nobody", `{"notify":null}`, func(l api.Link) bool { return l.Notify == nil }},
		{"page", `{"page":"auto"}`, func(l api.Link) bool { return l.Page == "auto" }},
		{"language", `{"language":"fr"}`, func(l api.Link) bool { return *l.Language == "fr" }},
		{"language null is the reader's", `{"language":null}`, func(l api.Link) bool { return l.Language == nil }},
		{"nothing", `{}`, func(l api.Link) bool {
			if l.Recipient.Email != "ann@bank.example" || *l.Message != "Dear Ann" || *l.Terms != "1." ||
				l.Notify.Email != "carl@northwind.example" || l.Page != "always" || *l.Language != "de" {
				return false
			}
			return *l.Reason == "case" && *l.MaxDownloads == 3 && len(l.Metadata) == 3 && len(l.AllowedIPs) == 1 &&
				*l.ExpiresAt == now+3600
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := c.mint(t, f.ID, `{"reason":"case","metadata":{"a":"1","b":"2","c":"3"},"max_downloads":3,"allowed_ips":["127.0.0.0/8"],
				"recipient":{"email":"ann@bank.example"},"message":"Dear Ann","terms":"1.","page":"always","language":"de",
				"notify":{"email":"carl@northwind.example","on":["unopened"]}}`)
			got := read[api.Link](t, c.ask(t, "PATCH", "/v1/file_links/"+l.ID, test.body).want(t, 200))
			if !test.check(got) || got.URL != l.URL { // the URL stays the same
				t.Errorf("%+v", got)
			}
			if again := read[api.Link](t, c.ask(t, "GET", "/v1/file_links/"+l.ID, "")); fmt.Sprint(again.Metadata,
				*again.ExpiresAt) != fmt.Sprint(got.Metadata, *got.ExpiresAt) {
				t.Errorf("%+v", again)
			}
		})
	}
	l := c.mint(t, f.ID, "")
	for _, body := range []string{`{"max_downloads":0}`, `{"allowed_ips":["x"]}`, `{"allowed_ips":[1]}`,
		`{"expires_at":null}`, `{"expires_at":1,"expires_in_seconds":60}`, `{"expires_at":null,"expires_in_seconds":60}`,
		`{"expires_in_seconds":"none"}`, `{"password":"other"}`, `{"disposition":"inline"}`,
		`{"recipient":{"email":"bob@bank.example"}}`, `{"verification":"email"}`, `{"send":true}`,
		`{"allowed_recipients":["bob@bank.example"]}`, `{"page":"sometimes"}`, `{"language":"tlh"}`,
		`{"terms":"x","page":"never"}`, `{"notify":{"email":"x","on":["refused"]}}`,
		`{"message":"` + strings.Repeat("x", 2001) + `"}`} {
		c.problem(t, c.ask(t, "PATCH", "/v1/file_links/"+l.ID, body).want(t, 400), sluice.CodeValidation)
	}
	_, endless := c.NewKeyAs(t, c.Ledger(sluice.Test), service.NewKey{Name: "endless", MaxLinkLifetime: sluice.Forever})
	p := c.problem(t, c.as(endless).ask(t, "PATCH", "/v1/file_links/"+l.ID,
		`{"expires_at":null,"expires_in_seconds":60}`).want(t, 400), sluice.CodeValidation)
	if p.Param != "expires_at" {
		t.Errorf("%+v", p)
	}
	t.Run("24 h counts from the moment of minting, and PATCH cannot pass it", func(t *testing.T) {
		c.Clock.Advance(30 * time.Minute)
		path := "/v1/file_links/" + l.ID
		c.ask(t, "PATCH", path, `{"expires_in_seconds":84600}`).want(t, 200)
		c.problem(t, c.ask(t, "PATCH", path, `{"expires_in_seconds":84601}`).want(t, 400), sluice.CodeValidation)
		c.problem(t, c.ask(t, "PATCH", path, fmt.Sprintf(`{"expires_at":%d}`, l.Created+86401)).want(t, 400),
			sluice.CodeValidation)
	})
}

func TestBatch(t *testing.T) {
	c := newClient(t)
	a, b := c.upload(t, "a.txt", "text/plain", "a"), c.upload(t, "b.txt", "text/plain", "b")
	gone := c.upload(t, "c.txt", "text/plain", "c")
	c.ask(t, "DELETE", "/v1/files/"+gone.ID, "").want(t, 200)
	imported := read[api.File](t, c.post(t, fileOf("import", "a.txt", "text/plain", "hello")).want(t, 201))
	const never = "file_01kjvktdcjb8swve6173hgcvk1"

	t.Run("one link each, absent lists ids that do not exist", func(t *testing.T) {
		got := read[api.LinkBatch](t,
			c.ask(t, "POST", "/v1/file_links/batch",
				fmt.Sprintf(`{"file_ids":[%q,%q,%q,%q,"x",%q],"reason":"statement","expires_in_seconds":60}`, b.ID, never, a.ID,
					gone.ID, b.ID)).want(t, 200))
		if got.Object != "file_link_batch" || len(got.Data) != 3 || !slices.Equal(got.Absent, []string{never, gone.ID, "x"}) {
			t.Fatalf("%+v", got)
		}
		for i, want := range []string{b.ID, a.ID, b.ID} {
			l := got.Data[i]
			if l.FileID != want || *l.Reason != "statement" || *l.ExpiresAt != l.Created+60 {
				t.Errorf("%+v", l)
			}
			c.get(t, l.URL).want(t, 200)
		}
		if got.Data[0].ID == got.Data[2].ID {
			t.Error("an id that stands twice got one link")
		}
	})
	t.Run("none exists", func(t *testing.T) {
		a := c.ask(t, "POST", "/v1/file_links/batch", `{"file_ids":["`+never+`"]}`).want(t, 200)
		if got := read[api.LinkBatch](t, a); len(got.Data) != 0 || len(got.Absent) != 1 ||
			!strings.Contains(string(a.body), `"data":[]`) {
			t.Errorf("%s", a.body)
		}
	})
	ids := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"`+a.ID+`",`, n), ",") }
	t.Run("up to 100 file_ids", func(t *testing.T) {
		got := read[api.LinkBatch](t, c.ask(t, "POST", "/v1/file_links/batch", `{"file_ids":[`+ids(100)+`]}`).want(t, 200))
		if len(got.Data) != 100 {
			t.Errorf("%d links", len(got.Data))
		}
	})
	t.Run("a link of one's own for each of the recipients", func(t *testing.T) {
		got := read[api.LinkBatch](t, c.ask(t, "POST", "/v1/file_links/batch", fmt.Sprintf(`{"file_ids":[%q,%q,%q],
			"recipients":[{"email":"Ann@bank.example","name":"Ann"},{"email":"bob@bank.example"}],"terms":"1."}`,
			a.ID, never, b.ID)).want(t, 200))
		var made []string
		for _, l := range got.Data {
			if *l.Terms != "1." || l.Verification != "email" {
				t.Errorf("%+v", l)
			}
			made = append(made, l.FileID+" "+l.Recipient.Email+" "+l.Recipient.Name)
		}
		if !slices.Equal(made, []string{
			a.ID + " ann@bank.example Ann", a.ID + " bob@bank.example ",
			b.ID + " ann@bank.example Ann", b.ID + " bob@bank.example ",
		}) || len(got.Absent) != 1 {
			t.Errorf("%q, absent %q", made, got.Absent)
		}
	})
	recipients := func(n int) string {
		return strings.TrimSuffix(strings.Repeat(`{"email":"ann@bank.example"},`, n), ",")
	}
	t.Run("up to 100 recipients", func(t *testing.T) {
		got := read[api.LinkBatch](t, c.ask(t, "POST", "/v1/file_links/batch",
			`{"file_ids":[`+ids(1)+`],"recipients":[`+recipients(100)+`]}`).want(t, 200))
		if len(got.Data) != 100 {
			t.Errorf("%d links", len(got.Data))
		}
	})
	before := c.state(t)
	for name, body := range map[string]string{
		"101 recipients":            `{"file_ids":[` + ids(1) + `],"recipients":[` + recipients(101) + `]}`,
		"102 links":                 `{"file_ids":[` + ids(2) + `],"recipients":[` + recipients(51) + `]}`,
		"recipient beside others":   `{"file_ids":[` + ids(1) + `],"recipient":{"email":"a@b.example"},"recipients":[` + recipients(1) + `]}`,
		"a recipient of no address": `{"file_ids":[` + ids(1) + `],"recipients":[` + recipients(1) + `,{"email":"x"}]}`,
		"an empty recipient":        `{"file_ids":[` + ids(1) + `],"recipients":[{"email":""}]}`,
		"101":                       `{"file_ids":[` + ids(101) + `]}`, "0": `{"file_ids":[]}`, "null": `{"file_ids":null}`, "left out": `{}`,
		"numbers": `{"file_ids":[1]}`, "file_id": `{"file_id":"x"}`,
		"two lifetimes": `{"file_ids":["x"],"expires_in_seconds":1,"expires_at":1999999999}`,
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			c.problem(t, c.ask(t, "POST", "/v1/file_links/batch", body).want(t, 400), sluice.CodeValidation)
		})
	}
	t.Run("all or none", func(t *testing.T) {
		c.problem(t, c.ask(t, "POST", "/v1/file_links/batch", fmt.Sprintf(`{"file_ids":[%q,%q]}`, a.ID, imported.ID)).want(t,
			403), sluice.CodeForbidden)
	})
	c.unchanged(t, before, 0)
}

// TestPassword redeems a link with a password.
func TestPassword(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mint(t, f.ID, `{"password":"pass: wörd"}`)
	for name, headers := range map[string][]string{
		"X-Link-Password":                    {"X-Link-Password", "pass: wörd"},
		"Basic auth, no user":                {"Authorization", basic("", "pass: wörd")},
		"Basic auth, any user":               {"Authorization", basic("anyone", "pass: wörd")},
		"X-Link-Password stands before it":   {"X-Link-Password", "pass: wörd", "Authorization", basic("x", "wrong")},
		"Basic auth with another's password": {"Authorization", basic("wrong", "pass: wörd")},
	} {
		t.Run(name, func(t *testing.T) {
			if a := c.get(t, l.URL, headers...).want(t, 200); string(a.body) != "hello" {
				t.Errorf("%s", a.body)
			}
		})
	}
	for name, headers := range map[string][]string{
		"none": nil, "wrong": {"X-Link-Password", "pass"}, "as a user": {"Authorization", basic("pass: wörd", "")},
		"a key": {"Authorization", "Bearer " + c.secret},
	} {
		t.Run("403: "+name, func(t *testing.T) {
			a := c.get(t, l.URL, headers...).want(t, 403)
			if p := c.problem(t, a, sluice.CodeForbidden); p.Reason != "wrong_password" {
				t.Errorf("%+v", p)
			}
			if got := a.header.Get("Content-Security-Policy"); got == "" || a.header.Get("ETag") != "" {
				t.Errorf("%v", a.header)
			}
			status, says := 403, "Wrong password. Try again."
			if name == "none" || name == "a key" {
				status, says = 200, "<button>"
			}
			page := c.get(t, l.URL, append(headers, "Accept", "text/html")...).want(t, status)
			page.guarded(t)
			if !strings.Contains(string(page.body), says) {
				t.Errorf("%s", page.body)
			}
		})
	}
	t.Run("wrong passwords are limited per address", func(t *testing.T) {
		for i := 0; ; i++ {
			a := c.get(t, l.URL, "X-Link-Password", "guess")
			if a.status == 429 {
				c.problem(t, a, sluice.CodeRateLimited)
				if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 1 || wait > 600 {
					t.Errorf("%v", a.header)
				}
				break
			}
			a.want(t, 403)
			if i > 20 {
				t.Fatal("guesses without end")
			}
		}
		page := c.get(t, l.URL, "X-Link-Password", "guess", "Accept", "text/html").want(t, 429)
		if !strings.Contains(string(page.body), "too many wrong passwords") {
			t.Errorf("%s", page.body)
		}
		c.Clock.Advance(10 * time.Minute)
		c.get(t, l.URL, "X-Link-Password", "pass: wörd").want(t, 200)
	})
	if strings.Contains(c.Log.String(), "wörd") {
		t.Error("the log holds a password")
	}
	t.Run("HEAD is recorded and does not count", func(t *testing.T) {
		l := c.mint(t, f.ID, `{"max_downloads":1}`)
		c.as("").ask(t, "HEAD", l.URL, "").want(t, 200)
		c.get(t, l.URL).want(t, 200)
		c.get(t, l.URL).want(t, 200) // once more, of the same download
		a := c.get(t, l.URL).want(t, 410)
		if p := c.problem(t, a, sluice.CodeGone); p.Reason != "exhausted" {
			t.Errorf("%+v", p)
		}
		page := c.get(t, l.URL, "Accept", "text/html").want(t, 410)
		if !strings.Contains(string(page.body), "no downloads left") {
			t.Errorf("%s", page.body)
		}
	})
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// forwarded requests a URL as a proxy does, with each line of X-Forwarded-For as given.
func (c client) forwarded(t testing.TB, url string, lines ...string) answer {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["X-Forwarded-For"] = lines
	return c.as("").do(t, r)
}

// TestAllowedIPs redeems a link from addresses that proxies name.
func TestAllowedIPs(t *testing.T) {
	direct := newClient(t)
	proxied := func(networks ...string) client {
		s := sluicetest.NewServer(t, func(o *server.Options) {
			for _, n := range networks {
				o.TrustedProxies = append(o.TrustedProxies, netip.MustParsePrefix(n))
			}
		})
		return client{s, s.Secret}
	}
	loopback := proxied("127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48")
	mapped := proxied("::ffff:127.0.0.0/104")
	for _, test := range []struct {
		name, allowed string
		c             client
		forwarded     []string
		status        int
	}{
		{"the peer's own", "127.0.0.1", direct, nil, 200},
		{"not the peer's", "203.0.113.0/24", direct, nil, 403},
		{"no proxy is trusted: its word is nothing", "203.0.113.0/24", direct, []string{"203.0.113.9"}, 403},
		{"a trusted proxy is believed", "203.0.113.0/24", loopback, []string{"203.0.113.9"}, 200},
		{"and stands for no one else", "127.0.0.1", loopback, []string{"203.0.113.9"}, 403},
		{"a proxy trusted as mapped IPv6", "203.0.113.0/24", mapped, []string{"203.0.113.9"}, 200},
		{"the right-most that is not trusted", "203.0.113.0/24", loopback, []string{"198.51.100.7, 203.0.113.9"}, 200},
		{"what stands before it is hearsay", "198.51.100.0/24", loopback, []string{"198.51.100.7, 203.0.113.9"}, 403},
		{"trusted proxies in a row", "203.0.113.0/24", loopback,
			[]string{"198.51.100.7, 203.0.113.9, 10.1.2.3,2001:db8:1::1"}, 200},
		{"in lines of their own", "203.0.113.0/24", loopback, []string{"203.0.113.9", "10.1.2.3"}, 200},
		{"all trusted: the first of them", "10.1.0.0/16", loopback, []string{"10.1.2.3, 10.9.9.9"}, 200},
		{"none said", "127.0.0.1", loopback, nil, 200},
		{"with a port", "203.0.113.0/24", loopback, []string{"203.0.113.9:4711"}, 200},
		{"IPv6 with a port", "2001:db8:9::/48", loopback, []string{"[2001:db8:9::1]:4711"}, 200},
		{"IPv6 in brackets", "2001:db8:9::/48", loopback, []string{"[2001:db8:9::1]"}, 200},
		{"IPv4 mapped to IPv6", "203.0.113.0/24", loopback, []string{"::ffff:203.0.113.9"}, 200},
		{"what is no address ends the word", "203.0.113.0/24", loopback, []string{"203.0.113.9, unknown"}, 403},
		{"and leaves nobody", "10.0.0.0/8", loopback, []string{"203.0.113.9, unknown, 10.1.2.3"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := test.c
			f := c.upload(t, "a.txt", "text/plain", "hello")
			l := c.mint(t, f.ID, `{"allowed_ips":["`+test.allowed+`"]}`)
			a := c.forwarded(t, l.URL, test.forwarded...).want(t, test.status)
			if test.status == 403 {
				if p := c.problem(t, a, sluice.CodeForbidden); p.Reason != "address_not_allowed" {
					t.Errorf("%+v", p)
				}
			}
			entries := c.Entries(t, c.Ledger(sluice.Test))
			last := entries[len(entries)-1].Request
			if test.status == 200 { // what was delivered comes last
				last = entries[len(entries)-2].Request
			}
			if last.IP != "127.0.0.1" || last.ForwardedFor != strings.Join(test.forwarded, ", ") { // both are recorded
				t.Errorf("%+v", last)
			}
			decided, err := netip.ParseAddr(last.ClientIP)
			allowed := slices.ContainsFunc(l.AllowedIPs,
				func(text string) bool { return netip.MustParsePrefix(text).Contains(decided) })
			if unknown := strings.Contains(strings.Join(test.forwarded, ","), "unknown"); unknown {
				if last.ClientIP != "" {
					t.Errorf("the entry names %q, which nobody knows", last.ClientIP)
				}
			} else if err != nil || allowed != (test.status == 200) {
				t.Errorf("the entry says that %q was decided on, with status %d", last.ClientIP, test.status)
			}
		})
	}
	l := direct.mint(t, direct.upload(t, "a.txt", "text/plain", "hello").ID, `{"allowed_ips":["203.0.113.9"]}`)
	if page := direct.get(t, l.URL, "Accept", "text/html").want(t, 403); !strings.Contains(string(page.body),
		"may not be used from your network") {
		t.Errorf("%s", page.body)
	}
}

// TestAnswer sends the form of a page to addresses with something added, as mail programs do.
func TestAnswer(t *testing.T) {
	c := newClient(t)
	l := c.mint(t, c.upload(t, "a.txt", "text/plain", "hello").ID, `{"password":"secret horse"}`)
	answer := func(url, body string) answer {
		return c.as("").ask(t, "POST", url, body, "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html")
	}
	for _, end := range []string{"", "/a.txt", "?utm_source=mail", "?a;b", "?off=100%", "?password=other"} {
		if a := answer(l.URL+end, "password=secret+horse").want(t, 200); string(a.body) != "hello" {
			t.Errorf("%s: %s", end, a.body)
		}
	}
	if a := answer(l.URL+"?password=secret+horse", "password=").want(t, 403); !strings.Contains(string(a.body),
		"a.txt") || !strings.Contains(string(a.body), "5 bytes") {
		t.Errorf("the page that asks again does not say for what: %s", a.body)
	}
	answer(l.URL, "password=%").want(t, 400)
	answer(l.URL, "password="+strings.Repeat("x", 9<<10)).want(t, 413)
}

// TestDisposition checks that only types without scripts are shown inline.
func TestDisposition(t *testing.T) {
	c := newClient(t)
	for mediaType, shown := range map[string]bool{
		"text/plain": true, "text/plain; charset=utf-8": true, "image/png": true, "image/jpeg": true, "image/gif": true,
		"image/webp": true, "image/bmp": true,
		"audio/wav": true, "audio/ogg": true, "video/mp4": true, "video/webm": true,
		"image/svg+xml": false, "text/html": false, "application/xhtml+xml": false,
		"text/xml": false, "application/octet-stream": false, "text/javascript": false, "text/csv": false,
	} {
		t.Run(strings.ReplaceAll(mediaType, "/", "|"), func(t *testing.T) {
			f := c.upload(t, "a.bin", mediaType, "hello")
			if !shown {
				a := c.ask(t, "POST", "/v1/files/"+f.ID+"/links", `{"disposition":"inline"}`).want(t, 400)
				p := read[api.Problem](t, a)
				if p.Code != string(sluice.CodeValidation) ||
					!strings.Contains(p.Detail, "inline is for text/plain, application/pdf, image/png,") || len(p.Errors) != 1 ||
					p.Errors[0].Param != "disposition" {
					t.Errorf("%s", a.body)
				}
			}
			for _, test := range []struct{ body, want string }{
				{`{"disposition":"inline"}`, cond(shown, "inline", "attachment") + `; filename="a.bin"; filename*=UTF-8''a.bin`},
				{`{"disposition":"attachment"}`, `attachment; filename="a.bin"; filename*=UTF-8''a.bin`},
				{``, `attachment; filename="a.bin"; filename*=UTF-8''a.bin`},
				{`{"disposition":"inline","filename":"Übersicht.txt"}`, cond(shown, "inline", "attachment") +
					`; filename="_bersicht.txt"; filename*=UTF-8''%C3%9Cbersicht.txt`},
			} {
				if !shown && strings.Contains(test.body, "inline") {
					continue
				}
				a := c.get(t, c.mint(t, f.ID, test.body).URL).want(t, 200)
				if got := a.header.Get("Content-Disposition"); got != test.want {
					t.Errorf("%s: %s, want %s", test.body, got, test.want)
				}
				policy := guards["Content-Security-Policy"]
				if played := strings.HasPrefix(mediaType, "audio/") || strings.HasPrefix(mediaType, "video/"); played &&
					strings.HasPrefix(test.want, "inline") {
					policy = "sandbox allow-same-origin; default-src 'none'; media-src 'self'; frame-ancestors 'none'"
				}
				if got := a.header.Get("Content-Security-Policy"); a.header.Get("X-Content-Type-Options") != "nosniff" ||
					got != policy {
					t.Errorf("%s: %v", test.body, a.header)
				}
			}
		})
	}
}

// TestInlinePDF mints links to PDFs, and to files that only claim to be one, in each way a link is minted. A link that
// is minted is shown inline, by the policy of every other file.
func TestInlinePDF(t *testing.T) {
	c := newClient(t)
	const inline = `{"disposition":"inline"}`
	for content, is := range map[string]bool{
		"%PDF-1.7\n...": true, "%PDF-": true, "%PDF": false, "": false, "\n%PDF-1.7": false, "<html>%PDF-": false,
	} {
		for _, mediaType := range []string{"application/pdf", "application/pdf; version=1.7"} {
			f := c.upload(t, "a.pdf", mediaType, content)
			other := c.upload(t, "a.txt", "text/plain", "hello")
			batch := `{"file_ids":["` + other.ID + `","` + f.ID + `"],"disposition":"inline"}`
			if !is {
				for _, a := range []answer{
					c.ask(t, "POST", "/v1/files/"+f.ID+"/links", inline), c.ask(t, "POST", "/v1/file_links/batch", batch),
				} {
					if p := c.problem(t, a.want(t, 400), sluice.CodeValidation); p.Param != "disposition" ||
						!strings.Contains(p.Detail, "its bytes do not begin with %PDF-") {
						t.Errorf("%q as %s: %s", content, mediaType, a.body)
					}
				}
				continue
			}
			c.ask(t, "POST", "/v1/file_links/batch", batch).want(t, 200)
			a := c.get(t, c.mint(t, f.ID, inline).URL).want(t, 200)
			a.guarded(t)
			if got := a.header.Get("Content-Disposition"); got != `inline; filename="a.pdf"; filename*=UTF-8''a.pdf` ||
				a.header.Get("Content-Type") != mediaType || string(a.body) != content {
				t.Errorf("%q as %s: %v", content, mediaType, a.header)
			}
		}
	}
	// A link that is minted with its file.
	for content, status := range map[string]int{"%PDF-2.0 and more": 201, "%PDF 2.0": 400} {
		c.ask(t, "PUT", "/v1/files?purpose=generic&filename=a.pdf&link%5Bdisposition%5D=inline", content,
			"Content-Type", "application/pdf").want(t, status)
	}
}

// TestImageOpensUnderItsName opens inline links to images. Only a browser that has just the token is led to the URL with
// the name, which a browser shows as the title. That decides nothing: no entry is made and no download counted.
func TestImageOpensUnderItsName(t *testing.T) {
	c := newClient(t)
	image := c.upload(t, "Grundriß 100%.png", "image/png", "pixels")
	text := c.upload(t, "a.txt", "text/plain", "pixels")
	const browser = "text/html,application/xhtml+xml,*/*;q=0.8"
	for _, test := range []struct {
		file, body, tail, accept string
		led                      bool
	}{
		{image.ID, `{"disposition":"inline"}`, "", browser, true},
		{image.ID, `{"disposition":"inline"}`, "?a=b", browser, true},
		{image.ID, `{"disposition":"inline"}`, "/", browser, true},
		{image.ID, `{"disposition":"inline"}`, "/another.png", browser, false},
		{image.ID, `{"disposition":"inline"}`, "", "*/*", false},
		{image.ID, `{"disposition":"inline"}`, "", "image/avif,image/webp,*/*;q=0.8", false},
		{image.ID, `{}`, "", browser, false},
		{text.ID, `{"disposition":"inline"}`, "", browser, false},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			l := c.mint(t, test.file, test.body)
			before := len(c.Entries(t, c.Ledger(sluice.Test)))
			a := c.as("").ask(t, method, l.URL+test.tail, "", "Accept", test.accept)
			a.guarded(t)
			made := len(c.Entries(t, c.Ledger(sluice.Test))) - before
			switch {
			case !test.led:
				if a.status != 200 || made == 0 {
					t.Errorf("%+v: %d, %d entries", test, a.status, made)
				}
			case a.status != 303 || made != 0 || len(a.body) != 0:
				t.Errorf("%+v: %d, %d entries, %q", test, a.status, made, a.body)
			default:
				from, err := url.Parse(l.URL + test.tail)
				if err != nil {
					t.Fatal(err)
				}
				to, err := from.Parse(a.header.Get("Location"))
				if err != nil || to.String() != l.URL+"/Grundri%C3%9F%20100%25.png" {
					t.Fatalf("%+v: leads to %s, %v", test, to, err)
				}
				c.as("").ask(t, method, to.String(), "", "Accept", test.accept).want(t, 200)
			}
		}
	}
	ended := c.mint(t, image.ID, `{"disposition":"inline","allowed_ips":["203.0.113.0/24"]}`)
	c.get(t, ended.URL, "Accept", browser).want(t, 403)
}

// TestPageSaysWhatIsLeft checks what a page says before a download is counted.
func TestPageSaysWhatIsLeft(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mint(t, f.ID, `{"max_downloads":3}`)
	until := time.Unix(*l.ExpiresAt, 0).UTC().Format("2 January 2006, 15:04 UTC")
	for _, left := range []string{"<dd>3 left</dd>", "<dd>2 left</dd>", "<dd>1 left</dd>", "no downloads left"} {
		page := string(c.get(t, l.URL, "Accept", "text/html", "User-Agent", "a browser").body)
		if left == "no downloads left" {
			if !strings.Contains(page, left) {
				t.Errorf("the page says %s", page)
			}
			break
		}
		if !strings.Contains(page, left) || !strings.Contains(page, ">"+until+"</time>") {
			t.Errorf("the page says %s, want %q and %q", page, left, until)
		}
		c.get(t, l.URL, "User-Agent", "program "+left[4:5]).want(t, 200)
	}
	for _, password := range []string{" eight characters", "eight characters ", "\u00a0eight characters"} {
		c.problem(t, c.ask(t, "POST", "/v1/files/"+f.ID+"/links", `{"password":"`+password+`"}`).want(t, 400),
			sluice.CodeValidation)
	}
}
