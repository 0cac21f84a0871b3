package client_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"sluice"
	"sluice/api"
	"sluice/client"
	"sluice/ledger"
	"sluice/sluicetest"
)

func newClient(t *testing.T, url, key string) *client.Client {
	t.Helper()
	c, err := client.New(url, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve runs a server that is none of ours.
func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	return newClient(t, ts.URL, "sk_test_x")
}

func TestLogVerifies(t *testing.T) {
	ctx := context.Background()
	s := sluicetest.NewServer(t)
	for range 300 {
		s.NewKey(t, s.Ledger(sluice.Test))
	}
	s.Checkpoint(t)
	c := newClient(t, s.URL+"/", s.Secret)
	vkey, err := c.LedgerKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ledger.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	// Reading the log is written to the log, which must not disturb the reading.
	for round := range 2 {
		report, err := ledger.Verify(ctx, c.Log(), keys)
		if err != nil || report.Checkpoint.Size < 300 || report.Disclosures < int64(round) {
			t.Fatalf("%+v, %v", report, err)
		}
		s.Checkpoint(t)
	}
}

func TestMissingTileDoesNotExist(t *testing.T) {
	s := sluicetest.NewServer(t)
	s.Checkpoint(t)
	log := newClient(t, s.URL, s.Secret).Log()
	_, err := log.Tile(context.Background(), ledger.Tile{Level: 0, Index: 7, Width: 1})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestProblems(t *testing.T) {
	ctx := context.Background()
	s := sluicetest.NewServer(t)
	_, reader := s.NewKey(t, s.Ledger(sluice.Test), sluice.AuditRead)
	_, other := s.NewKey(t, s.Ledger(sluice.Test), sluice.FilesRead)
	const none = "aud_01jd3x2m0000000000000000aa"
	for _, c := range []struct {
		name, key string
		ask       func(*client.Client) error
		want      sluice.Code
	}{
		{"stranger", "sk_test_nobody", func(c *client.Client) error { _, err := c.Checkpoint(ctx); return err }, sluice.CodeUnauthenticated},
		{"no scope", other, func(c *client.Client) error { _, err := c.Checkpoint(ctx); return err }, sluice.CodeForbidden},
		{"nothing", reader, func(c *client.Client) error { _, err := c.ProveEntry(ctx, none); return err }, sluice.CodeNotFound},
		{"redact without scope", reader, func(c *client.Client) error { _, err := c.RedactEntry(ctx, none); return err }, sluice.CodeForbidden},
		{"redact nothing", s.Secret, func(c *client.Client) error { _, err := c.RedactEntry(ctx, none); return err }, sluice.CodeNotFound},
		{"hostile id", s.Secret, func(c *client.Client) error { _, err := c.RedactEntry(ctx, "../../v1/files"); return err }, sluice.CodeNotFound},
		{"filter", reader, func(c *client.Client) error {
			_, err := c.Entries(ctx, api.EntryQuery{EntryFilter: api.EntryFilter{Created: api.Created{CreatedGT: "soon"}}})
			return err
		}, sluice.CodeValidation},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.ask(newClient(t, s.URL, c.key))
			var e *sluice.Error
			if !errors.As(err, &e) || e.Code != c.want || e.Detail == "" {
				t.Errorf("got %v, want %s with a detail", err, c.want)
			}
			if c.want == sluice.CodeValidation && (len(e.Fields) != 1 || e.Fields[0].Param != "created[gt]") {
				t.Errorf("fields %+v", e.Fields)
			}
		})
	}
}

func TestAnswersOfOthers(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "<h1>Bad gateway</h1>", http.StatusBadGateway)
	})
	_, err := c.Checkpoint(context.Background())
	if sluice.CodeOf(err) != sluice.CodeInternal || !strings.Contains(err.Error(), "502 Bad Gateway") {
		t.Errorf("got %v", err)
	}
}

// The key goes to the server it is for and to no other.
func TestRedirectIsNotFollowed(t *testing.T) {
	var asked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	t.Cleanup(other.Close)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	if _, err := c.Checkpoint(context.Background()); err == nil || asked.Load() {
		t.Errorf("got %v, followed: %v", err, asked.Load())
	}
}

func TestBusyServerIsAskedAgain(t *testing.T) {
	for _, c := range []struct {
		name       string
		status     int
		retryAfter string
		post       bool
		want       int32 // requests
	}{
		{"unavailable", 503, "0", false, 2},
		{"counting", 429, "0", false, 2},
		{"no time given", 503, "", false, 1},
		{"broken", 500, "0", false, 1},
		{"change", 503, "0", true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 {
					if c.retryAfter != "" {
						w.Header().Set("Retry-After", c.retryAfter)
					}
					w.WriteHeader(c.status)
					return
				}
				io.WriteString(w, "{}")
			})
			var err error
			if c.post {
				_, err = cl.RedactEntry(context.Background(), "aud_1")
			} else {
				_, err = cl.Checkpoint(context.Background())
			}
			if got := asked.Load(); got != c.want || (err == nil) != (c.want == 2) {
				t.Errorf("asked %d times, %v", got, err)
			}
		})
	}
}

func TestServerThatIsAlwaysBusy(t *testing.T) {
	var asked atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := c.Checkpoint(context.Background()); sluice.CodeOf(err) != sluice.CodeUnavailable || asked.Load() > 20 {
		t.Errorf("asked %d times, %v", asked.Load(), err)
	}
}

func TestBrokenStreamIsNoEnd(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	body, err := c.Disclosures(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err == nil {
		t.Errorf("%q ends as if it were whole", got)
	}
}

func TestEndlessAnswerIsRefused(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	if _, err := c.Checkpoint(context.Background()); err == nil {
		t.Error("an endless checkpoint is taken")
	}
}

func TestReadDisclosures(t *testing.T) {
	d := ledger.Disclosure{Seq: 1, Field: "/request/ip", Value: "192.0.2.1"}
	line, err := ledger.AppendDisclosure(nil, d)
	if err != nil {
		t.Fatal(err)
	}
	good := string(line) + "\n"
	for _, c := range []struct {
		name, text string
		good       int
		fault      bool
	}{
		{"empty", "", 0, false},
		{"two", good + good, 2, false},
		{"last line without its end", good + string(line), 1, true},
		{"other text", good + "{}\n" + good, 1, true},
		{"empty line", good + "\n" + good, 1, true},
		{"endless line", good + strings.Repeat("x", ledger.MaxDisclosure+2), 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got int
			var last error
			for d, err := range client.ReadDisclosures(strings.NewReader(c.text)) {
				if last = err; err == nil {
					got++
					if d.Value != "192.0.2.1" {
						t.Errorf("got %+v", d)
					}
				}
			}
			if got != c.good || errors.Is(last, ledger.ErrDisclosure) != c.fault {
				t.Errorf("%d disclosures, then %v", got, last)
			}
		})
	}
}

func TestNewRefusesWhatIsNoServer(t *testing.T) {
	for _, url := range []string{"", "files.example.com", "file:///etc", "http://", "https://h/?a=b"} {
		if _, err := client.New(url, "k"); err == nil {
			t.Errorf("%q is taken", url)
		}
	}
}
