package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"sluice"
	"sluice/internal/server"
	"sluice/internal/signin"
	"sluice/sluicetest"
)

// TestBrowserSignsIn signs a person in at a real provider, without and with JavaScript: the policy of the pages lets
// the browser through, the cookies come back from the other site, and no other site can sign the person out.
func TestBrowserSignsIn(t *testing.T) {
	op := sluicetest.NewOIDC(t)
	op.SetPerson(t, "ann", "Ann", "ann@bank.example", map[string]any{"groups": []string{"audit"}})
	c := newClient(t, func(o *server.Options) {
		p, err := signin.New(signin.Config{
			Issuer: op.Issuer, ClientID: sluicetest.OIDCClient, ClientSecret: sluicetest.OIDCSecret,
			Rules: []signin.Rule{{Group: "audit", Role: sluice.Auditor}},
		})
		if err != nil {
			t.Fatal(err)
		}
		o.Console.Provider = p
	})
	tab := newChromium(t)
	tab.look(t, 1280, "light") // wide enough for the whole navigation
	evil := newBeacon(t)
	for _, script := range []bool{false, true} {
		tab.scripted(t, script)
		if !tab.open(t, c.URL+"/console/test/") {
			t.Fatal("no page")
		}
		tab.shot(t, "signin")
		in(t, tab, chromedp.Click(chromedp.CSS("main button")))
		tab.until(t, "location.href.startsWith('"+op.Issuer+"') && !!document.querySelector('#username')")
		in(t, tab, chromedp.SetValue(chromedp.CSS("#username"), "ann"))
		in(t, tab, chromedp.SetValue(chromedp.CSS("#password"), "verysecure"))
		in(t, tab, chromedp.Click(chromedp.CSS("button")))
		tab.until(t, "location.pathname == '/console/test/'")
		if text := ask[string](t, tab, bodyText); !strings.Contains(text, "Sign out") {
			t.Fatalf("the page after sign-in:\n%s", text)
		}
		if cookies := ask[string](t, tab, "document.cookie"); cookies != "" {
			t.Errorf("a script can read the cookies %q", cookies)
		}

		// A form of another site, in the browser of the person.
		form := `<form method="post" action="` + c.URL + `/console/signout"><button>win</button></form>`
		if !tab.open(t, strings.Replace(evil.page("/form", "text/html", form), "127.0.0.1", "localhost", 1)) {
			t.Fatal("no page of the other site")
		}
		in(t, tab, chromedp.Click(chromedp.CSS("button")))
		tab.until(t, "location.pathname == '/console/signout'")
		if !tab.open(t, c.URL+"/console/test/") || ask[string](t, tab, "location.pathname") != "/console/test/" {
			t.Error("another site signed the person out")
		}
		tab.open(t, c.URL+"/console/test/")
		in(t, tab, chromedp.Click(chromedp.CSS("form[action$='/signout'] button")))
		tab.until(t, "location.pathname == '/console/signin'")
		if !tab.open(t, c.URL+"/console/test/") || ask[string](t, tab, "location.pathname") != "/console/signin" {
			t.Error("the session goes on after sign-out")
		}
	}
}
