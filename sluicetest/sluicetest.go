// Package sluicetest runs the real service for tests, on SQLite or PostgreSQL
// and a folder, with a server on a loopback port. Only the clock is simulated.
package sluicetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/gate"
	"sluice/internal/httpd"
	"sluice/internal/httpd/compat"
	"sluice/internal/httpd/compat/digitalriver"
	"sluice/internal/httpd/compat/metorial"
	"sluice/internal/httpd/compat/stripe"
	"sluice/internal/httpd/fastpath"
	"sluice/internal/maintain/fsck"
	"sluice/internal/obs"
	"sluice/internal/seal"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/internal/token"
	"sluice/ledger"
)

// Service is a service on a new database and a new folder, with one account.
type Service struct {
	*service.Service
	*gate.Gate
	Store   *store.Store
	Blobs   *blob.Disk
	Clock   *Clock
	Log     *Log
	Account sluice.Account
	Dir     string // holds blobs/ and, with SQLite, the database
	// URL of a PostgreSQL database; "" for SQLite
	Database string
	// Tampered says that the test writes records or entries behind the service's back. The records of all other tests
	// are compared with their logs when they end.
	Tampered bool
	config   service.Config
}

// NewService returns a Service on SQLite that ends with the test.
func NewService(t testing.TB) *Service {
	t.Helper()
	return NewServiceOn(t, "")
}

// NewServiceOn returns a Service on the empty PostgreSQL database at a URL.
func NewServiceOn(t testing.TB, database string) *Service {
	t.Helper()
	return newService(t, "http://sluice.test", database)
}

// NewServiceAt returns a Service on SQLite with a public URL.
func NewServiceAt(t testing.TB, publicURL string) *Service {
	t.Helper()
	return newService(t, publicURL, "")
}

