package store

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/storetest"
)

// TestDistrustedLongLog has a log that is longer than what lists may read without the index. They fail where that does
// not suffice; ids that the index has are found all the same, and lists without filters are paged to their end.
func TestDistrustedLongLog(t *testing.T) {
	s, err := OpenSQLite(filepath.Join(t.TempDir(), "sluice.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.ledgers.MaxUnindexed = 100
	const entries = 3000 // so many that most of them are indexed
	for from := 0; from < entries; from += 500 {
		storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error {
			for i := from; i < from+500; i++ {
				e := storetest.NewEntry(storetest.LiveLedger)
				e.ID = fmt.Sprintf("aud_%09d%017d", i, i)
				e.Link = &sluice.LinkPart{ID: fmt.Sprint("link_", i%2)}
				if err := tx.Record(e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	s.DistrustIndex(storetest.LiveLedger, true)
	list := func(f service.EntryFilter, p sluice.Page) (l sluice.List[sluice.Entry], err error) {
		err = s.View(storetest.Background, func(r service.Reader) error {
			l, err = r.Entries(storetest.LiveLedger, f, p)
			return err
		})
		return l, err
	}

	old := fmt.Sprintf("aud_%09d%017d", 7, 7)
	err = s.View(storetest.Background, func(r service.Reader) error {
		_, err := r.Entry(storetest.LiveLedger, old)
		return err
	})
	if err != nil {
		t.Errorf("an old entry by its id: %v", err)
	}
	if l, err := list(service.EntryFilter{LinkID: "link_1"}, sluice.Page{Limit: 10}); err != nil || len(l.Data) != 10 {
		t.Errorf("the newest entries of a link: %d, %v", len(l.Data), err)
	}
	_, err = list(service.EntryFilter{LinkID: "link_none"}, sluice.Page{Limit: 10})
	storetest.WantCode(t, err, sluice.CodeUnavailable)
	_, err = list(service.EntryFilter{IDs: []string{"aud_none"}}, sluice.Page{Limit: 10})
	storetest.WantCode(t, err, sluice.CodeUnavailable)

	seen := 0
	for page, began := (sluice.Page{Limit: 100}), time.Now(); time.Since(began) < time.Minute; {
		l, err := list(service.EntryFilter{}, page)
		if err != nil {
			t.Fatalf("a list without filters after %d entries: %v", seen, err)
		}
		if seen += len(l.Data); !l.More {
			break
		}
		page.After = l.Data[len(l.Data)-1].ID
	}
	if seen != entries {
		t.Errorf("a list without filters has %d entries, want %d", seen, entries)
	}
}
