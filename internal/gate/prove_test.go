package gate_test

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/service"
)

// person is a browser at a link.
type person struct {
	*fixture
	link  sluice.Link
	token string
	gate.Bearer
	challenge string // the cookie
}

// verifying mints a link for people who prove an address.
func (f *fixture) verifying(n service.NewLink) *person {
	f.Helper()
	f.config.Mail, f.config.MaxLinkLifetime = true, 7*24*time.Hour
	f.use(nil)
	week := 7 * 24 * time.Hour
	n.FileID, n.Reason, n.Lifetime = f.upload("content").ID, "a test", &week
	l, token := f.mintAs(n)
	return &person{fixture: f, link: l, token: token, Bearer: gate.Bearer{Address: here, Person: true}}
}

func (f *fixture) forAnn() *person {
	f.Helper()
	return f.verifying(service.NewLink{Access: sluice.Access{Recipient: sluice.Recipient{Email: "ann@bank.example", Name: "Ann"}}})
}

// other is another browser at the same link.
func (p *person) other() *person {
	q := *p
	q.Visit, q.Cookie, q.challenge = "", "", ""
	return &q
}

// ask asks for a code.
func (p *person) ask(address string) error {
	p.Helper()
	b := p.Bearer
	b.Request = sluice.Request{ID: p.NewRequestID(), Method: "POST"}
	_, cookie, err := p.SendCode(ctx, p.token, b, address)
	if err == nil {
		p.challenge = cookie
	}
	return err
}

// code is what the mail for the challenge of the browser says.
func (p *person) code() string {
	return p.Links.Code(p.link, service.ChallengeID(p.link.ID, p.challenge))
}

func (p *person) prove(code string) error {
	p.Helper()
	b := p.Bearer
	b.Request = sluice.Request{ID: p.NewRequestID(), Method: "POST"}
	g, err := p.ProveCode(ctx, p.token, b, p.challenge, code)
	if err == nil {
		p.Visit = g.NewVisit
	}
	return err
}

// download presses the button of the page, or else is a program with the cookies of the browser.
func (p *person) download(pressed bool) error {
	p.Helper()
	b := p.Bearer
	b.Person, b.Answered = pressed, pressed
	g, err := p.grant(p.token, b)
	if err != nil {
		return err
	}
	if g.NewVisit != "" {
		p.Visit = g.NewVisit
	}
	if g.Cookie != "" {
		p.Cookie = g.Cookie
	}
	p.Delivered(g, g.Plan.Bytes)
	return nil
}

// must fails the test for an error.
func (p *person) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// rows counts the challenges of the link.
func (p *person) rows() (n int64) {
	p.Helper()
	err := p.base.Store.View(ctx, func(r service.Reader) error {
		c, err := r.ChallengeCounts(p.ledger, p.link.ID, sluice.Digest{}, sluice.Digest{}, p.Now())
		n = c.Sent + c.Unsent
		return err
	})
	p.must(err)
	return n
}

// mails counts the codes that wait to be sent.
func (p *person) mails() (n int) {
	p.Helper()
	err := p.base.Store.View(ctx, func(r service.Reader) error {
		list, err := r.MailsDue(service.MailCode.Rank(), p.Now(), 1000)
		n = len(list)
		return err
	})
	p.must(err)
	return n
}

// TestProve walks from the page to the download, on both databases. The entries name the person.
func TestProve(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *fixture) {
		p := f.forAnn()
		from := f.logged()
		p.must(p.ask(""))
		if n := p.mails(); n != 1 {
			t.Fatalf("%d mails wait", n)
		}
		code := p.code()
		p.must(p.prove(" " + code[:4] + "\u00a0" + code[4:] + " "))
		p.must(p.download(true))
		f.flush()
		entries := f.base.Entries(t, f.ledger)[from:]
		var verified string
		for i, want := range []sluice.Action{sluice.LinkCodeSent, sluice.LinkVerified, sluice.LinkRedeemed} {
			e := entries[i]
			if e.Action != want || e.Recipient == nil || e.Recipient.Email != "ann@bank.example" || e.Recipient.Name != "Ann" ||
				e.Recipient.Verification != verified {
				t.Errorf("the entry is %+v of %+v, want %s", e, e.Recipient, want)
			}
			if e.Action == sluice.LinkVerified {
				verified = e.ID
			}
		}
		if err := p.prove(code); sluice.ReasonOf(err) != "" {
			t.Errorf("a proved visitor is asked again: %v", err)
		}
		again := p.other()
		again.challenge = p.challenge
		wantReason(t, again.prove(code), sluice.WrongCode) // used up
	})
}

