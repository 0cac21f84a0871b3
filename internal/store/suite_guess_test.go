package store

import (
	"errors"
	"sluice/internal/service"
	"testing"
	"time"

	"sluice"
)

// testGuesses counts wrong passwords as the root does, from two stores on one database.
func testGuesses(t *testing.T, db database) {
	here, there, everywhere := sluice.Digest{1}, sluice.Digest{2}, sluice.Digest{}
	today := epoch.Truncate(24 * time.Hour)
	yesterday := today.Add(-24 * time.Hour)
	first, second := openStore(t, db), openStore(t, db)

	// guess adds one to what is kept, and refuses with an entry.
	guess := func(s *Store, l sluice.LedgerID, link string, from sluice.Digest, day time.Time) {
		t.Helper()
		update(t, s, l, func(tx service.Tx) error {
			g, err := tx.Guesses(l, link, from, day)
			if err != nil {
				return err
			}
			g.N, g.Last = g.N+1, day.Add(time.Duration(g.N+1)*time.Microsecond)
			return errors.Join(tx.SetGuesses(g), tx.Record(newEntry(l)))
		})
	}
	want := func(s *Store, l sluice.LedgerID, link string, from sluice.Digest, day time.Time, n int64) {
		t.Helper()
		got := read(t, s, func(r service.Reader) (service.Guesses, error) { return r.Guesses(l, link, from, day) })
		g := service.Guesses{LinkID: link, Address: from, Day: day, N: n}
		if n > 0 {
			g.Last = day.Add(time.Duration(n) * time.Microsecond)
		}
		wantEqual(t, got, g)
	}

	want(first, live, "link_1", here, today, 0)       // of a ledger that has no entry yet, too
	for _, l := range []sluice.LedgerID{live, test} { // a ledger with a link has entries
		update(t, first, l, func(tx service.Tx) error { return tx.Record(newEntry(l)) })
	}
	for _, s := range []*Store{first, second, first} {
		guess(s, live, "link_1", here, today)
	}
	guess(second, live, "link_1", there, today)
	guess(second, live, "link_1", everywhere, today)
	guess(first, live, "link_1", here, yesterday)
	guess(first, live, "link_2", here, yesterday)
	guess(first, test, "link_1", here, today)
	update(t, first, live, func(tx service.Tx) error { // is seen within its own Update
		g := service.Guesses{LinkID: "link_3", Address: here, Day: today, N: 7, Last: today}
		if err := tx.SetGuesses(g); err != nil {
			return err
		}
		got, err := tx.Guesses(live, "link_3", here, today)
		wantEqual(t, got, g)
		return errors.Join(err, tx.Record(newEntry(live)))
	})
	failure := errors.New("failure")
	err := first.Update(ctx, live, func(tx service.Tx) error { // leaves nothing
		return errors.Join(tx.SetGuesses(service.Guesses{LinkID: "link_4", Address: here, Day: today, N: 1, Last: today}), failure)
	})
	if !errors.Is(err, failure) {
		t.Errorf("got %v, want the function's error", err)
	}

	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	second = openStore(t, db)
	for _, s := range []*Store{first, second} {
		want(s, live, "link_1", here, today, 3)
		want(s, live, "link_1", there, today, 1)
		want(s, live, "link_1", everywhere, today, 1)
		want(s, live, "link_1", here, yesterday, 1)
		want(s, live, "link_2", here, today, 0)
		want(s, live, "link_4", here, today, 0)
		want(s, test, "link_1", here, today, 1)
		want(s, other, "link_1", here, today, 0)
	}

	forget := func(before time.Time, rows int) {
		t.Helper()
		n, err := second.ForgetGuesses(ctx, before)
		if n != rows || err != nil {
			t.Errorf("%d rows from before %v are forgotten, %v; want %d", n, before, err, rows)
		}
	}
	forget(yesterday, 0)
	forget(today, 2)
	forget(today, 0)
	want(first, live, "link_1", here, yesterday, 0)
	want(first, live, "link_1", here, today, 3)
	forget(today.Add(24*time.Hour), 5)
	want(first, live, "link_1", here, today, 0)
}
