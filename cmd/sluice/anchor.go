package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"sluice"
	"sluice/anchor"
	"sluice/internal/blob"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/ledger"
)

// anchorFlags say where the checkpoints of a running server go out to.
type anchorFlags struct {
	Anchor  []string `help:"Take checkpoints out to file:PATH, which is appended to, to webhook:URL, which gets them by POST, or to s3://BUCKET/PREFIX?region=…, where each is an object that is never replaced; may be repeated." placeholder:"KIND:WHERE"`
	Witness []string `help:"Have checkpoints cosigned by a C2SP witness: its verifier key, a space, and its URL; may be repeated." placeholder:"VKEY URL"`
}

// outlet is where checkpoints go out to.
type outlet struct {
	name  string
	pause time.Duration // between two checkpoints of one ledger: what they can be rewritten by unseen
	// send takes out a checkpoint. Known is the size of the one before, 0 where
	// this process sent none.
	send func(ctx context.Context, s *store.Store, l sluice.LedgerID, c service.Checkpoint, known int64) error
}

// outlets reads --anchor and --witness.
func (a *anchorFlags) outlets(ctx context.Context) (all []outlet, err error) {
	for _, text := range a.Anchor {
		o, err := anchorOutlet(ctx, text)
		if err != nil {
			return nil, usageError{fmt.Errorf("--anchor: %w", err)}
		}
		all = append(all, o)
	}
	for _, text := range a.Witness {
		w, err := anchor.NewWitness(text)
		if err != nil {
			return nil, usageError{fmt.Errorf("--witness: %w", err)}
		}
		all = append(all, witnessOutlet(w))
	}
	return all, nil
}

func anchorOutlet(ctx context.Context, text string) (o outlet, err error) {
	kind, where, _ := strings.Cut(text, ":")
	o.pause = 10 * time.Second
	switch {
	case kind == "file" && where != "":
		// A file that cannot be written to shall be known of now.
		f, err := os.OpenFile(where, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return o, err
		}
		o.name = text
		o.send = func(_ context.Context, _ *store.Store, _ sluice.LedgerID, c service.Checkpoint, _ int64) error {
			return anchor.AppendFile(where, c.Note)
		}
		return o, f.Close()
	case kind == "webhook":
		o.name = "webhook"
		o.send = func(ctx context.Context, _ *store.Store, _ sluice.LedgerID, c service.Checkpoint, _ int64) error {
			return anchor.Post(ctx, where, c.Note)
		}
		return o, anchor.CheckURL(where)
	case kind == "s3":
		return s3Outlet(ctx, text)
	}
	return o, fmt.Errorf("%q is neither file:PATH nor webhook:URL nor s3://BUCKET/PREFIX", text)
}

// s3Outlet keeps each checkpoint as an object of its own, named by account, mode
// and size. It replaces none, and fails where another checkpoint of that size is.
func s3Outlet(ctx context.Context, text string) (o outlet, err error) {
	options, err := blob.ParseS3URL(text)
	if err != nil {
		return o, err
	}
	bucket, err := blob.OpenS3(ctx, options)
	if err != nil {
		return o, err
	}
	send := func(ctx context.Context, _ *store.Store, l sluice.LedgerID, c service.Checkpoint, _ int64) error {
		there, err := bucket.WriteOnce(ctx, fmt.Sprintf("checkpoints/%s/%020d.txt", l, c.Size), c.Note)
		if err == nil && there != nil && !bytes.Equal(signedText(there), signedText(c.Note)) {
			err = fmt.Errorf("the bucket has another checkpoint of %d entries than this log", c.Size)
		}
		return err
	}
	return outlet{"s3", 10 * time.Second, send}, nil
}

// signedText is what the signatures of a note are of; witnesses may add some.
func signedText(note []byte) []byte {
	text, _, _ := bytes.Cut(note, []byte("\n\n"))
	return text
}

