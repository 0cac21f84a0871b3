package service_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newErasureFixture(t, "")) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, newErasureFixture(t, sluicetest.Postgres(t))) })
}

func newErasureFixture(t *testing.T, database string) *fixture {
	f := newFixtureOver(t, sluicetest.NewServiceOn(t, database))
	f.config.Mail = true
	f.use(nil)
	return f
}

// linkFor mints a link for a person, and sends it.
func (f *fixture) linkFor(file sluice.File, address string) sluice.Link {
	f.Helper()
	l, _ := f.mintAs(service.NewLink{FileID: file.ID, Send: true, Access: sluice.Access{
		Recipient: sluice.Recipient{Email: address, Name: "A Person"}, Message: "Dear " + address,
		Notify: sluice.Notify{Email: "carl@northwind.example", On: []sluice.NotifyOn{sluice.FirstDownload}},
	}})
	return l
}

// verified records that somebody has proved an address at a link.
func (f *fixture) verified(file sluice.File, l sluice.Link, address, from string) {
	f.Helper()
	c := service.Caller{Ledger: f.ledger, Actor: sluice.Actor{Type: sluice.ActorBearer, ID: l.ID},
		Request: sluice.Request{ID: "req_verified", ClientIP: from, IP: "127.0.0.1", UserAgent: "Ann's <browser>"}}
	err := f.store.Store.Update(ctx, f.ledger, func(tx service.Tx) error {
		e := f.NewLinkEntry(c, sluice.LinkVerified, f.Now(), file, l)
		e.Recipient = &sluice.RecipientPart{Email: address}
		return tx.Record(e)
	})
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) erase(n service.NewErasure) sluice.Erasure {
	f.Helper()
	e, err := f.Erasures.Begin(ctx, f.caller, n)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := f.Erasures.Run(ctx); err != nil {
		f.Fatal(err)
	}
	if e, err = f.Erasures.Get(ctx, f.caller, e.ID); err != nil || e.Ended.IsZero() {
		f.Fatalf("%+v, %v", e, err)
	}
	return e
}

func (f *fixture) find(filter service.EntryFilter) (list []sluice.Entry) {
	f.Helper()
	for page := (sluice.Page{Limit: 100}); ; {
		got, err := f.Entries.List(ctx, f.caller, filter, page)
		if err != nil {
			f.Fatal(err)
		}
		if list = append(list, got.Data...); !got.More {
			return list
		}
		page.After = list[len(list)-1].ID
	}
}

// disclosed returns the disclosures of the whole log as text.
func (f *fixture) disclosed() string {
	f.Helper()
	var text strings.Builder
	err := f.store.View(ctx, func(r service.Reader) error {
		for from := int64(0); ; {
			leaves, err := r.Leaves(f.ledger, from, 500)
			if err != nil || len(leaves) == 0 {
				return err
			}
			for _, e := range leaves {
				text.Write(e.Disclosures)
				text.Write(e.Leaf)
			}
			from += int64(len(leaves))
		}
	})
	if err != nil {
		f.Fatal(err)
	}
	return text.String()
}

