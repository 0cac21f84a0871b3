package fastpath_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/httpd/fastpath"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// pair is two servers of the same service: one with the fast path, and one without.
type pair struct {
	*sluicetest.Service
	fast, slow *side
	ledger     sluice.LedgerID
	seen       string // the newest entry that was compared
}

// side is one of the servers.
type side struct {
	on      *httpd.Server
	http    *http.Server
	address string
	handed  atomic.Int64      // connections that net/http got
	tokens  map[string]string // of links of its own, in the same states as those of the other side
}

// newPair makes one. Both sides trust loopback as a proxy if proxied.
func newPair(t testing.TB, proxied bool) *pair {
	t.Helper()
	p := &pair{Service: sluicetest.NewService(t)}
	p.ledger = p.Ledger(sluice.Test)
	p.fast, p.slow = p.newSide(t, proxied, true), p.newSide(t, proxied, false)
	return p
}

func (p *pair) newSide(t testing.TB, proxied, fast bool) *side {
	t.Helper()
	opts := httpd.Options{
		Log:   slog.New(slog.NewTextHandler(p.Log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Rates: map[sluice.Mode]httpd.Rate{},
	}
	if proxied {
		opts.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	s := &side{on: server.New(p.Service.Service, p.Gate, server.Options{Options: opts}), tokens: map[string]string{}}
	ts := httptest.NewUnstartedServer(nil)
	ts.Config, s.address = s.on.HTTPServer(""), ts.Listener.Addr().String()
	ts.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.handed.Add(1)
		}
	}
	s.http = ts.Config
	ts.Listener = httpd.Listener(ts.Listener)
	if fast {
		front := fastpath.Listen(s.on, ts.Config, ts.Listener)
		ts.Listener = front
		t.Cleanup(func() { drain(t, front) })
	}
	ts.Start()
	t.Cleanup(ts.Close)
	return s
}

func drain(t testing.TB, front *fastpath.Listener) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := front.Drain(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// file stores a file.
func (p *pair) file(t testing.TB, n service.NewFile, content string) string {
	t.Helper()
	n.Purpose = "generic"
	created, err := p.Files.Create(context.Background(), service.Operator(p.ledger), n.Purpose, strings.NewReader(content),
		func() (service.NewFile, error) { return n, nil })
	if err != nil {
		t.Fatal(err)
	}
	return created.File.ID
}

// link mints a link for each side.
func (p *pair) link(t testing.TB, name string, n service.NewLink) {
	t.Helper()
	for _, s := range []*side{p.fast, p.slow} {
		l, err := p.Links.Mint(context.Background(), service.Operator(p.ledger), n)
		if err != nil {
			t.Fatal(err)
		}
		u, err := p.Links.URL(l)
		if err != nil {
			t.Fatal(err)
		}
		s.tokens[name] = u[strings.LastIndex(u, "/")+1:]
		if name == "revoked" {
			if _, err := p.Links.Revoke(context.Background(), service.Operator(p.ledger), l.FileID, l.ID, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const small = "0123456789!?=abc"

// stocked makes a pair with links in several states.
func stocked(t testing.TB, proxied bool) *pair {
	t.Helper()
	p := newPair(t, proxied)
	plain := p.file(t, service.NewFile{Filename: "a.bin"}, strings.Repeat(small, 256))
	p.link(t, "plain", service.NewLink{FileID: plain})
	p.link(t, "inline", service.NewLink{FileID: p.file(t, service.NewFile{Filename: "ü \"ber\".mp4", Type: "video/mp4"},
		small), Disposition: sluice.Inline})
	p.link(t, "named", service.NewLink{FileID: plain, Filename: "other name.pdf"})
	p.link(t, "empty", service.NewLink{FileID: p.file(t, service.NewFile{Filename: "empty.txt", Type: "text/plain"}, "")})
	p.link(t, "large", service.NewLink{FileID: p.file(t, service.NewFile{Filename: "b"}, strings.Repeat(small, 20<<10))})
	p.link(t, "twice", service.NewLink{FileID: plain, MaxDownloads: 2})
	p.link(t, "once", service.NewLink{FileID: plain, MaxDownloads: 1})
	p.link(t, "password", service.NewLink{FileID: plain, Password: "secret horse"})
	p.link(t, "elsewhere", service.NewLink{FileID: plain, AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	p.link(t, "revoked", service.NewLink{FileID: plain})
	for name, a := range map[string]sluice.Access{
		"verified": {Recipient: sluice.Recipient{Email: "ann@bank.example"}, Language: "fr"}, "terms": {Terms: "Do not share."},
		"always": {Page: sluice.PageAlways}, "never": {Page: sluice.PageNever},
		"told": {Notify: sluice.Notify{Email: "bob@bank.example", On: []sluice.NotifyOn{sluice.EveryDownload}}},
	} {
		p.link(t, name, service.NewLink{FileID: plain, Access: a})
	}
	p.recorded(t)
	return p
}

// expand replaces {name} by the token of a link of the side.
func (s *side) expand(text string) []byte {
	for name, token := range s.tokens {
		text = strings.ReplaceAll(text, "{"+name+"}", token)
	}
	return []byte(text)
}

// answered is what a side answered.
type answered struct {
	Bytes string
	Open  bool // whether the connection stays open after all complete requests
}

// complete returns the methods of the complete requests at the start of p, and whether nothing follows them.
func complete(p []byte) (methods []string, whole bool) {
	in := bufio.NewReader(bytes.NewReader(p))
	for {
		if _, err := in.Peek(1); err != nil {
			return methods, true
		}
		r, err := http.ReadRequest(in)
		if err != nil {
			return methods, false
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return methods, false
		}
		methods = append(methods, r.Method)
		if r.Close || r.ProtoMajor != 1 || r.ProtoMinor == 0 {
			return methods, true
		}
	}
}

// variable matches what differs between two equal answers.
var variable = regexp.MustCompile(`req_[0-9a-z]{26}|Date: [^\r]*|sluice_grant=[\w-]+|[0-9a-f]{60}|/l/[\w-]{72}`)

// ask sends segments one after the other, and reads all answers. It then sends the rest of the end of a connection.
func (s *side) ask(t testing.TB, segments ...[]byte) (a answered) {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	for i, p := range segments {
		if i > 0 {
			time.Sleep(time.Millisecond)
		}
		if _, err := c.Write(p); err != nil && !isReset(err) {
			t.Fatal(err)
		}
	}
	var all bytes.Buffer
	in := bufio.NewReader(io.TeeReader(c, &all))
	methods, whole := complete(bytes.Join(segments, nil))
	for i := 0; i < len(methods); i++ {
		status, closes, err := readAnswer(in, methods[i])
		if err != nil {
			methods, whole = nil, false
			break
		}
		if status == http.StatusContinue {
			i--
		} else if closes {
			whole = false
			break
		}
	}
	if whole && len(methods) > 0 {
		_, _ = c.Write([]byte("GET /l/unknown HTTP/1.1\r\nHost: x\r\n\r\n"))
		status, _, err := readAnswer(in, "GET")
		a.Open = err == nil && status == http.StatusNotFound
	} else {
		_ = c.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, in); err != nil && !isReset(err) {
			t.Fatalf("the connection is not closed: %v", err)
		}
	}
	a.Bytes = variable.ReplaceAllString(all.String(), "*")
	return a
}

func readAnswer(in *bufio.Reader, method string) (status int, closes bool, err error) {
	res, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return 0, false, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Close, err
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// recorded is what the log says about some requests, without what differs between equal requests. Decisions come before
// deliveries, which are committed later.
type recorded struct {
	Decisions  []sluice.Entry
	Deliveries []sluice.Sent
}

// recorded returns what was recorded since the last call.
func (p *pair) recorded(t testing.TB) (r recorded) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	page := sluice.Page{Limit: sluice.MaxPageSize}
	list, err := p.Service.Service.Entries.List(ctx, service.Operator(p.ledger), service.EntryFilter{}, page)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Data {
		if e.ID == p.seen {
			break
		}
		for _, d := range e.Deliveries {
			r.Deliveries = append(r.Deliveries, d.Sent)
		}
		if e.Request == nil || e.Link == nil {
			continue // not of a request for a link
		}
		e.ID, e.Seq, e.Time = "", 0, time.Time{}
		e.Request.ID, e.Actor.ID, e.Link.ID = "", "", ""
		if e.Delivery != nil {
			e.Delivery.Entry = ""
		}
		r.Decisions = append(r.Decisions, e)
	}
	p.seen = list.Data[0].ID
	return r
}

// compare sends the same requests to both sides, divided at each of cuts, and compares the answers and the entries.
func (p *pair) compare(t testing.TB, text string, cuts ...int) (fast answered, log recorded) {
	t.Helper()
	ask := func(s *side) (answered, recorded) {
		rest, at := s.expand(text), 0
		var sent [][]byte
		for _, cut := range cuts {
			n := min(cut-at, len(rest))
			sent, rest, at = append(sent, rest[:n]), rest[n:], cut
		}
		a := s.ask(t, append(sent, rest)...)
		return a, p.recorded(t)
	}
	slow, want := ask(p.slow)
	fast, log = ask(p.fast)
	if diff := cmp.Diff(slow, fast); diff != "" {
		t.Errorf("%.300q is answered in another way (-net/http +fast path):\n%s", text, diff)
	}
	if diff := cmp.Diff(want, log, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("%.300q is recorded in another way (-net/http +fast path):\n%s", text, diff)
	}
	return fast, log
}
