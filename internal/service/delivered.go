package service

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// deliveries are the entries that are committed a moment after what they tell
// of: those of downloads that have ended, whose decision is in the log already.
// Each ledger has a queue of its own, so a ledger that cannot be written delays
// only itself.
type deliveries struct {
	underway atomic.Int64 // downloads that were granted and have not ended
	flushing atomic.Int64 // calls of Flush

	mu     sync.Mutex
	queues map[sluice.LedgerID]*deliveryQueue // of the ledgers with entries that wait
	size   int                                // entries in all queues
	most   int                                // bound of one queue; maxDelivered when 0
	total  int                                // bound of size; maxDeliveredTotal when 0
}

// deliveryQueue holds the entries of one ledger that wait, oldest first.
type deliveryQueue struct {
	ledger  sluice.LedgerID
	waiting []lateEntry
	batch   deliveryBatch // of the first that wait; only the goroutine that writes uses it
	failing bool          // the last Update failed
	stop    func()        // ends the goroutine that writes what waits; nil when there is none
	hurry   chan struct{} // somebody waits for what is written
	room    chan struct{} // closed, and replaced, after each Update that was committed
}

// lateEntry is an entry that is committed later.
type lateEntry struct {
	id     string
	record func(tx Tx, id string, now time.Time) error
}

const (
	// deliverAfter is how long an entry waits for others.
	deliverAfter = 100 * time.Millisecond
	// maxDelivered is how many entries of one ledger wait before its links open no more.
	maxDelivered = 8192
	// maxDeliveredTotal is how many entries wait in all before the links of
	// ledgers that cannot be written open no more.
	maxDeliveredTotal = 8 * maxDelivered
	// deliveredAtOnce is how many share an Update.
	deliveredAtOnce = 256
	// deliverAgain and deliverAgainMost are the shortest and the longest wait
	// before an Update that failed is tried again. The wait doubles.
	deliverAgain     = 100 * time.Millisecond
	deliverAgainMost = 5 * time.Second
	// deliverTime is how long one Update may wait for its turn.
	deliverTime = 30 * time.Second
	// roomWait is how long a redemption waits for room in a full queue.
	roomWait = time.Second
)

// Delivered records what became of a grant: how many bytes of the file were
// handed to the connection. It does not wait: the entry is committed soon, and
// Flush waits for it. What was granted and not sent may be asked for again.
func (s *Service) Delivered(g *Grant, sent int64) { s.conclude(g, sent, false) }

// Failed records, in place of Delivered, that a grant could not be fulfilled
// because of Sluice itself: its bytes could not be read, or no address could be
// made for them. The download is given back: it does not count any more.
func (s *Service) Failed(g *Grant, sent int64) { s.conclude(g, sent, true) }

func (s *Service) conclude(g *Grant, sent int64, failed bool) {
	if !g.Plan.spends() {
		return
	}
	if g.Location != "" { // what comes of it is not observed
		s.delivered.underway.Add(-1)
		return
	}
	now := s.Now()
	g.sent = sluice.Sent{Bytes: sent, Complete: sent == g.Plan.Bytes, Duration: max(0, now.Sub(g.began))} // clocks are set back
	g.failed = failed
	e := lateEntry{id: s.ids.New(sluice.PrefixEntry, now), record: func(tx Tx, id string, now time.Time) error {
		g.entry = id
		return s.settle(tx, g, now)
	}}
	s.recordLate(g.bearer.Ledger, e, failed || !g.sent.Complete && g.taken.LinkID != "")
	s.delivered.underway.Add(-1)
}

// recordLate has an entry committed soon, or at once when somebody waits for it.
func (s *Service) recordLate(ledger sluice.LedgerID, e lateEntry, hurry bool) {
	d := &s.delivered
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.queues[ledger]
	if q == nil {
		if d.queues == nil {
			d.queues = map[sluice.LedgerID]*deliveryQueue{}
		}
		q = &deliveryQueue{ledger: ledger, hurry: make(chan struct{}, 1), room: make(chan struct{})}
		d.queues[ledger] = q
	}
	q.waiting = append(q.waiting, e)
	d.size++
	if hurry {
		q.rush()
	}
	s.startWriting(q)
}

// startWriting starts the goroutine of a queue. The caller holds the lock.
func (s *Service) startWriting(q *deliveryQueue) {
	if q.stop == nil {
		var ctx context.Context
		ctx, q.stop = context.WithCancel(context.Background())
		go s.writeQueue(ctx, q)
	}
}

