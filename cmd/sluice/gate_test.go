package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice"
	"sluice/internal/httpd/fastpath"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// told holds the entries of one request to a link.
type told struct {
	redeemed  int
	refused   int
	delivered []sluice.Sent
}

// toldIn returns the entries in the test log of a data folder by request, and
// the downloads of a link.
func toldIn(t *testing.T, data, link string) (map[string]told, int64) {
	t.Helper()
	ctx := context.Background()
	i, err := place{Data: data}.open(ctx, service.Config{PublicURL: "http://localhost",
		Log: slog.New(slog.DiscardHandler)}, opening{})
	if err != nil {
		t.Fatal(err)
	}
	defer i.close()
	var accounts []sluice.Account
	err = i.store.View(ctx, func(r service.Reader) (err error) {
		accounts, err = r.Accounts()
		return err
	})
	if err != nil || len(accounts) != 1 {
		t.Fatal(accounts, err)
	}
	operator := service.Operator(sluice.LedgerID{Account: accounts[0].ID, Mode: sluice.Test})
	all, delivered := map[string]told{}, map[int64][]sluice.Sent{}
	for page := (sluice.Page{Limit: sluice.MaxPageSize}); ; {
		list, err := i.service.Entries.List(ctx, operator, service.EntryFilter{LinkID: link}, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Data { // newest first
			page.After = e.ID
			for _, d := range e.Deliveries {
				delivered[d.Seq] = append(delivered[d.Seq], d.Sent)
			}
			if e.Request == nil {
				continue
			}
			of := all[e.Request.ID]
			switch e.Action {
			case sluice.LinkRedeemed:
				of.redeemed++
				of.delivered = append(of.delivered, delivered[e.Seq]...)
			case sluice.LinkRefused:
				of.refused++
			}
			all[e.Request.ID] = of
		}
		if !list.More {
			break
		}
	}
	l, err := i.service.Links.Get(ctx, operator, "", link)
	if err != nil {
		t.Fatal(err)
	}
	return all, l.Downloads
}

// offer uploads content to a server and mints a link to it.
func offer(t *testing.T, p *process, content []byte, body string) (link, path string) {
	t.Helper()
	c := &crashClients{key: p.key, http: http.DefaultClient}
	file, err := c.upload(p.url, content)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ ID, URL string }
	err = c.do("POST", p.url+"/v1/files/"+file+"/links", strings.NewReader(body), "application/json", http.StatusOK,
		&answer)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(answer.URL)
	if err != nil {
		t.Fatal(err)
	}
	return answer.ID, u.Path
}

