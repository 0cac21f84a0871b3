package fsck

import (
	"context"

	"sluice"
	"sluice/internal/seal"
	"sluice/internal/service"
	"sluice/internal/store"
)

const sealedAtOnce = 200 // rows that are sealed in one commit: requests that arrive meanwhile wait for it

// SealRows gives each key and link that is not revoked, and each session that has not ended, the seal of the first
// signing key, where it has another one or none, and returns how many. Where seals are required, it leaves out the rows
// whose seal does not fit. Where they are not, it believes keys and links: compare them with the logs before. Of
// sessions it always leaves them out. A row that changes meanwhile is left to the server that changes it.
func SealRows(ctx context.Context, s *store.Store, seals *seal.Seals) (sealed int, err error) {
	return eachUnsealed(ctx, s, seals, func(rows service.Sealed) error { return s.Reseal(ctx, rows) })
}

// CountUnsealed returns how many rows SealRows would seal. It reads all keys, links and sessions.
func CountUnsealed(ctx context.Context, s *store.Store, seals *seal.Seals) (int, error) {
	return eachUnsealed(ctx, s, seals, func(service.Sealed) error { return nil })
}

// eachUnsealed calls write with the rows that need another seal, which they have then, some at once.
func eachUnsealed(
	ctx context.Context, s *store.Store, seals *seal.Seals, write func(service.Sealed) error,
) (n int, err error) {
	ledgers := map[int64]sluice.LedgerID{}
	err = s.ViewRows(ctx, func(r store.RowReader) error {
		rows, err := r.LedgerRows()
		for _, l := range rows {
			ledgers[l.Ledger] = l.Value.Ledger
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	sealKey := func(row store.Row[sluice.Key]) (sluice.Key, string, bool) {
		k := row.Value
		k.Ledger = ledgers[row.Ledger]
		old, trusted := k.Seal, seals.TrustsKey(k)
		k.Seal = seals.Key(k)
		return k, k.ID, row.Err == nil && trusted && k.Revoked.IsZero() && k.Seal != old
	}
	keys, err := sealTable(ctx, s, store.RowReader.KeyRows, sealKey, func(list []sluice.Key) error {
		return write(service.Sealed{Keys: list})
	})
	if err != nil {
		return keys, err
	}
	sealLink := func(row store.Row[sluice.Link]) (sluice.Link, string, bool) {
		l := row.Value
		l.Ledger = ledgers[row.Ledger]
		old, trusted := l.Seal, seals.TrustsLink(l)
		l.Seal = seals.Link(l)
		return l, l.ID, row.Err == nil && trusted && l.Revoked.IsZero() && l.Seal != old
	}
	links, err := sealTable(ctx, s, store.RowReader.LinkRows, sealLink, func(list []sluice.Link) error {
		return write(service.Sealed{Links: list})
	})
	if err != nil {
		return keys + links, err
	}
	sealSession := func(row store.Row[sluice.Session]) (sluice.Session, string, bool) {
		session := row.Value
		session.Ledger = ledgers[row.Ledger]
		old, trusted := session.Seal, seals.TrustsSession(session)
		session.Seal = seals.Session(session)
		return session, session.ID, row.Err == nil && trusted && session.Ended.IsZero() && session.Seal != old
	}
	sessions, err := sealTable(ctx, s, store.RowReader.SessionRows, sealSession, func(list []sluice.Session) error {
		return write(service.Sealed{Sessions: list})
	})
	return keys + links + sessions, err
}

// sealTable seals the rows of a table. sealed returns a row with its seal, its id, and whether the seal is to be
// stored.
func sealTable[T any](
	ctx context.Context, s *store.Store,
	read func(r store.RowReader, after string, limit int) ([]store.Row[T], error),
	sealed func(store.Row[T]) (T, string, bool), write func([]T) error,
) (n int, err error) {
	for after := ""; ; {
		var page []store.Row[T]
		err := s.ViewRows(ctx, func(r store.RowReader) (err error) {
			page, err = read(r, after, sealedAtOnce)
			return err
		})
		if err != nil {
			return n, err
		}
		var list []T
		for _, row := range page {
			v, id, changed := sealed(row)
			if after = id; changed {
				list = append(list, v)
			}
		}
		if len(list) > 0 {
			if err := write(list); err != nil {
				return n, err
			}
			n += len(list)
		}
		if len(page) < sealedAtOnce {
			return n, nil
		}
	}
}
