package httpd_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/gate"
	"sluice/internal/httpd"
	"sluice/internal/httpd/fastpath"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/internal/token"
	"sluice/sluicetest"
)

// newOver is a client of a server with a configuration that adjust has changed.
func newOver(t *testing.T, adjust func(*service.Config), stall time.Duration) client {
	t.Helper()
	return newRedirecting(t, adjust, nil, stall)
}

// newRedirecting makes one whose links redirect to the storage, if redirect is not nil.
func newRedirecting(t *testing.T, adjust func(*service.Config), redirect service.Presigner,
	stall time.Duration) client {
	t.Helper()
	base := sluicetest.NewService(t)
	signing, err := token.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewUnstartedServer(nil)
	config := service.Config{
		Store: base.Store, Blobs: base.Blobs, SigningKeys: []token.Key{signing},
		PublicURL: "http://" + ts.Listener.Addr().String(), Now: base.Clock.Now, Log: slog.New(slog.NewTextHandler(base.Log, nil)),
	}
	adjust(&config)
	svc, err := service.New(config)
	if err != nil {
		t.Fatal(err)
	}
	links, err := gate.New(gate.Config{Service: svc, Store: config.Store, Blobs: config.Blobs, Redirect: redirect,
		Log: config.Log})
	if err != nil {
		t.Fatal(err)
	}
	srv := server.New(svc, links,
		server.Options{Options: httpd.Options{Log: config.Log, Rates: map[sluice.Mode]httpd.Rate{}}})
	if stall != 0 {
		srv.SetStall(stall)
	}
	ts.Config = srv.HTTPServer("")
	ts.Listener = fastpath.Listen(srv, ts.Config, httpd.Listener(ts.Listener))
	ts.Start()
	t.Cleanup(func() {
		ts.Close()
		patience, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := links.Flush(patience); err != nil {
			t.Error(err)
		}
	})
	over := *base
	over.Service, over.Gate = svc, links
	_, secret := base.NewKey(t, base.Ledger(sluice.Test))
	return client{&sluicetest.Server{Service: &over, URL: ts.URL}, secret}
}

// told is what the log says about one request to a link.
type told struct {
	redeemed  *sluice.Entry
	delivered *sluice.Delivery
	refused   int
}

// told returns what the log says about each request. It checks that a delivery follows its redemption, is recorded
// once, and has at most the bytes that were granted; and that the redemption is read with it.
func (c client) told(t testing.TB) map[string]*told {
	t.Helper()
	all, redeemed := map[string]*told{}, map[int64]*told{}
	for i, e := range c.log(t) {
		if e.Seq != int64(i) {
			t.Fatalf("seq %d is at place %d", e.Seq, i)
		}
		for _, d := range e.Deliveries {
			of := redeemed[d.Seq]
			if of == nil || of.delivered != nil {
				t.Fatalf("the download of entry %d ended before it was granted, or twice", d.Seq)
			}
			of.delivered = &d
			if d.Sent.Bytes > of.redeemed.File.Size || d.LinkID != of.redeemed.Link.ID || d.FileID != of.redeemed.File.ID {
				t.Errorf("of %+v it is told that %+v was delivered", of.redeemed, d)
			}
			if part := of.redeemed.Delivery; part.Sent == nil || *part.Sent != d.Sent || part.Returned != d.Returned ||
				part.Entry != e.ID {
				t.Errorf("the redemption says %+v, and the delivery %+v", part, d)
			}
		}
		if e.Link == nil || e.Request == nil {
			continue
		}
		of := all[e.Request.ID]
		if of == nil {
			of = &told{}
			all[e.Request.ID] = of
		}
		switch e.Action {
		case sluice.LinkRedeemed:
			if of.redeemed != nil || of.refused > 0 {
				t.Errorf("request %s was decided twice", e.Request.ID)
			}
			of.redeemed = &e
			redeemed[e.Seq] = of
		case sluice.LinkRefused:
			of.refused += 1 + int(e.Repeats)
		}
	}
	return all
}

