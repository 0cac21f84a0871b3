package native

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"time"

	"sluice"
	"sluice/api"
	"sluice/internal/report"
	"sluice/internal/service"
	"sluice/ledger"
)

// reportsAtOnce limits how many reports are made and sent at the same time: each is held in memory until it is sent.
const reportsAtOnce = 4

// turnWait is how long a report waits for its turn, and how long the client may then wait before it asks again.
const turnWait = 5 * time.Second

// takeTurn waits until a report can be made. Slow readers can hold all the places for long, so it does not wait for
// ever.
func (s *face) takeTurn(ctx context.Context) error {
	timeout := time.NewTimer(turnWait)
	defer timeout.Stop()
	select {
	case s.reports <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout.C:
		return &sluice.Error{Code: sluice.CodeUnavailable, Detail: "other reports are being made and sent now",
			RetryAfter: turnWait}
	}
}

func (s *face) reportEntries(ctx context.Context, c *call, in *api.EntryFilter) (bytesOut, error) {
	var v sluice.Invalid
	filter := entryFilter(*in, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	return func(c *call, w http.ResponseWriter, r *http.Request) {
		if err := s.takeTurn(ctx); err != nil {
			c.Fail(w, r, err)
			return
		}
		defer func() { <-s.reports }()
		write, err := s.report(ctx, c, filter)
		if err != nil {
			c.Fail(w, r, err)
			return
		}
		// A browser has to save it: under the policy of this server it could not run its script.
		w.Header().Set("Content-Disposition", `attachment; filename="report.html"`)
		streamed(report.ContentType, write)(c, w, r)
	}, nil
}

// report makes a report and records it. It returns a function that writes it.
func (s *face) report(ctx context.Context, c *call, filter service.EntryFilter) (func(io.Writer) error, error) {
	var made *report.Report
	digest := func(list []service.Reported, firstKey string) (_ string, err error) {
		entries := make([]report.Entry, len(list))
		for i, e := range list {
			entries[i] = report.Entry(e)
		}
		if made, err = report.New(entries, firstKey, rand.Reader); err != nil {
			return "", err
		}
		return made.SHA256(), nil
	}
	from, err := s.svc.Ledgers.Report(ctx, c.Caller, filter, digest)
	if err != nil {
		return nil, err
	}
	log := report.Log{FirstKey: from.FirstKey, Checkpoint: string(from.Checkpoint.Note)}
	for _, r := range from.Rotations {
		log.Rotations = append(log.Rotations, string(r.Proof))
	}
	return func(w io.Writer) error {
		return made.Write(w, log, report.Entry(from.Made), func(seqs []int64) ([][]ledger.Hash, error) {
			return s.svc.Ledgers.ProveReported(ctx, from, seqs)
		})
	}, nil
}
