package service

import (
	"context"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// ReadFile gives the bytes of a file to a caller who needs no link for them,
// for the vendors whose contract has that. It needs files:content: files:read
// gives no bytes. Who read what is committed to the log before ReadFile returns. The Grant has no Link; the
// caller closes its Content, which is all of the file whatever the Plan says.
func (s *Service) ReadFile(ctx context.Context, c Caller, id string, want Want) (*Grant, error) {
	f, err := change(ctx, s, c, sluice.FilesContent, func(tx Tx, now time.Time) (sluice.File, error) {
		f, err := activeFile(tx, c.Ledger, id)
		if err != nil {
			return sluice.File{}, err
		}
		e := s.entry(c, sluice.FileRead, now)
		e.File = audit.FilePart(f)
		return f, tx.Record(e)
	})
	if err != nil {
		return nil, err
	}
	content, err := s.openBytes(ctx, f)
	if sluice.CodeOf(err) == sluice.CodeNotFound { // deleted since, or lost
		err = s.missingBytes(ctx, f, err)
	}
	if sluice.CodeOf(err) == sluice.CodeGone {
		err = noSuch("file", id)
	}
	if err != nil {
		return nil, err
	}
	return &Grant{File: f, Plan: want.Plan(f), Content: content}, nil
}