// TestErasureOfPerson erases a person from several hundred entries, from links and from the index, and nobody else. The
// records of the test are compared with their log when it ends.
func TestErasureOfPerson(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fixture) {
		file := f.upload("0123456789")
		ann, bob := "ann@bank.example", "bob@bank.example"
		var links []sluice.Link
		for i := range 150 {
			links = append(links, f.linkFor(file, ann))
			if i%10 == 0 {
				f.linkFor(file, bob)
			}
		}
		shared, _ := f.mintAs(service.NewLink{FileID: file.ID, Access: sluice.Access{Allowed: []string{bob, ann}}})
		others, _ := f.mintAs(service.NewLink{FileID: file.ID, Access: sluice.Access{Allowed: []string{"*@bank.example"}}})
		f.verified(file, shared, ann, "192.0.2.9")
		f.verified(file, others, ann, "192.0.2.9")
		f.verified(file, others, bob, "192.0.2.8")
		before, ofBob := f.find(service.EntryFilter{Recipient: ann}), f.find(service.EntryFilter{Recipient: bob})

		e := f.erase(service.NewErasure{Recipient: ann})
		if e.By != sluice.ErasedByRecipient || e.Object != "" || e.Links != 151 || e.Files != 0 ||
			e.Entries != int64(len(before))+1 { // the creation of the shared link, which the index does not have
			t.Errorf("%+v, want %d entries", e, len(before)+1)
		}
		if text := f.disclosed(); strings.Contains(text, ann) || !strings.Contains(text, bob) ||
			!strings.Contains(text, "carl@northwind.example") {
			t.Error("the log still has Ann, or lost others")
		}
		if list := f.find(service.EntryFilter{Recipient: ann}); len(list) > 0 {
			t.Errorf("%d entries are listed", len(list))
		}
		if list := f.find(service.EntryFilter{Recipient: bob}); len(list) != len(ofBob) {
			t.Errorf("%d entries of Bob, want %d", len(list), len(ofBob))
		}
		if list := f.find(service.EntryFilter{ClientIP: "192.0.2.8"}); len(list) != 1 {
			t.Errorf("%d entries of Bob's client", len(list))
		}
		for _, l := range []sluice.Link{links[0], links[149], shared} {
			got, err := f.Links.Get(ctx, f.caller, "", l.ID)
			if err != nil || !got.Access.Erased || got.Access.Admits(ann) || got.Access.Admits(bob) ||
				strings.Contains(fmt.Sprintf("%+v", got), ann) || !f.Seals().LinkFits(got) {
				t.Errorf("%+v, %v", got.Access, err)
			}
		}
		if got, err := f.Links.Get(ctx, f.caller, "", others.ID); err != nil || got.Access.Erased {
			t.Errorf("a link that does not name Ann: %+v, %v", got.Access, err)
		}
		recorded := f.find(service.EntryFilter{Action: sluice.AuditErased})
		begun := f.find(service.EntryFilter{Action: sluice.AuditErasureBegun})
		if len(recorded) != 1 || len(begun) != 1 || recorded[0].ID != e.Record || begun[0].ID != e.Begun ||
			recorded[0].Subject.ID != e.Begun || recorded[0].Actor.Type != sluice.ActorSystem ||
			begun[0].Actor.ID != f.caller.Key.ID {
			t.Fatalf("%+v, %+v", recorded, begun)
		}
		part := recorded[0].Erasure
		if part.ID != e.ID || part.Erased == nil || part.Erased.Entries != e.Entries || part.Erased.Links != e.Links ||
			begun[0].Erasure.Erased != nil || !slices.Equal(part.Fields, e.Fields) {
			t.Errorf("%+v", part)
		}
		if again := f.erase(service.NewErasure{Recipient: ann}); again.Entries+again.Links != 0 {
			t.Errorf("asked again: %+v", again)
		}
	})
}

// TestErasureOfFields erases some fields of the entries of an address, a link, a file and a key.
func TestErasureOfFields(t *testing.T) {
	f := newErasureFixture(t, "")
	file := f.upload("0123456789")
	link := f.linkFor(file, "ann@bank.example")
	f.verified(file, link, "ann@bank.example", "192.0.2.9")
	f.verified(file, link, "ann@bank.example", "192.0.2.10")

	e := f.erase(service.NewErasure{ClientIP: "192.0.2.9", Fields: []sluice.PersonalField{"user_agent", "client_ip"}})
	if e.Entries != 1 || !slices.Equal(e.Fields, []sluice.PersonalField{"client_ip", "user_agent"}) {
		t.Errorf("%+v", e)
	}
	if list := f.find(service.EntryFilter{ClientIP: "192.0.2.9"}); len(list) > 0 {
		t.Errorf("%d entries are listed", len(list))
	}
	got := f.find(service.EntryFilter{LinkID: link.ID, Action: sluice.LinkVerified})
	if r := got[1].Request; r.IP != "127.0.0.1" || r.UserAgent != "" || r.ClientIP != "" ||
		got[1].Recipient.Email != "ann@bank.example" || got[0].Request.UserAgent == "" {
		t.Errorf("%+v", r)
	}

	e = f.erase(service.NewErasure{LinkID: link.ID, Fields: []sluice.PersonalField{"message", "notify"}})
	stored, err := f.Links.Get(ctx, f.caller, "", link.ID)
	if err != nil || e.Links != 1 || e.Object != link.ID || stored.Access.Message != "" || len(stored.Access.Notify.On) > 0 ||
		stored.Access.Erased || !stored.Access.Admits("ann@bank.example") {
		t.Errorf("%+v: %+v, %v", e, stored.Access, err)
	}
	f.erase(service.NewErasure{FileID: file.ID})
	for _, entry := range f.find(service.EntryFilter{FileID: file.ID}) {
		if len(entry.Redacted) == 0 || len(entry.Damaged) > 0 || entry.Request != nil && entry.Request.IP != "" ||
			entry.File.Filename != "a.txt" {
			t.Errorf("%+v", entry)
		}
	}
	if e = f.erase(service.NewErasure{KeyID: f.caller.Key.ID}); e.Entries == 0 {
		t.Errorf("%+v", e)
	}
	for _, entry := range f.find(service.EntryFilter{KeyID: f.caller.Key.ID}) {
		if entry.Seq < f.entry(e.Record).Seq && entry.Request != nil && entry.Request.IP != "" {
			t.Errorf("%+v", entry)
		}
	}
}

