package refusals

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sluice"
)

var (
	ledger = sluice.LedgerID{Account: "acct_1", Mode: sluice.Live}
	link   = Object{Ledger: ledger, ID: "link_1"}
	bearer = Caller{Actor: sluice.Actor{Type: sluice.ActorBearer, ID: link.ID}}
	start  = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
)

// refuse counts one refusal whose Update ends with err.
func refuse(r *Counts, o Object, reason sluice.Refusal, now time.Time, err error) (repeats int64, write bool) {
	a := r.Attempt()
	repeats, write = a.Begin(o, reason, now)
	a.End(bearer, now, err)
	return repeats, write
}

func TestOneEntryAMinute(t *testing.T) {
	var r Counts
	for _, c := range []struct {
		name    string
		reason  sluice.Refusal
		after   time.Duration
		err     error
		repeats int64
		write   bool
	}{
		{"the commit of the first fails", sluice.Expired, 0, errors.New("the store is down"), 0, true},
		{"the first", sluice.Expired, 0, nil, 0, true},
		{"the second", sluice.Expired, time.Second, nil, 0, false},
		{"another reason", sluice.Revoked, time.Second, nil, 0, true},
		{"a moment before the minute is over", sluice.Expired, time.Minute - 1, nil, 0, false},
		{"a minute later, and the commit fails", sluice.Expired, time.Minute, errors.New("the store is down"), 2, true},
		{"a minute later", sluice.Expired, time.Minute, nil, 2, true},
		{"the clock is set back", sluice.Expired, 30 * time.Second, nil, 0, true},
	} {
		repeats, write := refuse(&r, link, c.reason, start.Add(c.after), c.err)
		if repeats != c.repeats || write != c.write {
			t.Errorf("%s: repeats %d and written %v, want %d and %v", c.name, repeats, write, c.repeats, c.write)
		}
	}
}

// An Update that runs its function again decides again. Only one attempt at a time writes an entry.
func TestAgain(t *testing.T) {
	var r Counts
	first, second := r.Attempt(), r.Attempt()
	if _, write := first.Begin(link, sluice.Expired, start); !write {
		t.Fatal("the first refusal is not written")
	}
	if _, write := second.Begin(link, sluice.Expired, start); write {
		t.Error("two attempts write an entry at the same time")
	}
	second.End(bearer, start, nil)
	first.Again()
	if repeats, write := first.Begin(link, sluice.Expired, start); !write || repeats != 1 {
		t.Errorf("after Again: repeats %d and written %v, want 1 and true", repeats, write)
	}
	first.End(bearer, start, nil)
	if !r.Recent(link) || !r.Repeated(link, sluice.Expired, bearer, start.Add(time.Second)) {
		t.Error("a third refusal is not counted")
	}
	if r.Repeated(link, sluice.Revoked, bearer, start) || r.Recent(Object{Ledger: ledger, ID: "link_2"}) {
		t.Error("an object is recent or repeated that was never refused")
	}
	tallies := r.Take(start.Add(time.Minute), false, func(sluice.LedgerID) bool { return true })
	if len(tallies) != 1 || tallies[0].Ledger != link.Ledger || tallies[0].Reason != sluice.Expired ||
		tallies[0].Refused != 1 {
		t.Errorf("%+v", tallies)
	}
}

func TestTake(t *testing.T) {
	var r Counts
	long := Caller{Actor: bearer.Actor, Request: sluice.Request{UserAgent: strings.Repeat("x", 5000)}}
	refuse(&r, link, sluice.Expired, start, nil)
	r.Repeated(link, sluice.Expired, long, start)
	room := func(sluice.LedgerID) bool { return true }
	if got := r.Take(start.Add(time.Second), false, room); len(got) != 0 {
		t.Errorf("within the minute: %+v", got)
	}
	if got := r.Take(start.Add(time.Minute), false, func(sluice.LedgerID) bool { return false }); len(got) != 0 {
		t.Errorf("without room: %+v", got)
	}
	got := r.Take(start.Add(time.Second), true, room)
	if len(got) != 1 || got[0].Refused != 1 || len(got[0].Caller.Request.UserAgent) != maxText {
		t.Errorf("all: %+v", got)
	}
	if got := r.Take(start.Add(time.Hour), true, room); len(got) != 0 {
		t.Errorf("taken twice: %+v", got)
	}
}
