package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/maintain/fsck"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/internal/token"
	"sluice/sluicetest"
)

// unsealed are the columns of keys, sessions and links that no seal covers, and why. A new column belongs here or in
// the seal.
var unsealed = map[string]string{
	"key.name":            "is shown; fsck compares it with the log",
	"key.updated":         "a version for conditional requests",
	"key.used":            "is shown",
	"key.revoked":         "a revoked row has no seal: one that is not revoked any more does not fit",
	"session.used":        "is shown",
	"session.ended":       "a session that has ended has no seal: one that has not any more does not fit",
	"link.reason":         "is shown; fsck compares it with the log",
	"link.metadata":       "is shown; fsck compares it with the log",
	"link.updated":        "a version for conditional requests",
	"link.revoked":        "a revoked row has no seal: one that is not revoked any more does not fit",
	"link.ended":          "why it is revoked; fsck compares it with the log",
	"link.downloads":      "changes with each download; fsck compares it with the log",
	"link.redeemed":       "is shown",
	"link.recipient_hash": "finds the link in lists; fsck compares it with the recipient",
}

// The seal of a key, session or link covers each column of its row, or the column is listed with a reason.
func TestSealsCoverColumns(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testSealedColumns(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { testSealedColumns(t, sluicetest.Postgres(t)) })
}

func testSealedColumns(t *testing.T, database string) {
	r := newRecords(t, database)
	for _, name := range []string{"key", "session", "link"} {
		in := readTable(t, r.db, name)
		if bad := r.misfits(t, name); len(bad) != 0 {
			t.Fatalf("before any edit: %v", bad)
		}
		for i, column := range in.columns {
			edited := 0
			for _, row := range in.rows {
				if row[endColumn(in)] != nil {
					continue
				}
				for _, value := range otherValues(row[i]) {
					edited += r.editSealed(t, in, row, i, value)
				}
			}
			if _, listed := unsealed[name+"."+column]; edited == 0 && !listed {
				t.Errorf("no value of %s.%s could be edited", name, column)
			}
		}
	}
}

// editSealed edits a cell, checks that the seal shows it, and takes it back. It returns 1 if the database took it.
func (r *records) editSealed(t *testing.T, in table, row []any, column int, value any) int {
	t.Helper()
	name := in.name + "." + in.columns[column]
	_, listed := unsealed[name]
	if listed || name == "link.disposition" && value == "" { // is written as attachment by older versions
		return 0
	}
	id := row[slices.Index(in.columns, "id")]
	if in.columns[column] == "id" {
		if value == "" { // comes before all pages
			return 0
		}
		id = value
	}
	if _, err := r.db.Exec("UPDATE "+in.name+" SET "+in.columns[column]+" = $1 WHERE id = $2", value,
		row[slices.Index(in.columns, "id")]); err != nil {
		return 0
	}
	if bad := r.misfits(t, in.name); len(bad) == 0 {
		t.Errorf("%s: %v -> %v fits the seal", name, row[column], value)
	}
	sqlRun(t, r.db, "UPDATE "+in.name+" SET "+in.columns[column]+" = $2 WHERE id = $1", id, row[column])
	return 1
}

// misfits returns the ids of the rows of a table whose seal does not fit, or that cannot be read.
func (r *records) misfits(t *testing.T, table string) (ids []string) {
	t.Helper()
	err := r.Store.ViewRows(t.Context(), func(reader store.RowReader) error {
		ledgers, err := reader.LedgerRows()
		r.must(err)
		of := map[int64]sluice.LedgerID{}
		for _, l := range ledgers {
			of[l.Ledger] = l.Value.Ledger
		}
		if table == "key" {
			rows, err := reader.KeyRows("", 1000)
			r.must(err)
			for _, row := range rows {
				if row.Value.Ledger = of[row.Ledger]; row.Err != nil || !r.Seals().KeyFits(row.Value) {
					ids = append(ids, row.Value.ID)
				}
			}
			return nil
		}
		if table == "session" {
			rows, err := reader.SessionRows("", 1000)
			r.must(err)
			for _, row := range rows {
				if row.Value.Ledger = of[row.Ledger]; row.Err != nil || !r.Seals().TrustsSession(row.Value) {
					ids = append(ids, row.Value.ID)
				}
			}
			return nil
		}
		rows, err := reader.LinkRows("", 1000)
		r.must(err)
		for _, row := range rows {
			if row.Value.Ledger = of[row.Ledger]; row.Err != nil || !r.Seals().LinkFits(row.Value) {
				ids = append(ids, row.Value.ID)
			}
		}
		return nil
	})
	r.must(err)
	return ids
}

