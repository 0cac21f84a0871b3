package sluice

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// deliveries are the downloads that have ended and whose entry is not
// committed yet. They are written together, a moment later: the entry that let
// the bytes leave is in the log already.
type deliveries struct {
	underway atomic.Int64  // granted, and not told of yet
	hurry    chan struct{} // somebody waits for what is written

	mu      sync.Mutex
	room    sync.Cond
	waiting []*Grant
	writing bool
}

const (
	// deliverAfter is how long a delivery waits for others.
	deliverAfter = 100 * time.Millisecond
	// maxDelivered is how many wait at most. Whoever comes then waits too.
	maxDelivered = 8192
	// deliveredAtOnce is how many share an Update.
	deliveredAtOnce = 256
	// deliverAgain is how long to wait when the store fails.
	deliverAgain = time.Second
)

// Delivered records what became of a grant: how many bytes of the file were
// handed to the connection. It is committed soon, and Flush waits for it. What
// was granted and not sent may be asked for again.
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
	g.sent = Sent{Bytes: sent, Complete: sent == g.Plan.Bytes, Duration: max(0, now.Sub(g.began))} // clocks are set back
	g.failed = failed
	g.entry = s.ids.make(PrefixEntry, now)
	d := &s.delivered
	defer d.underway.Add(-1)
	if !g.sent.Complete && g.taken.LinkID != "" {
		defer d.rush()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.waiting) >= maxDelivered {
		d.room.Wait()
	}
	d.waiting = append(d.waiting, g)
	if !d.writing {
		d.writing = true
		go s.writeDelivered()
	}
}

// rush has what waits written at once.
func (d *deliveries) rush() {
	select {
	case d.hurry <- struct{}{}:
	default:
	}
}

// Flush waits until Delivered was told of every Grant and all of that is
// committed, or ctx ends. It is for an orderly stop, when no more is to come.
func (s *Service) Flush(ctx context.Context) error {
	d := &s.delivered
	for {
		underway := d.underway.Load() > 0 // before writing, which follows it
		d.mu.Lock()
		writing := d.writing
		d.mu.Unlock()
		if !underway && !writing {
			return nil
		}
		d.rush()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// writeDelivered writes what waits until nothing does.
func (s *Service) writeDelivered() {
	d := &s.delivered
	for {
		d.mu.Lock()
		if len(d.waiting) == 0 {
			d.writing = false
			d.mu.Unlock()
			return
		}
		d.mu.Unlock()
		select {
		case <-d.hurry:
		case <-time.After(deliverAfter):
		}
		d.mu.Lock()
		batch := d.waiting
		d.waiting = nil
		d.room.Broadcast()
		d.mu.Unlock()
		for ledger, grants := range byLedger(batch) {
			for len(grants) > 0 {
				n := min(len(grants), deliveredAtOnce)
				s.recordDelivered(ledger, grants[:n])
				grants = grants[n:]
			}
		}
	}
}

func byLedger(grants []*Grant) map[LedgerID][]*Grant {
	of := map[LedgerID][]*Grant{}
	for _, g := range grants {
		of[g.bearer.Ledger] = append(of[g.bearer.Ledger], g)
	}
	return of
}

// recordDelivered commits deliveries, however long it takes: they are lost
// only with the process. An Update that failed may have been committed all the
// same, which the first entry shows.
func (s *Service) recordDelivered(ledger LedgerID, grants []*Grant) {
	for failed := false; ; failed = true {
		err := s.store.Update(context.Background(), ledger, func(tx Tx) error {
			if failed {
				if _, err := tx.Entry(ledger, grants[0].entry); CodeOf(err) != CodeNotFound {
					return err
				}
			}
			now := s.Now()
			for _, g := range grants {
				if err := s.settle(tx, g, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			return
		}
		s.log.Error("what was delivered cannot be recorded now", "downloads", len(grants), "error", err)
		time.Sleep(deliverAgain)
	}
}

// settle records one delivery, and gives back what was not sent: to the grant it
// was taken from, or the whole download when Sluice failed. All of it is one
// Update, so what is given back is given back once.
func (s *Service) settle(tx Tx, g *Grant, now time.Time) error {
	e := s.entry(g.bearer, LinkDelivered, now)
	e.ID = g.entry
	e.Request = &Request{ID: g.bearer.Request.ID}
	e.Key, e.File, e.Link = g.key, filePart(g.File), &LinkPart{ID: g.Link.ID, Expires: g.Link.Expires}
	e.File.Metadata = nil
	e.Delivery = &DeliveryPart{Mode: g.Plan.mode(), Status: g.Plan.Status, Returned: g.failed, Sent: &g.sent}
	record := tx.Record
	if g.failed && g.counts {
		record = func(e Entry) error { return tx.Returned(g.Link.ID, e) }
	}
	if err := record(e); err != nil || g.taken.LinkID == "" || g.sent.Complete && !g.failed {
		return err
	}
	open, err := tx.OpenGrant(g.bearer.Ledger, g.Link.ID, g.taken.Bearer)
	if CodeOf(err) == CodeNotFound || err == nil && !open.Expires.Equal(g.taken.Expires) {
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
