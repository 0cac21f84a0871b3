//go:build unix

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/sluicetest"
)

// person is a browser that signs in to consoles and follows no redirect.
type person struct {
	t      *testing.T
	client *http.Client
}

func newPerson(t *testing.T) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

func (p *person) do(method, address string, form url.Values) (*http.Response, string) {
	p.t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp, string(body)
}

// status is that of a GET.
func (p *person) status(address string) int {
	p.t.Helper()
	resp, _ := p.do("GET", address, nil)
	return resp.StatusCode
}

// The console has an address of its own, people sign in there at a provider, and a session outlives a server that was
// killed.
func TestConsole(t *testing.T) {
	op := sluicetest.NewOIDC(t)
	op.SetPerson(t, "ann", "Ann", "ann@bank.example", map[string]any{"groups": []string{"audit"}})
	console := sluicetest.FreeAddress(t)
	data := filepath.Join(t.TempDir(), "data")
	t.Setenv("SLUICE_OIDC_CLIENT_SECRET", sluicetest.OIDCSecret)
	flags := []string{"--console-listen", console, "--oidc-issuer", op.Issuer, "--oidc-client-id", sluicetest.OIDCClient,
		"--oidc-roles", "audit=auditor"}
	s := startServer(t, data, flags...)
	if want := "the console is at http://" + console + "/console.\n"; !strings.Contains(s.printed, want) {
		t.Errorf("the first start does not print %q:\n%s", want, s.printed)
	}
	ann := newPerson(t)
	for address, want := range map[string]int{
		s.url + "/console": 404, s.url + "/console/signin": 404, s.url + "/docs": 200, "http://" + console: 303,
		"http://" + console + "/console/signin": 200, "http://" + console + "/v1/files": 404,
		"http://" + console + "/docs": 404, "http://" + console + "/consoles": 404,
	} {
		if got := ann.status(address); got != want {
			t.Errorf("%s: %d, want %d", address, got, want)
		}
	}
	resp, body := ann.do("POST", "http://"+console+"/console/signin", nil)
	address, ok := strings.CutPrefix(resp.Header.Get("Refresh"), "0; url=")
	if !ok {
		t.Fatalf("sign-in: %s\n%s", resp.Status, body)
	}
	resp, body = ann.do("GET", op.SignIn(t, ann.client, address, "ann"), nil)
	if resp.StatusCode != 303 || resp.Header.Get("Location") != "/console/live/" {
		t.Fatalf("sign-in: %s to %q\n%s", resp.Status, resp.Header.Get("Location"), body)
	}
	s.kill() // with the answer on its way, the session is on the disk
	again := startServer(t, data, flags...)
	for _, mode := range []string{"live", "test"} {
		if got := ann.status("http://" + console + "/console/" + mode + "/"); got != 200 {
			t.Errorf("%s after a kill: %d", mode, got)
		}
	}
	if out := sluiceRun(t, 0, "session", "list", "--data", data); strings.Count(out, "ann@bank.example") != 2 ||
		strings.Count(out, "active") != 2 {
		t.Errorf("session list:\n%s", out)
	}
	sluiceRun(t, 2, "session", "end", "--data", data)
	sluiceRun(t, 3, "session", "end", "--data", data, "--person", "eve")
	out := sluiceRun(t, 0, "session", "end", "--data", data, "--person", "ann")
	if strings.Count(out, "ended sess_") != 2 {
		t.Errorf("session end:\n%s", out)
	}
	if got := ann.status("http://" + console + "/console/live/"); got != 303 {
		t.Errorf("after session end: %d", got)
	}
	if code := again.stop(); code != 0 {
		t.Errorf("the server ends with %d", code)
	}
	sluiceRun(t, 0, "fsck", "--data", data)

	off := startServer(t, data, append(flags, "--console=false")...)
	if got := ann.status(off.url + "/console/signin"); got != 404 {
		t.Errorf("--no-console: %d", got)
	}
}

func TestConsoleFlags(t *testing.T) {
	oidc := []string{"--oidc-issuer", "https://id.example", "--oidc-client-id", "x", "--oidc-roles", "a=viewer"}
	for _, test := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--oidc-client-id", "x"}, "require --oidc-issuer"},
		{[]string{"--oidc-issuer", "https://id.example"}, "requires --oidc-client-id"},
		{oidc[:4], "requires --oidc-roles"},
		{append([]string{"--oidc-roles", "a=root"}, oidc[:4]...), "there is no role"},
		{append([]string{"--oidc-issuer", "http://id.example"}, oidc[2:]...), "must be https"},
		{[]string{"--console-url", "console.example"}, "--console-url"},
		{[]string{"--console-listen", "nowhere"}, "--console-listen"},
		{[]string{"--console-listen", "0.0.0.0:0"}, "give --console-url"},
	} {
		args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, test.flags...)
		if out := sluiceRun(t, 2, args...); !strings.Contains(out, test.want) {
			t.Errorf("%v: %s, want %q", test.flags, out, test.want)
		}
	}
}

// Two servers on one PostgreSQL database know the same sessions.
func TestConsoleOnTwoServers(t *testing.T) {
	postgres, bucket := sluicetest.NewPostgresServer(t), sluicetest.NewS3Server(t)
	database, dir := postgres.NewDatabase(t), t.TempDir()
	var nodes []*node
	for i := range 2 {
		n := newNode(t, dir, fmt.Sprint("node-", i), database, "--blob-url", bucket.URL("console"),
			"--secrets", filepath.Join(dir, "secrets.json"), "--public-url", "http://127.0.0.1")
		n.start(t)
		n.awaitReady(t)
		nodes = append(nodes, n)
	}
	printed, err := os.ReadFile(nodes[0].stdout)
	if err != nil {
		t.Fatal(err)
	}
	key := secret.FindString(string(printed))
	ann := newPerson(t)
	resp, body := ann.do("POST", nodes[0].url+"/console/signin", url.Values{"key": {key}})
	if resp.StatusCode != 303 {
		t.Fatalf("sign-in: %s\n%s", resp.Status, body)
	}
	nodes[0].kill()
	if got := ann.status(nodes[1].url + "/console/test/"); got != 200 {
		t.Errorf("the other server: %d", got)
	}
	nodes[0].start(t)
	nodes[0].awaitReady(t)
	u, _ := url.Parse(nodes[1].url + "/console/")
	kept := ann.client.Jar.Cookies(u)
	if resp, body := ann.do("POST", nodes[0].url+"/console/signout", nil); resp.StatusCode != 303 {
		t.Errorf("sign-out: %s\n%s", resp.Status, body)
	}
	if len(kept) != 1 {
		t.Fatalf("the browser has the cookies %v", kept)
	}
	kept[0].Path = "/console"
	ann.client.Jar.SetCookies(u, kept)
	if got := ann.status(nodes[1].url + "/console/test/"); got != 303 {
		t.Errorf("the other server after sign-out: %d", got)
	}
}
