package store

import (
	"database/sql"
	"testing"
)

// NewPostgres makes an empty database and gives its URL. It is set by the tests
// outside of the package: sluicetest imports what is tested here.
var NewPostgres func(testing.TB) string

func TestPostgres(t *testing.T) {
	testStore(t, func(t *testing.T) database {
		url := NewPostgres(t)
		return database{
			open: func() (*Store, error) { return OpenPostgres(ctx, url, Options{}) },
			exec: func(query string) error { return execPostgres(url, query) },
		}
	})
}

func execPostgres(url, query string) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(query)
	return err
}
