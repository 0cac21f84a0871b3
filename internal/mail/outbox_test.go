package mail_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/mail"
	"sluice/internal/service"
	"sluice/internal/token"
	"sluice/sluicetest"
)

// office is a service with a file, and an outbox.
type office struct {
	*service.Service
	t      testing.TB
	base   *sluicetest.Service
	store  *faultyStore
	gate   *gate.Gate
	caller service.Caller
	file   sluice.File

	mu      sync.Mutex
	results map[string]int
	failing bool // the mail server
	bearers int
}

// faultyStore fails to set mails on demand.
type faultyStore struct {
	service.Store
	mu      sync.Mutex
	fail    error
	applied bool // although it fails
	slow    time.Duration
}

// View has a slow Reader.
func (s *faultyStore) View(ctx context.Context, fn func(service.Reader) error) error {
	return s.Store.View(ctx, func(r service.Reader) error { return fn(slowReader{r, s.slow}) })
}

// slowReader takes its time after it has read the mails that are due.
type slowReader struct {
	service.Reader
	slow time.Duration
}

func (r slowReader) MailsDue(rank int64, now time.Time, limit int) ([]service.Mail, error) {
	list, err := r.Reader.MailsDue(rank, now, limit)
	time.Sleep(r.slow)
	return list, err
}

func (s *faultyStore) set(err error, applied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.applied = err, applied
}

func (s *faultyStore) SetMail(ctx context.Context, m service.Mail, next *service.Mail) error {
	s.mu.Lock()
	err, applied := s.fail, s.applied
	s.mu.Unlock()
	if err != nil && !applied {
		return err
	}
	return errors.Join(s.Store.SetMail(ctx, m, next), err)
}

func newOffice(t testing.TB) *office { return newOfficeOn(t, "") }