// TestAddressesDoNotTell: whether an address may open the link, and whether a code may be sent, shows neither in the
// answer nor in the number of commits.
func TestAddressesDoNotTell(t *testing.T) {
	f := newFixture(t)
	p := f.verifying(service.NewLink{Access: sluice.Access{Allowed: []string{"*@bank.example"}}})
	counting := &countingStore{Store: f.config.Store}
	f.config.Store = counting
	f.use(nil)
	p.fixture = f
	from := f.logged()
	for i, address := range []string{"ann@bank.example", "ann@evil.example", "bob@evil.example", "ann@BANK.example",
		"ann@bank.example", "ann@bank.example"} {
		before := len(counting.n)
		if err := p.ask(address); err != nil || len(p.challenge) != 22 {
			t.Errorf("%s: %v, %q", address, err, p.challenge)
		}
		if counting.n[before:] != "U" {
			t.Errorf("%d: %s costs %q", i, address, counting.n[before:])
		}
		// The page that follows costs the same, too.
		before = len(counting.n)
		if _, err := p.grant(p.token, p.Bearer); err != gate.ErrAsk || counting.n[before:] != "U" {
			t.Errorf("%s: the page is %v, after %q", address, err, counting.n[before:])
		}
		before = len(counting.n)
		wantReason(t, p.prove("12345678"), sluice.WrongCode)
		if counting.n[before:] != "U" {
			t.Errorf("%s: a try costs %q", address, counting.n[before:])
		}
	}
	if n := p.mails(); n != 3 {
		t.Errorf("%d mails wait, want those to one address", n)
	}
	want := []string{"link.code_sent allowed", "link.refused refused wrong_code",
		"link.refused refused recipient_not_allowed", "link.code_sent allowed", "link.code_sent allowed",
		"link.refused refused too_many_codes"}
	if got := f.log(from); !slices.Equal(got, want) {
		t.Errorf("the log says\n%s", strings.Join(got, "\n"))
	}
	refused := f.base.Entries(t, f.ledger)[from+2]
	if refused.Recipient == nil || refused.Recipient.Email != "ann@evil.example" {
		t.Errorf("the refusal does not say who: %+v", refused.Recipient)
	}
}

// TestAnswersTakeSteps: an answer about a code takes a multiple of a step that is longer than a commit, so that its time
// does not tell what was committed.
func TestAnswersTakeSteps(t *testing.T) {
	p := newFixture(t).verifying(service.NewLink{Access: sluice.Access{Allowed: []string{"*@bank.example"}}})
	p.AnswerAtOnce(false)
	for _, address := range []string{"ann@bank.example", "ann@evil.example", "bob@evil.example", "ann@bank.example",
		"ann@bank.example", "ann@bank.example"} {
		began := time.Now()
		p.must(p.ask(address))
		if took := time.Since(began); took < gate.AnswerStep {
			t.Errorf("%s is answered after %v", address, took)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	b := p.Bearer
	b.Request = sluice.Request{ID: p.NewRequestID(), Method: "POST"}
	if _, _, err := p.SendCode(gone, p.token, b, "ann@bank.example"); err == nil {
		t.Error("a client that has gone is answered")
	}
}

// countingStore lists the transactions of one goroutine: U for an Update, V for a View.
type countingStore struct {
	service.Store
	n string
}

func (s *countingStore) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	s.n += "U"
	return s.Store.Update(ctx, l, fn)
}

func (s *countingStore) View(ctx context.Context, fn func(service.Reader) error) error {
	s.n += "V"
	return s.Store.View(ctx, fn)
}

// TestUnlistedAddressProvesNothing: even the right code of a challenge that was never sent is wrong.
func TestUnlistedAddressProvesNothing(t *testing.T) {
	p := newFixture(t).verifying(service.NewLink{Access: sluice.Access{Allowed: []string{"ann@bank.example"}}})
	p.must(p.ask("ann@evil.example"))
	wantReason(t, p.prove(p.code()), sluice.WrongCode)
	if p.mails() != 0 {
		t.Error("a mail waits")
	}
}

// TestGuessingOverTwoServers: five tries through two servers end a code, and concurrent ones too.
func TestGuessingOverTwoServers(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *fixture) {
		p := f.forAnn()
		second := f.second()
		p.must(p.ask(""))
		var group sync.WaitGroup
		for i := range service.MaxTries {
			group.Go(func() {
				q := p.other()
				q.challenge = p.challenge
				if i%2 == 1 {
					q.fixture = second
				}
				wantReason(t, q.prove(fmt.Sprintf("%08d", i)), sluice.WrongCode)
			})
		}
		group.Wait()
		for _, on := range []*fixture{f, second} {
			p.fixture = on
			wantReason(t, p.prove(p.code()), sluice.WrongCode)
		}
	})
}