// log returns the current entries of the test ledger, oldest first.
func (c client) log(t testing.TB) (all []sluice.Entry) {
	t.Helper()
	c.delivery(t)
	for page := (sluice.Page{Limit: sluice.MaxPageSize}); ; {
		list, err := c.Service.Service.Entries.List(context.Background(), service.Operator(c.Ledger(sluice.Test)), service.EntryFilter{}, page)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list.Data...)
		if !list.More {
			slices.Reverse(all)
			return all
		}
		page.After = all[len(all)-1].ID
	}
}

// delivered returns what was delivered of an answer.
func (c client) delivered(t testing.TB, id string) sluice.Sent {
	t.Helper()
	of := c.told(t)[id]
	if of == nil || of.redeemed == nil || of.delivered == nil {
		t.Fatalf("of request %s the log says %+v", id, of)
	}
	return of.delivered.Sent
}

// downloads returns the number of counted downloads of a link.
func (c client) downloads(t testing.TB, id string) int64 { t.Helper(); return c.link(t, id).Downloads }

const accepted = "text/html,application/xhtml+xml,*/*;q=0.8"

// TestCounted uses a link with a limit of downloads, as a program and as a browser.
func TestCounted(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "0123456789")
	etag := `"` + f.SHA256 + `"`
	type step struct {
		header    string // name: value
		status    int
		downloads int64 // after it
	}
	walk := func(t *testing.T, l api.Link, steps []step, headers ...string) {
		for _, s := range steps {
			name, value, _ := strings.Cut(s.header, ": ")
			all := headers
			if name != "" {
				all = append(headers[:len(headers):len(headers)], name, value)
			}
			a := c.get(t, l.URL, all...)
			if a.status != s.status {
				t.Fatalf("%q: status %d, want %d: %s", s.header, a.status, s.status, a.body)
			}
			c.delivery(t)
			if n := c.downloads(t, l.ID); n != s.downloads {
				t.Fatalf("%q: %d downloads are counted, want %d", s.header, n, s.downloads)
			}
		}
	}
	within := []step{
		{"Range: bytes=0-1", 206, 1},
		{"If-None-Match: " + etag, 304, 1},
		{`If-Match: "other"`, 412, 1},
		{"Range: bytes=10-", 416, 1},
		{"Range: bytes=0-0,4-4", 206, 1},
		{"Range: bytes=0-6", 410, 1}, // 14 of 20 bytes are gone
		{"", 410, 1},
		{"Range: bytes=-6", 206, 1},
		{"Range: bytes=-1", 410, 1},
		{"", 410, 1},
		{`If-Match: "other"`, 412, 1},
	}
	t.Run("a program", func(t *testing.T) {
		l := c.mint(t, f.ID, `{"max_downloads":1}`)
		walk(t, l, append([]step{
			{"If-None-Match: " + etag, 304, 0},
			{`If-Match: "other"`, 412, 0},
			{"Range: bytes=10-", 416, 0},
			{"Range: lines=1-2", 200, 1},
		}, within...))
		for _, header := range [][]string{{"User-Agent", "another"}, {"User-Agent", "another", "Range", "bytes=0-0"},
			{"User-Agent", "another", "If-None-Match", "*"}} {
			c.get(t, l.URL, header...).want(t, 410)
		}
		c.as("").ask(t, "HEAD", l.URL, "").want(t, 200)
		c.as("").ask(t, "HEAD", l.URL, "", "User-Agent", "another").want(t, 410)
		c.Clock.Advance(gate.GrantLasts)
		c.as("").ask(t, "HEAD", l.URL, "").want(t, 410)
	})
	t.Run("a range at first", func(t *testing.T) {
		l := c.mint(t, f.ID, `{"max_downloads":1}`)
		walk(t, l, []step{{"Range: bytes=0-3", 206, 1}, {"Range: bytes=4-", 206, 1}, {"", 200, 1},
			{"Range: bytes=0-0", 410, 1}})
	})
	t.Run("If-Range of another file", func(t *testing.T) {
		l := c.mint(t, f.ID, `{"max_downloads":1}`)
		c.get(t, l.URL, "Range", "bytes=0-0").want(t, 206)
		c.get(t, l.URL, "Range", "bytes=1-", "If-Range", `"other"`).want(t, 200) // all of it
		c.get(t, l.URL, "Range", "bytes=1-", "If-Range", `"other"`).want(t, 410)
		c.get(t, l.URL, "Range", "bytes=1-", "If-Range", etag).want(t, 206)
	})
	t.Run("an empty file", func(t *testing.T) {
		l := c.mint(t, c.upload(t, "empty", "text/plain", "").ID, `{"max_downloads":1}`)
		walk(t, l, []step{{"If-None-Match: *", 304, 0}, {"Range: bytes=0-", 200, 1}, {"Range: bytes=0-", 200, 1},
			{"Range: bytes=0-", 410, 1}})
	})
	t.Run("without a limit", func(t *testing.T) {
		l := c.mint(t, f.ID, "")
		walk(t, l, []step{
			{"Range: bytes=0-3", 206, 1}, {"Range: bytes=4-", 206, 1}, {"Range: bytes=-2", 206, 1},
			{"Range: bytes=2-3,5-6", 206, 1},
			{"Range: bytes=4-5,0-0", 206, 2}, {"", 200, 3}, {"Range: bytes=-10", 206, 4},
		})
		redeemed := 0
		for _, of := range c.told(t) {
			if of.redeemed != nil && of.redeemed.Link.ID == l.ID && of.delivered != nil {
				redeemed++
			}
		}
		if redeemed != 7 {
			t.Errorf("the log tells of %d of 7 answers", redeemed)
		}
	})
	t.Run("a browser that lost it", func(t *testing.T) {
		l := c.mint(t, f.ID, `{"max_downloads":1}`)
		held := "sluice_grant=" + c.cookie(t, c.answerPage(t, l.URL, "").want(t, 200)).Value
		c.answerPage(t, l.URL, "").want(t, 410) // another
		c.answerPage(t, l.URL, "", "Cookie", held).want(t, 200)
		c.answerPage(t, l.URL, "", "Cookie", held).want(t, 410)
		if n := c.downloads(t, l.ID); n != 1 {
			t.Errorf("%d downloads are counted", n)
		}
	})
	t.Run("a browser", func(t *testing.T) {
		other := c.mint(t, f.ID, `{"max_downloads":1}`)
		l := c.mint(t, f.ID, `{"max_downloads":1}`)
		for range 3 { // like previews and scanners
			page := c.get(t, l.URL+"?a=1;b=%zz", "Accept", accepted).want(t, 200)
			page.guarded(t)
			if !strings.Contains(string(page.body), "<button>") || strings.Contains(string(page.body), "0123") ||
				page.header.Get("Set-Cookie") != "" {
				t.Fatalf("%v %s", page.header, page.body)
			}
		}
		if n := c.downloads(t, l.ID); n != 0 {
			t.Fatalf("%d downloads are counted of a page", n)
		}
		a := c.answerPage(t, l.URL+"?a=1;b=%zz", "").want(t, 200)
		a.guarded(t)
		if string(a.body) != "0123456789" {
			t.Fatalf("%s", a.body)
		}
		cookie := c.cookie(t, a)
		path := strings.TrimPrefix(l.URL, c.URL)
		if cookie.Path != path || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Secure ||
			cookie.Domain != "" || cookie.MaxAge != 600 {
			t.Errorf("%+v", cookie)
		}
		held := "sluice_grant=" + cookie.Value
		for _, l := range []api.Link{other, c.mint(t, f.ID, `{"max_downloads":1}`)} {
			c.get(t, l.URL, "Accept", accepted, "Cookie", held, "Range", "bytes=0-0").want(t, 200) // asked
			if n := c.downloads(t, l.ID); n != 0 {
				t.Errorf("%d downloads are counted", n)
			}
		}
		walk(t, l, within, "Cookie", held, "User-Agent", "another", "Accept", accepted)
		c.get(t, l.URL, "User-Agent", "another", "Range", "bytes=0-0").want(t, 410) // without the cookie
		c.answerPage(t, l.URL, "", "Cookie", held).want(t, 410)
		for _, secret := range []string{cookie.Value, held} {
			if strings.Contains(c.Log.String(), secret) {
				t.Error("the log has the cookie")
			}
		}
	})
	t.Run("the answer has conditions of its own", func(t *testing.T) {
		l := c.mint(t, f.ID, `{"max_downloads":1}`)
		c.answerPage(t, l.URL, "", "If-None-Match", etag).want(t, 412)
		c.answerPage(t, l.URL, "", "Range", "bytes=0-1", "If-Modified-Since", "Wed, 04 Mar 2036 05:06:07 GMT").want(t, 200)
	})
	t.Run("password and count", func(t *testing.T) {
		l := c.mint(t, f.ID, `{"max_downloads":2,"password":"pass: wörd"}`)
		page := c.get(t, l.URL, "Accept", accepted).want(t, 200)
		if !strings.Contains(string(page.body), `name="password"`) {
			t.Errorf("%s", page.body)
		}
		c.answerPage(t, l.URL, "").want(t, 403)
		c.answerPage(t, l.URL, "wrong").want(t, 403)
		if n := c.downloads(t, l.ID); n != 0 {
			t.Errorf("%d downloads are counted of wrong passwords", n)
		}
		held := "sluice_grant=" + c.cookie(t, c.answerPage(t, l.URL, "pass: wörd").want(t, 200)).Value
		c.get(t, l.URL, "Cookie", held, "Range", "bytes=0-1").want(t, 206)
		c.get(t, l.URL, "Cookie", held, "If-None-Match", "*").want(t, 304)
		c.get(t, l.URL, "Cookie", held).want(t, 403) // the whole file needs the password again
		c.get(t, l.URL, "Cookie", held, "Range", "bytes=0-9").want(t, 403)
		c.get(t, l.URL, "Range", "bytes=0-1").want(t, 403)
		if n := c.downloads(t, l.ID); n != 1 {
			t.Errorf("%d downloads are counted", n)
		}
	})
	t.Run("over https below a path", func(t *testing.T) {
		c := newOver(t, func(config *service.Config) { config.PublicURL = "https://files.example.com/base/" }, 0)
		l := c.mint(t, c.upload(t, "a.txt", "text/plain", "hello").ID, `{"max_downloads":1}`)
		path := strings.TrimPrefix(l.URL, "https://files.example.com")
		cookie := c.cookie(t, c.answerPage(t, c.URL+strings.TrimPrefix(path, "/base"), "").want(t, 200))
		if !cookie.Secure || cookie.Path != path {
			t.Errorf("%+v", cookie)
		}
	})
}

