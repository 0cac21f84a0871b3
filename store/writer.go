package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sluice"
)

// maxGroup bounds how many Updates share a commit.
const maxGroup = 256

// request is an Update on its way through the writer.
type request struct {
	ctx    context.Context
	ledger sluice.LedgerID
	fn     func(sluice.Tx) error
	chore  func(*tx) error // in place of fn: what no ledger tells of; ledger is what it changes, if any

	state    atomic.Int32
	done     chan struct{} // closed when the rest is set
	err      error
	panicked any
}

// The states of a request. The writer begins it, or its caller gives it up.
const (
	waiting = iota
	begun
	abandoned
)

// Update implements sluice.Store. An Update that has not begun when ctx ends
// is not run; one that has begun is waited for, whatever ctx does.
func (s *Store) Update(ctx context.Context, ledger sluice.LedgerID, fn func(sluice.Tx) error) error {
	return s.perform(&request{ctx: ctx, ledger: ledger, fn: fn})
}

// chore commits a write that no ledger tells of, as Update does one that does.
// It reads and changes nothing of a ledger but l.
func (s *Store) chore(ctx context.Context, l sluice.LedgerID, fn func(*tx) error) error {
	return s.perform(&request{ctx: ctx, ledger: l, chore: fn})
}

// noLedger is that of a chore whose rows belong to none.
var noLedger sluice.LedgerID

func (s *Store) perform(r *request) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	r.done = make(chan struct{})
	if err := s.submit(r.ctx, r); err != nil {
		return err
	}
	select {
	case <-r.done:
	case <-r.ctx.Done():
		if r.state.CompareAndSwap(waiting, abandoned) {
			return r.ctx.Err()
		}
		<-r.done
	}
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.err
}

// Ready commits a write of a few bytes, and answers no later than ctx ends.
func (s *Store) Ready(ctx context.Context) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	r := &request{ctx: ctx, chore: probe, done: make(chan struct{})}
	if err := s.submit(ctx, r); err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func probe(t *tx) error {
	_, err := t.exec("UPDATE probe SET n = n + 1")
	return err
}

