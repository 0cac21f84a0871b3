package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
	"sluice/ledger"
)

// ledgerFields reads the name of a ledger.
func ledgerFields(l *sluice.LedgerID) []any { return []any{&l.Account, (*string)(&l.Mode)} }

func (r *reader) Unsigned() ([]sluice.LedgerID, error) {
	return sqldb.Many(r.Session, ledgerFields, "SELECT account, mode FROM ledger WHERE next > signed")
}

func logFields(l *service.LogSize) []any {
	return append(ledgerFields(&l.Ledger), (*sqldb.Integer)(&l.Size), (*sqldb.Integer)(&l.Signed))
}

func (r *reader) Logs() ([]service.LogSize, error) {
	return sqldb.Many(r.Session, logFields, "SELECT account, mode, next, signed FROM ledger ORDER BY id")
}

func (r *reader) Size(l sluice.LedgerID) (size int64, err error) {
	if r.group != nil {
		h, err := r.headOf(l)
		if err != nil {
			return 0, err
		}
		return h.next, nil
	}
	err = r.One([]any{&size}, "SELECT next FROM ledger WHERE account = $1 AND mode = $2", l.Account, string(l.Mode))
	if err == sqldb.ErrNotFound {
		return 0, nil
	}
	return size, err
}

// Leaves ends before a seq that is missing: what follows is not told as if it
// stood in its place.
func (r *reader) Leaves(l sluice.LedgerID, from int64, limit int) ([]audit.SealedEntry, error) {
	id, err := r.ledgerID(l)
	if err != nil {
		return nil, err
	}
	leaves := make([]audit.SealedEntry, 0, limit)
	err = r.scan(id, interval{from, from + int64(limit)}, true, func(s sealed) bool {
		whole := s.seq == from+int64(len(leaves))
		if whole {
			leaves = append(leaves, s.kept().SealedEntry)
		}
		return whole
	})
	return leaves, err
}

// LeafHashes ends where Leaves does.
func (r *reader) LeafHashes(l sluice.LedgerID, from int64, limit int) (hashes []ledger.Hash, err error) {
	id, err := r.ledgerID(l)
	if err == nil {
		err = r.Flush()
	}
	if err != nil {
		return nil, err
	}
	rows, err := r.Conn.Query(r.Ctx, batchesQuery("first, leaves", true), id, from, from+int64(limit), limit)
	if err != nil {
		return nil, r.Fail(err)
	}
	defer rows.Close()
	var packed sql.RawBytes // which is not kept, as nothing of plain is
	var plain []byte
	for next := from; rows.Next() && len(hashes) < limit; {
		var first int64
		if err := rows.Scan(&first, &packed); err != nil {
			return nil, r.Fail(err)
		}
		plain = unpack(plain, packed)
		leaves := plain
		for seq := first; len(hashes) < limit; seq++ {
			leaf, rest, ok := ledger.CutEntry(leaves)
			if !ok || seq > next {
				break
			}
			if leaves = rest; seq == next {
				hashes, next = append(hashes, ledger.LeafHash(leaf)), next+1
			}
		}
	}
	return hashes, r.Fail(rows.Err())
}

