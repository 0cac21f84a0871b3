package store

import (
	"time"

	"sluice"
	"sluice/internal/store/sqldb"
)

func accountFields(a *sluice.Account) []any {
	return []any{&a.ID, &a.Name, (*sqldb.Time)(&a.Created)}
}

func (r *reader) Accounts() ([]sluice.Account, error) {
	return sqldb.Many(r.Session, accountFields, "SELECT id, name, created FROM account ORDER BY created, id")
}

func (r *reader) SigningKeys() ([]string, error) {
	fields := func(id *string) []any { return []any{id} }
	return sqldb.Many(r.Session, fields, "SELECT id FROM signing_key ORDER BY created, id")
}

func (t *tx) CreateAccount(a sluice.Account, e sluice.Entry) error {
	return t.change(e, "INSERT INTO account (id, name, created) VALUES ($1, $2, $3)", a.ID, a.Name, sqldb.Micros(a.Created))
}

func (t *tx) AddSigningKey(id string, now time.Time, e sluice.Entry) error {
	return t.change(e, "INSERT INTO signing_key (id, created) VALUES ($1, $2)", id, sqldb.Micros(now))
}
