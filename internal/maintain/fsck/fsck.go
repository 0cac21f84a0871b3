// Package fsck checks that the parts of an installation fit together: the pages of its database, the index of each
// log, the entries and tiles of each log, the heads that are kept beside the secrets, the records and the stored bytes.
// It only reads, and may run beside servers that write.
package fsck

import (
	"context"
	"errors"
	"fmt"

	"sluice"
	"sluice/internal/seal"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/ledger"
)

// Check names what was checked.
type Check string

// The checks.
const (
	Pages Check = "pages" // of the database, by the database
	Index Check = "index" // by which entries are found, against the entries
	Log   Check = "log"   // entries, tiles and disclosures, against the newest checkpoint
	Heads Check = "heads" // the newest checkpoints, against the heads beside the secrets
	Rules Check = "rules" // each entry, against those before it, by the rules of the log
	Rows  Check = "rows"  // the rows of the tables, against the logs
	Bytes Check = "bytes" // the stored bytes of files, against their rows
)

// Finding is one thing that is wrong.
type Finding struct {
	Check   Check  `json:"check"`
	Ledger  string `json:"ledger,omitempty"` // "" where it is of no ledger
	Entry   *int64 `json:"entry,omitempty"`  // seq of the first entry concerned; nil for none
	Problem string `json:"problem"`
}

// String gives a finding in one line.
func (f Finding) String() string {
	where := string(f.Check)
	if f.Ledger != "" {
		where += " " + f.Ledger
	}
	if f.Entry != nil {
		where += fmt.Sprintf(" entry %d", *f.Entry)
	}
	return where + ": " + f.Problem
}

// maxFindings is how many findings a check of one ledger gives.
const maxFindings = 100

// Report is what was checked, and what was found.
type Report struct {
	Findings []Finding
	Notes    []string // what was not checked, and why
	Pages    int64
	Ledgers  int
	Entries  int64
	Rows     int64 // of the index
	Records  int64 // rows of the other tables
	Files    int64 // whose bytes were looked at
	Tiles    int64
	Repairs  []Repair
}

// AddPages adds what a check of the database's pages has found.
func (r *Report) AddPages(p store.PageReport) {
	r.Pages += p.Pages
	r.Notes = append(r.Notes, p.Notes...)
	r.Findings = append(r.Findings, pageFindings(p)...)
}

func pageFindings(p store.PageReport) (list []Finding) {
	for _, problem := range p.Problems {
		list = append(list, Finding{Check: Pages, Problem: problem})
	}
	return list
}

// CheckLedgers checks the index and the log of every ledger, their newest checkpoints against the heads that the
// service remembers, and the rows against the replayed logs. An error says that something could not be checked; the
// other ledgers are checked all the same.
func (r *Report) CheckLedgers(ctx context.Context, svc *service.Service, s *store.Store) error {
	return r.CheckLedgersWith(ctx, svc, s, svc.Seals())
}

// CheckLedgersWith is CheckLedgers with other seals than those of the service.
func (r *Report) CheckLedgersWith(
	ctx context.Context, svc *service.Service, s *store.Store, seals *seal.Seals,
) error {
	heads, err := svc.Ledgers.VerifyHeads(ctx)
	if err != nil {
		return err
	}
	for _, h := range heads {
		r.Findings = append(r.Findings, Finding{Check: Heads, Ledger: h.Ledger.String(), Problem: h.Err.Error()})
	}
	logs, err := ledgers(ctx, s)
	if err != nil {
		return err
	}
	var failed error
	rows := newRowCheck(s, seals, func(f Finding) { r.Findings = append(r.Findings, f) })
	for _, l := range logs {
		index := indexCheck{store: s, ledger: l}
		if err := index.run(ctx); err != nil {
			failed = errors.Join(failed, fmt.Errorf("index of %s: %w", l, err))
		}
		r.Findings = append(r.Findings, index.findings...)
		r.Ledgers++
		r.Entries += index.entries
		r.Rows += index.rows
		if err := r.checkLog(ctx, svc, l, rows); err != nil {
			failed = errors.Join(failed, fmt.Errorf("log %s: %w", l, err))
		}
		if ctx.Err() != nil {
			return errors.Join(failed, ctx.Err())
		}
	}
	return errors.Join(failed, r.checkRows(ctx, rows))
}

func ledgers(ctx context.Context, s service.Store) (list []sluice.LedgerID, err error) {
	err = s.View(ctx, func(r service.Reader) error {
		logs, err := r.Logs()
		for _, l := range logs {
			list = append(list, l.Ledger)
		}
		return err
	})
	return list, err
}

// checkLog verifies the entries, tiles and disclosures of a ledger, and replays the entries.
func (r *Report) checkLog(ctx context.Context, svc *service.Service, l sluice.LedgerID, rows *rowCheck) error {
	verified, err := svc.Ledgers.VerifyEntries(ctx, l, func(_ int64, leaf []byte) error { return rows.addLeaf(l, leaf) })
	if err == nil {
		r.Tiles += verified.Tiles
		return nil
	}
	f := Finding{Check: Log, Ledger: l.String(), Problem: err.Error()}
	var fault *ledger.Fault
	switch {
	case errors.As(err, &fault):
		if fault.Seq >= 0 {
			f.Entry = &fault.Seq
		}
	case ctx.Err() != nil:
		return err
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		r.Notes = append(r.Notes, fmt.Sprintf("log %s has no checkpoint yet: its entries were not compared with one", l))
		return nil
	case sluice.CodeOf(err) == sluice.CodeUnavailable:
		return err
	}
	r.Findings = append(r.Findings, f)
	return nil
}
