package gate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/service"
)

// oneFails fails the Updates of some ledgers.
type oneFails struct {
	service.Store
	mu      sync.Mutex
	failing map[sluice.LedgerID]bool
}

func (s *oneFails) set(l sluice.LedgerID, failing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing[l] = failing
}

func (s *oneFails) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	s.mu.Lock()
	failing := s.failing[l]
	s.mu.Unlock()
	if failing {
		return sluice.Wrap(sluice.CodeUnavailable, "the store is made to fail", nil)
	}
	return s.Store.Update(ctx, l, fn)
}

func newOneFails(t *testing.T) (*fixture, *oneFails) {
	f := newFixture(t)
	store := &oneFails{Store: f.base.Store, failing: map[sluice.LedgerID]bool{}}
	f.config.Store = store
	f.use(nil)
	return f, store
}

// in returns a fixture of another ledger of the same service.
func (f *fixture) in(l sluice.LedgerID) *fixture {
	other := *f
	other.ledger, other.caller = l, f.newCaller(l)
	return &other
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute, still not: %s", what)
		}
	}
}

// entries returns the entries of an action in a ledger, newest first.
func (f *fixture) entries(action sluice.Action) (all []sluice.Entry) {
	f.Helper()
	for page := (sluice.Page{Limit: 100}); ; {
		list, err := f.Entries.List(ctx, service.Operator(f.ledger), service.EntryFilter{Action: action}, page)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, list.Data...)
		if !list.More {
			return all
		}
		page.After = list.Data[len(list.Data)-1].ID
	}
}

// deliveries returns the deliveries in a ledger, in the order of the log.
func (f *fixture) deliveries() (all []sluice.Delivery) {
	f.Helper()
	for _, e := range slices.Backward(f.entries(sluice.LinkDelivered)) {
		all = append(all, e.Deliveries...)
	}
	return all
}

// A ledger whose deliveries cannot be committed delays only itself. Other ledgers
// are committed and flushed. The failing one catches up once it can be written.
func TestFailingLedgerDelaysOnlyItself(t *testing.T) {
	f, store := newOneFails(t)
	other := f.in(f.base.Ledger(sluice.Live))
	_, bad := f.mint(f.upload("0123456789"))
	_, good := other.mint(other.upload("0123456789"))
	stuck, err := f.grant(bad, gate.Bearer{Address: here})
	if err != nil {
		t.Fatal(err)
	}
	store.set(f.ledger, true)
	f.Delivered(stuck, 10)
	eventually(t, "a try that failed", func() bool {
		return strings.Contains(f.base.Log.String(), "delivery entries not committed; retrying")
	})
	for range 3 {
		if err := other.spend(good, gate.Bearer{Address: here}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the deliveries of the other ledger", func() bool { return len(other.deliveries()) == 3 })

	// An orderly stop commits all that it can and reports the rest.
	if err := other.spend(good, gate.Bearer{Address: here}); err != nil {
		t.Fatal(err)
	}
	grace := 100 * time.Millisecond
	eventually(t, "a flush that leaves what cannot be written, and nothing else", func() bool {
		short, cancel := context.WithTimeout(ctx, grace)
		defer cancel()
		grace *= 2 // for a slow machine
		err := f.Flush(short)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("flush of a ledger that cannot be written: %v", err)
		}
		return strings.Contains(err.Error(), "1 deliveries of 1 ledgers")
	})
	if n := len(other.deliveries()); n != 4 {
		t.Errorf("got %d deliveries in the other ledger", n)
	}
	if n := f.DeliveriesWaiting(); n != 1 {
		t.Errorf("%d deliveries are waiting", n)
	}
	store.set(f.ledger, false)
	f.flush()
	if n := len(f.deliveries()); n != 1 {
		t.Errorf("got %d deliveries in the ledger that failed", n)
	}
}

// A ledger whose queue of deliveries is full refuses redemptions. The end of a
// download never waits.
func TestDeliveriesAreBounded(t *testing.T) {
	f, store := newOneFails(t)
	f.LimitDeliveries(3, 100)
	other := f.in(f.base.Ledger(sluice.Live))
	_, bad := f.mint(f.upload("0123456789"))
	_, good := other.mint(other.upload("0123456789"))
	var grants []*gate.Grant
	for range 5 {
		g, err := f.grant(bad, gate.Bearer{Address: here})
		if err != nil {
			t.Fatal(err)
		}
		grants = append(grants, g)
	}
	store.set(f.ledger, true)
	for _, g := range grants {
		f.Delivered(g, 10)
	}
	decided := len(f.entries(sluice.LinkRedeemed))
	_, err := f.grant(bad, gate.Bearer{Address: here})
	wantCode(t, err, sluice.CodeUnavailable)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := f.Redeem(gone, bad, gate.Bearer{Address: here, Want: whole}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a canceled request: %v", err)
	}
	if n := len(f.entries(sluice.LinkRedeemed)); n != decided {
		t.Errorf("%d redemptions were decided although the queue was full", n-decided)
	}
	if err := other.spend(good, gate.Bearer{Address: here}); err != nil {
		t.Errorf("the other ledger: %v", err)
	}
	store.set(f.ledger, false)
	f.flush()
	if err := f.spend(bad, gate.Bearer{Address: here}); err != nil {
		t.Errorf("after the queue was emptied: %v", err)
	}
	f.flush()
	if n := len(f.deliveries()); n != 6 {
		t.Errorf("got %d deliveries", n)
	}
}

// noLookups fails every lookup of an entry by id in an Update, like a damaged
// index.
type noLookups struct{ *lossy }

func (s noLookups) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	return s.lossy.Update(ctx, l, func(tx service.Tx) error { return fn(blindTx{tx}) })
}

