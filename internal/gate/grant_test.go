package gate_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/service"
)

// An open grant overrides the download limit and no other rule.
func TestGrantBeyondOtherRules(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		name string
		end  func(sluice.Link) error
		want sluice.Refusal
	}{
		{"none", func(sluice.Link) error { return nil }, ""},
		{"address not allowed", func(l sluice.Link) error {
			only := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
			_, err := f.Links.Update(ctx, f.caller, "", l.ID, nil, service.LinkChange{AllowedIPs: &only})
			return err
		}, sluice.AddressNotAllowed},
		{"revoked", func(l sluice.Link) error {
			_, err := f.Links.Revoke(ctx, f.caller, "", l.ID, nil)
			return err
		}, sluice.Revoked},
		{"file deleted", func(l sluice.Link) error {
			_, err := f.Files.Delete(ctx, f.caller, l.FileID, nil)
			return err
		}, sluice.FileDeleted},
		{"expired", func(l sluice.Link) error {
			f.base.Clock.Advance(time.Minute)
			return nil
		}, sluice.Expired},
	} {
		t.Run(c.name, func(t *testing.T) {
			minute := time.Minute
			l, token := f.mintAs(service.NewLink{FileID: f.upload("0123456789").ID, MaxDownloads: 1, Lifetime: &minute})
			person := gate.Bearer{Address: here, Person: true, Answered: true, Want: part(2)}
			g, err := f.grant(token, person)
			if err != nil || g.Cookie == "" {
				t.Fatalf("%+v, %v", g, err)
			}
			f.Delivered(g, 2)
			if err := c.end(l); err != nil {
				t.Fatal(err)
			}
			wantReason(t, f.spend(token, gate.Bearer{Address: here, Cookie: g.Cookie, Want: part(2)}), c.want)
		})
	}
	t.Run("elsewhere with the cookie", func(t *testing.T) {
		_, token := f.mintAs(
			service.NewLink{
				FileID:       f.upload("0123456789").ID,
				MaxDownloads: 1,
				AllowedIPs:   []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
			},
		)
		g, err := f.grant(token, gate.Bearer{Address: here, Person: true, Answered: true})
		if err != nil {
			t.Fatal(err)
		}
		f.Delivered(g, 10)
		wantReason(
			t,
			f.spend(token, gate.Bearer{Address: there, Cookie: g.Cookie, Want: part(1)}),
			sluice.AddressNotAllowed,
		)
		wantReason(t, f.spend(token, gate.Bearer{Address: here, Cookie: g.Cookie, Want: part(1)}), "")
	})
}

