package service_test

import (
	"context"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// hangs is a Store in which reading the head of one ledger hangs until the context ends.
type hangs struct {
	service.Store
	ledger sluice.LedgerID
}

func (s hangs) View(ctx context.Context, fn func(service.Reader) error) error {
	return s.Store.View(ctx, func(r service.Reader) error { return fn(hangingReader{r, ctx, s.ledger}) })
}

type hangingReader struct {
	service.Reader
	ctx    context.Context
	ledger sluice.LedgerID
}

func (r hangingReader) Size(l sluice.LedgerID) (int64, error) {
	if l == r.ledger {
		<-r.ctx.Done()
		return 0, r.ctx.Err()
	}
	return r.Reader.Size(l)
}

// TestHangingCheckpointStopsNoOther signs a ledger while another one hangs.
func TestHangingCheckpointStopsNoOther(t *testing.T) {
	f := newFixture(t)
	f.upload("0123456789")
	other := *f
	other.ledger, other.caller = f.base.Ledger(sluice.Live), f.newCaller(f.base.Ledger(sluice.Live))
	other.upload("0123456789")
	var due []sluice.LedgerID
	err := f.base.Store.View(ctx, func(r service.Reader) (err error) {
		due, err = r.Unsigned()
		return err
	})
	if err != nil || len(due) != 2 {
		t.Fatal(due, err)
	}
	f.config.Store = hangs{f.base.Store, due[0]}
	f.config.LedgerKeys, f.config.LedgerOrigin = f.base.LedgerKeys(), "sluice.test"
	f.Service = f.withPurposes(nil)
	work, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Ledgers.Checkpoint(work)
	}()
	eventually(t, "a checkpoint of the other ledger", func() bool {
		c, err := f.base.Ledgers.NewestCheckpoint(ctx, service.Operator(due[1]))
		return err == nil && c.Size > 0
	})
	stop()
	<-ended
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
