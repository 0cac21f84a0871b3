package auditlog

import (
	"sluice"
	"sluice/internal/store/sqldb"
)

// The index of a ledger is rebuilt in steps, each in a commit of its own, beside writers and readers:
//
//  1. RestartIndex sets the end of the index to 0. From then on lists read the log in place of the index.
//  2. DropIndexRows removes the rows that lie beyond the end of the index.
//  3. IndexStretch writes the rows of the next stretch, and moves the end of the index behind it.
//
// After a crash between two steps the index is right as far as it reaches. Writers leave an index alone that ends more
// than MaxTail before the log, so the second and the third step are simply repeated.

const (
	// MaxTail is how many entries are not in the index at most, besides those of one group. Where they are more, the
	// rebuilding of the index has not ended.
	MaxTail = 1 << 14
	// rebuiltAtOnce is how many entries are indexed in one commit.
	rebuiltAtOnce = 2048
	// droppedAtOnce is how many rows of the index are read, and removed, in one commit.
	droppedAtOnce = 2000
)

// RestartIndex begins the rebuilding of a ledger's index. A short log is indexed in the same commit; done says so.
func (t *Tx) RestartIndex(l sluice.LedgerID) (done bool, err error) {
	h, err := t.Head(l)
	if err != nil || h.ID == 0 {
		return true, err
	}
	done = h.Next <= MaxTail
	if done {
		if _, err := t.Exec("DELETE FROM entry_index WHERE ledger = $1", h.ID); err != nil {
			return false, err
		}
	}
	t.Writes()
	h.Indexed, h.changed = 0, true
	return done, nil
}

// DropIndexRows removes rows that lie beyond the end of the index, among those after a row. It returns the last row
// that it looked at, and whether there may be more after it.
func (t *Tx) DropIndexRows(l sluice.LedgerID, after IndexRow) (last IndexRow, more bool, err error) {
	h, err := t.Head(l)
	if err != nil || h.ID == 0 {
		return after, false, err
	}
	var stale [][]any
	last = after
	n, err := t.ReadIndex(l, after, droppedAtOnce, func(row IndexRow) {
		if last = row; row.First >= h.Indexed {
			stale = append(stale, []any{h.ID, row.Field, row.Value, row.First})
		}
	})
	if err != nil || len(stale) == 0 {
		return last, n == droppedAtOnce, err
	}
	t.Writes()
	err = t.ExecEach("DELETE FROM entry_index WHERE ledger = $1 AND field = $2 AND value = $3 AND first = $4", stale)
	return last, n == droppedAtOnce, err
}

// IndexStretch writes the index of the next stretch of a log. more says that entries are left that writers do not
// index. No row may lie beyond the end of the index: see DropIndexRows.
func (t *Tx) IndexStretch(l sluice.LedgerID) (more bool, err error) {
	h, err := t.Head(l)
	if err != nil || h.Next-h.Indexed < indexStep {
		return false, err
	}
	if err := t.Flush(); err != nil { // what the group has recorded is read below
		return false, err
	}
	part := tail{from: h.Indexed}
	to := min(h.Next, h.Indexed+rebuiltAtOnce)
	if part.list, err = t.termsOf(h.ID, sqldb.Interval{From: h.Indexed, To: to}); err != nil {
		return false, err
	}
	t.Writes()
	if err := t.insertPostings(h.ID, part); err != nil {
		return false, err
	}
	h.Indexed, h.changed = to, true
	return h.Next-h.Indexed >= indexStep, nil
}