// delivery waits for a delivery entry.
func (c client) delivery(t testing.TB) {
	t.Helper()
	patience, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Flush(patience); err != nil {
		t.Fatal(err)
	}
}

// answerPage submits the form of the page of a link, as a browser does.
func (c client) answerPage(t testing.TB, url, password string, headers ...string) answer {
	t.Helper()
	form := "password=" + strings.NewReplacer(" ", "+", ":", "%3A", "ö", "%C3%B6").Replace(password)
	headers = append([]string{"Accept", accepted, "Content-Type", "application/x-www-form-urlencoded"}, headers...)
	return c.as("").ask(t, "POST", url, form, headers...)
}

func (c client) cookie(t testing.TB, a answer) *http.Cookie {
	t.Helper()
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		if cookie.Name == "sluice_grant" && len(cookie.Value) >= 22 {
			return cookie
		}
	}
	t.Fatalf("%v", a.header)
	return nil
}

// TestCountedByThousands has thousands of clients request a link at once, some the whole file and some a part, and
// then further parts. The link allows only some downloads.
func TestCountedByThousands(t *testing.T) {
	c := newClient(t)
	const clients, limit, atOnce = 2000, 97, 200
	f := c.upload(t, "a.txt", "text/plain", strings.Repeat("0123456789", 100))
	l := c.mint(t, f.ID, fmt.Sprintf(`{"max_downloads":%d}`, limit))
	transport := &http.Transport{MaxIdleConnsPerHost: atOnce, MaxConnsPerHost: atOnce}
	defer transport.CloseIdleConnections()
	ask := func(agent, ranged string) (status int, n int, err error) {
		r, err := http.NewRequest("GET", l.URL, nil)
		if err != nil {
			return 0, 0, err
		}
		r.Header.Set("User-Agent", agent)
		if ranged != "" {
			r.Header.Set("Range", ranged)
		}
		res, err := transport.RoundTrip(r)
		if err != nil {
			return 0, 0, err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res.StatusCode, len(body), err
	}
	var served, answered, gone, sent atomic.Int64
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			good := false
			for j, ranged := range []string{[]string{"", "bytes=0-99", "bytes=-300"}[i%3], "bytes=100-199", "bytes=1-2,5-6"} {
				status, n, err := ask(fmt.Sprint("client ", i), ranged)
				switch {
				case err != nil:
					t.Error(err)
					return
				case status == 200 || status == 206:
					answered.Add(1)
					if ranged != "bytes=1-2,5-6" {
						sent.Add(int64(n))
					}
				case status == 410:
					gone.Add(1)
				default:
					t.Errorf("status %d", status)
				}
				if j == 0 {
					good = status != 410
				}
				if good != (status != 410) {
					t.Errorf("client %d was answered %d after its first request", i, status)
				}
				if !good && i%20 != 0 {
					return
				}
			}
			if good {
				served.Add(1)
			}
		})
	}
	all.Wait()
	c.delivery(t)
	if n := c.downloads(t, l.ID); n != limit || served.Load() != limit {
		t.Errorf("of %d downloads %d are counted, and %d clients were served", limit, n, served.Load())
	}
	var redeemed, refused, delivered int64
	for _, of := range c.told(t) {
		refused += int64(of.refused)
		if of.redeemed != nil {
			redeemed++
		}
		if of.delivered != nil && of.delivered.Sent.Complete {
			delivered += of.delivered.Sent.Bytes
		}
	}
	if want := sent.Load() + 4*served.Load(); redeemed != answered.Load() || refused != gone.Load() || delivered != want {
		t.Errorf("the log has %d redemptions, %d refusals and %d bytes; the clients saw %d, %d and %d", redeemed, refused,
			delivered, answered.Load(), gone.Load(), want)
	}
}