// Which requests an open grant allows, and which ones count as a download. The
// file has ten bytes, so an open grant allows twenty.
func TestGrants(t *testing.T) {
	f := newFixture(t)
	client := gate.Bearer{Address: here, Request: sluice.Request{UserAgent: "curl/8"}}
	with := func(b gate.Bearer, want gate.Want) gate.Bearer {
		b.Want = want
		return b
	}
	other, agent := client, client
	other.Address, agent.Request.UserAgent = there, "wget/1"
	for _, c := range []struct {
		name    string
		bearers []gate.Bearer
		wait    time.Duration // before the last one
		want    int64
	}{
		{"a range opens a grant", []gate.Bearer{with(client, part(1))}, 0, 1},
		{"ranges of the same client", []gate.Bearer{client, with(client, part(3)), with(client, part(2))}, 0, 1},
		{"exactly to the border", []gate.Bearer{client, with(client, part(9)), with(client, part(1))}, 0, 1},
		{"a byte beyond it", []gate.Bearer{client, with(client, part(9)), with(client, part(2))}, 0, 2},
		{"beyond it in two", []gate.Bearer{client, with(client, part(10)), with(client, part(1))}, 0, 2},
		{"of a first range", []gate.Bearer{with(client, part(1)), with(client, part(10)), with(client, part(9))}, 0, 1},
		{"beyond a first range", []gate.Bearer{with(client, part(1)), with(client, part(10)), with(client, part(10))}, 0, 2},
		{"all once more", []gate.Bearer{client, client}, 0, 1},
		{"all after a part", []gate.Bearer{with(client, part(1)), client}, 0, 1},
		{"all twice more", []gate.Bearer{client, client, client}, 0, 2},
		{"all once more, and a part", []gate.Bearer{client, client, with(client, part(1))}, 0, 2},
		{"all again by another", []gate.Bearer{client, other}, 0, 2},
		{"all again ten minutes later", []gate.Bearer{client, client}, gate.GrantLasts, 2},
		{"another address", []gate.Bearer{client, with(other, part(1))}, 0, 2},
		{"another user agent", []gate.Bearer{client, with(agent, part(1))}, 0, 2},
		{"a moment before ten minutes", []gate.Bearer{client, with(client, part(1))}, gate.GrantLasts - time.Microsecond, 1},
		{"ten minutes later", []gate.Bearer{client, with(client, part(1))}, gate.GrantLasts, 2},
		{"responses without content", []gate.Bearer{with(client, nothing), with(client, nothing)}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, token := f.mintAs(service.NewLink{FileID: f.upload("0123456789").ID, MaxDownloads: 9})
			for i, b := range c.bearers {
				if i == len(c.bearers)-1 {
					f.base.Clock.Advance(c.wait)
				}
				if err := f.spend(token, b); err != nil {
					t.Fatal(err)
				}
				f.flush()
			}
			if n := f.downloads(l.ID); n != c.want {
				t.Errorf("%d downloads are counted, want %d", n, c.want)
			}
		})
	}
	t.Run("exhausted", func(t *testing.T) {
		l, token := f.mintAs(service.NewLink{FileID: f.upload("0123456789").ID, MaxDownloads: 1})
		wantReason(t, f.spend(token, client), "")
		wantReason(t, f.spend(token, with(client, nothing)), "") // within the open grant
		wantReason(t, f.spend(token, with(other, nothing)), sluice.Exhausted)
		wantReason(t, f.spend(token, with(client, part(5))), "")
		wantReason(t, f.spend(token, client), sluice.Exhausted)
		wantReason(t, f.spend(token, with(client, part(5))), "")
		wantReason(t, f.spend(token, with(client, part(1))), sluice.Exhausted)
		wantReason(t, f.spend(token, client), sluice.Exhausted)
		f.base.Clock.Advance(gate.GrantLasts)
		wantReason(t, f.spend(token, with(client, nothing)), sluice.Exhausted)
		if n := f.downloads(l.ID); n != 1 {
			t.Errorf("%d downloads are counted", n)
		}
	})
	t.Run("an empty file", func(t *testing.T) {
		l, token := f.mintAs(service.NewLink{FileID: f.upload("").ID, MaxDownloads: 1})
		wantReason(t, f.spend(token, client), "")
		wantReason(t, f.spend(token, client), "")
		wantReason(t, f.spend(token, client), sluice.Exhausted)
		if n := f.downloads(l.ID); n != 1 {
			t.Errorf("%d downloads are counted", n)
		}
	})
}

// A cookie is valid for its own link only. An invalid cookie does not affect the
// client that sends it.
func TestGrantCookie(t *testing.T) {
	f := newFixture(t)
	file := f.upload("0123456789")
	_, one := f.mintAs(service.NewLink{FileID: file.ID, MaxDownloads: 1, Password: "correct horse"})
	another, two := f.mintAs(service.NewLink{FileID: file.ID, MaxDownloads: 9, Password: "correct horse"})
	person := gate.Bearer{Address: here, Person: true}
	_, err := f.grant(one, person)
	if err != gate.ErrAsk {
		t.Fatal(err)
	}
	person.Answered, person.Password = true, "correct horse"
	g, err := f.grant(one, person)
	if err != nil || g.Cookie == "" {
		t.Fatalf("%+v %v", g, err)
	}
	f.Delivered(g, 10)
	elsewhere := func(want gate.Want) gate.Bearer {
		return gate.Bearer{Address: there, Cookie: g.Cookie, Want: want}
	}
	wantReason(t, f.spend(one, elsewhere(part(1))), "")
	wantReason(t, f.spend(one, elsewhere(nothing)), "")
	wantReason(t, f.spend(one, elsewhere(whole)), sluice.Exhausted) // 9 of 20 bytes are left
	wantReason(t, f.spend(two, elsewhere(part(1))), sluice.WrongPassword)
	wantReason(t, f.spend(two, elsewhere(nothing)), sluice.WrongPassword)
	whose := elsewhere(whole)
	whose.Person = true
	if _, err := f.grant(two, whose); err != gate.ErrAsk {
		t.Errorf("with the cookie of another link: %v", err)
	}

	// Without the cookie the password is needed again, also for ranges.
	client := gate.Bearer{Address: here, Password: "correct horse"}
	wantReason(t, f.spend(two, client), "")
	client.Password, client.Want = "", part(1)
	wantReason(t, f.spend(two, client), sluice.WrongPassword)
	client.Cookie = "worthless"
	wantReason(t, f.spend(two, client), sluice.WrongPassword)
	client.Password = "correct horse"
	wantReason(t, f.spend(two, client), "")
	if n := f.downloads(another.ID); n != 1 {
		t.Errorf("%d downloads are counted of a client with an invalid cookie", n)
	}
	if strings.Contains(f.base.Log.String(), g.Cookie) {
		t.Error("the cookie is in the process log")
	}
}