// TestCodeOfAnother: a code is good at one link and in one browser only.
func TestCodeOfAnother(t *testing.T) {
	f := newFixture(t)
	p, q := f.forAnn(), f.forAnn()
	p.must(p.ask(""))
	second := p.other()
	wantReason(t, second.prove(p.code()), sluice.WrongCode) // without a challenge
	second.must(second.ask(""))
	wantReason(t, second.prove(p.code()), sluice.WrongCode) // with one of its own
	q.challenge = p.challenge
	wantReason(t, q.prove(p.code()), sluice.WrongCode)
	q.must(q.ask(""))
	wantReason(t, q.prove(p.code()), sluice.WrongCode)
	p.must(p.prove(p.code()))
	// A visit is good at one link only, and not when it was changed.
	for _, visit := range []string{p.Visit, "", "x", strings.Replace(p.Visit, ".", "A.", 1), p.Visit + "A", p.Visit[:len(p.Visit)-1],
		strings.Repeat("A", 5000) + "." + strings.Repeat("A", 43)} {
		q.Visit = visit
		wantReason(t, q.download(false), sluice.VerificationRequired)
	}
	second.Visit = p.Visit
	for _, visit := range []string{"A" + p.Visit, p.Visit[1:], strings.Replace(p.Visit, ".", "A.", 1)} {
		second.Visit = visit
		wantReason(t, second.download(false), sluice.VerificationRequired)
	}
}

// TestVisitOfTheOtherMode: a visit covers the ledger of its link.
func TestVisitOfTheOtherMode(t *testing.T) {
	p := newFixture(t).forAnn()
	p.must(p.ask(""))
	v := service.NewVisit(p.link, p.Now())
	v.Address, v.Verification, v.Challenge = "ann@bank.example", "aud_x", service.ChallengeID(p.link.ID, p.challenge)
	live := p.link
	live.Ledger.Mode = sluice.Live
	p.Visit = p.Links.SealVisit(live, v)
	wantReason(t, p.download(false), sluice.VerificationRequired)
	p.Visit = p.Links.SealVisit(p.link, v)
	p.must(p.download(false))
}

// TestStaleVisit: a visit ends with its time, its link, the key of the link, and the place of its address on the list.
func TestStaleVisit(t *testing.T) {
	visit := func(t *testing.T) *person {
		p := newFixture(t).verifying(service.NewLink{Access: sluice.Access{Allowed: []string{"*@bank.example", "bob@b.example"}}})
		p.must(p.ask("ann@bank.example"))
		p.must(p.prove(p.code()))
		p.must(p.download(true))
		return p
	}
	t.Run("expired", func(t *testing.T) {
		p := visit(t)
		p.base.Clock.Advance(service.VisitLasts)
		wantReason(t, p.download(true), sluice.VerificationRequired)
	})
	t.Run("from the future", func(t *testing.T) {
		p := visit(t)
		p.base.Clock.Advance(-24 * time.Hour)
		v := service.NewVisit(p.link, p.Now().Add(24*time.Hour))
		v.Address, v.Verification = "ann@bank.example", "aud_x"
		if _, ok := p.Links.OpenVisit(p.link, p.Links.SealVisit(p.link, v), p.Now()); ok {
			t.Error("it opens")
		}
	})
	t.Run("removed from the link", func(t *testing.T) {
		p := visit(t)
		_, err := p.Links.Update(ctx, p.caller, "", p.link.ID, nil, service.LinkChange{AllowedRecipients: &[]string{"bob@b.example"}})
		p.must(err)
		wantReason(t, p.download(true), sluice.VerificationRequired)
	})
	t.Run("key revoked", func(t *testing.T) {
		p := visit(t)
		_, err := p.Keys.Revoke(ctx, service.Operator(p.ledger), p.link.KeyID, nil)
		p.must(err)
		wantReason(t, p.download(true), sluice.KeyRevoked)
	})
	t.Run("link revoked", func(t *testing.T) {
		p := visit(t)
		_, err := p.Links.Revoke(ctx, p.caller, "", p.link.ID, nil)
		p.must(err)
		wantReason(t, p.download(true), sluice.Revoked)
		wantReason(t, p.ask("ann@bank.example"), sluice.Revoked)
	})
}

