package main

import (
	"database/sql"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// records is a service with rows of every kind, in every state.
type records struct {
	*sluicetest.Service
	t      testing.TB
	caller service.Caller
	db     *sql.DB

	plain, deleted, held                  sluice.File
	limited, revoked, unlimited, operated sluice.Link
	letter                                sluice.Link // of a file with personal names
	personal                              sluice.Link // asks for recipients, and tells them much
	narrow, ended                         sluice.Key
	signedIn, signedOut                   sluice.Session // of a person, and of a key
}

func newRecords(t testing.TB, database string) *records {
	s := sluicetest.NewServiceOn(t, database)
	s.Tampered = true
	purposes := append(sluice.DefaultPurposes().List(),
		sluice.Purpose{Name: "letter", MaxSize: 100, Linkable: true, Personal: sluice.NameFields()})
	s.SetPurposes(purposes...)
	s.Reopen(t)
	r := &records{Service: s, t: t, db: openBeside(t, s)}
	if _, err := s.Start(t.Context()); err != nil { // adds the signing key
		t.Fatal(err)
	}
	l := s.Ledger(sluice.Test)
	key, secret := s.NewKey(t, l)
	r.caller = service.Caller{Ledger: l, Key: key, Actor: sluice.Actor{Type: sluice.ActorKey, ID: key.ID, Name: key.Name}}
	r.narrow, _ = s.NewKeyAs(t, l, service.NewKey{Name: "narrow", Scopes: []sluice.Scope{sluice.FilesRead},
		Expires: s.Clock.Now().Add(time.Hour), MaxLinkLifetime: time.Hour})
	rotated, _ := s.NewKey(t, l)
	_, err := s.Keys.Rotate(t.Context(), r.caller, rotated.ID, time.Hour)
	r.must(err)
	r.ended, _ = s.NewKey(t, l)
	minter := r.caller
	minter.Key, minter.Actor.ID = r.ended, r.ended.ID

	r.plain, r.deleted, r.held = r.upload("export", "a"), r.upload("export", "b"), r.upload("letter", "c")
	held := true
	_, err = s.Files.Update(t.Context(), r.caller, r.held.ID, nil, service.FileChange{Held: &held})
	r.must(err)
	mint := func(c service.Caller, n service.NewLink) sluice.Link {
		link, err := s.Links.Mint(t.Context(), c, n)
		r.must(err)
		return link
	}
	r.limited = mint(r.caller, service.NewLink{FileID: r.plain.ID, MaxDownloads: 2, Password: "open sesame", Reason: "x",
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Metadata: sluice.Metadata{"a": "b"},
		Filename: "n.txt", Access: sluice.Access{
			Recipient: sluice.Recipient{Email: "ann@bank.example", Name: "Ann"}, Verification: sluice.NoVerification,
			Message: "Dear Ann", Language: "de",
		}})
	r.personal = mint(r.caller, service.NewLink{FileID: r.plain.ID, Access: sluice.Access{
		Recipient: sluice.Recipient{Email: "bob@bank.example"}, Allowed: []string{"*@audit.example"}, Terms: "1.",
		Notify: sluice.Notify{Email: "carl@northwind.example", On: []sluice.NotifyOn{sluice.Unopened}},
		Page:   sluice.PageAlways,
	}})
	r.letter = mint(r.caller, service.NewLink{FileID: r.held.ID, Reason: "a letter"})
	r.revoked = mint(r.caller, service.NewLink{FileID: r.plain.ID})
	r.unlimited = mint(r.caller, service.NewLink{FileID: r.plain.ID})
	r.operated = mint(service.Operator(l), service.NewLink{FileID: r.plain.ID})
	mint(r.caller, service.NewLink{FileID: r.deleted.ID})
	mint(minter, service.NewLink{FileID: r.plain.ID})
	for _, link := range []sluice.Link{r.limited, r.revoked, r.unlimited} {
		r.download(link)
	}
	_, err = s.Links.Revoke(t.Context(), r.caller, "", r.revoked.ID, nil)
	r.must(err)
	_, err = s.Files.Delete(t.Context(), r.caller, r.deleted.ID, nil)
	r.must(err)
	_, err = s.Keys.Revoke(t.Context(), r.caller, r.ended.ID, nil)
	r.must(err)
	ann := sluice.Person{Issuer: "https://id.example", Subject: "ann", Email: "ann@bank.example", Name: "Ann"}
	_, err = s.Sessions.SignInPerson(t.Context(), ann, []service.Grant{{Ledger: l, Scopes: sluice.Auditor.Scopes()}},
		sluice.Request{})
	r.must(err)
	signingIn, err := s.Keys.Authenticate(t.Context(), secret, sluice.Request{})
	r.must(err)
	_, err = s.Sessions.SignIn(t.Context(), signingIn)
	r.must(err)
	sessions, err := s.Sessions.List(t.Context(), r.caller, sluice.Page{Limit: 10})
	r.must(err)
	r.signedOut, r.signedIn = sessions.Data[0], sessions.Data[1]
	_, err = s.Sessions.End(t.Context(), r.caller, r.signedOut.ID)
	r.must(err)
	r.must(s.Flush(t.Context()))
	s.Checkpoint(t)
	return r
}

func (r *records) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *records) upload(purpose, content string) sluice.File {
	r.t.Helper()
	describe := func() (service.NewFile, error) {
		return service.NewFile{Purpose: purpose, Filename: content + ".txt", Title: content, Type: "text/plain",
			Metadata: sluice.Metadata{"k": content}, Linked: []sluice.Resource{{Type: "case", ID: content}}}, nil
	}
	created, err := r.Files.Create(r.t.Context(), r.caller, "", strings.NewReader(content), describe)
	r.must(err)
	return created.File
}

