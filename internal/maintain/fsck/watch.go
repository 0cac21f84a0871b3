package fsck

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sluice"
	"sluice/internal/store"
)

const (
	// Interval is the time from one check of the pages to the next where nothing else is set.
	Interval = 24 * time.Hour
	// indexIntervals is how many intervals pass between two checks of the indexes.
	indexIntervals = 7
	// again is when a check is repeated that has found something or has failed.
	again = time.Hour
	// longest is how long a check of the pages may take: SQLite's log (WAL) grows meanwhile.
	longest = 30 * time.Minute
	// idle is how long the check of the indexes pauses for each moment that it works, so that it takes a tenth of the
	// time of one processor; but not longer than longestPause at a time.
	idle         = 9
	longestPause = 5 * time.Second
	// logged is how many new findings of one ledger are logged each by each.
	logged = 10
)

// Observer is told what the checks of a server find.
type Observer interface {
	// FsckFindings says how many findings of a check there are now.
	FsckFindings(check string, n int)
	// FsckCompleted says when a check came to its end; the zero time stands for never.
	FsckCompleted(check string, at time.Time)
}

// Config is what a Watch is made of.
type Config struct {
	Store    *store.Store
	Pages    bool // check the pages of the database, too
	Interval time.Duration
	Log      *slog.Logger     // slog.Default() when nil
	Observer Observer         // nil: nobody is told
	Now      func() time.Time // time.Now when nil
}

// Watch checks the database of a running server now and then. It keeps what it has found in memory, and lists do not
// use an index in which it has found something. Each of its methods is called by one goroutine at a time.
type Watch struct {
	Config
	pages, index watched
}

// watched is what is known of one check.
type watched struct {
	check  Check
	next   time.Time            // when it is due
	failed error                // of the newest run
	known  map[string][]Finding // by ledger, of those with findings
}

// NewWatch makes a Watch that has found nothing yet.
func NewWatch(c Config) *Watch {
	w := &Watch{
		Config: c,
		pages:  watched{check: Pages, known: map[string][]Finding{}},
		index:  watched{check: Index, known: map[string][]Finding{}},
	}
	if c.Observer == nil {
		w.Observer = unobserved{}
	}
	if c.Log == nil {
		w.Log = slog.Default()
	}
	if c.Now == nil {
		w.Now = time.Now
	}
	for _, check := range []Check{Pages, Index} {
		if check == Index || c.Pages {
			w.Observer.FsckFindings(string(check), 0)
			w.Observer.FsckCompleted(string(check), time.Time{})
		}
	}
	return w
}

type unobserved struct{}

func (unobserved) FsckFindings(string, int) {}

func (unobserved) FsckCompleted(string, time.Time) {}

// run does a check when it is due. What it fails with it gives again until the next run.
func (w *Watch) run(k *watched, interval time.Duration, check func() (gaveUp bool, err error)) error {
	began := w.Now()
	if began.Before(k.next) {
		return k.failed
	}
	gaveUp, err := check()
	if k.failed = err; (err != nil && !gaveUp) || len(k.known) > 0 {
		interval = min(interval, again)
	}
	k.next = began.Add(interval)
	if err == nil {
		w.Observer.FsckCompleted(string(k.check), w.Now())
	}
	return err
}

// CheckPages checks the pages of the database if that is due.
func (w *Watch) CheckPages(ctx context.Context) error {
	if !w.Pages {
		return nil
	}
	return w.run(&w.pages, w.Interval, func() (gaveUp bool, err error) {
		limited, cancel := context.WithTimeout(ctx, longest)
		defer cancel()
		r, err := w.Store.CheckPages(limited)
		switch {
		case err == nil:
			w.note(&w.pages, "", pageFindings(r))
			return false, nil
		case limited.Err() != nil && ctx.Err() == nil:
			return true, fmt.Errorf("the check of the database's pages did not end within %s:"+
				" run sluice fsck at a quiet time", longest)
		}
		return false, err
	})
}

// CheckIndexes checks the index of every ledger if that is due, slowly. An index that cannot be read keeps it from no
// other.
func (w *Watch) CheckIndexes(ctx context.Context) error {
	return w.run(&w.index, indexIntervals*w.Interval, func() (gaveUp bool, failed error) {
		list, err := ledgers(ctx, w.Store)
		if err != nil {
			return false, err
		}
		for _, l := range list {
			c := indexCheck{store: w.Store, ledger: l, pause: (&pauses{worked: time.Now()}).pause}
			err := c.run(ctx)
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("index of %s: %w", l, err))
			}
			if err != nil && len(c.findings) == 0 {
				continue // what was known of it stays
			}
			w.distrust(l, len(c.findings) > 0)
			w.note(&w.index, l.String(), c.findings)
		}
		return false, failed
	})
}

// distrust has lists do without an index that is damaged.
func (w *Watch) distrust(l sluice.LedgerID, damaged bool) {
	if _, before := w.index.known[l.String()]; before == damaged {
		return
	}
	w.Store.DistrustIndex(l, damaged)
	if damaged {
		w.Log.Error("the index of a log is damaged: lists of its entries are read from the log itself", "ledger", l.String())
	} else {
		w.Log.Info("the index of a log is whole again", "ledger", l.String())
	}
}

// note logs what was not known, and what is gone.
func (w *Watch) note(k *watched, ledger string, found []Finding) {
	before := texts(k.known[ledger])
	fresh := 0
	for _, f := range found {
		if before[f.String()] {
			continue
		}
		if fresh++; fresh <= logged {
			w.Log.Error("check found a problem", attributes(f)...)
		}
	}
	if fresh > logged {
		w.Log.Error("check found more problems", "check", string(k.check), "ledger", ledger, "more", fresh-logged)
	}
	if delete(k.known, ledger); len(found) > 0 {
		k.known[ledger] = found
	} else if len(before) > 0 {
		w.Log.Info("check finds no problem any more", "check", string(k.check), "ledger", ledger)
	}
	n := 0
	for _, list := range k.known {
		n += len(list)
	}
	w.Observer.FsckFindings(string(k.check), n)
}

func texts(list []Finding) map[string]bool {
	all := map[string]bool{}
	for _, f := range list {
		all[f.String()] = true
	}
	return all
}

func attributes(f Finding) []any {
	list := []any{"check", string(f.Check)}
	if f.Ledger != "" {
		list = append(list, "ledger", f.Ledger)
	}
	if f.Entry != nil {
		list = append(list, "entry", *f.Entry)
	}
	return append(list, "problem", f.Problem)
}

// pauses spreads the work of a check.
type pauses struct{ worked time.Time }

func (p *pauses) pause(ctx context.Context) error {
	timer := time.NewTimer(min(idle*time.Since(p.worked), longestPause))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.worked = time.Now()
	return nil
}
