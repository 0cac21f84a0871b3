package store

import (
	"bytes"
	"database/sql"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"sluice"
	"sluice/ledger"
)

// A batch is a row of the log: entries that follow each other and were written
// together. A row for each entry would cost more than the entries do.
type batch struct {
	ledger, first int64
	time          int64  // of the first entry, no earlier than that of any before it
	leaves        []byte // an entry bundle, see ledger.AppendEntry
	disclosures   []byte // one line for each leaf
	entries       int    // while it is made
}

// A batch takes entries until it is as large as this.
const (
	maxBatch      = 32
	maxBatchBytes = 64 << 10
)

// batchesOf puts the entries of a group into batches, in the order of each log.
func batchesOf(entries []recorded) ([]batch, error) {
	list := make([]batch, 0, 1+len(entries)/maxBatch)
	last := map[int64]int{} // of each ledger, where in list
	for _, e := range entries {
		i, begun := last[e.ledger]
		if !begun || list[i].entries == maxBatch || len(list[i].leaves)+len(list[i].disclosures) > maxBatchBytes {
			i = len(list)
			last[e.ledger] = i
			list = append(list, batch{ledger: e.ledger, first: e.seq, time: e.time})
		}
		b := &list[i]
		var err error
		if b.leaves, err = ledger.AppendEntry(b.leaves, e.sealed.Leaf); err != nil {
			return nil, err
		}
		b.disclosures = append(append(b.disclosures, e.sealed.Disclosures...), '\n')
		b.entries++
	}
	return list, nil
}

var batchInsert = insertion{"batch", []string{"ledger", "first", "time", "leaves", "disclosures"}}

const batchColumns = "first, time, leaves, disclosures"

func (b *batch) fields() []any { return []any{&b.first, &b.time, &b.leaves, &b.disclosures} }

// sealed is an entry as it is read.
type sealed struct {
	seq int64
	sluice.SealedEntry
}

// open gives the entries of a batch. It ends before the first that is not whole.
func (b *batch) open() (list []sealed) {
	leaves, disclosures := b.leaves, b.disclosures
	for {
		leaf, rest, ok := ledger.CutEntry(leaves)
		if !ok {
			return list
		}
		line, after, _ := bytes.Cut(disclosures, []byte("\n"))
		list = append(list, sealed{b.first + int64(len(list)), sluice.SealedEntry{Leaf: leaf, Disclosures: line}})
		leaves, disclosures = rest, after
	}
}

// batches reads those that reach into a span of places, at most so many of
// them, from its newest or with up from its oldest on.
func (r *reader) batches(ledger int64, span interval, up bool, limit int) ([]batch, error) {
	return many(r, (*batch).fields, batchesQuery(batchColumns, up), ledger, span.from, span.to, limit)
}

// batchesQuery asks for batches by ledger, from, to and limit. Batches do not
// overlap, so that at most one that begins before the span reaches into it.
func batchesQuery(columns string, up bool) string {
	order := " DESC"
	if up {
		order = ""
	}
	return "SELECT " + columns + " FROM batch WHERE ledger = $1" +
		" AND first >= COALESCE((SELECT MAX(first) FROM batch WHERE ledger = $1 AND first <= $2), $2) AND first < $3 ORDER BY first" + order + " LIMIT $4"
}

// batchesAtOnce are the batches that are read with one query, at most.
const batchesAtOnce = 64

// scan gives the entries of a span to yield, until that has enough.
func (r *reader) scan(ledger int64, span interval, up bool, yield func(sealed) (more bool)) error {
	for n := 4; span.from < span.to; n = min(2*n, batchesAtOnce) {
		rows, err := r.batches(ledger, span, up, n)
		if err != nil {
			return err
		}
		for _, b := range rows {
			entries := b.open()
			if !up {
				slices.Reverse(entries)
			}
			for _, e := range entries {
				if e.seq >= span.from && e.seq < span.to && !yield(e) {
					return nil
				}
			}
			if up {
				span.from = max(span.from, b.first+int64(len(entries)))
			} else {
				span.to = min(span.to, b.first)
			}
		}
		if len(rows) < n {
			return nil
		}
	}
	return nil
}

// holding gives the batches that hold some places, oldest first.
func (r *reader) holding(ledger int64, seqs []int64) ([]batch, error) {
	query, args := placesQuery(ledger, seqs)
	firsts, err := many(r, func(first *sql.Null[int64]) []any { return []any{first} }, query, args...)
	if err != nil {
		return nil, err
	}
	var begin []int64
	for _, first := range firsts {
		if first.Valid {
			begin = append(begin, first.V)
		}
	}
	if len(begin) == 0 {
		return nil, nil
	}
	slices.Sort(begin)
	query, args = beginningQuery(ledger, slices.Compact(begin))
	return many(r, (*batch).fields, query, args...)
}

// placesQuery asks where the batches begin that hold some places of a ledger.
func placesQuery(ledger int64, seqs []int64) (query string, args []any) {
	args = padded(ledger, seqs)
	each := make([]string, len(args)-1)
	for i := range each {
		each[i] = "SELECT MAX(first) FROM batch WHERE ledger = $1 AND first <= $" + strconv.Itoa(i+2)
	}
	return strings.Join(each, " UNION ALL "), args
}

// beginningQuery asks for the batches that begin at some places of a ledger.
func beginningQuery(ledger int64, firsts []int64) (query string, args []any) {
	args = padded(ledger, firsts)
	marks := make([]string, len(args)-1)
	for i := range marks {
		marks[i] = "$" + strconv.Itoa(i+2)
	}
	return "SELECT " + batchColumns + " FROM batch WHERE ledger = $1 AND first IN (" + strings.Join(marks, ", ") + ") ORDER BY first", args
}

// padded gives arguments: a ledger, and places, of which the last is repeated up
// to a power of two, so that few texts are prepared.
func padded(ledger int64, seqs []int64) []any {
	args := []any{ledger}
	for i := range 1 << bits.Len(uint(len(seqs)-1)) {
		args = append(args, seqs[min(i, len(seqs)-1)])
	}
	return args
}
