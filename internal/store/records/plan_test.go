package records_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/store"
	"sluice/internal/store/records"
	"sluice/sluicetest"
)

// TestSQLitePlans looks at the plan of every list under every filter.
func TestSQLitePlans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.db")
	s, err := store.OpenSQLite(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	explain := func(query string) (plan string) {
		t.Helper()
		rows, err := db.Query("EXPLAIN QUERY PLAN "+query, make([]any, 1000)...)
		if err != nil {
			t.Fatal(query, err)
		}
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan += detail + "\n"
		}
		return plan
	}
	for _, q := range records.PlannedLists() {
		plan := explain(q.Query)
		if !strings.Contains(plan, " USING INDEX "+q.Index+" (") || strings.Contains(plan, "SCAN") {
			t.Errorf("%s\n%s, want the index %s", q.Query, plan, q.Index)
		}
		if strings.Contains(q.Index, "autoindex") { // by id: such a list is short and may be sorted
			continue
		}
		order := "(" + q.At + "," + q.Tie + ")"
		inOrder := strings.Contains(plan, order+">(?,?)") && strings.Contains(plan, order+"<(?,?)")
		if strings.Contains(plan, "B-TREE") || !inOrder {
			t.Errorf("%s\n%s: want a range of the index, in its order", q.Query, plan)
		}
	}
	// The scrub reads along the primary key, and counts damaged files by an index of their own.
	for query, want := range map[string]string{
		records.FilesAfter:       "SEARCH file USING INDEX sqlite_autoindex_file_1 (id>?)",
		records.DamagedFiles:     "SCAN file USING INDEX file_damaged",
		records.SessionsByHash:   "SEARCH session USING INDEX session_by_hash (hash=?)",
		records.SessionsOfPerson: "SEARCH session USING INDEX session_by_person (subject=? AND issuer=?)",
		records.MailsDue:         "SEARCH mail USING INDEX mail_due (rank=? AND due<?)",
	} {
		if plan := explain(query); !strings.Contains(plan, want) || strings.Contains(plan, "B-TREE") {
			t.Errorf("%s\n%s, want %s", query, plan, want)
		}
	}
}

// TestPostgresPlans looks at the plan of every list under every filter.
func TestPostgresPlans(t *testing.T) {
	url := sluicetest.Postgres(t)
	s, err := store.OpenPostgres(context.Background(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	// The plans are to be those of a large database: none reads a whole table, or sorts it.
	for _, setting := range []string{"enable_seqscan", "enable_sort", "enable_bitmapscan"} {
		if _, err := db.Exec("SET " + setting + " = off"); err != nil {
			t.Fatal(err)
		}
	}
	explain := func(query string, args ...any) (plan string) {
		t.Helper()
		rows, err := db.Query("EXPLAIN (COSTS OFF) "+query, args...)
		if err != nil {
			t.Fatal(query, err)
		}
		defer rows.Close()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan += line + "\n"
		}
		return plan
	}
	for _, q := range records.PlannedLists() {
		plan, byID := explain(q.Query, q.Args...), strings.Contains(q.Index, "autoindex")
		usesIndex := strings.Contains(plan, " using "+q.Index+" ") && !strings.Contains(plan, "Sort")
		if strings.Contains(plan, "Seq Scan") || !byID && !usesIndex {
			t.Errorf("%s\n%s, want the index %s", q.Query, plan, q.Index)
		}
	}
	for want, plan := range map[string]string{
		"file_pkey":    explain(records.FilesAfter, "file_1", 10),
		"file_damaged": explain(records.DamagedFiles),
	} {
		if !strings.Contains(plan, " using "+want+" ") || strings.Contains(plan, "Seq Scan on file") ||
			strings.Contains(plan, "Sort") {
			t.Errorf("%s, want the index %s", plan, want)
		}
	}
}
