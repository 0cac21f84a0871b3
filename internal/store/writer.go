package store

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

// maxGroup bounds how many Updates share a commit.
const maxGroup = 256

// request is an Update or an unlogged write on its way through the writer.
type request struct {
	ctx      context.Context
	ledger   sluice.LedgerID
	fn       func(service.Tx) error
	unlogged func(*tx) error // in place of fn; ledger is what it changes, if any

	state    atomic.Int32
	done     chan struct{} // closed when the fields below are set
	err      error
	panicked any
}

// The states of a request. Either the writer begins it or its caller gives it up.
const (
	waiting = iota
	begun
	abandoned
)

// Update implements service.Store. An Update that has not begun when ctx ends is not run. One that has begun is
// waited for, whatever becomes of ctx.
func (s *Store) Update(ctx context.Context, ledger sluice.LedgerID, fn func(service.Tx) error) error {
	return s.perform(&request{ctx: ctx, ledger: ledger, fn: fn})
}

func (s *Store) performOnce(r *request) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.inflight.Done()
	if err := r.ctx.Err(); err != nil {
		return err
	}
	r.done = make(chan struct{})
	s.queue.add(r)
	select {
	case <-r.done:
	case <-r.ctx.Done():
		if r.state.CompareAndSwap(waiting, abandoned) {
			s.queue.remove(r)
			return r.ctx.Err()
		}
		<-r.done
	}
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.err
}

// Ready implements service.Store. It commits a write of a few bytes, and returns no later than ctx ends.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.inflight.Done()
	if s.reserve != nil && !s.reserve.ensure() {
		return errReserve
	}
	r := &request{ctx: ctx, unlogged: probe, done: make(chan struct{})}
	s.queue.add(r)
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		s.queue.remove(r)
		return ctx.Err()
	}
}

func probe(t *tx) error {
	_, err := t.session.Exec("UPDATE probe SET n = n + 1")
	return err
}

