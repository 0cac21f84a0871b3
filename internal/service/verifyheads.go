package service

import (
	"context"
	"errors"

	"sluice"
	"sluice/ledger"
)

// HeadFault is a log whose newest checkpoint is not what is remembered of it, or not signed by one of its keys.
type HeadFault struct {
	Ledger sluice.LedgerID
	Err    error
}

// VerifyHeads compares the newest checkpoint of every log with the head that is remembered of it, as a start does,
// and changes nothing. It gives what does not fit; an error says that a log could not be compared.
func (s *Service) VerifyHeads(ctx context.Context) (faults []HeadFault, err error) {
	known := s.heads.All() // before the database is read, which may only be newer
	err = s.store.View(ctx, func(r Reader) error {
		logs, err := r.Logs()
		if err != nil {
			return err
		}
		stored := map[sluice.LedgerID]ledgerHead{}
		for _, l := range logs {
			if stored[l.Ledger], err = s.ledgerHead(r, l.Ledger); err != nil {
				return err
			}
			if err := s.ours(known[l.Ledger], stored[l.Ledger]); err != nil {
				faults = append(faults, HeadFault{l.Ledger, err})
			}
		}
		for id, head := range known {
			h, ok := stored[id]
			if !ok {
				h = ledgerHead{id: id, last: Checkpoint{Root: ledger.EmptyRoot()}}
			}
			switch err := checkExtends(r, head, h); {
			case errors.Is(err, ErrRolledBack):
				faults = append(faults, HeadFault{id, err})
			case err != nil:
				return err
			}
		}
		return nil
	})
	return faults, err
}

// ours checks that the newest checkpoint was signed with a key of the secrets, and that they hold the next one, too.
func (s *Service) ours(known Head, h ledgerHead) error {
	if h.last.Size == 0 {
		return nil
	}
	if _, err := s.signers.of(h.verifier, h.origin); err != nil {
		return err
	}
	return s.authentic(known, h)
}
