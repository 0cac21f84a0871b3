package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/sluicetest"
)

// The commands in docs/audit.md work as written, on a real log. The test skips commands that need a witness (see
// TestWitness), and builds tools from the module that pins them instead of downloading them.
func TestAuditDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "audit.md"))
	if err != nil {
		t.Fatal(err)
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tool := filepath.Join(dir, "fsck")
	out, err := exec.Command("go", "build", "-C", filepath.Join("..", "..", "tools", "fsck"), "-o", tool,
		"github.com/transparency-dev/tessera/cmd/fsck").CombinedOutput()
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("go build: %v: %s", err, out)
	}
	if err != nil {
		t.Skipf("fsck could not be built (%v): with network, go build -C tools/fsck fetches it", err)
	}
	data := filepath.Join(dir, "data")
	t.Setenv("SLUICE_DATA", data)
	flags := []string{"--listen", freeAddress(t), "--anchor", "file:" + filepath.Join(dir, "anchor.txt")}
	p := startLog(t, data, flags...)
	c := &crashClients{key: p.key, http: http.DefaultClient}
	file, err := c.upload(p.url, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`"id":"(aud_[0-9a-z]+)".*file.created`).FindStringSubmatch(sluiceRun(t, 0, "audit", "ls",
		"--json"))
	awaitCheckpoint(t, p, 2)

	var commands []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		commands = append(commands, strings.Split(strings.ReplaceAll(strings.TrimSpace(block[1]), "\\\n", " "), "\n")...)
	}
	if len(commands) < 12 {
		t.Fatalf("the document holds %q", commands)
	}
	here := strings.NewReplacer("aud_...", id[1], "file_...", file, "https://files.example.com", p.url,
		"sk_live_...", p.key)
	var kept string // later commands need the variables
	for _, command := range commands {
		if strings.Contains(command, "--witness") {
			continue
		}
		typed := here.Replace(command)
		if regexp.MustCompile(`^(export )?[A-Z_]+=`).MatchString(typed) {
			kept += typed + "\n"
			continue
		}
		typed = strings.Replace(typed, "go run github.com/transparency-dev/tessera/cmd/fsck@v1.0.4", tool, 1)
		if strings.HasSuffix(typed, "audit tail") {
			// Run in the foreground: timeout would send the signal twice, and a second signal ends the command at once.
			typed = "timeout --foreground --preserve-status -s INT 1 " + typed
		}
		sh := exec.Command("sh", "-euc", kept+typed)
		sh.Dir = dir
		sh.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
		out, err := sh.CombinedOutput()
		if err != nil || strings.Contains(command, "fsck") && !strings.Contains(string(out), "Successfully fsck'd log") {
			t.Errorf("%s\n%v\n%s", command, err, out)
		}
		if strings.HasSuffix(command, "> vkey") { // use a key from before a rotation, as an auditor would
			if p.stop() != 0 {
				t.Fatal("the server did not stop well")
			}
			rotateSecrets(t, data)
			p = startServer(t, data, append(flags, "--ledger-origin", "files.example.com")...)
			eventually(t, func() error {
				if _, err := c.upload(p.url, []byte("hello again")); err != nil {
					return err
				}
				kept, err := os.ReadFile(filepath.Join(dir, "vkey"))
				if err != nil {
					return err
				}
				var said bytes.Buffer
				code := run(t.Context(), []string{"audit", "verify", p.url, "--vkey", filepath.Join(dir, "vkey")}, &said, &said)
				if code != 0 || strings.Contains(said.String(), strings.TrimSpace(string(kept))) {
					return fmt.Errorf("the log was not handed over: %s", &said)
				}
				return nil
			})
		}
	}
}

