package fastpath_test

import (
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice"
)

func get(path, fields string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n"
}

func head(path, fields string) string {
	return "HEAD " + path + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n"
}

// plain are requests that are answered without net/http.
var plain = []string{
	get("/l/{plain}", ""),
	get("/l/{plain}", "User-Agent: Wget/1.21\r\nAccept: */*\r\nConnection: Keep-Alive\r\n"),
	get("/l/{plain}", "Accept: text/html,*/*;q=0.8\r\nSec-Fetch-Mode: navigate\r\nReferer: https://a.example/b\r\n"),
	get("/l/{plain}/a.bin", "X-Forwarded-For: 192.0.2.7, 198.51.100.1\r\n"),
	get("/l/{plain}", "X-Forwarded-For: unknown\r\nReferer: %zz\r\n"),
	get("/l/{inline}", ""), get("/l/{named}", ""), get("/l/{empty}", ""), get("/l/{large}", ""),
	head("/l/{plain}", ""), head("/l/{inline}", ""), head("/l/{empty}", ""), head("/l/{large}/b", ""),
	get("/l/{plain}", "Range: bytes=0-9\r\n"), get("/l/{plain}", "Range: bytes=-5\r\nAccept: a\r\n"),
	get("/l/{plain}", "Range: bytes=100-\r\n"), get("/l/{large}", "Range: bytes=70000-80000\r\n"),
	get("/l/{plain}", "Range: lines=1-2\r\n"), get("/l/{empty}", "Range: bytes=0-9\r\n"),
	get("/l/{inline}", "Range: bytes=0-3\r\nIf-Range: \"other\"\r\n"),
	get("/l/{plain}", "Range: bytes=0-9\r\nIf-Range: Wed, 04 Mar 2026 05:06:07 GMT\r\n"),
	head("/l/{plain}", "Range: bytes=0-9\r\n"),
	get("/l/{plain}", "If-None-Match: *\r\n"), head("/l/{plain}", "If-None-Match: *\r\n"),
	get("/l/{plain}", "If-None-Match: \"x\", W/\"y\"\r\n"), get("/l/{plain}", "If-Match: *\r\n"),
	get("/l/{plain}", "If-Modified-Since: Wed, 04 Mar 2099 05:06:07 GMT\r\n"),
	get("/l/{inline}", "If-Modified-Since: Wed, 04 Mar 2099 05:06:07 GMT\r\n"),
	get("/l/{plain}", "If-Unmodified-Since: never\r\n"),
	get("/l/{twice}", ""), get("/l/{twice}", "Range: bytes=5-9\r\n"),
	get("/l/{plain}", "Connection: close\r\n"), head("/l/{plain}", "Connection: Close\r\n"),
	get("/l/{plain}", "") + get("/l/{large}", "Connection: close\r\n") + get("/l/{plain}", ""),
	get("/l/{plain}", "If-None-Match: *\r\nConnection: close\r\n"),
	get("/l/{plain}", "") + get("/l/{large}", "") + head("/l/{plain}", "") + get("/l/{empty}", ""),
	get("/l/{always}", "Accept: */*\r\n"), get("/l/{never}", "Accept: text/html\r\n"), get("/l/{told}", "Accept: text/html\r\n"),
}

