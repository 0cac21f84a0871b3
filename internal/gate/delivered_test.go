package gate_test

import (
	"context"
	"errors"
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

// has returns the number of entries of an action in a ledger.
func (f *fixture) has(action sluice.Action) int {
	f.Helper()
	n := 0
	for page := (sluice.Page{Limit: 100}); ; {
		list, err := f.Entries.List(ctx, service.Operator(f.ledger), service.EntryFilter{Action: action}, page)
		if err != nil {
			f.Fatal(err)
		}
		n += len(list.Data)
		if !list.More {
			return n
		}
		page.After = list.Data[len(list.Data)-1].ID
	}
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
	eventually(t, "the deliveries of the other ledger", func() bool { return other.has(sluice.LinkDelivered) == 3 })

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
		return strings.Contains(err.Error(), "1 delivery entries of 1 ledgers")
	})
	if n := other.has(sluice.LinkDelivered); n != 4 {
		t.Errorf("got %d delivery entries in the other ledger", n)
	}
	if n := f.DeliveriesWaiting(); n != 1 {
		t.Errorf("%d deliveries are waiting", n)
	}
	store.set(f.ledger, false)
	f.flush()
	if n := f.has(sluice.LinkDelivered); n != 1 {
		t.Errorf("got %d delivery entries in the ledger that failed", n)
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
	decided := f.has(sluice.LinkRedeemed)
	_, err := f.grant(bad, gate.Bearer{Address: here})
	wantCode(t, err, sluice.CodeUnavailable)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := f.Redeem(gone, bad, gate.Bearer{Address: here, Want: whole}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a canceled request: %v", err)
	}
	if n := f.has(sluice.LinkRedeemed); n != decided {
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
	if n := f.has(sluice.LinkDelivered); n != 6 {
		t.Errorf("got %d delivery entries", n)
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
		eventually(t, "the delivery", func() bool { return f.has(sluice.LinkDelivered) == 1 })
		f.flush()
		if n := f.has(sluice.LinkDelivered); n != 1 {
			t.Errorf("applied %v: got %d delivery entries", applied, n)
		}
	}
}

// An entry that cannot be recorded does not block others of its ledger, and each
// retry costs as much as the first.
func TestEntryThatCannotBeRecorded(t *testing.T) {
	f := newFixture(t)
	var mended atomic.Bool
	f.Gate.Enqueue(f.ledger, "aud_bad", func(service.Tx, string, time.Time) error {
		if !mended.Load() {
			return errors.New("no")
		}
		return nil
	})
	_, token := f.mint(f.upload("0123456789"))
	for n := range 5 {
		g, err := f.grant(token, gate.Bearer{Address: here})
		if err != nil {
			t.Fatal(err)
		}
		g.Content.Close()
		f.Delivered(g, 10)
		eventually(t, "the delivery is committed", func() bool { return f.has(sluice.LinkDelivered) == n+1 })
	}
	eventually(t, "only the bad entry waits", func() bool { return f.DeliveriesWaiting() == 1 })
	if n := f.Gate.UncertainCommits(f.ledger); n != 0 {
		t.Errorf("%d seqs are remembered for a batch that was never committed", n)
	}
	patience, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Flush(patience); err == nil {
		t.Error("Flush does not report the entry that is left")
	}
	mended.Store(true)
}
