package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/ledger"
	"sluice/sluicetest"
)

// TestHandOver hands a log over to a new key, twice, and follows it from the first key over HTTP.
func TestHandOver(t *testing.T) { onEach(t, testHandOverChain) }

func testHandOverChain(t *testing.T, database string) {
	s := sluicetest.NewServerOn(t, database)
	src := httpSource{s.URL, s.Secret}
	id := s.Ledger(sluice.Test)
	s.Checkpoint(t)
	first := strings.TrimSpace(string(must(src.read(ctx, "key"))(t)))
	var older []ledger.Checkpoint

	for round := range 3 {
		verifier, err := ledger.NewVerifier(first, proofs(t, s)...)
		if err != nil {
			t.Fatal(err)
		}
		report, err := ledger.Verify(ctx, src, verifier, older...)
		if err != nil {
			t.Fatalf("after %d rotations: %v", round, err)
		}
		older = append(older, report.Checkpoint)
		if got := strings.TrimSpace(string(must(src.read(ctx, "key"))(t))); got != verifier.Key() {
			t.Errorf("after %d rotations the server names %s, and they lead to %s", round, got, verifier.Key())
		}
		if stuck, err := ledger.NewVerifier(first); round > 0 && err == nil {
			if _, err := ledger.Verify(ctx, src, stuck); err == nil {
				t.Error("a verifier without the rotations accepts the next key")
			}
		}
		s.SetLedgerKeys(append([]string{sluicetest.NewLedgerKey(t)}, s.LedgerKeys()...)...)
		s.Restart(t)
		record(t, s.Store, id, 300)
		s.Checkpoint(t) // hands over
		record(t, s.Store, id, 2)
		s.Checkpoint(t)
		if n := len(proofs(t, s)); n != round+1 {
			t.Fatalf("%d rotations", n)
		}
	}
	actions := 0
	for _, e := range s.Entries(t, id) {
		if e.Action == sluice.KeyHandedOver {
			actions++
		}
	}
	if actions != 3 {
		t.Errorf("%d entries tell of 3 rotations", actions)
	}

	// A replaced key no longer signs.
	keys := s.LedgerKeys()
	s.SetLedgerKeys(keys[3], keys[0])
	s.Restart(t)
	record(t, s.Store, id, 1)
	_, err := s.Service.Service.Ledgers.Checkpoint(ctx)
	if err == nil || !strings.Contains(err.Error(), "a key that is new") {
		t.Errorf("going back to the first key: %v", err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// proofs gives the proofs of the rotations of the test ledger.
func proofs(t testing.TB, s *sluicetest.Server) (list [][]byte) {
	t.Helper()
	_, rotations, err := s.Ledgers.Key(ctx, service.Operator(s.Ledger(sluice.Test)))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rotations {
		list = append(list, r.Proof)
	}
	return list
}

// faulty fails a step of a hand-over, either before or after it is applied.
type faulty struct {
	service.Store
	step    string
	applied bool
}

var errCrash = errors.New("crash")

func (f *faulty) at(step string, do func() error) error {
	if f.step != step {
		return do()
	}
	f.step = ""
	if f.applied {
		if err := do(); err != nil {
			return err
		}
	}
	return errCrash
}

func (f *faulty) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	return f.at("record", func() error { return f.Store.Update(ctx, l, fn) })
}

func (f *faulty) Extend(ctx context.Context, l sluice.LedgerID, from int64, tiles []ledger.TileData,
	c service.Checkpoint) error {
	return f.at("sign", func() error { return f.Store.Extend(ctx, l, from, tiles, c) })
}

func (f *faulty) HandOver(ctx context.Context, l sluice.LedgerID, r service.Rotation) error {
	return f.at("hand over", func() error { return f.Store.HandOver(ctx, l, r) })
}

// TestHandOverCrash ends a hand-over at each of its steps. The next process must complete it.
func TestHandOverCrash(t *testing.T) {
	for _, step := range []string{"record", "sign", "hand over"} {
		for _, applied := range []bool{false, true} {
			name := step + " was not applied"
			if applied {
				name = step + " was applied"
			}
			t.Run(name, func(t *testing.T) {
				onEach(t, func(t *testing.T, database string) {
					testHandOverCrash(t, openStore(t, database), step, applied)
				})
			})
		}
	}
}

func testHandOverCrash(t *testing.T, s *store.Store, step string, applied bool) {
	old, next := sluicetest.NewLedgerKey(t), sluicetest.NewLedgerKey(t)
	record(t, s, testL, 3)
	before := serviceOn(t, s, old)
	checkpoint(t, before)
	first, _, err := before.Ledgers.Key(ctx, service.Operator(testL))
	if err != nil {
		t.Fatal(err)
	}

	record(t, s, testL, 1)
	crashing := serviceOn(t, &faulty{s, step, applied}, next, old)
	if _, err := crashing.Ledgers.Checkpoint(ctx); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	after := serviceOn(t, s, next, old)
	for range 2 {
		record(t, s, testL, 1)
		checkpoint(t, after)
	}
	_, rotations, err := after.Ledgers.Key(ctx, service.Operator(testL))
	if err != nil || len(rotations) != 1 {
		t.Fatalf("%d rotations, %v", len(rotations), err)
	}
	verifier, err := ledger.NewVerifier(first, rotations[0].Proof)
	if err != nil {
		t.Fatal(err)
	}
	report, err := ledger.Verify(ctx, storeSource{s, testL}, verifier)
	if err != nil || newest(t, s, testL).Verifier != verifier.Key() {
		t.Errorf("%+v, %v", report, err)
	}
}

func checkpoint(t testing.TB, s *service.Service) {
	t.Helper()
	if _, err := s.Ledgers.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestOldKeyMissing removes the key that last signed a log. The service reports it and signs nothing; everything else
// works.
func TestOldKeyMissing(t *testing.T) { onEach(t, testOldKeyMissing) }

func testOldKeyMissing(t *testing.T, database string) {
	s := sluicetest.NewServerOn(t, database)
	id := s.Ledger(sluice.Test)
	s.Checkpoint(t)
	kept, keys := newest(t, s.Store, id), s.LedgerKeys()
	s.SetLedgerKeys(sluicetest.NewLedgerKey(t))
	s.Restart(t)
	record(t, s.Store, id, 2)
	for range 2 {
		n, err := s.Service.Service.Ledgers.Checkpoint(ctx)
		if n != 0 || err == nil || !strings.Contains(err.Error(), kept.Verifier) ||
			!strings.Contains(err.Error(), id.String()) {
			t.Fatalf("%d checkpoints, %v", n, err)
		}
		record(t, s.Store, id, 1)
	}
	if now := newest(t, s.Store, id); now.Size != kept.Size {
		t.Errorf("a checkpoint of %d entries", now.Size)
	}
	// A ledger that was never signed needs no old key.
	live := s.Ledger(sluice.Live)
	record(t, s.Store, live, 1)
	if n, _ := s.Service.Service.Ledgers.Checkpoint(ctx); n != 0 {
		t.Errorf("%d checkpoints", n) // the live ledger was signed with the old key too
	}
	another := sluice.LedgerID{Account: s.NewAccount(t, "another").ID, Mode: sluice.Live}
	if n, _ := s.Service.Service.Ledgers.Checkpoint(ctx); n != 1 || newest(t, s.Store, another).Size != 1 {
		t.Errorf("%d checkpoints of a new account", n)
	}
	s.SetLedgerKeys(append([]string{sluicetest.NewLedgerKey(t)}, keys...)...)
	s.Restart(t)
	if _, err := s.Service.Service.Ledgers.Checkpoint(ctx); err != nil || newest(t, s.Store, id).Size <= kept.Size {
		t.Errorf("with the old key back: %v, at %d", err, newest(t, s.Store, id).Size)
	}
}
