package service_test

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/token"
)

// A key grants at most its own rights.
func TestGranting(t *testing.T) {
	f := newFixture(t)
	hour, day := time.Hour, 24*time.Hour
	boss, err := f.Keys.Create(ctx, service.Operator(f.ledger), service.NewKey{
		Name: "boss", Scopes: []sluice.Scope{sluice.KeysAdmin, sluice.FilesRead},
		MaxLinkLifetime: hour, Expires: f.Now().Add(day),
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Keys.Authenticate(ctx, boss.Secret, sluice.Request{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []struct {
		name string
		ask  service.NewKey
		want sluice.Code
	}{
		{"less", service.NewKey{
			Scopes: []sluice.Scope{sluice.FilesRead}, MaxLinkLifetime: time.Minute, Expires: f.Now().Add(hour),
		}, ""},
		{"the same", service.NewKey{}, ""},
		{"another scope", service.NewKey{Scopes: []sluice.Scope{sluice.FilesWrite}}, sluice.CodeForbidden},
		{"longer links", service.NewKey{MaxLinkLifetime: hour + time.Second}, sluice.CodeForbidden},
		{"links without end", service.NewKey{MaxLinkLifetime: sluice.Forever}, sluice.CodeForbidden},
		{"a longer life", service.NewKey{Expires: f.Now().Add(day + time.Second)}, sluice.CodeForbidden},
	} {
		n.ask.Name = n.name
		made, err := f.Keys.Create(ctx, c, n.ask)
		if got := sluice.CodeOf(err); got != n.want {
			t.Errorf("%s: code %q (%v), want %q", n.name, got, err, n.want)
		}
		if err == nil && (made.Key.Expires.IsZero() || made.Key.MaxLinkLifetime > hour) {
			t.Errorf("%s: the key lives until %v, its links %v", n.name, made.Key.Expires, made.Key.MaxLinkLifetime)
		}
	}
	more := []sluice.Scope{sluice.KeysAdmin, sluice.FilesRead, sluice.AuditRead}
	_, err = f.Keys.Update(ctx, c, boss.Key.ID, nil, service.KeyChange{Scopes: &more})
	wantCode(t, err, sluice.CodeForbidden)
	// A key must not rotate a more powerful key: it would get the new secret.
	_, err = f.Keys.Rotate(ctx, c, f.caller.Key.ID, 0)
	wantCode(t, err, sluice.CodeForbidden)
}

func TestRotation(t *testing.T) {
	f := newFixture(t)
	key, first := f.base.NewKey(t, f.ledger)
	operator := service.Operator(f.ledger)
	good := func(secret string) bool {
		_, err := f.Keys.Authenticate(ctx, secret, sluice.Request{})
		return err == nil
	}
	rotated, err := f.Keys.Rotate(ctx, operator, key.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !good(first) || !good(rotated.Secret) {
		t.Error("during the overlap a secret is refused")
	}
	again, err := f.Keys.Rotate(ctx, operator, key.ID, time.Hour)
	if err != nil || good(first) || !good(rotated.Secret) || !good(again.Secret) {
		t.Errorf("the oldest of three secrets is accepted, or a newer one is refused (%v)", err)
	}
	f.base.Clock.Advance(time.Hour)
	if good(rotated.Secret) || !good(again.Secret) {
		t.Error("after the overlap the old secret is accepted, or the new one is refused")
	}
	if _, err := f.Keys.Revoke(ctx, operator, key.ID, nil); err != nil || good(again.Secret) {
		t.Errorf("a revoked key is accepted (%v)", err)
	}
}

func TestHoldAndRetention(t *testing.T) {
	f := newFixture(t)
	yes, no := true, false
	file := f.upload("content")
	if _, err := f.Files.Update(ctx, f.caller, file.ID, nil, service.FileChange{Held: &yes}); err != nil {
		t.Fatal(err)
	}
	_, err := f.Files.Delete(ctx, f.caller, file.ID, nil)
	wantCode(t, err, sluice.CodeFileHeld)

	// The same store with purposes that have a retention period.
	generic := sluice.Purpose{Name: "generic", MaxSize: 100, Linkable: true, Retention: time.Hour}
	purposes, err := sluice.NewPurposes([]sluice.Purpose{generic})
	if err != nil {
		t.Fatal(err)
	}
	f.use(purposes)
	kept := f.upload("kept")
	held := f.upload("held")
	if !kept.Expires.Equal(f.Now().Add(time.Hour)) {
		t.Errorf("it expires at %v", kept.Expires)
	}
	_, err = f.Files.Delete(ctx, f.caller, kept.ID, nil)
	wantCode(t, err, sluice.CodeFileHeld)
	_, err = f.Files.Update(ctx, f.caller, held.ID, nil, service.FileChange{Held: &yes})
	wantCode(t, err, "")

	f.base.Clock.Advance(time.Hour - time.Microsecond)
	if n, err := f.Retention.Run(ctx); n != 0 || err != nil {
		t.Errorf("a moment early, %d files are deleted, %v", n, err)
	}
	f.base.Clock.Advance(time.Microsecond)
	before := f.logged()
	if n, err := f.Retention.Run(ctx); n != 1 || err != nil {
		t.Errorf("%d files are deleted, %v", n, err)
	}
	if diff := cmp.Diff([]string{"file.retained_out allowed"}, f.log(before)); diff != "" {
		t.Error(diff)
	}
	e := f.base.Entries(t, f.ledger)[before]
	told := &sluice.FilePart{
		ID: kept.ID, Filename: kept.Filename, Size: kept.Size, Type: kept.Type, SHA256: kept.SHA256.String(),
		Purpose:  kept.Purpose,
		Metadata: kept.Metadata, Details: &sluice.FileDetails{Title: kept.Title, Held: kept.Held, Linked: kept.Linked,
			Expires: &kept.Expires},
	}
	if diff := cmp.Diff(told, e.File, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the file in the entry (-want +got):\n%s", diff)
	}
	want := slices.Sorted(slices.Values([]string{file.ID, held.ID}))
	if diff := cmp.Diff(want, f.base.BlobKeys(t)); diff != "" {
		t.Errorf("bytes (-want +got):\n%s", diff)
	}
	_, err = f.Files.Update(ctx, f.caller, held.ID, nil, service.FileChange{Held: &no})
	wantCode(t, err, "")
	if n, err := f.Retention.Run(ctx); n != 1 || err != nil {
		t.Errorf("after the release, %d files are deleted, %v", n, err)
	}
}

func TestPreconditions(t *testing.T) {
	f := newFixture(t)
	title := "new"
	file := f.upload("content")
	unchanged := service.Precondition{file.Version()}
	changed, err := f.Files.Update(ctx, f.caller, file.ID, unchanged, service.FileChange{Title: &title})
	if err != nil {
		t.Fatal(err)
	}
	if changed.Version() == file.Version() {
		t.Error("a change within the same microsecond keeps the version")
	}
	_, err = f.Files.Update(ctx, f.caller, file.ID, unchanged, service.FileChange{Title: &title})
	wantCode(t, err, sluice.CodePreconditionFailed)
	_, err = f.Files.Delete(ctx, f.caller, file.ID, service.Precondition{file.Version(), "x"})
	wantCode(t, err, sluice.CodePreconditionFailed)
	_, err = f.Files.Delete(ctx, f.caller, file.ID, service.Precondition{})
	wantCode(t, err, sluice.CodePreconditionFailed)
	_, err = f.Files.Delete(ctx, f.caller, file.ID, service.Precondition{"x", changed.Version()})
	wantCode(t, err, "")
}

func TestDeclaredDigest(t *testing.T) {
	f := newFixture(t)
	sum := sluice.Digest(sha256.Sum256([]byte("content")))
	for content, want := range map[string]sluice.Code{"content": "", "contents": sluice.CodeDigestMismatch} {
		_, err := f.Files.Create(ctx, f.caller, "", strings.NewReader(content), func() (service.NewFile, error) {
			return service.NewFile{Purpose: "generic", SHA256: &sum}, nil
		})
		wantCode(t, err, want)
	}
	if n := len(f.base.BlobKeys(t)); n != 1 {
		t.Errorf("%d blobs are stored, want 1", n)
	}
}

// TestIdempotencyKey repeats requests that succeeded, that failed, and whose response was lost.
func TestIdempotencyKey(t *testing.T) {
	f := newFixture(t)
	file := f.upload("content")
	as := func(key, request string) service.Caller {
		c := f.caller
		fingerprint := service.Fingerprint{sha256.Sum256([]byte(request))}
		c.IdempotencyKey = &service.IdempotencyKey{Value: key, Fingerprint: fingerprint}
		return c
	}
	mint := func(c service.Caller) (sluice.Link, error) {
		return f.Links.Mint(ctx, c, service.NewLink{FileID: file.ID})
	}
	first, err := mint(as("a", "x"))
	if err != nil {
		t.Fatal(err)
	}
	before := f.logged()
	c := as("a", "x")
	if again, err := mint(c); err != nil || again.ID != first.ID || c.IdempotencyKey.Replayed == nil {
		t.Errorf("the repeated request made %s, %v; replayed %v", again.ID, err, c.IdempotencyKey.Replayed)
	}
	if diff := cmp.Diff([]string(nil), f.log(before)); diff != "" {
		t.Error(diff)
	}
	_, err = mint(as("a", "y"))
	wantCode(t, err, sluice.CodeIdempotencyReused)

	f.store.fail = "after"
	_, err = mint(as("b", "x"))
	f.store.fail = ""
	wantCode(t, err, sluice.CodeUnavailable)
	before = f.logged()
	if _, err := mint(as("b", "x")); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string(nil), f.log(before)); diff != "" {
		t.Errorf("a request whose response was lost took effect twice: %s", diff)
	}

	f.base.Clock.Advance(service.StoredResponseTTL - time.Microsecond)
	if again, err := mint(as("a", "x")); err != nil || again.ID != first.ID {
		t.Errorf("a moment before the stored response expires: %s, %v", again.ID, err)
	}
	f.base.Clock.Advance(time.Microsecond)
	if again, err := mint(as("a", "x")); err != nil || again.ID == first.ID {
		t.Errorf("after a day the response is still stored: %v", err)
	}
}

func TestIdempotencyKeyOfUploads(t *testing.T) {
	f := newFixture(t)
	upload := func(content, title string) (service.CreatedFile, error) {
		c := f.caller
		c.IdempotencyKey = &service.IdempotencyKey{Value: "upload"}
		return f.Files.Create(ctx, c, "", strings.NewReader(content), func() (service.NewFile, error) {
			return service.NewFile{Purpose: "generic", Title: title, Link: &service.NewLink{Reason: "with it"}}, nil
		})
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	files, links := map[string]int{}, map[string]int{}
	for range 64 {
		all.Go(func() {
			created, err := upload("content", "t")
			mu.Lock()
			defer mu.Unlock()
			if err != nil || created.Link == nil {
				t.Errorf("%+v, %v", created, err)
				return
			}
			files[created.File.ID]++
			links[created.Link.ID]++
		})
	}
	all.Wait()
	if len(files) != 1 || len(links) != 1 {
		t.Errorf("64 copies made %d files and %d links", len(files), len(links))
	}
	if keys := f.base.BlobKeys(t); len(keys) != 1 {
		t.Errorf("%d blobs are stored", len(keys))
	}
	for _, other := range [][2]string{{"content!", "t"}, {"content", "u"}} {
		_, err := upload(other[0], other[1])
		wantCode(t, err, sluice.CodeIdempotencyReused)
	}
}

// TestBatch mints all links of a batch, or none.
func TestBatch(t *testing.T) {
	f := newFixture(t)
	a, b := f.upload("a"), f.upload("b")
	batch, err := f.Links.MintBatch(ctx, f.caller, []string{a.ID, "file_absent", b.ID, a.ID}, nil, service.NewLink{})
	absent := cmp.Diff([]string{"file_absent"}, batch.Absent)
	if err != nil || len(batch.Links) != 3 || batch.Links[1].FileID != b.ID || absent != "" {
		t.Errorf("%+v, %v", batch, err)
	}
	var unlinkable service.CreatedFile
	unlinkable, err = f.Files.Create(ctx, f.caller, "import", strings.NewReader("c"), func() (service.NewFile, error) {
		return service.NewFile{Purpose: "import"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	before := f.logged()
	_, err = f.Links.MintBatch(ctx, f.caller, []string{a.ID, unlinkable.File.ID}, nil, service.NewLink{})
	wantCode(t, err, sluice.CodeForbidden)
	for _, n := range []int{0, 101} {
		_, err = f.Links.MintBatch(ctx, f.caller, make([]string, n), nil, service.NewLink{})
		wantCode(t, err, sluice.CodeValidation)
	}
	if diff := cmp.Diff([]string(nil), f.log(before)); diff != "" {
		t.Error(diff)
	}
}

// TestLinksWithoutEnd mints links that do not expire. The key must allow it, and the purpose of the file.
func TestLinksWithoutEnd(t *testing.T) {
	f := newFixture(t)
	file := f.upload("content")
	forever := sluice.Forever
	_, err := f.Links.Mint(ctx, f.caller, service.NewLink{FileID: file.ID, Lifetime: &forever})
	wantCode(t, err, sluice.CodeValidation)
	endless := service.NewKey{Name: "endless links", MaxLinkLifetime: sluice.Forever}
	made, err := f.Keys.Create(ctx, service.Operator(f.ledger), endless)
	if err != nil {
		t.Fatal(err)
	}
	if f.caller, err = f.Keys.Authenticate(ctx, made.Secret, sluice.Request{}); err != nil {
		t.Fatal(err)
	}
	l, token := f.mintAs(service.NewLink{FileID: file.ID, Lifetime: &forever})
	f.base.Clock.Advance(50 * 365 * 24 * time.Hour)
	if content, err := f.redeem(token); !l.Expires.IsZero() || content != "content" {
		t.Errorf("fifty years later: %q, %v", content, err)
	}
	identity, err := f.Files.Create(ctx, f.caller, "", strings.NewReader("c"), func() (service.NewFile, error) {
		return service.NewFile{Purpose: "identity_document", Filename: "a.pdf"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Links.Mint(ctx, f.caller, service.NewLink{FileID: identity.File.ID, Lifetime: &forever})
	wantCode(t, err, sluice.CodeValidation)
}

func TestValidationNamesAllFailures(t *testing.T) {
	f := newFixture(t)
	_, err := f.Links.Mint(ctx, f.caller, service.NewLink{
		FileID: "x", Reason: strings.Repeat("r", 501),
		Metadata:     sluice.Metadata{"sluice_x": "1", "bad key": "1", "long": strings.Repeat("é", 501)},
		MaxDownloads: -1, Password: "abc", Disposition: "sideways",
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")},
	})
	var e *sluice.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	var params []string
	for _, field := range e.Fields {
		params = append(params, field.Param+" "+field.Code)
	}
	want := []string{
		"metadata.bad key invalid", "metadata.long too_long", "metadata.sluice_x reserved", "reason too_long",
		"max_downloads out_of_range", "allowed_ips.0 invalid", "disposition invalid", "password out_of_range",
	}
	if diff := cmp.Diff(want, params); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}

// TestKeyUsage reads when a key was last used, at once and after it was stored.
func TestKeyUsage(t *testing.T) {
	f := newFixture(t)
	key, secret := f.base.NewKey(t, f.ledger)
	used := func() time.Time {
		k, err := f.Keys.Get(ctx, service.Operator(f.ledger), key.ID)
		if err != nil {
			t.Fatal(err)
		}
		return k.Used
	}
	if !used().IsZero() {
		t.Errorf("a new key was used at %v", used())
	}
	f.base.Clock.Advance(time.Minute)
	if _, err := f.Keys.Authenticate(ctx, secret, sluice.Request{}); err != nil {
		t.Fatal(err)
	}
	at := f.Now()
	f.base.Clock.Advance(time.Minute)
	if !used().Equal(at) {
		t.Errorf("last used %v, want %v", used(), at)
	}
	if err := f.Keys.WriteUsage(ctx); err != nil {
		t.Fatal(err)
	}
	if !used().Equal(at) {
		t.Errorf("after it was stored: last used %v, want %v", used(), at)
	}
}

// TestIdempotencyKeyAcrossSigningKeys repeats requests while the signing keys are rotated: to processes with the old
// order and the new order of keys, and after the old key was removed.
func TestIdempotencyKeyAcrossSigningKeys(t *testing.T) {
	f := newFixture(t)
	file := f.upload("content")
	var old, fresh token.Key
	for _, k := range []*token.Key{&old, &fresh} {
		var err error
		if *k, err = token.NewKey(rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	with := func(keys ...token.Key) *service.Service {
		s, err := service.New(service.Config{
			Store: f.base.Store, Blobs: f.base.Blobs, SigningKeys: keys, LedgerKeys: f.base.LedgerKeys(), LedgerOrigin: "sluice.test",
			PublicURL: "http://localhost", Now: f.base.Clock.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	mint := func(s *service.Service, idempotencyKey, request string) (string, error) {
		c := f.caller
		c.IdempotencyKey = &service.IdempotencyKey{
			Value: idempotencyKey, Fingerprint: s.Idempotency.Fingerprint(request),
		}
		l, err := s.Links.Mint(ctx, c, service.NewLink{FileID: file.ID})
		return l.ID, err
	}
	upload := func(s *service.Service, idempotencyKey, request string) (string, error) {
		c := f.caller
		c.IdempotencyKey = &service.IdempotencyKey{
			Value: idempotencyKey, Fingerprint: s.Idempotency.Fingerprint(request),
		}
		created, err := s.Files.Create(ctx, c, "generic", strings.NewReader("content"), func() (service.NewFile, error) {
			return service.NewFile{Purpose: "generic", Filename: "a"}, nil
		})
		return created.File.ID, err
	}
	type sender func(s *service.Service, idempotencyKey, request string) (string, error)
	for name, send := range map[string]sender{"link": mint, "file": upload} {
		for i, steps := range [][][]token.Key{
			{{old}, {old, fresh}, {fresh, old}, {old, fresh}},
			{{old, fresh}, {fresh, old}},
			{{fresh, old}, {old, fresh}, {fresh}},
		} {
			idempotencyKey := fmt.Sprint(name, i)
			first, err := send(with(steps[0]...), idempotencyKey, "the request")
			if err != nil {
				t.Fatal(err)
			}
			for j, keys := range steps[1:] {
				if again, err := send(with(keys...), idempotencyKey, "the request"); err != nil || again != first {
					t.Errorf("%s, rotation %d, step %d: %q, %v, want %q", name, i, j+1, again, err, first)
				}
				_, err := send(with(keys...), idempotencyKey, "another request")
				wantCode(t, err, sluice.CodeIdempotencyReused)
			}
		}
	}
}
