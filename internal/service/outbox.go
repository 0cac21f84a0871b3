package service

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// Mails has the rules of mails: when they are queued, what they say, and when they are given up. Package mail sends
// them.
type Mails struct {
	*core
	links *Links
}

const (
	mailPrefix = "mail_" // of ids
	// mailLasts is how long it is tried to send a mail that does not expire earlier.
	mailLasts = 24 * time.Hour
	// noticeGathers is how long a notice of a download or refusal waits for others: a person who opens a link does so
	// more than once.
	noticeGathers = 2 * time.Minute
	// noticePause is the shortest time between two notices of one kind of a link. So a link sends at most 24 mails a
	// day about downloads, and as many about refusals, however often it is used.
	noticePause = time.Hour
	// UnopenedBefore is how long before the end of a link it is told that nobody has opened it; half the lifetime if
	// that is shorter.
	UnopenedBefore = 24 * time.Hour
	// firstRetry and longRetry bound the wait before a mail is tried again. It doubles with each attempt. A code is
	// good for ten minutes, so it does not wait for long.
	firstRetry    = 30 * time.Second
	longRetry     = time.Hour
	firstCodeWait = 5 * time.Second
	longCodeWait  = time.Minute
)

// ErrWithheld says that a mail is not to be sent any more: its address was erased or is not notified any more, or what
// it would tell is no longer so.
var ErrWithheld = errors.New("the mail is not to be sent any more")

// ErrLinkEnded says that a mail would bring a link or a code that cannot be used any more.
var ErrLinkEnded = errors.New("the link has ended")

// newMail makes a mail about an entry.
func (s *core) newMail(l sluice.Link, kind MailKind, entry string, due, now time.Time) Mail {
	return Mail{
		ID: s.ids.New(mailPrefix, now), Ledger: l.Ledger, LinkID: l.ID, Kind: kind, Entry: entry,
		Language: l.Access.Get().Language, Count: 1, Queued: due, Due: due, Expires: due.Add(mailLasts),
	}
}

// QueueCode queues the mail with the code of a challenge, in the Update that records the entry of LinkCodeSent, which
// has the address. The code is good until expires, and the mail is given up then.
func (s *Mails) QueueCode(
	tx Tx, l sluice.Link, challenge, entry, language string, expires, now time.Time,
) error {
	m := s.newMail(l, MailCode, entry, now, now)
	m.Challenge, m.Language, m.Expires = challenge, cmp.Or(l.Access.Get().Language, language), expires
	return tx.QueueMail(m)
}

