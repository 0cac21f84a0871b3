package store

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/objectid"
	"sluice/internal/service"
	"sluice/internal/store/postgres"
	"sluice/internal/store/sqlite"
	"sluice/internal/store/storetest"
)

// TestMigrateEntries migrates a log with a row for each entry.
func TestMigrateEntries(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sluice.db")
		db, err := sql.Open("sqlite", sqlite.DSN(path))
		if err != nil {
			t.Fatal(err)
		}
		testMigrateEntries(t, db, goose.DialectSQLite3, sqlite.Migrations(), 3, func() (*Store, error) {
			return OpenSQLite(path, Options{})
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := NewPostgres(t)
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		testMigrateEntries(t, db, goose.DialectPostgres, postgres.Migrations(), 1, func() (*Store, error) {
			return OpenPostgres(storetest.Background, url, Options{})
		})
	})
}

func testMigrateEntries(t *testing.T, db *sql.DB, d goose.Dialect, files fs.FS, version int64,
	open func() (*Store, error)) {
	p, err := goose.NewProvider(d, db, files, goose.WithDisableGlobalRegistry(true))
	if err == nil {
		_, err = p.UpTo(storetest.Background, version)
	}
	if err != nil {
		t.Fatal(err)
	}
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatal(query, err)
		}
	}
	const entries, indexed = 40, 30
	exec("INSERT INTO ledger (account, mode, next, indexed, latest, longest) VALUES ($1, $2, $3, $4, 0, 0)",
		storetest.LiveLedger.Account, string(storetest.LiveLedger.Mode), entries, indexed)
	var want []sluice.Entry
	for seq := range int64(entries) {
		e := storetest.NewEntry(storetest.LiveLedger)
		e.Seq = seq
		e.Request = &sluice.Request{ID: fmt.Sprintf("req_%026d", seq), IP: "203.0.113.7", UserAgent: "é\nx"}
		sealed, err := audit.Seal(e, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		exec("INSERT INTO entry (ledger, seq, id, time, action, outcome, request_id, leaf, disclosures) VALUES (1,"+
			" $1, $2, $3, $4, $5, $6, $7, $8)",
			seq, e.ID, e.Time.UnixMicro(), string(e.Action), string(e.Outcome), e.Request.ID, sealed.Leaf,
			sealed.Disclosures)
		for field, value := range map[string]string{"action": string(e.Action), "outcome": string(e.Outcome),
			"request": e.Request.ID} {
			if seq < indexed {
				exec("INSERT INTO entry_index (ledger, field, value, first, seqs) VALUES (1, $1, $2, $3, $4)", field,
					value, seq, []byte{0})
			}
		}
		want = append([]sluice.Entry{e}, want...)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	more := storetest.NewEntry(storetest.LiveLedger)
	storetest.Update(t, s, storetest.LiveLedger, func(tx service.Tx) error { return tx.Record(more) })
	more.Seq = entries
	want = append([]sluice.Entry{more}, want...)
	for name, f := range map[string]service.EntryFilter{"all": {}, "action": {Action: "thing.done"},
		"outcome": {Outcome: sluice.Allowed}} {
		got := storetest.Read(t, s, func(r service.Reader) (sluice.List[sluice.Entry], error) {
			return r.Entries(storetest.LiveLedger, f, sluice.Page{Limit: 100})
		})
		t.Run(name, func(t *testing.T) { storetest.WantEqual(t, got.Data, want) })
	}
	for _, e := range want {
		storetest.WantEqual(t, storetest.Read(t, s, func(r service.Reader) (sluice.Entry,
			error) {
			return r.Entry(storetest.LiveLedger, e.ID)
		}), e)
		if e.Request == nil {
			continue
		}
		got := storetest.Read(t, s, func(r service.Reader) (sluice.List[sluice.Entry], error) {
			return r.Entries(storetest.LiveLedger, service.EntryFilter{RequestID: e.Request.ID}, sluice.Page{Limit: 10})
		})
		storetest.WantEqual(t, got.Data, []sluice.Entry{e})
	}
}

// TestMigrateInstallation migrates two copies of an old database. They get the same installation id, because their
// files are the same. Two new databases get different ids.
func TestMigrateInstallation(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		for _, version := range []int64{3, 5} {
			testMigrateInstallation(t, func(accounts ...sluice.Account) string {
				path := filepath.Join(t.TempDir(), "sluice.db")
				db, err := sql.Open("sqlite", sqlite.DSN(path))
				if err != nil {
					t.Fatal(err)
				}
				oldAccounts(t, db, goose.DialectSQLite3, sqlite.Migrations(), version, accounts)
				return installationOf(t, func() (*Store, error) { return OpenSQLite(path, Options{}) })
			})
		}
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		for _, version := range []int64{1, 3} {
			testMigrateInstallation(t, func(accounts ...sluice.Account) string {
				url := NewPostgres(t)
				db, err := sql.Open("pgx", url)
				if err != nil {
					t.Fatal(err)
				}
				oldAccounts(t, db, goose.DialectPostgres, postgres.Migrations(), version, accounts)
				return installationOf(t, func() (*Store, error) {
					return OpenPostgres(storetest.Background, url, Options{})
				})
			})
		}
	})
}

func testMigrateInstallation(t *testing.T, upgraded func(...sluice.Account) string) {
	t.Helper()
	account := func(raw byte, created time.Time) sluice.Account {
		return sluice.Account{ID: objectid.Format(sluice.PrefixAccount, [16]byte{15: raw}), Name: "an account",
			Created: created}
	}
	first, second := account(2, storetest.Epoch), account(1, storetest.Epoch.Add(time.Hour))
	ours := upgraded(first)
	if letters := regexp.MustCompile(`^[0-9a-z]{1,64}$`); !letters.MatchString(ours) {
		t.Errorf("the id %q is none that files can be marked with", ours)
	}
	if again := upgraded(second, first); again != ours {
		t.Errorf("a later copy has the id %q, want that of the first: %q", again, ours)
	}
	if other := upgraded(second); other == ours {
		t.Errorf("the database of another account has the same id %q", other)
	}
	if one, two := upgraded(), upgraded(); one == two {
		t.Errorf("two new databases have the same id %q", one)
	}
}

// oldAccounts makes a database of an older version with some accounts.
func oldAccounts(t *testing.T, db *sql.DB, d goose.Dialect, files fs.FS, version int64, accounts []sluice.Account) {
	t.Helper()
	p, err := goose.NewProvider(d, db, files, goose.WithDisableGlobalRegistry(true))
	if err == nil {
		_, err = p.UpTo(storetest.Background, version)
	}
	for _, a := range accounts {
		if err == nil {
			_, err = db.Exec("INSERT INTO account (id, name, created) VALUES ($1, $2, $3)", a.ID, a.Name,
				a.Created.UnixMicro())
		}
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// installationOf opens a database, which migrates it, and gives its id.
func installationOf(t *testing.T, open func() (*Store, error)) string {
	t.Helper()
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return storetest.Read(t, s, func(r service.Reader) (string, error) { return r.Installation() })
}
