package gate

import "sluice"

// AnswerStep is the shortest time of SendCode.
const AnswerStep = answerStep

// Seq returns the seq of the entry of the decision.
func (g *Grant) Seq() int64 { return g.seq }

// LimitDeliveries sets how many deliveries of one ledger, and of all, may wait.
func (gate *Gate) LimitDeliveries(perLedger, total int) {
	gate.delivered.maxPerLedger, gate.delivered.maxTotal = perLedger, total
}

// AnswerAtOnce has SendCode return as soon as it can.
func (gate *Gate) AnswerAtOnce(is bool) { gate.answersAtOnce = is }

// UncertainCommits returns the number of seqs at which the batch of a ledger may have been committed.
func (gate *Gate) UncertainCommits(l sluice.LedgerID) int {
	gate.delivered.mu.Lock()
	defer gate.delivered.mu.Unlock()
	return len(gate.delivered.queues[l].batch.triedSeqs)
}
