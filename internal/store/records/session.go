package records

import (
	"maps"
	"slices"
	"time"

	"sluice"
	"sluice/internal/store/sqldb"
)

const sessionColumns = "id, hash, key_id, issuer, subject, email, name, scopes, created, expires, ended, used, seal"

func sessionFields(s *sluice.Session) []any {
	return []any{
		&s.ID, (*sqldb.Digest)(&s.Hash), &s.KeyID, &s.Person.Issuer, &s.Person.Subject, &s.Person.Email, &s.Person.Name,
		(*scopes)(&s.Scopes), (*sqldb.Time)(&s.Created), (*sqldb.Time)(&s.Expires), (*sqldb.Time)(&s.Ended),
		(*sqldb.Time)(&s.Used), (*optionalDigest)(&s.Seal),
	}
}

// maxSessions bounds how many ledgers a token may have a session in.
const maxSessions = 100

// SessionsByHash implements service.Reader.
func (r *Reader) SessionsByHash(hash sluice.Digest) ([]sluice.Session, error) {
	return sqldb.Many(r.Session, func(s *sluice.Session) []any {
		return append(sessionFields(s), &s.Ledger.Account, (*string)(&s.Ledger.Mode))
	}, SessionsByHash, hash[:], maxSessions)
}

// The queries of Reader.SessionsByHash and Reader.SessionsOfPerson.
var (
	SessionsByHash = "SELECT " + sessionColumns + ", " + ledgerName("session") +
		" FROM session WHERE hash = $1 ORDER BY ledger LIMIT $2"
	SessionsOfPerson = "SELECT " + sessionColumns + ", " + ledgerName("session") +
		" FROM session WHERE subject = $1 AND issuer = $2 AND key_id = '' AND ended IS NULL AND expires > $3" +
		" ORDER BY created DESC LIMIT $4 OFFSET $5"
)

// SessionByID implements service.Reader.
func (r *Reader) SessionByID(l sluice.LedgerID, id string) (s sluice.Session, err error) {
	ledger, err := r.LedgerNumber(l)
	if err == nil {
		s.Ledger = l
		err = r.OneUnbuffered(sessionFields(&s),
			"SELECT "+sessionColumns+" FROM session WHERE id = $1 AND ledger = $2", id, ledger)
	}
	return s, err
}

// maxSessionsOfPerson bounds how many sessions of a person are read at once.
const maxSessionsOfPerson = 1000

// SessionsOfPerson implements service.Reader.
func (r *Reader) SessionsOfPerson(issuer, subject string, now time.Time, skip int) ([]sluice.Session, error) {
	return sqldb.Many(r.Session, func(s *sluice.Session) []any {
		return append(sessionFields(s), &s.Ledger.Account, (*string)(&s.Ledger.Mode))
	}, SessionsOfPerson, subject, issuer, sqldb.Micros(now), maxSessionsOfPerson, skip)
}

// Sessions implements service.Reader.
func (r *Reader) Sessions(l sluice.LedgerID, p sluice.Page) (sluice.List[sluice.Session], error) {
	return list(r, l, sessionListing(), p, func(s *sluice.Session) []any {
		s.Ledger = l
		return sessionFields(s)
	})
}

func sessionListing() listing {
	return listing{
		columns: sessionColumns, table: "session", ledger: "ledger", at: "created", tie: "id", least: "",
		created: sqldb.Everything, cursorQuery: "SELECT created, id FROM session WHERE id = $1 AND ledger = $2",
	}
}

// SessionRows returns up to limit sessions of all ledgers with ids after one, in the order of their ids.
func (r *Reader) SessionRows(after string, limit int) ([]Row[sluice.Session], error) {
	return rows(r, func(row *Row[sluice.Session]) []any { return append(sessionFields(&row.Value), &row.Ledger) },
		"SELECT "+sessionColumns+", ledger FROM session WHERE id > $1 ORDER BY id LIMIT $2", after, limit)
}

// CreateSession implements service.Tx.
func (t *Tx) CreateSession(s sluice.Session, e sluice.Entry) error {
	ledger, err := t.log.EnsureLedger(s.Ledger)
	if err != nil {
		return err
	}
	return t.log.Change(e, "INSERT INTO session (ledger, "+sessionColumns+")"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
		ledger, s.ID, s.Hash[:], s.KeyID, s.Person.Issuer, s.Person.Subject, s.Person.Email, s.Person.Name,
		scopes(s.Scopes).text(), sqldb.Micros(s.Created), sqldb.Micros(s.Expires), sqldb.Micros(s.Ended),
		sqldb.Micros(s.Used), optionalDigest(s.Seal).bytes())
}

// EndSession implements service.Tx.
func (t *Tx) EndSession(id string, now time.Time, e sluice.Entry) error {
	return t.log.Change(e, "UPDATE session SET ended = $3, seal = NULL WHERE id = $1 AND ledger = $2 AND ended IS NULL",
		id, t.log.LedgerHead().ID, sqldb.Micros(now))
}

// SessionsUsed stores when sessions of any ledger were last used. An unknown session, and a time older than what is
// stored, change nothing.
func SessionsUsed(t *Tx, used map[string]time.Time) error {
	for _, id := range slices.Sorted(maps.Keys(used)) { // in one order, so that two processes do not deadlock
		_, err := t.log.Exec("UPDATE session SET used = $2 WHERE id = $1 AND (used IS NULL OR used < $2)",
			id, sqldb.Micros(used[id]))
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteSessions deletes sessions that expired before a time.
var DeleteSessions = deleteBefore("DELETE FROM session WHERE id IN" +
	" (SELECT id FROM session WHERE expires < $1 ORDER BY expires LIMIT $2)")
