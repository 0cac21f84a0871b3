package gate

import (
	"cmp"
	"errors"
	"time"

	"sluice"
	"sluice/internal/refusals"
	"sluice/internal/service"
)

// WriteRefusals queues entries for the refusals that were counted since the last
// entry, if that is at least a minute old. The entries are committed soon, like
// those of Delivered.
func (gate *Gate) WriteRefusals() { gate.writeRefusals(false) }

func (gate *Gate) writeRefusals(all bool) {
	writable := func(l sluice.LedgerID) bool { return gate.delivered.full(l) == nil }
	for _, t := range gate.refusals.Take(gate.service.Now(), all, writable) {
		gate.enqueue(t.Ledger, pending{refused: &t}, all)
	}
}

// recordTally records counted refusals as one entry: the newest of them, and the
// number of the others. With an id, it is that of the entry.
func (gate *Gate) recordTally(tx service.Tx, id string, t refusals.Tally, now time.Time) error {
	c := service.Caller{Ledger: t.Ledger, Actor: t.Caller.Actor, Request: t.Caller.Request}
	e := gate.service.NewEntry(c, sluice.AccessDenied, now)
	var g Grant
	if c.Actor.Type == sluice.ActorBearer {
		if _, err := g.load(tx, t.Ledger, c.Actor.ID); err != nil {
			return err
		}
		e = gate.service.NewLinkEntry(c, sluice.LinkRefused, now, g.File, g.Link)
		e.Key = g.key
	}
	e.ID, e.Outcome, e.Refusal, e.Repeats = cmp.Or(id, e.ID), sluice.Refused, t.Reason, t.Refused-1
	return errors.Join(tx.Record(e), gate.tellRefused(tx, g.Link, e, now))
}