// TestCodeAfterRemoval: a person who is removed between mail and code does not get in.
func TestCodeAfterRemoval(t *testing.T) {
	p := newFixture(t).verifying(service.NewLink{Access: sluice.Access{Allowed: []string{"ann@bank.example", "bob@b.example"}}})
	p.must(p.ask("ann@bank.example"))
	_, err := p.Links.Update(ctx, p.caller, "", p.link.ID, nil, service.LinkChange{AllowedRecipients: &[]string{"bob@b.example"}})
	p.must(err)
	wantReason(t, p.prove(p.code()), sluice.RecipientNotAllowed)
}

// TestGrantNeedsVisit: the open grant of a download does not stand for a proved address.
func TestGrantNeedsVisit(t *testing.T) {
	p := newFixture(t).verifying(service.NewLink{MaxDownloads: 2, Access: sluice.Access{Allowed: []string{"*@bank.example", "bob@b.example"}}})
	p.must(p.ask("ann@bank.example"))
	p.must(p.prove(p.code()))
	p.must(p.download(true))
	_, err := p.Links.Update(ctx, p.caller, "", p.link.ID, nil, service.LinkChange{AllowedRecipients: &[]string{"bob@b.example"}})
	p.must(err)
	wantReason(t, p.download(false), sluice.VerificationRequired)
}

// TestPasswordAndAddress: neither answers for the other.
func TestPasswordAndAddress(t *testing.T) {
	const secret = "secret horse"
	p := newFixture(t).verifying(service.NewLink{Password: secret, Access: sluice.Access{Recipient: sluice.Recipient{Email: "ann@bank.example"}}})
	wantReason(t, p.ask(""), sluice.WrongPassword)
	if p.mails() != 0 || p.rows() != 0 {
		t.Error("a code was sent without the password")
	}
	p.Password = secret
	wantReason(t, p.download(true), sluice.VerificationRequired)
	p.must(p.ask(""))
	p.Password = ""
	p.must(p.prove(p.code())) // its challenge needed the password
	p.must(p.download(true))
	v := service.NewVisit(p.link, p.Now()) // one that did not give the password
	v.Address, v.Verification, v.Challenge = "ann@bank.example", "aud_x", service.ChallengeID(p.link.ID, p.challenge)
	p.Visit = p.Links.SealVisit(p.link, v)
	wantReason(t, p.download(true), sluice.WrongPassword)
	v.Address, v.Verification, v.Challenge, v.Password = "", "", "", true // and one that proved no address
	p.Visit = p.Links.SealVisit(p.link, v)
	wantReason(t, p.download(true), sluice.VerificationRequired)
}

// TestTerms: terms are accepted by each browser, and the entry keeps their digest.
func TestTerms(t *testing.T) {
	p := newFixture(t).verifying(service.NewLink{Access: sluice.Access{Terms: "Do not share."}})
	if _, err := p.grant(p.token, p.Bearer); err != gate.ErrAsk {
		t.Errorf("a browser is not asked: %v", err)
	}
	wantReason(t, p.download(false), sluice.TermsNotAccepted)
	wantReason(t, p.download(true), sluice.TermsNotAccepted)
	p.Terms = true
	p.must(p.download(true))
	p.flush()
	entries := p.base.Entries(t, p.ledger)
	at := slices.IndexFunc(entries, func(e sluice.Entry) bool { return e.Action == sluice.LinkRedeemed })
	if e := entries[at]; e.AcceptedTerms != p.link.Access.TermsSHA256() || e.AcceptedTerms == "" {
		t.Errorf("the entry says %q", e.AcceptedTerms)
	}
	p.Terms = false
	p.must(p.download(true)) // the browser has accepted them
	terms := "Do not share, ever."
	_, err := p.Links.Update(ctx, p.caller, "", p.link.ID, nil, service.LinkChange{Terms: &terms})
	p.must(err)
	wantReason(t, p.download(true), sluice.TermsNotAccepted)
}

