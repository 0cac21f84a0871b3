package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"sluice/internal/service"
	"sluice/internal/store/records"
	"sluice/internal/store/sqldb"
	"sluice/internal/store/storetest"
)

// TestEndings ends links with their files and keys, on every database.
func TestEndings(t *testing.T) {
	for name, test := range map[string]func(*testing.T, *Store){
		"redemptions share batches while links are not marked": testPendingBatches,
		"links that a failed commit marked do not count":       testEndLinksFails,
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("SQLite", func(t *testing.T) {
				s, _ := openTemp(t)
				test(t, s)
			})
			t.Run("PostgreSQL", func(t *testing.T) {
				s, _ := openTempPostgres(t)
				test(t, s)
			})
		})
	}
}

// testPendingBatches redeems links while those of a deleted file are not marked. Redemptions that share a commit
// share a row of the log, as at other times.
func testPendingBatches(t *testing.T, s *Store) {
	const callers, each = 32, 10
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
		for _, id := range []string{"file_1", "file_2"} {
			if err := tx.CreateFile(storetest.NewFile(storetest.LiveLedger, id),
				storetest.NewEntry(storetest.LiveLedger)); err != nil {
				return err
			}
			for i := range 2 * records.EndedAtOnce {
				if err := tx.CreateLink(storetest.NewLink(storetest.LiveLedger, fmt.Sprintf("link_%s_%d", id, i), id),
					storetest.NewEntry(storetest.LiveLedger)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
		return tx.DeleteFile("file_1", storetest.Epoch, storetest.NewEntry(storetest.LiveLedger))
	})
	batches := func() (n int64) {
		return storetest.Read(t, s, func(r service.Reader) (n int64, err error) {
			err = r.(*reader).session.One([]any{&n}, "SELECT COUNT(*) FROM batch")
			return n, err
		})
	}
	before := batches()
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			id := fmt.Sprintf("link_file_2_%d", caller)
			for range each {
				err := s.Update(service.Prefetch(storetest.Background, id), storetest.LiveLedger,
					func(tx service.Tx) error {
						l, err := tx.Link(storetest.LiveLedger, id)
						if err != nil || !l.Revoked.IsZero() {
							return errors.Join(err, fmt.Errorf("link %s was revoked at %s", id, l.Revoked))
						}
						return tx.Redeemed(id, storetest.Epoch, storetest.NewEntry(storetest.LiveLedger))
					})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if rows := batches() - before; rows > callers*each/2 {
		t.Errorf("%d redemptions made %d rows of the log", callers*each, rows)
	}
}

// testEndLinksFails lets a commit fail that would have marked links. None of them counts as marked.
func testEndLinksFails(t *testing.T, s *Store) {
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
		err := tx.CreateFile(storetest.NewFile(storetest.LiveLedger, "file_1"),
			storetest.NewEntry(storetest.LiveLedger))
		for i := range 2 * records.EndedAtOnce {
			err = errors.Join(err, tx.CreateLink(storetest.NewLink(storetest.LiveLedger, fmt.Sprint("link_", i),
				"file_1"), storetest.NewEntry(storetest.LiveLedger)))
		}
		return err
	})
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
		return tx.DeleteFile("file_1", storetest.Epoch, storetest.NewEntry(storetest.LiveLedger))
	})
	sound := s.db.Sound
	s.db.Sound = func(*sqldb.Conn) bool { return false }
	if n, more, err := s.EndLinks(storetest.Background); n != 0 || more || err == nil {
		t.Errorf("a commit that fails: %d marked, more %v, %v", n, more, err)
	}
	s.db.Sound = sound
	if n, more, err := s.EndLinks(storetest.Background); n != records.EndedAtOnce || more || err != nil {
		t.Errorf("the next commit: %d marked, more %v, %v", n, more, err)
	}
}
