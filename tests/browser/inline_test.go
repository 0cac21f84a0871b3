package browser

import (
	"bytes"
	"context"
	"fmt"
	"image"
	_ "image/png" // of screenshots
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"sluice"
)

// pdf returns a PDF of one page. The lower half is red and a link to the URL; the upper half is green under a blue
// field. Its script, which runs when the PDF is opened, hides the field, after it has tried everything by which a script
// may send something to the URL.
func pdf(url string, padding int, scripted bool) string {
	var b bytes.Buffer
	var offsets []int
	b.WriteString("%PDF-1.7\n")
	object := func(text string) {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(offsets), text)
	}
	var script strings.Builder
	for i, call := range []string{
		"app.launchURL('%s/launch', true)", "this.getURL('%s/get')", "this.submitForm('%s/submit')", "fetch('%s/fetch')",
		"this.mailDoc(true, '%s')", "app.openDoc('%s/open')", "Net.HTTP.request({cVerb: 'GET', cURL: '%s/net'})",
		"importScripts('%s/import')", "var r = new XMLHttpRequest(); r.open('GET', '%s/xhr'); r.send()",
	} {
		fmt.Fprintf(&script, "try { "+call+" } catch (e%d) {}\n", url, i)
	}
	script.WriteString("this.getField('cover').hidden = true;")
	escaped := strings.NewReplacer("(", `\(`, ")", `\)`).Replace(script.String())
	action := "/OpenAction<</S/JavaScript/JS(" + escaped + ")>>"
	if !scripted {
		action = ""
	}
	object("<</Type/Catalog/Pages 2 0 R" + action + "/AcroForm<</Fields[7 0 R]>>>>")
	object("<</Type/Pages/Kids[3 0 R]/Count 1>>")
	object("<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Contents 4 0 R/Annots[7 0 R 6 0 R]>>")
	content := "1 0 0 rg 0 0 300 300 re f 0 1 0 rg 0 150 300 150 re f"
	object(fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(content), content))
	object(fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", padding, strings.Repeat("a", padding)))
	object("<</Type/Annot/Subtype/Link/Rect[0 0 300 140]/Border[0 0 0]/A<</S/URI/URI(" + url + "/clicked)>>>>")
	object("<</Type/Annot/Subtype/Widget/FT/Tx/T(cover)/F 4/Rect[0 150 300 300]/P 3 0 R/AP<</N 8 0 R>>>>")
	blue := "0 0 1 rg 0 0 300 150 re f"
	object(fmt.Sprintf("<</Type/XObject/Subtype/Form/BBox[0 0 300 150]/Length %d>>\nstream\n%s\nendstream", len(blue), blue))
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&b, "trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, at)
	return b.String()
}

// find waits until a colour is on the screen, and returns the middle of its area.
func (c *chromium) find(t *testing.T, what string, is func(r, g, b uint32) bool) (x, y float64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		attempt, cancel := context.WithTimeout(c.Context, 15*time.Second) // one during a navigation may never come
		data, err := chromedp.Run(attempt, chromedp.CaptureScreenshot())
		cancel()
		if err != nil {
			continue
		}
		shot, _, err := image.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		var area image.Rectangle
		for y := 0; y < shot.Bounds().Dy(); y += 4 {
			for x := 0; x < shot.Bounds().Dx(); x += 4 {
				if r, g, b, _ := shot.At(x, y).RGBA(); is(r>>8, g>>8, b>>8) {
					area = area.Union(image.Rect(x, y, x+4, y+4))
				}
			}
		}
		if area.Dx() > 40 {
			return float64(area.Min.X+area.Max.X) / 2, float64(area.Min.Y+area.Max.Y) / 2
		}
	}
	t.Fatalf("%s is not on the screen", what)
	return 0, 0
}

// title is the title of the tab, which a document that is no page has too.
func (c *chromium) title(t *testing.T) string {
	t.Helper()
	targets, err := chromedp.Targets(c.Context)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		if target.Type == "page" {
			return target.Title
		}
	}
	t.Fatal("there is no tab")
	return ""
}

func isRed(r, g, b uint32) bool   { return r > 200 && g < 60 && b < 60 }
func isGreen(r, g, b uint32) bool { return g > 200 && r < 60 && b < 60 }
func isBlue(r, g, b uint32) bool  { return b > 200 && r < 120 && g < 120 }

