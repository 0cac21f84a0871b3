package service

import (
	"context"
	"iter"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/ledger"
)

// Redact erases personal fields of an entry for good: their values, and the salts without which the commitments reveal
// nothing. Without fields it erases all of them. The leaf stays, so all proofs remain valid. The redaction is an entry
// of its own. An entry without such fields is CodeNotFound. If the entry records the details of a link or a file, they
// are erased from the link or the file too; see eraseFromLink and eraseFromFile. If the address of a person at a link
// is erased, their codes and visits there end, so that no download names them again. A stored response to the request
// that made the entry, which may show them, is replaced by an error, so that no repeat takes effect. It needs
// keys:admin.
func (s *Entries) Redact(
	ctx context.Context, c Caller, id string, fields []sluice.PersonalField,
) (sluice.Entry, error) {
	return change(ctx, s.core, c, sluice.KeysAdmin, func(tx Tx, c Caller, now time.Time) (sluice.Entry, error) {
		seq, sealed, err := tx.Sealed(c.Ledger, id)
		if err != nil {
			return sluice.Entry{}, found(err, "audit entry", id)
		}
		if _, err := sealed.Disclosed(seq); err != nil {
			return sluice.Entry{}, err
		}
		pointers := sealed.Pointers(fields)
		if len(pointers) == 0 {
			return sluice.Entry{}, sluice.Errorf(sluice.CodeNotFound, "this entry has no personal field to erase")
		}
		e := s.entry(c, sluice.AuditRedacted, now)
		e.Subject = &sluice.EntryPart{ID: id, Seq: seq, Fields: pointers}
		rows := newRowEraser(s.core, s.links, tx, c.Ledger, now)
		opened, err := sealed.Open(seq)
		if err != nil {
			return sluice.Entry{}, err
		}
		if err := rows.eraseEntry(opened, pointers); err != nil {
			return sluice.Entry{}, err
		}
		links, files := rows.changed()
		return e, tx.Redact(RedactedRows{EntryID: id, Pointers: pointers, Links: links, Files: files}, e)
	})
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
