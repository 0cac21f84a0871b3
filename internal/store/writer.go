package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

// maxGroup bounds how many Updates share a commit.
const maxGroup = 256

// request is an Update on its way through the writer.
type request struct {
	ctx      context.Context
	ledger   sluice.LedgerID
	fn       func(service.Tx) error
	unlogged func(*tx) error // in place of fn: what no ledger tells of; ledger is what it changes, if any

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

// Update implements service.Store. An Update that has not begun when ctx ends
// is not run; one that has begun is waited for, whatever ctx does.
func (s *Store) Update(ctx context.Context, ledger sluice.LedgerID, fn func(service.Tx) error) error {
	return s.perform(&request{ctx: ctx, ledger: ledger, fn: fn})
}

// unlogged commits a write that no ledger tells of, as Update does one that does.
// It reads and changes nothing of a ledger but l.
func (s *Store) unlogged(ctx context.Context, l sluice.LedgerID, fn func(*tx) error) error {
	return s.perform(&request{ctx: ctx, ledger: l, unlogged: fn})
}

// noLedger is that of an unlogged write whose rows belong to none.
var noLedger sluice.LedgerID

func (s *Store) performOnce(r *request) error {
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
	if s.reserve != nil && !s.reserve.ensure() {
		return errReserve
	}
	r := &request{ctx: ctx, unlogged: probe, done: make(chan struct{})}
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
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
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
	w := writer{store: s, group: newGroup(), inserter: sqldb.NewInserter(), beyond: map[int64]unindexed{}, indexing: map[int64]unindexed{}}
	requests := make([]*request, 0, s.maxGroup)
	for r := range s.queue {
		requests = s.gather(append(requests[:0], r))
		w.commit(requests)
		for _, r := range requests {
			close(r.done)
		}
		clear(requests)
	}
	if w.conn == nil {
		return
	}
	if s.db.Drain != nil {
		s.db.Drain(w.conn)
	}
	w.conn.Discard()
}

// gather adds the requests that wait now.
func (s *Store) gather(requests []*request) []*request {
	for len(requests) < s.maxGroup {
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
	store    *Store
	conn     *sqldb.Conn // nil: to be opened
	group    *group
	inserter *sqldb.Inserter
	// beyond is what lies beyond the indexes of ledgers, as this process knows
	// it; indexing is what it will be after this group.
	beyond, indexing map[int64]unindexed
	// version is what the database said when the last group began, settled that
	// this group was committed whole and nothing was taken back.
	version int64
	settled bool
	// careful has each Update run behind a savepoint of its own.
	careful bool
	// erases tells that the running group erases something, erased that
	// something was erased which scrub could not remove yet.
	erases, erased bool
}

// commit runs a group and commits it. The Updates of a group seldom fail once
// they have written, so it runs without savepoints first, and when one does, all
// over again with one for each: contract point 5. It runs again, too, when it
// failed by no fault of its own. When the transaction itself fails, nothing of
// it is applied, and all get the error.
func (w *writer) commit(requests []*request) {
	ctx, began, runs := context.Background(), time.Now(), 1
	err := w.attempt(ctx, requests)
	for ; runs < attempts && (err == errAgain || w.store.db.Reruns(err)); runs++ {
		w.rollBack(ctx)
		w.careful = w.careful || err == errAgain
		err = w.attempt(ctx, requests)
	}
	w.careful = false
	if w.store.observer != nil {
		w.store.observer.Committed(Commit{Updates: len(requests), Runs: runs, Took: time.Since(began), Err: err})
	}
	if err == nil {
		w.settled = true
		if w.store.db.Committed != nil {
			w.store.db.Committed()
		}
		w.learn()
		w.scrub(ctx)
		return
	}
	if w.conn != nil {
		w.conn.Discard()
		w.conn = nil
	}
	for _, r := range requests {
		// Also an Update that has refused something gets the error: what it has seen of its neighbours never happened.
		if r.panicked == nil && r.state.Load() != abandoned {
			r.err = err
		}
	}
}

// attempts is how often a group runs at most.
const attempts = 4

// maxKeptTails limits how many ledgers keep their unindexed tail in memory.
const maxKeptTails = 1024

// errAgain says that an Update failed which had written without a savepoint.
var errAgain = errors.New("the group has to run again")

func (w *writer) attempt(ctx context.Context, requests []*request) error {
	w.erases = false
	clear(w.indexing)
	err := w.begin(ctx)
	w.group.start(err == nil && w.unchanged(ctx))
	if err == nil {
		err = w.lock(ctx, requests)
	}
	if err == nil && !w.careful {
		err = w.foresee(ctx, requests)
	}
	for _, r := range requests {
		if r.ctx.Err() != nil && r.state.CompareAndSwap(waiting, abandoned) {
			r.err = r.ctx.Err()
			continue
		}
		if err == nil && (r.state.CompareAndSwap(waiting, begun) || r.state.Load() == begun) {
			r.err, r.panicked = nil, nil
			err = w.run(r)
		}
	}
	if err == nil {
		err = w.end(ctx)
	}
	return err
}

// rollBack ends an attempt. A transaction that the database has ended by itself
// leaves nothing to roll back, and a connection not worth keeping.
func (w *writer) rollBack(ctx context.Context) {
	if w.conn == nil {
		return
	}
	if _, err := w.conn.Exec(ctx, "ROLLBACK"); err != nil {
		w.conn.Discard()
		w.conn = nil
	}
}

// unchanged reports whether the database is as the last group has left it.
func (w *writer) unchanged(ctx context.Context) bool {
	if w.store.db.Version == nil {
		return false
	}
	version, err := w.store.db.Version(ctx, w.conn)
	same := err == nil && w.settled && version == w.version
	w.version, w.settled = version, false
	return same
}

func (w *writer) begin(ctx context.Context) (err error) {
	for deadline := time.Now().Add(w.store.lockWait); ; {
		before := w.conn
		w.conn, err = w.store.db.Start(ctx, before, w.store.db.Writer, w.store.db.Begin)
		w.settled = w.settled && w.conn == before // versions are those of one connection
		if err == nil || !w.store.db.Locked(err) || time.Now().After(deadline) {
			return w.store.db.Classify(err)
		}
	}
}

// lock takes the heads of a group's ledgers, where begin has not. All groups
// take them in one order, so that no two wait for each other. A ledger that an
// Update would be the first of is made: what is not there cannot be locked.
func (w *writer) lock(ctx context.Context, requests []*request) error {
	if w.store.db.RowLock == "" {
		return nil
	}
	var ledgers, first []sluice.LedgerID
	updated := map[sluice.LedgerID]bool{}
	for _, r := range requests {
		l := r.ledger
		if l == noLedger || !w.store.db.CanStore(l.Account, string(l.Mode)) {
			continue
		}
		if w.group.heads[l] == nil {
			w.group.heads[l] = &head{}
			ledgers = append(ledgers, l)
		}
		updated[l] = updated[l] || r.unlogged == nil
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
		_, err := w.conn.Exec(ctx, "INSERT INTO ledger (account, mode, next, indexed, latest, longest) VALUES ($1, $2, 0, 0, 0, 0) ON CONFLICT (account, mode) DO NOTHING", l.Account, string(l.Mode))
		if err != nil {
			return w.store.db.Classify(err)
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
	rows, err := sqldb.Many(w.session(ctx, nil), func(row *row) []any {
		return append(ledgerFields(&row.ledger), &row.head.id, &row.head.next, &row.head.indexed, &row.head.latest, &row.head.longest, &row.head.endings)
	}, "SELECT account, mode, id, next, indexed, latest, longest, endings FROM ledger WHERE (account, mode) IN ("+pairs(len(names)/2)+") ORDER BY account, mode"+w.store.db.RowLock, names...)
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

// end writes what the group has gathered, and the heads, and commits.
func (w *writer) end(ctx context.Context) error {
	session := w.session(ctx, w.group)
	r := &reader{Session: session, session: session, store: w.store, group: w.group}
	if err := r.Flush(); err != nil {
		if !w.careful {
			return errAgain
		}
		return err
	}
	var heads [][]any
	for _, h := range w.group.heads {
		if !h.changed {
			continue
		}
		beyond, err := r.index(h, w.beyond[h.id])
		if err != nil {
			return err
		}
		w.indexing[h.id] = beyond
		heads = append(heads, []any{h.next, h.indexed, h.latest, h.longest, h.id})
	}
	if len(heads) > 0 {
		err := w.store.db.ExecEach(ctx, w.conn, "UPDATE ledger SET next = $1, indexed = $2, latest = $3, longest = $4 WHERE id = $5", heads)
		if err != nil {
			return w.store.db.Classify(err)
		}
	}
	if w.store.db.Sound != nil && !w.store.db.Sound(w.conn) {
		return sqldb.Coded(sluice.CodeUnavailable, errUnsound)
	}
	_, err := w.conn.Exec(ctx, "COMMIT")
	if err == nil {
		w.erased = w.erased || w.erases
	}
	return w.store.db.Classify(err)
}

var errUnsound = errors.New("the transaction has failed already: its commit would undo it")

// learn keeps the ids of the ledgers seen, and what lies beyond their indexes,
// now that they are committed.
func (w *writer) learn() {
	if len(w.beyond) > maxKeptTails {
		clear(w.beyond)
	}
	maps.Copy(w.beyond, w.indexing)
	for l, h := range w.group.heads {
		if h.changed {
			w.store.ledgers.LoadOrStore(l, h.id)
		}
	}
}

// scrub removes what was erased. Where it cannot now, it tries again after the
// next group.
func (w *writer) scrub(ctx context.Context) {
	if !w.erased || w.store.db.Scrub == nil {
		return
	}
	done, err := w.store.db.Scrub(ctx, w.conn)
	if err != nil {
		w.store.log.Error("what was erased may still be on the disk", "error", err)
	}
	w.erased = !done
}

// session is one on the writer's connection.
func (w *writer) session(ctx context.Context, g *group) *sqldb.Session {
	s := &sqldb.Session{Ctx: ctx, DB: w.store.db, Conn: w.conn}
	if g != nil {
		s.Buffer, s.Inserter = g, w.inserter
	}
	return s
}

// run runs one request. What it returns is a failure of the transaction
// itself, or errAgain.
func (w *writer) run(r *request) error {
	ctx := context.WithoutCancel(r.ctx)
	session := w.session(ctx, w.group)
	t := &tx{reader: reader{Session: session, session: session, store: w.store, group: w.group}, ledger: r.ledger}
	if r.unlogged != nil {
		t.head = &head{}
	} else if t.head, r.err = t.headOf(r.ledger); r.err != nil {
		return r.err
	}
	if w.careful {
		if err := t.save(); err != nil {
			return err
		}
	}
	before := *t.head
	w.group.mark, w.group.flushed = mark{len(w.group.minted), len(w.group.entries), len(w.group.redeemed)}, false
	r.err = t.call(r)
	if r.err == nil && w.careful && t.Err() == nil {
		t.Flush()
	}
	failure := t.Err()
	if r.err == nil {
		r.err = failure
	}
	t.End(errEnded)
	if w.store.db.Reruns(failure) {
		return failure
	}
	if r.err == nil && r.panicked == nil {
		w.erases = w.erases || t.erased
		if w.careful {
			_, err := w.conn.Exec(ctx, "RELEASE SAVEPOINT u")
			return w.store.db.Classify(err)
		}
		return nil
	}
	*t.head = before
	w.group.takeBack()
	if !w.careful {
		if t.wrote || w.group.flushed || failure != nil {
			return errAgain
		}
		return nil
	}
	w.group.forget()
	_, err := w.conn.Exec(ctx, "ROLLBACK TO SAVEPOINT u")
	if err == nil {
		_, err = w.conn.Exec(ctx, "RELEASE SAVEPOINT u")
	}
	if err != nil && failure != nil {
		return failure // what ended the transaction
	}
	return w.store.db.Classify(err)
}

// save puts a savepoint behind all that was written so far.
func (t *tx) save() error {
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := t.Conn.Exec(t.Ctx, "SAVEPOINT u")
	return t.Fail(err)
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
	if r.unlogged != nil {
		err = r.unlogged(t)
	} else {
		err = r.fn(t)
	}
	returned = true
	return err
}

var errEnded = errors.New("the transaction has ended: a Reader or Tx is good only inside the function it was given to")
