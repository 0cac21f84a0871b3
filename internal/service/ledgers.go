package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/ledger"
)

// Ledgers signs the logs with checkpoints, proves what is in them, and watches that none is cut short or rewritten.
type Ledgers struct {
	*core
	accounts *Accounts
	signers  signers
	signing  signing
	heads    Heads
	watch    logWatch

	// For checkLogs, see Config.
	anchored       []Head
	acceptRollback bool
}

// Checkpoint is the signed head of a ledger. Anyone who has it can check later that the ledger up to there was not
// rewritten.
type Checkpoint struct {
	Size     int64
	Root     ledger.Hash
	Note     []byte // signed, C2SP tlog-checkpoint
	Verifier string // verifier key of the signer
	Created  time.Time
}

// Rotation is the proof that a ledger was handed over to another key: the last checkpoint under the old key covers the
// entry that names the new key.
type Rotation struct {
	Seq      int64  // of that entry
	Verifier string // the new verifier key, C2SP signed-note form
	Proof    []byte // C2SP tlog-proof with the leaf as its extra; ledger.NewVerifier reads it
	Created  time.Time
}

// ledgerHead is the end of a ledger. Without a checkpoint, last is the unsigned checkpoint of an empty ledger.
type ledgerHead struct {
	id     sluice.LedgerID
	size   int64 // entries
	last   Checkpoint
	origin string
	// verifier is the verifier key of the next signature: of the key that signed last, or that the ledger was handed
	// over to since. It is "" if nothing is signed yet.
	verifier string
}

func (s *Ledgers) ledgerHead(r Reader, l sluice.LedgerID) (h ledgerHead, err error) {
	h = ledgerHead{id: l, origin: s.signers.originOf(l), last: Checkpoint{Root: ledger.EmptyRoot()}}
	if h.size, err = r.Size(l); err != nil {
		return h, err
	}
	rotations, err := r.Rotations(l)
	if err != nil {
		return h, err
	}
	last, err := r.Checkpoint(l, -1)
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	h.last, h.verifier = last, last.Verifier
	if n := len(rotations); n > 0 {
		h.verifier = rotations[n-1].Verifier
	}
	h.origin, _, _ = strings.Cut(string(last.Note), "\n")
	return h, nil
}

// Key returns the verifier key of the caller's ledger, and all rotations of the ledger. It needs audit:read.
func (s *Ledgers) Key(ctx context.Context, c Caller) (verifier string, rotations []Rotation, err error) {
	var h ledgerHead
	err = s.read(ctx, c, sluice.AuditRead, func(r Reader) error {
		if h, err = s.ledgerHead(r, c.Ledger); err != nil {
			return err
		}
		rotations, err = r.Rotations(c.Ledger)
		return err
	})
	if err != nil || h.verifier != "" {
		return h.verifier, rotations, err
	}
	signer, err := s.signers.current(h.origin)
	if err != nil {
		return "", nil, err
	}
	return signer.VerifierKey(), nil, nil
}

// NewestCheckpoint returns the newest checkpoint of the caller's ledger. For a ledger without a checkpoint it signs one
// of no entries. It needs audit:read.
func (s *Ledgers) NewestCheckpoint(ctx context.Context, c Caller) (Checkpoint, error) {
	var h ledgerHead
	err := s.read(ctx, c, sluice.AuditRead, func(r Reader) (err error) {
		h, err = s.ledgerHead(r, c.Ledger)
		return err
	})
	if err != nil || h.last.Note != nil {
		return h.last, err
	}
	signer, err := s.signers.current(h.origin)
	if err != nil {
		return Checkpoint{}, err
	}
	h.last.Verifier = signer.VerifierKey()
	h.last.Note, err = signer.Sign(0, h.last.Root)
	return h.last, err
}