// Unsent bytes return to the open grant that they were taken from.
func TestGrantGivesBack(t *testing.T) {
	f := newFixture(t)
	client := gate.Bearer{Address: here}
	ranged := func(n int64) gate.Bearer { return gate.Bearer{Address: here, Want: part(n)} }
	l, token := f.mintAs(service.NewLink{FileID: f.upload("0123456789").ID, MaxDownloads: 2})
	g, err := f.grant(token, client)
	if err != nil {
		t.Fatal(err)
	}
	f.Delivered(g, 3) // 17 are left
	f.flush()
	if g, err = f.grant(token, ranged(7)); err != nil {
		t.Fatal(err)
	}
	f.Delivered(g, 0)
	f.flush()
	wantReason(t, f.spend(token, client), "")
	wantReason(t, f.spend(token, ranged(7)), "")
	if n := f.downloads(l.ID); n != 1 {
		t.Errorf("%d downloads are counted", n)
	}

	// They do not return to a later grant.
	f.base.Clock.Advance(gate.GrantLasts)
	first, err := f.grant(token, client)
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, f.spend(token, client), "")
	wantReason(t, f.spend(token, client), sluice.Exhausted)
	no := int64(3)
	if _, err := f.Links.Update(ctx, f.caller, "", l.ID, nil, service.LinkChange{MaxDownloads: &no}); err != nil {
		t.Fatal(err)
	}
	f.base.Clock.Advance(time.Second)
	wantReason(t, f.spend(token, client), "")
	f.Delivered(first, 0)
	f.flush()
	wantReason(t, f.spend(token, ranged(10)), "") // all remaining bytes
	wantReason(t, f.spend(token, ranged(1)), sluice.Exhausted)
}

// What a download did not send returns to the open grant that it was taken from, and to no other one of the bearer,
// although the clock stood still or was set back between them.
func TestGrantsOfOneMoment(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *fixture) {
		ranged := func(n int64) gate.Bearer { return gate.Bearer{Address: here, Want: part(n)} }
		begin := func(token string) *gate.Grant {
			t.Helper()
			g, err := f.grant(token, gate.Bearer{Address: here})
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		mint := func() (sluice.Link, string) {
			return f.mintAs(service.NewLink{FileID: f.upload("0123456789").ID, MaxDownloads: 2})
		}
		t.Run("unsent bytes", func(t *testing.T) {
			_, token := mint()
			first, again := begin(token), begin(token)
			f.base.Clock.Advance(time.Minute)
			f.base.Clock.Advance(-time.Minute)
			wantReason(t, f.spend(token, ranged(10)), "") // counted; 10 bytes are left of the new open grant
			f.Delivered(first, 0)
			f.Delivered(again, 0)
			f.flush()
			wantReason(t, f.spend(token, ranged(10)), "")
			wantReason(t, f.spend(token, ranged(1)), sluice.Exhausted)
		})
		t.Run("a failed download", func(t *testing.T) {
			l, token := mint()
			first, again := begin(token), begin(token)
			wantReason(t, f.spend(token, ranged(10)), "")
			f.Failed(first, 0) // the open grant that it began was replaced
			f.Delivered(again, 10)
			f.flush()
			wantReason(t, f.spend(token, ranged(10)), "")
			if n := f.downloads(l.ID); n != 1 {
				t.Errorf("%d downloads are counted, want 1", n)
			}
		})
		t.Run("of a closed grant", func(t *testing.T) {
			l, token := mint()
			first, again := begin(token), begin(token)
			f.base.Clock.Advance(gate.GrantLasts)
			f.Failed(first, 0)
			f.Delivered(again, 0)
			f.flush()
			f.base.Clock.Advance(-time.Second)
			wantReason(t, f.spend(token, ranged(1)), "")
			if n := f.downloads(l.ID); n != 1 {
				t.Errorf("%d downloads are counted, want 1", n)
			}
		})
	})
}