func (r *records) download(l sluice.Link) {
	r.t.Helper()
	url, err := r.Links.URL(l)
	r.must(err)
	g, err := r.Redeem(r.t.Context(), url[strings.LastIndex(url, "/")+1:], gate.Bearer{
		Address: netip.MustParseAddr("127.0.0.1"), Password: "open sesame",
		Request: sluice.Request{ID: "req_" + l.ID, Method: "GET"},
	})
	r.must(err)
	r.must(g.Content.Close())
	r.Delivered(g, g.Plan.Bytes)
}

// edits are the row edits of an attacker who has the database and no secret, and what fsck says of each. The id of the
// row is $1.
func (r *records) edits() []edit {
	link := func(name string, l sluice.Link, set, want string) edit {
		return edit{name, "UPDATE link SET " + set + " WHERE id = $1", l.ID, "link " + l.ID + ": " + want}
	}
	file := func(name string, f sluice.File, set, want string) edit {
		return edit{name, "UPDATE file SET " + set + " WHERE id = $1", f.ID, "file " + f.ID + ": " + want}
	}
	return []edit{
		link("a link is open again", r.revoked, "revoked = NULL, ended = ''", "it is not revoked, and entry"),
		link("ten years more", r.limited, "expires = expires + 315360000000000", "it shows that "+r.limited.ID+" expires at"),
		link("no end", r.limited, "expires = NULL", "it shows that "+r.limited.ID+" expires at never"),
		link("no limit", r.limited, "max_downloads = 0", "it shows a max_downloads of 0"),
		link("no password", r.limited, "password = ''", "it shows that the password"),
		link("any address", r.limited, "allowed_ips = ''", "it shows other allowed_ips"),
		link("a counter that begins anew", r.limited, "downloads = 0", "it counts 0 downloads, and the log has 1 to 1"),
		link("another file", r.limited, "file_id = '"+r.held.ID+"'", "it leads to "+r.held.ID),
		link("without its key", r.limited, "key_id = ''", `it says that the key "" minted it`),
		link("another recipient", r.personal, "access = replace(access, 'bob@', 'eve@')",
			"its recipient differs from what the log records"),
		link("another one by name", r.limited, "access = replace(access, 'Ann', 'Eve')",
			"its name of its recipient differs"),
		link("others are allowed", r.personal, "access = replace(access, 'audit', 'evil')", "its allowed_recipients differs"),
		link("no verification", r.personal, `access = replace(access, ',"verification":"email"', '')`,
			"its verification, terms, page or language differs"),
		link("no terms", r.personal, `access = replace(access, '"terms":"1.",', '')`, "its verification, terms,"),
		link("everyone is admitted", r.personal, "access = '{\"verification\":\"email\"}'",
			"the log records whom it is for, and it admits everyone"),
		link("its people were erased", r.personal, "access = '{\"erased\":true,\"verification\":\"email\"}'",
			"it says that its people were erased, and no redaction erased them"),
		link("another address of notices", r.personal, "access = replace(access, 'carl', 'eve')", "its address of notices"),
		link("no form of its own", r.personal, "access = access || ' '", "it cannot be read"),
		link("lists do not find it", r.personal, "recipient_hash = NULL", "its recipient_hash is not that"),
		link("asks nothing any more", r.personal, "access = '', recipient_hash = NULL", "its recipient differs"),
		file("another digest", r.plain, "sha256 = $2", "it shows the sha256"),
		file("not deleted", r.deleted, "deleted = NULL", "it is not deleted, and entry"),
		file("not held", r.held, "held = 0", "it shows that "+r.held.ID+" was held or released"),
		file("another personal name", r.held, "filename = 'x'", "its filename differs from what the log records"),
		file("a personal name as if erased", r.held, "filename = 'redacted'", "its filename differs"),
		file("no personal title", r.held, "title = ''", "its title differs"),
		file("other personal metadata", r.held, "metadata = ''", "its metadata differs"),
		file("names in clear", r.held, "personal = ''", "it shows another purpose, type or list of personal names"),
		file("personal names", r.plain, "personal = 'reason'", "it shows another purpose, type or list of personal names"),
		link("another personal reason", r.letter, "reason = 'y'", "its reason differs from what the log records"),
		{"all scopes", "UPDATE key SET scopes = 'files:read keys:admin' WHERE id = $1", r.narrow.ID,
			"key " + r.narrow.ID + ": it shows other scopes"},
		{"a key is good again", "UPDATE key SET revoked = NULL WHERE id = $1", r.ended.ID,
			"key " + r.ended.ID + ": it is not revoked, and entry"},
		{"a key by hand", "INSERT INTO key (ledger, id, name, hash, scopes, created, updated, version, max_link_lifetime)" +
			" SELECT ledger, 'key_by_hand', name, $2, scopes, created, updated, version, max_link_lifetime FROM key" +
			" WHERE id = $1",
			r.caller.Key.ID, "key key_by_hand: no entry created it"},
		{"a session goes on", "UPDATE session SET ended = NULL WHERE id = $1", r.signedOut.ID,
			"session " + r.signedOut.ID + ": it has not ended, and entry"},
		{"a session has more scopes", "UPDATE session SET scopes = 'files:read keys:admin' WHERE id = $1", r.signedIn.ID,
			"session " + r.signedIn.ID + ": it shows another end, person, key or scopes"},
		{"a session by hand", "INSERT INTO session (ledger, id, hash, key_id, issuer, subject, email, name," +
			" scopes, created, expires) SELECT ledger, 'sess_by_hand', $2, key_id, issuer, subject, email, name, scopes," +
			" created, expires FROM session WHERE id = $1", r.signedIn.ID, "session sess_by_hand: no entry created it"},
		{"a file is gone", "DELETE FROM file WHERE id = $1", r.plain.ID,
			"file " + r.plain.ID + ": an entry created it, and it has no row"},
		{"a link is gone", "DELETE FROM link WHERE id = $1", r.limited.ID,
			"link " + r.limited.ID + ": an entry created it, and it has no row"},
		{"an ending by hand", "INSERT INTO ending (ledger, kind, object, ended_at, after_created, after_id)" +
			" SELECT ledger, 'key', id, 1, 0, '' FROM key WHERE id = $1", r.narrow.ID,
			"ending " + r.narrow.ID + ": it says that the key " + r.narrow.ID + " has ended, and no entry ended it"},
		{"an account by hand", "INSERT INTO account (id, name, created) SELECT 'acct_by_hand', $1, 1", "x",
			"account acct_by_hand: no entry created it"},
		{"a grant without end", "UPDATE open_grant SET expires = expires + 3600000000 WHERE link_id = $1", r.limited.ID,
			"open_grant " + r.limited.ID + ": it expires at"},
		{"a grant for more", "UPDATE open_grant SET bytes = 1000 WHERE link_id = $1", r.limited.ID,
			"open_grant " + r.limited.ID + ": 1000 bytes are left of it"},
	}
}

