// Package records stores accounts, keys, files, links, open grants, wrong guesses, mails that wait and stored
// responses: SQL beside the struct that it fills.
//
// Every change of a record is one statement, and goes with the entry that describes it (auditlog.Tx.Change). What
// no entry describes are functions here that take a Tx; the store runs them as unlogged writes.
package records

import (
	"time"

	"sluice"
	"sluice/internal/store/auditlog"
	"sluice/internal/store/sqldb"
)

// Reader reads records in one transaction.
type Reader struct {
	auditlog.Reader
	group *Group // nil in a View
}

// NewReader makes the Reader of a session; group is nil in a View.
func NewReader(log auditlog.Reader, group *Group) Reader { return Reader{log, group} }

// Tx changes records in one Update.
type Tx struct {
	Reader
	log *auditlog.Tx
}

// NewTx makes the Tx of an Update.
func NewTx(r Reader, log *auditlog.Tx) Tx { return Tx{r, log} }

// rewrite runs a statement that changes exactly one row, and records the entry that describes it. The group reads again
// what the statement may have changed.
func (t *Tx) rewrite(e sluice.Entry, query string, args ...any) error {
	if err := t.readAgain(); err != nil {
		return err
	}
	return t.log.Change(e, query, args...)
}

// readAgain has objects read again that a statement may change.
func (t *Tx) readAgain() error {
	if err := t.Flush(); err != nil {
		return err
	}
	t.group.Forget()
	return nil
}

// ledgerName selects the account and the mode of a row's ledger.
func ledgerName(table string) string {
	return "(SELECT account FROM ledger WHERE ledger.id = " + table + ".ledger)," +
		" (SELECT mode FROM ledger WHERE ledger.id = " + table + ".ledger)"
}

// object names an object that a group has read.
type object struct {
	ledger int64
	id     string
}

// Group is what the Updates that share a transaction have read of records, and the links and downloads that they
// have not written yet. What it has read holds for the next group when nothing else was written in between: see
// Start.
type Group struct {
	keys  map[object]*sluice.Key
	files map[object]*sluice.File
	links map[object]*sluice.Link
	// Each mint adds a link, and each download counts. They are gathered and written together.
	minted   []minted
	redeemed []redemption
	saved    saved
}

// saved is the state before the running Update.
type saved struct{ minted, redeemed int }

// NewGroup makes a Group that knows nothing.
func NewGroup() *Group {
	return &Group{keys: map[object]*sluice.Key{}, files: map[object]*sluice.File{}, links: map[object]*sluice.Link{}}
}

// Objects gives how many objects the group keeps.
func (g *Group) Objects() int { return len(g.keys) + len(g.files) + len(g.links) }

// Start readies the group for another transaction. keep says that the objects it has read are still those of the
// database.
func (g *Group) Start(keep bool) {
	if !keep {
		g.Forget()
	}
	clear(g.minted)
	g.minted, g.redeemed = g.minted[:0], g.redeemed[:0]
}

// Save notes the state before an Update.
func (g *Group) Save() { g.saved = saved{len(g.minted), len(g.redeemed)} }

// Undo takes back what the running Update has gathered since Save, but for what was flushed.
func (g *Group) Undo() {
	for i := len(g.redeemed) - 1; i >= g.saved.redeemed; i-- {
		d := &g.redeemed[i]
		d.link.Downloads, d.link.Redeemed = d.before.downloads, d.before.redeemed
	}
	g.minted, g.redeemed = g.minted[:g.saved.minted], g.redeemed[:g.saved.redeemed]
}

// Forget has the objects read again.
func (g *Group) Forget() {
	clear(g.keys)
	clear(g.files)
	clear(g.links)
}

// Unwritten gives how many links and downloads are not written yet.
func (g *Group) Unwritten() int { return len(g.minted) + len(g.redeemed) }

// Flush writes them.
func (g *Group) Flush(s *sqldb.Session) error {
	links, redeemed := g.minted, g.redeemed
	g.minted, g.redeemed, g.saved = links[:0], redeemed[:0], saved{}
	err := sqldb.Insert(s, linkInsert, links, func(args []any, m minted) []any { return m.values(args) })
	if err != nil {
		return err
	}
	return count(s, redeemed)
}

// known gives the objects that the group has read; a View keeps none.
func (r *Reader) known() *Group {
	if r.group == nil {
		return &Group{}
	}
	return r.group
}

// cached reads an object with a query by its id and ledger. A group asks the database once: until its commit only
// the writer changes anything, and it updates or forgets what it changes. The object is the group's: a caller copies
// what it gives away.
func cached[T any](
	r *Reader, known map[object]*T, l sluice.LedgerID, id, query string, fields func(*T) []any,
) (*T, error) {
	ledger, err := r.LedgerNumber(l)
	if err != nil {
		return nil, err
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	name := object{ledger, id}
	if v, ok := known[name]; ok {
		return v, nil
	}
	v := new(T)
	if err := r.OneUnbuffered(fields(v), query, id, ledger); err != nil {
		return nil, err
	}
	if known != nil {
		known[name] = v
	}
	return v, nil
}

// DeleteFunc deletes up to limit rows of one kind from before a time, and gives how many.
type DeleteFunc func(t *Tx, before time.Time, limit int) (int64, error)

// deleteBefore deletes rows with a query whose arguments are a time and a limit.
func deleteBefore(query string) DeleteFunc {
	return func(t *Tx, before time.Time, limit int) (int64, error) {
		return t.log.Exec(query, sqldb.Ceil(before), limit)
	}
}
