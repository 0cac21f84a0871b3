//go:build unix

package sluicetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Mailpit is a real mail server for one test, which may stop it: it takes mails by SMTP and keeps them. It ends with
// the test process, even if that is killed.
type Mailpit struct {
	Address string // of its SMTP server, on loopback
	api     string
	dir     string
	flags   []string
	tool    string
	cmd     *exec.Cmd
	input   io.Closer // stdin of cmd: EOF ends the server
}

// Received is a mail that a Mailpit has taken.
type Received struct {
	Raw    string      `json:"-"` // as it came in, with CR LF
	Header mail.Header `json:"-"`
	Text   string // of its part in plain text
	HTML   string // of its part in HTML
}

// NewMailpit starts a server with further flags, and without mails. It ends with the test. If the server cannot be
// built, the test is skipped, or fails if CI=true.
func NewMailpit(t testing.TB, flags ...string) *Mailpit {
	t.Helper()
	tool, err := mailpitTool()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("mailpit, the mail server of the tests, could not be built (%v): "+
			"run go build -C tools/mailpit with network access", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := &Mailpit{Address: FreeAddress(t), api: FreeAddress(t), dir: t.TempDir(), flags: flags, tool: tool}
	m.Start(t)
	t.Cleanup(func() { m.Stop(t) })
	return m
}

// mailpitTool builds the server from the module that pins its version and returns its path. The Go build cache keeps
// it.
var mailpitTool = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sluice").Output() // also from another module
	if err != nil {
		return "", err
	}
	tool := exec.Command("go", "tool", "-n", "mailpit")
	tool.Dir = filepath.Join(strings.TrimSpace(string(root)), "tools", "mailpit")
	out, err := tool.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
})

// Start starts the server after Stop, at the same address and with the mails that it has.
func (m *Mailpit) Start(t testing.TB) {
	t.Helper()
	args := append([]string{"-c", `"$0" "$@" >>log 2>&1 & read -r nothing; kill -9 $!; wait $!`, m.tool,
		"--smtp", m.Address, "--listen", m.api, "--database", filepath.Join(m.dir, "mails.db"), "--max", "0",
		"--disable-version-check", "--smtp-disable-rdns"}, m.flags...)
	m.cmd = exec.Command("sh", args...)
	m.cmd.Dir = m.dir
	var err error
	if m.input, err = m.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		smtp, err := net.Dial("tcp", m.Address)
		if err == nil {
			smtp.Close()
			if _, err = m.get("/api/v1/info"); err == nil {
				return
			}
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(m.dir, "log"))
			t.Fatalf("mailpit does not listen: %s", log)
		}
	}
}

// Stop ends the server immediately, like a crash. It keeps its mails.
func (m *Mailpit) Stop(testing.TB) {
	m.input.Close()
	m.cmd.Wait()
}

// URL returns a --smtp-url for the server.
func (m *Mailpit) URL() string { return "smtp://" + m.Address }

// Count returns the number of mails that the server has.
func (m *Mailpit) Count(t testing.TB) int {
	t.Helper()
	var list struct {
		Total int `json:"total"`
	}
	m.read(t, "/api/v1/messages?limit=1", &list)
	return list.Total
}

// Await waits until the server has n mails, and returns all that it has, oldest first.
func (m *Mailpit) Await(t testing.TB, n int) []Received {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); m.Count(t) < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute the mail server has %d mails, want %d", m.Count(t), n)
		}
	}
	return m.Mails(t)
}

// Mails returns all mails that the server has, oldest first.
func (m *Mailpit) Mails(t testing.TB) (mails []Received) {
	t.Helper()
	var list struct {
		Messages []struct{ ID string } `json:"messages"`
	}
	m.read(t, "/api/v1/messages?limit=10000", &list)
	for i := len(list.Messages) - 1; i >= 0; i-- {
		r := Received{}
		id := list.Messages[i].ID
		m.read(t, "/api/v1/message/"+id, &r)
		raw, err := m.get("/api/v1/message/" + id + "/raw")
		if err != nil {
			t.Fatal(err)
		}
		r.Raw = string(raw)
		parsed, err := mail.ReadMessage(strings.NewReader(r.Raw))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = parsed.Header
		mails = append(mails, r)
	}
	return mails
}

func (m *Mailpit) read(t testing.TB, path string, into any) {
	t.Helper()
	data, err := m.get(path)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (m *Mailpit) get(path string) ([]byte, error) {
	response, err := http.Get("http://" + m.api + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("mailpit answers %s to %s: %s", response.Status, path, data)
	}
	return data, err
}
