package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"sluice"
	"sluice/internal/maintain/fsck"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// indexedLog makes a log whose entries are found by every term, most of them in the index.
func indexedLog(t testing.TB, s *sluicetest.Service, n int) sluice.LedgerID {
	t.Helper()
	l := s.Ledger(sluice.Test)
	recordEntries(t, s.Store, l, n)
	s.Checkpoint(t)
	return l
}

func recordEntries(t testing.TB, s service.Store, l sluice.LedgerID, n int) {
	t.Helper()
	began := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
	for from := 0; from < n; from += 1000 {
		err := s.Update(t.Context(), l, func(tx service.Tx) error {
			for i := from; i < min(from+1000, n); i++ {
				e := sluice.Entry{
					ID: fmt.Sprintf("aud_%09d%017d", i/3, i), Ledger: l, Time: began.Add(time.Duration(i) * time.Microsecond),
					// Actions that no rule of the log judges: the objects of these entries do not exist.
					Action: "test.redeemed", Outcome: sluice.Allowed, Actor: sluice.Actor{Type: sluice.ActorBearer},
					Key:     &sluice.KeyPart{ID: fmt.Sprintf("key_%d", i%7)},
					File:    &sluice.FilePart{ID: fmt.Sprintf("file_%d", i%50)},
					Link:    &sluice.LinkPart{ID: fmt.Sprintf("link_%d", i%200)},
					Request: &sluice.Request{ID: fmt.Sprintf("req_%09d%017d", i/2, i), IP: "203.0.113.7", UserAgent: "curl/8"},
				}
				if i%5 == 0 {
					e.Action, e.Outcome = "test.created", ""
				}
				if i%20 == 19 {
					e.Action, e.Key, e.File, e.Link, e.Request = sluice.LinkDelivered, nil, nil, nil, nil
					for before := range 3 {
						n := i - 1 - before
						e.Deliveries = append(e.Deliveries, sluice.Delivery{Seq: int64(n), FileID: fmt.Sprintf("file_%d", n%50),
							LinkID: fmt.Sprintf("link_%d", n%200)})
					}
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

// openBeside opens the database of a service beside it.
func openBeside(t testing.TB, s *sluicetest.Service) *sql.DB {
	t.Helper()
	driver, name := "sqlite", "file:"+filepath.Join(s.Dir, databaseName)+"?_pragma=busy_timeout(20000)"
	if s.Database != "" {
		driver, name = "pgx", s.Database
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// checked gives what a check of the ledgers finds.
func checked(t testing.TB, s *sluicetest.Service) fsck.Report {
	t.Helper()
	var r fsck.Report
	if err := r.CheckLedgers(t.Context(), s.Service, s.Store); err != nil {
		t.Fatal(err)
	}
	return r
}

func findingLines(r fsck.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

const (
	fromIndex = "DELETE FROM entry_index WHERE ledger = $1 AND field = "
	intoIndex = "INSERT INTO entry_index (ledger, field, value, first, seqs) VALUES ($1, "
	firstOf7  = " WHERE ledger = $1 AND field = 'link' AND value = 'link_7' AND first = 7"
	oneBatch  = " WHERE ledger = $1 AND first = (SELECT MAX(first) FROM batch WHERE ledger = $1 AND first < 1000)"
	copyTile  = "UPDATE tile SET hashes = (SELECT hashes FROM tile WHERE ledger = $1 AND level = 0 AND idx = 3)"
)

// tampers are changes of what is stored of a log with the number $1.
var tampers = []struct {
	name, tamper string // its bytes are written as x'00'
	want         string // is said
	signed       bool   // a verifier of the log finds it, too
}{
	{"all rows of links", fromIndex + "'link'", `entry 0: the index does not have it for link "link_0"`, false},
	{"a row of a link", "DELETE FROM entry_index" + firstOf7,
		`entry 7: the index does not have it for link "link_7"`, false},
	{"a row of an id", fromIndex + "'id' AND value LIKE '%000100'", `for id "aud_000000100"`, false},
	{"all rows of requests", fromIndex + "'request'", `for request "req_000000000"`, false},
	{"all rows of redemptions", fromIndex + "'redemption'",
		`entry 19: the index does not have it for redemption "0"`, false},
	{"all rows", "DELETE FROM entry_index WHERE ledger = $1", "does not have it", false},
	{"a row too much", intoIndex + "'link', 'link_9', 11, x'00')",
		`entry 11: the index has it for link "link_9", which it does not have`, false},
	{"a row of an unknown field", intoIndex + "'colour', 'red', 11, x'00')",
		`entry 11: the index has it for colour "red", which it does not have`, false},
	{"a row beyond the end", intoIndex + "'link', 'link_9', 999999, x'00')",
		"entry 999999: a row of the index begins here", false},
	{"a row twice", intoIndex + "'link', 'link_7', 207, x'00')",
		`entry 207: two rows of the index for link "link_7" overlap`, false},
	{"another link", "UPDATE entry_index SET value = 'link_x' WHERE ledger = $1 AND field = 'link' AND value = 'link_7'",
		`entry 7: the index does not have it for link "link_7"`, false},
	{"another place", "UPDATE entry_index SET first = first + 1" + firstOf7,
		`entry 8: the index has it for link "link_7"`, false},
	{"other places", "UPDATE entry_index SET seqs = x'0001'" + firstOf7,
		`entry 8: the index has it for link "link_7"`, false},
	{"places that do not ascend", "UPDATE entry_index SET seqs = x'000100'" + firstOf7,
		"its entries are not in order", false},
	{"no places", "UPDATE entry_index SET seqs = x''" + firstOf7, "its list of entries is damaged", false},
	{"an index that reaches too far", "UPDATE ledger SET indexed = next WHERE id = $1",
		"the index does not have it", false},
	{"an index beyond the log", "UPDATE ledger SET indexed = next + 5 WHERE id = $1",
		"its index is said to reach to", false},
	{"an index that is cut", "UPDATE ledger SET indexed = 1000 WHERE id = $1",
		"a row of the index begins here, and the index reaches to entry 999", false},
	{"the time of a batch", "UPDATE batch SET time = time + 3600000000" + oneBatch, "lists of a time find it at", false},
	{"the time of the log", "UPDATE ledger SET latest = latest + 1 WHERE id = $1", "the log is said to reach to", false},
	{"a batch is missing", "DELETE FROM batch" + oneBatch, "are missing or damaged", true},
	{"the end is missing", "UPDATE ledger SET next = next - 1 WHERE id = $1", "there are entries beyond it", false},
	{"a tile", copyTile + " WHERE ledger = $1 AND level = 0 AND idx = 2", "tile/0/002: hash 0", true},
	{"a tile above", copyTile + " WHERE ledger = $1 AND level = 1", "tile/1/000.p/12: hash 0", true},
	{"a tile is missing", "DELETE FROM tile WHERE ledger = $1 AND level = 0 AND idx = 5", "tile/0/005", true},
}

// literals writes the bytes in a statement as PostgreSQL reads them, where that is asked for.
func literals(statement string, postgres bool) string {
	if !postgres {
		return statement
	}
	return regexp.MustCompile(`x'([0-9a-f]*)'`).ReplaceAllString(statement, `'\x$1'::bytea`)
}

// keepTables copies what is stored of a log, and gives what puts it back.
func keepTables(t *testing.T, db *sql.DB, number int64) (putBack func()) {
	t.Helper()
	tables := map[string]string{"entry_index": "ledger", "batch": "ledger", "tile": "ledger", "ledger": "id"}
	for table, column := range tables {
		sqlRun(t, db, fmt.Sprintf("CREATE TABLE kept_%s AS SELECT * FROM %s WHERE %s = %d", table, table, column, number))
	}
	return func() {
		for table, column := range tables {
			if table == "ledger" { // PostgreSQL gives its rows their ids
				sqlRun(t, db, "UPDATE ledger SET (next, indexed, latest) ="+
					" (SELECT next, indexed, latest FROM kept_ledger) WHERE id = $1", number)
			} else {
				sqlRun(t, db, "DELETE FROM "+table+" WHERE "+column+" = $1", number)
				sqlRun(t, db, "INSERT INTO "+table+" SELECT * FROM kept_"+table)
			}
			sqlRun(t, db, "DROP TABLE kept_"+table)
		}
	}
}

// ledgerNumber is the number of a log in all tables.
func ledgerNumber(t testing.TB, db *sql.DB, l sluice.LedgerID) (n int64) {
	t.Helper()
	query := "SELECT id FROM ledger WHERE account = $1 AND mode = $2"
	if err := db.QueryRow(query, l.Account, string(l.Mode)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever is changed of the index, or of a tile, is found and named. A verifier of the log sees nothing of the
// index, which is not signed.
func TestFsckFindsWhatWasChanged(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short")
	}
	t.Run("SQLite", func(t *testing.T) { testFsckFinds(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { testFsckFinds(t, sluicetest.Postgres(t)) })
}

func testFsckFinds(t *testing.T, database string) {
	s := sluicetest.NewServiceOn(t, database)
	l := indexedLog(t, s, 3100)
	if r := checked(t, s); len(r.Findings) > 0 || r.Entries < 3100 || r.Rows < 500 || r.Tiles < 10 {
		t.Fatalf("untouched: %+v", r)
	}
	db := openBeside(t, s)
	number := ledgerNumber(t, db, l)
	for _, test := range tampers {
		t.Run(test.name, func(t *testing.T) {
			defer keepTables(t, db, number)()
			sqlRun(t, db, literals(test.tamper, database != ""), number)
			r := checked(t, s)
			if len(r.Findings) == 0 || !strings.Contains(findingLines(r), test.want) {
				t.Errorf("found %d, want %q:\n%s", len(r.Findings), test.want, findingLines(r))
			}
			if _, err := s.Ledgers.Verify(t.Context(), l); (err != nil) != test.signed {
				t.Errorf("a verifier says %v", err)
			}
		})
	}
	if r := checked(t, s); len(r.Findings) > 0 {
		t.Errorf("put back: %s", findingLines(r))
	}
}

func sqlRun(t testing.TB, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// Entries that are made while the index is checked are no findings.
func TestFsckBesideWriters(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testFsckBeside(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { testFsckBeside(t, sluicetest.Postgres(t)) })
}

func testFsckBeside(t *testing.T, database string) {
	s := sluicetest.NewServiceOn(t, database)
	l := indexedLog(t, s, 2000)
	ctx, stop := context.WithCancel(t.Context())
	written, ended := make(chan int), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			err := s.Store.Update(context.WithoutCancel(ctx), l, func(tx service.Tx) error {
				for j := range 50 {
					e := sluice.Entry{
						ID: fmt.Sprintf("aud_x%08d%017d", i, j), Ledger: l, Time: time.Now().UTC().Truncate(time.Microsecond),
						Action: "test.created", Actor: sluice.Actor{Type: sluice.ActorSystem, Name: "test"},
						Link: &sluice.LinkPart{ID: fmt.Sprintf("link_%d", i%20)},
					}
					if err := tx.Record(e); err != nil {
						return err
					}
				}
				return nil
			})
			if err == nil && i%3 == 0 {
				_, err = s.Service.Ledgers.Checkpoint(context.WithoutCancel(ctx))
			}
			if err != nil || ctx.Err() != nil {
				ended <- err
				return
			}
			select {
			case written <- i:
			default:
			}
		}
	}()
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	for range rounds {
		<-written
		if r := checked(t, s); len(r.Findings) > 0 {
			t.Errorf("found beside a writer: %s", findingLines(r))
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if r := checked(t, s); len(r.Findings) > 0 || r.Entries < 2050 {
		t.Errorf("after the writer: %d entries, %s", r.Entries, findingLines(r))
	}
}

// Beside servers that are in use, the command finds nothing, and says so.
func TestFsckBesideServers(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		data := filepath.Join(t.TempDir(), "data")
		p := startServer(t, data, "--no-rate-limit")
		fsckUnderLoad(t, &cluster{url: p.url, key: p.key}, "--data", data)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		database, bucket, secrets := sluicetest.Postgres(t), sluicetest.S3(t), filepath.Join(t.TempDir(), "secrets.json")
		where := []string{"--database-url", database, "--blob-url", bucket, "--secrets", secrets}
		p := startServer(t, t.TempDir(), append(slices.Clone(where), "--no-rate-limit")...)
		fsckUnderLoad(t, &cluster{url: p.url, key: p.key}, where...)
	})
}

func fsckUnderLoad(t *testing.T, c *cluster, flags ...string) {
	t.Helper()
	l := newLoad(c)
	defer l.start(t, 8)()
	entries := int64(0)
	eventually(t, func() error {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"fsck", "--json"}, flags...), &out, &errs)
		printed := strings.Split(strings.TrimSpace(out.String()), "\n")
		var summary fsckSummary
		err := json.Unmarshal([]byte(printed[len(printed)-1]), &summary)
		if err != nil || code != 0 || summary.Findings > 0 || summary.Ledgers == 0 {
			t.Fatalf("exit %d, %v: %s%s", code, err, &out, &errs)
		}
		if entries == 0 {
			entries = summary.Entries
		}
		if summary.Entries < entries+600 || summary.Rows == 0 {
			return fmt.Errorf("%d entries so far", summary.Entries)
		}
		return nil
	})
}

// fsckRun runs sluice fsck on a folder, and gives its exit code and what it printed.
func fsckRun(t testing.TB, data string, flags ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = run(t.Context(), append([]string{"fsck", "--data", data}, flags...), &out, &out)
	return code, out.String()
}

// Beside a server that is used, fsck finds nothing; what is wrong it prints for people and as JSON, and exits with 1.
func TestFsckCommand(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startLog(t, data)
	makeEntries(t, data, "one", 3)
	awaitCheckpoint(t, p, 4)
	eventually(t, func() error { // the heads are written once a second
		code, said := fsckRun(t, data)
		if code != 0 || !strings.Contains(said, "0 problems were found") || strings.Contains(said, "note:") {
			return fmt.Errorf("beside a server: %d %s", code, said)
		}
		return nil
	})
	if p.stop() != 0 {
		t.Fatal("the server did not stop well")
	}
	before := readFolder(t, data)
	if code, said := fsckRun(t, data); code != 0 || strings.Contains(said, "note:") {
		t.Fatalf("without a server: exit %d: %s", code, said)
	}
	if after := readFolder(t, data); !maps.EqualFunc(before, after, bytes.Equal) {
		t.Errorf("fsck changes the folder: %v, before %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}
	change(t, data, "UPDATE tile SET hashes = zeroblob(length(hashes)) WHERE level = 0")
	code, said := fsckRun(t, data, "--json")
	if code != 1 {
		t.Fatalf("exit %d: %s", code, said)
	}
	var f fsck.Finding
	var summary fsckSummary
	printed := strings.Split(strings.TrimSpace(said), "\n")
	if err := json.Unmarshal([]byte(printed[0]), &f); err != nil || f.Check == "" || f.Problem == "" || f.Ledger == "" {
		t.Errorf("%+v %v: %s", f, err, said)
	}
	err := json.Unmarshal([]byte(printed[len(printed)-2]), &summary)
	if err != nil || summary.Findings != len(printed)-2 || summary.Entries == 0 {
		t.Errorf("%+v %v: %s", summary, err, said)
	}
	change(t, data, cut...)
	if code, said := fsckRun(t, data); code != 1 || !strings.Contains(said, "heads ") {
		t.Errorf("a log that was cut: exit %d: %s", code, said)
	}
	for _, flags := range [][]string{{"--nonsense"}, {"--database-url", "postgres://localhost/x"}, {"somewhere"}} {
		if code, said := fsckRun(t, data, flags...); code != 2 {
			t.Errorf("%q: exit %d: %s", flags, code, said)
		}
	}
	if code, said := fsckRun(t, t.TempDir()); code != 1 || !strings.Contains(said, "holds no Sluice data") {
		t.Errorf("an empty folder: exit %d: %s", code, said)
	}
	if code, said := fsckRun(t, data, "--help"); code != 0 || !strings.Contains(said, "--json") {
		t.Errorf("help: %d %s", code, said)
	}
}

// However a page is damaged, fsck does not panic, and it finds whatever quick_check of SQLite finds.
func TestFsckFindsDamagedPages(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if startServer(t, data).stop() != 0 {
		t.Fatal("the server did not stop well")
	}
	i := mustOpen(t, place{Data: data})
	accounts, err := i.service.Accounts.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := sluice.LedgerID{Account: accounts[0].ID, Mode: sluice.Test}
	recordEntries(t, i.store, l, 3000)
	if _, err := i.service.Ledgers.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := i.close(); err != nil {
		t.Fatal(err)
	}
	if code, said := fsckRun(t, data); code != 0 {
		t.Fatalf("untouched: exit %d: %s", code, said)
	}
	file := filepath.Join(data, databaseName)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("%d pages, seed %d", len(whole)/page, seed)
	rounds, found, unseen := 120, 0, 0
	if testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		damaged := slices.Clone(whole)
		at := random.IntN(len(whole)/page) * page
		if round == 0 {
			at = 0
		}
		switch round % 3 {
		case 0: // a sector that was never written
			clear(damaged[at : at+page])
		case 1: // one that was written elsewhere
			for i := range page {
				damaged[at+i] = byte(random.Uint32())
			}
		default: // a few bits
			for range 8 {
				damaged[at+random.IntN(64)] ^= 1 << random.IntN(8)
			}
		}
		for _, name := range []string{file + "-wal", file + "-shm"} {
			os.Remove(name)
		}
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		want := quickCheck(t, file)
		code, said := fsckRun(t, data)
		if want {
			found++
			if !verifierSees(t, data) {
				unseen++
			}
		}
		if want && (code != 1 || !strings.Contains(said, "pages: ")) || code != 0 && code != 1 {
			t.Errorf("page %d, damage %d: quick_check finds it: %v; exit %d: %s", at/page, round%3, want, code, said)
		}
	}
	t.Logf("quick_check finds %d of %d damaged pages; a verifier of the log does not see %d of these",
		found, rounds, unseen)
	if found < rounds/4 {
		t.Errorf("quick_check finds only %d of %d", found, rounds)
	}
}

// quickCheck reports whether SQLite itself finds a database damaged.
func quickCheck(t *testing.T, file string) (damaged bool) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var said string
	err = db.QueryRow("PRAGMA quick_check").Scan(&said)
	return err != nil || said != "ok"
}

// verifierSees reports whether the log of a folder cannot be verified.
func verifierSees(t *testing.T, data string) bool {
	t.Helper()
	i, err := place{Data: data}.open(t.Context(), quiet(), opening{})
	if err != nil {
		return true
	}
	defer i.close()
	logs, err := i.service.Accounts.List(t.Context())
	if err != nil || len(logs) != 1 {
		return true
	}
	_, err = i.service.Ledgers.Verify(t.Context(), sluice.LedgerID{Account: logs[0].ID, Mode: sluice.Test})
	return err != nil
}
