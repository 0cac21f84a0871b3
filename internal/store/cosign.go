package store

import (
	"context"

	"sluice"
)

// Cosign implements service.Store.
func (s *Store) Cosign(ctx context.Context, l sluice.LedgerID, size int64, add func(note []byte) ([]byte, error)) error {
	return s.unlogged(ctx, l, func(t *tx) error {
		id, err := t.ledgerID(l)
		if err != nil {
			return err
		}
		var note []byte
		if err := t.One([]any{&note}, "SELECT note FROM checkpoint WHERE ledger = $1 AND size = $2", id, size); err != nil {
			return err
		}
		if note, err = add(note); err != nil {
			return err
		}
		_, err = t.exec("UPDATE checkpoint SET note = $1 WHERE ledger = $2 AND size = $3", note, id, size)
		return err
	})
}
