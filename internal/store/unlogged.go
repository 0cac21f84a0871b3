package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/records"
	"sluice/ledger"
)

// Unlogged writes are those that no entry describes, because nobody decided them: caches, progress, leases, and what is
// derived from the log. This file has all of them but leases.

// unlogged commits such a write, as Update commits one that entries describe. fn reads and changes no other ledger
// than l.
func (s *Store) unlogged(ctx context.Context, l sluice.LedgerID, fn func(*tx) error) error {
	return s.perform(&request{ctx: ctx, ledger: l, unlogged: fn})
}

// KeysUsed implements service.Store.
func (s *Store) KeysUsed(ctx context.Context, used map[string]time.Time) error {
	return s.unlogged(ctx, noLedger, func(t *tx) error { return records.KeysUsed(&t.recordsTx, used) })
}

// SessionsUsed implements service.Store.
func (s *Store) SessionsUsed(ctx context.Context, used map[string]time.Time) error {
	return s.unlogged(ctx, noLedger, func(t *tx) error { return records.SessionsUsed(&t.recordsTx, used) })
}

// ForgetSessions implements service.Store. Rows that were deleted before an error stay deleted, and are counted.
func (s *Store) ForgetSessions(ctx context.Context, before time.Time) (int, error) {
	return s.deleteBefore(ctx, records.DeleteSessions, before)
}

// Reseal implements service.Store.
func (s *Store) Reseal(ctx context.Context, rows service.Sealed) error {
	return s.unlogged(ctx, noLedger, func(t *tx) error { return records.Reseal(&t.recordsTx, rows) })
}

// ForgetGrants implements service.Store. Rows that were deleted before an error stay deleted, and are counted.
func (s *Store) ForgetGrants(ctx context.Context, before time.Time) (int, error) {
	return s.deleteBefore(ctx, records.DeleteGrants, before)
}

// ForgetGuesses implements service.Store. Rows that were deleted before an error stay deleted, and are counted.
func (s *Store) ForgetGuesses(ctx context.Context, before time.Time) (int, error) {
	return s.deleteBefore(ctx, records.DeleteGuesses, before)
}

// ForgetChallenges implements service.Store. Rows that were deleted before an error stay deleted, and are counted.
func (s *Store) ForgetChallenges(ctx context.Context, before time.Time) (int, error) {
	return s.deleteBefore(ctx, records.DeleteChallenges, before)
}

// ForgetResponses implements service.Store. Rows that were deleted before an error stay deleted, and are counted.
func (s *Store) ForgetResponses(ctx context.Context, before time.Time) (int, error) {
	return s.deleteBefore(ctx, records.DeleteResponses, before)
}

// deletedAtOnce is how many rows one commit deletes. Updates that arrive meanwhile wait for it.
const deletedAtOnce = 200

// deleteBefore deletes rows from before a time, a few in each commit.
func (s *Store) deleteBefore(ctx context.Context, deleteRows records.DeleteFunc, before time.Time) (int, error) {
	deleted := 0
	for {
		var n int64
		err := s.unlogged(ctx, noLedger, func(t *tx) (err error) {
			n, err = deleteRows(&t.recordsTx, before, deletedAtOnce)
			return err
		})
		if err == nil {
			deleted += int(n)
		}
		if err != nil || n < deletedAtOnce {
			return deleted, err
		}
	}
}

// Scrubbed implements service.Store.
func (s *Store) Scrubbed(ctx context.Context, p service.ScrubProgress, whole []service.WholeFile) error {
	return s.unlogged(ctx, noLedger, func(t *tx) error { return records.Scrubbed(&t.recordsTx, p, whole) })
}

// SetMail implements service.Store.
func (s *Store) SetMail(ctx context.Context, m service.Mail, next *service.Mail) error {
	return s.unlogged(ctx, m.Ledger, func(t *tx) error { return records.SetMail(&t.recordsTx, m, next) })
}

