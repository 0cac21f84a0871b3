package storetest

import (
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
)

// testSessions keeps sessions as the console does, from two stores on one database.
func testSessions(t *testing.T, db Database) {
	first, second := openStore(t, db), openStore(t, db)
	session := func(l sluice.LedgerID, id string, hash byte, created time.Time) sluice.Session {
		return sluice.Session{ID: id, Ledger: l, Hash: sluice.Digest{hash}, Created: created,
			Expires: created.Add(sluice.SessionLifetime), Seal: sluice.Digest{9}}
	}
	create := func(s service.Store, v sluice.Session) error {
		return s.Update(Background, v.Ledger, func(tx service.Tx) error { return tx.CreateSession(v, NewEntry(v.Ledger)) })
	}
	byKey := session(LiveLedger, "sess_1", 1, Epoch)
	byKey.KeyID = "key_1"
	person := session(LiveLedger, "sess_2", 2, Epoch.Add(time.Minute))
	person.Person = sluice.Person{Issuer: "https://id.example", Subject: "ann", Email: "ann@bank.example", Name: "Ann é"}
	person.Scopes = []sluice.Scope{sluice.AuditRead, sluice.FilesRead}
	sameToken := person
	sameToken.ID, sameToken.Ledger = "sess_3", TestLedger
	for _, v := range []sluice.Session{byKey, person, sameToken} {
		if err := create(first, v); err != nil {
			t.Fatal(err)
		}
	}
	twice := person
	twice.ID = "sess_4" // a token has one session in a ledger
	if create(second, twice) == nil || create(second, byKey) == nil {
		t.Error("a token or an id was stored twice")
	}

	byHash := func(s service.Store, hash byte) []sluice.Session {
		t.Helper()
		return Read(t, s, func(r service.Reader) ([]sluice.Session, error) { return r.SessionsByHash(sluice.Digest{hash}) })
	}
	ofAt := func(s service.Store, issuer, subject string, now time.Time, skip int) []sluice.Session {
		t.Helper()
		return Read(t, s, func(r service.Reader) ([]sluice.Session, error) {
			return r.SessionsOfPerson(issuer, subject, now, skip)
		})
	}
	of := func(s service.Store, issuer, subject string) []sluice.Session {
		t.Helper()
		return ofAt(s, issuer, subject, Epoch, 0)
	}
	byID := func(s service.Store, l sluice.LedgerID, id string) (v sluice.Session, err error) {
		err = s.View(Background, func(r service.Reader) (err error) {
			v, err = r.SessionByID(l, id)
			return err
		})
		return v, err
	}
	WantEqual(t, byHash(second, 1), []sluice.Session{byKey})
	WantEqual(t, byHash(second, 2), []sluice.Session{person, sameToken})
	WantEqual(t, len(byHash(second, 3)), 0)
	WantEqual(t, len(of(second, "https://id.example", "ann")), 2)
	WantEqual(t, len(ofAt(second, "https://id.example", "ann", Epoch, 1)), 1)
	WantEqual(t, len(ofAt(second, "https://id.example", "ann", Epoch, 2)), 0)
	WantEqual(t, len(ofAt(second, "https://id.example", "ann", person.Expires, 0)), 0)
	WantEqual(t, len(of(second, "https://id.example", "")), 0)
	WantEqual(t, len(of(second, "", "")), 0) // also not those of keys
	WantEqual(t, len(of(second, "https://other.example", "ann")), 0)
	if v, err := byID(second, TestLedger, "sess_1"); sluice.CodeOf(err) != sluice.CodeNotFound {
		t.Errorf("a session of another ledger: %+v, %v", v, err)
	}
	page := Read(t, second, func(r service.Reader) (sluice.List[sluice.Session], error) {
		return r.Sessions(LiveLedger, sluice.Page{Limit: 1})
	})
	WantEqual(t, page, sluice.List[sluice.Session]{Data: []sluice.Session{person}, More: true})

	used := map[string]time.Time{"sess_1": Epoch.Add(time.Hour), "sess_gone": Epoch}
	if err := first.SessionsUsed(Background, used); err != nil {
		t.Fatal(err)
	}
	if err := second.SessionsUsed(Background, map[string]time.Time{"sess_1": Epoch}); err != nil { // an older time
		t.Fatal(err)
	}
	byKey.Used = Epoch.Add(time.Hour)
	got, err := byID(second, LiveLedger, "sess_1")
	if err != nil {
		t.Fatal(err)
	}
	WantEqual(t, got, byKey)

	end := func(s service.Store, l sluice.LedgerID, id string) error {
		return s.Update(Background, l, func(tx service.Tx) error {
			return tx.EndSession(id, Epoch.Add(2*time.Hour), NewEntry(l))
		})
	}
	if err := end(second, TestLedger, "sess_2"); sluice.CodeOf(err) != sluice.CodeNotFound {
		t.Errorf("a session of another ledger is ended: %v", err)
	}
	if err := end(second, LiveLedger, "sess_2"); err != nil {
		t.Fatal(err)
	}
	if err := end(first, LiveLedger, "sess_2"); sluice.CodeOf(err) != sluice.CodeNotFound {
		t.Errorf("a session is ended twice: %v", err)
	}
	person.Ended, person.Seal = Epoch.Add(2*time.Hour), sluice.Digest{}
	WantEqual(t, byHash(first, 2), []sluice.Session{person, sameToken})
	WantEqual(t, of(first, "https://id.example", "ann"), []sluice.Session{sameToken})

	if n, err := first.ForgetSessions(Background, byKey.Expires.Add(time.Second)); n != 1 || err != nil {
		t.Errorf("%d sessions were forgotten, %v; want 1", n, err)
	}
	WantEqual(t, len(byHash(second, 1)), 0)
	WantEqual(t, len(byHash(second, 2)), 2)
}
