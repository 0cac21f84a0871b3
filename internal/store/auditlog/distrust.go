package auditlog

import (
	"sluice"
	"sluice/internal/store/sqldb"
)

// maxUnindexed is how many entries a list may read from the log where the index cannot be used.
const maxUnindexed = 1 << 20

// DistrustIndex has lists and look-ups of a ledger's entries read the log in place of the index and of the times of
// batches, or those again. It is slow, so that they read a million entries at most, and are CodeUnavailable where
// that does not suffice. A look-up by id asks the index first: a hit is compared with the entry. It is kept in memory.
func (k *Ledgers) DistrustIndex(l sluice.LedgerID, distrust bool) {
	if distrust {
		k.distrusted.Store(l, true)
	} else {
		k.distrusted.Delete(l)
	}
}

// readLog gives the first rows of a list from the log alone. Where it cannot read far enough it fails: a part of a list
// must not be taken for the whole.
func (q *entryList) readLog(add func(stored) bool) error {
	found := 0
	enough, err := q.scanUnindexed(q.ledger, q.span, q.up, func(s stored) bool {
		if !q.matches(s) || !q.inTime(s) {
			return true
		}
		found++
		return add(s) && (q.ids == nil || found < len(q.ids))
	})
	switch {
	case err != nil || enough:
	case !q.distrusted:
		err = sluice.Errorf(sluice.CodeUnavailable, "an older version wrote more entries of this log than can be read"+
			" without an index, and did not index them by recipient and client address; list newer ones alone"+
			" with created[gte]")
	default:
		err = sluice.Errorf(sluice.CodeUnavailable, "the index of this log is damaged, and the log is too long"+
			" to be read without it; list its entries without filters, and have the operator run sluice fsck")
	}
	return err
}

// scanUnindexed is scan where the index cannot be used. It reads so many entries at most, and reports whether these
// were enough.
func (r *Reader) scanUnindexed(
	ledger int64, span sqldb.Interval, up bool, yield func(stored) (more bool),
) (enough bool, err error) {
	most := r.ledgers.MaxUnindexed
	if most == 0 {
		most = maxUnindexed
	}
	read, enough := 0, true
	err = r.scan(ledger, span, up, func(s stored) bool {
		if read++; read > most {
			enough = false
			return false
		}
		return yield(s)
	})
	return enough, err
}

// inTime reports whether an entry is of the time that a list is of.
func (q *entryList) inTime(s stored) bool {
	if q.within == (sqldb.Interval{}) || q.within == sqldb.Everything {
		return true
	}
	_, at := s.IndexTerms()
	return at.UnixMicro() >= q.within.From && at.UnixMicro() < q.within.To
}