// other are requests that net/http answers, some of them after the decision.
var other = []string{
	get("/l/{plain}", "Range: bytes=0-9,20-29\r\n"), get("/l/{plain}", "Range: bytes=9999-\r\n"),
	get("/l/{plain}", "Range: bytes=9-1\r\n"), get("/l/{plain}", "If-Match: \"x\"\r\n"),
	head("/l/{plain}", "If-Match: \"x\"\r\n"),
	get("/l/{plain}", "If-Unmodified-Since: Wed, 04 Mar 2020 05:06:07 GMT\r\n"),
	get("/l/{password}", ""), get("/l/{password}", "Accept: text/html\r\n"), head("/l/{password}", "Accept: text/html\r\n"),
	get("/l/{password}", "X-Link-Password: secret horse\r\n"), get("/l/{password}", "X-Link-Password: wrong\r\n"),
	get("/l/{elsewhere}", ""), get("/l/{elsewhere}", "Accept: text/html\r\n"), get("/l/{revoked}", ""),
	get("/l/{revoked}/x", "Accept: text/html\r\n"), head("/l/{revoked}", ""),
	get("/l/{once}", "Accept: text/html\r\n"), get("/l/{once}", "User-Agent: a\r\n"), get("/l/{once}", "User-Agent: b\r\n"),
	get("/l/{verified}", ""), head("/l/{verified}", ""), get("/l/{verified}/a", "Accept: text/html\r\n"),
	head("/l/{verified}", "Accept: text/html\r\n"), get("/l/{verified}", "Range: bytes=0-9\r\n"),
	get("/l/{verified}", "If-None-Match: *\r\n"), get("/l/{verified}", "Cookie: sluice_visit=x.y; sluice_challenge=z\r\n"),
	get("/l/{verified}", "Accept: text/html\r\nCookie: sluice_challenge=z\r\n"),
	get("/l/{verified}?step=address", "Accept: text/html\r\nCookie: sluice_challenge=z\r\n"),
	get("/l/{verified}", "Accept: text/html\r\nAccept-Language: de\r\n"),
	get("/l/{plain}", "Cookie: sluice_visit=x.y\r\n"), get("/l/{twice}", "Cookie: sluice_visit=x.y\r\n"),
	"POST /l/{verified} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 25\r\n\r\n" +
		"step=verify&code=12345678" + get("/l/{plain}", ""),
	get("/l/{terms}", ""), head("/l/{terms}", ""), get("/l/{terms}", "Accept: text/html\r\n"),
	get("/l/{always}", "Accept: text/html\r\n"), head("/l/{always}", "Accept: text/html\r\n"),
	get("/l/unknown", ""), get("/l/{plain}x", ""), get("/l/-/x", "Accept: text/html\r\n"),
	get("/l/{plain}", "") + get("/l/{revoked}", "") + get("/l/{plain}", "") + head("/l/{plain}", ""),
	get("/l/{plain}", "") + get("/", "") + get("/l/{plain}", ""),
	get("/l/{plain}", "Connection: keep-alive, close\r\n"), get("/l/{plain}", "Connection: close, x\r\n") + get("/l/{plain}", ""),
	get("/l/{plain}", "") + "POST /l/{plain} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b" + get("/l/{plain}", ""),
	get("/l/{plain}", "") + "PO", get("/l/{plain}", "") + "G", get("/l/{plain}", "") + "GET /l/{plain} HT", "G", "GET /l/x",
	"GET /l/{plain} HTTP/1.1\r\nHost: x\r\nAccept: a", "GET /l/{plain} HTTP/1.1\r\n\n",
	get("/l/{plain}", "Cookie: a=b; sluice_grant=x\r\n"), get("/l/{plain}", "Authorization: Basic eDp5\r\n"),
	get("/l/{plain}", "Range: bytes=0-1\r\nRange: bytes=2-3\r\n"), get("/l/{plain}", "Accept: a\r\nAccept: text/html\r\n"),
	get("/l/{plain}", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n"),
	get("/l/{plain}", "Content-Length: 0\r\n"), get("/l/{plain}", "Content-Length: 3\r\n") + "abc" + get("/l/{plain}", ""),
	get("/l/{plain}", "Content-Length: 3\r\nContent-Length: 4\r\n") + "abcd",
	get("/l/{plain}", "Content-Length: +3\r\n") + "abc",
	get("/l/{plain}", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n" + get("/l/{plain}", ""),
	get("/l/{plain}", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n") + "0\r\n\r\n",
	get("/l/{plain}", "Transfer-Encoding: gzip\r\n"), get("/l/{plain}", "Transfer-Encoding : chunked\r\n"),
	get("/l/{plain}", "Transfer-Encoding:\x0bchunked\r\n"), get("/l/{plain}", "Expect: 100-continue\r\n"),
	get("/l/{plain}", "Expect: other\r\n"), get("/l/{plain}", "Upgrade: h2c\r\nConnection: Upgrade\r\n"),
	get("/l/{plain}", "X-Other: y\r\n"), get("/l/{plain}", "Accept: a\r\n b\r\n"), get("/l/{plain}", "A b: c\r\n"),
	get("/l/{plain}", "Host: y\r\n"), get("/l/{plain}", "User-Agent: \xfc\x01\r\n"), get("/l/{plain}", "User-Agent: \xfc\r\n"),
	get("/l/{plain}", "Via: "+strings.Repeat("x", 9000)+"\r\n"), get("/l/{plain}", strings.Repeat("X: y\r\n", 100)),
	get("/l/{plain}?a=b", ""), get("/l/{plain}/%41", ""), get("/l/%2e%2e/v1/files", ""), get("/l/../l/{plain}", ""),
	get("/l//{plain}", ""), get("/l/{plain}/", ""), get("/l/{plain}//", ""), get("/l/{plain}/./", ""), get("/l/\x00", ""),
	get("http://x/l/{plain}", ""), get("http://x", ""), get("*", ""), get("l/{plain}", ""),
	"get /l/{plain} HTTP/1.1\r\nHost: x\r\n\r\n", "GET /l/{plain} HTTP/1.0\r\nHost: x\r\n\r\n",
	"GET /l/{plain} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /l/{plain} HTTP/2.0\r\nHost: x\r\n\r\n",
	"GET /l/{plain} HTTP/1.1\r\n\r\n", "GET /l/{plain} HTTP/1.1\r\nHost: \r\n\r\n", "GET /l/{plain}\r\n\r\n",
	"GET /l/{plain} HTTP/1.1\nHost: x\n\n", "\r\n\r\n" + get("/l/{plain}", ""),
	"DELETE /l/{plain} HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
}

// TestSameAnswers compares the fast path with net/http: the bytes of the answers, the entries, the metrics, and whether
// connections stay open.
func TestSameAnswers(t *testing.T) {
	for _, proxied := range []bool{false, true} {
		p := stocked(t, proxied)
		for _, text := range plain {
			before := p.fast.handed.Load()
			// The last request of each connection, which tells whether it is open, is for a link that does not exist.
			want := int64(1)
			if strings.Contains(strings.ToLower(text), "connection: close") {
				want = 0
			}
			if a, _ := p.compare(t, text); a.Open != (want == 1) {
				t.Errorf("%q: the connection is open: %v", text, a.Open)
			}
			if n := p.fast.handed.Load() - before; n != want {
				t.Errorf("%q: net/http got %d connections", text, n)
			}
		}
		for _, text := range other {
			if !proxied || strings.Contains(text, "X-Forwarded-For") {
				p.compare(t, text)
			}
		}
		if diff := cmp.Diff(p.slow.counted(), p.fast.counted()); diff != "" {
			t.Errorf("the metrics differ (-net/http +fast path):\n%s", diff)
		}
	}
}

// counted is the metrics that requests change. Most of the requests took less than the largest bound.
func (s *side) counted() (lines []string) {
	w := httptest.NewRecorder()
	s.on.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	of := regexp.MustCompile(`^sluice_(http_request_duration_seconds_count|redemptions_total|sent_bytes_total)`)
	for line := range strings.Lines(w.Body.String()) {
		if of.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return slices.Sorted(slices.Values(lines))
}

// TestSplit sends requests in two pieces, divided at each byte, and one byte at a time.
func TestSplit(t *testing.T) {
	p := stocked(t, false)
	for _, text := range []string{get("/l/{revoked}", "Accept: a\r\n"), get("/l/{empty}", "") + head("/l/{empty}", "Accept: b\r\n")} {
		sent := string(p.fast.expand(text))
		before := p.fast.handed.Load()
		for i := 1; i < len(sent); i++ {
			a := p.fast.ask(t, []byte(sent[:i]), []byte(sent[i:]))
			if want := strings.Count(text, "\r\n\r\n"); strings.Count(a.Bytes, "HTTP/1.1 ") != want+1 || !a.Open {
				t.Fatalf("%q, divided at %d, has the answers %q", text, i, a.Bytes)
			}
		}
		if n := p.fast.handed.Load() - before; n != int64(len(sent)-1) {
			t.Errorf("%q: net/http got %d connections, want %d", text, n, len(sent)-1)
		}
		p.recorded(t)
	}
	text, cuts := get("/l/{plain}", "Accept: a\r\n"), []int(nil)
	for i := range p.fast.expand(text) {
		cuts = append(cuts, i)
	}
	p.compare(t, text, cuts[1:]...)
}

// TestDecidedOnce has requests decided on the fast path whose answers net/http writes: each is decided once.
func TestDecidedOnce(t *testing.T) {
	p := stocked(t, false)
	for _, c := range []struct {
		request, status string
		action          sluice.Action
		deliveries      int
	}{
		{get("/l/{revoked}", ""), "410", sluice.LinkRefused, 0},
		{get("/l/{elsewhere}", ""), "403", sluice.LinkRefused, 0},
		{get("/l/{password}", ""), "403", sluice.LinkRefused, 0},
		{get("/l/{password}", "Accept: text/html\r\n"), "200", "", 0},
		{get("/l/{once}", "Accept: text/html\r\n"), "200", "", 0},
		{get("/l/{once}", "User-Agent: a\r\n"), "200", sluice.LinkRedeemed, 1},
		{get("/l/{once}", "User-Agent: b\r\n"), "410", sluice.LinkRefused, 0},
		{get("/l/{plain}", "If-Match: \"a\"\r\n"), "412", sluice.LinkRedeemed, 0},
		{get("/l/{plain}", "Range: bytes=5000-\r\n"), "416", sluice.LinkRedeemed, 0},
		{get("/l/{plain}", "Range: bytes=0-1,4-5\r\n"), "206", sluice.LinkRedeemed, 1},
		{get("/l/{plain}", ""), "200", sluice.LinkRedeemed, 1},
		{get("/l/unknown", ""), "404", "", 0},
	} {
		a, log := p.compare(t, c.request)
		decisions := 0
		for _, e := range log.Decisions {
			if decisions++; e.Action != c.action {
				t.Errorf("%q is recorded as %s", c.request, e.Action)
			}
		}
		want := 0
		if c.action != "" {
			want = 1
		}
		if decisions != want || len(log.Deliveries) != c.deliveries || !strings.HasPrefix(a.Bytes, "HTTP/1.1 "+c.status) {
			t.Errorf("%q has %d decisions, %d deliveries, and the answer %.300q", c.request, decisions, len(log.Deliveries), a.Bytes)
		}
	}
}

// FuzzFastPath sends the same bytes to a server with the fast path and to one without.
func FuzzFastPath(f *testing.F) {
	p := stocked(f, true)
	for _, text := range append(plain, other...) {
		f.Add(text, len(text)/2)
	}
	f.Fuzz(func(t *testing.T, text string, at int) {
		if len(text) > 64<<10 || at < 0 || at > 64<<10 || mayRace(text) {
			return
		}
		p.compare(t, text, at)
	})
}

// mayRace reports whether the answers may depend on time: a handler that waits for a body is told that the client has
// gone.
func mayRace(text string) bool {
	return !regexp.MustCompile(`^(GET|HEAD) `).MatchString(text) ||
		regexp.MustCompile(`(?i)content-length|transfer-encoding|POST |PUT |PATCH |DELETE |expect`).MatchString(text)
}
