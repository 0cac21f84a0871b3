package gate

import (
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
)

// Delivered records what became of a grant: how many bytes of the file were
// handed to the connection. It does not wait: the entry is committed soon, and
// Flush waits for it. What was granted and not sent may be asked for again.
func (gate *Gate) Delivered(g *Grant, sent int64) { gate.conclude(g, sent, false) }

// Failed records, in place of Delivered, that a grant could not be fulfilled
// because of Sluice itself: its bytes could not be read, or no address could be
// made for them. The download is given back: it does not count any more.
func (gate *Gate) Failed(g *Grant, sent int64) { gate.conclude(g, sent, true) }

func (gate *Gate) conclude(g *Grant, sent int64, failed bool) {
	if !g.Plan.spends() {
		return
	}
	if g.Location != "" { // what comes of it is not observed
		gate.delivered.underway.Add(-1)
		return
	}
	now := gate.service.Now()
	took := max(0, now.Sub(g.began)) // clocks are set back
	g.sent = sluice.Sent{Bytes: sent, Complete: sent == g.Plan.Bytes, Duration: took}
	g.failed = failed
	e := lateEntry{id: gate.service.NewEntryID(now), record: func(tx service.Tx, id string, now time.Time) error {
		g.entry = id
		return gate.settle(tx, g, now)
	}}
	gate.recordLate(g.bearer.Ledger, e, failed || !g.sent.Complete && g.taken.LinkID != "")
	gate.delivered.underway.Add(-1)
}

// settle records one delivery, and gives back what was not sent: to the grant it
// was taken from, or the whole download when Sluice failed. All of it is one
// Update, so what is given back is given back once.
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
