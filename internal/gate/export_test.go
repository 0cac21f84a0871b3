package gate

import (
	"time"

	"sluice"
	"sluice/internal/service"
)

// Enqueue queues an entry like that of a delivery.
func (gate *Gate) Enqueue(l sluice.LedgerID, id string, record func(tx service.Tx, id string, now time.Time) error) {
	gate.enqueue(l, pendingEntry{id: id, record: record}, false)
}

// LimitDeliveries sets how many delivery entries of one ledger, and of all, may wait.
func (gate *Gate) LimitDeliveries(perLedger, total int) {
	gate.delivered.maxPerLedger, gate.delivered.maxTotal = perLedger, total
}

// UncertainCommits returns the number of seqs at which the batch of a ledger may have been committed.
func (gate *Gate) UncertainCommits(l sluice.LedgerID) int {
	gate.delivered.mu.Lock()
	defer gate.delivered.mu.Unlock()
	return len(gate.delivered.queues[l].batch.triedSeqs)
}
