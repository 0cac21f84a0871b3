package service

import (
	"context"

	"sluice"
	"sluice/ledger"
)

// Evidence is what convinces someone who has the verifier key of a log that an entry is in it.
type Evidence struct {
	Seq         int64
	Leaf        []byte
	Disclosures []byte // JSON object, see audit.SealedEntry
	// Checkpoint is the newest checkpoint of the log. Hashes prove that it covers the entry; they are nil if it does
	// not yet.
	Checkpoint Checkpoint
	Hashes     []ledger.Hash
	Covered    bool
	Rotations  []Rotation // of the key of the log, oldest first
}

// Proof is the tlog-proof (C2SP) of the entry, with its leaf as the extra, as sluice audit proof writes it.
func (e Evidence) Proof() ledger.Proof {
	return ledger.Proof{Index: e.Seq, Hashes: e.Hashes, Extra: e.Leaf, Checkpoint: e.Checkpoint.Note}
}

// Evidence reads the evidence of an entry from one snapshot. It needs audit:read.
func (s *Ledgers) Evidence(ctx context.Context, c Caller, id string) (e Evidence, err error) {
	err = s.read(ctx, c, sluice.AuditRead, func(r Reader) error {
		e = Evidence{}
		seq, sealed, err := r.Sealed(c.Ledger, id)
		if err != nil {
			return found(err, "audit entry", id)
		}
		e.Seq, e.Leaf, e.Disclosures = seq, sealed.Leaf, sealed.Disclosures
		if e.Rotations, err = r.Rotations(c.Ledger); err != nil {
			return err
		}
		e.Checkpoint, err = r.Checkpoint(c.Ledger, -1)
		if sluice.CodeOf(err) == sluice.CodeNotFound || err == nil && seq >= e.Checkpoint.Size {
			return nil
		}
		if err != nil {
			return err
		}
		e.Covered = true
		e.Hashes, err = ledger.ProveInclusion(seq, e.Checkpoint.Size, tilesOf(r, c.Ledger))
		return err
	})
	return e, err
}
