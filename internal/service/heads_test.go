package service_test

import (
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/token"
	"sluice/sluicetest"
)

// memory is a service.Heads in memory.
type memory struct {
	mu    sync.Mutex
	heads map[sluice.LedgerID]service.Head
}

func (m *memory) Newest(l sluice.LedgerID) service.Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heads[l]
}

func (m *memory) All() map[sluice.LedgerID]service.Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.heads)
}

func (m *memory) Remember(h service.Head) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heads[h.Ledger] = h
}

// remembering returns a service on the records of another one, with heads and ledger keys of its own.
func remembering(t *testing.T, base *sluicetest.Service, ledgerKey string, heads service.Heads) *service.Service {
	t.Helper()
	key, err := token.NewKey(strings.NewReader(strings.Repeat("k", 64)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.New(service.Config{
		Store: base.Store, Blobs: base.Blobs, SigningKeys: []token.Key{key}, PublicURL: "http://sluice.test",
		LedgerKeys: []string{ledgerKey}, LedgerOrigin: "sluice.test", Now: base.Clock.Now, Heads: heads,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestHeadsAreHeldTo signs a log that extends its remembered head, also after another process has signed it, and
// refuses to sign a log that does not.
func TestHeadsAreHeldTo(t *testing.T) {
	base := sluicetest.NewService(t)
	f := newFixtureOver(t, base)
	key := sluicetest.NewLedgerKey(t)
	heads := &memory{heads: map[sluice.LedgerID]service.Head{}}
	s, other := remembering(t, base, key, heads), remembering(t, base, key, nil)
	l := f.caller.Ledger
	grow := func() {
		f.upload("more")
		if _, err := other.Ledgers.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
	}
	grow()
	if err := s.Ledgers.Watch(ctx); err != nil {
		t.Fatal(err)
	}
	first := heads.Newest(l)
	if first.Size == 0 || first.Verifier == "" {
		t.Fatalf("it remembers %+v", first)
	}
	grow()
	f.upload("unsigned")
	if _, err := s.Ledgers.Checkpoint(ctx); err != nil {
		t.Fatalf("another process has signed meanwhile: %v", err)
	}
	signed := heads.Newest(l)
	if signed.Size <= first.Size+1 {
		t.Fatalf("%+v was signed, and %+v before", signed, first)
	}

	for name, head := range map[string]service.Head{
		"longer":             {Ledger: l, Size: signed.Size + 1000, Root: signed.Root, Verifier: signed.Verifier},
		"another root":       {Ledger: l, Size: signed.Size, Root: first.Root, Verifier: signed.Verifier},
		"another root below": {Ledger: l, Size: first.Size, Root: signed.Root, Verifier: signed.Verifier},
		"another log": {
			Ledger: sluice.LedgerID{Account: "acct_gone", Mode: sluice.Live},
			Size:   1, Root: first.Root, Verifier: signed.Verifier,
		},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := &memory{heads: map[sluice.LedgerID]service.Head{head.Ledger: head}}
			s := remembering(t, base, key, wrong)
			f.upload("to be signed")
			if _, err := s.Ledgers.Checkpoint(ctx); !errors.Is(err, service.ErrRolledBack) && head.Ledger == l {
				t.Errorf("signing: %v", err)
			}
			if name == "another root" { // which takes signing or a start to see
				grow()
			}
			if err := s.Ledgers.Watch(ctx); !errors.Is(err, service.ErrRolledBack) {
				t.Errorf("watching: %v", err)
			}
			if err := s.Ready(ctx); !errors.Is(err, service.ErrRolledBack) {
				t.Errorf("ready: %v", err)
			}
			if _, err := s.Start(ctx); !errors.Is(err, service.ErrRolledBack) {
				t.Errorf("start: %v", err)
			}
			if wrong.Newest(head.Ledger) != head {
				t.Error("the remembered head was replaced")
			}
		})
	}
}

// TestUnsignedTooLong makes the service unready when entries wait too long for a checkpoint.
func TestUnsignedTooLong(t *testing.T) {
	base := sluicetest.NewService(t)
	f := newFixtureOver(t, base)
	key := sluicetest.NewLedgerKey(t)
	if _, err := remembering(t, base, key, nil).Ledgers.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	s := remembering(t, base, sluicetest.NewLedgerKey(t), nil) // it cannot sign on
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	f.upload("unsigned")
	if _, err := s.Ledgers.Checkpoint(ctx); err == nil {
		t.Fatal("it signs with a key that is not the log's")
	}
	if _, err := s.Start(ctx); err == nil || !strings.Contains(err.Error(), "no key that signed") {
		t.Errorf("start: %v", err)
	}
	look := func() service.LogState {
		if err := s.Ledgers.Watch(ctx); err != nil {
			t.Fatal(err)
		}
		return s.Ledgers.State()
	}
	look()
	base.Clock.Advance(59 * time.Second)
	if state := look(); state.Unsigned == 0 || state.Behind != 59*time.Second || s.Ready(ctx) != nil {
		t.Errorf("after 59 seconds: %+v, %v", state, s.Ready(ctx))
	}
	base.Clock.Advance(2 * time.Second)
	if look(); s.Ready(ctx) == nil {
		t.Error("after a minute it is ready")
	}
	if _, err := remembering(t, base, key, nil).Ledgers.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	if state := look(); state != (service.LogState{}) || s.Ready(ctx) != nil {
		t.Errorf("after signing: %+v, %v", state, s.Ready(ctx))
	}
}
