package storetest

import (
	"errors"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// testChallenges keeps and counts codes as the gate does, from two stores on one database.
func testChallenges(t *testing.T, db Database) {
	first, second := openStore(t, db), openStore(t, db)
	ann, bob, here, there := sluice.Digest{1}, sluice.Digest{2}, sluice.Digest{3}, sluice.Digest{4}
	set := func(s service.Store, l sluice.LedgerID, c service.Challenge) {
		t.Helper()
		Update(t, s, l, func(tx service.Tx) error { return errors.Join(tx.SetChallenge(c), tx.Record(NewEntry(l))) })
	}
	counts := func(
		l sluice.LedgerID, link string, address, network sluice.Digest, now time.Time, want service.ChallengeCounts,
	) {
		t.Helper()
		for _, s := range []service.Store{first, second} {
			WantEqual(t, Read(t, s, func(r service.Reader) (service.ChallengeCounts, error) {
				return r.ChallengeCounts(l, link, address, network, now)
			}), want)
		}
	}
	read := func(s service.Store, l sluice.LedgerID, link, id string) (c service.Challenge, err error) {
		err = s.View(Background, func(r service.Reader) (err error) {
			c, err = r.Challenge(l, link, id)
			return err
		})
		return c, err
	}

	counts(LiveLedger, "link_1", ann, here, Epoch, service.ChallengeCounts{}) // also in a ledger without entries
	for _, l := range []sluice.LedgerID{LiveLedger, TestLedger} {
		Update(t, first, l, func(tx service.Tx) error { return tx.Record(NewEntry(l)) })
	}
	c := service.Challenge{LinkID: "link_1", ID: "one", Address: ann, Network: here, Entry: "aud_1", Created: Epoch}
	set(first, LiveLedger, c)
	c.Tries = 3
	set(second, LiveLedger, c)
	for _, s := range []service.Store{first, second} {
		got, err := read(s, LiveLedger, "link_1", "one")
		if err != nil {
			t.Fatal(err)
		}
		WantEqual(t, got, c)
		for _, other := range []struct {
			l        sluice.LedgerID
			link, id string
		}{
			{TestLedger, "link_1", "one"}, {LiveLedger, "link_2", "one"}, {LiveLedger, "link_1", "two"},
			{OtherLedger, "link_1", "one"},
		} {
			if _, err := read(s, other.l, other.link, other.id); sluice.CodeOf(err) != sluice.CodeNotFound {
				t.Errorf("%+v: %v", other, err)
			}
		}
	}
	failure := errors.New("failure")
	err := first.Update(Background, LiveLedger, func(tx service.Tx) error { // leaves nothing
		return errors.Join(tx.SetChallenge(service.Challenge{LinkID: "link_1", ID: "failed", Created: Epoch}), failure)
	})
	if !errors.Is(err, failure) {
		t.Errorf("got %v, want the function's error", err)
	}
	set(first, LiveLedger, service.Challenge{LinkID: "link_1", ID: "two", Address: bob, Network: here, Created: Epoch})
	c = service.Challenge{LinkID: "link_2", ID: "one", Address: ann, Network: there, Entry: "aud_2", Created: Epoch}
	set(first, LiveLedger, c)
	c.LinkID, c.Network, c.Entry = "link_1", here, "aud_3"
	set(first, TestLedger, c)

	counts(LiveLedger, "link_1", ann, here, Epoch,
		service.ChallengeCounts{Address: 1, Sent: 1, Unsent: 1, Network: 3, All: 3})
	counts(LiveLedger, "link_2", bob, there, Epoch, service.ChallengeCounts{Sent: 1, Network: 1, All: 3})
	counts(TestLedger, "link_1", ann, there, Epoch, service.ChallengeCounts{Address: 1, Sent: 1, Network: 1, All: 3})
	for _, side := range []time.Duration{1, -1} { // before them, too: the clock was set back
		after := func(d time.Duration) time.Time { return Epoch.Add(side * (d + time.Microsecond)) }
		counts(LiveLedger, "link_1", ann, here, after(service.AddressWindow),
			service.ChallengeCounts{Sent: 1, Unsent: 1, Network: 3, All: 3})
		counts(LiveLedger, "link_1", ann, here, after(service.NetworkWindow), service.ChallengeCounts{Sent: 1, Unsent: 1})
		counts(LiveLedger, "link_1", ann, here, after(service.LinkWindow), service.ChallengeCounts{})
	}
	for _, forget := range []struct {
		before time.Time
		rows   int
	}{{Epoch, 0}, {Epoch.Add(time.Microsecond), 4}, {Epoch.Add(time.Hour), 0}} {
		if n, err := second.ForgetChallenges(Background, forget.before); n != forget.rows || err != nil {
			t.Errorf("%d rows from before %v are deleted, %v; want %d", n, forget.before, err, forget.rows)
		}
	}
	counts(LiveLedger, "link_1", ann, here, Epoch, service.ChallengeCounts{})

	for _, c := range []service.Challenge{
		{LinkID: "link_4", ID: "ann", Address: ann}, {LinkID: "link_4", ID: "ann again", Address: ann},
		{LinkID: "link_4", ID: "bob", Address: bob}, {LinkID: "link_5", ID: "ann", Address: ann},
	} {
		c.Created = Epoch
		set(first, LiveLedger, c)
		set(first, TestLedger, c)
	}
	Update(t, second, LiveLedger, func(tx service.Tx) error {
		return errors.Join(tx.EndChallenges("link_4", ann), tx.Record(NewEntry(LiveLedger)))
	})
	for _, l := range []sluice.LedgerID{LiveLedger, TestLedger} {
		for _, at := range []struct{ link, id string }{
			{"link_4", "ann"}, {"link_4", "ann again"}, {"link_4", "bob"}, {"link_5", "ann"},
		} {
			c, err := read(first, l, at.link, at.id)
			ended := l == LiveLedger && at.link == "link_4" && at.id != "bob"
			if err != nil || c.Ended() != ended || c.Live(Epoch) == ended {
				t.Errorf("%s at %s in %v: ended %t, %v", at.id, at.link, l, c.Ended(), err)
			}
		}
	}

	for i, id := range []string{"sent", "older", "newer"} {
		c := service.Challenge{LinkID: "link_3", ID: id, Address: ann, Network: here}
		c.Created = Epoch.Add(time.Duration(i) * time.Second)
		if id == "sent" {
			c.Entry = "aud_4"
		}
		set(first, LiveLedger, c)
	}
	Update(t, second, LiveLedger, func(tx service.Tx) error {
		return errors.Join(tx.DropUnsentChallenge("link_3"), tx.Record(NewEntry(LiveLedger)))
	})
	for id, want := range map[string]sluice.Code{"sent": "", "older": sluice.CodeNotFound, "newer": ""} {
		if _, err := read(first, LiveLedger, "link_3", id); sluice.CodeOf(err) != want {
			t.Errorf("after the oldest that was not sent was dropped, %s: %v", id, err)
		}
	}
}
