package gate_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/service"
)

// refusedEntries returns the repeats of each refusal entry.
func (f *fixture) refusedEntries(action sluice.Action, reason sluice.Refusal) (repeats []int64) {
	f.Helper()
	for _, e := range f.base.Entries(f.T, f.ledger) {
		if e.Action == action && e.Refusal == reason {
			repeats = append(repeats, e.Repeats)
		}
	}
	return repeats
}

func (f *fixture) wantRefused(action sluice.Action, reason sluice.Refusal, want ...int64) {
	f.Helper()
	got := f.refusedEntries(action, reason)
	if len(got) != len(want) {
		f.Fatalf("the entries of %s %s repeat %v, want %v", action, reason, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			f.Fatalf("the entries of %s %s repeat %v, want %v", action, reason, got, want)
		}
	}
}

// However often an ended link is requested, it leaves one entry at first and then
// one a minute, which counts the others. The response stays the same.
func TestRefusalsAreBounded(t *testing.T) {
	f := newFixture(t)
	l, token := f.mint(f.upload("0123456789"))
	if _, err := f.Links.Revoke(ctx, f.caller, "", l.ID, nil); err != nil {
		t.Fatal(err)
	}
	ask := func(n int) {
		t.Helper()
		for range n {
			_, err := f.grant(token, gate.Bearer{Address: here})
			wantCode(t, err, sluice.CodeGone)
			wantReason(t, err, sluice.Revoked)
		}
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { ask(1) })
	}
	all.Wait()
	ask(80)
	f.wantRefused(sluice.LinkRefused, sluice.Revoked, 0)
	f.base.Clock.Advance(time.Minute)
	ask(10)
	f.wantRefused(sluice.LinkRefused, sluice.Revoked, 0, 99)

	// Counted refusals are written a minute after the last entry.
	f.WriteRefusals()
	f.flushed()
	f.wantRefused(sluice.LinkRefused, sluice.Revoked, 0, 99)
	f.base.Clock.Advance(time.Minute)
	f.WriteRefusals()
	f.flushed()
	f.wantRefused(sluice.LinkRefused, sluice.Revoked, 0, 99, 8)

	// An orderly stop writes counted refusals.
	ask(3)
	f.flush()
	f.wantRefused(sluice.LinkRefused, sluice.Revoked, 0, 99, 8, 2)
	f.flush()
	f.wantRefused(sluice.LinkRefused, sluice.Revoked, 0, 99, 8, 2)
}

// flushed waits until no entry is queued, without calling Flush.
func (f *fixture) flushed() {
	f.Helper()
	eventually(f.T, "nothing waits", func() bool { return f.DeliveriesWaiting() == 0 })
}

// A refusal for another reason is written at once. Each reason has its own count.
func TestRefusalsOfAnotherReason(t *testing.T) {
	f := newFixture(t)
	l, token := f.mintAs(service.NewLink{FileID: f.upload("0123456789").ID, Password: "correct horse"})
	for range 5 {
		_, err := f.grant(token, gate.Bearer{Address: here})
		wantReason(t, err, sluice.WrongPassword)
	}
	if _, err := f.grant(token, gate.Bearer{Address: here, Password: "wrong horse"}); sluice.ReasonOf(
		err,
	) != sluice.WrongPassword {
		t.Error(err)
	}
	if err := f.spend(token, gate.Bearer{Address: here, Password: "correct horse"}); err != nil {
		t.Errorf("right password after wrong ones: %v", err)
	}
	f.wantRefused(sluice.LinkRefused, sluice.WrongPassword, 0)
	if _, err := f.Links.Revoke(ctx, f.caller, "", l.ID, nil); err != nil {
		t.Fatal(err)
	}
	_, err := f.grant(token, gate.Bearer{Address: here})
	wantReason(t, err, sluice.Revoked)
	f.wantRefused(sluice.LinkRefused, sluice.Revoked, 0)
	f.flush()
	f.wantRefused(sluice.LinkRefused, sluice.WrongPassword, 0, 4)
}

// A key that lacks a scope leaves one entry at first and then one a minute, for each scope.
func TestDenialsAreBounded(t *testing.T) {
	f := newFixture(t)
	weak := f.newCaller(f.ledger, sluice.FilesRead)
	for range 10 {
		wantCode(t, f.Allow(ctx, weak, sluice.KeysAdmin), sluice.CodeForbidden)
		_, err := f.Keys.Create(ctx, weak, service.NewKey{Name: "a key"})
		wantCode(t, err, sluice.CodeForbidden)
	}
	wantCode(t, f.Allow(ctx, weak, sluice.AuditRead), sluice.CodeForbidden)
	f.wantRefused(sluice.AccessDenied, "missing_scope:keys:admin", 0)
	f.wantRefused(sluice.AccessDenied, "missing_scope:audit:read", 0)
	f.flush()
	f.wantRefused(sluice.AccessDenied, "missing_scope:keys:admin", 0, 18)
}

// The entry of a refusal keeps less of what the client sent. A refusal whose
// commit failed does not count as written.
func TestRefusalEntry(t *testing.T) {
	f, store := newOneFails(t)
	l, token := f.mint(f.upload("0123456789"))
	if _, err := f.Links.Revoke(ctx, f.caller, "", l.ID, nil); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 5000)
	b := gate.Bearer{
		Address: here,
		Request: sluice.Request{UserAgent: long, ForwardedFor: long, Range: long, RefererHost: long},
	}
	store.set(f.ledger, true)
	_, err := f.grant(token, b)
	wantCode(t, err, sluice.CodeUnavailable)
	store.set(f.ledger, false)
	_, err = f.grant(token, b)
	wantReason(t, err, sluice.Revoked)
	f.wantRefused(sluice.LinkRefused, sluice.Revoked, 0)
	entries := f.base.Entries(t, f.ledger)
	r := entries[len(entries)-1].Request
	for _, text := range []string{r.UserAgent, r.ForwardedFor, r.Range, r.RefererHost} {
		if len(text) != 256 {
			t.Errorf("the entry keeps %d bytes", len(text))
		}
	}
	// A repeated refusal needs no commit, so it works while the store is down.
	store.set(f.ledger, true)
	_, err = f.grant(token, b)
	wantReason(t, err, sluice.Revoked)
	store.set(f.ledger, false)
	short, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := f.Flush(short); err != nil {
		t.Error(err)
	}
}