// lossy returns an error for a number of Updates that were committed.
type lossy struct {
	service.Store
	mu   sync.Mutex
	lose int
	down bool
}

func (s *lossy) set(lose int, down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose, s.down = lose, down
}

func (s *lossy) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	s.mu.Lock()
	lost, down := s.lose > 0, s.down
	if lost {
		s.lose--
	}
	s.mu.Unlock()
	failure := sluice.Wrap(sluice.CodeUnavailable, "the store is made to fail", nil)
	if down {
		return failure
	}
	if err := s.Store.Update(ctx, l, fn); err != nil || !lost {
		return err
	}
	return failure
}

func newLossy(t *testing.T) (*fixture, *lossy) {
	f := newFixture(t)
	store := &lossy{Store: f.base.Store}
	f.config.Store = store
	f.use(nil)
	return f, store
}

// A delivery that was committed although its Update failed is recorded once, and
// returns its bytes once.
func TestDeliveryIsToldOnce(t *testing.T) {
	f, store := newLossy(t)
	_, token := f.mintAs(service.NewLink{FileID: f.upload("0123456789").ID, MaxDownloads: 1})
	before := f.logged()
	g, err := f.grant(token, gate.Bearer{Address: here, Want: part(10)})
	if err != nil {
		t.Fatal(err)
	}
	store.set(1, false)
	f.Delivered(g, 4) // 16 are left
	f.flush()
	if got := strings.Join(f.log(before), ", "); got != "link.redeemed allowed, link.delivered allowed" {
		t.Errorf("the log says %s", got)
	}
	wantReason(t, f.spend(token, gate.Bearer{Address: here, Want: part(10)}), "")
	wantReason(t, f.spend(token, gate.Bearer{Address: here, Want: part(7)}), sluice.Exhausted)
	wantReason(t, f.spend(token, gate.Bearer{Address: here, Want: part(6)}), "")
}

// failing is a Blobs whose Open fails while down is set.
type failing struct {
	service.Blobs
	down bool
}

func (b *failing) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	if b.down {
		return nil, errors.New("the disk is made to fail")
	}
	return b.Blobs.Open(ctx, key)
}

