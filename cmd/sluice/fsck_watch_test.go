package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice"
	"sluice/internal/maintain/fsck"
	"sluice/internal/obs"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// gauge reads a metric of a check; -1 when there is none.
func gauge(t testing.TB, r *prometheus.Registry, name, check string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == check {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

// foundBy gives the ids of the entries that a filter lets through, page by page.
func foundBy(t testing.TB, s *sluicetest.Service, f service.EntryFilter) (ids []string) {
	t.Helper()
	p := sluice.Page{Limit: 7}
	for {
		var list sluice.List[sluice.Entry]
		err := s.Store.View(t.Context(), func(r service.Reader) (err error) {
			list, err = r.Entries(s.Ledger(sluice.Test), f, p)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Data {
			ids = append(ids, e.ID)
		}
		if !list.More {
			return ids
		}
		p.After = ids[len(ids)-1]
	}
}

// A damaged index is noticed, told once, and not used, until it has been made anew as docs/operating.md says.
func TestDamagedIndexIsNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short")
	}
	t.Run("SQLite", func(t *testing.T) { testDamagedIndex(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { testDamagedIndex(t, sluicetest.Postgres(t)) })
}

func testDamagedIndex(t *testing.T, database string) {
	s := sluicetest.NewServiceOn(t, database)
	l := indexedLog(t, s, 3100)
	metrics := obs.New("test")
	said := &screen{}
	w := fsck.NewWatch(fsck.Config{
		Store: s.Store, Interval: fsck.Interval, Log: slog.New(slog.NewTextHandler(said, nil)),
		Observer: metrics, Now: s.Clock.Now,
	})
	look := func(want float64) {
		t.Helper()
		if err := w.CheckIndexes(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := gauge(t, metrics.Registry, "sluice_fsck_findings", "index"); (n > 0) != (want > 0) {
			t.Fatalf("%v findings, want %v: %s", n, want, said)
		}
	}
	if at := gauge(t, metrics.Registry, "sluice_fsck_completed_timestamp_seconds", "index"); at != 0 {
		t.Errorf("before the first check it was completed at %v", at)
	}
	if n := gauge(t, metrics.Registry, "sluice_fsck_findings", "pages"); n != -1 {
		t.Errorf("pages that are not checked have %v findings", n)
	}
	look(0)
	completed := gauge(t, metrics.Registry, "sluice_fsck_completed_timestamp_seconds", "index")
	if completed < 1 || said.String() != "" {
		t.Errorf("completed at %v: %s", completed, said)
	}

	at := time.Now().Add(-2 * time.Hour)
	later := sluice.TimeRange{GTE: &at}
	filters := map[string]service.EntryFilter{
		"link":            {LinkID: "link_7"},
		"link and action": {LinkID: "link_5", Action: "test.created"},
		"outcome":         {KeyID: "key_3", Outcome: sluice.Allowed},
		"ids": {IDs: []string{
			fmt.Sprintf("aud_%09d%017d", 100, 300), fmt.Sprintf("aud_%09d%017d", 5, 17), "none",
		}},
		"request":    {RequestID: fmt.Sprintf("req_%09d%017d", 50, 100)},
		"time":       {LinkID: "link_9", Created: later},
		"time alone": {Created: later},
	}
	want := map[string][]string{}
	for name, f := range filters {
		if want[name] = foundBy(t, s, f); len(want[name]) == 0 {
			t.Fatalf("nothing is found by %s", name)
		}
	}
	db := openBeside(t, s)
	number := ledgerNumber(t, db, l)
	sqlRun(t, db, fmt.Sprintf("CREATE TABLE kept AS SELECT first, time FROM batch WHERE ledger = %d", number))
	sqlRun(t, db, "DELETE FROM entry_index WHERE ledger = $1 AND (field <> 'link' OR value <> 'link_5')", number)
	sqlRun(t, db, "UPDATE batch SET time = 0 WHERE ledger = $1", number)
	if got := foundBy(t, s, filters["link"]); len(got) >= len(want["link"]) {
		t.Fatalf("nothing was hidden: %d", len(got))
	}
	look(0) // not due
	s.Clock.Advance(7 * fsck.Interval)
	look(1)
	for name, f := range filters {
		if got := foundBy(t, s, f); !slices.Equal(got, want[name]) {
			t.Errorf("%s: with a damaged index %d entries are found, want %d", name, len(got), len(want[name]))
		}
	}
	if err := s.Store.View(t.Context(), func(r service.Reader) error {
		_, err := r.Entry(l, want["link"][0])
		return err
	}); err != nil {
		t.Errorf("an entry by its id: %v", err)
	}
	told := said.String()
	if n := strings.Count(told, "check found a problem"); n != 10 ||
		!strings.Contains(told, "check found more problems") || !strings.Contains(told, "read from the log itself") {
		t.Errorf("told: %s", told)
	}
	s.Clock.Advance(time.Hour)
	look(1)
	if said.String() != told {
		t.Errorf("told again: %s", strings.TrimPrefix(said.String(), told))
	}

	sqlRun(t, db, "UPDATE batch SET time ="+
		" (SELECT time FROM kept WHERE kept.first = batch.first) WHERE ledger = $1", number)
	sqlRun(t, db, "DELETE FROM entry_index WHERE ledger = $1", number)
	sqlRun(t, db, "UPDATE ledger SET indexed = 0 WHERE id = $1", number)
	s.NewKey(t, l)
	s.Clock.Advance(time.Hour)
	look(0)
	if !strings.Contains(said.String(), "whole again") {
		t.Errorf("told: %s", said)
	}
	for name, f := range filters {
		if got := foundBy(t, s, f); name != "time alone" && !slices.Equal(got, want[name]) {
			t.Errorf("%s: with a new index %d entries are found, want %d", name, len(got), len(want[name]))
		}
	}
}

// damagePage overwrites the page in which a table begins.
func damagePage(t *testing.T, data, table string) {
	t.Helper()
	db := openDatabase(t, data)
	var root, size int64
	query := "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = $1"
	err := db.QueryRow(query, table).Scan(&root, &size)
	if err == nil {
		err = db.Close()
	}
	file := filepath.Join(data, databaseName)
	content, failed := os.ReadFile(file)
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	clear(content[(root-1)*size : root*size])
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A server on a damaged database says so in its log and its metrics, by itself.
func TestServerNoticesDamage(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if startServer(t, data).stop() != 0 {
		t.Fatal("the server did not stop well")
	}
	i := mustOpen(t, place{Data: data})
	accounts, err := i.service.Accounts.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	recordEntries(t, i.store, sluice.LedgerID{Account: accounts[0].ID, Mode: sluice.Test}, 1000)
	if err := i.close(); err != nil {
		t.Fatal(err)
	}
	change(t, data, "DELETE FROM entry_index WHERE field = 'link'")
	damagePage(t, data, "open_grant")

	before := checksAfter
	checksAfter = 0
	defer func() { checksAfter = before }()
	metrics := sluicetest.FreeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	printed, said := &screen{}, &screen{}
	done := make(chan int, 1)
	go func() {
		args := []string{"serve", "--listen", "127.0.0.1:0", "--metrics-listen", metrics, "--data", data}
		done <- run(ctx, args, printed, said)
	}()
	eventually(t, func() error {
		res, err := http.Get("http://" + metrics + "/metrics")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		for _, check := range []string{"pages", "index"} {
			for _, name := range []string{"sluice_fsck_findings", "sluice_fsck_completed_timestamp_seconds"} {
				if !regexp.MustCompile(name + `\{check="` + check + `"\} [1-9]`).Match(text) {
					return fmt.Errorf("%s of %s is not there: %s", name, check, said)
				}
			}
		}
		return nil
	})
	stop()
	if code := <-done; code != 0 {
		t.Errorf("the server exits with %d", code)
	}
	for _, text := range []string{
		`msg="check found a problem" check=pages`, `msg="check found a problem" check=index ledger=`,
		"read from the log itself",
	} {
		if !strings.Contains(said.String(), text) {
			t.Errorf("the log has no %q: %s", text, said)
		}
	}
	if code, out := fsckRun(t, data); code != 1 || !strings.Contains(out, "pages: ") {
		t.Errorf("fsck: exit %d: %s", code, out)
	}
}

// The check of the pages ends when its context does.
func TestPageCheckStops(t *testing.T) {
	s := sluicetest.NewService(t)
	indexedLog(t, s, 5000)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := s.Store.CheckPages(ctx); err == nil {
		t.Error("a check whose context has ended says that all is well")
	}
	r, err := s.Store.CheckPages(t.Context())
	if err != nil || len(r.Problems) > 0 || r.Pages < 10 {
		t.Errorf("%+v, %v", r, err)
	}
}

// PostgreSQL checks its pages by amcheck, where that is installed; where not, that is told.
func TestPagesOfPostgreSQL(t *testing.T) {
	server := sluicetest.NewPostgresServer(t)
	s := sluicetest.NewServiceOn(t, server.NewDatabase(t))
	indexedLog(t, s, 2000)
	r, err := s.Store.CheckPages(t.Context())
	if err != nil || len(r.Problems) > 0 || !strings.Contains(strings.Join(r.Notes, "\n"), "amcheck is not installed") {
		t.Fatalf("without amcheck: %+v, %v", r, err)
	}
	db := openBeside(t, s)
	if _, err := db.Exec("CREATE EXTENSION amcheck"); err != nil {
		t.Skip(err)
	}
	r, err = s.Store.CheckPages(t.Context())
	if err != nil || len(r.Problems) > 0 || r.Pages < 50 || strings.Contains(strings.Join(r.Notes, "\n"), "amcheck") {
		t.Fatalf("with amcheck: %+v, %v", r, err)
	}
	damageIndex(t, server, db, "entry_index_pkey")
	r, err = s.Store.CheckPages(t.Context())
	if err != nil || len(r.Problems) == 0 || !strings.Contains(strings.Join(r.Problems, "\n"), "entry_index_pkey") {
		t.Errorf("a damaged index: %+v, %v", r, err)
	}
}

// damageIndex overwrites a page of an index of PostgreSQL with zeros, on the disk.
func damageIndex(t *testing.T, server *sluicetest.PostgresServer, db *sql.DB, index string) {
	t.Helper()
	var folder, path string
	query := "SELECT current_setting('data_directory'), pg_relation_filepath($1::text)"
	if err := db.QueryRow(query, index).Scan(&folder, &path); err != nil {
		t.Fatal(err)
	}
	sqlRun(t, db, "CHECKPOINT")
	f, err := os.OpenFile(filepath.Join(folder, path), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(make([]byte, 8192), 8192)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	server.Restart(t) // so that it reads the page again
}

// An index that cannot be read to its end is damaged nevertheless by what was found until then, and hides nothing that
// is wrong elsewhere.
func TestIndexThatCannotBeRead(t *testing.T) {
	s := sluicetest.NewServiceOn(t, "")
	l := indexedLog(t, s, 3100)
	other := s.Ledger(sluice.Live)
	recordEntries(t, s.Store, other, 500)
	db := openBeside(t, s)
	number := ledgerNumber(t, db, l)
	sqlRun(t, db, "UPDATE ledger SET latest = latest + 1 WHERE id IN ($1, $2)", number, ledgerNumber(t, db, other))
	sqlRun(t, db, "ALTER TABLE entry_index RENAME TO gone")
	defer sqlRun(t, db, "ALTER TABLE gone RENAME TO entry_index")

	var r fsck.Report
	err := r.CheckLedgers(t.Context(), s.Service, s.Store)
	text := findingLines(r)
	if err == nil || !strings.Contains(text, l.String()) || !strings.Contains(text, other.String()) {
		t.Errorf("the command: %v, and found\n%s", err, text)
	}

	metrics := obs.New("test")
	w := fsck.NewWatch(fsck.Config{
		Store: s.Store, Interval: fsck.Interval, Log: slog.New(slog.DiscardHandler), Observer: metrics, Now: s.Clock.Now,
	})
	if err := w.CheckIndexes(t.Context()); err == nil {
		t.Error("the check of a server succeeds")
	}
	if n := gauge(t, metrics.Registry, "sluice_fsck_findings", "index"); n < 2 {
		t.Errorf("the metric counts %v findings, want one of each ledger at least", n)
	}
}