// EndLinks implements service.Store. While the reserve of a full disk is released it marks none: marking needs
// space for new rows of an index, and readers derive what the links are.
func (s *Store) EndLinks(ctx context.Context) (marked int, more bool, err error) {
	if s.reserve != nil && !s.reserve.ensure() {
		return 0, false, nil
	}
	var ledgers []sluice.LedgerID
	err = s.View(ctx, func(given service.Reader) (err error) {
		ledgers, err = given.(*reader).LedgersWithEndings()
		return err
	})
	for _, l := range ledgers {
		n, left, failed := s.endSome(ctx, l)
		marked, more = marked+n, more || left
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("end links of %s: %w", l, failed))
		}
	}
	return marked, more, err
}

// endSome marks some links of a ledger, in one commit.
func (s *Store) endSome(ctx context.Context, l sluice.LedgerID) (marked int, more bool, err error) {
	err = s.unlogged(ctx, l, func(t *tx) (err error) {
		marked, more, err = records.EndSome(&t.recordsTx, l)
		return err
	})
	if err != nil { // nothing was committed
		return 0, false, err
	}
	return marked, more, nil
}

// RestartIndex begins the rebuilding of a ledger's index: see auditlog.Tx.RestartIndex.
func (s *Store) RestartIndex(ctx context.Context, l sluice.LedgerID) (done bool, err error) {
	err = s.unlogged(ctx, l, func(t *tx) (err error) {
		done, err = t.RestartIndex(l)
		return err
	})
	return done, err
}

// ContinueIndex removes what lies beyond the end of a ledger's index, and then indexes the log to its end, in short
// commits. After an error or a crash it may be called again.
func (s *Store) ContinueIndex(ctx context.Context, l sluice.LedgerID) error {
	var last IndexRow
	for more := true; more; {
		err := s.unlogged(ctx, l, func(t *tx) (err error) {
			last, more, err = t.DropIndexRows(l, last)
			return err
		})
		if err != nil {
			return err
		}
	}
	for more := true; more; {
		err := s.unlogged(ctx, l, func(t *tx) (err error) {
			more, err = t.IndexStretch(l)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tilesAtOnce is how many tiles one commit stores: half a megabyte. Updates that arrive meanwhile wait for it.
const tilesAtOnce = 64

// Extend implements service.Store. Full tiles of a long stretch are committed before the rest. They never change, and
// nothing reads beyond the newest checkpoint, so a crash in between leaves nothing to undo.
func (s *Store) Extend(
	ctx context.Context, l sluice.LedgerID, from int64, tiles []ledger.TileData, c service.Checkpoint,
) error {
	for len(tiles) > tilesAtOnce && tiles[tilesAtOnce-1].Width == ledger.TileWidth {
		err := s.unlogged(ctx, l, func(t *tx) error { return t.StoreTiles(l, from, tiles[:tilesAtOnce], c.Verifier) })
		if err != nil {
			return err
		}
		tiles = tiles[tilesAtOnce:]
	}
	return s.unlogged(ctx, l, func(t *tx) error { return t.Extend(l, from, tiles, c) })
}

// StoreTiles implements service.Store. Tiles that were stored before an error stay stored.
func (s *Store) StoreTiles(
	ctx context.Context, l sluice.LedgerID, newest service.Checkpoint, tiles []ledger.TileData,
) error {
	for some := range slices.Chunk(tiles, tilesAtOnce) {
		err := s.unlogged(ctx, l, func(t *tx) error { return t.StoreTiles(l, newest.Size, some, newest.Verifier) })
		if err != nil {
			return err
		}
	}
	return nil
}

// HandOver implements service.Store.
func (s *Store) HandOver(ctx context.Context, l sluice.LedgerID, r service.Rotation) error {
	proof, err := ledger.ParseProof(r.Proof)
	if err != nil {
		return fmt.Errorf("rotation of %s: %w", l, err)
	}
	return s.unlogged(ctx, l, func(t *tx) error { return t.HandOver(l, r, proof.Checkpoint) })
}

// Cosign implements service.Store.
func (s *Store) Cosign(
	ctx context.Context, l sluice.LedgerID, size int64, add func(note []byte) ([]byte, error),
) error {
	return s.unlogged(ctx, l, func(t *tx) error { return t.Cosign(l, size, add) })
}