func (s *Store) submit(ctx context.Context, r *request) error {
	select {
	case s.queue <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write is the writer. It takes all requests that wait, runs them in one
// transaction, and answers them when that is committed. It does not wait for
// more to come: the next group gathers while this one commits.
func (s *Store) write() {
	defer close(s.stopped)
	w := writer{store: s, group: newGroup()}
	requests := make([]*request, 0, s.group)
	for r := range s.queue {
		requests = s.gather(append(requests[:0], r))
		w.commit(requests)
		for _, r := range requests {
			close(r.done)
		}
		clear(requests)
	}
	if w.conn != nil {
		w.conn.discard()
	}
}

// gather adds the requests that wait now.
func (s *Store) gather(requests []*request) []*request {
	for len(requests) < s.group {
		select {
		case r, ok := <-s.queue:
			if !ok {
				return requests
			}
			requests = append(requests, r)
		default:
			return requests
		}
	}
	return requests
}

// writer is what the writing goroutine alone uses.
type writer struct {
	store *Store
	conn  *conn // nil: to be opened
	group *group
	// erased tells that something was erased which scrub could not remove yet.
	erased bool
}

// group is what the requests that share a transaction know of the database.
// Between groups another process may change it, so each starts from nothing.
type group struct {
	heads map[sluice.LedgerID]*head
	keys  map[object]sluice.Key
	files map[object]sluice.File
	links map[object]sluice.Link
}

func newGroup() *group {
	return &group{
		heads: map[sluice.LedgerID]*head{}, keys: map[object]sluice.Key{},
		files: map[object]sluice.File{}, links: map[object]sluice.Link{},
	}
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
	longest int64 // microseconds that a link lived or will; the largest int64 when one has no end
	changed bool
}

// commit runs a group. When the transaction itself fails, nothing of it is
// applied, and all that had succeeded get the error; or, when that is no fault
// of theirs, they run again.
func (w *writer) commit(requests []*request) {
	ctx := context.Background()
	for attempt := 1; ; attempt++ {
		err := w.attempt(ctx, requests)
		if err == nil {
			w.learn()
			w.scrub(ctx)
			return
		}
		if w.conn != nil {
			w.conn.discard()
			w.conn = nil
		}
		again := attempt < attempts && w.store.rerun != nil && w.store.rerun(err)
		for _, r := range requests {
			if again && r.state.Load() == begun {
				r.err, r.panicked = nil, nil
			} else if r.err == nil && r.panicked == nil {
				r.err = err
			}
		}
		if !again {
			return
		}
	}
}

// attempts is how often a group may fail by no fault of its own.
const attempts = 4

func (w *writer) attempt(ctx context.Context, requests []*request) error {
	clear(w.group.heads)
	w.group.forget()
	err := w.begin(ctx)
	if err == nil {
		err = w.lock(ctx, requests)
	}
	for _, r := range requests {
		if r.ctx.Err() != nil && r.state.CompareAndSwap(waiting, abandoned) {
			r.err = r.ctx.Err()
			continue
		}
		if err == nil && (r.state.CompareAndSwap(waiting, begun) || r.state.Load() == begun) {
			err = w.run(r)
		}
	}
	if err == nil {
		err = w.end(ctx)
	}
	return err
}

func (w *writer) begin(ctx context.Context) (err error) {
	for deadline := time.Now().Add(w.store.wait); ; {
		w.conn, err = w.store.start(ctx, w.conn, w.store.db, w.store.begin)
		if err == nil || !w.store.locked(err) || time.Now().After(deadline) {
			return w.store.classify(err)
		}
	}
}

// lock takes the heads of a group's ledgers, where begin has not. All groups
// take them in one order, so that no two wait for each other. A ledger that an
// Update would be the first of is made: what is not there cannot be locked.
func (w *writer) lock(ctx context.Context, requests []*request) error {
	if w.store.rowLock == "" {
		return nil
	}
	var ledgers, first []sluice.LedgerID
	updated := map[sluice.LedgerID]bool{}
	for _, r := range requests {
		l := r.ledger
		if l == noLedger || !w.store.keeps(l.Account, string(l.Mode)) {
			continue
		}
		if w.group.heads[l] == nil {
			w.group.heads[l] = &head{}
			ledgers = append(ledgers, l)
		}
		updated[l] = updated[l] || r.chore == nil
	}
	if err := w.lockHeads(ctx, ledgers); err != nil {
		return err
	}
	for _, l := range ledgers {
		if updated[l] && w.group.heads[l].id == 0 {
			first = append(first, l)
		}
	}
	slices.SortFunc(first, func(a, b sluice.LedgerID) int {
		return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(string(a.Mode), string(b.Mode)))
	})
	for _, l := range first {
		_, err := w.conn.exec(ctx, "INSERT INTO ledger (account, mode, next, longest) VALUES ($1, $2, 0, 0) ON CONFLICT (account, mode) DO NOTHING", l.Account, string(l.Mode))
		if err != nil {
			return w.store.classify(err)
		}
	}
	return w.lockHeads(ctx, first)
}

// lockHeads reads the heads of ledgers and locks their rows.
func (w *writer) lockHeads(ctx context.Context, ledgers []sluice.LedgerID) error {
	if len(ledgers) == 0 {
		return nil
	}
	type row struct {
		ledger sluice.LedgerID
		head   head
	}
	// The last is repeated, so that few texts are prepared.
	names := make([]any, 0, 4*len(ledgers))
	for i := range 1 << bits.Len(uint(len(ledgers)-1)) {
		l := ledgers[min(i, len(ledgers)-1)]
		names = append(names, l.Account, string(l.Mode))
	}
	rows, err := many(&reader{ctx: ctx, store: w.store, conn: w.conn}, func(row *row) []any {
		return append(ledgerFields(&row.ledger), &row.head.id, &row.head.next, &row.head.longest)
	}, "SELECT account, mode, id, next, longest FROM ledger WHERE (account, mode) IN ("+pairs(len(names)/2)+") ORDER BY account, mode"+w.store.rowLock, names...)
	for _, row := range rows {
		*w.group.heads[row.ledger] = row.head
	}
	return err
}

// pairs gives placeholders of n pairs: ($1, $2), ($3, $4).
func pairs(n int) string {
	marks := make([]string, n)
	for i := range marks {
		marks[i] = fmt.Sprintf("($%d, $%d)", 2*i+1, 2*i+2)
	}
	return strings.Join(marks, ", ")
}

// end writes the heads and commits.
func (w *writer) end(ctx context.Context) error {
	for _, h := range w.group.heads {
		if !h.changed {
			continue
		}
		if _, err := w.conn.exec(ctx, "UPDATE ledger SET next = $1, longest = $2 WHERE id = $3", h.next, h.longest, h.id); err != nil {
			return w.store.classify(err)
		}
	}
	if w.store.sound != nil && !w.store.sound(w.conn) {
		return w.store.coded(sluice.CodeUnavailable, errUnsound)
	}
	_, err := w.conn.exec(ctx, "COMMIT")
	return w.store.classify(err)
}

var errUnsound = errors.New("the transaction has failed already: its commit would undo it")

// learn keeps the ids of the ledgers seen, now that they are committed.
func (w *writer) learn() {
	for l, h := range w.group.heads {
		if h.changed {
			w.store.ledgers.LoadOrStore(l, h.id)
		}
	}
}

// scrub removes what was erased. Where it cannot now, it tries again after the
// next group.
func (w *writer) scrub(ctx context.Context) {
	if !w.erased || w.store.dialect.scrub == nil {
		return
	}
	done, err := w.store.dialect.scrub(ctx, w.conn)
	if err != nil {
		w.store.log.Error("what was erased may still be on the disk", "error", err)
	}
	w.erased = !done
}

// run runs one request between a savepoint and its release. What it returns
// is a failure of the transaction itself.
func (w *writer) run(r *request) error {
	ctx := context.WithoutCancel(r.ctx)
	t := &tx{reader: reader{ctx: ctx, store: w.store, conn: w.conn, group: w.group}, ledger: r.ledger}
	if r.chore != nil {
		t.head = &head{}
	} else if t.head, r.err = t.headOf(r.ledger); r.err != nil {
		return r.err
	}
	before := *t.head
	r.err = t.call(r)
	failure := t.err
	if r.err == nil {
		r.err = failure
	}
	t.err = errEnded
	if failure != nil && w.store.rerun != nil && w.store.rerun(failure) {
		return failure
	}
	if !t.saved {
		if failure != nil && w.store.sound != nil && !w.store.sound(w.conn) {
			return failure
		}
		return nil
	}
	if r.err == nil && r.panicked == nil {
		w.erased = w.erased || t.erased
		_, err := w.conn.exec(ctx, "RELEASE SAVEPOINT u")
		return w.store.classify(err)
	}
	*t.head = before
	w.group.forget()
	_, err := w.conn.exec(ctx, "ROLLBACK TO SAVEPOINT u")
	if err == nil {
		_, err = w.conn.exec(ctx, "RELEASE SAVEPOINT u")
	}
	if err != nil && failure != nil {
		return failure // what ended the transaction
	}
	return w.store.classify(err)
}

// call runs the caller's function, and keeps its panic for the caller.
func (t *tx) call(r *request) error {
	returned := false
	defer func() {
		if r.panicked = recover(); r.panicked == nil && !returned {
			panic("store: the function given to Update ended its goroutine")
		}
	}()
	var err error
	if r.chore != nil {
		err = r.chore(t)
	} else {
		err = r.fn(t)
	}
	returned = true
	return err
}

var errEnded = errors.New("the transaction has ended: a Reader or Tx is good only inside the function it was given to")
