package store

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/s2"

	"sluice/internal/audit"
	"sluice/internal/store/sqldb"
	"sluice/ledger"
)

// A batch is a row of the log: entries that follow each other and were written
// together. A row for each entry would cost more than the entries do.
type batch struct {
	ledger, first int64
	time          int64  // of the first entry, no earlier than that of any before it
	leaves        []byte // an entry bundle, see ledger.AppendEntry; packed
	disclosures   []byte // one line for each leaf; packed
}

// A batch takes entries until it is as large as this.
const (
	maxBatch      = 32
	maxBatchBytes = 64 << 10
)

// batchesOf puts entries into batches, in the order of each log.
func batchesOf(entries []recorded) (list []batch, err error) {
	byLedger := map[int64][]recorded{}
	for _, e := range entries {
		byLedger[e.ledger] = append(byLedger[e.ledger], e)
	}
	var leaves, disclosures []byte
	for _, number := range slices.Sorted(maps.Keys(byLedger)) {
		for rest := byLedger[number]; len(rest) > 0; {
			b := batch{ledger: number, first: rest[0].seq, time: rest[0].time}
			leaves, disclosures = leaves[:0], disclosures[:0]
			for n := 0; n < maxBatch && len(rest) > 0 && len(leaves)+len(disclosures) < maxBatchBytes; n++ {
				if leaves, err = ledger.AppendEntry(leaves, rest[0].sealed.Leaf); err != nil {
					return nil, err
				}
				disclosures = append(append(disclosures, rest[0].sealed.Disclosures...), '\n')
				rest = rest[1:]
			}
			b.leaves, b.disclosures = pack(leaves), pack(disclosures)
			list = append(list, b)
		}
	}
	return list, nil
}

// What is packed begins with a byte that says how.
const (
	packedPlain byte = iota // as it is
	packedS2                // a block of S2, https://github.com/klauspost/compress/tree/master/s2, and its CRC-32C, big-endian
)

// pack makes data smaller where that saves a quarter or more: entries have much
// in common, but one alone has not, and can be read where it is.
func pack(data []byte) []byte {
	packed := make([]byte, 1+s2.MaxEncodedLen(len(data))+crc32.Size)
	block := s2.Encode(packed[1:], data)
	if 1+len(block)+crc32.Size > len(data)*3/4 {
		return append(append(packed[:0], packedPlain), data...)
	}
	packed[0] = packedS2
	return binary.BigEndian.AppendUint32(packed[:1+len(block)], crc32.Checksum(block, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// unpack gives what was packed, and nothing of what is damaged. The block alone
// would not show that: some bytes of it can be others and mean the same. It uses
// the room of a slice that is no longer needed.
func unpack(room, packed []byte) []byte {
	switch {
	case len(packed) > 1+crc32.Size && packed[0] == packedS2:
		block, sum := packed[1:len(packed)-crc32.Size], binary.BigEndian.Uint32(packed[len(packed)-crc32.Size:])
		if n, err := s2.DecodedLen(block); err != nil || n > maxUnpacked || crc32.Checksum(block, castagnoli) != sum {
			return nil
		}
		data, err := s2.Decode(room[:cap(room)], block)
		if err != nil {
			return nil
		}
		return data
	case len(packed) > 0 && packed[0] == packedPlain:
		return append(room[:0], packed[1:]...)
	}
	return nil
}

// maxUnpacked bounds what is unpacked: a batch of the largest leaf and its
// disclosures behind others that do not fill one.
const maxUnpacked = maxBatchBytes + 2 + ledger.MaxLeaf + 1<<20

var batchInsert = sqldb.Insertion{Table: "batch", Columns: []string{"ledger", "first", "time", "leaves", "disclosures"}}

const batchColumns = "first, time, leaves, disclosures"

// sealed is an entry as it is read.
type sealed struct {
	seq int64
	audit.SealedEntry
}

// kept is an entry that outlasts the batch it was read from.
func (s sealed) kept() sealed {
	s.Leaf, s.Disclosures = bytes.Clone(s.Leaf), bytes.Clone(s.Disclosures)
	return s
}

// opened is a batch as it is read: its leaves and disclosures are not packed.
type opened struct {
	first, time         int64
	leaves, disclosures []byte
}

// entries gives those of a batch, and ends before the first that is not whole.
func (b *opened) entries(list []sealed) []sealed {
	leaves, disclosures := b.leaves, b.disclosures
	for {
		leaf, rest, ok := ledger.CutEntry(leaves)
		if !ok {
			return list
		}
		line, after, _ := bytes.Cut(disclosures, []byte("\n"))
		list = append(list, sealed{b.first + int64(len(list)), audit.SealedEntry{Leaf: leaf, Disclosures: line}})
		leaves, disclosures = rest, after
	}
}

// eachBatch runs a query of batchColumns, and gives yield the batches with their
// entries, until it has enough. Nothing of them is good any more when it returns.
func (r *reader) eachBatch(query string, args []any, yield func(*opened, []sealed) (more bool)) error {
	if err := r.Flush(); err != nil {
		return err
	}
	rows, err := r.Conn.Query(r.Ctx, query, args...)
	if err != nil {
		return r.Fail(err)
	}
	defer rows.Close()
	var b opened
	var leaves, disclosures sql.RawBytes
	var list []sealed
	for rows.Next() {
		if err := rows.Scan(&b.first, &b.time, &leaves, &disclosures); err != nil {
			return r.Fail(err)
		}
		b.leaves, b.disclosures = unpack(b.leaves, leaves), unpack(b.disclosures, disclosures)
		list = b.entries(list[:0])
		if !yield(&b, list) {
			return nil
		}
	}
	return r.Fail(rows.Err())
}

// batchesQuery asks for the batches that reach into a span of places, by ledger,
// from, to and limit, from its newest or with up from its oldest on. Batches do
// not overlap, so that at most one does that begins before it.
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

// scan gives the entries of a span to yield, until that has enough. What yield
// does not take as kept is gone afterwards.
func (r *reader) scan(ledger int64, span interval, up bool, yield func(sealed) (more bool)) error {
	for n := 4; span.from < span.to; n = min(2*n, batchesAtOnce) {
		rows, enough := 0, false
		at := span
		err := r.eachBatch(batchesQuery(batchColumns, up), []any{ledger, span.from, span.to, n}, func(b *opened, entries []sealed) bool {
			rows++
			if up {
				at.from = max(at.from, b.first+int64(len(entries)))
			} else {
				at.to = min(at.to, b.first)
				slices.Reverse(entries)
			}
			for _, e := range entries {
				if e.seq >= span.from && e.seq < span.to && !yield(e) {
					enough = true
					return false
				}
			}
			return true
		})
		if err != nil || enough || rows < n {
			return err
		}
		span = at
	}
	return nil
}

// holding gives yield the batches that hold some places, oldest first, as
// eachBatch does.
func (r *reader) holding(ledger int64, seqs []int64, yield func(*opened, []sealed) (more bool)) error {
	query, args := placesQuery(ledger, seqs)
	firsts, err := sqldb.Many(r.Session, func(first *sql.Null[int64]) []any { return []any{first} }, query, args...)
	if err != nil {
		return err
	}
	var begin []int64
	for _, first := range firsts {
		if first.Valid {
			begin = append(begin, first.V)
		}
	}
	if len(begin) == 0 {
		return nil
	}
	slices.Sort(begin)
	query, args = beginningQuery(ledger, slices.Compact(begin))
	return r.eachBatch(query, args, yield)
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