// rush has what waits written at once, but not before the wait after a failure is over.
func (q *deliveryQueue) rush() {
	select {
	case q.hurry <- struct{}{}:
	default:
	}
}

// DeliveriesWaiting is the number of entries of ended downloads that are not committed yet.
func (s *Service) DeliveriesWaiting() int {
	s.delivered.mu.Lock()
	defer s.delivered.mu.Unlock()
	return s.delivered.size
}

// deliverable waits until the queue of a ledger has room. A queue without room
// after roomWait is CodeUnavailable: what would be redeemed could not be
// recorded to its end. The queues of ledgers that can be written always have
// room soon, so these are refused only at their own bound.
func (s *Service) deliverable(ctx context.Context, ledger sluice.LedgerID) error {
	room := s.delivered.full(ledger)
	if room == nil {
		return nil
	}
	patience := time.NewTimer(roomWait)
	defer patience.Stop()
	for room != nil {
		select {
		case <-room:
			room = s.delivered.full(ledger)
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			return &sluice.Error{Code: sluice.CodeUnavailable, Detail: "the ends of earlier downloads cannot be recorded now", RetryAfter: deliverAgainMost}
		}
	}
	return nil
}

// full gives nil when the queue of a ledger has room, else what is closed when
// it may have.
func (d *deliveries) full(ledger sluice.LedgerID) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.queues[ledger]
	if q == nil {
		return nil
	}
	most, total := d.most, d.total
	if most == 0 {
		most, total = maxDelivered, maxDeliveredTotal
	}
	if len(q.waiting) >= most || q.failing && d.size >= total {
		return q.room
	}
	return nil
}

// Flush waits until Delivered was told of every Grant and all entries that wait
// are committed, also those of refusals that were only counted so far. It is for an orderly stop, when no more is to come. When ctx
// ends first, the error says what is left, and the writing stops until the next
// Delivered or Flush. A ledger that cannot be written keeps no other from being
// flushed.
func (s *Service) Flush(ctx context.Context) error {
	d := &s.delivered
	d.flushing.Add(1)
	defer d.flushing.Add(-1)
	s.writeRefusals(true)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		underway := d.underway.Load() // before the queues, which follow it
		entries, ledgers := s.rushAll()
		if underway == 0 && entries == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			d.stopWriting()
			return fmt.Errorf("%d downloads have not ended and %d delivery entries of %d ledgers are not committed: %w", underway, entries, ledgers, ctx.Err())
		case <-tick.C:
		}
	}
}

// rushAll has what waits in every queue written at once, and says how much that is.
func (s *Service) rushAll() (entries, ledgers int) {
	d := &s.delivered
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.queues {
		s.startWriting(q)
		q.rush()
	}
	return d.size, len(d.queues)
}

// stopWriting ends the goroutines of the queues. What waits stays.
func (d *deliveries) stopWriting() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.queues {
		if q.stop != nil {
			q.stop()
		}
	}
}

// writeQueue commits what waits in a queue until nothing does, or ctx ends.
func (s *Service) writeQueue(ctx context.Context, q *deliveryQueue) {
	again := deliverAgain
	for s.gather(ctx, q) {
		err := s.commit(ctx, &q.batch)
		s.delivered.wrote(q, err)
		if err == nil {
			again = deliverAgain
			continue
		}
		s.log.Error("delivery entries not committed; retrying", "ledger", q.ledger.String(), "count", s.delivered.waitingIn(q), "error", err)
		s.backOff(ctx, q, again)
		again = min(2*again, deliverAgainMost)
	}
}

// deliveryBatch is what one Update commits. A batch whose Update failed is
// tried again as it is.
type deliveryBatch struct {
	ledger  sluice.LedgerID
	entries []lateEntry
	tried   []int64 // where in the ledger earlier tries put the first entry
}