func newOfficeOn(t testing.TB, database string) *office {
	t.Helper()
	if test, ok := t.(*testing.T); ok {
		test.Parallel()
	}
	base := sluicetest.NewServiceOn(t, database)
	signing, err := token.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{t: t, base: base, store: &faultyStore{Store: base.Store}, results: map[string]int{}}
	log := slog.New(slog.NewTextHandler(base.Log, nil))
	o.Service, err = service.New(service.Config{
		Store: o.store, Blobs: base.Blobs, SigningKeys: []token.Key{signing}, PublicURL: "https://files.example",
		Now: base.Clock.Now, Log: log, Mail: true, MaxLinkLifetime: 7 * 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.gate, err = gate.New(gate.Config{Service: o.Service, Store: o.store, Blobs: base.Blobs, Log: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.gate.Flush(context.Background()); err != nil {
			t.Error(err)
		}
	})
	l := base.Ledger(sluice.Test)
	key, _ := base.NewKey(t, l)
	o.caller = service.Caller{Ledger: l, Key: key, Actor: sluice.Actor{Type: sluice.ActorKey, ID: key.ID}}
	created, err := o.Files.Create(t.Context(), o.caller, "generic", strings.NewReader("the statement"),
		func() (service.NewFile, error) {
			return service.NewFile{Filename: "statement.pdf", Purpose: "generic"}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	o.file = created.File
	return o
}

// mint makes a link.
func (o *office) mint(n service.NewLink) sluice.Link {
	o.t.Helper()
	n.FileID = o.file.ID
	l, err := o.Links.Mint(o.t.Context(), o.caller, n)
	if err != nil {
		o.t.Fatal(err)
	}
	return l
}

// send mints a link that is mailed to its recipient, for two days.
func (o *office) send(address string) sluice.Link {
	o.t.Helper()
	day := 24 * time.Hour
	return o.mint(service.NewLink{Lifetime: &day, Send: true, Access: sluice.Access{
		Recipient: sluice.Recipient{Email: address, Name: "Ann"}, Verification: sluice.NoVerification,
	}})
}

// run runs an outbox until stop is called or the test ends.
func (o *office) run(url string) (stop func()) {
	o.t.Helper()
	return o.runWith(northwind(o.t, url))
}

func (o *office) runWith(w *mail.Writer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	outbox := mail.Outbox{
		Mails: o.Mails, Store: o.store, Writer: w, Log: slog.New(slog.NewTextHandler(o.base.Log, nil)), Observer: o,
	}
	go func() {
		defer close(ended)
		outbox.Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	o.t.Cleanup(stop)
	return stop
}

// MailEnded implements mail.Observer.
func (o *office) MailEnded(kind service.MailKind, result string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.results[result]++
}

// MailServerFailing implements mail.Observer.
func (o *office) MailServerFailing(failing bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failing = failing
}

func (o *office) count(result string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.results[result]
}

func (o *office) await(what string, so func() bool) {
	o.t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Fatalf("after a minute, still not: %s\n%s", what, o.base.Log)
		}
	}
}

// waiting returns how many mails wait, whether or not they are due.
func (o *office) waiting() (list []service.Mail) {
	o.t.Helper()
	err := o.base.Store.View(context.Background(), func(r service.Reader) error {
		for rank := range int64(service.NoticeRank + 1) {
			due, err := r.MailsDue(rank, o.base.Clock.Now().AddDate(200, 0, 0), 1000)
			if err != nil {
				return err
			}
			list = append(list, due...)
		}
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return list
}

// entries returns the entries of an action.
func (o *office) entries(a sluice.Action) []sluice.Entry {
	return slices.DeleteFunc(o.base.Entries(o.t, o.caller.Ledger), func(e sluice.Entry) bool { return e.Action != a })
}

// redeem downloads a link's file.
func (o *office) redeem(l sluice.Link, b gate.Bearer) error {
	o.t.Helper()
	url, err := o.Links.URL(l)
	if err != nil {
		o.t.Fatal(err)
	}
	b.Request.Method = cmp.Or(b.Want.Method, "GET")
	g, err := o.gate.Redeem(o.t.Context(), url[strings.LastIndex(url, "/")+1:], b)
	if err != nil {
		return err
	}
	if g.Content != nil {
		g.Content.Close()
	}
	if g.Plan.Bytes > 0 {
		o.gate.Delivered(g, g.Plan.Bytes)
	}
	return o.gate.Flush(o.t.Context())
}

func messageIDs(mails []sluicetest.Received) (ids []string) {
	for _, m := range mails {
		ids = append(ids, m.Header.Get("Message-Id"))
	}
	return ids
}

// TestSend sends a link to its recipient at minting: the log says so, and the mail has the link, the sender's message,
// the file and the end.
func TestSend(t *testing.T) {
	server := sluicetest.NewMailpit(t)
	o := newOffice(t)
	day := 24 * time.Hour
	l := o.mint(service.NewLink{Lifetime: &day, Send: true, Access: sluice.Access{
		Recipient: sluice.Recipient{Email: "ann@bank.example", Name: "Ann Example"}, Message: "Dear Ann", Language: "de",
	}})
	sent := o.entries(sluice.LinkSent)
	if len(sent) != 1 || sent[0].Link.ID != l.ID || sent[0].Recipient == nil ||
		sent[0].Recipient.Email != "ann@bank.example" {
		t.Fatalf("the log says %+v", sent)
	}
	o.run(server.URL())
	got := server.Await(t, 1)[0]
	url, err := o.Links.URL(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{url, "Dear Ann", "statement.pdf", "13 Byte", "5. März 2026", "Code"} {
		if !strings.Contains(got.Text, want) || !strings.Contains(got.HTML, want) {
			t.Errorf("the mail has no %q:\n%s", want, got.Text)
		}
	}
	if to := got.Header.Get("To"); to != `"Ann Example" <ann@bank.example>` {
		t.Errorf("To: %s", to)
	}
	o.await("the mail is removed", func() bool { return len(o.waiting()) == 0 })
	if failed := o.entries(sluice.LinkMailFailed); len(failed) > 0 || o.count("sent") != 1 {
		t.Errorf("%+v, %v", failed, o.results)
	}
}

// TestSendCode sends a code, ahead of all other mails.
func TestSendCode(t *testing.T) {
	server := sluicetest.NewMailpit(t)
	o := newOffice(t)
	l := o.send("ann@bank.example")
	entry := o.queueCode(l, "challenge 1", "ja")
	o.run(server.URL())
	mails := server.Await(t, 2)
	code := o.Links.Code(l, "challenge 1")
	i := slices.IndexFunc(mails, func(m sluicetest.Received) bool {
		return strings.Contains(decoded(t, m.Header.Get("Subject")), code[:4]+" "+code[4:])
	})
	if i < 0 || mails[i].Header.Get("To") != "<bob@bank.example>" || mails[i].Header.Get("Content-Language") != "ja" {
		t.Errorf("no mail has the code %s of %s: %+v", code, entry, mails)
	}
	if other := o.Links.Code(l, "challenge 2"); other == code || len(other) != 8 {
		t.Errorf("codes %s and %s", code, other)
	}
}

// queueCode records that a code was asked for, and queues its mail.
func (o *office) queueCode(l sluice.Link, challenge, language string) (entry string) {
	o.t.Helper()
	now := o.Now()
	e := o.NewLinkEntry(service.Caller{Ledger: l.Ledger, Actor: sluice.Actor{Type: sluice.ActorBearer, ID: l.ID}},
		sluice.LinkCodeSent, now, o.file, l)
	e.Recipient = &sluice.RecipientPart{Email: "bob@bank.example"}
	err := o.base.Store.Update(o.t.Context(), l.Ledger, func(tx service.Tx) error {
		return errors.Join(tx.Record(e), o.Mails.QueueCode(tx, l, challenge, e.ID, language, now.Add(10*time.Minute), now))
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return e.ID
}

// TestServerDown starts the outbox while the mail server is down, and stops that server later for a while. Each mail
// arrives once. Mails wait while it is down, and no attempt is counted.
func TestServerDown(t *testing.T) {
	server := sluicetest.NewMailpit(t)
	server.Stop(t)
	o := newOffice(t)
	o.send("ann@bank.example")
	o.send("bob@bank.example")
	o.run(server.URL())
	failing := func() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.failing }
	o.await("the mail server is seen to be down", failing)
	if list := o.waiting(); len(list) != 2 || list[0].Attempts != 0 {
		t.Errorf("waiting: %+v", list)
	}
	server.Start(t)
	server.Await(t, 2)
	o.await("the mail server is seen to be up", func() bool { return !failing() && len(o.waiting()) == 0 })
	server.Stop(t)
	o.send("eve@bank.example")
	o.await("the mail server is seen to be down again", failing)
	server.Start(t)
	ids := messageIDs(server.Await(t, 3))
	if slices.Sort(ids); len(slices.Compact(ids)) != 3 {
		t.Errorf("Message-IDs: %q", ids)
	}
	if n := strings.Count(o.base.Log.String(), "the mail server cannot be used"); n < 2 || n > 6 {
		t.Errorf("the log has %d lines on the mail server", n)
	}
}

// TestTemporaryRefusal tries a mail again, later each time, until the server accepts it.
func TestTemporaryRefusal(t *testing.T) {
	for _, step := range []string{"MAIL", "RCPT", "DATA", "END"} {
		t.Run(step, func(t *testing.T) {
			o := newOffice(t)
			server := newFaultyServer(t, func(at string, n int) string {
				if at == step && n < 2 {
					return "451 4.7.1 try again"
				}
				return ""
			})
			o.send("ann@bank.example")
			o.run("smtp://" + server.Address)
			for attempt := range 2 {
				o.await("the attempt fails", func() bool { return o.count("retried") == attempt+1 })
				o.base.Clock.Advance(time.Hour)
			}
			o.await("the mail is accepted", func() bool { return o.count("sent") == 1 })
			if ids := server.Accepted(); len(ids) != 1 || len(o.entries(sluice.LinkMailFailed)) > 0 || len(o.waiting()) > 0 {
				t.Errorf("accepted: %q, waiting: %+v", ids, o.waiting())
			}
		})
	}
}

// TestPermanentRefusal gives a mail up at once when the server will never accept it, with an entry that has no address.
// The next mail goes out.
func TestPermanentRefusal(t *testing.T) {
	for _, step := range []string{"RCPT", "DATA", "END"} {
		t.Run(step, func(t *testing.T) {
			o := newOffice(t)
			server := newFaultyServer(t, func(at string, n int) string {
				if at == step && n == 0 {
					return "550 5.1.1 <ann@bank.example>: no such mailbox"
				}
				return ""
			})
			l := o.send("ann@bank.example")
			o.run("smtp://" + server.Address)
			o.await("the mail is given up", func() bool { return len(o.entries(sluice.LinkMailFailed)) == 1 })
			failed, sent := o.entries(sluice.LinkMailFailed)[0], o.entries(sluice.LinkSent)[0]
			if failed.Link.ID != l.ID || *failed.Mail != (sluice.MailPart{Kind: "link",
				Problem: "the mail server replied 550 5.1.1"}) || failed.Subject.ID != sent.ID || failed.Subject.Seq != sent.Seq {
				t.Errorf("the log says %+v %+v %+v", failed, failed.Mail, failed.Subject)
			}
			o.send("bob@bank.example")
			o.await("the next mail is accepted", func() bool { return len(server.Accepted()) == 1 && len(o.waiting()) == 0 })
			if o.count("given_up") != 1 || strings.Contains(o.base.Log.String(), "ann@bank.example") {
				t.Errorf("%v\n%s", o.results, o.base.Log)
			}
		})
	}
}

// TestSenderRefused treats a refusal of the sender as a fault of the settings: mails wait for a day, and are given up
// then.
func TestSenderRefused(t *testing.T) {
	o := newOffice(t)
	server := newFaultyServer(t, func(at string, _ int) string {
		if at == "MAIL" {
			return "550 5.7.1 not yours"
		}
		return ""
	})
	o.send("ann@bank.example")
	o.run("smtp://" + server.Address)
	o.await("the attempt fails", func() bool { return o.count("retried") == 1 })
	if n := len(o.entries(sluice.LinkMailFailed)); n > 0 {
		t.Errorf("%d mails were given up at once", n)
	}
	o.base.Clock.Advance(23 * time.Hour)
	o.await("it is tried again", func() bool { return o.count("retried") == 2 })
	o.base.Clock.Advance(time.Hour)
	o.await("the mail is given up", func() bool { return len(o.entries(sluice.LinkMailFailed)) == 1 })
	if p := o.entries(sluice.LinkMailFailed)[0].Mail.Problem; p != "its time was over" || len(o.waiting()) > 0 {
		t.Errorf("problem: %q", p)
	}
}

// TestServerDownTooLong gives mails up while the mail server is down: codes when they are not good any more, others
// after a day.
func TestServerDownTooLong(t *testing.T) {
	o := newOffice(t)
	l := o.send("ann@bank.example")
	entry := o.queueCode(l, "challenge", "en")
	o.run("smtp://" + sluicetest.FreeAddress(t))
	o.base.Clock.Advance(10*time.Minute - time.Second)
	time.Sleep(500 * time.Millisecond) // no mail may be given up meanwhile
	if n := len(o.entries(sluice.LinkMailFailed)); n > 0 {
		t.Errorf("%d mails were given up too early", n)
	}
	o.base.Clock.Advance(time.Second)
	o.await("the code is given up", func() bool { return len(o.entries(sluice.LinkMailFailed)) == 1 })
	if e := o.entries(sluice.LinkMailFailed)[0]; e.Mail.Kind != "code" || e.Subject.ID != entry {
		t.Errorf("given up: %+v", e)
	}
	o.base.Clock.Advance(24 * time.Hour)
	o.await("the link is given up", func() bool { return len(o.entries(sluice.LinkMailFailed)) == 2 })
}

// TestHangingServer has a server that never replies after the text of a mail. Other mails go out meanwhile, and the
// mail is sent again.
func TestHangingServer(t *testing.T) {
	o := newOffice(t)
	server := newFaultyServer(t, func(at string, n int) string {
		if at == "END" && n == 0 {
			return hang
		}
		return ""
	})
	w := northwind(t, "smtp://"+server.Address)
	w.Server.SetSendTimeout(5 * time.Second)
	o.send("ann@bank.example")
	o.runWith(w)
	o.await("the first mail hangs", func() bool { server.mu.Lock(); defer server.mu.Unlock(); return server.mails == 1 })
	o.send("bob@bank.example")
	o.await("the second is accepted", func() bool { return o.count("sent") == 1 })
	o.await("the first is given back", func() bool { return o.count("retried") == 1 })
	o.base.Clock.Advance(time.Hour)
	o.await("the first is accepted", func() bool { return o.count("sent") == 2 && len(o.waiting()) == 0 })
	if ids := server.Accepted(); len(ids) != 2 || ids[0] == ids[1] {
		t.Errorf("accepted: %q", ids)
	}
}

// TestLostAcceptance loses the server's acceptance. Only then a mail is sent twice, and both have one Message-ID, by
// which mail programs show it once.
func TestLostAcceptance(t *testing.T) {
	o := newOffice(t)
	server := newFaultyServer(t, func(at string, n int) string {
		if at == "END" && n == 0 {
			return acceptAndBreakUp
		}
		return ""
	})
	o.send("ann@bank.example")
	o.run("smtp://" + server.Address)
	o.await("the connection breaks", func() bool { return o.count("retried") == 1 })
	o.base.Clock.Advance(time.Hour)
	o.await("the mail is sent again", func() bool { return o.count("sent") == 1 })
	if ids := server.Accepted(); len(ids) != 2 || ids[0] != ids[1] || !strings.HasSuffix(ids[0], "@northwind.example>") {
		t.Errorf("accepted: %q", ids)
	}
}

// TestUnrecorded cannot record that mails were accepted, as on a full disk. Each is sent once, and no more are sent
// than there are connections until it can be recorded.
func TestUnrecorded(t *testing.T) {
	t.Run("not applied", func(t *testing.T) { testUnrecorded(t, false) })
	t.Run("applied", func(t *testing.T) { testUnrecorded(t, true) })
}

func testUnrecorded(t *testing.T, applied bool) {
	o := newOffice(t)
	server := newFaultyServer(t, func(string, int) string { return "" })
	for i := range 12 {
		o.send(fmt.Sprintf("ann%d@bank.example", i))
	}
	o.store.set(&sluice.Error{Code: sluice.CodeStorageFull, Detail: "the disk is full"}, applied)
	o.run("smtp://" + server.Address)
	o.await("four mails are accepted", func() bool { return len(server.Accepted()) >= 4 })
	time.Sleep(500 * time.Millisecond) // further rounds must send none
	if n := len(server.Accepted()); n != 4 {
		t.Errorf("%d mails were sent, want 4; %d wait", n, len(o.waiting()))
	}
	o.store.set(nil, false)
	o.await("all are sent", func() bool { return len(o.waiting()) == 0 })
	ids := server.Accepted()
	if slices.Sort(ids); len(ids) != 12 || len(slices.Compact(ids)) != 12 {
		t.Errorf("accepted: %q", ids)
	}
}

// TestSlowReads reads the mails that are due while others are being sent. What was sent meanwhile is not sent again.
func TestSlowReads(t *testing.T) {
	const n = 60
	o := newOffice(t)
	o.store.slow = 20 * time.Millisecond
	server := newFaultyServer(t, func(string, int) string { return "" })
	for i := range n {
		o.send(fmt.Sprintf("ann%d@bank.example", i))
	}
	o.run("smtp://" + server.Address)
	o.await("all mails are sent", func() bool { return len(o.waiting()) == 0 })
	ids := server.Accepted()
	if slices.Sort(ids); len(ids) != n || len(slices.Compact(ids)) != n {
		t.Errorf("%d mails were accepted, want %d", len(ids), n)
	}
}

// TestTwoServers runs two outboxes on one database. Each mail is sent once, also when the one stops and the other
// takes over.
func TestTwoServers(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testTwoServers(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { testTwoServers(t, sluicetest.Postgres(t)) })
}

func testTwoServers(t *testing.T, database string) {
	const n = 40
	server := newFaultyServer(t, func(string, int) string { return "" })
	o := newOfficeOn(t, database)
	for i := range n / 2 {
		o.send(fmt.Sprintf("ann%d@bank.example", i))
	}
	stop := o.run("smtp://" + server.Address)
	o.run("smtp://" + server.Address)
	o.await("the first server sends", func() bool { return len(server.Accepted()) > 0 })
	for i := range n / 2 {
		o.send(fmt.Sprintf("bob%d@bank.example", i))
	}
	stop()
	o.await("all mails are sent", func() bool { return len(o.waiting()) == 0 })
	ids := server.Accepted()
	if slices.Sort(ids); len(ids) != n || len(slices.Compact(ids)) != n {
		t.Errorf("%d mails were accepted, want %d: %q", len(ids), n, ids)
	}
}

// TestErasedAddress redacts entries with an address while their mails wait: that of the code, that of the sending, and
// that of the link, which erases the people of the link; and one more that names the person whom a code is for. No mail
// is sent.
func TestErasedAddress(t *testing.T) {
	o := newOffice(t)
	server := newFaultyServer(t, func(string, int) string { return "" })
	l := o.send("ann@bank.example")
	o.erase(o.queueCode(l, "challenge", "en"))
	o.erase(o.entries(sluice.LinkSent)[0].ID)
	o.send("bob@bank.example")
	o.erase(o.entries(sluice.LinkCreated)[1].ID)
	notified := o.notified(sluice.FirstDownload)
	o.download(notified, 1)
	o.erase(o.entries(sluice.LinkCreated)[2].ID)
	asked := o.mint(service.NewLink{Send: true, Access: sluice.Access{
		Recipient: sluice.Recipient{Email: "eve@bank.example"}, Verification: sluice.EmailVerification,
	}})
	url, err := o.Links.URL(asked)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = o.gate.SendCode(t.Context(), url[strings.LastIndex(url, "/")+1:], gate.Bearer{Person: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	o.erase(o.entries(sluice.LinkSent)[2].ID)
	o.base.Clock.Advance(2 * time.Minute)
	o.run("smtp://" + server.Address)
	o.await("the mails are withheld", func() bool { return o.count("withheld") == 6 })
	if ids := server.Accepted(); len(ids) > 0 || len(o.waiting()) > 0 || len(o.entries(sluice.LinkMailFailed)) > 0 {
		t.Errorf("accepted: %q, waiting: %+v", ids, o.waiting())
	}
}

// erase redacts an entry.
func (o *office) erase(entry string) {
	o.t.Helper()
	if _, err := o.Entries.Redact(o.t.Context(), o.caller, entry, nil); err != nil {
		o.t.Fatal(err)
	}
}

// TestEndedLink ends a link before its mail is sent: nobody gets a link that does not work, and the log says so.
func TestEndedLink(t *testing.T) {
	o := newOffice(t)
	server := newFaultyServer(t, func(string, int) string { return "" })
	l := o.send("ann@bank.example")
	if _, err := o.Links.End(t.Context(), o.caller, "", l.ID); err != nil {
		t.Fatal(err)
	}
	o.run("smtp://" + server.Address)
	o.await("the mail is given up", func() bool { return len(o.entries(sluice.LinkMailFailed)) == 1 })
	if p := o.entries(sluice.LinkMailFailed)[0].Mail.Problem; p != "the link had ended" || len(server.Accepted()) > 0 {
		t.Errorf("problem: %q", p)
	}
}

// notified mints a link for two days that notifies its sender.
func (o *office) notified(on ...sluice.NotifyOn) sluice.Link {
	lifetime := 20 * time.Hour
	return o.mint(service.NewLink{Lifetime: &lifetime, MaxDownloads: 100, Access: sluice.Access{
		Notify: sluice.Notify{Email: "sender@northwind.example", On: on},
	}})
}

// download downloads a link's file by bearers that have not downloaded it yet.
func (o *office) download(l sluice.Link, times int) {
	o.t.Helper()
	for range times {
		o.bearers++
		if err := o.redeem(l, gate.Bearer{Request: sluice.Request{UserAgent: fmt.Sprint(o.bearers)}}); err != nil {
			o.t.Fatal(err)
		}
	}
}

// fetchNothing begins a download by a client that hangs up before the first byte.
func (o *office) fetchNothing(l sluice.Link) {
	o.t.Helper()
	url, err := o.Links.URL(l)
	if err != nil {
		o.t.Fatal(err)
	}
	g, err := o.gate.Redeem(o.t.Context(), url[strings.LastIndex(url, "/")+1:], gate.Bearer{})
	if err != nil {
		o.t.Fatal(err)
	}
	g.Content.Close()
	o.gate.Delivered(g, 0)
	if err := o.gate.Flush(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}

// TestDownloadNotices tells of the first download once, and of every download at most once an hour, however many there
// are. A request that delivers nothing, such as that of a scanner that sees the page, is no download.
func TestDownloadNotices(t *testing.T) {
	server := sluicetest.NewMailpit(t)
	o := newOffice(t)
	l := o.notified(sluice.FirstDownload, sluice.EveryDownload, sluice.Unopened)
	if list := o.waiting(); len(list) != 1 || list[0].Kind != service.MailUnopened {
		t.Fatalf("after minting: %+v", list)
	}
	if err := o.redeem(l, gate.Bearer{Person: true}); !errors.Is(err, gate.ErrAsk) {
		t.Fatalf("a scanner gets %v", err)
	}
	if err := o.redeem(l, gate.Bearer{Want: gate.Want{Method: "HEAD"}}); err != nil {
		t.Fatal(err)
	}
	if list := o.waiting(); len(list) != 1 || list[0].Kind != service.MailUnopened {
		t.Errorf("after what delivers nothing: %+v", list)
	}
	o.download(l, 1)
	o.download(l, 4)
	if list := o.waiting(); len(list) != 3 {
		t.Errorf("after 5 downloads: %+v", list)
	}
	o.run(server.URL())
	o.base.Clock.Advance(2 * time.Minute)
	said := subjectsAndTexts(t, server.Await(t, 2))
	for _, want := range []string{"Downloaded: statement.pdf", "for the first time", "downloaded 5 times"} {
		if !strings.Contains(said, want) {
			t.Errorf("no mail says %q:\n%s", want, said)
		}
	}
	o.await("both are sent", func() bool { return o.count("sent") == 2 })
	o.download(l, 7)
	o.base.Clock.Advance(57 * time.Minute)
	o.download(l, 2)
	time.Sleep(300 * time.Millisecond) // no mail may go out meanwhile
	if n := server.Count(t); n != 2 {
		t.Errorf("within the hour there are %d mails", n)
	}
	o.base.Clock.Advance(3 * time.Minute)
	mails := server.Await(t, 3)
	if said := subjectsAndTexts(t, mails[2:]); !strings.Contains(said, "downloaded 9 times") {
		t.Errorf("after an hour:\n%s", said)
	}
	ids := messageIDs(mails)
	if slices.Sort(ids); len(slices.Compact(ids)) != 3 {
		t.Errorf("Message-IDs: %q", ids)
	}
	o.base.Clock.Advance(24 * time.Hour)
	o.await("the rows are removed after the end of the link", func() bool { return len(o.waiting()) == 0 })
	if n := server.Count(t); n != 3 || len(o.entries(sluice.LinkMailFailed)) > 0 {
		t.Errorf("at the end there are %d mails", n)
	}
}

func subjectsAndTexts(t *testing.T, mails []sluicetest.Received) (said string) {
	for _, m := range mails {
		said += decoded(t, m.Header.Get("Subject")) + "\n" + m.Text + "\n"
	}
	return said
}

// TestFailedFirstDownload tells of a first download only when something of the file was sent.
func TestFailedFirstDownload(t *testing.T) {
	o := newOffice(t)
	server := newFaultyServer(t, func(string, int) string { return "" })
	l := o.notified(sluice.FirstDownload)
	url, err := o.Links.URL(l)
	if err != nil {
		t.Fatal(err)
	}
	g, err := o.gate.Redeem(t.Context(), url[strings.LastIndex(url, "/")+1:], gate.Bearer{})
	if err != nil {
		t.Fatal(err)
	}
	g.Content.Close()
	o.gate.Failed(g, 0)
	if err := o.gate.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.run("smtp://" + server.Address)
	o.base.Clock.Advance(2 * time.Minute)
	o.await("the notice is withheld", func() bool { return o.count("withheld") == 1 })
	o.download(l, 1)
	o.base.Clock.Advance(2 * time.Minute)
	o.await("the download is told", func() bool { return o.count("sent") == 1 })
	o.download(l, 3)
	o.base.Clock.Advance(2 * time.Hour)
	time.Sleep(300 * time.Millisecond) // no mail may go out meanwhile
	if n := len(server.Accepted()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// TestFirstDownloadAfterAnEmptyOne: the notice is sent although the client of the first download hung up at once, if
// another one follows while it waits.
func TestFirstDownloadAfterAnEmptyOne(t *testing.T) {
	o := newOffice(t)
	server := newFaultyServer(t, func(string, int) string { return "" })
	l := o.notified(sluice.FirstDownload)
	o.fetchNothing(l)
	o.base.Clock.Advance(10 * time.Second)
	o.download(l, 1)
	o.run("smtp://" + server.Address)
	o.base.Clock.Advance(2 * time.Minute)
	o.await("the download is told", func() bool { return o.count("sent") == 1 })
	o.download(l, 1)
	o.base.Clock.Advance(2 * time.Hour)
	time.Sleep(300 * time.Millisecond) // no mail may go out meanwhile
	if n := len(server.Accepted()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// TestRefusedNotices tells of refusals at most once an hour.
func TestRefusedNotices(t *testing.T) {
	server := sluicetest.NewMailpit(t)
	o := newOffice(t)
	l := o.notified(sluice.RefusedAccess)
	if _, err := o.Links.End(t.Context(), o.caller, "", l.ID); err != nil {
		t.Fatal(err)
	}
	o.run(server.URL())
	for range 20 {
		if err := o.redeem(l, gate.Bearer{}); sluice.ReasonOf(err) != sluice.Revoked {
			t.Fatal(err)
		}
	}
	o.base.Clock.Advance(90 * time.Second)
	o.gate.WriteRefusals()
	if err := o.gate.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.base.Clock.Advance(time.Minute)
	said := subjectsAndTexts(t, server.Await(t, 1))
	for _, want := range []string{"Refused: statement.pdf", "20 attempts", "This link was revoked"} {
		if !strings.Contains(said, want) {
			t.Errorf("no mail says %q:\n%s", want, said)
		}
	}
	if n := server.Count(t); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// TestUnopened tells that nobody has opened a link half its lifetime before its end, 24 hours at most. The notice moves
// with the end, and is not sent when the link was opened, ended, or does not notify any more. A download of which
// nothing was sent opens no link.
func TestUnopened(t *testing.T) {
	server := sluicetest.NewMailpit(t)
	o := newOffice(t)
	unopened := func(l sluice.Link) (due time.Time) {
		for _, m := range o.waiting() {
			if m.LinkID == l.ID && m.Kind == service.MailUnopened {
				due = m.Due
			}
		}
		return due
	}
	update := func(l sluice.Link, ch service.LinkChange) sluice.Link {
		l, err := o.Links.Update(t.Context(), o.caller, "", l.ID, nil, ch)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := o.notified(sluice.Unopened)
	if due := unopened(l); !due.Equal(l.Created.Add(10 * time.Hour)) {
		t.Errorf("due %s for a link of 20 hours from %s", due, l.Created)
	}
	lifetime := 6 * time.Hour
	l = update(l, service.LinkChange{Lifetime: &lifetime})
	if due := unopened(l); !due.Equal(l.Created.Add(3 * time.Hour)) {
		t.Errorf("due %s for a link of 6 hours from %s", due, l.Created)
	}
	long := 72 * time.Hour
	long3 := o.mint(service.NewLink{Lifetime: &long, Access: sluice.Access{
		Notify: sluice.Notify{Email: "sender@northwind.example", On: []sluice.NotifyOn{sluice.Unopened}},
	}})
	if due := unopened(long3); !due.Equal(long3.Expires.Add(-24 * time.Hour)) {
		t.Errorf("due %s for a link that ends at %s", due, long3.Expires)
	}
	if _, err := o.Links.End(t.Context(), o.caller, "", long3.ID); err != nil {
		t.Fatal(err)
	}
	opened, ended, silent := o.notified(sluice.Unopened), o.notified(sluice.Unopened), o.notified(sluice.Unopened)
	opened = update(opened, service.LinkChange{Lifetime: &lifetime})
	o.download(opened, 1)
	o.fetchNothing(opened)
	o.fetchNothing(l)
	if err := o.redeem(l, gate.Bearer{Want: gate.Want{Method: "HEAD"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Links.End(t.Context(), o.caller, "", ended.ID); err != nil {
		t.Fatal(err)
	}
	update(silent, service.LinkChange{Notify: &sluice.Notify{}})
	for name, l := range map[string]sluice.Link{"that was ended": ended, "that is silent": silent} {
		if due := unopened(l); !due.IsZero() {
			t.Errorf("the link %s has a notice for %s", name, due)
		}
	}
	stop := o.run(server.URL())
	o.base.Clock.Advance(3*time.Hour - time.Second)
	time.Sleep(300 * time.Millisecond) // no mail may go out meanwhile
	if n := server.Count(t); n != 0 {
		t.Errorf("%d mails are too early", n)
	}
	o.base.Clock.Advance(time.Second)
	said := subjectsAndTexts(t, server.Await(t, 1))
	if !strings.Contains(said, "Not opened yet: statement.pdf") || !strings.Contains(said, "It ends in 3 hours") {
		t.Errorf("the mail says\n%s", said)
	}
	o.await("told", func() bool { return o.count("sent") == 1 && o.count("withheld") == 1 })
	if n := server.Count(t); n != 1 {
		t.Errorf("%d mails: the link that was opened was told of", n)
	}
	reason := "another"
	update(l, service.LinkChange{Reason: &reason})
	if due := unopened(l); !due.IsZero() {
		t.Errorf("another reason has queued the notice again, for %s", due)
	}

	stop() // until the links have ended
	late, used := o.notified(sluice.Unopened), o.notified(sluice.Unopened)
	o.download(used, 1)
	o.base.Clock.Advance(21 * time.Hour)
	o.run(server.URL())
	o.await("both are over", func() bool { return unopened(late).IsZero() && unopened(used).IsZero() })
	if failed := o.entries(sluice.LinkMailFailed); len(failed) != 1 || failed[0].Link.ID != late.ID {
		t.Errorf("of the links that ended, the log says %+v", failed)
	}
}

// BenchmarkOutbox sends a thousand mails that wait through a real mail server on this machine.
func BenchmarkOutbox(b *testing.B) {
	const n = 1000
	server := sluicetest.NewMailpit(b)
	for b.Loop() {
		b.StopTimer()
		o := newOffice(b)
		before := server.Count(b)
		for i := range n {
			o.send(fmt.Sprintf("ann%d@bank.example", i))
		}
		b.StartTimer()
		began := time.Now()
		stop := o.run(server.URL())
		o.await("all mails are sent", func() bool { return o.count("sent") == n })
		b.ReportMetric(float64(n)/time.Since(began).Minutes(), "mails/min")
		b.StopTimer()
		stop()
		if got := server.Count(b) - before; got != n {
			b.Errorf("%d mails arrived, want %d", got, n)
		}
		b.StartTimer()
	}
}
