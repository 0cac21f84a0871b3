package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sluice"
	"sluice/ledger"
)

// signers makes the signers of the ledgers from the secrets of the installation.
type signers struct {
	keys   []string
	origin string
}

// originOf is the name of a new ledger. It never changes: it is in every checkpoint and in the name of every key of the
// ledger.
func (s signers) originOf(l sluice.LedgerID) string { return s.origin + "/" + l.String() }

// current returns the signer for a ledger with an origin.
func (s signers) current(origin string) (*ledger.Signer, error) {
	if len(s.keys) == 0 {
		return nil, sluice.Wrap(sluice.CodeUnavailable, "this server has no key to sign checkpoints with", nil)
	}
	return ledger.NewSigner(s.keys[0], origin)
}

// withVerifier returns the signer that has a verifier key.
func (s signers) withVerifier(verifier, origin string) (*ledger.Signer, error) {
	for _, key := range s.keys {
		signer, err := ledger.NewSigner(key, origin)
		if err != nil {
			return nil, err
		}
		if signer.VerifierKey() == verifier {
			return signer, nil
		}
	}
	return nil, fmt.Errorf("the secrets hold no key that signed %s last (%s): without it the log cannot be handed over",
		origin, verifier)
}

// leafPage is the number of leaves that are read at a time.
const leafPage = 1000

// checkpointPatience limits how long Checkpoint waits for slow ledgers. checkpointsAtOnce limits how many ledgers are
// signed concurrently.
const (
	checkpointPatience = 10 * time.Second
	checkpointsAtOnce  = 4
)

// Checkpoint makes a checkpoint of every ledger that has entries beyond its newest checkpoint, and returns how many it
// made. It does not delay Updates. Several processes may call it at the same time.
//
// A ledger that fails or hangs does not stop the others. After checkpointPatience Checkpoint returns, while slow
// ledgers go on until ctx ends, and may be called again.
func (s *Ledgers) Checkpoint(ctx context.Context) (int, error) {
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

// signing is the set of ledgers that this process is signing. Its zero value is ready to use.
type signing struct {
	mu      sync.Mutex
	ledgers map[sluice.LedgerID]bool
}

// begin adds a ledger. It reports false if the ledger is being signed already.
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

// checkpointLedger signs the head of a ledger with the current key of the ledger. If the installation signs with a
// newer key, it hands the ledger over to that key instead.
func (s *Ledgers) checkpointLedger(ctx context.Context, l sluice.LedgerID) error {
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
	old, err := s.signers.withVerifier(h.verifier, h.origin)
	if err != nil {
		return err
	}
	return s.handOver(ctx, l, old, current.VerifierKey())
}

// head returns the end of a ledger that is to be signed. A ledger that does not extend its remembered head is
// ErrRolledBack.
func (s *Ledgers) head(ctx context.Context, l sluice.LedgerID) (h ledgerHead, err error) {
	known := s.heads.Newest(l) // before the View, so that the View sees at least this head
	err = s.store.View(ctx, func(r Reader) error {
		if h, err = s.ledgerHead(r, l); err != nil {
			return err
		}
		return s.compare(r, known, h)
	})
	return h, err
}

// sign adds the entries since the newest checkpoint to the tree, signs its root, and stores tiles and checkpoint. It
// fails if the stored tiles do not lead to the root that was signed last.
func (s *Ledgers) sign(ctx context.Context, h ledgerHead, by *ledger.Signer) (Checkpoint, error) {
	tree, err := ledger.OpenTree(h.last.Size, s.tiles(ctx, h.id))
	if err != nil {
		return Checkpoint{}, err
	}
	if tree.Root() != h.last.Root {
		return Checkpoint{}, fmt.Errorf("the stored tree of %d entries is not the one that was signed: "+
			"run sluice audit verify", h.last.Size)
	}
	for tree.Size() < h.size {
		var leaves []ledger.Hash
		err := s.store.View(ctx, func(r Reader) (err error) {
			leaves, err = r.LeafHashes(h.id, tree.Size(), int(min(leafPage, h.size-tree.Size())))
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

// tiles reads hash tiles, in a snapshot for each call. A tile may have grown since: then it begins with the same
// hashes.
func (s *Ledgers) tiles(ctx context.Context, l sluice.LedgerID) ledger.TileReader {
	return func(want []ledger.Tile) (found [][]byte, err error) {
		err = s.store.View(ctx, func(r Reader) error {
			found, err = r.Tiles(l, want)
			return err
		})
		return found, err
	}
}

// handOver records that a ledger is handed over to another key, signs that entry with the old key, and stores the
// proof. If the process is killed in between, the next call records the entry again and goes on from there.
func (s *Ledgers) handOver(ctx context.Context, l sluice.LedgerID, old *ledger.Signer, next string) error {
	err := s.store.View(ctx, func(r Reader) error {
		used, err := signedBefore(r, l, next)
		if err == nil && used {
			err = errSignedBefore(next)
		}
		return err
	})
	if err != nil {
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

// signedBefore reports whether a ledger was signed with a key before. Clients that follow the rotations take new
// signatures by an old key for forgeries.
func signedBefore(r Reader, l sluice.LedgerID, verifier string) (bool, error) {
	first, err := r.Checkpoint(l, 0)
	if err != nil {
		return false, err
	}
	rotations, err := r.Rotations(l)
	used := first.Verifier == verifier
	for _, rotation := range rotations {
		used = used || rotation.Verifier == verifier
	}
	return used, err
}

func errSignedBefore(verifier string) error {
	return fmt.Errorf("the log was handed over from %s before; sign on with a key that is new", verifier)
}
