package records

import (
	"time"

	"sluice"
	"sluice/internal/store/sqldb"
)

func accountFields(a *sluice.Account) []any {
	return []any{&a.ID, &a.Name, (*sqldb.Time)(&a.Created)}
}

// Accounts implements service.Reader.
func (r *Reader) Accounts() ([]sluice.Account, error) {
	return sqldb.Many(r.Session, accountFields, "SELECT id, name, created FROM account ORDER BY created, id")
}

// Installation implements service.Reader. The migration that creates the table creates the id.
func (r *Reader) Installation() (id string, err error) {
	err = r.One([]any{&id}, "SELECT id FROM installation")
	return id, err
}

// SigningKeys implements service.Reader.
func (r *Reader) SigningKeys() ([]string, error) {
	fields := func(id *string) []any { return []any{id} }
	return sqldb.Many(r.Session, fields, "SELECT id FROM signing_key ORDER BY created, id")
}

// CreateAccount implements service.Tx.
func (t *Tx) CreateAccount(a sluice.Account, e sluice.Entry) error {
	return t.log.Change(e, "INSERT INTO account (id, name, created) VALUES ($1, $2, $3)",
		a.ID, a.Name, sqldb.Micros(a.Created))
}

// AddSigningKey implements service.Tx.
func (t *Tx) AddSigningKey(id string, now time.Time, e sluice.Entry) error {
	return t.log.Change(e, "INSERT INTO signing_key (id, created) VALUES ($1, $2)", id, sqldb.Micros(now))
}