// troubled is a store whose Updates fail, applied or not.
type troubled struct {
	service.Store
	before, after atomic.Bool
}

func (s *troubled) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	failure := sluice.Wrap(sluice.CodeUnavailable, "the store is made to fail", nil)
	if s.before.Load() {
		return failure
	}
	err := s.Store.Update(ctx, l, fn)
	if s.after.Load() {
		return errors.Join(err, failure)
	}
	return err
}

// TestNothingWithoutItsEntry makes the commit of a redemption fail in both ways.
func TestNothingWithoutItsEntry(t *testing.T) {
	var store *troubled
	c := newOver(t, func(config *service.Config) {
		store = &troubled{Store: config.Store}
		config.Store = store
	}, 0)
	f := c.upload(t, "a.txt", "text/plain", "0123456789")
	for _, body := range []string{"", `{"max_downloads":3}`} {
		l := c.mint(t, f.ID, body)
		want := int64(0)
		for _, fail := range []*atomic.Bool{&store.before, &store.after} {
			fail.Store(true)
			for _, header := range [][]string{nil, {"Range", "bytes=0-3"}, {"Range", "bytes=0-1,4-5"}} {
				a := c.get(t, l.URL, header...)
				if a.status != 503 || strings.Contains(string(a.body), "0123") || a.header.Get("ETag") != "" ||
					a.header.Get("Set-Cookie") != "" {
					t.Errorf("%d %v %s", a.status, a.header, a.body)
				}
				c.problem(t, a, sluice.CodeUnavailable)
				fail.Store(false)
				of := c.told(t)[a.header.Get("X-Request-Id")]
				fail.Store(true)
				if fail == &store.before && of != nil || fail == &store.after &&
					(of == nil || of.redeemed == nil || of.delivered != nil) {
					t.Errorf("the log says %+v", of)
				}
			}
			fail.Store(false)
			if fail == &store.after {
				want = 3 // every one that may have been granted counts
				if body != "" {
					want = 1 // both parts were free
				}
			}
			if n := c.downloads(t, l.ID); n != want {
				t.Errorf("%s: %d downloads are counted, want %d", body, n, want)
			}
		}
		a := c.get(t, l.URL).want(t, 200)
		if sent := c.delivered(t, a.header.Get("X-Request-Id")); sent.Bytes != 10 || !sent.Complete {
			t.Errorf("%+v", sent)
		}
	}
}

