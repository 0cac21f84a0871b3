package gate

// BoundDeliveries sets how many delivery entries of one ledger, and of all, may wait.
func (gate *Gate) BoundDeliveries(most, total int) {
	gate.delivered.most, gate.delivered.total = most, total
}
