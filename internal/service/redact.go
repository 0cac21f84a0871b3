package service

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/ledger"
)

// Redact erases the personal fields of an entry for good: their values, and the salts without which the commitments
// reveal nothing. The leaf stays, so all proofs remain valid. The redaction is an entry of its own. An entry without
// personal fields is CodeNotFound. If the entry records the people of a link, they are erased from the link too, and
// nobody is admitted to it until its owner names others. If it names a person at a link, their codes and visits there
// end, so that no download names them again. A stored response to the request that made the entry is deleted, because
// it may show them. It needs keys:admin.
func (s *Entries) Redact(ctx context.Context, c Caller, id string) (sluice.Entry, error) {
	return change(ctx, s.core, c, sluice.KeysAdmin, func(tx Tx, c Caller, now time.Time) (sluice.Entry, error) {
		seq, sealed, err := tx.Sealed(c.Ledger, id)
		if err != nil {
			return sluice.Entry{}, found(err, "audit entry", id)
		}
		disclosures, err := sealed.Disclosed(seq)
		if err != nil {
			return sluice.Entry{}, err
		}
		if len(disclosures) == 0 {
			return sluice.Entry{}, sluice.Errorf(sluice.CodeNotFound, "this entry has no personal field to erase")
		}
		var fields []string
		for _, d := range disclosures {
			fields = append(fields, d.Field)
		}
		e := s.entry(c, sluice.AuditRedacted, now)
		e.Subject = &sluice.EntryPart{ID: id, Seq: seq, Fields: fields}
		entry, err := sealed.Open(seq)
		if err != nil {
			return sluice.Entry{}, err
		}
		erased, err := s.erasedLink(tx, c, entry, fields, now)
		if err == nil && entry.Request != nil {
			err = tx.DeleteResponse(entry.Request.ID, entry.Time)
		}
		if err == nil {
			err = s.endVisits(tx, c, entry)
		}
		if err != nil {
			return sluice.Entry{}, err
		}
		return e, tx.Redact(id, fields, erased, e)
	})
}

// endVisits ends the codes and visits of the person whom an entry names at a link.
func (s *Entries) endVisits(tx Tx, c Caller, entry sluice.Entry) error {
	if entry.Link == nil || entry.Recipient == nil || entry.Recipient.Email == "" {
		return nil
	}
	l, err := tx.Link(c.Ledger, entry.Link.ID)
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.EndChallenges(l.ID, s.links.AddressHash(l, entry.Recipient.Email))
}

// erasedLink returns the link whose people an entry records, without them. It returns nil if the entry records none, or
// the link has none any more.
func (s *Entries) erasedLink(
	tx Tx, c Caller, entry sluice.Entry, fields []string, now time.Time,
) (*sluice.Link, error) {
	if !slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "/link/") }) {
		return nil, nil
	}
	l, err := tx.Link(c.Ledger, entry.Link.ID)
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		return nil, nil
	}
	if err != nil || !l.Access.Identifies() {
		return nil, err
	}
	fits := s.seals.LinkFits(l) // a link that someone altered gets no seal
	l.Access, l.Updated = l.Access.Erase().Ref(), next(now, l.Updated)
	if fits {
		l.Seal = s.seals.Link(l)
	}
	return &l, nil
}

// The kinds of exports.
const (
	ExportDisclosures = "disclosures"
	ExportEntries     = "entries"
)

// ExportDisclosures returns the personal fields of the first upTo entries, in the order of the log. The export is
// recorded before the first field is returned. It needs audit:read.
func (s *Entries) ExportDisclosures(
	ctx context.Context, c Caller, upTo int64,
) (iter.Seq2[ledger.Disclosure, error], error) {
	if err := s.recordExport(ctx, c, ExportDisclosures); err != nil {
		return nil, err
	}
	return s.disclosures(ctx, c.Ledger, upTo), nil
}

// disclosures returns the personal fields of the first upTo entries of a ledger, in order.
func (s *core) disclosures(ctx context.Context, l sluice.LedgerID, upTo int64) iter.Seq2[ledger.Disclosure, error] {
	return func(yield func(ledger.Disclosure, error) bool) {
		for from := int64(0); from < upTo; {
			var leaves []audit.SealedEntry
			err := s.store.View(ctx, func(r Reader) (err error) {
				leaves, err = r.Leaves(l, from, int(min(leafPage, upTo-from)))
				return err
			})
			if err != nil {
				yield(ledger.Disclosure{}, err)
				return
			}
			if len(leaves) == 0 {
				return
			}
			for _, e := range leaves {
				list, err := e.Disclosed(from)
				if err != nil {
					yield(ledger.Disclosure{}, err)
					return
				}
				for _, d := range list {
					if !yield(d, nil) {
						return
					}
				}
				from++
			}
		}
	}
}

// Export returns the entries that match a filter, newest first. The export is recorded before the first entry is
// returned. It needs audit:read.
func (s *Entries) Export(
	ctx context.Context, c Caller, filter EntryFilter,
) (iter.Seq2[sluice.Entry, error], error) {
	if err := s.recordExport(ctx, c, ExportEntries); err != nil {
		return nil, err
	}
	return func(yield func(sluice.Entry, error) bool) {
		page := sluice.Page{Limit: sluice.MaxPageSize}
		for more := true; more; {
			list, err := s.List(ctx, c, filter, page)
			if err != nil {
				yield(sluice.Entry{}, err)
				return
			}
			for _, e := range list.Data {
				if !yield(e, nil) {
					return
				}
				page.After = e.ID
			}
			more = list.More
		}
	}, nil
}

func (s *Entries) recordExport(ctx context.Context, c Caller, what string) error {
	_, err := change(ctx, s.core, c, sluice.AuditRead, func(tx Tx, c Caller, now time.Time) (struct{}, error) {
		e := s.entry(c, sluice.AuditExported, now)
		e.Export = what
		return struct{}{}, tx.Record(e)
	})
	return err
}