// spoilt is blobs whose content ends early.
type spoilt struct {
	service.Blobs
	after int64
	panic bool
}

type spoiltContent struct {
	io.ReadSeekCloser
	left  int64
	panic bool
}

var errSpoilt = errors.New("the disk is made to fail")

func (b *spoilt) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	content, err := b.Blobs.Open(ctx, key)
	if err != nil || b.after < 0 {
		return nil, errors.Join(err, errSpoilt)
	}
	return &spoiltContent{content, b.after, b.panic}, nil
}

func (c *spoiltContent) Read(p []byte) (int, error) {
	if c.left == 0 {
		if c.panic {
			panic(errSpoilt)
		}
		return 0, errSpoilt
	}
	n, err := c.ReadSeekCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// TestDiskFails makes a read fail at the start and in the middle. The connection breaks, and the log has the number of
// bytes sent.
func TestDiskFails(t *testing.T) {
	blobs := &spoilt{}
	c := newOver(t, func(config *service.Config) {
		blobs.Blobs = config.Blobs
		config.Blobs = blobs
	}, 0)
	const size = 1 << 20
	f := c.upload(t, "a.bin", "", strings.Repeat("0123456789abcdef", size/16))
	for _, test := range []struct {
		name   string
		after  int64
		panics bool
		ranged string
		sent   int64
	}{
		{"at the start", 0, false, "", 0},
		{"midway", 300_001, false, "", 300_001},
		{"midway in a range", 1000, false, "bytes=5000-9999", 1000},
		{"in the second of two ranges", 1500, false, "bytes=0-999,5000-5999", 1500},
		{"by a panic", 200_000, true, "", 196_608}, // the complete pieces
	} {
		t.Run(test.name, func(t *testing.T) {
			blobs.after, blobs.panic = test.after, test.panics
			l := c.mint(t, f.ID, `{"max_downloads":1}`)
			r, err := http.NewRequest("GET", l.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.ranged != "" {
				r.Header.Set("Range", test.ranged)
			}
			fresh := http.Transport{DisableKeepAlives: true} // sends each request once
			var body []byte
			res, err := fresh.RoundTrip(r)
			if err == nil {
				body, err = io.ReadAll(res.Body)
				res.Body.Close()
			}
			if err == nil || int64(len(body)) > test.sent+4000 || strings.Contains(string(body), "problem") {
				t.Errorf("%d bytes, %v", len(body), err)
			}
			for id, of := range c.told(t) {
				if of.redeemed == nil || of.redeemed.Link.ID != l.ID {
					continue
				}
				if n := c.downloads(t, l.ID); n != 0 || !of.delivered.Returned {
					t.Errorf("%d downloads are counted, and the log says %+v", n, of.delivered)
				}
				if sent := c.delivered(t, id); sent.Bytes != test.sent || sent.Complete {
					t.Errorf("the log says %+v, want %d bytes", sent, test.sent)
				}
				return
			}
			t.Error("the log says nothing")
		})
	}
	t.Run("cannot be opened", func(t *testing.T) {
		blobs.after = -1
		for _, body := range []string{"", `{"max_downloads":1}`} {
			blobs.after = -1
			l := c.mint(t, f.ID, body)
			a := c.get(t, l.URL).want(t, 500)
			if sent := c.delivered(t, a.header.Get("X-Request-Id")); sent.Bytes != 0 || sent.Complete {
				t.Errorf("the log says %+v", sent)
			}
			c.answerPage(t, l.URL, "").want(t, 500)
			c.delivery(t)
			if n := c.downloads(t, l.ID); n != 0 {
				t.Errorf("%d downloads are counted", n)
			}
			blobs.after = size
			c.answerPage(t, l.URL, "").want(t, 200) // the button works a second time
		}
	})
}

// TestHangUp has clients close the connection in the middle, at once, and before any byte is sent.
func TestHangUp(t *testing.T) {
	c := newClient(t)
	const size = 24 << 20 // more than sockets hold
	content := strings.Repeat("0123456789abcdef", size/16)
	l := c.mint(t, c.upload(t, "a.bin", "", content).ID, "")
	small := c.mint(t, c.upload(t, "a.txt", "text/plain", content[:10]).ID, "")
	hangUp := func(url, header string, read int64) (id string) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", strings.TrimPrefix(url, c.URL), header)
		got, err := io.ReadAll(io.LimitReader(conn, read))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset
		conn.Close()
		_, id, _ = strings.Cut(string(got), "X-Request-Id: ")
		id, _, _ = strings.Cut(id, "\r\n")
		return id
	}
	for _, header := range []string{"", "Range: bytes=100-\r\n", "Range: bytes=0-9,100-\r\n"} {
		id := hangUp(l.URL, header, 1<<20)
		if sent := c.delivered(t, id); sent.Complete || sent.Bytes < 1<<20-2000 || sent.Bytes >= size-200 {
			t.Errorf("%q: the log says %+v", header, sent)
		}
	}
	for range 20 {
		hangUp(l.URL, "", 0)
		hangUp(small.URL, "", 0)
	}
	// requests that arrived late are still decided
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		untold := 0
		for _, of := range c.told(t) {
			if of.redeemed != nil && of.delivered == nil {
				untold++
			}
		}
		if untold == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d requests were granted, and nothing is told of their delivery", untold)
		}
	}
}

