package store

import (
	"context"
	"sluice/internal/service"

	"sluice"
)

// SignedLedger names a ledger and the size of its newest checkpoint.
type SignedLedger struct {
	Ledger sluice.LedgerID
	Size   int64
}

func (s *SignedLedger) fields() []any {
	return append(ledgerFields(&s.Ledger), (*integer)(&s.Size))
}

// Signed gives the ledgers that have a checkpoint, for those who take them out.
func (s *Store) Signed(ctx context.Context) (all []SignedLedger, err error) {
	err = s.View(ctx, func(r service.Reader) error {
		all, err = many(r.(*reader), (*SignedLedger).fields, "SELECT account, mode, signed FROM ledger WHERE signed > 0 ORDER BY id")
		return err
	})
	return all, err
}

// Cosign replaces the note of the checkpoint of a size by what add makes of it:
// the same note, with the signature of a witness. When several add to one note,
// each sees what the others have added.
func (s *Store) Cosign(ctx context.Context, l sluice.LedgerID, size int64, add func(note []byte) ([]byte, error)) error {
	return s.chore(ctx, l, func(t *tx) error {
		id, err := t.ledgerID(l)
		if err != nil {
			return err
		}
		var note []byte
		if err := t.one([]any{&note}, "SELECT note FROM checkpoint WHERE ledger = $1 AND size = $2", id, size); err != nil {
			return err
		}
		if note, err = add(note); err != nil {
			return err
		}
		_, err = t.exec("UPDATE checkpoint SET note = $1 WHERE ledger = $2 AND size = $3", note, id, size)
		return err
	})
}
