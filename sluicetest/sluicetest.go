// Package sluicetest sets up the real thing for tests: a service on SQLite and
// a folder, and a server on a loopback port. Only the clock is not real.
package sluicetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice"
	"sluice/blob"
	"sluice/server"
	"sluice/store"
)

// Service is a service on a new SQLite database and a new folder of bytes,
// with one account.
type Service struct {
	*sluice.Service
	Store   *store.Store
	Blobs   *blob.Disk
	Clock   *Clock
	Log     *Log
	Account sluice.Account
	Dir     string // of the database and the folder of bytes, blobs
}

// NewService makes a Service that ends with the test.
func NewService(t testing.TB) *Service {
	t.Helper()
	return newService(t, "http://sluice.test")
}

func newService(t testing.TB, publicURL string) *Service {
	t.Helper()
	s := &Service{Clock: NewClock(), Log: newLog(t), Dir: t.TempDir()}
	log := slog.New(slog.NewTextHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if s.Store, err = store.OpenSQLite(filepath.Join(s.Dir, "sluice.db"), store.Options{Log: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, s.Store) })
	if s.Blobs, err = blob.OpenDisk(filepath.Join(s.Dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, s.Blobs) })
	signing, err := sluice.NewSigningKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.Service, err = sluice.New(sluice.Config{
		Store: s.Store, Blobs: s.Blobs, SigningKeys: []sluice.SigningKey{signing}, PublicURL: publicURL,
		Now: s.Clock.Now, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Account = s.NewAccount(t, "test account")
	return s
}

func closed(t testing.TB, c interface{ Close() error }) {
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// NewAccount makes one more account.
func (s *Service) NewAccount(t testing.TB, name string) sluice.Account {
	t.Helper()
	a, err := s.CreateAccount(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Ledger names one side of the first account.
func (s *Service) Ledger(m sluice.Mode) sluice.LedgerID {
	return sluice.LedgerID{Account: s.Account.ID, Mode: m}
}

// NewKey makes a key in a ledger, with the scopes given or with all, and gives
// its secret.
func (s *Service) NewKey(t testing.TB, l sluice.LedgerID, scopes ...sluice.Scope) (sluice.Key, string) {
	t.Helper()
	k, secret, err := s.CreateKey(context.Background(), sluice.Operator(l), sluice.NewKey{Name: "test key", Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

// Entries gives every entry of a ledger, oldest first.
func (s *Service) Entries(t testing.TB, l sluice.LedgerID) (all []sluice.Entry) {
	t.Helper()
	page := sluice.Page{Limit: sluice.MaxPageSize}
	for {
		list, err := s.Service.Entries(context.Background(), sluice.Operator(l), sluice.EntryFilter{}, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Data {
			all = append([]sluice.Entry{e}, all...)
		}
		if !list.More {
			return all
		}
		page.After = list.Data[len(list.Data)-1].ID
	}
}

// BlobKeys gives the keys of all bytes stored, in order.
func (s *Service) BlobKeys(t testing.TB) (keys []string) {
	t.Helper()
	err := s.Blobs.Walk(context.Background(), func(key string, _ time.Time) error {
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

// Server is a Service behind a server that listens on loopback.
type Server struct {
	*Service
	URL    string     // where it listens; also its public URL
	Key    sluice.Key // a test key that may do everything
	Secret string     // of Key
}

// NewServer makes a Server that ends with the test.
func NewServer(t testing.TB) *Server {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	addr := ts.Listener.Addr().String()
	s := &Server{URL: "http://" + addr, Service: newService(t, "http://"+addr)}
	s.Key, s.Secret = s.NewKey(t, s.Ledger(sluice.Test))
	srv, err := server.New(s.Service.Service, server.Options{Log: slog.New(slog.NewTextHandler(s.Log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ts.Config = srv.HTTPServer(addr)
	ts.Start()
	t.Cleanup(ts.Close)
	return s
}

// Clock is a clock that stands still until it is set.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock that shows a moment in 2026.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 3, 4, 5, 6, 7, 890123000, time.UTC)}
}

// Now is what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Log holds what was logged, and shows it when the test fails.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func newLog(t testing.TB) *Log {
	l := &Log{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log:\n%s", l)
		}
	})
	return l
}

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is everything logged so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
