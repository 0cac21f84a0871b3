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

// Verify checks a ledger as it is stored. Like ledger.Verify it checks that entries, tiles and disclosures match the
// newest checkpoint, and that they extend every rotation of the key. A mismatch is a *ledger.Fault. A ledger without a
// checkpoint is CodeNotFound. Verify trusts the key of the first stored checkpoint: only a client that has kept a key
// can tell whose ledger this is. Nothing is disclosed, so nothing is recorded.
func (s *Ledgers) Verify(ctx context.Context, l sluice.LedgerID) (ledger.Report, error) {
	return s.VerifyEntries(ctx, l, func(int64, []byte) error { return nil })
}

// VerifyEntries is Verify, and calls visit with each entry as ledger.VerifyEntries does.
func (s *Ledgers) VerifyEntries(
	ctx context.Context, l sluice.LedgerID, visit func(seq int64, leaf []byte) error,
) (ledger.Report, error) {
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
	return ledger.VerifyEntries(ctx, storedLog{s.core, l, newest}, keys, visit)
}

// storedLog is the ledger.Source of a ledger up to a checkpoint.
type storedLog struct {
	*core
	ledger sluice.LedgerID
	newest Checkpoint
}

// Checkpoint implements ledger.Source.
func (g storedLog) Checkpoint(context.Context) ([]byte, error) { return g.newest.Note, nil }

// Tile implements ledger.Source.
func (g storedLog) Tile(ctx context.Context, t ledger.Tile) (data []byte, err error) {
	err = g.store.View(ctx, func(r Reader) error {
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
	return g.disclosures(ctx, g.ledger, g.newest.Size)
}

// RebuildTiles computes the tiles of a ledger from its entries, and stores them if they lead to the root of the newest
// checkpoint. It returns how many it stored. If they do not, the entries are not those that were signed: nothing is
// stored, and the error is CodeConflict. It keeps all tiles in memory: 33 bytes for each entry.
func (s *Ledgers) RebuildTiles(ctx context.Context, l sluice.LedgerID) (stored int, err error) {
	var newest Checkpoint
	err = s.store.View(ctx, func(r Reader) (err error) {
		newest, err = r.Checkpoint(l, -1)
		return err
	})
	if err != nil {
		return 0, err
	}
	tree, err := ledger.OpenTree(0, nil)
	if err != nil {
		return 0, err
	}
	for tree.Size() < newest.Size {
		var leaves []ledger.Hash
		err := s.store.View(ctx, func(r Reader) (err error) {
			leaves, err = r.LeafHashes(l, tree.Size(), int(min(leafPage, newest.Size-tree.Size())))
			return err
		})
		if err == nil && len(leaves) == 0 {
			err = sluice.Errorf(sluice.CodeConflict, "entry %d is missing", tree.Size())
		}
		if err != nil {
			return 0, err
		}
		for _, leaf := range leaves {
			tree.Append(leaf)
		}
	}
	if tree.Root() != newest.Root {
		return 0, sluice.Errorf(sluice.CodeConflict, "its entries are not those that were signed")
	}
	tiles := tree.Changes()
	return len(tiles), s.store.StoreTiles(ctx, l, newest, tiles)
}
