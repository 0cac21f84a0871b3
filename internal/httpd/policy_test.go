package httpd_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/service"
)

// TestLinkOfAnExpiredKey checks the words of the refusal, for programs and for people.
func TestLinkOfAnExpiredKey(t *testing.T) {
	c := newClient(t)
	key, secret := c.NewKey(t, c.Ledger(sluice.Test))
	l := c.as(secret).mint(t, c.upload(t, "a.txt", "text/plain", "hello").ID, "")
	soon := c.Clock.Now().Add(time.Second)
	if _, err := c.Keys.Update(context.Background(), service.Operator(c.Ledger(sluice.Test)), key.ID, nil, service.KeyChange{Expires: &soon}); err != nil {
		t.Fatal(err)
	}
	c.get(t, l.URL).want(t, 200)
	c.Clock.Advance(time.Second)
	if p := read[api.Problem](t, c.get(t, l.URL).want(t, 410)); p.Reason != "key_expired" ||
		!strings.Contains(p.Detail, "expired") {
		t.Errorf("%+v", p)
	}
	page := c.get(t, l.URL, "Accept", accepted).want(t, 410)
	if !strings.Contains(string(page.body), "may no longer share this file") {
		t.Errorf("%s", page.body)
	}
}

// TestAnswersOfOtherSites sends forms from pages of other sites, and bodies that are no forms: none consumes a
// download.
func TestAnswersOfOtherSites(t *testing.T) {
	c := newClient(t)
	l := c.mint(t, c.upload(t, "a.txt", "text/plain", "hello").ID, `{"max_downloads":1}`)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", "cross-site", "Origin", "null"},
		{"Origin", "https://evil.example"},
	} {
		a := c.answerPage(t, l.URL, "", headers...).want(t, 403)
		if !strings.Contains(string(a.body), "Open the link itself") {
			t.Errorf("%q: %s", headers, a.body)
		}
	}
	for _, kind := range []string{"text/plain", "application/json", "multipart/form-data; boundary=x", ";"} {
		c.as("").ask(t, "POST", l.URL, "x", "Content-Type", kind, "Accept", accepted).want(t, 415)
	}
	if n := c.downloads(t, l.ID); n != 0 {
		t.Fatalf("%d downloads are counted", n)
	}
	c.answerPage(t, l.URL, "", "Sec-Fetch-Site", "same-origin", "Origin", "null").want(t, 200)
	for _, headers := range [][]string{{"Origin", "null"}, {"Origin", c.URL}, nil} {
		l := c.mint(t, c.upload(t, "a.txt", "text/plain", "hello").ID, `{"max_downloads":1}`)
		c.answerPage(t, l.URL, "", headers...).want(t, 200)
	}
}

// TestPasswordInLatin1 sends a password in ISO-8859-1, as some clients write headers.
func TestPasswordInLatin1(t *testing.T) {
	c := newClient(t)
	l := c.mint(t, c.upload(t, "a.txt", "text/plain", "hello").ID, `{"password":"pässwörd"}`)
	const latin1 = "p\xe4ssw\xf6rd"
	c.get(t, l.URL, "X-Link-Password", latin1).want(t, 200)
	c.get(t, l.URL, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(":"+latin1))).want(t, 200)
	c.get(t, l.URL, "X-Link-Password", "pässwörd").want(t, 200)
	c.get(t, l.URL, "X-Link-Password", "p\xe4sswurd").want(t, 403)
}
