package browser

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"sluice"
	"sluice/api"
	"sluice/internal/gate"
	"sluice/internal/mail"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// newPostOffice starts a server that sends mails, and the mail server that takes them.
func newPostOffice(t *testing.T) (client, *sluicetest.Mailpit) {
	t.Helper()
	box := sluicetest.NewMailpit(t)
	c := newClient(t)
	server, err := mail.NewServer(box.URL(), "Northwind <files@northwind.example>")
	if err != nil {
		t.Fatal(err)
	}
	outbox := &mail.Outbox{
		Mails: c.Service.Mails, Store: c.Store, Writer: &mail.Writer{Server: server}, Log: slog.New(slog.DiscardHandler),
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		outbox.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return c, box
}

// mintFor mints a link by POST /v1/files/{id}/links.
func (c client) mintFor(t *testing.T, file, body string) (l api.Link) {
	t.Helper()
	a := c.ask(t, "POST", "/v1/files/"+file+"/links", body)
	if a.status != http.StatusOK {
		t.Fatalf("minting answers %d %s", a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

var codeIn = regexp.MustCompile(`\b\d{4} \d{4}\b`)

// TestPersonProvesAndDownloads is the whole walk: a link is minted for a recipient and mailed to them, they open it in a
// browser without script, ask for a code, read it in their mailbox, accept the terms and save the file. The log names
// them. Then another browser opens the same link.
func TestPersonProvesAndDownloads(t *testing.T) {
	c, box := newPostOffice(t)
	tab := newChromium(t)
	tab.scripted(t, false)
	f := c.upload(t, "report.csv", "text/csv", "a,b\n1,2\n")
	l := c.mintFor(t, f.ID, `{"recipient":{"email":"Ann.Lee@Bank.example","name":"Ann Lee"},"send":true,
		"message":"The figures, as promised.","terms":"For your eyes only.","max_downloads":2}`)
	if sent := box.Await(t, 1); !strings.Contains(sent[0].Text, l.URL) {
		t.Fatalf("the mail does not have the link:\n%s", sent[0].Text)
	}
	if !tab.open(t, l.URL) {
		t.Fatal("no page")
	}
	if text := ask[string](t, tab, bodyText); !strings.Contains(text, "a••@bank.example") ||
		!strings.Contains(text, "The figures, as promised.") || strings.Contains(text, "Ann") || strings.Contains(text, "ann.lee") {
		t.Fatalf("the page says\n%s", text)
	}
	tab.press(t)
	tab.until(t, `document.querySelector("#code") != null`)
	code := ""
	for _, m := range box.Await(t, 2) {
		if found := codeIn.FindString(m.Header.Get("Subject")); found != "" {
			code = found
		}
	}
	if code == "" {
		t.Fatal("no mail has a code in its subject")
	}
	in(t, tab, chromedp.SendKeys(chromedp.CSS("#code"), "0000 0000"))
	tab.press(t)
	tab.until(t, `document.querySelector(".wrong") != null`)
	in(t, tab, chromedp.SendKeys(chromedp.CSS("#code"), " "+code+" "))
	tab.press(t)
	tab.until(t, `document.querySelector("#terms") != null`)
	in(t, tab, chromedp.Click(chromedp.CSS("#terms")))
	tab.press(t)
	if name, got := tab.saved(t, l.URL); name != "report.csv" || got != "a,b\n1,2\n" {
		t.Errorf("saved %q: %q", name, got)
	}
	var actions []string
	for _, e := range c.Entries(t, c.Ledger(sluice.Test)) {
		if e.Link == nil || e.Link.ID != l.ID {
			continue
		}
		actions = append(actions, strings.TrimSpace(string(e.Action)+" "+string(e.Refusal)))
		if e.Action == sluice.LinkRedeemed && (e.Recipient == nil || e.Recipient.Email != "ann.lee@bank.example" ||
			e.Recipient.Name != "Ann Lee" || e.Recipient.Verification == "" || e.AcceptedTerms == "") {
			t.Errorf("the redemption does not say who: %+v", e.Recipient)
		}
	}
	want := []string{"link.created", "link.sent", "link.code_sent", "link.refused wrong_code", "link.verified", "link.redeemed"}
	if !slices.Equal(actions, want) {
		t.Errorf("the log says %v, want %v", actions, want)
	}

	second := newChromium(t)
	if !second.open(t, l.URL) || !strings.Contains(ask[string](t, second, bodyText), "a••@bank.example") {
		t.Error("another browser is not asked to prove the address")
	}
}

// TestEveryStepWithoutScript takes every step of a link's page in a browser without script: a wrong password, a wrong
// code, another code, the terms, and clicks after the download. The page says what is left, and that the file was
// downloaded; a second click spends no other download until the person says so.
func TestEveryStepWithoutScript(t *testing.T) {
	c, box := newPostOffice(t)
	tab := newChromium(t)
	tab.scripted(t, false)
	f := c.upload(t, "report.csv", "text/csv", "a,b\n1,2\n")
	l := c.mintFor(t, f.ID, `{"allowed_recipients":["*@bank.example"],"password":"secret horse","terms":"For you.","max_downloads":2}`)
	says := func(wants ...string) {
		t.Helper()
		text := ask[string](t, tab, bodyText)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("the page does not say %q:\n%s", want, text)
			}
		}
	}
	fill := func(fields ...string) {
		t.Helper()
		for i := 0; i < len(fields); i += 2 {
			in(t, tab, chromedp.SendKeys(chromedp.CSS("#"+fields[i]), fields[i+1]))
		}
		tab.press(t)
	}
	codes := 0
	code := func() string {
		t.Helper()
		codes++
		mails := box.Await(t, codes)
		return codeIn.FindString(mails[len(mails)-1].Header.Get("Subject"))
	}
	downloaded := func(want int64) {
		t.Helper()
		if name, got := tab.saved(t, l.URL); name != "report.csv" || got != "a,b\n1,2\n" {
			t.Errorf("saved %q: %q", name, got)
		}
		if n := c.downloads(t, l.ID); n != want {
			t.Errorf("%d downloads are counted, want %d", n, want)
		}
	}

	if !tab.open(t, l.URL) {
		t.Fatal("no page")
	}
	says("report.csv", "8 bytes", "Available until", "2 left", "E-mail address", "Password")
	fill("password", "secret mouse", "email", "ann@bank.example")
	tab.until(t, `document.querySelector(".wrong") != null`)
	says("Wrong password. Try again.")
	fill("password", "secret horse", "email", "ann@bank.example")
	tab.until(t, `document.querySelector("#code") != null`)
	old := code()
	fill("code", "0000 0000")
	tab.until(t, `document.querySelector(".wrong") != null`)
	says("This code is wrong or no longer valid.")
	in(t, tab, chromedp.Click(chromedp.CSS(`a[href="?step=address"]`)))
	tab.until(t, `document.querySelector("#email") != null`)
	fill("password", "secret horse", "email", "ann@bank.example")
	tab.until(t, `document.querySelector("#code") != null`)
	code2 := code()
	fill("code", old)
	tab.until(t, `document.querySelector(".wrong") != null`)
	fill("code", code2)
	tab.until(t, `document.querySelector("#terms") != null`)
	says("For you.", "2 left")
	if ask[bool](t, tab, `document.querySelector("#password") != null`) {
		t.Error("the password is asked for again")
	}
	in(t, tab, chromedp.Click(chromedp.CSS("#terms")))
	tab.press(t)
	downloaded(1)
	tab.press(t) // the same page still
	downloaded(1)
	c.Clock.Advance(gate.GrantLasts)
	tab.press(t)
	tab.until(t, `document.querySelector("[name=again]") != null`)
	says("You downloaded this file on", "Downloading it again uses up another download.", "1 left")
	if n := c.downloads(t, l.ID); n != 1 {
		t.Errorf("a second click has spent a download: %d", n)
	}
	tab.press(t)
	downloaded(2)
	c.Clock.Advance(gate.GrantLasts)
	if !tab.open(t, l.URL) {
		t.Fatal("no page")
	}
	says("You downloaded this file on", "This link has no downloads left.", "0 left")
	if ask[bool](t, tab, `document.querySelector("button") != null`) {
		t.Error("the page offers another download")
	}
	if n := ask[int](t, tab, `document.scripts.length`); n != 0 {
		t.Errorf("the page has %d scripts", n)
	}
}

// TestScannersOpenNothing follows a link as the scanners of mail servers do: by GET, by HEAD, and with a browser that
// loads the page and runs scripts. No mail goes out, no download is counted, and no code is asked for.
func TestScannersOpenNothing(t *testing.T) {
	c, box := newPostOffice(t)
	tab := newChromium(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mintFor(t, f.ID, `{"recipient":{"email":"ann@bank.example"},"max_downloads":1}`)
	for _, accept := range []string{"*/*", "text/html,*/*;q=0.8"} {
		for _, method := range []string{"GET", "HEAD"} {
			for _, target := range []string{l.URL, l.URL + "/a.txt", l.URL + "?step=send", l.URL + "?step=verify&code=12345678"} {
				a := c.as("").ask(t, method, target, "", "Accept", accept)
				if strings.Contains(string(a.body), "hello") || len(a.header.Values("Set-Cookie")) > 0 {
					t.Errorf("%s %s: %d %v", method, target, a.status, a.header)
				}
				if accept == "*/*" && a.status != http.StatusUnauthorized {
					t.Errorf("%s %s as a program: %d", method, target, a.status)
				}
			}
		}
	}
	for range 3 {
		if !tab.open(t, l.URL) {
			t.Fatal("no page")
		}
	}
	if n := c.downloads(t, l.ID); n != 0 {
		t.Errorf("%d downloads are counted", n)
	}
	err := c.Store.View(context.Background(), func(r service.Reader) error {
		n, err := r.ChallengeCounts(c.Ledger(sluice.Test), l.ID, sluice.Digest{}, sluice.Digest{}, c.Service.Now())
		if n.Sent+n.Unsent != 0 {
			t.Errorf("%d challenges", n.Sent+n.Unsent)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if state, _, err := c.Service.Mails.State(context.Background()); err != nil || state.Waiting != 0 || box.Count(t) != 0 {
		t.Errorf("%d mails wait, %d were sent, %v", state.Waiting, box.Count(t), err)
	}
}

// TestStepsOfAnotherSite sends the forms of the page from elsewhere.
func TestStepsOfAnotherSite(t *testing.T) {
	c, box := newPostOffice(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mintFor(t, f.ID, `{"recipient":{"email":"ann@bank.example"}}`)
	for _, form := range []string{"step=send", "step=verify&code=12345678", "step=download", "step=other"} {
		for _, header := range [][]string{
			{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
		} {
			a := c.as("").call(t, "POST", l.URL, "application/x-www-form-urlencoded", []byte(form), header...)
			if a.status != http.StatusForbidden || len(a.header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s with %v: %d", form, header, a.status)
			}
		}
	}
	if box.Count(t) != 0 {
		t.Error("a mail was sent")
	}
}

// visitor is a person's browser without a screen: it keeps cookies and follows no redirect.
type visitor struct {
	http.Client
	url string
}

func newVisitor(t *testing.T, url string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{url: url}
	v.Jar, v.CheckRedirect = jar, func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return v
}

// send sends a form, or with "" requests the page.
func (v *visitor) send(t *testing.T, form string) answer {
	t.Helper()
	method := "GET"
	if form != "" {
		method = "POST"
	}
	r, err := http.NewRequest(method, v.url, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := v.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, body}
}

// TestSameAnswerForEveryAddress compares the bytes of the answers for addresses that may and may not open a link.
func TestSameAnswerForEveryAddress(t *testing.T) {
	c, _ := newPostOffice(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mintFor(t, f.ID, `{"allowed_recipients":["*@bank.example"]}`)
	varies := regexp.MustCompile(`sluice_challenge=[A-Za-z0-9_-]{22}`)
	first := ""
	for i, address := range []string{"ann@bank.example", "ann@evil.example", "ann@bank.example", "ann@bank.example",
		"ann@bank.example", "bob@evil.example", "ann@evil.example"} {
		v, said := newVisitor(t, l.URL), ""
		for _, form := range []string{url.Values{"step": {"send"}, "email": {address}}.Encode(), "", "step=verify&code=12345678"} {
			a := v.send(t, form)
			if strings.HasPrefix(form, "email=") {
				if got := a.header.Get("Location"); got != "./"+path.Base(l.URL) || a.status != http.StatusSeeOther {
					t.Errorf("%d to %q", a.status, got)
				}
				cookie := a.header.Get("Set-Cookie")
				for _, want := range []string{"sluice_challenge=", "HttpOnly", "SameSite=Strict", "Path=/l/" + path.Base(l.URL), "Max-Age=600"} {
					if !strings.Contains(cookie, want) {
						t.Errorf("the cookie %q does not have %s", cookie, want)
					}
				}
			}
			a.header.Del("Date")
			a.header.Del("X-Request-Id")
			header, err := json.Marshal(a.header)
			if err != nil {
				t.Fatal(err)
			}
			said += varies.ReplaceAllString(http.StatusText(a.status)+string(header)+string(a.body), "*") + "\n"
		}
		if i == 0 {
			first = said
		} else if said != first {
			t.Errorf("%s (%d) is answered by\n%s\nwant\n%s", address, i, said, first)
		}
	}
	if !strings.Contains(first, `id="problem"`) || !strings.Contains(first, "code") {
		t.Errorf("the answers are\n%s", first)
	}
}