// rotateSecrets adds new keys at the front of the secrets in a data folder.
func rotateSecrets(t *testing.T, data string) {
	t.Helper()
	fresh := filepath.Join(t.TempDir(), "fresh")
	if code := startServer(t, fresh).stop(); code != 0 {
		t.Fatalf("the server of the new keys exits with %d", code)
	}
	type secrets struct {
		SigningKeys []json.RawMessage `json:"signing_keys"`
		LedgerKeys  []json.RawMessage `json:"ledger_keys"`
	}
	var all secrets
	for _, name := range []string{filepath.Join(fresh, "secrets.json"), filepath.Join(data, "secrets.json")} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var one secrets
		if err := json.Unmarshal(text, &one); err != nil {
			t.Fatal(err)
		}
		all.SigningKeys = append(all.SigningKeys, one.SigningKeys...)
		all.LedgerKeys = append(all.LedgerKeys, one.LedgerKeys...)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "secrets.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The commands marked sh for one machine in docs/operating.md work as written, beside a running server. Commands that
// need root and files that are not commands are marked differently.
func TestOperatingDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"sqlite3", "curl"} {
		if _, err := exec.LookPath(tool); err != nil && os.Getenv("CI") == "true" {
			t.Fatal(err)
		} else if err != nil {
			t.Skip(err)
		}
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	data, metrics, second := filepath.Join(dir, "data"), freeAddress(t), freeAddress(t)
	p := startServer(t, data, "--metrics-listen", metrics)
	c := &crashClients{key: p.key, http: http.DefaultClient}
	file, err := c.upload(p.url, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	_, link, err := c.mint(p.url, file)
	if err != nil {
		t.Fatal(err)
	}
	mails := sluicetest.NewMailpit(t)
	here := strings.NewReplacer("smtp://sluice:PASSWORD@mail.northwind.example:587", mails.URL(),
		"/var/lib/sluice", data, "/var/backups/sluice", filepath.Join(dir, "backups"),
		"http://127.0.0.1:8080", p.url, "127.0.0.1:9090", metrics, "127.0.0.1:8081", second,
		"sudo -u sluice --preserve-env=SLUICE_SMTP_URL,SLUICE_MAIL_FROM \\\n  ", "",
		"sudo -u sluice ", "", "  set -e\n", "  set -e\n  trap 'kill ${server-} 2>/dev/null || :' EXIT\n",
		"chown sluice:", "chown \"$(id -un):\"")

	one, _, found := strings.Cut(string(text), "\n## Many machines\n")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(one, -1)
	if !found || len(blocks) < 5 {
		t.Fatalf("the document holds %q", blocks)
	}
	var twice [][]string // make more than one backup
	for _, block := range blocks {
		twice = append(twice, block)
		if strings.Contains(block[1], "sluice backup") {
			twice = append(twice, block)
		}
	}
	for _, block := range twice {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		// A server that the block started must not outlive a failure.
		sh := exec.CommandContext(ctx, "sh", "-euc", "trap 'kill ${server-} 2>/dev/null || :' EXIT; trap 'exit 1' TERM\n"+
			here.Replace(block[1]))
		sh.Cancel = func() error { return sh.Process.Signal(syscall.SIGTERM) }
		sh.Dir, sh.WaitDelay = dir, 10*time.Second
		sh.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"), "LINK="+link, "SLUICE_KEY="+p.key)
		if out, err := sh.CombinedOutput(); err != nil || strings.Contains(string(out), "does not open") {
			t.Errorf("%s\n%v\n%s", block[1], err, out)
		}
		cancel()
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("beside the data and the backups the commands leave %v, %v", left, err)
	}
	// The server uses the rotated secrets after a restart.
	if p.stop() != 0 {
		t.Error("the server did not stop well")
	}
	p = startServer(t, data)
	res, err := http.Get(p.url + link)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("a link from before the rotation: %v, %v", res, err)
	}
}

// Commands in the documents can be pasted: into an interactive zsh, which takes no comments, and without a
// lasting change
// of the shell's umask. A download that is refused leaves no file.
func TestDocsCanBePasted(t *testing.T) {
	for _, name := range []string{"README.md", "docs/operating.md", "docs/audit.md", "docs/api.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```(sh|console)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(block[2]) {
				typed, is := strings.CutPrefix(line, "$ ")
				switch {
				case block[1] == "console" && !is:
				case regexp.MustCompile(`(^|\s)#`).MatchString(typed):
					t.Errorf("%s: a comment is pasted with %q", name, line)
				case strings.HasPrefix(typed, "umask"):
					t.Errorf("%s: %q changes the shell that it is pasted into", name, line)
				case regexp.MustCompile(`curl .*-[a-zA-Z]*O`).MatchString(typed) &&
					!regexp.MustCompile(` -[a-zA-Z]*f`).MatchString(typed):
					t.Errorf("%s: %q saves the problem of a link that has ended", name, line)
				}
			}
		}
	}
}

// freeAddress returns an unused loopback address.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
