package anchor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"sluice/ledger"
)

// Witness is a client of a witness (C2SP tlog-witness), which checks that a log only
// grows and cosigns its checkpoints.
type Witness struct {
	*ledger.Witness
	url string
}

// NewWitness parses "VKEY URL": the verifier key of a witness and its submission
// prefix, the URL to which /add-checkpoint is appended.
func NewWitness(text string) (*Witness, error) {
	parts := strings.Fields(text)
	if len(parts) != 2 {
		return nil, errors.New("want the witness's verifier key and its URL, separated by a space")
	}
	key, err := ledger.NewWitness(parts[0])
	if err == nil {
		err = CheckURL(parts[1])
	}
	if err != nil {
		return nil, err
	}
	return &Witness{key, strings.TrimSuffix(parts[1], "/") + "/add-checkpoint"}, nil
}

// ErrRefused is wrapped in the error if a witness has cosigned another log of the
// same name, or more entries than this one has. Either the log was rewritten or
// truncated, or the witness is wrong.
var ErrRefused = errors.New("the witness has seen another log")

// Show asks the witness to cosign a checkpoint and returns the verified lines of the
// response, for ledger.Witness.Cosign. The note is the signed checkpoint of a log of
// the given size; known is the size that the witness knows. If the witness knows
// another size, the request is repeated once from that size. prove returns the proof
// of ledger.ProveConsistency.
func (w *Witness) Show(
	ctx context.Context, note []byte, size, known int64, prove func(from, to int64) ([]ledger.Hash, error),
) ([]byte, error) {
	for repeated := false; ; repeated = true {
		hashes, err := prove(known, size)
		if err != nil {
			return nil, err
		}
		request := ledger.Consistency{From: known, Hashes: hashes, Checkpoint: note}
		r, err := post(ctx, w.url, request.Format(), ledger.MaxCheckpoint)
		if err != nil {
			return nil, fmt.Errorf("witness %s: %w", w.Name(), err)
		}
		switch r.status {
		case http.StatusOK:
			_, err := w.Witness.Cosign(note, r.body)
			return r.body, err
		case http.StatusConflict:
			knows, err := parseSize(r)
			if err != nil {
				return nil, fmt.Errorf("witness %s: %w", w.Name(), err)
			}
			if knows > size || knows == known {
				return nil, fmt.Errorf("witness %s: %w: it has %d entries, this one has %d",
					w.Name(), ErrRefused, knows, size)
			}
			if repeated {
				return nil, fmt.Errorf("witness %s: it knows %d entries now and knew %d before", w.Name(), knows, known)
			}
			known = knows
		case http.StatusUnprocessableEntity:
			return nil, fmt.Errorf("witness %s: %w: this one is not a continuation of its %d entries",
				w.Name(), ErrRefused, known)
		case http.StatusNotFound, http.StatusForbidden:
			return nil, fmt.Errorf("witness %s answered with status %d: it must be configured with the log and its key",
				w.Name(), r.status)
		default:
			return nil, fmt.Errorf("witness %s answered with status %d", w.Name(), r.status)
		}
	}
}

// parseSize parses the size of the last tree that a witness has seen.
func parseSize(r response) (int64, error) {
	text, ok := strings.CutSuffix(string(r.body), "\n")
	size, err := strconv.ParseInt(text, 10, 64)
	if r.kind != "text/x.tlog.size" || !ok || err != nil || size < 0 || size > ledger.MaxSize {
		return 0, errors.New("it answered with status 409 but without the size that it knows")
	}
	return size, nil
}
