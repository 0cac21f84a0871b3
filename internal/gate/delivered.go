package gate

import (
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
)

// Delivered records the end of a download: sent bytes of the file were handed to
// the connection. It returns before the entry is committed; Flush waits for it.
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
	now := gate.service.Now()
	took := max(0, now.Sub(g.began)) // the clock may have been set back
	g.sent = sluice.Sent{Bytes: sent, Complete: sent == g.Plan.Bytes, Duration: took}
	g.failed = failed
	e := pendingEntry{id: gate.service.NewEntryID(now), record: func(tx service.Tx, id string, now time.Time) error {
		g.entry = id
		return gate.settle(tx, g, now)
	}}
	gate.enqueue(g.bearer.Ledger, e, failed || !g.sent.Complete && g.openGrant.LinkID != "")
	gate.delivered.underway.Add(-1)
}

// settle records one delivery. It returns unsent bytes to the open grant they were
// taken from, and the whole download if Sluice failed. All of this is one Update,
// so nothing is returned twice.
func (gate *Gate) settle(tx service.Tx, g *Grant, now time.Time) error {
	e := gate.service.NewEntry(g.bearer, sluice.LinkDelivered, now)
	e.ID = g.entry
	e.Request = &sluice.Request{ID: g.bearer.Request.ID}
	e.Key, e.File, e.Link = g.key, audit.FilePart(g.File), &sluice.LinkPart{ID: g.Link.ID, Expires: g.Link.Expires}
	e.File.Metadata = nil
	e.Delivery = &sluice.DeliveryPart{Mode: g.Plan.mode(), Status: g.Plan.Status, Returned: g.failed, Sent: &g.sent}
	record := tx.Record
	if g.failed && g.counts {
		record = func(e sluice.Entry) error { return tx.Returned(g.Link.ID, e) }
	}
	if err := record(e); err != nil || g.openGrant.LinkID == "" || g.sent.Complete && !g.failed {
		return err
	}
	open, err := tx.OpenGrant(g.bearer.Ledger, g.Link.ID, g.openGrant.Bearer)
	if sluice.CodeOf(err) == sluice.CodeNotFound || err == nil && !open.Expires.Equal(g.openGrant.Expires) {
		return nil // the open grant has ended or was replaced
	}
	if err != nil {
		return err
	}
	switch {
	case g.failed && g.counts: // the next download is counted again
		open.Expires, open.Left = now, 0
	case g.failed:
		open.Left += g.Plan.cost()
	default:
		open.Left += g.Plan.Bytes - g.sent.Bytes
	}
	return tx.SetGrant(open)
}
