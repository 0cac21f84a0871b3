package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/ledger"
)

// Checkpoint is the signed head of a ledger: who has it can prove later that
// the ledger up to then was not rewritten.
type Checkpoint struct {
	Size     int64
	Root     ledger.Hash
	Note     []byte // signed, C2SP tlog-checkpoint
	Verifier string // of the key that signed it
	Created  time.Time
}

// Rotation is the proof that a ledger went on with another key: its last
// checkpoint under the key before holds the entry that names the next.
type Rotation struct {
	Seq      int64  // of that entry
	Verifier string // the next key's, C2SP signed-note form
	Proof    []byte // C2SP tlog-proof with the leaf as its extra; ledger.NewVerifier reads it
	Created  time.Time
}

// signers makes the signer of each ledger from the secrets of the installation.
type signers struct {
	keys   []string
	origin string
}

// originOf is the name of a ledger for as long as it exists: it is in every
// checkpoint and in the name of every key.
func (s signers) originOf(l sluice.LedgerID) string { return s.origin + "/" + l.String() }

// current gives the signer that signs a ledger under an origin.
func (s signers) current(origin string) (*ledger.Signer, error) {
	if len(s.keys) == 0 {
		return nil, sluice.Wrap(sluice.CodeUnavailable, "this server has no key to sign checkpoints with", nil)
	}
	return ledger.NewSigner(s.keys[0], origin)
}

// of gives the signer with a verifier key.
func (s signers) of(verifier, origin string) (*ledger.Signer, error) {
	for _, key := range s.keys {
		signer, err := ledger.NewSigner(key, origin)
		if err != nil {
			return nil, err
		}
		if signer.VerifierKey() == verifier {
			return signer, nil
		}
	}
	return nil, fmt.Errorf("the secrets hold no key that signed %s last (%s): without it the log cannot be handed over", origin, verifier)
}

// ledgerHead is what is known of a ledger's end. Without a checkpoint, last is
// that of a log without entries, not signed.
type ledgerHead struct {
	id     sluice.LedgerID
	size   int64 // entries
	last   Checkpoint
	origin string
	// verifier is of the key that signs next: the one that signed last, or that
	// the log was handed over to since; "" when nothing was signed yet.
	verifier string
}

func (s *Service) ledgerHead(r Reader, l sluice.LedgerID) (h ledgerHead, err error) {
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

// leafBatch is how many leaves are read at a time while a checkpoint is made.
const leafBatch = 1000

// checkpointPatience is how long Checkpoint waits for the slowest ledger, and
// checkpointsAtOnce how many ledgers are signed at the same time.
const (
	checkpointPatience = 10 * time.Second
	checkpointsAtOnce  = 4
)

// Checkpoint makes a checkpoint of every ledger that has entries beyond its
// newest one, and says how many it made. It never holds up an Update. Several
// processes may do so at once: what one has signed, the others build on.
//
// A ledger that fails or hangs stops no other: one that takes longer than
// checkpointPatience goes on until ctx ends, while Checkpoint returns and may be
// called again.
func (s *Service) Checkpoint(ctx context.Context) (int, error) {
	var due []sluice.LedgerID
	err := s.store.View(ctx, func(r Reader) (err error) {
		due, err = r.Unsigned()
		return err
	})
	if err != nil {
		return 0, err
	}
	results := make(chan error, len(due))
	slots := make(chan struct{}, checkpointsAtOnce)
	patience := time.NewTimer(checkpointPatience)
	defer patience.Stop()
	made, begun := 0, 0
	var failed error
	take := func(err error) {
		switch {
		case sluice.CodeOf(err) == sluice.CodeConflict: // another process was faster
		case err != nil:
			failed = errors.Join(failed, err)
		default:
			made++
		}
	}
	for _, l := range due {
		if !s.signing.begin(l) {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-patience.C:
			s.signing.end(l)
			return made, errors.Join(failed, errSlowCheckpoints)
		}
		begun++
		go func() {
			err := s.checkpointLedger(ctx, l)
			if err != nil {
				err = fmt.Errorf("checkpoint of %s: %w", l, err)
			}
			s.signing.end(l)
			<-slots
			results <- err
		}()
	}
	for range begun {
		select {
		case err := <-results:
			take(err)
		case <-patience.C:
			return made, errors.Join(failed, errSlowCheckpoints)
		}
	}
	return made, failed
}

var errSlowCheckpoints = errors.New("some ledgers take long to sign: they go on while the others are signed")

// signing holds the ledgers that a Checkpoint of this process signs now. Its
// zero value is ready.
type signing struct {
	mu      sync.Mutex
	ledgers map[sluice.LedgerID]bool
}

// begin is false when the ledger is being signed already.
func (s *signing) begin(l sluice.LedgerID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ledgers[l] {
		return false
	}
	if s.ledgers == nil {
		s.ledgers = map[sluice.LedgerID]bool{}
	}
	s.ledgers[l] = true
	return true
}

func (s *signing) end(l sluice.LedgerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ledgers, l)
}

