package browser

import (
	"context"
	"encoding/binary"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"sluice"
	"sluice/internal/server"
	"sluice/internal/service"
)

// scripted switches JavaScript on or off.
func (c *chromium) scripted(t *testing.T, is bool) {
	t.Helper()
	if _, err := chromedp.Call(c.Context, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !is}); err != nil {
		t.Fatal(err)
	}
}

// press clicks the button of a page.
func (c *chromium) press(t *testing.T) {
	t.Helper()
	in(t, c, chromedp.Click(chromedp.CSS("button")))
}

// shot saves a screenshot of the tab in the folder BROWSER_SHOTS, if that is set.
func (c *chromium) shot(t *testing.T, name string) {
	t.Helper()
	folder := os.Getenv("BROWSER_SHOTS")
	if folder == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		if _, err := chromedp.Call(c.Context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name+"-"+scheme+".png"), in(t, c, chromedp.CaptureScreenshot()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const bodyText = "document.body.innerText"

func newNamed(t *testing.T, from string) client {
	return newClient(t, func(o *server.Options) { o.From = from })
}

// TestBrowserAsksForPassword opens a link with a password, first with a wrong one,
// with and without JavaScript.
func TestBrowserAsksForPassword(t *testing.T) {
	tab, c := newChromium(t), newNamed(t, "Example <Bank> & Sons")
	content := strings.Repeat("0123456789abcdef", 100_000)
	f := c.upload(t, "Übersicht <2026>.csv", "text/csv", content)
	for _, script := range []bool{true, false} {
		l := c.mint(t, f.ID, `{"password":"päss wörd"}`)
		url := l.URL + "/?utm_source=mail;1&off=100%"
		tab.scripted(t, script)
		if !tab.open(t, url) {
			t.Fatal("no page")
		}
		for _, want := range []string{"Übersicht _2026_.csv", "1.6 MB", "Example <Bank> & Sons", "The sender gave you a password for this file.", "Available until", "Password", "Download"} {
			if text := ask[string](t, tab, bodyText); !strings.Contains(text, want) {
				t.Errorf("the page does not say %q:\n%s", want, text)
			}
		}
		if got := ask[string](t, tab, "getComputedStyle(document.querySelector('#password')).display"); got != "block" {
			t.Error("the style of the page is not applied")
		}
		tab.shot(t, "password")
		in(t, tab, chromedp.SendKeys(chromedp.CSS("#password"), "wrong one"))
		tab.press(t)
		tab.until(t, `document.querySelector(".wrong") != null`)
		for _, want := range []string{"Wrong password. Try again.", "Übersicht _2026_.csv", "1.6 MB"} {
			if text := ask[string](t, tab, bodyText); !strings.Contains(text, want) {
				t.Errorf("after a wrong password the page does not say %q:\n%s", want, text)
			}
		}
		tab.shot(t, "wrong")
		in(t, tab, chromedp.SendKeys(chromedp.CSS("#password"), "päss wörd"))
		tab.press(t)
		name, got := tab.saved(t, url)
		if name != "Übersicht _2026_.csv" || got != content {
			t.Errorf("saved %q with %d bytes, want %d", name, len(got), len(content))
		}
	}
}

// TestBrowserSpendsByButton opens a link that may be used once like people and their
// programs do. Only the button uses up the download.
func TestBrowserSpendsByButton(t *testing.T) {
	tab, c := newChromium(t), newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	l := c.mint(t, f.ID, `{"max_downloads":1}`)
	const html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for _, agent := range []string{"", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"} {
		for _, method := range []string{"GET", "HEAD"} {
			a := c.as(
				"",
			).ask(
				t, method, l.URL, "", "Accept", html, "User-Agent", agent, "Range", "bytes=0-0",
			).want(
				t, 200,
			)
			if a.header.Get("Set-Cookie") != "" || strings.Contains(string(a.body), "hello") {
				t.Errorf("%s %q gave %v %s", method, agent, a.header, a.body)
			}
		}
	}
	c.as("").ask(t, "HEAD", l.URL, "", "Accept", "*/*").want(t, 200)
	for range 3 {
		if !tab.open(t, l.URL) || !strings.Contains(ask[string](t, tab, bodyText), "1 left") {
			t.Fatal("no page")
		}
	}
	tab.shot(t, "counted")
	if n := c.downloads(t, l.ID); n != 0 {
		t.Fatalf("opening the page used up %d downloads", n)
	}
	tab.press(t)
	if _, got := tab.saved(t, l.URL); got != "hello" {
		t.Errorf("saved %q", got)
	}
	if n := c.downloads(t, l.ID); n != 1 {
		t.Errorf("the button used up %d downloads, want 1", n)
	}
	tab.press(t) // again, within the same download
	tab.saved(t, l.URL)
	tab.press(t)
	tab.until(t, `document.body.innerText.includes("no downloads left")`)

	other := c.mint(t, f.ID, `{"max_downloads":2}`)
	c.get(t, other.URL, "Accept", "*/*").want(t, 200)
	if n := c.downloads(t, other.ID); n != 1 {
		t.Errorf("a program used up %d downloads", n)
	}
	// A page of another site cannot click the button in a frame: the frame stays empty.
	b := newBeacon(t)
	tab.open(t, b.page("/", "text/html", `<iframe src="`+other.URL+`"></iframe>`))
	if n := c.downloads(t, other.ID); n != 1 {
		t.Errorf("a frame used up %d downloads", n-1)
	}
}

// TestBrowserSaysWhatEnded opens links that cannot be used, without JavaScript.
func TestBrowserSaysWhatEnded(t *testing.T) {
	tab, c := newChromium(t), newClient(t)
	tab.scripted(t, false)
	key, secret := c.NewKey(t, c.Ledger(sluice.Test))
	for _, test := range []struct {
		name, body string
		status     int64
		says       string
		end        func(f, l, url string)
	}{
		{"revoked", "", 410, "This link was revoked", func(_, l, _ string) { c.ask(t, "DELETE", "/v1/file_links/"+l, "").want(t, 200) }},
		{"expired", "", 410, "This link has expired", func(_, _, _ string) { c.Clock.Advance(2 * time.Hour) }},
		{"file-deleted", "", 410, "The file behind this link was deleted.", func(f, _, _ string) { c.ask(t, "DELETE", "/v1/files/"+f, "").want(t, 200) }},
		{"exhausted", `{"max_downloads":1}`, 410, "This link has no downloads left.", func(_, _, url string) { c.get(t, url).want(t, 200) }},
		{"key-revoked", "", 410, "The sender may no longer share this file.", func(_, _, _ string) {
			if _, err := c.Keys.Revoke(context.Background(), service.Operator(c.Ledger(sluice.Test)), key.ID, nil); err != nil {
				t.Fatal(err)
			}
		}},
		{"address", `{"allowed_ips":["203.0.113.0/24"]}`, 403, "This link may not be used from your network.", nil},
		{"guessed", `{"password":"secret horse"}`, 429, "There were too many wrong passwords.", func(_, _, url string) {
			for c.get(t, url, "X-Link-Password", "guess").status != 429 {
			}
		}},
		{"forged", "", 404, "There is no such link.", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := c.upload(t, "a.txt", "text/plain", "hello")
			minter := c
			if test.name == "key-revoked" {
				minter = c.as(secret)
			}
			l := minter.mint(t, f.ID, test.body)
			url := l.URL
			if test.name == "forged" {
				url = url[:len(url)-4] + "AAAA"
			}
			if test.end != nil {
				test.end(f.ID, l.ID, url)
			}
			status := test.status
			if test.name == "guessed" { // the page asks for the password
				status = 200
			}
			if got := in(t, tab, chromedp.NavigateResponse(url)); got.Status != status {
				t.Errorf("status %d, want %d", got.Status, status)
			}
			if test.name == "guessed" {
				in(t, tab, chromedp.SendKeys(chromedp.CSS("#password"), "another guess"))
				tab.press(t)
				tab.until(t, `document.querySelector("#password") == null`)
			}
			if text := ask[string](t, tab, bodyText); !strings.Contains(text, test.says) ||
				strings.Contains(text, "a.txt") {
				t.Errorf("the page says:\n%s", text)
			}
			if got := ask[string](t, tab, "getComputedStyle(document.querySelector('.note')).color"); got == "rgb(0, 0, 0)" {
				t.Error("the style of the page is not applied")
			}
			tab.shot(t, test.name)
		})
	}
}

// tone returns a WAV file (RIFF, PCM) of some seconds, with 176,444 bytes each.
func tone(seconds int) string {
	const rate, frame = 44_100, 4
	size := seconds * rate * frame
	b := make([]byte, 0, 44+size)
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(36+size))
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, 2) // channels
	b = binary.LittleEndian.AppendUint32(b, rate)
	b = binary.LittleEndian.AppendUint32(b, rate*frame)
	b = binary.LittleEndian.AppendUint16(b, frame)
	b = binary.LittleEndian.AppendUint16(b, 16) // bits
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	for i := range seconds * rate {
		v := uint16(int16(3000 * math.Sin(float64(i)/20)))
		b = binary.LittleEndian.AppendUint16(b, v)
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return string(b)
}

