package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/sluicetest"
)

// Damage of the index and of tiles is repaired from the entries. Damage of the entries is not, and no index is made
// from them.
func TestFsckRepairs(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testRepairs(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { testRepairs(t, sluicetest.Postgres(t)) })
}

// reparable are changes of what is stored of a log with the number $1, and whether they are repaired.
var reparable = []struct {
	name, damage string
	repaired     bool
}{
	{"an index without links", fromIndex + "'link'", true},
	{"an index with a row too many", intoIndex + "'link', 'link_x', 300, x'00')", true},
	{"an index with a row beyond its end", intoIndex + "'link', 'link_x', 3000000, x'00')", true},
	{"an index with a damaged row", "UPDATE entry_index SET seqs = x'ff'" + firstOf7, true},
	{"no index at all", "DELETE FROM entry_index WHERE ledger = $1", true},
	{"a lost tile", "DELETE FROM tile WHERE ledger = $1 AND level = 0 AND idx = 2", true},
	{"another tile", copyTile + " WHERE ledger = $1 AND level = 0 AND idx = 2", true},
	{"a lost batch and no index", "DELETE FROM batch" + oneBatch, false},
}

func testRepairs(t *testing.T, database string) {
	s := sluicetest.NewServiceOn(t, database)
	s.Tampered = true
	l := indexedLog(t, s, 2000)
	whole := ofLink7(t, s, l)
	db := openBeside(t, s)
	number := ledgerNumber(t, db, l)
	for i, test := range reparable {
		if database != "" && i%3 != 2 { // takes longer, and the code is the same
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			if !test.repaired {
				defer keepTables(t, db, number)()
				sqlRun(t, db, fromIndex+"'link'", number)
			}
			sqlRun(t, db, literals(test.damage, database != ""), number)
			r := checked(t, s)
			if len(r.Findings) == 0 {
				t.Fatal("the damage was not found")
			}
			if err := r.Repair(t.Context(), s.Service, s.Store); err != nil {
				t.Fatal(err)
			}
			after := checked(t, s)
			switch {
			case test.repaired && (len(r.Repairs) != 1 || len(after.Findings) != 0):
				t.Errorf("%v; left:\n%s", r.Repairs, findingLines(after))
			case !test.repaired && (len(r.Repairs) != 0 || !strings.Contains(strings.Join(r.Notes, "\n"), "restore a backup")):
				t.Errorf("%v %q", r.Repairs, r.Notes)
			}
			if test.repaired {
				if n := ofLink7(t, s, l); n != whole {
					t.Errorf("a list has %d of %d entries", n, whole)
				}
			}
		})
	}
}

// While the index is rebuilt, and after a crash in the middle, lists are complete and writers go on; another repair
// continues.
func TestInterruptedIndexRepair(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testInterruptedRepair(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { testInterruptedRepair(t, sluicetest.Postgres(t)) })
}

func testInterruptedRepair(t *testing.T, database string) {
	s := sluicetest.NewServiceOn(t, database)
	s.Tampered = true
	l := indexedLog(t, s, store.MaxTail+2500)
	whole := ofLink7(t, s, l)
	db := openBeside(t, s)
	sqlRun(t, db, fromIndex+"'link'", ledgerNumber(t, db, l))
	if done, err := s.Store.RestartIndex(t.Context(), l); err != nil || done {
		t.Fatal(done, err)
	}
	if n := ofLink7(t, s, l); n != whole {
		t.Errorf("in the middle, a list has %d of %d entries", n, whole)
	}
	for range 3 { // a writer leaves the index alone
		recordEntries(t, s.Store, l, 300)
	}
	s.Checkpoint(t)
	r := checked(t, s)
	if lines := findingLines(r); !strings.Contains(lines, "the repair of the index has not ended") {
		t.Fatalf("found %s", lines)
	}
	e, err := s.Store.Extent(t.Context(), l)
	if err != nil || e.Indexed != 0 {
		t.Fatalf("the index reaches to %d, %v", e.Indexed, err)
	}
	if err := r.Repair(t.Context(), s.Service, s.Store); err != nil {
		t.Fatal(err)
	}
	if lines := findingLines(checked(t, s)); lines != "" {
		t.Errorf("after the repair:\n%s", lines)
	}
	if e, err = s.Store.Extent(t.Context(), l); err != nil || e.Next-e.Indexed >= 512 {
		t.Errorf("the index reaches to %d of %d, %v", e.Indexed, e.Next, err)
	}
	recordEntries(t, s.Store, l, 300)
	if lines := findingLines(checked(t, s)); lines != "" {
		t.Errorf("after more entries:\n%s", lines)
	}
}

