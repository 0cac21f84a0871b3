package gate

import (
	"bytes"
	"context"
	"slices"
	"time"

	"sluice"
	"sluice/internal/service"
)

// writeQueue commits what waits in a queue until nothing does, or ctx ends.
func (gate *Gate) writeQueue(ctx context.Context, q *deliveryQueue) {
	again := deliverAgain
	for gate.gather(ctx, q) {
		err := gate.commit(ctx, &q.batch)
		gate.delivered.wrote(q, err)
		if err == nil {
			again = deliverAgain
			continue
		}
		gate.log.Error("delivery entries not committed; retrying",
			"ledger", q.ledger.String(), "count", gate.delivered.waitingIn(q), "error", err)
		if failed, ok := err.(*recordError); ok {
			gate.delivered.setAside(q, failed.at)
		}
		gate.backOff(ctx, q, again)
		again = min(2*again, deliverAgainMost)
	}
}

// deliveryBatch is what one Update commits. A batch whose Update failed is
// tried again as it is.
type deliveryBatch struct {
	ledger  sluice.LedgerID
	entries []lateEntry
	tried   []int64 // where in the ledger tries that may have been committed put the first entry
}

// gather waits a moment for company and takes the next batch, unless there is
// one to try again. It is false, and the queue is not written any more, when
// nothing waits or ctx has ended.
func (gate *Gate) gather(ctx context.Context, q *deliveryQueue) bool {
	d, b := &gate.delivered, &q.batch
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
func (gate *Gate) backOff(ctx context.Context, q *deliveryQueue, long time.Duration) {
	for until := time.Now().Add(long); ctx.Err() == nil; {
		left := time.Until(until)
		if gate.delivered.flushing.Load() > 0 {
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

// recordError says that an entry of a batch cannot be recorded. Nothing of the
// batch was committed.
type recordError struct {
	at  int // place of the entry in the batch
	err error
}

func (e *recordError) Error() string { return e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

// setAside has the entries of a batch before one that cannot be recorded committed
// without it. When there are none, that entry goes to the end of its queue, so that
// it holds up no other.
func (d *deliveries) setAside(q *deliveryQueue, at int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at > 0 {
		q.batch.entries = q.batch.entries[:at]
		return
	}
	q.waiting = append(slices.Delete(q.waiting, 0, 1), q.batch.entries[0])
	q.batch = deliveryBatch{}
}

// commit commits a batch. An Update that failed may have been committed all the
// same: then the first entry stands where that Update put it. It is looked for
// there, and not by its id, so that a damaged index is not in the way.
func (gate *Gate) commit(ctx context.Context, b *deliveryBatch) error {
	ctx, cancel := context.WithTimeout(ctx, deliverTime)
	defer cancel()
	var place int64
	var failed *recordError
	ran := false
	err := gate.update(ctx, b.ledger, func(tx service.Tx) (err error) {
		ran, failed = false, nil
		committed, err := b.committed(tx)
		if err != nil || committed {
			return err
		}
		if place, err = tx.Size(b.ledger); err != nil {
			return err
		}
		now := gate.service.Now()
		for i, e := range b.entries {
			if err := e.record(tx, e.id, now); err != nil {
				failed = &recordError{i, err}
				return failed
			}
		}
		ran = true
		return nil
	})
	switch {
	case err != nil && failed != nil:
		return failed
	case err != nil && ran && !slices.Contains(b.tried, place): // it may have been committed
		b.tried = append(b.tried, place)
	}
	return err
}

// committed reports whether an earlier try was committed.
func (b *deliveryBatch) committed(tx service.Tx) (bool, error) {
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
