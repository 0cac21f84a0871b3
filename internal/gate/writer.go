package gate

import (
	"bytes"
	"context"
	"slices"
	"time"

	"sluice"
	"sluice/internal/service"
)

// writeQueue commits what waits in a queue until it is empty or ctx ends.
func (gate *Gate) writeQueue(ctx context.Context, q *deliveryQueue) {
	delay := retryMin
	for gate.gather(ctx, q) {
		err := gate.commit(ctx, &q.batch)
		gate.delivered.batchDone(q, err)
		if err == nil {
			delay = retryMin
			continue
		}
		gate.log.Error("delivery entries not committed; retrying",
			"ledger", q.ledger.String(), "count", gate.delivered.waitingIn(q), "error", err)
		failed, ok := err.(*recordError)
		if ok {
			gate.delivered.setAside(q, failed.at)
		}
		if ok && failed.at > 0 { // what precedes the entry can be committed now
			continue
		}
		gate.backOff(ctx, delay)
		delay = min(2*delay, retryMax)
	}
}

// deliveryBatch is what one Update records. If the Update fails, the same batch is
// retried.
type deliveryBatch struct {
	ledger    sluice.LedgerID
	id        string // of the first entry
	pending   []pending
	triedSeqs []int64 // seqs of the first entry in failed Updates that may have been committed
}

// gather fills the next batch after waiting a moment for more, unless there is a
// batch to retry. It returns false, and the writing goroutine must end, if the
// queue is empty or ctx has ended.
func (gate *Gate) gather(ctx context.Context, q *deliveryQueue) bool {
	d, b := &gate.delivered, &q.batch
	if len(b.pending) == 0 && d.waitingIn(q) < maxBatch {
		q.wait(ctx, gatherTime)
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
	if len(b.pending) == 0 {
		b.ledger, b.id = q.ledger, gate.service.NewEntryID(gate.service.Now())
		b.pending = slices.Clone(q.waiting[:min(len(q.waiting), maxBatch)])
	}
	return true
}

// wait waits for d, or until writeNow is called.
func (q *deliveryQueue) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-q.urgent:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// backOff waits for d before a batch is retried, but no longer than retryMin
// while Flush is running.
func (gate *Gate) backOff(ctx context.Context, d time.Duration) {
	for until := time.Now().Add(d); ctx.Err() == nil; {
		left := time.Until(until)
		if gate.delivered.flushing.Load() > 0 {
			left = min(left, retryMin)
			until = time.Now().Add(left)
		}
		if left <= 0 {
			return
		}
		timer := time.NewTimer(min(left, retryMin))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// batchDone records the result of a batch. If it was committed, it leaves the
// queue.
func (d *deliveries) batchDone(q *deliveryQueue, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q.failing = err != nil
	if err != nil {
		return
	}
	n := len(q.batch.pending)
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.batch = deliveryBatch{}
	d.size -= n
	close(q.committed)
	q.committed = make(chan struct{})
}

func (d *deliveries) waitingIn(q *deliveryQueue) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(q.waiting)
}

// recordError says that a part of a batch cannot be recorded. Nothing of the batch
// was committed.
type recordError struct {
	at  int // its index in the batch
	err error
}

func (e *recordError) Error() string { return e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

// setAside shortens a batch to what precedes the part that cannot be recorded. If
// that is nothing, it moves the part to the end of the queue, so that it does not
// block the others.
func (d *deliveries) setAside(q *deliveryQueue, at int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at > 0 {
		q.batch.pending = q.batch.pending[:at]
		return
	}
	q.waiting = append(slices.Delete(q.waiting, 0, 1), q.batch.pending[0])
	q.batch = deliveryBatch{}
}

// commit commits a batch. A failed Update may have been committed nevertheless;
// then its first entry has the seq that the Update gave it. commit looks for it
// by seq rather than by id, so that it does not depend on a possibly damaged
// index.
func (gate *Gate) commit(ctx context.Context, b *deliveryBatch) error {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	var firstSeq int64
	var failed *recordError
	complete := false
	err := gate.update(ctx, b.ledger, func(tx service.Tx) (err error) {
		complete, failed = false, nil
		committed, err := b.committed(tx)
		if err != nil || committed {
			return err
		}
		if firstSeq, err = tx.Size(b.ledger); err != nil {
			return err
		}
		if failed = gate.recordBatch(tx, b); failed != nil {
			return failed
		}
		complete = true
		return nil
	})
	switch {
	case err != nil && failed != nil:
		return failed
	case err != nil && complete && !slices.Contains(b.triedSeqs, firstSeq): // it may have been committed
		b.triedSeqs = append(b.triedSeqs, firstSeq)
	}
	return err
}

// recordBatch records a batch: all deliveries in one entry, and each tally of refusals in
// one of its own.
func (gate *Gate) recordBatch(tx service.Tx, b *deliveryBatch) *recordError {
	now, id := gate.service.Now(), b.id
	e := gate.service.NewEntry(service.Caller{Ledger: b.ledger, Actor: system}, sluice.LinkDelivered, now)
	e.Deliveries = make([]sluice.Delivery, 0, len(b.pending))
	var returned []string
	for i, p := range b.pending {
		if p.refused != nil {
			continue
		}
		e.Deliveries = append(e.Deliveries, p.delivery)
		if g := p.settles; g != nil {
			if err := gate.settle(tx, g, now); err != nil {
				return &recordError{i, err}
			}
			if g.failed && g.counts {
				returned = append(returned, g.Link.ID)
			}
		}
	}
	if len(e.Deliveries) > 0 {
		e.ID, id = id, ""
		if err := tx.Delivered(returned, e); err != nil { // half a batch each time finds out which is to blame
			return &recordError{len(b.pending) / 2, err}
		}
	}
	for i, p := range b.pending {
		if p.refused != nil {
			if err := gate.recordTally(tx, id, *p.refused, now); err != nil {
				return &recordError{i, err}
			}
			id = ""
		}
	}
	return nil
}

// system is the actor of entries that are no one's request.
var system = sluice.Actor{Type: sluice.ActorSystem}

// committed reports whether an earlier Update of the batch was committed.
func (b *deliveryBatch) committed(tx service.Tx) (bool, error) {
	for _, seq := range b.triedSeqs {
		leaves, err := tx.Leaves(b.ledger, seq, 1)
		if err != nil {
			return false, err
		}
		if len(leaves) > 0 && bytes.Contains(leaves[0].Leaf, []byte(`"id":"`+b.id+`"`)) {
			return true, nil
		}
	}
	return false, nil
}