// A row that was edited is refused when it is used, the refusal is in the log, and fsck finds the row.
func TestAlteredRowsAreRefused(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testAlteredRows(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { testAlteredRows(t, sluicetest.Postgres(t)) })
}

func testAlteredRows(t *testing.T, database string) {
	r := newRecords(t, database)
	// The attacker has a secret of their own.
	_, secret := r.NewKeyAs(t, r.caller.Ledger, service.NewKey{Name: "mine", Scopes: []sluice.Scope{sluice.AuditRead}})
	hash := sha256.Sum256([]byte(secret))
	for name, statement := range map[string]string{
		"scopes":       "UPDATE key SET scopes = 'files:content files:read keys:admin' WHERE name = 'mine'",
		"without seal": "UPDATE key SET seal = NULL WHERE name = 'mine'",
		"other seal":   "UPDATE key SET seal = (SELECT seal FROM key WHERE name = 'narrow') WHERE name = 'mine'",
		"other ledger": "UPDATE key SET ledger = (SELECT MIN(id) FROM ledger WHERE mode = 'live') WHERE name = 'mine'",
	} {
		t.Run("key "+name, func(t *testing.T) {
			before := readTable(t, r.db, "key")
			sqlRun(t, r.db, statement)
			r.refusedKey(t, secret)
			before.restore(t, r.db)
		})
	}
	t.Run("key hash", func(t *testing.T) {
		before := readTable(t, r.db, "key")
		sqlRun(t, r.db, "DELETE FROM key WHERE name = 'mine'")
		sqlRun(t, r.db, "UPDATE key SET hash = $2 WHERE id = $1", r.caller.Key.ID, hash[:])
		r.refusedKey(t, secret)
		before.restore(t, r.db)
	})
	if _, err := r.Keys.Authenticate(t.Context(), secret, sluice.Request{}); err != nil {
		t.Errorf("with the row of a server: %v", err)
	}

	token, err := r.Sessions.SignInPerson(t.Context(), sluice.Person{Issuer: "https://id.example", Subject: "eve"},
		[]service.Grant{{Ledger: r.caller.Ledger, Scopes: sluice.Viewer.Scopes()}}, sluice.Request{})
	r.must(err)
	for name, set := range map[string]string{
		"scopes":       "scopes = 'audit:read files:read keys:admin links:read links:write'",
		"another one":  "subject = 'ann'",
		"by a key":     "key_id = '" + r.caller.Key.ID + "'",
		"a year":       "expires = expires + 31536000000000",
		"without seal": "seal = NULL",
		"other ledger": "ledger = (SELECT MIN(id) FROM ledger WHERE mode = 'live')",
	} {
		t.Run("session "+name, func(t *testing.T) {
			before := readTable(t, r.db, "session")
			sqlRun(t, r.db, "UPDATE session SET "+set+" WHERE subject = 'eve'")
			callers, err := r.Sessions.Find(t.Context(), token, sluice.Request{})
			if sluice.CodeOf(err) != sluice.CodeUnauthenticated {
				t.Errorf("callers %+v, %v", callers, err)
			}
			before.restore(t, r.db)
		})
	}
	if _, err := r.Sessions.Find(t.Context(), token, sluice.Request{}); err != nil {
		t.Errorf("with the row of a server: %v", err)
	}

	other, err := r.Links.Mint(t.Context(), r.caller, service.NewLink{FileID: r.plain.ID, Password: "my own password"})
	r.must(err)
	for name, set := range map[string]string{
		"password":      "password = (SELECT password FROM link WHERE id = '" + other.ID + "')",
		"no password":   "password = ''",
		"another file":  "file_id = '" + r.held.ID + "'",
		"ten years":     "expires = expires + 315360000000000",
		"no limit":      "max_downloads = 0",
		"any address":   "allowed_ips = ''",
		"without seal":  "seal = NULL",
		"inline":        "disposition = 'inline'",
		"another name":  "filename = 'x.html'",
		"another maker": "key_id = ''",
	} {
		t.Run("link "+name, func(t *testing.T) {
			before := readTable(t, r.db, "link")
			sqlRun(t, r.db, "UPDATE link SET "+set+" WHERE id = $1", r.limited.ID)
			r.refusedLink(t)
			r.fsckFindsSeal(t)
			reason := "x"
			_, err := r.Links.Update(t.Context(), r.caller, "", r.limited.ID, nil, service.LinkChange{Reason: &reason})
			if sluice.CodeOf(err) != sluice.CodeConflict {
				t.Errorf("a change of the link: %v", err)
			}
			before.restore(t, r.db)
		})
	}
	t.Run("link un-revoked", func(t *testing.T) {
		before := readTable(t, r.db, "link")
		sqlRun(t, r.db, "UPDATE link SET revoked = NULL, ended = '' WHERE id = $1", r.revoked.ID)
		if err := r.redeem(r.revoked); sluice.ReasonOf(err) != sluice.Altered {
			t.Errorf("%v", err)
		}
		before.restore(t, r.db)
	})
	t.Run("the key of a link", func(t *testing.T) {
		before := readTable(t, r.db, "key")
		sqlRun(t, r.db, "UPDATE key SET expires = NULL, max_link_lifetime = 0, seal = NULL WHERE id = $1", r.caller.Key.ID)
		r.refusedLink(t)
		_, err := r.Keys.Rotate(t.Context(), service.Operator(r.caller.Ledger), r.caller.Key.ID, 0)
		if sluice.CodeOf(err) != sluice.CodeConflict {
			t.Errorf("a rotation of the key: %v", err)
		}
		before.restore(t, r.db)
	})
	if err := r.redeem(r.limited); err != nil {
		t.Errorf("with the row of a server: %v", err)
	}
}

