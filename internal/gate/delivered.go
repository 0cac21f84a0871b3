package gate

import (
	"time"

	"sluice"
	"sluice/internal/service"
)

// Delivered records the end of a download: sent bytes of the file were handed to
// the connection. It returns before that is committed; Flush waits for it.
// Bytes that were granted but not sent may be downloaded again.
func (gate *Gate) Delivered(g *Grant, sent int64) { gate.conclude(g, sent, false) }

// Failed records, instead of Delivered, that a download failed because of Sluice:
// the bytes could not be read, or no URL could be presigned. The download is no
// longer counted.
func (gate *Gate) Failed(g *Grant, sent int64) { gate.conclude(g, sent, true) }

func (gate *Gate) conclude(g *Grant, sent int64, failed bool) {
	if !g.Plan.consumes() {
		return
	}
	if g.Location != "" { // Sluice does not see what the blob store sends
		gate.delivered.underway.Add(-1)
		return
	}
	took := max(0, gate.service.Now().Sub(g.began)) // the clock may have been set back
	g.sent = sluice.Sent{Bytes: sent, Complete: sent == g.Plan.Bytes, Duration: took}
	g.failed = failed
	p := pending{delivery: g.delivery()}
	if g.settles() {
		p.settles = g
	}
	gate.enqueue(g.ledger, p, failed || !g.sent.Complete && g.openGrant.LinkID != "")
	gate.delivered.underway.Add(-1)
}

// delivery returns the record of a download that has ended.
func (g *Grant) delivery() sluice.Delivery {
	return sluice.Delivery{Seq: g.seq, FileID: g.File.ID, LinkID: g.Link.ID, Returned: g.failed, Sent: g.sent}
}

// settles reports whether a download that has ended gives something back: unsent bytes, or its count.
func (g *Grant) settles() bool {
	return g.failed || g.openGrant.LinkID != "" && !g.sent.Complete
}

// settle returns the unsent bytes of a download to the open grant they were taken
// from. It closes the open grant of a download that no longer counts. It is part of
// the Update that records the delivery, so nothing is returned twice.
func (gate *Gate) settle(tx service.Tx, g *Grant, now time.Time) error {
	if g.openGrant.LinkID == "" {
		return nil
	}
	open, err := tx.OpenGrant(g.ledger, g.Link.ID, g.openGrant.Bearer)
	if sluice.CodeOf(err) == sluice.CodeNotFound || err == nil && open.Seq != g.openGrant.Seq {
		return nil // the open grant was deleted, replaced or closed
	}
	if err != nil {
		return err
	}
	switch {
	case g.failed && g.counts: // the next download is counted again
		open.Expires, open.Left, open.Seq = now, 0, 0
	case g.failed:
		open.Left += g.Plan.cost()
	default:
		open.Left += g.Plan.Bytes - g.sent.Bytes
	}
	return tx.SetGrant(open)
}