// TestBrowserSeeks plays a file in Chromium's player and seeks to a later position.
func TestBrowserSeeks(t *testing.T) {
	tab, c := newChromium(t), newClient(t)
	f := c.upload(t, "tone.wav", "audio/wav", tone(300))
	for _, body := range []string{`{"disposition":"inline"}`, `{"disposition":"inline","max_downloads":1}`} {
		t.Run(body, func(t *testing.T) {
			l := c.mint(t, f.ID, body)
			before := len(c.Entries(t, c.Ledger(sluice.Test)))
			if !tab.open(t, l.URL) {
				t.Fatal("the file is not displayed")
			}
			if strings.Contains(body, "max_downloads") {
				tab.press(t)
			}
			tab.until(t, `(v => v != null && v.readyState >= 2)(document.querySelector("video,audio"))`)
			const at = `document.querySelector("video,audio")`
			tab.until(t, at+`.duration > 299`)
			ask[bool](t, tab, at+`.muted = true, `+at+`.currentTime = 280, `+at+`.play(), true`)
			tab.until(t, at+`.currentTime > 280.2 && !`+at+`.seeking`)
			far := false
			for _, e := range c.Entries(t, c.Ledger(sluice.Test))[before:] {
				far = far ||
					e.Delivery != nil && e.Delivery.Status == http.StatusPartialContent &&
						strings.HasPrefix(e.Request.Range, "bytes=4")
			}
			if !far {
				t.Error("no later range was requested")
			}
			if n := c.downloads(t, l.ID); n != 1 && l.MaxDownloads != nil {
				t.Errorf("%d downloads are counted", n)
			}
		})
	}
}
