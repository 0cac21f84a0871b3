package gate_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/internal/token"
	"sluice/sluicetest"
)

var ctx = context.Background()

// fixture is a service with a key and a store that can be made to fail.
type fixture struct {
	*service.Service
	*gate.Gate // redeems the links of Service
	*testing.T
	base   *sluicetest.Service
	store  *faultyStore
	config service.Config
	bucket service.Presigner // presigns redirects; nil for none
	ledger sluice.LedgerID
	caller service.Caller
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixtureOver(t, sluicetest.NewService(t))
}

func newFixtureOver(t *testing.T, base *sluicetest.Service) *fixture {
	t.Helper()
	signing, err := token.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, base: base, store: &faultyStore{Store: base.Store}, ledger: base.Ledger(sluice.Test)}
	f.config = service.Config{
		Store: f.store, Blobs: base.Blobs, SigningKeys: []token.Key{signing},
		PublicURL: "https://files.example.com/base/", Now: base.Clock.Now,
		Log: slog.New(slog.NewTextHandler(base.Log, nil)),
	}
	f.use(nil)
	t.Cleanup(f.flush)
	f.caller = f.newCaller(f.ledger)
	return f
}

// use replaces the fixture's service and gate by others on the same data.
func (f *fixture) use(p sluice.Purposes) {
	f.Helper()
	f.Service = f.withPurposes(p)
	var err error
	f.Gate, err = gate.New(gate.Config{
		Service: f.Service, Store: f.config.Store, Blobs: f.config.Blobs, Redirect: f.bucket, Log: f.config.Log,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.AnswerAtOnce(true)
}

// withPurposes returns a service with other purposes on the same data.
func (f *fixture) withPurposes(p sluice.Purposes) *service.Service {
	f.Helper()
	c := f.config
	c.Purposes = p
	s, err := service.New(c)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

func (f *fixture) newCaller(l sluice.LedgerID, scopes ...sluice.Scope) service.Caller {
	f.Helper()
	_, secret := f.base.NewKey(f.T, l, scopes...)
	c, err := f.Keys.Authenticate(
		ctx, secret,
		sluice.Request{ID: "req_test", Method: "POST", Route: "/test", IP: "192.0.2.1"},
	)
	if err != nil {
		f.Fatal(err)
	}
	return c
}

func (f *fixture) upload(content string) sluice.File {
	f.Helper()
	file, err := f.tryUpload(strings.NewReader(content))
	if err != nil {
		f.Fatal(err)
	}
	return file
}

func (f *fixture) tryUpload(content io.Reader) (sluice.File, error) {
	created, err := f.Files.Create(ctx, f.caller, "generic", content, func() (service.NewFile, error) {
		return service.NewFile{Purpose: "generic", Filename: "a.txt"}, nil
	})
	return created.File, err
}

func (f *fixture) mint(file sluice.File) (sluice.Link, string) {
	f.Helper()
	return f.mintAs(service.NewLink{FileID: file.ID, Reason: "a test"})
}

func (f *fixture) mintAs(n service.NewLink) (sluice.Link, string) {
	f.Helper()
	l, err := f.Links.Mint(ctx, f.caller, n)
	if err != nil {
		f.Fatal(err)
	}
	u, err := f.Links.URL(l)
	if err != nil {
		f.Fatal(err)
	}
	return l, path.Base(u)
}

func (f *fixture) redeem(token string) (string, error) {
	return f.redeemAs(token, gate.Bearer{Address: netip.MustParseAddr("198.51.100.4")})
}

func (f *fixture) redeemAs(token string, b gate.Bearer) (string, error) {
	b.Request = sluice.Request{
		ID:        f.NewRequestID(),
		Method:    "GET",
		Route:     "/l/{token}",
		IP:        b.Address.String(),
		UserAgent: b.Request.UserAgent,
	}
	g, err := f.Redeem(ctx, token, b)
	if err != nil {
		return "", err
	}
	if g.Content == nil {
		f.Delivered(g, 0)
		return "", nil
	}
	defer g.Content.Close()
	content, err := io.ReadAll(io.LimitReader(g.Content, g.Plan.Bytes))
	f.Delivered(g, int64(len(content)))
	return string(content), err
}

// log returns "action outcome refusal" for each entry since from.
func (f *fixture) log(from int) (lines []string) {
	f.Helper()
	for _, e := range f.base.Entries(f.T, f.ledger)[from:] {
		lines = append(lines, strings.TrimSpace(string(e.Action)+" "+string(e.Outcome)+" "+string(e.Refusal)))
	}
	return lines
}

func (f *fixture) logged() int { return len(f.base.Entries(f.T, f.ledger)) }

// faultyStore fails Updates in both ways: not applied, and applied.
type faultyStore struct {
	service.Store
	fail string // "": none; "before": not applied; "after": applied
}

func (s *faultyStore) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	lost := sluice.Wrap(sluice.CodeUnavailable, "the store is made to fail", nil)
	switch s.fail {
	case "before":
		return lost
	case "after":
		return errors.Join(s.Store.Update(ctx, l, fn), lost)
	}
	return s.Store.Update(ctx, l, fn)
}

func wantCode(t *testing.T, err error, want sluice.Code) {
	t.Helper()
	if got := sluice.CodeOf(err); got != want {
		t.Errorf("got code %q (%v), want %q", got, err, want)
	}
}

// part requests the first bytes of a file.
func part(bytes int64) gate.Want {
	return gate.Want{Ranges: []gate.RangeSpec{{First: 0, Last: bytes - 1}}}
}

var (
	whole   gate.Want
	nothing = gate.Want{Method: "HEAD"}
)

var (
	here  = netip.MustParseAddr("198.51.100.4")
	there = netip.MustParseAddr("203.0.113.9")
)

// grant redeems a link without reporting a delivery.
func (f *fixture) grant(token string, b gate.Bearer) (*gate.Grant, error) {
	f.Helper()
	b.Request.ID, b.Request.Method = f.NewRequestID(), "GET"
	if b.Want.Method == "HEAD" {
		b.Request.Method = "HEAD"
	}
	g, err := f.Redeem(ctx, token, b)
	if err == nil && g.Content != nil {
		f.Cleanup(func() { g.Content.Close() })
	}
	return g, err
}

// spend redeems a link and delivers all its bytes.
func (f *fixture) spend(token string, b gate.Bearer) error {
	f.Helper()
	g, err := f.grant(token, b)
	if err == nil {
		f.Delivered(g, g.Plan.Bytes)
	}
	return err
}

func (f *fixture) downloads(id string) int64 {
	f.Helper()
	l, err := f.Links.Get(ctx, f.caller, "", id)
	if err != nil {
		f.Fatal(err)
	}
	return l.Downloads
}

func (f *fixture) flush() {
	f.Helper()
	patience, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := f.Flush(patience); err != nil {
		f.Fatal(err)
	}
}

func wantReason(t *testing.T, err error, want sluice.Refusal) {
	t.Helper()
	if got := sluice.ReasonOf(err); got != want {
		t.Errorf("refused as %q (%v), want %q", got, err, want)
	}
}

// second returns a service and gate with a Store of their own on the same data, like another process.
func (f *fixture) second() *fixture {
	f.Helper()
	var db *store.Store
	var err error
	if f.base.Database != "" {
		db, err = store.OpenPostgres(ctx, f.base.Database, store.Options{})
	} else {
		db, err = store.OpenSQLite(filepath.Join(f.base.Dir, "sluice.db"), store.Options{})
	}
	if err != nil {
		f.Fatal(err)
	}
	other := *f
	other.config.Store = db
	other.use(nil)
	f.Cleanup(func() {
		other.flush()
		db.Close()
	})
	return &other
}

// eachDatabase runs a test on SQLite and on PostgreSQL.
func eachDatabase(t *testing.T, test func(*testing.T, *fixture)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newFixture(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, newFixtureOver(t, sluicetest.NewServiceOn(t, sluicetest.Postgres(t))))
	})
}
