package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"sluice"
	"sluice/ledger"
)

// Head is the signed end of a log, remembered outside of the database.
type Head struct {
	Ledger   sluice.LedgerID
	Size     int64
	Root     ledger.Hash
	Verifier string // verifier key of the signer; "" if it is not remembered
	Source   string // where it is remembered, for messages
}

// Heads remembers the newest head of each log in a place that a writer of the database cannot change. It is safe for
// concurrent use.
//
// A head is remembered after its checkpoint is durable in the database. If the newest head is lost in a crash, the log
// is compared with the head before it.
type Heads interface {
	// Newest returns the newest head of a log. Its size is 0 if there is none.
	Newest(sluice.LedgerID) Head
	// All returns the newest head of each log.
	All() map[sluice.LedgerID]Head
	// Remember replaces the head of a log. A head of size 0 stands for a log without a checkpoint.
	Remember(Head)
}

// noHeads remembers nothing.
type noHeads struct{}

func (noHeads) Newest(sluice.LedgerID) Head { return Head{} }

func (noHeads) All() map[sluice.LedgerID]Head { return nil }

func (noHeads) Remember(Head) {}

// LogSize is the size of a log.
type LogSize struct {
	Ledger sluice.LedgerID
	Size   int64 // entries
	Signed int64 // entries that the newest checkpoint covers; 0 without one
}

// ErrRolledBack means that the database lacks entries that a remembered head covers. The log was cut short or
// rewritten, or this is an older database or another one.
var ErrRolledBack = errors.New("the log does not extend its last signed checkpoint")

// checkExtends checks that a log extends a head that was remembered before r was opened.
func checkExtends(r Reader, known Head, h ledgerHead) error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("log %s: %s remembers %d signed entries, and this database %s: %w",
			h.id, known.Source, known.Size, fmt.Sprintf(format, args...), ErrRolledBack)
	}
	switch {
	case known.Size == 0:
		return nil
	case h.last.Size < known.Size:
		return fault("has %d", h.last.Size)
	case h.last.Size == known.Size && h.last.Root != known.Root:
		return fault("has another log")
	case h.last.Size == known.Size:
		return nil
	}
	proof, err := ledger.ProveConsistency(known.Size, h.last.Size, tilesOf(r, h.id))
	switch {
	case sluice.CodeOf(err) == sluice.CodeNotFound:
		return fault("lacks a part of their tree (%v)", err)
	case err != nil:
		return err
	case ledger.CheckConsistency(proof, known.Size, h.last.Size, known.Root, h.last.Root) != nil:
		return fault("has another log")
	}
	return nil
}

// authentic checks that the newest checkpoint was signed with a key of the secrets, or with the remembered key.
func (s *Ledgers) authentic(known Head, h ledgerHead) error {
	if h.last.Size == 0 {
		return nil
	}
	_, err := s.signers.withVerifier(h.last.Verifier, h.origin)
	if err != nil && known.Size > 0 && known.Verifier != h.last.Verifier {
		return err
	}
	v, err := ledger.NewVerifier(h.last.Verifier)
	if err != nil {
		return fmt.Errorf("log %s: checkpoint of %d entries: %w", h.id, h.last.Size, err)
	}
	c, err := v.Open(h.last.Note)
	if err == nil && (c.Size != h.last.Size || c.Root != h.last.Root) {
		err = errors.New("its root or size is not what was signed")
	}
	if err != nil {
		return fmt.Errorf("log %s: checkpoint of %d entries: %w; run sluice audit verify", h.id, h.last.Size, err)
	}
	return nil
}

// compare checks that a log extends its remembered head, and that its newest checkpoint is authentic.
func (s *Ledgers) compare(r Reader, known Head, h ledgerHead) error {
	if h.last.Size == known.Size && h.last.Root == known.Root && known.Size > 0 {
		return nil
	}
	if err := checkExtends(r, known, h); err != nil {
		return err
	}
	return s.authentic(known, h)
}

func headOf(l sluice.LedgerID, c Checkpoint) Head {
	return Head{Ledger: l, Size: c.Size, Root: c.Root, Verifier: c.Verifier}
}

// rolledBack is a log that has lost entries that a head covers.
type rolledBack struct {
	known Head
	now   ledgerHead
}

// checkLogs checks that every log extends its remembered heads, and that the secrets have the key for its next
// signature. A log that has lost entries is an error, unless the configuration accepts a rollback.
func (s *Ledgers) checkLogs(ctx context.Context) (lost []rolledBack, err error) {
	known := s.heads.All()
	err = s.store.View(ctx, func(r Reader) error {
		logs, err := r.Logs()
		if err != nil {
			return err
		}
		remembered := slices.Clone(s.anchored)
		for _, head := range known {
			remembered = append(remembered, head)
		}
		stored := map[sluice.LedgerID]ledgerHead{}
		for _, l := range logs {
			h, err := s.ledgerHead(r, l.Ledger)
			if err != nil {
				return err
			}
			if stored[l.Ledger] = h; h.last.Size == 0 {
				continue
			}
			if _, err := s.signers.withVerifier(h.verifier, h.origin); err != nil {
				return err
			}
			if err := s.authentic(known[l.Ledger], h); err != nil {
				return err
			}
		}
		for _, head := range remembered {
			h, ok := stored[head.Ledger]
			if !ok {
				h = ledgerHead{id: head.Ledger}
			}
			switch err := checkExtends(r, head, h); {
			case errors.Is(err, ErrRolledBack) && s.acceptRollback:
				lost = append(lost, rolledBack{head, h})
			case err != nil:
				return err
			}
		}
		return nil
	})
	return lost, err
}