// Downloaded queues the notices of a download that counts, in the Update that records its entry, if the link has any.
func (s *Mails) Downloaded(tx Tx, l sluice.Link, entry string, now time.Time) error {
	if l.Access == nil {
		return nil
	}
	for _, on := range l.Access.Notify.On {
		var err error
		switch on {
		case sluice.FirstDownload:
			err = tx.QueueMail(s.newMail(l, MailFirstDownload, entry, now.Add(noticeGathers), now))
		case sluice.EveryDownload:
			err = tx.QueueMail(s.newMail(l, MailEveryDownload, entry, now.Add(noticeGathers), now))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Refused queues the notice of refusals, in the Update that records their entry, if the link has one.
func (s *Mails) Refused(tx Tx, l sluice.Link, entry string, count int64, now time.Time) error {
	if !slices.Contains(l.Access.Get().Notify.On, sluice.RefusedAccess) {
		return nil
	}
	m := s.newMail(l, MailRefused, entry, now.Add(noticeGathers), now)
	m.Count = count
	return tx.QueueMail(m)
}

// queueUnopened queues the notice that nobody has opened a link, for its time before the end, or removes it if the
// link has none. Whether somebody has opened it is read at that time.
func (s *Links) queueUnopened(tx Tx, l sluice.Link, entry string, now time.Time) error {
	wanted := slices.Contains(l.Access.Get().Notify.On, sluice.Unopened) && !l.Expires.IsZero() &&
		l.Revoked.IsZero() && !l.Expired(now)
	if !wanted {
		_, err := tx.RemoveMail(Mail{Ledger: l.Ledger, LinkID: l.ID, Kind: MailUnopened})
		return err
	}
	due := l.Expires.Add(-min(UnopenedBefore, l.Expires.Sub(l.Created)/2))
	m := s.newMail(l, MailUnopened, entry, due, now)
	m.Expires = l.Expires
	return tx.QueueMail(m)
}

// send records that a link is sent to its recipient, and queues the mail.
func (s *Links) send(tx Tx, c Caller, f sluice.File, l sluice.Link, now time.Time) error {
	e := s.linkEntry(c, sluice.LinkSent, now, f, l)
	to := l.Access.Get().Recipient
	e.Recipient = &sluice.RecipientPart{Email: to.Email, Name: to.Name}
	return errors.Join(tx.Record(e), tx.QueueMail(s.newMail(l, MailLink, e.ID, now, now)))
}

// Due returns up to limit mails whose time has come, codes first, without those that skip names by their ids. skip
// names at most skipped.
func (s *Mails) Due(ctx context.Context, limit, skipped int, skip func(id string) bool) (list []Mail, err error) {
	now := s.now()
	err = s.store.View(ctx, func(r Reader) error {
		for rank := range int64(NoticeRank + 1) {
			due, err := r.MailsDue(rank, now, limit+skipped)
			if err != nil {
				return err
			}
			list = append(list, slices.DeleteFunc(due, func(m Mail) bool { return skip(m.ID) })...)
		}
		return nil
	})
	return list[:min(len(list), limit)], err
}

// State returns how many mails could be sent now, and since when.
func (s *Mails) State(ctx context.Context) (state MailState, now time.Time, err error) {
	now = s.now()
	err = s.store.View(ctx, func(r Reader) (err error) {
		state, err = r.MailState(now)
		return err
	})
	return state, now, err
}

// Over reports whether it is too late to send a mail. A notice that nobody has opened a link is read first: if somebody
// has, nothing failed.
func (s *Mails) Over(m Mail) bool {
	return m.Count > 0 && m.Kind != MailUnopened && !s.now().Before(m.Expires)
}

// Read reads what a mail says. It returns ErrWithheld or ErrLinkEnded if it is not to be sent.
func (s *Mails) Read(ctx context.Context, m Mail) (l Letter, err error) {
	l.Mail, l.Now = m, s.now()
	err = s.store.View(ctx, func(r Reader) (err error) {
		if l.Link, err = r.Link(m.Ledger, m.LinkID); err != nil {
			return err
		}
		if l.File, err = r.File(m.Ledger, l.Link.FileID); err != nil {
			return err
		}
		if m.Count == 0 {
			return ErrWithheld
		}
		return s.read(r, &l)
	})
	if err == nil && l.Address == "" {
		err = ErrWithheld
	}
	return l, err
}

func (s *Mails) read(r Reader, l *Letter) (err error) {
	access, ended := l.Link.Access.Get(), l.Link.Expired(l.Now) || !l.Link.Revoked.IsZero() || !l.File.Active()
	l.Language, l.Verifies = cmp.Or(l.Language, access.Language), access.Verifies()
	switch l.Kind {
	case MailCode, MailLink:
		if ended {
			return ErrLinkEnded
		}
	default:
		if slices.Contains(access.Notify.On, sluice.NotifyOn(l.Kind)) {
			l.Address = access.Notify.Email
		}
	}
	if l.Kind == MailUnopened {
		opened, err := isOpened(r, l.Link)
		switch {
		case err != nil:
			return err
		case opened || !l.Link.Revoked.IsZero() || !l.File.Active():
			return ErrWithheld
		case ended:
			return ErrLinkEnded
		}
		return nil
	}
	e, err := r.Entry(l.Ledger, l.Entry)
	if err != nil {
		return err
	}
	l.At, l.Refusal = e.Time, e.Refusal
	person := cmp.Or(e.Recipient, &sluice.RecipientPart{})
	switch l.Kind {
	case MailCode:
		c, err := r.Challenge(l.Ledger, l.Link.ID, l.Challenge)
		if err != nil && sluice.CodeOf(err) != sluice.CodeNotFound {
			return err
		}
		if c.Ended() { // another entry of the person was redacted
			return ErrWithheld
		}
		l.Address, l.Name, l.Code = person.Email, person.Name, s.links.Code(l.Link, l.Challenge)
		return nil
	case MailLink:
		if access.Recipient.Email != "" { // it may be erased from the link alone, or from the entry alone
			l.Address, l.Name, l.Message = person.Email, person.Name, access.Message
		}
		l.URL, err = s.links.URL(l.Link)
		return err
	}
	l.By = person.Email
	if e.Delivery != nil && l.Count == 1 && !opens(e) {
		return ErrWithheld
	}
	return nil
}

// isOpened reports whether something of a link's file was sent, or may have been: a download is under way, or its
// server ended before it could say. It looks at the newest sluice.MaxPageSize redemptions, and takes a link that has
// more for opened.
func isOpened(r Reader, l sluice.Link) (bool, error) {
	if l.Downloads == 0 {
		return false, nil
	}
	list, err := r.Entries(l.Ledger, EntryFilter{LinkID: l.ID, Action: sluice.LinkRedeemed},
		sluice.Page{Limit: sluice.MaxPageSize})
	return list.More || slices.ContainsFunc(list.Data, opens), err
}

// opens reports whether a redemption has sent something of the file, or may have.
func opens(e sluice.Entry) bool {
	d := e.Delivery
	if d == nil || d.Returned || e.Request != nil && e.Request.Method == "HEAD" {
		return false
	}
	content := d.Status == 200 || d.Status == 206 || d.Status == 303 // 303 leads to the bytes
	return content && (d.Sent == nil || d.Sent.Bytes > 0 || d.Sent.Complete)
}

// Sent notes that the mail server has accepted a mail. A notice leaves its row, which holds the next one back.
func (s *Mails) Sent(ctx context.Context, l Letter) error {
	now := s.now()
	next := l.Mail
	next.ID, next.Count, next.Attempts = s.ids.New(mailPrefix, now), 0, 0
	switch l.Kind {
	case MailFirstDownload: // there is no other first download
		next.Due = endOf(l.Link, now)
	case MailEveryDownload, MailRefused:
		next.Due = now.Add(noticePause)
	default:
		return s.store.SetMail(ctx, l.Mail, nil)
	}
	next.Queued, next.Expires = next.Due, next.Due.Add(mailLasts)
	return s.store.SetMail(ctx, l.Mail, &next)
}

// endOf is when a link ends, or a time that nobody will see.
func endOf(l sluice.Link, now time.Time) time.Time {
	if l.Expires.IsZero() {
		return now.Add(longestLifetime)
	}
	return l.Expires
}

// Withhold ends a mail that is not to be sent. The row that holds back a notice of the first download stays until its
// link has ended.
func (s *Mails) Withhold(ctx context.Context, l Letter) error {
	now := s.now()
	if l.Kind != MailFirstDownload || l.Count > 0 || !endOf(l.Link, now).After(now) {
		return s.store.SetMail(ctx, l.Mail, nil)
	}
	next := l.Mail
	next.Due = endOf(l.Link, now)
	next.Queued, next.Expires = next.Due, next.Due.Add(mailLasts)
	return s.store.SetMail(ctx, l.Mail, &next)
}

// Retry has a mail sent again later.
func (s *Mails) Retry(ctx context.Context, m Mail) error {
	wait, longest := firstRetry, longRetry
	if m.Kind == MailCode {
		wait, longest = firstCodeWait, longCodeWait
	}
	next := m
	next.Due = s.now().Add(min(wait<<min(m.Attempts, 20), longest))
	next.Attempts++
	return s.store.SetMail(ctx, m, &next)
}

// GiveUp records that a mail will never be sent, and removes it. The problem must not have personal data.
func (s *Mails) GiveUp(ctx context.Context, m Mail, problem string) error {
	c := system(m.Ledger, "mail")
	return s.changeBySystem(ctx, c, func(tx Tx, now time.Time) error {
		removed, err := tx.RemoveMail(m)
		if err != nil || !removed {
			return err
		}
		l, err := tx.Link(m.Ledger, m.LinkID)
		if err != nil {
			return err
		}
		f, err := tx.File(m.Ledger, l.FileID)
		if err != nil {
			return err
		}
		e := s.links.linkEntry(c, sluice.LinkMailFailed, now, f, l)
		e.Mail = &sluice.MailPart{Kind: string(m.Kind), Problem: audit.Clip(problem, maxMailProblem)}
		seq, _, err := tx.Sealed(m.Ledger, m.Entry)
		if err != nil {
			return err
		}
		e.Subject = &sluice.EntryPart{ID: m.Entry, Seq: seq}
		return tx.Record(e)
	})
}

// maxMailProblem bounds the text of a MailPart in characters.
const maxMailProblem = 200