// checkpointLedger signs the head of one ledger, with the key that is its own
// by now, and hands it over when the installation signs with a newer one.
func (s *Service) checkpointLedger(ctx context.Context, l sluice.LedgerID) error {
	h, err := s.head(ctx, l)
	if err != nil {
		return err
	}
	current, err := s.signers.current(h.origin)
	if err != nil {
		return err
	}
	if h.verifier == "" || h.verifier == current.VerifierKey() {
		_, err = s.sign(ctx, h, current)
		return err
	}
	old, err := s.signers.of(h.verifier, h.origin)
	if err != nil {
		return err
	}
	return s.handOver(ctx, l, old, current.VerifierKey())
}

// head gives the end of a ledger to sign on from. A log that does not go on
// from the head that is remembered of it is ErrRolledBack.
func (s *Service) head(ctx context.Context, l sluice.LedgerID) (h ledgerHead, err error) {
	known := s.heads.Newest(l) // before the View: what the View sees is no older
	err = s.store.View(ctx, func(r Reader) error {
		if h, err = s.ledgerHead(r, l); err != nil {
			return err
		}
		return s.compare(r, known, h)
	})
	return h, err
}

// sign takes the entries since the newest checkpoint into the tree, signs its
// root, and stores both. Tiles that do not lead to the root that was signed
// last are damaged, and nothing is signed on top of them.
func (s *Service) sign(ctx context.Context, h ledgerHead, by *ledger.Signer) (Checkpoint, error) {
	tree, err := ledger.OpenTree(h.last.Size, s.tiles(ctx, h.id))
	if err != nil {
		return Checkpoint{}, err
	}
	if tree.Root() != h.last.Root {
		return Checkpoint{}, fmt.Errorf("the stored tree of %d entries is not the one that was signed: run sluice audit verify", h.last.Size)
	}
	for tree.Size() < h.size {
		var leaves []ledger.Hash
		err := s.store.View(ctx, func(r Reader) (err error) {
			leaves, err = r.LeafHashes(h.id, tree.Size(), int(min(leafBatch, h.size-tree.Size())))
			return err
		})
		if err == nil && len(leaves) == 0 {
			err = fmt.Errorf("entry %d is missing", tree.Size())
		}
		if err != nil {
			return Checkpoint{}, err
		}
		for _, leaf := range leaves {
			tree.Append(leaf)
		}
	}
	c := Checkpoint{Size: tree.Size(), Root: tree.Root(), Verifier: by.VerifierKey(), Created: s.now()}
	if c.Note, err = by.Sign(c.Size, c.Root); err != nil {
		return Checkpoint{}, err
	}
	if err = s.store.Extend(ctx, h.id, h.last.Size, tree.Changes(), c); err == nil {
		s.heads.Remember(headOf(h.id, c))
	}
	return c, err
}

// tiles reads stored hash tiles, each in a snapshot of its own: a tile that has
// grown meanwhile begins with what was asked for.
func (s *Service) tiles(ctx context.Context, l sluice.LedgerID) ledger.TileReader {
	return func(want []ledger.Tile) (found [][]byte, err error) {
		err = s.store.View(ctx, func(r Reader) error {
			found, err = r.Tiles(l, want)
			return err
		})
		return found, err
	}
}

