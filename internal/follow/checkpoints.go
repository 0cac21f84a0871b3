package follow

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/follow/anchor"
	"sluice/internal/service"
	"sluice/ledger"
)

// anchorPause is how often a checkpoint of one log is taken out: what can be
// rewritten unseen is as young as that.
const anchorPause = 10 * time.Second

// Anchor makes a follower that takes checkpoints out to file:PATH, which is
// appended to; to webhook:URL, which gets them by POST; or to
// s3://BUCKET/PREFIX?region=…, where each is an object that is never replaced.
// The newest checkpoint stands for those before it, which may be left out.
func Anchor(ctx context.Context, text string) (Follower, error) {
	kind, where, _ := strings.Cut(text, ":")
	switch {
	case kind == "file" && where != "":
		return fileAnchor(text, where)
	case kind == "webhook":
		send := func(ctx context.Context, _ service.Store, _ sluice.LedgerID, c service.Checkpoint, _ int64) error {
			return anchor.Post(ctx, where, c.Note)
		}
		if err := anchor.CheckURL(where); err != nil {
			return Follower{}, err
		}
		to, err := url.Parse(where)
		if err != nil {
			return Follower{}, err
		}
		return checkpoints("webhook "+to.Host, anchorPause, send), nil
	case kind == "s3":
		return s3Anchor(ctx, text)
	}
	return Follower{}, fmt.Errorf("%q is neither file:PATH nor webhook:URL nor s3://BUCKET/PREFIX", text)
}

// sendCheckpoint sends one. Known is the size of the one that was sent before, 0
// for none.
type sendCheckpoint func(ctx context.Context, s service.Store, l sluice.LedgerID, c service.Checkpoint, known int64) error

// checkpoints makes a follower that gets the newest checkpoint of each log.
func checkpoints(name string, pause time.Duration, send sendCheckpoint) Follower {
	return Follower{
		Name: name, Pause: pause,
		Head: func(l service.LogSize) int64 { return l.Signed },
		Send: func(ctx context.Context, s service.Store, l sluice.LedgerID, cursor int64) (int64, error) {
			var c service.Checkpoint
			err := s.View(ctx, func(r service.Reader) (err error) {
				c, err = r.Checkpoint(l, -1)
				return err
			})
			if err == nil {
				err = send(ctx, s, l, c, cursor)
			}
			return c.Size, err
		},
	}
}

func fileAnchor(name, path string) (Follower, error) {
	// A file that cannot be written to is refused now.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return Follower{}, err
	}
	send := func(_ context.Context, _ service.Store, _ sluice.LedgerID, c service.Checkpoint, _ int64) error {
		return anchor.AppendFile(path, c.Note)
	}
	return checkpoints(name, anchorPause, send), f.Close()
}

// s3Anchor keeps each checkpoint as an object of its own, named by account, mode
// and size. It replaces none, and fails where another checkpoint of that size is.
func s3Anchor(ctx context.Context, text string) (Follower, error) {
	options, err := blob.ParseS3URL(text)
	if err != nil {
		return Follower{}, err
	}
	bucket, err := blob.OpenS3(ctx, options)
	if err != nil {
		return Follower{}, err
	}
	return checkpoints("s3", anchorPause, toBucket(bucket)), nil
}

func toBucket(bucket *blob.S3) sendCheckpoint {
	return func(ctx context.Context, s service.Store, l sluice.LedgerID, c service.Checkpoint, _ int64) error {
		there, err := bucket.WriteOnce(ctx, fmt.Sprintf("checkpoints/%s/%020d.txt", l, c.Size), c.Note)
		if err == nil && there != nil && !bytes.Equal(signedText(there), signedText(c.Note)) {
			err = fmt.Errorf("the bucket has another checkpoint of %d entries than this log", c.Size)
		}
		return err
	}
}

// signedText is what the signatures of a note are over; witnesses may add some.
func signedText(note []byte) []byte {
	text, _, _ := bytes.Cut(note, []byte("\n\n"))
	return text
}

// Witness makes a follower that has a C2SP witness cosign checkpoints, and keeps
// the cosignatures with them, so that they are served and exported with them. The
// text is the witness's verifier key, a space, and its URL.
func Witness(text string) (Follower, error) {
	w, err := anchor.NewWitness(text)
	if err != nil {
		return Follower{}, err
	}
	send := func(ctx context.Context, s service.Store, l sluice.LedgerID, c service.Checkpoint, known int64) error {
		cosignature, err := w.Show(ctx, c.Note, c.Size, known, prover(ctx, s, l))
		if err != nil {
			return err
		}
		return s.Cosign(ctx, l, c.Size, func(note []byte) ([]byte, error) { return w.Witness.Cosign(note, cosignature) })
	}
	return checkpoints("witness "+w.Name(), time.Second, send), nil
}

// prover proves that a log has only grown, from what is stored.
func prover(ctx context.Context, s service.Store, l sluice.LedgerID) func(from, to int64) ([]ledger.Hash, error) {
	return func(from, to int64) (hashes []ledger.Hash, err error) {
		err = s.View(ctx, func(r service.Reader) error {
			hashes, err = ledger.ProveConsistency(from, to, func(want []ledger.Tile) ([][]byte, error) { return r.Tiles(l, want) })
			return err
		})
		return hashes, err
	}
}
