package native

import (
	"testing"

	"sluice"
)

// The CSV has columns for what a log lost with an accepted rollback.
func TestRollbackColumns(t *testing.T) {
	e := sluice.Entry{Action: sluice.LedgerRolledBack, Rollback: &sluice.RollbackPart{
		Log: "acct_1 test", Size: 0, WasSize: 12, WasRoot: "n6gFnlkpYO0v1BqpK0dZcWjYqoC0jvCk2ZQqcQ1wU7U=",
	}}
	want := map[string]string{
		"ledger_log": "acct_1 test", "ledger_size": "0", "ledger_was_size": "12",
		"ledger_was_root": e.Rollback.WasRoot, "ledger_key": "",
	}
	for _, c := range csvColumns {
		value, ok := want[c.name]
		if !ok {
			continue
		}
		delete(want, c.name)
		if got := c.of(e); got != value {
			t.Errorf("%s is %q, want %q", c.name, got, value)
		}
		if got := c.of(sluice.Entry{}); got != "" {
			t.Errorf("%s of another entry is %q", c.name, got)
		}
	}
	if len(want) > 0 {
		t.Errorf("there are no columns for %v", want)
	}
}