// TestErasureAndRepeats repeats a request after erasures. The response stays if it shows nothing of what was erased. If
// it may, the repeat fails, and does not take effect again.
func TestErasureAndRepeats(t *testing.T) {
	f := newErasureFixture(t, "")
	file := f.upload("0123456789")
	c := f.caller
	c.Request = sluice.Request{ID: "req_once", ClientIP: "192.0.2.1", IP: "192.0.2.1"}
	mint := func() (sluice.Link, error) {
		c.IdempotencyKey = &service.IdempotencyKey{Value: "once", Fingerprint: service.Fingerprint{{1}}}
		return f.Links.Mint(ctx, c, service.NewLink{FileID: file.ID, Access: sluice.Access{
			Recipient: sluice.Recipient{Email: "ann@bank.example"},
		}})
	}
	first, err := mint()
	if err != nil {
		t.Fatal(err)
	}
	f.erase(service.NewErasure{ClientIP: "192.0.2.1"})
	if again, err := mint(); err != nil || again.ID != first.ID {
		t.Errorf("made %s, %v, want %s", again.ID, err, first.ID)
	}
	f.erase(service.NewErasure{Recipient: "ann@bank.example"})
	_, err = mint()
	if sluice.CodeOf(err) != sluice.CodeIdempotencyReused || !strings.Contains(err.Error(), "was erased") {
		t.Error(err)
	}
	if links := f.find(service.EntryFilter{Action: sluice.LinkCreated}); len(links) != 1 {
		t.Errorf("%d links were made", len(links))
	}

	// The response to a redaction is the entry, which says where its own request came from.
	c.Request.ID, c.Request.ClientIP = "req_redact", "192.0.2.2"
	c.IdempotencyKey = &service.IdempotencyKey{Value: "redact"}
	created := f.find(service.EntryFilter{FileID: file.ID, Action: sluice.FileCreated})[0]
	if _, err := f.Entries.Redact(ctx, c, created.ID, nil); err != nil {
		t.Fatal(err)
	}
	f.erase(service.NewErasure{ClientIP: "192.0.2.2"})
	if err := f.store.View(ctx, func(r service.Reader) error {
		s, err := r.StoredResponse(c.Key.ID, "redact")
		if strings.Contains(string(s.Result), "192.0.2.2") || s.Err == nil {
			t.Errorf("%s, %v", s.Result, s.Err)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestErasureOfFormerPerson erases a person whom a link no longer names. The link and the other people stay, and so does
// what a later change gave a link or a file whose older entries are erased.
func TestErasureOfFormerPerson(t *testing.T) {
	f := newErasureFixture(t, "")
	ann, bob := "ann@bank.example", "bob@bank.example"
	file := f.upload("0123456789")
	f.caller.Request = sluice.Request{ID: "req_owner", ClientIP: "192.0.2.1", IP: "192.0.2.1"}
	link, _ := f.mintAs(service.NewLink{FileID: file.ID, Access: sluice.Access{Allowed: []string{bob, ann},
		Message: "Dear Ann"}})
	f.verified(file, link, ann, "192.0.2.9")
	people, message := []string{bob}, "Dear Bob"
	change := service.LinkChange{AllowedRecipients: &people, Message: &message}
	if _, err := f.Links.Update(ctx, f.caller, "", link.ID, nil, change); err != nil {
		t.Fatal(err)
	}

	e := f.erase(service.NewErasure{Recipient: ann})
	if e.Entries != 3 || e.Links != 0 {
		t.Errorf("%+v", e)
	}
	if text := f.disclosed(); strings.Contains(text, ann) || strings.Contains(text, "Dear Ann") {
		t.Error("the log still has Ann")
	}
	got, err := f.Links.Get(ctx, f.caller, "", link.ID)
	if err != nil || !got.Access.Admits(bob) || got.Access.Erased || got.Access.Message != message {
		t.Errorf("%+v, %v", got.Access, err)
	}
	updated := f.find(service.EntryFilter{LinkID: link.ID, Action: sluice.LinkUpdated})[0]
	if updated.Link.Access.Message != message || !slices.Equal(updated.Link.Access.Allowed, people) {
		t.Errorf("%+v", updated.Link.Access)
	}
	for _, e := range f.find(service.EntryFilter{LinkID: link.ID}) {
		if e.Request.ClientIP != "192.0.2.1" && e.Actor.Type == sluice.ActorKey {
			t.Errorf("the owner's request has lost its address: %+v", e)
		}
	}
}

// TestRedactionOfFormerValue redacts an entry whose values a later change has replaced.
func TestRedactionOfFormerValue(t *testing.T) {
	f := newErasureFixture(t, "")
	purposes, err := sluice.NewPurposes([]sluice.Purpose{
		{Name: "letter", MaxSize: 100, Linkable: true, Personal: sluice.NameFields()},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.use(purposes)
	created, err := f.Files.Create(ctx, f.caller, "letter", strings.NewReader("Dear Ann"), func() (service.NewFile, error) {
		return service.NewFile{Purpose: "letter", Filename: "ann.txt", Title: "To Ann"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	id, name := created.File.ID, "letter-17.txt"
	link, _ := f.mintAs(service.NewLink{FileID: id, Reason: "for Ann",
		Access: sluice.Access{Allowed: []string{"ann@bank.example"}}})
	people := []string{"bob@bank.example"}
	if _, err := f.Links.Update(ctx, f.caller, "", link.ID, nil, service.LinkChange{AllowedRecipients: &people}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Files.Update(ctx, f.caller, id, nil, service.FileChange{Filename: &name}); err != nil {
		t.Fatal(err)
	}
	for _, action := range []sluice.Action{sluice.FileCreated, sluice.LinkCreated} {
		old := f.find(service.EntryFilter{FileID: id, Action: action})[0]
		if _, err := f.Entries.Redact(ctx, f.caller, old.ID, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := f.Files.Get(ctx, f.caller, id); err != nil || got.Filename != name || got.Title != "" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err := f.Links.Get(ctx, f.caller, "", link.ID)
	if err != nil || !got.Access.Admits(people[0]) || got.Reason != "" {
		t.Errorf("%+v, %+v, %v", got, got.Access, err)
	}
}

// damagingStore shows erasures leaves that cannot be decoded.
type damagingStore struct{ service.Store }

func (s damagingStore) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	return s.Store.Update(ctx, l, func(tx service.Tx) error { return fn(damagingTx{tx}) })
}

type damagingTx struct{ service.Tx }

func (t damagingTx) FindErasable(
	l sluice.LedgerID, by sluice.ErasedBy, term string, from int64, limit int,
) (found []service.ErasableEntry, next int64, more bool, err error) {
	found, next, more, err = t.Tx.FindErasable(l, by, term, from, limit)
	for i := range found {
		t, _ := found[i].Sealed.IndexTerms()
		found[i].Sealed.Leaf = []byte(`{"link":{"id":"` + t.LinkID + `"}`)
	}
	return found, next, more, err
}

func (t damagingTx) SealedEntries(
	l sluice.LedgerID, filter service.EntryFilter, page sluice.Page,
) (sluice.List[service.ErasableEntry], error) {
	list, err := t.Tx.SealedEntries(l, filter, page)
	for i := range list.Data {
		list.Data[i].Sealed.Leaf = []byte("{")
	}
	return list, err
}

// TestErasureOfDamagedEntries erases entries whose leaves are damaged. They lose their fields, and the erasure ends.
func TestErasureOfDamagedEntries(t *testing.T) {
	f := newErasureFixture(t, "")
	file, ann := f.upload("0123456789"), "ann@bank.example"
	link, _ := f.mintAs(service.NewLink{FileID: file.ID, Access: sluice.Access{Allowed: []string{ann}}})
	f.verified(file, link, ann, "192.0.2.9")
	whole := f.store.Store
	f.store.Store = damagingStore{whole}
	byClient := f.erase(service.NewErasure{ClientIP: "192.0.2.9"})
	byPerson := f.erase(service.NewErasure{Recipient: ann})
	f.store.Store = whole
	if text := f.disclosed(); byClient.Entries != 1 || byPerson.Entries != 2 || byPerson.Links != 1 ||
		strings.Contains(text, "192.0.2.9") || strings.Contains(text, ann) {
		t.Errorf("%+v, %+v", byClient, byPerson)
	}
	if log := f.base.Log.String(); !strings.Contains(log, "an entry that is erased cannot be read") {
		t.Errorf("the log:\n%s", log)
	}
}

func (f *fixture) entry(id string) sluice.Entry {
	f.Helper()
	e, err := f.Entries.Get(ctx, f.caller, id)
	if err != nil {
		f.Fatal(err)
	}
	return e
}

// TestErasureGoesOn stops an erasure after each of its commits, as a crash would, and has two servers go on at once.
// Entries that come in meanwhile are erased too, and each entry is counted once.
func TestErasureGoesOn(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fixture) {
		file := f.upload("0123456789")
		ann := "ann@bank.example"
		link, _ := f.mintAs(service.NewLink{FileID: file.ID, Access: sluice.Access{Allowed: []string{"*@bank.example"}}})
		for range 700 {
			f.verified(file, link, ann, "192.0.2.9")
		}
		e, err := f.Erasures.Begin(ctx, f.caller, service.NewErasure{Recipient: ann})
		if err != nil {
			t.Fatal(err)
		}
		other := f.withPurposes(nil)
		for i := range 3 {
			f.store.fail = "after" // the commit
			if _, err := f.Erasures.Run(ctx); err == nil {
				t.Error("the run was not stopped")
			}
			f.store.fail = ""
			f.verified(file, link, ann, "192.0.2.9") // comes in meanwhile
			f.linkFor(file, ann)
			if got, err := f.Erasures.Get(ctx, f.caller, e.ID); err != nil || !got.Ended.IsZero() ||
				got.Entries < int64(128*(i+1)) {
				t.Fatalf("after %d commits: %+v, %v", i+1, got, err)
			}
			if found := f.find(service.EntryFilter{Action: sluice.AuditErased}); len(found) > 0 {
				t.Error("it is recorded before its end")
			}
		}
		ended := make(chan error)
		go func() {
			_, err := other.Erasures.Run(ctx)
			ended <- err
		}()
		if _, err := f.Erasures.Run(ctx); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if e, err = f.Erasures.Get(ctx, f.caller, e.ID); err != nil || e.Entries != 700+3+2*3 || e.Links != 3 {
			t.Errorf("%+v, %v", e, err)
		}
		if text := f.disclosed(); strings.Contains(text, ann) {
			t.Error("the log still has Ann")
		}
		if found := f.find(service.EntryFilter{Action: sluice.AuditErased}); len(found) != 1 {
			t.Errorf("it is recorded %d times", len(found))
		}
		f.verified(file, link, ann, "192.0.2.9") // after the end
		if found := f.find(service.EntryFilter{Recipient: ann}); len(found) != 1 {
			t.Errorf("%d entries after the end", len(found))
		}
	})
}

// TestErasureRefusals asks for what there is no erasure of.
func TestErasureRefusals(t *testing.T) {
	f := newErasureFixture(t, "")
	ann := "ann@bank.example"
	all := append(sluice.PersonalFields(), "ip")
	for name, c := range map[string]struct {
		ask  service.NewErasure
		code sluice.Code
		says string
	}{
		"nothing":         {service.NewErasure{}, sluice.CodeValidation, "give one of recipient"},
		"two values":      {service.NewErasure{Recipient: ann, FileID: "file_1"}, sluice.CodeValidation, "exclude each other"},
		"no field":        {service.NewErasure{Recipient: ann, Fields: []sluice.PersonalField{}}, sluice.CodeValidation, "1 to"},
		"an unknown one":  {service.NewErasure{Recipient: ann, Fields: []sluice.PersonalField{"iq"}}, sluice.CodeValidation, "iq"},
		"too many fields": {service.NewErasure{Recipient: ann, Fields: all}, sluice.CodeValidation, "1 to"},
		"an unknown file": {service.NewErasure{FileID: "file_1"}, sluice.CodeNotFound, "file_1"},
		"an unknown link": {service.NewErasure{LinkID: "link_1"}, sluice.CodeNotFound, "link_1"},
		"an unknown key":  {service.NewErasure{KeyID: "key_1"}, sluice.CodeNotFound, "key_1"},
	} {
		_, err := f.Erasures.Begin(ctx, f.caller, c.ask)
		if sluice.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.Erasures.Get(ctx, f.caller, "era_1"); sluice.CodeOf(err) != sluice.CodeNotFound {
		t.Error(err)
	}
	poor := f.newCaller(f.ledger, sluice.AuditRead, sluice.FilesWrite, sluice.LinksWrite)
	if _, err := f.Erasures.Begin(ctx, poor, service.NewErasure{Recipient: ann}); sluice.CodeOf(err) != sluice.CodeForbidden {
		t.Error(err)
	}
	for range service.MaxPendingErasures {
		if _, err := f.Erasures.Begin(ctx, f.caller, service.NewErasure{Recipient: ann}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := f.Erasures.Begin(ctx, f.caller, service.NewErasure{Recipient: ann})
	if sluice.CodeOf(err) != sluice.CodeConflict {
		t.Error(err)
	}
	if _, err := f.Erasures.Run(ctx); err != nil {
		t.Error(err)
	}
	f.erase(service.NewErasure{Recipient: ann})
}

// TestPersonalNames uploads files to a purpose whose names are personal. The log has them as commitments, readers see
// them, and an erasure by file erases them from entries, from the file and from its links. The records of the test are
// compared with their log when it ends.
func TestPersonalNames(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fixture) {
		purposes, err := sluice.NewPurposes([]sluice.Purpose{
			{Name: "generic", MaxSize: 100, Linkable: true},
			{Name: "letter", MaxSize: 100, Linkable: true, Personal: sluice.NameFields()},
		})
		if err != nil {
			t.Fatal(err)
		}
		f.use(purposes)
		created, err := f.Files.Create(ctx, f.caller, "letter", strings.NewReader("Dear Ann"), func() (service.NewFile, error) {
			return service.NewFile{Purpose: "letter", Filename: "ann.txt", Title: "To Ann",
				Metadata: sluice.Metadata{"to": "Ann"}, Linked: []sluice.Resource{{Type: "person", ID: "Ann"}}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		file := created.File
		name, reason := "for ann.txt", "another letter to Ann"
		link, _ := f.mintAs(service.NewLink{FileID: file.ID, Reason: "a letter to Ann", Filename: "letter to ann.txt",
			Metadata: sluice.Metadata{"for": "Ann"}})
		if link, err = f.Links.Update(ctx, f.caller, "", link.ID, nil, service.LinkChange{Reason: &reason}); err != nil {
			t.Fatal(err)
		}
		if file, err = f.Files.Update(ctx, f.caller, file.ID, nil, service.FileChange{Filename: &name}); err != nil {
			t.Fatal(err)
		}
		f.verified(file, link, "ann@bank.example", "192.0.2.9")
		plain := f.upload("no secret")
		if text := f.leaves(); strings.Contains(strings.ToLower(text), "ann") || !strings.Contains(text, plain.Filename) {
			t.Errorf("the leaves have a name: %s", text)
		}
		seen := f.find(service.EntryFilter{FileID: file.ID})
		if e := seen[0]; e.File.Filename != name || e.File.Metadata["to"] != "Ann" || e.Link.Reason != reason ||
			e.Link.Metadata["for"] != "Ann" {
			t.Errorf("%+v %+v", e.File, e.Link)
		}
		updated := seen[1]
		if updated.Action != sluice.FileUpdated || string(updated.File.Before["filename"]) != `"ann.txt"` ||
			updated.File.Details.Title != "To Ann" || updated.File.Details.Linked[0].ID != "Ann" {
			t.Errorf("%+v", updated.File)
		}

		// One entry of a download loses a name, and nothing else does.
		redacted, err := f.Entries.Redact(ctx, f.caller, seen[0].ID, []sluice.PersonalField{"filename"})
		if err != nil || !slices.Equal(redacted.Subject.Fields, []string{"/file/filename"}) {
			t.Errorf("%+v, %v", redacted.Subject, err)
		}
		if got, err := f.Files.Get(ctx, f.caller, file.ID); err != nil || got.Filename != name {
			t.Errorf("%+v, %v", got, err)
		}

		e := f.erase(service.NewErasure{FileID: file.ID, Fields: sluice.NameFields()})
		if e.Files != 1 || e.Links != 1 || e.Entries != int64(len(seen)) {
			t.Errorf("%+v", e)
		}
		got, err := f.Files.Get(ctx, f.caller, file.ID)
		if err != nil || got.Filename != sluice.ErasedFilename || got.Title != "" || got.Metadata != nil ||
			got.Linked != nil || got.Version() == file.Version() {
			t.Errorf("%+v, %v", got, err)
		}
		gotLink, err := f.Links.Get(ctx, f.caller, "", link.ID)
		if err != nil || gotLink.Reason+gotLink.Filename != "" || gotLink.Metadata != nil || !f.Seals().LinkFits(gotLink) {
			t.Errorf("%+v, %v", gotLink, err)
		}
		if text := strings.ToLower(f.disclosed()); strings.Contains(text, "to ann") || strings.Contains(text, "ann.txt") ||
			!strings.Contains(text, "ann@bank.example") {
			t.Error("the log still has the names, or lost the recipient")
		}
		list, err := f.Files.List(ctx, f.caller, service.FileFilter{Linked: &sluice.Resource{Type: "person", ID: "Ann"}},
			sluice.Page{Limit: 9})
		if err != nil || len(list.Data) != 0 {
			t.Errorf("found by its resource: %+v, %v", list.Data, err)
		}
		for _, e := range f.find(service.EntryFilter{FileID: file.ID}) {
			if e.File.Filename != "" || len(e.Damaged) > 0 || !slices.Contains(e.Redacted, "/file/filename") {
				t.Errorf("%s: %+v", e.Action, e)
			}
		}

		// The file lives on, and so does its link.
		title := "Letter 17"
		if got, err = f.Files.Update(ctx, f.caller, file.ID, nil, service.FileChange{Title: &title}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Links.Revoke(ctx, f.caller, "", link.ID, nil); err != nil {
			t.Error(err)
		}
		if newest := f.find(service.EntryFilter{FileID: file.ID})[1]; newest.File.Filename != sluice.ErasedFilename ||
			string(newest.File.Before["title"]) != "null" || newest.File.Details.Title != title {
			t.Errorf("%+v", newest.File)
		}
	})
}

// leaves returns the leaves of the whole log as text.
func (f *fixture) leaves() string {
	f.Helper()
	var text strings.Builder
	err := f.store.View(ctx, func(r service.Reader) error {
		leaves, err := r.Leaves(f.ledger, 0, 1000)
		for _, e := range leaves {
			text.Write(e.Leaf)
		}
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	return text.String()
}