// TestPagePolicy: a browser gets the page of a link always, never, or where something must be asked.
func TestPagePolicy(t *testing.T) {
	f := newFixture(t)
	for _, test := range []struct {
		page      sluice.PagePolicy
		downloads int64
		asks      bool
	}{
		{"", 0, false}, {"", 1, true}, {sluice.PageAlways, 0, true}, {sluice.PageNever, 0, false}, {sluice.PageNever, 1, false},
	} {
		p := f.verifying(service.NewLink{MaxDownloads: test.downloads, Access: sluice.Access{Page: test.page}})
		g, err := p.grant(p.token, p.Bearer)
		if err == nil {
			p.Delivered(g, g.Plan.Bytes)
		}
		if asks := err == gate.ErrAsk; asks != test.asks || err != nil && !asks {
			t.Errorf("%q with %d downloads: %v", test.page, test.downloads, err)
		}
	}
}

// TestSecondClick: a browser that has downloaded the file is asked before it spends another download.
func TestSecondClick(t *testing.T) {
	p := newFixture(t).verifying(service.NewLink{MaxDownloads: 3})
	p.must(p.download(true))
	p.must(p.download(true)) // within the grant
	p.base.Clock.Advance(gate.GrantLasts)
	if err := p.download(true); err != gate.ErrAsk {
		t.Errorf("a second click gives %v", err)
	}
	if n := p.downloads(p.link.ID); n != 1 {
		t.Errorf("%d downloads are counted", n)
	}
	p.Again = true
	p.must(p.download(true))
	if n := p.downloads(p.link.ID); n != 2 {
		t.Errorf("%d downloads are counted", n)
	}
}

// TestScannersSendNothing: what fetches a link without pressing a button sends no mail, counts no download and leaves no
// challenge.
func TestScannersSendNothing(t *testing.T) {
	p := newFixture(t).verifying(service.NewLink{MaxDownloads: 1, Access: sluice.Access{
		Recipient: sluice.Recipient{Email: "ann@bank.example"},
		Notify:    sluice.Notify{Email: "sender@bank.example", On: []sluice.NotifyOn{sluice.RefusedAccess}},
	}})
	for _, person := range []bool{true, false} {
		for _, w := range []gate.Want{whole, nothing, part(1)} {
			b := p.Bearer
			b.Person, b.Want = person, w
			_, err := p.grant(p.token, b)
			if person && w.Method != "HEAD" {
				if err != gate.ErrAsk {
					t.Errorf("a browser gets %v", err)
				}
			} else {
				wantReason(t, err, sluice.VerificationRequired)
				wantCode(t, err, sluice.CodeUnverified)
			}
		}
	}
	p.base.Clock.Advance(time.Hour)
	p.WriteRefusals()
	p.flush()
	if p.mails() != 0 || p.rows() != 0 || p.downloads(p.link.ID) != 0 {
		t.Errorf("%d mails, %d challenges, %d downloads", p.mails(), p.rows(), p.downloads(p.link.ID))
	}
	err := p.base.Store.View(ctx, func(r service.Reader) error {
		list, err := r.MailsDue(service.NoticeRank, p.Now().Add(time.Hour), 10)
		if len(list) != 0 {
			t.Errorf("the sender is told of scanners: %+v", list)
		}
		return err
	})
	p.must(err)
}

// TestBadAddresses: what is no address costs no commit and no mail.
func TestBadAddresses(t *testing.T) {
	p := newFixture(t).verifying(service.NewLink{Access: sluice.Access{Verification: sluice.EmailVerification}})
	from := p.logged()
	for _, address := range []string{"", "ann", "ann@", "@bank.example", "a@b@c.example", "ann@bank.example\r\nBcc: x@y.example",
		"ann@bank.example\x00", "ann\x00@bank.example", "Ann <ann@bank.example>", `"a b"@bank.example`, "ann@[127.0.0.1]",
		"ann@bank.example, bob@bank.example", strings.Repeat("a", 65) + "@bank.example", "a@" + strings.Repeat("b.", 200) + "example",
		strings.Repeat("x", 1<<20), "änn@bank.example", "ann@bank\u2028.example", "*@bank.example"} {
		if err := p.ask(address); err != gate.ErrBadAddress {
			t.Errorf("%.40q: %v", address, err)
		}
	}
	if p.mails() != 0 || p.rows() != 0 || p.logged() != from {
		t.Errorf("%d mails, %d challenges, %d entries", p.mails(), p.rows(), p.logged()-from)
	}
	p.must(p.ask(" ann+tag@Bücher.example ")) // one with an international domain is an address
}