// Two servers on one data folder respect the download limit of a link. The log
// matches the responses of each request and verifies.
func TestTwoServersCountTogether(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	first := startLog(t, data)
	second := startServer(t, data, "--ledger-origin", "files.example.com")
	const clients, limit = 400, 41
	link, path := offer(t, first, []byte(strings.Repeat("0123456789", 100)), fmt.Sprintf(`{"max_downloads":%d}`, limit))
	transport := &http.Transport{MaxConnsPerHost: 32, MaxIdleConnsPerHost: 32}
	defer transport.CloseIdleConnections()
	seen := map[string]int64{} // received bytes by request; -1 if refused
	var mu sync.Mutex
	var served atomic.Int64
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for j, ranged := range []string{[]string{"", "bytes=0-299", "bytes=-1000"}[i%3], "bytes=0-99"} {
				r, err := http.NewRequest("GET", []string{first.url, second.url}[(i+j)%2]+path, nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("User-Agent", fmt.Sprint("client ", i))
				if ranged != "" {
					r.Header.Set("Range", ranged)
				}
				res, err := transport.RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				n, err := io.Copy(io.Discard, res.Body)
				res.Body.Close()
				good := res.StatusCode == 200 || res.StatusCode == 206
				if err != nil || !good && (j > 0 || res.StatusCode != 410) {
					t.Errorf("client %d: request %d: status %d, %v", i, j, res.StatusCode, err)
				}
				if !good {
					n = -1
				}
				mu.Lock()
				seen[res.Header.Get("X-Request-Id")] = n
				mu.Unlock()
				if !good {
					return
				}
				if j == 0 {
					served.Add(1)
				}
			}
		})
	}
	all.Wait()
	log := filepath.Join(t.TempDir(), "log")
	want := 0
	for _, n := range seen {
		if n >= 0 {
			want += 2 // the redemption and its delivery
		}
	}
	eventually(t, func() error { // wait until all of it is signed
		out := sluiceRun(t, 0, "audit", "export", log)
		m := regexp.MustCompile(`: (\d+) entries`).FindStringSubmatch(out)
		if m == nil {
			t.Fatal(out)
		}
		if n, _ := strconv.Atoi(m[1]); n < want {
			return fmt.Errorf("%d of %d entries are signed", n, want)
		}
		return nil
	})
	sluiceRun(t, 0, "audit", "verify", log)
	for _, p := range []*process{first, second} {
		if code := p.stop(); code != 0 {
			t.Errorf("an orderly stop exits with %d", code)
		}
	}
	entries, downloads := toldIn(t, data, link)
	if downloads != limit || served.Load() != limit {
		t.Errorf("of %d downloads %d are counted, and %d clients were served", limit, downloads, served.Load())
	}
	delete(entries, requestOfMinting(entries))
	for id := range entries { // few of the repeated refusals are entries
		if _, answered := seen[id]; !answered {
			t.Errorf("the log has a request that was not sent: %s", id)
		}
	}
	for id, n := range seen {
		of := entries[id]
		if n < 0 && (of.refused > 1 || of.redeemed != 0) || n >= 0 &&
			(of.redeemed != 1 || len(of.delivered) != 1 || of.delivered[0].Bytes != n || !of.delivered[0].Complete) {
			t.Errorf("a client received %d bytes, but the log has %+v", n, of)
		}
	}
}

// requestOfMinting returns the request that was neither a redemption nor a
// refusal.
func requestOfMinting(entries map[string]told) (id string) {
	for id, of := range entries {
		if of.redeemed+of.refused+len(of.delivered) == 0 {
			return id
		}
	}
	return ""
}

// reader downloads over its own connection, as slowly as the test wants.
type reader struct {
	net.Conn
	res *http.Response
	id  string
}

func newReader(t *testing.T, base, path string) *reader {
	t.Helper()
	r := &reader{}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		r.Conn = conn
		return conn, err
	}}
	req, err := http.NewRequest("GET", base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.res, err = transport.RoundTrip(req); err != nil || r.res.StatusCode != http.StatusOK {
		t.Fatal(r.res, err)
	}
	t.Cleanup(func() { r.Close() })
	r.id = r.res.Header.Get("X-Request-Id")
	return r
}

// rest reads to the end.
func (r *reader) rest() (int64, error) { return io.Copy(io.Discard, r.res.Body) }

// An orderly stop waits for downloads and commits all delivery entries: of
// downloads that ended just before, and of those that end or break meanwhile.
func TestStopRecordsDownloads(t *testing.T) {
	for _, flag := range []string{"--fast-path", "--no-fast-path"} {
		t.Run(flag, func(t *testing.T) { stopRecordsDownloads(t, flag) })
	}
}

// --fast-path puts the fast path before the http.Server, and --no-fast-path leaves it out.
func TestFastPathFlag(t *testing.T) {
	s := sluicetest.NewServer(t)
	if _, ok := (&serveCommand{FastPath: true}).server(s.HTTP).(*fastpath.Server); !ok {
		t.Error("--fast-path has no fast path")
	}
	if _, ok := (&serveCommand{}).server(s.HTTP).(*http.Server); !ok {
		t.Error("--no-fast-path has one")
	}
}

