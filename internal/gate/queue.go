package gate

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sluice"
	"sluice/internal/service"
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
	record func(tx service.Tx, id string, now time.Time) error
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

// recordLate has an entry committed soon, or at once when somebody waits for it.
func (gate *Gate) recordLate(ledger sluice.LedgerID, e lateEntry, hurry bool) {
	d := &gate.delivered
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
	gate.startWriting(q)
}

// startWriting starts the goroutine of a queue. The caller holds the lock.
func (gate *Gate) startWriting(q *deliveryQueue) {
	if q.stop == nil {
		var ctx context.Context
		ctx, q.stop = context.WithCancel(context.Background())
		go gate.writeQueue(ctx, q)
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
func (gate *Gate) DeliveriesWaiting() int {
	gate.delivered.mu.Lock()
	defer gate.delivered.mu.Unlock()
	return gate.delivered.size
}

// deliverable waits until the queue of a ledger has room. A queue without room
// after roomWait is CodeUnavailable: what would be redeemed could not be
// recorded to its end. The queues of ledgers that can be written always have
// room soon, so these are refused only at their own bound.
func (gate *Gate) deliverable(ctx context.Context, ledger sluice.LedgerID) error {
	room := gate.delivered.full(ledger)
	if room == nil {
		return nil
	}
	patience := time.NewTimer(roomWait)
	defer patience.Stop()
	for room != nil {
		select {
		case <-room:
			room = gate.delivered.full(ledger)
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			return &sluice.Error{
				Code: sluice.CodeUnavailable, Detail: "the ends of earlier downloads cannot be recorded now",
				RetryAfter: deliverAgainMost,
			}
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
// are committed, also those of refusals that were only counted so far. It is for
// an orderly stop, when no more is to come. When ctx ends first, the error says
// what is left, and the writing stops until the next Delivered or Flush. A ledger
// that cannot be written keeps no other from being flushed.
func (gate *Gate) Flush(ctx context.Context) error {
	d := &gate.delivered
	d.flushing.Add(1)
	defer d.flushing.Add(-1)
	gate.writeRefusals(true)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		underway := d.underway.Load() // before the queues, which follow it
		entries, ledgers := gate.rushAll()
		if underway == 0 && entries == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			d.stopWriting()
			return fmt.Errorf("%d downloads have not ended and %d delivery entries of %d ledgers are not committed: %w",
				underway, entries, ledgers, ctx.Err())
		case <-tick.C:
		}
	}
}

// rushAll has what waits in every queue written at once, and says how much that is.
func (gate *Gate) rushAll() (entries, ledgers int) {
	d := &gate.delivered
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.queues {
		gate.startWriting(q)
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
