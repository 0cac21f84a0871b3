package auditlog_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/store"
	"sluice/internal/store/auditlog"
	"sluice/sluicetest"
)

// TestSQLitePlans looks at the plan of every query that reads the log.
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
	for _, q := range auditlog.PlannedQueries() {
		plan := planOf(t, db, "EXPLAIN QUERY PLAN "+q.Query, make([]any, 1000))
		want := map[string]string{
			"batch":       " batch USING INDEX sqlite_autoindex_batch_1 (ledger=? AND first",
			"firsts":      " batch USING COVERING INDEX sqlite_autoindex_batch_1 (ledger=? AND first<?)",
			"entry_index": " entry_index USING PRIMARY KEY (ledger=? AND field=? AND value=? AND first>? AND first<?)",
			"values":      " entry_index USING PRIMARY KEY (ledger=? AND field=? AND value=?)",
		}[q.Kind]
		if !strings.Contains(plan, "SEARCH"+want) || strings.Contains(plan, "SCAN") ||
			strings.Contains(plan, "B-TREE") {
			t.Errorf("%s\n%s, want %s", q.Query, plan, want)
		}
	}
}

// TestPostgresPlans looks at the plan of every query that reads the log.
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
	for _, q := range auditlog.PlannedQueries() {
		plan := planOf(t, db, "EXPLAIN (COSTS OFF) "+q.Query, q.Args)
		want := map[string]string{"batch": "batch_pkey", "firsts": "batch_pkey",
			"entry_index": "entry_index_pkey", "values": "entry_index_pkey"}[q.Kind]
		if !strings.Contains(plan, " using "+want+" ") || strings.Contains(plan, "Seq Scan") ||
			strings.Contains(plan, "Sort") {
			t.Errorf("%s\n%s, want the index %s", q.Query, plan, want)
		}
	}
}

// planOf gives the last column of each row that a query explains.
func planOf(t *testing.T, db *sql.DB, query string, args []any) (plan string) {
	t.Helper()
	rows, err := db.Query(query, args...)
	if err != nil {
		t.Fatal(query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		row, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		plan += row[len(row)-1].String + "\n"
	}
	return plan
}