// TestBrowserShowsPDF opens inline links to PDFs: Chromium shows them under the policy of every file, and titles the tab
// by the file. The script of the PDF runs in the viewer, and reaches nothing, neither another server nor ours. Its links
// work, and do not tell where the person came from.
func TestBrowserShowsPDF(t *testing.T) {
	tab, c := newChromium(t), newClient(t)
	var mu sync.Mutex
	var heard []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/favicon.ico" {
			heard = append(heard, r.Method+" "+r.URL.Path+" "+r.Referer())
		}
	}))
	defer other.Close()
	said := func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(heard, ", ")
	}
	still := c.mint(t, c.upload(t, "a.pdf", "application/pdf", pdf(other.URL, 0, false)).ID, `{"disposition":"inline"}`)
	tab.open(t, still.URL)
	tab.find(t, "the field of a PDF without a script", isBlue)
	for name, test := range map[string]struct {
		padding int
		body    string
	}{
		"small":   {0, `{"disposition":"inline"}`},
		"large":   {6 << 20, `{"disposition":"inline"}`},
		"counted": {3 << 20, `{"disposition":"inline","max_downloads":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			l := c.mint(t, c.upload(t, "Quartalsbericht Zürich.pdf", "application/pdf", pdf(other.URL, test.padding, true)).ID, test.body)
			before := len(c.Entries(t, c.Ledger(sluice.Test)))
			if !tab.open(t, l.URL) {
				t.Fatal("nothing is displayed")
			}
			if name == "counted" {
				tab.press(t)
			}
			tab.find(t, "the page of the PDF", isRed)
			tab.find(t, "what the script paints", isGreen)
			title := tab.title(t)
			for end := time.Now().Add(time.Minute); title != "Quartalsbericht Zürich.pdf" && time.Now().Before(end); {
				time.Sleep(20 * time.Millisecond)
				title = tab.title(t)
			}
			if title != "Quartalsbericht Zürich.pdf" {
				t.Errorf("the tab is titled %q", title)
			}
			if got := said(); got != "" {
				t.Errorf("the script reached %s", got)
			}
			redeemed := 0
			for _, e := range c.Entries(t, c.Ledger(sluice.Test))[before:] {
				if e.Action == sluice.LinkRedeemed {
					redeemed++
				} else if e.Action != sluice.LinkDelivered {
					t.Errorf("the log has %+v", e)
				}
			}
			if n := c.downloads(t, l.ID); n != 1 || redeemed != 1 && name != "large" {
				t.Errorf("%d downloads are counted, in %d requests", n, redeemed)
			}
		})
	}
	x, y := tab.find(t, "the page of the PDF", isRed)
	for _, kind := range []input.DispatchMouseEventType{input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
		if _, err := chromedp.Call(tab.Context, input.DispatchMouseEvent, input.DispatchMouseEventParams{
			Type: kind, X: x, Y: y + 20, Button: input.MouseButtonLeft, ClickCount: 1,
		}); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); said() == "" && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
	}
	if got := said(); got != "GET /clicked " {
		t.Errorf("a click on the link of the PDF requested %q", got)
	}
}

// TestBrowserTitlesImages opens inline links to images: the tab is titled by the file, not by the token of the link.
func TestBrowserTitlesImages(t *testing.T) {
	tab, c := newChromium(t), newClient(t)
	f := c.upload(t, "Grundriß 1. Stock, 100%.png", "image/png", string(picture(t)))
	for body, name := range map[string]string{
		`{"disposition":"inline"}`:                        "Grundriß 1. Stock, 100%.png",
		`{"disposition":"inline","filename":"plan.png"}`:  "plan.png",
		`{"disposition":"inline","max_downloads":1}`:      "Grundriß 1. Stock, 100%.png",
		`{"disposition":"inline","password":"päss wörd"}`: "Grundriß 1. Stock, 100%.png",
	} {
		l := c.mint(t, f.ID, body)
		if !tab.open(t, l.URL+"?utm_source=mail") {
			t.Fatal("nothing is displayed")
		}
		if strings.Contains(body, "password") {
			in(t, tab, chromedp.SendKeys(chromedp.CSS("#password"), "päss wörd"))
		}
		if strings.Contains(body, "password") || strings.Contains(body, "max") {
			tab.press(t)
		}
		tab.until(t, `document.images.length == 1 && document.images[0].naturalWidth > 0`)
		if title := ask[string](t, tab, "document.title"); !strings.HasPrefix(title, name+" (") {
			t.Errorf("%s: the tab is titled %q, want %q", body, title, name)
		}
		if n := c.downloads(t, l.ID); n != 1 {
			t.Errorf("%s: %d downloads are counted", body, n)
		}
	}
}