// TestCodeRates: codes are bounded for an address, for a link and for a network, and the rows of unknown addresses too.
func TestCodeRates(t *testing.T) {
	f := newFixture(t)
	p := f.verifying(service.NewLink{Access: sluice.Access{Allowed: []string{"*@bank.example"}}})
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}) }
	for i := range 10 { // to one address, from many networks
		p.Address = at(i)
		p.must(p.ask("ann@bank.example"))
	}
	if n := p.mails(); n != service.MaxCodesOfAddress {
		t.Errorf("%d mails to one address", n)
	}
	p.base.Clock.Advance(service.AddressWindow)
	for i := range 30 {
		p.Address = at(i)
		p.must(p.ask(fmt.Sprintf("person%d@bank.example", i)))
	}
	if n := p.rows(); n != service.MaxCodesOfLink {
		t.Errorf("%d challenges of one link", n)
	}
	p.base.Clock.Advance(service.LinkWindow + time.Second)
	if n := p.rows(); n != 0 {
		t.Errorf("%d challenges count after a day", n)
	}
	for i := range service.MaxUnsentOfLink + 20 { // unknown addresses do not keep others out
		p.Address = at(i)
		p.must(p.ask(fmt.Sprintf("person%d@evil.example", i)))
	}
	if n := p.rows(); n != service.MaxUnsentOfLink {
		t.Errorf("%d challenges of unknown addresses", n)
	}
	// The newest is among them: an answer that wrote nothing would be faster than that for an address that may open the
	// link.
	p.must(f.config.Store.View(ctx, func(r service.Reader) error {
		_, err := r.Challenge(f.ledger, p.link.ID, service.ChallengeID(p.link.ID, p.challenge))
		return err
	}))
	p.must(p.ask("ann@bank.example"))
	p.must(p.prove(p.code()))
	p.base.Clock.Advance(service.LinkWindow + time.Second)
	removed, err := f.Housekeeping.RemoveExpired(ctx)
	p.must(err)
	if want := service.MaxCodesOfLink + service.MaxUnsentOfLink + 1; removed < want {
		t.Errorf("%d rows are removed, want %d", removed, want)
	}
	// A network is bounded over all links.
	before := p.mails()
	p.Address = netip.MustParseAddr("2001:db8::1")
	for i := range service.MaxCodesOfNetwork + 5 {
		if i%10 == 0 {
			p = f.verifying(service.NewLink{Access: sluice.Access{Allowed: []string{"*@bank.example"}}})
		}
		p.Address = netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1))
		p.must(p.ask(fmt.Sprintf("person%d@bank.example", i)))
	}
	if n := p.mails() - before; n != service.MaxCodesOfNetwork {
		t.Errorf("%d mails from one network", n)
	}
	// All links together are bounded, in both ledgers.
	other := sluice.LedgerID{Account: f.ledger.Account, Mode: sluice.Live}
	p.must(f.config.Store.Update(ctx, other, func(tx service.Tx) error {
		for i := range service.MaxCodes {
			c := service.Challenge{LinkID: "link_other", ID: fmt.Sprint(i), Entry: "aud_x", Created: p.Now()}
			if err := tx.SetChallenge(c); err != nil {
				return err
			}
		}
		return tx.Record(sluice.Entry{
			ID: "aud_x", Time: p.Now(), Ledger: other, Action: sluice.AuditExported, Outcome: sluice.Allowed,
			Actor: sluice.Actor{Type: sluice.ActorCLI, Name: "operator"}, Export: service.ExportEntries,
		})
	}))
	p = f.verifying(service.NewLink{Access: sluice.Access{Allowed: []string{"*@bank.example"}}})
	p.Address = netip.MustParseAddr("198.51.100.7")
	before = p.mails()
	p.must(p.ask("ann@bank.example"))
	if n := p.mails() - before; n != 0 {
		t.Errorf("%d mails beyond the bound of all", n)
	}
	p.base.Clock.Advance(service.NetworkWindow + time.Second)
	before = p.mails()
	p.must(p.ask("ann@bank.example"))
	if n := p.mails() - before; n != 1 {
		t.Errorf("%d mails after an hour", n)
	}
}