type blindTx struct{ service.Tx }

func (blindTx) Entry(sluice.LedgerID, string) (sluice.Entry, error) {
	return sluice.Entry{}, errors.New("the index is damaged")
}

// A damaged index does not stop deliveries, and no delivery is recorded twice.
func TestDeliveryBesideADamagedIndex(t *testing.T) {
	for _, applied := range []bool{true, false} {
		f, store := newLossy(t)
		f.config.Store = noLookups{store}
		f.use(nil)
		_, token := f.mint(f.upload("0123456789"))
		g, err := f.grant(token, gate.Bearer{Address: here})
		if err != nil {
			t.Fatal(err)
		}
		if applied {
			store.set(1, false)
		} else {
			store.set(0, true)
		}
		f.Delivered(g, 10)
		eventually(
			t, "a try that failed",
			func() bool { return strings.Contains(f.base.Log.String(), "not committed") },
		)
		store.set(0, false)
		eventually(t, "the delivery", func() bool { return len(f.deliveries()) == 1 })
		f.flush()
		if n := len(f.deliveries()); n != 1 {
			t.Errorf("applied %v: got %d deliveries", applied, n)
		}
	}
}

// harsh is a Store that cannot settle the downloads of a link, or take them back.
type harsh struct {
	service.Store
	link   string
	mended atomic.Bool
}

func (s *harsh) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	return s.Store.Update(ctx, l, func(tx service.Tx) error {
		if s.mended.Load() {
			return fn(tx)
		}
		return fn(harshTx{tx, s.link})
	})
}

type harshTx struct {
	service.Tx
	link string
}

func (tx harshTx) SetGrant(g service.OpenGrant) error {
	if g.LinkID == tx.link && g.Left == 19 { // 10 of 20 were requested, 9 of them were not sent
		return errors.New("this grant is made to fail")
	}
	return tx.Tx.SetGrant(g)
}

func (tx harshTx) Delivered(returned []string, e sluice.Entry) error {
	if slices.Contains(returned, tx.link) {
		return errors.New("this link is made to fail")
	}
	return tx.Tx.Delivered(returned, e)
}