// handOver records that the log goes on with another key, signs that with the
// key before for the last time, and stores the proof. When it is killed between
// these, the next one records it again and goes on.
func (s *Service) handOver(ctx context.Context, l sluice.LedgerID, old *ledger.Signer, next string) error {
	if err := s.neverSigned(ctx, l, next); err != nil {
		return err
	}
	by := system(l, "ledger")
	e := s.entry(by, sluice.KeyHandedOver, s.now())
	e.Handover = next
	if err := s.changeBySystem(ctx, by, func(tx Tx, _ time.Time) error { return tx.Record(e) }); err != nil {
		return err
	}
	h, err := s.head(ctx, l)
	if err != nil {
		return err
	}
	c, err := s.sign(ctx, h, old)
	if err != nil {
		return err
	}
	seq, sealed, proof, err := s.prove(ctx, l, e.ID, c)
	if err != nil {
		return err
	}
	proof.Extra = sealed.Leaf
	return s.store.HandOver(ctx, l, Rotation{Seq: seq, Verifier: next, Proof: proof.Format(), Created: s.now()})
}

// neverSigned refuses a key that the log was handed over from: whoever follows
// the rotations takes its signatures for forgeries.
func (s *Service) neverSigned(ctx context.Context, l sluice.LedgerID, verifier string) error {
	return s.store.View(ctx, func(r Reader) error {
		first, err := r.Checkpoint(l, 0)
		if err != nil {
			return err
		}
		rotations, err := r.Rotations(l)
		used := first.Verifier == verifier
		for _, rotation := range rotations {
			used = used || rotation.Verifier == verifier
		}
		if err == nil && used {
			err = fmt.Errorf("the log was handed over from %s before; sign on with a key that is new", verifier)
		}
		return err
	})
}

// prove makes the proof that a checkpoint covers an entry. An entry that it
// does not cover yet is CodeNotFound.
func (s *Service) prove(ctx context.Context, l sluice.LedgerID, id string, c Checkpoint) (seq int64, e audit.SealedEntry, p ledger.Proof, err error) {
	err = s.store.View(ctx, func(r Reader) error {
		if seq, e, err = r.Sealed(l, id); err != nil {
			return found(err, "audit entry", id)
		}
		if seq >= c.Size {
			return sluice.Errorf(sluice.CodeNotFound, "no checkpoint covers this entry yet; ask again in a second")
		}
		p = ledger.Proof{Index: seq, Checkpoint: c.Note}
		p.Hashes, err = ledger.ProveInclusion(seq, c.Size, func(want []ledger.Tile) ([][]byte, error) { return r.Tiles(l, want) })
		return err
	})
	return seq, e, p, err
}

// LedgerKey gives the verifier key of the caller's ledger and the rotations
// since it was begun. It needs audit:read.
func (s *Service) LedgerKey(ctx context.Context, c Caller) (verifier string, rotations []Rotation, err error) {
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

// NewestCheckpoint gives the newest checkpoint of the caller's ledger; of one
// without a checkpoint, that of no entries. It needs audit:read.
func (s *Service) NewestCheckpoint(ctx context.Context, c Caller) (Checkpoint, error) {
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

// Tile gives a hash tile, or a bundle of entries, of the caller's ledger, per
// C2SP tlog-tiles. One that the newest checkpoint does not cover is
// CodeNotFound. It needs audit:read.
func (s *Service) Tile(ctx context.Context, c Caller, t ledger.Tile) (data []byte, err error) {
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

// storedTile gives a hash tile, or a bundle of entries, at exactly its width.
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

// ProveEntry proves, to whoever has the ledger's key, that an entry is in the
// ledger: C2SP tlog-proof. It needs audit:read.
func (s *Service) ProveEntry(ctx context.Context, c Caller, id string) (ledger.Proof, error) {
	newest, err := s.NewestCheckpoint(ctx, c)
	if err != nil {
		return ledger.Proof{}, err
	}
	_, _, proof, err := s.prove(ctx, c.Ledger, id, newest)
	return proof, err
}

// ProveConsistency proves that the ledger has only grown since it had from
// entries. With to negative the proof leads to the newest checkpoint, else to
// that of this size, which must be one that was made. It needs audit:read.
func (s *Service) ProveConsistency(ctx context.Context, c Caller, from, to int64) (p ledger.Consistency, err error) {
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
		p.Hashes, err = ledger.ProveConsistency(from, last.Size, func(want []ledger.Tile) ([][]byte, error) { return r.Tiles(c.Ledger, want) })
		return err
	})
	return p, err
}