// TestRequestsAtOnce: each request for a code is one, also when a person clicks twice and the browser has no cookie yet.
// Each code is good with the cookie of its own request. However many come at once, over two servers, three mails go out.
func TestRequestsAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *fixture) {
		p := f.forAnn()
		second := f.second()
		ask := func(n int) (browsers []*person) {
			var group sync.WaitGroup
			for i := range n {
				b := p.other()
				if i%2 == 1 {
					b.fixture = second
				}
				browsers = append(browsers, b)
				group.Go(func() { b.must(b.ask("")) })
			}
			group.Wait()
			return browsers
		}
		clicks := ask(2)
		if p.mails() != 2 || p.rows() != 2 {
			t.Errorf("%d mails and %d challenges after two clicks", p.mails(), p.rows())
		}
		wantReason(t, clicks[0].prove(clicks[1].code()), sluice.WrongCode)
		for _, b := range clicks {
			b.must(b.prove(b.code()))
		}
		ask(8)
		if p.mails() != service.MaxCodesOfAddress || p.rows() != service.MaxCodesOfAddress {
			t.Errorf("%d mails and %d challenges after ten clicks", p.mails(), p.rows())
		}
	})
}

// TestBoundsOfLedgersAtOnce asks for the last code of a network at links of two ledgers at once, over two servers. SQLite
// has one writer, so the bound is exact. On PostgreSQL each ledger has a transaction of its own, and does not see what
// another one sends in the same moment: the bound may be exceeded by that, and by nothing that is asked later.
func TestBoundsOfLedgersAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *fixture) {
		second := f.second()
		second.ledger.Mode = sluice.Live
		second.caller = second.newCaller(second.ledger)
		people := []*person{f.forAnn(), second.forAnn()}
		p := people[0]
		p.must(f.config.Store.Update(ctx, f.ledger, func(tx service.Tx) error {
			for i := range service.MaxCodesOfNetwork - 1 {
				c := service.Challenge{LinkID: "link_other", ID: fmt.Sprint(i), Network: p.Links.NetworkHash(here), Created: p.Now()}
				if err := tx.SetChallenge(c); err != nil {
					return err
				}
			}
			return nil
		}))
		want := 1
		if f.base.Database != "" {
			want = 2
			meeting := &meeting{met: make(chan struct{})}
			meeting.awaited.Store(2)
			for _, p := range people {
				p.config.Store = &countsMeet{Store: p.config.Store, meeting: meeting}
				p.use(nil)
			}
		}
		var group sync.WaitGroup
		for _, p := range people {
			group.Go(func() { p.must(p.ask("")) })
		}
		group.Wait()
		if n := p.mails(); n != want {
			t.Errorf("%d codes were sent, want %d", n, want)
		}
		for _, p := range people {
			p.must(p.ask(""))
		}
		if n := p.mails(); n != want {
			t.Errorf("%d codes were sent in the end, want %d", n, want)
		}
	})
}

// meeting is where goroutines wait for each other.
type meeting struct {
	awaited atomic.Int64
	met     chan struct{}
}

// countsMeet is a Store whose first Update that counts codes waits until others have counted.
type countsMeet struct {
	service.Store
	*meeting
	once sync.Once
}

func (s *countsMeet) Update(ctx context.Context, l sluice.LedgerID, fn func(service.Tx) error) error {
	return s.Store.Update(ctx, l, func(tx service.Tx) error { return fn(&countsMeetTx{tx, s}) })
}

type countsMeetTx struct {
	service.Tx
	store *countsMeet
}

func (tx *countsMeetTx) ChallengeCounts(
	l sluice.LedgerID, link string, address, network sluice.Digest, now time.Time,
) (service.ChallengeCounts, error) {
	n, err := tx.Tx.ChallengeCounts(l, link, address, network, now)
	tx.store.once.Do(func() {
		if tx.store.awaited.Add(-1) == 0 {
			close(tx.store.met)
		}
		select {
		case <-tx.store.met:
		case <-time.After(time.Minute):
		}
	})
	return n, err
}

// TestNoCodeIsStored: neither the code of a challenge nor the secret of its browser is in the database.
func TestNoCodeIsStored(t *testing.T) {
	p := newFixture(t).forAnn()
	p.must(p.ask(""))
	hits := 0
	for _, name := range []string{"sluice.db", "sluice.db-wal"} {
		content, err := os.ReadFile(filepath.Join(p.base.Dir, name))
		p.must(err)
		if bytes.Contains(content, []byte(service.ChallengeID(p.link.ID, p.challenge))) {
			hits++ // the row is there
		}
		for what, secret := range map[string]string{"code": p.code(), "secret of the browser": p.challenge} {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s has the %s", name, what)
			}
		}
	}
	if hits == 0 {
		t.Error("no file has the challenge")
	}
}

