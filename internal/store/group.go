package store

import (
	"sluice"
	"sluice/internal/audit"
)

// group is what the requests that share a transaction know of the database,
// and what they have not written yet. What it knows it keeps for the next
// group, but only where the database tells that nobody else has written since.
type group struct {
	heads map[sluice.LedgerID]*head
	keys  map[object]sluice.Key
	files map[object]sluice.File
	links map[object]sluice.Link
	// What every redemption and every mint writes is gathered, and written together.
	minted   []minted
	entries  []recorded
	redeemed []redemption
	mark     mark
	flushed  bool // since mark
	// Kept from group to group, to be used again.
	args  []any
	texts map[insertText]string
}

// mark is how much had been gathered when the running Update began.
type mark struct{ minted, entries, redeemed int }

func newGroup() *group {
	return &group{
		heads: map[sluice.LedgerID]*head{}, keys: map[object]sluice.Key{},
		files: map[object]sluice.File{}, links: map[object]sluice.Link{}, texts: map[insertText]string{},
	}
}

// maxKnown is how many objects a group keeps for the next.
const maxKnown = 4096

// start readies the group for another transaction; know says whether what it
// knows still holds.
func (g *group) start(know bool) {
	if !know || len(g.keys)+len(g.files)+len(g.links)+len(g.heads) > maxKnown {
		clear(g.heads)
		g.forget()
	}
	for _, h := range g.heads {
		h.fresh, h.changed = h.fresh[:0], false
	}
	clear(g.minted)
	clear(g.entries)
	g.minted, g.entries, g.redeemed = g.minted[:0], g.entries[:0], g.redeemed[:0]
}

// takeBack removes what the running Update has gathered.
func (g *group) takeBack() {
	for i := len(g.redeemed) - 1; i >= g.mark.redeemed; i-- {
		g.links[g.redeemed[i].link] = g.redeemed[i].before
	}
	g.minted, g.entries, g.redeemed = g.minted[:g.mark.minted], g.entries[:g.mark.entries], g.redeemed[:g.mark.redeemed]
}

// forget has the objects read again.
func (g *group) forget() {
	clear(g.keys)
	clear(g.files)
	clear(g.links)
}

// head is the end of a ledger.
type head struct {
	id      int64 // 0: nothing was recorded in the ledger yet
	next    int64 // seq of the next entry
	indexed int64 // seq of the first entry that lies beyond the index
	latest  int64 // time of the entry before next
	longest int64 // microseconds that a link with an end lived or will
	endings int64 // keys and files that have ended, and whose links are not all marked
	changed bool
	fresh   []audit.IndexTerms // of the entries of this group
}

// flush writes what the group has gathered.
func (r *reader) flush() error {
	if r.err != nil || r.group == nil || len(r.group.minted)+len(r.group.entries)+len(r.group.redeemed) == 0 {
		return r.err
	}
	g := r.group
	links, entries, redeemed := g.minted, g.entries, g.redeemed
	g.minted, g.entries, g.redeemed, g.mark, g.flushed = links[:0], entries[:0], redeemed[:0], mark{}, true
	if err := insert(r, linkInsert, links, func(args []any, m minted) []any { return m.values(args) }); err != nil {
		return err
	}
	batches, err := batchesOf(entries)
	if err != nil {
		return r.fail(err)
	}
	err = insert(r, batchInsert, batches, func(args []any, b batch) []any {
		return append(args, b.ledger, b.first, b.time, b.leaves, b.disclosures)
	})
	if err != nil {
		return err
	}
	return r.count(redeemed)
}
