package service_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/service"
	"sluice/internal/token"
	"sluice/sluicetest"
)

var ctx = context.Background()

// fixture is a service with an API key, on a store that can fail.
type fixture struct {
	*service.Service
	*gate.Gate // of the links of Service
	*testing.T
	base   *sluicetest.Service
	store  *faultyStore
	config service.Config
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

// use replaces the service by another one on the same data.
func (f *fixture) use(p sluice.Purposes) {
	f.Helper()
	f.Service = f.withPurposes(p)
	f.Gate = sluicetest.NewGate(f.T, f.Service, f.config)
}

// withPurposes returns another service on the same data.
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
	request := sluice.Request{ID: "req_test", Method: "POST", Route: "/test", IP: "192.0.2.1"}
	c, err := f.Keys.Authenticate(ctx, secret, request)
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

// redeem reads all of a file through a link.
func (f *fixture) redeem(token string) (string, error) {
	g, err := f.Redeem(ctx, token, gate.Bearer{Request: sluice.Request{ID: f.NewRequestID(), Method: "GET"}})
	if err != nil {
		return "", err
	}
	defer g.Content.Close()
	content, err := io.ReadAll(io.LimitReader(g.Content, g.Plan.Bytes))
	f.Delivered(g, int64(len(content)))
	return string(content), err
}

func (f *fixture) flush() {
	f.Helper()
	patience, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := f.Flush(patience); err != nil {
		f.Fatal(err)
	}
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

// faultyStore fails Updates before or after their commit, or as on a full disk.
type faultyStore struct {
	service.Store
	fail string // "": not; "before": not applied; "after": applied, and the answer lost; "full": those that end nothing
}

func (s *faultyStore) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	lost := sluice.Wrap(sluice.CodeUnavailable, "the store is made to fail", nil)
	switch s.fail {
	case "before":
		return lost
	case "after":
		return errors.Join(s.Store.Update(ctx, l, fn), lost)
	case "full":
		if !service.IsEnding(ctx) {
			return sluice.Wrap(sluice.CodeStorageFull, "the store is made to be full", nil)
		}
	}
	return s.Store.Update(ctx, l, fn)
}

func wantCode(t *testing.T, err error, want sluice.Code) {
	t.Helper()
	if got := sluice.CodeOf(err); got != want {
		t.Errorf("got code %q (%v), want %q", got, err, want)
	}
}

func wantReason(t *testing.T, err error, want sluice.Refusal) {
	t.Helper()
	if got := sluice.ReasonOf(err); got != want {
		t.Errorf("refused as %q (%v), want %q", got, err, want)
	}
}

// A change checks the key as it is in the transaction, not as it was when the caller authenticated.
func TestKeyRevokedSinceItWasPresented(t *testing.T) {
	f := newFixture(t)
	file := f.upload("content")
	if _, err := f.Keys.Revoke(ctx, service.Operator(f.ledger), f.caller.Key.ID, nil); err != nil {
		t.Fatal(err)
	}
	before := f.logged()
	_, err := f.Links.Mint(ctx, f.caller, service.NewLink{FileID: file.ID})
	wantCode(t, err, sluice.CodeUnauthenticated)
	_, err = f.Files.Delete(ctx, f.caller, file.ID, nil)
	wantCode(t, err, sluice.CodeUnauthenticated)
	_, err = f.tryUpload(strings.NewReader("more"))
	wantCode(t, err, sluice.CodeUnauthenticated)
	if diff := cmp.Diff([]string(nil), f.log(before)); diff != "" {
		t.Error(diff)
	}
	if keys := f.base.BlobKeys(t); len(keys) != 1 {
		t.Errorf("a refused upload left bytes: %v", keys)
	}
}

// A missing scope is recorded.
func TestMissingScopeIsRecorded(t *testing.T) {
	f := newFixture(t)
	file := f.upload("content")
	reader := f.newCaller(f.ledger, sluice.FilesRead)
	before := f.logged()
	_, err := f.Links.Mint(ctx, reader, service.NewLink{FileID: file.ID})
	wantCode(t, err, sluice.CodeForbidden)
	_, err = f.Entries.List(ctx, reader, service.EntryFilter{}, sluice.Page{Limit: 1})
	wantCode(t, err, sluice.CodeForbidden)
	want := []string{
		"access.denied refused missing_scope:links:write",
		"access.denied refused missing_scope:audit:read",
	}
	if diff := cmp.Diff(want, f.log(before)); diff != "" {
		t.Error(diff)
	}
}

// An upload that fails leaves nothing. An upload that was committed, but whose result was lost, keeps everything.
func TestFailedUploadsLeaveNothing(t *testing.T) {
	f := newFixture(t)
	before := f.logged()
	broken := errors.New("the connection broke")
	for name, try := range map[string]func() error{
		"content breaks off": func() error {
			_, err := f.tryUpload(io.MultiReader(strings.NewReader("half"), failingReader{broken}))
			return err
		},
		"description fails": func() error {
			describe := func() (service.NewFile, error) { return service.NewFile{}, broken }
			_, err := f.Files.Create(ctx, f.caller, "", strings.NewReader("content"), describe)
			return err
		},
		"purpose unknown afterwards": func() error {
			_, err := f.Files.Create(ctx, f.caller, "", strings.NewReader("content"), func() (service.NewFile, error) {
				return service.NewFile{Purpose: "nonsense"}, nil
			})
			return err
		},
		"type not allowed": func() error {
			_, err := f.Files.Create(ctx, f.caller, "", strings.NewReader("content"), func() (service.NewFile, error) {
				return service.NewFile{Purpose: "identity_document", Filename: "a.txt"}, nil
			})
			return err
		},
	} {
		if err := try(); err == nil {
			t.Errorf("%s: the upload succeeded", name)
		}
		if keys := f.base.BlobKeys(t); len(keys) != 0 {
			t.Errorf("%s: bytes are left: %v", name, keys)
		}
		if diff := cmp.Diff([]string(nil), f.log(before)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	f.store.fail = "after"
	_, err := f.tryUpload(strings.NewReader("content"))
	f.store.fail = ""
	wantCode(t, err, sluice.CodeUnavailable)
	list, err := f.Files.List(ctx, f.caller, service.FileFilter{}, sluice.Page{Limit: 10})
	if err != nil || len(list.Data) != 1 {
		t.Fatalf("%d files are recorded, %v", len(list.Data), err)
	}
	_, token := f.mint(list.Data[0])
	if content, err := f.redeem(token); content != "content" {
		t.Errorf("a recorded file reads %q, %v", content, err)
	}
	// If a commit may still happen, the bytes are left to the sweep.
	f.store.fail = "before"
	_, err = f.tryUpload(strings.NewReader("content"))
	f.store.fail = ""
	wantCode(t, err, sluice.CodeUnavailable)
	if keys := f.base.BlobKeys(t); len(keys) != 2 {
		t.Errorf("stored: %q, want the recorded file, and the one that the sweep decides on", keys)
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// The size limit of a purpose holds, whether the purpose is known before the content or after it.
func TestUploadLimit(t *testing.T) {
	f := newFixture(t)
	const limit = 10 << 20 // of logo
	for _, known := range []string{"logo", ""} {
		for size, want := range map[int64]sluice.Code{limit: "", limit + 1: sluice.CodeTooLarge} {
			_, err := f.Files.Create(ctx, f.caller, known, io.LimitReader(zeros{}, size), func() (service.NewFile, error) {
				return service.NewFile{Purpose: "logo", Filename: "a.png"}, nil
			})
			if got := sluice.CodeOf(err); got != want {
				t.Errorf("purpose known as %q, %d bytes: code %q, want %q", known, size, got, want)
			}
		}
	}
	if n := len(f.base.BlobKeys(t)); n != 2 {
		t.Errorf("%d blobs are stored, want the 2 that fit", n)
	}
	much := &io.LimitedReader{R: zeros{}, N: 10 * limit}
	_, err := f.Files.Create(ctx, f.caller, "logo", much, nil)
	wantCode(t, err, sluice.CodeTooLarge)
	if read := 10*limit - much.N; read > limit+1 {
		t.Errorf("%d bytes were read of a file that may have %d", read, limit)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// The longest lifetime of a link counts from its minting, also for updates.
func TestLinkLifetime(t *testing.T) {
	seconds := func(n int64) *time.Duration { d := time.Duration(n) * time.Second; return &d }
	f := newFixture(t)
	file := f.upload("content")
	now := f.Now()
	for _, c := range []struct {
		name string
		ask  service.NewLink
		want time.Duration // 0: refused
	}{
		{"nothing", service.NewLink{}, time.Hour},
		{"one second", service.NewLink{Lifetime: seconds(1)}, time.Second},
		{"a day", service.NewLink{Lifetime: seconds(86400)}, 24 * time.Hour},
		{"a second more", service.NewLink{Lifetime: seconds(86401)}, 0},
		{"none", service.NewLink{Lifetime: seconds(0)}, 0},
		{"negative", service.NewLink{Lifetime: seconds(-1)}, 0},
		{"a moment", service.NewLink{Expires: now.Add(time.Minute)}, time.Minute},
		{"this moment", service.NewLink{Expires: now}, 0},
		{"a moment too far", service.NewLink{Expires: now.Add(24*time.Hour + time.Microsecond)}, 0},
		{"both", service.NewLink{Lifetime: seconds(60), Expires: now.Add(time.Minute)}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.ask.FileID = file.ID
			l, err := f.Links.Mint(ctx, f.caller, c.ask)
			switch {
			case c.want == 0:
				wantCode(t, err, sluice.CodeValidation)
			case err != nil:
				t.Error(err)
			case !l.Expires.Equal(now.Add(c.want)):
				t.Errorf("it expires %v after its minting, want %v", l.Expires.Sub(now), c.want)
			}
		})
	}
	l, _ := f.mint(file)
	f.base.Clock.Advance(30 * time.Minute)
	_, err := f.Links.Update(ctx, f.caller, "", l.ID, nil, service.LinkChange{Lifetime: seconds(86400)})
	wantCode(t, err, sluice.CodeValidation)
	l, err = f.Links.Update(ctx, f.caller, "", l.ID, nil, service.LinkChange{Lifetime: seconds(86400 - 1800)})
	if err != nil || !l.Expires.Equal(now.Add(24*time.Hour)) {
		t.Errorf("extended to %v, %v", l.Expires, err)
	}
}

// Every operation that changes something adds its entries. No other operation adds entries.
func TestEveryChangeHasItsEntry(t *testing.T) {
	f := newFixture(t)
	var file sluice.File
	var link sluice.Link
	var key sluice.Key
	reason, yes, no := "a better one", true, false
	operator := service.Operator(f.ledger)
	for _, step := range []struct {
		want string
		do   func() error
	}{
		{"file.created allowed", func() (err error) { file, err = f.tryUpload(strings.NewReader("content")); return err }},
		{"link.created allowed", func() error { link, _ = f.mint(file); return nil }},
		{"link.updated allowed", func() error {
			_, err := f.Links.Update(ctx, f.caller, "", link.ID, nil, service.LinkChange{Reason: &reason})
			return err
		}},
		{"", func() error { _, err := f.Files.Get(ctx, f.caller, file.ID); return err }},
		{"", func() error { _, err := f.Links.Get(ctx, f.caller, "", link.ID); return err }},
		{"", func() error {
			_, err := f.Links.List(ctx, f.caller, service.LinkFilter{}, sluice.Page{Limit: 1})
			return err
		}},
		{"link.revoked allowed", func() error { _, err := f.Links.Revoke(ctx, f.caller, "", link.ID, nil); return err }},
		{"key.created allowed", func() (err error) {
			created, err := f.Keys.Create(ctx, operator, service.NewKey{Name: "another"})
			key = created.Key
			return err
		}},
		{"key.rotated allowed", func() error { _, err := f.Keys.Rotate(ctx, operator, key.ID, 0); return err }},
		{"key.updated allowed", func() error {
			_, err := f.Keys.Update(ctx, operator, key.ID, nil, service.KeyChange{Name: &reason})
			return err
		}},
		{"key.revoked allowed", func() error { _, err := f.Keys.Revoke(ctx, operator, key.ID, nil); return err }},
		{"link.created allowed, link.created allowed", func() error {
			_, err := f.Links.MintBatch(ctx, f.caller, []string{file.ID, "file_absent", file.ID}, nil, service.NewLink{})
			return err
		}},
		{"file.updated allowed", func() error {
			_, err := f.Files.Update(ctx, f.caller, file.ID, nil, service.FileChange{Title: &reason})
			return err
		}},
		{"file.held allowed", func() error {
			_, err := f.Files.Update(ctx, f.caller, file.ID, nil, service.FileChange{Held: &yes})
			return err
		}},
		{"file.released allowed", func() error {
			_, err := f.Files.Update(ctx, f.caller, file.ID, nil, service.FileChange{Held: &no})
			return err
		}},
		{"file.deleted allowed", func() error { _, err := f.Files.Delete(ctx, f.caller, file.ID, nil); return err }},
	} {
		before := f.logged()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.want, err)
		}
		if got := strings.Join(f.log(before), ", "); got != step.want {
			t.Errorf("entries %q, want %q", got, step.want)
		}
	}
}

func TestStart(t *testing.T) {
	base := sluicetest.NewService(t) // has an account, and no key
	start := func(keys ...token.Key) (*service.First, error) {
		s, err := service.New(service.Config{
			Store: base.Store, Blobs: base.Blobs, SigningKeys: keys, PublicURL: "http://localhost",
		})
		if err != nil {
			t.Fatal(err)
		}
		return s.Start(ctx)
	}
	var keys []token.Key
	for range 3 {
		k, err := token.NewKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	first, err := start(keys[0])
	if err != nil || first == nil || !strings.HasPrefix(first.Secret, "sk_test_") {
		t.Fatalf("the first start gave %+v, %v", first, err)
	}
	if again, err := start(keys[0]); err != nil || again != nil {
		t.Errorf("the second start gave %+v, %v", again, err)
	}
	if _, err := start(keys[1]); err == nil {
		t.Error("a foreign signing key is accepted")
	}
	if _, err := start(keys[1], keys[0]); err != nil {
		t.Errorf("a rotated signing key: %v", err)
	}
	if _, err := start(keys[1]); err != nil {
		t.Errorf("after a rotation, without the old key: %v", err)
	}
}