// acceptLost records that logs have lost signed entries, and remembers their present heads. A log that several sources
// remember is recorded once.
func (s *Ledgers) acceptLost(ctx context.Context, lost []rolledBack) error {
	longest := map[sluice.LedgerID]rolledBack{}
	for _, l := range lost {
		if before, ok := longest[l.known.Ledger]; !ok || before.known.Size < l.known.Size {
			longest[l.known.Ledger] = l
		}
	}
	accounts, err := s.accounts.List(ctx)
	if err != nil {
		return err
	}
	for id, l := range longest {
		into := id
		if !slices.ContainsFunc(accounts, func(a sluice.Account) bool { return a.ID == id.Account }) {
			into = sluice.LedgerID{Account: accounts[0].ID, Mode: sluice.Live}
		}
		by := system(into, "start")
		e := s.entry(by, sluice.LedgerRolledBack, s.now())
		e.Rollback = &sluice.RollbackPart{
			Log: id.String(), Size: l.now.last.Size, WasSize: l.known.Size, WasRoot: l.known.Root.String(),
		}
		if err := s.changeBySystem(ctx, by, func(tx Tx, _ time.Time) error { return tx.Record(e) }); err != nil {
			return err
		}
		s.heads.Remember(headOf(id, l.now.last))
		s.log.Warn("accepted the rollback of a log",
			"ledger", id.String(), "had", l.known.Size, "has", l.now.last.Size, "source", l.known.Source)
	}
	return nil
}

// unsignedTooLong limits how long entries may wait for a checkpoint before the service is not ready.
const unsignedTooLong = time.Minute

// logWatch is what Watch has seen.
type logWatch struct {
	mu       sync.Mutex
	waiting  map[sluice.LedgerID]waiting
	unsigned int64
	fault    error
}

// waiting is a log with unsigned entries. Since is when Watch first saw it at this number of signed entries.
type waiting struct {
	signed int64
	since  time.Time
}

// Watch reads the size of each log. It checks that logs with a new checkpoint extend their remembered heads, and
// remembers the new heads. Every process calls it about once a second. Service.Ready and State report what it saw last.
func (s *Ledgers) Watch(ctx context.Context) error {
	known := s.heads.All()
	var logs []LogSize
	var grown []Head
	err := s.store.View(ctx, func(r Reader) (err error) {
		if logs, err = r.Logs(); err != nil {
			return err
		}
		grown, err = s.grown(r, logs, known)
		return err
	})
	s.watch.note(logs, s.now(), err)
	for _, head := range grown {
		s.heads.Remember(head)
	}
	return err
}

// grown returns the heads of the logs that extend their remembered heads. The error names the logs that do not.
func (s *Ledgers) grown(r Reader, logs []LogSize, known map[sluice.LedgerID]Head) (heads []Head, failed error) {
	missing := maps.Clone(known)
	for _, l := range logs {
		delete(missing, l.Ledger)
		if l.Signed == known[l.Ledger].Size {
			continue
		}
		h, err := s.ledgerHead(r, l.Ledger)
		if err == nil {
			err = s.compare(r, known[l.Ledger], h)
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		heads = append(heads, headOf(l.Ledger, h.last))
	}
	for id, head := range missing {
		failed = errors.Join(failed, checkExtends(r, head, ledgerHead{id: id}))
	}
	return heads, failed
}

func (w *logWatch) note(logs []LogSize, now time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = nil
	if errors.Is(err, ErrRolledBack) || errors.Is(err, ledger.ErrCheckpoint) {
		w.fault = err
	}
	if logs == nil && err != nil { // nothing was read
		return
	}
	before := w.waiting
	w.waiting, w.unsigned = map[sluice.LedgerID]waiting{}, 0
	for _, l := range logs {
		if l.Size <= l.Signed {
			continue
		}
		w.unsigned += l.Size - l.Signed
		at := waiting{l.Signed, now}
		if b, ok := before[l.Ledger]; ok && b.signed == l.Signed {
			at = b
		}
		w.waiting[l.Ledger] = at
	}
}

// LogState tells how far the signing of the logs is behind.
type LogState struct {
	Unsigned int64         // entries of all logs that no checkpoint covers yet
	Behind   time.Duration // for how long, at most, this process has seen a log with such entries get no checkpoint
}

// State returns what Watch saw last.
func (s *Ledgers) State() LogState {
	state, _ := s.watch.state(s.now())
	return state
}

func (w *logWatch) state(now time.Time) (state LogState, slowest sluice.LedgerID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state.Unsigned = w.unsigned
	for l, at := range w.waiting {
		if behind := now.Sub(at.since); behind > state.Behind {
			state.Behind, slowest = behind, l
		}
	}
	return state, slowest
}

// ready fails if Watch saw a rollback or a log that is not being signed.
func (w *logWatch) ready(now time.Time) error {
	w.mu.Lock()
	fault := w.fault
	w.mu.Unlock()
	if fault != nil {
		return fault
	}
	if state, l := w.state(now); state.Behind > unsignedTooLong {
		return fmt.Errorf("log %s has had entries without a checkpoint for %s", l, state.Behind.Round(time.Second))
	}
	return nil
}
