package client_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/client"
	"sluice/ledger"
	"sluice/sluicetest"
)

// newClient returns a client with short waits.
func newClient(t *testing.T, url, key string, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(url, key, options...)
	if err != nil {
		t.Fatal(err)
	}
	c.SetPauses(time.Millisecond, time.Minute)
	return c
}

// serve runs a server with a test handler.
func serve(t *testing.T, h http.HandlerFunc, options ...client.Option) *client.Client {
	t.Helper()
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	return newClient(t, ts.URL, "sk_test_x", options...)
}

// serverOf returns the URL of a client's server.
func serverOf(c *client.Client) string { return strings.TrimPrefix(c.String(), "Sluice at ") }

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
	// Reading the log adds entries to the log. That must not disturb the
	// reader.
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

func TestInterruptedStreamIsAnError(t *testing.T) {
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

func TestNewRefusesInvalidServers(t *testing.T) {
	for _, url := range []string{
		"", "files.example.com", "file:///etc", "http://", "http://:80", "https://h/?a=b", "https://h/#a",
		"https://user:secret@h", "https://secret@h:x",
	} {
		if _, err := client.New(url, "k"); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
	for _, key := range []string{"sk_test_secret\n", " sk_test_secret", "sk_test_sécret"} {
		if _, err := client.New("https://h", key); err == nil || strings.Contains(err.Error(), "sk_test") {
			t.Errorf("%q: %v", key, err)
		}
	}
	if _, err := client.New("https://h", "k", client.WithRetries(-1)); err == nil {
		t.Error("-1 retries are taken")
	}
	if _, err := client.New("https://h", "k", client.WithUserAgent("a\nb")); err == nil {
		t.Error("a user agent of two lines is taken")
	}
}
