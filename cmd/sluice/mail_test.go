package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/sluicetest"
)

const mailFrom = "Northwind <files@northwind.example>"

// sender mints links that are mailed, in a data folder beside its server.
type sender struct {
	*installation
	t      *testing.T
	caller service.Caller
	file   sluice.File
}

func newSender(t *testing.T, data string) *sender {
	t.Helper()
	c := quiet()
	c.PublicURL, c.Mail = "https://files.example", true
	i, err := place{Data: data}.open(t.Context(), c, opening{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.close() })
	s := &sender{installation: i, t: t}
	err = i.store.View(t.Context(), func(r service.Reader) error {
		accounts, err := r.Accounts()
		if err == nil {
			s.caller = service.Operator(sluice.LedgerID{Account: accounts[0].ID, Mode: sluice.Test})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	created, err := i.service.Files.Create(t.Context(), s.caller, "generic", strings.NewReader("a"),
		func() (service.NewFile, error) { return service.NewFile{Purpose: "generic", Filename: "a.txt"}, nil })
	if err != nil {
		t.Fatal(err)
	}
	s.file = created.File
	return s
}

func (s *sender) send(address string) {
	s.t.Helper()
	_, err := s.service.Links.Mint(s.t.Context(), s.caller, service.NewLink{FileID: s.file.ID, Send: true,
		Access: sluice.Access{Recipient: sluice.Recipient{Email: address}}})
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestCrashMail kills the server between commits and mails, twice. In the end each mail whose entry was
// committed has arrived, and no other. One that arrived twice was under way at a kill, and has one Message-ID.
func TestCrashMail(t *testing.T) {
	const rounds, each = 2, 40
	server := sluicetest.NewMailpit(t)
	data := filepath.Join(t.TempDir(), "data")
	flags := []string{"--smtp-url", server.URL(), "--mail-from", mailFrom}
	p := startServer(t, data, flags...)
	s := newSender(t, data)
	var want []string
	for round := range rounds {
		for i := range each {
			want = append(want, fmt.Sprintf("ann%d.%d@bank.example", round, i))
			s.send(want[len(want)-1])
		}
		if round > 0 {
			server.Await(t, round*each+1) // kill it while it sends
		}
		p.kill()
		p = startServer(t, data, flags...)
	}
	var mails []sluicetest.Received
	eventually(t, func() error {
		state, _, err := s.service.Mails.State(t.Context())
		if err == nil && state.Waiting > 0 {
			err = fmt.Errorf("%d mails wait", state.Waiting)
		}
		return err
	})
	mails = server.Mails(t)
	ids := map[string]string{}
	var got []string
	for _, m := range mails {
		to, id := strings.Trim(m.Header.Get("To"), "<>"), m.Header.Get("Message-Id")
		if ids[to] != "" && ids[to] != id {
			t.Errorf("%s got %s and %s", to, ids[to], id)
		}
		if ids[to] == "" {
			got = append(got, to)
		}
		ids[to] = id
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("mails to %d people, want %d", len(got), len(want))
	}
	if twice := len(mails) - len(want); twice > rounds*4 {
		t.Errorf("%d mails arrived twice; a kill may repeat 4", twice)
	}
}

// TestMailWithoutServer has a server without a mail server meet mails that wait: they wait on, and a metric shows them.
// They go out when a server has one.
func TestMailWithoutServer(t *testing.T) {
	server := sluicetest.NewMailpit(t)
	data, metrics := filepath.Join(t.TempDir(), "data"), sluicetest.FreeAddress(t)
	p := startServer(t, data, "--metrics-listen", metrics)
	s := newSender(t, data)
	s.send("ann@bank.example")
	p.stop()
	p = startServer(t, data, "--metrics-listen", metrics)
	eventually(t, func() error {
		res, err := http.Get("http://" + metrics + "/metrics")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err == nil && !strings.Contains(string(text), "\nsluice_mails_waiting 1\n") {
			err = errors.New("the metric does not show the mail")
		}
		return err
	})
	p.stop()
	p = startServer(t, data, "--smtp-url", server.URL(), "--mail-from", mailFrom)
	server.Await(t, 1)
	if code := p.stop(); code != 0 {
		t.Errorf("the server stopped with %d", code)
	}
	if n := server.Count(t); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// TestMailFlags refuses incomplete settings, and never prints the password. The doctor connects and sends nothing.
func TestMailFlags(t *testing.T) {
	const secret = "Passw0rd"
	for _, c := range []struct {
		url, from, want string
	}{
		{"smtp://mail.example", "", "--smtp-url and --mail-from require each other"},
		{"", mailFrom, "--smtp-url and --mail-from require each other"},
		{"smtp://ann:" + secret + "@mail.example:x", mailFrom, "--smtp-url: "},
		{"smtp://mail.example", "Northwind", "--mail-from: "},
	} {
		said := sluiceRun(t, exitUsage, "serve", "--data", t.TempDir(), "--smtp-url", c.url, "--mail-from", c.from)
		if !strings.Contains(said, c.want) || strings.Contains(said, secret) {
			t.Errorf("%+v: it prints\n%s", c, said)
		}
	}
	server := sluicetest.NewMailpit(t)
	data, _ := smallInstallation(t)
	doctor := func(url string, exit int) string {
		t.Helper()
		t.Setenv("SLUICE_SMTP_URL", url)
		t.Setenv("SLUICE_MAIL_FROM", mailFrom)
		said := sluiceRun(t, exit, "doctor", "--data", data)
		if strings.Contains(said, secret) {
			t.Errorf("the doctor prints the password:\n%s", said)
		}
		return said
	}
	if said := doctor(server.URL(), 0); !strings.Contains(lineOf(said, levelOK, "mail"), server.Address) {
		t.Errorf("with a mail server:\n%s", said)
	}
	if said := doctor("smtp://ann:"+secret+"@"+server.Address, exitFailed); !strings.Contains(
		lineOf(said, levelFailure, "mail"), "does not support SMTP AUTH") {
		t.Errorf("with a password that the mail server does not ask for:\n%s", said)
	}
	if said := doctor("smtp://"+sluicetest.FreeAddress(t), exitFailed); !strings.Contains(
		lineOf(said, levelFailure, "mail"), "connection refused") {
		t.Errorf("without a mail server:\n%s", said)
	}
	if n := server.Count(t); n != 0 {
		t.Errorf("the doctor sent %d mails", n)
	}
}

// TestMailPassword warns of a password among the arguments of the process.
func TestMailPassword(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p := startServerTo(t, log, filepath.Join(t.TempDir(), "data"), "--smtp-url", "smtp://ann:Passw0rd@127.0.0.1:1",
		"--mail-from", mailFrom)
	time.Sleep(100 * time.Millisecond) // the outbox may log that it cannot connect
	p.stop()
	read, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	said := string(read)
	if !strings.Contains(said, "set SLUICE_SMTP_URL instead") || strings.Contains(said, "Passw0rd") {
		t.Errorf("the log says\n%s", said)
	}
}

// visitor is a person's browser without a screen, at a link.
type visitor struct {
	http.Client
	url string
}

func newVisitor(t *testing.T, url string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{url: url}
	v.Jar, v.CheckRedirect = jar, func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return v
}

// send sends a form. An answer that failed sets no cookie.
func (v *visitor) send(t *testing.T, form string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequest("POST", v.url, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := v.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode >= 400 && len(res.Cookies()) > 0 {
		t.Errorf("%s: %d %v", form, res.StatusCode, res.Cookies())
	}
	return res.StatusCode, string(page)
}

// TestProveOverTwoServers proves addresses through two processes on one data folder. Guesses through both count
// together, a code asked for through one is good through the other, and only in the browser that asked; the visit holds
// at both.
func TestProveOverTwoServers(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	servers := []*process{startServer(t, data), startServer(t, data)}
	s := newSender(t, data)
	l, err := s.service.Links.Mint(t.Context(), s.caller, service.NewLink{FileID: s.file.ID,
		Access: sluice.Access{Recipient: sluice.Recipient{Email: "ann@bank.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	address, err := s.service.Links.URL(l)
	if err != nil {
		t.Fatal(err)
	}
	at := func(v *visitor, i int, form string, want int) string {
		t.Helper()
		v.url = servers[i%2].url + strings.TrimPrefix(address, "https://files.example")
		status, page := v.send(t, form)
		if status != want {
			t.Errorf("server %d, %s: %d, want %d", i%2, form, status, want)
		}
		return page
	}
	code := func(v *visitor) string { // cookies do not tell ports apart
		for _, cookie := range v.cookies(t) {
			if cookie.Name == "sluice_challenge" {
				return s.service.Links.Code(l, service.ChallengeID(l.ID, cookie.Value))
			}
		}
		t.Fatal("the browser has no challenge")
		return ""
	}

	guesser, ann, other := newVisitor(t, ""), newVisitor(t, ""), newVisitor(t, "")
	at(guesser, 0, "step=send", http.StatusSeeOther)
	for i := range service.MaxTries {
		at(guesser, i, fmt.Sprintf("step=verify&code=%08d", i), http.StatusForbidden)
	}
	for i := range 2 {
		at(guesser, i, "step=verify&code="+code(guesser), http.StatusForbidden)
	}
	at(ann, 0, "step=send", http.StatusSeeOther)
	at(other, 1, "step=send", http.StatusSeeOther)
	at(other, 1, "step=verify&code="+code(ann), http.StatusForbidden)
	at(ann, 1, "step=verify&code="+code(ann), http.StatusSeeOther)
	for i := range 2 {
		if got := at(ann, i, "step=download", http.StatusOK); got != "a" {
			t.Errorf("the download is %q", got)
		}
		at(other, i, "step=download", http.StatusUnauthorized)
	}
}

// cookies returns what the browser sends to its link.
func (v *visitor) cookies(t *testing.T) []*http.Cookie {
	t.Helper()
	u, err := url.Parse(v.url)
	if err != nil {
		t.Fatal(err)
	}
	return v.Jar.Cookies(u)
}
