package store_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/sluicetest"
)

// movable makes an installation in SQLite that nobody has open any more, but by
// change, which changes it.
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
			return sluice.Entry{ID: id, Ledger: l, Time: now, Action: sluice.AccountCreated, Outcome: sluice.Allowed, Actor: sluice.Actor{Type: sluice.ActorSystem, Name: "test"}}
		}
		if err := tx.CreateAccount(sluice.Account{ID: l.Account, Name: "a", Created: now}, entry("aud_account")); err != nil {
			return err
		}
		return tx.AddSigningKey("sign_1", now, entry("aud_signing"))
	})
	if err != nil {
		t.Fatal(err)
	}
	return path, change
}

func openMove(t *testing.T, path, database string) *store.Move {
	t.Helper()
	m, err := store.OpenMove(ctx, path, database, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func closeMove(t *testing.T, m *store.Move) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

// Every column of one database is in the other, but those of the tables that
// stay: so what a migration adds moves, or fails here.
func TestMoveMovesEverything(t *testing.T) {
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
	have := columns("sqlite", path, "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'")
	want := columns("pgx", database, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'")
	if diff := cmp.Diff(want, have); diff != "" || len(want) < 60 {
		t.Errorf("columns (-PostgreSQL +SQLite):\n%s", diff)
	}
	m := openMove(t, path, database)
	moved := columns("pgx", database, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT IN ('lease', 'probe')")
	if diff := cmp.Diff(moved, m.Columns()); diff != "" {
		t.Errorf("columns (-there +moved):\n%s", diff)
	}
}

// A move that was broken off goes on, with what the source has become meanwhile.
func TestMoveAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short")
	}
	database := sluicetest.Postgres(t)
	path, change := movable(t)
	change(40_000)
	m := openMove(t, path, database)
	if _, err := store.OpenSQLite(path, store.Options{}); err == nil {
		t.Error("the source can be opened while it moves")
	}
	// One that had the database open before it was marked.
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
		t.Fatal("it was not broken off")
	}
	closeMove(t, m)
	if _, err := store.OpenPostgres(ctx, database, store.Options{}); err == nil || !strings.Contains(err.Error(), "run the same sluice migrate again") {
		t.Errorf("half of it is opened: %v", err)
	}
	other, _ := movable(t)
	db, err := sql.Open("sqlite", other)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, "UPDATE signing_key SET id = 'sign_other'")
	db.Close()
	if _, err := store.OpenMove(ctx, other, database, store.Options{}); err == nil || !strings.Contains(err.Error(), "another installation") {
		t.Errorf("another installation moves on top of it: %v", err)
	}

	change(700) // rows that were moved change, and others come
	m = openMove(t, path, database)
	if !m.Begun() || m.Done() {
		t.Errorf("begun %v, done %v", m.Begun(), m.Done())
	}
	if err := m.Check(ctx); err == nil {
		t.Error("half of it passes for the whole")
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
	mustExec(t, raw, "UPDATE batch SET leaves = leaves || '\\x20' WHERE first <= 1234 AND ledger = (SELECT ledger FROM batch GROUP BY ledger ORDER BY max(first) DESC LIMIT 1) AND first > 1234 - 32")
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
	closeMove(t, m)
	s := openStore(t, database)
	record(t, s, sluice.LedgerID{Account: "acct_1", Mode: sluice.Live}, 10)
	record(t, s, sluice.LedgerID{Account: "acct_new", Mode: sluice.Live}, 1) // a ledger with a number of its own
	if m = openMove(t, path, database); !m.Done() {
		t.Error("it has finished and does not say so")
	}
}
