package fastpath

import (
	"bufio"
	"bytes"
	"net/http"
	"path"
	"reflect"
	"strings"
	"testing"

	"sluice/internal/httpd"
)

// plainHeads are heads that the fast path must understand.
var plainHeads = []string{
	"GET /l/abc HTTP/1.1\r\nHost: x\r\n\r\n",
	"HEAD /l/a-b_C9 HTTP/1.1\r\nHost: files.example.com:8080\r\n\r\n",
	"GET /l/abc/report-2026.pdf HTTP/1.1\r\nHost: [::1]:80\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
	"GET /l/abc/a/b/c HTTP/1.1\r\nhost:x\r\nCONNECTION: Keep-Alive\r\nRange: bytes=0-9, -5\r\nIf-Range: \"a b\"\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nIf-Match: \"a\", *\r\nIf-None-Match: W/\"b\"\r\n" +
		"If-Modified-Since: Wed, 04 Mar 2026 05:06:07 GMT\r\nIf-Unmodified-Since: never\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nReferer: https://a.example/b?c=d#e\r\nX-Forwarded-For: 10.0.0.1, ::1\r\n" +
		"Sec-Fetch-Site: none\r\nSec-CH-UA-Mobile: ?0\r\nDNT: 1\r\nVia: 1.1 a\r\nVia: 1.1 b\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nAccept: text/html,application/xhtml+xml;q=0.9\r\nAccept-Language: de\r\n" +
		"Accept-Encoding: gzip, br\r\nUpgrade-Insecure-Requests: 1\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nVia: " + strings.Repeat("x", 8000) + "\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("Via: a\r\n", 100) + "\r\n",
}

// oddHeads are heads that the fast path must leave to net/http.
var oddHeads = []string{
	"\r\nGET /l/abc HTTP/1.1\r\nHost: x\r\n\r\n",
	"POST /l/abc HTTP/1.1\r\nHost: x\r\n\r\n",
	"get /l/abc HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/abc HTTP/1.0\r\nHost: x\r\n\r\n",
	"GET /l/abc HTTP/2.0\r\nHost: x\r\n\r\n",
	"GET /l/abc HTTP/1.1 \r\nHost: x\r\n\r\n",
	"GET /l/abc  HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET  /l/abc HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/abc\tHTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/ HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET //l/abc HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l//abc HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/abc/ HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/abc/../x HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/abc/./x HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/abc/x//y HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/../v1/files HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/abc%64 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/abc/a%20b HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/abc?x=y HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/abc#x HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/abc;x HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/a\x00c HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /l/\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET http://x/l/abc HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /v1/files HTTP/1.1\r\nHost: x\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost:\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x/y\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x y\r\n\r\n",
	"GET /l/abc HTTP/1.1\nHost: x\n\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\r\n\r\n",
	"GET /l/abc HTTP/1.1\rHost: x\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\n Host: x\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nAccept: a\r\n b\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nAccept: a\r\n\tb\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost : x\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost:  x\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost:\tx\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x \r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nAccept\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nAccept: a\tb\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nUser-Agent: \xfc\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nUser-Agent: a\x00b\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nAccept: a\r\naccept: text/html\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, close\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nTrailer: a\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nCookie: sluice_grant=a\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nX-Link-Password: a\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nX-Unknown: a\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nSec-Fetch-\x00: a\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\nVia: " + strings.Repeat("x", 8200) + "\r\n\r\n",
	"GET /l/abc HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("Via: a\r\n", 2000) + "\r\n",
	"GET /l/" + strings.Repeat("a", 9000) + " HTTP/1.1\r\nHost: x\r\n\r\n",
}

func TestParsePlain(t *testing.T) {
	for _, text := range plainHeads {
		var d httpd.Direct
		if n, ok := parse([]byte(text+"GET"), &d); n != len(text) || !ok {
			t.Errorf("%.200q: %d of %d bytes, plain %v", text, n, len(text), ok)
		}
		for i := range len(text) {
			if n, ok := parse([]byte(text[:i]), &d); i > 0 && (n != 0 || !ok) {
				t.Fatalf("%.200q: of %d bytes %d are a head, plain %v", text, i, n, ok)
			}
		}
	}
}

func TestParseOdd(t *testing.T) {
	for _, text := range oddHeads {
		var d httpd.Direct
		if n, ok := parse([]byte(text), &d); n != 0 || ok {
			t.Errorf("%.200q: %d bytes are taken for a plain request of %d, plain %v", text, n, len(text), ok)
		}
	}
}

// FuzzParse compares each head that is taken for plain with what net/http reads.
func FuzzParse(f *testing.F) {
	for _, text := range append(plainHeads, oddHeads...) {
		f.Add([]byte(text))
	}
	var d httpd.Direct // as on a connection, what it holds of the head before is replaced
	f.Fuzz(func(t *testing.T, p []byte) {
		n, ok := parse(p, &d)
		if n == 0 {
			return
		}
		if !ok || n > maxHead {
			t.Fatalf("%d bytes, plain %v", n, ok)
		}
		in := bufio.NewReader(bytes.NewReader(p))
		r, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", p[:n], err)
		}
		if left := in.Buffered(); left != len(p)-n && n < 4096 && len(p) < 4096 {
			t.Fatalf("%q: %d bytes are left, want %d", p, left, len(p)-n)
		}
		if r.ContentLength != 0 || r.Close != d.Close || r.Proto != "HTTP/1.1" || len(r.TransferEncoding) > 0 || r.Host == "" ||
			r.URL.RawQuery != "" || r.URL.RawPath != "" || path.Clean(r.URL.Path) != r.URL.Path {
			t.Fatalf("%q: %+v", p[:n], r)
		}
		segments := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/l/"), "/", 2)
		if segments[0] != d.Token || d.Named != (len(segments) == 2) {
			t.Fatalf("%q: token %q, named %v", p[:n], d.Token, d.Named)
		}
		want := httpd.HeadOf(r)
		if !reflect.DeepEqual(d.Head, want) {
			t.Fatalf("%q:\n got %+v\nwant %+v", p[:n], d.Head, want)
		}
		for _, name := range []string{"Cookie", "Authorization", "X-Link-Password", "Upgrade", "Expect", "Trailer", "Te"} {
			if r.Header[name] != nil {
				t.Fatalf("%q has %s", p[:n], name)
			}
		}
	})
}
