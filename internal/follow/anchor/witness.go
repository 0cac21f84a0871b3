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

// Witness is one who sees a log grow, and signs what it has seen (C2SP
// tlog-witness).
type Witness struct {
	*ledger.Witness
	url string
}

// NewWitness reads "VKEY URL": the verifier key of a witness and the URL below
// which it takes checkpoints.
func NewWitness(text string) (*Witness, error) {
	parts := strings.Fields(text)
	if len(parts) != 2 {
		return nil, errors.New("want the witness's verifier key and its URL, with a space between")
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

// ErrRefused is returned, wrapped, where a witness has signed another log of
// the same name, or more of this one than there is: it was rewritten or cut
// short, or the witness is wrong.
var ErrRefused = errors.New("the witness has seen another log")

// Show shows a witness that a log has grown from a size that the witness
// knows to the one of a signed checkpoint, and gives its cosignature, which
// holds: the lines that ledger.Witness.Cosign adds to the checkpoint. Where the
// witness knows another size, it is asked once more from there. The proof is
// what ledger.ProveConsistency gives.
func (w *Witness) Show(ctx context.Context, note []byte, size, known int64, prove func(from, to int64) ([]ledger.Hash, error)) ([]byte, error) {
	for again := false; ; again = true {
		hashes, err := prove(known, size)
		if err != nil {
			return nil, err
		}
		request := ledger.Consistency{From: known, Hashes: hashes, Checkpoint: note}
		a, err := post(ctx, w.url, request.Format(), ledger.MaxCheckpoint)
		if err != nil {
			return nil, fmt.Errorf("witness %s: %w", w.Name(), err)
		}
		switch a.status {
		case http.StatusOK:
			_, err := w.Witness.Cosign(note, a.body)
			return a.body, err
		case http.StatusConflict:
			knows, err := parseSize(a)
			if err != nil {
				return nil, fmt.Errorf("witness %s: %w", w.Name(), err)
			}
			if knows > size || knows == known {
				return nil, fmt.Errorf("witness %s: %w: it knows one of %d entries, this one has %d", w.Name(), ErrRefused, knows, size)
			}
			if again {
				return nil, fmt.Errorf("witness %s: it knows %d entries by now and %d before", w.Name(), knows, known)
			}
			known = knows
		case http.StatusUnprocessableEntity:
			return nil, fmt.Errorf("witness %s: %w: this one does not go on from its %d entries", w.Name(), ErrRefused, known)
		case http.StatusNotFound, http.StatusForbidden:
			return nil, fmt.Errorf("witness %s answered %d: it must be told of the log and its key", w.Name(), a.status)
		default:
			return nil, fmt.Errorf("witness %s answered %d", w.Name(), a.status)
		}
	}
}

// parseSize reads the size of the tree that a witness has seen last.
func parseSize(a answer) (int64, error) {
	text, ok := strings.CutSuffix(string(a.body), "\n")
	size, err := strconv.ParseInt(text, 10, 64)
	if a.kind != "text/x.tlog.size" || !ok || err != nil || size < 0 || size > ledger.MaxSize {
		return 0, errors.New("it answered 409 without the size that it knows")
	}
	return size, nil
}
