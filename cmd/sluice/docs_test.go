package main

import (
	"context"
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
)

// What docs/audit.md tells an auditor to type works as it stands there, on a
// log of one's own. Left out are what needs a witness (TestWitness has one) and
// what would fetch a tool: that is built from the module that pins it.
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
	out, err := exec.Command("go", "build", "-C", filepath.Join("..", "..", "tools", "fsck"), "-o", tool, "github.com/transparency-dev/tessera/cmd/fsck").CombinedOutput()
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("go build: %v: %s", err, out)
	}
	if err != nil {
		t.Skipf("fsck could not be built (%v): with network, go build -C tools/fsck fetches it", err)
	}
	data := filepath.Join(dir, "data")
	p := startLog(t, data, "--anchor", "file:"+filepath.Join(dir, "anchor.txt"))
	c := &crashClients{key: p.key, http: http.DefaultClient}
	if _, err := c.upload(p.url, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`"id":"(aud_[0-9a-z]+)".*file.created`).FindStringSubmatch(sluiceRun(t, 0, "audit", "ls", "--json"))
	awaitCheckpoint(t, p, 2)

	var commands []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		commands = append(commands, strings.Split(strings.ReplaceAll(strings.TrimSpace(block[1]), "\\\n", " "), "\n")...)
	}
	if len(commands) < 12 {
		t.Fatalf("the document holds %q", commands)
	}
	for _, command := range commands {
		if strings.Contains(command, "--witness") {
			continue
		}
		typed := regexp.MustCompile(`aud_[0-9a-z]{26}`).ReplaceAllString(command, id[1])
		typed = strings.Replace(typed, "go run github.com/transparency-dev/tessera/cmd/fsck@v1.0.4", tool, 1)
		if strings.HasSuffix(typed, "audit tail") {
			typed = "timeout --preserve-status -s INT 1 " + typed
		}
		sh := exec.Command("sh", "-euc", typed)
		sh.Dir = dir
		sh.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
		out, err := sh.CombinedOutput()
		if err != nil || strings.Contains(command, "fsck") && !strings.Contains(string(out), "Successfully fsck'd log") {
			t.Errorf("%s\n%v\n%s", command, err, out)
		}
	}
}

// What docs/operating.md has the operator of one machine type works as it
// stands there, beside a running server: but for what needs root or is not a
// command, which is marked otherwise than sh.
func TestOperatingDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"sqlite3", "jq", "curl"} {
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
	here := strings.NewReplacer("/var/lib/sluice", data, "/var/backups/sluice", filepath.Join(dir, "backups"),
		"http://127.0.0.1:8080", p.url, "127.0.0.1:9090", metrics, "127.0.0.1:8081", second)

	one, _, found := strings.Cut(string(text), "\n## Many machines\n")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(one, -1)
	if !found || len(blocks) < 5 {
		t.Fatalf("the document holds %q", blocks)
	}
	for _, block := range blocks {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		// A server that the block began shall not outlive it when it fails.
		sh := exec.CommandContext(ctx, "sh", "-euc", "trap 'kill ${server-} 2>/dev/null || :' EXIT; trap 'exit 1' TERM\n"+here.Replace(block[1]))
		sh.Cancel = func() error { return sh.Process.Signal(syscall.SIGTERM) }
		sh.Dir, sh.WaitDelay = dir, 10*time.Second
		sh.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"), "LINK="+link, "SLUICE_KEY="+p.key)
		if out, err := sh.CombinedOutput(); err != nil {
			t.Errorf("%s\n%v\n%s", block[1], err, out)
		}
		cancel()
	}
	// The rotated secrets are the server's own after a restart.
	if p.stop() != 0 {
		t.Error("the server did not stop well")
	}
	p = startServer(t, data)
	res, err := http.Get(p.url + link)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("a link from before the rotation: %v, %v", res, err)
	}
}

// freeAddress is one of this machine that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
