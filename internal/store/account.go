package store

import (
	"time"

	"sluice"
)

func accountFields(a *sluice.Account) []any {
	return []any{&a.ID, &a.Name, (*moment)(&a.Created)}
}

func (r *reader) Accounts() ([]sluice.Account, error) {
	return many(r, accountFields, "SELECT id, name, created FROM account ORDER BY created, id")
}

func (r *reader) SigningKeys() ([]string, error) {
	fields := func(id *string) []any { return []any{id} }
	return many(r, fields, "SELECT id FROM signing_key ORDER BY created, id")
}

func (t *tx) CreateAccount(a sluice.Account, e sluice.Entry) error {
	return t.change(e, "INSERT INTO account (id, name, created) VALUES ($1, $2, $3)", a.ID, a.Name, micros(a.Created))
}

func (t *tx) AddSigningKey(id string, now time.Time, e sluice.Entry) error {
	return t.change(e, "INSERT INTO signing_key (id, created) VALUES ($1, $2)", id, micros(now))
}
