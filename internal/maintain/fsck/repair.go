package fsck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store"
)

// Repair is something that was mended.
type Repair struct {
	Check  Check  `json:"repair"`
	Ledger string `json:"ledger"`
	Done   string `json:"done"`
}

// String gives a repair in one line.
func (r Repair) String() string { return fmt.Sprintf("repaired: %s %s: %s", r.Check, r.Ledger, r.Done) }

// Repair mends what can be computed anew from the entries, and nothing else: tiles that are missing or damaged, if the
// entries lead to the signed root, and the index of a log that verifies. It commits a little at a time, beside servers
// that write. After a crash it may be called again with the findings of another check. The findings of r stay; check
// again to see what is left.
//
// Another repair of the same database is refused with CodeConflict while one is running.
func (r *Report) Repair(ctx context.Context, svc *service.Service, s *store.Store) error {
	ran, err := s.Exclusive(ctx, leaseName, func(ctx context.Context) error { return r.repair(ctx, svc, s) })
	if err == nil && !ran {
		err = sluice.Errorf(sluice.CodeConflict, "another repair of this database is running; "+
			"one that was killed is over within ten seconds")
	}
	return err
}

// leaseName names the lease of a repair.
const leaseName = "fsck repair"

func (r *Report) repair(ctx context.Context, svc *service.Service, s *store.Store) error {
	logs, err := ledgers(ctx, s)
	if err != nil {
		return err
	}
	var failed error
	for _, l := range logs {
		if err := r.repairLedger(ctx, svc, s, l); err != nil {
			failed = errors.Join(failed, fmt.Errorf("repair of %s: %w", l, err))
		}
	}
	return failed
}

func (r *Report) repairLedger(ctx context.Context, svc *service.Service, s *store.Store, l sluice.LedgerID) error {
	if r.has(Log, l) {
		n, err := svc.Ledgers.RebuildTiles(ctx, l)
		if err == nil {
			r.repaired(Log, l, "%d tiles were computed anew from the entries, which lead to the signed root", n)
			_, err = svc.Ledgers.Verify(ctx, l)
		}
		switch {
		case ctx.Err() != nil || sluice.CodeOf(err) == sluice.CodeUnavailable: // says nothing of the log
			return err
		case err != nil:
			r.Notes = append(r.Notes, fmt.Sprintf(
				"log %s was not repaired: %v; run the repair again, and restore a backup if that fails too", l, err))
			return nil // and its index is not made from entries that nobody signed
		}
	}
	if !r.has(Index, l) {
		return nil
	}
	if !r.has(Index, l, unfinished) { // more is wrong than that a repair was interrupted
		done, err := s.RestartIndex(ctx, l)
		if err != nil {
			return err
		}
		if done {
			r.repaired(Index, l, "it was rebuilt from the entries")
			return nil
		}
	}
	if err := s.ContinueIndex(ctx, l); err != nil {
		return err
	}
	r.repaired(Index, l, "it was rebuilt from the entries")
	return nil
}

// has reports whether a check has found something in a ledger: with only, nothing but what begins with it.
func (r *Report) has(check Check, l sluice.LedgerID, only ...string) bool {
	of := func(f Finding) bool { return f.Check == check && f.Ledger == l.String() }
	for _, text := range only {
		if slices.ContainsFunc(r.Findings, func(f Finding) bool { return of(f) && !strings.HasPrefix(f.Problem, text) }) {
			return false
		}
	}
	return slices.ContainsFunc(r.Findings, of)
}

func (r *Report) repaired(check Check, l sluice.LedgerID, format string, args ...any) {
	r.Repairs = append(r.Repairs, Repair{check, l.String(), fmt.Sprintf(format, args...)})
}

// manual says what to do about what Repair does not mend.
var manual = []struct {
	check Check
	text  string
}{
	{Pages, "a damaged database is not repaired: restore a backup"},
	{Heads, "a log that was cut is not repaired: restore a newer database, or accept the rollback"},
	{Rules, "entries are never changed: they are the evidence of what happened"},
	{Rows, "rows are not changed, because somebody has to find out who changed them: revoke the keys and links that " +
		"are named, and put other rows back from a backup"},
	{Bytes, "bytes cannot be computed: put them back from a backup"},
}

// Manual returns what to do about the findings that Repair does not mend.
func (r *Report) Manual() (notes []string) {
	for _, m := range manual {
		if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Check == m.check }) {
			notes = append(notes, m.text)
		}
	}
	return notes
}