type edit struct{ name, statement, id, want string }

// Each row that was edited is found and named.
func TestFsckFindsEditedRows(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testEditedRows(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { testEditedRows(t, sluicetest.Postgres(t)) })
}

func testEditedRows(t *testing.T, database string) {
	r := newRecords(t, database)
	if lines := findingLines(checked(t, r.Service)); lines != "" {
		t.Fatalf("before any edit:\n%s", lines)
	}
	for _, e := range r.edits() {
		t.Run(e.name, func(t *testing.T) {
			table := strings.Fields(e.statement)[1]
			if strings.HasPrefix(e.statement, "INSERT") || strings.HasPrefix(e.statement, "DELETE") {
				table = strings.Fields(e.statement)[2]
			}
			before := readTable(t, r.db, table)
			args := []any{e.id}
			if strings.Contains(e.statement, "$2") {
				args = append(args, slices.Repeat([]byte{7}, 32))
			}
			sqlRun(t, r.db, e.statement, args...)
			if lines := findingLines(checked(t, r.Service)); !strings.Contains(lines, e.want) {
				t.Errorf("want %q, have\n%s", e.want, lines)
			}
			before.restore(t, r.db)
		})
	}
	if lines := findingLines(checked(t, r.Service)); lines != "" {
		t.Fatalf("after all edits were taken back:\n%s", lines)
	}
}

