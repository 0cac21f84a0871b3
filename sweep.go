package sluice

import (
	"context"
	"time"
)

// Swept says what a sweep removed.
type Swept struct {
	Orphans    int // bytes that no active file names
	Unfinished int // what broken uploads left behind
}

// SweepAge is how old bytes without a record are before a running server takes
// them for orphans: longer than any upload waits between its last byte and
// its record.
const SweepAge = time.Hour

// Sweep removes bytes written before a moment that no active file names: those
// a crash left between bytes and record, and those of deleted files whose
// removal failed.
func (s *Service) Sweep(ctx context.Context, before time.Time) (Swept, error) {
	var swept Swept
	unfinished, err := s.blobs.Sweep(ctx, before)
	if err != nil {
		return swept, err
	}
	swept.Unfinished = unfinished
	err = s.blobs.Walk(ctx, func(key string, written time.Time) error {
		if !written.Before(before) {
			return nil
		}
		var named bool
		err := s.store.View(ctx, func(r Reader) (err error) {
			named, err = r.ActiveFile(key)
			return err
		})
		if err != nil || named {
			return err
		}
		swept.Orphans++
		return s.blobs.Remove(ctx, key)
	})
	return swept, err
}

// Retain deletes the files whose purpose keeps them no longer, each with an
// entry of its own, and says how many. Held files stay until they are released.
func (s *Service) Retain(ctx context.Context) (int, error) {
	const batch = 100
	for retained := 0; ; {
		var due []File
		err := s.store.View(ctx, func(r Reader) (err error) {
			due, err = r.ExpiredFiles(s.Now(), batch)
			return err
		})
		if err != nil || len(due) == 0 {
			return retained, err
		}
		for _, f := range due {
			if err := s.retainOut(ctx, f.Ledger, f.ID); err != nil {
				return retained, err
			}
			retained++
		}
	}
}

// retainOut deletes one file if, inside the Update, its time is still up.
func (s *Service) retainOut(ctx context.Context, l LedgerID, id string) error {
	system := Caller{Ledger: l, Actor: Actor{Type: ActorSystem, Name: "retention"}}
	_, err := change(ctx, s, system, FilesWrite, func(tx Tx, now time.Time) (Deleted, error) {
		f, err := activeFile(tx, l, id)
		if err != nil {
			return Deleted{}, err
		}
		if err := f.deletable(now); err != nil {
			return Deleted{}, err
		}
		e := s.entry(system, FileRetainedOut, now)
		e.File = filePart(f)
		return Deleted{ID: id}, tx.DeleteFile(id, now, e)
	})
	switch CodeOf(err) {
	case "":
		s.removeBytes(ctx, id)
	case CodeNotFound, CodeFileHeld: // it was deleted or held meanwhile
		return nil
	}
	return err
}
