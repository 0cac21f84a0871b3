package gate

import (
	"time"

	"sluice"
	"sluice/internal/service"
)

// RecordLate has an entry recorded as that of a delivery is.
func (gate *Gate) RecordLate(l sluice.LedgerID, id string, record func(tx service.Tx, id string, now time.Time) error) {
	gate.recordLate(l, lateEntry{id: id, record: record}, false)
}

// BoundDeliveries sets how many delivery entries of one ledger, and of all, may wait.
func (gate *Gate) BoundDeliveries(most, total int) {
	gate.delivered.most, gate.delivered.total = most, total
}

// UncertainTries is how many places are looked at for the batch of a ledger.
func (gate *Gate) UncertainTries(l sluice.LedgerID) int {
	gate.delivered.mu.Lock()
	defer gate.delivered.mu.Unlock()
	return len(gate.delivered.queues[l].batch.tried)
}
