package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"sluice"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// TestCosign lets witnesses add their signatures at once. None may remove the signature of another.
func TestCosign(t *testing.T) { onEach(t, testCosign) }

func testCosign(t *testing.T, database string) {
	s := sluicetest.NewServiceOn(t, database)
	l := s.Ledger(sluice.Test)
	s.NewKey(t, l)
	s.Checkpoint(t)
	size := int64(len(s.Entries(t, l)))
	const witnesses = 8
	var all sync.WaitGroup
	for i := range witnesses {
		all.Go(func() {
			err := s.Store.Cosign(ctx, l, size, func(note []byte) ([]byte, error) {
				return fmt.Appendf(note, "— w%d x\n", i), nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	newest := newestCheckpoint(t, s, l)
	if got := strings.Count(string(newest.Note), "\n— w"); got != witnesses {
		t.Errorf("%d of %d cosignatures are kept:\n%s", got, witnesses, newest.Note)
	}

	refusal := errors.New("no")
	if err := s.Store.Cosign(ctx, l, size, func([]byte) ([]byte, error) { return nil, refusal }); !errors.Is(err,
		refusal) {
		t.Errorf("got %v", err)
	}
	if after := newestCheckpoint(t, s, l); string(after.Note) != string(newest.Note) {
		t.Errorf("a refused cosignature changed the note to %q", after.Note)
	}
	if err := s.Store.Cosign(ctx, l, size+1, func(note []byte) ([]byte, error) {
		return note,
			nil
	}); sluice.CodeOf(err) != sluice.CodeNotFound {
		t.Errorf("a checkpoint that is not there: %v", err)
	}
}

func newestCheckpoint(t *testing.T, s *sluicetest.Service, l sluice.LedgerID) (c service.Checkpoint) {
	t.Helper()
	err := s.Store.View(ctx, func(r service.Reader) (err error) {
		c, err = r.Checkpoint(l, -1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