// table is the content of a table.
type table struct {
	name    string
	columns []string
	rows    [][]any
}

func readTable(t testing.TB, db *sql.DB, name string) (out table) {
	t.Helper()
	found, err := db.Query("SELECT * FROM " + name)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	out.name = name
	if out.columns, err = found.Columns(); err != nil {
		t.Fatal(err)
	}
	for found.Next() {
		row := make([]any, len(out.columns))
		at := make([]any, len(row))
		for i := range row {
			at[i] = &row[i]
		}
		if err := found.Scan(at...); err != nil {
			t.Fatal(err)
		}
		out.rows = append(out.rows, row)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// restore puts the rows back.
func (b table) restore(t testing.TB, db *sql.DB) {
	t.Helper()
	sqlRun(t, db, "DELETE FROM "+b.name)
	marks := make([]string, len(b.columns))
	for i := range marks {
		marks[i] = fmt.Sprint("$", i+1)
	}
	for _, row := range b.rows {
		sqlRun(t, db, "INSERT INTO "+b.name+" ("+strings.Join(b.columns, ", ")+") VALUES ("+strings.Join(marks, ", ")+")",
			row...)
	}
}

// harmless are the columns of records whose edits fsck does not find, and why. A column "…: change" is one whose other
// values are not compared, while whether it has a value is.
var harmless = map[string]string{
	"account.name":       "is shown, and no entry has it",
	"account.created":    "is shown",
	"key.updated":        "a version for conditional requests",
	"key.used":           "is shown",
	"file.updated":       "a version for conditional requests",
	"file.crc32":         "of the bytes: the scrub compares it",
	"file.damage":        "a note of the scrub, which compares the bytes again",
	"link.updated":       "a version for conditional requests",
	"link.redeemed":      "is shown",
	"open_grant.bearer":  "a hash of what the log has as commitments",
	"link.revoked":       "the time is shown; whether there is one is compared",
	"file.deleted":       "the time is shown; whether there is one is compared",
	"key.revoked":        "the time is shown; whether there is one is compared",
	"session.ended":      "the time is shown; whether there is one is compared",
	"session.used":       "is shown",
	"open_grant.expires": "an earlier end gives nobody anything; a later one is compared",
	"open_grant.seq":     "says which download gives back its unsent bytes; the bytes are compared",
	"open_grant.bytes":   "fewer bytes give nobody anything; more are compared",
}

// onlySealed are the columns that only a seal covers. A row that is revoked or has ended has none, because it allows
// nothing.
var onlySealed = []string{"session.hash", "session.email", "session.name", "session.seal", "key.hash",
	"key.old_hash", "key.version", "key.seal", "link.signing_key", "link.password", "link.seal"}

// ofRecords are the tables with records. Those of the log are compared with its checkpoints and its index.
var ofRecords = []string{"account", "signing_key", "key", "session", "file", "linked", "link", "open_grant"}

// otherTables are all other tables of the schema, and what an edit of them does.
var otherTables = map[string]string{
	"ledger":           "compared with the log, the checkpoints, the links and the endings: TestFsckFindsWhatWasChanged",
	"batch":            "compared with the tiles: TestFsckFindsWhatWasChanged",
	"entry_index":      "compared with the batches: TestFsckFindsWhatWasChanged",
	"tile":             "compared with the batches: TestFsckFindsWhatWasChanged",
	"checkpoint":       "signed; the newest is compared with the log and the heads",
	"rotation":         "signed",
	"ending":           "compared with the log: TestFsckFindsEditedRows",
	"answer":           "a stored response gives no right: it is returned to the key that asked",
	"guess":            "wrong passwords are counted, and not all recorded",
	"challenge":        "codes are asked for and tried, and not all of that is recorded",
	"erasure":          "an edit delays an erasure, or has it begin anew; what was erased is in the log",
	"mail":             "an edit repeats, delays or drops a mail; what was decided is in the log",
	"lease":            "which server does a job",
	"installation":     "compared with the marker beside the blobs when a server starts",
	"probe":            "written to find out whether the disk is full",
	"scrub":            "how far the scrub has come",
	"goose_db_version": "the version of the schema",
}

// Each column of each row either shows its edits, or is listed with a reason why it cannot.
func TestFsckFindsEditsOfEveryColumn(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testEveryColumn(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { testEveryColumn(t, sluicetest.Postgres(t)) })
}

func testEveryColumn(t *testing.T, database string) {
	r := newRecords(t, database)
	known := append(slices.Collect(maps.Keys(otherTables)), ofRecords...)
	for _, name := range tableNames(t, r.db, database != "") {
		if !slices.Contains(known, name) {
			t.Errorf("the table %s is neither checked here nor listed with a reason", name)
		}
	}
	for _, name := range ofRecords {
		before := readTable(t, r.db, name)
		if len(before.rows) == 0 {
			t.Errorf("no row of %s was edited", name)
		}
		for i, column := range before.columns {
			edited := 0
			for n, row := range before.rows {
				if database != "" && n >= 1 && edited > 0 { // each check takes longer, and the code is the same
					break
				}
				edited += r.editCell(t, before, row, i)
			}
			if _, listed := harmless[name+"."+column]; edited == 0 && !listed {
				t.Errorf("no value of %s.%s could be edited", name, column)
			}
		}
		before.restore(t, r.db)
	}
	if lines := findingLines(checked(t, r.Service)); lines != "" {
		t.Fatalf("after all edits were taken back:\n%s", lines)
	}
}

func tableNames(t testing.TB, db *sql.DB, postgres bool) (names []string) {
	t.Helper()
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
	if postgres {
		query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
	}
	found, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var name string
		if err := found.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// editCell edits one column of a row in several ways, checks that each is found unless it is listed, and takes it back.
// It returns how many edits the database took.
func (r *records) editCell(t *testing.T, in table, row []any, column int) (edited int) {
	t.Helper()
	name := in.name + "." + in.columns[column]
	_, listed := harmless[name]
	if i := endColumn(in); i >= 0 && row[i] != nil {
		listed = listed || slices.Contains(onlySealed, name)
	}
	var where []string
	for i, c := range in.columns {
		if i != column && row[i] != nil {
			where = append(where, fmt.Sprintf("%s = $%d", c, len(where)+2))
		}
	}
	match := func(cell any) (args []any) {
		args = []any{cell}
		for i := range in.columns {
			if i != column && row[i] != nil {
				args = append(args, row[i])
			}
		}
		return args
	}
	update := "UPDATE " + in.name + " SET " + in.columns[column] + " = $1 WHERE " + strings.Join(where, " AND ")
	for _, value := range otherValues(row[column]) {
		switch presence := (value == nil) != (row[column] == nil); {
		case listed && !presence:
			continue
		case name == "session.id" && value == "": // comes before all pages; its seal fits no longer
			continue
		case name == "link.disposition" && value == "": // is read as attachment
			continue
		case name == "key.max_link_lifetime" && sameSeconds(row[column], value): // an entry has whole seconds
			continue
		case listed && !slices.Contains([]string{"link.revoked", "file.deleted", "key.revoked", "session.ended"}, name):
			continue
		}
		if _, err := r.db.Exec(update, match(value)...); err != nil {
			continue // a constraint forbids it
		}
		edited++
		if lines := findingLines(checked(t, r.Service)); lines == "" {
			t.Errorf("%s of %v: %v -> %v was not found", name, row[:2], row[column], value)
		}
		sqlRun(t, r.db, update, match(row[column])...)
	}
	return edited
}

// endColumn is the column that says when a key, link or session ended before its time; -1 if the table has none.
func endColumn(in table) int {
	if in.name == "session" {
		return slices.Index(in.columns, "ended")
	}
	return slices.Index(in.columns, "revoked")
}

// sameSeconds reports whether two lifetimes have the same number of whole seconds, and at least one.
func sameSeconds(a, b any) bool {
	x, _ := a.(int64)
	y, _ := b.(int64)
	return x >= int64(time.Second) && x/int64(time.Second) == y/int64(time.Second) && x != int64(sluice.Forever)
}

// otherValues returns values that a cell does not have.
func otherValues(cell any) []any {
	const longAgo, large = int64(1_000_000), int64(1) << 40
	switch v := cell.(type) {
	case nil:
		return []any{longAgo}
	case int64:
		return []any{v + large, v ^ 1, nil}
	case string:
		if v == "" {
			return []any{"x"}
		}
		return []any{"", v[:len(v)-1], strings.ToUpper(v) + "x"}
	case []byte:
		other := slices.Clone(v)
		other[0] ^= 1
		return []any{other, nil}
	}
	return nil
}

// A key keeps whole seconds of the lifetime of its links, as entries do. Older versions kept fractions, too: what their
// keys did is no finding.
func TestFsckLifetimeWithFraction(t *testing.T) {
	r := newRecords(t, "")
	key, _ := r.NewKeyAs(t, r.caller.Ledger, service.NewKey{Name: "old", MaxLinkLifetime: 1500 * time.Millisecond})
	if key.MaxLinkLifetime != time.Second {
		t.Errorf("a new key keeps a lifetime of %s", key.MaxLinkLifetime)
	}
	sqlRun(t, r.db, "UPDATE key SET max_link_lifetime = $2 WHERE id = $1", key.ID, int64(1500*time.Millisecond))
	key.MaxLinkLifetime = 1500 * time.Millisecond
	key.Seal = r.Seals().Key(key)
	r.must(r.Store.Reseal(t.Context(), service.Sealed{Keys: []sluice.Key{key}}))
	c := r.caller
	c.Key, c.Actor.ID = key, key.ID
	link, err := r.Links.Mint(t.Context(), c, service.NewLink{FileID: r.plain.ID})
	r.must(err)
	if lives := link.Expires.Sub(link.Created); lives != 1500*time.Millisecond {
		t.Fatalf("the link of an old key lives %s", lives)
	}
	r.Clock.Advance(1400 * time.Millisecond)
	r.download(link)
	_, err = r.Keys.Create(t.Context(), c, service.NewKey{Name: "of the old one"})
	r.must(err)
	notes := func() string {
		t.Helper()
		r.must(r.Flush(t.Context()))
		r.Checkpoint(t)
		report := checked(t, r.Service)
		if lines := findingLines(report); lines != "" {
			t.Error(lines)
		}
		return strings.Join(report.Notes, "\n")
	}
	if said := notes(); !strings.Contains(said, "fraction of a second") || !strings.HasSuffix(said, ": 1") {
		t.Errorf("notes: %s", said)
	}
	_, err = r.Keys.Rotate(t.Context(), r.caller, key.ID, 0) // the key may still be changed, and is whole then
	r.must(err)
	if said := notes(); said != "" {
		t.Errorf("notes after a change: %s", said)
	}
}
