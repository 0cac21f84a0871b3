package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// Retention deletes files at the end of the retention period of their purpose.
type Retention struct {
	*core
	files *Files
}

const (
	retainPage   = 100
	retainFailed = 1000 // files that may fail before Run gives up
	retainErrors = 10   // errors that Run returns
)

// Run deletes the files whose retention period has ended, each with an entry of its own, and returns their number. Held
// files stay until they are released. After a file that cannot be deleted Run goes on with the others, and joins the
// errors.
func (s *Retention) Run(ctx context.Context) (retained int, err error) {
	failed := map[string]bool{}
	var errs []error
	for len(failed) < retainFailed {
		var due []sluice.File
		err := s.store.View(ctx, func(r Reader) (err error) {
			due, err = r.ExpiredFiles(s.now(), retainPage+len(failed))
			return err
		})
		due = slices.DeleteFunc(due, func(f sluice.File) bool { return failed[f.ID] })
		if err != nil || len(due) == 0 {
			return retained, errors.Join(append(errs, err)...)
		}
		for _, f := range due {
			deleted, err := s.delete(ctx, f.Ledger, f.ID)
			if ctx.Err() != nil {
				return retained, err
			}
			if deleted {
				retained++
			}
			if err == nil {
				continue
			}
			failed[f.ID] = true
			if len(errs) < retainErrors {
				errs = append(errs, fmt.Errorf("file %s: %w", f.ID, err))
			}
		}
	}
	return retained, errors.Join(append(errs, fmt.Errorf("%d files could not be deleted", len(failed)))...)
}

// delete deletes a file, unless it turns out inside the Update that the file must be kept.
func (s *Retention) delete(ctx context.Context, l sluice.LedgerID, id string) (deleted bool, err error) {
	by := system(l, "retention")
	_, err = change(Ending(ctx), s.core, by, sluice.FilesWrite, func(tx Tx, c Caller, now time.Time) (Deleted, error) {
		f, err := activeFile(tx, l, id)
		if err != nil {
			return Deleted{}, err
		}
		if err := deletable(f, now); err != nil {
			return Deleted{}, err
		}
		e := s.entry(by, sluice.FileRetainedOut, now)
		e.File = audit.FileDetails(f, nil)
		return Deleted{ID: id}, tx.DeleteFile(id, now, e)
	})
	switch sluice.CodeOf(err) {
	case "":
		s.files.removeBytes(ctx, id)
		return true, nil
	case sluice.CodeNotFound, sluice.CodeFileHeld: // it was deleted or held meanwhile
		return false, nil
	}
	return false, err
}
