package store_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"sluice"
	"sluice/internal/store"
	"sluice/sluicetest"
)

// onEach runs a test on every kind of database, given by its URL, "" for SQLite.
func onEach(t *testing.T, test func(t *testing.T, database string)) {
	t.Run("SQLite", func(t *testing.T) { test(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, sluicetest.Postgres(t)) })
}

// openStore opens a Store on a database of onEach, a new one when that is SQLite.
func openStore(t testing.TB, database string) (s *store.Store) {
	t.Helper()
	var err error
	if database == "" {
		s, err = store.OpenSQLite(filepath.Join(t.TempDir(), "sluice.db"), store.Options{})
	} else {
		s, err = store.OpenPostgres(ctx, database, store.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// openRaw opens the database of a service beside it, as someone who tampers with a log does.
func openRaw(t testing.TB, s *sluicetest.Service) *sql.DB {
	t.Helper()
	driver, name := "sqlite", filepath.Join(s.Dir, "sluice.db")+"?_busy_timeout=5000&_synchronous=OFF"
	if s.Database != "" {
		// The simple protocol takes several statements at once.
		driver, name = "pgx", s.Database+"&default_query_exec_mode=simple_protocol"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t testing.TB, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// ledgerNumber is the number that stands for a ledger in all tables.
func ledgerNumber(t testing.TB, db *sql.DB, l sluice.LedgerID) (n int64) {
	t.Helper()
	if err := db.QueryRow("SELECT id FROM ledger WHERE account = $1 AND mode = $2", l.Account,
		string(l.Mode)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