// refusedKey checks that a secret is refused because of its row, that an entry says so, and that fsck finds the row.
func (r *records) refusedKey(t *testing.T, secret string) {
	t.Helper()
	r.Clock.Advance(61e9) // so that the refusal does not repeat an earlier one
	_, err := r.Keys.Authenticate(t.Context(), secret, sluice.Request{ID: "req_1", Method: "GET"})
	if sluice.CodeOf(err) != sluice.CodeUnauthenticated || !strings.Contains(fmt.Sprint(err), "altered") {
		t.Errorf("%v", err)
	}
	found := false
	for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
		list := r.Entries(t, r.Ledger(m))
		for _, e := range list[max(0, len(list)-1):] {
			found = found || e.Action == sluice.AccessDenied && e.Refusal == sluice.Altered
		}
	}
	if !found {
		t.Error("no entry records it")
	}
	r.fsckFindsSeal(t)
}

// fsckFindsSeal checks that fsck finds a row whose seal does not fit: on SQLite, because a check takes longer on
// PostgreSQL, and the code is the same.
func (r *records) fsckFindsSeal(t *testing.T) {
	t.Helper()
	if r.Database != "" {
		return
	}
	if lines := findingLines(checked(t, r.Service)); !strings.Contains(lines, "its seal does not fit") {
		t.Errorf("fsck:\n%s", lines)
	}
}

// refusedLink checks that the limited link is refused because of its row, and that an entry says so.
func (r *records) refusedLink(t *testing.T) {
	t.Helper()
	r.Clock.Advance(61e9)
	if err := r.redeem(r.limited); sluice.ReasonOf(err) != sluice.Altered {
		t.Errorf("%v", err)
	}
	list := r.Entries(t, r.caller.Ledger)
	if e := list[len(list)-1]; e.Action != sluice.LinkRefused || e.Refusal != sluice.Altered {
		t.Errorf("the newest entry: %s %s", e.Action, e.Refusal)
	}
}

func (r *records) redeem(l sluice.Link) error {
	url, err := r.Links.URL(l)
	r.must(err)
	g, err := r.Redeem(r.t.Context(), url[strings.LastIndex(url, "/")+1:], gate.Bearer{
		Address: netip.MustParseAddr("127.0.0.1"), Password: "open sesame",
		Request: sluice.Request{ID: "req_" + l.ID, Method: "GET"},
	})
	if err == nil {
		r.must(g.Content.Close())
		r.Delivered(g, g.Plan.Bytes)
	}
	return err
}

// withoutSeals makes an installation one of an older version: its rows have no seals, and its secrets require none.
func withoutSeals(t *testing.T, data string) {
	t.Helper()
	path := filepath.Join(data, secretsName)
	s, err := readSecrets(path)
	if err != nil {
		t.Fatal(err)
	}
	s.Seals = ""
	text, err := s.text()
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	change(t, data, "UPDATE key SET seal = NULL", "UPDATE link SET seal = NULL")
}

