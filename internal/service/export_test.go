package service

// BoundDeliveries sets how many delivery entries of one ledger, and of all, may wait.
func (s *Service) BoundDeliveries(most, total int) {
	s.delivered.most, s.delivered.total = most, total
}