func stopRecordsDownloads(t *testing.T, flag string) {
	data := filepath.Join(t.TempDir(), "data")
	p := startServer(t, data, flag)
	content := bytes.Repeat([]byte("0123456789abcdef"), 16<<20/16)
	link, path := offer(t, p, content, `{}`)
	var whole, broken []*reader
	for range 3 {
		whole, broken = append(whole, newReader(t, p.url, path)), append(broken, newReader(t, p.url, path))
	}
	just := map[string]bool{}
	for range 30 {
		r := newReader(t, p.url, path)
		if n, err := r.rest(); n != int64(len(content)) || err != nil {
			t.Fatal(n, err)
		}
		just[r.id] = true
		r.Close()
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	for i := range whole {
		if _, err := io.CopyN(io.Discard, broken[i].res.Body, 1<<20); err != nil {
			t.Error(err)
		}
		broken[i].Close()
		if n, err := whole[i].rest(); n != int64(len(content)) || err != nil {
			t.Errorf("a stop cut a download off: %d bytes, %v", n, err)
		}
	}
	p.cmd.Wait()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("an orderly stop exits with %d", code)
	}
	entries, _ := toldIn(t, data, link)
	one := func(id string) sluice.Sent {
		of := entries[id]
		if of.redeemed != 1 || len(of.delivered) != 1 {
			t.Fatalf("the log has %+v for a download", of)
		}
		return of.delivered[0]
	}
	for _, r := range whole {
		just[r.id] = true
	}
	for id := range just {
		if sent := one(id); sent.Bytes != int64(len(content)) || !sent.Complete {
			t.Errorf("the log has %+v for a complete download", sent)
		}
	}
	for _, r := range broken {
		if sent := one(r.id); sent.Bytes < 1<<20 || sent.Bytes >= int64(len(content)) || sent.Complete {
			t.Errorf("the log has %+v for a broken download", sent)
		}
	}
}

// Downloads that the stop interrupts also get delivery entries.
func TestStopRecordsInterruptedDownloads(t *testing.T) {
	grace := stopGrace
	stopGrace = 300 * time.Millisecond
	defer func() { stopGrace = grace }()
	data := filepath.Join(t.TempDir(), "data")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	printed, said := &screen{}, &screen{}
	done := make(chan int, 1)
	go func() { done <- run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--data", data}, printed, said) }()
	p := &process{}
	eventually(t, func() error {
		m := listening.FindStringSubmatch(said.String())
		if m == nil {
			return fmt.Errorf("it does not listen: %s", said)
		}
		p.url, p.key = "http://"+m[1], secret.FindString(printed.String())
		return nil
	})
	content := bytes.Repeat([]byte("0123456789abcdef"), 16<<20/16)
	link, path := offer(t, p, content, `{}`)
	var readers []*reader
	for range 8 {
		readers = append(readers, newReader(t, p.url, path))
	}
	stop()
	if code := <-done; code != 0 {
		t.Errorf("a stop that cut downloads off exits with %d: %s", code, said)
	}
	if !regexp.MustCompile("transfers interrupted").MatchString(said.String()) {
		t.Errorf("nothing was cut off: %s", said)
	}
	entries, _ := toldIn(t, data, link)
	for _, r := range readers {
		n, err := r.rest()
		of := entries[r.id]
		if err == nil || len(of.delivered) != 1 || of.delivered[0].Complete || of.delivered[0].Bytes < n {
			t.Errorf("a client received %d bytes (%v), but the log has %+v", n, err, of)
		}
	}
}

// screen collects the output of a running command.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *screen) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *screen) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// After a kill, a running download has only its redemption entry. No entry
// claims that bytes were sent.
func TestKillLeavesRedemption(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startServer(t, data)
	content := bytes.Repeat([]byte("0123456789abcdef"), 16<<20/16)
	link, path := offer(t, p, content, `{"max_downloads":5}`)
	var readers []*reader
	for range 5 {
		readers = append(readers, newReader(t, p.url, path))
		if _, err := io.CopyN(io.Discard, readers[len(readers)-1].res.Body, rand.Int64N(1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	p.kill()
	entries, downloads := toldIn(t, data, link)
	for _, r := range readers {
		if of := entries[r.id]; of.redeemed != 1 || len(of.delivered) != 0 {
			t.Errorf("the log has %+v", of)
		}
		if n, err := r.rest(); err == nil {
			t.Errorf("the download received %d more bytes", n)
		}
	}
	if downloads != 3 { // all from one client, which may request the whole file twice in ten minutes
		t.Errorf("%d downloads are counted", downloads)
	}
}
