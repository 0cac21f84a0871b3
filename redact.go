package sluice

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"sluice/ledger"
)

// RedactEntry erases the personal fields of an entry for good: their values
// and the salts without which their commitments say nothing. The leaf stays,
// so every proof still holds. What was erased is an entry of its own. It needs
// keys:admin. Without a field that could be erased it is CodeNotFound.
func (s *Service) RedactEntry(ctx context.Context, c Caller, id string) (Entry, error) {
	return change(ctx, s, c, KeysAdmin, func(tx Tx, now time.Time) (Entry, error) {
		seq, sealed, err := tx.Sealed(c.Ledger, id)
		if err != nil {
			return Entry{}, found(err, "audit entry", id)
		}
		disclosures, err := sealed.disclosures(seq)
		if err != nil {
			return Entry{}, err
		}
		if len(disclosures) == 0 {
			return Entry{}, Errorf(CodeNotFound, "this entry has no personal field left to erase")
		}
		var fields []string
		for _, d := range disclosures {
			fields = append(fields, d.Field)
		}
		e := s.entry(c, AuditRedacted, now)
		e.Subject = &EntryPart{ID: id, Seq: seq, Fields: fields}
		return e, tx.Redact(id, fields, e)
	})
}

// disclosures gives what opens the commitments of a leaf, by field.
func (s SealedEntry) disclosures(seq int64) (list []ledger.Disclosure, err error) {
	stored := map[string]disclosure{}
	if err := json.Unmarshal(s.Disclosures, &stored); err != nil {
		return nil, err
	}
	for _, field := range slices.Sorted(maps.Keys(stored)) {
		d := ledger.Disclosure{Seq: seq, Field: field, Value: stored[field].Value}
		salt, err := hex.DecodeString(stored[field].Salt)
		if err != nil || len(salt) != len(d.Salt) {
			return nil, fmt.Errorf("entry %d: the salt of %s is damaged", seq, field)
		}
		d.Salt = ledger.Salt(salt)
		list = append(list, d)
	}
	return list, nil
}

// What an export may be of.
const (
	ExportDisclosures = "disclosures"
	ExportEntries     = "entries"
)

// ExportDisclosures gives the personal fields of the entries that the newest
// checkpoint covers, in the order of their seq. That they are exported is an
// entry, made before the first of them is given. It needs audit:read.
func (s *Service) ExportDisclosures(ctx context.Context, c Caller, upTo int64) (iter.Seq2[ledger.Disclosure, error], error) {
	if err := s.recordExport(ctx, c, ExportDisclosures); err != nil {
		return nil, err
	}
	return s.disclosures(ctx, c.Ledger, upTo), nil
}

// disclosures gives those of the first entries of a ledger, in order.
func (s *Service) disclosures(ctx context.Context, l LedgerID, upTo int64) iter.Seq2[ledger.Disclosure, error] {
	return func(yield func(ledger.Disclosure, error) bool) {
		for from := int64(0); from < upTo; {
			var leaves []SealedEntry
			err := s.store.View(ctx, func(r Reader) (err error) {
				leaves, err = r.Leaves(l, from, int(min(leafBatch, upTo-from)))
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
				list, err := e.disclosures(from)
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

// ExportEntries gives the entries that a filter lets through, newest first, for
// people to read. That they are exported is an entry, made before the first of
// them is given. It needs audit:read.
func (s *Service) ExportEntries(ctx context.Context, c Caller, filter EntryFilter) (iter.Seq2[Entry, error], error) {
	if err := s.recordExport(ctx, c, ExportEntries); err != nil {
		return nil, err
	}
	return func(yield func(Entry, error) bool) {
		page := Page{Limit: MaxPageSize}
		for more := true; more; {
			list, err := s.Entries(ctx, c, filter, page)
			if err != nil {
				yield(Entry{}, err)
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

func (s *Service) recordExport(ctx context.Context, c Caller, what string) error {
	_, err := change(ctx, s, c, AuditRead, func(tx Tx, now time.Time) (struct{}, error) {
		e := s.entry(c, AuditExported, now)
		e.Export = what
		return struct{}{}, tx.Record(e)
	})
	return err
}
