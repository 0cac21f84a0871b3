package fsck

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"sluice"
	"sluice/internal/store"
)

// The index of a log is compared with its entries in constant memory. Each place of each term is hashed with a
// secret of the run, and the hashes of a part of the log are summed: those that the entries should have, less those
// that the index has. A part whose sum is not 0 is read again, to find the places that differ.
//
// Entries and rows of the index never change once they are committed. So the check needs no snapshot: it reads
// short pages, and leaves alone what was indexed after it began.

const (
	sums        = 1 << 16 // parts of a log, at most
	minPart     = 64      // entries of a part, at least
	narrowed    = 8192    // entries of the parts that are read again at a time, unless one has more
	batchesPage = 128     // batches that are read at a time
	rowsPage    = 4096    // rows of the index that are read at a time
)

// indexCheck checks the index of one ledger.
type indexCheck struct {
	store  *store.Store
	ledger sluice.LedgerID
	pause  func(context.Context) error // is called after each page; nil: the check does not pause

	entries, rows int64 // that were read
	findings      []Finding

	extent store.Extent
	seed   maphash.Seed
	sums   []uint64
	part   int64 // entries of a part
}

// unfinished is what is said of an index whose repair was interrupted.
const unfinished = "the repair of the index has not ended"

// place is where an entry has a term.
type place struct {
	store.IndexTerm
	seq int64
}

func (c *indexCheck) found(seq int64, format string, args ...any) {
	if len(c.findings) < maxFindings {
		c.findings = append(c.findings, Finding{Index, c.ledger.String(), &seq, fmt.Sprintf(format, args...)})
	}
}

func (c *indexCheck) full() bool { return len(c.findings) >= maxFindings }

// run checks the index. An error says that it could not be read.
func (c *indexCheck) run(ctx context.Context) (err error) {
	c.extent, err = c.store.Extent(ctx, c.ledger)
	if sluice.CodeOf(err) == sluice.CodeNotFound { // a ledger without entries
		return nil
	}
	if err != nil {
		return err
	}
	if c.extent.Indexed < 0 || c.extent.Indexed > c.extent.Next {
		c.found(c.extent.Next, "the log ends here, and its index is said to reach to entry %d", c.extent.Indexed)
		return nil
	}
	if c.extent.Next-c.extent.Indexed > store.MaxTail {
		c.found(c.extent.Indexed, "%s: lists read the %d entries from here on from the log itself", unfinished,
			c.extent.Next-c.extent.Indexed)
	}
	if c.extent.Beyond > 0 {
		c.found(c.extent.Next, "the log ends here, and there are entries beyond it")
	}
	c.seed = maphash.MakeSeed()
	c.part = max(minPart, c.extent.Indexed/sums+1)
	c.sums = make([]uint64, c.extent.Indexed/c.part+1)
	if err := c.addEntries(ctx); err != nil {
		return err
	}
	if err := c.subtractRows(ctx); err != nil {
		return err
	}
	return c.narrow(ctx)
}

// hash gives the hash of a term. That of a place is made from it.
func (c *indexCheck) hash(t store.IndexTerm) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	h.WriteString(t.Field)
	h.WriteByte(0)
	h.WriteString(t.Value)
	return h.Sum64()
}

func (c *indexCheck) at(term uint64, seq int64) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], term)
	binary.LittleEndian.PutUint64(b[8:], uint64(seq))
	return maphash.Bytes(c.seed, b[:])
}

func (c *indexCheck) rest(ctx context.Context) error {
	if c.pause != nil {
		return c.pause(ctx)
	}
	return ctx.Err()
}

// eachBatch reads the batches that begin in a span.
func (c *indexCheck) eachBatch(ctx context.Context, from, to int64, yield func(store.LogBatch)) error {
	for from < to {
		n, err := c.store.ReadBatches(ctx, c.ledger, from, to, batchesPage, func(b store.LogBatch) {
			from = b.First + 1
			yield(b)
		})
		if err != nil {
			return err
		}
		if err := c.rest(ctx); err != nil || n < batchesPage {
			return err
		}
	}
	return nil
}

// eachRow reads the rows of the index, term by term.
func (c *indexCheck) eachRow(ctx context.Context, yield func(store.IndexRow)) error {
	for after := (store.IndexRow{}); ; {
		n, err := c.store.ReadIndex(ctx, c.ledger, after, rowsPage, func(row store.IndexRow) {
			after = row
			yield(row)
		})
		if err != nil {
			return err
		}
		if err := c.rest(ctx); err != nil || n < rowsPage {
			return err
		}
	}
}

