package storetest

import (
	"errors"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// testGuesses counts wrong passwords as the gate does, from two stores on one database.
func testGuesses(t *testing.T, db Database) {
	here, there, everywhere := sluice.Digest{1}, sluice.Digest{2}, sluice.Digest{}
	today := Epoch.Truncate(24 * time.Hour)
	yesterday := today.Add(-24 * time.Hour)
	first, second := openStore(t, db), openStore(t, db)

	// guess counts one more wrong password, and records an entry.
	guess := func(s service.Store, l sluice.LedgerID, link string, from sluice.Digest, day time.Time) {
		t.Helper()
		Update(t, s, l, func(tx service.Tx) error {
			g, err := tx.Guesses(l, link, from, day)
			if err != nil {
				return err
			}
			g.N, g.Last = g.N+1, day.Add(time.Duration(g.N+1)*time.Microsecond)
			return errors.Join(tx.SetGuesses(g), tx.Record(NewEntry(l)))
		})
	}
	want := func(s service.Store, l sluice.LedgerID, link string, from sluice.Digest, day time.Time, n int64) {
		t.Helper()
		got := Read(t, s, func(r service.Reader) (service.Guesses, error) { return r.Guesses(l, link, from, day) })
		g := service.Guesses{LinkID: link, Address: from, Day: day, N: n}
		if n > 0 {
			g.Last = day.Add(time.Duration(n) * time.Microsecond)
		}
		WantEqual(t, got, g)
	}

	want(first, LiveLedger, "link_1", here, today, 0)             // also in a ledger without entries
	for _, l := range []sluice.LedgerID{LiveLedger, TestLedger} { // a ledger with a link has entries
		Update(t, first, l, func(tx service.Tx) error { return tx.Record(NewEntry(l)) })
	}
	for _, s := range []service.Store{first, second, first} {
		guess(s, LiveLedger, "link_1", here, today)
	}
	guess(second, LiveLedger, "link_1", there, today)
	guess(second, LiveLedger, "link_1", everywhere, today)
	guess(first, LiveLedger, "link_1", here, yesterday)
	guess(first, LiveLedger, "link_2", here, yesterday)
	guess(first, TestLedger, "link_1", here, today)
	Update(t, first, LiveLedger, func(tx service.Tx) error { // is seen within its own Update
		g := service.Guesses{LinkID: "link_3", Address: here, Day: today, N: 7, Last: today}
		if err := tx.SetGuesses(g); err != nil {
			return err
		}
		got, err := tx.Guesses(LiveLedger, "link_3", here, today)
		WantEqual(t, got, g)
		return errors.Join(err, tx.Record(NewEntry(LiveLedger)))
	})
	failure := errors.New("failure")
	err := first.Update(Background, LiveLedger, func(tx service.Tx) error { // leaves nothing
		return errors.Join(tx.SetGuesses(service.Guesses{LinkID: "link_4", Address: here, Day: today, N: 1,
			Last: today}), failure)
	})
	if !errors.Is(err, failure) {
		t.Errorf("got %v, want the function's error", err)
	}

	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	second = openStore(t, db)
	for _, s := range []service.Store{first, second} {
		want(s, LiveLedger, "link_1", here, today, 3)
		want(s, LiveLedger, "link_1", there, today, 1)
		want(s, LiveLedger, "link_1", everywhere, today, 1)
		want(s, LiveLedger, "link_1", here, yesterday, 1)
		want(s, LiveLedger, "link_2", here, today, 0)
		want(s, LiveLedger, "link_4", here, today, 0)
		want(s, TestLedger, "link_1", here, today, 1)
		want(s, OtherLedger, "link_1", here, today, 0)
	}

	forget := func(before time.Time, rows int) {
		t.Helper()
		n, err := second.ForgetGuesses(Background, before)
		if n != rows || err != nil {
			t.Errorf("%d rows from before %v are deleted, %v; want %d", n, before, err, rows)
		}
	}
	forget(yesterday, 0)
	forget(today, 2)
	forget(today, 0)
	want(first, LiveLedger, "link_1", here, yesterday, 0)
	want(first, LiveLedger, "link_1", here, today, 3)
	forget(today.Add(24*time.Hour), 5)
	want(first, LiveLedger, "link_1", here, today, 0)
}