// witnessOutlet shows checkpoints to a witness and keeps its cosignatures with
// them, so that they are served and exported with them.
func witnessOutlet(w *anchor.Witness) outlet {
	send := func(ctx context.Context, s *store.Store, l sluice.LedgerID, c service.Checkpoint, known int64) error {
		cosignature, err := w.Show(ctx, c.Note, c.Size, known, prover(ctx, s, l))
		if err != nil {
			return err
		}
		return s.Cosign(ctx, l, c.Size, func(note []byte) ([]byte, error) { return w.Witness.Cosign(note, cosignature) })
	}
	return outlet{"witness", time.Second, send}
}

// prover proves that a ledger has only grown, from what is stored.
func prover(ctx context.Context, s *store.Store, l sluice.LedgerID) func(from, to int64) ([]ledger.Hash, error) {
	return func(from, to int64) (hashes []ledger.Hash, err error) {
		err = s.View(ctx, func(r service.Reader) error {
			hashes, err = ledger.ProveConsistency(from, to, func(want []ledger.Tile) ([][]byte, error) { return r.Tiles(l, want) })
			return err
		})
		return hashes, err
	}
}

// How long an outlet that fails is left alone: ever longer, up to an hour; and
// how long an orderly stop waits for the last checkpoints to go out.
const (
	firstRest = time.Second
	longRest  = time.Hour
	lastSends = 5 * time.Second
)

// takeOut takes checkpoints out until ctx ends, and the newest at last. Of the
// servers on one database, one does. An outlet that is slow or fails holds up
// nothing but itself: what it missed, it never gets, for the newest checkpoint
// stands for those before.
func takeOut(ctx context.Context, s *store.Store, outlets []outlet, log *slog.Logger) {
	if len(outlets) == 0 {
		return
	}
	inTurn(ctx, s, "outlets", log, func(turn context.Context) {
		var all sync.WaitGroup
		for _, o := range outlets {
			all.Go(func() {
				progress := outletProgress{outlet: o, store: s, log: log, ledgers: map[sluice.LedgerID]*sent{}}
				progress.run(turn)
				if ctx.Err() != nil { // an orderly stop
					progress.last(ctx)
				}
			})
		}
		all.Wait()
	})
}

// outletProgress is how far one outlet has come.
type outletProgress struct {
	outlet
	store   *store.Store
	log     *slog.Logger
	ledgers map[sluice.LedgerID]*sent
}

// sent is what an outlet has of one ledger.
type sent struct {
	size int64
	next time.Time     // when there may be more
	rest time.Duration // 0 after a success
}

func (o *outletProgress) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		o.round(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// last sends the newest checkpoints without a pause.
func (o *outletProgress) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSends)
	defer cancel()
	o.round(ctx, time.Now().Add(o.pause))
}

// round sends the newest checkpoint of every ledger whose turn has come.
func (o *outletProgress) round(ctx context.Context, now time.Time) {
	signed, err := o.store.Signed(ctx)
	if err != nil && ctx.Err() == nil {
		o.log.Error("checkpoints cannot be read", "outlet", o.name, "error", err)
	}
	for _, l := range signed {
		state := o.ledgers[l.Ledger]
		if state == nil {
			state = &sent{}
			o.ledgers[l.Ledger] = state
		}
		if l.Size > state.size && !now.Before(state.next) && ctx.Err() == nil {
			o.sendNewest(ctx, l.Ledger, state)
		}
	}
}

func (o *outletProgress) sendNewest(ctx context.Context, l sluice.LedgerID, state *sent) {
	var c service.Checkpoint
	err := o.store.View(ctx, func(r service.Reader) (err error) {
		c, err = r.Checkpoint(l, -1)
		return err
	})
	if err == nil {
		err = o.send(ctx, o.store, l, c, state.size)
	}
	if err == nil {
		*state = sent{size: c.Size, next: time.Now().Add(o.pause)}
		return
	}
	if ctx.Err() == nil {
		state.rest = min(max(firstRest, 2*state.rest), longRest)
		state.next = time.Now().Add(state.rest)
		o.log.Error("a checkpoint did not go out", "outlet", o.name, "ledger", l.String(), "size", c.Size, "again_in", state.rest.String(), "error", err)
	}
}