// gather waits a moment for company and takes the next batch, unless there is
// one to try again. It is false, and the queue is not written any more, when
// nothing waits or ctx has ended.
func (s *Service) gather(ctx context.Context, q *deliveryQueue) bool {
	d, b := &s.delivered, &q.batch
	if len(b.entries) == 0 && d.waitingIn(q) < deliveredAtOnce {
		q.wait(ctx, deliverAfter)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(q.waiting) == 0 {
		delete(d.queues, q.ledger)
	}
	if len(q.waiting) == 0 || ctx.Err() != nil {
		q.stop()
		q.stop = nil
		return false
	}
	if len(b.entries) == 0 {
		b.ledger, b.entries = q.ledger, slices.Clone(q.waiting[:min(len(q.waiting), deliveredAtOnce)])
	}
	return true
}

// wait waits for a time, or until somebody is in a hurry.
func (q *deliveryQueue) wait(ctx context.Context, long time.Duration) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-q.hurry:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// backOff waits before a batch is tried again, but no longer than deliverAgain
// while Flush waits for it.
func (s *Service) backOff(ctx context.Context, q *deliveryQueue, long time.Duration) {
	for until := time.Now().Add(long); ctx.Err() == nil; {
		left := time.Until(until)
		if s.delivered.flushing.Load() > 0 {
			left = min(left, deliverAgain)
			until = time.Now().Add(left)
		}
		if left <= 0 {
			return
		}
		timer := time.NewTimer(min(left, deliverAgain))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// wrote notes what became of a batch: its entries wait no more when it was committed.
func (d *deliveries) wrote(q *deliveryQueue, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q.failing = err != nil
	if err != nil {
		return
	}
	n := len(q.batch.entries)
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.batch = deliveryBatch{}
	d.size -= n
	close(q.room)
	q.room = make(chan struct{})
}

func (d *deliveries) waitingIn(q *deliveryQueue) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(q.waiting)
}

// commit commits a batch. An Update that failed may have been committed all the
// same: then the first entry stands where that Update put it. It is looked for
// there, and not by its id, so that a damaged index is not in the way.
func (s *Service) commit(ctx context.Context, b *deliveryBatch) error {
	ctx, cancel := context.WithTimeout(ctx, deliverTime)
	defer cancel()
	return s.store.Update(ctx, b.ledger, func(tx Tx) error {
		committed, err := b.committed(tx)
		if err != nil || committed {
			return err
		}
		place, err := tx.Size(b.ledger)
		if err != nil {
			return err
		}
		if !slices.Contains(b.tried, place) {
			b.tried = append(b.tried, place)
		}
		now := s.Now()
		for _, e := range b.entries {
			if err := e.record(tx, e.id, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// committed reports whether an earlier try was committed.
func (b *deliveryBatch) committed(tx Tx) (bool, error) {
	for _, place := range b.tried {
		leaves, err := tx.Leaves(b.ledger, place, 1)
		if err != nil {
			return false, err
		}
		if len(leaves) > 0 && bytes.Contains(leaves[0].Leaf, []byte(`"id":"`+b.entries[0].id+`"`)) {
			return true, nil
		}
	}
	return false, nil
}

// settle records one delivery, and gives back what was not sent: to the grant it
// was taken from, or the whole download when Sluice failed. All of it is one
// Update, so what is given back is given back once.
func (s *Service) settle(tx Tx, g *Grant, now time.Time) error {
	e := s.entry(g.bearer, sluice.LinkDelivered, now)
	e.ID = g.entry
	e.Request = &sluice.Request{ID: g.bearer.Request.ID}
	e.Key, e.File, e.Link = g.key, audit.FilePart(g.File), &sluice.LinkPart{ID: g.Link.ID, Expires: g.Link.Expires}
	e.File.Metadata = nil
	e.Delivery = &sluice.DeliveryPart{Mode: g.Plan.mode(), Status: g.Plan.Status, Returned: g.failed, Sent: &g.sent}
	record := tx.Record
	if g.failed && g.counts {
		record = func(e sluice.Entry) error { return tx.Returned(g.Link.ID, e) }
	}
	if err := record(e); err != nil || g.taken.LinkID == "" || g.sent.Complete && !g.failed {
		return err
	}
	open, err := tx.OpenGrant(g.bearer.Ledger, g.Link.ID, g.taken.Bearer)
	if sluice.CodeOf(err) == sluice.CodeNotFound || err == nil && !open.Expires.Equal(g.taken.Expires) {
		return nil // it is over, or another took its place
	}
	if err != nil {
		return err
	}
	switch {
	case g.failed && g.counts: // the next download is counted, and opens a grant of its own
		open.Expires, open.Left = now, 0
	case g.failed:
		open.Left += g.Plan.cost()
	default:
		open.Left += g.Plan.Bytes - g.sent.Bytes
	}
	return tx.SetGrant(open)
}
