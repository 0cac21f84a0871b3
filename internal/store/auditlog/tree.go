package auditlog

import (
	"bytes"
	"database/sql"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
	"sluice/ledger"
)

// Unsigned implements service.Reader.
func (r *Reader) Unsigned() ([]sluice.LedgerID, error) {
	return sqldb.Many(r.Session, LedgerFields, "SELECT account, mode FROM ledger WHERE next > signed")
}

func logFields(l *service.LogSize) []any {
	return append(LedgerFields(&l.Ledger), (*sqldb.Integer)(&l.Size), (*sqldb.Integer)(&l.Signed))
}

// Logs implements service.Reader.
func (r *Reader) Logs() ([]service.LogSize, error) {
	return sqldb.Many(r.Session, logFields, "SELECT account, mode, next, signed FROM ledger ORDER BY id")
}

// Size implements service.Reader.
func (r *Reader) Size(l sluice.LedgerID) (size int64, err error) {
	h, err := r.Head(l)
	if err != nil {
		return 0, err
	}
	return h.Next, nil
}

// Leaves implements service.Reader. It ends before a missing seq: the entry after it must not appear in its place.
func (r *Reader) Leaves(l sluice.LedgerID, from int64, limit int) ([]audit.SealedEntry, error) {
	id, err := r.LedgerNumber(l)
	if err != nil {
		return nil, err
	}
	leaves := make([]audit.SealedEntry, 0, limit)
	err = r.scan(id, sqldb.Interval{From: from, To: from + int64(limit)}, true, func(s stored) bool {
		follows := s.seq == from+int64(len(leaves))
		if follows {
			leaves = append(leaves, s.clone().SealedEntry)
		}
		return follows
	})
	return leaves, err
}

