package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/storetest"
)

// TestPersonalTerms finds entries by their recipient and client address, by the index and without it, and finds none
// that was redacted. The index has no address in clear, and is what the log says.
func TestPersonalTerms(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		s, err := OpenSQLite(filepath.Join(t.TempDir(), "sluice.db"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		testPersonalTerms(t, s)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		s, err := OpenPostgres(context.Background(), NewPostgres(t), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		testPersonalTerms(t, s)
	})
}

func testPersonalTerms(t *testing.T, s *Store) {
	l := storetest.LiveLedger
	ids := map[string][]string{} // of entries, newest first, by a term
	add := func(term, id string) { ids[term] = append([]string{id}, ids[term]...) }
	n := 0
	write := func(count int) {
		storetest.Update(t, s, l, func(tx service.Tx) error {
			for range count {
				e := storetest.NewEntry(l)
				e.Action = sluice.LinkVerified
				who, from := fmt.Sprintf("p%d@bank.example", n%7), fmt.Sprintf("192.0.2.%d", n%5)
				e.Request = &sluice.Request{ID: e.ID, IP: "127.0.0.1", ClientIP: from}
				if n%2 == 0 {
					e.Recipient = &sluice.RecipientPart{Email: who}
				} else {
					e.Link = &sluice.LinkPart{ID: "link_1", Limits: &sluice.LinkLimits{Disposition: sluice.Attachment},
						Access: &sluice.LinkAccess{Recipient: sluice.Recipient{Email: who}}}
				}
				add(who, e.ID)
				add(from, e.ID)
				n++
				if err := tx.Record(e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	list := func(f service.EntryFilter, p sluice.Page) (out []string) {
		t.Helper()
		p.Limit = 100
		for more := true; more; {
			page := storetest.Read(t, s, func(r service.Reader) (sluice.List[sluice.Entry], error) { return r.Entries(l, f, p) })
			for _, e := range page.Data {
				out = append(out, e.ID)
				p.After = e.ID
			}
			more = page.More
		}
		return out
	}
	found := func(when string) {
		t.Helper()
		for _, distrust := range []bool{false, true} {
			s.DistrustIndex(l, distrust)
			for term, want := range ids {
				f := service.EntryFilter{ClientIP: term}
				if strings.Contains(term, "@") {
					f = service.EntryFilter{Recipient: term}
				}
				if got := list(f, sluice.Page{}); !slices.Equal(got, want) {
					t.Errorf("%s, distrusted %v: %d entries of %s, want %d", when, distrust, len(got), term, len(want))
				}
			}
			both := service.EntryFilter{Recipient: "p3@bank.example", ClientIP: "192.0.2.3", LinkID: "link_1"}
			for _, id := range list(both, sluice.Page{}) {
				if !slices.Contains(ids["p3@bank.example"], id) || !slices.Contains(ids["192.0.2.3"], id) {
					t.Errorf("%s: %s passes another filter", when, id)
				}
			}
		}
		s.DistrustIndex(l, false)
		wantKeptIndex(t, s, l, when)
	}
	redact := func(id string) {
		t.Helper()
		storetest.Update(t, s, l, func(tx service.Tx) error {
			fields := []string{"/recipient/email", "/link/recipient/email", "/request/client_ip", "/request/ip"}
			return tx.Redact(service.RedactedRows{EntryID: id, Pointers: fields}, storetest.NewEntry(l))
		})
		for term := range ids {
			ids[term] = slices.DeleteFunc(ids[term], func(other string) bool { return other == id })
		}
	}
	write(600)
	write(100) // not indexed
	found("written")
	oldest := func(term string) string { return ids[term][len(ids[term])-1] }
	redact(oldest("p0@bank.example")) // the first of a row
	redact(ids["p1@bank.example"][0]) // not indexed
	redact(ids["p2@bank.example"][50])
	found("redacted")
	write(300) // the tail that is kept in memory had a redacted entry
	found("indexed after a redaction")
	for _, id := range slices.Clone(ids["p6@bank.example"]) {
		redact(id)
	}
	found("a person is gone")
}

// wantKeptIndex wants the index to be what the log says, without anything in clear.
func wantKeptIndex(t *testing.T, s *Store, l sluice.LedgerID, when string) {
	t.Helper()
	type place struct {
		IndexTerm
		seq int64
	}
	want, got := map[place]bool{}, map[place]bool{}
	extent, err := s.Extent(context.Background(), l)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ReadBatches(context.Background(), l, 0, extent.Indexed, 1<<20, func(b LogBatch) {
		for i, e := range b.Entries {
			for _, term := range e.Terms {
				if seq := b.First + int64(i); seq < extent.Indexed {
					want[place{term, seq}] = true
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ReadIndex(context.Background(), l, IndexRow{}, 1<<20, func(row IndexRow) {
		if strings.ContainsAny(row.Value, "@") || strings.HasPrefix(row.Value, "192.0.2.") {
			t.Errorf("%s: the index has %q in clear", when, row.Value)
		}
		if err := row.Places(func(seq int64) { got[place{row.IndexTerm, seq}] = true }); err != nil {
			t.Errorf("%s: %+v: %v", when, row.IndexTerm, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for p := range want {
		if !got[p] {
			t.Errorf("%s: the index lacks %+v", when, p)
			return
		}
	}
	for p := range got {
		if !want[p] {
			t.Errorf("%s: the index has %+v, and the log has not", when, p)
			return
		}
	}
}

// TestPersonalTermsOfOlderEntries finds entries that an older version indexed, which had no personal terms.
func TestPersonalTermsOfOlderEntries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.db")
	s, err := OpenSQLite(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	l := storetest.LiveLedger
	var want []string
	write := func(count int) {
		for range count {
			e := storetest.NewEntry(l)
			e.Request = &sluice.Request{ID: e.ID, ClientIP: "192.0.2.1"}
			want = append([]string{e.ID}, want...)
			storetest.Update(t, s, l, func(tx service.Tx) error { return tx.Record(e) })
		}
	}
	write(300)
	_, err = db.Exec("DELETE FROM entry_index WHERE field = 'client_ip'; UPDATE ledger SET personal_from = indexed")
	if err != nil {
		t.Fatal(err)
	}
	write(300)
	for _, up := range []bool{false, true} {
		page := sluice.Page{Limit: 100, Last: up}
		var got []string
		for more := true; more; {
			list := storetest.Read(t, s, func(r service.Reader) (sluice.List[sluice.Entry], error) {
				return r.Entries(l, service.EntryFilter{ClientIP: "192.0.2.1"}, page)
			})
			var ids []string
			for _, e := range list.Data {
				ids = append(ids, e.ID)
			}
			if more = list.More; up {
				got = append(ids, got...)
				page = sluice.Page{Limit: 100, Before: got[0]}
			} else {
				got = append(got, ids...)
				page.After = got[len(got)-1]
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("up %v: %d entries, want %d", up, len(got), len(want))
		}
	}
	wantKeptIndex(t, s, l, "after an update")
	s.ledgers.MaxUnindexed = 10
	err = s.View(context.Background(), func(r service.Reader) error {
		_, err := r.Entries(l, service.EntryFilter{ClientIP: "192.0.2.9"}, sluice.Page{Limit: 1})
		return err
	})
	storetest.WantCode(t, err, sluice.CodeUnavailable)
}

// TestErasedTerms erases entries of a person in steps while another process, which has the terms of the newest entries
// in memory, goes on to write. The index stays what the log says.
func TestErasedTerms(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sluice.db")
		testErasedTerms(t, func() (*Store, error) { return OpenSQLite(path, Options{}) })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := NewPostgres(t)
		testErasedTerms(t, func() (*Store, error) { return OpenPostgres(context.Background(), url, Options{}) })
	})
}

func testErasedTerms(t *testing.T, open func() (*Store, error)) {
	var stores [2]*Store
	for i := range stores {
		s, err := open()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		stores[i] = s
	}
	l, writer, eraser := storetest.LiveLedger, stores[0], stores[1]
	write := func(n int) {
		storetest.Update(t, writer, l, func(tx service.Tx) error {
			for i := range n {
				e := storetest.NewEntry(l)
				e.Action = sluice.LinkVerified
				e.Request = &sluice.Request{ID: e.ID, IP: "127.0.0.1", ClientIP: fmt.Sprintf("192.0.2.%d", i%3)}
				e.Recipient = &sluice.RecipientPart{Email: fmt.Sprintf("p%d@bank.example", i%2)}
				if err := tx.Record(e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	erased := 0
	erase := func() {
		t.Helper()
		for more, from := true, int64(0); more; {
			storetest.Update(t, eraser, l, func(tx service.Tx) error {
				term, err := tx.ErasureTerm(sluice.ErasedByRecipient, "p1@bank.example")
				if err != nil {
					return err
				}
				var found []service.ErasableEntry
				if found, from, more, err = tx.FindErasable(l, sluice.ErasedByRecipient, term, from, 50); err != nil {
					return err
				}
				step := service.ErasureStep{Erasure: service.PendingErasure{Erasure: sluice.Erasure{ID: "era_1"}}}
				for _, e := range found {
					step.Entries = append(step.Entries, service.ErasedEntry{Seq: e.Seq, Pointers: e.Sealed.Pointers(nil)})
				}
				erased += len(found)
				return tx.EraseStep(step)
			})
		}
	}
	write(300)
	write(100) // not indexed: the writer keeps their terms
	erase()
	wantKeptIndex(t, eraser, l, "erased")
	write(300) // indexes
	wantKeptIndex(t, eraser, l, "indexed after an erasure")
	if erased != 200 {
		t.Errorf("%d entries were erased", erased)
	}
	// The rest of a log whose index is not believed, or that an older version wrote, is read.
	eraser.DistrustIndex(l, true)
	erase()
	eraser.DistrustIndex(l, false)
	wantKeptIndex(t, eraser, l, "erased without the index")
	if erased != 350 {
		t.Errorf("%d entries were erased", erased)
	}
}
