package records

import (
	"time"

	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

const mailColumns = "link_id, kind, challenge, id, entry, language, n, queued, due, expires, attempts"

func mailFields(m *service.Mail) []any {
	return []any{
		&m.LinkID, (*string)(&m.Kind), &m.Challenge, &m.ID, &m.Entry, &m.Language, &m.Count,
		(*sqldb.Time)(&m.Queued), (*sqldb.Time)(&m.Due), (*sqldb.Time)(&m.Expires), &m.Attempts,
		&m.Ledger.Account, (*string)(&m.Ledger.Mode),
	}
}

// MailsDue implements service.Reader.
func (r *Reader) MailsDue(rank int64, now time.Time, limit int) ([]service.Mail, error) {
	return sqldb.Many(r.Session, mailFields, MailsDue, rank, sqldb.Micros(now), limit)
}

// MailsDue is the query of Reader.MailsDue.
var MailsDue = "SELECT " + mailColumns + ", " + ledgerName("mail") +
	" FROM mail WHERE rank = $1 AND due <= $2 ORDER BY due LIMIT $3"

// MailState implements service.Reader.
func (r *Reader) MailState(now time.Time) (s service.MailState, err error) {
	err = r.OneUnbuffered([]any{&s.Waiting, (*sqldb.Time)(&s.Oldest)},
		"SELECT count(*), min(queued) FROM mail WHERE n > 0 AND queued <= $1", sqldb.Micros(now))
	return s, err
}

// QueueMail implements service.Tx.
func (t *Tx) QueueMail(m service.Mail) error {
	ledger, err := t.log.EnsureLedger(m.Ledger)
	if err != nil {
		return err
	}
	conflict := queueConflict[m.Kind]
	if conflict == "" {
		conflict = replaceMail
	}
	_, err = t.log.Exec("INSERT INTO mail (ledger, rank, "+mailColumns+")"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"+
		" ON CONFLICT (ledger, link_id, kind, challenge) DO "+conflict,
		ledger, m.Kind.Rank(), m.LinkID, string(m.Kind), m.Challenge, m.ID, m.Entry, m.Language, m.Count,
		sqldb.Micros(m.Queued), sqldb.Micros(m.Due), sqldb.Micros(m.Expires), m.Attempts)
	return err
}

// What becomes of a mail when another one of its link, kind and challenge is queued.
const (
	keepMail    = "NOTHING"
	countMail   = "UPDATE SET n = mail.n + excluded.n WHERE mail.n > 0" // 0: it was sent
	addToMail   = "UPDATE SET n = mail.n + excluded.n, entry = excluded.entry"
	replaceMail = "UPDATE SET id = excluded.id, entry = excluded.entry, language = excluded.language, n = excluded.n," +
		" queued = excluded.queued, due = excluded.due, expires = excluded.expires, attempts = excluded.attempts"
)

var queueConflict = map[service.MailKind]string{
	service.MailCode: keepMail, service.MailFirstDownload: countMail,
	service.MailEveryDownload: addToMail, service.MailRefused: addToMail,
}

// RemoveMail implements service.Tx.
func (t *Tx) RemoveMail(m service.Mail) (removed bool, err error) {
	ledger, err := t.log.EnsureLedger(m.Ledger)
	if err != nil {
		return false, err
	}
	n, err := t.log.Exec("DELETE FROM mail WHERE ledger = $1 AND link_id = $2 AND kind = $3 AND challenge = $4"+
		" AND ($5 = '' OR id = $5)", ledger, m.LinkID, string(m.Kind), m.Challenge, m.ID)
	return n > 0, err
}

// SetMail is service.Store.SetMail, in an unlogged write.
func SetMail(t *Tx, m service.Mail, next *service.Mail) error {
	ledger, err := t.LedgerNumber(m.Ledger)
	if err != nil {
		return err
	}
	const which = " WHERE ledger = $1 AND link_id = $2 AND kind = $3 AND challenge = $4 AND id = $5"
	if next == nil {
		_, err = t.log.Exec("DELETE FROM mail"+which+" AND n <= $6", ledger, m.LinkID, string(m.Kind), m.Challenge, m.ID,
			m.Count)
		return err
	}
	_, err = t.log.Exec("UPDATE mail SET id = $6, n = n - $7, queued = $8, due = $9, expires = $10, attempts = $11"+which,
		ledger, m.LinkID, string(m.Kind), m.Challenge, m.ID, next.ID, m.Count-next.Count,
		sqldb.Micros(next.Queued), sqldb.Micros(next.Due), sqldb.Micros(next.Expires), next.Attempts)
	return err
}
