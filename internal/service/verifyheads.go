package service

import (
	"context"
	"errors"

	"sluice"
	"sluice/ledger"
)

// HeadFault is a log that does not extend its remembered head, whose newest checkpoint is not authentic, or that the
// secrets cannot continue.
type HeadFault struct {
	Ledger sluice.LedgerID
	Err    error
}

// VerifyHeads compares the newest checkpoint of every log with its remembered head, as Start does, and changes nothing.
// It returns the logs that do not match. An error means that a log could not be compared.
func (s *Ledgers) VerifyHeads(ctx context.Context) (faults []HeadFault, err error) {
	known := s.heads.All() // before the View, so that the View sees at least these heads
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

// VerifySigner checks that the ledger key that signs now may go on with every log: it signed the log last, or never.
// VerifyHeads does not check that: while servers are restarted one by one to use a new key, those that still have the
// old order are not at fault. It returns the logs that the key would not continue.
func (s *Ledgers) VerifySigner(ctx context.Context) (faults []HeadFault, err error) {
	err = s.store.View(ctx, func(r Reader) error {
		logs, err := r.Logs()
		if err != nil {
			return err
		}
		for _, l := range logs {
			h, err := s.ledgerHead(r, l.Ledger)
			if err != nil {
				return err
			}
			current, err := s.signers.current(h.origin)
			if err != nil {
				return err
			}
			if h.verifier == "" || h.verifier == current.VerifierKey() {
				continue
			}
			used, err := signedBefore(r, l.Ledger, current.VerifierKey())
			if err != nil {
				return err
			}
			if used {
				faults = append(faults, HeadFault{l.Ledger, errSignedBefore(current.VerifierKey())})
			}
		}
		return nil
	})
	return faults, err
}

// ours checks that the newest checkpoint is authentic, and that the secrets have the key for the next signature.
func (s *Ledgers) ours(known Head, h ledgerHead) error {
	if h.last.Size == 0 {
		return nil
	}
	if _, err := s.signers.withVerifier(h.verifier, h.origin); err != nil {
		return err
	}
	return s.authentic(known, h)
}
