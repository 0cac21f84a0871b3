package refusals_test

import (
	"fmt"
	"testing"
	"time"

	"sluice"
	"sluice/internal/refusals"
)

var (
	crowded = sluice.LedgerID{Account: "acct_1", Mode: sluice.Test}
	quiet   = sluice.LedgerID{Account: "acct_2", Mode: sluice.Live}
)

// refuse refuses an object once. It returns whether that wrote an entry, and how
// many earlier refusals the entry includes.
func refuse(c *refusals.Counts, l sluice.LedgerID, id string, now time.Time) (repeats int64, wrote bool) {
	o := refusals.Object{Ledger: l, ID: id}
	by := refusals.Caller{Actor: sluice.Actor{Type: sluice.ActorBearer, ID: id}}
	if c.Recent(o) && c.Repeated(o, sluice.Revoked, by, now) {
		return 0, false
	}
	a := c.Attempt()
	repeats, wrote = a.Begin(o, sluice.Revoked, now)
	a.End(by, now, nil)
	return repeats, wrote
}

// Thousands of refused links make the log grow no faster than a thousand do. The
// counts of other ledgers are not affected. The sum includes every refusal.
func TestCrowdedLedger(t *testing.T) {
	const links, limit = 20_000, 1100
	var c refusals.Counts
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	entries, told := 0, int64(0)
	count := func(repeats int64, wrote bool) {
		if told += repeats; wrote {
			entries++
			told++
		}
	}
	for i := range links {
		count(refuse(&c, crowded, fmt.Sprint("link_", i), now))
	}
	if entries > limit {
		t.Errorf("%d links refused once left %d entries", links, entries)
	}
	if _, wrote := refuse(&c, quiet, "link_a", now); !wrote {
		t.Error("the first refusal of another ledger left no entry")
	}
	if _, wrote := refuse(&c, quiet, "link_a", now); wrote {
		t.Error("the second refusal of another ledger left an entry")
	}
	if _, wrote := refuse(&c, quiet, "link_b", now); !wrote {
		t.Error("the first refusal of another link left no entry")
	}
	now = now.Add(time.Minute)
	for _, tally := range c.Take(now, false, func(sluice.LedgerID) bool { return true }) {
		if tally.Ledger == crowded {
			if tally.Caller.Actor.ID != fmt.Sprint("link_", links-1) {
				t.Errorf("the tally names %s", tally.Caller.Actor.ID)
			}
			told += tally.Refused
		}
	}
	if told != links {
		t.Errorf("of %d refusals the log includes %d", links, told)
	}
	// An object without a refusal for a minute is removed, and gets a count of its own again.
	now = now.Add(2 * time.Minute)
	for _, id := range []string{"link_new", "link_0"} {
		if _, wrote := refuse(&c, crowded, id, now); !wrote {
			t.Errorf("the first refusal of %s after minutes left no entry", id)
		}
	}
}
