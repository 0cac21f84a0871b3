package store

import (
	"context"
	"errors"
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
	chore  func(*tx) error // in place of fn: what no ledger tells of

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
func (s *Store) chore(ctx context.Context, fn func(*tx) error) error {
	return s.perform(&request{ctx: ctx, chore: fn})
}

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
// applied, and all that had succeeded get the error.
func (w *writer) commit(requests []*request) {
	ctx := context.Background()
	clear(w.group.heads)
	w.group.forget()
	err := w.begin(ctx)
	for _, r := range requests {
		if r.ctx.Err() != nil && r.state.CompareAndSwap(waiting, abandoned) {
			r.err = r.ctx.Err()
			continue
		}
		if err == nil && r.state.CompareAndSwap(waiting, begun) {
			err = w.run(r)
		}
	}
	if err == nil {
		err = w.end(ctx)
	}
	if err == nil {
		w.learn()
		w.scrub(ctx)
		return
	}
	if w.conn != nil {
		w.conn.discard()
		w.conn = nil
	}
	for _, r := range requests {
		if r.err == nil && r.panicked == nil {
			r.err = err
		}
	}
}

func (w *writer) begin(ctx context.Context) (err error) {
	if w.conn == nil {
		if w.conn, err = connect(ctx, w.store.db); err != nil {
			return w.store.classify(err)
		}
	}
	for deadline := time.Now().Add(w.store.wait); ; {
		_, err = w.conn.exec(ctx, w.store.begin)
		if err == nil || !w.store.locked(err) || time.Now().After(deadline) {
			return w.store.classify(err)
		}
	}
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
	_, err := w.conn.exec(ctx, "COMMIT")
	return w.store.classify(err)
}

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
	if !t.saved {
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