// TestCodesAreComparedInConstantTime reads the source: a code is compared by crypto/subtle alone, so that the time of an
// answer does not tell how many digits are right.
func TestCodesAreComparedInConstantTime(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "prove.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	compared := false
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "proveCode" {
			continue
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				var text strings.Builder
				if err := printer.Fprint(&text, token.NewFileSet(), call); err != nil {
					t.Fatal(err)
				}
				if text.String() == "subtle.ConstantTimeCompare([]byte(code), []byte(links.Code(l, c.ID)))" {
					compared = true
					return false
				}
			}
			if name, ok := n.(*ast.Ident); ok && (name.Name == "code" || name.Name == "Code") {
				t.Errorf("a code is used outside of the comparison")
			}
			return true
		})
	}
	if !compared {
		t.Error("no code is compared in constant time")
	}
}

// TestCodeLasts: a code ends by its time, also when the clock was set back, and a clock that was set back far does not
// keep people out.
func TestCodeLasts(t *testing.T) {
	p := newFixture(t).forAnn()
	p.must(p.ask(""))
	p.base.Clock.Advance(service.CodeLasts + time.Second)
	wantReason(t, p.prove(p.code()), sluice.WrongCode)
	for range service.MaxCodesOfAddress {
		p.must(p.ask(""))
	}
	p.base.Clock.Advance(-2 * service.LinkWindow)
	wantReason(t, p.prove(p.code()), sluice.WrongCode)
	p.must(p.ask(""))
	p.must(p.prove(p.code()))
}

// TestProveWithoutCommit: a step that cannot be committed gives nothing and tells nothing.
func TestProveWithoutCommit(t *testing.T) {
	p := newFixture(t).forAnn()
	p.must(p.ask(""))
	p.store.fail = "before"
	wantCode(t, p.ask(""), sluice.CodeUnavailable)
	wantCode(t, p.prove(p.code()), sluice.CodeUnavailable)
	wantCode(t, p.prove("00000000"), sluice.CodeUnavailable)
	p.store.fail = ""
	if n := p.mails(); n != 1 {
		t.Errorf("%d mails wait", n)
	}
	p.must(p.prove(p.code()))
}

// TestRedactionEndsVisits: when an entry that names a person at a link is redacted, their visits and codes there end in
// the same commit, so that no later entry names them again. Those of others stay.
func TestRedactionEndsVisits(t *testing.T) {
	for _, action := range []sluice.Action{sluice.LinkCodeSent, sluice.LinkVerified, sluice.LinkRedeemed} {
		t.Run(string(action), func(t *testing.T) {
			f := newFixture(t)
			ann := f.verifying(service.NewLink{Access: sluice.Access{Allowed: []string{"*@bank.example"}}})
			bob, waiting := ann.other(), ann.other()
			for p, address := range map[*person]string{ann: "ann@bank.example", bob: "bob@bank.example"} {
				p.must(p.ask(address))
				p.must(p.prove(p.code()))
				p.must(p.download(true))
			}
			waiting.must(waiting.ask("ann@bank.example"))
			f.flush()
			entries := f.base.Entries(t, f.ledger)
			at := slices.IndexFunc(entries, func(e sluice.Entry) bool {
				return e.Action == action && e.Recipient != nil && e.Recipient.Email == "ann@bank.example"
			})
			if _, err := f.Entries.Redact(ctx, service.Operator(f.ledger), entries[at].ID, nil); err != nil {
				t.Fatal(err)
			}
			from := f.logged()
			wantReason(t, ann.download(true), sluice.VerificationRequired)
			wantReason(t, ann.download(false), sluice.VerificationRequired)
			wantReason(t, waiting.prove(waiting.code()), sluice.WrongCode)
			bob.must(bob.download(true))
			f.flush()
			for _, e := range f.base.Entries(t, f.ledger)[from:] {
				if e.Recipient != nil && e.Recipient.Email != "bob@bank.example" {
					t.Errorf("%s names %+v", e.Action, e.Recipient)
				}
			}
			ann.must(ann.ask("ann@bank.example")) // she may still prove who she is
			ann.must(ann.prove(ann.code()))
			ann.must(ann.download(true))
		})
	}
}
