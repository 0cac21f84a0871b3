package auditlog

import (
	"bytes"
	"cmp"
	"database/sql"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/s2"

	"sluice/internal/audit"
	"sluice/internal/store/sqldb"
	"sluice/ledger"
)

// batch is a row of the log: entries that follow each other and were written together. A row for each entry would
// cost more than the entries do.
type batch struct {
	ledger, first int64
	time          int64  // of the first entry, no earlier than that of any entry before it
	leaves        []byte // an entry bundle, see ledger.AppendEntry; packed
	disclosures   []byte // one line for each leaf; packed
}

// A batch is full when it has maxBatch entries or maxBatchBytes.
const (
	maxBatch      = 32
	maxBatchBytes = 64 << 10
)

// batcher puts entries into batches. It keeps its buffers for the next group.
type batcher struct{ leaves, disclosures, packed []byte }

// maxKeptBuffer is the size up to which a batcher keeps a buffer.
const maxKeptBuffer = 1 << 20

// batches puts entries into batches, in the order of each log. They are valid until the next call.
func (b *batcher) batches(entries []unwritten) (list []batch, err error) {
	b.packed = b.packed[:0]
	slices.SortStableFunc(entries, func(a, b unwritten) int { return cmp.Compare(a.ledger, b.ledger) })
	for rest := entries; len(rest) > 0; {
		next := batch{ledger: rest[0].ledger, first: rest[0].seq, time: rest[0].time}
		leaves, disclosures := b.leaves[:0], b.disclosures[:0]
		n := 0
		for n < min(maxBatch, len(rest)) && rest[n].ledger == next.ledger &&
			len(leaves)+len(disclosures) < maxBatchBytes {
			if leaves, err = ledger.AppendEntry(leaves, rest[n].sealed.Leaf); err != nil {
				return nil, err
			}
			disclosures = append(append(disclosures, rest[n].sealed.Disclosures...), '\n')
			n++
		}
		rest = rest[n:]
		next.leaves, next.disclosures = b.pack(leaves), b.pack(disclosures)
		list = append(list, next)
		b.leaves, b.disclosures = leaves, disclosures
	}
	for _, buffer := range []*[]byte{&b.leaves, &b.disclosures, &b.packed} {
		if cap(*buffer) > maxKeptBuffer {
			*buffer = nil
		}
	}
	return list, nil
}

// pack packs data behind what was packed before.
func (b *batcher) pack(data []byte) []byte {
	before := len(b.packed)
	b.packed = appendPacked(b.packed, data)
	return b.packed[before:]
}

// The first byte of packed data says how it is packed.
const (
	packedPlain byte = iota // as it is
	// A block of S2, https://github.com/klauspost/compress/tree/master/s2, and its CRC-32C, big-endian.
	packedS2
)

// pack compresses data where that saves a quarter or more. Entries have much in common. A single entry often has
// not, and stays readable as it is.
func pack(data []byte) []byte { return appendPacked(nil, data) }