// Tile returns a hash tile or an entry bundle of the caller's ledger, as C2SP tlog-tiles defines them. A tile that the
// newest checkpoint does not cover is CodeNotFound. It needs audit:read.
func (s *Ledgers) Tile(ctx context.Context, c Caller, t ledger.Tile) (data []byte, err error) {
	err = s.read(ctx, c, sluice.AuditRead, func(r Reader) error {
		last, err := r.Checkpoint(c.Ledger, -1)
		if sluice.CodeOf(err) == sluice.CodeNotFound || err == nil && !t.In(last.Size) {
			return NoSuch("tile", t.Path())
		}
		if err != nil {
			return err
		}
		data, err = storedTile(r, c.Ledger, t)
		return err
	})
	return data, err
}

// storedTile returns a hash tile or an entry bundle at exactly its width.
func storedTile(r Reader, l sluice.LedgerID, t ledger.Tile) ([]byte, error) {
	if t.Level == ledger.EntriesLevel {
		return bundle(r, l, t)
	}
	tiles, err := r.Tiles(l, []ledger.Tile{t})
	if err != nil {
		return nil, err
	}
	return tiles[0][:t.Width*ledger.HashSize], nil
}

// tilesOf reads the hash tiles of a ledger from a snapshot.
func tilesOf(r Reader, l sluice.LedgerID) ledger.TileReader {
	return func(want []ledger.Tile) ([][]byte, error) { return r.Tiles(l, want) }
}

var errMissingEntry = errors.New("an entry is missing")

func bundle(r Reader, l sluice.LedgerID, t ledger.Tile) (data []byte, err error) {
	from, to := t.Entries()
	leaves, err := r.Leaves(l, from, int(to-from))
	if err == nil && int64(len(leaves)) < to-from {
		err = fmt.Errorf("%w: %d", errMissingEntry, from+int64(len(leaves)))
	}
	for _, e := range leaves {
		if err == nil {
			data, err = ledger.AppendEntry(data, e.Leaf)
		}
	}
	return data, err
}

// ProveEntry returns a C2SP tlog-proof that an entry is in the caller's ledger. It needs audit:read.
func (s *Ledgers) ProveEntry(ctx context.Context, c Caller, id string) (ledger.Proof, error) {
	newest, err := s.NewestCheckpoint(ctx, c)
	if err != nil {
		return ledger.Proof{}, err
	}
	_, _, proof, err := s.prove(ctx, c.Ledger, id, newest)
	return proof, err
}

// ProveConsistency returns a proof that the caller's ledger has only grown since it had from entries. The proof leads
// to the checkpoint of size to, which must exist, or to the newest one if to is negative. It needs audit:read.
func (s *Ledgers) ProveConsistency(ctx context.Context, c Caller, from, to int64) (p ledger.Consistency, err error) {
	err = s.read(ctx, c, sluice.AuditRead, func(r Reader) error {
		last, err := r.Checkpoint(c.Ledger, to)
		if sluice.CodeOf(err) == sluice.CodeNotFound || err == nil && to >= 0 && last.Size != to {
			return sluice.Errorf(sluice.CodeNotFound, "there is no checkpoint of this size")
		}
		if err != nil {
			return err
		}
		if from < 0 || from > last.Size {
			var v sluice.Invalid
			v.Add("from", "out_of_range", "from is 0 to %d, the size of the checkpoint", last.Size)
			return v.Err()
		}
		p = ledger.Consistency{From: from, Checkpoint: last.Note}
		p.Hashes, err = ledger.ProveConsistency(from, last.Size, tilesOf(r, c.Ledger))
		return err
	})
	return p, err
}

// prove makes the proof that a checkpoint covers an entry. An entry that the checkpoint does not cover is CodeNotFound.
func (s *Ledgers) prove(
	ctx context.Context, l sluice.LedgerID, id string, c Checkpoint,
) (seq int64, e audit.SealedEntry, p ledger.Proof, err error) {
	err = s.store.View(ctx, func(r Reader) error {
		if seq, e, err = r.Sealed(l, id); err != nil {
			return found(err, "audit entry", id)
		}
		if seq >= c.Size {
			return sluice.Errorf(sluice.CodeNotFound, "no checkpoint covers this entry yet; ask again in a second")
		}
		p = ledger.Proof{Index: seq, Checkpoint: c.Note}
		p.Hashes, err = ledger.ProveInclusion(seq, c.Size, tilesOf(r, l))
		return err
	})
	return seq, e, p, err
}
