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

// anchorPause is the minimum time between two anchored checkpoints of a log. Entries
// that are older than that cannot be rewritten unnoticed.
const anchorPause = 10 * time.Second

// Anchor returns a follower that keeps checkpoints outside the database. The text is
// file:PATH for a file to append to, webhook:URL for a URL to POST to, or
// s3://BUCKET/PREFIX?region=… for a bucket with one object per checkpoint, which is
// never replaced. The newest checkpoint covers the earlier ones, so some may be
// skipped.
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

// sendCheckpoint sends a checkpoint. known is the size of the last sent checkpoint,
// or 0.
type sendCheckpoint func(
	ctx context.Context, s service.Store, l sluice.LedgerID, c service.Checkpoint, known int64,
) error

// checkpoints returns a follower that receives the newest checkpoint of each log.
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
	// Fail early if the file cannot be written.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return Follower{}, err
	}
	send := func(_ context.Context, _ service.Store, _ sluice.LedgerID, c service.Checkpoint, _ int64) error {
		return anchor.AppendFile(path, c.Note)
	}
	return checkpoints(name, anchorPause, send), f.Close()
}

// s3Anchor writes each checkpoint to an object named by account, mode and size. It
// never replaces an object, and fails if the object contains another checkpoint.
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
		stored, err := bucket.WriteOnce(ctx, fmt.Sprintf("checkpoints/%s/%020d.txt", l, c.Size), c.Note)
		if err == nil && stored != nil && !bytes.Equal(signedText(stored), signedText(c.Note)) {
			err = fmt.Errorf("the bucket contains another checkpoint of %d entries", c.Size)
		}
		return err
	}
}

// signedText returns the signed part of a note, without the signatures. Witnesses
// may add signatures.
func signedText(note []byte) []byte {
	text, _, _ := bytes.Cut(note, []byte("\n\n"))
	return text
}

// Witness returns a follower that has a C2SP witness cosign checkpoints. It stores
// the cosignatures with the checkpoints, which are served and exported with them.
// The text is the witness's verifier key, a space, and its URL.
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
		return s.Cosign(ctx, l, c.Size, func(note []byte) ([]byte, error) {
			return w.Witness.Cosign(note, cosignature)
		})
	}
	return checkpoints("witness "+w.Name(), time.Second, send), nil
}

// prover returns a function that makes consistency proofs from the stored tiles.
func prover(ctx context.Context, s service.Store, l sluice.LedgerID) func(from, to int64) ([]ledger.Hash, error) {
	return func(from, to int64) (hashes []ledger.Hash, err error) {
		err = s.View(ctx, func(r service.Reader) error {
			read := func(tiles []ledger.Tile) ([][]byte, error) { return r.Tiles(l, tiles) }
			hashes, err = ledger.ProveConsistency(from, to, read)
			return err
		})
		return hashes, err
	}
}