// A repair that is killed is finished by the next one, and the command says what it did.
func TestKilledRepair(t *testing.T) {
	data, c := smallInstallation(t)
	long, err := store.OpenSQLite(filepath.Join(data, databaseName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := sluice.LedgerID{Mode: sluice.Live}
	err = long.View(t.Context(), func(r service.Reader) error {
		accounts, err := r.Accounts()
		if err == nil {
			l.Account = accounts[0].ID
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	recordEntries(t, long, l, 3*store.MaxTail)
	if err := long.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, data, "DELETE FROM entry_index WHERE field = 'link'")
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "fsck", "--data", data, "--repair")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	db := openDatabase(t, data)
	deadline := time.Now().Add(time.Minute)
	for indexed := int64(-1); indexed < 2048 || indexed > store.MaxTail; {
		row := db.QueryRow("SELECT MIN(indexed) FROM ledger WHERE account = $1 AND mode = 'live'", l.Account)
		if err := row.Scan(&indexed); err != nil || time.Now().After(deadline) {
			t.Fatal("the repair was not seen under way", indexed, err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if code, said := fsckRun(t, data); code != exitFailed || !strings.Contains(said, "the index has not ended") {
		t.Errorf("fsck: exit %d: %s", code, said)
	}
	code, said := fsckRun(t, data, "--repair")
	for deadline = time.Now().Add(time.Minute); strings.Contains(said, "another repair"); { // until its lease is over
		if time.Now().After(deadline) {
			t.Fatal(said)
		}
		time.Sleep(time.Second)
		code, said = fsckRun(t, data, "--repair")
	}
	if code != 0 || !strings.Contains(said, "repaired: index ") || !strings.Contains(said, "0 problems were found") ||
		!strings.Contains(said, "fsck repaired the database") {
		t.Errorf("prints %s", said)
	}
	change(t, data, "DELETE FROM tile WHERE level = 0 AND idx = 0", "UPDATE link SET max_downloads = 5")
	code, said = fsckRun(t, data, "--repair", "--json")
	if code != exitFailed || !strings.Contains(said, `{"repair":"log",`) ||
		!strings.Contains(said, "rows are not changed") {
		t.Errorf("a tile, and an edited row: exit %d: %s", code, said)
	}
	change(t, data, "UPDATE link SET max_downloads = 0")
	p := startServer(t, data)
	c.verify(t, p.url)
	p.stop()
}

// ofLink7 returns the number of entries that a list finds by the link link_7.
func ofLink7(t *testing.T, s *sluicetest.Service, l sluice.LedgerID) (n int) {
	t.Helper()
	err := s.Store.View(t.Context(), func(r service.Reader) error {
		for page := (sluice.Page{Limit: sluice.MaxPageSize}); ; {
			list, err := r.Entries(l, service.EntryFilter{LinkID: "link_7"}, page)
			if n += len(list.Data); err != nil || !list.More {
				return err
			}
			page.After = list.Data[len(list.Data)-1].ID
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// One repair runs at a time: another says so, and changes nothing.
func TestFsckRefusesASecondRepair(t *testing.T) {
	s := sluicetest.NewServiceOn(t, "")
	s.Tampered = true
	l := indexedLog(t, s, 300)
	db := openBeside(t, s)
	sqlRun(t, db, fromIndex+"'link'", ledgerNumber(t, db, l))
	r := checked(t, s)
	ran, err := s.Store.Exclusive(t.Context(), "fsck repair", func(ctx context.Context) error {
		return r.Repair(ctx, s.Service, s.Store)
	})
	if !ran || sluice.CodeOf(err) != sluice.CodeConflict || len(r.Repairs) != 0 {
		t.Fatalf("%v %v, repaired %v", ran, err, r.Repairs)
	}
	if err := r.Repair(t.Context(), s.Service, s.Store); err != nil || len(r.Repairs) != 1 {
		t.Fatalf("%v, repaired %v", err, r.Repairs)
	}
}