// addEntries adds the places of the entries. It sees that no entry is missing or stands twice, and that lists of a
// time find each batch.
func (c *indexCheck) addEntries(ctx context.Context) error {
	var next int64
	var latest time.Time
	err := c.eachBatch(ctx, 0, c.extent.Next, func(b store.LogBatch) {
		switch {
		case b.First < next:
			c.found(b.First, "two batches of the log have this entry")
		case b.First > next:
			c.missing(next, b.First)
			latest = b.Time
		}
		for i, e := range b.Entries {
			if latest = later(latest, e.Time); i == 0 && !b.Time.Equal(latest) {
				c.found(b.First, "lists of a time find it at %s, and its time is %s", stamp(b.Time), stamp(latest))
				latest = later(latest, b.Time)
			}
			c.add(b.First+int64(i), e)
		}
		next = max(next, b.First+int64(len(b.Entries)))
	})
	switch {
	case err != nil:
		return err
	case next < c.extent.Next:
		c.missing(next, c.extent.Next)
	case next > c.extent.Next:
		c.found(c.extent.Next, "the log ends here, and there are entries beyond it")
	case next > 0 && !c.extent.Latest.Equal(latest):
		c.found(next-1, "the log is said to reach to %s, and the newest entry is of %s",
			stamp(c.extent.Latest), stamp(latest))
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func (c *indexCheck) missing(from, to int64) {
	if to-from == 1 {
		c.found(from, "it is missing or damaged")
	} else {
		c.found(from, "it and those up to %d are missing or damaged", to-1)
	}
}

func (c *indexCheck) add(seq int64, e store.LogEntry) {
	c.entries++
	if seq >= c.extent.Indexed {
		return
	}
	for _, t := range e.Terms {
		c.sums[seq/c.part] += c.at(c.hash(t), seq)
	}
}

// subtractRows subtracts the places of the index. It sees that each row is in order, and that those of a term do
// not overlap: lists rely on it.
func (c *indexCheck) subtractRows(ctx context.Context) error {
	var term store.IndexTerm
	var hash uint64
	last, beyond := int64(-1), int64(-1)
	err := c.eachRow(ctx, func(row store.IndexRow) {
		c.rows++
		if row.First >= c.extent.Indexed { // written since the check began, unless it reaches beyond the end of the index
			beyond = max(beyond, row.First)
			return
		}
		if row.IndexTerm != term {
			term, hash, last = row.IndexTerm, c.hash(row.IndexTerm), -1
		}
		if row.First <= last {
			c.found(row.First, "two rows of the index for %s overlap", describe(term))
		}
		err := row.Places(func(seq int64) {
			if last = max(last, seq); c.inside(seq) {
				c.sums[seq/c.part] -= c.at(hash, seq)
			} else {
				c.found(seq, "the index has it for %s, and does not reach to it", describe(term))
			}
		})
		if err != nil {
			c.found(row.First, "the row of the index that begins here for %s cannot be read: %v", describe(term), err)
		}
	})
	if err != nil || beyond < 0 {
		return err
	}
	now, err := c.store.Extent(ctx, c.ledger)
	if err == nil && beyond >= now.Indexed {
		c.found(beyond, "a row of the index begins here, and the index reaches to entry %d", now.Indexed-1)
	}
	return err
}

func (c *indexCheck) inside(seq int64) bool { return seq >= 0 && seq < c.extent.Indexed }

func describe(t store.IndexTerm) string { return fmt.Sprintf("%s %q", t.Field, t.Value) }

// narrow finds the places that differ, in the parts whose sums do.
func (c *indexCheck) narrow(ctx context.Context) error {
	var bad []int64
	for part, sum := range c.sums {
		if sum != 0 {
			bad = append(bad, int64(part))
		}
	}
	for some := range slices.Chunk(bad, int(max(1, narrowed/c.part))) {
		if c.full() {
			c.findings[len(c.findings)-1].Problem += "; more is wrong with the index, and is not listed"
			return nil
		}
		if err := c.compare(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// compare compares the entries of some parts with the index.
func (c *indexCheck) compare(ctx context.Context, parts []int64) error {
	among := func(seq int64) bool {
		_, found := slices.BinarySearch(parts, seq/c.part)
		return found && c.inside(seq)
	}
	want := map[place]bool{} // and whether the index has it
	for _, part := range parts {
		first, err := c.store.BatchAt(ctx, c.ledger, part*c.part)
		if err != nil {
			return err
		}
		err = c.eachBatch(ctx, max(0, first), min((part+1)*c.part, c.extent.Indexed), func(b store.LogBatch) {
			for i, e := range b.Entries {
				for _, t := range e.Terms {
					if seq := b.First + int64(i); among(seq) {
						want[place{t, seq}] = false
					}
				}
			}
		})
		if err != nil {
			return err
		}
	}
	err := c.eachRow(ctx, func(row store.IndexRow) {
		row.Places(func(seq int64) { // what is wrong with the row was told
			if !among(seq) {
				return
			}
			p := place{row.IndexTerm, seq}
			switch has, wanted := want[p]; {
			case !wanted:
				c.found(seq, "the index has it for %s, which it does not have", describe(p.IndexTerm))
			case has:
				c.found(seq, "the index has it twice for %s", describe(p.IndexTerm))
			default:
				want[p] = true
			}
		})
	})
	if err != nil {
		return err
	}
	c.lacks(want)
	return nil
}

// lacks tells of the places that the index does not have.
func (c *indexCheck) lacks(want map[place]bool) {
	var lost []place
	for p, has := range want {
		if !has {
			lost = append(lost, p)
		}
	}
	slices.SortFunc(lost, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Value, b.Value))
	})
	for _, p := range lost {
		c.found(p.seq, "the index does not have it for %s", describe(p.IndexTerm))
	}
}