// The rows of an installation from before seals are sealed once, after they were compared with the log. From then on a
// row without a seal is refused.
func TestSecretsSeal(t *testing.T) {
	data, c := smallInstallation(t)
	withoutSeals(t, data)
	p := startServer(t, data)
	c.verify(t, p.url)
	if err := c.session(p.url); err != nil {
		t.Fatal(err)
	}
	p.stop()
	change(t, data, "UPDATE key SET seal = NULL", "UPDATE link SET seal = NULL WHERE rowid % 2 = 0")
	if said := sluiceRun(t, 0, "secrets", "check", "--data", data); !strings.Contains(said, "run sluice secrets seal") {
		t.Errorf("secrets check: %s", said)
	}
	if said := sluiceRun(t, 0, "fsck", "--data", data); !strings.Contains(said, "keys and links without a seal") {
		t.Errorf("fsck: %s", said)
	}

	change(t, data, "UPDATE key SET scopes = 'files:read'")
	said := sluiceRun(t, exitFailed, "secrets", "seal", "--data", data)
	if s, err := readSecrets(filepath.Join(data, secretsName)); err != nil || s.Seals != "" ||
		!strings.Contains(said, "it shows other scopes") || !strings.Contains(said, "seals are not required") {
		t.Errorf("with an edited row: %v %s", err, said)
	}
	change(t, data, "UPDATE key SET scopes = 'audit:read files:content files:read files:write keys:admin links:read "+
		"links:write'")

	if said := sluiceRun(t, 0, "secrets", "seal", "--data", data); !strings.Contains(said, "rows were sealed") {
		t.Errorf("secrets seal: %s", said)
	}
	if said := sluiceRun(t, 0, "fsck", "--data", data); strings.Contains(said, "without a seal") {
		t.Errorf("fsck: %s", said)
	}
	if said := sluiceRun(t, 0, "secrets", "seal", "--data", data); !strings.Contains(said, "requires seals already") {
		t.Errorf("secrets seal once more: %s", said)
	}
	p = startServer(t, data)
	c.verify(t, p.url)
	if err := c.session(p.url); err != nil {
		t.Error(err)
	}
	p.stop()

	// After a rotation the server seals the keys anew: they need the old signing key no longer.
	sluiceRun(t, 0, "secrets", "rotate", "--data", data)
	startServer(t, data).stop()
	const older = "sealed with another signing key than the first"
	if said := sluiceRun(t, 0, "secrets", "check", "--data", data); !strings.Contains(said, older) {
		t.Errorf("secrets check after the rotation: %s", said)
	}
	if said := sluiceRun(t, 0, "secrets", "seal", "--data", data); !strings.Contains(said, "sealed anew") {
		t.Errorf("secrets seal after the rotation: %s", said)
	}
	if said := sluiceRun(t, 0, "secrets", "check", "--data", data); strings.Contains(said, older) {
		t.Errorf("secrets check after secrets seal: %s", said)
	}
	s, err := readSecrets(filepath.Join(data, secretsName))
	if err != nil || len(s.SigningKeys) != 2 || s.Seals != sealsRequired {
		t.Fatal(s.Seals, err)
	}
	s.SigningKeys = s.SigningKeys[:1]
	if text, err := s.text(); err != nil || os.WriteFile(filepath.Join(data, secretsName), text, 0o600) != nil {
		t.Fatal(err)
	}
	p = startServer(t, data)
	if err := c.session(p.url); err != nil { // with the API key, and links of the new signing key
		t.Errorf("without the old signing key: %v", err)
	}
	p.stop()

	// A database from before the seals has to be sealed again.
	change(t, data, "UPDATE key SET seal = NULL", "UPDATE link SET seal = NULL")
	if code, said := fsckRun(t, data); code != exitFailed || !strings.Contains(said, "its seal does not fit") {
		t.Errorf("fsck: exit %d: %s", code, said)
	}
	sluiceRun(t, 0, "secrets", "seal", "--data", data, "--again")
	sluiceRun(t, 0, "fsck", "--data", data)
}

