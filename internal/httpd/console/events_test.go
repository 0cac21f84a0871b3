package console_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// events is an open stream of events.
type events struct {
	t      *testing.T
	lines  *bufio.Reader
	closed context.CancelFunc
	status int
}

// listen opens a stream. It is closed at the end of the test.
func (b *browser) listen(t *testing.T, path string) events {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", b.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return events{t, bufio.NewReader(resp.Body), cancel, resp.StatusCode}
}

// next is the name and the data of the next event; "" after the end of the stream.
func (e events) next() (name, data string) {
	e.t.Helper()
	for {
		line, err := e.lines.ReadString('\n')
		if err != nil {
			return "", ""
		}
		line = strings.TrimSuffix(line, "\n")
		if text, ok := strings.CutPrefix(line, "event: "); ok {
			name = text
		}
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			return name, text
		}
	}
}

// TestEvents is "what happened lately (live by server-sent events)". It waits for news of the log, until the session ends.
func TestEvents(t *testing.T) {
	o := newOffice(t)
	f := o.file(service.NewFile{Purpose: "attachment", Filename: "a.txt", Type: "text/plain"})
	size := o.entry(sluice.FileCreated).Seq + 1
	e := o.listen(t, "/console/test/events?known=0")
	if name, data := e.next(); name != "news" || !strings.Contains(data, `"new":`) {
		t.Fatalf("what was new before: %s %s", name, data)
	}
	e = o.listen(t, "/console/test/events?known="+fmt.Sprint(size))
	held := true
	if _, err := o.Files.Update(t.Context(), service.Operator(o.Ledger(sluice.Test)), f.ID, nil,
		service.FileChange{Held: &held}); err != nil {
		t.Fatal(err)
	}
	if name, data := e.next(); name != "news" || data != `{"new":1,"size":`+fmt.Sprint(size+1)+`}` {
		t.Errorf("an entry: %s %s", name, data)
	}
	session := o.entry(sluice.SessionCreated).Session.ID
	if _, err := o.Sessions.End(t.Context(), service.Operator(o.Ledger(sluice.Test)), session); err != nil {
		t.Fatal(err)
	}
	if name, data := e.next(); name != "end" {
		t.Errorf("the end of the session: %s %s", name, data)
	}
	if name, _ := e.next(); name != "" {
		t.Error("the stream goes on after the end of the session")
	}
}

// TestEventBounds opens more streams than a session may have, and streams that make no sense.
func TestEventBounds(t *testing.T) {
	o := newOffice(t)
	for _, query := range []string{"", "?known=-1", "?known=x", "?known=99999999999999999999"} {
		if a := o.get("/console/test/events" + query); a.StatusCode != 422 && a.StatusCode != 400 {
			t.Errorf("%q: %d", query, a.StatusCode)
		}
	}
	var open []events
	for range 20 {
		open = append(open, o.listen(t, "/console/test/events?known=0"))
	}
	if a := o.get("/console/test/events?known=0"); a.StatusCode != 429 || a.Header.Get("Retry-After") != "60" {
		t.Errorf("one stream too many: %d %v", a.StatusCode, a.Header)
	}
	open[0].closed()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if e := o.listen(t, "/console/test/events?known=0"); e.status == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a stream that was closed is still counted")
		}
	}
	if a := o.as(sluice.FilesRead).get("/console/test/events?known=0"); a.StatusCode != 403 {
		t.Errorf("without audit:read: %d", a.StatusCode)
	}
	if a := newBrowser(t, o.URL).get("/console/test/events?known=0"); a.StatusCode != 303 {
		t.Errorf("without a session: %d", a.StatusCode)
	}
}

// TestEventsOfOneKey opens more streams than all sessions of a key together may have.
func TestEventsOfOneKey(t *testing.T) {
	o := newOffice(t)
	for range 5 {
		b := newBrowser(t, o.URL)
		b.signIn(o.Secret)
		for i := range 20 {
			if e := b.listen(t, "/console/test/events?known=0"); e.status != 200 {
				t.Fatalf("stream %d of a session: %d", i, e.status)
			}
		}
	}
	if e := o.listen(t, "/console/test/events?known=0"); e.status != 429 {
		t.Errorf("one stream of the key too many: %d", e.status)
	}
	if e := o.as(sluice.AuditRead).listen(t, "/console/test/events?known=0"); e.status != 200 {
		t.Errorf("a stream of another key: %d", e.status)
	}
}

// TestEventsRefuseHEAD asks for the head of a stream, which begins none.
func TestEventsRefuseHEAD(t *testing.T) {
	o := newOffice(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "HEAD", o.URL+"/console/test/events?known=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := o.do(r); a.StatusCode != 405 || a.Header.Get("Allow") != "GET" {
		t.Errorf("HEAD: %d %v", a.StatusCode, a.Header)
	}
}

// TestEventsEndAtStop shuts a server down that has an open stream. It does not wait for the stream to end by itself.
func TestEventsEndAtStop(t *testing.T) {
	s := sluicetest.NewServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hs := s.HTTP.HTTPServer("")
	served := make(chan error, 1)
	go func() { served <- hs.Serve(l) }()
	b := newBrowser(t, "http://"+l.Addr().String())
	b.signIn(s.Secret)
	e := b.listen(t, "/console/test/events?known=0")
	if name, _ := e.next(); name != "news" {
		t.Fatalf("no stream: %d", e.status)
	}
	patience, cancel := context.WithTimeout(context.Background(), 50*time.Second) // the stream lasts a minute here
	defer cancel()
	if err := hs.Shutdown(patience); err != nil {
		t.Errorf("the server waits for a stream: %v", err)
	}
	if name, _ := e.next(); name != "" {
		t.Errorf("the stream goes on: %s", name)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