func (r *reader) Tiles(l sluice.LedgerID, tiles []ledger.Tile) ([][]byte, error) {
	id, err := r.ledgerID(l)
	if err != nil {
		return nil, err
	}
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		err := r.One([]any{&data[i]}, "SELECT hashes FROM tile WHERE ledger = $1 AND level = $2 AND idx = $3", id, t.Level, t.Index)
		if err == nil && len(data[i]) < t.Width*ledger.HashSize {
			err = sqldb.ErrNotFound
		}
		if err == sqldb.ErrNotFound {
			err = sluice.Errorf(sluice.CodeNotFound, "%s is not stored", t.Path())
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

const checkpointColumns = "size, root, note, verifier, created"

func checkpointFields(c *service.Checkpoint) []any {
	return []any{(*sqldb.Integer)(&c.Size), (*sqldb.Digest)(&c.Root), &c.Note, &c.Verifier, (*sqldb.Time)(&c.Created)}
}

func (r *reader) Checkpoint(l sluice.LedgerID, size int64) (c service.Checkpoint, err error) {
	id, err := r.ledgerID(l)
	switch {
	case err != nil:
	case size < 0:
		err = r.One(checkpointFields(&c), "SELECT "+checkpointColumns+" FROM checkpoint WHERE ledger = $1 ORDER BY size DESC LIMIT 1", id)
	default:
		err = r.One(checkpointFields(&c), "SELECT "+checkpointColumns+" FROM checkpoint WHERE ledger = $1 AND size >= $2 ORDER BY size LIMIT 1", id, size)
	}
	return c, err
}

func rotationFields(r *service.Rotation) []any {
	return []any{(*sqldb.Integer)(&r.Seq), &r.Verifier, &r.Proof, (*sqldb.Time)(&r.Created)}
}

func (r *reader) Rotations(l sluice.LedgerID) ([]service.Rotation, error) {
	id, err := r.ledgerID(l)
	if err != nil {
		return nil, err
	}
	return sqldb.Many(r.Session, rotationFields, "SELECT seq, verifier, proof, created FROM rotation WHERE ledger = $1 ORDER BY seq", id)
}

// tileGroup is how many tiles are stored in one go: Updates that arrive
// meanwhile wait for no more than that, half a megabyte.
const tileGroup = 64

// Extend implements service.Store. Full tiles of a long stretch are stored
// before the rest: they are what they will ever be, and nothing reads beyond
// the newest checkpoint, so that a crash between leaves nothing to undo.
func (s *Store) Extend(ctx context.Context, l sluice.LedgerID, from int64, tiles []ledger.TileData, c service.Checkpoint) error {
	for len(tiles) > tileGroup && tiles[tileGroup-1].Width == ledger.TileWidth {
		err := s.unlogged(ctx, l, func(t *tx) error {
			id, err := t.signs(l, from, c.Verifier)
			if err != nil {
				return err
			}
			return t.storeTiles(id, tiles[:tileGroup])
		})
		if err != nil {
			return err
		}
		tiles = tiles[tileGroup:]
	}
	return s.unlogged(ctx, l, func(t *tx) error {
		id, err := t.signs(l, from, c.Verifier)
		if err != nil {
			return err
		}
		if err := t.storeTiles(id, tiles); err != nil {
			return err
		}
		_, err = t.exec("INSERT INTO checkpoint (ledger, "+checkpointColumns+") VALUES ($1, $2, $3, $4, $5, $6)",
			id, c.Size, c.Root[:], c.Note, c.Verifier, sqldb.Micros(c.Created))
		if err == nil {
			_, err = t.exec("UPDATE ledger SET signed = $1 WHERE id = $2", c.Size, id)
		}
		return err
	})
}

var errOvertaken = sluice.Errorf(sluice.CodeConflict, "the ledger has a newer checkpoint by now")

// signs gives the number of a ledger whose newest checkpoint is still of a
// size, and which has not been handed over to another key than that of verifier.
func (t *tx) signs(l sluice.LedgerID, from int64, verifier string) (int64, error) {
	id, err := t.ledgerID(l)
	if err != nil {
		return 0, err
	}
	var signed int64
	if err := t.One([]any{&signed}, "SELECT signed FROM ledger WHERE id = $1", id); err != nil {
		return 0, err
	}
	var heir string
	err = t.One([]any{&heir}, "SELECT verifier FROM rotation WHERE ledger = $1 ORDER BY seq DESC LIMIT 1", id)
	switch {
	case err != nil && err != sqldb.ErrNotFound:
		return 0, err
	case signed != from, err == nil && heir != verifier:
		return 0, errOvertaken
	}
	return id, nil
}

func (t *tx) storeTiles(id int64, tiles []ledger.TileData) error {
	for _, tile := range tiles {
		_, err := t.exec("INSERT INTO tile (ledger, level, idx, hashes) VALUES ($1, $2, $3, $4)"+
			" ON CONFLICT (ledger, level, idx) DO UPDATE SET hashes = excluded.hashes", id, tile.Level, tile.Index, tile.Data)
		if err != nil {
			return err
		}
	}
	return nil
}

// HandOver implements service.Store. A rotation whose checkpoint is not the
// newest any more is CodeConflict: the key before has signed since, and whoever
// believed the rotation would not believe that.
func (s *Store) HandOver(ctx context.Context, l sluice.LedgerID, r service.Rotation) error {
	proof, err := ledger.ParseProof(r.Proof)
	if err != nil {
		return fmt.Errorf("rotation of %s: %w", l, err)
	}
	return s.unlogged(ctx, l, func(t *tx) error {
		id, err := t.ledgerID(l)
		if err != nil {
			return err
		}
		rotations, err := t.Rotations(l)
		if err != nil {
			return err
		}
		if n := len(rotations); n > 0 && rotations[n-1].Verifier == r.Verifier {
			return nil
		}
		newest, err := t.Checkpoint(l, -1)
		if err != nil {
			return err
		}
		if !bytes.Equal(newest.Note, proof.Checkpoint) {
			return errOvertaken
		}
		_, err = t.exec("INSERT INTO rotation (ledger, seq, verifier, proof, created) VALUES ($1, $2, $3, $4, $5)",
			id, r.Seq, r.Verifier, r.Proof, sqldb.Micros(r.Created))
		return err
	})
}

func (t *tx) Redact(id string, fields []string, e sluice.Entry) error {
	s, err := t.find(t.ledger, id)
	if err != nil {
		return err
	}
	disclosed := map[string]json.RawMessage{}
	if err := json.Unmarshal(s.Disclosures, &disclosed); err != nil {
		return t.Fail(fmt.Errorf("disclosures of entry %s: %w", id, err))
	}
	for _, field := range fields {
		delete(disclosed, field)
	}
	left, err := json.Marshal(disclosed)
	if err != nil {
		return t.Fail(err)
	}
	var first int64
	var disclosures []byte
	err = t.holding(t.head.id, []int64{s.seq}, func(b *opened, _ []sealed) bool {
		lines := bytes.Split(b.disclosures, []byte("\n"))
		lines[s.seq-b.first] = left
		first, disclosures = b.first, pack(bytes.Join(lines, []byte("\n")))
		return false
	})
	if err != nil {
		return err
	}
	t.erased = true
	return t.change(e, "UPDATE batch SET disclosures = $1 WHERE ledger = $2 AND first = $3", disclosures, t.head.id, first)
}