func newService(t testing.TB, publicURL, database string) *Service {
	t.Helper()
	s := &Service{Clock: NewClock(), Log: newLog(t), Dir: t.TempDir(), Database: database}
	signing, err := token.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.config = service.Config{
		SigningKeys: []token.Key{signing}, RequireSeals: true,
		LedgerKeys: []string{NewLedgerKey(t)}, LedgerOrigin: "sluice.test",
		PublicURL: publicURL, Now: s.Clock.Now, Mail: true,
		Log: slog.New(slog.NewTextHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	s.open(t)
	t.Cleanup(func() { s.close(t) })
	s.Account = s.NewAccount(t, "test account")
	return s
}

// NewLedgerKey generates a checkpoint key and returns its secret.
func NewLedgerKey(t testing.TB) string {
	t.Helper()
	secret, _, err := ledger.GenerateKey(rand.Reader, "test")
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// open opens the folder as a new process would.
func (s *Service) open(t testing.TB) {
	t.Helper()
	var err error
	if s.Store, err = s.openStore(); err != nil {
		t.Fatal(err)
	}
	if s.Blobs, err = blob.OpenDisk(filepath.Join(s.Dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	config := s.config
	config.Store, config.Blobs = s.Store, blob.Cached(s.Blobs)
	if s.Service, err = service.New(config); err != nil {
		t.Fatal(err)
	}
	s.Gate = NewGate(t, s.Service, config)
}

// NewGate returns a gate for the links of a service with the given
// configuration.
func NewGate(t testing.TB, s *service.Service, c service.Config) *gate.Gate {
	t.Helper()
	g, err := gate.New(gate.Config{Service: s, Store: c.Store, Blobs: c.Blobs, Random: c.Random, Log: c.Log})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (s *Service) openStore() (*store.Store, error) {
	opts := store.Options{Log: s.config.Log}
	if s.Database != "" {
		return store.OpenPostgres(context.Background(), s.Database, opts)
	}
	return store.OpenSQLite(filepath.Join(s.Dir, "sluice.db"), opts)
}

func (s *Service) close(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Flush(ctx); err != nil {
		t.Error("deliveries:", err)
	}
	if !s.Tampered {
		s.checkRecords(ctx, t)
	}
	closed(t, s.Blobs)
	closed(t, s.Store)
}

// checkRecords fails the test if an entry contradicts the rules of its log, or a row contradicts the log. Seals are not
// required: a test may write with a service of its own, with other signing keys.
func (s *Service) checkRecords(ctx context.Context, t testing.TB) {
	var r fsck.Report
	if err := r.CheckRows(ctx, s.Store, seal.New(s.config.SigningKeys, false)); err != nil {
		t.Logf("the records were not compared with the logs: %v", err)
	}
	for _, f := range r.Findings {
		t.Error("fsck:", f)
	}
}

func closed(t testing.TB, c interface{ Close() error }) {
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// NewAccount creates another account.
func (s *Service) NewAccount(t testing.TB, name string) sluice.Account {
	t.Helper()
	a, err := s.Accounts.Create(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Ledger returns the ledger of the first account in a mode.
func (s *Service) Ledger(m sluice.Mode) sluice.LedgerID {
	return sluice.LedgerID{Account: s.Account.ID, Mode: m}
}

// NewKey creates a key with the given scopes, or all, and returns it with its
// secret.
func (s *Service) NewKey(t testing.TB, l sluice.LedgerID, scopes ...sluice.Scope) (sluice.Key, string) {
	t.Helper()
	return s.NewKeyAs(t, l, service.NewKey{Name: "test key", Scopes: scopes})
}

// NewKeyAs creates a key with the given settings and returns it with its
// secret.
func (s *Service) NewKeyAs(t testing.TB, l sluice.LedgerID, n service.NewKey) (sluice.Key, string) {
	t.Helper()
	k, err := s.Keys.Create(context.Background(), service.Operator(l), n)
	if err != nil {
		t.Fatal(err)
	}
	return k.Key, k.Secret
}

// Checkpoint signs the checkpoints that are due and returns their number.
func (s *Service) Checkpoint(t testing.TB) int {
	t.Helper()
	made, err := s.Service.Ledgers.Checkpoint(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// SetLedgerKeys sets the checkpoint keys that apply when the service is opened
// next. The first signs; logs rotate from the others to it.
func (s *Service) SetLedgerKeys(secrets ...string) { s.config.LedgerKeys = secrets }

// LedgerKeys returns the keys that SetLedgerKeys set last.
func (s *Service) LedgerKeys() []string { return slices.Clone(s.config.LedgerKeys) }

// SetPurposes sets the purposes that apply when the service is opened next.
func (s *Service) SetPurposes(list ...sluice.Purpose) {
	s.config.Purposes = sluice.Purposes{}
	for _, p := range list {
		s.config.Purposes[p.Name] = p
	}
}

// Reopen ends the service and begins another one on the same data.
func (s *Service) Reopen(t testing.TB) {
	t.Helper()
	s.close(t)
	s.open(t)
}

// Entries returns all entries of a ledger, oldest first. It waits up to a limit
// for the deliveries of downloads that have just ended.
func (s *Service) Entries(t testing.TB, l sluice.LedgerID) (all []sluice.Entry) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if all = s.entries(t, l); delivered(all) || time.Now().After(deadline) {
			return all
		}
	}
}

// delivered reports whether it is recorded how every download in entries ended.
func delivered(entries []sluice.Entry) bool {
	return !slices.ContainsFunc(entries, func(e sluice.Entry) bool {
		d := e.Delivery
		return e.Action == sluice.LinkRedeemed && d != nil && d.Sent == nil && e.Request.Method != "HEAD" &&
			(d.Status == 200 || d.Status == 206)
	})
}

// entries reads one snapshot, so that a redemption whose end is known comes with
// the entry of its delivery.
func (s *Service) entries(t testing.TB, l sluice.LedgerID) (all []sluice.Entry) {
	t.Helper()
	err := s.Store.View(context.Background(), func(r service.Reader) error {
		for page := (sluice.Page{Limit: sluice.MaxPageSize}); ; {
			list, err := r.Entries(l, service.EntryFilter{}, page)
			if err != nil {
				return err
			}
			all = append(all, list.Data...)
			if !list.More {
				return nil
			}
			page.After = list.Data[len(list.Data)-1].ID
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

// BlobKeys returns the keys of all stored blobs, sorted.
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

// Server is a Service with an HTTP server on a loopback port.
type Server struct {
	*Service
	URL    string     // address of the server and its public URL
	Key    sluice.Key // a test key with all scopes
	Secret string     // secret of Key
	HTTP   *httpd.Server
	opts   server.Options
	listen *httptest.Server
	front  *fastpath.Listener // of listen
}

// NewServer returns a Server on SQLite that ends with the test. Rates are not
// limited unless a function changes the options.
func NewServer(t testing.TB, adjust ...func(*server.Options)) *Server {
	t.Helper()
	return NewServerOn(t, "", adjust...)
}

// NewServerOn returns a Server on the empty PostgreSQL database at a URL.
func NewServerOn(t testing.TB, database string, adjust ...func(*server.Options)) *Server {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	s := &Server{URL: "http://" + ts.Listener.Addr().String(), listen: ts}
	s.Service = newService(t, s.URL, database)
	s.Key, s.Secret = s.NewKey(t, s.Ledger(sluice.Test))
	log := slog.New(slog.NewTextHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.opts = server.Options{
		Options:  httpd.Options{Log: log, Rates: map[sluice.Mode]httpd.Rate{}},
		Adapters: []compat.Adapter{stripe.Adapter(), metorial.Adapter(), digitalriver.Adapter()},
	}
	for _, f := range adjust {
		f(&s.opts)
	}
	s.start(t)
	t.Cleanup(func() { s.stop(t) })
	return s
}

func (s *Server) start(t testing.TB) {
	t.Helper()
	opts := s.opts
	if opts.Registry == nil {
		opts.Registry = obs.New("test").Registry
	}
	s.HTTP = server.New(s.Service.Service, s.Gate, opts)
	s.listen.Config = s.HTTP.HTTPServer("")
	s.front = fastpath.Listen(s.HTTP, s.listen.Config, httpd.Listener(s.listen.Listener))
	s.listen.Listener = s.front
	s.listen.Start()
}

// stop waits for the answers that have begun.
func (s *Server) stop(t testing.TB) {
	t.Helper()
	patience, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s.listen.Close()
	if err := s.front.Drain(patience); err != nil {
		t.Error(err)
	}
}

// Restart stops the server and starts another one on the same folder and
// address.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.stop(t)
	s.close(t)
	s.open(t)
	s.listen = httptest.NewUnstartedServer(nil)
	s.listen.Listener.Close()
	var err error
	if s.listen.Listener, err = net.Listen("tcp", strings.TrimPrefix(s.URL, "http://")); err != nil {
		t.Fatal(err)
	}
	s.start(t)
}

// Clock is a clock that only moves when it is told to.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that is set to a moment in 2026.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 3, 4, 5, 6, 7, 890123000, time.UTC)}
}

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Log collects log output and prints it if the test fails.
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

// String returns all output so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