// severed is a connection that breaks before any byte is sent.
type severed struct{ *httptest.ResponseRecorder }

func (severed) FlushError() error { return os.ErrDeadlineExceeded }

// inMemory is blobs that keep their bytes in memory.
type inMemory struct{ service.Blobs }

type kept struct {
	*bytes.Reader
	content []byte
}

func (m kept) Bytes() []byte { return m.content }
func (kept) Close() error    { return nil }

func (b inMemory) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	from, err := b.Blobs.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	content, err := io.ReadAll(from)
	return kept{bytes.NewReader(content), content}, err
}

// TestLostBeforeTheEnd breaks the connection while a small file, or the end of a file, is still in the buffer of the
// server.
func TestLostBeforeTheEnd(t *testing.T) {
	c := newOver(t, func(config *service.Config) { config.Blobs = inMemory{config.Blobs} }, 0)
	srv := server.New(c.Service.Service, c.Gate, server.Options{})
	for _, size := range []int{10, 40_000} {
		content := strings.Repeat("0", size)
		l := c.mint(t, c.upload(t, "a.txt", "text/plain", content).ID, "")
		a := c.get(t, l.URL).want(t, 200)
		if sent := c.delivered(t, a.header.Get("X-Request-Id")); sent.Bytes != int64(size) || !sent.Complete ||
			string(a.body) != content {
			t.Errorf("%d bytes, the log says %+v", len(a.body), sent)
		}
		w := severed{httptest.NewRecorder()}
		func() {
			defer func() { _ = recover() }() // http.ErrAbortHandler
			srv.ServeHTTP(w, httptest.NewRequest("GET", l.URL, nil))
		}()
		if sent := c.delivered(t, w.Header().Get("X-Request-Id")); sent.Bytes != 0 || sent.Complete {
			t.Errorf("of %d bytes the log says %+v", size, sent)
		}
	}
}

// slowly is remote content that flows for longer than a transfer may stall.
type slowly struct{ service.Blobs }

func (b slowly) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	content, err := b.Blobs.Open(ctx, key)
	return slowContent{content}, err
}

type slowContent struct{ io.ReadSeekCloser }

func (c slowContent) Read(p []byte) (int, error) {
	time.Sleep(70 * time.Millisecond)
	return c.ReadSeekCloser.Read(p[:min(len(p), 16<<10)])
}

// TestSlowBlobs checks that remote content has no total time limit.
func TestSlowBlobs(t *testing.T) {
	t.Parallel()
	const stall = 2 * time.Second
	c := newOver(t, func(config *service.Config) { config.Blobs = slowly{config.Blobs} }, stall)
	content := strings.Repeat("0123456789abcdef", 1<<20/16)
	l := c.mint(t, c.upload(t, "a.bin", "", content).ID, "")
	began := time.Now()
	a := c.get(t, l.URL).want(t, 200)
	if string(a.body) != content {
		t.Errorf("%d bytes", len(a.body))
	}
	if took := time.Since(began); took < 2*stall {
		t.Fatalf("it took only %v", took)
	}
}
