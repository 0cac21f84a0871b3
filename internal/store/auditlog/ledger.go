// Package auditlog stores the entries of ledgers: in batches, with an index of the terms that entries are found by,
// and with the tiles, checkpoints and rotations over them.
//
// A row of the table batch holds entries that follow each other and were written together (batch.go). A row of the
// table entry_index holds, for one value of one field, the seqs of a stretch of the log (index.go). Lists of
// entries read both (entries.go). Entries after the index are few, and lists read all of them.
//
// Only the writer of a store changes a log. It holds the head of each ledger that it writes to: see Group.
package auditlog

import (
	"cmp"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/store/sqldb"
)

// Ledgers keeps the numbers of committed ledgers, which never change. It is for several goroutines.
type Ledgers struct {
	numbers    sync.Map
	distrusted sync.Map // sluice.LedgerID to true: see DistrustIndex
	key        atomic.Value

	// MaxUnindexed is how many entries a list may read where the index cannot be used; 0 is a million.
	MaxUnindexed int
}

// Head is the end of a ledger: its row in the table ledger.
type Head struct {
	ID      int64 // the ledger's number; 0: nothing was recorded in the ledger yet
	Next    int64 // seq of the next entry
	Indexed int64 // seq of the first entry after the index
	Latest  int64 // time of the entry before Next
	Longest int64 // the longest lifetime of its links that expire, in microseconds
	Endings int64 // keys and files that have ended and whose links are not all marked
	changed bool
	erased  bool               // something was erased from its entries: what is in memory of them may have it still
	reindex bool               // that was an entry after the index, which is to cover it now
	fresh   []audit.IndexTerms // of the entries that this group added
}

const headColumns = "id, next, indexed, latest, longest, endings"

func headFields(h *Head) []any {
	return []any{&h.ID, &h.Next, &h.Indexed, &h.Latest, &h.Longest, &h.Endings}
}

// LedgerFields are the destinations of the columns account and mode.
func LedgerFields(l *sluice.LedgerID) []any { return []any{&l.Account, (*string)(&l.Mode)} }

// Reader reads logs in one transaction.
type Reader struct {
	*sqldb.Session
	ledgers *Ledgers
	group   *Group // nil in a View
}

// NewReader makes the Reader of a session; group is nil in a View.
func NewReader(s *sqldb.Session, ledgers *Ledgers, group *Group) Reader {
	return Reader{s, ledgers, group}
}

// Head gives the end of a ledger. In a group that is the head that all its Updates share.
func (r *Reader) Head(l sluice.LedgerID) (*Head, error) {
	if r.group != nil {
		if h, ok := r.group.heads[l]; ok {
			return h, nil
		}
	}
	h := &Head{}
	err := r.OneUnbuffered(headFields(h), "SELECT "+headColumns+" FROM ledger WHERE account = $1 AND mode = $2",
		l.Account, string(l.Mode))
	if err != nil && err != sqldb.ErrNotFound {
		return nil, err
	}
	if r.group != nil {
		r.group.heads[l] = h
	}
	return h, nil
}

// LedgerNumber gives the number that stands for a ledger in all tables, 0 for a ledger without entries.
func (r *Reader) LedgerNumber(l sluice.LedgerID) (int64, error) {
	if r.group == nil {
		if id, ok := r.ledgers.numbers.Load(l); ok {
			return id.(int64), nil
		}
	}
	h, err := r.Head(l)
	if err != nil {
		return 0, err
	}
	if r.group == nil && h.ID != 0 {
		r.ledgers.numbers.Store(l, h.ID)
	}
	return h.ID, nil
}

// Group is what the Updates that share a transaction know of the ends of their ledgers, and the entries that they
// have not written yet. What it knows holds for the next group when nothing else was written in between: see Start.
type Group struct {
	heads   map[sluice.LedgerID]*Head
	entries []unwritten
	batcher batcher
	saved   saved
	// tails is the unindexed part of ledgers, by number, as of the last commit;
	// newTails is what it will be when this group is committed.
	tails, newTails map[int64]tail
	key             IndexKey // nil: not read yet
}

// saved is the state before the running Update.
type saved struct {
	entries int
	head    *Head
	before  Head
}

// unwritten is an entry that is not written yet.
type unwritten struct {
	ledger, seq, time int64
	sealed            audit.SealedEntry
}

// NewGroup makes a Group that knows nothing.
func NewGroup() *Group {
	return &Group{heads: map[sluice.LedgerID]*Head{}, tails: map[int64]tail{}, newTails: map[int64]tail{}}
}

// Heads gives how many heads the group knows.
func (g *Group) Heads() int { return len(g.heads) }

// Start readies the group for another transaction. keep says that the heads it knows are still those of the database.
func (g *Group) Start(keep bool) {
	if !keep {
		clear(g.heads)
	}
	for _, h := range g.heads {
		h.fresh, h.changed, h.erased, h.reindex = h.fresh[:0], false, false, false
	}
	clear(g.entries)
	g.entries = g.entries[:0]
	clear(g.newTails)
}