// write is the writer. It takes all requests that wait, runs them in one transaction, and answers them when that is
// committed. It does not wait for more requests: the next group gathers while this one commits.
func (s *Store) write() {
	defer close(s.stopped)
	w := writer{store: s, group: newGroup(), inserter: sqldb.NewInserter()}
	requests := make([]*request, 0, s.maxGroup)
	for {
		if requests = s.queue.take(requests[:0], s.maxGroup); len(requests) == 0 {
			break
		}
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

// writer is the state of the writing goroutine.
type writer struct {
	store    *Store
	conn     *sqldb.Conn // nil: to be opened
	group    *group
	inserter *sqldb.Inserter
	// version is the database's version when the last group began. unbroken says that this group was committed, on the
	// connection of the version.
	version  int64
	unbroken bool
	// careful has each request run behind a savepoint of its own.
	careful bool
	// erases says that the running group erases something; erased, that something was erased which is not scrubbed yet.
	erases, erased bool
}

// commit runs a group and commits it. An Update seldom fails after it has written, so a group runs without
// savepoints first. When one fails so, the whole group runs again with a savepoint for each: contract point 3. A
// group also runs again when it failed because of a concurrent transaction. When the transaction itself fails,
// nothing is applied, and all requests get the error.
func (w *writer) commit(requests []*request) {
	ctx, began, runs := context.Background(), time.Now(), 1
	err := w.attempt(ctx, requests)
	for ; runs < maxRuns && (err == errRunCarefully || w.store.db.Reruns(err)); runs++ {
		w.rollBack(ctx)
		w.careful = w.careful || err == errRunCarefully
		err = w.attempt(ctx, requests)
	}
	w.careful = false
	if w.store.observer != nil {
		w.store.observer.Committed(Commit{Updates: len(requests), Runs: runs, Took: time.Since(began), Err: err})
	}
	if err == nil {
		w.unbroken = true
		if w.store.db.Committed != nil {
			w.store.db.Committed()
		}
		w.group.log.Committed(&w.store.ledgers)
		w.scrub(ctx)
		return
	}
	if w.conn != nil {
		w.conn.Discard()
		w.conn = nil
	}
	for _, r := range requests {
		// Also an Update that returned an error of its own gets this one: what it has read of its neighbours never
		// happened.
		if r.panicked == nil && r.state.Load() != abandoned {
			r.err = err
		}
	}
}

// maxRuns is how often a group runs at most.
const maxRuns = 4

// errRunCarefully says that an Update failed which had written without a savepoint.
var errRunCarefully = errors.New("the group has to run again with savepoints")

// attempt runs a group once, and commits it.
func (w *writer) attempt(ctx context.Context, requests []*request) error {
	w.erases = false
	err := w.begin(ctx)
	w.group.start(err == nil && w.unchanged(ctx))
	if err == nil {
		err = w.lock(ctx, requests)
	}
	if err == nil && !w.careful {
		err = w.prefetch(ctx, requests)
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

// rollBack ends an attempt. When the database has ended the transaction by itself, there is nothing to roll back,
// and the connection is not worth keeping.
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
	same := err == nil && w.unbroken && version == w.version
	w.version, w.unbroken = version, false
	return same
}

func (w *writer) begin(ctx context.Context) (err error) {
	db := w.store.db
	for deadline := time.Now().Add(w.store.lockWait); ; {
		before := w.conn
		w.conn, err = db.Start(ctx, before, db.Writer, db.Begin)
		w.unbroken = w.unbroken && w.conn == before // versions are those of one connection
		if err == nil || !db.Locked(err) || time.Now().After(deadline) {
			return db.Classify(err)
		}
	}
}

// lock locks the heads of the group's ledgers, where begin has not.
func (w *writer) lock(ctx context.Context, requests []*request) error {
	if w.store.db.RowLock == "" {
		return nil
	}
	var ledgers []sluice.LedgerID
	logged := map[sluice.LedgerID]bool{}
	for _, r := range requests {
		l := r.ledger
		if l == noLedger || !w.store.db.CanStore(l.Account, string(l.Mode)) {
			continue
		}
		ledgers = append(ledgers, l)
		logged[l] = logged[l] || r.unlogged == nil
	}
	s := w.session(ctx)
	return w.group.log.Lock(&s, ledgers, logged)
}

// prefetch reads the links, with their files, that the Updates of the group are going to ask for, where each would be a
// round trip.
func (w *writer) prefetch(ctx context.Context, requests []*request) error {
	if w.store.db.Each == nil {
		return nil
	}
	links := map[int64][]string{}
	for _, r := range requests {
		link := service.Prefetched(r.ctx)
		if number := w.group.log.LockedNumber(r.ledger); link != "" && sqldb.IsText(link) && number != 0 {
			links[number] = append(links[number], link)
		}
	}
	s := w.session(ctx)
	for ledger, ids := range links {
		if err := w.group.records.Prefetch(&s, ledger, ids); err != nil {
			return err
		}
	}
	return nil
}

// end writes what the group has gathered, the index and the heads, and commits.
func (w *writer) end(ctx context.Context) error {
	s := w.session(ctx)
	if err := s.Flush(); err != nil {
		if !w.careful {
			return errRunCarefully
		}
		return err
	}
	if err := w.group.log.Finish(&s); err != nil {
		return err
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

var errUnsound = errors.New("the transaction has failed: its commit would roll it back")

// scrub removes erased values from where the database still has them. Where that fails, it tries again after the next
// group.
func (w *writer) scrub(ctx context.Context) {
	if !w.erased || w.store.db.Scrub == nil {
		return
	}
	done, err := w.store.db.Scrub(ctx, w.conn)
	if err != nil {
		w.store.log.Error("redacted values may still be in the database, retrying after the next commit", "error", err)
	}
	w.erased = !done
}

// run runs one request. It returns a failure of the transaction itself, or errRunCarefully. The error of the
// request is in r.err.
func (w *writer) run(r *request) error {
	t, err := w.newTx(r)
	if r.err = err; err != nil {
		return err
	}
	if w.careful {
		if err := t.setSavepoint(); err != nil {
			return err
		}
	}
	w.group.save(t.LedgerHead())
	r.err = t.call(r)
	if r.err == nil && w.careful && t.session.Err() == nil {
		t.session.Flush()
	}
	failure := t.session.Err()
	if r.err == nil {
		r.err = failure
	}
	t.session.End(errEnded)
	if w.store.db.Reruns(failure) {
		return failure
	}
	if r.err == nil && r.panicked == nil {
		w.erases = w.erases || t.Erased()
		if w.careful {
			_, err := w.conn.Exec(t.session.Ctx, "RELEASE SAVEPOINT u")
			return w.store.db.Classify(err)
		}
		return nil
	}
	w.group.undo()
	if !w.careful {
		if t.Wrote() || w.group.flushed || failure != nil {
			return errRunCarefully
		}
		return nil
	}
	return w.rollBackTo(t, failure)
}

// rollBackTo rolls back to the savepoint of a request that failed.
func (w *writer) rollBackTo(t *tx, failure error) error {
	w.group.records.Forget()
	_, err := w.conn.Exec(t.session.Ctx, "ROLLBACK TO SAVEPOINT u")
	if err == nil {
		_, err = w.conn.Exec(t.session.Ctx, "RELEASE SAVEPOINT u")
	}
	if err != nil && failure != nil {
		return failure // it ended the transaction
	}
	return w.store.db.Classify(err)
}
