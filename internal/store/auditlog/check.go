package auditlog

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"time"

	"sluice"
	"sluice/internal/store/sqldb"
)

// IndexTerm is a value of a field, as entries are found by it in the index.
type IndexTerm struct{ Field, Value string }

// Extent says how far a ledger reaches.
type Extent struct {
	Next    int64     // seq of the next entry
	Indexed int64     // entries before it are in the index; lists read the others from the log
	Latest  time.Time // time of the newest entry, no earlier than that of any before it
	Beyond  int64     // batches that begin at Next or later, of which there should be none
}

// LogBatch is a row of the log, with what its entries are found by.
type LogBatch struct {
	First   int64
	Time    time.Time // by which lists of a time find the batch
	Entries []LogEntry
}

// LogEntry is what an entry is found by. It has no terms where it is damaged.
type LogEntry struct {
	Time  time.Time
	Terms []IndexTerm
}

// IndexRow is a row of the index: the places of a stretch of the log where entries have a term.
type IndexRow struct {
	IndexTerm
	First int64
	seqs  []byte
}

// Extent says how far a ledger reaches. A ledger without entries is ErrNotFound.
func (r *Reader) Extent(l sluice.LedgerID) (e Extent, err error) {
	err = r.One([]any{&e.Next, &e.Indexed, (*sqldb.Time)(&e.Latest), &e.Beyond}, "SELECT next, indexed, latest,"+
		" (SELECT COUNT(*) FROM batch WHERE batch.ledger = ledger.id AND batch.first >= ledger.next)"+
		" FROM ledger WHERE account = $1 AND mode = $2", l.Account, string(l.Mode))
	return e, err
}

// BatchAt gives the seq with which the batch begins that holds an entry, or that comes before it; -1 for none.
func (r *Reader) BatchAt(l sluice.LedgerID, seq int64) (first int64, err error) {
	number, err := r.LedgerNumber(l)
	if err != nil {
		return -1, err
	}
	err = r.One([]any{&first}, lastBatchQuery("first"), number, seq)
	if err == sqldb.ErrNotFound {
		return -1, nil
	}
	return first, err
}

// ReadBatches gives up to limit batches to yield that begin at from or later and before to, in their order,
// and says how many there were. The batch is good until yield returns.
func (r *Reader) ReadBatches(l sluice.LedgerID, from, to int64, limit int, yield func(LogBatch)) (n int, err error) {
	number, err := r.LedgerNumber(l)
	if err != nil {
		return 0, err
	}
	key, err := r.indexKey()
	if err != nil {
		return 0, err
	}
	personal, err := r.personalFrom(number)
	if err != nil {
		return 0, err
	}
	var b LogBatch
	query := "SELECT " + batchColumns +
		" FROM batch WHERE ledger = $1 AND first >= $2 AND first < $3 ORDER BY first LIMIT $4"
	err = r.eachBatch(query, []any{number, from, to, limit}, func(o *unpackedBatch, entries []stored) bool {
		n++
		b.First, b.Time, b.Entries = o.first, time.UnixMicro(o.time).UTC(), b.Entries[:0]
		for _, e := range entries {
			b.Entries = append(b.Entries, logEntry(e, key, e.seq >= personal))
		}
		yield(b)
		return true
	})
	return n, err
}

// logEntry gives what an entry is found by, with personal also by its personal terms.
func logEntry(s stored, key IndexKey, personal bool) (e LogEntry) {
	has, at := s.IndexTerms()
	has.Deliveries = s.DeliveryTerms()
	if personal {
		has.PersonalTerms = s.PersonalTerms()
	}
	e.Time, e.Terms = at, make([]IndexTerm, 0, len(fields))
	var values []string
	for _, f := range fields {
		values = f.values(values[:0], &has)
		for _, value := range values {
			if f.keyed {
				value = key.term(f.name, value)
			}
			e.Terms = append(e.Terms, IndexTerm{f.name, value})
		}
	}
	return e
}

// ReadIndex gives up to limit rows of a ledger's index to yield, in the order of their terms and places, and says
// how many there were. They come after the row with a term and place; all do after one with an empty term. A row is
// good until yield returns.
func (r *Reader) ReadIndex(l sluice.LedgerID, after IndexRow, limit int, yield func(IndexRow)) (n int, err error) {
	number, err := r.LedgerNumber(l)
	if err != nil {
		return 0, err
	}
	rows, err := r.Conn.Query(r.Ctx, "SELECT field, value, first, seqs FROM entry_index WHERE ledger = $1"+
		" AND (field, value, first) > ($2, $3, $4) ORDER BY field, value, first LIMIT $5",
		number, after.Field, after.Value, after.First, limit)
	if err != nil {
		return 0, r.Fail(err)
	}
	defer rows.Close()
	var row IndexRow
	var seqs sql.RawBytes
	for ; rows.Next(); n++ {
		if err := rows.Scan(&row.Field, &row.Value, &row.First, &seqs); err != nil {
			return n, r.Fail(err)
		}
		row.seqs = seqs
		yield(row)
	}
	return n, r.Fail(rows.Err())
}

// Places gives the places of a row to yield, and says what is wrong with the row: they ascend from First.
func (row IndexRow) Places(yield func(seq int64)) error {
	seq := row.First
	for i, rest := 0, row.seqs; i == 0 || len(rest) > 0; i++ {
		distance, n := binary.Uvarint(rest)
		switch next := seq + int64(distance); {
		case n <= 0:
			return errors.New("its list of entries is damaged")
		case (i == 0) != (next == seq), next < seq:
			return errors.New("its entries are not in order")
		default:
			seq, rest = next, rest[n:]
		}
		yield(seq)
	}
	return nil
}
