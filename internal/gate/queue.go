package gate

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sluice"
	"sluice/internal/refusals"
)

// deliveries queues what is committed to the log a moment later, in groups: the
// ends of downloads, whose decision is already in the log, and counted refusals.
// Each ledger has its own queue, so a ledger that cannot be written delays only
// itself.
type deliveries struct {
	underway atomic.Int64 // downloads that were granted and have not ended
	flushing atomic.Int64 // running calls of Flush

	mu     sync.Mutex
	queues map[sluice.LedgerID]*deliveryQueue // of the ledgers for which something waits
	size   int                                // length of all queues

	// Limits of one queue and of size. If 0, maxWaiting and maxWaitingTotal apply.
	maxPerLedger, maxTotal int
}

// deliveryQueue holds what waits in one ledger.
type deliveryQueue struct {
	ledger    sluice.LedgerID
	waiting   []pending     // oldest first
	batch     deliveryBatch // the first that wait; used only by the writing goroutine
	failing   bool          // the last Update failed
	stop      func()        // stops the writing goroutine; nil if there is none
	urgent    chan struct{} // tells the writing goroutine not to gather more
	committed chan struct{} // closed and replaced after each successful Update
}

// pending waits to be recorded: the end of a download, or refusals. Thousands wait at a time, and so most keep nothing
// of their Grant.
type pending struct {
	delivery sluice.Delivery
	settles  *Grant          // nil if the download gives nothing back
	refused  *refusals.Tally // in place of a download
}

const (
	// gatherTime is how long the end of a download waits for others to share its entry.
	gatherTime = 100 * time.Millisecond
	// maxWaiting is the length of the queue of one ledger at which its redemptions
	// are refused.
	maxWaiting = 8192
	// maxWaitingTotal is the length of all queues at which redemptions of ledgers
	// that cannot be written are refused.
	maxWaitingTotal = 8 * maxWaiting
	// maxBatch is how many share an Update at most: one entry holds their deliveries.
	maxBatch = sluice.MaxDeliveries
	// retryMin and retryMax bound the wait before a failed Update is retried. The
	// wait doubles with each failure.
	retryMin = 100 * time.Millisecond
	retryMax = 5 * time.Second
	// updateTimeout limits one Update.
	updateTimeout = 30 * time.Second
	// queueWait is how long a redemption waits for a full queue.
	queueWait = time.Second
)

// enqueue adds to the queue of a ledger what is to be committed soon, and at once
// if it is urgent.
func (gate *Gate) enqueue(ledger sluice.LedgerID, p pending, urgent bool) {
	d := &gate.delivered
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.queues[ledger]
	if q == nil {
		if d.queues == nil {
			d.queues = map[sluice.LedgerID]*deliveryQueue{}
		}
		q = &deliveryQueue{ledger: ledger, urgent: make(chan struct{}, 1), committed: make(chan struct{})}
		d.queues[ledger] = q
	}
	q.waiting = append(q.waiting, p)
	d.size++
	if urgent {
		q.writeNow()
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

// writeNow has what waits written at once. It does not shorten the wait
// after a failure.
func (q *deliveryQueue) writeNow() {
	select {
	case q.urgent <- struct{}{}:
	default:
	}
}

// DeliveriesWaiting returns the number of ended downloads and counted refusals
// that are not committed yet.
func (gate *Gate) DeliveriesWaiting() int {
	gate.delivered.mu.Lock()
	defer gate.delivered.mu.Unlock()
	return gate.delivered.size
}

// deliverable waits until the queue of a ledger is not full. If it is still full
// after queueWait, the redemption is refused with CodeUnavailable: its delivery
// could not be recorded. A ledger that can be written empties its queue quickly,
// so it is refused only at its own limit.
func (gate *Gate) deliverable(ctx context.Context, ledger sluice.LedgerID) error {
	committed := gate.delivered.full(ledger)
	if committed == nil {
		return nil
	}
	timeout := time.NewTimer(queueWait)
	defer timeout.Stop()
	for committed != nil {
		select {
		case <-committed:
			committed = gate.delivered.full(ledger)
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			return &sluice.Error{
				Code: sluice.CodeUnavailable, Detail: "earlier downloads cannot be recorded in the log now",
				RetryAfter: retryMax,
			}
		}
	}
	return nil
}

// full returns nil if the queue of a ledger is not full. Otherwise it returns a
// channel that is closed after the next commit of the queue.
func (d *deliveries) full(ledger sluice.LedgerID) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.queues[ledger]
	if q == nil {
		return nil
	}
	most, total := d.maxPerLedger, d.maxTotal
	if most == 0 {
		most, total = maxWaiting, maxWaitingTotal
	}
	if len(q.waiting) >= most || q.failing && d.size >= total {
		return q.committed
	}
	return nil
}

// Flush waits until every Grant was reported by Delivered or Failed and all
// deliveries are committed, and the counted refusals. It is meant
// for an orderly stop, after the last redemption. If ctx ends first, the error
// says how much is left, and writing stops until the next Delivered or Flush. A
// ledger that cannot be written does not prevent the others from being flushed.
func (gate *Gate) Flush(ctx context.Context) error {
	d := &gate.delivered
	d.flushing.Add(1)
	defer d.flushing.Add(-1)
	gate.writeRefusals(true)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		underway := d.underway.Load() // first: an ended download is already queued
		waiting, ledgers := gate.writeAllNow()
		if underway == 0 && waiting == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			d.stopWriting()
			return fmt.Errorf("%d downloads have not ended and %d deliveries of %d ledgers are not committed: %w",
				underway, waiting, ledgers, ctx.Err())
		case <-tick.C:
		}
	}
}

// writeAllNow calls writeNow for every queue, and returns how many wait and in how
// many ledgers.
func (gate *Gate) writeAllNow() (waiting, ledgers int) {
	d := &gate.delivered
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.queues {
		gate.startWriting(q)
		q.writeNow()
	}
	return d.size, len(d.queues)
}

// stopWriting stops the writing goroutines. What waits stays in the queues.
func (d *deliveries) stopWriting() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.queues {
		if q.stop != nil {
			q.stop()
		}
	}
}
