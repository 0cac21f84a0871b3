package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice"
)

// TestPlansSQLite asks SQLite how it reads every list: under every filter and
// every pair of filters, along everything that may lead it, in both directions.
// It is by a range of the index meant for it and in the order of that index,
// unless few rows are to be sorted; and it stays so whatever ANALYZE finds.
func TestPlansSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.db")
	for _, analyzed := range []bool{false, true} {
		t.Run(fmt.Sprint("analyzed=", analyzed), func(t *testing.T) {
			s, err := OpenSQLite(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			p := &planner{T: t, s: s, indexes: map[string]bool{}}
			c := newCrowd(t, s)
			if !analyzed {
				c.addFiles(crowdSize)
				c.addLinks(crowdSize)
				c.addEntries(crowdSize)
			}
			for _, f := range combinations(fileOptions([]sluice.File{{ID: "file_1"}})) {
				p.list("file"+f.name, fileListing(f.filter))
			}
			for _, f := range combinations(linkOptions([]sluice.Link{{ID: "link_1"}})) {
				p.list("link"+f.name, linkListing(nativeLedger, f.filter))
			}
			for _, f := range combinations(entryOptions([]sluice.Entry{{ID: "aud_1"}})) {
				p.list("entry"+f.name, entryListing(f.filter))
			}
			p.list("key", keyListing())
			for _, index := range wantIndexes {
				if !p.indexes[index] {
					t.Errorf("%s is not used", index)
				}
			}
			analyze(t, path)
		})
	}
}

func analyze(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var found int
	_, err = db.Exec("ANALYZE")
	if err := errors.Join(err, db.QueryRow("SELECT COUNT(*) FROM sqlite_stat1").Scan(&found)); err != nil || found < 20 {
		t.Fatalf("%d statistics, %v", found, err)
	}
}

// wantIndexes says by which index each leader is followed.
var wantIndexes = map[string]string{
	"file id <> ''":        "file_list",
	"file ":                "file_by_magnitude",
	"file id":              "sqlite_autoindex_file_1",
	"file sha256":          "file_by_sha256",
	"file filename":        "file_by_filename",
	"file title":           "file_by_title",
	"file essence":         "file_by_essence",
	"file purpose":         "file_by_purpose",
	"file size":            "file_by_size",
	"linked resource_type": "linked_list",
	"link id <> ''":        "link_list",
	"link file_id <> ''":   "link_by_term",
	"link file_id":         "link_by_file",
	"link id":              "sqlite_autoindex_link_1",
	"entry id <> ''":       "entry_list",
	"entry id":             "sqlite_autoindex_entry_1",
	"entry request_id":     "entry_by_request",
	"entry link_id":        "entry_by_link",
	"entry file_id":        "entry_by_file",
	"entry key_id":         "entry_by_key",
	"entry action":         "entry_by_action",
	"key ":                 "key_list",
}

// planner asks for plans.
type planner struct {
	*testing.T
	s       *Store
	indexes map[string]bool // that were used
}

func (p *planner) list(name string, q listing) {
	p.Helper()
	err := p.s.View(context.Background(), func(given sluice.Reader) error {
		r := given.(*reader)
		whole := q.pieces(span{position{0, q.least}, position{1, q.least}}, unbanded)
		for _, l := range q.leaders {
			pieces := whole
			if l.bands != nil {
				bands, err := l.bands(r)
				if err != nil {
					return err
				}
				for i := range bands {
					bands[i].within = everything
				}
				if pieces = q.pieces(whole[0].span, bands); len(pieces) == 0 {
					p.Errorf("%s: nothing to read", name)
					continue
				}
			}
			for _, up := range []bool{false, true} {
				p.plan(r, name, l, q.page(l, 1, pieces, up))
			}
			if l.filter >= 0 && !l.global && l.bands == nil {
				p.plan(r, name, l, q.count(l, 1, whole, glanceRows))
			}
		}
		return nil
	})
	if err != nil {
		p.Error(name, err)
	}
}

