package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"sluice"
	"sluice/ledger"
)

// VerifyLedger reads a ledger as it is stored and checks, as ledger.Verify does,
// that entries, tiles and disclosures are those that its newest checkpoint
// signs, and that they go on from every change of its key. What is wrong with it
// is a *ledger.Fault. A ledger without a checkpoint is CodeNotFound. It trusts
// the key of the first checkpoint that is stored: whose log this is, only those
// can tell who have kept a key. Nobody is told what the entries hold, so no entry
// tells of it.
func (s *Service) VerifyLedger(ctx context.Context, l sluice.LedgerID) (ledger.Report, error) {
	var first, newest Checkpoint
	var rotations []Rotation
	err := s.store.View(ctx, func(r Reader) (err error) {
		if newest, err = r.Checkpoint(l, -1); err != nil {
			return err
		}
		if first, err = r.Checkpoint(l, 0); err != nil {
			return err
		}
		rotations, err = r.Rotations(l)
		return err
	})
	if err != nil {
		return ledger.Report{}, err
	}
	proofs := make([][]byte, len(rotations))
	for i, rotation := range rotations {
		proofs[i] = rotation.Proof
	}
	keys, err := ledger.NewVerifier(first.Verifier, proofs...)
	if err != nil {
		return ledger.Report{}, fmt.Errorf("the keys of %s: %w", l, err)
	}
	return ledger.Verify(ctx, storedLog{s, l, newest}, keys)
}

// storedLog is a ledger up to a checkpoint, as ledger.Verify reads it.
type storedLog struct {
	s      *Service
	ledger sluice.LedgerID
	newest Checkpoint
}

// Checkpoint implements ledger.Source.
func (g storedLog) Checkpoint(context.Context) ([]byte, error) { return g.newest.Note, nil }

// Tile implements ledger.Source.
func (g storedLog) Tile(ctx context.Context, t ledger.Tile) (data []byte, err error) {
	err = g.s.store.View(ctx, func(r Reader) error {
		data, err = storedTile(r, g.ledger, t)
		return err
	})
	if errors.Is(err, errMissingEntry) || sluice.CodeOf(err) == sluice.CodeNotFound {
		err = fmt.Errorf("%w: %v", fs.ErrNotExist, err)
	}
	return data, err
}

// Disclosures implements ledger.Source.
func (g storedLog) Disclosures(ctx context.Context) iter.Seq2[ledger.Disclosure, error] {
	return g.s.disclosures(ctx, g.ledger, g.newest.Size)
}
