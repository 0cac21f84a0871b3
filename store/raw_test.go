package store_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"sluice"
	"sluice/sluicetest"
)

// openRaw opens the database of a service beside it, as whoever tampers with a
// log does.
func openRaw(t testing.TB, s *sluicetest.Service) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.Dir, "sluice.db")+"?_busy_timeout=5000&_synchronous=OFF")
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
	if err := db.QueryRow("SELECT id FROM ledger WHERE account = $1 AND mode = $2", l.Account, string(l.Mode)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