// plan checks how a list is read along a leader.
func (p *planner) plan(r *reader, name string, l leader, s *statement) {
	p.Helper()
	index, found := wantIndexes[l.table+" "+l.text]
	if !found {
		column, _, _ := strings.Cut(l.text, " ")
		index = wantIndexes[l.table+" "+column]
	}
	text := s.text.String()
	plan := explainPlan(p.T, r, text, s.args)
	searches := 0
	for _, line := range plan {
		switch {
		case line == "MERGE (UNION ALL)", line == "LEFT", line == "RIGHT", strings.HasPrefix(line, "CORRELATED SCALAR SUBQUERY"):
		case line == "CO-ROUTINE glance", line == "SCAN glance", line == "COMPOUND QUERY", line == "LEFT-MOST SUBQUERY", line == "UNION ALL": // to count
		case l.sorts && line == "USE TEMP B-TREE FOR ORDER BY":
		case l.join != "" && line == "SEARCH file USING INDEX sqlite_autoindex_file_1 (id=?)":
		case line == "SEARCH linked USING COVERING INDEX sqlite_autoindex_linked_1 (file_id=? AND resource_type=? AND resource_id=?)":
		case strings.HasPrefix(line, "SEARCH "+l.table+" USING INDEX "+index+" ("), strings.HasPrefix(line, "SEARCH "+l.table+" USING COVERING INDEX "+index+" ("):
			searches++
			keyset := fmt.Sprintf("(%s,%s)>(?,?) AND (%s,%s)<(?,?)", l.at, l.tie, l.at, l.tie)
			if !l.sorts && !strings.Contains(line, keyset) {
				p.Errorf("%s\n%s\n%s: want a range of the list", name, text, line)
			}
		default:
			p.Errorf("%s\n%s\n%s: want %s", name, text, line, index)
		}
	}
	if want := 1 + strings.Count(text, "UNION ALL"); searches != want {
		p.Errorf("%s\n%s\nsearches %d times, want %d", name, text, searches, want)
	}
	p.indexes[index] = true
}

func explainPlan(t *testing.T, r *reader, query string, args []any) (plan []string) {
	t.Helper()
	rows, err := r.conn.QueryContext(r.ctx, "EXPLAIN QUERY PLAN "+query, args...)
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
		plan = append(plan, detail)
	}
	return plan
}

// TestStatementPlansSQLite asks the same of every other statement that a store
// prepares in its work.
func TestStatementPlansSQLite(t *testing.T) {
	s := openNativeSQLite(t).(*Store)
	c := newCrowd(t, s)
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		c.passBy(random)
	}
	c.change(func(tx sluice.Tx) error {
		return tx.Remember(sluice.Answer{KeyID: "key_1", OnceKey: "once", Created: at(0)})
	})
	if err := s.KeysUsed(context.Background(), map[string]time.Time{"key_1": at(0)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ForgetAnswers(context.Background(), at(0)); err != nil {
		t.Fatal(err)
	}
	c.change(func(tx sluice.Tx) error {
		tx.KeyByHash(sluice.Digest{1})
		tx.Answer("key_1", "once")
		tx.ExpiredFiles(at(0), 10)
		tx.ActiveFile("file_1")
		tx.Entry(nativeLedger, "aud_1")
		tx.Links(nativeLedger, sluice.LinkFilter{FileID: "file_1"}, sluice.Page{Limit: 1, After: "link_1"})
		return tx.Record(nativeEntry())
	})
	checked := 0
	c.change(func(given sluice.Tx) error {
		r := &given.(*tx).reader
		for query := range r.conn.stmts {
			if verb, _, _ := strings.Cut(query, " "); verb != "SELECT" && verb != "INSERT" && verb != "UPDATE" && verb != "DELETE" || strings.Contains(query, "UPDATE probe") {
				continue
			}
			args := make([]any, strings.Count(query, "$"))
			for _, line := range explainPlan(t, r, query, args) {
				if strings.Contains(line, "SCAN") || strings.Contains(line, "TEMP B-TREE") {
					t.Errorf("%s\n%s", query, line)
				}
			}
			checked++
		}
		return nil
	})
	if checked < 30 {
		t.Errorf("%d statements, want them all", checked)
	}
}