// LeafHashes implements service.Reader. It ends where Leaves does.
func (r *Reader) LeafHashes(l sluice.LedgerID, from int64, limit int) (hashes []ledger.Hash, err error) {
	id, err := r.LedgerNumber(l)
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
	var packed sql.RawBytes // valid until the next row, as unpacked is
	var unpacked []byte
	for next := from; rows.Next() && len(hashes) < limit; {
		var first int64
		if err := rows.Scan(&first, &packed); err != nil {
			return nil, r.Fail(err)
		}
		unpacked = unpack(unpacked, packed)
		leaves := unpacked
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

// Tiles implements service.Reader.
func (r *Reader) Tiles(l sluice.LedgerID, tiles []ledger.Tile) ([][]byte, error) {
	id, err := r.LedgerNumber(l)
	if err != nil {
		return nil, err
	}
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		err := r.One([]any{&data[i]}, "SELECT hashes FROM tile WHERE ledger = $1 AND level = $2 AND idx = $3",
			id, t.Level, t.Index)
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
	return []any{
		(*sqldb.Integer)(&c.Size), (*sqldb.Digest)(&c.Root), &c.Note, &c.Verifier, (*sqldb.Time)(&c.Created),
	}
}

// Checkpoint implements service.Reader.
func (r *Reader) Checkpoint(l sluice.LedgerID, size int64) (c service.Checkpoint, err error) {
	id, err := r.LedgerNumber(l)
	switch {
	case err != nil:
	case size < 0:
		err = r.One(checkpointFields(&c), "SELECT "+checkpointColumns+" FROM checkpoint WHERE ledger = $1"+
			" ORDER BY size DESC LIMIT 1", id)
	default:
		err = r.One(checkpointFields(&c), "SELECT "+checkpointColumns+" FROM checkpoint"+
			" WHERE ledger = $1 AND size >= $2 ORDER BY size LIMIT 1", id, size)
	}
	return c, err
}

func rotationFields(r *service.Rotation) []any {
	return []any{(*sqldb.Integer)(&r.Seq), &r.Verifier, &r.Proof, (*sqldb.Time)(&r.Created)}
}

// Rotations implements service.Reader.
func (r *Reader) Rotations(l sluice.LedgerID) ([]service.Rotation, error) {
	id, err := r.LedgerNumber(l)
	if err != nil {
		return nil, err
	}
	return sqldb.Many(r.Session, rotationFields, "SELECT seq, verifier, proof, created FROM rotation WHERE ledger = $1"+
		" ORDER BY seq", id)
}

// Extend stores tiles and the checkpoint over them, while the newest checkpoint is still that of size from.
func (t *Tx) Extend(l sluice.LedgerID, from int64, tiles []ledger.TileData, c service.Checkpoint) error {
	id, err := t.signs(l, from, c.Verifier)
	if err != nil {
		return err
	}
	if err := t.storeTiles(id, tiles); err != nil {
		return err
	}
	_, err = t.Exec("INSERT INTO checkpoint (ledger, "+checkpointColumns+") VALUES ($1, $2, $3, $4, $5, $6)",
		id, c.Size, c.Root[:], c.Note, c.Verifier, sqldb.Micros(c.Created))
	if err == nil {
		_, err = t.Exec("UPDATE ledger SET signed = $1 WHERE id = $2", c.Size, id)
	}
	return err
}

// StoreTiles stores full tiles before Extend stores the rest, under the same condition.
func (t *Tx) StoreTiles(l sluice.LedgerID, from int64, tiles []ledger.TileData, verifier string) error {
	id, err := t.signs(l, from, verifier)
	if err != nil {
		return err
	}
	return t.storeTiles(id, tiles)
}

var errOvertaken = sluice.Errorf(sluice.CodeConflict, "the ledger has a newer checkpoint by now")

// signs gives the number of a ledger, whose newest checkpoint must still be that of a size, and which must not have
// been handed over to another key than that of verifier.
func (t *Tx) signs(l sluice.LedgerID, from int64, verifier string) (int64, error) {
	id, err := t.LedgerNumber(l)
	if err != nil {
		return 0, err
	}
	var signed int64
	if err := t.One([]any{&signed}, "SELECT signed FROM ledger WHERE id = $1", id); err != nil {
		return 0, err
	}
	var current string
	err = t.One([]any{&current}, "SELECT verifier FROM rotation WHERE ledger = $1 ORDER BY seq DESC LIMIT 1", id)
	switch {
	case err != nil && err != sqldb.ErrNotFound:
		return 0, err
	case signed != from, err == nil && current != verifier:
		return 0, errOvertaken
	}
	return id, nil
}

func (t *Tx) storeTiles(id int64, tiles []ledger.TileData) error {
	for _, tile := range tiles {
		_, err := t.Exec("INSERT INTO tile (ledger, level, idx, hashes) VALUES ($1, $2, $3, $4)"+
			" ON CONFLICT (ledger, level, idx) DO UPDATE SET hashes = excluded.hashes",
			id, tile.Level, tile.Index, tile.Data)
		if err != nil {
			return err
		}
	}
	return nil
}

// HandOver stores a rotation over the checkpoint of a note. When that is no longer the newest checkpoint it is
// CodeConflict: the old key has signed since, and a verifier that accepts the rotation would refuse that signature. A
// rotation that is stored already changes nothing.
func (t *Tx) HandOver(l sluice.LedgerID, r service.Rotation, note []byte) error {
	id, err := t.LedgerNumber(l)
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
	if !bytes.Equal(newest.Note, note) {
		return errOvertaken
	}
	_, err = t.Exec("INSERT INTO rotation (ledger, seq, verifier, proof, created) VALUES ($1, $2, $3, $4, $5)",
		id, r.Seq, r.Verifier, r.Proof, sqldb.Micros(r.Created))
	return err
}

// Cosign replaces the note of the checkpoint of a size by what add makes of it.
func (t *Tx) Cosign(l sluice.LedgerID, size int64, add func(note []byte) ([]byte, error)) error {
	id, err := t.LedgerNumber(l)
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
	_, err = t.Exec("UPDATE checkpoint SET note = $1 WHERE ledger = $2 AND size = $3", note, id, size)
	return err
}