// A download that cannot be settled, or taken back, does not block others of its
// ledger, and each retry costs as much as the first.
func TestDeliveryThatCannotBeSettled(t *testing.T) {
	for name, fails := range map[string]func(*fixture, *gate.Grant){
		"unsent bytes": func(f *fixture, g *gate.Grant) { f.Delivered(g, 1) },
		"a download":   func(f *fixture, g *gate.Grant) { f.Failed(g, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			bad, token := f.mintAs(service.NewLink{FileID: f.upload("0123456789").ID, MaxDownloads: 2})
			store := &harsh{Store: f.base.Store, link: bad.ID}
			f.config.Store = store
			f.use(nil)
			g, err := f.grant(token, gate.Bearer{Address: here})
			if err != nil {
				t.Fatal(err)
			}
			fails(f, g)
			other, failing := f.mint(f.upload("0123456789"))
			_, good := f.mint(f.upload("0123456789"))
			for n := range 2 {
				g, err := f.grant(good, gate.Bearer{Address: here})
				if err != nil {
					t.Fatal(err)
				}
				f.Delivered(g, 10)
				eventually(t, "the delivery is committed", func() bool { return len(f.deliveries()) == 2*n+1 })
				g, err = f.grant(failing, gate.Bearer{Address: here})
				if err != nil {
					t.Fatal(err)
				}
				f.Failed(g, 3)
				eventually(t, "the download is returned", func() bool { return len(f.deliveries()) == 2*n+2 })
			}
			eventually(t, "only the bad delivery waits", func() bool { return f.DeliveriesWaiting() == 1 })
			if n := f.Gate.UncertainCommits(f.ledger); n != 0 {
				t.Errorf("%d seqs are remembered for a batch that was never committed", n)
			}
			patience, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := f.Flush(patience); err == nil {
				t.Error("Flush does not report the delivery that is left")
			}
			store.mended.Store(true)
			f.flush()
			if n := len(f.deliveries()); n != 5 || f.downloads(other.ID) != 0 {
				t.Errorf("%d deliveries, and %d downloads are counted of which all were returned", n, f.downloads(other.ID))
			}
		})
	}
}

// holding is a Store whose next Update waits.
type holding struct {
	service.Store
	armed          atomic.Bool
	begun, goAhead chan struct{}
}

func (s *holding) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	if s.armed.CompareAndSwap(true, false) {
		close(s.begun)
		<-s.goAhead
	}
	return s.Store.Update(ctx, l, fn)
}