// A client that has left may ask for its download again. When the time for an answer is over, Sluice has failed, and
// the download is not counted.
func TestEndOfTheContext(t *testing.T) {
	for cause, counted := range map[error]int64{context.Canceled: 1, context.DeadlineExceeded: 0} {
		f := newFixture(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		f.config.Blobs = &ending{Blobs: f.base.Blobs, end: func() { cancel(cause) }}
		f.use(nil)
		l, token := f.mintAs(service.NewLink{FileID: f.upload("0123456789").ID, MaxDownloads: 1})
		if _, err := f.Redeem(ctx, token, gate.Bearer{Address: here}); err == nil {
			t.Fatal("the bytes were opened")
		}
		f.flush()
		if n := f.downloads(l.ID); n != counted {
			t.Errorf("%v: %d downloads are counted, want %d", cause, n, counted)
		}
	}
}

// ending ends a context when bytes are opened, and fails.
type ending struct {
	service.Blobs
	end func()
}

func (b *ending) Open(ctx context.Context, _ string) (io.ReadSeekCloser, error) {
	b.end()
	return nil, ctx.Err()
}

// A download that Sluice failed to send is not counted. One entry says so, also
// if its Update fails after the commit.
func TestFailureGivesTheDownloadBack(t *testing.T) {
	f, store := newLossy(t)
	blobs := &failing{Blobs: f.base.Blobs}
	f.config.Blobs = blobs
	f.use(nil)
	file := f.upload("0123456789")
	for _, lose := range []int{0, 1} {
		l, token := f.mintAs(service.NewLink{FileID: file.ID, MaxDownloads: 2})
		before := f.logged()
		wantReason(t, f.spend(token, gate.Bearer{Address: there}), "")
		f.flush()
		blobs.down = true
		g, err := f.grant(token, gate.Bearer{Address: here, Person: true, Answered: true})
		if sluice.CodeOf(err) != sluice.CodeInternal {
			t.Fatalf("%+v, %v", g, err)
		}
		f.flush()
		blobs.down = false
		if n := f.downloads(l.ID); n != 1 {
			t.Errorf("%d downloads are counted after a failure to open", n)
		}
		g, err = f.grant(token, gate.Bearer{Address: here})
		if err != nil {
			t.Fatal(err)
		}
		store.set(lose, false)
		f.Failed(g, 4)
		f.flush()
		if n := f.downloads(l.ID); n != 1 {
			t.Errorf("%d downloads are counted after a failure to read", n)
		}
		entries := f.base.Entries(t, f.ledger)[before:]
		var returned []int64
		for _, e := range entries {
			for _, d := range e.Deliveries {
				if d.Returned {
					returned = append(returned, d.Sent.Bytes)
				}
			}
		}
		if len(entries) != 6 || len(returned) != 2 || returned[0] != 0 || returned[1] != 4 {
			t.Errorf("%d entries, returned %v: %q", len(entries), returned, f.log(before))
		}
		// The failed one leaves no grant behind: what follows is counted.
		wantReason(t, f.spend(token, gate.Bearer{Address: here, Want: part(1)}), "")
		if n := f.downloads(l.ID); n != 2 {
			t.Errorf("%d downloads are counted for a range after a failure", n)
		}
		// A failed delivery returns all bytes that it took from an open grant.
		g, err = f.grant(token, gate.Bearer{Address: here})
		if err != nil {
			t.Fatal(err)
		}
		f.Failed(g, 10)
		f.flush()
		wantReason(t, f.spend(token, gate.Bearer{Address: here}), "")
		wantReason(t, f.spend(token, gate.Bearer{Address: here, Want: part(10)}), sluice.Exhausted)
		wantReason(t, f.spend(token, gate.Bearer{Address: here, Want: part(9)}), "")
	}
}

// Concurrent requests cannot take more bytes from an open grant than it has.
func TestGrantIsExactAtOnce(t *testing.T) {
	f := newFixture(t)
	l, token := f.mintAs(service.NewLink{FileID: f.upload("0123456789").ID, MaxDownloads: 1})
	wants := []gate.Want{whole, part(3), part(1)}
	var got atomic.Int64
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			g, err := f.Redeem(
				ctx, token,
				gate.Bearer{
					Address: here,
					Want:    wants[i%3],
					Request: sluice.Request{ID: f.NewRequestID(), Method: "GET"},
				},
			)
			if err != nil {
				if sluice.ReasonOf(err) != sluice.Exhausted {
					t.Error(err)
				}
				return
			}
			g.Content.Close()
			got.Add(g.Plan.Bytes)
			f.Delivered(g, g.Plan.Bytes)
		})
	}
	all.Wait()
	f.flush()
	if n := got.Load(); n > 20 || n < 11 || f.downloads(l.ID) != 1 {
		t.Errorf("%d bytes were taken and %d downloads were counted", n, f.downloads(l.ID))
	}
}

// Deliveries during an outage of the store are recorded after it.
func TestDeliveryWhileTheStoreIsDown(t *testing.T) {
	f, store := newLossy(t)
	_, token := f.mint(f.upload("0123456789"))
	before := f.logged()
	g, err := f.grant(token, gate.Bearer{Address: here})
	if err != nil {
		t.Fatal(err)
	}
	store.set(0, true)
	f.Delivered(g, 7)
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if err := f.Flush(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("flush of a store that cannot be written: %v", err)
	}
	store.set(0, false)
	f.flush()
	entries := f.base.Entries(t, f.ledger)[before:]
	if len(entries) != 2 {
		t.Fatalf("%d entries", len(entries))
	}
	if sent := entries[0].Delivery.Sent; sent == nil || sent.Bytes != 7 || sent.Complete ||
		entries[0].Delivery.Entry != entries[1].ID {
		t.Errorf("%+v", entries)
	}
}

