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