// The deliveries of up to 256 downloads are one entry, in the order of their ends.
// Each names its redemption, and the redemption is read with it.
func TestDeliveriesShareAnEntry(t *testing.T) {
	f := newFixture(t)
	store := &holding{Store: f.base.Store, begun: make(chan struct{}), goAhead: make(chan struct{})}
	f.config.Store = store
	f.use(nil)
	file := f.upload("0123456789")
	l, token := f.mint(file)
	const downloads = 1 + sluice.MaxDeliveries + 1
	grants := make([]*gate.Grant, downloads)
	var all sync.WaitGroup
	for i := range grants {
		all.Go(func() {
			var err error
			if grants[i], err = f.grant(token, gate.Bearer{Address: here}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	store.armed.Store(true)
	f.Delivered(grants[0], 10)
	<-store.begun // with this download alone
	for i, g := range grants[1:] {
		if i%100 == 7 {
			f.Delivered(g, int64(i%10))
		} else {
			f.Delivered(g, 10)
		}
	}
	close(store.goAhead)
	eventually(t, "all are recorded", func() bool { return f.DeliveriesWaiting() == 0 })

	entries := f.entries(sluice.LinkDelivered)
	slices.Reverse(entries)
	if len(entries) != 3 || len(entries[0].Deliveries) != 1 || len(entries[1].Deliveries) != sluice.MaxDeliveries ||
		len(entries[2].Deliveries) != 1 {
		t.Fatalf("%d entries: %+v", len(entries), entries)
	}
	redeemed := map[int64]sluice.Entry{}
	for _, e := range f.entries(sluice.LinkRedeemed) {
		redeemed[e.Seq] = e
	}
	n, incomplete := 0, 0
	for _, e := range entries {
		if e.Actor != (sluice.Actor{Type: sluice.ActorSystem}) || e.Request != nil || e.Link != nil ||
			e.Outcome != sluice.Allowed {
			t.Errorf("the entry is %+v", e)
		}
		for _, d := range e.Deliveries {
			if want := grants[n].Seq(); d.Seq != want || d.FileID != file.ID || d.LinkID != l.ID || d.Returned {
				t.Errorf("delivery %d is %+v, want that of seq %d", n, d, want)
			}
			if !d.Sent.Complete {
				incomplete++
			}
			part := redeemed[d.Seq].Delivery
			if part == nil || part.Sent == nil || *part.Sent != d.Sent || part.Entry != e.ID {
				t.Errorf("redemption %d has %+v, want %+v of %s", d.Seq, part, d, e.ID)
			}
			n++
		}
	}
	if n != downloads || incomplete != 3 {
		t.Errorf("%d deliveries, %d incomplete", n, incomplete)
	}
}

// A batch whose Update fails is recorded once, whether it was committed or not:
// deliveries, returned downloads, unsent bytes and refusals.
func TestUncertainBatch(t *testing.T) {
	for _, applied := range []bool{true, false} {
		f, store := newLossy(t)
		file := f.upload("0123456789")
		plain, token := f.mint(file)
		counted, limited := f.mintAs(service.NewLink{FileID: file.ID, MaxDownloads: 1})
		failed, failing := f.mintAs(service.NewLink{FileID: file.ID, MaxDownloads: 1})
		ended, revoked := f.mint(file)
		if _, err := f.Links.Revoke(ctx, f.caller, "", ended.ID, nil); err != nil {
			t.Fatal(err)
		}
		var grants []*gate.Grant
		for _, token := range []string{token, limited, failing} {
			g, err := f.grant(token, gate.Bearer{Address: here, Want: part(10)})
			if err != nil {
				t.Fatal(err)
			}
			grants = append(grants, g)
		}
		for range 3 { // one is an entry, two are counted
			_, err := f.grant(revoked, gate.Bearer{Address: here})
			wantReason(t, err, sluice.Revoked)
		}
		f.base.Clock.Advance(time.Minute)
		store.set(0, true)
		f.WriteRefusals()
		f.Delivered(grants[0], 10)
		f.Delivered(grants[1], 4) // 16 are left
		f.Failed(grants[2], 5)
		eventually(t, "a try that failed", func() bool { return strings.Contains(f.base.Log.String(), "not committed") })
		if applied {
			store.set(1, false)
		} else {
			store.set(0, false)
		}
		f.flush()
		var got []string
		for _, d := range f.deliveries() {
			got = append(got, fmt.Sprint(d.LinkID, d.Sent.Bytes, d.Sent.Complete, d.Returned))
		}
		want := []string{fmt.Sprint(plain.ID, 10, true, false), fmt.Sprint(counted.ID, 4, false, false),
			fmt.Sprint(failed.ID, 5, false, true)}
		if !slices.Equal(got, want) {
			t.Errorf("applied %v: deliveries %q, want %q", applied, got, want)
		}
		f.wantRefused(sluice.LinkRefused, sluice.Revoked, 0, 1)
		if n := f.downloads(failed.ID); n != 0 {
			t.Errorf("applied %v: %d downloads are counted of which one was returned", applied, n)
		}
		wantReason(t, f.spend(failing, gate.Bearer{Address: here, Want: part(10)}), "")
		wantReason(t, f.spend(limited, gate.Bearer{Address: here, Want: part(10)}), "")
		wantReason(t, f.spend(limited, gate.Bearer{Address: here, Want: part(7)}), sluice.Exhausted)
		wantReason(t, f.spend(limited, gate.Bearer{Address: here, Want: part(6)}), "")
	}
}
