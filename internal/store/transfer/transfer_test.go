package transfer_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/internal/store/transfer"
	"sluice/sluicetest"
)

var ctx = context.Background()

// entries counts the entries that record has made.
var entries int

// record puts n entries into a ledger.
func record(t testing.TB, s *store.Store, l sluice.LedgerID, n int) {
	t.Helper()
	for n > 0 {
		some := min(5000, n)
		n -= some
		err := s.Update(ctx, l, func(tx service.Tx) error {
			for range some {
				entries++
				e := sluice.Entry{
					ID: fmt.Sprintf("aud_%010d%016d", entries, 0), Ledger: l,
					Time:   time.UnixMicro(int64(entries)).UTC(),
					Action: sluice.LinkRedeemed, Outcome: sluice.Allowed, Actor: sluice.Actor{Type: sluice.ActorBearer},
					Request: &sluice.Request{ID: "req_1", Method: "GET", Route: "/l/{token}", IP: "203.0.113.7",
						UserAgent: "curl/8"},
				}
				if err := tx.Record(e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func openStore(t testing.TB, database string) *store.Store {
	t.Helper()
	s, err := store.OpenPostgres(ctx, database, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustExec(t testing.TB, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.Exec(query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// movable makes an installation in SQLite that no process has open. change adds entries to it.
func movable(t *testing.T) (path string, change func(entries int)) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sluice.db")
	l := sluice.LedgerID{Account: "acct_1", Mode: sluice.Live}
	change = func(entries int) {
		t.Helper()
		s, err := store.OpenSQLite(path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		record(t, s, l, entries)
	}
	s, err := store.OpenSQLite(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	err = s.Update(ctx, l, func(tx service.Tx) error {
		entry := func(id string) sluice.Entry {
			return sluice.Entry{ID: id, Ledger: l, Time: now, Action: sluice.AccountCreated, Outcome: sluice.Allowed,
				Actor: sluice.Actor{Type: sluice.ActorSystem, Name: "test"}}
		}
		if err := tx.CreateAccount(sluice.Account{ID: l.Account, Name: "a", Created: now},
			entry("aud_account")); err != nil {
			return err
		}
		return tx.AddSigningKey("sign_1", now, entry("aud_signing"))
	})
	if err != nil {
		t.Fatal(err)
	}
	return path, change
}

func open(t *testing.T, path, database string) *transfer.Transfer {
	t.Helper()
	m, err := transfer.Open(ctx, path, database, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func closeTransfer(t *testing.T, m *transfer.Transfer) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCopiesEverything compares the columns of both databases and those that are copied. A column that a migration
// adds is copied, or fails this test.
func TestCopiesEverything(t *testing.T) {
	database := sluicetest.Postgres(t)
	path, _ := movable(t)
	openStore(t, database).Close()
	columns := func(driver, name, query string) (all []string) {
		db, err := sql.Open(driver, name)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		rows, err := db.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var table, column string
			if err := rows.Scan(&table, &column); err != nil {
				t.Fatal(err)
			}
			if table != "goose_db_version" && !strings.HasPrefix(table, "sqlite_") {
				all = append(all, table+"."+column)
			}
		}
		slices.Sort(all)
		return all
	}
	have := columns("sqlite", path, "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE"+
		" t.type = 'table'")
	want := columns("pgx", database, "SELECT table_name, column_name FROM information_schema.columns WHERE"+
		" table_schema = 'public'")
	if diff := cmp.Diff(want, have); diff != "" || len(want) < 60 {
		t.Errorf("columns (-PostgreSQL +SQLite):\n%s", diff)
	}
	m := open(t, path, database)
	moved := columns("pgx", database, "SELECT table_name, column_name FROM information_schema.columns WHERE"+
		" table_schema = 'public' AND table_name NOT IN ('lease', 'probe')")
	if diff := cmp.Diff(moved, m.Columns()); diff != "" {
		t.Errorf("columns (-there +moved):\n%s", diff)
	}
}

// TestContinues breaks a transfer off, changes the source, and continues.
func TestContinues(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short")
	}
	database := sluicetest.Postgres(t)
	path, change := movable(t)
	change(40_000)
	m := open(t, path, database)
	if _, err := store.OpenSQLite(path, store.Options{}); err == nil {
		t.Error("the source can be opened during the transfer")
	}
	// A server that had opened the database before it was marked.
	early := openStore(t, database)
	if err := m.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	started, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	if ran, err := early.Exclusive(started, "start", func(context.Context) error { return nil }); ran || err != nil {
		t.Errorf("a server starts on a database that is being filled: %v %v", ran, err)
	}
	broken, cancel := context.WithCancel(ctx)
	if _, err := m.Copy(broken, func(_ string, rows int64) {
		if rows >= 1000 {
			cancel()
		}
	}); err == nil {
		t.Fatal("the copy was not broken off")
	}
	closeTransfer(t, m)
	if _, err := store.OpenPostgres(ctx, database, store.Options{}); err == nil ||
		!strings.Contains(err.Error(), "run the same sluice migrate again") {
		t.Errorf("a half filled database was opened: %v", err)
	}
	other, _ := movable(t)
	db, err := sql.Open("sqlite", other)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, "UPDATE signing_key SET id = 'sign_other'")
	db.Close()
	if _, err := transfer.Open(ctx, other, database, store.Options{}); err == nil ||
		!strings.Contains(err.Error(), "another installation") {
		t.Errorf("another installation was accepted: %v", err)
	}

	change(700) // copied rows change, and rows are added
	m = open(t, path, database)
	if !m.Begun() || m.Done() {
		t.Errorf("begun %v, done %v", m.Begun(), m.Done())
	}
	if err := m.Check(ctx); err == nil {
		t.Error("a half filled database passes the check")
	}
	rows, err := m.Copy(ctx, func(string, int64) {})
	if err != nil || rows < 1200 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	if err := m.Check(ctx); err != nil {
		t.Error(err)
	}
	raw, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	mustExec(t, raw, "UPDATE batch SET leaves = leaves || '\\x20' WHERE first <= 1234 AND ledger = (SELECT ledger"+
		" FROM batch GROUP BY ledger ORDER BY max(first) DESC LIMIT 1) AND first > 1234 - 32")
	if err := m.Check(ctx); err == nil || !strings.Contains(err.Error(), "table batch") {
		t.Errorf("a row that was changed there: %v", err)
	}
	if _, err := m.Copy(ctx, func(string, int64) {}); err != nil {
		t.Fatal(err)
	}
	if err := m.Check(ctx); err != nil {
		t.Error(err)
	}
	if err := m.Finish(ctx); err != nil {
		t.Fatal(err)
	}
	closeTransfer(t, m)
	s := openStore(t, database)
	record(t, s, sluice.LedgerID{Account: "acct_1", Mode: sluice.Live}, 10)
	record(t, s, sluice.LedgerID{Account: "acct_new", Mode: sluice.Live}, 1) // a ledger with a number of its own
	if m = open(t, path, database); !m.Done() {
		t.Error("the transfer has finished, and Done is false")
	}
}