// Links and sessions work without the signing key that sealed them once they are sealed anew: also links whose URL is of
// the newer key and whose seal is of the older one. A row that was altered is not sealed.
func TestLinksAfterRotation(t *testing.T) {
	s := sluicetest.NewService(t)
	s.Tampered = true
	db := openBeside(t, s)
	var keys []token.Key
	for range 2 {
		k, err := token.NewKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	with := func(keys ...token.Key) *records {
		c := service.Config{SigningKeys: keys, RequireSeals: true, LedgerKeys: s.LedgerKeys(), LedgerOrigin: "sluice.test",
			PublicURL: "http://sluice.test", Now: s.Clock.Now, Store: s.Store, Blobs: s.Blobs,
			Log: slog.New(slog.DiscardHandler)}
		svc, err := service.New(c)
		if err != nil {
			t.Fatal(err)
		}
		other := *s
		other.Service, other.Gate = svc, sluicetest.NewGate(t, svc, c)
		return &records{Service: &other, t: t, db: db, caller: service.Operator(s.Ledger(sluice.Test))}
	}
	before, after, last := with(keys[0], keys[1]), with(keys[1], keys[0]), with(keys[1])
	file := before.upload("export", "a")
	mint := func(r *records) sluice.Link {
		l, err := r.Links.Mint(t.Context(), r.caller, service.NewLink{FileID: file.ID})
		r.must(err)
		return l
	}
	change := func(r *records, l sluice.Link) (sluice.Link, error) {
		lifetime := 2 * time.Hour
		return r.Links.Update(t.Context(), r.caller, file.ID, l.ID, nil, service.LinkChange{Lifetime: &lifetime})
	}
	old, mixed, altered := mint(before), mint(after), mint(before)
	_, err := change(before, mixed)
	before.must(err)
	sqlRun(t, db, "UPDATE link SET max_downloads = 7 WHERE id = $1", altered.ID)
	signIn := func(subject string) (token, id string) {
		token, err := before.Sessions.SignInPerson(t.Context(), sluice.Person{Issuer: "https://id.example", Subject: subject},
			[]service.Grant{{Ledger: before.caller.Ledger, Scopes: sluice.Viewer.Scopes()}}, sluice.Request{})
		before.must(err)
		callers, err := before.Sessions.Find(t.Context(), token, sluice.Request{})
		before.must(err)
		return token, callers[0].Session.ID
	}
	signedIn, _ := signIn("ann")
	_, ended := signIn("bob")
	_, widened := signIn("eve")
	_, err = before.Sessions.End(t.Context(), before.caller, ended)
	before.must(err)
	sqlRun(t, db, "UPDATE session SET scopes = 'keys:admin' WHERE id = $1", widened)
	if _, err := last.Sessions.Find(t.Context(), signedIn, sluice.Request{}); err == nil {
		t.Error("a session before it is sealed anew has a seal of the last key")
	}
	for _, l := range []sluice.Link{old, mixed} {
		if err := last.redeem(l); sluice.ReasonOf(err) != sluice.Altered {
			t.Errorf("before it is sealed anew: %v", err)
		}
	}

	for _, want := range []int{3, 0} {
		if n, err := fsck.CountUnsealed(t.Context(), s.Store, after.Seals()); err != nil || n != want {
			t.Errorf("%d rows have another seal, want %d: %v", n, want, err)
		}
		if n, err := fsck.SealRows(t.Context(), s.Store, after.Seals()); err != nil || n != want {
			t.Errorf("%d rows were sealed anew, want %d: %v", n, want, err)
		}
	}
	for _, l := range []sluice.Link{old, mixed} {
		if err := last.redeem(l); err != nil {
			t.Errorf("sealed anew: %v", err)
		}
		if _, err := change(last, l); err != nil {
			t.Errorf("change of a link that is sealed anew: %v", err)
		}
	}
	if _, err := last.Sessions.Find(t.Context(), signedIn, sluice.Request{}); err != nil {
		t.Errorf("a session that is sealed anew: %v", err)
	}
	if bad := last.misfits(t, "session"); !slices.Equal(bad, []string{widened}) {
		t.Errorf("misfits: %v, want %s", bad, widened)
	}
	if bad := last.misfits(t, "link"); !slices.Equal(bad, []string{altered.ID}) {
		t.Errorf("misfits: %v, want %s", bad, altered.ID)
	}
}

// A link that ended with its key or file has no seal: clearing the columns that say so does not bring it back.
func TestEndedLinksHaveNoSeal(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testEndedLinks(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { testEndedLinks(t, sluicetest.Postgres(t)) })
}

func testEndedLinks(t *testing.T, database string) {
	r := newRecords(t, database)
	sqlRun(t, r.db, "UPDATE file SET deleted = NULL")
	sqlRun(t, r.db, "UPDATE link SET revoked = NULL, ended = '' WHERE ended IN ('key_revoked', 'file_deleted')")
	if bad := r.misfits(t, "link"); len(bad) != 2 {
		t.Errorf("%v do not fit, want the link of the file and that of the key", bad)
	}
}
