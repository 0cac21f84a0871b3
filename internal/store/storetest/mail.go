package storetest

import (
	"errors"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// testMail queues mails and brings them to an end as the outbox does, from two stores on one database.
func testMail(t *testing.T, db Database) {
	first, second := openStore(t, db), openStore(t, db)
	newMail := func(l sluice.LedgerID, link string, kind service.MailKind, id string, due time.Time) service.Mail {
		return service.Mail{
			ID: id, Ledger: l, LinkID: link, Kind: kind, Entry: "aud_of_" + id, Language: "de", Count: 1,
			Queued: due, Due: due, Expires: due.Add(24 * time.Hour),
		}
	}
	queue := func(s service.Store, mails ...service.Mail) {
		t.Helper()
		for _, m := range mails {
			Update(t, s, m.Ledger, func(tx service.Tx) error {
				return errors.Join(tx.Record(NewEntry(m.Ledger)), tx.QueueMail(m))
			})
		}
	}
	due := func(s service.Store, kind service.MailKind, now time.Time, want ...service.Mail) {
		t.Helper()
		got := Read(t, s, func(r service.Reader) ([]service.Mail, error) { return r.MailsDue(kind.Rank(), now, 10) })
		if len(want) == 0 {
			want = nil
		}
		WantEqual(t, got, want)
	}
	set := func(s service.Store, m service.Mail, next *service.Mail) {
		t.Helper()
		if err := s.SetMail(Background, m, next); err != nil {
			t.Fatal(err)
		}
	}
	wantState := func(now time.Time, waiting int64, oldest time.Time) {
		t.Helper()
		got := Read(t, first, func(r service.Reader) (service.MailState, error) { return r.MailState(now) })
		WantEqual(t, got, service.MailState{Waiting: waiting, Oldest: oldest})
	}

	wantState(Epoch, 0, time.Time{})
	later := Epoch.Add(time.Minute)
	code := newMail(LiveLedger, "link_1", service.MailCode, "mail_1", Epoch)
	code.Challenge = "c1"
	other := newMail(TestLedger, "link_1", service.MailCode, "mail_2", Epoch.Add(-time.Second))
	other.Challenge = "c2"
	link := newMail(LiveLedger, "link_1", service.MailLink, "mail_3", later)
	queue(first, code, other)
	queue(second, link)
	due(second, service.MailCode, Epoch, other, code)
	due(first, service.MailLink, Epoch)
	due(first, service.MailLink, later, link)
	wantState(Epoch, 2, other.Due)
	wantState(later, 3, other.Due)
	got := Read(t, first, func(r service.Reader) ([]service.Mail, error) { return r.MailsDue(0, later, 1) })
	WantEqual(t, got, []service.Mail{other})

	// An Update that fails queues nothing.
	failed := errors.New("no")
	err := first.Update(Background, LiveLedger, func(tx service.Tx) error {
		return errors.Join(tx.QueueMail(newMail(LiveLedger, "link_9", service.MailLink, "mail_9", Epoch)), failed)
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	due(first, service.MailLink, later, link)

	// What becomes of a second mail of the same link and kind.
	for kind, want := range map[service.MailKind]func(a, b service.Mail) service.Mail{
		service.MailFirstDownload: func(a, _ service.Mail) service.Mail { a.Count = 2; return a },
		service.MailEveryDownload: func(a, b service.Mail) service.Mail { a.Count, a.Entry = 2, b.Entry; return a },
		service.MailRefused:       func(a, b service.Mail) service.Mail { a.Count, a.Entry = 2, b.Entry; return a },
		service.MailUnopened:      func(_, b service.Mail) service.Mail { return b },
	} {
		a := newMail(LiveLedger, "link_2", kind, "mail_a", Epoch)
		b := newMail(LiveLedger, "link_2", kind, "mail_b", later)
		queue(first, a)
		queue(second, b)
		due(first, kind, later, want(a, b))
		Update(t, second, LiveLedger, func(tx service.Tx) error {
			for m, want := range map[service.Mail]bool{
				{LinkID: "link_3", Kind: kind}: false, {LinkID: "link_2", Kind: kind, ID: "mail_c"}: false,
				{LinkID: "link_2", Kind: service.MailLink}: false, {LinkID: "link_2", Kind: kind, Challenge: "c"}: false,
			} {
				m.Ledger = LiveLedger
				if removed, err := tx.RemoveMail(m); removed != want || err != nil {
					t.Errorf("RemoveMail(%+v) = %v, %v", m, removed, err)
				}
			}
			removed, err := tx.RemoveMail(service.Mail{Ledger: LiveLedger, LinkID: "link_2", Kind: kind})
			if !removed {
				t.Errorf("the mail of kind %s was not removed", kind)
			}
			return errors.Join(err, tx.Record(NewEntry(LiveLedger)))
		})
		due(first, kind, later)
	}

	// A failed attempt, then success.
	retry := code
	retry.Due, retry.Attempts = later, 1
	set(first, code, &retry)
	due(second, service.MailCode, Epoch, other)
	due(second, service.MailCode, later, other, retry)
	set(second, retry, nil)
	set(second, other, nil)
	set(second, other, nil) // it is gone
	set(second, other, &retry)
	due(first, service.MailCode, later)

	// A mail that was replaced since it was read stays.
	replaced := newMail(LiveLedger, "link_1", service.MailLink, "mail_4", later)
	queue(first, replaced)
	set(first, link, nil)
	due(first, service.MailLink, later, replaced)

	// After a notice of two downloads the link is quiet, and the download that was added meanwhile waits for its end.
	told := newMail(LiveLedger, "link_4", service.MailEveryDownload, "mail_5", Epoch)
	queue(first, told)
	added := newMail(LiveLedger, "link_4", service.MailEveryDownload, "mail_6", Epoch)
	queue(second, added)
	set(first, told, nil) // it was read before the second was added
	quiet := told
	quiet.ID, quiet.Count, quiet.Queued, quiet.Due, quiet.Expires = "mail_7", 0, later, later, later.Add(time.Hour)
	set(first, told, &quiet)
	due(first, service.MailEveryDownload, Epoch)
	quiet.Count, quiet.Entry = 1, added.Entry
	due(first, service.MailEveryDownload, later, quiet)
	next := quiet
	next.ID, next.Count = "mail_8", 0
	set(first, quiet, &next)
	due(first, service.MailEveryDownload, later, next)
	wantState(later, 1, later) // a mail that tells of nothing does not wait
	set(first, next, nil)
	due(first, service.MailEveryDownload, later)
}