// Flush waits for every Grant that was not reported by Delivered or Failed.
func TestFlushWaitsForGrants(t *testing.T) {
	f := newFixture(t)
	_, token := f.mint(f.upload("0123456789"))
	_, empty := f.mint(f.upload(""))
	for _, token := range []string{token, empty} {
		before := f.logged()
		g, err := f.grant(token, gate.Bearer{Address: here})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.spend(token, gate.Bearer{Address: here, Want: nothing}); err != nil {
			t.Fatal(err)
		}
		flushed := make(chan error, 1)
		go func() { flushed <- f.Flush(ctx) }()
		select {
		case err := <-flushed:
			t.Fatalf("flush with an unreported grant: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		f.Delivered(g, g.Plan.Bytes)
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		if got := f.log(before); len(got) != 3 || got[2] != "link.delivered allowed" {
			t.Errorf("the log says %q", got)
		}
	}
}

// Unsent bytes are returned without waiting for other downloads.
func TestGivingBackIsNotHeldUp(t *testing.T) {
	f := newFixture(t)
	file := f.upload("0123456789")
	_, plain := f.mint(file)
	_, token := f.mintAs(service.NewLink{FileID: file.ID, MaxDownloads: 1})
	fastest := time.Hour
	for start := time.Now(); fastest > 80*time.Millisecond && time.Since(start) < time.Minute; {
		began := time.Now()
		if err := f.spend(plain, gate.Bearer{Address: there}); err != nil {
			t.Fatal(err)
		}
		g, err := f.grant(token, gate.Bearer{Address: here, Want: part(10)})
		if err != nil {
			t.Fatal(err)
		}
		wantReason(t, f.spend(token, gate.Bearer{Address: here, Want: part(1)}), "")
		f.Delivered(g, 0)
		for { // 9 of 20 bytes are left until those of g are returned
			g, err := f.grant(token, gate.Bearer{Address: here, Want: part(10)})
			if err == nil {
				f.Delivered(g, 0)
				break
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("the unsent bytes are not returned: %v", err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		fastest = min(fastest, time.Since(began))
		f.flush()
	}
	if fastest > 80*time.Millisecond {
		t.Errorf("the fastest took %v", fastest)
	}
}

// If the clock is set back, no download ends before it began.
func TestDurationIsNotNegative(t *testing.T) {
	f := newFixture(t)
	_, token := f.mint(f.upload("0123456789"))
	g, err := f.grant(token, gate.Bearer{Address: here})
	if err != nil {
		t.Fatal(err)
	}
	f.base.Clock.Advance(-time.Hour)
	f.Delivered(g, 10)
	f.flush()
	if got := f.deliveries(); len(got) != 1 || got[0].Sent.Duration != 0 {
		t.Errorf("%+v", got)
	}
}

// addresses stands for a bucket that presigns URLs.
type addresses struct{ down bool }

func (a *addresses) Presign(_ context.Context, key string, p service.Presigned) (string, error) {
	if a.down {
		return "", errors.New("the bucket is made to fail")
	}
	return "https://bucket.example.com/" + key, nil
}

// A presigned URL gives access to the whole file, whatever range was requested.
// Each one counts as a download, and none has a delivery entry. A link with a
// download limit has none.
func TestRedirectsCount(t *testing.T) {
	f := newFixture(t)
	bucket := &addresses{}
	f.bucket = bucket
	f.use(nil)
	file := f.upload("0123456789")
	_, counted := f.mintAs(service.NewLink{FileID: file.ID, MaxDownloads: 1})
	l, token := f.mint(file)
	redirected := func(want gate.Want) (*gate.Grant, error) {
		return f.grant(token, gate.Bearer{Address: here, Want: want})
	}
	one := part(1)
	for range 2 {
		g, err := redirected(one)
		if err != nil || g.Location == "" || g.Content != nil || g.Plan.Status != 303 {
			t.Fatalf("%+v %v", g, err)
		}
		f.Delivered(g, 0)
		g, err = redirected(nothing)
		if err != nil || g.Location != "" {
			t.Fatalf("HEAD: %+v %v", g, err)
		}
	}
	if n := f.downloads(l.ID); n != 2 {
		t.Errorf("%d downloads are counted", n)
	}
	token = counted
	g, err := redirected(one)
	if err != nil || g.Location != "" || g.Content == nil || g.Plan.Status != 206 {
		t.Errorf("link with a download limit: %+v %v", g, err)
	}
	f.Delivered(g, 1)
	f.flush()
	before := f.logged()
	bucket.down = true
	var failed sluice.Link
	failed, token = f.mint(f.upload("0123456789"))
	if _, err := redirected(one); err == nil {
		t.Error("got neither a URL nor an error")
	}
	f.flush()
	if n := f.downloads(failed.ID); n != 0 {
		t.Errorf("%d downloads are counted although no URL was presigned", n)
	}
	f.flush() // there is nothing to wait for
	for _, e := range f.base.Entries(t, f.ledger)[before:] {
		d := e.Delivery
		if e.Action == sluice.LinkRedeemed && e.Request.Method == "GET" &&
			(d.Mode != sluice.DeliveredByRedirect || !d.Returned) {
			t.Errorf("%s by %+v", e.Action, d)
		}
	}
}
