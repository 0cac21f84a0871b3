package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/ledger"
)

// MaxReported is the largest number of entries that a report may be asked for.
const MaxReported = 10_000

// reportLimits bounds the entries of a report, which are held in memory. The bytes are those of leaves and personal
// values.
var reportLimits = struct{ entries, bytes int }{MaxReported, 64 << 20}

// reportPatience limits how long Report waits for a checkpoint that covers its own entry.
const reportPatience = 15 * time.Second

// Reported is an entry of a report, as it is stored.
type Reported struct {
	Seq int64
	audit.SealedEntry
}

// Report is what a report is made of.
type Report struct {
	Entries []Reported // oldest first
	Made    Reported   // the entry that records the report
	// FirstKey is the verifier key with which the log began, and Rotations are its changes since.
	FirstKey   string
	Rotations  []Rotation
	Checkpoint Checkpoint // covers all of these entries
	ledger     sluice.LedgerID
}

// Report collects the entries that match a filter, and the entries that record how their downloads ended. It calls
// digest with them and the key with which the log began, and commits an entry with the number of entries, the digest
// and the filter. If something was erased meanwhile, it begins again: no report that is recorded after an erasure has
// what that erased. Then it signs a checkpoint that covers them all, or waits until another process has, at most 15
// seconds. More than MaxReported matching entries, or more than 64 MiB of them, are CodeTooLarge. It needs audit:read.
func (s *Ledgers) Report(
	ctx context.Context, c Caller, filter EntryFilter, digest func(list []Reported, firstKey string) (string, error),
) (*Report, error) {
	r, made, err := s.recordReport(ctx, c, filter, digest)
	for tries := 1; errors.Is(err, errErasedMeanwhile) && tries < reportTries; tries++ {
		r, made, err = s.recordReport(ctx, c, filter, digest)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, reportPatience, errNotCovered)
	defer cancel()
	for {
		var failed error
		if s.signing.begin(c.Ledger) {
			failed = s.checkpointLedger(ctx, c.Ledger)
			s.signing.end(c.Ledger)
		}
		if covered, err := s.cover(ctx, r, made); err != nil || covered {
			return r, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), failed)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// reportTries is how many times Report begins before it fails with errErasedMeanwhile.
const reportTries = 5

var errErasedMeanwhile = sluice.Errorf(sluice.CodeUnavailable,
	"entries are being erased from the log; ask again when that has ended")

// recordReport collects the entries of a report, and commits the entry that records it, whose id it returns.
func (s *Ledgers) recordReport(
	ctx context.Context, c Caller, filter EntryFilter, digest func(list []Reported, firstKey string) (string, error),
) (r *Report, made string, err error) {
	var erased string
	if err := s.store.View(ctx, func(rd Reader) (err error) {
		erased, err = erasedSoFar(rd, c.Ledger)
		return err
	}); err != nil {
		return nil, "", err
	}
	seqs, err := s.reportedSeqs(ctx, c, filter)
	if err != nil {
		return nil, "", err
	}
	r = &Report{ledger: c.Ledger}
	if r.Entries, err = s.sealed(ctx, c.Ledger, seqs); err != nil {
		return nil, "", err
	}
	if r.FirstKey, err = s.firstKey(ctx, c.Ledger); err != nil {
		return nil, "", err
	}
	sum, err := digest(r.Entries, r.FirstKey)
	if err != nil {
		return nil, "", err
	}
	made, err = change(ctx, s.core, c, sluice.AuditRead, func(tx Tx, c Caller, now time.Time) (string, error) {
		latest, err := erasedSoFar(tx, c.Ledger)
		if err == nil && latest != erased {
			err = errErasedMeanwhile
		}
		if err != nil {
			return "", err
		}
		e := s.entry(c, sluice.AuditReported, now)
		e.Report = &sluice.ReportPart{Entries: int64(len(r.Entries)), SHA256: sum, Filter: filter.Asked()}
		return e.ID, tx.Record(e)
	})
	return r, made, err
}

// erasedSoFar returns a text that differs after each commit that erases fields of entries.
func erasedSoFar(r Reader, l sluice.LedgerID) (string, error) {
	var state strings.Builder
	for _, action := range []sluice.Action{sluice.AuditRedacted, sluice.AuditErased} {
		list, err := r.SealedEntries(l, EntryFilter{Action: action}, sluice.Page{Limit: 1})
		if err != nil {
			return "", err
		}
		for _, e := range list.Data {
			fmt.Fprintln(&state, action, e.Seq)
		}
	}
	pending, err := r.PendingErasures(MaxPendingErasures)
	for _, p := range pending {
		if p.Ledger == l {
			fmt.Fprintln(&state, p.ID, p.Entries)
		}
	}
	return state.String(), err
}

var errNotCovered = sluice.Errorf(sluice.CodeUnavailable,
	"no checkpoint covers the report yet: the server is slow to sign its log; ask again")

const narrower = "ask for a shorter time (created[gte] and created[lt]), a file, a link, a key or a recipient"

// reportedSeqs returns the seqs of the entries of a report, in order.
func (s *Ledgers) reportedSeqs(ctx context.Context, c Caller, filter EntryFilter) (seqs []int64, err error) {
	entries := Entries{core: s.core}
	var deliveries []string // ids of entries
	page := sluice.Page{Limit: sluice.MaxPageSize}
	for more := true; more; {
		list, err := entries.List(ctx, c, filter, page)
		if err != nil {
			return nil, err
		}
		for _, e := range list.Data {
			seqs, page.After = append(seqs, e.Seq), e.ID
			if e.Delivery != nil && e.Delivery.Entry != "" {
				deliveries = append(deliveries, e.Delivery.Entry)
			}
		}
		if len(seqs) > reportLimits.entries {
			return nil, sluice.Errorf(sluice.CodeTooLarge, "more than %d entries match; a report has at most so many: %s",
				reportLimits.entries, narrower)
		}
		more = list.More
	}
	slices.Sort(deliveries)
	for some := range slices.Chunk(slices.Compact(deliveries), sluice.MaxPageSize) {
		list, err := entries.List(ctx, c, EntryFilter{IDs: some}, sluice.Page{Limit: sluice.MaxPageSize})
		if err != nil {
			return nil, err
		}
		for _, e := range list.Data {
			seqs = append(seqs, e.Seq)
		}
	}
	slices.Sort(seqs)
	return slices.Compact(seqs), nil
}

// sealed reads entries as they are stored. The seqs are in order.
func (s *Ledgers) sealed(ctx context.Context, l sluice.LedgerID, seqs []int64) (list []Reported, err error) {
	// One read serves seqs that lie so close together, which mostly are in the same batch.
	const near = 16
	size := 0
	for len(seqs) > 0 {
		n := 1
		for n < len(seqs) && seqs[n]-seqs[n-1] <= near && seqs[n]-seqs[0] < leafPage {
			n++
		}
		from, to := seqs[0], seqs[n-1]+1
		err := s.store.View(ctx, func(r Reader) error {
			leaves, err := r.Leaves(l, from, int(to-from))
			if err == nil && int64(len(leaves)) < to-from {
				err = errMissingEntry
			}
			if err != nil {
				return err
			}
			for _, seq := range seqs[:n] {
				e := leaves[seq-from]
				list, size = append(list, Reported{seq, e}), size+len(e.Leaf)+len(e.Disclosures)
			}
			return nil
		})
		if size > reportLimits.bytes {
			err = sluice.Errorf(sluice.CodeTooLarge, "the matching entries have more than %d bytes: %s",
				reportLimits.bytes, narrower)
		}
		if err != nil {
			return nil, err
		}
		seqs = seqs[n:]
	}
	return list, nil
}

// firstKey returns the verifier key with which a ledger began, or will begin.
func (s *Ledgers) firstKey(ctx context.Context, l sluice.LedgerID) (key string, err error) {
	err = s.store.View(ctx, func(r Reader) error {
		first, err := r.Checkpoint(l, 0)
		key = first.Verifier
		return err
	})
	if sluice.CodeOf(err) != sluice.CodeNotFound {
		return key, err
	}
	signer, err := s.signers.current(s.signers.originOf(l))
	if err != nil {
		return "", err
	}
	return signer.VerifierKey(), nil
}

// cover completes a report with the newest checkpoint, if that covers the entry that records it.
func (s *Ledgers) cover(ctx context.Context, r *Report, made string) (covered bool, err error) {
	err = s.store.View(ctx, func(rd Reader) error {
		if r.Made.Seq, r.Made.SealedEntry, err = rd.Sealed(r.ledger, made); err != nil {
			return err
		}
		newest, err := rd.Checkpoint(r.ledger, -1)
		if sluice.CodeOf(err) == sluice.CodeNotFound || err == nil && newest.Size <= r.Made.Seq {
			return nil
		}
		if err != nil {
			return err
		}
		r.Checkpoint, covered = newest, true
		r.Rotations, err = rd.Rotations(r.ledger)
		return err
	})
	return covered, err
}

// ProveReported returns the proofs that the checkpoint of a report covers some of its entries.
func (s *Ledgers) ProveReported(ctx context.Context, r *Report, seqs []int64) (proofs [][]ledger.Hash, err error) {
	err = s.store.View(ctx, func(rd Reader) error {
		proofs = proofs[:0]
		read := kept(tilesOf(rd, r.ledger))
		for _, seq := range seqs {
			proof, err := ledger.ProveInclusion(seq, r.Checkpoint.Size, read)
			if err != nil {
				return err
			}
			proofs = append(proofs, proof)
		}
		return nil
	})
	return proofs, err
}

// kept returns a reader that reads each tile once.
func kept(read ledger.TileReader) ledger.TileReader {
	known := map[ledger.Tile][]byte{}
	return func(want []ledger.Tile) ([][]byte, error) {
		var missing []ledger.Tile
		for _, t := range want {
			if known[t] == nil {
				missing = append(missing, t)
			}
		}
		if len(missing) > 0 {
			data, err := read(missing)
			if err != nil {
				return nil, err
			}
			for i, t := range missing {
				known[t] = data[i]
			}
		}
		found := make([][]byte, len(want))
		for i, t := range want {
			found[i] = known[t]
		}
		return found, nil
	}
}

// Asked returns the filter by the names of the parameters of the API. Times are in RFC 3339.
func (f EntryFilter) Asked() map[string]string {
	asked := map[string]string{
		"file_id": f.FileID, "link_id": f.LinkID, "key_id": f.KeyID, "action": string(f.Action),
		"outcome": string(f.Outcome), "request_id": f.RequestID, "ids": strings.Join(f.IDs, ","),
		"recipient": f.Recipient, "client_ip": f.ClientIP, "person_id": f.PersonID,
	}
	for name, at := range map[string]*time.Time{
		"created[gt]": f.Created.GT, "created[gte]": f.Created.GTE,
		"created[lt]": f.Created.LT, "created[lte]": f.Created.LTE,
	} {
		if at != nil {
			asked[name] = at.UTC().Format(time.RFC3339Nano)
		}
	}
	for name, value := range asked {
		if value == "" {
			delete(asked, name)
		}
	}
	return asked
}