// Save notes the state before an Update that adds entries at head.
func (g *Group) Save(head *Head) { g.saved = saved{len(g.entries), head, *head} }

// Undo takes back what the running Update has added since Save, but for what was flushed.
func (g *Group) Undo() {
	*g.saved.head = g.saved.before
	g.entries = g.entries[:g.saved.entries]
}

// Unwritten gives how many entries are not written yet.
func (g *Group) Unwritten() int { return len(g.entries) }

// Flush writes them.
func (g *Group) Flush(s *sqldb.Session) error {
	entries := g.entries
	g.entries, g.saved.entries = entries[:0], 0
	batches, err := g.batcher.batches(entries)
	if err != nil {
		return s.Fail(err)
	}
	return sqldb.Insert(s, batchInsert, batches, func(args []any, b batch) []any {
		return append(args, b.ledger, b.first, b.time, b.leaves, b.disclosures)
	})
}

// Lock locks the heads of ledgers and reads them, where the transaction has not locked the whole database. All
// groups lock in one order, so that no two wait for each other. Updates may be the first of those in logged: their
// missing rows are made, because a missing row cannot be locked.
func (g *Group) Lock(s *sqldb.Session, ledgers []sluice.LedgerID, logged map[sluice.LedgerID]bool) error {
	var unknown, missing []sluice.LedgerID
	for _, l := range ledgers {
		if g.heads[l] == nil {
			g.heads[l] = &Head{}
			unknown = append(unknown, l)
		}
	}
	if err := g.lockHeads(s, unknown); err != nil {
		return err
	}
	for _, l := range unknown {
		if logged[l] && g.heads[l].ID == 0 {
			missing = append(missing, l)
		}
	}
	slices.SortFunc(missing, func(a, b sluice.LedgerID) int {
		return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(string(a.Mode), string(b.Mode)))
	})
	for _, l := range missing {
		_, err := s.Exec(createLedger+" ON CONFLICT (account, mode) DO NOTHING", l.Account, string(l.Mode))
		if err != nil {
			return err
		}
	}
	return g.lockHeads(s, missing)
}

const createLedger = "INSERT INTO ledger (account, mode, next, indexed, latest, longest) VALUES ($1, $2, 0, 0, 0, 0)"

func (g *Group) lockHeads(s *sqldb.Session, ledgers []sluice.LedgerID) error {
	if len(ledgers) == 0 {
		return nil
	}
	type row struct {
		ledger sluice.LedgerID
		head   Head
	}
	// The last is repeated, so that few texts are prepared.
	names := make([]any, 0, 4*len(ledgers))
	for i := range 1 << bits.Len(uint(len(ledgers)-1)) {
		l := ledgers[min(i, len(ledgers)-1)]
		names = append(names, l.Account, string(l.Mode))
	}
	rows, err := sqldb.Many(s, func(row *row) []any {
		return append(LedgerFields(&row.ledger), headFields(&row.head)...)
	}, "SELECT account, mode, "+headColumns+" FROM ledger WHERE (account, mode) IN ("+pairs(len(names)/2)+
		") ORDER BY account, mode"+s.DB.RowLock, names...)
	for _, row := range rows {
		*g.heads[row.ledger] = row.head
	}
	return err
}

// pairs gives the placeholders of n pairs: ($1, $2), ($3, $4).
func pairs(n int) string {
	marks := make([]string, n)
	for i := range marks {
		marks[i] = fmt.Sprintf("($%d, $%d)", 2*i+1, 2*i+2)
	}
	return strings.Join(marks, ", ")
}

// Finish writes the index of stretches that are long enough, and the heads, before the commit. Everything else of
// the group is flushed.
func (g *Group) Finish(s *sqldb.Session) error {
	r := NewReader(s, nil, g)
	var heads [][]any
	for _, h := range g.heads {
		if !h.changed {
			continue
		}
		rest, err := r.index(h, g.tails[h.ID])
		if err != nil {
			return err
		}
		g.newTails[h.ID] = rest
		heads = append(heads, []any{h.Next, h.Indexed, h.Latest, h.Longest, h.ID})
	}
	return s.ExecEach("UPDATE ledger SET next = $1, indexed = $2, latest = $3, longest = $4 WHERE id = $5", heads)
}

// maxKeptTails limits how many ledgers keep their unindexed tail in memory.
const maxKeptTails = 1024

// Committed keeps the numbers and the unindexed tails of the group's ledgers, now that they are committed.
func (g *Group) Committed(ledgers *Ledgers) {
	if len(g.tails) > maxKeptTails {
		clear(g.tails)
	}
	maps.Copy(g.tails, g.newTails)
	for l, h := range g.heads {
		if h.changed {
			ledgers.numbers.LoadOrStore(l, h.ID)
		}
	}
}

// LockedNumber gives the number of a ledger whose head the group knows, 0 for another.
func (g *Group) LockedNumber(l sluice.LedgerID) int64 {
	if h := g.heads[l]; h != nil {
		return h.ID
	}
	return 0
}
