package gate

import (
	"bytes"
	"context"
	"slices"
	"time"

	"sluice"
	"sluice/internal/service"
)

// writeQueue commits the entries of a queue until it is empty or ctx ends.
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
		if failed, ok := err.(*recordError); ok {
			gate.delivered.setAside(q, failed.at)
		}
		gate.backOff(ctx, delay)
		delay = min(2*delay, retryMax)
	}
}

// deliveryBatch holds the entries of one Update. If the Update fails, the same
// batch is retried.
type deliveryBatch struct {
	ledger    sluice.LedgerID
	entries   []pendingEntry
	triedSeqs []int64 // seqs of the first entry in failed Updates that may have been committed
}

// gather fills the next batch after waiting a moment for more entries, unless
// there is a batch to retry. It returns false, and the writing goroutine must
// end, if the queue is empty or ctx has ended.
func (gate *Gate) gather(ctx context.Context, q *deliveryQueue) bool {
	d, b := &gate.delivered, &q.batch
	if len(b.entries) == 0 && d.waitingIn(q) < maxBatch {
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
	if len(b.entries) == 0 {
		b.ledger, b.entries = q.ledger, slices.Clone(q.waiting[:min(len(q.waiting), maxBatch)])
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

// batchDone records the result of a batch. If it was committed, its entries leave
// the queue.
func (d *deliveries) batchDone(q *deliveryQueue, err error) {
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
	close(q.committed)
	q.committed = make(chan struct{})
}

func (d *deliveries) waitingIn(q *deliveryQueue) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(q.waiting)
}

// recordError says that an entry of a batch cannot be recorded. No entry of the
// batch was committed.
type recordError struct {
	at  int // index of the entry in the batch
	err error
}

func (e *recordError) Error() string { return e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

// setAside shortens a batch to the entries before one that cannot be recorded. If
// there are none, it moves that entry to the end of the queue, so that it does not
// block the others.
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
		now := gate.service.Now()
		for i, e := range b.entries {
			if err := e.record(tx, e.id, now); err != nil {
				failed = &recordError{i, err}
				return failed
			}
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

// committed reports whether an earlier Update of the batch was committed.
func (b *deliveryBatch) committed(tx service.Tx) (bool, error) {
	for _, seq := range b.triedSeqs {
		leaves, err := tx.Leaves(b.ledger, seq, 1)
		if err != nil {
			return false, err
		}
		if len(leaves) > 0 && bytes.Contains(leaves[0].Leaf, []byte(`"id":"`+b.entries[0].id+`"`)) {
			return true, nil
		}
	}
	return false, nil
}