// appendPacked appends what pack returns.
func appendPacked(dst, data []byte) []byte {
	before := len(dst)
	dst = slices.Grow(dst, 1+s2.MaxEncodedLen(len(data))+crc32.Size)
	packed := dst[before : before+1+s2.MaxEncodedLen(len(data))]
	block := s2.Encode(packed[1:], data)
	if 1+len(block)+crc32.Size > len(data)*3/4 {
		return append(append(dst, packedPlain), data...)
	}
	packed[0] = packedS2
	return binary.BigEndian.AppendUint32(dst[:before+1+len(block)], crc32.Checksum(block, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// unpack gives the data that was packed, nil when it is damaged. The checksum is needed because S2 alone accepts some
// changed blocks. buffer is a slice that unpack may overwrite and return.
func unpack(buffer, packed []byte) []byte {
	switch {
	case len(packed) > 1+crc32.Size && packed[0] == packedS2:
		block, sum := packed[1:len(packed)-crc32.Size], binary.BigEndian.Uint32(packed[len(packed)-crc32.Size:])
		if n, err := s2.DecodedLen(block); err != nil || n > maxUnpacked || crc32.Checksum(block, castagnoli) != sum {
			return nil
		}
		data, err := s2.Decode(buffer[:cap(buffer)], block)
		if err != nil {
			return nil
		}
		return data
	case len(packed) > 0 && packed[0] == packedPlain:
		return append(buffer[:0], packed[1:]...)
	}
	return nil
}

// maxUnpacked bounds unpacked data: an almost full batch, and then the largest leaf with its disclosures.
const maxUnpacked = maxBatchBytes + 2 + ledger.MaxLeaf + 1<<20

var batchInsert = sqldb.Insertion{Table: "batch", Columns: []string{"ledger", "first", "time", "leaves", "disclosures"}}

const batchColumns = "first, time, leaves, disclosures"

// stored is an entry as it is read.
type stored struct {
	seq int64
	audit.SealedEntry
}

// clone is a copy that stays valid when the next batch is read.
func (s stored) clone() stored {
	s.Leaf, s.Disclosures = bytes.Clone(s.Leaf), bytes.Clone(s.Disclosures)
	return s
}

// unpackedBatch is a batch as it is read.
type unpackedBatch struct {
	first, time         int64
	leaves, disclosures []byte
}

// entries appends the entries of a batch to list, and ends before the first that is damaged.
func (b *unpackedBatch) entries(list []stored) []stored {
	leaves, disclosures := b.leaves, b.disclosures
	for {
		leaf, rest, ok := ledger.CutEntry(leaves)
		if !ok {
			return list
		}
		line, after, _ := bytes.Cut(disclosures, []byte("\n"))
		list = append(list, stored{b.first + int64(len(list)), audit.SealedEntry{Leaf: leaf, Disclosures: line}})
		leaves, disclosures = rest, after
	}
}

// eachBatch runs a query of batchColumns, and calls yield with each batch and its entries, until yield returns
// false. Both are valid only during that call.
func (r *Reader) eachBatch(query string, args []any, yield func(*unpackedBatch, []stored) (more bool)) error {
	if err := r.Flush(); err != nil {
		return err
	}
	rows, err := r.Conn.Query(r.Ctx, query, args...)
	if err != nil {
		return r.Fail(err)
	}
	defer rows.Close()
	var b unpackedBatch
	var leaves, disclosures sql.RawBytes
	var list []stored
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

// batchesQuery selects the batches that overlap an interval of seqs. Its arguments are ledger, from, to and limit.
// It reads from the newest batch, or with up from the oldest. Batches do not overlap, so at most one of them begins
// before the interval.
func batchesQuery(columns string, up bool) string {
	order := " DESC"
	if up {
		order = ""
	}
	return "SELECT " + columns + " FROM batch WHERE ledger = $1" +
		" AND first >= COALESCE((SELECT MAX(first) FROM batch WHERE ledger = $1 AND first <= $2), $2) AND first < $3" +
		" ORDER BY first" + order + " LIMIT $4"
}

// batchesAtOnce is how many batches one query reads at most.
const batchesAtOnce = 64

// scan calls yield with the entries of an interval of seqs, until yield returns false. An entry is valid only
// during that call.
func (r *Reader) scan(ledger int64, span sqldb.Interval, up bool, yield func(stored) (more bool)) error {
	query := batchesQuery(batchColumns, up)
	for n := 4; span.From < span.To; n = min(2*n, batchesAtOnce) {
		rows, enough := 0, false
		rest := span
		args := []any{ledger, span.From, span.To, n}
		err := r.eachBatch(query, args, func(b *unpackedBatch, entries []stored) bool {
			rows++
			if up {
				rest.From = max(rest.From, b.first+int64(len(entries)))
			} else {
				rest.To = min(rest.To, b.first)
				slices.Reverse(entries)
			}
			for _, e := range entries {
				if e.seq >= span.From && e.seq < span.To && !yield(e) {
					enough = true
					return false
				}
			}
			return true
		})
		if err != nil || enough || rows < n {
			return err
		}
		span = rest
	}
	return nil
}

// batchesWith calls yield with the batches that hold some seqs, oldest first, as eachBatch does.
func (r *Reader) batchesWith(ledger int64, seqs []int64, yield func(*unpackedBatch, []stored) (more bool)) error {
	query, args := firstsQuery(ledger, seqs)
	found, err := sqldb.Many(r.Session, func(first *sql.Null[int64]) []any { return []any{first} }, query, args...)
	if err != nil {
		return err
	}
	var firsts []int64
	for _, first := range found {
		if first.Valid {
			firsts = append(firsts, first.V)
		}
	}
	if len(firsts) == 0 {
		return nil
	}
	slices.Sort(firsts)
	query, args = batchesAtQuery(ledger, slices.Compact(firsts))
	return r.eachBatch(query, args, yield)
}

// firstsQuery selects the first seq of each batch that holds one of some seqs.
func firstsQuery(ledger int64, seqs []int64) (query string, args []any) {
	args = padded(ledger, seqs)
	each := make([]string, len(args)-1)
	for i := range each {
		each[i] = "SELECT MAX(first) FROM batch WHERE ledger = $1 AND first <= $" + strconv.Itoa(i+2)
	}
	return strings.Join(each, " UNION ALL "), args
}

// batchesAtQuery selects the batches that begin at some seqs.
func batchesAtQuery(ledger int64, firsts []int64) (query string, args []any) {
	args = padded(ledger, firsts)
	marks := make([]string, len(args)-1)
	for i := range marks {
		marks[i] = "$" + strconv.Itoa(i+2)
	}
	return "SELECT " + batchColumns + " FROM batch WHERE ledger = $1 AND first IN (" + strings.Join(marks, ", ") +
		") ORDER BY first", args
}

// lastBatchQuery selects the last batch of a ledger that begins at or before a seq.
func lastBatchQuery(columns string) string {
	return "SELECT " + columns + " FROM batch WHERE ledger = $1 AND first <= $2 ORDER BY first DESC LIMIT 1"
}

// padded gives arguments: a ledger and seqs. The last seq is repeated up to a power of two, so that few texts are
// prepared.
func padded(ledger int64, seqs []int64) []any {
	args := []any{ledger}
	for i := range 1 << bits.Len(uint(len(seqs)-1)) {
		args = append(args, seqs[min(i, len(seqs)-1)])
	}
	return args
}
